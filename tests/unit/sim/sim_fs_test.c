/* lib/sim/sim_fs.c, sim_names.c, sim_surgery.c: directories, names, locks, and the back door. */
#include "unit/sim/disk.h"

Test(sim_fs, a_directory_persists_and_says_whether_it_was_made)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_fs *os = kvi_sim_fs_os(fs);
    kvi_os_dir *d = NULL;
    bool created = false;

    cr_assert_eq(os->ops->open_dir(os, PATH, false, &created, &d), KV_ENOENT);
    cr_assert_null(d);
    OK(os->ops->open_dir(os, PATH, true, &created, &d));
    cr_assert(created);
    file_put(d, "a", "one");
    dir_close(d);
    OK(os->ops->open_dir(os, PATH, true, &created, &d));
    cr_assert(!created);
    file_close(file_open(d, "a", KVI_OS_READ));
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, open_tells_missing_from_existing)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = NULL;

    cr_assert_eq(d->ops->open(d, "a", KVI_OS_READ, &f), KV_ENOENT);
    cr_assert_eq(d->ops->open(d, "a", KVI_OS_WRITE, &f), KV_ENOENT);
    cr_assert_null(f);
    file_close(file_open(d, "a", KVI_OS_CREATE));
    cr_assert_eq(d->ops->open(d, "a", KVI_OS_CREATE, &f), KV_EEXIST);
    cr_assert(strstr(kvi_error_detail(), "a") != NULL);
    cr_assert_eq(d->ops->rename(d, "b", "c"), KV_ENOENT);
    cr_assert_eq(d->ops->unlink(d, "b"), KV_ENOENT);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, rename_replaces_and_open_files_follow)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *old, *moved;
    char got[8] = {0};
    size_t n;

    file_put(d, "a", "new");
    file_put(d, "b", "old");
    old = file_open(d, "b", KVI_OS_READ);
    moved = file_open(d, "a", KVI_OS_WRITE);
    dir_rename(d, "a", "b");
    cr_assert(!file_is_there(fs, "a"));
    cr_assert(file_is(fs, "b", "new"));
    OK(old->ops->read(old, 0, got, sizeof got, &n));
    cr_assert_eq(n, 3);
    cr_assert_arr_eq(got, "old", 3);
    file_write(moved, 0, "NEW", 3);
    cr_assert(file_is(fs, "b", "NEW"));
    file_close(old);
    file_close(moved);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, an_unlinked_file_lives_until_it_is_closed)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f;
    char got[8];
    size_t n;

    file_put(d, "a", "here");
    dir_sync(d);
    f = file_open(d, "a", KVI_OS_READ);
    dir_unlink(d, "a");
    dir_sync(d);
    cr_assert(!file_is_there(fs, "a"));
    cr_assert_eq(kvi_sim_fs_used(fs), 4);
    OK(f->ops->read(f, 0, got, sizeof got, &n));
    cr_assert_eq(n, 4);
    file_close(f);
    cr_assert_eq(kvi_sim_fs_used(fs), 0);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

struct seen {
    char names[16][KVI_OS_NAME_MAX + 1];
    size_t count;
};

static void note_name(void *user, const char *name)
{
    struct seen *s = user;

    cr_assert(s->count < 16);
    strcpy(s->names[s->count++], name);
}

