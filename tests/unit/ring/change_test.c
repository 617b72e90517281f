/* lib/ring/change.c and ring.c: what changes say and refuse, and what documents answer. */
#include "support/failmem.h"
#include "unit/ring/rings.h"

static kvi_mem mem;
static kvi_ring *ring;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
    ring = ring_of_one(&mem, 6, 3);
}

static void teardown(void)
{
    kvi_ring_free(ring);
}

#define RING_TEST(name) Test(ring_change, name, .init = setup, .fini = teardown)

/* It failed with err, said why, and gave nothing. */
static void refused(int got, int err, const char *why)
{
    cr_assert_eq(got, err, "%d, wanted %d: %s", got, err, kvi_error_detail());
    cr_assert(strstr(kvi_error_detail(), why), "\"%s\" in \"%s\"", why, kvi_error_detail());
}

RING_TEST(a_new_document_says_what_it_was_created_with)
{
    kvi_ring_params p = params(6, 3);
    uint32_t count;

    cr_assert_arr_eq(kvi_ring_uuid(ring), p.uuid, 16);
    cr_assert_eq(kvi_ring_epoch(ring), 1);
    cr_assert_eq(kvi_ring_stage(ring), KVI_RING_FORMING);
    cr_assert_eq(kvi_ring_token_seed(ring), 7);
    cr_assert_eq(kvi_ring_secret(ring)[0], 11);
    cr_assert_eq(kvi_ring_secret(ring)[1], 13);
    cr_assert_eq(kvi_ring_bits(ring), 6);
    cr_assert_eq(kvi_ring_next_space_id(ring), 16);
    cr_assert_eq(kvi_ring_weighted(ring), 1);
    cr_assert_eq(kvi_ring_voters(ring, &count)[0], id_of(0));
    cr_assert_eq(count, 1);
    cr_assert_str_eq(kvi_ring_members(ring, &count)[0].address, "10.0.0.0:7000");
    cr_assert_eq(count, 1);
    cr_assert_eq(kvi_ring_spaces(ring, &count)[0].policy.n, 3);
    cr_assert_eq(count, 1);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(kvi_ring_owner(ring, i), id_of(0));
}

RING_TEST(what_a_cluster_cannot_be_created_with)
{
    char text[KVI_RING_ADDRESS_MAX + 2];
    kvi_ring *made = ring;
    kvi_ring_params p;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    p = params(KVI_RING_BITS_MAX + 1, 3);
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "bits");
    p = params(6, 0);
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "n is not");
    p = params(6, KVI_RING_N_MAX + 1);
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "n is not");
    p = params(6, 3);
    p.policy.r = 4;
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "r is neither");
    p = params(6, 3);
    p.policy.w = 0;
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "w is neither");
    p = params(6, 3);
    p.policy.conflict = 16;
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "conflict");
    p = params(6, 3);
    p.first.weight = 0;
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "weight");
    p = params(6, 3);
    p.first.node_id = 0;
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "node_id");
    p = params(6, 3);
    p.first.zone = text + sizeof text - 1 - 64;
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "zone");
    p = params(6, 3);
    p.first.address = text;
    refused(kvi_ring_create(&mem, &p, &made), KV_EINVAL, "address");
    cr_assert_eq(made, ring, "untouched");
}

RING_TEST(a_join_leaves_the_old_document_as_it_was)
{
    uint64_t before = print_of(&mem, ring);
    char texts[2][32];
    kvi_ring_member m = member(1, 3, texts);
    kvi_ring *made = NULL;

    OK(kvi_ring_join(ring, &m, &made));
    texts[0][0] = texts[1][0] = '!';
    cr_assert_eq(print_of(&mem, ring), before);
    cr_assert_null(kvi_ring_member_of(ring, id_of(1)));
    replace(&ring, made);
    cr_assert_str_eq(kvi_ring_member_of(ring, id_of(1))->zone, "zone-1", "copied");
    cr_assert_str_eq(kvi_ring_member_of(ring, id_of(1))->address, "10.0.0.1:7000");
    cr_assert_eq(kvi_ring_epoch(ring), 2);
}

