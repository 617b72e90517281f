/*
 * The store's own records about keyspaces, in an ordered store (lsm/keyspace.h: keyspace 0).
 *
 * 1. A keyspace's record: key 'n' and the name (none for the default one); value, little-endian:
 *    u8 version, u32 id, u64 default time to live in ms (0: none).
 * 2. The counter: key 'c'; value: u8 version, u32 the next id. Missing: 2.
 */
#ifndef KVI_API_KEYSPACE_FORMAT_H
#define KVI_API_KEYSPACE_FORMAT_H

#include "lsm/keyspace.h"

#define KVI_KEYSPACE_RECORD_KEY  'n'
#define KVI_KEYSPACE_COUNTER_KEY 'c'

#define KVI_KEYSPACE_VERSION     1u
#define KVI_KEYSPACE_VERSION_AT  0u
#define KVI_KEYSPACE_ID_AT       1u
#define KVI_KEYSPACE_TTL_AT      5u
#define KVI_KEYSPACE_RECORD_LEN  13u
#define KVI_KEYSPACE_COUNTER_LEN 5u

#endif
