/*
 * Open tables; see the header for the contract.
 *
 * A table in the clock carries one reference, which goes with it: through the epoch where readers
 * may have loaded it from its file (eviction), at once where none can (forget).
 */
#include "lsm/tables.h"

#include "base/check.h"
#include "base/error.h"
#include "lsm/names.h"

#define BUDGET_SHARE 4 /* a quarter for indexes and filters */

void kvi_lsm_tables_init(kvi_lsm_tables *t, const kvi_os_env *env, const kvi_sst_context *sst,
                         kvi_os_dir *dir, kvi_epoch *epoch)
{
    t->env = env;
    t->sst = sst;
    t->dir = dir;
    t->epoch = epoch;
    kvi_os_mutex_init(&t->lock, KVI_RANK_TABLES, env->jitter);
    kvi_list_init(&t->clock);
    t->open_count = 0;
    t->memory = 0;
    t->memory_max = sst->budget->limit / BUDGET_SHARE;
}

void kvi_lsm_tables_deinit(kvi_lsm_tables *t)
{
    KVI_ASSERT(kvi_list_empty(&t->clock) && t->open_count == 0 && t->memory == 0);
    kvi_os_mutex_deinit(&t->lock);
}

void kvi_lsm_table_ref(kvi_lsm_table *t)
{
    uint32_t before = atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);

    KVI_ASSERT(before > 0);
}

void kvi_lsm_table_unref(kvi_lsm_table *t)
{
    uint32_t before = atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel);

    KVI_ASSERT(before > 0);
    if (before > 1)
        return;
    kvi_sst_table_close(t->table);
    kvi_mem_free(t->mem, t);
}

static void release(kvi_retired *retired)
{
    kvi_lsm_table_unref(KVI_CONTAINER_OF(retired, kvi_lsm_table, retired));
}

/* --- the clock: under the lock ------------------------------------------------------------ */

static void clock_add(kvi_lsm_tables *t, kvi_lsm_table *table)
{
    KVI_ASSERT(kvi_os_mutex_held(&t->lock));
    kvi_list_push_back(&t->clock, &table->link);
    t->open_count++;
    t->memory += kvi_sst_table_memory(table->table);
    atomic_store(&table->file->table, table);
}

static void clock_remove(kvi_lsm_tables *t, kvi_lsm_table *table)
{
    KVI_ASSERT(kvi_os_mutex_held(&t->lock) && t->open_count > 0);
    atomic_store(&table->file->table, NULL);
    kvi_list_remove(&table->link);
    t->open_count--;
    t->memory -= kvi_sst_table_memory(table->table);
}

/* Whether the hand passes over it: it was asked for since the last time, or someone holds it, so
 * that closing would free nothing. */
static bool spared(kvi_lsm_table *table)
{
    bool used = atomic_exchange_explicit(&table->used, false, memory_order_relaxed);

    return used || atomic_load_explicit(&table->refs, memory_order_relaxed) > 1;
}

/* Takes tables out of the clock until it is within its limits, or all were looked at twice. keep
 * stays. */
static void evict(kvi_lsm_tables *t, const kvi_lsm_table *keep, kvi_list *evicted)
{
    uint32_t looks = 2 * t->open_count;

    for (; looks > 0; looks--) {
        kvi_lsm_table *table = KVI_LIST_FIRST(&t->clock, kvi_lsm_table, link);

        if (t->open_count <= KVI_LSM_TABLES_OPEN && t->memory <= t->memory_max)
            break;
        if (table == keep || spared(table)) {
            kvi_list_remove(&table->link);
            kvi_list_push_back(&t->clock, &table->link);
            continue;
        }
        clock_remove(t, table);
        kvi_list_push_back(evicted, &table->link);
    }
}

/* --- opening ------------------------------------------------------------------------------ */

static int open_file(kvi_lsm_tables *t, const kvi_lsm_file *f, kvi_os_file **out)
{
    kvi_lsm_name name;
    int err;

    kvi_lsm_name_table(name, f->number);
    err = t->dir->ops->open(t->dir, name, KVI_OS_READ, out);
    if (err == KV_ENOENT)
        err = kvi_error_set(KV_ECORRUPT, "table %s is missing", name);
    return err;
}

