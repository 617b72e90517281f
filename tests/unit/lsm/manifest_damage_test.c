/* lib/lsm/manifest_load.c: damage to what is in force is seen, and records that none writes are
   refused. */
#include "lsm/journal_check.h"
#include "unit/lsm/stage.h"

/* --- damage ------------------------------------------------------------------------------- */

/* The name of the manifest in force. */
static void current_name(const stage *s, kvi_lsm_name name)
{
    kvi_lsm_name_manifest(name, s->m.journal.file_no);
}

static void damage_each_byte(stage *s, const char *name, const uint8_t *bytes, size_t len)
{
    size_t corrupt = 0;

    for (size_t i = 0; i < len; i++)
        for (unsigned how = 0; how < 3; how++) {
            const uint8_t bad[] = {(uint8_t)(bytes[i] ^ 1u << i % 8), 0, 0xff};
            kvi_lsm_state got;
            int err;

            OK(kvi_sim_fs_patch(s->fs, PATH, name, i, &bad[how], 1));
            err = load(s->dir, &s->owner, &got);
            if (err == KV_OK) {
                cr_assert(state_same(&got, &s->states[STEPS]), "byte %zu", i);
                kvi_lsm_version_unref(got.version);
            } else {
                cr_assert_eq(err, KV_ECORRUPT, "byte %zu", i);
                cr_assert(strstr(kvi_error_detail(), name) != NULL, "%s", kvi_error_detail());
                corrupt++;
            }
            OK(kvi_sim_fs_patch(s->fs, PATH, name, i, &bytes[i], 1));
        }
    /* All but the unused part of the header block, and the padding. */
    cr_assert_geq(corrupt, 2 * (len - KVI_JOURNAL_HEADER_LEN) * 4 / 5, "%zu of %zu", corrupt, len);
}

Test(lsm_manifest_damage, any_damage_to_what_is_in_force_is_seen)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_lsm_state got;
    kvi_lsm_name name;
    kvi_buf bytes;
    stage s;

    stage_begin(&s, plain_mem(), fs);
    OK(stage_run(&s));
    current_name(&s, name);
    kvi_buf_init(&bytes, plain_mem());
    OK(kvi_sim_fs_file_bytes(fs, PATH, name, &bytes));
    cr_assert_eq(bytes.len, s.m.end);
    damage_each_byte(&s, name, bytes.data, bytes.len);
    for (size_t len = bytes.len; len-- > 0;) {
        OK(kvi_sim_fs_truncate(fs, PATH, name, len));
        cr_assert_eq(load(s.dir, &s.owner, &got), KV_ECORRUPT, "%zu bytes", len);
    }
    OK(kvi_sim_fs_remove_file(fs, PATH, name));
    cr_assert_eq(load(s.dir, &s.owner, &got), KV_ECORRUPT);
    cr_assert(strstr(kvi_error_detail(), name) != NULL);
    kvi_buf_deinit(&bytes);
    stage_end(&s);
    kvi_sim_fs_free(fs);
}

Test(lsm_manifest_damage, a_fresh_one_is_protected_from_its_first_moment)
{
    kvi_sim_fs *fs = disk_new(1), *copy;
    kvi_lsm_name name;
    kvi_lsm_state got;
    kvi_os_dir *dir;
    uint8_t byte;
    stage s;

    stage_begin(&s, plain_mem(), fs);
    for (s.done = 0; s.done < 5; s.done++)
        OK(script[s.done] == STEP_ROLL ? step_roll(&s, s.done) : step_edit(&s, s.done));
    current_name(&s, name);
    copy = crash(fs, KVI_SIM_DROP, 1);
    dir = dir_open(copy);
    byte = 0xee;
    OK(kvi_sim_fs_patch(copy, PATH, name, s.m.end - 8, &byte, 1));
    cr_assert_eq(load(dir, &s.owner, &got), KV_ECORRUPT);
    cr_assert(strstr(kvi_error_detail(), "synced") != NULL, "%s", kvi_error_detail());
    dir_close(dir);
    kvi_sim_fs_free(copy);
    stage_end(&s);
    kvi_sim_fs_free(fs);
}

