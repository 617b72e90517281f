/*
 * Journals: files of checked records in order (the bytes: journal_format.h). A log segment is
 * written at reserved offsets by many threads, through a map or by pwrite; a manifest is appended
 * to by one.
 *
 * 1. kvi_lsm_journal is the file with what binds its checksums. All but generation is fixed once
 *    the journal is set up, so functions on distinct ranges of it may run at once. The watermark
 *    has one writer at a time.
 * 2. A file number is given to one journal of a kind, ever; a recycled file gets a higher one than
 *    it had. So nothing that an earlier journal left can pass for a record of this one.
 * 3. Header and name are synced before the first record is written: a record behind a header, or
 *    under a name, that is not its own is corruption, not a creation that was cut short.
 * 4. A watermark is written only after the sync that makes it true.
 */
#ifndef KVI_LSM_JOURNAL_H
#define KVI_LSM_JOURNAL_H

#include "base/buf.h"
#include "lsm/journal_format.h"
#include "os/fs.h"

typedef struct kvi_lsm_journal {
    kvi_os_file *file; /* owned */
    uint64_t file_no;
    uint64_t seed; /* of its checksums */
    uint8_t *map;  /* the file's first map_len bytes, or NULL: written by pwrite */
    size_t map_len;
    uint64_t generation; /* of the watermark that is written next */
} kvi_lsm_journal;

/** Writes the header block, and nothing behind it, over a file that is new or recycled. Not synced
 *  here. On success the journal owns file. */
int kvi_lsm_journal_begin(kvi_lsm_journal *j, kvi_os_file *file, enum kvi_journal_kind kind,
                          const uint8_t store_id[16], uint64_t file_no) KVI_NODISCARD;

/** Maps the first len bytes, which were written before; later writes go through the map. KV_OK also
 *  where the file cannot be mapped: then it is written by pwrite. */
int kvi_lsm_journal_map(kvi_lsm_journal *j, size_t len) KVI_NODISCARD;

/** What a record with this payload takes up in the file. */
size_t kvi_lsm_journal_record_len(size_t payload_len);

/** Fills in header and padding of a record whose payload stands at record +
 *  KVI_JOURNAL_RECORD_HEADER already. record has kvi_lsm_journal_record_len(payload_len) bytes and
 *  will stand (or stands, in the map) at offset. */
void kvi_lsm_journal_seal(const kvi_lsm_journal *j, uint8_t *record, uint64_t offset,
                          uint32_t payload_len, uint32_t count);

/** Writes a sealed record at its offset, where there is no map. */
int kvi_lsm_journal_write(const kvi_lsm_journal *j, uint64_t offset, const uint8_t *record,
                          size_t len) KVI_NODISCARD;

/** fdatasync. */
int kvi_lsm_journal_sync(const kvi_lsm_journal *j) KVI_NODISCARD;

/** Notes that everything before offset, a record's end, is synced. Written, not synced: it reaches
 *  the disk with a later sync. After a failure the one before is still there. */
int kvi_lsm_journal_watermark(kvi_lsm_journal *j, uint64_t offset) KVI_NODISCARD;

/** Unmaps and closes; zeroes the journal. Safe on a zeroed one. */
int kvi_lsm_journal_close(kvi_lsm_journal *j);

/* --- reading ------------------------------------------------------------------------------ */

typedef struct kvi_lsm_record {
    kvi_slice payload; /* the reader's until its next call */
    uint32_t count;
    uint64_t offset; /* of the record */
} kvi_lsm_record;

/** One thread at a time. */
typedef struct kvi_lsm_journal_reader {
    const kvi_mem *mem;
    kvi_os_file *file;              /* borrowed */
    char name[KVI_OS_NAME_MAX + 1]; /* for details */
    uint64_t file_no, seed, file_size;
    uint64_t at;         /* where the next record stands: at the end, where the good ones end */
    uint64_t synced;     /* the newest valid watermark, 0: none */
    uint64_t generation; /* of that one, 0: none */
    bool begun;          /* the header is this journal's; otherwise it holds no record */
    kvi_buf chunk;       /* private: what was read ahead, from chunk_at */
    uint64_t chunk_at;
} kvi_lsm_journal_reader;

/**
 * Reads header and watermarks. A header that is not this journal's (of another number: recycled and
 * not begun, or renamed and not synced; torn or missing: creation not finished) makes an empty one,
 * except where a good first record or a valid watermark shows that it was begun, or that a later
 * journal is at work in the file: KV_ECORRUPT. So is a header of another kind or store. A newer
 * format with a right checksum: KV_EFORMAT. name is copied.
 */
int kvi_lsm_journal_reader_open(kvi_lsm_journal_reader *r, const kvi_mem *mem, kvi_os_file *file,
                                const char *name, enum kvi_journal_kind kind,
                                const uint8_t store_id[16], uint64_t file_no) KVI_NODISCARD;

/** The next record; KV_ENOTFOUND at the end or at a torn tail; KV_ECORRUPT at a bad record before
 *  the watermark. */
int kvi_lsm_journal_reader_next(kvi_lsm_journal_reader *r, kvi_lsm_record *out) KVI_NODISCARD;
void kvi_lsm_journal_reader_close(kvi_lsm_journal_reader *r);

/** Sets up the journal that was read, for more watermarks; file, which the reader read, is the
 *  journal's from here on. Nothing is written. */
void kvi_lsm_journal_adopt(kvi_lsm_journal *j, kvi_os_file *file, const kvi_lsm_journal_reader *r);

#endif
