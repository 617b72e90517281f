/* lib/sim/sim_crash.c: what a power loss leaves of files; names are in sim_names_test.c. */
#include "sim/sim_alloc.h"
#include "sim/sim_node.h"
#include "unit/sim/disk.h"

#define ROUNDS 300

static bool random_variant(enum kvi_sim_crash v)
{
    return v != KVI_SIM_DROP && v != KVI_SIM_KEEP;
}

/* A file of len bytes 'o', durable with its name, open for writing. */
static kvi_os_file *durable_file(kvi_os_dir *d, const char *name, size_t len)
{
    kvi_os_file *f = file_open(d, name, KVI_OS_CREATE);

    if (len > 0)
        file_fill(f, 0, 'o', len);
    file_sync(f);
    dir_sync(d);
    return f;
}

static void end(kvi_sim_fs *fs, kvi_os_dir *d, kvi_os_file *f)
{
    if (f)
        file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

/* --- files ------------------------------------------------------------------------------ */

Test(sim_crash, drop_and_keep_are_the_two_ends)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 3);

    file_write(f, 1, "new", 3);
    file_put(d, "b", "b"); /* synced, but its name is not */
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert(file_is(copy, "a", "ooo"));
    cr_assert(!file_is_there(copy, "b"));
    kvi_sim_fs_free(copy);
    copy = crash(fs, KVI_SIM_KEEP, 1);
    cr_assert(file_is(copy, "a", "onew"));
    cr_assert(file_is(copy, "b", "b"));
    kvi_sim_fs_free(copy);
    end(fs, d, f);
}

Test(sim_crash, synced_bytes_and_names_survive_every_variant)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 10000);
    uint64_t hash = disk_hash(fs);

    for (int v = KVI_SIM_DROP; v < KVI_SIM_CRASHES; v++) {
        kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)v, 7);

        cr_assert_eq(disk_hash(copy), hash, "variant %d", v);
        kvi_sim_fs_free(copy);
    }
    end(fs, d, f);
}

/* Three writes far apart: each is there wholly or not at all, and all eight subsets come up. */
Test(sim_crash, random_keeps_any_subset_of_whole_writes)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 30000);
    unsigned seen = 0;
    static char got[1 << 16];

    for (size_t i = 0; i < 3; i++)
        file_fill(f, i * 10000 + 123, 'n', 5000);
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        kvi_sim_fs *copy = crash(fs, KVI_SIM_RANDOM, seed);
        unsigned subset = 0;

        cr_assert_eq(file_text(copy, "a", got, sizeof got), 30000);
        for (size_t i = 0; i < 3; i++) {
            char first = got[i * 10000 + 123];

            for (size_t k = 0; k < 5000; k++)
                cr_assert_eq(got[i * 10000 + 123 + k], first);
            cr_assert_eq(got[i * 10000 + 122], 'o');
            cr_assert_eq(got[i * 10000 + 5123], 'o');
            subset |= (unsigned)(first == 'n') << i;
        }
        seen |= 1u << subset;
        kvi_sim_fs_free(copy);
    }
    cr_assert_eq(seen, 255);
    end(fs, d, f);
}

/* The same place twice: what was there before, the first or the second, never something else. */
Test(sim_crash, overwritten_writes_survive_too)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 3);
    bool old = false, first = false, second = false;

    file_write(f, 0, "111", 3);
    file_write(f, 0, "222", 3);
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        kvi_sim_fs *copy = crash(fs, KVI_SIM_RANDOM, seed);

        old = old || file_is(copy, "a", "ooo");
        first = first || file_is(copy, "a", "111");
        second = second || file_is(copy, "a", "222");
        cr_assert(file_is(copy, "a", "ooo") || file_is(copy, "a", "111") ||
                  file_is(copy, "a", "222"));
        kvi_sim_fs_free(copy);
    }
    cr_assert(old && first && second);
    end(fs, d, f);
}

