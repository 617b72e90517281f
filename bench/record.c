/*
 * Keys, values and orders out of numbers.
 */
#include "record.h"

#include <string.h>

#define SHUFFLE_ROUNDS 3

/** The finaliser of splitmix64. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void put_hex(char *key, uint64_t v)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = RECORD_KEY_LEN; i-- > 0; v >>= 4)
        key[i] = digits[v & 15];
}

void record_key(char key[RECORD_KEY_LEN], uint64_t number)
{
    put_hex(key, number * 2);
}

void record_missing_key(char key[RECORD_KEY_LEN], uint64_t number)
{
    put_hex(key, number * 2 + 1);
}

void record_value(unsigned char *value, size_t len, uint64_t seed, uint64_t number)
{
    uint64_t state = mix(seed + number * UINT64_C(0x9e3779b97f4a7c15));
    size_t half = len - len / 2;
    for (size_t at = 0; at < half; at += sizeof state) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t word = mix(state);
        size_t rest = half - at;
        memcpy(value + at, &word, rest < sizeof word ? rest : sizeof word);
    }
    memcpy(value + half, value, len / 2);
}

bool record_is_value(const void *data, size_t data_len, unsigned char *scratch, size_t len,
                     uint64_t seed, uint64_t number)
{
    if (data_len != len)
        return false;
    record_value(scratch, len, seed, number);
    return len == 0 || memcmp(data, scratch, len) == 0;
}

shuffle shuffle_make(uint64_t count, uint64_t seed)
{
    shuffle s = {count, seed, 1};
    while (s.bits < 63 && (UINT64_C(1) << s.bits) < count)
        s.bits++;
    return s;
}

/** One-to-one on numbers of s->bits bits: each step can be undone. */
static uint64_t scramble(const shuffle *s, uint64_t v)
{
    uint64_t mask = (UINT64_C(1) << s->bits) - 1;
    unsigned half = s->bits / 2 + 1;
    for (unsigned round = 0; round < SHUFFLE_ROUNDS; round++) {
        uint64_t k = mix(s->seed + round);
        v = (v * (k | 1) + (k >> 32)) & mask;
        v ^= v >> half;
    }
    return v;
}

/** Walks along the cycle until it is back among the numbers below count (Black and Rogaway,
 *  "Ciphers with arbitrary finite domains", 2002). Fewer than two steps on average. */
uint64_t shuffle_at(const shuffle *s, uint64_t i)
{
    do
        i = scramble(s, i);
    while (i >= s->count);
    return i;
}
