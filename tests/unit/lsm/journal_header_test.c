/* lib/lsm/journal_reader.c: recycled files, headers and watermarks: what belongs to a journal, and
   what does not. */
#include "unit/lsm/journals.h"

/* --- recycling ---------------------------------------------------------------------------- */

Test(lsm_journal_header, a_recycled_file_does_not_give_its_old_records)
{
    const size_t lens[] = {5, 64, 1, 203};

    for (uint32_t fresh = 0; fresh <= 4; fresh++) {
        kvi_lsm_journal j;
        kvt_memfile f;
        content c;
        outcome o;

        /* The same lengths, so that old records stand just where new ones would follow; and the old
           watermarks are put back, as if the block had been torn. */
        uint8_t slots[2][KVI_JOURNAL_SLOT_LEN];

        kvt_memfile_init(&f);
        journal_start(&j, &f, NUMBER - 4);
        write_records(&j, &c, lens, 4);
        OK(kvi_lsm_journal_watermark(&j, c.ends[1]));
        OK(kvi_lsm_journal_watermark(&j, c.ends[4]));
        OK(kvi_lsm_journal_close(&j));
        memcpy(slots[0], f.data + KVI_JOURNAL_SLOT_A, KVI_JOURNAL_SLOT_LEN);
        memcpy(slots[1], f.data + KVI_JOURNAL_SLOT_B, KVI_JOURNAL_SLOT_LEN);

        journal_start(&j, &f, NUMBER);
        memcpy(f.data + KVI_JOURNAL_SLOT_A, slots[0], KVI_JOURNAL_SLOT_LEN);
        memcpy(f.data + KVI_JOURNAL_SLOT_B, slots[1], KVI_JOURNAL_SLOT_LEN);
        write_records(&j, &c, lens, fresh);
        o = read_all(&f.base, &c);
        OK(o.open);
        cr_assert(o.begun);
        cr_assert_eq(o.end, KV_ENOTFOUND);
        cr_assert_eq(o.records, fresh);
        OK(kvi_lsm_journal_close(&j));
        kvt_memfile_deinit(&f);
    }
}

/* A journal of that number, kind and store, with or without a record and a watermark. */
static void other_journal(kvt_memfile *f, uint64_t number, enum kvi_journal_kind kind,
                          const uint8_t store[16], bool record, bool watermark)
{
    kvi_lsm_journal j;
    content c = {.ends = {KVI_JOURNAL_HEADER_LEN}};
    const size_t lens[] = {77};

    kvt_memfile_init(f);
    OK(kvi_lsm_journal_begin(&j, &f->base, kind, store, number));
    if (record)
        write_records(&j, &c, lens, 1);
    if (watermark)
        OK(kvi_lsm_journal_watermark(&j, c.ends[c.count]));
    OK(kvi_lsm_journal_close(&j));
}

Test(lsm_journal_header, a_header_of_another_number_is_no_journal)
{
    static const struct {
        uint64_t number;
        bool record, watermark;
        int want;
    } cases[] = {
        {NUMBER - 1, false, false, KV_OK}, /* recycled, not begun */
        {NUMBER - 1, true, true, KV_OK},   /* the same, with what it held before */
        {NUMBER + 1, false, false, KV_OK}, /* recycled to the next, the rename was lost */
        {NUMBER + 1, true, false, KV_ECORRUPT}, {NUMBER + 1, false, true, KV_ECORRUPT},
    };
    const content nothing = {.count = 0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kvt_memfile f;
        outcome o;

        other_journal(&f, cases[i].number, KVI_JOURNAL_LOG, STORE, cases[i].record,
                      cases[i].watermark);
        o = read_all(&f.base, &nothing);
        cr_assert_eq(o.open, cases[i].want, "case %zu", i);
        if (o.open == KV_OK) {
            cr_assert(!o.begun);
            cr_assert_eq(o.end, KV_ENOTFOUND);
        }
        kvt_memfile_deinit(&f);
    }
}

