/* The simulator as a host sees it (kv_sim.h): machines that form a cluster, and what is done to
 * them. */
#include <criterion/criterion.h>
#include <kv_sim.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "sim/sim_cluster.h"

#define MACHINES 3
#define MS       UINT64_C(1000000)
#define SECOND   (1000 * MS)

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kv_error_detail())

typedef struct scene {
    kv_sim *sim;
    kv *db[MACHINES];
    unsigned ended;
    int err; /* of the last that ended */
} scene;

static void begin(scene *s, uint64_t seed, unsigned machines)
{
    kv_sim_options o = KV_SIM_OPTIONS_INIT;

    memset(s, 0, sizeof *s);
    o.seed = seed;
    o.machines = machines;
    o.partitions_log2 = 6;
    OK(kv_sim_new(&o, &s->sim));
}

static int open_try(scene *s, unsigned i)
{
    static const char *const SEEDS[] = {"m0", "m1"};
    kv_options o = KV_OPTIONS_INIT;

    o.listen = "anything";
    o.start = i == 0 ? KV_CREATE : KV_JOIN;
    o.seeds = SEEDS;
    o.seed_count = i == 0 ? 0 : 2;
    return kv_sim_open(s->sim, i, &o, &s->db[i]);
}

static void open_one(scene *s, unsigned i)
{
    OK(open_try(s, i));
}

static size_t members(scene *s, unsigned i)
{
    size_t count = 0;

    OK(kv_members(s->db[i], NULL, &count));
    return count;
}

/* Three machines, each of which knows the others to be alive. */
static void form(scene *s, uint64_t seed)
{
    begin(s, seed, MACHINES);
    for (unsigned i = 0; i < MACHINES; i++)
        open_one(s, i);
    kv_sim_run(s->sim, 10 * SECOND);
    for (unsigned i = 0; i < MACHINES; i++)
        cr_assert_eq(members(s, i), MACHINES, "machine %u", i);
}

static void end(scene *s)
{
    for (unsigned i = 0; i < MACHINES; i++)
        if (s->db[i])
            OK(kv_close(s->db[i]));
    kv_sim_free(s->sim);
}

static int put_within(scene *s, unsigned i, const char *key, const char *value, uint32_t ms)
{
    kv_op op = KV_OP_INIT;

    op.timeout_ms = ms;
    op.flags = KV_OVERWRITE;
    return kv_put(s->db[i], key, strlen(key), value, strlen(value), &op, NULL);
}

static void put(scene *s, unsigned i, const char *key, const char *value)
{
    OK(put_within(s, i, key, value, 0));
}

/* What a get at machine i says: the value, or the error's name. */
static const char *get(scene *s, unsigned i, const char *key)
{
    static char text[128];
    kv_result r = KV_RESULT_INIT;
    int err = kv_get(s->db[i], key, strlen(key), NULL, &r);

    if (err)
        (void)snprintf(text, sizeof text, "%s", kv_strerror(err));
    else
        (void)snprintf(text, sizeof text, "%.*s", (int)r.values[0].len,
                       (const char *)r.values[0].data);
    kv_result_free(&r);
    return text;
}

static void done(void *user, uint64_t ticket, int err, const kv_result *result)
{
    scene *s = user;

    (void)ticket;
    (void)result;
    s->ended++;
    s->err = err;
}

static void submit_put(scene *s, unsigned i, const char *key)
{
    kv_request r = KV_REQUEST_INIT;

    r.call = KV_REQUEST_PUT;
    r.key = (kv_slice){key, strlen(key)};
    r.value = (kv_slice){"v", 1};
    OK(kv_submit(s->db[i], &r, done, s, NULL));
}

/* --- a cluster ---------------------------------------------------------------------------- */

Test(sim_cluster, forms_and_takes_calls_that_wait)
{
    uint64_t before;
    scene s;

    form(&s, 1);
    before = kv_sim_now(s.sim);
    put(&s, 1, "key", "value");
    cr_assert_gt(kv_sim_now(s.sim), before, "the world went on meanwhile");
    cr_assert_lt(kv_sim_now(s.sim), before + SECOND);
    for (unsigned i = 0; i < MACHINES; i++)
        cr_assert_str_eq(get(&s, i, "key"), "value");
    end(&s);
}

