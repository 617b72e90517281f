/* Filters: what was added always passes, little else does, and nonsense is refused. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "sstable/bloom.h"
#include "support/failmem.h"

#define KEYS  100000u
#define ASKED 400000u
#define TAIL  8u

static kvt_failmem failmem;
static kvi_mem mem;
static kvi_buf filter;

static void setup(void)
{
    kvt_failmem_init(&failmem, &mem);
    kvi_buf_init(&filter, &mem);
}

static void teardown(void)
{
    kvi_buf_deinit(&filter);
    cr_assert_eq(kvt_failmem_live(&failmem), 0);
}

static uint64_t hash_of(uint64_t n)
{
    return kvi_hash64(&n, sizeof n, 42);
}

static kvi_sst_bloom build(size_t keys)
{
    uint64_t *hashes = malloc((keys + 1) * sizeof *hashes);
    kvi_sst_bloom b;

    cr_assert_not_null(hashes);
    for (size_t i = 0; i < keys; i++)
        hashes[i] = hash_of(i);
    cr_assert_eq(kvi_sst_bloom_build(hashes, keys, &filter), KV_OK);
    free(hashes);
    cr_assert_eq(kvi_sst_bloom_open(kvi_buf_slice(&filter), &b), KV_OK);
    return b;
}

Test(bloom, passes_all_keys_and_few_others, .init = setup, .fini = teardown)
{
    static const size_t sizes[] = {1, 2, 50, 51, 52, 1000, KEYS};

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        kvi_sst_bloom b = build(sizes[s]);
        size_t passed = 0;

        for (size_t i = 0; i < sizes[s]; i++)
            cr_assert(kvi_sst_bloom_may_have(&b, hash_of(i)), "key %zu of %zu", i, sizes[s]);
        for (size_t i = 0; i < ASKED; i++)
            passed += kvi_sst_bloom_may_have(&b, hash_of(i + (UINT64_C(1) << 32)));
        cr_assert(passed < ASKED * 15 / 1000, "%zu keys: %zu of %u pass", sizes[s], passed, ASKED);
    }
}

Test(bloom, is_as_large_as_promised, .init = setup, .fini = teardown)
{
    kvi_sst_bloom b = build(KEYS);

    cr_assert(filter.len <= KEYS * KVI_SST_BLOOM_BITS / 8 + 64 + TAIL);
    cr_assert_eq(b.probes, KVI_SST_BLOOM_PROBES);
}

Test(bloom, without_keys_has_nothing, .init = setup, .fini = teardown)
{
    kvi_sst_bloom b = build(0);

    for (size_t i = 0; i < 1000; i++)
        cr_assert(!kvi_sst_bloom_may_have(&b, hash_of(i)));
}

/* The bits are part of the format. */
Test(bloom, bits_stay_where_they_are, .init = setup, .fini = teardown)
{
    static const uint32_t low_halves[] = {0x9abcdef0, 0x87b87847, 0, UINT32_MAX};

    for (size_t n = 0; n < sizeof low_halves / sizeof low_halves[0]; n++) {
        uint64_t hash = UINT64_C(0x12345678) << 32 | low_halves[n];
        uint32_t h = low_halves[n];
        uint32_t d = (h >> 17 | h << 15) | 1;

        cr_assert_eq(kvi_sst_bloom_build(&hash, 1, &filter), KV_OK);
        cr_assert_eq(filter.len, 64 + TAIL);
        for (uint32_t i = 0; i < 6; i++, h += d)
            cr_assert(filter.data[(h >> 23) / 8] >> (h >> 23) % 8 & 1, "probe %u", i);
        cr_assert_eq(kvi_get_u32(filter.data + 64), 1);
        cr_assert_eq(filter.data[68], 6);
    }
}

Test(bloom, refuses_what_is_no_filter, .init = setup, .fini = teardown)
{
    kvi_sst_bloom b = build(100);
    size_t tail = filter.len - TAIL;
    uint32_t lines = kvi_get_u32(filter.data + tail);

    for (size_t len = 0; len < filter.len; len++)
        cr_assert_eq(kvi_sst_bloom_open(kvi_slice_of(filter.data, len), &b), KV_ECORRUPT);
    kvi_put_u32(filter.data + tail, 0);
    cr_assert_eq(kvi_sst_bloom_open(kvi_buf_slice(&filter), &b), KV_ECORRUPT);
    kvi_put_u32(filter.data + tail, UINT32_MAX);
    cr_assert_eq(kvi_sst_bloom_open(kvi_buf_slice(&filter), &b), KV_ECORRUPT);
    kvi_put_u32(filter.data + tail, lines);
    for (size_t i = 4; i < TAIL; i++) {
        uint8_t was = filter.data[tail + i];

        filter.data[tail + i] = i == 4 ? 0 : 1;
        cr_assert_eq(kvi_sst_bloom_open(kvi_buf_slice(&filter), &b), KV_ECORRUPT);
        filter.data[tail + i] = was;
    }
    filter.data[tail + 4] = KVI_SST_BLOOM_PROBES_MAX + 1;
    cr_assert_eq(kvi_sst_bloom_open(kvi_buf_slice(&filter), &b), KV_ECORRUPT);
}

Test(bloom, says_when_memory_is_out, .init = setup, .fini = teardown)
{
    uint64_t hash = 1;

    kvt_failmem_arm(&failmem, 0, false);
    cr_assert_eq(kvi_sst_bloom_build(&hash, 1, &filter), KV_ENOMEM);
    cr_assert(kvt_failmem_disarm(&failmem));
}