Test(sim_fs, list_gives_each_name_once_and_in_no_order_to_rely_on)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    bool other_first = false;

    for (char c = 'e'; c >= 'a'; c--) {
        char name[2] = {c, '\0'};

        file_put(d, name, "x");
    }
    for (int round = 0; round < 50; round++) {
        struct seen s = {.count = 0};
        int letters = 0;

        OK(d->ops->list(d, note_name, &s));
        cr_assert_eq(s.count, 5);
        for (size_t i = 0; i < s.count; i++)
            letters |= 1 << (s.names[i][0] - 'a');
        cr_assert_eq(letters, 31);
        other_first = other_first || s.names[0][0] != 'a';
    }
    cr_assert(other_first);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, a_lock_is_one_handles_until_it_closes)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *one = dir_open(fs), *two = dir_open(fs);
    enum kvi_os_locked who = KVI_OS_LOCKED_BY_OTHER;

    OK(one->ops->lock(one, "LOCK", &who));
    cr_assert(file_is_there(fs, "LOCK"));
    cr_assert_eq(two->ops->lock(two, "LOCK", &who), KV_EINUSE);
    cr_assert_eq(who, KVI_OS_LOCKED_BY_US);
    dir_close(one);
    OK(two->ops->lock(two, "LOCK", &who));
    dir_close(two);

    OK(kvi_sim_fs_lock_elsewhere(fs, PATH, true));
    one = dir_open(fs);
    cr_assert_eq(one->ops->lock(one, "LOCK", &who), KV_EINUSE);
    cr_assert_eq(who, KVI_OS_LOCKED_BY_OTHER);
    OK(kvi_sim_fs_lock_elsewhere(fs, PATH, false));
    OK(one->ops->lock(one, "LOCK", &who));
    dir_close(one);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, nothing_is_locked_after_a_crash)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs), *after;
    enum kvi_os_locked who;

    OK(d->ops->lock(d, "LOCK", &who));
    copy = crash(fs, KVI_SIM_KEEP, 1);
    after = dir_open(copy);
    OK(after->ops->lock(after, "LOCK", &who));
    dir_close(after);
    dir_close(d);
    kvi_sim_fs_free(copy);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, open_count_counts_what_must_be_closed)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    void *map;

    cr_assert_eq(kvi_sim_fs_open_count(fs), 2);
    file_fill(f, 0, 0, 4096);
    OK(f->ops->map(f, 4096, &map));
    cr_assert_eq(kvi_sim_fs_open_count(fs), 3);
    file_close(f); /* and with it the map */
    cr_assert_eq(kvi_sim_fs_open_count(fs), 1);
    dir_close(d);
    cr_assert_eq(kvi_sim_fs_open_count(fs), 0);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, surgery_changes_written_and_durable_state_at_once)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    struct seen s = {.count = 0};

    OK(kvi_sim_fs_put_file(fs, PATH, "b", "0123456789", 10));
    OK(kvi_sim_fs_put_file(fs, PATH, "a", "", 0));
    OK(kvi_sim_fs_put_file(fs, PATH, "c", "gone", 4));
    OK(kvi_sim_fs_patch(fs, PATH, "b", 3, "xyz", 3));
    cr_assert_eq(kvi_sim_fs_patch(fs, PATH, "b", 8, "xyz", 3), KV_EINVAL);
    cr_assert_eq(kvi_sim_fs_patch(fs, PATH, "z", 0, "x", 1), KV_ENOENT);
    OK(kvi_sim_fs_truncate(fs, PATH, "b", 8));
    OK(kvi_sim_fs_remove_file(fs, PATH, "c"));
    cr_assert_eq(kvi_sim_fs_remove_file(fs, PATH, "c"), KV_ENOENT);
    OK(kvi_sim_fs_each_file(fs, PATH, note_name, &s));
    cr_assert_eq(s.count, 2);
    cr_assert_str_eq(s.names[0], "a");
    cr_assert_str_eq(s.names[1], "b");
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert(file_is(copy, "a", ""));
    cr_assert(file_is(copy, "b", "012xyz67"));
    cr_assert(!file_is_there(copy, "c"));
    cr_assert_eq(disk_hash(copy), disk_hash(fs));
    kvi_sim_fs_free(copy);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, truncation_leaves_zeros_behind_the_new_end)
{
    kvi_sim_fs *fs = disk_new(1);
    char text[16];

    OK(kvi_sim_fs_put_file(fs, PATH, "a", "0123456789", 10));
    OK(kvi_sim_fs_truncate(fs, PATH, "a", 4));
    OK(kvi_sim_fs_truncate(fs, PATH, "a", 6));
    cr_assert_eq(file_text(fs, "a", text, sizeof text), 6);
    cr_assert_arr_eq(text, "0123\0\0", 6);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, a_patch_spares_what_was_not_synced)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f;

    file_put(d, "a", "aaaa");
    dir_sync(d);
    f = file_open(d, "a", KVI_OS_WRITE);
    file_write(f, 0, "bb", 2);
    OK(kvi_sim_fs_patch(fs, PATH, "a", 3, "!", 1));
    cr_assert(file_is(fs, "a", "bba!"));
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert(file_is(copy, "a", "aaa!"));
    kvi_sim_fs_free(copy);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_fs, the_hash_tells_disks_apart)
{
    kvi_sim_fs *fs = disk_new(1), *same = disk_new(2);
    uint64_t hash;

    OK(kvi_sim_fs_put_file(fs, PATH, "a", "x", 1));
    OK(kvi_sim_fs_put_file(same, PATH, "a", "x", 1));
    hash = disk_hash(fs);
    cr_assert_eq(hash, disk_hash(same));
    OK(kvi_sim_fs_truncate(fs, PATH, "a", 2)); /* a zero more */
    cr_assert_neq(disk_hash(fs), hash);
    OK(kvi_sim_fs_truncate(fs, PATH, "a", 1));
    cr_assert_eq(disk_hash(fs), hash);
    OK(kvi_sim_fs_put_file(fs, PATH, "b", "", 0));
    cr_assert_neq(disk_hash(fs), hash);
    kvi_sim_fs_free(fs);
    kvi_sim_fs_free(same);
}
