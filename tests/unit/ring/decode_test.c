/* lib/ring/encode.c and decode.c: documents as bytes and back, and bytes that are none. */
#include "base/bytes.h"
#include "ring/ring_format.h"
#include "support/failmem.h"
#include "support/rng.h"
#include "unit/ring/rings.h"

static kvi_mem mem;
static kvi_buf bytes;

static void add_space(kvi_ring **ring, const char *name)
{
    kvi_ring_policy policy = {5, KV_ALL, 2, 0, 1, UINT64_MAX};
    kvi_ring *made = NULL;

    OK(kvi_ring_add_space(*ring, name, &policy, &made));
    replace(ring, made);
}

/* Six members of three zones, one without weight; three spaces. */
static void setup(void)
{
    kvi_ring *ring, *made = NULL;

    kvi_mem_init(&mem, NULL);
    kvi_buf_init(&bytes, &mem);
    ring = ring_of(&mem, 7, 3, 6, 3);
    add_space(&ring, "users");
    add_space(&ring, "carts");
    OK(kvi_ring_reweight(ring, id_of(2), 0, &made));
    replace(&ring, made);
    OK(kvi_ring_encode(ring, &bytes));
    kvi_ring_free(ring);
}

static void teardown(void)
{
    kvi_buf_deinit(&bytes);
}

#define CODEC_TEST(name) Test(ring_codec, name, .init = setup, .fini = teardown)

/* What decodes must encode to the same bytes. */
static int decode(const void *data, size_t len)
{
    kvi_ring *ring = NULL;
    kvi_buf again;
    int err = kvi_ring_decode(&mem, kvi_slice_of(data, len), &ring);

    cr_assert_eq(err == KV_OK, ring != NULL);
    if (err)
        return err;
    kvi_buf_init(&again, &mem);
    OK(kvi_ring_encode(ring, &again));
    cr_assert_eq(again.len, len);
    cr_assert_arr_eq(again.data, data, len);
    kvi_buf_deinit(&again);
    kvi_ring_free(ring);
    return KV_OK;
}

static void seal(void)
{
    size_t len = bytes.len - KVI_RING_CHECKSUM_LEN;

    kvi_put_u64(bytes.data + len, kvi_hash64(bytes.data, len, 0));
}

/* The bytes at `at` are others, and the checksum is right for them. */
static void expect_changed(size_t at, const void *with, size_t len, int err, const char *why)
{
    uint8_t *was = kvi_mem_dup(&mem, bytes.data, bytes.len);
    int got;

    cr_assert_not_null(was);
    memcpy(bytes.data + at, with, len);
    seal();
    got = decode(bytes.data, bytes.len);
    cr_assert_eq(got, err, "at %zu: %d, wanted %d: %s", at, got, err, kvi_error_detail());
    cr_assert(strstr(kvi_error_detail(), why), "\"%s\" in \"%s\"", why, kvi_error_detail());
    memcpy(bytes.data, was, bytes.len);
    kvi_mem_free(&mem, was);
}

static void expect_byte(size_t at, unsigned value, const char *why)
{
    uint8_t byte = (uint8_t)value;

    expect_changed(at, &byte, 1, KV_ECORRUPT, why);
}

static void expect_u32(size_t at, uint32_t value, const char *why)
{
    uint8_t word[4];

    kvi_put_u32(word, value);
    expect_changed(at, word, 4, KV_ECORRUPT, why);
}

static void expect_u64(size_t at, uint64_t value, const char *why)
{
    uint8_t word[8];

    kvi_put_u64(word, value);
    expect_changed(at, word, 8, KV_ECORRUPT, why);
}

CODEC_TEST(all_that_a_document_says_comes_back)
{
    kvi_ring *ring = NULL;
    kvi_ring_policy policy;
    uint32_t count;

    OK(decode(bytes.data, bytes.len));
    OK(kvi_ring_decode(&mem, kvi_buf_slice(&bytes), &ring));
    cr_assert_eq(kvi_ring_epoch(ring), 9);
    cr_assert_eq(kvi_ring_token_seed(ring), 7);
    cr_assert_eq(kvi_ring_secret(ring)[1], 13);
    cr_assert_eq(kvi_ring_weighted(ring), 5);
    (void)kvi_ring_members(ring, &count);
    cr_assert_eq(count, 6);
    cr_assert_str_eq(kvi_ring_member_of(ring, id_of(5))->zone, "zone-2");
    cr_assert_str_eq(kvi_ring_member_of(ring, id_of(5))->address, "10.0.0.5:7000");
    policy = kvi_ring_space_named(ring, "carts")->policy;
    cr_assert(policy.n == 5 && policy.r == KV_ALL && policy.w == 2 && policy.conflict == 1);
    cr_assert_eq(policy.ttl_ms, UINT64_MAX);
    kvi_ring_free(ring);
}

