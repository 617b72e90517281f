/* What the simulator refuses of its options, networks and machines (kv_sim.h). */
#include <criterion/criterion.h>
#include <kv_sim.h>

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kv_error_detail())

Test(sim_options, refuses_options_that_make_no_sense)
{
    kv_sim_options o = KV_SIM_OPTIONS_INIT;
    kv_sim *sim;

    cr_assert_eq(kv_sim_new(NULL, &sim), KV_EINVAL);
    cr_assert_eq(kv_sim_new(&o, NULL), KV_EINVAL);
    o.size--;
    cr_assert_eq(kv_sim_new(&o, &sim), KV_EINVAL);
    o.size++;
    o.flags = 1;
    cr_assert_eq(kv_sim_new(&o, &sim), KV_EINVAL);
    o.flags = 0;
    o.machines = 0;
    cr_assert_eq(kv_sim_new(&o, &sim), KV_EINVAL);
    o.machines = KV_SIM_MACHINES_MAX + 1;
    cr_assert_eq(kv_sim_new(&o, &sim), KV_EINVAL);
    o.machines = 1;
    o.partitions_log2 = 17;
    cr_assert_eq(kv_sim_new(&o, &sim), KV_EINVAL);
    o.partitions_log2 = 0;
    o.reserved[1] = 1;
    cr_assert_eq(kv_sim_new(&o, &sim), KV_EINVAL);
    kv_sim_free(NULL);
}

Test(sim_options, refuses_a_network_that_makes_no_sense)
{
    const kv_sim_network good = KV_SIM_NETWORK_INIT;
    kv_sim_network n = good;
    kv_sim_options o = KV_SIM_OPTIONS_INIT;
    kv_sim *sim;

    OK(kv_sim_new(&o, &sim));
    OK(kv_sim_set_network(sim, &n));
    OK(kv_sim_set_network(sim, NULL));
    cr_assert_eq(kv_sim_set_network(NULL, &n), KV_EINVAL);
    n.size++;
    cr_assert_eq(kv_sim_set_network(sim, &n), KV_EINVAL);
    n = good;
    n.delay_min_ns = 2;
    n.delay_max_ns = 1;
    cr_assert_eq(kv_sim_set_network(sim, &n), KV_EINVAL);
    n = good;
    n.loss_ppm = 1000001;
    cr_assert_eq(kv_sim_set_network(sim, &n), KV_EINVAL);
    n = good;
    n.slow_ns = UINT64_MAX;
    cr_assert_eq(kv_sim_set_network(sim, &n), KV_EINVAL);
    o.network = &n;
    {
        kv_sim *other;

        cr_assert_eq(kv_sim_new(&o, &other), KV_EINVAL);
    }
    kv_sim_free(sim);
}

Test(sim_options, refuses_machines_that_are_not_there)
{
    kv_sim_options o = KV_SIM_OPTIONS_INIT;
    kv_sim *sim;
    kv *db;

    o.machines = 2;
    OK(kv_sim_new(&o, &sim));
    cr_assert_eq(kv_sim_open(NULL, 0, NULL, &db), KV_EINVAL);
    cr_assert_eq(kv_sim_open(sim, 2, NULL, &db), KV_EINVAL);
    cr_assert_eq(kv_sim_open(sim, 1, NULL, NULL), KV_EINVAL);
    cr_assert_eq(kv_sim_crash(sim, 2, KV_SIM_POWER_LOSS), KV_EINVAL);
    cr_assert_eq(kv_sim_crash(NULL, 0, KV_SIM_POWER_LOSS), KV_EINVAL);
    cr_assert_eq(kv_sim_crash(sim, 0, 2), KV_EINVAL);
    cr_assert_eq(kv_sim_wipe(sim, 2), KV_EINVAL);
    cr_assert_eq(kv_sim_wipe(NULL, 0), KV_EINVAL);
    OK(kv_sim_wipe(sim, 1)); /* of nothing */
    OK(kv_sim_crash(sim, 1, KV_SIM_PROCESS_END));
    kv_sim_free(sim);
}
