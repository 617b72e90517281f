/* lib/sim/sim_names.c: what a power loss leaves of names. */
#include "unit/sim/disk.h"

#define ROUNDS 300

static void end(kvi_sim_fs *fs, kvi_os_dir *d)
{
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_crash, an_unsynced_create_may_be_lost_whole)
{
    for (int v = KVI_SIM_RANDOM; v < KVI_SIM_CRASHES; v++) {
        kvi_sim_fs *fs = disk_new(1);
        kvi_os_dir *d = dir_open(fs);
        bool kept = false, lost = false;

        file_put(d, "a", "synced");
        for (uint64_t seed = 0; seed < ROUNDS; seed++) {
            kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)v, seed);

            kept = kept || file_is(copy, "a", "synced");
            lost = lost || !file_is_there(copy, "a");
            cr_assert(file_is(copy, "a", "synced") || !file_is_there(copy, "a"));
            kvi_sim_fs_free(copy);
        }
        cr_assert(kept && lost, "variant %d", v);
        end(fs, d);
    }
}

Test(sim_crash, a_rename_over_a_file_is_atomic)
{
    for (int v = KVI_SIM_DROP; v < KVI_SIM_CRASHES; v++) {
        kvi_sim_fs *fs = disk_new(1);
        kvi_os_dir *d = dir_open(fs);
        bool before = false, after = false;

        file_put(d, "CURRENT", "old");
        dir_sync(d);
        file_put(d, "CURRENT.tmp", "new");
        dir_rename(d, "CURRENT.tmp", "CURRENT");
        for (uint64_t seed = 0; seed < ROUNDS; seed++) {
            kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)v, seed);
            bool renamed = file_is(copy, "CURRENT", "new");

            cr_assert(renamed || file_is(copy, "CURRENT", "old"));
            cr_assert(!renamed || !file_is_there(copy, "CURRENT.tmp"));
            before = before || !renamed;
            after = after || renamed;
            kvi_sim_fs_free(copy);
        }
        cr_assert_eq(before, v != KVI_SIM_KEEP);
        cr_assert_eq(after, v != KVI_SIM_DROP);
        dir_sync(d);
        for (uint64_t seed = 0; seed < 20; seed++) {
            kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)v, seed);

            cr_assert(file_is(copy, "CURRENT", "new"));
            kvi_sim_fs_free(copy);
        }
        end(fs, d);
    }
}

/* A file whose create was durable keeps exactly one name, whatever of a chain of renames survives
 * and whoever takes the names it left. */
Test(sim_crash, a_durable_file_never_vanishes_in_renames)
{
    static const char *const names[] = {"a", "b", "c"};
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    unsigned places = 0;

    file_put(d, "a", "mine");
    dir_sync(d);
    dir_rename(d, "a", "b");
    file_put(d, "a", "other");
    dir_rename(d, "b", "c");
    dir_rename(d, "a", "b");
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        kvi_sim_fs *copy = crash(fs, KVI_SIM_RANDOM, seed);
        unsigned found = 0;

        for (size_t i = 0; i < 3; i++)
            if (file_is(copy, names[i], "mine")) {
                found++;
                places |= 1u << i;
            }
        cr_assert_eq(found, 1);
        kvi_sim_fs_free(copy);
    }
    cr_assert_eq(places, 7);
    dir_sync(d);
    cr_assert(file_is(fs, "c", "mine"));
    cr_assert(file_is(fs, "b", "other"));
    end(fs, d);
}

Test(sim_crash, renames_back_and_forth_are_replayed_as_they_were)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);

    file_put(d, "a", "first");
    file_put(d, "c", "second");
    dir_sync(d);
    dir_rename(d, "a", "b");
    dir_rename(d, "b", "a");
    dir_rename(d, "c", "a");
    copy = crash(fs, KVI_SIM_KEEP, 1);
    cr_assert(file_is(copy, "a", "second"));
    cr_assert(!file_is_there(copy, "b") && !file_is_there(copy, "c"));
    kvi_sim_fs_free(copy);
    dir_sync(d);
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert_eq(disk_hash(copy), disk_hash(fs));
    kvi_sim_fs_free(copy);
    end(fs, d);
}

Test(sim_crash, an_unsynced_unlink_may_be_undone)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    bool back = false, gone = false;

    file_put(d, "a", "x");
    dir_sync(d);
    dir_unlink(d, "a");
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        copy = crash(fs, KVI_SIM_RANDOM, seed);
        back = back || file_is(copy, "a", "x");
        gone = gone || !file_is_there(copy, "a");
        kvi_sim_fs_free(copy);
    }
    cr_assert(back && gone);
    copy = crash(fs, KVI_SIM_DROP, 0);
    cr_assert(file_is(copy, "a", "x"));
    kvi_sim_fs_free(copy);
    dir_sync(d);
    copy = crash(fs, KVI_SIM_DROP, 0);
    cr_assert(!file_is_there(copy, "a"));
    kvi_sim_fs_free(copy);
    end(fs, d);
}

/* A journal's own commit: names do not stay undone for ever. */
Test(sim_crash, very_many_unsynced_changes_become_durable)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);

    file_put(d, "first", "x");
    for (int i = 0; i < 700; i++) {
        file_put(d, "a", "y");
        dir_unlink(d, "a");
    }
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert(file_is(copy, "first", "x"));
    kvi_sim_fs_free(copy);
    copy = crash(fs, KVI_SIM_KEEP, 1);
    cr_assert_eq(disk_hash(copy), disk_hash(fs));
    kvi_sim_fs_free(copy);
    end(fs, d);
}
