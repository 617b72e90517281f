/* lib/sim/sim_exec.c */
#include <criterion/criterion.h>

#include "sim/sim_exec.h"

#define JOBS 8

/* Notes the order in which its jobs run. */
struct run {
    kvi_sim_exec exec;
    struct step {
        struct run *run;
        kvi_os_job job;
        int id;
        bool again;
    } steps[JOBS];
    int order[2 * JOBS];
    size_t ran;
};

static void step(void *user)
{
    struct step *s = user;
    kvi_os_exec *e = &s->run->exec.base;

    s->run->order[s->run->ran++] = s->id;
    if (s->again) {
        s->again = false;
        e->ops->submit(e, &s->job);
    }
}

static void start(struct run *r, uint64_t seed)
{
    memset(r, 0, sizeof *r);
    kvi_sim_exec_init(&r->exec, seed);
    for (int i = 0; i < JOBS; i++) {
        r->steps[i].run = r;
        r->steps[i].id = i;
        r->steps[i].job.fn = step;
        r->steps[i].job.user = &r->steps[i];
    }
}

static void submit(struct run *r, int i)
{
    r->exec.base.ops->submit(&r->exec.base, &r->steps[i].job);
}

Test(sim_exec, a_job_waits_until_somebody_helps)
{
    struct run r;

    start(&r, 1);
    cr_assert(!r.exec.base.ops->help(&r.exec.base));
    submit(&r, 3);
    cr_assert_eq(r.ran, 0);
    cr_assert(r.exec.base.ops->help(&r.exec.base));
    cr_assert_eq(r.ran, 1);
    cr_assert_eq(r.order[0], 3);
    cr_assert(!r.exec.base.ops->help(&r.exec.base));
}

Test(sim_exec, each_job_runs_once_and_the_order_is_the_seeds)
{
    struct run one, two;
    bool differs = false;

    for (uint64_t seed = 0; seed < 20; seed++) {
        unsigned seen = 0;

        start(&one, seed);
        start(&two, seed);
        for (int i = 0; i < JOBS; i++) {
            submit(&one, i);
            submit(&two, i);
        }
        cr_assert_eq(kvi_sim_exec_run_all(&one.exec, 100), JOBS);
        cr_assert_eq(kvi_sim_exec_run_all(&two.exec, 100), JOBS);
        cr_assert_arr_eq(one.order, two.order, sizeof one.order);
        for (int i = 0; i < JOBS; i++) {
            seen |= 1u << one.order[i];
            differs = differs || one.order[i] != i;
        }
        cr_assert_eq(seen, (1u << JOBS) - 1);
    }
    cr_assert(differs);
}

Test(sim_exec, a_job_may_submit_itself_again)
{
    struct run r;

    start(&r, 1);
    r.steps[0].again = true;
    submit(&r, 0);
    cr_assert_eq(kvi_sim_exec_run_all(&r.exec, 1), 1);
    cr_assert_eq(kvi_sim_exec_run_all(&r.exec, 10), 1);
    cr_assert_eq(r.ran, 2);
}

Test(sim_exec, urgent_jobs_can_be_made_to_go_first)
{
    struct run r;

    for (uint64_t seed = 0; seed < 20; seed++) {
        start(&r, seed);
        r.exec.urgent_first = true;
        for (int i = 0; i < JOBS; i++) {
            r.steps[i].job.urgent = i % 2 == 1;
            submit(&r, i);
        }
        kvi_sim_exec_run_all(&r.exec, 100);
        for (int i = 0; i < JOBS; i++)
            cr_assert_eq(r.order[i] % 2, i < JOBS / 2);
    }
}

Test(sim_exec, a_submit_can_be_made_to_run_a_job)
{
    struct run r;

    start(&r, 1);
    r.exec.eager_ppm = KVI_SIM_ALWAYS_PPM;
    submit(&r, 0);
    cr_assert_eq(r.ran, 1);
    r.steps[1].again = true; /* not from within a job: that one waits */
    submit(&r, 1);
    cr_assert_eq(r.ran, 2);
    cr_assert_eq(kvi_sim_exec_run_all(&r.exec, 10), 1);
}

Test(sim_exec, stop_drops_what_waits)
{
    struct run r;

    start(&r, 1);
    submit(&r, 0);
    submit(&r, 1);
    r.exec.base.ops->stop(&r.exec.base);
    cr_assert(!r.exec.base.ops->help(&r.exec.base));
    cr_assert_eq(r.ran, 0);
}
