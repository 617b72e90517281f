/*
 * Clock, samples, progress and numbers of the demo.
 */
#include "demo_measure.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_CELLS 40
#define BAR_STEPS 200 /* redraws from empty to full */

static volatile sig_atomic_t stop;

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

void catch_interrupts(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

bool interrupted(void)
{
    return stop != 0;
}

/* ---- samples ---------------------------------------------------------------------------- */

bool samples_begin(samples *s, size_t cap)
{
    s->count = 0;
    if (cap <= s->cap)
        return true;
    uint64_t *grown = realloc(s->ns, cap * sizeof *grown);
    if (grown == NULL) {
        fprintf(stderr, "demo: out of memory\n");
        return false;
    }
    s->ns = grown;
    s->cap = cap;
    return true;
}

void samples_add(samples *s, uint64_t ns)
{
    if (s->count < s->cap)
        s->ns[s->count++] = ns;
}

void samples_free(samples *s)
{
    free(s->ns);
    memset(s, 0, sizeof *s);
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/** The sample that so many of a thousand do not exceed. */
static uint64_t permille(const samples *s, size_t of_thousand)
{
    size_t rank = (s->count * of_thousand + 999) / 1000;
    return s->ns[rank > 0 ? rank - 1 : 0];
}

row row_of(samples *s, const char *name)
{
    row r = {.ops = s->count};
    snprintf(r.name, sizeof r.name, "%s", name);
    if (s->count == 0)
        return r;
    uint64_t sum = 0;
    for (size_t i = 0; i < s->count; i++)
        sum += s->ns[i];
    qsort(s->ns, s->count, sizeof *s->ns, compare_ns);
    r.per_second = (double)s->count * 1e9 / (double)(sum > 0 ? sum : 1);
    r.p50 = permille(s, 500);
    r.p99 = permille(s, 990);
    r.p999 = permille(s, 999);
    r.max = s->ns[s->count - 1];
    return r;
}

void print_rows(const row *rows, size_t count)
{
    number a, b, c, d, e, f;
    printf("%-32s %10s %12s %9s %9s %9s %10s\n", "Microseconds per call", "calls", "per second",
           "p50", "p99", "p99.9", "slowest");
    for (size_t i = 0; i < count; i++) {
        const row *r = &rows[i];
        printf("  %-30s %10s %12s %9s %9s %9s %10s\n", r->name, show_count(a, r->ops),
               show_count(b, (uint64_t)r->per_second), show_micros(c, r->p50),
               show_micros(d, r->p99), show_micros(e, r->p999), show_micros(f, r->max));
    }
}

/* ---- progress --------------------------------------------------------------------------- */

static void draw(const progress *p)
{
    number done, total;
    char cells[BAR_CELLS + 1];
    size_t full = p->total > 0 ? p->done * BAR_CELLS / p->total : BAR_CELLS;
    memset(cells, '-', BAR_CELLS);
    memset(cells, '#', full);
    cells[BAR_CELLS] = '\0';
    printf("\r  %-28s [%s] %s of %s", p->what, cells, show_count(done, p->done),
           show_count(total, p->total));
    fflush(stdout);
}

static void print_tenth(const progress *p)
{
    number done, total, time;
    printf("  %-28s %3zu %%  %s of %s  %s\n", p->what, p->done * 100 / p->total,
           show_count(done, p->done), show_count(total, p->total),
           show_seconds(time, now_ns() - p->begin_ns));
    fflush(stdout);
}

/** Where done stands when the next of so many equal parts is full. */
static size_t next_mark(const progress *p)
{
    size_t parts = p->bar ? BAR_STEPS : 10;
    if (!p->bar && !p->tenths)
        return SIZE_MAX;
    size_t part = p->done * parts / p->total + 1;
    return (part * p->total + parts - 1) / parts;
}

void progress_begin(progress *p, const char *what, size_t total, bool tenths)
{
    *p = (progress){.what = what, .total = total, .tenths = tenths, .begin_ns = now_ns()};
    p->bar = isatty(STDOUT_FILENO) == 1;
    p->next = total > 0 ? next_mark(p) : SIZE_MAX;
    if (p->bar)
        draw(p);
}

bool progress_step(progress *p)
{
    if (++p->done >= p->next) {
        if (p->bar)
            draw(p);
        else
            print_tenth(p);
        p->next = next_mark(p);
    }
    return !interrupted();
}

void progress_end(progress *p, const char *outcome)
{
    number time;
    const char *erase = p->bar ? "\r\033[K" : "";
    printf("%s  %-28s %s  %s\n", erase, p->what, outcome,
           show_seconds(time, now_ns() - p->begin_ns));
    fflush(stdout);
}

/* ---- numbers ---------------------------------------------------------------------------- */

const char *show_count(number out, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *to = out;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

const char *show_bytes(number out, uint64_t n)
{
    if (n < 10000)
        snprintf(out, NUMBER_MAX, "%" PRIu64 " bytes", n);
    else if (n < 1000000)
        snprintf(out, NUMBER_MAX, "%.1f kB", (double)n / 1e3);
    else
        snprintf(out, NUMBER_MAX, "%.1f MB", (double)n / 1e6);
    return out;
}

const char *show_micros(number out, uint64_t ns)
{
    if (ns < 10000)
        snprintf(out, NUMBER_MAX, "%.2f", (double)ns / 1e3);
    else if (ns < 1000000)
        snprintf(out, NUMBER_MAX, "%.1f", (double)ns / 1e3);
    else
        show_count(out, (ns + 500) / 1000);
    return out;
}

const char *show_seconds(number out, uint64_t ns)
{
    if (ns < 100000000)
        snprintf(out, NUMBER_MAX, "%.2f ms", (double)ns / 1e6);
    else
        snprintf(out, NUMBER_MAX, "%.2f s", (double)ns / 1e9);
    return out;
}

const char *show_share(number out, uint64_t part, uint64_t whole)
{
    if (whole == 0)
        snprintf(out, NUMBER_MAX, "-");
    else
        snprintf(out, NUMBER_MAX, "%.1f %%", 100.0 * (double)part / (double)whole);
    return out;
}
