/*
 * A cursor over a memtable: an offset that moves along the lowest level. Entries added meanwhile
 * may or may not be met; those that were there are. Going back searches from the top, since links
 * lead one way.
 */
#include "base/check.h"
#include "base/error.h"
#include "lsm/memtable_node.h"

typedef struct memtable_cursor {
    kvi_cursor c;
    kvi_lsm_memtable *m; /* referenced */
    const kvi_mem *mem;
    uint32_t at; /* 0: nowhere */
} memtable_cursor;

static memtable_cursor *of(kvi_cursor *c)
{
    return KVI_CONTAINER_OF(c, memtable_cursor, c);
}

static int stand_on(memtable_cursor *mc, uint32_t at)
{
    mc->at = at;
    mc->c.valid = at != 0;
    if (at != 0) {
        const kvi_lsm_node *n = kvi_lsm_node_at(mc->m, at);

        KVI_LSM_PREFETCH(mc->m->block + kvi_lsm_link_next(mc->m, at, 0));
        mc->c.key = kvi_lsm_node_key(n);
        mc->c.tag = kvi_lsm_node_tag(n);
        mc->c.value = kvi_lsm_node_value(n);
    }
    return KV_OK;
}

static int cursor_first(kvi_cursor *c)
{
    return stand_on(of(c), kvi_lsm_link_next(of(c)->m, 0, 0));
}

static int cursor_last(kvi_cursor *c)
{
    return stand_on(of(c), kvi_lsm_list_last(of(c)->m));
}

static int cursor_seek(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    return stand_on(of(c), kvi_lsm_list_ceiling(of(c)->m, key, tag));
}

static int cursor_next(kvi_cursor *c)
{
    KVI_ASSERT(c->valid);
    return stand_on(of(c), kvi_lsm_link_next(of(c)->m, of(c)->at, 0));
}

static int cursor_prev(kvi_cursor *c)
{
    KVI_ASSERT(c->valid);
    return stand_on(of(c), kvi_lsm_list_below(of(c)->m, c->key, c->tag));
}

static void cursor_close(kvi_cursor *c)
{
    memtable_cursor *mc = of(c);

    kvi_lsm_memtable_unref(mc->m);
    kvi_mem_free(mc->mem, mc);
}

int kvi_lsm_memtable_cursor(kvi_lsm_memtable *m, const kvi_mem *mem, kvi_cursor **out)
{
    static const struct kvi_cursor_ops ops = {
        cursor_first, cursor_last, cursor_seek, cursor_next, cursor_prev, cursor_close,
    };
    memtable_cursor *mc = kvi_mem_zalloc(mem, 1, sizeof *mc);

    if (!mc)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a cursor");
    mc->c.ops = &ops;
    mc->m = m;
    mc->mem = mem;
    kvi_lsm_memtable_ref(m);
    *out = &mc->c;
    return KV_OK;
}
