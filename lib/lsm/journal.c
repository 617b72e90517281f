/*
 * Writing journals; see journal.h for the contract, journal_format.h for the bytes.
 */
#include "lsm/journal.h"

#include <string.h>

#include "base/check.h"
#include "lsm/journal_check.h"

int kvi_lsm_journal_begin(kvi_lsm_journal *j, kvi_os_file *file, enum kvi_journal_kind kind,
                          const uint8_t store_id[16], uint64_t file_no)
{
    uint8_t block[KVI_JOURNAL_HEADER_LEN] = {0}; /* the slots of an earlier journal go as well */
    int err;

    KVI_ASSERT(file_no > 0);
    kvi_put_u32(block + KVI_JOURNAL_AT_MAGIC, KVI_JOURNAL_MAGIC);
    kvi_put_u32(block + KVI_JOURNAL_AT_FORMAT, KVI_JOURNAL_FORMAT);
    kvi_put_u32(block + KVI_JOURNAL_AT_KIND, (uint32_t)kind);
    memcpy(block + KVI_JOURNAL_AT_STORE, store_id, 16);
    kvi_put_u64(block + KVI_JOURNAL_AT_NUMBER, file_no);
    kvi_put_u64(block + KVI_JOURNAL_AT_CHECKSUM, kvi_lsm_journal_header_sum(block));
    err = file->ops->write(file, 0, block, sizeof block);
    if (err)
        return err;

    *j = (kvi_lsm_journal){
        .file = file,
        .file_no = file_no,
        .seed = kvi_lsm_journal_seed(kind, store_id, file_no),
        .generation = 1,
    };
    return KV_OK;
}

int kvi_lsm_journal_map(kvi_lsm_journal *j, size_t len)
{
    void *map;

    KVI_ASSERT(!j->map && len >= KVI_JOURNAL_HEADER_LEN);
    /* A file that could be written but not mapped is written; if the disk is at fault, that says
       so. */
    if (!j->file->ops->map || j->file->ops->map(j->file, len, &map) < 0)
        return KV_OK;
    j->map = map;
    j->map_len = len;
    return KV_OK;
}

size_t kvi_lsm_journal_record_len(size_t payload_len)
{
    KVI_ASSERT(payload_len <= KVI_JOURNAL_PAYLOAD_MAX);
    return (size_t)kvi_align_up(KVI_JOURNAL_RECORD_HEADER + payload_len, KVI_JOURNAL_ALIGN);
}

void kvi_lsm_journal_seal(const kvi_lsm_journal *j, uint8_t *record, uint64_t offset,
                          uint32_t payload_len, uint32_t count)
{
    uint8_t *payload = record + KVI_JOURNAL_RECORD_HEADER;
    size_t record_len = kvi_lsm_journal_record_len(payload_len);

    KVI_ASSERT(payload_len > 0);
    KVI_ASSERT(offset >= KVI_JOURNAL_HEADER_LEN && offset % KVI_JOURNAL_ALIGN == 0);
    memset(payload + payload_len, 0, record_len - KVI_JOURNAL_RECORD_HEADER - payload_len);
    kvi_put_u32(record + KVI_JOURNAL_RECORD_AT_LEN, payload_len);
    kvi_put_u32(record + KVI_JOURNAL_RECORD_AT_COUNT, count);
    kvi_put_u64(record + KVI_JOURNAL_RECORD_AT_CHECKSUM,
                kvi_lsm_journal_record_sum(j->seed, offset, payload, payload_len, count));
}

int kvi_lsm_journal_write(const kvi_lsm_journal *j, uint64_t offset, const uint8_t *record,
                          size_t len)
{
    KVI_ASSERT(!j->map);
    KVI_ASSERT(offset >= KVI_JOURNAL_HEADER_LEN && offset % KVI_JOURNAL_ALIGN == 0 &&
               len % KVI_JOURNAL_ALIGN == 0);
    return j->file->ops->write(j->file, offset, record, len);
}

int kvi_lsm_journal_sync(const kvi_lsm_journal *j)
{
    return j->file->ops->sync(j->file);
}

int kvi_lsm_journal_watermark(kvi_lsm_journal *j, uint64_t offset)
{
    uint32_t at = j->generation % 2 == 1 ? KVI_JOURNAL_SLOT_A : KVI_JOURNAL_SLOT_B;
    uint8_t slot[KVI_JOURNAL_SLOT_LEN];

    KVI_ASSERT(offset >= KVI_JOURNAL_HEADER_LEN && offset % KVI_JOURNAL_ALIGN == 0);
    kvi_put_u64(slot + KVI_JOURNAL_SLOT_AT_GENERATION, j->generation);
    kvi_put_u64(slot + KVI_JOURNAL_SLOT_AT_OFFSET, offset);
    kvi_put_u64(slot + KVI_JOURNAL_SLOT_AT_CHECKSUM, kvi_lsm_journal_slot_sum(j->seed, at, slot));
    if (j->map) {
        memcpy(j->map + at, slot, sizeof slot);
    } else {
        int err = j->file->ops->write(j->file, at, slot, sizeof slot);

        if (err)
            return err; /* the next try goes to the same slot: the other one stays good */
    }
    j->generation++;
    return KV_OK;
}

void kvi_lsm_journal_adopt(kvi_lsm_journal *j, kvi_os_file *file, const kvi_lsm_journal_reader *r)
{
    KVI_ASSERT(r->begun);
    *j = (kvi_lsm_journal){
        .file = file, .file_no = r->file_no, .seed = r->seed, .generation = r->generation + 1};
}

int kvi_lsm_journal_close(kvi_lsm_journal *j)
{
    kvi_os_file *file = j->file;

    if (j->map)
        file->ops->unmap(file, j->map, j->map_len);
    *j = (kvi_lsm_journal){0};
    return file ? file->ops->close(file) : KV_OK;
}
