/*
 * What all tables of one store share, borrowed from the engine that opened it and outliving every
 * table.
 */
#ifndef KVI_SSTABLE_CONTEXT_H
#define KVI_SSTABLE_CONTEXT_H

#include "base/budget.h"
#include "base/mem.h"
#include "os/lock.h"

typedef struct kvi_sst_cache kvi_sst_cache;
typedef struct kvi_sst_codec kvi_sst_codec;

typedef struct kvi_sst_context {
    const kvi_mem *mem;
    kvi_budget *budget;
    kvi_sst_cache *cache;
    kvi_sst_codec *codec;
    uint64_t store_seed;  /* of the store's identity: binds checksums to it */
    uint64_t filter_seed; /* secret: of key hashes */
} kvi_sst_context;

#endif
