/*
 * Reads and walks through a small cluster, one situation at a time.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "replication/key.h"
#include "support/cluster.h"

static void put(kvt_cluster *cl, unsigned node, const char *key, const char *value)
{
    cl_request q;

    cl_request_init(cl, &q, KVI_REQUEST_PUT, key, value);
    cr_assert_eq(kvt_cluster_call(cl, node, &q), KV_OK, "%s", q.r.detail);
    cl_request_deinit(&q);
}

static int get(kvt_cluster *cl, unsigned node, const char *key, uint8_t r, uint32_t flags,
               char *out)
{
    kvi_object o;
    cl_request q;
    int err;

    cl_request_init(cl, &q, KVI_REQUEST_GET, key, NULL);
    q.r.r = r;
    q.r.flags = flags;
    err = kvt_cluster_call(cl, node, &q);
    out[0] = 0;
    kvi_object_init(&o, &cl->nodes[0].fx.mem);
    if (!err) {
        cr_assert_eq(kvi_object_decode(&o, kvi_buf_slice(&q.r.object)), KV_OK);
        for (uint32_t i = 0; i < o.count; i++) {
            memcpy(out + strlen(out) + 0, o.siblings[i].value.data, o.siblings[i].value.len + 0);
            out[i + 1] = 0; /* values of one byte */
        }
    }
    kvi_object_deinit(&o);
    cl_request_deinit(&q);
    return err;
}

Test(coordinator_read, finds_what_was_acknowledged_at_any_node)
{
    kvt_cluster *cl = kvt_cluster_new(21, 5, 3, NULL);
    char out[64] = {0};

    cr_assert_eq(get(cl, 0, "key", 0, 0, out), KV_ENOTFOUND);
    put(cl, 1, "key", "a");
    for (unsigned node = 0; node < 5; node++) {
        cr_assert_eq(get(cl, node, "key", 0, 0, out), KV_OK);
        cr_assert_str_eq(out, "a");
    }
    kvt_cluster_free(cl);
}

Test(coordinator_read, nothing_of_a_stand_in_does_not_count)
{
    kvt_cluster *cl = kvt_cluster_new(22, 5, 3, NULL);
    char out[64] = {0};
    unsigned nodes[16];

    cl_walk(cl, "key", 3, nodes);
    put(cl, nodes[0], "key", "a");
    kvt_cluster_run_ns(cl, 1000000000);
    cl_isolate(cl, nodes[0], true);
    cl_isolate(cl, nodes[1], true);
    cr_assert_eq(get(cl, nodes[3], "key", 2, 0, out), KV_EUNAVAILABLE,
                 "one primary and two stand-ins that have nothing are not two");
    cr_assert_eq(get(cl, nodes[3], "key", 1, 0, out), KV_OK);
    cr_assert_eq(get(cl, nodes[3], "absent", 1, 0, out), KV_ENOTFOUND);
    cl_isolate(cl, nodes[2], true);
    cr_assert_eq(get(cl, nodes[3], "key", 1, 0, out), KV_EUNAVAILABLE);
    /* What stand-ins do have counts. */
    put(cl, nodes[3], "key", "b");
    cr_assert_eq(get(cl, nodes[3], "key", 2, 0, out), KV_OK);
    cr_assert_str_eq(out, "b");
    cr_assert_eq(get(cl, nodes[3], "key", 1, KV_PRIMARIES_ONLY, out), KV_EUNAVAILABLE);
    kvt_cluster_free(cl);
}

Test(coordinator_read, repairs_what_it_finds_stale)
{
    kvt_cluster *cl = kvt_cluster_new(23, 3, 3, NULL);
    char out[64] = {0};
    kvi_buf physical;
    unsigned nodes[16];
    kvi_slice key = kvi_slice_of("key", 3), value;

    cl_walk(cl, "key", 3, nodes);
    put(cl, nodes[0], "key", "a");
    kvt_cluster_run_ns(cl, 1000000000);
    kvi_buf_init(&physical, &cl->mem);
    cr_assert_eq(kvi_key_data(&physical, 1, kvi_ring_token(cl->ring, key), key), KV_OK);
    cr_assert(kvt_effects_get(&cl->nodes[nodes[1]].fx, kvi_buf_slice(&physical), &value));
    /* Two fall back to an earlier state: one misses a later write, the other all. */
    {
        kvi_buf old;

        kvi_buf_init(&old, &cl->mem);
        cr_assert_eq(kvi_buf_set(&old, value.data, value.len), KV_OK);
        put(cl, nodes[0], "key", "b");
        kvt_cluster_run_ns(cl, 1000000000);
        kvt_effects_put(&cl->nodes[nodes[1]].fx, kvi_buf_slice(&physical), kvi_buf_slice(&old));
        kvt_effects_put(&cl->nodes[nodes[0]].fx, kvi_buf_slice(&physical), kvi_buf_slice(&old));
        kvi_buf_deinit(&old);
    }
    cr_assert_eq(get(cl, nodes[0], "key", 3, 0, out), KV_OK);
    cr_assert_str_eq(out, "b");
    kvt_cluster_run_ns(cl, 1000000000);
    cr_assert_eq(cl_holders(cl, 1, key, "b"), 3);
    cr_assert_eq(cl_holders(cl, 1, key, "a"), 0);
    kvi_buf_deinit(&physical);
    kvt_cluster_free(cl);
}

