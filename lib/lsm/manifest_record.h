/*
 * The payloads of manifest records (the bytes: manifest_format.h): edits and whole states as bytes
 * and back. Pure but for the memory they take.
 */
#ifndef KVI_LSM_MANIFEST_RECORD_H
#define KVI_LSM_MANIFEST_RECORD_H

#include "lsm/manifest.h"

/** Appends the payload for e to out; *count: its fields, 0 where e changes nothing. KV_ENOMEM,
 *  KV_ETOOBIG (KVI_JOURNAL_PAYLOAD_MAX). On failure out may have grown. */
int kvi_lsm_manifest_encode_edit(const kvi_lsm_edit *e, kvi_buf *out, uint32_t *count)
    KVI_NODISCARD;

/** The same for a whole state. */
int kvi_lsm_manifest_encode_state(const kvi_lsm_state *s, kvi_buf *out, uint32_t *count)
    KVI_NODISCARD;

/** A record that was read. */
typedef struct kvi_lsm_manifest_record {
    kvi_lsm_edit edit; /* owned: ended by kvi_lsm_edit_deinit */
    bool has_store;    /* layout and seeds of store are set */
    kvi_lsm_store store;
} kvi_lsm_manifest_record;

/** Reads a payload of count fields; files get on_obsolete and user. KV_ECORRUPT, KV_EFORMAT,
 *  KV_ENOMEM. Tables are checked one by one; whether the edit fits a version is for who applies it. */
int kvi_lsm_manifest_decode(const kvi_mem *mem, kvi_slice payload, uint32_t count,
                            kvi_lsm_obsolete_fn *on_obsolete, void *user,
                            kvi_lsm_manifest_record *out) KVI_NODISCARD;

#endif