Test(lsm_journal_header, a_header_that_was_lost_is_told_by_what_follows_it)
{
    const content nothing = {.count = 0};

    for (int what = 0; what < 4; what++) {
        kvt_memfile old, f;
        outcome o;

        other_journal(&old, NUMBER - 1, KVI_JOURNAL_LOG, STORE, true, true);
        other_journal(&f, NUMBER, KVI_JOURNAL_LOG, STORE, what & 1, what & 2);
        memcpy(f.data, old.data, 512); /* the sector with the header is the old one */
        o = read_all(&f.base, &nothing);
        cr_assert_eq(o.open, what == 0 ? KV_OK : KV_ECORRUPT, "case %d", what);
        memset(f.data, 0, 512); /* … or empty */
        o = read_all(&f.base, &nothing);
        cr_assert_eq(o.open, what == 0 ? KV_OK : KV_ECORRUPT, "case %d", what);
        kvt_memfile_deinit(&old);
        kvt_memfile_deinit(&f);
    }
}

/* --- headers ------------------------------------------------------------------------------ */

Test(lsm_journal_header, kind_and_store_must_be_right)
{
    const uint8_t other[16] = {1};
    kvi_lsm_journal_reader r;
    kvt_memfile f;

    other_journal(&f, NUMBER, KVI_JOURNAL_MANIFEST, STORE, false, false);
    cr_assert_eq(reader_start(&r, &f.base), KV_ECORRUPT);
    kvt_memfile_deinit(&f);
    other_journal(&f, NUMBER, KVI_JOURNAL_LOG, other, false, false);
    cr_assert_eq(reader_start(&r, &f.base), KV_ECORRUPT);
    cr_assert(strstr(kvi_error_detail(), "another store") != NULL);
    kvt_memfile_deinit(&f);
}

