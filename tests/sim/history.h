/*
 * The reference that a store is compared with: every write of a run under its number, and so the
 * state after each of them.
 *
 * 1. Keys are drawn once, distinct and in order; a key is spoken of by its place among them.
 * 2. Write n is one call: a put, a delete or a whole batch. State n is what writes 1 to n leave;
 *    state 0 is empty. What a write has expired by a moment is not visible at it.
 * 3. A value follows from the number of its write, its slot (key and space) and its length: no
 *    bytes are kept.
 * 4. Nothing here looks at the store: it knows what was asked, not what was done.
 * One thread.
 */
#ifndef KVT_SIM_HISTORY_H
#define KVT_SIM_HISTORY_H

#include "base/buf.h"
#include "base/slice.h"
#include "support/rng.h"

/** What keys look like. */
typedef struct kvt_key_shape {
    size_t count;
    size_t len_max;   /* of most, from 1 on */
    size_t long_len;  /* of one in 64; 0: none */
    unsigned letters; /* byte values they are made of: few make long common beginnings */
} kvt_key_shape;

typedef struct kvt_version {
    uint64_t write;
    int64_t expires_ms; /* 0: never */
    uint32_t len;
    bool deleted;
} kvt_version;

typedef struct kvt_versions {
    kvt_version *at; /* ascending by write */
    size_t count, cap;
} kvt_versions;

typedef struct kvt_history {
    kvi_slice *keys;
    uint8_t *key_bytes;
    size_t key_count;
    unsigned spaces;
    kvt_versions *versions; /* by slot: space * key_count + key */
    uint64_t writes;        /* the number of the newest */
    uint64_t *last_seq;     /* of the store after each write */
    size_t last_seq_cap;
} kvt_history;

/** first_seq: the store's sequence in state 0. */
void kvt_history_init(kvt_history *h, kvt_rng *rng, const kvt_key_shape *shape, unsigned spaces,
                      uint64_t first_seq);
void kvt_history_deinit(kvt_history *h);

/** Begins a write of so many operations; returns its number. */
uint64_t kvt_history_begin(kvt_history *h, uint32_t ops);

/** Adds to the newest write; of several to one key the last counts. */
void kvt_history_put(kvt_history *h, unsigned space, size_t key, uint32_t len, int64_t expires_ms);
void kvt_history_delete(kvt_history *h, unsigned space, size_t key);

/** Forgets all writes above n. */
void kvt_history_cut(kvt_history *h, uint64_t n);

/** Forgets what only states below n need, to bound memory. */
void kvt_history_trim(kvt_history *h, uint64_t n);

/** What key has in state n at this moment, or NULL. */
const kvt_version *kvt_history_get(const kvt_history *h, unsigned space, size_t key, uint64_t n,
                                   int64_t now_ms);

/** The state in which the store's sequence is seq; false: none. */
bool kvt_history_find_seq(const kvt_history *h, uint64_t seq, uint64_t *n);

/** The first key at or above bound; key_count where there is none. */
size_t kvt_history_rank(const kvt_history *h, kvi_slice bound);

/** Writes the value that this write gave to the slot, len bytes, to out. */
void kvt_value_fill(uint8_t *out, uint64_t write, size_t slot, uint32_t len);
bool kvt_value_is(kvi_slice value, const kvt_version *v, size_t slot);

static inline size_t kvt_history_slot(const kvt_history *h, unsigned space, size_t key)
{
    return space * h->key_count + key;
}

/** Compares a walk over the whole space, in both directions where asked, and gets of all its keys
 *  where asked, with state n at now_ms; snap may be NULL. NULL where they are equal, else what is
 *  wrong, in why. */
enum { KVT_SCAN_BACK = 1u << 0, KVT_SCAN_GETS = 1u << 1 };
const char *kvt_history_compare(const kvt_history *h, unsigned space, uint64_t n, int64_t now_ms,
                                kv *db, kv_snap *snap, unsigned how, char *why, size_t why_len);

#endif
