/*
 * The demo's data: real records out of a file or of the package index, held in memory so that
 * what the store answers can be compared with them.
 *
 * 1. records lists all of the input in its order; several may share a key.
 * 2. sorted points at the last record of each key, ascending by key: what a store that was given
 *    all of records must hold.
 * Keys and values point into text and keys; all goes with input_free().
 */
#ifndef DEMO_INPUT_H
#define DEMO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct record {
    const char *key;
    const char *value;
    size_t key_len;
    size_t value_len;
} record;

typedef struct input {
    const char *origin; /* where it came from, for a person */
    bool stanzas;       /* packages by name; otherwise lines by number */
    char *text;
    size_t text_len;
    char *keys; /* of lines */
    record *records;
    size_t count;
    const record **sorted;
    size_t unique;
    uint64_t bytes; /* keys and values of sorted */
} input;

/** Reads file; file NULL: the package index, or where there is none what else the system has,
 *  with `self` as the last resort. Says what it takes. False, with a message, where it fails;
 *  input_free() is due in both cases. */
bool input_load(input *in, const char *file, const char *self);
void input_free(input *in);

/** Compares keys as the store does: byte by byte, the shorter first. */
int key_compare(const char *a, size_t a_len, const char *b, size_t b_len);

/** The place in sorted of the first key that is not below key. */
size_t input_lower_bound(const input *in, const char *key, size_t key_len);

/** Whether there is a record with this key. */
bool input_has(const input *in, const char *key, size_t key_len);

bool has_prefix(const record *r, const char *prefix, size_t prefix_len);

#endif
