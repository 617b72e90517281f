/* The simulated network: what is lost, doubled, cut, delayed, refused and vouched for. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "node/inbox.h"
#include "sim/sim_net.h"

#define MACHINES 3
#define MS       UINT64_C(1000000)

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

/* A store, as far as the network sees it. */
typedef struct store {
    kv_inbox inbox;
    kv_transport t;
    unsigned got, notified;
    char last[64], from[64], identity[64];
    unsigned order[512];
    unsigned refuse; /* so many more messages are KV_EBUSY */
} store;

typedef struct scene {
    kvi_mem mem;
    kvi_sim_world w;
    kvi_sim_net net;
    store store[MACHINES];
    unsigned taps;
} scene;

static int deliver(kv_inbox *inbox, const kv_peer *from, const void *message, size_t len)
{
    store *s = KVI_CONTAINER_OF(inbox, store, inbox);

    if (s->refuse > 0) {
        s->refuse--;
        return KV_EBUSY;
    }
    (void)snprintf(s->last, sizeof s->last, "%.*s", (int)kvi_min_size(len, 60),
                   (const char *)message);
    (void)snprintf(s->from, sizeof s->from, "%s", from->address);
    (void)snprintf(s->identity, sizeof s->identity, "%.*s", (int)from->identity.len,
                   (const char *)from->identity.data);
    if (s->got < 512)
        s->order[s->got] = (unsigned)strtoul(s->last, NULL, 10);
    s->got++;
    return KV_OK;
}

static void notify(void *user)
{
    store *s = user;

    s->notified++;
}

static void start(scene *s, unsigned i)
{
    char name[8];

    (void)snprintf(name, sizeof name, "m%u", i);
    OK(s->store[i].t.start(s->store[i].t.self, &s->store[i].inbox, NULL, name));
}

static void begin(scene *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    kvi_mem_init(&s->mem, NULL);
    kvi_sim_world_init(&s->w, &s->mem, seed);
    OK(kvi_sim_net_init(&s->net, &s->w, &s->mem, MACHINES));
    s->net.knobs = (kvi_sim_net_knobs){.delay_min_ns = MS, .delay_max_ns = 2 * MS};
    for (unsigned i = 0; i < MACHINES; i++) {
        s->store[i].inbox.deliver = deliver;
        s->net.endpoints[i].notify = notify;
        s->net.endpoints[i].user = &s->store[i];
        kvi_sim_net_transport(&s->net.endpoints[i], &s->store[i].t);
        start(s, i);
    }
}

static void stop(scene *s, unsigned i)
{
    s->store[i].t.stop(s->store[i].t.self);
}

static void end(scene *s)
{
    for (unsigned i = 0; i < MACHINES; i++)
        if (s->net.endpoints[i].inbox)
            stop(s, i);
    kvi_sim_net_deinit(&s->net);
    kvi_sim_world_deinit(&s->w);
}

static int say(scene *s, unsigned from, const char *to, const char *text)
{
    kv_slice part = {text, strlen(text)};

    return s->store[from].t.send(s->store[from].t.self, to, &part, 1, KV_SEND_NORMAL);
}

static void step(scene *s, unsigned i, uint64_t wait_ns)
{
    OK(s->store[i].t.step(s->store[i].t.self, wait_ns));
}

/* Time passes; what has come is taken. */
static void run(scene *s, uint64_t ns)
{
    kvi_sim_world_run(&s->w, s->w.now_ns + ns, NULL, NULL);
    for (unsigned i = 0; i < MACHINES; i++)
        step(s, i, 0);
}

