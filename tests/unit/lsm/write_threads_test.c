/*
 * Writes on real threads: one is held back between its reservation and its publication, while
 * others come and go.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "lsm/engine.h"
#include "os/event.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define WRITERS 3u
#define WRITES  300u

typedef struct gate {
    kvi_os_jitter jitter;
    kvi_os_event reached, open;
} gate;

typedef struct store {
    gate gate;
    kvi_mem mem;
    kvi_budget budget, files;
    kvi_os_fs_mem fs;
    kvi_os_env env;
    kvi_lsm *l;
} store;

static store s;

/* How many more calls of yield this thread makes until it is held back; 0: it is not. */
static _Thread_local unsigned yields_left;

static void yield(kvi_os_jitter *j)
{
    gate *g = KVI_CONTAINER_OF(j, gate, jitter);

    if (yields_left == 0 || --yields_left > 0)
        return;
    kvi_os_event_set(&g->reached, KV_OK);
    (void)kvi_os_event_wait(&g->open, NULL);
}

static void setup(void)
{
    kvi_lsm_options o = {.env = &s.env, .budget = &s.budget, .path = "store", .may_create = true};
    bool created;

    memset(&s, 0, sizeof s);
    s.gate.jitter.yield = yield;
    kvi_os_event_init(&s.gate.reached);
    kvi_os_event_init(&s.gate.open);
    kvi_mem_init(&s.mem, NULL);
    kvi_budget_init(&s.budget, (size_t)8 << 20);
    kvi_budget_init(&s.files, (size_t)64 << 20);
    kvi_os_fs_mem_init(&s.fs, &s.mem, &s.files);
    s.env.mem = &s.mem;
    s.env.fs = &s.fs.base;
    s.env.clock = kvi_os_clock_real();
    s.env.rand = kvi_os_rand_real();
    s.env.jitter = &s.gate.jitter;
    OK(kvi_os_pool_new(&s.mem, 2, &s.env.exec));
    o.log = true;
    OK(kvi_lsm_open(&o, &s.l, &created));
}

static void teardown(void)
{
    OK(kvi_lsm_close(s.l));
    kvi_os_pool_free(s.env.exec);
    kvi_os_event_deinit(&s.gate.reached);
    kvi_os_event_deinit(&s.gate.open);
}

typedef struct one_write {
    kvi_lsm_waiter waiter;
    kvi_os_event event;
    kvi_lsm_op op;
    kvi_lsm_write w;
} one_write;

static void wake(kvi_lsm_waiter *self, int result)
{
    kvi_os_event_set(&KVI_CONTAINER_OF(self, one_write, waiter)->event, result);
}

/* What the call says; KVI_PENDING: the event will be set. */
static int write_begin(one_write *o, const char *key)
{
    memset(o, 0, sizeof *o);
    kvi_list_init(&o->waiter.link);
    o->waiter.wake = wake;
    kvi_os_event_init(&o->event);
    o->op = (kvi_lsm_op){KVI_KIND_PUT, {key, strlen(key)}, {"v", 1}, 0};
    o->w = (kvi_lsm_write){.ops = &o->op, .count = 1, .waiter = &o->waiter};
    return kvi_lsm_write_ops(s.l, &o->w);
}

static int write_end(one_write *o, int r)
{
    if (r == KVI_PENDING)
        r = kvi_os_event_wait(&o->event, NULL);
    kvi_os_event_deinit(&o->event);
    return r;
}

static bool has(const char *key)
{
    kvi_lsm_get g = {{key, strlen(key)}, KVI_LSM_SEQ_LATEST, 0, false};
    kvi_lsm_value v;
    kvi_buf copy;
    int r;

    kvi_buf_init(&copy, &s.mem);
    r = kvi_lsm_get_value(s.l, &g, &copy, &v);
    if (r == KV_OK)
        kvi_lsm_value_release(&v);
    kvi_buf_deinit(&copy);
    return r == KV_OK;
}

/* Taking `write_lock` is the first call of yield, giving it up, reserved, the second. */
static void *write_early(void *arg)
{
    one_write o;
    int *result = arg;

    yields_left = 2;
    *result = write_end(&o, write_begin(&o, "early"));
    return NULL;
}

Test(lsm_write_threads, the_later_write_waits_for_the_earlier, .init = setup, .fini = teardown)
{
    pthread_t thread;
    one_write late[2];
    kvi_lsm_guard g;
    int early = KV_EIO, r[2];

    cr_assert_eq(pthread_create(&thread, NULL, write_early, &early), 0);
    OK(kvi_os_event_wait(&s.gate.reached, NULL));
    cr_assert_eq(kvi_lsm_guard_take(s.l, (kvi_slice){"early", 5}, &g), KVI_AGAIN);
    for (size_t i = 0; i < 2; i++) {
        r[i] = write_begin(&late[i], i ? "second" : "first");
        cr_assert_eq(r[i], KVI_PENDING);
        cr_assert_eq(late[i].w.last_seq, i + 2);
    }
    cr_assert_eq(kvi_lsm_last_seq(s.l), 0);
    cr_assert(!has("early") && !has("first") && !has("second"));
    kvi_os_event_set(&s.gate.open, KV_OK);
    for (size_t i = 0; i < 2; i++)
        OK(write_end(&late[i], r[i]));
    cr_assert(has("early") && has("first") && has("second"));
    pthread_join(thread, NULL);
    cr_assert_eq(early, KV_OK);
    cr_assert_eq(kvi_lsm_last_seq(s.l), 3);
}

/* Acknowledged is readable, with all before it. */
static void *write_many(void *arg)
{
    const char *key = arg;

    for (unsigned i = 0; i < WRITES; i++) {
        one_write o;
        int r = write_end(&o, write_begin(&o, key));

        if (r == KVI_AGAIN)
            continue;
        if (r != KV_OK || kvi_lsm_last_seq(s.l) < o.w.last_seq || !has(key))
            abort();
    }
    return NULL;
}

Test(lsm_write_threads, acknowledged_is_readable, .init = setup, .fini = teardown)
{
    static char keys[WRITERS][2] = {"a", "b", "c"};
    pthread_t threads[WRITERS];

    for (size_t i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, keys[i]), 0);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert(kvi_lsm_last_seq(s.l) > 0 && kvi_lsm_last_seq(s.l) <= WRITERS * WRITES);
    cr_assert(kvi_list_empty(&s.l->order));
}