/* --- records that none writes ------------------------------------------------------------- */

typedef struct raw {
    const char *bytes;
    size_t len;
    uint32_t count;
} raw;

#define RAW(text, count)             \
    {                                \
        text, sizeof text - 1, count \
    }

/* A store whose manifest, number 5, has these records, all synced. */
static void put_manifest(kvi_os_dir *dir, const raw *records, size_t count, bool watermark)
{
    uint64_t at = KVI_JOURNAL_HEADER_LEN;
    kvi_os_file *file;
    kvi_lsm_journal j;

    (void)dir->ops->unlink(dir, "MANIFEST-000005");
    file = file_open(dir, "MANIFEST-000005", KVI_OS_CREATE);
    OK(kvi_lsm_journal_begin(&j, file, KVI_JOURNAL_MANIFEST, STORE.id, 5));
    for (size_t i = 0; i < count; i++) {
        size_t len = kvi_lsm_journal_record_len(records[i].len);
        uint8_t *record = malloc(len);

        cr_assert_not_null(record);
        memcpy(record + KVI_JOURNAL_RECORD_HEADER, records[i].bytes, records[i].len);
        kvi_lsm_journal_seal(&j, record, at, (uint32_t)records[i].len, records[i].count);
        OK(kvi_lsm_journal_write(&j, at, record, len));
        at += len;
        free(record);
    }
    if (watermark)
        OK(kvi_lsm_journal_watermark(&j, at));
    OK(kvi_lsm_journal_close(&j));
    OK(kvi_lsm_current_prepare(dir, STORE.id, 5));
    OK(kvi_lsm_current_switch(dir));
}

#define ZEROS                        "\0\0\0\0\0\0\0\0"
#define IDENTITY                     "\1\1" ZEROS ZEROS
#define ADD(level, number, from, to) "\5" level number "\1\1\0\0\1\1" from "\1" to

Test(lsm_manifest_damage, records_that_do_not_fit_are_refused)
{
    static const struct {
        raw records[3];
        size_t count;
        int want;
        const char *detail;
    } cases[] = {
        {{RAW(IDENTITY, 1)}, 1, KV_OK, ""},
        {{RAW(IDENTITY ADD("\1", "\7", "a", "b"), 2), RAW(ADD("\1", "\10", "c", "d"), 1)},
         2,
         KV_OK,
         ""},
        {{RAW(IDENTITY, 1)}, 0, KV_ECORRUPT, "first record"},
        {{RAW(ADD("\1", "\7", "a", "b"), 1)}, 1, KV_ECORRUPT, "identity is missing"},
        {{RAW(IDENTITY, 1), RAW(IDENTITY, 1)}, 2, KV_ECORRUPT, "offset 4136: a second record"},
        {{RAW(IDENTITY, 1), RAW("\11", 1)}, 2, KV_EFORMAT, "offset 4136: field 1"},
        {{RAW(IDENTITY, 1), RAW("\6\1\7", 1)}, 2, KV_ECORRUPT, "removes table 000007.sst"},
        {{RAW(IDENTITY ADD("\1", "\7", "a", "b"), 2), RAW("\6\2\7", 1)}, 2, KV_ECORRUPT, "level 2"},
        {{RAW(IDENTITY ADD("\1", "\7", "a", "b"), 2), RAW("\6\1\7\6\1\7", 2)},
         2,
         KV_ECORRUPT,
         "removes"},
        {{RAW(IDENTITY ADD("\1", "\7", "a", "b"), 2), RAW(ADD("\2", "\7", "a", "b"), 1)},
         2,
         KV_ECORRUPT,
         "adds table 000007.sst"},
        {{RAW(IDENTITY ADD("\1", "\7", "a", "b") ADD("\2", "\7", "a", "b"), 3)},
         1,
         KV_ECORRUPT,
         "adds table 000007.sst"},
        {{RAW(IDENTITY ADD("\1", "\7", "a", "b"), 2), RAW(ADD("\1", "\10", "b", "c"), 1)},
         2,
         KV_ECORRUPT,
         "overlap"},
        {{RAW(IDENTITY ADD("\0", "\7", "a", "b"), 2), RAW(ADD("\0", "\10", "b", "c"), 1)},
         2,
         KV_OK,
         ""},
        {{RAW(IDENTITY ADD("\1", "\7", "a", "b"), 2), RAW(ADD("\2", "\7", "a", "b") "\6\1\7", 2)},
         2,
         KV_OK,
         ""},
    };
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *dir = dir_open(fs);
    owner o = {plain_mem(), 0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kvi_lsm_state got = {.next_file = 42};
        int err;

        put_manifest(dir, cases[i].records, cases[i].count, cases[i].count > 0);
        err = load(dir, &o, &got);
        cr_assert_eq(err, cases[i].want, "case %zu: %s", i, kvi_error_detail());
        if (err) {
            cr_assert(strstr(kvi_error_detail(), "MANIFEST-000005") != NULL);
            cr_assert(strstr(kvi_error_detail(), cases[i].detail) != NULL, "%s",
                      kvi_error_detail());
            cr_assert_eq(got.next_file, 42);
        } else {
            kvi_lsm_version_unref(got.version);
        }
    }
    dir_close(dir);
    kvi_sim_fs_free(fs);
}

