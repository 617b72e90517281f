/*
 * Recovery: from what is in the directory to an engine that can go on. One thread, while opening.
 */
#ifndef KVI_LSM_RECOVER_H
#define KVI_LSM_RECOVER_H

#include "lsm/engine.h"

/** Makes the directory a new store: identity, empty version, manifest. KV_ECORRUPT where it holds
 *  tables or logs of a store without CURRENT. */
int kvi_lsm_create(kvi_lsm *l, uint8_t layout) KVI_NODISCARD;

/** Loads the manifest, replays the log, and makes what was recovered durable; the engine's view,
 *  sequences, segments and manifest are set. Everything that can be found wrong is found before
 *  anything is changed. layout: what the store must have; KV_LAYOUT_DEFAULT: any. */
int kvi_lsm_recover(kvi_lsm *l, uint8_t layout) KVI_NODISCARD;

/** Deletes what no store of ours refers to: unfinished tables, old manifests, flushed log segments. */
void kvi_lsm_delete_orphans(kvi_lsm *l);

#endif
