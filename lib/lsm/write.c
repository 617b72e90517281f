/*
 * The way of a write: reserve -> log -> insert -> publish.
 *
 * 1. Reserving, under `write_lock`, gives a write its sequence, its bytes in the log and its room
 *    in the memtable, or nothing. From then on it cannot be refused, only the disk can fail it.
 * 2. Copying into the log and inserting into the memtable run unlocked, side by side with other
 *    writes.
 * 3. Publishing, under `write_lock`, moves `published` over all writes that are complete, strictly
 *    in order of sequence. Nobody sees, and nobody is told of, a write before all earlier ones are
 *    complete: so what a crash leaves of the log is a prefix of what was acknowledged.
 * 4. A write that the log did not take is a hole: it breaks the engine, and nothing behind it is
 *    published.
 */
#include "base/check.h"
#include "base/error.h"
#include "lsm/engine.h"
#include "lsm/log_record.h"

/** What a write needs, before it is reserved. */
typedef struct write_size {
    size_t memtable; /* at most */
    size_t payload;  /* of its log record */
    size_t record;   /* with header and padding; 0: no log */
} write_size;

static uint64_t stored_value_len(const kvi_lsm_op *op)
{
    return op->value.len + (op->kind == KVI_KIND_PUT_EXPIRING ? KVI_EXPIRES_LEN : 0);
}

size_t kvi_lsm_write_max(const kvi_lsm *l)
{
    return l->shape.memtable_bytes + KVI_LSM_KEY_MAX;
}

static int measure(const kvi_lsm *l, const kvi_lsm_write *w, write_size *out)
{
    size_t max = kvi_lsm_write_max(l), sum = 0;

    *out = (write_size){0, KVI_LSM_LOG_PAYLOAD_HEADER, 0};
    for (uint32_t i = 0; i < w->count; i++) {
        const kvi_lsm_op *op = &w->ops[i];
        size_t value_len = (size_t)stored_value_len(op);

        KVI_ASSERT(op->key.len > 0 && op->key.len <= KVI_LSM_KEY_MAX && kvi_kind_known(op->kind));
        if (op->value.len > max || (sum += op->key.len + op->value.len) > max)
            return kvi_error_set(KV_ETOOBIG,
                                 "a write of %zu bytes or more is over the limit of %zu bytes", sum,
                                 max);
        out->memtable += kvi_lsm_memtable_need(op->key.len, value_len);
        out->payload += kvi_lsm_op_len(op->key.len, value_len);
        if (out->memtable > KVI_LSM_MEMTABLE_MAX || out->payload > KVI_JOURNAL_PAYLOAD_MAX)
            return kvi_error_set(KV_ETOOBIG, "a write of %u operations is too large", w->count);
    }
    if (l->log)
        out->record = kvi_lsm_journal_record_len(out->payload);
    return KV_OK;
}

/** Under `write_lock`: the writer waits until there may be room. */
static int stall(kvi_lsm *l, kvi_lsm_write *w, enum kvi_lsm_stall why, kvi_lsm_task *helper)
{
    KVI_ASSERT(kvi_os_mutex_held(&l->write_lock));
    kvi_lsm_count(&l->stats.stalls[why], 1);
    kvi_list_push_back(&l->stalled, &w->waiter->link);
    kvi_lsm_task_request(helper);
    return KVI_PENDING;
}

/** Under `write_lock`: the budget has no memtable left. Flushes give memory back, and so does
 *  whatever else is running; where nothing of that is left and it is still not enough, it never
 *  will be. The cleaner, asked for after we are on the list, makes sure that somebody wakes us. */
static int wait_for_memory(kvi_lsm *l, kvi_lsm_write *w)
{
    if (l->imm_count > 0)
        return stall(l, w, KVI_LSM_STALL_MEMTABLE, &l->flush_task);
    if (w->starved && atomic_load(&l->flush_task.requests) == 0 &&
        atomic_load(&l->compact_task.requests) == 0)
        return KV_ENOMEM; /* the detail is the budget's */
    w->starved = true;
    return stall(l, w, KVI_LSM_STALL_MEMTABLE, &l->clean_task);
}

