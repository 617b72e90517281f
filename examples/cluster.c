/*
 * A cluster of three nodes in one process: a conflict is made and resolved.
 *
 * Each store is a node, with a thread of its own, over the network inside the process that kv_loop
 * gives. On three machines the program is the same, with one kv_open() each and another transport.
 */
#include <kv.h>
#include <stdio.h>
#include <string.h>

#define NODES 3

static const char *const NAMES[NODES] = {"alice", "bob", "carol"};
static const char KEY[] = "basket";

static int must(int err, const char *what)
{
    if (err != KV_OK)
        fprintf(stderr, "%s: %s (%s)\n", what, kv_strerror(err), kv_error_detail());
    return err;
}

/** The first creates the cluster, the others join it through the first. */
static int open_node(kv_loop *network, int i, kv **out)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_transport transport = KV_TRANSPORT_INIT;

    if (must(kv_loop_transport(network, &transport), "transport"))
        return 1;
    o.listen = NAMES[i];
    o.transport = &transport;
    o.start = i == 0 ? KV_CREATE : KV_JOIN;
    o.seeds = NAMES;
    o.seed_count = i == 0 ? 0 : 1;
    return must(kv_open(NULL, &o, out), "open");
}

/** Puts value in place of what seen has seen, at some node. */
static int put(kv *node, const char *value, const kv_result *seen)
{
    kv_op op = KV_OP_INIT;
    kv_result receipt = KV_RESULT_INIT;
    int err;

    op.context = seen->context;
    err = must(kv_put(node, KEY, strlen(KEY), value, strlen(value), &op, &receipt), "put");
    if (err == KV_OK)
        printf("put \"%s\": %u replicas have it\n", value, (unsigned)receipt.acks);
    kv_result_free(&receipt);
    return err;
}

static int get(kv *node, kv_result *result)
{
    int err = kv_get(node, KEY, strlen(KEY), NULL, result);

    if (err != KV_OK && err != KV_ESIBLINGS && err != KV_ENOTFOUND)
        return must(err, "get");
    printf("get: %u value%s", (unsigned)result->count, result->count == 1 ? "" : "s");
    for (uint32_t i = 0; i < result->count; i++)
        printf(" \"%.*s\"", (int)result->values[i].len, (const char *)result->values[i].data);
    printf("\n");
    return KV_OK;
}

/** Two clients read the same, and both write: neither has seen the other. */
static int shop(kv *const node[NODES])
{
    kv_result seen = KV_RESULT_INIT, both = KV_RESULT_INIT, end = KV_RESULT_INIT;
    int err = get(node[0], &seen);

    if (!err)
        err = put(node[1], "bread", &seen);
    if (!err)
        err = put(node[2], "wine", &seen);
    if (!err)
        err = get(node[0], &both);
    if (!err && both.count != 2)
        err = 1; /* both are there: nothing is lost */
    if (!err)
        err = put(node[0], "bread and wine", &both); /* replaces what both saw */
    if (!err)
        err = get(node[2], &end);
    if (!err && end.count != 1)
        err = 1;
    kv_result_free(&seen);
    kv_result_free(&both);
    kv_result_free(&end);
    return err;
}

int main(void)
{
    kv *node[NODES] = {NULL};
    kv_loop *network;
    int err = must(kv_loop_new(NULL, &network), "network");

    if (err)
        return 1;
    for (int i = 0; i < NODES && !err; i++)
        err = open_node(network, i, &node[i]);
    if (!err)
        err = shop(node); /* the first call waits until all three are there */
    for (int i = 0; i < NODES; i++)
        if (must(kv_close(node[i]), "close"))
            err = 1;
    kv_loop_free(network);
    return err != 0;
}
