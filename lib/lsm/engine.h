/*
 * The engine's inside: the struct behind kvi_lsm, shared by the files of this folder and by nobody
 * else, grouped by who guards what, and the calls by which its rooms serve each other.
 *
 * Locks, by rank: manifest < sync < write < snapshot < tables. What is under no lock is atomic or
 * fixed after open.
 *
 * - A write (write.c): sequence, log space and memtable room reserved under `write_lock`, then
 *   copied into the log, inserted, published strictly in order of sequence, and synced together
 *   with all that is published (sync.c).
 * - A memtable: active; full and waiting in the view (rotate.c); a table of level 0 (flush.c);
 *   gone with its last view.
 * - A table: built and synced (output.c), in the manifest and the version (install.c), compacted
 *   away (compact.c), obsolete, deleted (clean.c).
 * - A log segment (segment.c): prepared (zeros, header, synced), written, all of it flushed,
 *   spare, prepared again.
 */
#ifndef KVI_LSM_ENGINE_H
#define KVI_LSM_ENGINE_H

#include <stdatomic.h>

#include "base/error.h"
#include "lsm/lsm.h"
#include "lsm/manifest.h"
#include "lsm/tables.h"
#include "lsm/task.h"
#include "lsm/view.h"
#include "sstable/cache.h"
#include "sstable/codec.h"

/** One segment of the log. Records do not cross segments. Guarded by `write_lock` where not said
 *  otherwise. */
typedef struct kvi_lsm_segment {
    kvi_list link;
    kvi_lsm_journal
        /* ranges reserved by a write are that writer's; the watermark is the sync leader's */
        journal;
    uint64_t capacity;  /* bytes that were written with zeros or before */
    uint64_t used;      /* where the next record goes */
    uint64_t published; /* up to here every record is written and readable */
    uint64_t synced;    /* up to here it is on the disk */
    uint64_t last_seq;  /* reserved in it; 0: none */
    uint32_t pins;      /* the sync leader is at work on it */
} kvi_lsm_segment;

struct kvi_lsm_compaction; /* compact.c */

/** Why writers wait. */
enum kvi_lsm_stall {
    KVI_LSM_STALL_MEMTABLE,
    KVI_LSM_STALL_LEVEL0,
    KVI_LSM_STALL_LOG,
    KVI_LSM_STALL_COUNT
};

struct kvi_lsm {
    /* fixed after open */
    kvi_os_env env;
    const kvi_mem *mem;
    kvi_budget *budget;
    kvi_os_dir *dir;
    kvi_lsm_shape shape;
    kvi_lsm_store store;
    int compression;
    bool log;
    bool ephemeral;
    bool mapped; /* log segments are written through maps */
    kvi_sst_codec *codec;
    kvi_sst_cache *cache;
    kvi_sst_context sst;
    kvi_epoch *epoch;
    kvi_lsm_tables tables;
    kvi_lsm_crew crew;
    kvi_lsm_task flush_task, compact_task, segment_task, clean_task;

    _Atomic int broken;          /* KV_OK, or why no write is taken any more */
    _Atomic uint64_t next_file;  /* file numbers */
    _Atomic uint64_t published;  /* the newest readable sequence */
    _Atomic uint64_t synced_seq; /* everything up to here is on the disk, in the log or in tables */
    _Atomic uint64_t flushed_seq;  /* all up to here is in tables; stored under `write_lock` */
    _Atomic uint32_t level0_count; /* tables in level 0 of the current version */
    _Atomic(kvi_lsm_view *) view;  /* current; replaced under `write_lock` */
    _Atomic(kvi_lsm_file *) trash; /* obsolete tables, for the cleaner */
    _Atomic(struct kvi_lsm_guards *) guards; /* NULL until the first conditional write */

    kvi_os_mutex manifest_lock; /* held over the manifest's I/O, by background work and open */
    kvi_lsm_manifest manifest;

    kvi_os_mutex sync_lock;
    kvi_list sync_waiters; /* kvi_lsm_waiter.link */
    bool sync_leading;

    kvi_os_mutex write_lock;
    uint64_t next_seq;                      /* of the next op */
    kvi_lsm_memtable *active;               /* the current view's, which holds the reference */
    uint64_t imm_last_seq[KVI_LSM_IMM_MAX]; /* of the view's full memtables, newest first */
    uint32_t imm_count;
    kvi_list order;         /* kvi_lsm_write.order: reserved, not yet published */
    kvi_list stalled;       /* kvi_lsm_waiter.link: woken with KVI_AGAIN when there may be room */
    kvi_list flush_waiters; /* kvi_lsm_waiter.link: woken when flushed_seq reaches their seq */
    char failure[KVI_ERROR_DETAIL_MAX]; /* what last failed in the background: a detail line */
    kvi_list segments;                  /* live, oldest first; records go to the last */
    kvi_lsm_segment *ready;             /* the next one, or NULL */
    kvi_list spare;                     /* flushed segments, to be recycled */
    uint32_t spare_count;
    uint64_t ready_want; /* bytes the next segment must have, beyond shape.segment_bytes */

    kvi_os_mutex snapshot_lock; /* `snapshots` */
    kvi_list snapshots;         /* ascending by seq */

    struct kvi_lsm_compaction *compaction; /* under way; the compact task's */

