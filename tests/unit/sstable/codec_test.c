/* zstd behind the codec: round trips, what does not shrink, damage, and contexts under many
 * threads. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sstable/codec.h"
#include "support/failmem.h"
#include "support/rng.h"

#define RAW_MAX 40000u

static kvt_failmem failmem;
static kvi_mem mem;
static kvi_sst_codec *codec;

static void setup(void)
{
    kvt_failmem_init(&failmem, &mem);
    cr_assert_eq(kvi_sst_codec_new(&mem, NULL, &codec), KV_OK);
}

static void teardown(void)
{
    kvi_sst_codec_free(codec);
    kvi_sst_codec_free(NULL);
    cr_assert_eq(kvt_failmem_live(&failmem), 0);
}

/* Bytes of few letters compress, of 256 they do not. */
static void fill(uint8_t *raw, size_t len, unsigned letters, uint64_t seed)
{
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    for (size_t i = 0; i < len; i++)
        raw[i] = (uint8_t)kvt_rng_below(&rng, letters);
}

static bool round_trip(const uint8_t *raw, size_t len, int level, kvi_buf *packed)
{
    static _Thread_local uint8_t back[RAW_MAX];
    bool smaller = false;

    cr_assert_eq(kvi_sst_compress(codec, level, kvi_slice_of(raw, len), packed, &smaller), KV_OK);
    if (!smaller)
        return false;
    cr_assert(packed->len <= len - len / 8);
    memset(back, 0xee, sizeof back);
    cr_assert_eq(kvi_sst_decompress(codec, kvi_buf_slice(packed), back, len), KV_OK);
    cr_assert_arr_eq(back, raw, len);
    return true;
}

Test(codec, gives_back_what_it_took, .init = setup, .fini = teardown)
{
    static const int levels[] = {1, 3, 9, 19};
    static uint8_t raw[RAW_MAX];
    kvi_buf packed;

    kvi_buf_init(&packed, &mem);
    for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
        for (size_t len = 400; len <= RAW_MAX; len = len * 3 / 2) {
            fill(raw, len, 4, len);
            cr_assert(round_trip(raw, len, levels[l], &packed), "level %d, %zu bytes", levels[l],
                      len);
        }
    }
    kvi_buf_deinit(&packed);
}

Test(codec, says_what_does_not_shrink, .init = setup, .fini = teardown)
{
    static uint8_t raw[RAW_MAX];
    kvi_buf packed;

    kvi_buf_init(&packed, &mem);
    for (size_t len = 1; len <= RAW_MAX; len = len * 2 + 1) {
        fill(raw, len, 256, len);
        cr_assert(!round_trip(raw, len, 1, &packed), "%zu random bytes", len);
    }
    kvi_buf_deinit(&packed);
}

Test(codec, notices_a_wrong_length_and_wrong_bytes, .init = setup, .fini = teardown)
{
    static uint8_t raw[4096], back[8192];
    kvi_buf packed;

    kvi_buf_init(&packed, &mem);
    fill(raw, sizeof raw, 4, 1);
    cr_assert(round_trip(raw, sizeof raw, 1, &packed));
    for (size_t len = 0; len < sizeof back; len += 256) {
        int err = kvi_sst_decompress(codec, kvi_buf_slice(&packed), back, len);

        cr_assert_eq(err, len == sizeof raw ? KV_OK : KV_ECORRUPT, "%zu", len);
    }
    for (size_t len = 0; len < packed.len; len++)
        cr_assert_eq(kvi_sst_decompress(codec, kvi_slice_of(packed.data, len), back, sizeof raw),
                     KV_ECORRUPT);
    for (size_t i = 0; i < packed.len; i++) { /* no checksum here: any answer but a crash */
        packed.data[i] ^= 0xff;
        (void)!kvi_sst_decompress(codec, kvi_buf_slice(&packed), back, sizeof raw);
        packed.data[i] ^= 0xff;
    }
    kvi_buf_deinit(&packed);
}

Test(codec, survives_each_failed_allocation, .init = setup, .fini = teardown)
{
    static uint8_t raw[4096], back[4096];
    kvi_buf packed;
    bool failed = true;

    kvi_buf_init(&packed, &mem);
    fill(raw, sizeof raw, 4, 1);
    for (size_t n = 0; failed; n++) {
        kvi_sst_codec *fresh = NULL;
        bool smaller = false;
        int err;

        kvt_failmem_arm(&failmem, n, false);
        err = kvi_sst_codec_new(&mem, NULL, &fresh);
        if (!err)
            err = kvi_sst_compress(fresh, 1, kvi_slice_of(raw, sizeof raw), &packed, &smaller);
        if (!err)
            err = kvi_sst_decompress(fresh, kvi_buf_slice(&packed), back, sizeof back);
        failed = kvt_failmem_disarm(&failmem);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK, "allocation %zu", n);
        kvi_sst_codec_free(fresh);
    }
    cr_assert_arr_eq(back, raw, sizeof raw);
    kvi_buf_deinit(&packed);
}

static void *many_round_trips(void *seed)
{
    static _Thread_local uint8_t raw[RAW_MAX];
    kvi_buf packed;

    kvi_buf_init(&packed, &mem);
    for (size_t i = 0; i < 50; i++) {
        size_t len = 1000 + i * 700;

        fill(raw, len, 4, *(uint64_t *)seed + i);
        cr_assert(round_trip(raw, len, 1 + (int)(i % 3), &packed));
    }
    kvi_buf_deinit(&packed);
    return NULL;
}

Test(codec, serves_many_threads_and_keeps_few_contexts, .init = setup, .fini = teardown)
{
    pthread_t threads[8];
    uint64_t seeds[8];

    for (size_t i = 0; i < 8; i++) {
        seeds[i] = i * 1000;
        cr_assert_eq(pthread_create(&threads[i], NULL, many_round_trips, &seeds[i]), 0);
    }
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    /* The codec, and of each kind the pool; zstd makes two allocations for a context that was
     * used. */
    cr_assert(kvt_failmem_live(&failmem) <= 1 + 2 * 2 * KVI_SST_CODEC_POOL);
}

/* One large value must not leave its large context behind. */
Test(codec, keeps_no_large_context, .init = setup, .fini = teardown)
{
    size_t len = (size_t)8 << 20;
    uint8_t *raw = calloc(1, len);
    bool smaller = false;
    kvi_buf packed;

    cr_assert_not_null(raw);
    kvi_buf_init(&packed, &mem);
    cr_assert_eq(kvi_sst_compress(codec, 9, kvi_slice_of(raw, len), &packed, &smaller), KV_OK);
    cr_assert(smaller);
    kvi_buf_deinit(&packed);
    free(raw);
    cr_assert_eq(kvt_failmem_live(&failmem), 1);
}
