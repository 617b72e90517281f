/*
 * An engine without an open: its reading half, on files in memory, over views that a test makes by
 * hand.
 *
 * 1. Everything is allocated by s.mem, which fails on demand, and the engine's budget is s.budget.
 *    The files' bytes have a budget of their own.
 * 2. Nothing runs in the background. Files are gone with their last reference.
 * 3. A mistake of the test aborts.
 */
#ifndef KVT_SUPPORT_LSM_FIXTURE_H
#define KVT_SUPPORT_LSM_FIXTURE_H

#include "lsm/engine.h"
#include "support/sst.h"

typedef struct kvt_clock {
    kvi_os_clock base;
    int64_t wall_ms;
    uint64_t asked; /* for the wall time, how often */
} kvt_clock;

typedef struct kvt_lsm {
    kvt_sst s;
    kvi_budget files;
    kvi_os_fs_mem fs;
    kvi_os_dir *dir;
    kvt_clock clock;
    kvi_os_env env;
    kvi_lsm *l;
} kvt_lsm;

void kvt_lsm_init(kvt_lsm *f, size_t memory);

/** Aborts where something is still allocated or charged. */
void kvt_lsm_deinit(kvt_lsm *f);

/** Makes a random model one that an engine can hold: no empty keys, expiring values with an expiry
 *  (small numbers, so that it depends on the clock). */
void kvt_lsm_fit(kvt_model *m);

/** Adds an entry as the model has it, with the expiry in front of the value where it has one. */
void kvt_lsm_add(kvi_lsm_memtable *m, const kvt_entry *e);

/** A memtable with the model's entries (NULL: none), and room for more bytes. */
kvi_lsm_memtable *kvt_lsm_memtable(kvt_lsm *f, const kvt_model *m, size_t more);

/** A table of the model's entries; one reference is the caller's. */
kvi_lsm_file *kvt_lsm_file(kvt_lsm *f, const kvt_model *m);

/** The entries with first <= sequence <= last. Its bytes are those of m; freed by
 *  kvt_model_deinit. */
void kvt_model_slice(kvt_model *out, const kvt_model *m, uint64_t first, uint64_t last);

/** Spreads the model, by age, over an active memtable (with room for more bytes), up to two that
 *  wait, up to three tables in level 0 and some in deeper levels. All of it is published. */
void kvt_lsm_load(kvt_lsm *f, const kvt_model *m, kvt_rng *rng, size_t more);

/** The next version: adds files to level 0. Takes the references. */
kvi_lsm_version *kvt_lsm_version(kvt_lsm *f, kvi_lsm_file **level0, uint32_t count);

/** Makes these the current view; takes the references. */
void kvt_lsm_set_view(kvt_lsm *f, kvi_lsm_memtable *active, kvi_lsm_memtable **imm,
                      uint32_t imm_count, kvi_lsm_version *version);

/** Writes, while others read: sequence n (from 1 to writes) sets key n % keys to n, both as 8 bytes
 *  big-endian. Every rotate writes the memtable steps aside, and becomes a table of level 0.
 *  Publishes each write. */
typedef struct kvt_churn {
    uint64_t keys, writes, rotate;
} kvt_churn;
void kvt_lsm_churn(kvt_lsm *f, const kvt_churn *c);

/** Makes the current view one of nothing. */
void kvt_lsm_clear(kvt_lsm *f);

/** What a reader at seq and now_ms finds: the entry, or NULL. */
const kvt_entry *kvt_lsm_visible(const kvt_model *m, kvi_slice key, uint64_t seq, int64_t now_ms);

/** An entry's value without its expiry, and that (0: never). */
kvi_slice kvt_lsm_content(const kvt_entry *e, int64_t *expires_ms);

#endif
