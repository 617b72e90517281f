/*
 * What the killed writer and its judge share: a page of memory that outlives the writer, and the
 * names of its keys.
 *
 * Writer thread t writes versions 1, 2, 3 … in order. Version v is one atomic batch: the thread's
 * counter := v, and an entry of its own for v. Before it begins, begun[t] = v; once it is
 * acknowledged, acked[t] = v.
 */
#ifndef KVT_INTEGRATION_S2_SHARED_H
#define KVT_INTEGRATION_S2_SHARED_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#define S2_THREADS   4
#define S2_KEY_MAX   64
#define S2_VALUE_MAX 600
#define S2_KEEP \
    1000 /* versions behind the counter that stay; older ones are deleted in the same batch */

typedef struct s2_shared {
    _Atomic uint64_t begun[S2_THREADS];
    _Atomic uint64_t acked[S2_THREADS];
    _Atomic int failed; /* a KV_E code */
    char detail[512];
} s2_shared;

static inline size_t s2_counter_key(char *out, int thread)
{
    return (size_t)snprintf(out, S2_KEY_MAX, "counter-%d", thread);
}

static inline size_t s2_entry_key(char *out, int thread, uint64_t version)
{
    return (size_t)snprintf(out, S2_KEY_MAX, "entry-%d-%012llu", thread,
                            (unsigned long long)version);
}

/* The value of a version: its number, then bytes that follow from it. */
static inline size_t s2_value(char *out, int thread, uint64_t version)
{
    size_t len = 20 + (size_t)(version * 7919 % (S2_VALUE_MAX - 20));

    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + (version + i + (size_t)thread) % 26);
    (void)snprintf(out, 20, "%018llu", (unsigned long long)version);
    out[18] = out[19] = '.';
    return len;
}

#endif
