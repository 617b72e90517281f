/*
 * The storage engine: an LSM tree over one directory. Log, memtable, tables in levels, background
 * flush and compaction, in one memory budget. Callers: api (a store alone) and node (storage as an
 * effect).
 *
 * 1. Thread-safe: any thread may call anything, except where a function says otherwise.
 * 2. Every write has its place in one sequence. A reader sees all writes up to one sequence number
 *    and nothing beyond. What is readable is published strictly in that order.
 * 3. Nothing a reader does waits for a writer. No call here waits for another thread: what cannot
 *    go on now returns KVI_PENDING and wakes the caller's waiter; waiting is the caller's
 *    business. (Disk reads and the sync of a leader block, as disks do.)
 * 4. Acknowledged (KV_OK, or woken with it) means readable; durable as well once kvi_lsm_sync has
 *    said so for its sequence.
 * 5. After the log or the manifest failed to be written or synced, the engine is broken: reads go
 *    on, every further write and sync is refused with that error until the store is opened again.
 *    Nothing unacknowledged is claimed.
 *
 * Keys here are physical keys (whatever the caller puts before the user's key), 1 byte to
 * KVI_LSM_KEY_MAX.
 */
#ifndef KVI_LSM_LSM_H
#define KVI_LSM_LSM_H

#include "base/budget.h"
#include "base/buf.h"
#include "base/list.h"
#include "os/env.h"
#include "sstable/tag.h"

#define KVI_LSM_KEY_MAX    65600u /* a user's key and its prefix */
#define KVI_LSM_COPY_MAX   4096u  /* values up to this are copied out, larger ones pinned */
#define KVI_LSM_LEVELS     KV_LEVELS
#define KVI_LSM_SEQ_LATEST UINT64_MAX

typedef struct kvi_lsm kvi_lsm;
typedef struct kvi_lsm_iter kvi_lsm_iter;

/* --- opening ------------------------------------------------------------------------------ */

/** Sizes; 0: derived from the memory budget. Tests make them tiny. */
typedef struct kvi_lsm_shape {
    size_t memtable_bytes; /* an eighth of the budget */
    size_t segment_bytes;  /* of the log, after the first, which is smaller */
    uint32_t block_bytes;
    uint64_t table_bytes; /* at which compaction begins another table */
    uint64_t level1_bytes;
    uint32_t level_ratio;
    uint32_t level0_compact; /* tables in level 0 that start a compaction */
    uint32_t level0_stall;   /* … that make writers wait */
} kvi_lsm_shape;

typedef struct kvi_lsm_options {
    const kvi_os_env *env; /* borrowed, outlives the engine */
    kvi_budget *budget;    /* the same */
    const char *path;
    bool may_create, must_create;
    bool log;        /* false: KV_MEMORY, kept from the next flush or close on */
    bool ephemeral;  /* nothing is to be kept at close: the files end with it */
    uint8_t layout;  /* KV_LAYOUT_DEFAULT or what the store must have */
    int compression; /* zstd level or KV_COMPRESS_NONE */
    kvi_lsm_shape shape;
} kvi_lsm_options;

/** Opens, recovering what is there; errors as kv_open() documents them. *created: whether the store
 *  is new. */
int kvi_lsm_open(const kvi_lsm_options *o, kvi_lsm **out, bool *created) KVI_NODISCARD;

/** Ends background work, syncs the log (flushes, where there is none) and frees everything. No
 *  other call is under way, no iterator, snapshot or pin is alive. Returns what the last sync or
 *  flush said; the engine is gone in any case. */
int kvi_lsm_close(kvi_lsm *l);

/** 16 random bytes, chosen when the store was created. */
const uint8_t *kvi_lsm_store_id(const kvi_lsm *l);
uint8_t kvi_lsm_layout(const kvi_lsm *l);
/** Secret, of the store: for MACs of contexts. */
uint64_t kvi_lsm_context_seed(const kvi_lsm *l);

/* --- waiting ------------------------------------------------------------------------------ */

/** Told once when a call that returned KVI_PENDING is decided; perhaps before it returns, on any
 *  thread, with no lock of the engine held. In the caller's memory until then. wake must be short,
 *  may call the engine, and is the last touch of the waiter. */
typedef struct kvi_lsm_waiter {
    kvi_list link; /* private */
    void (*wake)(struct kvi_lsm_waiter *self, int result);
    uint64_t seq; /* private */
} kvi_lsm_waiter;

/** After a waiter was woken with an error: sets this thread's detail to what failed in the
 *  background, and returns err. */
int kvi_lsm_explain(kvi_lsm *l, int err);

/* --- writing ------------------------------------------------------------------------------ */

typedef struct kvi_lsm_op {
    enum kvi_kind kind;
    kvi_slice key;
    kvi_slice value;    /* without the expiry; empty for deletes */
    int64_t expires_ms; /* for KVI_KIND_PUT_EXPIRING */
} kvi_lsm_op;

/** What a conditional write saw: valid as long as nobody wrote to the key (or one that shares its
 *  slot) since. */
typedef struct kvi_lsm_guard {
    uint32_t slot;
    uint64_t seen;
} kvi_lsm_guard;

/** Writes that take effect together. Everything in it is the caller's and stays untouched until the
 *  write is decided. */
typedef struct kvi_lsm_write {
    const kvi_lsm_op *ops;
    uint32_t count; /* at least 1 */
    bool guarded;
    kvi_lsm_guard guard;
    uint64_t last_seq; /* out: the sequence of the last op; first is last_seq - count + 1 */
    kvi_lsm_waiter *waiter;
    /* private, while the write is under way */
    kvi_list order;
    struct kvi_lsm_segment *segment; /* where its record stands, and the end of that */
    uint64_t record_at, record_end;
    struct kvi_lsm_memtable *memtable;
    bool done, waiting;
    bool starved; /* it has waited for memory */
} kvi_lsm_write;

