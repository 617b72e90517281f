/*
 * A simulated disk behind the file system seam (os/fs.h): what was written and what is on the disk
 * are kept apart, for bytes and for names, so that a power loss can be tried at any moment, and
 * every way in which a disk fails can be had by a knob.
 *
 * 1. Directories persist over open and close: the object is a machine's disk, a store on it comes
 *    and goes.
 * 2. Everything that changes the disk is a numbered mutation: create, write, sync, rename, unlink,
 *    sync of a directory, making of a directory. A hook is told before each, and may take crash
 *    copies then.
 * 3. Same seed, same calls: same behaviour, byte for byte. Nothing depends on an address.
 * 4. A store into a map is a write that no call tells of: it is found by comparing, at the next
 *    sync, read or crash copy.
 * 5. Its own memory comes from the allocator given to it, never from the one under test.
 * One thread at a time. Each path is a directory of its own: parents are neither needed nor made.
 *
 * What the disk does at a power loss: see enum kvi_sim_crash. What fails on the way: see
 * kvi_sim_fs_faults.
 */
#ifndef KVI_SIM_FS_H
#define KVI_SIM_FS_H

#include "base/buf.h"
#include "os/fs.h"

/** A larger file is KV_ENOSPC. */
#define KVI_SIM_FILE_MAX (UINT32_C(1) << 30)

typedef struct kvi_sim_fs kvi_sim_fs;

/** An empty disk; mem is borrowed. The caller frees it. KV_OK or KV_ENOMEM. */
int kvi_sim_fs_new(const kvi_mem *mem, uint64_t seed, kvi_sim_fs **out) KVI_NODISCARD;

/** Nothing may be open on it (kvi_sim_fs_open_count): asserted, as it is a leak of the code under
 * test. NULL is allowed. */
void kvi_sim_fs_free(kvi_sim_fs *fs);

/** The seam. */
kvi_os_fs *kvi_sim_fs_os(kvi_sim_fs *fs);

/** Whether files can be mapped (they can at first): asked when a file is opened. */
void kvi_sim_fs_set_map(kvi_sim_fs *fs, bool supported);

/** Files and directories that are open, and maps that live. */
size_t kvi_sim_fs_open_count(const kvi_sim_fs *fs);

/** Bytes of all files that have a name or are open. */
uint64_t kvi_sim_fs_used(const kvi_sim_fs *fs);

/* --- power loss ---------------------------------------------------------------------------- */

/** Told before mutation n (from 0). May copy and look, may not change fs. */
typedef void kvi_sim_mutation_fn(void *user, kvi_sim_fs *fs, uint64_t n);

/** fn NULL: nobody. */
void kvi_sim_fs_set_hook(kvi_sim_fs *fs, kvi_sim_mutation_fn *fn, void *user);

/**
 * What survives of bytes that no sync covered, and of creates, renames and unlinks that no sync of
 * their directory covered.
 *
 * In the last four, each of those name changes survives or not by itself: one whose name is still
 * taken by a file that was renamed away is lost with that rename, and a file is never without a
 * name but where its create was lost. The rate of survival is drawn anew for each file and each
 * directory, so that "nearly all" and "nearly nothing" are tried too. A file that grew may keep the
 * new size without the bytes: zeros. Stores through a map survive in units of 512 bytes (of 4096 in
 * TORN_4096).
 */
enum kvi_sim_crash {
    KVI_SIM_DROP,      /* nothing */
    KVI_SIM_KEEP,      /* all of it, as when the process alone dies */
    KVI_SIM_RANDOM,    /* of the write calls, any subset */
    KVI_SIM_TORN_1,    /* of the write calls, any subset, each whole or cut at any byte */
    KVI_SIM_TORN_512,  /* of the changed sectors, any subset */
    KVI_SIM_TORN_4096, /* of the changed pages, any subset */
    KVI_SIM_CRASHES
};

/** The disk as a power loss at this moment leaves it, all of it durable: a new disk of the
 * caller's, nothing open or locked, no fault and no hook set. Notes in src what was stored through
 * maps, and changes nothing else. Pages are shared, so a copy costs microseconds. KV_OK or
 * KV_ENOMEM. */
int kvi_sim_fs_crash_copy(kvi_sim_fs *src, enum kvi_sim_crash variant, uint64_t seed,
                          kvi_sim_fs **out) KVI_NODISCARD;

/* --- faults -------------------------------------------------------------------------------- */

/** The kinds of calls that are counted and can fail. A call whose argument is refused (KV_ENOENT …)
 * counts. */
