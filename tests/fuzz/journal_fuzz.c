/*
 * The journal reader and the op reader over an arbitrary file.
 *
 * The first byte says how much help the input gets: bit 0: a good header and watermark slots are
 * put in front, so that the input is records alone; bit 1: the checksums of what looks like a
 * record are made right, so that what is in the records is reached; bit 2: the newest watermark is
 * at the end of those. Bit 3: the kind is the manifest's.
 *
 * Held: reading ends, within the file; every record that comes has a right checksum and a place
 * behind the one before; what was sealed and not damaged is read to its end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "lsm/journal.h"
#include "lsm/journal_check.h"
#include "lsm/log_record.h"
#include "support/memfile.h"

#define NUMBER 7u

enum { GOOD_HEADER = 1, SEALED = 2, WATERMARK = 4, MANIFEST = 8 };

static const uint8_t STORE[16] = "a store's number";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes the checksums of the records right; returns where they end. */
static size_t seal_records(uint8_t *bytes, size_t len, uint64_t seed)
{
    size_t at = KVI_JOURNAL_HEADER_LEN;

    while (at < len && len - at >= KVI_JOURNAL_RECORD_HEADER) {
        uint8_t *record = bytes + at;
        uint32_t payload_len = kvi_get_u32(record + KVI_JOURNAL_RECORD_AT_LEN);
        uint32_t count = kvi_get_u32(record + KVI_JOURNAL_RECORD_AT_COUNT);
        size_t left = len - at, record_len;

        if (payload_len == 0 || payload_len > left)
            break;
        record_len = kvi_lsm_journal_record_len(payload_len);
        if (record_len > left)
            break;
        kvi_put_u64(record + KVI_JOURNAL_RECORD_AT_CHECKSUM,
                    kvi_lsm_journal_record_sum(seed, at, record + KVI_JOURNAL_RECORD_HEADER,
                                               payload_len, count));
        at += record_len;
    }
    return kvi_min_size(at, len);
}

static void put_slot(uint8_t *bytes, uint64_t seed, uint64_t synced)
{
    uint8_t *slot = bytes + KVI_JOURNAL_SLOT_B;

    kvi_put_u64(slot + KVI_JOURNAL_SLOT_AT_GENERATION, UINT64_MAX);
    kvi_put_u64(slot + KVI_JOURNAL_SLOT_AT_OFFSET, synced);
    kvi_put_u64(slot + KVI_JOURNAL_SLOT_AT_CHECKSUM,
                kvi_lsm_journal_slot_sum(seed, KVI_JOURNAL_SLOT_B, slot));
}

static void read_ops(kvi_slice payload, uint32_t count)
{
    kvi_lsm_op_reader r;
    kvi_slice key, value;
    uint64_t tag, last = 0;
    uint8_t sum = 0;

    if (kvi_lsm_op_reader_init(&r, payload, count) != KV_OK)
        return;
    while (kvi_lsm_op_reader_next(&r, &tag, &key, &value) == KV_OK) {
        KVI_ASSERT(kvi_kind_known(kvi_tag_kind(tag)) && kvi_tag_seq(tag) > last);
        KVI_ASSERT(key.len > 0 && key.len <= KVI_LSM_KEY_MAX);
        last = kvi_tag_seq(tag);
        for (size_t i = 0; i < key.len; i++) /* every byte can be read */
            sum ^= kvi_slice_bytes(key)[i];
        for (size_t i = 0; i < value.len; i++)
            sum ^= kvi_slice_bytes(value)[i];
    }
    *(volatile uint8_t *)&sum = sum;
}

static void read_file(kvt_memfile *f, enum kvi_journal_kind kind, size_t sealed_end)
{
    uint64_t seed = kvi_lsm_journal_seed(kind, STORE, NUMBER), end = KVI_JOURNAL_HEADER_LEN;
    kvi_lsm_journal_reader r;
    kvi_lsm_record record;
    kvi_mem mem;
    int err;

    kvi_mem_init(&mem, NULL);
    err = kvi_lsm_journal_reader_open(&r, &mem, &f->base, "fuzz", kind, STORE, NUMBER);
    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT || err == KV_EFORMAT);
    KVI_ASSERT(err == KV_OK || sealed_end == 0);
    if (err)
        return;
    while ((err = kvi_lsm_journal_reader_next(&r, &record)) == KV_OK) {
        const uint8_t *at = f->data + record.offset;

        KVI_ASSERT(record.offset == end && record.payload.len > 0);
        end += kvi_lsm_journal_record_len(record.payload.len);
        KVI_ASSERT(end <= f->len && r.at == end);
        KVI_ASSERT(
            memcmp(at + KVI_JOURNAL_RECORD_HEADER, record.payload.data, record.payload.len) == 0);
        KVI_ASSERT(kvi_get_u64(at + KVI_JOURNAL_RECORD_AT_CHECKSUM) ==
                   kvi_lsm_journal_record_sum(seed, record.offset, record.payload.data,
                                              (uint32_t)record.payload.len, record.count));
        read_ops(record.payload, record.count);
    }
    KVI_ASSERT(err == (end < r.synced ? KV_ECORRUPT : KV_ENOTFOUND));
    KVI_ASSERT(sealed_end == 0 || (err == KV_ENOTFOUND && end == sealed_end));
    kvi_lsm_journal_reader_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum kvi_journal_kind kind = KVI_JOURNAL_LOG;
    size_t sealed_end = 0;
    kvi_lsm_journal j;
    kvt_memfile f;
    uint8_t how;

    if (size == 0)
        return 0;
    how = *data++;
    size--;
    if (how & MANIFEST)
        kind = KVI_JOURNAL_MANIFEST;
    kvt_memfile_init(&f);
    if (how & GOOD_HEADER) {
        if (kvi_lsm_journal_begin(&j, &f.base, kind, STORE, NUMBER) != KV_OK ||
            (size > 0 && f.base.ops->write(&f.base, KVI_JOURNAL_HEADER_LEN, data, size) != KV_OK))
            abort();
    } else {
        kvt_memfile_set(&f, data, size);
        if ((how & SEALED) && size >= KVI_JOURNAL_HEADER_USED)
            kvi_put_u64(f.data + KVI_JOURNAL_AT_CHECKSUM, kvi_lsm_journal_header_sum(f.data));
    }
    if ((how & SEALED) && f.len >= KVI_JOURNAL_HEADER_LEN) {
        uint64_t seed = kvi_lsm_journal_seed(kind, STORE, NUMBER);
        size_t end = seal_records(f.data, f.len, seed);

        if (how & WATERMARK)
            put_slot(f.data, seed, end);
        if (how & GOOD_HEADER)
            sealed_end = end;
    }
    read_file(&f, kind, sealed_end);
    kvt_memfile_deinit(&f);
    return 0;
}
