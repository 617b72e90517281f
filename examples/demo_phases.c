/*
 * The phases of the demo.
 */
#include "demo_phases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONG_SHOWN    5
#define DELETE_ONE_IN  10
#define TENTHS_FROM    10000u /* puts: a smaller load is over before one can read */
#define MISSING_SUFFIX "-missing"

bool demo_init(demo *d, const input *in)
{
    memset(d, 0, sizeof *d);
    d->in = in;
    d->order = malloc((in->unique + 1) * sizeof *d->order);
    d->deleted = calloc(in->unique + 1, sizeof *d->deleted);
    if (d->order == NULL || d->deleted == NULL) {
        fprintf(stderr, "demo: out of memory\n");
        return false;
    }
    for (size_t i = 0; i < in->unique; i++)
        d->order[i] = i;
    return samples_begin(&d->samples, in->count);
}

void demo_deinit(demo *d)
{
    free(d->order);
    free(d->deleted);
    samples_free(&d->samples);
}

void demo_wrong(demo *d, const record *r, const char *what, int err)
{
    if (d->wrong++ >= WRONG_SHOWN)
        return;
    int len = r != NULL && r->key_len < 200 ? (int)r->key_len : 0;
    printf("\nWRONG: %s%s%.*s%s", what, len > 0 ? ": key \"" : "", len, len > 0 ? r->key : "",
           len > 0 ? "\"" : "");
    if (err != KV_OK)
        printf(": %s (%s)", kv_strerror(err), kv_error_detail());
    printf("\n");
}

static void add_row(demo *d, const char *what)
{
    if (d->row_count < DEMO_ROWS_MAX)
        d->rows[d->row_count++] = row_of(&d->samples, what);
}

static void add_rate(demo *d, const char *name, uint64_t part, uint64_t whole)
{
    if (d->rate_count < DEMO_RATES_MAX)
        d->rates[d->rate_count++] = (rate){name, part, whole};
}

/** Ends a phase in which so many answers were checked since the count of faults was `before`. */
static void end_phase(demo *d, progress *p, const char *verb, uint64_t before)
{
    number ok, bad;
    char outcome[100];
    uint64_t wrong = d->wrong - before;
    uint64_t right = p->done > wrong ? p->done - wrong : 0;
    snprintf(outcome, sizeof outcome, "%s %s, %s wrong", show_count(ok, right), verb,
             show_count(bad, wrong));
    progress_end(p, outcome);
    add_row(d, p->what);
}

/** Fisher and Yates. */
static void shuffle(demo *d)
{
    for (size_t i = d->in->unique; i > 1; i--) {
        size_t j = (size_t)(random_next(&d->random) % i);
        size_t swapped = d->order[i - 1];
        d->order[i - 1] = d->order[j];
        d->order[j] = swapped;
    }
}

static kv_statistics take_stats(demo *d)
{
    kv_statistics stats = KV_STATISTICS_INIT;
    int err = kv_stats(d->db, &stats);
    if (err != KV_OK)
        demo_wrong(d, NULL, "kv_stats", err);
    return stats;
}

/* ---- writing ---------------------------------------------------------------------------- */

void demo_load(demo *d, const char *what, uint8_t durability, size_t limit, uint64_t limit_ns)
{
    size_t left = d->in->count - d->loaded;
    size_t total = left < limit ? left : limit;
    uint64_t before = d->wrong;
    kv_op op = KV_OP_INIT;
    op.durability = durability;
    if (!samples_begin(&d->samples, total)) {
        d->wrong++;
        return;
    }

    progress p;
    progress_begin(&p, what, total, total >= TENTHS_FROM);
    uint64_t deadline = limit_ns < UINT64_MAX - p.begin_ns ? p.begin_ns + limit_ns : UINT64_MAX;
    for (size_t i = 0; i < total; i++) {
        const record *r = &d->in->records[d->loaded++];
        uint64_t begin = now_ns();
        int err = kv_put(d->db, r->key, r->key_len, r->value, r->value_len, &op, NULL);
        uint64_t end = now_ns();
        samples_add(&d->samples, end - begin);
        if (err != KV_OK)
            demo_wrong(d, r, "put", err);
        if (!progress_step(&p) || end > deadline)
            break;
    }
    end_phase(d, &p, "put", before);
}

void demo_delete_some(demo *d, const char *what)
{
    size_t total = (d->in->unique + DELETE_ONE_IN - 1) / DELETE_ONE_IN;
    uint64_t before = d->wrong;
    kv_op op = KV_OP_INIT;
    op.durability = KV_OS;
    shuffle(d);
    d->samples.count = 0;

    progress p;
    progress_begin(&p, what, total, false);
    for (size_t i = 0; i < total; i++) {
        size_t place = d->order[i];
        const record *r = d->in->sorted[place];
        uint64_t begin = now_ns();
        int err = kv_delete(d->db, r->key, r->key_len, &op, NULL);
        samples_add(&d->samples, now_ns() - begin);
        if (err != KV_OK)
            demo_wrong(d, r, "delete", err);
        d->deleted[place] = true;
        d->deleted_count++;
        if (!progress_step(&p))
            break;
    }
    end_phase(d, &p, "deleted", before);
}

/* ---- reading ---------------------------------------------------------------------------- */

static bool holds(const kv_value *value, const record *r)
{
    return value->len == r->value_len &&
           (r->value_len == 0 || memcmp(value->data, r->value, r->value_len) == 0);
}

