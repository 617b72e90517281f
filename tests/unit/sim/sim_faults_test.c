/* lib/sim/sim_faults.c: every way in which the simulated disk fails, and what each leaves. */
#include "sim/sim_node.h"
#include "unit/sim/disk.h"

/* Call number n of this kind fails. */
static void fail_call(kvi_sim_fs *fs, enum kvi_sim_call call, uint64_t n, bool on, int err)
{
    kvi_sim_fs_faults faults = {
        .fail_call = call, .fail_at = n, .from_then_on = on, .fail_with = err};

    kvi_sim_fs_set_faults(fs, &faults);
}

static void fail_next(kvi_sim_fs *fs, enum kvi_sim_call call, int err)
{
    fail_call(fs, call, kvi_sim_fs_get_counts(fs)->calls[call], false, err);
}

static void end(kvi_sim_fs *fs, kvi_os_dir *d, kvi_os_file *f)
{
    kvi_sim_fs_set_faults(fs, NULL);
    if (f)
        file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

static kvi_os_file *durable_file(kvi_os_dir *d, const char *name, int byte, size_t len)
{
    kvi_os_file *f = file_open(d, name, KVI_OS_CREATE);

    file_fill(f, 0, byte, len);
    file_sync(f);
    dir_sync(d);
    return f;
}

/* --- which call --------------------------------------------------------------------------- */

Test(sim_faults, one_call_of_a_kind_fails_once)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);

    fail_call(fs, KVI_SIM_CALL_WRITE, 2, false, KV_ENOSPC);
    file_write(f, 0, "0", 1);
    file_sync(f);
    file_write(f, 0, "1", 1);
    cr_assert_eq(f->ops->write(f, 0, "2", 1), KV_ENOSPC);
    cr_assert(strstr(kvi_error_detail(), "a: write") != NULL);
    file_write(f, 0, "3", 1);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_WRITE], 4);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_SYNC], 1);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_ANY], 7);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->failed, 1);
    kvi_sim_fs_reset_counts(fs);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_ANY], 0);
    end(fs, d, f);
}

Test(sim_faults, from_a_call_on_all_of_the_kind_fail)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    uint64_t size;

    fail_call(fs, KVI_SIM_CALL_SIZE, 1, true, KV_EIO);
    OK(f->ops->size(f, &size));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(f->ops->size(f, &size), KV_EIO);
    file_sync(f);
    end(fs, d, f);
}

/* Whatever a small sequence of calls does, each of them can be the one that fails. */
Test(sim_faults, any_call_can_be_the_one)
{
    uint64_t n = 0;
    bool failed = true;

    for (; failed; n++) {
        kvi_sim_fs *fs = disk_new(1);
        kvi_os_fs *os = kvi_sim_fs_os(fs);
        kvi_os_dir *d = NULL;
        kvi_os_file *f = NULL;
        enum kvi_os_locked who;
        int err;

        fail_call(fs, KVI_SIM_CALL_ANY, n, false, KV_EMFILE);
        err = os->ops->open_dir(os, PATH, true, NULL, &d);
        if (err == KV_OK)
            err = d->ops->lock(d, "LOCK", &who);
        if (err == KV_OK)
            err = d->ops->open(d, "a", KVI_OS_CREATE, &f);
        if (err == KV_OK)
            err = f->ops->write(f, 0, "x", 1);
        if (err == KV_OK)
            err = f->ops->sync(f);
        if (err == KV_OK)
            err = d->ops->rename(d, "a", "b");
        if (err == KV_OK)
            err = d->ops->unlink(d, "b");
        if (err == KV_OK)
            err = d->ops->sync(d);
        failed = err != KV_OK;
        if (f && f->ops->close(f) != KV_OK)
            failed = true; /* gone all the same */
        if (d && d->ops->close(d) != KV_OK)
            failed = true;
        cr_assert_eq(kvi_sim_fs_open_count(fs), 0);
        cr_assert_eq(kvi_sim_fs_get_counts(fs)->failed, failed);
        kvi_sim_fs_free(fs);
    }
    cr_assert_eq(n - 1, 10);
}

Test(sim_faults, random_errors_come_at_their_rate_and_by_seed)
{
    unsigned failed[2] = {0};

    for (int run = 0; run < 2; run++) {
        kvi_sim_fs *fs = disk_new(5);
        kvi_os_dir *d = dir_open(fs);
        kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
        kvi_sim_fs_faults faults = {.error = KV_ENOMEM};
        uint64_t size;

        faults.error_ppm[KVI_SIM_CALL_SIZE] = 100000;
        kvi_sim_fs_set_faults(fs, &faults);
        for (int i = 0; i < 2000; i++) {
            int err = f->ops->size(f, &size);

            cr_assert(err == KV_OK || err == KV_ENOMEM);
            failed[run] += err != KV_OK;
        }
        file_sync(f);
        end(fs, d, f);
    }
    cr_assert_gt(failed[0], 100);
    cr_assert_lt(failed[0], 300);
    cr_assert_eq(failed[0], failed[1]);
}

