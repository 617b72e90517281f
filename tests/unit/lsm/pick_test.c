/*
 * The choice of a compaction: which level, which tables, what lies under them.
 */
#include "lsm/pick.h"

#include "unit/lsm/versions.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

/* Targets: 100 000 bytes in level 1, then 400 000, 1 600 000 … */
static const kvi_lsm_shape shape = {
    .level1_bytes = 100000,
    .level_ratio = 4,
    .level0_compact = 4,
    .level0_stall = 12,
};

typedef struct world {
    kvi_mem mem;
    owner owner;
    kvi_lsm_edit edit;
    kvi_lsm_version *base, *version;
    uint64_t next_number;
} world;

static world w;

static void setup(void)
{
    memset(&w, 0, sizeof w);
    kvi_mem_init(&w.mem, NULL);
    w.owner.mem = &w.mem;
    w.next_number = 1;
    kvi_lsm_edit_init(&w.edit, &w.mem);
    OK(kvi_lsm_version_new(&w.mem, &w.base));
}

static void teardown(void)
{
    kvi_lsm_edit_deinit(&w.edit);
    kvi_lsm_version_unref(w.version);
    kvi_lsm_version_unref(w.base);
    cr_assert_eq(w.owner.obsolete, w.next_number - 1);
}

/* Files get ascending numbers; later ones in level 0 are newer. Ten entries each. */
static uint64_t add_with(uint32_t level, uint64_t from, uint64_t to, uint64_t size,
                         uint64_t deletes)
{
    const kvi_lsm_file_info info = {
        .number = w.next_number,
        .size = size,
        .entries = 10,
        .deletes = deletes,
        .seq_min = 100 * w.next_number,
        .seq_max = 100 * w.next_number + 50,
        .smallest = key_of(from),
        .largest = key_of(to),
    };
    kvi_lsm_file *f = kvi_lsm_file_new(&w.mem, &info, owner_obsolete, &w.owner);

    cr_assert_not_null(f);
    OK(kvi_lsm_edit_add(&w.edit, level, f));
    return w.next_number++;
}

static uint64_t add(uint32_t level, uint64_t from, uint64_t to, uint64_t size)
{
    return add_with(level, from, to, size, 0);
}

static kvi_lsm_pick pick_as(bool rewrite)
{
    kvi_lsm_pick p;

    kvi_lsm_version_unref(w.version);
    w.version = NULL;
    OK(kvi_lsm_version_apply(w.base, &w.edit, &w.version));
    kvi_lsm_pick_compaction(w.version, &shape, rewrite, &p);
    return p;
}

static kvi_lsm_pick pick(void)
{
    return pick_as(false);
}

Test(lsm_pick, nothing_to_do, .init = setup, .fini = teardown)
{
    cr_assert_eq(pick().level, KVI_LSM_PICK_NONE);
    for (unsigned i = 0; i < 3; i++)
        (void)add(0, 0, 100, 1 << 30); /* level 0 goes by number, not by size */
    (void)add(1, 0, 10, 50000);
    (void)add(1, 20, 30, 50000);
    (void)add(KVI_LSM_LEVELS - 1, 0, 100, UINT64_C(1) << 41); /* there is no level below */
    cr_assert_eq(pick().level, KVI_LSM_PICK_NONE);
    cr_assert_eq(kvi_lsm_level_score(w.version, &shape, 0), 75);
    cr_assert_lt(kvi_lsm_level_score(w.version, &shape, 1), 100);
}

Test(lsm_pick, level_0_goes_by_count_and_takes_all, .init = setup, .fini = teardown)
{
    static const uint64_t ranges[][2] = {{50, 60}, {40, 45}, {44, 70}, {52, 55}};
    kvi_lsm_pick p;
    uint64_t under[2];

    (void)add(1, 0, 39, 10);
    under[0] = add(1, 39 + 1, 40, 10);
    under[1] = add(1, 70, 80, 10);
    (void)add(1, 81, 90, 10);
    for (unsigned i = 0; i < 4; i++)
        (void)add(0, ranges[i][0], ranges[i][1], 10);
    p = pick();
    cr_assert_eq(p.level, 0);
    cr_assert_eq(kvi_lsm_level_score(w.version, &shape, 0), 100);
    cr_assert_eq(p.upper_count, 4);
    for (uint32_t i = 1; i < 4; i++)
        cr_assert_gt(p.upper[i - 1]->seq_max, p.upper[i]->seq_max, "newest first");
    cr_assert_eq(p.lower_count, 2);
    cr_assert_eq(p.lower[0]->number, under[0]);
    cr_assert_eq(p.lower[1]->number, under[1]);
    cr_assert(!p.trivial);
}