Test(lsm_manifest_damage, numbers_only_grow_and_are_above_all_that_is_named)
{
    static const raw records[] = {
        RAW(IDENTITY "\2\11\0\0\0\0\0\0\0\3\10\0\0\0\0\0\0\0\4\3\0\0\0\0\0\0\0", 4),
        RAW("\2\5\0\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\4\2\0\0\0\0\0\0\0", 3),
        RAW(ADD("\1", "\7", "a", "b"), 1),
        RAW("\6\1\7", 1),
    };
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *dir = dir_open(fs);
    owner o = {plain_mem(), 0};
    kvi_lsm_state got;

    put_manifest(dir, records, 2, true);
    OK(load(dir, &o, &got));
    cr_assert_eq(got.flushed_seq, 9);
    cr_assert_eq(got.log_floor, 8);
    cr_assert_eq(got.next_file, 6, "the manifest itself is number 5");
    kvi_lsm_version_unref(got.version);
    put_manifest(dir, records, 4, true);
    OK(load(dir, &o, &got));
    cr_assert_eq(got.next_file, 8);
    cr_assert_eq(got.version->level[1].count, 0);
    kvi_lsm_version_unref(got.version);
    cr_assert_eq(o.obsolete, 0);
    dir_close(dir);
    kvi_sim_fs_free(fs);
}

Test(lsm_manifest_damage, a_torn_edit_behind_the_watermark_is_cut)
{
    static const raw records[] = {
        RAW(IDENTITY ADD("\1", "\7", "a", "b"), 2),
        RAW(ADD("\1", "\10", "c", "d"), 1),
    };
    const uint8_t bad = 0xee;
    kvi_sim_fs *fs = disk_new(1);
    kvi_os_dir *dir = dir_open(fs);
    owner o = {plain_mem(), 0};
    kvi_lsm_state got;

    for (int watermark = 0; watermark < 2; watermark++) {
        put_manifest(dir, records, 2, watermark);
        OK(load(dir, &o, &got));
        cr_assert_eq(got.version->level[1].count, 2);
        kvi_lsm_version_unref(got.version);
        OK(kvi_sim_fs_patch(fs, PATH, "MANIFEST-000005", 4096 + 48 + 20, &bad, 1));
        cr_assert_eq(load(dir, &o, &got), watermark ? KV_ECORRUPT : KV_OK);
        if (!watermark) {
            cr_assert_eq(got.version->level[1].count, 1);
            kvi_lsm_version_unref(got.version);
        }
        OK(kvi_sim_fs_patch(fs, PATH, "MANIFEST-000005", 4096 + 20, &bad, 1));
        cr_assert_eq(load(dir, &o, &got), KV_ECORRUPT, "the first record is never torn");
    }
    dir_close(dir);
    kvi_sim_fs_free(fs);
}