Test(sim_net, a_message_arrives_later_whole_and_vouched_for)
{
    const kv_slice parts[3] = {{"one", 3}, {NULL, 0}, {"two", 3}};
    scene s;

    begin(&s, 1);
    OK(s.store[0].t.send(s.store[0].t.self, "m1", parts, 3, KV_SEND_URGENT));
    kvi_sim_world_run(&s.w, MS - 1, NULL, NULL);
    cr_assert_eq(s.store[1].t.next(s.store[1].t.self), -1);
    step(&s, 1, 0);
    cr_assert_eq(s.store[1].got, 0);
    kvi_sim_world_run(&s.w, 2 * MS, NULL, NULL);
    cr_assert_eq(s.store[1].notified, 1);
    cr_assert_eq(s.store[1].got, 0, "it waits for the step");
    cr_assert_eq(s.store[1].t.next(s.store[1].t.self), 0);
    step(&s, 1, 0);
    cr_assert_eq(s.store[1].got, 1);
    cr_assert_str_eq(s.store[1].last, "onetwo");
    cr_assert_str_eq(s.store[1].from, "m0");
    cr_assert_str_eq(s.store[1].identity, "m0");
    end(&s);
}

Test(sim_net, starts_at_its_own_address_once)
{
    scene s;

    begin(&s, 1);
    cr_assert_eq(s.store[0].t.start(s.store[0].t.self, &s.store[0].inbox, NULL, "m0"), KV_EINUSE);
    stop(&s, 0);
    cr_assert_eq(s.store[0].t.start(s.store[0].t.self, &s.store[0].inbox, NULL, "m1"), KV_EINVAL);
    start(&s, 0);
    cr_assert_eq(say(&s, 1, "nobody", "x"), KV_EUNAVAILABLE);
    OK(say(&s, 1, "m1", "to myself"));
    run(&s, 2 * MS);
    cr_assert_str_eq(s.store[1].last, "to myself");
    end(&s);
}

Test(sim_net, loses_as_many_as_it_is_told)
{
    scene s;

    begin(&s, 5);
    s.net.knobs.loss_ppm = 500000;
    for (unsigned i = 0; i < 400; i++)
        OK(say(&s, 0, "m1", "x"));
    run(&s, 2 * MS);
    cr_assert(s.store[1].got > 120 && s.store[1].got < 280, "%u", s.store[1].got);
    cr_assert_eq(s.net.lost, 400 - s.store[1].got);
    cr_assert_eq(s.net.sent, 400);
    s.net.knobs.loss_ppm = 1000000;
    s.store[1].got = 0;
    for (unsigned i = 0; i < 100; i++)
        OK(say(&s, 0, "m1", "x"));
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 0);
    end(&s);
}

Test(sim_net, doubles_and_reorders)
{
    scene s;
    bool overtaken = false;

    begin(&s, 5);
    s.net.knobs.duplicate_ppm = 1000000;
    s.net.knobs.slow_ppm = 300000;
    s.net.knobs.slow_ns = 20 * MS;
    for (unsigned i = 0; i < 100; i++) {
        char text[8];

        (void)snprintf(text, sizeof text, "%u", i);
        OK(say(&s, 0, "m1", text));
    }
    run(&s, 30 * MS);
    cr_assert_eq(s.store[1].got, 200);
    for (unsigned i = 1; i < 200; i++)
        overtaken |= s.store[1].order[i] < s.store[1].order[i - 1];
    cr_assert(overtaken);
    end(&s);
}

Test(sim_net, a_cut_is_one_way_and_holds_what_is_under_way)
{
    scene s;

    begin(&s, 1);
    OK(say(&s, 0, "m1", "under way"));
    s.net.cuts[0 * MACHINES + 1] = true;
    OK(say(&s, 0, "m1", "after"));
    OK(say(&s, 1, "m0", "back"));
    OK(say(&s, 0, "m2", "aside"));
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 0);
    cr_assert_str_eq(s.store[0].last, "back");
    cr_assert_str_eq(s.store[2].last, "aside");
    s.net.cuts[0 * MACHINES + 1] = false;
    OK(say(&s, 0, "m1", "mended"));
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 1);
    cr_assert_str_eq(s.store[1].last, "mended");
    end(&s);
}

Test(sim_net, what_was_under_way_to_one_who_stopped_never_arrives)
{
    scene s;

    begin(&s, 1);
    OK(say(&s, 0, "m1", "old"));
    stop(&s, 1);
    OK(say(&s, 0, "m1", "nobody there"));
    start(&s, 1);
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 0);
    OK(say(&s, 0, "m1", "arrived and not taken"));
    kvi_sim_world_run(&s.w, s.w.now_ns + 2 * MS, NULL, NULL);
    stop(&s, 1);
    start(&s, 1);
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 0);
    OK(say(&s, 0, "m1", "new"));
    run(&s, 2 * MS);
    cr_assert_str_eq(s.store[1].last, "new");
    end(&s);
}

