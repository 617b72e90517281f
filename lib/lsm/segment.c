/*
 * Segments: the files that the log is made of. A segment is written with zeros to its full size
 * and synced before it is used, so that a record goes into blocks that the disk has already, and a
 * sync writes data alone; flushed ones are used again under a new number.
 *
 * 1. One segment is always being prepared or ready, so that a writer seldom waits for it.
 * 2. Header and name of a segment are on the disk before a record is written to it.
 * 3. Numbers ascend in the order of use.
 * 4. A segment becomes spare only when everything in it is in tables and no sync is at work on it.
 */
#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/names.h"

#define SPARE_MAX  4u
#define ZERO_CHUNK (64u << 10)

/** Fills [from, to) of the file with zeros. */
static int write_zeros(kvi_lsm *l, kvi_os_file *file, uint64_t from, uint64_t to)
{
    size_t chunk = (size_t)kvi_min_u64(ZERO_CHUNK, to - from);
    uint8_t *zeros = kvi_mem_zalloc(l->mem, chunk, 1);
    int r = KV_OK;

    if (!zeros)
        return kvi_error_set(KV_ENOMEM, "no memory to prepare a log segment");
    while (r == KV_OK && from < to) {
        size_t n = (size_t)kvi_min_u64(chunk, to - from);

        r = file->ops->write(file, from, zeros, n);
        from += n;
    }
    kvi_mem_free(l->mem, zeros);
    return r;
}

/** A spare segment of at least bytes, off the list and closed; NULL: none. Its file is old_no and
 *  stays. */
static kvi_lsm_segment *take_spare(kvi_lsm *l, uint64_t bytes)
{
    kvi_lsm_segment *found = NULL;

    kvi_os_mutex_lock(&l->write_lock);
    KVI_LIST_EACH(n, &l->spare) {
        kvi_lsm_segment *s = KVI_CONTAINER_OF(n, kvi_lsm_segment, link);

        if (s->capacity < bytes)
            continue;
        kvi_list_remove(&s->link);
        l->spare_count--;
        found = s;
        break;
    }
    kvi_os_mutex_unlock(&l->write_lock);
    return found;
}

/** Opens the file of segment number no: a renamed spare one, or a new one full of zeros. */
static int open_file(kvi_lsm *l, uint64_t no, uint64_t bytes, uint64_t *capacity, kvi_os_file **out)
{
    kvi_lsm_segment *spare = take_spare(l, bytes);
    kvi_os_file *file;
    kvi_lsm_name name, old;
    int r;

    kvi_lsm_name_log(name, no);
    if (spare) {
        kvi_lsm_name_log(old, spare->journal.file_no);
        *capacity = spare->capacity;
        kvi_lsm_segment_free(l, spare);
        r = l->dir->ops->rename(l->dir, old, name);
        if (r < 0)
            (void)l->dir->ops->unlink(l->dir, old); /* else the next open does it */
        return r < 0 ? r : l->dir->ops->open(l->dir, name, KVI_OS_WRITE, out);
    }
    r = l->dir->ops->open(l->dir, name, KVI_OS_CREATE, &file);
    if (r < 0)
        return r;
    r = write_zeros(l, file, 0, bytes);
    if (r < 0) {
        (void)file->ops->close(file);
        return r;
    }
    *capacity = bytes;
    *out = file;
    return KV_OK;
}

int kvi_lsm_segment_prepare(kvi_lsm *l, uint64_t bytes, kvi_lsm_segment **out)
{
    kvi_lsm_segment *s = kvi_mem_zalloc(l->mem, 1, sizeof *s);
    uint64_t no = kvi_lsm_new_file_no(l);
    kvi_os_file *file = NULL;
    kvi_lsm_name name;
    int r;

    if (!s)
        return kvi_error_set(KV_ENOMEM, "no memory for a log segment");
    kvi_list_init(&s->link);
    r = open_file(l, no, kvi_align_up(bytes, KVI_JOURNAL_HEADER_LEN), &s->capacity, &file);
    if (r < 0)
        goto fail;
    r = kvi_lsm_journal_begin(&s->journal, file, KVI_JOURNAL_LOG, l->store.id, no);
    if (r < 0)
        goto fail;
    file = NULL;
    if (l->mapped)
        r = kvi_lsm_journal_map(&s->journal, (size_t)s->capacity);
    if (r == KV_OK)
        r = kvi_lsm_journal_sync(&s->journal);
    if (r == KV_OK)
        r = l->dir->ops->sync(l->dir);
    if (r < 0)
        goto fail;
    s->used = s->published = s->synced = KVI_JOURNAL_HEADER_LEN;
    *out = s;
    return KV_OK;
fail:
    if (file)
        (void)file->ops->close(file);
    kvi_lsm_segment_free(l, s);
    kvi_lsm_name_log(name, no);
    (void)l->dir->ops->unlink(l->dir, name);
    return r;
}

