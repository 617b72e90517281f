/* lib/sim/sim_file.c, sim_node.c, sim_page.c: the bytes of files, their sync, and maps. */
#include "unit/sim/disk.h"

#include "sim/sim_node.h"

Test(sim_file, a_read_stops_at_the_end_of_the_file)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    char got[16];
    uint64_t size;
    size_t n = 99;

    OK(f->ops->read(f, 0, got, sizeof got, &n));
    cr_assert_eq(n, 0);
    file_write(f, 0, "hello", 5);
    OK(f->ops->read(f, 3, got, sizeof got, &n));
    cr_assert_eq(n, 2);
    cr_assert_arr_eq(got, "lo", 2);
    OK(f->ops->read(f, 5, got, sizeof got, &n));
    cr_assert_eq(n, 0);
    OK(f->ops->read(f, UINT64_MAX, got, sizeof got, &n));
    cr_assert_eq(n, 0);
    OK(f->ops->size(f, &size));
    cr_assert_eq(size, 5);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_file, writes_cross_pages_and_leave_holes_of_zeros)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    uint8_t model[20000] = {0}, got[20000];
    size_t n;

    memset(model + 10000, 7, 9000);
    file_fill(f, 10000, 7, 9000);
    memset(model + 4000, 9, 200);
    file_fill(f, 4000, 9, 200);
    OK(f->ops->read(f, 0, got, sizeof got, &n));
    cr_assert_eq(n, 19000);
    cr_assert_arr_eq(got, model, n);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_file, a_file_has_a_largest_size)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    uint64_t size;

    file_write(f, KVI_SIM_FILE_MAX - 1, "x", 1);
    cr_assert_eq(f->ops->write(f, KVI_SIM_FILE_MAX, "x", 1), KV_ENOSPC);
    cr_assert_eq(f->ops->write(f, UINT64_MAX, "x", 1), KV_ENOSPC);
    OK(f->ops->size(f, &size));
    cr_assert_eq(size, KVI_SIM_FILE_MAX);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_file, only_a_sync_makes_bytes_durable)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);

    dir_sync(d);
    file_write(f, 0, "one", 3);
    file_sync(f);
    file_write(f, 0, "TWO!", 4);
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert(file_is(copy, "a", "one"));
    kvi_sim_fs_free(copy);
    file_sync(f);
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert(file_is(copy, "a", "TWO!"));
    kvi_sim_fs_free(copy);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_file, a_map_and_calls_see_each_other)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE), *g;
    uint8_t *map, got[6000];
    void *out;
    size_t n;

    file_fill(f, 0, 0, 6000);
    OK(f->ops->map(f, 5000, &out));
    map = out;
    map[4500] = 1;                /* a store is as a write … */
    file_write(f, 4600, "\2", 1); /* … a write shows in the map … */
    file_write(f, 5500, "\3", 1); /* … behind the map the file is as ever */
    cr_assert_eq(map[4600], 2);
    g = file_open(d, "a", KVI_OS_READ);
    OK(g->ops->read(g, 0, got, sizeof got, &n));
    cr_assert_eq(n, 6000);
    cr_assert_eq(got[4500], 1);
    cr_assert_eq(got[4600], 2);
    cr_assert_eq(got[5500], 3);
    file_close(g);
    map[0] = 4;
    OK(kvi_sim_fs_patch(fs, PATH, "a", 1, "\5", 1));
    cr_assert_eq(map[1], 5);
    f->ops->unmap(f, out, 5000);
    OK(f->ops->read(f, 0, got, 2, &n));
    cr_assert_eq(got[0], 4);
    cr_assert_eq(got[1], 5);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_file, a_sync_covers_the_map)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    void *map;

    file_fill(f, 0, 'o', 8);
    file_sync(f);
    dir_sync(d);
    OK(f->ops->map(f, 8, &map));
    memcpy(map, "synced__", 8);
    file_sync(f);
    memcpy((char *)map + 6, "..", 2);
    copy = crash(fs, KVI_SIM_DROP, 1);
    cr_assert(file_is(copy, "a", "synced__"));
    kvi_sim_fs_free(copy);
    copy = crash(fs, KVI_SIM_KEEP, 1);
    cr_assert(file_is(copy, "a", "synced.."));
    kvi_sim_fs_free(copy);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(sim_file, without_maps_there_is_no_call_for_them)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs), *e;
    kvi_os_file *f;

    kvi_sim_fs_set_map(fs, false);
    file_put(d, "a", "x");
    dir_sync(d);
    f = file_open(d, "a", KVI_OS_WRITE);
    cr_assert(f->ops->map == NULL);
    file_close(f);
    copy = crash(fs, KVI_SIM_DROP, 1);
    e = dir_open(copy);
    f = file_open(e, "a", KVI_OS_WRITE);
    cr_assert(f->ops->map == NULL);
    file_close(f);
    dir_close(e);
    dir_close(d);
    kvi_sim_fs_free(copy);
    kvi_sim_fs_free(fs);
}

/* More unsynced writes than are remembered one by one: they survive or not, sector by sector. */
Test(sim_file, very_many_unsynced_writes_are_drawn_by_sector)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_os_dir *d = dir_open(fs);
    kvi_os_file *f = file_open(d, "a", KVI_OS_CREATE);
    size_t lost = 0, kept = 0;
    static char got[1 << 16];

    file_fill(f, 0, 'o', 4 * KVI_SIM_PAGE);
    file_sync(f);
    dir_sync(d);
    for (unsigned i = 0; i < KVI_SIM_OPS_MAX + 1; i++)
        file_write(f, i * 16 % (4 * KVI_SIM_PAGE), "nnnnnnnnnnnnnnnn", 16);
    copy = crash(fs, KVI_SIM_KEEP, 3);
    cr_assert_eq(file_text(copy, "a", got, sizeof got), 4 * KVI_SIM_PAGE);
    cr_assert_null(memchr(got, 'o', 4 * KVI_SIM_PAGE));
    kvi_sim_fs_free(copy);
    copy = crash(fs, KVI_SIM_RANDOM, 3);
    cr_assert_eq(file_text(copy, "a", got, sizeof got), 4 * KVI_SIM_PAGE);
    for (size_t at = 0; at < 4 * KVI_SIM_PAGE; at += KVI_SIM_SECTOR) {
        for (size_t i = 1; i < KVI_SIM_SECTOR; i++)
            cr_assert_eq(got[at + i], got[at]);
        *(got[at] == 'o' ? &lost : &kept) += 1;
    }
    cr_assert_gt(lost, 0);
    cr_assert_gt(kept, 0);
    kvi_sim_fs_free(copy);
    file_close(f);
    dir_close(d);
    kvi_sim_fs_free(fs);
}
