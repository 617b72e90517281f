/*
 * Reading journals; see journal.h for the contract, journal_format.h for the bytes.
 *
 * Nothing that was read is used before it is checked: a length is held against what the file still
 * has before memory is taken for it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "lsm/journal.h"
#include "lsm/journal_check.h"

/* What one read asks for, where a record does not need more. */
#define READ_AHEAD ((size_t)256 << 10)

static int corrupt(const kvi_lsm_journal_reader *r, const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "%s: %s", r->name, why);
}

/* Bytes [at, at + len), which the file has; good until the next fetch. */
static int fetch(kvi_lsm_journal_reader *r, uint64_t at, size_t len, const uint8_t **out)
{
    uint64_t left = r->file_size - at;
    size_t want, got;
    int err;

    KVI_ASSERT(at <= r->file_size && len > 0 && len <= left);
    if (at < r->chunk_at || at - r->chunk_at > r->chunk.len ||
        len > r->chunk.len - (size_t)(at - r->chunk_at)) {
        want = kvi_max_size(len, (size_t)kvi_min_u64(left, READ_AHEAD));
        kvi_buf_clear(&r->chunk);
        err = kvi_buf_reserve(&r->chunk, want);
        if (err)
            return err;
        err = r->file->ops->read(r->file, at, r->chunk.data, want, &got);
        if (err)
            return err;
        if (got < len)
            return kvi_error_set(KV_EIO, "%s: shrank below %" PRIu64 " bytes while it was read",
                                 r->name, r->file_size);
        r->chunk.len = got;
        r->chunk_at = at;
    }
    *out = r->chunk.data + (size_t)(at - r->chunk_at);
    return KV_OK;
}

/* The record at offset at of the journal of this seed. KV_OK with *why NULL and *out set, or with
 * *why set where there is none. */
static int record_at(kvi_lsm_journal_reader *r, uint64_t seed, uint64_t at, kvi_lsm_record *out,
                     const char **why)
{
    uint64_t left = r->file_size - at, sum;
    uint32_t payload_len, count;
    const uint8_t *p;
    size_t len;
    int err;

    *why = "the file ends";
    if (left < KVI_JOURNAL_RECORD_HEADER)
        return KV_OK;
    err = fetch(r, at, KVI_JOURNAL_RECORD_HEADER, &p);
    if (err)
        return err;
    payload_len = kvi_get_u32(p + KVI_JOURNAL_RECORD_AT_LEN);
    count = kvi_get_u32(p + KVI_JOURNAL_RECORD_AT_COUNT);
    sum = kvi_get_u64(p + KVI_JOURNAL_RECORD_AT_CHECKSUM);
    *why = "there is no record";
    if (payload_len == 0 || payload_len > KVI_JOURNAL_PAYLOAD_MAX)
        return KV_OK;
    len = kvi_lsm_journal_record_len(payload_len);
    *why = "the record's length passes the end of the file";
    if (len > left)
        return KV_OK;
    err = fetch(r, at, len, &p);
    if (err)
        return err;
    p += KVI_JOURNAL_RECORD_HEADER;
    *why = "the record's checksum is wrong";
    if (sum != kvi_lsm_journal_record_sum(seed, at, p, payload_len, count))
        return KV_OK;

    *why = NULL;
    out->payload = kvi_slice_of(p, payload_len);
    out->count = count;
    out->offset = at;
    return KV_OK;
}

/* The newest watermark that is valid under this seed, or 0. */
static int newest_watermark(kvi_lsm_journal_reader *r, uint64_t seed, uint64_t *synced,
                            uint64_t *newest)
{
    static const uint32_t places[] = {KVI_JOURNAL_SLOT_A, KVI_JOURNAL_SLOT_B};

    *newest = *synced = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint64_t generation, offset;
        const uint8_t *slot;
        int err;

        if (r->file_size < places[i] + KVI_JOURNAL_SLOT_LEN)
            continue;
        err = fetch(r, places[i], KVI_JOURNAL_SLOT_LEN, &slot);
        if (err)
            return err;
        if (kvi_get_u64(slot + KVI_JOURNAL_SLOT_AT_CHECKSUM) !=
            kvi_lsm_journal_slot_sum(seed, places[i], slot))
            continue;
        generation = kvi_get_u64(slot + KVI_JOURNAL_SLOT_AT_GENERATION);
        offset = kvi_get_u64(slot + KVI_JOURNAL_SLOT_AT_OFFSET);
        if (generation <= *newest || offset < KVI_JOURNAL_HEADER_LEN ||
            offset % KVI_JOURNAL_ALIGN != 0)
            continue;
        *newest = generation;
        *synced = offset;
    }
    return KV_OK;
}

/* Whether the journal of this seed was at work here: KV_ECORRUPT with why, else KV_OK. */
static int deny(kvi_lsm_journal_reader *r, uint64_t seed, const char *why)
{
    kvi_lsm_record record;
    const char *none;
    uint64_t synced, generation;
    int err = newest_watermark(r, seed, &synced, &generation);

    if (err)
        return err;
    if (synced > 0)
        return corrupt(r, why);
    if (r->file_size < KVI_JOURNAL_HEADER_LEN)
        return KV_OK;
    err = record_at(r, seed, KVI_JOURNAL_HEADER_LEN, &record, &none);
    if (err)
        return err;
    return none ? KV_OK : corrupt(r, why);
}