Test(sim_cluster, takes_requests_and_runs_their_callbacks)
{
    scene s;

    form(&s, 1);
    for (unsigned i = 0; i < 30; i++) {
        char key[8];

        (void)snprintf(key, sizeof key, "k%u", i);
        submit_put(&s, i % MACHINES, key);
    }
    cr_assert_eq(s.ended, 0);
    kv_sim_run(s.sim, 2 * SECOND);
    cr_assert_eq(s.ended, 30);
    cr_assert_eq(s.err, KV_OK);
    end(&s);
}

static uint64_t run_of(uint64_t seed)
{
    kv_sim_network storm = KV_SIM_NETWORK_INIT;
    uint64_t trace;
    scene s;

    storm.loss_ppm = storm.duplicate_ppm = storm.slow_ppm = 20000;
    storm.slow_ns = 20 * MS;
    form(&s, seed);
    OK(kv_sim_set_network(s.sim, &storm));
    put(&s, 0, "a", "1");
    OK(kv_sim_crash(s.sim, 1, KV_SIM_POWER_LOSS));
    s.db[1] = NULL;
    (void)put_within(&s, 2, "b", "2", 1000);
    open_one(&s, 1);
    submit_put(&s, 1, "c");
    kv_sim_run(s.sim, 5 * SECOND);
    trace = kv_sim_trace(s.sim);
    end(&s);
    return trace;
}

Test(sim_cluster, a_seed_is_a_run)
{
    uint64_t first = run_of(7);

    cr_assert_eq(run_of(7), first);
    cr_assert_neq(run_of(8), first);
}

/* --- the network -------------------------------------------------------------------------- */

Test(sim_cluster, a_call_that_waits_ends_by_time_though_nothing_comes)
{
    uint64_t before;
    scene s;

    form(&s, 1);
    put(&s, 0, "key", "old");
    for (unsigned i = 1; i < MACHINES; i++) {
        kv_sim_cut(s.sim, 0, i, 1);
        kv_sim_cut(s.sim, i, 0, 1);
    }
    before = kv_sim_now(s.sim);
    cr_assert_neq(put_within(&s, 0, "key", "new", 300), KV_OK);
    cr_assert(kv_sim_now(s.sim) < before + SECOND, "%llu ms",
              (unsigned long long)((kv_sim_now(s.sim) - before) / MS));
    before = kv_sim_now(s.sim);
    cr_assert_str_eq(get(&s, 0, "key"), kv_strerror(KV_EUNAVAILABLE));
    cr_assert(kv_sim_now(s.sim) <= before + 6 * SECOND);
    kv_sim_heal(s.sim);
    kv_sim_run(s.sim, 30 * SECOND);
    put(&s, 0, "key", "new");
    cr_assert_str_eq(get(&s, 2, "key"), "new");
    end(&s);
}

Test(sim_cluster, one_way_of_a_cut_is_enough_to_be_left_out)
{
    scene s;

    form(&s, 1);
    put(&s, 0, "key", "value");
    kv_sim_cut(s.sim, 2, 0, 1);
    kv_sim_cut(s.sim, 2, 1, 1);
    kv_sim_run(s.sim, 30 * SECOND);
    cr_assert_str_eq(get(&s, 0, "key"), "value");
    put(&s, 1, "key", "another");
    cr_assert_str_eq(get(&s, 2, "key"), kv_strerror(KV_EUNAVAILABLE));
    end(&s);
}

/* --- machines ----------------------------------------------------------------------------- */

Test(sim_cluster, what_was_acknowledged_survives_any_crash_of_all)
{
    scene s;

    form(&s, 11);
    for (unsigned round = 0; round < 6; round++) {
        char value[8];

        (void)snprintf(value, sizeof value, "v%u", round);
        put(&s, round % MACHINES, "key", value);
        for (unsigned i = 0; i < MACHINES; i++) {
            OK(kv_sim_crash(s.sim, i, round % 2 ? KV_SIM_PROCESS_END : KV_SIM_POWER_LOSS));
            s.db[i] = NULL;
        }
        for (unsigned i = 0; i < MACHINES; i++)
            open_one(&s, i);
        kv_sim_run(s.sim, 10 * SECOND);
        cr_assert_eq(members(&s, 2), MACHINES);
        cr_assert_str_eq(get(&s, (round + 1) % MACHINES, "key"), value);
    }
    end(&s);
}