/** One timed get that must find r, or must not. */
static void read_one(demo *d, const record *r, bool gone, kv_result *result)
{
    uint64_t begin = now_ns();
    int err = kv_get(d->db, r->key, r->key_len, NULL, result);
    samples_add(&d->samples, now_ns() - begin);
    if (gone && err == KV_OK)
        demo_wrong(d, r, "there although it was deleted or never put", KV_OK);
    else if (err != (gone ? KV_ENOTFOUND : KV_OK))
        demo_wrong(d, r, "get", err);
    else if (!gone && (result->count != 1 || !holds(&result->values[0], r)))
        demo_wrong(d, r, "another value than was put", KV_OK);
}

void demo_read_all(demo *d, const char *what, const char *rate_name)
{
    uint64_t before = d->wrong;
    kv_statistics old = take_stats(d);
    kv_result result = KV_RESULT_INIT;
    shuffle(d);
    d->samples.count = 0;

    progress p;
    progress_begin(&p, what, d->in->unique, false);
    for (size_t i = 0; i < d->in->unique; i++) {
        size_t place = d->order[i];
        read_one(d, d->in->sorted[place], d->deleted[place], &result);
        if (!progress_step(&p))
            break;
    }
    kv_result_free(&result);
    end_phase(d, &p, "right", before);

    kv_statistics new = take_stats(d);
    uint64_t hits = new.cache_hits - old.cache_hits;
    uint64_t misses = new.cache_misses - old.cache_misses;
    if (rate_name != NULL)
        add_rate(d, rate_name, hits, hits + misses);
}

void demo_read_missing(demo *d, const char *what)
{
    char key[1024];
    uint64_t before = d->wrong;
    kv_statistics old = take_stats(d);
    kv_result result = KV_RESULT_INIT;
    shuffle(d);
    d->samples.count = 0;

    progress p;
    progress_begin(&p, what, d->in->unique, false);
    for (size_t i = 0; i < d->in->unique; i++) {
        const record *r = d->in->sorted[d->order[i]];
        record absent = {key, NULL, r->key_len, 0};
        if (absent.key_len > sizeof key - sizeof MISSING_SUFFIX)
            absent.key_len = sizeof key - sizeof MISSING_SUFFIX;
        memcpy(key, r->key, absent.key_len);
        memcpy(key + absent.key_len, MISSING_SUFFIX, sizeof MISSING_SUFFIX - 1);
        absent.key_len += sizeof MISSING_SUFFIX - 1;
        if (!input_has(d->in, absent.key, absent.key_len))
            read_one(d, &absent, true, &result);
        if (!progress_step(&p))
            break;
    }
    kv_result_free(&result);
    end_phase(d, &p, "absent", before);

    kv_statistics new = take_stats(d);
    uint64_t saved = new.bloom_skipped - old.bloom_skipped;
    uint64_t fooled = new.bloom_false - old.bloom_false;
    add_rate(d, "table look-ups saved by Bloom filters, missing keys", saved,
             new.bloom_checked - old.bloom_checked);
    add_rate(d, "false alarms of Bloom filters, missing keys", fooled, saved + fooled);
}

/** The place of the next record that is not deleted, from `place` up to below `high`, or down to
 *  `low`, where `place` is one above the first candidate. SIZE_MAX: none is left. */
static size_t next_place(const demo *d, size_t place, size_t low, size_t high, bool down)
{
    if (down) {
        while (place > low)
            if (!d->deleted[--place])
                return place;
        return SIZE_MAX;
    }
    while (place < high && d->deleted[place])
        place++;
    return place < high ? place : SIZE_MAX;
}

/** Compares the entries with sorted[low..high). */
static void walk(demo *d, progress *p, kv_iter *iter, size_t low, size_t high, bool down)
{
    kv_entry e = KV_ENTRY_INIT;
    size_t place = next_place(d, down ? high : low, low, high, down);
    for (;;) {
        uint64_t begin = now_ns();
        int err = down ? kv_iter_prev(iter, &e) : kv_iter_next(iter, &e);
        uint64_t end = now_ns();
        const record *r = place == SIZE_MAX ? NULL : d->in->sorted[place];
        if (err == KV_ENOTFOUND && r == NULL)
            return;
        if (err != KV_OK) {
            demo_wrong(d, r, "scan ends early", err);
            return;
        }
        if (r == NULL || key_compare(r->key, r->key_len, e.key.data, e.key.len) != 0) {
            demo_wrong(d, r, "scan gives another key than is next", KV_OK);
            return;
        }
        samples_add(&d->samples, end - begin);
        if (!holds(&e.value, r))
            demo_wrong(d, r, "scan gives another value than was put", KV_OK);
        if (!progress_step(p))
            return;
        place = next_place(d, down ? place : place + 1, low, high, down);
    }
}

void demo_scan(demo *d, const char *what, const char *prefix, size_t prefix_len, bool down)
{
    size_t low = input_lower_bound(d->in, prefix, prefix_len);
    size_t high = low;
    while (high < d->in->unique && has_prefix(d->in->sorted[high], prefix, prefix_len))
        high++;
    uint64_t before = d->wrong;
    d->samples.count = 0;

    kv_range range = KV_RANGE_INIT;
    range.prefix = (kv_slice){prefix, prefix_len};
    kv_iter *iter;
    int err = kv_iter_open(d->db, &range, &iter);
    if (err != KV_OK) {
        demo_wrong(d, NULL, "kv_iter_open", err);
        return;
    }
    progress p;
    progress_begin(&p, what, high - low, false);
    walk(d, &p, iter, low, high, down);
    kv_iter_close(iter);
    end_phase(d, &p, "in order", before);
}