/* --- what a failure leaves ------------------------------------------------------------------ */

Test(sim_faults, a_failed_write_leaves_any_first_part)
{
    bool some = false;

    for (uint64_t seed = 0; seed < 50; seed++) {
        kvi_sim_fs *fs = disk_new(seed);
        kvi_os_dir *d = dir_open(fs);
        kvi_os_file *f = durable_file(d, "a", 'o', 20);
        char got[32];
        size_t n = 0;

        fail_next(fs, KVI_SIM_CALL_WRITE, KV_EIO);
        cr_assert_eq(f->ops->write(f, 5, "nnnnnnnnnn", 10), KV_EIO);
        cr_assert_eq(file_text(fs, "a", got, sizeof got), 20);
        while (got[5 + n] == 'n')
            n++;
        cr_assert_leq(n, 10);
        cr_assert_null(memchr(got + 5 + n, 'n', 15 - n));
        some = some || (n > 0 && n < 10);
        end(fs, d, f);
    }
    cr_assert(some);
}

Test(sim_faults, calls_that_fail_otherwise_do_nothing)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 'o', 5), *g = NULL;
    uint64_t hash = disk_hash(fs);

    fail_next(fs, KVI_SIM_CALL_RENAME, KV_EIO);
    cr_assert_eq(d->ops->rename(d, "a", "b"), KV_EIO);
    fail_next(fs, KVI_SIM_CALL_UNLINK, KV_EACCES);
    cr_assert_eq(d->ops->unlink(d, "a"), KV_EACCES);
    fail_next(fs, KVI_SIM_CALL_CREATE, KV_EMFILE);
    cr_assert_eq(d->ops->open(d, "b", KVI_OS_CREATE, &g), KV_EMFILE);
    cr_assert_null(g);
    cr_assert_eq(disk_hash(fs), hash);
    end(fs, d, f);
}

Test(sim_faults, what_a_failed_sync_did_not_write_is_lost_for_good)
{
    size_t lost_sectors = 0, kept_sectors = 0;

    for (uint64_t seed = 0; seed < 20; seed++) {
        kvi_sim_fs *fs = disk_new(seed), *copy;
        kvi_os_dir *d = dir_open(fs);
        kvi_os_file *f = durable_file(d, "a", 'o', 8192);
        static char got[1 << 16];

        file_fill(f, 0, 'n', 8192);
        fail_next(fs, KVI_SIM_CALL_SYNC, KV_EIO);
        cr_assert_eq(f->ops->sync(f), KV_EIO);
        file_sync(f); /* says that all is well */
        cr_assert_eq(file_text(fs, "a", got, sizeof got), 8192);
        cr_assert_null(memchr(got, 'o', 8192)); /* so do reads */
        for (int v = KVI_SIM_DROP; v < KVI_SIM_CRASHES; v++) {
            uint64_t hash;

            copy = crash(fs, (enum kvi_sim_crash)v, seed);
            hash = disk_hash(copy);
            kvi_sim_fs_free(copy);
            copy = crash(fs, KVI_SIM_DROP, seed);
            cr_assert_eq(disk_hash(copy), hash); /* nothing is due any more */
            kvi_sim_fs_free(copy);
        }
        copy = crash(fs, KVI_SIM_KEEP, seed);
        cr_assert_eq(file_text(copy, "a", got, sizeof got), 8192);
        for (size_t at = 0; at < 8192; at += KVI_SIM_SECTOR)
            *(got[at] == 'o' ? &lost_sectors : &kept_sectors) += 1;
        kvi_sim_fs_free(copy);

        file_fill(f, 0, 'N', 8192); /* who writes anew is heard */
        file_sync(f);
        copy = crash(fs, KVI_SIM_DROP, seed);
        cr_assert_eq(file_text(copy, "a", got, sizeof got), 8192);
        cr_assert_null(memchr(got, 'o', 8192));
        kvi_sim_fs_free(copy);
        end(fs, d, f);
    }
    cr_assert_gt(lost_sectors, 0);
    cr_assert_gt(kept_sectors, 0);
}