/** Under `write_lock`: room in the memtable, rotating where it is full. */
static int claim_memtable(kvi_lsm *l, kvi_lsm_write *w, size_t need)
{
    bool claimed;
    int r;

    if (kvi_lsm_memtable_claim(l->active, need))
        return KV_OK;
    if (l->imm_count == KVI_LSM_IMM_MAX)
        return stall(l, w, KVI_LSM_STALL_MEMTABLE, &l->flush_task);
    if (atomic_load(&l->level0_count) >= l->shape.level0_stall)
        return stall(l, w, KVI_LSM_STALL_LEVEL0, &l->compact_task);
    r = kvi_lsm_rotate(l, need);
    if (r == KV_ENOMEM)
        return wait_for_memory(l, w);
    if (r < 0)
        return r;
    claimed = kvi_lsm_memtable_claim(l->active, need);
    KVI_ASSERT(claimed); /* the new memtable was made with room for it */
    return KV_OK;
}

static int reserve(kvi_lsm *l, kvi_lsm_write *w, const write_size *size)
{
    kvi_lsm_segment *s;
    int r;

    KVI_ASSERT(kvi_os_mutex_held(&l->write_lock));
    r = kvi_lsm_check_broken(l);
    if (r < 0)
        return r;
    if (!kvi_lsm_guard_holds(l, w))
        return KVI_STALE;
    if (l->next_seq + w->count > KVI_SEQ_MAX)
        return kvi_error_set(KV_ENOTSUP, "the store has used up its sequence numbers");
    if (size->record && !kvi_lsm_segment_room(l, size->record))
        return stall(l, w, KVI_LSM_STALL_LOG, &l->segment_task);
    r = claim_memtable(l, w, size->memtable);
    if (r != KV_OK)
        return r;

    w->memtable = l->active;
    l->next_seq += w->count;
    w->last_seq = l->next_seq - 1;
    w->segment = NULL;
    if (size->record) {
        s = KVI_CONTAINER_OF(l->segments.prev, kvi_lsm_segment, link);
        w->segment = s;
        w->record_at = s->used;
        w->record_end = s->used += size->record;
        s->last_seq = w->last_seq;
        KVI_ASSERT(s->used <= s->capacity);
    }
    kvi_lsm_guard_note(l, w);
    w->done = w->waiting = false;
    kvi_list_push_back(&l->order, &w->order);
    return KV_OK;
}

/** Puts the record where it belongs: into the map, or by way of scratch where there is none. */
static int log_write(const kvi_lsm_write *w, const write_size *size, uint8_t *scratch)
{
    kvi_lsm_journal *j = &w->segment->journal;
    uint8_t *record = j->map ? j->map + w->record_at : scratch;
    uint64_t first_seq = w->last_seq - w->count + 1;
    uint8_t *p;

    KVI_ASSERT(record);
    p = record + KVI_JOURNAL_RECORD_HEADER;
    p = kvi_lsm_log_payload_begin(p, first_seq);
    for (uint32_t i = 0; i < w->count; i++) {
        const kvi_lsm_op *op = &w->ops[i];

        p = kvi_lsm_op_encode(p, op->kind, op->key, op->expires_ms, op->value);
    }
    KVI_ASSERT((size_t)(p - record) == KVI_JOURNAL_RECORD_HEADER + size->payload);
    kvi_lsm_journal_seal(j, record, w->record_at, (uint32_t)size->payload, w->count);
    return j->map ? KV_OK : kvi_lsm_journal_write(j, w->record_at, record, size->record);
}

static void insert(const kvi_lsm_write *w)
{
    uint64_t seq = w->last_seq - w->count + 1;

    for (uint32_t i = 0; i < w->count; i++, seq++) {
        const kvi_lsm_op *op = &w->ops[i];

        kvi_lsm_memtable_add(w->memtable, op->key, kvi_tag(seq, op->kind), op->expires_ms,
                             op->value);
    }
}

