/* lib/lsm/journal.c: what is written, where, and by which way. */
#include "sim/sim_fs.h"
#include "unit/lsm/journals.h"

/* A file on a simulated disk, which can be mapped. */
typedef struct disk_file {
    kvi_sim_fs *fs;
    kvi_os_dir *dir;
    kvi_os_file *file;
} disk_file;

static void disk_file_open(disk_file *d, bool mappable, size_t zeros)
{
    uint8_t *bytes = calloc(1, zeros);
    kvi_os_fs *os;
    bool created;

    cr_assert_not_null(bytes);
    OK(kvi_sim_fs_new(plain_mem(), 1, &d->fs));
    kvi_sim_fs_set_map(d->fs, mappable);
    os = kvi_sim_fs_os(d->fs);
    OK(os->ops->open_dir(os, "d", true, &created, &d->dir));
    OK(d->dir->ops->open(d->dir, NAME, KVI_OS_CREATE, &d->file));
    OK(d->file->ops->write(d->file, 0, bytes, zeros));
    free(bytes);
}

/* The journal that owned the file has closed it. */
static void disk_file_close(disk_file *d)
{
    OK(d->dir->ops->close(d->dir));
    kvi_sim_fs_free(d->fs);
}

static uint64_t writes_of(const disk_file *d)
{
    return kvi_sim_fs_get_counts(d->fs)->calls[KVI_SIM_CALL_WRITE];
}

static void expect_records(kvi_os_file *f, const size_t *lens, uint32_t count, uint64_t synced)
{
    kvi_lsm_journal_reader r;
    kvi_lsm_record record;

    OK(reader_start(&r, f));
    cr_assert(r.begun);
    cr_assert_eq(r.synced, synced);
    for (uint32_t i = 0; i < count; i++) {
        OK(kvi_lsm_journal_reader_next(&r, &record));
        cr_assert_eq(record.count, i + 1);
        cr_assert(payload_is(record.payload, lens[i], i));
    }
    cr_assert_eq(kvi_lsm_journal_reader_next(&r, &record), KV_ENOTFOUND);
    kvi_lsm_journal_reader_close(&r);
}