Test(sim_cluster, a_crash_takes_no_time_and_ends_what_was_under_way)
{
    uint64_t before;
    scene s;

    form(&s, 1);
    put(&s, 0, "key", "value");
    submit_put(&s, 1, "a");
    submit_put(&s, 1, "b");
    before = kv_sim_now(s.sim);
    OK(kv_sim_crash(s.sim, 1, KV_SIM_POWER_LOSS));
    s.db[1] = NULL;
    cr_assert_eq(kv_sim_now(s.sim), before);
    cr_assert_eq(s.ended, 2);
    cr_assert(s.err == KV_ECANCELED || s.err == KV_EUNCERTAIN, "%s", kv_strerror(s.err));
    kv_sim_run(s.sim, 10 * SECOND);
    cr_assert_eq(s.ended, 2);
    cr_assert_str_eq(get(&s, 2, "key"), "value");
    OK(kv_sim_crash(s.sim, 1, KV_SIM_POWER_LOSS)); /* without a store: of its disk */
    open_one(&s, 1);
    kv_sim_run(s.sim, 10 * SECOND);
    cr_assert_str_eq(get(&s, 1, "key"), "value");
    end(&s);
}

Test(sim_cluster, a_store_closed_by_the_host_is_opened_again)
{
    scene s;

    form(&s, 1);
    put(&s, 1, "key", "value");
    cr_assert_eq(open_try(&s, 1), KV_EOPEN);
    OK(kv_close(s.db[1]));
    s.db[1] = NULL;
    kv_sim_run(s.sim, SECOND);
    open_one(&s, 1);
    kv_sim_run(s.sim, 10 * SECOND);
    cr_assert_str_eq(get(&s, 1, "key"), "value");
    OK(kv_close(s.db[1])); /* and at once */
    open_one(&s, 1);
    kv_sim_run(s.sim, 10 * SECOND);
    cr_assert_str_eq(get(&s, 1, "key"), "value");
    end(&s);
}

Test(sim_cluster, a_machine_that_is_paused_goes_on_where_it_was)
{
    scene s;

    form(&s, 1);
    put(&s, 0, "key", "value");
    kv_sim_pause(s.sim, 2, 1);
    submit_put(&s, 2, "other");
    kv_sim_run(s.sim, 20 * SECOND);
    cr_assert_eq(s.ended, 0, "it stands still");
    put(&s, 0, "key", "without it");
    kv_sim_pause(s.sim, 2, 0);
    kv_sim_run(s.sim, 20 * SECOND);
    cr_assert_eq(s.ended, 1);
    cr_assert_str_eq(get(&s, 2, "key"), "without it");
    kv_sim_pause(s.sim, 1, 1);
    OK(kv_sim_crash(s.sim, 1, KV_SIM_PROCESS_END));
    open_one(&s, 1); /* nobody is paused who was not there */
    kv_sim_run(s.sim, 10 * SECOND);
    cr_assert_str_eq(get(&s, 1, "key"), "without it");
    end(&s);
}

Test(sim_cluster, a_machine_without_its_disk_is_a_stranger)
{
    kv *space;
    scene s;

    form(&s, 1);
    put(&s, 0, "key", "value");
    cr_assert_eq(kv_sim_wipe(s.sim, 2), KV_EOPEN);
    OK(kv_sim_crash(s.sim, 2, KV_SIM_POWER_LOSS));
    OK(kv_sim_wipe(s.sim, 2));
    open_one(&s, 2);
    kv_sim_run(s.sim, 10 * SECOND);
    cr_assert_eq(members(&s, 2), 0, "the cluster serves: nobody is let in");
    cr_assert_str_eq(get(&s, 2, "key"), kv_strerror(KV_EUNAVAILABLE));
    cr_assert_eq(kv_space(s.db[2], "space", NULL, &space), KV_EUNAVAILABLE);
    cr_assert(strstr(kv_error_detail(), "KV_ENOTSUP"), "%s", kv_error_detail());
    end(&s);
}

