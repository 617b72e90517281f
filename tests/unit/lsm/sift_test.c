/*
 * The sift: whatever it leaves out, no reader can tell; and it leaves out all that it may.
 */
#include "lsm/sift.h"

#include <criterion/criterion.h>

#include "base/bytes.h"
#include "support/lsm_fixture.h"

#define NOW           1000
#define KEYS          12u
#define VERSIONS      8u
#define SNAPSHOTS     4u
#define RANDOM_ROUNDS 400u
#define NOTHING       0u

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

/* One version of a key. */
typedef struct entry {
    uint64_t seq;
    unsigned kind; /* NOTHING: left out */
    int64_t expires_ms;
} entry;

typedef struct history {
    entry at[VERSIONS]; /* newest first */
    size_t count;
    bool beneath;       /* a table that is not read may have the key */
    uint64_t older_seq; /* 0: none; else what it has */
} history;

static kvt_lsm f;
static history keys[KEYS];
static kvi_lsm_snapshot snapshots[SNAPSHOTS];
static uint64_t readers[SNAPSHOTS + 1]; /* ascending; the last one reads now */
static size_t reader_count;

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)4 << 20);
    f.clock.wall_ms = NOW;
    reader_count = 0;
}

static void teardown(void)
{
    for (size_t i = 0; i + 1 < reader_count; i++)
        kvi_lsm_snapshot_drop(f.l, &snapshots[i]);
    kvt_lsm_deinit(&f);
}

/* Readers at these sequences, ascending: the last one reads now, the others by snapshots. */
static void set_readers(const uint64_t *seqs, size_t count)
{
    for (size_t i = 0; i + 1 < reader_count; i++)
        kvi_lsm_snapshot_drop(f.l, &snapshots[i]);
    reader_count = count;
    for (size_t i = 0; i < count; i++) {
        readers[i] = seqs[i];
        atomic_store(&f.l->published, seqs[i]);
        if (i + 1 < count)
            kvi_lsm_snapshot_take(f.l, &snapshots[i]);
    }
}

static bool beneath(void *user, kvi_slice key)
{
    (void)user;
    return keys[kvi_slice_bytes(key)[0]].beneath;
}

/* The sequence that a reader finds for the key, 0 where it finds nothing. */
static uint64_t visible(const history *h, uint64_t seq, int64_t now_ms)
{
    for (size_t i = 0; i < h->count; i++) {
        const entry *e = &h->at[i];

        if (e->seq > seq || e->kind == NOTHING)
            continue;
        if (e->kind == KVI_KIND_DELETE ||
            (e->kind == KVI_KIND_PUT_EXPIRING && e->expires_ms <= now_ms))
            return 0;
        return e->seq;
    }
    return h->older_seq;
}

/* What the rule says becomes of an entry, worked out from its neighbours and all readers. */
static unsigned expected_kind(const history *h, size_t i)
{
    const entry *e = &h->at[i];
    uint64_t newer = i > 0 ? h->at[i - 1].seq : UINT64_MAX;
    bool deletes =
        e->kind == KVI_KIND_DELETE || (e->kind == KVI_KIND_PUT_EXPIRING && e->expires_ms <= NOW);
    bool seen = false, by_all = true;

    for (size_t r = 0; r < reader_count; r++) {
        seen |= e->seq <= readers[r] && newer > readers[r];
        by_all &= e->seq <= readers[r];
    }
    if (!seen || (deletes && by_all && !h->beneath))
        return NOTHING;
    return deletes && by_all ? KVI_KIND_DELETE : e->kind;
}

static entry sift_one(kvi_lsm_sift *s, size_t key, const entry *e)
{
    uint8_t key_byte = (uint8_t)key, bytes[KVI_EXPIRES_LEN + 1] = {0};
    uint64_t tag = kvi_tag(e->seq, (enum kvi_kind)e->kind);
    kvi_slice value = kvi_slice_of(bytes, e->kind == KVI_KIND_DELETE ? 0 : sizeof bytes);
    kvi_slice given = value;
    entry out = *e;
    bool keep;

    kvi_put_u64(bytes, (uint64_t)e->expires_ms);
    OK(kvi_lsm_sift_next(s, kvi_slice_of(&key_byte, 1), &tag, &value, &keep));
    out.kind = keep ? kvi_tag_kind(tag) : NOTHING;
    cr_assert_eq(kvi_tag_seq(tag), e->seq);
    if (keep && out.kind == KVI_KIND_DELETE)
        cr_assert_eq(value.len, 0);
    else if (keep)
        cr_assert(value.data == given.data && value.len == given.len);
    return out;
}

/* Sifts all keys, and compares with the rule and with what readers see. */
static void sift_and_check(size_t key_count)
{
    kvi_lsm_sift s;

    OK(kvi_lsm_sift_init(&s, f.l, beneath, NULL));
    for (size_t k = 0; k < key_count; k++) {
        history after = keys[k];

        for (size_t i = 0; i < keys[k].count; i++) {
            after.at[i] = sift_one(&s, k, &keys[k].at[i]);
            cr_assert_eq(after.at[i].kind, expected_kind(&keys[k], i), "key %zu, version %zu", k,
                         i);
        }
        for (size_t r = 0; r < reader_count; r++)
            for (int64_t now = NOW; now <= NOW + 2; now++)
                cr_assert_eq(visible(&after, readers[r], now), visible(&keys[k], readers[r], now),
                             "key %zu, reader %zu", k, r);
    }
    kvi_lsm_sift_deinit(&s);
}

