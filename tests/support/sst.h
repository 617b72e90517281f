/*
 * What tests and fuzzers of tables need: the context that all tables of a store share, on an
 * allocator that can fail, and a model: sorted entries that a table is built from and compared
 * with.
 */
#ifndef KVT_SUPPORT_SST_H
#define KVT_SUPPORT_SST_H

#include "sstable/builder.h"
#include "sstable/cache.h"
#include "sstable/codec.h"
#include "sstable/table.h"
#include "support/failmem.h"
#include "support/memfile.h"
#include "support/rng.h"

typedef struct kvt_sst {
    kvt_failmem failmem;
    kvi_mem mem;
    kvi_budget budget; /* its reclaimer is the cache */
    kvi_sst_context ctx;
} kvt_sst;

void kvt_sst_init(kvt_sst *s, size_t limit);

/** Aborts where something is still allocated or charged. */
void kvt_sst_deinit(kvt_sst *s);

typedef struct kvt_entry {
    kvi_slice key;
    uint64_t tag;
    kvi_slice value;
} kvt_entry;

/** Entries strictly ascending, and the bytes that they lie in. */
typedef struct kvt_model {
    kvt_entry *entries;
    size_t count;
    uint8_t *bytes;
} kvt_model;

/** What random entries look like. */
typedef struct kvt_shape {
    size_t keys;
    size_t key_max;      /* bytes, from 0 on */
    size_t versions_max; /* of a key, from 1 on */
    size_t value_max;    /* bytes, from 0 on */
    unsigned letters; /* how many byte values keys are made of: few make long common beginnings */
} kvt_shape;

void kvt_model_random(kvt_model *m, kvt_rng *rng, const kvt_shape *shape);
/** Keys "key00000000"… with one version each and values of value_len bytes that are different and
 * compress somewhat. */
void kvt_model_counted(kvt_model *m, size_t keys, size_t value_len);
#define KVT_COUNTED_KEY_LEN 11
void kvt_counted_key(uint8_t *key, size_t n);
void kvt_model_deinit(kvt_model *m);

/** The first entry at or behind (key, tag), m->count where there is none. */
size_t kvt_model_seek(const kvt_model *m, kvi_slice key, uint64_t tag);

/** The first entry of key with tag <= max_tag, or NULL. */
const kvt_entry *kvt_model_get(const kvt_model *m, kvi_slice key, uint64_t max_tag);

bool kvt_entry_same(const kvt_entry *e, kvi_slice key, uint64_t tag, kvi_slice value);

/** Builds a table of the model in f. */
int kvt_sst_build(kvt_sst *s, const kvt_model *m, const kvi_sst_builder_options *o, kvt_memfile *f,
                  kvi_sst_built *built);

/** kvi_sst_table_get with the hash of the key, from the disk where need be. */
int kvt_sst_get(kvt_sst *s, kvi_sst_table *t, kvi_slice key, uint64_t max_tag, kvi_sst_found *out);

#endif