Test(lsm_pick, deeper_levels_go_by_size, .init = setup, .fini = teardown)
{
    for (uint32_t level = 1; level + 1 < KVI_LSM_LEVELS; level++) {
        uint64_t target = 100000;

        for (uint32_t i = 1; i < level; i++)
            target *= 4;
        teardown();
        setup();
        (void)add(level, 0, 10, target * 99 / 100);
        cr_assert_eq(pick().level, KVI_LSM_PICK_NONE, "level %u", level);
        (void)add(level, 20, 30, target * 2 / 100);
        cr_assert_eq(pick().level, level);
    }
}

Test(lsm_pick, the_highest_score_goes_first, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 8; i++)
        (void)add(0, 0, 100, 10); /* 200 % */
    (void)add(1, 0, 10, 150000);
    cr_assert_eq(pick().level, 0);
    (void)add(2, 0, 10, 1000000); /* 250 % */
    cr_assert_eq(pick().level, 2);
    (void)add(1, 20, 30, 150000); /* 300 % */
    cr_assert_eq(pick().level, 1);
    for (unsigned i = 0; i < 8; i++)
        (void)add(0, 0, 100, 10); /* 400 % */
    cr_assert_eq(pick().level, 0);
}

Test(lsm_pick, the_least_overlap_goes_first, .init = setup, .fini = teardown)
{
    uint64_t cheap;
    kvi_lsm_pick p;

    (void)add(1, 0, 10, 50000);
    cheap = add(1, 20, 30, 50000);
    (void)add(1, 40, 50, 50000);
    (void)add(2, 0, 9, 80000);
    (void)add(2, 10, 19, 10); /* under the first as well */
    (void)add(2, 25, 26, 70000);
    (void)add(2, 27, 39, 1000);
    (void)add(2, 45, 49, 200000);
    p = pick();
    cr_assert_eq(p.level, 1);
    cr_assert_eq(p.upper_count, 1);
    cr_assert_eq(p.upper[0]->number, cheap);
    cr_assert_eq(p.lower_count, 2);
    cr_assert(!p.trivial);
}

Test(lsm_pick, overlap_counts_by_the_byte_brought_down, .init = setup, .fini = teardown)
{
    uint64_t large;

    (void)add(1, 0, 10, 10000);
    large = add(1, 20, 30, 100000);
    (void)add(2, 0, 10, 20000);
    (void)add(2, 20, 30, 100000);
    cr_assert_eq(pick().upper[0]->number, large);
}

Test(lsm_pick, deletes_count, .init = setup, .fini = teardown)
{
    uint64_t full;

    (void)add_with(1, 0, 10, 60000, 0);
    full = add_with(1, 20, 30, 60000, 9);
    (void)add_with(1, 40, 50, 60000, 3);
    (void)add(2, 0, 10, 50000);
    (void)add(2, 20, 30, 60000);
    (void)add(2, 40, 50, 50000);
    cr_assert_eq(pick().upper[0]->number, full);
}

Test(lsm_pick, what_lies_over_nothing_moves, .init = setup, .fini = teardown)
{
    uint64_t alone;
    kvi_lsm_pick p;

    (void)add(1, 0, 10, 60000);
    alone = add(1, 20, 30, 60000);
    (void)add(2, 5, 19, 1000);
    (void)add(2, 31, 40, 10);
    for (unsigned rewrite = 0; rewrite < 2; rewrite++) {
        p = pick_as(rewrite);
        cr_assert_eq(p.upper[0]->number, alone);
        cr_assert_eq(p.lower_count, 0);
        cr_assert(p.trivial);
    }
}

Test(lsm_pick, level_0_moves_only_as_it_is, .init = setup, .fini = teardown)
{
    static const kvi_lsm_shape one = {
        .level1_bytes = 100000, .level_ratio = 4, .level0_compact = 1, .level0_stall = 12};
    kvi_lsm_pick p;

    (void)add(0, 20, 30, 10);
    (void)add(1, 0, 19, 10);
    (void)pick();
    kvi_lsm_pick_compaction(w.version, &one, false, &p);
    cr_assert(p.level == 0 && p.trivial && p.upper_count == 1);
    kvi_lsm_pick_compaction(w.version, &one, true, &p);
    cr_assert(p.level == 0 && !p.trivial, "it is to be compressed");
    (void)add(0, 40, 50, 10);
    (void)pick();
    kvi_lsm_pick_compaction(w.version, &one, false, &p);
    cr_assert(p.upper_count == 2 && p.lower_count == 0 && !p.trivial);
}
