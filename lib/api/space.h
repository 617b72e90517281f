/*
 * Keyspaces: who has which prefix and which policy, recorded in the store itself
 * (keyspace_format.h).
 *
 * 1. A record is written once, by one conditional and atomic write with the counter of ids, as
 *    durable as the store can, and never changes.
 * 2. A keyspace is used only after its record is readable; as the log keeps the order of writes, no
 *    entry of it survives a crash that its record does not.
 *
 * Any thread.
 */
#ifndef KVI_API_SPACE_H
#define KVI_API_SPACE_H

#include "api/store.h"

/** Makes s->root the default keyspace's handle, recording its policy where the store is new. The
 *  engine is open. policy may be NULL. */
int kvi_api_space_open_default(kvi_api_store *s, const kv_policy *policy) KVI_NODISCARD;

/** Frees what kv_space() made. */
void kvi_api_space_close(kv *space);

#endif