enum kvi_sim_call {
    KVI_SIM_CALL_ANY, /* as a counter: all of them */
    KVI_SIM_CALL_OPEN_DIR,
    KVI_SIM_CALL_CLOSE_DIR,
    KVI_SIM_CALL_LOCK,
    KVI_SIM_CALL_LIST,
    KVI_SIM_CALL_SYNC_DIR,
    KVI_SIM_CALL_RENAME,
    KVI_SIM_CALL_UNLINK,
    KVI_SIM_CALL_OPEN, /* of a file that is there */
    KVI_SIM_CALL_CREATE,
    KVI_SIM_CALL_READ,
    KVI_SIM_CALL_WRITE,
    KVI_SIM_CALL_SYNC,
    KVI_SIM_CALL_SIZE,
    KVI_SIM_CALL_MAP,
    KVI_SIM_CALL_CLOSE,
    KVI_SIM_CALLS
};

/**
 * Knobs; zero is off. What a failed call leaves:
 * - write: any part of it, from the front, is written; over the capacity: as much as fits.
 * - sync of a file: some of the changed sectors reached the disk, the others never will, for all
 *   are marked clean; reads still see them (or not: evict), and a later sync answers KV_OK without
 *   having written them, unless they were written anew. So does Linux.
 * - sync of a directory: some of the names reached the disk; the others stay due for the next.
 * - close: the object is gone. Anything else: nothing happened.
 */
typedef struct kvi_sim_fs_faults {
    /* One call exactly: number fail_at (from 0) of its kind, and all later ones of the kind if
     * from_then_on. fail_with KV_OK: none. */
    enum kvi_sim_call fail_call;
    uint64_t fail_at;
    bool from_then_on;
    int fail_with;
    /* Any call of a kind, at random. [KVI_SIM_CALL_ANY] goes for all kinds. */
    uint32_t error_ppm[KVI_SIM_CALLS];
    int error;         /* KV_OK: KV_EIO */
    uint64_t capacity; /* of the disk, in bytes of kvi_sim_fs_used; 0: no limit */
    bool evict;        /* after a failed sync, reads see what is on the disk */
    uint32_t rot_ppm;  /* of reads: a bit of what is read flips on the disk, before, for good */
    uint32_t misdirect_ppm;   /* of reads: the bytes come from elsewhere on the disk */
    uint32_t lost_rename_ppm; /* of renames: everyone sees it done, and no sync makes it durable */
} kvi_sim_fs_faults;

/** Counted since the disk was made, or since the counts were reset. */
typedef struct kvi_sim_fs_counts {
    uint64_t mutations;
    uint64_t calls[KVI_SIM_CALLS];
    uint64_t failed; /* by the knobs */
    uint64_t rotted, misdirected, lost_renames;
} kvi_sim_fs_counts;

/** Copies the knobs; NULL: all off. Counts go on. */
void kvi_sim_fs_set_faults(kvi_sim_fs *fs, const kvi_sim_fs_faults *faults);

/** The machine is off from now on: every call fails with KV_EIO and does nothing but close, stores
 * into maps go nowhere. What is left is for a crash copy. KV_OK, or KV_ENOMEM and it still runs. */
int kvi_sim_fs_power_off(kvi_sim_fs *fs) KVI_NODISCARD;

const kvi_sim_fs_counts *kvi_sim_fs_get_counts(const kvi_sim_fs *fs);
void kvi_sim_fs_reset_counts(kvi_sim_fs *fs);

/* --- surgery: not calls, not mutations, no faults; written and durable state at once ------- */

/** Sets out to the file's bytes as they are read. KV_OK, KV_ENOENT (path or name), KV_ENOMEM. */
int kvi_sim_fs_file_bytes(kvi_sim_fs *fs, const char *path, const char *name, kvi_buf *out)
    KVI_NODISCARD;

/** Makes or replaces a file, and its directory where that is missing. data is copied. */
int kvi_sim_fs_put_file(kvi_sim_fs *fs, const char *path, const char *name, const void *data,
                        size_t len) KVI_NODISCARD;

/** Overwrites bytes within the file; KV_EINVAL past its end. */
int kvi_sim_fs_patch(kvi_sim_fs *fs, const char *path, const char *name, uint64_t offset,
                     const void *data, size_t len) KVI_NODISCARD;

/** Cuts the file, or lets it grow by zeros. It is not mapped. */
int kvi_sim_fs_truncate(kvi_sim_fs *fs, const char *path, const char *name, uint64_t size)
    KVI_NODISCARD;

int kvi_sim_fs_remove_file(kvi_sim_fs *fs, const char *path, const char *name) KVI_NODISCARD;

/** Calls fn for each file's name in byte order; fn may not change the directory. KV_ENOENT where
 * path is none. */
int kvi_sim_fs_each_file(kvi_sim_fs *fs, const char *path, kvi_os_list_fn *fn, void *user)
    KVI_NODISCARD;

/** Pretends that another process holds the lock on path's lock file, or no longer does. */
int kvi_sim_fs_lock_elsewhere(kvi_sim_fs *fs, const char *path, bool held) KVI_NODISCARD;

/** A number made of all paths, names, sizes and bytes as they are read now. Equal disks have equal
 * numbers. */
int kvi_sim_fs_hash(kvi_sim_fs *fs, uint64_t *out) KVI_NODISCARD;

#endif
