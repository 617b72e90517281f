/*
 * What a placed store is opened as: its layout, its member, its policies and spaces.
 */
#include "api/store.h"
#include "unit/api/placed_fixture.h"

#define PLACED_TEST(name) Test(api_placed_open, name, .init = begin, .fini = end)

/* --- spaces and policies ---------------------------------------------------------------------- */

PLACED_TEST(a_space_is_an_entry_of_the_ring)
{
    kv *space, *again;

    policy.ttl_ms = 1000;
    policy.conflict = KV_LAST_WRITE_WINS;
    OK(kv_space(t.db, "named", &policy, &space));
    kvt_put(space, "key", "value");
    cr_assert(kvt_has(t.db, "key", NULL));
    OK(kv_space(space, "named", NULL, &again));
    cr_assert(kvt_has(again, "key", "value"));
    kvt_pass_ms(&t, 1000);
    cr_assert(kvt_has(again, "key", NULL), "by the default of the space");
    OK(kv_close(again));
    policy.ttl_ms = 999;
    FAILS(kv_space(t.db, "named", &policy, &again), KV_ECONFLICT, "named");
    policy.r = 2;
    FAILS(kv_space(t.db, "other", &policy, &again), KV_EINVAL, "kv_policy.r is 2");
    policy.mode = KV_STRONG;
    FAILS(kv_space(t.db, "other", &policy, &again), KV_ENOTSUP, "KV_STRONG");
    OK(kv_close(space));
    OK(reopen());
    policy = (kv_policy)KV_POLICY_INIT;
    policy.ttl_ms = 1000;
    policy.conflict = KV_LAST_WRITE_WINS;
    OK(kv_space(t.db, "named", &policy, &space));
    OK(kv_close(space));
}

Test(api_placed_open, a_policy_that_promises_little_is_told, .init = begin_machine, .fini = end)
{
    kv *space;

    OK(reopen());
    cr_assert_eq(warnings, 0);
    policy.n = 3;
    OK(kv_space(t.db, "many", &policy, &space));
    cr_assert_eq(warnings, 1, "three replicas, one node");
    OK(kv_close(space));
    policy.r = policy.w = 1;
    OK(kv_space(t.db, "few", &policy, &space));
    cr_assert_eq(warnings, 4, "that, r + w, and w");
    OK(kv_close(space));
}

Test(api_placed_open, the_default_space_is_as_it_was_created, .init = begin_machine, .fini = end)
{
    options.policy = &policy;
    policy.n = 2;
    policy.w = KV_ALL;
    OK(reopen());
    cr_assert_eq(warnings, 1);
    OK(reopen());
    policy.w = 0;
    FAILS(reopen(), KV_ECONFLICT, "n 2");
    policy.w = KV_ALL;
    OK(reopen());
    options.policy = NULL;
    OK(reopen());
}

/* --- layouts ---------------------------------------------------------------------------------- */

PLACED_TEST(a_layout_is_kept)
{
    OK(put("key", "value"));
    options.layout = KV_ORDERED;
    FAILS(reopen(), KV_ELAYOUT, "layout 2");
    options.layout = KV_LAYOUT_DEFAULT;
    OK(reopen());
    OK(get("key"));
    cr_assert(t.db->store->placed);
}

Test(api_placed_open, an_ordered_store_does_not_become_a_node, .init = begin_machine, .fini = end)
{
    options.layout = KV_LAYOUT_DEFAULT;
    OK(reopen());
    cr_assert(!t.db->store->placed);
    options.layout = KV_PLACED;
    FAILS(reopen(), KV_ELAYOUT, "layout 1");
    options.layout = KV_ORDERED;
    OK(reopen());
}

PLACED_TEST(it_is_the_one_member_of_its_cluster)
{
    kv_member m[2] = {KV_MEMBER_INIT, KV_MEMBER_INIT};
    size_t count = 2;
    uint64_t node;

    OK(put("key", "value")); /* by now the ring is on the disk */
    OK(kv_members(t.db, m, &count));
    cr_assert_eq(count, 1);
    cr_assert(m[0].node != 0 && m[0].state == KV_MEMBER_ALIVE && m[0].weight == 100);
    cr_assert(m[0].partitions > 0 && m[0].hints == 0 && m[0].zone[0] == '\0');
    node = m[0].node;
    count = 0;
    OK(kv_members(t.db, m, &count));
    cr_assert_eq(count, 1);
    OK(kv_members(t.db, NULL, &count));
    FAILS(kv_members(t.db, m, NULL), KV_EINVAL, "count is NULL");
    m[1].size = 3;
    count = 2;
    FAILS(kv_members(t.db, m, &count), KV_EINVAL, "kv_member.size is 3");
    cr_assert_eq(count, 2);
    OK(reopen());
    count = 1;
    OK(kv_members(t.db, m, &count));
    cr_assert_eq(m[0].node, node, "an identity is kept");
}
