/* Virtual time: order, nesting, moving and cancelling, and the trace. */
#include <criterion/criterion.h>

#include <string.h>

#include "sim/sim_world.h"

#define EVENTS 8

typedef struct scene {
    kvi_mem mem;
    kvi_sim_world w;
    struct note {
        kvi_sim_event event;
        struct scene *s;
        uint64_t again_ns, run_ns; /* 0: not */
    } note[EVENTS];
    unsigned seen[64];
    uint64_t at[64];
    unsigned count, stop_at;
} scene;

static void happen(kvi_sim_event *event)
{
    struct note *n = KVI_CONTAINER_OF(event, struct note, event);
    scene *s = n->s;
    uint64_t again = n->again_ns, run = n->run_ns;

    s->seen[s->count] = (unsigned)(n - s->note);
    s->at[s->count++] = s->w.now_ns;
    n->again_ns = n->run_ns = 0;
    if (again)
        kvi_sim_schedule(&s->w, event, s->w.now_ns + again);
    if (run)
        kvi_sim_world_run(&s->w, s->w.now_ns + run, NULL, NULL);
}

static void begin(scene *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    kvi_mem_init(&s->mem, NULL);
    kvi_sim_world_init(&s->w, &s->mem, seed);
    for (unsigned i = 0; i < EVENTS; i++) {
        s->note[i].event.fn = happen;
        s->note[i].s = s;
    }
}

static void check(const scene *s, const char *order)
{
    cr_assert_eq(s->count, strlen(order));
    for (unsigned i = 0; i < s->count; i++)
        cr_assert_eq(s->seen[i], (unsigned)(order[i] - '0'), "at %u", i);
}

static void at(scene *s, unsigned i, uint64_t ns)
{
    kvi_sim_schedule(&s->w, &s->note[i].event, ns);
}

Test(sim_world, runs_in_the_order_of_time_and_then_of_scheduling)
{
    scene s;

    begin(&s, 1);
    at(&s, 3, 50);
    at(&s, 0, 20);
    at(&s, 1, 20);
    at(&s, 2, 10);
    kvi_sim_world_run(&s.w, 20, NULL, NULL);
    check(&s, "201");
    cr_assert_eq(s.w.now_ns, 20);
    kvi_sim_world_run(&s.w, 100, NULL, NULL);
    check(&s, "2013");
    cr_assert_eq(s.at[3], 50);
    cr_assert_eq(s.w.now_ns, 100);
    cr_assert_eq(s.w.ran, 4);
    kvi_sim_world_deinit(&s.w);
}

Test(sim_world, what_is_queued_moves_only_to_an_earlier_time)
{
    scene s;

    begin(&s, 1);
    at(&s, 0, 50);
    at(&s, 0, 70);
    at(&s, 1, 60);
    at(&s, 1, 40);
    kvi_sim_world_run(&s.w, 45, NULL, NULL);
    check(&s, "1");
    kvi_sim_world_run(&s.w, 55, NULL, NULL);
    check(&s, "10");
    kvi_sim_world_run(&s.w, 1000, NULL, NULL);
    check(&s, "10");
    kvi_sim_world_deinit(&s.w);
}

Test(sim_world, what_is_over_happens_now)
{
    scene s;

    begin(&s, 1);
    kvi_sim_world_run(&s.w, 100, NULL, NULL);
    at(&s, 0, 3);
    kvi_sim_world_run(&s.w, 100, NULL, NULL);
    check(&s, "0");
    cr_assert_eq(s.at[0], 100);
    kvi_sim_world_run(&s.w, 50, NULL, NULL);
    cr_assert_eq(s.w.now_ns, 100, "time never goes back");
    kvi_sim_world_deinit(&s.w);
}

Test(sim_world, cancels_what_is_queued_and_what_is_not)
{
    scene s;

    begin(&s, 1);
    at(&s, 0, 10);
    at(&s, 1, 10);
    kvi_sim_cancel(&s.w, &s.note[0].event);
    kvi_sim_cancel(&s.w, &s.note[2].event);
    kvi_sim_world_run(&s.w, 20, NULL, NULL);
    check(&s, "1");
    kvi_sim_world_deinit(&s.w);
}

Test(sim_world, runs_are_nested)
{
    scene s;

    begin(&s, 1);
    s.note[0].run_ns = 30; /* from 10 to 40 */
    s.note[1].run_ns = 5;  /* from 20 to 25 */
    s.note[1].again_ns = 2;
    at(&s, 0, 10);
    at(&s, 1, 20);
    at(&s, 2, 35);
    at(&s, 3, 41);
    kvi_sim_world_run(&s.w, 40, NULL, NULL);
    check(&s, "0112");
    cr_assert_eq(s.at[2], 22, "it went on inside of itself");
    cr_assert_eq(s.w.now_ns, 40);
    cr_assert_eq(s.w.nested, 0);
    kvi_sim_world_run(&s.w, 41, NULL, NULL);
    check(&s, "01123");
    kvi_sim_world_deinit(&s.w);
}

static bool stop(void *user)
{
    scene *s = user;

    return s->count >= s->stop_at;
}

Test(sim_world, stops_when_it_is_told_to)
{
    scene s;

    begin(&s, 1);
    at(&s, 0, 10);
    at(&s, 1, 20);
    s.stop_at = 1;
    kvi_sim_world_run(&s.w, 100, stop, &s);
    check(&s, "0");
    cr_assert_eq(s.w.now_ns, 10, "not the end: it was stopped");
    kvi_sim_world_run(&s.w, 100, stop, &s);
    check(&s, "0");
    s.stop_at = 9;
    kvi_sim_world_run(&s.w, 100, stop, &s);
    check(&s, "01");
    cr_assert_eq(s.w.now_ns, 100);
    kvi_sim_world_deinit(&s.w);
}

Test(sim_world, the_trace_tells_what_when_and_by_which_seed)
{
    scene a, b, c;

    begin(&a, 1);
    begin(&b, 1);
    begin(&c, 2);
    cr_assert_neq(a.w.trace, c.w.trace);
    kvi_sim_trace_add(&a.w, 7);
    kvi_sim_trace_add(&b.w, 7);
    cr_assert_eq(a.w.trace, b.w.trace);
    kvi_sim_trace_add(&a.w, 8);
    kvi_sim_world_run(&b.w, 1, NULL, NULL);
    kvi_sim_trace_add(&b.w, 8);
    cr_assert_neq(a.w.trace, b.w.trace, "at another time");
    kvi_sim_world_deinit(&a.w);
    kvi_sim_world_deinit(&b.w);
    kvi_sim_world_deinit(&c.w);
}
