/*
 * Updates and the locks of their tokens; see the header for the contract.
 *
 *   begin -> (lock) -> reads -> decide -> encode -> hints (marks.c) -> write -> (unlock) -> written
 *         -> sync -> done
 *
 * The updates of one token hang on one another by their links; the first of them is in `holders`
 * and has the lock. Every way out goes through finish() or written(), which free it; the next one
 * then begins to read, which calls nobody back, so that a long queue is no deep stack.
 */
#include "replication/update.h"

#include "base/check.h"
#include "base/error.h"
#include "replication/hints.h"
#include "replication/key.h"

static void start(kvi_update *u);

/* --- making and releasing ------------------------------------------------------------------- */

int kvi_update_init(kvi_update *u, const kvi_mem *mem, uint32_t count)
{
    KVI_ASSERT(count >= 1 && count <= KVI_UPDATE_KEYS_MAX);
    memset(u, 0, sizeof *u);
    kvi_list_init(&u->link);
    kvi_list_init(&u->parked);
    u->unhint_made_ms = INT64_MAX;
    u->items = kvi_mem_zalloc(mem, count, sizeof *u->items);
    if (!u->items)
        return kvi_error_set(KV_ENOMEM, "cannot allocate an update of %u keys", (unsigned)count);
    u->count = count;
    for (uint32_t i = 0; i < count; i++) {
        kvi_update_item *item = &u->items[i];

        kvi_object_init(&item->object, mem);
        kvi_buf_init(&item->bytes, mem);
        kvi_buf_init(&item->physical, mem);
        kvi_buf_init(&item->found, mem);
        item->update = u;
    }
    return KV_OK;
}

void kvi_update_release(kvi_update *u, const kvi_mem *mem)
{
    for (uint32_t i = 0; i < u->count; i++) {
        kvi_update_item *item = &u->items[i];

        kvi_object_deinit(&item->object);
        kvi_buf_deinit(&item->bytes);
        kvi_buf_deinit(&item->physical);
        kvi_buf_deinit(&item->found);
    }
    kvi_marks_release(u, mem);
    kvi_mem_free(mem, u->puts);
    kvi_mem_free(mem, u->items);
    u->puts = NULL;
    u->items = NULL;
    u->count = 0;
}

int kvi_updates_new(const kvi_mem *mem, kvi_effects *effects, kvi_cluster *cluster,
                    kvi_updates **out)
{
    kvi_updates *all = kvi_mem_zalloc(mem, 1, sizeof *all);

    if (!all)
        return kvi_error_set(KV_ENOMEM, "cannot allocate the table of updates");
    all->mem = mem;
    all->effects = effects;
    all->cluster = cluster;
    kvi_map_init(&all->holders, mem);
    *out = all;
    return KV_OK;
}

void kvi_updates_free(kvi_updates *all)
{
    if (!all)
        return;
    KVI_ASSERT(all->under_way == 0 && kvi_map_count(&all->holders) == 0);
    kvi_map_deinit(&all->holders);
    kvi_mem_free(all->mem, all);
}

/* --- ends ----------------------------------------------------------------------------------- */

static void unlock(kvi_update *u)
{
    kvi_updates *all = u->owner;
    kvi_update *next;
    const void *first;
    int err;

    if (!u->locked)
        return;
    u->locked = false;
    first = kvi_map_remove(&all->holders, u->token);
    KVI_ASSERT(first == u);
    if (kvi_list_empty(&u->link))
        return;
    /* The others stay linked with one another; the next one is their first now. */
    next = KVI_LIST_FIRST(&u->link, kvi_update, link);
    kvi_list_remove(&u->link);
    err = kvi_map_insert(&all->holders, u->token, next);
    KVI_ASSERT(err == KV_OK); /* the room of the one that was taken out */
    next->locked = true;
    start(next);
}

static void end(kvi_update *u, int err)
{
    KVI_ASSERT(!u->locked && u->owner->under_way > 0);
    u->owner->under_way--;
    u->done(u, err);
}

static void finish(kvi_update *u, int err)
{
    unlock(u);
    end(u, err);
}

static void deferred_done(kvi_store_sync *s)
{
    kvi_update *u = KVI_CONTAINER_OF(s, kvi_update, sync);

    finish(u, u->err);
}

/* Ends with u->err, but not from inside begin, nor within another's end. */
static void defer(kvi_update *u)
{
    kvi_effects *e = u->owner->effects;

    KVI_ASSERT(u->err != KV_OK);
    u->sync.seq = 0;
    u->sync.done = deferred_done;
    e->ops->sync(e, &u->sync);
}

/* --- durability ----------------------------------------------------------------------------- */

static void sync_done(kvi_store_sync *s)
{
    end(KVI_CONTAINER_OF(s, kvi_update, sync), s->err);
}

/* What is there is readable. The lock is freed first: what comes next need not wait for the
 * disk. */
static void written(kvi_update *u)
{
    kvi_effects *e = u->owner->effects;

    /* Also where nothing was written: what was found may have been by an update that asked for
     * less. It is in this opening's writes, or was synced when the store was opened. */
    u->sync.seq = u->owner->last_seq;
    unlock(u);
    if (u->written)
        u->written(u);
    if (u->durability < KV_DISK || !u->owner->cluster->logged) {
        end(u, KV_OK);
        return;
    }
    u->sync.done = sync_done;
    e->ops->sync(e, &u->sync);
}

