/* lib/lsm/journal_reader.c: what is read back, and what damage, crashes and recycling make of it. */
#include <stdio.h>

#include "support/failmem.h"
#include "support/rng.h"
#include "unit/lsm/journals.h"

Test(lsm_journal_reader, records_of_any_size_come_back)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    for (int round = 0; round < 8; round++) {
        size_t lens[RECORDS_MAX];
        uint32_t count = 1 + (uint32_t)kvt_rng_below(&rng, 40);
        kvi_lsm_journal j;
        kvt_memfile f;
        content c;
        outcome o;

        kvt_memfile_init(&f);
        journal_start(&j, &f, NUMBER);
        for (uint32_t i = 0; i < count; i++)
            lens[i] = 1 + kvt_rng_below(&rng, kvt_rng_below(&rng, 8) == 0 ? 700000 : 30000);
        write_records(&j, &c, lens, count);
        OK(kvi_lsm_journal_watermark(&j, c.ends[kvt_rng_below(&rng, count + 1)]));
        o = read_all(&f.base, &c);
        OK(o.open);
        cr_assert_eq(o.end, KV_ENOTFOUND);
        cr_assert_eq(o.records, count);
        cr_assert_eq(o.at, c.ends[count]);
        OK(kvi_lsm_journal_close(&j));
        kvt_memfile_deinit(&f);
    }
}

Test(lsm_journal_reader, small_records_are_read_ahead)
{
    size_t lens[RECORDS_MAX];
    kvi_lsm_journal j;
    kvt_memfile f;
    content c;
    outcome o;

    kvt_memfile_init(&f);
    journal_start(&j, &f, NUMBER);
    for (uint32_t i = 0; i < RECORDS_MAX; i++)
        lens[i] = 3000;
    write_records(&j, &c, lens, RECORDS_MAX);
    o = read_all(&f.base, &c);
    cr_assert_eq(o.records, RECORDS_MAX);
    cr_assert_leq(f.reads, 2);
    OK(kvi_lsm_journal_close(&j));
    kvt_memfile_deinit(&f);
}

/* Which record a byte is of, RECORDS_MAX: none; *padding: it is of no account. */
static uint32_t record_of(const content *c, size_t byte, bool *padding)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (byte < c->ends[i] || byte >= c->ends[i + 1])
            continue;
        *padding = byte >= c->ends[i] + KVI_JOURNAL_RECORD_HEADER + c->lens[i];
        return i;
    }
    *padding = true;
    return RECORDS_MAX;
}

/* What a journal with one bad byte must say. */
static void check_damaged(kvt_memfile *f, const content *c, size_t byte, uint32_t synced_records)
{
    bool padding;
    uint32_t hit = record_of(c, byte, &padding);
    outcome o = read_all(&f->base, c);

    if (byte < KVI_JOURNAL_HEADER_USED) {
        cr_assert_eq(o.open, KV_ECORRUPT, "byte %zu of the header", byte);
        cr_assert(strstr(kvi_error_detail(), NAME) != NULL);
        return;
    }
    cr_assert_eq(o.open, KV_OK, "byte %zu: %s", byte, kvi_error_detail());
    if (padding) { /* or a watermark, of which the other one is left */
        cr_assert_eq(o.end, KV_ENOTFOUND, "byte %zu: %s", byte, kvi_error_detail());
        cr_assert_eq(o.records, c->count, "byte %zu", byte);
        return;
    }
    cr_assert_eq(o.records, hit, "byte %zu", byte);
    cr_assert_eq(o.end, hit < synced_records ? KV_ECORRUPT : KV_ENOTFOUND, "byte %zu", byte);
    if (o.end == KV_ECORRUPT) {
        char where[32];

        snprintf(where, sizeof where, "offset %llu", (unsigned long long)c->ends[hit]);
        cr_assert(strstr(kvi_error_detail(), NAME) != NULL);
        cr_assert(strstr(kvi_error_detail(), where) != NULL, "%s", kvi_error_detail());
    }
}

Test(lsm_journal_reader, every_damaged_byte_is_seen)
{
    for (int all_synced = 0; all_synced < 2; all_synced++) {
        kvt_memfile f;
        kvt_rng rng;
        content c;

        kvt_rng_init(&rng, 2);
        small_journal(&f, &c, all_synced);
        for (size_t byte = 0; byte < f.len; byte++) {
            uint8_t was = f.data[byte];

            f.data[byte] ^= (uint8_t)(1u << kvt_rng_below(&rng, 8));
            check_damaged(&f, &c, byte, all_synced ? 4 : 2);
            for (int value = 0; value <= 0xff; value += 0xff) {
                f.data[byte] = (uint8_t)value;
                if (value != was)
                    check_damaged(&f, &c, byte, all_synced ? 4 : 2);
            }
            f.data[byte] = was;
        }
        kvt_memfile_deinit(&f);
    }
}

Test(lsm_journal_reader, every_truncation_is_a_torn_tail_or_corruption)
{
    kvt_memfile f;
    content c;

    small_journal(&f, &c, false);
    for (size_t len = f.len; len-- > 0;) {
        outcome o;
        uint32_t whole = 0;

        f.len = len;
        o = read_all(&f.base, &c);
        if (len < KVI_JOURNAL_HEADER_LEN) {
            /* A watermark that is left tells that more was there. */
            bool told = len >= KVI_JOURNAL_SLOT_A + KVI_JOURNAL_SLOT_LEN;

            cr_assert_eq(o.open, told ? KV_ECORRUPT : KV_OK, "%zu bytes", len);
            cr_assert(told || (!o.begun && o.end == KV_ENOTFOUND));
            continue;
        }
        while (c.ends[whole + 1] <= len)
            whole++;
        cr_assert_eq(o.open, KV_OK);
        cr_assert_eq(o.records, whole, "%zu bytes", len);
        cr_assert_eq(o.end, len < c.ends[2] ? KV_ECORRUPT : KV_ENOTFOUND, "%zu bytes", len);
    }
    kvt_memfile_deinit(&f);
}