Test(lsm_journal_header, a_newer_format_is_refused)
{
    static const struct {
        uint32_t at, value;
        int want;
    } cases[] = {
        {KVI_JOURNAL_AT_FORMAT, 2, KV_EFORMAT},    {KVI_JOURNAL_AT_FORMAT, UINT32_MAX, KV_EFORMAT},
        {KVI_JOURNAL_AT_FORMAT, 0, KV_ECORRUPT},   {KVI_JOURNAL_AT_ZERO, 1, KV_ECORRUPT},
        {KVI_JOURNAL_AT_ZERO_TOO, 1, KV_ECORRUPT}, {KVI_JOURNAL_AT_NUMBER, 0, KV_ECORRUPT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kvi_lsm_journal_reader r = {.at = 42};
        kvt_memfile f;

        other_journal(&f, NUMBER, KVI_JOURNAL_LOG, STORE, false, false);
        kvi_put_u32(f.data + cases[i].at, cases[i].value);
        OK(reader_start(&r, &f.base)); /* its checksum is wrong: creation was not finished */
        cr_assert(!r.begun);
        kvi_lsm_journal_reader_close(&r);
        header_reseal(f.data);
        r.at = 42;
        cr_assert_eq(reader_start(&r, &f.base), cases[i].want, "case %zu", i);
        cr_assert_eq(r.at, 42);
        kvt_memfile_deinit(&f);
    }
}

/* --- watermarks that lie ------------------------------------------------------------------ */

Test(lsm_journal_header, a_watermark_stands_at_a_record)
{
    const uint64_t seed = kvi_lsm_journal_seed(KVI_JOURNAL_LOG, STORE, NUMBER);
    kvt_memfile f;
    content c;
    outcome o;

    small_journal(&f, &c, false);
    slot_forge(f.data, KVI_JOURNAL_SLOT_A, seed, 9, c.ends[1] + 8); /* within the second record */
    o = read_all(&f.base, &c);
    cr_assert_eq(o.records, 1);
    cr_assert_eq(o.end, KV_ECORRUPT);
    slot_forge(f.data, KVI_JOURNAL_SLOT_A, seed, 9, c.ends[4] + 8); /* behind the end of the file */
    o = read_all(&f.base, &c);
    cr_assert_eq(o.records, 4);
    cr_assert_eq(o.end, KV_ECORRUPT);
    slot_forge(f.data, KVI_JOURNAL_SLOT_A, seed, 9, UINT64_MAX - 7);
    o = read_all(&f.base, &c);
    cr_assert_eq(o.records, 4);
    cr_assert_eq(o.end, KV_ECORRUPT);
    kvt_memfile_deinit(&f);
}

Test(lsm_journal_header, watermarks_that_none_writes_are_not_taken)
{
    const uint64_t seed = kvi_lsm_journal_seed(KVI_JOURNAL_LOG, STORE, NUMBER);
    kvi_lsm_journal_reader r;
    kvt_memfile f;
    content c;

    small_journal(&f, &c, false); /* its newest, of generation 2, is in slot B */
    OK(reader_start(&r, &f.base));
    cr_assert_eq(r.synced, c.ends[2]);
    kvi_lsm_journal_reader_close(&r);
    slot_forge(f.data, KVI_JOURNAL_SLOT_A, seed, 0, c.ends[4]);
    OK(reader_start(&r, &f.base));
    cr_assert_eq(r.synced, c.ends[2]);
    kvi_lsm_journal_reader_close(&r);
    slot_forge(f.data, KVI_JOURNAL_SLOT_A, seed, 3, c.ends[4] + 1);
    OK(reader_start(&r, &f.base));
    cr_assert_eq(r.synced, c.ends[2]);
    kvi_lsm_journal_reader_close(&r);
    slot_forge(f.data, KVI_JOURNAL_SLOT_A, seed, 3, KVI_JOURNAL_HEADER_LEN - 8);
    OK(reader_start(&r, &f.base));
    cr_assert_eq(r.synced, c.ends[2]);
    kvi_lsm_journal_reader_close(&r);
    kvt_memfile_deinit(&f);
}

Test(lsm_journal_header, what_stands_elsewhere_is_not_taken)
{
    const size_t lens[] = {40, 40};
    uint8_t slot_a[KVI_JOURNAL_SLOT_LEN], record[64];
    kvi_lsm_journal_reader r;
    kvi_lsm_journal j;
    kvt_memfile f;
    content c;
    outcome o;

    kvt_memfile_init(&f);
    journal_start(&j, &f, NUMBER);
    write_records(&j, &c, lens, 2);
    OK(kvi_lsm_journal_watermark(&j, c.ends[2]));
    OK(kvi_lsm_journal_close(&j));

    /* A watermark in the other's slot. */
    memcpy(slot_a, f.data + KVI_JOURNAL_SLOT_A, sizeof slot_a);
    memcpy(f.data + KVI_JOURNAL_SLOT_B, slot_a, sizeof slot_a);
    memset(f.data + KVI_JOURNAL_SLOT_A, 0, sizeof slot_a);
    OK(reader_start(&r, &f.base));
    cr_assert_eq(r.synced, 0);
    kvi_lsm_journal_reader_close(&r);

    /* A record in another's place: written there by mistake, or read from there. */
    cr_assert_leq(c.ends[1] - c.ends[0], sizeof record);
    memcpy(record, f.data + c.ends[1], c.ends[1] - c.ends[0]);
    memcpy(f.data + c.ends[0], record, c.ends[1] - c.ends[0]);
    o = read_all(&f.base, &c);
    cr_assert_eq(o.open, KV_OK);
    cr_assert_eq(o.records, 0);
    memcpy(f.data + KVI_JOURNAL_SLOT_A, slot_a, sizeof slot_a);
    o = read_all(&f.base, &c);
    cr_assert_eq(o.end, KV_ECORRUPT);
    kvt_memfile_deinit(&f);
}

/* --- taking over -------------------------------------------------------------------------- */

Test(lsm_journal_header, an_adopted_journal_takes_more_watermarks)
{
    kvi_lsm_journal_reader r;
    kvi_lsm_journal j;
    kvt_memfile f;
    content c;

    small_journal(&f, &c, false);
    for (uint64_t generation = 2; generation < 6; generation++) {
        OK(reader_start(&r, &f.base));
        cr_assert_eq(r.generation, generation);
        cr_assert_eq(r.synced, c.ends[generation == 2 ? 2 : generation % 2 + 3]);
        kvi_lsm_journal_adopt(&j, &f.base, &r);
        kvi_lsm_journal_reader_close(&r);
        OK(kvi_lsm_journal_watermark(&j, c.ends[(generation + 1) % 2 + 3]));
        OK(kvi_lsm_journal_close(&j));
    }
    kvt_memfile_deinit(&f);
}
