/*
 * The writer that is killed: S2_THREADS threads, each writing its versions as fast as it can until
 * the process dies.
 *
 *   s2_kill_worker DIR SHARED-FILE DURABILITY
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kv.h>

#include "integration/s2_shared.h"

static kv *db;
static s2_shared *shared;
static uint8_t durability;

static void fail(int err)
{
    (void)snprintf(shared->detail, sizeof shared->detail, "%s", kv_error_detail());
    atomic_store(&shared->failed, err);
    _exit(3);
}

static void check(int err)
{
    if (err)
        fail(err);
}

static void write_version(int thread, uint64_t version)
{
    char key[S2_KEY_MAX], value[S2_VALUE_MAX];
    kv_op op = KV_OP_INIT;
    kv_batch *batch;

    op.durability = durability;
    check(kv_batch_new(db, &batch));
    check(kv_batch_put(batch, key, s2_counter_key(key, thread), value,
                       s2_value(value, thread, version), NULL));
    check(kv_batch_put(batch, key, s2_entry_key(key, thread, version), value,
                       s2_value(value, thread, version), NULL));
    if (version > S2_KEEP)
        check(kv_batch_delete(batch, key, s2_entry_key(key, thread, version - S2_KEEP)));
    atomic_store(&shared->begun[thread], version);
    check(kv_batch_commit(batch, &op, NULL));
    atomic_store(&shared->acked[thread], version);
    kv_batch_free(batch);
}

static void *writer(void *arg)
{
    int thread = (int)(intptr_t)arg;

    for (uint64_t v = atomic_load(&shared->acked[thread]) + 1;; v++)
        write_version(thread, v);
    return NULL;
}

int main(int argc, char **argv)
{
    kv_options o = KV_OPTIONS_INIT;
    pthread_t threads[S2_THREADS];
    int fd;

    if (argc != 4)
        return 2;
    fd = open(argv[2], O_RDWR);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || shared == MAP_FAILED)
        return 2;
    durability = (uint8_t)atoi(argv[3]);
    o.memory = 4u << 20;
    check(kv_open(argv[1], &o, &db));
    for (int t = 0; t < S2_THREADS; t++)
        if (pthread_create(&threads[t], NULL, writer, (void *)(intptr_t)t))
            return 2;
    for (int t = 0; t < S2_THREADS; t++)
        pthread_join(threads[t], NULL);
    return 0;
}