RING_TEST(a_join_is_done_once)
{
    char texts[2][32];
    kvi_ring_member m = member(1, 3, texts);
    kvi_ring *made = ring;

    join(&ring, 1, 3);
    OK(kvi_ring_join(ring, &m, &made));
    cr_assert_null(made, "it is a member already");
    made = ring;
    m.weight++;
    refused(kvi_ring_join(ring, &m, &made), KV_EEXIST, "10.0.0.1:7000");
    m.weight--;
    m.address = "10.0.0.2:7000";
    refused(kvi_ring_join(ring, &m, &made), KV_EEXIST, "already");
    m.node_id = 0;
    refused(kvi_ring_join(ring, &m, &made), KV_EINVAL, "node_id");
    cr_assert_eq(made, ring);
}

RING_TEST(members_are_bounded_by_partitions)
{
    char texts[2][32];
    kvi_ring_member m = member(4, 1, texts);
    kvi_ring *made = ring;

    for (unsigned i = 1; i < 4; i++)
        join(&ring, i, 1);
    made = ring;
    refused(kvi_ring_join(ring, &m, &made), KV_ETOOBIG, "64 partitions");
    cr_assert_eq(made, ring);
}

RING_TEST(a_leaver_is_gone_and_owns_nothing)
{
    kvi_ring *made = ring;

    join(&ring, 1, 1);
    join(&ring, 2, 1);
    leave(&ring, 1);
    cr_assert_null(kvi_ring_member_of(ring, id_of(1)));
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_neq(kvi_ring_owner(ring, i), id_of(1));
    OK(kvi_ring_leave(ring, id_of(1), &made));
    cr_assert_null(made, "it is gone already");
}

RING_TEST(who_cannot_leave)
{
    kvi_ring *made = ring;

    refused(kvi_ring_leave(ring, id_of(0), &made), KV_EINVAL, "last member with weight");
    join(&ring, 1, 1);
    made = ring;
    refused(kvi_ring_leave(ring, id_of(0), &made), KV_EBUSY, "voter");
    cr_assert_eq(made, ring);
}

static uint32_t owned(unsigned i)
{
    uint32_t count = 0;

    for (uint32_t p = 0; p < partitions_of(ring); p++)
        count += kvi_ring_owner(ring, p) == id_of(i);
    return count;
}

static void reweight(unsigned i, unsigned weight)
{
    kvi_ring *made = NULL;

    OK(kvi_ring_reweight(ring, id_of(i), (uint16_t)weight, &made));
    replace(&ring, made);
}

RING_TEST(weights_move_what_they_say)
{
    join(&ring, 1, 1);
    join(&ring, 2, 1);
    reweight(1, 2 * WEIGHT);
    cr_assert_eq(owned(1), 32);
    reweight(1, 0);
    cr_assert_eq(owned(1), 0);
    cr_assert_eq(owned(0) + owned(2), 64);
    cr_assert_eq(kvi_ring_weighted(ring), 2);
    cr_assert_eq(kvi_ring_effective_n(ring, 3), 2);
    cr_assert_not_null(kvi_ring_member_of(ring, id_of(1)));
    reweight(1, 1);
    cr_assert_eq(owned(1), 1, "one partition at least");
    reweight(1, UINT16_MAX);
    cr_assert_geq(owned(1), 60);
    cr_assert_geq(owned(0), 1);
    cr_assert_geq(owned(2), 1);
}

RING_TEST(reweights_that_do_not_work)
{
    kvi_ring *made = ring;

    refused(kvi_ring_reweight(ring, id_of(1), 5, &made), KV_ENOENT, "no member");
    refused(kvi_ring_reweight(ring, id_of(0), 0, &made), KV_EINVAL, "last member");
    cr_assert_eq(made, ring);
    OK(kvi_ring_reweight(ring, id_of(0), WEIGHT, &made));
    cr_assert_null(made);
}

RING_TEST(a_ring_serves_for_ever)
{
    kvi_ring *made = NULL;

    OK(kvi_ring_serve(ring, &made));
    replace(&ring, made);
    cr_assert_eq(kvi_ring_stage(ring), KVI_RING_SERVING);
    OK(kvi_ring_serve(ring, &made));
    cr_assert_null(made);
    join(&ring, 1, 1);
    cr_assert_eq(kvi_ring_stage(ring), KVI_RING_SERVING);
}