/** Under `write_lock`: takes a complete write off the order, as the newest that is readable. */
static void publish_one(kvi_lsm *l, kvi_lsm_write *w)
{
    KVI_ASSERT(w->done &&
               w->last_seq - w->count == atomic_load_explicit(&l->published, memory_order_relaxed));
    kvi_list_remove(&w->order);
    if (w->segment)
        w->segment->published = w->record_end;
    atomic_store(&l->published, w->last_seq);
}

/** Under `write_lock`: publishes what is complete up to the first that is not; the waiters of
 *  others go to woken. */
static void publish_ready(kvi_lsm *l, const kvi_lsm_write *own, kvi_list *woken)
{
    while (!kvi_list_empty(&l->order)) {
        kvi_lsm_write *w = KVI_LIST_FIRST(&l->order, kvi_lsm_write, order);

        if (!w->done)
            break;
        publish_one(l, w);
        if (w != own) {
            KVI_ASSERT(w->waiting);
            kvi_list_push_back(woken, &w->waiter->link);
        }
    }
    if (l->imm_count > 0 && l->imm_last_seq[l->imm_count - 1] <= atomic_load(&l->published))
        kvi_lsm_task_request(&l->flush_task);
}

/** Under `write_lock`: the log has a hole. This write and all that wait behind it end. */
static void fail_order(kvi_lsm *l, kvi_lsm_write *own, kvi_list *failed)
{
    kvi_list_remove(&own->order);
    for (kvi_list *n = l->order.next, *next; n != &l->order; n = next) {
        kvi_lsm_write *w = KVI_CONTAINER_OF(n, kvi_lsm_write, order);

        next = n->next;
        if (!w->waiting)
            continue; /* still at work: it finds the engine broken itself */
        kvi_list_remove(n);
        kvi_list_push_back(failed, &w->waiter->link);
    }
}

/** Ends a write: KV_OK where it is readable, KVI_PENDING where earlier ones are still at work. */
static int complete(kvi_lsm *l, kvi_lsm_write *w, int log_result)
{
    kvi_list woken;
    uint64_t mine = w->last_seq;
    int r;

    kvi_list_init(&woken);
    if (log_result < 0)
        kvi_lsm_break(l, log_result);
    kvi_os_mutex_lock(&l->write_lock);
    r = log_result < 0 ? log_result : kvi_lsm_check_broken(l);
    if (r < 0)
        r = KV_EIO; /* whatever it was: it may be in the log, and other codes say that it is not */
    w->done = true;
    if (r < 0) {
        fail_order(l, w, &woken);
    } else {
        publish_ready(l, w, &woken);
        if (atomic_load_explicit(&l->published, memory_order_relaxed) < mine) {
            w->waiting = true;
            r = KVI_PENDING;
        }
    }
    kvi_os_mutex_unlock(&l->write_lock);
    kvi_lsm_waiters_wake(&woken, r < 0 ? r : KV_OK);
    return r;
}

int kvi_lsm_write_ops(kvi_lsm *l, kvi_lsm_write *w)
{
    write_size size;
    uint8_t *scratch = NULL;
    int r;

    KVI_ASSERT(w->count > 0 && w->waiter);
    r = measure(l, w, &size);
    if (r < 0)
        return r;
    if (l->log && !l->mapped) {
        scratch = kvi_mem_alloc(l->mem, size.record);
        if (!scratch)
            return kvi_error_set(KV_ENOMEM, "no memory for a log record of %zu bytes", size.record);
    }
    kvi_os_mutex_lock(&l->write_lock);
    r = reserve(l, w, &size);
    kvi_os_mutex_unlock(&l->write_lock);
    if (r != KV_OK)
        goto out;
    if (w->segment) {
        r = log_write(w, &size, scratch);
        kvi_lsm_count(&l->stats.log_bytes, size.record);
    }
    if (r == KV_OK)
        insert(w);
    r = complete(l, w, r);
out:
    kvi_mem_free(l->mem, scratch);
    return r;
}

uint64_t kvi_lsm_last_seq(const kvi_lsm *l)
{
    return atomic_load(&((kvi_lsm *)(uintptr_t)l)->published);
}
