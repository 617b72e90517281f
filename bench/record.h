/*
 * What kv_bench stores, derived from a seed and a number alone, so that every answer can be
 * judged without keeping a copy. Pure.
 *
 * 1. Keys have 16 bytes and ascend with their number. Present records have even numbers within
 *    the keys, so that the odd ones lie between them and are absent.
 * 2. The second half of a value repeats the first: it compresses to about a half.
 */
#ifndef BENCH_RECORD_H
#define BENCH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_KEY_LEN 16u

void record_key(char key[RECORD_KEY_LEN], uint64_t number);
void record_missing_key(char key[RECORD_KEY_LEN], uint64_t number);
void record_value(unsigned char *value, size_t len, uint64_t seed, uint64_t number);

/** Whether these are the value's bytes. scratch has room for len bytes. */
bool record_is_value(const void *data, size_t data_len, unsigned char *scratch, size_t len,
                     uint64_t seed, uint64_t number);

/** The numbers 0 … count - 1, each once, in a random order that a seed decides. */
typedef struct shuffle {
    uint64_t count;
    uint64_t seed;
    unsigned bits;
} shuffle;

shuffle shuffle_make(uint64_t count, uint64_t seed);
uint64_t shuffle_at(const shuffle *s, uint64_t i);

#endif