RING_TEST(spaces_are_numbered_from_sixteen)
{
    kvi_ring_policy policy = {2, 1, KV_ALL, 0, 1, 5000};
    kvi_ring *made = NULL;
    uint32_t count;

    OK(kvi_ring_add_space(ring, "users", &policy, &made));
    replace(&ring, made);
    OK(kvi_ring_add_space(ring, "carts", &policy, &made));
    replace(&ring, made);
    cr_assert_eq(kvi_ring_space_named(ring, "users")->id, 16);
    cr_assert_eq(kvi_ring_space_named(ring, "carts")->id, 17);
    cr_assert_eq(kvi_ring_space_named(ring, "")->id, KVI_RING_SPACE_DEFAULT);
    cr_assert_null(kvi_ring_space_named(ring, "user"));
    cr_assert_str_eq(kvi_ring_space_of(ring, 17)->name, "carts");
    cr_assert_eq(kvi_ring_space_of(ring, 17)->policy.ttl_ms, 5000);
    cr_assert_null(kvi_ring_space_of(ring, 18));
    cr_assert_null(kvi_ring_space_of(ring, 2));
    cr_assert_eq(kvi_ring_next_space_id(ring), 18);
    cr_assert_str_eq(kvi_ring_spaces(ring, &count)[0].name, "");
    cr_assert_eq(count, 3);
}

RING_TEST(a_space_keeps_its_policy)
{
    kvi_ring_policy policy = {2, 1, KV_ALL, 0, 1, 5000};
    char name[KVI_RING_NAME_MAX + 2];
    kvi_ring *made = NULL;

    OK(kvi_ring_add_space(ring, "users", &policy, &made));
    replace(&ring, made);
    OK(kvi_ring_add_space(ring, "users", &policy, &made));
    cr_assert_null(made, "it is there");
    made = ring;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    refused(kvi_ring_add_space(ring, name, &policy, &made), KV_EINVAL, "1 to 255");
    refused(kvi_ring_add_space(ring, "", &policy, &made), KV_EINVAL, "1 to 255");
    policy.n = 3;
    refused(kvi_ring_add_space(ring, "users", &policy, &made), KV_EEXIST, "users");
    policy.n = 0;
    refused(kvi_ring_add_space(ring, "carts", &policy, &made), KV_EINVAL, "n is not");
    cr_assert_eq(made, ring);
}

RING_TEST(spaces_are_bounded)
{
    kvi_ring_policy policy = {1, 1, 1, 0, 0, 0};
    kvi_ring *made = NULL;
    char name[16];

    for (unsigned i = 1; i < KVI_RING_SPACES_MAX; i++) {
        snprintf(name, sizeof name, "s%u", i);
        OK(kvi_ring_add_space(ring, name, &policy, &made));
        replace(&ring, made);
    }
    made = ring;
    refused(kvi_ring_add_space(ring, "more", &policy, &made), KV_ETOOBIG, "1024 spaces");
}

/* --- without memory -------------------------------------------------------------------------- */

RING_TEST(without_memory_nothing_changes_and_nothing_leaks)
{
    kvi_ring_policy policy = {1, 1, 1, 0, 0, 0};
    kvi_ring_params p = params(6, 3);
    char texts[2][32];
    kvi_ring_member m = member(2, 2, texts);
    kvt_failmem fm;
    kvi_mem scarce;
    unsigned refusals = 0;

    kvt_failmem_init(&fm, &scarce);
    for (int call = 0; call < 6; call++) {
        for (size_t n = 0;; n++) {
            kvi_ring *base = NULL, *made = NULL;
            int err = KV_OK;

            base = ring_of(&scarce, 6, 3, 2, 2);
            kvt_failmem_arm(&fm, n, false);
            switch (call) {
            case 0:
                err = kvi_ring_create(&scarce, &p, &made);
                break;
            case 1:
                err = kvi_ring_join(base, &m, &made);
                break;
            case 2:
                err = kvi_ring_leave(base, id_of(1), &made);
                break;
            case 3:
                err = kvi_ring_reweight(base, id_of(1), 1, &made);
                break;
            case 4:
                err = kvi_ring_serve(base, &made);
                break;
            default:
                err = kvi_ring_add_space(base, "users", &policy, &made);
                break;
            }
            bool failed = kvt_failmem_disarm(&fm);

            cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
            cr_assert_eq(made == NULL, failed);
            kvi_ring_free(made);
            kvi_ring_free(base);
            cr_assert_eq(kvt_failmem_live(&fm), 0);
            refusals += failed;
            if (!failed)
                break;
        }
    }
    cr_assert_geq(refusals, 12);
}