Test(sim_net, what_was_refused_waits_for_resume_in_order)
{
    scene s;

    begin(&s, 1);
    s.net.knobs.delay_max_ns = MS;
    OK(say(&s, 0, "m1", "1"));
    OK(say(&s, 0, "m1", "2"));
    s.store[1].refuse = 1;
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 0);
    cr_assert_eq(s.store[1].t.next(s.store[1].t.self), -1, "not before resume");
    step(&s, 1, 0);
    cr_assert_eq(s.store[1].got, 0);
    s.store[1].t.resume(s.store[1].t.self, "m0");
    cr_assert_eq(s.store[1].t.next(s.store[1].t.self), 0);
    step(&s, 1, 0);
    cr_assert_eq(s.store[1].got, 2);
    cr_assert_eq(s.store[1].order[0], 1);
    end(&s);
}

Test(sim_net, a_step_that_waits_lets_the_world_go_on)
{
    scene s;

    begin(&s, 1);
    OK(say(&s, 0, "m1", "x"));
    step(&s, 1, UINT64_MAX);
    cr_assert_eq(s.store[1].got, 1);
    cr_assert(s.w.now_ns >= MS && s.w.now_ns <= 2 * MS);
    step(&s, 1, 5 * MS);
    cr_assert(s.w.now_ns >= 6 * MS, "nothing came: the time is over");
    s.store[1].t.wake(s.store[1].t.self);
    step(&s, 1, UINT64_MAX);
    cr_assert(s.w.now_ns <= 7 * MS);
    end(&s);
}

Test(sim_net, one_who_is_paused_gets_nothing_until_it_goes_on)
{
    scene s;

    begin(&s, 1);
    s.net.endpoints[1].paused = true;
    OK(say(&s, 0, "m1", "x"));
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 0);
    cr_assert_eq(s.store[1].t.next(s.store[1].t.self), -1);
    s.net.endpoints[1].paused = false;
    step(&s, 1, 0);
    cr_assert_eq(s.store[1].got, 1);
    end(&s);
}

static void tap(void *user, unsigned from, unsigned to, kvi_slice message)
{
    scene *s = user;

    cr_assert_eq(from, 0);
    cr_assert_eq(to, 1);
    cr_assert_eq(message.len, 1);
    s->taps++;
}

Test(sim_net, is_tapped_and_injected_into)
{
    scene s;

    begin(&s, 1);
    kvi_sim_net_tap(&s.net, tap, &s);
    s.net.knobs.loss_ppm = 1000000;
    OK(say(&s, 0, "m1", "x"));
    cr_assert_eq(s.taps, 1, "before its fate is drawn");
    kvi_sim_net_tap(&s.net, NULL, NULL);
    OK(kvi_sim_net_inject(&s.net, "stranger", 1, "hello", 5));
    run(&s, 2 * MS);
    cr_assert_eq(s.store[1].got, 1);
    cr_assert_str_eq(s.store[1].from, "stranger");
    OK(kvi_sim_net_inject(&s.net, "stranger", 1, "late", 4));
    end(&s); /* what is under way is freed */
}

static uint64_t trace_of(uint64_t seed)
{
    uint64_t trace;
    scene s;

    begin(&s, seed);
    s.net.knobs.loss_ppm = s.net.knobs.duplicate_ppm = s.net.knobs.slow_ppm = 200000;
    s.net.knobs.slow_ns = 5 * MS;
    for (unsigned i = 0; i < 50; i++) {
        OK(say(&s, i % 3, "m1", "x"));
        run(&s, MS / 2);
    }
    run(&s, 10 * MS);
    trace = s.w.trace;
    end(&s);
    return trace;
}

Test(sim_net, a_seed_is_a_run)
{
    cr_assert_eq(trace_of(3), trace_of(3));
    cr_assert_neq(trace_of(3), trace_of(4));
}
