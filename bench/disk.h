/*
 * What kv_bench does with the disk beside the store: a place of its own, and the machine's own
 * rate of syncs to compare with. Any thread, one place at a time.
 */
#ifndef BENCH_DISK_H
#define BENCH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACE_PATH_MAX 4096u

/** A fresh directory. */
typedef struct place {
    char dir[PLACE_PATH_MAX];
} place;

/** Nanoseconds of a clock that only goes forward. */
uint64_t clock_ns(void);

/** Makes it in parent; NULL: in $TMPDIR or /tmp. False, with a message, where it fails. */
bool place_make(place *p, const char *parent);
/** Removes it with the stores in it. */
bool place_remove(const place *p);

/** Fills out (of PLACE_PATH_MAX bytes) with the path of the numbered store. */
void place_store(const place *p, unsigned number, char *out);
/** Removes a closed store. */
bool place_remove_store(const char *store);

/** How often a second this disk takes one pwrite of so many bytes in place, in a file that is
 *  written and synced already, with an fdatasync behind each. 0, with a message: it failed. */
double disk_sync_rate(const place *p, size_t bytes, uint64_t duration_ns);

#endif