Test(sim_crash, torn_1_cuts_a_write_at_any_byte)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 2000);
    bool whole = false, none = false;
    size_t cuts = 0;
    static char got[1 << 16];

    file_fill(f, 500, 'n', 1000);
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        kvi_sim_fs *copy = crash(fs, KVI_SIM_TORN_1, seed);
        size_t n = 0;

        cr_assert_eq(file_text(copy, "a", got, sizeof got), 2000);
        while (n < 1000 && got[500 + n] == 'n')
            n++;
        for (size_t i = 500 + n; i < 2000; i++)
            cr_assert_eq(got[i], 'o');
        whole = whole || n == 1000;
        none = none || n == 0;
        cuts += n > 0 && n < 1000 && n % 512 != 0;
        kvi_sim_fs_free(copy);
    }
    cr_assert(whole && none);
    cr_assert_gt(cuts, ROUNDS / 10);
    end(fs, d, f);
}

/* Units of the file that a write covers are old or new; both are found within one write. */
static void check_units(enum kvi_sim_crash variant, size_t unit)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 40000);
    size_t torn = 0;
    static char got[1 << 16];

    file_fill(f, 0, 'n', 40000);
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        kvi_sim_fs *copy = crash(fs, variant, seed);
        size_t new_units = 0, units = 0;

        cr_assert_eq(file_text(copy, "a", got, sizeof got), 40000);
        for (size_t at = 0; at < 40000; at += unit, units++) {
            for (size_t i = at; i < kvi_min_size(at + unit, 40000); i++)
                cr_assert_eq(got[i], got[at]);
            new_units += got[at] == 'n';
        }
        torn += new_units > 0 && new_units < units;
        kvi_sim_fs_free(copy);
    }
    cr_assert_gt(torn, ROUNDS / 2);
    end(fs, d, f);
}

Test(sim_crash, torn_512_keeps_any_subset_of_sectors)
{
    check_units(KVI_SIM_TORN_512, KVI_SIM_SECTOR);
}

Test(sim_crash, torn_4096_keeps_any_subset_of_pages)
{
    check_units(KVI_SIM_TORN_4096, KVI_SIM_PAGE);
}

/* A file that grew ends at its old end, where something that survived ends, or, as zeros, at the
 * new one. */
Test(sim_crash, a_file_may_grow_without_its_bytes)
{
    for (int v = KVI_SIM_RANDOM; v < KVI_SIM_CRASHES; v++) {
        kvi_sim_fs *fs = disk_new(1);
        kvi_os_dir *d = dir_open(fs);
        kvi_os_file *f = durable_file(d, "a", 100);
        bool zeros = false, kept = false, old = false;
        static char got[1 << 16];

        file_fill(f, 100, 'n', 60);
        for (uint64_t seed = 0; seed < ROUNDS; seed++) {
            kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)v, seed);
            long len = file_text(copy, "a", got, sizeof got);

            cr_assert_geq(len, 100);
            cr_assert_leq(len, 160);
            for (long i = 0; i < len; i++)
                cr_assert(got[i] == (i < 100 ? 'o' : 'n') || (i >= 100 && got[i] == '\0'));
            old = old || len == 100;
            zeros = zeros || (len == 160 && got[100] == '\0');
            kept = kept || (len == 160 && got[159] == 'n');
            kvi_sim_fs_free(copy);
        }
        cr_assert(old && zeros && kept, "variant %d", v);
        end(fs, d, f);
    }
}

Test(sim_crash, stores_into_a_map_survive_by_sector)
{
    for (int v = KVI_SIM_RANDOM; v < KVI_SIM_TORN_4096; v++) {
        kvi_sim_fs *fs = disk_new(1);
        kvi_os_dir *d = dir_open(fs);
        kvi_os_file *f = durable_file(d, "a", 8192);
        bool subset[4] = {false};
        static char got[1 << 16];
        void *map;

        OK(f->ops->map(f, 8192, &map));
        memset((char *)map + 500, 'n', 24); /* the last 12 bytes of sector 0, the first 12 of 1 */
        for (uint64_t seed = 0; seed < ROUNDS; seed++) {
            kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)v, seed);

            cr_assert_eq(file_text(copy, "a", got, sizeof got), 8192);
            for (size_t i = 0; i < 8192; i++)
                cr_assert_eq(got[i], i < 500 || i >= 524 ? 'o' : got[i < 512 ? 500 : 523]);
            subset[(got[500] == 'n') + 2 * (got[523] == 'n')] = true;
            kvi_sim_fs_free(copy);
        }
        cr_assert(subset[0] && subset[1] && subset[2] && subset[3], "variant %d", v);
        end(fs, d, f);
    }
}

