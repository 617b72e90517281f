/*
 * Writing the manifest; see manifest.h for the contract.
 */
#include "lsm/manifest.h"

#include "base/check.h"
#include "base/error.h"
#include "lsm/manifest_record.h"
#include "lsm/names.h"

void kvi_lsm_manifest_init(kvi_lsm_manifest *m, const kvi_mem *mem, kvi_os_dir *dir)
{
    *m = (kvi_lsm_manifest){.mem = mem, .dir = dir};
}

static int refuse(const kvi_lsm_manifest *m)
{
    return kvi_error_set(m->broken, "the manifest could not be written before; reopen the store");
}

/* Seals the record whose payload stands in b behind room for its header, and writes and syncs it. */
static int write_record(kvi_lsm_journal *j, kvi_buf *b, uint32_t count, uint64_t at)
{
    size_t payload_len = b->len - KVI_JOURNAL_RECORD_HEADER;
    size_t len = kvi_lsm_journal_record_len(payload_len);
    int err;

    KVI_ASSERT(payload_len > 0 && len <= b->cap);
    kvi_lsm_journal_seal(j, b->data, at, (uint32_t)payload_len, count);
    b->len = len;
    err = kvi_lsm_journal_write(j, at, b->data, len);
    return err ? err : kvi_lsm_journal_sync(j);
}

/* Room for a record's header, in front of the payload. */
static int begin_record(kvi_buf *b, const kvi_mem *mem)
{
    int err;

    kvi_buf_init(b, mem);
    err = kvi_buf_reserve(b, KVI_JOURNAL_RECORD_HEADER);
    if (!err)
        b->len = KVI_JOURNAL_RECORD_HEADER;
    return err;
}

/* Room for what kvi_lsm_journal_seal fills up. */
static int end_record(kvi_buf *b)
{
    return kvi_buf_reserve(b, KVI_JOURNAL_ALIGN);
}

/* --- rolling ------------------------------------------------------------------------------ */

/* Creates the file of a manifest, in place of what a crash may have left. */
static int create_file(kvi_os_dir *dir, const char *name, kvi_os_file **out)
{
    int err = dir->ops->unlink(dir, name);

    if (err && err != KV_ENOENT)
        return err;
    return dir->ops->open(dir, name, KVI_OS_CREATE, out);
}

/* Everything up to the synced content of a new manifest, without its name. The watermark is synced
 * as well: all of the new manifest is protected from its first moment. */
static int write_manifest(kvi_os_dir *dir, const char *name, const kvi_lsm_store *store,
                          uint64_t manifest_no, kvi_buf *record, uint32_t count,
                          kvi_lsm_journal *out)
{
    kvi_lsm_journal j = {0};
    kvi_os_file *file;
    int err = create_file(dir, name, &file);

    if (err)
        return err;
    err = kvi_lsm_journal_begin(&j, file, KVI_JOURNAL_MANIFEST, store->id, manifest_no);
    if (err) {
        (void)file->ops->close(file);
        return err;
    }
    err = write_record(&j, record, count, KVI_JOURNAL_HEADER_LEN);
    if (!err)
        err = kvi_lsm_journal_watermark(&j, KVI_JOURNAL_HEADER_LEN + record->len);
    if (!err)
        err = kvi_lsm_journal_sync(&j);
    if (err) {
        (void)kvi_lsm_journal_close(&j);
        return err;
    }
    *out = j;
    return KV_OK;
}

/* The steps of a roll behind the encoding. *switching: CURRENT may have changed. */
static int roll(kvi_os_dir *dir, const kvi_lsm_store *store, uint64_t manifest_no, kvi_buf *record,
                uint32_t count, kvi_lsm_journal *out, bool *switching)
{
    kvi_lsm_journal j = {0};
    kvi_lsm_name name;
    int err;

    kvi_lsm_name_manifest(name, manifest_no);
    err = write_manifest(dir, name, store, manifest_no, record, count, &j);
    if (!err)
        err = dir->ops->sync(dir);
    if (!err)
        err = kvi_lsm_current_prepare(dir, store->id, manifest_no);
    if (!err) {
        *switching = true;
        err = kvi_lsm_current_switch(dir);
    }
    if (!err) {
        *out = j;
        return KV_OK;
    }
    (void)kvi_lsm_journal_close(&j);
    if (!*switching) { /* where this fails, the next open does it */
        (void)dir->ops->unlink(dir, name);
        (void)dir->ops->unlink(dir, KVI_LSM_NAME_CURRENT_TMP);
    }
    return err;
}

int kvi_lsm_manifest_roll(kvi_lsm_manifest *m, const kvi_lsm_state *state, uint64_t manifest_no)
{
    kvi_lsm_journal j;
    bool switching = false;
    uint32_t count = 0;
    kvi_buf record;
    int err;

    KVI_ASSERT(manifest_no > 0 && manifest_no <= KVI_LSM_FILE_NO_MAX);
    KVI_ASSERT(!m->journal.file || manifest_no > m->journal.file_no);
    if (m->broken)
        return refuse(m);
    err = begin_record(&record, m->mem);
    if (!err)
        err = kvi_lsm_manifest_encode_state(state, &record, &count);
    if (!err)
        err = end_record(&record);
    if (!err)
        err = roll(m->dir, &state->store, manifest_no, &record, count, &j, &switching);
    if (!err) {
        (void)kvi_lsm_journal_close(&m->journal); /* nothing in it counts any more */
        m->journal = j;
        m->end = m->full_end = KVI_JOURNAL_HEADER_LEN + record.len;
    } else if (switching) {
        m->broken = err;
    }
    kvi_buf_deinit(&record);
    return err;
}

bool kvi_lsm_manifest_is_long(const kvi_lsm_manifest *m)
{
    return m->end >= KVI_LSM_MANIFEST_ROLL && m->end / 2 >= m->full_end;
}

/* --- appending ---------------------------------------------------------------------------- */

/* The payload is in record. From the write on, every failure breaks the manifest. */
static int append_record(kvi_lsm_manifest *m, kvi_buf *record, uint32_t count)
{
    int err = write_record(&m->journal, record, count, m->end);

    if (err) {
        m->broken = err;
        return err;
    }
    m->end += record->len;
    /* The edit is in force, whatever becomes of this. */
    m->broken = kvi_lsm_journal_watermark(&m->journal, m->end);
    return KV_OK;
}

int kvi_lsm_manifest_append(kvi_lsm_manifest *m, const kvi_lsm_edit *e)
{
    uint32_t count = 0;
    kvi_buf record;
    int err;

    if (m->broken)
        return refuse(m);
    KVI_ASSERT(m->journal.file && m->end >= m->full_end);
    err = begin_record(&record, m->mem);
    if (!err)
        err = kvi_lsm_manifest_encode_edit(e, &record, &count);
    if (!err)
        err = end_record(&record);
    if (!err && count > 0)
        err = append_record(m, &record, count);
    kvi_buf_deinit(&record);
    return err;
}

void kvi_lsm_manifest_close(kvi_lsm_manifest *m)
{
    (void)kvi_lsm_journal_close(&m->journal); /* each edit was synced when it was appended */
    *m = (kvi_lsm_manifest){.mem = m->mem, .dir = m->dir};
}