Test(sim_cluster, wall_clocks_jump_and_all_clocks_drift)
{
    kv_op op = KV_OP_INIT;
    kvi_os_clock *clock;
    int64_t wall;
    uint64_t mono;
    scene s;

    form(&s, 1);
    clock = &s.sim->machines[1].clock;
    wall = kvi_os_wall_ms(clock);
    mono = kvi_os_mono_ns(clock);
    kv_sim_clock_jump(s.sim, 1, -3600000);
    cr_assert_eq(kvi_os_wall_ms(clock), wall - 3600000);
    cr_assert_eq(kvi_os_mono_ns(clock), mono);
    kv_sim_clock_drift(s.sim, 1, 400000);
    cr_assert_eq(kvi_os_mono_ns(clock), mono, "only from now on");
    kv_sim_run(s.sim, SECOND);
    cr_assert_eq(kvi_os_mono_ns(clock), mono + 1400 * MS);
    cr_assert_eq(kvi_os_wall_ms(clock), wall - 3600000 + 1400);
    kv_sim_clock_drift(s.sim, 1, -400000);
    kv_sim_run(s.sim, SECOND);
    cr_assert_eq(kvi_os_mono_ns(clock), mono + 2000 * MS);
    put(&s, 1, "key", "value");
    cr_assert_str_eq(get(&s, 0, "key"), "value");
    op.ttl_ms = 1000;
    OK(kv_put(s.db[0], "mortal", 6, "x", 1, &op, NULL));
    cr_assert_str_eq(get(&s, 0, "mortal"), "x");
    kv_sim_run(s.sim, 2 * SECOND);
    cr_assert_str_eq(get(&s, 0, "mortal"), kv_strerror(KV_ENOTFOUND));
    end(&s);
}

Test(sim_cluster, disks_fail_as_often_as_they_are_told)
{
    scene s;

    form(&s, 1);
    put(&s, 0, "key", "value");
    kv_sim_disk_errors(s.sim, 2, 1000000);
    put(&s, 0, "key", "on two");
    cr_assert_str_eq(get(&s, 0, "key"), "on two");
    OK(kv_sim_crash(s.sim, 2, KV_SIM_POWER_LOSS));
    s.db[2] = NULL;
    open_one(&s, 2);
    kv_sim_run(s.sim, 10 * SECOND);
    cr_assert_str_eq(get(&s, 2, "key"), "on two");
    end(&s);
}

static void get_elsewhere(void *user, uint64_t ticket, int err, const kv_result *result)
{
    scene *s = user;

    (void)ticket;
    (void)result;
    OK(err);
    s->ended++;
    cr_assert_eq(kv_put(s->db[0], "own", 3, "x", 1, NULL, NULL), KV_EDEADLK);
    cr_assert_str_eq(get(s, 1, "outer"), "v"); /* of the two that are in no callback */
}

Test(sim_cluster, a_call_that_waits_inside_a_run)
{
    kv_request r = KV_REQUEST_INIT;
    uint64_t before;
    scene s;

    form(&s, 1);
    r.call = KV_REQUEST_PUT;
    r.key = (kv_slice){"outer", 5};
    r.value = (kv_slice){"v", 1};
    OK(kv_submit(s.db[0], &r, get_elsewhere, &s, NULL));
    before = kv_sim_now(s.sim);
    kv_sim_run(s.sim, SECOND);
    cr_assert_eq(kv_sim_now(s.sim), before + SECOND);
    cr_assert_eq(s.ended, 1);
    end(&s);
}