void kvi_lsm_segment_free(kvi_lsm *l, kvi_lsm_segment *s)
{
    if (!s)
        return;
    KVI_ASSERT(s->pins == 0);
    (void)kvi_lsm_journal_close(&s->journal);
    kvi_mem_free(l->mem, s);
}

bool kvi_lsm_segment_room(kvi_lsm *l, size_t record_len)
{
    kvi_lsm_segment *s = KVI_CONTAINER_OF(l->segments.prev, kvi_lsm_segment, link);

    KVI_ASSERT(kvi_os_mutex_held(&l->write_lock) && !kvi_list_empty(&l->segments));
    if (s->capacity - s->used >= record_len)
        return true;
    if (l->ready && l->ready->capacity - l->ready->used >= record_len) {
        kvi_list_push_back(&l->segments, &l->ready->link);
        l->ready = NULL;
        kvi_lsm_task_request(&l->segment_task);
        return true;
    }
    l->ready_want = kvi_max_u64(l->ready_want, record_len + KVI_JOURNAL_HEADER_LEN);
    return false;
}

uint64_t kvi_lsm_segments_floor(kvi_lsm *l, uint64_t seq)
{
    uint64_t floor = 0;

    kvi_os_mutex_lock(&l->write_lock);
    KVI_LIST_EACH(n, &l->segments) {
        const kvi_lsm_segment *s = KVI_CONTAINER_OF(n, kvi_lsm_segment, link);

        if (s->last_seq > seq || n->next == &l->segments) {
            floor = s->journal.file_no;
            break;
        }
    }
    kvi_os_mutex_unlock(&l->write_lock);
    return floor ? floor : atomic_load(&l->next_file);
}

void kvi_lsm_segments_retire(kvi_lsm *l)
{
    uint64_t flushed = atomic_load(&l->flushed_seq);

    KVI_ASSERT(kvi_os_mutex_held(&l->write_lock));
    while (!kvi_list_empty(&l->segments)) {
        kvi_lsm_segment *s = KVI_LIST_FIRST(&l->segments, kvi_lsm_segment, link);

        if (s->last_seq > flushed || s->pins > 0 || (l->log && s->link.next == &l->segments))
            return;
        kvi_list_remove(&s->link);
        kvi_list_push_back(&l->spare, &s->link);
        l->spare_count++;
    }
}

/** Deletes spare segments beyond what recycling needs. */
static void trim_spare(kvi_lsm *l)
{
    for (;;) {
        kvi_lsm_segment *s = NULL;
        kvi_lsm_name name;

        kvi_os_mutex_lock(&l->write_lock);
        if (l->spare_count > SPARE_MAX) {
            s = KVI_LIST_FIRST(&l->spare, kvi_lsm_segment, link);
            kvi_list_remove(&s->link);
            l->spare_count--;
        }
        kvi_os_mutex_unlock(&l->write_lock);
        if (!s)
            return;
        kvi_lsm_name_log(name, s->journal.file_no);
        kvi_lsm_segment_free(l, s);
        (void)l->dir->ops->unlink(l->dir, name); /* else the next open does it */
    }
}

void kvi_lsm_segment_run(void *lsm)
{
    kvi_lsm *l = lsm;
    kvi_lsm_segment *s = NULL;
    uint64_t bytes;
    bool wanted;
    int r;

    kvi_os_mutex_lock(&l->write_lock);
    bytes = kvi_max_u64(l->shape.segment_bytes, l->ready_want);
    wanted = !l->ready || l->ready->capacity < l->ready_want;
    if (wanted &&
        /* too small for the write that waits: its number is lower than the next one's */
        l->ready) {
        kvi_list_push_back(&l->spare, &l->ready->link);
        l->spare_count++;
        l->ready = NULL;
    }
    kvi_os_mutex_unlock(&l->write_lock);
    trim_spare(l);
    if (!wanted)
        return;

    r = kvi_lsm_segment_prepare(l, bytes, &s);
    if (r == KV_OK && l->mapped && !s->journal.map) {
        kvi_lsm_segment_free(l, s);
        r = kvi_error_set(KV_ENOMEM, "no address space to map a log segment");
    }
    if (r < 0) {
        kvi_os_log(&l->env, KV_LOG_ERROR, "no log segment could be prepared: %s",
                   kvi_error_detail());
        kvi_lsm_fail_stalled(l, r);
        return;
    }
    kvi_os_mutex_lock(&l->write_lock);
    KVI_ASSERT(!l->ready);
    l->ready = s;
    l->ready_want = 0;
    kvi_os_mutex_unlock(&l->write_lock);
    kvi_lsm_unstall(l);
}