Test(coordinator_read, a_replica_that_cannot_read_is_replaced)
{
    kvt_cluster *cl = kvt_cluster_new(24, 3, 3, NULL);
    char out[64] = {0};
    unsigned nodes[16];

    cl_walk(cl, "key", 3, nodes);
    put(cl, nodes[0], "key", "a");
    kvt_cluster_run_ns(cl, 1000000000);
    kvt_effects_fail(&cl->nodes[nodes[0]].fx, KVT_READ, 0, 1, KV_ECORRUPT);
    cr_assert_eq(get(cl, nodes[0], "key", 2, 0, out), KV_OK);
    cr_assert_str_eq(out, "a");
    kvt_effects_fail(&cl->nodes[nodes[0]].fx, KVT_READ, 0, 1, KV_ECORRUPT);
    cr_assert_eq(get(cl, nodes[0], "key", 3, 0, out), KV_ECORRUPT, "never nothing");
    kvt_cluster_free(cl);
}

Test(coordinator_read, asks_another_when_one_is_slow)
{
    kvt_cluster *cl = kvt_cluster_new(25, 5, 3, NULL);
    char out[64] = {0};
    unsigned nodes[16];
    uint64_t begin;

    cl_walk(cl, "key", 3, nodes);
    put(cl, nodes[0], "key", "a");
    kvt_cluster_run_ns(cl, 1000000000);
    cl->delay_max_ns = 10000;
    cl->cut[nodes[0]][nodes[4]] = true; /* nobody knows */
    begin = cl->now_ns;
    cr_assert_eq(get(cl, nodes[4], "key", 2, 0, out), KV_OK);
    cr_assert_lt(cl->now_ns - begin, 50000000);
    kvt_cluster_free(cl);
}

/* Walks all pages; returns how many entries, checks their order. */
static unsigned walk(kvt_cluster *cl, unsigned node, const char *prefix, uint32_t limit)
{
    kvi_buf resume;
    kvi_buf seen;
    cl_request q;
    uint64_t token = 0;
    unsigned count = 0, pages = 0;

    kvi_buf_init(&resume, &cl->nodes[0].fx.mem);
    kvi_buf_init(&seen, &cl->nodes[0].fx.mem);
    do {
        kvi_wire_items_iter it;
        kvi_wire_entry e;

        cl_request_init(cl, &q, KVI_REQUEST_SCAN, "", NULL);
        q.r.scan.prefix = kvi_slice_of(prefix, strlen(prefix));
        q.r.scan.limit = limit;
        q.r.scan.bytes = 100000;
        q.r.scan.has_after = q.r.scan.after_resume = pages++ > 0;
        q.r.scan.after = kvi_buf_slice(&resume);
        cr_assert_eq(kvt_cluster_call(cl, node, &q), KV_OK, "%s", q.r.detail);
        cr_assert(q.r.entry_count <= limit);
        kvi_wire_items_begin(&it, (kvi_wire_items){q.r.entry_count, kvi_buf_slice(&q.r.entries)});
        while (kvi_wire_entries_next(&it, &e)) {
            cr_assert(kvi_slice_has_prefix(e.key, kvi_slice_of(prefix, strlen(prefix))));
            cr_assert_eq(e.token, kvi_ring_token(cl->ring, e.key));
            cr_assert(e.token > token ||
                      (e.token == token && kvi_slice_cmp(e.key, kvi_buf_slice(&seen)) > 0));
            token = e.token;
            cr_assert_eq(kvi_buf_set(&seen, e.key.data, e.key.len), KV_OK);
            count++;
        }
        cr_assert_eq(kvi_buf_set(&resume, q.r.resume.data, q.r.resume.len), KV_OK);
        cr_assert(!q.r.more || resume.len >= 8);
        cl_request_deinit(&q);
        node = (node + 1) % cl->count; /* resumes anywhere */
    } while (resume.len > 0);
    kvi_buf_deinit(&resume);
    kvi_buf_deinit(&seen);
    return count;
}

Test(coordinator_read, walks_see_every_key_once_in_order)
{
    kvt_cluster *cl = kvt_cluster_new(26, 5, 3, NULL);
    char key[32];

    cr_assert_eq(walk(cl, 0, "", 10), 0);
    cr_assert_eq(walk(cl, 0, "{p}", 10), 0);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "key%u", i);
        put(cl, i % 5, key, "v");
        snprintf(key, sizeof key, "{p}%u", i);
        put(cl, i % 5, key, "w");
        snprintf(key, sizeof key, "x{p}%u", i);
        put(cl, i % 5, key, "w");
    }
    for (uint32_t limit = 1; limit < 60; limit = limit * 3 + 1) {
        cr_assert_eq(walk(cl, 1, "", limit), 120);
        cr_assert_eq(walk(cl, 2, "{p}", limit), 40);
        cr_assert_eq(walk(cl, 3, "{p}1", limit), 11);
        cr_assert_eq(walk(cl, 3, "x{p}", limit), 40);
        cr_assert_eq(walk(cl, 4, "key", limit), 40);
        cr_assert_eq(walk(cl, 4, "none", limit), 0);
        cr_assert_eq(walk(cl, 4, "{none}", limit), 0);
    }
    cl_isolate(cl, 4, true);
    cl_isolate(cl, 4, false);
    kvt_cluster_free(cl);
}
