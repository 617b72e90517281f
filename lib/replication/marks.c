/*
 * The hints that an update notes or takes back: its marks. Read under the lock of their token, so
 * that what is counted is exact: whether a marker is new, and how many bytes it stood for.
 *
 * A mark is noted where the object is new or the marker is; one that is there beside an object that
 * did not change stays as it is. One that is taken back takes its object along where the update
 * asked for that and no other owner's marker names the key, which only owners that have hints can.
 */
#include "base/check.h"
#include "base/error.h"
#include "replication/hints.h"
#include "replication/key.h"

typedef struct kvi_update_mark {
    kvi_update *update;
    uint64_t owner;
    uint32_t item;
    bool there; /* with … */
    int64_t made_ms;
    uint64_t bytes;
    kvi_buf key, value;
    kvi_store_read read;
    uint8_t fresh[KVI_KEY_HINT_VALUE_LEN]; /* what is written */
} kvi_update_mark;

static bool others_matter(const kvi_update *u)
{
    for (uint32_t i = 0; i < u->count; i++) {
        if (u->items[i].drop)
            return true;
    }
    return false;
}

static bool is_other(const kvi_update *u, const kvi_hint_owner *o)
{
    return o->node != u->unhint_for && o->count > 0;
}

static uint64_t count_others(const kvi_update *u)
{
    const kvi_map *owners = &u->owner->hints->owners;
    uint64_t n = 0;

    KVI_MAP_EACH(i, owners)
        n += is_other(u, kvi_map_at(owners, i)->value);
    return n;
}

static uint64_t count_needed(const kvi_update *u)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < u->count; i++)
        n += u->hint_for ? !kvi_object_empty(&u->items[i].object) : 1;
    if (u->unhint_for && others_matter(u))
        n += u->count * count_others(u);
    return n;
}

static int add(kvi_update *u, uint64_t owner, uint32_t item)
{
    kvi_update_mark *mark = &u->marks[u->mark_count];
    const kvi_update_item *of = &u->items[item];

    mark->update = u;
    mark->owner = owner;
    mark->item = item;
    kvi_buf_init(&mark->key, u->owner->mem);
    kvi_buf_init(&mark->value, u->owner->mem);
    u->mark_count++;
    return kvi_key_hint(&mark->key, owner, of->space, u->token, of->key);
}

static int add_others(kvi_update *u, uint32_t item)
{
    const kvi_map *owners = &u->owner->hints->owners;
    int err = KV_OK;

    KVI_MAP_EACH(i, owners) {
        const kvi_hint_owner *o = kvi_map_at(owners, i)->value;

        if (!err && is_other(u, o))
            err = add(u, o->node, item);
    }
    return err;
}

/* Which marks there are to read. */
static int list_marks(kvi_update *u)
{
    uint64_t n = count_needed(u);
    bool others = u->unhint_for && others_matter(u);
    int err = KV_OK;

    if (n == 0)
        return KV_OK;
    if (n <= UINT32_MAX)
        u->marks = kvi_mem_zalloc(u->owner->mem, (size_t)n, sizeof *u->marks);
    if (!u->marks)
        return kvi_error_set(KV_ENOMEM, "cannot allocate an update of %llu hints",
                             (unsigned long long)n);
    for (uint32_t i = 0; i < u->count && !err; i++) {
        if (u->hint_for && kvi_object_empty(&u->items[i].object))
            continue;
        err = add(u, u->hint_for ? u->hint_for : u->unhint_for, i);
        if (!err && others)
            err = add_others(u, i);
    }
    return err;
}

static void mark_read(kvi_store_read *r)
{
    kvi_update_mark *mark = KVI_CONTAINER_OF(r, kvi_update_mark, read);
    kvi_update *u = mark->update;
    int err = r->err;

    if (!err)
        err = kvi_key_parse_hint_value(kvi_buf_slice(&mark->value), &mark->made_ms, &mark->bytes);
    mark->there = err == KV_OK;
    if (err && err != KV_ENOTFOUND && !u->err)
        u->err = err;
    KVI_ASSERT(u->locked && u->reads_left > 0);
    if (--u->reads_left == 0)
        kvi_update_marked(u, u->err);
}

int kvi_marks_read(kvi_update *u)
{
    kvi_effects *e = u->owner->effects;
    int err = list_marks(u);

    if (err || u->mark_count == 0)
        return err;
    u->reads_left = u->mark_count;
    for (uint32_t i = 0; i < u->mark_count; i++) {
        kvi_update_mark *mark = &u->marks[i];

        mark->read.key = kvi_buf_slice(&mark->key);
        mark->read.value = &mark->value;
        mark->read.done = mark_read;
        e->ops->read(e, &mark->read);
    }
    return KVI_PENDING;
}

