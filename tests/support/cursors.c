/* See cursors.h. */
#include "support/cursors.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define NOWHERE SIZE_MAX

/* --- over a model ------------------------------------------------------------------------- */

static kvt_model_cursor *of(kvi_cursor *c)
{
    return KVI_CONTAINER_OF(c, kvt_model_cursor, c);
}

static int stand(kvt_model_cursor *mc, size_t at)
{
    free(mc->lent);
    mc->lent = NULL;
    mc->at = at;
    mc->c.valid = false;
    if (mc->moves++ == mc->fail_at)
        return kvi_error_set(mc->err, "as the test wants it");
    mc->c.valid = at < mc->m->count;
    if (mc->c.valid) {
        const kvt_entry *e = &mc->m->entries[at];

        mc->lent = malloc(e->key.len + e->value.len + 1);
        if (!mc->lent)
            abort();
        if (e->key.len > 0)
            memcpy(mc->lent, e->key.data, e->key.len);
        if (e->value.len > 0)
            memcpy(mc->lent + e->key.len, e->value.data, e->value.len);
        mc->c.key = kvi_slice_of(mc->lent, e->key.len);
        mc->c.tag = e->tag;
        mc->c.value = kvi_slice_of(mc->lent + e->key.len, e->value.len);
    }
    return KV_OK;
}

static int model_first(kvi_cursor *c)
{
    return stand(of(c), 0);
}

static int model_last(kvi_cursor *c)
{
    return stand(of(c), of(c)->m->count > 0 ? of(c)->m->count - 1 : NOWHERE);
}

static int model_seek(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    return stand(of(c), kvt_model_seek(of(c)->m, key, tag));
}

static int model_next(kvi_cursor *c)
{
    if (!c->valid)
        abort();
    return stand(of(c), of(c)->at + 1);
}

static int model_prev(kvi_cursor *c)
{
    if (!c->valid)
        abort();
    return stand(of(c), of(c)->at > 0 ? of(c)->at - 1 : NOWHERE);
}

static void model_close(kvi_cursor *c)
{
    free(of(c)->lent);
    of(c)->lent = NULL;
    of(c)->closed++;
}

void kvt_model_cursor_init(kvt_model_cursor *mc, const kvt_model *m)
{
    static const struct kvi_cursor_ops ops = {
        model_first, model_last, model_seek, model_next, model_prev, model_close,
    };

    memset(mc, 0, sizeof *mc);
    mc->c.ops = &ops;
    mc->m = m;
    mc->fail_at = SIZE_MAX;
    mc->err = KV_EIO;
}

/* --- against a model ---------------------------------------------------------------------- */

/* Whether c stands where entry number at is; nowhere for all numbers behind the last. */
static bool stands_on(const kvi_cursor *c, const kvt_model *m, size_t at)
{
    if (at >= m->count)
        return !c->valid;
    return c->valid && kvt_entry_same(&m->entries[at], c->key, c->tag, c->value);
}

static const char *check_walks(kvi_cursor *c, const kvt_model *m)
{
    if (c->ops->first(c) != KV_OK)
        return "first failed";
    for (size_t i = 0; i <= m->count; i++) {
        if (!stands_on(c, m, i))
            return "upwards, it stands elsewhere";
        if (c->valid && c->ops->next(c) != KV_OK)
            return "next failed";
    }
    if (c->ops->last(c) != KV_OK)
        return "last failed";
    for (size_t i = m->count; i-- > 0;) {
        if (!stands_on(c, m, i))
            return "downwards, it stands elsewhere";
        if (c->ops->prev(c) != KV_OK)
            return "prev failed";
    }
    return c->valid ? "it stands below the first" : NULL;
}

/* A place near an entry: at it, or just before or behind it, or between two keys. */
static size_t random_target(const kvt_model *m, kvt_rng *rng, uint8_t *key, size_t cap,
                            kvt_entry *out)
{
    const kvt_entry *e = &m->entries[kvt_rng_below(rng, m->count)];
    size_t len = kvi_min_size(e->key.len, cap - 1);
    uint64_t tag = e->tag;

    if (len > 0)
        memcpy(key, e->key.data, len);
    switch (kvt_rng_below(rng, 8)) {
    case 0:
        tag = 0;
        break;
    case 1:
        tag = KVI_TAG_NEWEST;
        break;
    case 2:
        tag++;
        break;
    case 3:
        tag--;
        break;
    case 4:
        key[len++] = (uint8_t)kvt_rng_next(rng);
        break;
    case 5:
        len = len > 0 ? len - 1 : 0;
        break;
    default:
        break;
    }
    *out = (kvt_entry){kvi_slice_of(key, len), tag, {NULL, 0}};
    return kvt_model_seek(m, out->key, tag);
}

static int random_move(kvi_cursor *c, const kvt_model *m, kvt_rng *rng, size_t *at)
{
    uint64_t what = kvt_rng_below(rng, 100);
    uint8_t key[256];
    kvt_entry target;

    if (c->valid && what < 45) {
        ++*at;
        return c->ops->next(c);
    }
    if (c->valid && what < 90) {
        *at = *at > 0 ? *at - 1 : NOWHERE;
        return c->ops->prev(c);
    }
    if (what < 2 || m->count == 0) {
        *at = 0;
        return c->ops->first(c);
    }
    if (what < 4) {
        *at = m->count - 1;
        return c->ops->last(c);
    }
    *at = random_target(m, rng, key, sizeof key, &target);
    return c->ops->seek(c, target.key, target.tag);
}

const char *kvt_cursor_check(kvi_cursor *c, const kvt_model *m, kvt_rng *rng, size_t moves)
{
    const char *wrong = check_walks(c, m);
    size_t at = NOWHERE;

    for (size_t i = 0; !wrong && i < moves; i++) {
        if (random_move(c, m, rng, &at) != KV_OK)
            return "a random move failed";
        if (!stands_on(c, m, at))
            return "after a random move it stands elsewhere";
    }
    return wrong;
}