/* Every byte of the format, by its fingerprint: none may ever change. */
Test(lsm_journal, the_bytes_are_those_of_format_1)
{
    kvi_lsm_journal j;
    kvt_memfile f;
    uint64_t at = KVI_JOURNAL_HEADER_LEN;

    kvt_memfile_init(&f);
    journal_start(&j, &f, NUMBER);
    cr_assert_eq(f.len, KVI_JOURNAL_HEADER_LEN);
    cr_assert_arr_eq(f.data, "kvjl\1\0\0\0\1\0\0\0\0\0\0\0", 16);
    cr_assert_arr_eq(f.data + 16, STORE, 16);
    cr_assert_arr_eq(f.data + 32, "\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    cr_assert_eq(kvi_get_u64(f.data + 48), UINT64_C(0x73831244c59e9130));
    at = journal_put(&j, at, 3, 0);
    cr_assert_eq(at, KVI_JOURNAL_HEADER_LEN + 24);
    cr_assert_arr_eq(f.data + 4096, "\3\0\0\0\1\0\0\0", 8);
    cr_assert_eq(kvi_get_u64(f.data + 4104), UINT64_C(0xa527c4c8d2f22381));
    cr_assert_arr_eq(f.data + 4096 + 19, "\0\0\0\0\0", 5);
    OK(kvi_lsm_journal_watermark(&j, at));
    cr_assert_arr_eq(f.data + 1024, "\1\0\0\0\0\0\0\0\x18\x10\0\0\0\0\0\0", 16);
    cr_assert_eq(kvi_get_u64(f.data + 1040), UINT64_C(0xe6a29b3378860b43));
    at = journal_put(&j, at, 1000, 1);
    OK(kvi_lsm_journal_watermark(&j, at));
    cr_assert_eq(kvi_hash64(f.data, f.len, 0), UINT64_C(0xb3eb4e11d3cd835b));
    OK(kvi_lsm_journal_close(&j));
    kvt_memfile_deinit(&f);
}

Test(lsm_journal, a_record_takes_its_header_and_padding)
{
    cr_assert_eq(kvi_lsm_journal_record_len(1), 24);
    cr_assert_eq(kvi_lsm_journal_record_len(8), 24);
    cr_assert_eq(kvi_lsm_journal_record_len(9), 32);
    cr_assert_eq(kvi_lsm_journal_record_len(KVI_JOURNAL_PAYLOAD_MAX),
                 (size_t)KVI_JOURNAL_PAYLOAD_MAX + 16);
}

Test(lsm_journal, padding_is_zero_whatever_was_there)
{
    kvi_lsm_journal j;
    kvt_memfile f;
    uint8_t record[32];

    kvt_memfile_init(&f);
    journal_start(&j, &f, NUMBER);
    memset(record, 0xee, sizeof record);
    kvi_lsm_journal_seal(&j, record, KVI_JOURNAL_HEADER_LEN, 9, 1);
    cr_assert_arr_eq(record + 16 + 9, "\0\0\0\0\0\0\0", 7);
    OK(kvi_lsm_journal_close(&j));
    kvt_memfile_deinit(&f);
}

Test(lsm_journal, begin_writes_the_header_block_alone)
{
    uint8_t old[3 * KVI_JOURNAL_HEADER_LEN];
    kvi_lsm_journal j;
    kvt_memfile f;

    kvt_memfile_init(&f);
    memset(old, 0xee, sizeof old);
    kvt_memfile_set(&f, old, sizeof old);
    journal_start(&j, &f, NUMBER);
    cr_assert_eq(f.writes, 1);
    cr_assert_eq(f.len, sizeof old);
    cr_assert_arr_eq(f.data + KVI_JOURNAL_HEADER_LEN, old, 2 * KVI_JOURNAL_HEADER_LEN);
    for (size_t i = KVI_JOURNAL_HEADER_USED; i < KVI_JOURNAL_HEADER_LEN; i++)
        cr_assert_eq(f.data[i], 0);
    OK(kvi_lsm_journal_close(&j));
    cr_assert_eq(f.closed, 1);
    kvt_memfile_deinit(&f);
}

Test(lsm_journal, a_failed_begin_leaves_the_file_to_the_caller)
{
    kvi_lsm_journal j = {.generation = 42};
    kvt_memfile f;

    kvt_memfile_init(&f);
    f.write_err = KV_ENOSPC;
    cr_assert_eq(kvi_lsm_journal_begin(&j, &f.base, KVI_JOURNAL_LOG, STORE, 1), KV_ENOSPC);
    cr_assert_eq(f.closed, 0);
    cr_assert_null(j.file);
    cr_assert_eq(j.generation, 42);
    kvt_memfile_deinit(&f);
}

Test(lsm_journal, watermarks_take_turns)
{
    kvi_lsm_journal j;
    kvt_memfile f;
    uint8_t slot_a[KVI_JOURNAL_SLOT_LEN];
    const size_t lens[] = {100, 200, 300};
    uint64_t end[4] = {KVI_JOURNAL_HEADER_LEN};

    kvt_memfile_init(&f);
    journal_start(&j, &f, NUMBER);
    for (uint32_t i = 0; i < 3; i++)
        end[i + 1] = journal_put(&j, end[i], lens[i], i);
    OK(kvi_lsm_journal_watermark(&j, end[1]));
    expect_records(&f.base, lens, 3, end[1]);
    memcpy(slot_a, f.data + KVI_JOURNAL_SLOT_A, sizeof slot_a);
    OK(kvi_lsm_journal_watermark(&j, end[2]));
    cr_assert_arr_eq(slot_a, f.data + KVI_JOURNAL_SLOT_A, sizeof slot_a);
    expect_records(&f.base, lens, 3, end[2]);

    /* One that fails tries the same slot again, so the newest good one stays. */
    f.write_err = KV_EIO;
    f.write_err_at = f.writes;
    cr_assert_eq(kvi_lsm_journal_watermark(&j, end[3]), KV_EIO);
    memset(f.data + KVI_JOURNAL_SLOT_A, 0xee, KVI_JOURNAL_SLOT_LEN);
    expect_records(&f.base, lens, 3, end[2]);
    f.write_err = KV_OK;
    OK(kvi_lsm_journal_watermark(&j, end[3]));
    expect_records(&f.base, lens, 3, end[3]);
    OK(kvi_lsm_journal_close(&j));
    kvt_memfile_deinit(&f);
}

Test(lsm_journal, what_is_mapped_is_written_without_a_call)
{
    const size_t lens[] = {1, 4000, 17};
    uint64_t at = KVI_JOURNAL_HEADER_LEN, calls;
    kvi_lsm_journal j;
    disk_file d;

    disk_file_open(&d, true, 16384);
    OK(kvi_lsm_journal_begin(&j, d.file, KVI_JOURNAL_LOG, STORE, NUMBER));
    OK(kvi_lsm_journal_map(&j, 16384));
    cr_assert_not_null(j.map);
    OK(kvi_lsm_journal_sync(&j));
    calls = writes_of(&d);
    for (uint32_t i = 0; i < 3; i++)
        at = journal_put(&j, at, lens[i], i);
    OK(kvi_lsm_journal_sync(&j));
    OK(kvi_lsm_journal_watermark(&j, at));
    cr_assert_eq(writes_of(&d), calls);
    expect_records(d.file, lens, 3, at);
    OK(kvi_lsm_journal_close(&j));
    cr_assert_null(j.file);
    cr_assert_null(j.map);
    cr_assert_eq(kvi_sim_fs_open_count(d.fs), 1); /* the directory */
    disk_file_close(&d);
}

Test(lsm_journal, what_cannot_be_mapped_is_written_by_calls)
{
    const kvi_sim_fs_faults fault = {
        .fail_call = KVI_SIM_CALL_MAP, .fail_at = 0, .fail_with = KV_EIO};
    const size_t lens[] = {1, 4000};

    for (int mappable = 0; mappable < 2; mappable++) {
        uint64_t at = KVI_JOURNAL_HEADER_LEN;
        kvi_lsm_journal j;
        disk_file d;

        disk_file_open(&d, mappable, 16384);
        OK(kvi_lsm_journal_begin(&j, d.file, KVI_JOURNAL_LOG, STORE, NUMBER));
        if (mappable)
            kvi_sim_fs_set_faults(d.fs, &fault);
        OK(kvi_lsm_journal_map(&j, 16384));
        cr_assert_null(j.map);
        for (uint32_t i = 0; i < 2; i++)
            at = journal_put(&j, at, lens[i], i);
        expect_records(d.file, lens, 2, 0);
        OK(kvi_lsm_journal_close(&j));
        disk_file_close(&d);
    }
}

Test(lsm_journal, close_says_what_the_file_says_and_is_over)
{
    const kvi_sim_fs_faults fault = {
        .fail_call = KVI_SIM_CALL_CLOSE, .fail_at = 0, .fail_with = KV_EIO};
    kvi_lsm_journal j = {0};
    disk_file d;

    OK(kvi_lsm_journal_close(&j));
    disk_file_open(&d, true, 8192);
    OK(kvi_lsm_journal_begin(&j, d.file, KVI_JOURNAL_LOG, STORE, NUMBER));
    OK(kvi_lsm_journal_map(&j, 8192));
    kvi_sim_fs_set_faults(d.fs, &fault);
    cr_assert_eq(kvi_lsm_journal_close(&j), KV_EIO);
    OK(kvi_lsm_journal_close(&j));
    disk_file_close(&d);
}