CODEC_TEST(an_encoding_is_appended)
{
    kvi_ring *ring = NULL;
    size_t len = bytes.len;

    OK(kvi_ring_decode(&mem, kvi_buf_slice(&bytes), &ring));
    OK(kvi_ring_encode(ring, &bytes));
    cr_assert_eq(bytes.len, 2 * len);
    cr_assert_arr_eq(bytes.data, bytes.data + len, len);
    kvi_ring_free(ring);
}

CODEC_TEST(wide_owners_come_back)
{
    kvi_ring *ring = ring_of(&mem, 13, 3, 256, 1);

    kvi_buf_clear(&bytes);
    OK(kvi_ring_encode(ring, &bytes));
    OK(decode(bytes.data, bytes.len));
    join(&ring, 256, 1);
    kvi_buf_clear(&bytes);
    OK(kvi_ring_encode(ring, &bytes));
    OK(decode(bytes.data, bytes.len));
    cr_assert_gt(bytes.len, 2u << 13);
    kvi_ring_free(ring);
}

CODEC_TEST(every_prefix_and_any_more_is_refused)
{
    uint8_t *copy;

    for (size_t len = 0; len < bytes.len; len++) {
        copy = kvi_mem_alloc(&mem, len + 1); /* no byte to spare, for ASan */
        cr_assert_not_null(copy);
        memcpy(copy + 1, bytes.data, len);
        cr_assert_eq(decode(copy + 1, len), KV_ECORRUPT);
        kvi_mem_free(&mem, copy);
    }
    OK(kvi_buf_append(&bytes, "\0\0\0\0\0\0\0\0", 8));
    cr_assert_eq(decode(bytes.data, bytes.len), KV_ECORRUPT);
    seal();
    cr_assert_eq(decode(bytes.data, bytes.len), KV_ECORRUPT);
    cr_assert(strstr(kvi_error_detail(), "length"), "%s", kvi_error_detail());
}

