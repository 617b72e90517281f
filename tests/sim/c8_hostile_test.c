/*
 * C8, hostile peers: a cluster with data, where nothing goes on, is told lies (sim/c8_lies.h).
 * Truth 10: nothing changes. All that the nodes know of the cluster and every byte of their stores is
 * digested before and after; and the cluster works on.
 *
 * SEED: the first seed. SEEDS: one for every ten (sim/scale.h).
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "api/store.h"
#include "base/hash.h"
#include "node/node.h"
#include "sim/c8_lies.h"
#include "sim/scale.h"
#include "sim/sim_cluster.h"

#define SEEDS   KVT_SCALED(20u)
#define WORTH   10u /* as sim/scale.h counts: a tenth of the swarm's */
#define WRITES  40u
#define LIES    200u
#define LIES_NS (2 * C1_S)
#define CALM_NS (4 * C1_S)

typedef struct world {
    c1_plan plan;
    c1_cluster cluster;
    c8_liar liar;
} world;

static uint64_t digest_of_engine(kvi_lsm *lsm)
{
    kvi_lsm_bounds all = {{NULL, 0}, {NULL, 0}};
    kvi_lsm_entry e;
    kvi_lsm_iter *it;
    uint64_t digest = 1;

    cr_assert_eq(kvi_lsm_iter_open(lsm, &all, KVI_LSM_SEQ_LATEST, &it), KV_OK);
    while (kvi_lsm_iter_next(it, &e) == KV_OK) {
        digest = kvi_hash64(e.key.data, e.key.len, digest);
        digest = kvi_hash64(e.value.data, e.value.len, digest);
    }
    kvi_lsm_iter_close(it);
    return digest;
}

static uint64_t digest_of(const world *w)
{
    uint64_t digest = 0;

    for (unsigned i = 0; i < w->plan.machines; i++) {
        const kvi_api_store *s = w->cluster.machines[i].db->store;

        digest = kvi_mix64(digest ^ kvi_node_digest(s->node)) + digest_of_engine(s->lsm);
    }
    return digest;
}

static void write_some(world *w)
{
    kv_op blindly = KV_OP_INIT;

    blindly.flags = KV_OVERWRITE;
    for (unsigned i = 0; i < WRITES; i++) {
        const char *key = c1_key_name(i % C1_KEYS);
        kv *db = w->cluster.machines[i % w->plan.machines].db;
        int err = i % 7 == 6 ? kv_delete(db, key, strlen(key), NULL, NULL)
                             : kv_put(db, key, strlen(key), &i, sizeof i, &blindly, NULL);

        cr_assert_eq(err, KV_OK, "SEED=%llu: write %u: %s", (unsigned long long)w->plan.seed, i,
                     kv_error_detail());
    }
}

static void lie_and_compare(world *w)
{
    uint64_t before, after;

    kv_sim_run(w->cluster.sim, CALM_NS);
    before = digest_of(w);
    kv_sim_run(w->cluster.sim, LIES_NS);
    after = digest_of(w);
    cr_assert_eq(after, before, "SEED=%llu: a quiet cluster changes by itself",
                 (unsigned long long)w->plan.seed);
    for (unsigned i = 0; i < LIES; i++) {
        c8_liar_tell(&w->liar);
        kv_sim_run(w->cluster.sim, LIES_NS / LIES);
        if (i % 20 == 0 || i + 1 == LIES) {
            after = digest_of(w);
            cr_assert_eq(after, before, "SEED=%llu: the state has changed by lie %u",
                         (unsigned long long)w->plan.seed, i);
        }
    }
    kv_sim_run(w->cluster.sim, CALM_NS);
    after = digest_of(w);
    cr_assert_eq(after, before, "SEED=%llu: the state has changed",
                 (unsigned long long)w->plan.seed);
}

static void run_seed(uint64_t seed, uint64_t *told)
{
    world *w = calloc(1, sizeof *w);
    uint64_t hints;

    cr_assert_not_null(w);
    c1_plan_draw(&w->plan, seed);
    w->plan.machines = 3 + (unsigned)(seed % 3);
    cr_assert(c1_cluster_init(&w->cluster, &w->plan), "%s", w->cluster.why);
    c8_liar_init(&w->liar, &w->cluster, seed);
    kvi_sim_net_tap(&w->cluster.sim->net, c8_liar_tap, &w->liar);
    cr_assert(c1_cluster_form(&w->cluster), "%s", w->cluster.why);
    write_some(w);
    lie_and_compare(w);
    cr_assert(c1_cluster_quiet(&w->cluster, &hints) && hints == 0,
              "SEED=%llu: the members do not take each other for alive", (unsigned long long)seed);
    write_some(w);
    for (unsigned i = 0; i < C8_LIES; i++)
        told[i] += w->liar.told[i];
    c1_cluster_deinit(&w->cluster);
    c8_liar_deinit(&w->liar);
    free(w);
}

Test(c8, hostile)
{
    uint64_t first = kvt_env_u64("SEED", 1), seeds = kvt_seeds(WORTH, SEEDS);
    uint64_t told[C8_LIES] = {0};

    for (uint64_t seed = first; seed < first + seeds; seed++)
        run_seed(seed, told);
    fprintf(stderr, "c8: %llu seeds, lies by kind:", (unsigned long long)seeds);
    for (unsigned i = 0; i < C8_LIES; i++)
        fprintf(stderr, " %llu", (unsigned long long)told[i]);
    fprintf(stderr, "\n");
}
