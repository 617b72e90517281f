/*
 * Short words for the tests of journals: one over a file in memory whose bytes can be reached, and
 * records whose content is known from their number.
 */
#ifndef KVT_UNIT_LSM_JOURNALS_H
#define KVT_UNIT_LSM_JOURNALS_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "lsm/journal.h"
#include "lsm/journal_check.h"
#include "support/memfile.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define NAME   "000007.log"
#define NUMBER 7u

static const uint8_t STORE[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static inline const kvi_mem *plain_mem(void)
{
    static kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    return &mem;
}

/* The payload of record number i. */
static inline void payload_fill(uint8_t *p, size_t len, uint32_t i)
{
    for (size_t k = 0; k < len; k++)
        p[k] = (uint8_t)(kvi_mix64((uint64_t)i << 32 | k) >> 56);
}

static inline bool payload_is(kvi_slice got, size_t len, uint32_t i)
{
    uint8_t *want = malloc(len);
    bool same;

    cr_assert_not_null(want);
    payload_fill(want, len, i);
    same = got.len == len && memcmp(got.data, want, len) == 0;
    free(want);
    return same;
}

/* Seals record i, of count i + 1, and writes it as the journal is written; returns its end. */
static inline uint64_t journal_put(kvi_lsm_journal *j, uint64_t at, size_t len, uint32_t i)
{
    size_t record_len = kvi_lsm_journal_record_len(len);
    uint8_t *record = j->map ? j->map + at : malloc(record_len);

    cr_assert_not_null(record);
    payload_fill(record + KVI_JOURNAL_RECORD_HEADER, len, i);
    kvi_lsm_journal_seal(j, record, at, (uint32_t)len, i + 1);
    if (!j->map) {
        OK(kvi_lsm_journal_write(j, at, record, record_len));
        free(record);
    }
    return at + record_len;
}

static inline void journal_start(kvi_lsm_journal *j, kvt_memfile *f, uint64_t number)
{
    OK(kvi_lsm_journal_begin(j, &f->base, KVI_JOURNAL_LOG, STORE, number));
}

static inline int reader_start(kvi_lsm_journal_reader *r, kvi_os_file *f)
{
    return kvi_lsm_journal_reader_open(r, plain_mem(), f, NAME, KVI_JOURNAL_LOG, STORE, NUMBER);
}

/* Recomputes the checksum of the header that stands at block. */
static inline void header_reseal(uint8_t *block)
{
    kvi_put_u64(block + KVI_JOURNAL_AT_CHECKSUM, kvi_lsm_journal_header_sum(block));
}

/* A watermark slot as some journal would write it. */
static inline void slot_forge(uint8_t *block, uint32_t at, uint64_t seed, uint64_t generation,
                              uint64_t offset)
{
    kvi_put_u64(block + at + KVI_JOURNAL_SLOT_AT_GENERATION, generation);
    kvi_put_u64(block + at + KVI_JOURNAL_SLOT_AT_OFFSET, offset);
    kvi_put_u64(block + at + KVI_JOURNAL_SLOT_AT_CHECKSUM,
                kvi_lsm_journal_slot_sum(seed, at, block + at));
}

#define RECORDS_MAX 64u

/* What stands in a journal. */
typedef struct content {
    size_t lens[RECORDS_MAX];
    uint64_t ends[RECORDS_MAX + 1]; /* ends[i]: where record i begins */
    uint32_t count;
} content;

static inline void write_records(kvi_lsm_journal *j, content *c, const size_t *lens, uint32_t count)
{
    c->count = count;
    c->ends[0] = KVI_JOURNAL_HEADER_LEN;
    for (uint32_t i = 0; i < count; i++) {
        c->lens[i] = lens[i];
        c->ends[i + 1] = journal_put(j, c->ends[i], lens[i], i);
    }
}

/* How reading ended. */
typedef struct outcome {
    int open, end;
    bool begun;
    uint32_t records;
    uint64_t at;
} outcome;

/* Reads all; each record must be the one that was written there. */
static inline outcome read_all(kvi_os_file *f, const content *c)
{
    outcome o = {KV_OK, KV_OK, false, 0, 0};
    kvi_lsm_journal_reader r;
    kvi_lsm_record record;

    o.open = reader_start(&r, f);
    if (o.open)
        return o;
    o.begun = r.begun;
    while ((o.end = kvi_lsm_journal_reader_next(&r, &record)) == KV_OK) {
        cr_assert_lt(o.records, c->count);
        cr_assert_eq(record.offset, c->ends[o.records]);
        cr_assert_eq(record.count, o.records + 1);
        cr_assert(payload_is(record.payload, c->lens[o.records], o.records));
        o.records++;
    }
    cr_assert_eq(kvi_lsm_journal_reader_next(&r, &record), o.end, "an end is an end");
    o.at = r.at;
    kvi_lsm_journal_reader_close(&r);
    return o;
}

/* A small journal, all of it or the first two of four records under the watermark. */
static inline void small_journal(kvt_memfile *f, content *c, bool all_synced)
{
    const size_t lens[] = {5, 64, 1, 203};
    kvi_lsm_journal j;

    kvt_memfile_init(f);
    journal_start(&j, f, NUMBER);
    write_records(&j, c, lens, 4);
    OK(kvi_lsm_journal_watermark(&j, c->ends[1]));
    OK(kvi_lsm_journal_watermark(&j, c->ends[all_synced ? 4 : 2]));
    OK(kvi_lsm_journal_close(&j));
}

#endif
