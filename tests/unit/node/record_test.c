/* The node's records: identities, what is not what was written, and where they are kept. */
#include "base/bytes.h"
#include "unit/node/nodes.h"

static nodes *begin(void)
{
    nodes *n = nodes_begin(1);

    nodes_open_engine(&n->m[0]);
    return n;
}

static void end(nodes *n)
{
    nodes_close_engine(&n->m[0]);
    nodes_end(n);
}

Test(node_record, each_opening_is_another_one_of_the_same_node)
{
    nodes *n = begin();
    machine *m = &n->m[0];
    kvi_node_identity first, second;

    nodes_identify(m);
    first = m->identity;
    cr_assert(first.node_id != 0 && first.open_id != 0);
    cr_assert_eq(first.incarnation, 1);
    nodes_close_engine(m);
    nodes_open_engine(m);
    nodes_identify(m);
    second = m->identity;
    cr_assert_eq(second.node_id, first.node_id);
    cr_assert_neq(second.open_id, first.open_id);
    cr_assert_eq(second.incarnation, 2);
    OK(kvi_identity_next(m->lsm, &m->env.os, &second));
    cr_assert_eq(second.incarnation, 3);
    OK(kvi_identity_next(m->lsm, &m->env.os, &second));
    cr_assert_eq(second.incarnation, 3, "it is the caller who writes it");
    end(n);
}

static int next_of(machine *m, const uint8_t *bytes, size_t len)
{
    kvi_node_identity id;

    nodes_put_record(m, KVI_RECORD_IDENTITY, bytes, len);
    return kvi_identity_next(m->lsm, &m->env.os, &id);
}

Test(node_record, an_identity_that_was_not_written_is_corrupt)
{
    const kvi_node_identity id = {5, 0, 7}, none = {0, 0, 7}, unborn = {5, 0, 0},
                            last = {5, 0, UINT32_MAX};
    uint8_t bytes[KVI_RECORD_IDENTITY_LEN + 1] = {0};
    nodes *n = begin();

    kvi_identity_encode(&id, bytes);
    cr_assert_eq(bytes[0], KVI_RECORD_VERSION);
    cr_assert_eq(bytes[1], 5, "little-endian");
    cr_assert_eq(bytes[9], 7);
    OK(next_of(&n->m[0], bytes, KVI_RECORD_IDENTITY_LEN));
    cr_assert_eq(next_of(&n->m[0], bytes, KVI_RECORD_IDENTITY_LEN - 1), KV_ECORRUPT);
    cr_assert_eq(next_of(&n->m[0], bytes, KVI_RECORD_IDENTITY_LEN + 1), KV_ECORRUPT);
    cr_assert_eq(next_of(&n->m[0], bytes, 0), KV_ECORRUPT);
    bytes[0]++;
    cr_assert_eq(next_of(&n->m[0], bytes, KVI_RECORD_IDENTITY_LEN), KV_ECORRUPT);
    kvi_identity_encode(&none, bytes);
    cr_assert_eq(next_of(&n->m[0], bytes, KVI_RECORD_IDENTITY_LEN), KV_ECORRUPT);
    kvi_identity_encode(&unborn, bytes);
    cr_assert_eq(next_of(&n->m[0], bytes, KVI_RECORD_IDENTITY_LEN), KV_ECORRUPT);
    kvi_identity_encode(&last, bytes);
    cr_assert_eq(next_of(&n->m[0], bytes, KVI_RECORD_IDENTITY_LEN), KV_ECORRUPT);
    end(n);
}

static int failing_fill(kvi_os_rand *r, void *buf, size_t len)
{
    (void)r;
    (void)buf;
    (void)len;
    return kvi_error_set(KV_EIO, "no chance today");
}

Test(node_record, without_chance_there_is_no_opening)
{
    kvi_os_rand rand = {failing_fill};
    kvi_node_identity id = {1, 2, 3};
    nodes *n = begin();
    kvi_os_env env = n->m[0].env.os;

    env.rand = &rand;
    cr_assert_eq(kvi_identity_next(n->m[0].lsm, &env, &id), KV_EIO);
    cr_assert_eq(id.incarnation, 3, "untouched");
    end(n);
}

Test(node_record, reads_what_is_there)
{
    static const uint8_t LONG[20000] = {1, 2, 3};
    nodes *n = begin();
    kvi_buf bytes;

    kvi_buf_init(&bytes, &n->mem);
    cr_assert_eq(kvi_record_read(n->m[0].lsm, KVI_RECORD_RING, &bytes), KV_ENOTFOUND);
    nodes_put_record(&n->m[0], KVI_RECORD_RING, LONG, sizeof LONG);
    OK(kvi_record_read(n->m[0].lsm, KVI_RECORD_RING, &bytes));
    cr_assert_eq(bytes.len, sizeof LONG);
    cr_assert_arr_eq(bytes.data, LONG, sizeof LONG);
    kvi_buf_deinit(&bytes);
    end(n);
}

/* Opens a node on a record of these bytes. */
static int open_with(nodes *n, char letter, const void *bytes, size_t len)
{
    kvi_node_config config;
    kvi_node *node;
    int err;

    nodes_put_record(&n->m[0], letter, bytes, len);
    nodes_identify(&n->m[0]);
    config = nodes_config(n, 0);
    err = kvi_node_open(&config, &node);
    if (!err)
        kvi_node_close(node);
    return err;
}

Test(node_record, a_node_does_not_open_on_what_was_not_written)
{
    uint8_t hlc[KVI_RECORD_HLC_LEN] = {KVI_RECORD_VERSION, 9};
    nodes *n = begin();

    OK(open_with(n, KVI_RECORD_HLC, hlc, sizeof hlc));
    cr_assert_eq(open_with(n, KVI_RECORD_HLC, hlc, sizeof hlc - 1), KV_ECORRUPT);
    hlc[0]++;
    cr_assert_eq(open_with(n, KVI_RECORD_HLC, hlc, sizeof hlc), KV_ECORRUPT);
    hlc[0]--;
    OK(open_with(n, KVI_RECORD_HLC, hlc, sizeof hlc));
    cr_assert_eq(open_with(n, KVI_RECORD_RING, "no ring", 7), KV_ECORRUPT);
    end(n);
}

Test(node_record, a_node_does_not_open_on_the_ring_of_others)
{
    kvi_ring_params p = {.uuid = "another cluster",
                         .bits = 4,
                         .first = {77, 100, "", "elsewhere"},
                         .policy = {1, 1, 1, 0, 0, 0}};
    nodes *n = begin();
    kvi_ring *ring;
    kvi_buf bytes;

    OK(kvi_ring_create(&n->mem, &p, &ring));
    kvi_buf_init(&bytes, &n->mem);
    OK(kvi_ring_encode(ring, &bytes));
    cr_assert_eq(open_with(n, KVI_RECORD_RING, bytes.data, bytes.len), KV_ECORRUPT);
    kvi_buf_deinit(&bytes);
    kvi_ring_free(ring);
    end(n);
}