/** The most that the keys and values of one write may come to. */
size_t kvi_lsm_write_max(const kvi_lsm *l);

/**
 * Logs and inserts; on KV_OK the write is readable. KVI_PENDING: the waiter gets KV_OK (readable
 * now), KVI_AGAIN (nothing was written; call again: a stall is over) or an error. KVI_STALE: the
 * guard does not hold any more, nothing was written. KV_ETOOBIG, KV_ENOMEM, KV_ENOSPC: nothing was
 * written.
 */
int kvi_lsm_write_ops(kvi_lsm *l, kvi_lsm_write *w) KVI_NODISCARD;

/** Begins a conditional write: take the guard, read the key, write with it. KVI_AGAIN: a write to
 *  the key is under way; yield and call again. */
int kvi_lsm_guard_take(kvi_lsm *l, kvi_slice key, kvi_lsm_guard *out) KVI_NODISCARD;

/** Makes every write up to seq durable. KV_OK: it is. Otherwise one caller leads (and blocks in the
 *  sync, for all that is published by then), the others get KVI_PENDING: the waiter is woken with
 *  KV_OK, an error, or KVI_LEAD: call again, this one may lead. seq is published. */
int kvi_lsm_sync(kvi_lsm *l, uint64_t seq, kvi_lsm_waiter *waiter) KVI_NODISCARD;

/** See 5: a write that is asked for now would leave nothing in the log. */
bool kvi_lsm_is_broken(kvi_lsm *l);

/** The newest readable sequence. */
uint64_t kvi_lsm_last_seq(const kvi_lsm *l);

/** Turns the memtable into tables. KV_OK where it is empty; KVI_PENDING: the waiter is woken when
 *  everything published before the call is in tables, or with an error, or KVI_AGAIN: call again. */
int kvi_lsm_flush(kvi_lsm *l, kvi_lsm_waiter *waiter) KVI_NODISCARD;

/* --- reading ------------------------------------------------------------------------------ */

/** A value that was found: copied into the caller's buf, or pinned where it lies. */
typedef struct kvi_lsm_value {
    kvi_slice data;
    int64_t expires_ms;       /* 0: never */
    uint64_t seq;             /* of the write; also of a delete, where one was found; else 0 */
    void (*unpin)(void *pin); /* NULL: nothing to release */
    void *pin;
} kvi_lsm_value;

typedef struct kvi_lsm_get {
    kvi_slice key;
    uint64_t seq;     /* KVI_LSM_SEQ_LATEST or a snapshot's */
    int64_t now_ms;   /* what has expired by then is not found */
    bool memory_only; /* KVI_AGAIN instead of reading the disk */
} kvi_lsm_get;

/** KV_OK with *out (release it by kvi_lsm_value_release); KV_ENOTFOUND with out->seq set. Values up
 *  to KVI_LSM_COPY_MAX go to copy, which is replaced. */
int kvi_lsm_get_value(kvi_lsm *l, const kvi_lsm_get *g, kvi_buf *copy, kvi_lsm_value *out)
    KVI_NODISCARD;
void kvi_lsm_value_release(kvi_lsm_value *v);

/** A snapshot keeps what it sees from being compacted away. The struct is the caller's; free takes
 *  it off. */
typedef struct kvi_lsm_snapshot {
    kvi_list link;
    uint64_t seq;
} kvi_lsm_snapshot;
void kvi_lsm_snapshot_take(kvi_lsm *l, kvi_lsm_snapshot *out);
void kvi_lsm_snapshot_drop(kvi_lsm *l, kvi_lsm_snapshot *s);

/** Bounds of a walk: from <= key < to; an empty slice does not bound. Copied. */
typedef struct kvi_lsm_bounds {
    kvi_slice from, to;
} kvi_lsm_bounds;

typedef struct kvi_lsm_entry {
    kvi_slice key, value; /* lent until the iterator's next move */
    int64_t expires_ms;
    uint64_t seq;
} kvi_lsm_entry;

/** An iterator over what is readable now at seq (KVI_LSM_SEQ_LATEST, or a snapshot's, which then
 *  must outlive it). Deleted and expired (by the env's wall clock) entries are passed over. One
 *  thread at a time. next, prev and seek as kv_iter_next(), kv_iter_prev() and kv_iter_seek(). */
int kvi_lsm_iter_open(kvi_lsm *l, const kvi_lsm_bounds *b, uint64_t seq, kvi_lsm_iter **out)
    KVI_NODISCARD;
/** Moves it to the state of now; on failure it is as it was. b NULL: the same bounds. */
int kvi_lsm_iter_renew(kvi_lsm_iter *it, const kvi_lsm_bounds *b, uint64_t seq) KVI_NODISCARD;
int kvi_lsm_iter_next(kvi_lsm_iter *it, kvi_lsm_entry *out) KVI_NODISCARD;
int kvi_lsm_iter_prev(kvi_lsm_iter *it, kvi_lsm_entry *out) KVI_NODISCARD;
int kvi_lsm_iter_seek(kvi_lsm_iter *it, kvi_slice key) KVI_NODISCARD;
void kvi_lsm_iter_close(kvi_lsm_iter *it);

/* --- knowing ------------------------------------------------------------------------------ */

/** Fills the engine's part of the public statistics: everything but gets, puts, deletes, batches,
 *  user bytes, snapshots and iterators. */
void kvi_lsm_stats(kvi_lsm *l, kv_statistics *out);

#endif