static void random_history(kvt_rng *rng, history *h, uint64_t newest)
{
    uint64_t seq = newest - kvt_rng_below(rng, 4);

    memset(h, 0, sizeof *h);
    h->count = (size_t)kvt_rng_below(rng, VERSIONS + 1);
    for (size_t i = 0; i < h->count; i++) {
        h->at[i] = (entry){seq, KVI_KIND_DELETE + (unsigned)kvt_rng_below(rng, 3),
                           NOW - 1 + (int64_t)kvt_rng_below(rng, 4)};
        seq -= 1 + kvt_rng_below(rng, 5);
    }
    h->beneath = kvt_rng_below(rng, 2) == 0;
    if (h->beneath && kvt_rng_below(rng, 3) > 0)
        h->older_seq = 1; /* else beneath said so for nothing */
}

Test(lsm_sift, readers_see_no_difference_and_nothing_stays_in_vain, .init = setup, .fini = teardown)
{
    kvt_rng rng;

    kvt_rng_init(&rng, kvt_env_u64("SEED", 1));
    for (unsigned round = 0; round < RANDOM_ROUNDS; round++) {
        size_t count = 1 + (size_t)kvt_rng_below(&rng, SNAPSHOTS + 1);
        uint64_t seqs[SNAPSHOTS + 1], seq = 50 + kvt_rng_below(&rng, 10);

        for (size_t i = 0; i < count; i++) { /* some of them equal */
            seqs[i] = seq;
            seq += kvt_rng_below(&rng, 10);
        }
        set_readers(seqs, count);
        for (size_t k = 0; k < KEYS; k++)
            random_history(&rng, &keys[k], seqs[count - 1]);
        sift_and_check(KEYS);
    }
}

Test(lsm_sift, expired_becomes_a_delete_once_every_reader_sees_it, .init = setup, .fini = teardown)
{
    const entry expired = {50, KVI_KIND_PUT_EXPIRING, NOW},
                alive = {50, KVI_KIND_PUT_EXPIRING, NOW + 1};
    kvi_lsm_sift s;

    memset(keys, 0, sizeof keys);
    keys[1].beneath = true;
    for (uint64_t oldest = 49; oldest <= 51; oldest++) {
        const uint64_t seqs[] = {oldest, 60};

        set_readers(seqs, 2);
        OK(kvi_lsm_sift_init(&s, f.l, beneath, NULL));
        cr_assert_eq(sift_one(&s, 0, &expired).kind,
                     oldest < 50 ? (unsigned)KVI_KIND_PUT_EXPIRING : NOTHING);
        cr_assert_eq(sift_one(&s, 1, &expired).kind,
                     oldest < 50 ? KVI_KIND_PUT_EXPIRING : KVI_KIND_DELETE);
        cr_assert_eq(sift_one(&s, 2, &alive).kind, KVI_KIND_PUT_EXPIRING);
        kvi_lsm_sift_deinit(&s);
    }
}

Test(lsm_sift, snapshots_of_the_beginning_count, .init = setup, .fini = teardown)
{
    const uint64_t seqs[] = {10, 60};
    const kvi_lsm_snapshot *s0 = &snapshots[0];
    kvi_lsm_sift s;

    memset(keys, 0, sizeof keys);
    set_readers(seqs, 2);
    cr_assert_eq(s0->seq, 10);
    OK(kvi_lsm_sift_init(&s, f.l, beneath, NULL));
    set_readers(seqs + 1, 1); /* dropped meanwhile: the sift goes on as it began */
    cr_assert_eq(sift_one(&s, 0, &(entry){20, KVI_KIND_DELETE, 0}).kind, KVI_KIND_DELETE);
    cr_assert_eq(sift_one(&s, 0, &(entry){9, KVI_KIND_PUT, 0}).kind, KVI_KIND_PUT);
    cr_assert_eq(sift_one(&s, 0, &(entry){8, KVI_KIND_PUT, 0}).kind, NOTHING);
    kvi_lsm_sift_deinit(&s);
}

Test(lsm_sift, says_when_there_is_no_memory, .init = setup, .fini = teardown)
{
    const uint64_t seqs[] = {10, 60};
    bool failed = true;

    set_readers(seqs, 2);
    for (size_t n = 0; failed; n++) {
        uint64_t tag = kvi_tag(20, KVI_KIND_PUT);
        kvi_slice value = kvi_slice_of("v", 1);
        kvi_lsm_sift s;
        bool keep;
        int r;

        kvt_failmem_arm(&f.s.failmem, n, false);
        r = kvi_lsm_sift_init(&s, f.l, beneath, NULL);
        if (r == KV_OK)
            r = kvi_lsm_sift_next(&s, kvi_slice_of("k", 1), &tag, &value, &keep);
        failed = kvt_failmem_disarm(&f.s.failmem);
        cr_assert_eq(r, failed ? KV_ENOMEM : KV_OK);
        kvi_lsm_sift_deinit(&s);
        cr_assert_lt(n, 10);
    }
}
