/*
 * A machine; see the header for the contract.
 */
#include "sim/machine.h"

#include <stdio.h>
#include <string.h>

#include "api/store.h"
#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/names.h"
#include "sim/sim_disk.h"

void kvt_plan_tiny(kvt_plan *p)
{
    *p = (kvt_plan){
        .options = KV_OPTIONS_INIT,
        .shape = {.memtable_bytes = 8 << 10,
                  .segment_bytes = 8 << 10,
                  .block_bytes = 256,
                  .table_bytes = 6 << 10,
                  .level1_bytes = 10 << 10,
                  .level_ratio = 3,
                  .level0_compact = 2,
                  .level0_stall = 6},
        .mapped = true,
    };
    p->options.memory = 4 << 20;
}

const kvi_mem *kvt_machine_mem(void)
{
    static kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    return &mem;
}

void kvt_machine_init_on(kvt_machine *m, const kvt_plan *plan, uint64_t seed, kvi_sim_fs *disk,
                         uint64_t now_ns)
{
    kvi_sim_env_init_on(&m->env, kvt_machine_mem(), seed, disk);
    kvi_sim_fs_set_map(disk, plan->mapped);
    kvi_sim_clock_advance(&m->env.clock, now_ns);
    m->plan = plan;
    m->db = NULL;
}

void kvt_machine_init(kvt_machine *m, const kvt_plan *plan, uint64_t seed)
{
    kvi_sim_fs *disk;
    int err = kvi_sim_fs_new(kvt_machine_mem(), seed, &disk);

    KVI_ASSERT(err == KV_OK);
    kvt_machine_init_on(m, plan, seed, disk, 0);
}

void kvt_machine_deinit(kvt_machine *m)
{
    KVI_ASSERT(!m->db);
    kvi_sim_env_deinit(&m->env);
}

int kvt_machine_open(kvt_machine *m)
{
    KVI_ASSERT(!m->db);
    return kvi_api_open(KVT_STORE_PATH, &m->plan->options, &m->env.os, &m->plan->shape, &m->db);
}

int kvt_machine_close(kvt_machine *m)
{
    int err = kv_close(m->db);

    if (err != KV_EBUSY)
        m->db = NULL;
    return err;
}

/* Closing is the only way to get the memory back; off, the disk does not notice. */
void kvt_machine_kill(kvt_machine *m)
{
    int err = kvi_sim_fs_power_off(m->env.fs);

    KVI_ASSERT(err == KV_OK);
    (void)kvt_machine_close(m);
    m->env.fs->off = false;
    kvi_sim_env_restart(&m->env);
}

uint64_t kvt_machine_last_seq(const kvt_machine *m)
{
    return kvi_lsm_last_seq(m->db->store->lsm);
}

/* --- what the directory holds --------------------------------------------------------------- */

typedef struct inventory {
    const kvi_lsm *lsm;
    const kvi_lsm_version *version;
    size_t tables, logs; /* found, of those that the store refers to */
    char *why;
    size_t why_len;
    bool bad;
} inventory;

static bool in_list(const kvi_list *segments, uint64_t number)
{
    KVI_LIST_EACH(n, segments)
        if (KVI_CONTAINER_OF(n, kvi_lsm_segment, link)->journal.file_no == number)
            return true;
    return false;
}

static bool is_segment(const kvi_lsm *l, uint64_t number)
{
    return in_list(&l->segments, number) || in_list(&l->spare, number) ||
           (l->ready && l->ready->journal.file_no == number);
}

static bool is_table(const kvi_lsm_version *v, uint64_t number)
{
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < v->level[level].count; i++)
            if (v->level[level].files[i]->number == number)
                return true;
    return false;
}

static void take_stock(void *user, const char *name)
{
    inventory *inv = user;
    uint64_t number = 0;
    bool known = false;

    switch (kvi_lsm_name_parse(name, &number)) {
    case KVI_LSM_NAME_IS_LOCK:
    case KVI_LSM_NAME_IS_CURRENT:
        known = true;
        break;
    case KVI_LSM_NAME_IS_MANIFEST:
        known = number == inv->lsm->manifest.journal.file_no;
        break;
    case KVI_LSM_NAME_IS_LOG:
        known = is_segment(inv->lsm, number);
        inv->logs += known;
        break;
    case KVI_LSM_NAME_IS_TABLE:
        known = is_table(inv->version, number);
        inv->tables += known;
        break;
    case KVI_LSM_NAME_OTHER:
    case KVI_LSM_NAME_IS_TMP:
        break;
    }
    if (known || inv->bad)
        return;
    inv->bad = true;
    (void)snprintf(inv->why, inv->why_len, "%s is an orphan", name);
}

bool kvt_machine_is_tidy(const kvt_machine *m, char *why, size_t why_len)
{
    kvi_lsm *l = m->db->store->lsm;
    inventory inv = {l, atomic_load(&l->view)->version, 0, 0, why, why_len, false};
    size_t tables = 0, logs = l->ready != NULL;
    int err = kvi_sim_fs_each_file(m->env.fs, KVT_STORE_PATH, take_stock, &inv);

    KVI_ASSERT(err == KV_OK);
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        tables += inv.version->level[level].count;
    KVI_LIST_EACH(n, &l->segments)
        logs++;
    KVI_LIST_EACH(n, &l->spare)
        logs++;
    if (inv.bad)
        return false;
    if (inv.tables == tables && inv.logs == logs)
        return true;
    (void)snprintf(why, why_len, "%zu of %zu tables and %zu of %zu logs are there", inv.tables,
                   tables, inv.logs, logs);
    return false;
}