/* --- copies ------------------------------------------------------------------------------ */

/* Files and names in every state there is, by seed. */
static kvi_sim_fs *busy_disk(uint64_t seed)
{
    kvi_sim_fs *fs = disk_new(seed);
    kvi_os_dir *d = dir_open(fs);
    kvi_sim_rng rng;

    kvi_sim_rng_init(&rng, seed);
    for (int i = 0; i < 40; i++) {
        char name[2] = {(char)('a' + kvi_sim_rng_below(&rng, 8)), '\0'};
        char to[2] = {(char)('a' + kvi_sim_rng_below(&rng, 8)), '\0'};
        bool there = file_is_there(fs, name);
        kvi_os_file *f = file_open(d, name, there ? KVI_OS_WRITE : KVI_OS_CREATE);

        file_fill(f, kvi_sim_rng_below(&rng, 9000), 'a' + i, 1 + kvi_sim_rng_below(&rng, 5000));
        if (kvi_sim_rng_below(&rng, 3) == 0)
            file_sync(f);
        file_close(f);
        if (strcmp(name, to) != 0 && kvi_sim_rng_below(&rng, 3) == 0)
            dir_rename(d, name, to);
        else if (kvi_sim_rng_below(&rng, 6) == 0)
            dir_unlink(d, name);
        if (kvi_sim_rng_below(&rng, 8) == 0)
            dir_sync(d);
    }
    dir_close(d);
    return fs;
}

Test(sim_crash, the_same_seed_leaves_the_same_disk)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        kvi_sim_fs *one = busy_disk(seed), *two = busy_disk(seed);

        cr_assert_eq(disk_hash(one), disk_hash(two));
        for (int v = KVI_SIM_DROP; v < KVI_SIM_CRASHES; v++) {
            kvi_sim_fs *a = crash(one, (enum kvi_sim_crash)v, seed);
            kvi_sim_fs *b = crash(two, (enum kvi_sim_crash)v, seed);
            kvi_sim_fs *c = crash(one, (enum kvi_sim_crash)v, seed + 1);

            cr_assert_eq(disk_hash(a), disk_hash(b));
            if (random_variant((enum kvi_sim_crash)v))
                cr_assert_neq(disk_hash(a), disk_hash(c));
            else
                cr_assert_eq(disk_hash(a), disk_hash(c));
            kvi_sim_fs_free(a);
            kvi_sim_fs_free(b);
            kvi_sim_fs_free(c);
        }
        kvi_sim_fs_free(one);
        kvi_sim_fs_free(two);
    }
}

Test(sim_crash, keep_is_what_is_read_and_a_copy_is_wholly_durable)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        kvi_sim_fs *fs = busy_disk(seed);
        uint64_t hash = disk_hash(fs);

        for (int v = KVI_SIM_DROP; v < KVI_SIM_CRASHES; v++) {
            kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)v, seed);
            kvi_sim_fs *again = crash(copy, KVI_SIM_TORN_512, seed);

            if (v == KVI_SIM_KEEP)
                cr_assert_eq(disk_hash(copy), hash);
            cr_assert_eq(disk_hash(again), disk_hash(copy));
            cr_assert_eq(disk_hash(fs), hash); /* and the source is as it was */
            kvi_sim_fs_free(again);
            kvi_sim_fs_free(copy);
        }
        kvi_sim_fs_free(fs);
    }
}

Test(sim_crash, a_copy_and_its_source_share_nothing_that_changes)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs), *e;
    kvi_os_file *f = durable_file(d, "a", 5000), *g;
    uint64_t before;

    copy = crash(fs, KVI_SIM_KEEP, 1);
    before = disk_hash(copy);
    file_fill(f, 0, 'n', 10);
    file_sync(f);
    cr_assert_eq(disk_hash(copy), before);
    e = dir_open(copy);
    g = file_open(e, "a", KVI_OS_WRITE);
    file_fill(g, 4990, 'm', 10);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs); /* the copy outlives its source */
    file_sync(g);
    cr_assert_neq(disk_hash(copy), before);
    end(copy, e, g);
}

