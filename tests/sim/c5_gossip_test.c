/*
 * C5: membership under loss. Gossips of 5, 64 and 1,000 nodes on a network that loses a tenth of
 * all messages and delays the rest at random agree on who is there, within 3 log2(n) + 10 rounds of
 * a join, of deaths and of returns; who sleeps condemns nobody; a partition heals; and what a node
 * sends is bounded.
 *
 * SEED: the first seed. SEEDS: one run of the small networks for every 500 (sim/scale.h).
 */
#include <criterion/criterion.h>

#include "sim/c5_net.h"
#include "sim/scale.h"
#include "support/rng.h"

#define LARGE KVT_SCALED(1000u)

/* News of a join, and what is told of it more than once, goes round for so long. */
#define SETTLE_ROUNDS 20u

/* Bytes a node and round where nothing happens but loss, on average. */
#define STEADY_BYTES_MAX 4096u

#define SLEEP_NS         UINT64_C(10000000000)
#define PARTITION_ROUNDS 300u
/* The dead are probed every 30 s at the latest. */
#define NOTICE_ROUNDS    30u

#define SEEDS_DEFAULT 4u
#define WORTH         500u /* seeds of the swarm, by what they cost */

/* Rounds until all agree: 3 log2(n) + 10, rounded down. */
static uint32_t limit_of(uint32_t n)
{
    uint32_t limit = 10;

    for (uint64_t cube = (uint64_t)n * n * n; cube > 1; cube /= 2)
        limit++;
    return limit;
}

static void run(c5_net *net, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++)
        c5_net_round(net);
}

static void must_agree(c5_net *net, uint32_t more, uint64_t seed, const char *what)
{
    uint32_t limit = limit_of(net->count) + more;
    uint32_t rounds = c5_net_rounds_to_agree(net, limit);

    cr_assert(rounds <= limit, "SEED=%llu, %u nodes, %s: node %u is wrong about node %u after %u",
              (unsigned long long)seed, net->count, what, net->disagree_a, net->disagree_b, limit);
}

static void must_be_just(const c5_net *net, uint64_t seed, const char *what)
{
    cr_assert_eq(net->false_verdicts, 0,
                 "SEED=%llu, %u nodes, %s: %u false verdicts, the last by node %u on node %u at "
                 "%llu ms",
                 (unsigned long long)seed, net->count, what, net->false_verdicts, net->unjust_by,
                 net->unjust_to, (unsigned long long)(net->unjust_at_ns / 1000000));
}

/* Join, death of one in twenty, return of them. */
static void life(uint32_t count, bool by_seed, uint64_t seed)
{
    uint32_t dying = (count + 19) / 20;
    c5_net net;

    c5_net_init(&net, count, by_seed, seed);
    must_agree(&net, 0, seed, by_seed ? "join by a seed" : "join by the list");
    run(&net, SETTLE_ROUNDS);
    cr_assert(net.bytes / count <= STEADY_BYTES_MAX, "SEED=%llu, %u nodes: %llu bytes a node",
              (unsigned long long)seed, count, (unsigned long long)(net.bytes / count));
    /* While all join at once, the seed answers only as many as its budget allows. */
    net.false_verdicts = 0;
    for (uint32_t i = 1; i <= dying; i++)
        c5_net_kill(&net, i * 3);
    must_agree(&net, 0, seed, "death");
    for (uint32_t i = 1; i <= dying; i++)
        c5_net_return(&net, i * 3);
    must_agree(&net, 0, seed, "return");
    run(&net, count < LARGE ? SETTLE_ROUNDS : 5);
    cr_assert(c5_net_agrees(&net), "SEED=%llu, %u nodes: node %u is wrong about node %u at the end",
              (unsigned long long)seed, count, net.disagree_a, net.disagree_b);
    must_be_just(&net, seed, "life");
    c5_net_deinit(&net);
}

/* A node suspects another, then sleeps for 10 s, a few others too: nobody else is condemned. */
static void sleepers(uint32_t count, uint64_t seed)
{
    c5_net net;
    kvi_gossip_port port;

    c5_net_init(&net, count, false, seed);
    must_agree(&net, 0, seed, "join");
    run(&net, SETTLE_ROUNDS);
    net.false_verdicts = 0;
    port = c5_net_port(&net.nodes[1]);
    kvi_gossip_suspect(net.nodes[1].g, net.now_ns, net.nodes[2].id, &port);
    for (uint32_t i = 1; i < count; i += 8)
        c5_net_sleep(&net, i, SLEEP_NS);
    run(&net, (uint32_t)(SLEEP_NS / C5_ROUND_NS) + 1);
    must_be_just(&net, seed, "sleep");
    must_agree(&net, 0, seed, "waking");
    run(&net, SETTLE_ROUNDS);
    must_be_just(&net, seed, "waking");
    cr_assert(c5_net_agrees(&net), "SEED=%llu: node %u is wrong about node %u after a sleep",
              (unsigned long long)seed, net.disagree_a, net.disagree_b);
    c5_net_deinit(&net);
}

/* Two halves are apart for five minutes: each holds the other for dead, and then not any more. */
static void partition(uint32_t count, uint64_t seed)
{
    c5_net net;

    c5_net_init(&net, count, false, seed);
    must_agree(&net, 0, seed, "join");
    run(&net, SETTLE_ROUNDS);
    net.false_verdicts = 0;
    for (uint32_t i = 0; i < count / 2; i++)
        c5_net_cut(&net, i, 1);
    run(&net, PARTITION_ROUNDS);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < count; j++)
            cr_assert(net.nodes[i].side == net.nodes[j].side ||
                          kvi_gossip_state(net.nodes[i].g, net.nodes[j].id) == KVI_GOSSIP_DEAD,
                      "SEED=%llu: node %u holds node %u for alive across the cut",
                      (unsigned long long)seed, i, j);
    }
    for (uint32_t i = 0; i < count / 2; i++)
        c5_net_cut(&net, i, 0);
    must_agree(&net, NOTICE_ROUNDS, seed, "healing");
    run(&net, SETTLE_ROUNDS);
    cr_assert(c5_net_agrees(&net), "SEED=%llu: node %u is wrong about node %u after a partition",
              (unsigned long long)seed, net.disagree_a, net.disagree_b);
    c5_net_deinit(&net);
}

#define EACH_SEED(seed)                                                               \
    for (uint64_t seed = kvt_env_u64("SEED", 1),                                      \
                  last = seed + kvt_seeds(WORTH, getenv("SEED") ? 1 : SEEDS_DEFAULT); \
         seed < last; seed++)

Test(c5, five)
{
    EACH_SEED(seed) {
        life(5, false, seed);
        life(5, true, seed);
    }
}

Test(c5, sixty_four)
{
    EACH_SEED(seed) {
        life(64, false, seed);
        life(64, true, seed);
    }
}

Test(c5, thousand_by_list)
{
    uint64_t seed = kvt_env_u64("SEED", 1);
    c5_net net;

    c5_net_init(&net, LARGE, false, seed);
    must_agree(&net, 0, seed, "join by the list");
    must_be_just(&net, seed, "join by the list");
    c5_net_deinit(&net);
}

Test(c5, thousand_by_seed)
{
    life(LARGE, true, kvt_env_u64("SEED", 1));
}

Test(c5, sleepers)
{
    EACH_SEED(seed) {
        sleepers(5, seed);
        sleepers(64, seed);
    }
}

Test(c5, partition)
{
    EACH_SEED(seed) {
        partition(5, seed);
        partition(64, seed);
    }
}
