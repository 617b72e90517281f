/*
 * The memory budget: figures are exact, the limit holds under threads, the reclaimer is asked for
 * what lacks.
 */
#include "base/budget.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "support/rng.h"

Test(base_budget, figures_follow)
{
    kvi_budget b;

    kvi_budget_init(&b, 100);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_MEMTABLE, 60), KV_OK);
    cr_assert(kvi_budget_try(&b, KVI_BUDGET_CACHE, 40));
    cr_assert_eq(kvi_budget_held(&b, KVI_BUDGET_MEMTABLE), 60);
    cr_assert_eq(kvi_budget_held(&b, KVI_BUDGET_CACHE), 40);
    cr_assert_eq(atomic_load(&b.used), 100);
    cr_assert_not(kvi_budget_try(&b, KVI_BUDGET_CACHE, 1));
    cr_assert(kvi_budget_try(&b, KVI_BUDGET_CACHE, 0));
    kvi_budget_release(&b, KVI_BUDGET_MEMTABLE, 10);
    cr_assert_eq(kvi_budget_held(&b, KVI_BUDGET_MEMTABLE), 50);
    cr_assert(kvi_budget_try(&b, KVI_BUDGET_WORK, 10));
}

Test(base_budget, full_is_enomem_with_a_detail)
{
    kvi_budget b;

    kvi_budget_init(&b, 100);
    kvi_error_clear();
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 101), KV_ENOMEM);
    cr_assert_not_null(strstr(kvi_error_detail(), "100 bytes"), "%s", kvi_error_detail());
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, SIZE_MAX), KV_ENOMEM, "no overflow");
    cr_assert_eq(atomic_load(&b.used), 0);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 100), KV_OK);
}

Test(base_budget, charge_goes_over_the_limit)
{
    kvi_budget b;

    kvi_budget_init(&b, 100);
    kvi_budget_charge(&b, KVI_BUDGET_RESULT, 150);
    cr_assert_eq(atomic_load(&b.used), 150);
    cr_assert_not(kvi_budget_try(&b, KVI_BUDGET_WORK, 1));
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 1), KV_ENOMEM);
    kvi_budget_release(&b, KVI_BUDGET_RESULT, 150);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 100), KV_OK);
}

/* A cache that gives back at most step bytes a call. */
typedef struct cache {
    kvi_budget *budget;
    size_t holds, step, asked;
    int calls;
} cache;

static size_t give_back(void *user, size_t want)
{
    cache *c = user;
    size_t given = kvi_min_size(c->step, c->holds);

    c->calls++;
    c->asked = want;
    c->holds -= given;
    kvi_budget_release(c->budget, KVI_BUDGET_CACHE, given);
    return given;
}

static void cache_init(cache *c, kvi_budget *b, size_t step)
{
    kvi_budget_init(b, 100);
    *c = (cache){.budget = b, .holds = 80, .step = step};
    kvi_budget_set_reclaim(b, give_back, c);
    kvi_budget_charge(b, KVI_BUDGET_CACHE, c->holds);
}

Test(base_budget, reclaimer_is_asked_for_what_lacks)
{
    kvi_budget b;
    cache c;

    cache_init(&c, &b, 30);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 20), KV_OK);
    cr_assert_eq(c.calls, 0, "there was room");
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 25), KV_OK);
    cr_assert_eq(c.calls, 1);
    cr_assert_eq(c.asked, 25);
    cr_assert_eq(kvi_budget_held(&b, KVI_BUDGET_WORK), 45);
    cr_assert_eq(atomic_load(&b.used), 95);
}

Test(base_budget, try_does_not_ask)
{
    kvi_budget b;
    cache c;

    cache_init(&c, &b, 30);
    cr_assert_not(kvi_budget_try(&b, KVI_BUDGET_WORK, 21));
    cr_assert_eq(c.calls, 0);
}

Test(base_budget, reclaimer_is_asked_again_while_it_gives)
{
    kvi_budget b;
    cache c;

    cache_init(&c, &b, 10);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 60), KV_OK);
    cr_assert_eq(c.calls, 4);
    cr_assert_eq(c.asked, 10, "the last lack");
}

Test(base_budget, reclaimer_is_not_asked_for_ever)
{
    kvi_budget b;
    cache c;

    cache_init(&c, &b, 1);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 60), KV_ENOMEM);
    cr_assert(c.calls > 1 && c.calls < 20, "%d calls", c.calls);

    cache_init(&c, &b, 0);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 60), KV_ENOMEM);
    cr_assert_eq(c.calls, 1, "who gives nothing is not asked twice");

    cache_init(&c, &b, 100);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 101), KV_ENOMEM);
    cr_assert_eq(c.calls, 0, "in vain");
}

Test(base_budget, reclaimer_covers_what_was_charged_over)
{
    kvi_budget b;
    cache c;

    cache_init(&c, &b, 80);
    kvi_budget_charge(&b, KVI_BUDGET_RESULT, 50);
    cr_assert_eq(kvi_budget_reserve(&b, KVI_BUDGET_WORK, 10), KV_OK);
    cr_assert_eq(c.asked, 40, "30 over the limit, and 10");
}

Test(base_budget, releasing_what_is_not_held_is_a_bug, .signal = SIGABRT)
{
    kvi_budget b;

    kvi_budget_init(&b, 100);
    kvi_budget_charge(&b, KVI_BUDGET_WORK, 10);
    kvi_budget_release(&b, KVI_BUDGET_CACHE, 1);
}

#define THREADS 4
#define TURNS   20000
#define LIMIT   1000

typedef struct worker {
    kvi_budget *budget;
    uint64_t seed;
    bool over;
} worker;

static void *reserve_and_release(void *arg)
{
    worker *w = arg;
    kvt_rng rng;

    kvt_rng_init(&rng, w->seed);
    for (int i = 0; i < TURNS; i++) {
        size_t bytes = (size_t)kvt_rng_below(&rng, LIMIT / 2);
        enum kvi_budget_who who = (enum kvi_budget_who)kvt_rng_below(&rng, KVI_BUDGET_COUNT);

        if (kvi_budget_reserve(w->budget, who, bytes) != KV_OK)
            continue;
        if (atomic_load(&w->budget->used) > LIMIT)
            w->over = true;
        kvi_budget_release(w->budget, who, bytes);
    }
    return NULL;
}

Test(base_budget, limit_holds_under_threads)
{
    pthread_t threads[THREADS];
    worker workers[THREADS];
    kvi_budget b;

    kvi_budget_init(&b, LIMIT);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){&b, i, false};
        cr_assert_eq(pthread_create(&threads[i], NULL, reserve_and_release, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_not(workers[i].over);
    cr_assert_eq(atomic_load(&b.used), 0);
    for (int who = 0; who < KVI_BUDGET_COUNT; who++)
        cr_assert_eq(kvi_budget_held(&b, (enum kvi_budget_who)who), 0);
}