int kvi_marks_begin(kvi_update *u)
{
    kvi_hints *hints = u->owner->hints;

    if (u->hint_for == u->owner->cluster->self)
        u->hint_for = 0;
    KVI_ASSERT(!u->hint_for || !u->unhint_for);
    for (uint32_t i = 0; i < u->count; i++)
        KVI_ASSERT(!u->items[i].drop || (u->unhint_for && hints));
    if (!u->hint_for && !u->unhint_for)
        return KV_OK;
    return hints && !hints->counted ? kvi_hints_park(hints, u) : kvi_marks_read(u);
}

uint32_t kvi_marks_puts_max(const kvi_update *u)
{
    return u->mark_count;
}

/* What a hint for this item stands for. */
static uint64_t stands_for(const kvi_update_item *item)
{
    return (uint64_t)item->key.len + item->bytes.len;
}

static int note(kvi_update *u, kvi_store_put *puts, uint32_t *count)
{
    int64_t more = 0, bytes = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < u->mark_count; i++) {
        kvi_update_mark *mark = &u->marks[i];
        const kvi_update_item *item = &u->items[mark->item];

        if (mark->there && !item->changed)
            continue;
        more += !mark->there;
        bytes += (int64_t)stands_for(item) - (int64_t)mark->bytes;
        kvi_key_hint_value(mark->fresh, u->owner->cluster->wall_ms, stands_for(item));
        puts[n].key = kvi_buf_slice(&mark->key);
        puts[n++].value = kvi_slice_of(mark->fresh, sizeof mark->fresh);
    }
    if (n > 0 && u->owner->hints) {
        int err = kvi_hints_admit(u->owner->hints, u->hint_for, more, bytes);

        if (err)
            return err;
        u->hints_more = more;
        u->hint_bytes_more = bytes;
    }
    *count = n;
    return KV_OK;
}

static bool goes(const kvi_update *u, const kvi_update_mark *mark)
{
    return mark->owner == u->unhint_for && mark->there && mark->made_ms <= u->unhint_made_ms;
}

static uint32_t take_back(kvi_update *u, kvi_store_put *puts)
{
    uint32_t n = 0;

    /* An object goes with its own hint only, and not from under another. */
    for (uint32_t i = 0; i < u->mark_count; i++) {
        const kvi_update_mark *mark = &u->marks[i];
        kvi_update_item *item = &u->items[mark->item];

        item->drop = item->drop && (mark->owner == u->unhint_for ? goes(u, mark) : !mark->there);
    }
    for (uint32_t i = 0; i < u->mark_count; i++) {
        const kvi_update_mark *mark = &u->marks[i];

        if (!goes(u, mark))
            continue;
        puts[n].key = kvi_buf_slice(&mark->key);
        puts[n++].remove = true;
        u->hints_more--;
        u->hint_bytes_more -= (int64_t)mark->bytes;
    }
    u->unhinted = n;
    /* What was minted for an object that is forgotten here is not minted again, should a peer bring
     * an old state of it back (vclock/object.h). Its token is locked until the write has ended. */
    if (others_matter(u))
        *kvi_cluster_birth_floor(u->owner->cluster, u->token) = u->owner->cluster->next_birth + 1;
    return n;
}

int kvi_marks_put(kvi_update *u, kvi_store_put *puts, uint32_t *count)
{
    if (u->hint_for)
        return note(u, puts, count);
    *count = take_back(u, puts);
    return KV_OK;
}

void kvi_marks_written(kvi_update *u, int err)
{
    kvi_hints *hints = u->owner->hints;

    if (!hints)
        return;
    if (u->hint_for && err)
        kvi_hints_forget(hints, u->hint_for, u->hints_more, u->hint_bytes_more);
    if (u->unhint_for && !err && u->unhinted > 0)
        kvi_hints_forget(hints, u->unhint_for, -u->hints_more, -u->hint_bytes_more);
}

void kvi_marks_release(kvi_update *u, const kvi_mem *mem)
{
    for (uint32_t i = 0; i < u->mark_count; i++) {
        kvi_buf_deinit(&u->marks[i].key);
        kvi_buf_deinit(&u->marks[i].value);
    }
    kvi_mem_free(mem, u->marks);
    u->marks = NULL;
    u->mark_count = 0;
}
