/* The stored form of a block: round trips, damage of any byte, wrong places, and what it is
 * charged. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "support/sst.h"

#define FILE_NO 12u
#define LEAD    100u /* bytes before the block in its file */

static kvt_sst s;
static kvt_memfile file;
static kvi_buf out, scratch;

static void setup(void)
{
    kvt_sst_init(&s, 1 << 20);
    kvt_memfile_init(&file);
    kvi_buf_init(&out, &s.mem);
    kvi_buf_init(&scratch, &s.mem);
}

static void teardown(void)
{
    kvi_buf_deinit(&out);
    kvi_buf_deinit(&scratch);
    kvt_memfile_deinit(&file);
    kvt_sst_deinit(&s);
}

/* Puts raw into the file at LEAD. */
static kvi_sst_handle store(kvi_slice raw, enum kvi_sst_block_kind kind, int level)
{
    static const uint8_t lead[LEAD];

    kvi_buf_clear(&out);
    cr_assert_eq(kvi_buf_append(&out, lead, LEAD), KV_OK);
    cr_assert_eq(kvi_sst_block_seal(&s.ctx, FILE_NO, LEAD, kind, level, raw, &scratch, &out),
                 KV_OK);
    kvt_memfile_set(&file, out.data, out.len);
    return (kvi_sst_handle){LEAD, out.len - LEAD};
}

static int load(kvi_sst_handle at, enum kvi_sst_block_kind kind, kvi_sst_block **b)
{
    return kvi_sst_block_read(&s.ctx, &file.base, FILE_NO, at, kind, KVI_BUDGET_WORK, b);
}

static size_t work(void)
{
    return kvi_budget_held(&s.budget, KVI_BUDGET_WORK);
}

/* Corrupt, with the place in the detail, and nothing left behind. */
static void is_corrupt(kvi_sst_handle at, enum kvi_sst_block_kind kind, const char *where)
{
    kvi_sst_block *b = NULL;
    size_t before = work();

    kvi_error_clear();
    cr_assert_eq(load(at, kind, &b), KV_ECORRUPT);
    cr_assert_null(b);
    cr_assert_eq(work(), before);
    cr_assert_not_null(strstr(kvi_error_detail(), where), "detail: %s", kvi_error_detail());
}

static const uint8_t *letters(size_t len, unsigned count)
{
    static uint8_t raw[100000];
    kvt_rng rng;

    kvt_rng_init(&rng, len);
    for (size_t i = 0; i < len; i++)
        raw[i] = (uint8_t)kvt_rng_below(&rng, count);
    return raw;
}

Test(block, comes_back_as_it_was, .init = setup, .fini = teardown)
{
    static const int levels[] = {KV_COMPRESS_NONE, 1, 5};
    static const unsigned counts[] = {4, 256};

    for (size_t i = 0; i < 6; i++) {
        for (size_t len = 1; len < 100000; len = len * 3 + 1) {
            kvi_slice raw = {letters(len, counts[i % 2]), len};
            kvi_sst_handle at = store(raw, KVI_SST_DATA, levels[i / 2]);
            kvi_sst_block *b;

            cr_assert(at.len <= len + KVI_SST_TRAILER_LEN);
            cr_assert_eq(load(at, KVI_SST_DATA, &b), KV_OK);
            cr_assert(kvi_slice_eq(kvi_sst_block_raw(b), raw));
            cr_assert_eq(work(), b->charged);
            cr_assert(b->charged >= sizeof *b + len);
            kvi_sst_block_ref(b);
            kvi_sst_block_unref(b);
            cr_assert_eq(work(), b->charged);
            kvi_sst_block_unref(b);
            cr_assert_eq(work(), 0);
        }
    }
    kvi_sst_block_unref(NULL);
}

/* The bytes of format 1, as table_format.h says. */
Test(block, writes_the_format, .init = setup, .fini = teardown)
{
    kvi_sst_handle at = store(kvi_slice_of("payload", 7), KVI_SST_META, 1);
    const uint8_t *p = file.data + LEAD;
    uint8_t place[24];
    uint64_t seed;

    kvi_put_u64(place, FILE_NO);
    kvi_put_u64(place + 8, LEAD);
    kvi_put_u64(place + 16, KVI_SST_META);
    seed = kvi_hash64(place, sizeof place, s.ctx.store_seed);
    cr_assert_eq(at.len, 7 + 16);
    cr_assert_arr_eq(p, "payload\0\4\0\0\7\0\0\0", 15);
    cr_assert(kvi_get_u64(p + 15) == kvi_hash64(p, 15, seed));
    cr_assert(seed == kvi_sst_block_seed(s.ctx.store_seed, FILE_NO, LEAD, KVI_SST_META));
}

Test(block, is_corrupt_where_any_bit_is_wrong, .init = setup, .fini = teardown)
{
    for (int level = -1; level <= 1; level += 2) {
        kvi_sst_handle at = store(kvi_slice_of(letters(300, 4), 300), KVI_SST_DATA, level);

        for (size_t i = 0; i < at.len * 8; i++) {
            file.data[LEAD + i / 8] ^= (uint8_t)(1u << i % 8);
            is_corrupt(at, KVI_SST_DATA,
                       "table 000012.sst: block at offset 100 (data): checksum does not match");
            file.data[LEAD + i / 8] ^= (uint8_t)(1u << i % 8);
        }
    }
}