Test(sim_cluster, a_call_on_a_machine_that_is_paused_ends_by_time)
{
    uint64_t before;
    scene s;

    form(&s, 1);
    put(&s, 0, "key", "value");
    kv_sim_pause(s.sim, 1, 1);
    before = kv_sim_now(s.sim);
    cr_assert_neq(put_within(&s, 1, "key", "lost", 500), KV_OK);
    cr_assert(kv_sim_now(s.sim) >= before + 500 * MS && kv_sim_now(s.sim) < before + SECOND, "%llu",
              (unsigned long long)(kv_sim_now(s.sim) - before));
    kv_sim_pause(s.sim, 1, 0);
    kv_sim_run(s.sim, 10 * SECOND);
    put(&s, 1, "key", "again");
    cr_assert_str_eq(get(&s, 2, "key"), "again");
    end(&s);
}

/* --- without a cluster -------------------------------------------------------------------- */

Test(sim_cluster, a_store_may_be_alone)
{
    kv_options o = KV_OPTIONS_INIT;
    uint64_t before;
    scene s;

    begin(&s, 1, 2);
    OK(kv_sim_open(s.sim, 0, NULL, &s.db[0]));
    o.layout = KV_PLACED;
    OK(kv_sim_open(s.sim, 1, &o, &s.db[1]));
    before = kv_sim_now(s.sim);
    put(&s, 1, "key", "placed");
    OK(kv_put(s.db[0], "key", 3, "ordered", 7, NULL, NULL));
    cr_assert_str_eq(get(&s, 0, "key"), "ordered");
    cr_assert_str_eq(get(&s, 1, "key"), "placed");
    cr_assert(kv_sim_now(s.sim) < before + SECOND, "%llu", (unsigned long long)kv_sim_now(s.sim));
    submit_put(&s, 0, "a");
    submit_put(&s, 1, "b");
    kv_sim_run(s.sim, SECOND);
    cr_assert_eq(s.ended, 2);
    for (unsigned i = 0; i < 2; i++) {
        OK(kv_sim_crash(s.sim, i, KV_SIM_POWER_LOSS));
        s.db[i] = NULL;
        OK(kv_sim_open(s.sim, i, NULL, &s.db[i]));
        cr_assert_str_eq(get(&s, i, "key"), i ? "placed" : "ordered");
    }
    end(&s);
}

Test(sim_cluster, a_value_that_is_read_from_the_disk)
{
    kv_options o = KV_OPTIONS_INIT;
    scene s;

    begin(&s, 1, 1);
    o.layout = KV_PLACED;
    OK(kv_sim_open(s.sim, 0, &o, &s.db[0]));
    put(&s, 0, "key", "value");
    OK(kv_flush(s.db[0]));
    OK(kv_close(s.db[0]));
    OK(kv_sim_open(s.sim, 0, &o, &s.db[0]));
    cr_assert_str_eq(get(&s, 0, "key"), "value");
    cr_assert(kv_sim_now(s.sim) < SECOND);
    end(&s);
}

Test(sim_cluster, what_is_the_simulators_is_not_the_options)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_transport t = KV_TRANSPORT_INIT;
    kv_allocator a = KV_ALLOCATOR_INIT;
    scene s;

    begin(&s, 1, 1);
    o.transport = &t; /* none of these could be used */
    o.allocator = &a;
    o.mode = KV_THREADED;
    o.workers = 9;
    OK(kv_sim_open(s.sim, 0, &o, &s.db[0]));
    OK(kv_put(s.db[0], "key", 3, "value", 5, NULL, NULL));
    cr_assert_str_eq(get(&s, 0, "key"), "value");
    end(&s);
}

Test(sim_cluster, runs_stores_of_any_number)
{
    kv_sim_options o = KV_SIM_OPTIONS_INIT;
    kv_options k = KV_OPTIONS_INIT;
    kv *db[40];
    kv_sim *sim;

    o.machines = 40;
    OK(kv_sim_new(&o, &sim));
    for (unsigned i = 0; i < 40; i++)
        OK(kv_sim_open(sim, i, &k, &db[i]));
    kv_sim_run(sim, SECOND);
    for (unsigned i = 0; i < 40; i++)
        OK(i % 2 ? kv_close(db[i]) : kv_sim_crash(sim, i, KV_SIM_POWER_LOSS));
    kv_sim_free(sim);
}