static int open_table(kvi_lsm_tables *t, kvi_lsm_file *f, kvi_lsm_table **out)
{
    const kvi_mem *mem = t->sst->mem;
    kvi_lsm_table *table = kvi_mem_zalloc(mem, 1, sizeof *table);
    kvi_os_file *file = NULL;
    int err;

    if (!table)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a table");
    err = open_file(t, f, &file);
    if (err)
        goto fail;
    err = kvi_sst_table_open(t->sst, file, f->number, &table->table);
    if (err)
        goto fail;
    atomic_init(&table->refs, 1);
    atomic_init(&table->used,
                false); /* so that one that is asked once goes before one that is asked often */
    table->file = f;
    table->mem = mem;
    kvi_list_init(&table->link);
    *out = table;
    return KV_OK;

fail:
    if (file)
        (void)file->ops->close(file); /* it was only read */
    kvi_mem_free(mem, table);
    return err;
}

/* Opens the table without the lock; where another thread was faster its table stays. */
static int open_and_add(kvi_lsm_tables *t, kvi_lsm_file *f, kvi_lsm_table **out)
{
    kvi_lsm_table *mine = NULL, *table;
    kvi_list evicted;
    int err = open_table(t, f, &mine);

    if (err)
        return err;
    kvi_list_init(&evicted);
    kvi_os_mutex_lock(&t->lock);
    table = atomic_load(&f->table);
    if (!table) {
        table = mine;
        clock_add(t, table);
        evict(t, table, &evicted);
    }
    kvi_os_mutex_unlock(&t->lock);

    if (table != mine)
        kvi_lsm_table_unref(mine);
    while (!kvi_list_empty(&evicted)) {
        kvi_lsm_table *gone = KVI_LIST_FIRST(&evicted, kvi_lsm_table, link);

        kvi_list_remove(&gone->link);
        kvi_epoch_retire(t->epoch, &gone->retired, release);
    }
    *out = table;
    return KV_OK;
}

int kvi_lsm_tables_get(kvi_lsm_tables *t, kvi_lsm_file *f, bool memory_only, kvi_lsm_table **out)
{
    kvi_lsm_table *table = atomic_load(&f->table);

    if (KVI_UNLIKELY(!table))
        return memory_only ? KVI_AGAIN : open_and_add(t, f, out);
    /* Readers write here once in a turn of the hand, not at each get. */
    if (KVI_UNLIKELY(!atomic_load_explicit(&table->used, memory_order_relaxed)))
        atomic_store_explicit(&table->used, true, memory_order_relaxed);
    *out = table;
    return KV_OK;
}

void kvi_lsm_tables_forget(kvi_lsm_tables *t, kvi_lsm_file *f)
{
    kvi_lsm_table *table;

    kvi_os_mutex_lock(&t->lock);
    table = atomic_load(&f->table);
    if (table)
        clock_remove(t, table);
    kvi_os_mutex_unlock(&t->lock);
    if (table)
        kvi_lsm_table_unref(table);
}

/* --- cursors ------------------------------------------------------------------------------ */

/* The operations of one table cursor: its own, but a close that lets go of the table after it. So
 * its moves cost nothing more. */
typedef struct pinning_ops {
    struct kvi_cursor_ops ops; /* first: the cursor points to it */
    void (*close)(kvi_cursor *c);
    kvi_lsm_table *table; /* referenced */
    const kvi_mem *mem;
    struct pinning_ops *self; /* not const, to be freed */
} pinning_ops;

static void pinning_close(kvi_cursor *c)
{
    const pinning_ops *ops = (const pinning_ops *)(const void *)c->ops;

    ops->close(c);
    kvi_lsm_table_unref(ops->table);
    kvi_mem_free(ops->mem, ops->self);
}

/* The file's table with a reference for the caller. */
static int pin_table(kvi_lsm_tables *t, kvi_lsm_file *f, kvi_lsm_table **out)
{
    kvi_epoch_guard guard = kvi_epoch_enter(t->epoch);
    int err = kvi_lsm_tables_get(t, f, false, out);

    if (!err)
        kvi_lsm_table_ref(*out);
    kvi_epoch_leave(t->epoch, guard);
    return err;
}

int kvi_lsm_tables_cursor(kvi_lsm_tables *t, kvi_lsm_file *f, enum kvi_sst_scan how,
                          kvi_cursor **out)
{
    const kvi_mem *mem = t->sst->mem;
    pinning_ops *ops = kvi_mem_alloc(mem, sizeof *ops);
    kvi_lsm_table *table = NULL;
    kvi_cursor *c;
    int err;

    if (!ops)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a cursor");
    err = pin_table(t, f, &table);
    if (err)
        goto fail;
    err = kvi_sst_table_cursor(table->table, how, &c);
    if (err)
        goto fail;
    *ops = (pinning_ops){*c->ops, c->ops->close, table, mem, ops};
    ops->ops.close = pinning_close;
    c->ops = &ops->ops;
    *out = c;
    return KV_OK;

fail:
    if (table)
        kvi_lsm_table_unref(table);
    kvi_mem_free(mem, ops);
    return err;
}