Test(sim_faults, after_a_failed_sync_reads_may_see_the_disk)
{
    kvi_sim_fs *fs = disk_new(3), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 'o', 8192);
    kvi_sim_fs_faults faults = {
        .fail_call = KVI_SIM_CALL_SYNC, .fail_at = 1, .fail_with = KV_EIO, .evict = true};

    file_fill(f, 0, 'n', 8192);
    kvi_sim_fs_set_faults(fs, &faults);
    cr_assert_eq(f->ops->sync(f), KV_EIO);
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert_eq(disk_hash(fs), disk_hash(copy));
    kvi_sim_fs_free(copy);
    end(fs, d, f);
}

Test(sim_faults, a_failed_sync_of_a_mapped_file_loses_stores)
{
    kvi_sim_fs *fs = disk_new(2), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 'o', 65536);
    static char got[65536 + 1];
    void *map;

    OK(f->ops->map(f, 65536, &map));
    memset(map, 'n', 65536);
    fail_next(fs, KVI_SIM_CALL_SYNC, KV_EIO);
    cr_assert_eq(f->ops->sync(f), KV_EIO);
    file_sync(f);
    copy = crash(fs, KVI_SIM_KEEP, 1);
    cr_assert_eq(file_text(copy, "a", got, sizeof got), 65536);
    cr_assert_not_null(memchr(got, 'o', 65536));
    kvi_sim_fs_free(copy);
    memset(map, 'N', 65536);
    file_sync(f);
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert_eq(file_text(copy, "a", got, sizeof got), 65536);
    for (size_t i = 0; i < 65536; i++)
        cr_assert_eq(got[i], 'N');
    kvi_sim_fs_free(copy);
    end(fs, d, f);
}

/* The size is part of what a failed sync leaves unknown; a later write brings what it covers. */
Test(sim_faults, a_failed_sync_may_lose_the_new_size)
{
    bool lost = false;

    for (uint64_t seed = 0; seed < 50; seed++) {
        kvi_sim_fs *fs = disk_new(seed), *copy;
        kvi_os_dir *d = dir_open(fs);
        kvi_os_file *f = durable_file(d, "a", 'o', 100);
        static char got[1 << 16];

        file_fill(f, 100, 'n', 50);
        fail_next(fs, KVI_SIM_CALL_SYNC, KV_EIO);
        cr_assert_eq(f->ops->sync(f), KV_EIO);
        file_sync(f);
        copy = crash(fs, KVI_SIM_KEEP, 1);
        lost = lost || file_text(copy, "a", got, sizeof got) == 100;
        kvi_sim_fs_free(copy);
        file_fill(f, 100, 'n', 50);
        file_sync(f);
        copy = crash(fs, KVI_SIM_DROP, 1);
        cr_assert_eq(file_text(copy, "a", got, sizeof got), 150);
        cr_assert_eq(got[149], 'n');
        kvi_sim_fs_free(copy);
        end(fs, d, f);
    }
    cr_assert(lost);
}

Test(sim_faults, after_a_failed_sync_of_a_directory_the_next_makes_up)
{
    bool some = false;

    for (uint64_t seed = 0; seed < 20; seed++) {
        kvi_sim_fs *fs = disk_new(seed), *copy;
        kvi_os_dir *d = dir_open(fs);
        bool a, b;

        file_put(d, "a", "x");
        file_put(d, "b", "x");
        fail_next(fs, KVI_SIM_CALL_SYNC_DIR, KV_EIO);
        cr_assert_eq(d->ops->sync(d), KV_EIO);
        copy = crash(fs, KVI_SIM_DROP, seed);
        a = file_is_there(copy, "a");
        b = file_is_there(copy, "b");
        some = some || a != b;
        kvi_sim_fs_free(copy);
        dir_sync(d);
        copy = crash(fs, KVI_SIM_DROP, seed);
        cr_assert(file_is_there(copy, "a") && file_is_there(copy, "b"));
        kvi_sim_fs_free(copy);
        end(fs, d, NULL);
    }
    cr_assert(some);
}

/* --- the disk's own faults ------------------------------------------------------------------ */

Test(sim_faults, a_full_disk_takes_what_fits)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    kvi_sim_fs_faults faults = {.capacity = 15};

    kvi_sim_fs_set_faults(fs, &faults);
    file_put(d, "b", "12345");
    file_write(f, 0, "123456", 6);
    cr_assert_eq(f->ops->write(f, 6, "789abc", 6), KV_ENOSPC);
    cr_assert(file_is(fs, "a", "123456789a"));
    cr_assert_eq(f->ops->write(f, 10, "b", 1), KV_ENOSPC);
    file_write(f, 0, "ABC", 3); /* in place there is room */
    dir_unlink(d, "b");
    file_write(f, 10, "bcdef", 5);
    cr_assert_eq(f->ops->write(f, 15, "g", 1), KV_ENOSPC);
    cr_assert_eq(kvi_sim_fs_used(fs), 15);
    end(fs, d, f);
}

