/*
 * Short words for the tests of versions and manifests: files with keys that are numbers, and a
 * count of those that nobody holds any more.
 */
#ifndef KVT_UNIT_LSM_VERSIONS_H
#define KVT_UNIT_LSM_VERSIONS_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "lsm/version.h"

/* Who owns the files of a test. */
typedef struct owner {
    const kvi_mem *mem;
    size_t obsolete; /* files that were told to be */
} owner;

static inline void owner_obsolete(kvi_lsm_file *f, void *user)
{
    owner *o = user;

    cr_assert_eq(atomic_load(&f->refs), 0);
    o->obsolete++;
    kvi_mem_free(o->mem, f);
}

/* Keys are numbers, big-endian; a key is good until the next but three. */
static inline kvi_slice key_of(uint64_t n)
{
    static uint8_t keys[4][8];
    static unsigned next;
    uint8_t *key = keys[next++ % 4];

    kvi_put_be64(key, n);
    return kvi_slice_of(key, 8);
}

static inline uint64_t key_number(kvi_slice key)
{
    cr_assert_eq(key.len, 8);
    return kvi_get_be64(key.data);
}

/* A file whose figures follow from its number, but for sequence and keys. NULL: no memory. */
static inline kvi_lsm_file *file_make(owner *o, uint64_t number, uint64_t seq_max, uint64_t from,
                                      uint64_t to)
{
    const kvi_lsm_file_info info = {
        .number = number,
        .size = number * 1000,
        .entries = number * 10,
        .deletes = number % 10,
        .seq_min = seq_max / 2,
        .seq_max = seq_max,
        .smallest = key_of(from),
        .largest = key_of(to),
    };

    return kvi_lsm_file_new(o->mem, &info, owner_obsolete, o);
}

static inline bool file_same(const kvi_lsm_file *a, const kvi_lsm_file *b)
{
    return a->number == b->number && a->size == b->size && a->entries == b->entries &&
           a->deletes == b->deletes && a->seq_min == b->seq_min && a->seq_max == b->seq_max &&
           kvi_slice_eq(a->smallest, b->smallest) && kvi_slice_eq(a->largest, b->largest);
}

static inline bool version_same(const kvi_lsm_version *a, const kvi_lsm_version *b)
{
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++) {
        if (a->level[level].count != b->level[level].count ||
            a->level[level].bytes != b->level[level].bytes)
            return false;
        for (uint32_t i = 0; i < a->level[level].count; i++)
            if (!file_same(a->level[level].files[i], b->level[level].files[i]))
                return false;
    }
    return true;
}

#endif
