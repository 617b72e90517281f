/*
 * S2: a real, multi-threaded writer process is killed again and again, and no write that it had
 * acknowledged is lost: at KV_OS and at KV_DISK, since the page cache outlives the process.
 * Batches are whole, versions have no gap, and the directory opens every time.
 *
 * Not a clock but the writer's own progress says when it dies: after a number of acknowledgements
 * drawn from the seed.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kv.h>

#include "integration/s2_shared.h"
#include "support/rng.h"
#include "support/tmpdir.h"

#define KILLS_DEFAULT 200  /* over both durabilities */
#define ACKS_MAX      3000 /* of a run, at most */

typedef struct scene {
    char dir[256], data[300], file[300], worker[300];
    s2_shared *shared;
    kvt_rng rng;
    uint64_t seed;
} scene;

static void scene_init(scene *s, uint64_t seed)
{
    const char *bin = getenv("KVT_BIN_DIR");
    int fd;

    cr_assert(bin, "KVT_BIN_DIR is set by the Makefile");
    kvt_tmpdir(s->dir, sizeof s->dir);
    (void)snprintf(s->data, sizeof s->data, "%s/data", s->dir);
    (void)snprintf(s->file, sizeof s->file, "%s/shared", s->dir);
    (void)snprintf(s->worker, sizeof s->worker, "%s/s2_kill_worker", bin);
    fd = open(s->file, O_RDWR | O_CREAT, 0600);
    cr_assert(fd >= 0 && ftruncate(fd, sizeof *s->shared) == 0);
    s->shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(s->shared != MAP_FAILED);
    (void)close(fd);
    s->seed = seed;
    kvt_rng_init(&s->rng, seed);
}

static void scene_deinit(scene *s)
{
    (void)munmap(s->shared, sizeof *s->shared);
    kvt_rmtree(s->dir);
}

static pid_t start(const scene *s, int durability)
{
    char text[16];
    pid_t pid;

    (void)snprintf(text, sizeof text, "%d", durability);
    pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        (void)execl(s->worker, s->worker, s->data, s->file, text, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static uint64_t total_acked(const scene *s)
{
    uint64_t sum = 0;

    for (int t = 0; t < S2_THREADS; t++)
        sum += atomic_load(&s->shared->acked[t]);
    return sum;
}

/* Kills the writer once it has acknowledged acks more writes. */
static void run_and_kill(scene *s, int durability, uint64_t acks)
{
    uint64_t until = total_acked(s) + acks;
    pid_t pid = start(s, durability), ended = 0;
    int status = 0;

    while (ended == 0 && total_acked(s) < until) {
        sched_yield();
        ended = waitpid(pid, &status, WNOHANG);
    }
    cr_assert(ended == 0, "the writer ended by itself: status %d, error %d: %s", status,
              atomic_load(&s->shared->failed), s->shared->detail);
    (void)kill(pid, SIGKILL);
    cr_assert(waitpid(pid, &status, 0) == pid);
}

static void expect_value(const scene *s, kv *db, kv_result *r, const char *key, size_t key_len,
                         int thread, uint64_t version)
{
    char value[S2_VALUE_MAX];
    size_t len = s2_value(value, thread, version);
    int err = kv_get(db, key, key_len, NULL, r);

    cr_assert(err == KV_OK, "seed %llu: %s: %s %s", (unsigned long long)s->seed, key,
              kv_strerror(err), kv_error_detail());
    cr_assert(r->values[0].len == len && memcmp(r->values[0].data, value, len) == 0,
              "seed %llu: %s has another value than version %llu", (unsigned long long)s->seed, key,
              (unsigned long long)version);
}

/* The newest version of a thread is one that it acknowledged last, or the one it had begun. */
static uint64_t judge_thread(const scene *s, kv *db, kv_result *r, int thread)
{
    uint64_t acked = atomic_load(&s->shared->acked[thread]),
             begun = atomic_load(&s->shared->begun[thread]), found = 0;
    char key[S2_KEY_MAX];
    size_t len = s2_counter_key(key, thread);
    int err = kv_get(db, key, len, NULL, r);

    cr_assert(err == KV_OK || (err == KV_ENOTFOUND && acked == 0), "seed %llu: %s: %s",
              (unsigned long long)s->seed, key, kv_strerror(err));
    if (err == KV_OK)
        found = strtoull(r->values[0].data, NULL, 10);
    cr_assert(found >= acked && found <= begun,
              "seed %llu: thread %d acknowledged %llu, had begun %llu, and %llu is there",
              (unsigned long long)s->seed, thread, (unsigned long long)acked,
              (unsigned long long)begun, (unsigned long long)found);
    for (uint64_t v = found > S2_KEEP ? found - S2_KEEP + 1 : 1; v <= found; v++)
        expect_value(s, db, r, key, s2_entry_key(key, thread, v), thread, v);
    for (uint64_t v = found > S2_KEEP + 20 ? found - S2_KEEP - 20 : 1; v + S2_KEEP <= found; v++)
        cr_assert(kv_get(db, key, s2_entry_key(key, thread, v), NULL, r) == KV_ENOTFOUND,
                  "seed %llu: %s came back", (unsigned long long)s->seed, key);
    cr_assert(kv_get(db, key, s2_entry_key(key, thread, found + 1), NULL, r) == KV_ENOTFOUND,
              "seed %llu: %s is there without its counter", (unsigned long long)s->seed, key);
    return found;
}

static void judge(scene *s)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_result r = KV_RESULT_INIT;
    kv *db;
    int err;

    o.memory = 4u << 20;
    err = kv_open(s->data, &o, &db);
    cr_assert(err == KV_OK, "seed %llu: %s: %s", (unsigned long long)s->seed, kv_strerror(err),
              kv_error_detail());
    for (int t = 0; t < S2_THREADS; t++) {
        uint64_t found = judge_thread(s, db, &r, t);

        atomic_store(&s->shared->acked[t], found); /* the next writer goes on from here */
        atomic_store(&s->shared->begun[t], found);
    }
    kv_result_free(&r);
    cr_assert(kv_close(db) == KV_OK);
}

static void kill_again_and_again(uint64_t seed, int durability, uint64_t kills)
{
    scene s;

    scene_init(&s, seed);
    for (uint64_t i = 0; i < kills; i++) {
        run_and_kill(&s, durability,
                     1 + kvt_rng_below(&s.rng, durability == KV_DISK ? ACKS_MAX / 10 : ACKS_MAX));
        judge(&s);
    }
    scene_deinit(&s);
}

Test(s2, kill_at_os, .timeout = 300)
{
    kill_again_and_again(kvt_env_u64("SEED", 1), KV_OS, kvt_env_u64("KILLS", KILLS_DEFAULT) / 2);
}

Test(s2, kill_at_disk, .timeout = 300)
{
    kill_again_and_again(kvt_env_u64("SEED", 1) + 1000, KV_DISK,
                         kvt_env_u64("KILLS", KILLS_DEFAULT) / 2);
}