    struct {
        _Atomic uint64_t bloom_checked, bloom_skipped, bloom_false;
        _Atomic uint64_t log_bytes, log_syncs, log_synced_writes;
        _Atomic uint64_t flushes, flush_bytes;
        _Atomic uint64_t compactions, compaction_read_bytes, compaction_write_bytes, trivial_moves;
        _Atomic uint64_t stalls[KVI_LSM_STALL_COUNT];
    } stats;
};

static inline void kvi_lsm_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* --- waking (wake.c) ---------------------------------------------------------------------- */

/** Moves all waiters of from to the empty list to. */
void kvi_lsm_waiters_take(kvi_list *from, kvi_list *to);
/** Wakes and unlinks all. The caller holds no lock. */
void kvi_lsm_waiters_wake(kvi_list *waiters, int result);
/** Lets stalled writers try again (KVI_AGAIN), or fail with err (and this thread's detail). The
 *  caller holds no lock. */
void kvi_lsm_unstall(kvi_lsm *l);
/** After each background step, when no other is running: whoever waits for memory may look again. */
void kvi_lsm_unstall_idle(void *lsm);
void kvi_lsm_fail_stalled(kvi_lsm *l, int err);
/** The same for those who wait for a flush. */
void kvi_lsm_fail_flushes(kvi_lsm *l, int err);
/** The log or the manifest failed with err (and this thread's detail), for ever; the first reason
 *  stays. Everyone who waits fails. The caller holds no lock from `write_lock` on. */
void kvi_lsm_break(kvi_lsm *l, int err);
/** KV_OK, or the reason with a detail. */
int kvi_lsm_check_broken(kvi_lsm *l) KVI_NODISCARD;

/* --- memtables and views (rotate.c, install.c) -------------------------------------------- */

/** Under `write_lock`: the active memtable becomes the newest full one, a new one with room for
 *  need bytes takes its place. The caller has checked that imm_count allows it. */
int kvi_lsm_rotate(kvi_lsm *l, size_t need) KVI_NODISCARD;

/** The current version, with a reference. Whoever holds `manifest_lock` knows that no other
 *  replaces it. Takes `write_lock`. */
kvi_lsm_version *kvi_lsm_version_current(kvi_lsm *l);

/** Appends the edit to the manifest and makes the next version current; flushed: the oldest full
 *  memtable goes with it. Takes `manifest_lock`. All memory is taken before the edit is in force.
 *  Files that the edit removes are doomed. */
int kvi_lsm_install(kvi_lsm *l, kvi_lsm_edit *edit, bool flushed) KVI_NODISCARD;

/* --- the log (segment.c) ------------------------------------------------------------------ */

/** Where a record of record_len bytes would go: under `write_lock`; false: no segment is ready, and
 *  one was asked for. */
bool kvi_lsm_segment_room(kvi_lsm *l, size_t record_len);
/** Makes and prepares a segment of at least bytes, recycling a spare one where it can. */
int kvi_lsm_segment_prepare(kvi_lsm *l, uint64_t bytes, kvi_lsm_segment **out) KVI_NODISCARD;
void kvi_lsm_segment_free(kvi_lsm *l, kvi_lsm_segment *s);
/** Under `write_lock`: flushed segments become spare. */
void kvi_lsm_segments_retire(kvi_lsm *l);
/** The number of the first segment that still holds something above seq; the next file number where
 *  there is none. */
uint64_t kvi_lsm_segments_floor(kvi_lsm *l, uint64_t seq);
/** The segment task. */
void kvi_lsm_segment_run(void *lsm);

/* --- guards (guard.c) --------------------------------------------------------------------- */

/** Under `write_lock`: whether the guard of w still holds. */
bool kvi_lsm_guard_holds(const kvi_lsm *l, const kvi_lsm_write *w);
/** Under `write_lock`: notes that the ops of w are reserved. */
void kvi_lsm_guard_note(kvi_lsm *l, const kvi_lsm_write *w);
void kvi_lsm_guards_free(kvi_lsm *l);

/* --- background (flush.c, compact.c, clean.c) --------------------------------------------- */

void kvi_lsm_flush_run(void *lsm);
/** Flushes the oldest full memtable, where there is one that can be: the flush task's work, or
 *  close's. */
int kvi_lsm_flush_oldest(kvi_lsm *l) KVI_NODISCARD;
void kvi_lsm_compact_run(void *lsm);
/** Gives up what is under way: its files are deleted. Nothing else runs. */
void kvi_lsm_compact_abandon(kvi_lsm *l);
void kvi_lsm_clean_run(void *lsm);
/** For kvi_lsm_file.on_obsolete; user is the engine. */
void kvi_lsm_file_obsolete(kvi_lsm_file *f, void *lsm);

/** Writes what the memtable holds, less what nobody can see any more, to a new table of level 0,
 *  synced, its name not yet; *out NULL where nothing is left. beneath: all tables there are. */
int kvi_lsm_build_level0(kvi_lsm *l, kvi_lsm_memtable *m, kvi_lsm_version *beneath,
                         kvi_lsm_file **out) KVI_NODISCARD;

/** A file number that was never used. */
static inline uint64_t kvi_lsm_new_file_no(kvi_lsm *l)
{
    return atomic_fetch_add(&l->next_file, 1);
}

#endif
