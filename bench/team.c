/*
 * Starting, running and joining the threads.
 */
#include "team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"

typedef struct team {
    team_op *op;
    atomic_bool failed;
    pthread_barrier_t start;
} team;

typedef struct thread_state {
    team *team;
    team_member member;
    uint64_t first, end; /* its operations */
    uint64_t begin_ns, end_ns, ops;
    latency latency;
    pthread_t id;
} thread_state;

static void report_fault(team *t, uint64_t number, int err)
{
    const char *detail = kv_error_detail();
    if (!atomic_exchange(&t->failed, true))
        fprintf(stderr, "kv_bench: record %llu: %s%s%s\n", (unsigned long long)number,
                kv_strerror(err), *detail == '\0' ? "" : ": ", detail);
}

/** An operation's time goes from the end of the one before to its own end: what is done to make
 *  and to check a record is in it, and the clock is read once. */
static void *run_thread(void *argument)
{
    thread_state *s = argument;
    const team_work *work = s->member.work;
    pthread_barrier_wait(&s->team->start);
    s->begin_ns = clock_ns();
    uint64_t then = s->begin_ns;
    for (uint64_t i = s->first; i < s->end; i++) {
        uint64_t number = work->in_sequence ? i : shuffle_at(&work->order, i % work->order.count);
        int err = s->team->op(&s->member, number);
        uint64_t now = clock_ns();
        latency_add(&s->latency, now - then);
        then = now;
        s->ops++;
        if (err != KV_OK) {
            report_fault(s->team, number, err);
            break;
        }
        if (atomic_load_explicit(&s->team->failed, memory_order_relaxed))
            break;
    }
    s->end_ns = then;
    return NULL;
}

static void sum_up(const thread_state *states, unsigned threads, team_outcome *out)
{
    uint64_t begin = UINT64_MAX;
    uint64_t end = 0;
    out->ops = 0;
    latency_init(&out->latency);
    for (unsigned i = 0; i < threads; i++) {
        const thread_state *s = &states[i];
        begin = s->begin_ns < begin ? s->begin_ns : begin;
        end = s->end_ns > end ? s->end_ns : end;
        out->ops += s->ops;
        latency_merge(&out->latency, &s->latency);
    }
    out->ns = end > begin ? end - begin : 1;
}

static bool prepare(thread_state *s, team *t, const team_work *work, unsigned index,
                    unsigned threads)
{
    s->team = t;
    s->member.work = work;
    s->member.result = (kv_result)KV_RESULT_INIT;
    s->member.value = malloc(work->value_size + 1);
    s->first = work->count / threads * index;
    s->end = index + 1 == threads ? work->count : work->count / threads * (index + 1);
    return s->member.value != NULL;
}

bool team_run(const team_work *work, team_op *op, unsigned threads, team_outcome *out)
{
    team t = {.op = op};
    thread_state *states = calloc(threads, sizeof *states);
    bool ok = states != NULL;
    for (unsigned i = 0; ok && i < threads; i++)
        ok = prepare(&states[i], &t, work, i, threads);
    if (ok) {
        pthread_barrier_init(&t.start, NULL, threads);
        for (unsigned i = 0; i < threads; i++)
            if (pthread_create(&states[i].id, NULL, run_thread, &states[i]) != 0) {
                fprintf(stderr, "kv_bench: cannot start %u threads\n", threads);
                exit(2); /* the others wait for a start that does not come */
            }
        for (unsigned i = 0; i < threads; i++)
            pthread_join(states[i].id, NULL);
        pthread_barrier_destroy(&t.start);
        sum_up(states, threads, out);
        ok = !atomic_load(&t.failed);
    } else {
        fprintf(stderr, "kv_bench: out of memory\n");
    }
    for (unsigned i = 0; states != NULL && i < threads && states[i].team != NULL; i++) {
        kv_result_free(&states[i].member.result);
        free(states[i].member.value);
    }
    free(states);
    return ok;
}