Test(sim_faults, bit_rot_stays)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 0, 5000);
    kvi_sim_fs_faults faults = {.rot_ppm = KVI_SIM_ALWAYS_PPM};
    uint8_t got[5000], again[5000];
    unsigned bits = 0;
    size_t n;

    kvi_sim_fs_set_faults(fs, &faults);
    OK(f->ops->read(f, 0, got, sizeof got, &n));
    kvi_sim_fs_set_faults(fs, NULL);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < 8; k++)
            bits += got[i] >> k & 1u;
    cr_assert_eq(bits, 1);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->rotted, 1);
    OK(f->ops->read(f, 0, again, sizeof again, &n));
    cr_assert_arr_eq(again, got, sizeof got);
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert_eq(disk_hash(copy), disk_hash(fs));
    kvi_sim_fs_free(copy);

    file_fill(f, 0, 0, 5000); /* what is in memory alone does not rot */
    kvi_sim_fs_set_faults(fs, &faults);
    OK(f->ops->read(f, 0, got, sizeof got, &n));
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(got[i], 0);
    end(fs, d, f);
}

Test(sim_faults, a_misdirected_read_gives_other_bytes_once)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 'a', 600);
    kvi_sim_fs_faults faults = {.misdirect_ppm = KVI_SIM_ALWAYS_PPM};
    uint64_t hash;
    unsigned wrong = 0;
    char got[600];
    size_t n;

    file_close(durable_file(d, "b", 'b', 600));
    hash = disk_hash(fs);
    kvi_sim_fs_set_faults(fs, &faults);
    for (int i = 0; i < 50; i++) {
        OK(f->ops->read(f, 0, got, sizeof got, &n));
        cr_assert_eq(n, 600);
        wrong += got[0] == 'b';
    }
    cr_assert_gt(wrong, 0);
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->misdirected, wrong);
    kvi_sim_fs_set_faults(fs, NULL);
    OK(f->ops->read(f, 0, got, sizeof got, &n));
    cr_assert_eq(got[0], 'a');
    cr_assert_eq(disk_hash(fs), hash);
    end(fs, d, f);
}

Test(sim_faults, a_lost_rename_is_seen_by_all_but_the_disk)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_sim_fs_faults faults = {.lost_rename_ppm = KVI_SIM_ALWAYS_PPM};

    file_put(d, "a", "new");
    file_put(d, "b", "old");
    dir_sync(d);
    kvi_sim_fs_set_faults(fs, &faults);
    dir_rename(d, "a", "b");
    dir_sync(d);
    cr_assert(file_is(fs, "b", "new"));
    cr_assert(!file_is_there(fs, "a"));
    cr_assert_eq(kvi_sim_fs_get_counts(fs)->lost_renames, 1);
    copy = crash(fs, KVI_SIM_KEEP, 1);
    cr_assert(file_is(copy, "b", "old"));
    cr_assert(file_is(copy, "a", "new"));
    kvi_sim_fs_free(copy);
    end(fs, d, NULL);
}

Test(sim_faults, when_the_power_is_off_nothing_changes_any_more)
{
    kvi_sim_fs *fs = disk_new(1), *before, *after;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = durable_file(d, "a", 'o', 4096);
    void *map;
    char got[1];
    size_t n;

    file_put(d, "b", "x");
    OK(f->ops->map(f, 4096, &map));
    memset(map, 'n', 100);
    before = crash(fs, KVI_SIM_KEEP, 1);
    OK(kvi_sim_fs_power_off(fs));
    memset(map, 'z', 4096);
    cr_assert_eq(f->ops->write(f, 0, "zzzz", 4), KV_EIO);
    cr_assert_eq(f->ops->read(f, 0, got, 1, &n), KV_EIO);
    cr_assert_eq(f->ops->sync(f), KV_EIO);
    cr_assert_eq(d->ops->sync(d), KV_EIO);
    cr_assert_eq(d->ops->unlink(d, "a"), KV_EIO);
    after = crash(fs, KVI_SIM_DROP, 1); /* b was not made durable after all */
    cr_assert(!file_is_there(after, "b"));
    kvi_sim_fs_free(after);
    cr_assert_eq(f->ops->close(f), KV_EIO);
    cr_assert_eq(d->ops->close(d), KV_EIO);
    cr_assert_eq(kvi_sim_fs_open_count(fs), 0);
    after = crash(fs, KVI_SIM_KEEP, 1);
    cr_assert_eq(disk_hash(after), disk_hash(before));
    kvi_sim_fs_free(after);
    kvi_sim_fs_free(before);
    kvi_sim_fs_free(fs);
}