CODEC_TEST(every_flipped_bit_is_found)
{
    for (size_t i = 0; i < 8 * bytes.len; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
        cr_assert_eq(decode(bytes.data, bytes.len), KV_ECORRUPT, "bit %zu", i);
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

CODEC_TEST(a_newer_format_is_told_apart)
{
    expect_changed(KVI_RING_AT_FORMAT, "\2\0\0\0", 4, KV_EFORMAT, "use a newer one");
    expect_u32(KVI_RING_AT_MAGIC, 0, "does not begin");
}

CODEC_TEST(a_head_is_not_believed)
{
    expect_u64(KVI_RING_AT_EPOCH, 0, "epoch");
    expect_u64(KVI_RING_AT_EPOCH, KVI_RING_EPOCH_MAX + 1, "epoch");
    expect_byte(KVI_RING_AT_STAGE, 0, "stage");
    expect_byte(KVI_RING_AT_STAGE, 3, "stage");
    expect_byte(KVI_RING_AT_BITS, KVI_RING_BITS_MAX + 1, "partitions");
    expect_byte(KVI_RING_AT_BITS, 16, "too short for what it counts");
    expect_byte(KVI_RING_AT_BITS, 255, "partitions");
    expect_byte(KVI_RING_AT_ZERO, 1, "is 0 in this format");
    expect_byte(KVI_RING_AT_VOTER_COUNT, 0, "voters");
    expect_byte(KVI_RING_AT_VOTER_COUNT, KVI_RING_VOTERS_MAX + 1, "voters");
    expect_u32(KVI_RING_AT_NEXT_SPACE, 15, "next space");
    expect_u32(KVI_RING_AT_NEXT_SPACE, 17, "spaces' numbers");
    expect_u32(KVI_RING_AT_MEMBER_COUNT, 0, "members");
    expect_u32(KVI_RING_AT_MEMBER_COUNT, 9, "members");
    expect_u32(KVI_RING_AT_MEMBER_COUNT, UINT32_MAX, "members");
    expect_u32(KVI_RING_AT_SPACE_COUNT, 0, "spaces");
    expect_u32(KVI_RING_AT_SPACE_COUNT, KVI_RING_SPACES_MAX + 1, "spaces");
    expect_u32(KVI_RING_AT_SPACE_COUNT, KVI_RING_SPACES_MAX, "too short for what it counts");
}

/* Where the second member, the first space and the owners begin: zones have 6 bytes, addresses 13.
   */
#define AT_MEMBER(i) (KVI_RING_HEAD_LEN + KVI_RING_VOTER_LEN + (i) * (KVI_RING_MEMBER_LEN + 19u))
#define AT_SPACE(i) \
    (AT_MEMBER(6) + ((i) > 0 ? KVI_RING_SPACE_LEN : 0) + ((i) > 1 ? KVI_RING_SPACE_LEN + 5u : 0))
#define AT_OWNERS (AT_SPACE(2) + KVI_RING_SPACE_LEN + 5u)

CODEC_TEST(members_and_voters_are_not_believed)
{
    expect_u64(KVI_RING_HEAD_LEN, 12345, "voter is no member");
    expect_u64(AT_MEMBER(0), 0, "node_id");
    expect_u64(AT_MEMBER(1), 1, "members are out of order");
    expect_u64(AT_MEMBER(0), UINT64_MAX, "members are out of order");
    expect_byte(AT_MEMBER(0) + 10, 64, "");
    expect_byte(AT_MEMBER(5) + 11, 255, "passes its end");
    expect_byte(AT_MEMBER(3) + KVI_RING_MEMBER_LEN, 0, "0 byte");
    expect_byte(AT_MEMBER(3) + KVI_RING_MEMBER_LEN + 18, 0, "0 byte");
}

CODEC_TEST(spaces_are_not_believed)
{
    expect_u32(AT_SPACE(0), 16, "default one");
    expect_u32(AT_SPACE(1), 1, "default one");
    expect_u32(AT_SPACE(1), 15, "numbers");
    expect_u32(AT_SPACE(1), 17, "numbers");
    expect_u32(AT_SPACE(2), 18, "numbers");
    expect_byte(AT_SPACE(1) + 4, 0, "n is not");
    expect_byte(AT_SPACE(1) + 4, 9, "n is not");
    expect_byte(AT_SPACE(1) + 5, 6, "r is neither");
    expect_byte(AT_SPACE(1) + 6, 0, "w is neither");
    expect_byte(AT_SPACE(1) + 7, 16, "mode");
    expect_byte(AT_SPACE(2) + 9, 255, "");
    expect_changed(AT_SPACE(2) + KVI_RING_SPACE_LEN, "users", 5, KV_ECORRUPT, "one name");
}

CODEC_TEST(owners_are_not_believed)
{
    kvi_ring *ring = NULL;
    unsigned idle;

    OK(kvi_ring_decode(&mem, kvi_buf_slice(&bytes), &ring));
    idle = place_of(ring, id_of(2));
    kvi_ring_free(ring);
    expect_byte(AT_OWNERS, 6, "owner is no member");
    expect_byte(AT_OWNERS, idle, "without weight");
    expect_byte(AT_OWNERS + 127, 255, "owner is no member");
    expect_byte(AT_MEMBER(idle) + 8, 1, "or none with it");
}

/* Random damage under a right checksum: refused, or a document with just these bytes. */
CODEC_TEST(damage_is_refused_or_another_document)
{
    uint8_t *was = kvi_mem_dup(&mem, bytes.data, bytes.len);
    unsigned taken = 0;
    kvt_rng rng;

    cr_assert_not_null(was);
    kvt_rng_init(&rng, kvt_env_u64("SEED", 1));
    for (int i = 0; i < 20000; i++) {
        for (uint64_t k = 0; k <= kvt_rng_below(&rng, 3); k++)
            bytes.data[kvt_rng_below(&rng, bytes.len)] = (uint8_t)kvt_rng_next(&rng);
        seal();
        taken += decode(bytes.data, bytes.len) == KV_OK;
        memcpy(bytes.data, was, bytes.len);
    }
    cr_assert_gt(taken, 100);
    kvi_mem_free(&mem, was);
}

CODEC_TEST(without_memory_nothing_is_decoded_and_nothing_leaks)
{
    kvt_failmem fm;
    kvi_mem scarce;
    bool failed = true;

    kvt_failmem_init(&fm, &scarce);
    for (size_t n = 0; failed; n++) {
        kvi_ring *ring = NULL;
        int err;

        kvt_failmem_arm(&fm, n, false);
        err = kvi_ring_decode(&scarce, kvi_buf_slice(&bytes), &ring);
        failed = kvt_failmem_disarm(&fm);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
        kvi_ring_free(ring);
        cr_assert_eq(kvt_failmem_live(&fm), 0);
    }
}
