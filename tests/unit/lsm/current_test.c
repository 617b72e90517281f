/* lib/lsm/current.c: the file that names the manifest. */
#include "lsm/current.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "lsm/manifest_format.h"
#include "lsm/names.h"
#include "unit/sim/disk.h"

static const uint8_t STORE[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void put_current(kvi_sim_fs *fs, const void *bytes, size_t len)
{
    OK(kvi_sim_fs_put_file(fs, PATH, KVI_LSM_NAME_CURRENT, bytes, len));
}

/* What reading says; on failure the outputs are as they were. */
static int read_current(kvi_os_dir *d, uint64_t *number)
{
    uint8_t id[16];
    int err;

    memset(id, 0xee, sizeof id);
    *number = 42;
    err = kvi_lsm_current_read(d, id, number);
    if (err == KV_OK) {
        cr_assert_arr_eq(id, STORE, sizeof id);
    } else {
        cr_assert_eq(*number, 42);
        for (size_t i = 0; i < sizeof id; i++)
            cr_assert_eq(id[i], 0xee);
    }
    return err;
}

static void reseal(uint8_t *bytes, size_t len)
{
    kvi_put_u64(bytes + len - 8, kvi_hash64(bytes, len - 8, 0));
}

static void make_current(kvi_os_dir *d, uint64_t number)
{
    OK(kvi_lsm_current_prepare(d, STORE, number));
    OK(kvi_lsm_current_switch(d));
}

Test(lsm_current, the_bytes_are_those_of_format_1)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    uint8_t got[KVI_CURRENT_LEN + 1];
    uint64_t number;

    cr_assert_eq(read_current(d, &number), KV_ENOENT);
    OK(kvi_lsm_current_prepare(d, STORE, 7));
    cr_assert_eq(read_current(d, &number), KV_ENOENT, "prepared is not switched");
    OK(kvi_lsm_current_switch(d));
    OK(read_current(d, &number));
    cr_assert_eq(number, 7);
    cr_assert_eq(file_text(fs, KVI_LSM_NAME_CURRENT, got, sizeof got), KVI_CURRENT_LEN);
    cr_assert_arr_eq(got, "kvvr\1\0\0\0", 8);
    cr_assert_arr_eq(got + 8, STORE, 16);
    cr_assert_arr_eq(got + 24, "\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    cr_assert_eq(kvi_get_u64(got + 40), UINT64_C(0x092dfe16d23d894e));
    cr_assert(!file_is_there(fs, KVI_LSM_NAME_CURRENT_TMP));
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(lsm_current, any_damage_is_corruption)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    uint8_t good[KVI_CURRENT_LEN_MAX + 1] = {0};
    uint64_t number;

    make_current(d, 7);
    cr_assert_eq(file_text(fs, KVI_LSM_NAME_CURRENT, good, sizeof good), KVI_CURRENT_LEN);
    for (size_t bit = 0; bit < 8 * KVI_CURRENT_LEN; bit++) {
        good[bit / 8] ^= (uint8_t)(1u << bit % 8);
        put_current(fs, good, KVI_CURRENT_LEN);
        cr_assert_eq(read_current(d, &number), KV_ECORRUPT, "bit %zu", bit);
        cr_assert(strstr(kvi_error_detail(), KVI_LSM_NAME_CURRENT) != NULL);
        good[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < sizeof good; len++) {
        put_current(fs, good, len);
        cr_assert_eq(read_current(d, &number), len == KVI_CURRENT_LEN ? KV_OK : KV_ECORRUPT,
                     "%zu bytes", len);
    }
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(lsm_current, a_newer_format_is_told_from_damage)
{
    static const size_t lens[] = {KVI_CURRENT_LEN, KVI_CURRENT_LEN + 1, 64, KVI_CURRENT_LEN_MAX};
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    uint8_t bytes[KVI_CURRENT_LEN_MAX + 1] = {0};
    uint64_t number;

    make_current(d, 7);
    cr_assert_eq(file_text(fs, KVI_LSM_NAME_CURRENT, bytes, sizeof bytes), KVI_CURRENT_LEN);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        kvi_put_u32(bytes + KVI_CURRENT_AT_FORMAT, 2);
        reseal(bytes, lens[i]);
        put_current(fs, bytes, lens[i]);
        cr_assert_eq(read_current(d, &number), KV_EFORMAT, "%zu bytes", lens[i]);
        bytes[20] ^= 1;
        put_current(fs, bytes, lens[i]);
        cr_assert_eq(read_current(d, &number), KV_ECORRUPT, "%zu bytes", lens[i]);
        bytes[20] ^= 1;
        kvi_put_u32(bytes + KVI_CURRENT_AT_FORMAT, 1); /* format 1 has one length */
        reseal(bytes, lens[i]);
        put_current(fs, bytes, lens[i]);
        cr_assert_eq(read_current(d, &number), i == 0 ? KV_OK : KV_ECORRUPT);
    }
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(lsm_current, fields_that_format_1_does_not_have_are_corruption)
{
    static const struct {
        uint32_t at, value;
    } cases[] = {
        {KVI_CURRENT_AT_MAGIC, KVI_CURRENT_MAGIC + 1},
        {KVI_CURRENT_AT_FORMAT, 0},
        {KVI_CURRENT_AT_NUMBER, 0},
        {KVI_CURRENT_AT_ZERO, 1},
    };
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    uint8_t bytes[KVI_CURRENT_LEN + 1];
    uint64_t number;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_current(d, 7);
        cr_assert_eq(file_text(fs, KVI_LSM_NAME_CURRENT, bytes, sizeof bytes), KVI_CURRENT_LEN);
        kvi_put_u32(bytes + cases[i].at, cases[i].value);
        reseal(bytes, KVI_CURRENT_LEN);
        put_current(fs, bytes, KVI_CURRENT_LEN);
        cr_assert_eq(read_current(d, &number), KV_ECORRUPT, "case %zu", i);
    }
    dir_close(d);
    kvi_sim_fs_free(fs);
}

Test(lsm_current, what_a_crash_left_is_replaced)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *d = dir_open(fs);
    uint64_t number;

    file_put(d, KVI_LSM_NAME_CURRENT_TMP,
             "a text that is longer than what will be written, by far");
    make_current(d, 7);
    OK(read_current(d, &number));
    cr_assert_eq(number, 7);
    make_current(d, 8);
    OK(read_current(d, &number));
    cr_assert_eq(number, 8);
    dir_close(d);
    kvi_sim_fs_free(fs);
}

/* Each call fails in turn: the old file is there, or the new one. */
Test(lsm_current, a_failed_call_leaves_the_old_or_the_new)
{
    bool failed = true;

    for (uint64_t n = 0; failed; n++) {
        kvi_sim_fs *fs = disk_new(n);
        kvi_os_dir *d = dir_open(fs);
        kvi_sim_fs_faults fault = {.fail_with = KV_EIO};
        uint64_t number;
        int err;

        make_current(d, 7);
        fault.fail_at = kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_ANY] + n;
        kvi_sim_fs_set_faults(fs, &fault);
        err = kvi_lsm_current_prepare(d, STORE, 8);
        if (!err)
            err = kvi_lsm_current_switch(d);
        failed = kvi_sim_fs_get_counts(fs)->failed > 0;
        cr_assert_eq(err, failed ? KV_EIO : KV_OK, "call %llu", (unsigned long long)n);
        kvi_sim_fs_set_faults(fs, NULL);
        OK(read_current(d, &number));
        cr_assert(number == 8 || (failed && number == 7));
        cr_assert_eq(kvi_sim_fs_open_count(fs), 1);
        dir_close(d);
        kvi_sim_fs_free(fs);
    }
}

Test(lsm_current, a_failed_read_is_no_corruption)
{
    static const enum kvi_sim_call calls[] = {KVI_SIM_CALL_OPEN, KVI_SIM_CALL_SIZE,
                                              KVI_SIM_CALL_READ};

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        kvi_sim_fs *fs = disk_new(1);
        kvi_os_dir *d = dir_open(fs);
        kvi_sim_fs_faults fault = {
            .fail_call = calls[i], .fail_with = KV_EIO, .from_then_on = true};
        uint64_t number;

        make_current(d, 7);
        kvi_sim_fs_set_faults(fs, &fault);
        cr_assert_eq(read_current(d, &number), KV_EIO);
        kvi_sim_fs_set_faults(fs, NULL);
        OK(read_current(d, &number));
        cr_assert_eq(kvi_sim_fs_open_count(fs), 1);
        dir_close(d);
        kvi_sim_fs_free(fs);
    }
}