Test(block, is_corrupt_in_any_other_place, .init = setup, .fini = teardown)
{
    kvi_sst_handle at = store(kvi_slice_of(letters(300, 4), 300), KVI_SST_DATA, 1);
    kvi_sst_block *b;

    is_corrupt(at, KVI_SST_INDEX, "(index)");
    cr_assert_eq(
        kvi_sst_block_read(&s.ctx, &file.base, FILE_NO + 1, at, KVI_SST_DATA, KVI_BUDGET_WORK, &b),
        KV_ECORRUPT);
    s.ctx.store_seed++;
    is_corrupt(at, KVI_SST_DATA, "checksum");
    s.ctx.store_seed--;
    memmove(file.data, file.data + LEAD, (size_t)at.len);
    is_corrupt((kvi_sst_handle){0, at.len}, KVI_SST_DATA, "checksum");
}

Test(block, is_corrupt_with_any_other_length, .init = setup, .fini = teardown)
{
    kvi_sst_handle at = store(kvi_slice_of(letters(300, 4), 300), KVI_SST_DATA, 1);
    uint64_t end = file.len;

    for (uint64_t len = 0; len < at.len; len++)
        is_corrupt((kvi_sst_handle){LEAD, len}, KVI_SST_DATA, "offset 100");
    is_corrupt((kvi_sst_handle){LEAD, at.len + 1}, KVI_SST_DATA, "the file ends within it");
    is_corrupt((kvi_sst_handle){end, 16}, KVI_SST_DATA, "the file ends within it");
    is_corrupt((kvi_sst_handle){UINT64_MAX, 16}, KVI_SST_DATA, "the file ends within it");
    is_corrupt((kvi_sst_handle){LEAD, UINT64_MAX}, KVI_SST_DATA, "makes no sense");
    is_corrupt((kvi_sst_handle){LEAD, (uint64_t)KVI_SST_BLOCK_MAX + 17}, KVI_SST_DATA,
               "makes no sense");
}

/* Trailers that a writer of nonsense put a right checksum under. */
Test(block, believes_no_trailer, .init = setup, .fini = teardown)
{
    static const struct {
        size_t at;
        uint32_t value;
        size_t width;
    } lies[] = {
        {0, 2, 1},
        {0, 0, 1},
        {1, KVI_SST_INDEX, 1},
        {2, 1, 1},
        {3, 1, 1},
        {4, 0, 4},
        {4, 299, 4},
        {4, 301, 4},
        {4, KVI_SST_BLOCK_MAX + 1, 4},
        {4, UINT32_MAX, 4},
        {4, KVI_SST_BLOCK_MAX, 4},
    };
    kvi_sst_handle at = store(kvi_slice_of(letters(300, 4), 300), KVI_SST_DATA, 1);
    uint8_t *trailer = file.data + file.len - KVI_SST_TRAILER_LEN;
    uint64_t seed = kvi_sst_block_seed(s.ctx.store_seed, FILE_NO, LEAD, KVI_SST_DATA);

    cr_assert_eq(trailer[0], KVI_SST_ZSTD);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint8_t was[KVI_SST_TRAILER_LEN];

        memcpy(was, trailer, sizeof was);
        if (lies[i].width == 4)
            kvi_put_u32(trailer + lies[i].at, lies[i].value);
        else
            trailer[lies[i].at] = (uint8_t)lies[i].value;
        kvi_put_u64(trailer + 8, kvi_hash64(file.data + LEAD, (size_t)at.len - 8, seed));
        is_corrupt(at, KVI_SST_DATA, "block at offset 100 (data): ");
        memcpy(trailer, was, sizeof was);
    }
}

Test(block, passes_on_what_the_disk_says, .init = setup, .fini = teardown)
{
    kvi_sst_handle at = store(kvi_slice_of("payload", 7), KVI_SST_DATA, 1);
    kvi_sst_block *b;

    file.read_err = KV_EIO;
    cr_assert_eq(load(at, KVI_SST_DATA, &b), KV_EIO);
    cr_assert_eq(work(), 0);
}

Test(block, survives_each_failed_allocation, .init = setup, .fini = teardown)
{
    kvi_sst_handle at = store(kvi_slice_of(letters(3000, 4), 3000), KVI_SST_DATA, 1);
    bool failed = true;
    size_t n;

    for (n = 0; failed; n++) {
        kvi_sst_block *b = NULL;
        int err;

        kvt_failmem_arm(&s.failmem, n, false);
        err = load(at, KVI_SST_DATA, &b);
        failed = kvt_failmem_disarm(&s.failmem);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
        kvi_sst_block_unref(b);
        cr_assert_eq(work(), 0);
    }
    cr_assert(n > 2);
}

Test(block, sealing_survives_each_failed_allocation, .init = setup, .fini = teardown)
{
    kvi_slice raw = {letters(3000, 4), 3000};
    bool failed = true;

    for (size_t n = 0; failed; n++) {
        int err;

        kvi_buf_deinit(&out);
        kvi_buf_deinit(&scratch);
        kvt_failmem_arm(&s.failmem, n, false);
        err = kvi_sst_block_seal(&s.ctx, 1, 0, KVI_SST_DATA, 1, raw, &scratch, &out);
        failed = kvt_failmem_disarm(&s.failmem);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
        cr_assert(!failed || out.len == 0);
    }
}