Test(lsm_journal_reader, nothing_behind_a_torn_record_is_read)
{
    kvt_memfile f;
    content c;
    outcome o;

    small_journal(&f, &c, false);
    memset(f.data + c.ends[2], 0, c.ends[3] - c.ends[2]); /* the third never arrived */
    o = read_all(&f.base, &c);
    cr_assert_eq(o.end, KV_ENOTFOUND);
    cr_assert_eq(o.records, 2);
    cr_assert_eq(o.at, c.ends[2]);
    kvt_memfile_deinit(&f);
}

/* --- memory and failures ------------------------------------------------------------------ */

/* An allocator that notes the largest request. */
static void *noting_resize(void *largest, void *old, size_t bytes)
{
    size_t *max = largest;

    *max = kvi_max_size(*max, bytes);
    return realloc(old, bytes);
}

static void *noting_alloc(void *largest, size_t bytes)
{
    return noting_resize(largest, NULL, bytes);
}

static void noting_free(void *largest, void *old)
{
    (void)largest;
    free(old);
}

Test(lsm_journal_reader, a_wild_length_takes_no_memory)
{
    static const uint32_t wild[] = {UINT32_MAX, KVI_JOURNAL_PAYLOAD_MAX + 1,
                                    KVI_JOURNAL_PAYLOAD_MAX, 100000};
    size_t largest = 0;
    kv_allocator host = KV_ALLOCATOR_INIT;
    kvi_mem mem;

    host.alloc = noting_alloc;
    host.resize = noting_resize;
    host.free = noting_free;
    host.user = &largest;
    kvi_mem_init(&mem, &host);
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        kvi_lsm_journal_reader r;
        kvi_lsm_record record;
        kvt_memfile f;
        content c;

        small_journal(&f, &c, false);
        kvi_put_u32(f.data + c.ends[2], wild[i]);
        OK(kvi_lsm_journal_reader_open(&r, &mem, &f.base, NAME, KVI_JOURNAL_LOG, STORE, NUMBER));
        OK(kvi_lsm_journal_reader_next(&r, &record));
        OK(kvi_lsm_journal_reader_next(&r, &record));
        cr_assert_eq(kvi_lsm_journal_reader_next(&r, &record), KV_ENOTFOUND);
        kvi_lsm_journal_reader_close(&r);
        cr_assert_leq(largest, f.len);
        kvt_memfile_deinit(&f);
    }
}

Test(lsm_journal_reader, without_memory_it_says_so_and_can_go_on)
{
    const size_t lens[] = {10, 300000, 400000, 10};
    kvt_failmem fm;
    kvi_lsm_journal j;
    kvt_memfile f;
    content c;
    kvi_mem mem;
    bool failed = true;

    kvt_failmem_init(&fm, &mem);
    kvt_memfile_init(&f);
    journal_start(&j, &f, NUMBER);
    write_records(&j, &c, lens, 4);
    for (size_t n = 0; failed; n++) {
        kvi_lsm_journal_reader r = {.at = 42};
        kvi_lsm_record record = {.offset = 42};
        int err;

        kvt_failmem_arm(&fm, n, false);
        err = kvi_lsm_journal_reader_open(&r, &mem, &f.base, NAME, KVI_JOURNAL_LOG, STORE, NUMBER);
        if (err == KV_ENOMEM) {
            cr_assert_eq(r.at, 42);
            cr_assert(kvt_failmem_disarm(&fm));
            continue;
        }
        OK(err);
        for (uint32_t i = 0; i < 4; i++) {
            err = kvi_lsm_journal_reader_next(&r, &record);
            if (err == KV_ENOMEM) {
                cr_assert_eq(record.offset, i == 0 ? 42 : c.ends[i - 1]);
                err = kvi_lsm_journal_reader_next(&r, &record);
            }
            OK(err);
            cr_assert(payload_is(record.payload, lens[i], i));
        }
        kvi_lsm_journal_reader_close(&r);
        failed = kvt_failmem_disarm(&fm);
    }
    cr_assert_eq(kvt_failmem_live(&fm), 0);
    OK(kvi_lsm_journal_close(&j));
    kvt_memfile_deinit(&f);
}

Test(lsm_journal_reader, a_failed_read_is_neither_end_nor_corruption)
{
    kvi_lsm_journal_reader r;
    kvi_lsm_record record;
    kvi_lsm_journal j;
    kvt_memfile f;
    content c;
    const size_t lens[] = {10, 300000};

    kvt_memfile_init(&f);
    journal_start(&j, &f, NUMBER);
    write_records(&j, &c, lens, 2);
    f.read_err = KV_EIO;
    cr_assert_eq(reader_start(&r, &f.base), KV_EIO);
    f.read_err = KV_OK;
    OK(reader_start(&r, &f.base));
    OK(kvi_lsm_journal_reader_next(&r, &record));
    f.read_err = KV_EIO;
    cr_assert_eq(kvi_lsm_journal_reader_next(&r, &record), KV_EIO);
    f.read_err = KV_OK;
    f.len -= 1; /* it was longer when it was opened */
    cr_assert_eq(kvi_lsm_journal_reader_next(&r, &record), KV_EIO);
    f.len += 1;
    OK(kvi_lsm_journal_reader_next(&r, &record));
    cr_assert(payload_is(record.payload, 300000, 1));
    kvi_lsm_journal_reader_close(&r);
    OK(kvi_lsm_journal_close(&j));
    kvt_memfile_deinit(&f);
}