/* --- writing -------------------------------------------------------------------------------- */

static void write_done(kvi_store_write *w)
{
    kvi_update *u = KVI_CONTAINER_OF(w, kvi_update, write);

    kvi_marks_written(u, w->err);
    if (w->err) {
        finish(u, w->err);
        return;
    }
    u->owner->last_seq = kvi_max_u64(u->owner->last_seq, w->seq);
    written(u);
}

static int encode(kvi_update *u)
{
    for (uint32_t i = 0; i < u->count; i++) {
        kvi_update_item *item = &u->items[i];
        int err;

        if (!item->changed) {
            /* The object borrows from these bytes, which do not move. */
            kvi_buf old = item->bytes;

            item->bytes = item->found;
            item->found = old;
            continue;
        }
        KVI_ASSERT(!item->drop && !kvi_object_empty(&item->object));
        kvi_buf_clear(&item->bytes);
        err = kvi_object_encode(&item->object, &item->bytes);
        if (err)
            return err;
    }
    return KV_OK;
}

static uint32_t put_items(kvi_update *u)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < u->count; i++) {
        kvi_update_item *item = &u->items[i];

        if (!item->changed && !item->drop)
            continue;
        u->puts[n].key = kvi_buf_slice(&item->physical);
        u->puts[n].remove = item->drop;
        if (item->drop) {
            kvi_object_clear(&item->object);
            kvi_buf_clear(&item->bytes);
        }
        u->puts[n++].value = kvi_buf_slice(&item->bytes);
    }
    return n;
}

/* Decided, and the hints are known: the one write of all. */
static int write_all(kvi_update *u)
{
    kvi_effects *e = u->owner->effects;
    uint32_t max = u->count + kvi_marks_puts_max(u), n = 0;
    int err;

    KVI_ASSERT(!u->puts);
    u->puts = kvi_mem_zalloc(u->owner->mem, max, sizeof *u->puts);
    if (!u->puts)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %u writes", (unsigned)max);
    /* The marks first: they settle what is dropped. */
    err = kvi_marks_put(u, u->puts + u->count, &n);
    if (err)
        return err;
    max = put_items(u);
    memmove(u->puts + max, u->puts + u->count, n * sizeof *u->puts);
    n += max;
    if (n == 0) {
        written(u);
        return KV_OK;
    }
    u->write.puts = u->puts;
    u->write.count = n;
    u->write.done = write_done;
    e->ops->write(e, &u->write);
    return KV_OK;
}

void kvi_update_marked(kvi_update *u, int err)
{
    if (!err)
        err = write_all(u);
    if (err)
        finish(u, err);
}

void kvi_update_unpark(kvi_update *u, int err)
{
    if (!err)
        err = kvi_marks_read(u);
    if (err != KVI_PENDING)
        kvi_update_marked(u, err);
}

/* --- reading -------------------------------------------------------------------------------- */

static int decide(kvi_update *u)
{
    int err;

    for (uint32_t i = 0; i < u->count; i++) {
        kvi_update_item *item = &u->items[i];

        if (item->found.len == 0)
            continue;
        err = kvi_object_decode(&item->object, kvi_buf_slice(&item->found));
        if (err)
            return err;
    }
    err = u->decide(u);
    return err ? err : encode(u);
}

static void item_read(kvi_store_read *r)
{
    kvi_update_item *item = KVI_CONTAINER_OF(r, kvi_update_item, read);
    kvi_update *u = item->update;
    int err;

    if (r->err == KV_ENOTFOUND)
        kvi_buf_clear(&item->found);
    else if (r->err && !u->err)
        u->err = r->err;
    else if (!r->err && item->found.len == 0 && !u->err)
        u->err = kvi_error_set(KV_ECORRUPT, "an object in the store has no bytes");
    KVI_ASSERT(u->locked && u->reads_left > 0);
    if (--u->reads_left > 0)
        return;
    err = u->err ? u->err : decide(u);
    if (!err)
        err = kvi_marks_begin(u);
    if (err != KVI_PENDING)
        kvi_update_marked(u, err);
}

/* It has the lock. */
static void start(kvi_update *u)
{
    kvi_effects *e = u->owner->effects;

    for (uint32_t i = 0; i < u->count && !u->err; i++) {
        kvi_update_item *item = &u->items[i];

        kvi_buf_clear(&item->physical);
        u->err = kvi_key_data(&item->physical, item->space, u->token, item->key);
    }
    if (u->err) {
        defer(u);
        return;
    }
    u->reads_left = u->count;
    for (uint32_t i = 0; i < u->count; i++) {
        kvi_update_item *item = &u->items[i];

        item->read.key = kvi_buf_slice(&item->physical);
        item->read.value = &item->found;
        item->read.done = item_read;
        e->ops->read(e, &item->read);
    }
}

void kvi_update_begin(kvi_updates *all, kvi_update *u)
{
    kvi_update *first = kvi_map_find(&all->holders, u->token);

    KVI_ASSERT(u->items && u->decide && u->done && !u->owner);
    u->owner = all;
    all->under_way++;
    if (first) {
        kvi_list_push_back(&first->link, &u->link);
        return;
    }
    u->err = kvi_map_insert(&all->holders, u->token, u);
    if (u->err) {
        defer(u);
        return;
    }
    u->locked = true;
    start(u);
}