/* Leaves a file with synced and unsynced bytes, and a directory with both kinds of names. */
static int use_disk(kvi_sim_fs *fs)
{
    kvi_os_fs *os = kvi_sim_fs_os(fs);
    kvi_os_dir *d;
    kvi_os_file *f = NULL;
    void *map;
    int err = os->ops->open_dir(os, PATH, true, NULL, &d);

    if (err)
        return err;
    err = d->ops->open(d, "a", KVI_OS_CREATE, &f);
    if (err == KV_OK)
        err = f->ops->write(f, 0, "0123456789", 10);
    if (err == KV_OK)
        err = f->ops->sync(f);
    if (err == KV_OK)
        err = d->ops->sync(d);
    if (err == KV_OK)
        err = f->ops->write(f, 4090, "0123456789", 10);
    if (err == KV_OK)
        err = f->ops->map(f, 10, &map);
    if (err == KV_OK)
        memset(map, 'x', 10);
    if (err == KV_OK)
        err = d->ops->rename(d, "a", "b");
    if (f && f->ops->close(f) != KV_OK)
        err = KV_ENOMEM;
    if (d->ops->close(d) != KV_OK)
        err = KV_ENOMEM;
    return err;
}

/* The simulator's own memory may run out: it says so and leaks nothing. */
Test(sim_crash, a_disk_without_memory_says_so)
{
    kvi_sim_alloc alloc;
    kvi_mem mem;
    bool failed = true;

    kvi_sim_alloc_init(&alloc, plain_mem());
    kvi_mem_init(&mem, &alloc.host);
    for (size_t n = 0; failed; n++) {
        kvi_sim_fs *fs = NULL, *copy = NULL;
        int err;

        kvi_sim_alloc_reset(&alloc, n, false);
        err = kvi_sim_fs_new(&mem, 1, &fs);
        if (err == KV_OK)
            err = use_disk(fs);
        for (int v = KVI_SIM_DROP; err == KV_OK && v < KVI_SIM_CRASHES; v++) {
            err = kvi_sim_fs_crash_copy(fs, (enum kvi_sim_crash)v, 1, &copy);
            if (err == KV_OK)
                kvi_sim_fs_free(copy);
        }
        failed = alloc.failed > 0;
        cr_assert(err == KV_OK || (err == KV_ENOMEM && failed));
        cr_assert(!fs || kvi_sim_fs_open_count(fs) == 0);
        kvi_sim_fs_free(fs);
        cr_assert_eq(alloc.blocks, 0);
    }
}

/* --- mutations ----------------------------------------------------------------------------- */

struct watch {
    uint64_t next;
    kvi_sim_fs *copies[16];
};

static void take_copy(void *user, kvi_sim_fs *fs, uint64_t n)
{
    struct watch *w = user;

    cr_assert_eq(n, w->next);
    cr_assert_lt(n, 16);
    w->copies[w->next++] = crash(fs, KVI_SIM_KEEP, 1);
}

Test(sim_crash, the_hook_is_told_before_each_mutation)
{
    kvi_sim_fs *fs = disk_new(1);
    struct watch w = {.next = 0};
    kvi_os_dir *d;
    kvi_os_file *f;
    char got[4];
    size_t n;

    kvi_sim_fs_set_hook(fs, take_copy, &w);
    d = dir_open(fs);                     /* 0 */
    f = file_open(d, "a", KVI_OS_CREATE); /* 1 */
    file_write(f, 0, "xy", 2);            /* 2 */
    OK(f->ops->read(f, 0, got, 2, &n));   /* not one */
    file_sync(f);                         /* 3 */
    dir_rename(d, "a", "b");              /* 4 */
    dir_sync(d);                          /* 5 */
    dir_unlink(d, "b");                   /* 6 */
    file_close(f);
    dir_close(d);
    cr_assert_eq(w.next, 7);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->mutations, 7);
    cr_assert(!file_is_there(w.copies[1], "a"));
    cr_assert(file_is(w.copies[2], "a", ""));
    cr_assert(file_is(w.copies[3], "a", "xy"));
    cr_assert(file_is(w.copies[4], "a", "xy"));
    cr_assert(file_is(w.copies[5], "b", "xy"));
    cr_assert(file_is(w.copies[6], "b", "xy"));
    for (uint64_t i = 0; i < w.next; i++)
        kvi_sim_fs_free(w.copies[i]);
    kvi_sim_fs_free(fs);
}
