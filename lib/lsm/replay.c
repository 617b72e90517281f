/*
 * Replaying the log; see replay.h.
 */
#include "lsm/replay.h"

#include "base/bytes.h"
#include "base/check.h"
#include "lsm/log_record.h"
#include "lsm/names.h"
#include "lsm/sort.h"

typedef struct log_finder {
    kvi_buf *numbers;
    uint64_t floor;
    int result;
} log_finder;

static void find_log(void *user, const char *name)
{
    log_finder *f = user;
    uint64_t number;

    if (f->result < 0 || kvi_lsm_name_parse(name, &number) != KVI_LSM_NAME_IS_LOG ||
        number < f->floor)
        return;
    if (f->numbers->len / sizeof number >= KVI_LSM_LOGS_MAX)
        f->result =
            kvi_error_set(KV_ECORRUPT, "the directory holds more than %u logs", KVI_LSM_LOGS_MAX);
    else
        f->result = kvi_buf_append(f->numbers, &number, sizeof number);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

int kvi_lsm_replay_init(kvi_lsm_replay *r, kvi_lsm *l, kvi_lsm_version *version, uint64_t flushed,
                        uint64_t floor)
{
    log_finder finder = {&r->numbers, floor, KV_OK};
    int result;

    *r = (kvi_lsm_replay){.lsm = l, .last_seq = flushed, .flushed = flushed};
    kvi_buf_init(&r->numbers, l->mem);
    kvi_list_init(&r->segments);
    r->version = version;
    kvi_lsm_version_ref(version);
    result = l->dir->ops->list(l->dir, find_log, &finder);
    if (result == KV_OK)
        result = finder.result;
    if (result == KV_OK && r->numbers.len > 0)
        kvi_lsm_sort(r->numbers.data, r->numbers.len / sizeof floor, sizeof floor, by_number);
    if (result == KV_OK)
        result = kvi_lsm_memtable_new(l->mem, l->budget, l->shape.memtable_bytes, &r->memtable);
    return result;
}

void kvi_lsm_replay_deinit(kvi_lsm_replay *r)
{
    kvi_lsm *l = r->lsm;

    while (!kvi_list_empty(&r->segments)) {
        kvi_lsm_segment *s = KVI_LIST_FIRST(&r->segments, kvi_lsm_segment, link);

        kvi_list_remove(&s->link);
        kvi_lsm_segment_free(l, s);
    }
    kvi_lsm_memtable_unref(r->memtable);
    kvi_lsm_version_unref(r->version);
    kvi_buf_deinit(&r->numbers);
}

/** The full memtable becomes a table, so that replay stays within the budget whatever the log
 *  holds. */
static int spill(kvi_lsm_replay *r, size_t need)
{
    kvi_lsm *l = r->lsm;
    kvi_lsm_file *f = NULL;
    kvi_lsm_version *next = NULL;
    kvi_lsm_memtable *fresh = NULL;
    kvi_lsm_edit edit;
    int result;

    kvi_lsm_edit_init(&edit, l->mem);
    atomic_store(&l->published, r->last_seq); /* what the sift takes for the newest */
    result = kvi_lsm_build_level0(l, r->memtable, r->version, &f);
    if (result == KV_OK && f) {
        atomic_store(&f->doomed, true); /* until the manifest names it */
        result = kvi_lsm_edit_add(&edit, 0, f);
    }
    if (result == KV_OK)
        result = kvi_lsm_version_apply(r->version, &edit, &next);
    if (result == KV_OK)
        result = kvi_lsm_memtable_new(l->mem, l->budget,
                                      kvi_max_size(l->shape.memtable_bytes, need), &fresh);
    if (result == KV_OK) {
        kvi_lsm_version_unref(r->version);
        kvi_lsm_memtable_unref(r->memtable);
        r->version = next;
        r->memtable = fresh;
        r->flushed = r->last_seq;
        next = NULL;
    }
    kvi_lsm_version_unref(next);
    kvi_lsm_edit_deinit(&edit);
    return result;
}

/** What the ops of a record need in the memtable; checks each of them. */
static int measure_ops(kvi_slice payload, uint32_t count, size_t *need)
{
    kvi_lsm_op_reader ops;
    kvi_slice key, value;
    uint64_t tag;
    int result = kvi_lsm_op_reader_init(&ops, payload, count);

    *need = 0;
    while (result == KV_OK) {
        result = kvi_lsm_op_reader_next(&ops, &tag, &key, &value);
        if (result == KV_OK)
            *need += kvi_lsm_memtable_need(key.len, value.len);
    }
    return result == KV_ENOTFOUND ? KV_OK : result;
}

static int insert_ops(kvi_lsm_replay *r, kvi_slice payload, uint32_t count)
{
    kvi_lsm_op_reader ops;
    kvi_slice key, value;
    uint64_t tag;
    int result = kvi_lsm_op_reader_init(&ops, payload, count);

    while (result == KV_OK) {
        int64_t expires_ms = 0;

        result = kvi_lsm_op_reader_next(&ops, &tag, &key, &value);
        if (result != KV_OK)
            break;
        if (kvi_tag_kind(tag) == KVI_KIND_PUT_EXPIRING) {
            expires_ms = (int64_t)kvi_get_u64(value.data);
            value =
                kvi_slice_of(kvi_slice_bytes(value) + KVI_EXPIRES_LEN, value.len - KVI_EXPIRES_LEN);
        }
        kvi_lsm_memtable_add(r->memtable, key, tag, expires_ms, value);
    }
    return result == KV_ENOTFOUND ? KV_OK : result;
}

/** *end: there is a gap before this record. */
static int replay_record(kvi_lsm_replay *r, const kvi_lsm_record *record, bool *end)
{
    kvi_lsm_op_reader ops;
    uint64_t first, last;
    size_t need;
    int result = kvi_lsm_op_reader_init(&ops, record->payload, record->count);

    if (result < 0)
        return result;
    first = ops.seq;
    last = first + record->count - 1;
    *end = first > r->last_seq + 1;
    if (*end || last <= r->last_seq)
        return KV_OK;
    if (first <= r->last_seq)
        return kvi_error_set(KV_ECORRUPT, "a log record of sequences %llu to %llu follows %llu",
                             (unsigned long long)first, (unsigned long long)last,
                             (unsigned long long)r->last_seq);
    result = measure_ops(record->payload, record->count, &need);
    if (result == KV_OK && !kvi_lsm_memtable_claim(r->memtable, need)) {
        result = spill(r, need);
        if (result == KV_OK) {
            bool claimed = kvi_lsm_memtable_claim(r->memtable, need);

            KVI_ASSERT(claimed); /* the new memtable was made with room for it */
        }
    }
    if (result == KV_OK)
        result = insert_ops(r, record->payload, record->count);
    if (result == KV_OK)
        r->last_seq = last;
    return result;
}

/** Keeps a replayed log as a segment that takes no more records. */
static int keep_segment(kvi_lsm_replay *r, kvi_os_file *file, const kvi_lsm_journal_reader *reader,
                        uint64_t end)
{
    kvi_lsm_segment *s = kvi_mem_zalloc(r->lsm->mem, 1, sizeof *s);

    if (!s)
        return kvi_error_set(KV_ENOMEM, "no memory for a log segment");
    kvi_lsm_journal_adopt(&s->journal, file, reader);
    s->capacity = s->used = s->published = end;
    s->synced = kvi_min_u64(reader->synced, end);
    s->last_seq = r->last_seq;
    kvi_list_push_back(&r->segments, &s->link);
    return KV_OK;
}

/** Replays one log. *end: nothing after this one is needed. */
static int replay_log(kvi_lsm_replay *r, uint64_t number, bool *end)
{
    kvi_lsm *l = r->lsm;
    kvi_lsm_journal_reader reader;
    kvi_lsm_record record;
    kvi_os_file *file;
    kvi_lsm_name name;
    uint64_t good_end = 0;
    int result;

    kvi_lsm_name_log(name, number);
    result = l->dir->ops->open(l->dir, name, KVI_OS_WRITE, &file);
    if (result < 0)
        return result;
    result = kvi_lsm_journal_reader_open(&reader, l->mem, file, name, KVI_JOURNAL_LOG, l->store.id,
                                         number);
    if (result < 0) {
        (void)file->ops->close(file);
        return result;
    }
    while (result == KV_OK && !*end) {
        result = kvi_lsm_journal_reader_next(&reader, &record);
        if (result == KV_OK)
            result = replay_record(r, &record, end);
        if (result == KV_OK && *end && (good_end > 0 || record.offset < reader.synced))
            result = kvi_error_set(
                KV_ECORRUPT, "%s: the record at %llu follows sequence %llu, which is missing", name,
                (unsigned long long)record.offset, (unsigned long long)r->last_seq);
        if (result == KV_OK && !*end)
            good_end = reader.at;
    }
    if (result == KV_ENOTFOUND)
        result = KV_OK;
    if (result == KV_OK && good_end > 0)
        result = keep_segment(r, file, &reader, good_end);
    else
        (void)file->ops->close(file);
    kvi_lsm_journal_reader_close(&reader);
    return result;
}

int kvi_lsm_replay_run(kvi_lsm_replay *r)
{
    size_t count = r->numbers.len / sizeof(uint64_t);
    bool end = false;
    int result = KV_OK;

    for (size_t i = 0; result == KV_OK && !end && i < count; i++) {
        uint64_t number;

        memcpy(&number, r->numbers.data + i * sizeof number, sizeof number);
        result = replay_log(r, number, &end);
    }
    return result;
}