/* What the header says. *number: whose it is; 0: there is none. */
static int read_header(kvi_lsm_journal_reader *r, enum kvi_journal_kind kind,
                       const uint8_t store_id[16], uint64_t *number)
{
    const uint8_t *header;
    uint32_t format;
    int err;

    *number = 0;
    if (r->file_size < KVI_JOURNAL_HEADER_USED)
        return KV_OK;
    err = fetch(r, 0, KVI_JOURNAL_HEADER_USED, &header);
    if (err)
        return err;
    if (kvi_get_u32(header + KVI_JOURNAL_AT_MAGIC) != KVI_JOURNAL_MAGIC ||
        kvi_get_u64(header + KVI_JOURNAL_AT_CHECKSUM) != kvi_lsm_journal_header_sum(header))
        return KV_OK;
    format = kvi_get_u32(header + KVI_JOURNAL_AT_FORMAT);
    if (format > KVI_JOURNAL_FORMAT)
        return kvi_error_set(
            KV_EFORMAT, "%s: has format %" PRIu32 ", this library knows up to %u; use a newer one",
            r->name, format, KVI_JOURNAL_FORMAT);
    if (format == 0 || kvi_get_u32(header + KVI_JOURNAL_AT_ZERO) != 0 ||
        kvi_get_u64(header + KVI_JOURNAL_AT_ZERO_TOO) != 0)
        return corrupt(r, "its header is not one of format 1");
    if (kvi_get_u32(header + KVI_JOURNAL_AT_KIND) != (uint32_t)kind)
        return corrupt(r, "holds a journal of another kind");
    if (memcmp(header + KVI_JOURNAL_AT_STORE, store_id, 16) != 0)
        return corrupt(r, "belongs to another store");
    *number = kvi_get_u64(header + KVI_JOURNAL_AT_NUMBER);
    return *number > 0 ? KV_OK : corrupt(r, "its header has no file number");
}

/* Sets begun and synced. */
static int begin_reading(kvi_lsm_journal_reader *r, enum kvi_journal_kind kind,
                         const uint8_t store_id[16], uint64_t file_no)
{
    uint64_t number;
    int err = read_header(r, kind, store_id, &number);

    if (err)
        return err;
    if (number == file_no && r->file_size >= KVI_JOURNAL_HEADER_LEN) {
        r->begun = true;
        return newest_watermark(r, r->seed, &r->synced, &r->generation);
    }
    /* Nothing was begun here, unless something tells otherwise. What an earlier journal left is no
     * matter; one of a higher number that was at work would have had its own name. */
    err = deny(r, r->seed, "its header is damaged or cut short, but the journal was in use");
    if (!err && number > file_no)
        err = deny(r, kvi_lsm_journal_seed(kind, store_id, number),
                   "holds another, later journal: the file was replaced");
    return err;
}

int kvi_lsm_journal_reader_open(kvi_lsm_journal_reader *r, const kvi_mem *mem, kvi_os_file *file,
                                const char *name, enum kvi_journal_kind kind,
                                const uint8_t store_id[16], uint64_t file_no)
{
    kvi_lsm_journal_reader n = {
        .mem = mem, .file = file, .file_no = file_no, .at = KVI_JOURNAL_HEADER_LEN};
    int err;

    KVI_ASSERT(strlen(name) <= KVI_OS_NAME_MAX);
    memcpy(n.name, name, strlen(name) + 1);
    n.seed = kvi_lsm_journal_seed(kind, store_id, file_no);
    kvi_buf_init(&n.chunk, mem);
    err = file->ops->size(file, &n.file_size);
    if (!err)
        err = begin_reading(&n, kind, store_id, file_no);
    if (err) {
        kvi_buf_deinit(&n.chunk);
        return err;
    }
    *r = n;
    return KV_OK;
}

int kvi_lsm_journal_reader_next(kvi_lsm_journal_reader *r, kvi_lsm_record *out)
{
    kvi_lsm_record record;
    const char *why;
    uint64_t end = 0;
    int err;

    if (!r->begun)
        return KV_ENOTFOUND;
    KVI_ASSERT(r->at <= r->file_size);
    err = record_at(r, r->seed, r->at, &record, &why);
    if (err)
        return err;
    if (!why) {
        end = r->at + kvi_lsm_journal_record_len(record.payload.len);
        /* The watermark is a record's end, so a record that passes it was not there when it was
           set. */
        if (r->at < r->synced && end > r->synced)
            why = "the record passes the synced offset";
    }
    if (why && r->at >= r->synced)
        return KV_ENOTFOUND;
    if (why)
        return kvi_error_set(KV_ECORRUPT,
                             "%s: offset %" PRIu64 ": %s, and all up to %" PRIu64 " was synced",
                             r->name, r->at, why, r->synced);
    r->at = end;
    *out = record;
    return KV_OK;
}

void kvi_lsm_journal_reader_close(kvi_lsm_journal_reader *r)
{
    kvi_buf_deinit(&r->chunk);
    r->begun = false;
}
