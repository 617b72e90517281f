/*
 * libkv: an embeddable key-value store.
 *
 * This is the whole public interface. The simple calls come first: a program that wants an
 * ordered, durable map and nothing else uses kv_open, kv_get, kv_put, kv_delete, kv_result_free
 * and kv_close, and passes NULL for what it does not care about:
 *
 *     kv *db;
 *     kv_result r = KV_RESULT_INIT;
 *     kv_open("data", NULL, &db);
 *     kv_put(db, "hello", 5, "world", 5, NULL, NULL);
 *     if (kv_get(db, "hello", 5, NULL, &r) == KV_OK)
 *         printf("%.*s\n", (int)r.values[0].len, (const char *)r.values[0].data);
 *     kv_result_free(&r);
 *     kv_close(db);
 *
 * What holds for every call, unless its own comment says otherwise:
 *
 * - Results. A call that can fail returns KV_OK (0) or one of the negative KV_E… codes.
 *   kv_strerror() names a code; kv_error_detail() says what exactly was wrong. Any call may fail
 *   with KV_EINVAL (an argument), KV_EFORK, KV_ENOMEM, and where it reads the disk with KV_EIO,
 *   KV_ECORRUPT or KV_EMFILE; a call's comment lists what else.
 * - Outputs. On failure they are untouched. A kv_result is the exception: it is always filled,
 *   with nothing where there is nothing.
 * - Structs. Each begins with its own size and is set up by its initializer (KV_OPTIONS_INIT,
 *   KV_OP_INIT …); zero is the default of every other field. A field that makes no sense is
 *   KV_EINVAL, and the detail names it.
 * - Ownership. Memory passed in stays the caller's and is read only until the call returns.
 * - Threads. Any number of threads may use a store and its spaces at once; where the host runs it
 *   (KV_STEPPED), one at a time, but for kv_submit() and kv_cancel(). A single kv_result, kv_batch
 *   or kv_iter is for one thread at a time.
 * - Processes. Nothing is global: any number of stores may be open at once. No signal is raised or
 *   handled, nothing is printed, exit() is never called. After fork() the child cannot use what
 *   its parent opened: calls answer KV_EFORK, those that return nothing do nothing.
 *
 * Limits: keys 1 to 65,535 bytes, values 0 bytes to the smaller of 64 MiB and an eighth of the
 * memory budget. Keys are ordered by their bytes, as memcmp orders them, shorter ones first.
 *
 * A store is ordered (KV_ORDERED), alone in its process, or placed (KV_PLACED), a node of a
 * cluster: see "Clusters" below for what that changes. Comments that say "placed" or "ordered"
 * mean these.
 */
#ifndef KV_H
#define KV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KV_API __attribute__((visibility("default")))
#else
#define KV_API
#endif

/* ------------------------------------------------------------------------------------------
 * Version and errors
 * ------------------------------------------------------------------------------------------ */

#define KV_VERSION_MAJOR 0
#define KV_VERSION_MINOR 1
#define KV_VERSION_PATCH 0

/** What calls return. New codes may be added, none changes its number. */
enum {
    KV_OK = 0,
    KV_ENOTFOUND = -1,     /* no such key, or the iterator is past its last entry */
    KV_EINVAL = -2,        /* an argument or a field is wrong; the detail names it */
    KV_ETOOBIG = -3,       /* a key, a value or a batch is over its limit; nothing was allocated */
    KV_ENOMEM = -4,        /* the allocator or the memory budget has no more */
    KV_ENOSPC = -5,        /* the disk, or the budget of a store in memory, is full */
    KV_EIO = -6,           /* the file system failed; where a sync did: see kv_put() */
    KV_ECORRUPT = -7,      /* bytes on disk are not what was written; none of them was returned */
    KV_EFORMAT = -8,       /* the directory was written by a newer libkv; it was left as it was */
    KV_ENOENT = -9,        /* the path, or the store where KV_MUST_EXIST asks for one, is missing */
    KV_EEXIST = -10,       /* KV_MUST_CREATE was asked, and there is a store already */
    KV_ENOTDIR = -11,      /* the path, or a part of it, is not a directory */
    KV_EACCES = -12,       /* the operating system denies permission */
    KV_EINUSE = -13,       /* another process has this directory open; the address is taken */
    KV_EOPEN = -14,        /* this process has this directory open already */
    KV_EMFILE = -15,       /* no file descriptor is left */
    KV_EBUSY = -16,        /* something is in use, or full: see kv_close(), kv_put(), kv_submit() */
    KV_EFORK = -17,        /* the handle was opened before fork(), in the parent */
    KV_ECONFLICT = -18,    /* the condition or context of a write, or a policy, does not hold */
    KV_ENOTSUP = -19,      /* not offered here; the detail says why */
    KV_ELAYOUT = -20,      /* the store was created with another layout */
    KV_ESIBLINGS = -21,    /* concurrent writes left several values: they are in the result */
    KV_EUNCERTAIN = -22,   /* the write may have been done or not; the result counts who has it */
    KV_EUNAVAILABLE = -23, /* too few replicas were reachable in time; nothing was written */
    KV_ECANCELED = -24,    /* given up by kv_cancel() or kv_close() before anything was written */
    KV_EDEADLK = -25       /* a call that waits was made from a callback, for which it would wait */
};

/** The name and meaning of a code, in English. Never NULL. Static storage. */
KV_API const char *kv_strerror(int err);

/** What was wrong in this thread's last call that failed: the field, file, size or system error, in
 *  one line for a person. Empty where none failed yet. A get or an iterator that finds nothing
 *  (KV_ENOTFOUND) leaves it as it was. Never NULL; valid until this thread's next call. */
KV_API const char *kv_error_detail(void);

/** The version of the library that is linked, as in "0.1.0". Static storage. */
KV_API const char *kv_version(void);

/* ------------------------------------------------------------------------------------------
 * Types of the simple calls
 * ------------------------------------------------------------------------------------------ */

typedef struct kv kv;             /* a store, or one keyspace of it */
typedef struct kv_batch kv_batch; /* writes that take effect together */
typedef struct kv_snap kv_snap;   /* the store as it was at one moment */
typedef struct kv_iter kv_iter;   /* a walk over keys in order */

struct kv_options; /* how a store is opened: below */

/** Borrowed bytes. data may be NULL where len is 0. */
typedef struct kv_slice {
    const void *data;
    size_t len;
} kv_slice;

/** One value. */
typedef struct kv_value {
    const void *data;
    size_t len;
    int64_t expires_ms; /* milliseconds since 1970-01-01 UTC; 0: never */
    uint64_t reserved;  /* 0 */
} kv_value;

/** How surely a write is kept once its call has returned (kv_options.durability of a store,
 *  kv_op.durability of a request). */
enum {
    KV_DEFAULT = 0, /* of a store: KV_DISK, in memory KV_MEMORY; of a request: the store's */
    KV_MEMORY = 1,  /* no log: kept from the next kv_flush() or kv_close() on. Whole stores only */
    KV_OS = 2,      /* survives the end of the process, not that of the machine */
    KV_DISK = 3     /* survives power loss: synced before the call returns; calls share a sync */
};

/** Conditions of a write (kv_op.condition). */
enum {
    KV_ALWAYS = 0,
    KV_IF_ABSENT = 1, /* only where the key has no value, else KV_ECONFLICT */
    KV_IF_PRESENT = 2 /* only where the key has a value, else KV_ECONFLICT */
};

#define KV_TTL_NONE UINT64_MAX               /* no expiry, even where the space has a default */
#define KV_TTL_MAX  UINT64_C(31536000000000) /* the longest time to live: 1,000 years, in ms */

/** Of how many replicas a request needs the answer (kv_op.r, kv_op.w, kv_policy): a number, or */
enum {
    KV_QUORUM = 254, /* more than half of the space's n */
    KV_ALL = 255     /* all n of them */
};

/** kv_op.flags: in a placed store (KV_PLACED). */
enum {
    KV_OVERWRITE = 1u << 0,     /* puts without a context: replace siblings too, unseen */
    KV_PRIMARIES_ONLY = 1u << 1 /* the key's own replicas or none: no stand-in counts or is asked */
};

#define KV_TIMEOUT_DEFAULT_MS 5000u

/** What a request may ask for. Every call takes NULL for all defaults. */
typedef struct kv_op {
    uint32_t size;      /* set by KV_OP_INIT */
    uint32_t flags;     /* placed: KV_OVERWRITE, KV_PRIMARIES_ONLY */
    uint8_t durability; /* writes: KV_OS, KV_DISK */
    uint8_t condition;  /* puts and deletes, not in a KV_AP space: KV_IF_… */
    uint8_t r;          /* placed: replicas that must answer a read; 0: the space's default */
    uint8_t w;          /* placed: replicas that must hold a write; 0: the space's default */
    /* Placed: how long to try, 0: KV_TIMEOUT_DEFAULT_MS. A write that was sent to anybody and not
       confirmed by w replicas in this time is KV_EUNCERTAIN. */
    uint32_t timeout_ms;
    /* Puts: the value is gone this many milliseconds after the put, to the millisecond by the wall
       clock; at most KV_TTL_MAX. 0: the space's default. */
    uint64_t ttl_ms;
    /* Puts and deletes: kv_result.context of an earlier call on this key.
       In an ordered store the write is done only if nobody has written the key since, else
       KV_ECONFLICT. Absent is absent: a context that saw no value holds whenever there is none.
       In a placed one the write replaces exactly what that call saw; what others wrote meanwhile
       stays beside it, as a sibling. */
    kv_slice context;
    /* Gets, in an ordered store: read it as it was then. */
    kv_snap *snapshot;
} kv_op;

/**
 * What a request answers. Set up once by KV_RESULT_INIT, used for any number of calls, each of
 * which replaces what the last one left, and ended by kv_result_free() before the store is closed.
 *
 * Values up to 4 KiB are copied into a buffer that the result keeps, so a result in its second use
 * allocates nothing; larger ones are lent by the store and pinned until the result's next use. What
 * a placed store answers lies in the result's own memory, whatever its size. A call may be given a
 * key, value or context that lies in its own result.
 */
typedef struct kv_result {
    uint32_t size;          /* set by KV_RESULT_INIT */
    uint32_t flags;         /* 0 */
    uint32_t count;         /* how many values: 0, 1, or all siblings */
    uint8_t durability;     /* writes: what was reached, KV_MEMORY to KV_DISK */
    uint8_t acks;           /* writes, placed: replicas known to hold it at that durability */
    uint8_t primaries;      /* … of them the key's own */
    uint8_t fallbacks;      /* … and stand-ins, which keep it for one that was not there */
    const kv_value *values; /* count of them; valid until the result's next use */
    kv_slice context;       /* the version of the key that the call saw or made */
    struct kv_result_private *held; /* the library's own */
} kv_result;

/* ------------------------------------------------------------------------------------------
 * The simple calls
 * ------------------------------------------------------------------------------------------ */

/**
 * Opens the store in the directory path, creating it (one level, mode 0700) where there is none.
 * path NULL: a store that lives in memory, within its budget, and ends with kv_close(). options
 * NULL: 64 MiB of memory, KV_DISK, two threads for disk work.
 *
 * A directory is open in one process at a time, and there once. Opening includes recovery: every
 * write that was acknowledged is there, a log that a crash tore is cut at the tear, and a file that
 * does not hold what was written is KV_ECORRUPT.
 *
 * None of these changes anything on disk: KV_EINVAL (a field), KV_ENOTDIR (path is a file),
 * KV_ENOENT (its parent is missing, or KV_MUST_EXIST), KV_EEXIST (KV_MUST_CREATE), KV_EACCES,
 * KV_EINUSE, KV_EOPEN, KV_EFORMAT, KV_ELAYOUT, KV_ECORRUPT. Also: KV_ECONFLICT (the policy differs
 * from the recorded one), KV_ENOSPC.
 *
 * *out is the caller's until kv_close().
 */
KV_API int kv_open(const char *path, const struct kv_options *options, kv **out);

/**
 * Closes a handle. That of a space (kv_space()): the handle and nothing else. That of the store:
 * what was acknowledged is synced (without a log: written to tables), background work ends, files
 * and memory are released. NULL is KV_OK. No other thread may use the handle from this call on.
 *
 * Requests that were submitted and have not ended are given up: their callbacks, and those that
 * wait for kv_step(), have run when it returns, with KV_ECANCELED where nothing was written and
 * nothing will be, KV_EUNCERTAIN where something was sent.
 *
 * KV_EBUSY, and nothing closed, while an iterator, snapshot, batch, lent value or space handle of
 * the store is alive. KV_EDEADLK, and nothing closed, from a callback of the store. KV_EFORK, and
 * nothing closed, in a child of the process that opened. Any other failure (KV_EIO, KV_ENOSPC: the
 * last sync) is told, and the handle is gone all the same.
 */
KV_API int kv_close(kv *db);

/**
 * Gets the value of key. KV_ENOTFOUND where it has none or that has expired; result->context is set
 * then too. result NULL: only the code. Of op only snapshot (ordered), r, timeout_ms and
 * KV_PRIMARIES_ONLY (placed) may be set. Never waits for a writer.
 *
 * Placed: answers when r replicas have; KV_ESIBLINGS with all values, in the same order at every
 * node, where concurrent writes left more than one (a put with the context replaces them all), or,
 * with kv_options.merge, what that makes of them. KV_EUNAVAILABLE: fewer answered in time.
 */
KV_API int kv_get(kv *db, const void *key, size_t key_len, const kv_op *op, kv_result *result);

/**
 * Sets key to value in place of what it had. Returns when the value is readable by everyone and as
 * durable as asked; a writer may wait for disk work that has fallen behind. result gets the new
 * version's context and the durability reached.
 *
 * Nothing was written: KV_EINVAL, KV_ETOOBIG, KV_ENOMEM, KV_ENOSPC, KV_ECONFLICT (condition or
 * context), KV_ENOTSUP (KV_OS or KV_DISK asked of a store without a log), KV_EBUSY (a condition or
 * context could not be judged, since others kept writing).
 * KV_EIO from writing or syncing the log: the write may be there after the next opening or not. The
 * store takes no further write until it is opened again; reads go on.
 *
 * Placed: returns when w replicas hold it as durably as asked; the result counts them. Without a
 * context it replaces the one value that the coordinating replica holds; over several it is
 * KV_ESIBLINGS, with them in the result and nothing written, unless KV_OVERWRITE is set. A context
 * that has missed writes adds a sibling; where 64 are there already it is KV_ESIBLINGS, and nothing
 * is written. KV_EUNAVAILABLE: too few replicas, nothing was written anywhere. KV_EUNCERTAIN: it
 * was begun, and fewer than w have confirmed it; the result counts those that have.
 */
KV_API int kv_put(kv *db, const void *key, size_t key_len, const void *value, size_t value_len,
                  const kv_op *op, kv_result *result);

/** Removes key and its value. An absent key is KV_OK. As kv_put() in everything else; placed,
 *  without a context, it first reads r replicas and removes all that they hold, siblings too. */
KV_API int kv_delete(kv *db, const void *key, size_t key_len, const kv_op *op, kv_result *result);

/** Releases what the result holds; it is then as KV_RESULT_INIT left it. NULL is allowed. */
KV_API void kv_result_free(kv_result *result);

/* ------------------------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------------------------ */

/** kv_options.flags. Neither of the first two goes with a store in memory, nor both together. */
enum {
    KV_MUST_EXIST = 1u << 0,        /* KV_ENOENT, and none is created, where there is no store */
    KV_MUST_CREATE = 1u << 1,       /* KV_EEXIST where there is one */
    KV_CALLBACKS_IN_STEP = 1u << 2, /* KV_THREADED: callbacks wait for kv_step() all the same */
    KV_TRUSTED_NETWORK = 1u << 3    /* believe peers of a transport that proves no identities */
};

/** kv_options.layout: chosen when the store is created, recorded, never changed. */
enum {
    KV_LAYOUT_DEFAULT = 0, /* what the store has; for a new one KV_ORDERED, with listen KV_PLACED */
    KV_ORDERED = 1,        /* keys in byte order, for a store that stands alone */
    KV_PLACED = 2          /* keys placed by their hash: a node of a cluster, perhaps of one */
};

/** kv_options.mode: who runs the node and the callbacks. */
enum {
    KV_THREADED = 0, /* a thread of the library's own */
    KV_STEPPED = 1   /* the host, by kv_step(); no thread is started but the workers asked for */
};

/** kv_options.start: what a placed store that belongs to no cluster yet does. One that belongs to
 *  one goes on in it, whatever this says. */
enum {
    KV_JOIN = 0,  /* asks the seeds to let it in, until they do; without listen: as KV_CREATE */
    KV_CREATE = 1 /* creates the cluster: exactly one node of it, once */
};

/** kv_options.compression: tables are stored as they are. */
#define KV_COMPRESS_NONE (-1)

/** The levels of kv_log_fn. */
enum { KV_LOG_ERROR = 1, KV_LOG_WARN = 2, KV_LOG_INFO = 3, KV_LOG_DEBUG = 4 };

/** Told what happens in the background. Runs on the thread on which it happens, several at a time,
 *  and calls nothing of libkv. message is one line, lent until it returns. */
typedef void kv_log_fn(void *user, int level, const char *message);

/** The host's allocator, in place of malloc, realloc and free. alloc and resize return memory
 *  aligned for any type, or NULL; resize(user, NULL, n) is alloc(user, n); free takes NULL. Called
 *  from any thread, several at a time. Outlives the store. */
typedef struct kv_allocator {
    uint32_t size;  /* set by KV_ALLOCATOR_INIT */
    uint32_t flags; /* 0 */
    void *(*alloc)(void *user, size_t bytes);
    void *(*resize)(void *user, void *old, size_t bytes);
    void (*free)(void *user, void *old);
    void *user; /* handed to the three */
} kv_allocator;

/** kv_policy.mode, of a space in a cluster. */
enum {
    KV_AP = 0,    /* available: takes writes as long as any w nodes can be reached */
    KV_STRONG = 1 /* linearizable: KV_ENOTSUP in this version */
};

/** kv_policy.conflict: what concurrent writes to one key leave, in a placed store. */
enum {
    KV_SIBLINGS = 0,       /* all of them, until a put with their context replaces them */
    KV_LAST_WRITE_WINS = 1 /* the one with the latest stamp (a hybrid logical clock) */
};

#define KV_REPLICAS_MAX 8u

/** What a keyspace promises; recorded when it is created, then fixed. */
typedef struct kv_policy {
    uint32_t size;   /* set by KV_POLICY_INIT */
    uint32_t flags;  /* 0 */
    uint64_t ttl_ms; /* for puts that name none, at most KV_TTL_MAX; 0, KV_TTL_NONE: no expiry */
    /* The rest is of placed stores. Where r + w is not above n a read may miss an acknowledged
       write, and w not above n / 2 makes siblings of writes that did not need to be: both are
       allowed, and logged as warnings. A cluster of fewer nodes than n has one replica on each. */
    uint8_t n;        /* replicas of a key, at most KV_REPLICAS_MAX; 0: three, without listen one */
    uint8_t r, w;     /* of requests that name none; 0: KV_QUORUM */
    uint8_t mode;     /* KV_AP */
    uint8_t conflict; /* KV_SIBLINGS, KV_LAST_WRITE_WINS */
    uint8_t reserved[3]; /* 0 */
} kv_policy;

struct kv_transport;

/** Makes one value of siblings (two or more, as they are ordered) for a get to answer in place of
 *  KV_ESIBLINGS. It is stored only if the host puts it back, with the get's context. Writes up to
 *  capacity bytes to out, sets *len, returns KV_OK; KV_ETOOBIG with *len set: called again with
 *  that much room; anything else, or more than a value may have: the get is KV_ESIBLINGS. What it
 *  makes expires with the last of the siblings. Same siblings, same answer. Runs on the thread that
 *  called the get or, of submitted ones, that of the callback, perhaps several at a time; calls
 *  nothing of libkv. */
typedef int kv_merge_fn(void *user, kv_slice key, const kv_value *siblings, uint32_t count,
                        void *out, size_t capacity, size_t *len);

/** How a store is opened. What is said to be of placed stores is KV_EINVAL unless layout is
 *  KV_PLACED or listen is set, also where the store is placed already; so is of policy all but
 *  ttl_ms. */
typedef struct kv_options {
    uint32_t size;                 /* set by KV_OPTIONS_INIT */
    uint32_t flags;                /* KV_MUST_EXIST … */
    size_t memory;                 /* bytes for everything, 4 MiB or more; 0: 64 MiB */
    uint8_t durability;            /* KV_MEMORY, KV_OS, KV_DISK; in memory only KV_MEMORY */
    uint8_t workers;               /* threads for disk work, at most 16; 0: two, stepped none */
    uint8_t layout;                /* KV_ORDERED, KV_PLACED */
    uint8_t mode;                  /* KV_THREADED, KV_STEPPED */
    uint8_t start;                 /* placed: KV_JOIN, KV_CREATE */
    uint8_t reserved[3];           /* 0 */
    int compression;               /* of new tables: zstd level 1 to 19, KV_COMPRESS_NONE; 0: 1 */
    const kv_policy *policy;       /* of the default space; NULL: what it has, or all defaults */
    const kv_allocator *allocator; /* NULL: the C library's */
    kv_log_fn *log;                /* NULL: silent */
    kv_merge_fn *merge;            /* placed; NULL: siblings are the host's */
    void *user;                    /* handed to log and merge */
    /* Clusters. All strings are copied. Without listen the others have no meaning: KV_EINVAL. */
    const char *listen;    /* address to be reached at, as the transport writes them; NULL: alone */
    const char *advertise; /* address that peers use; NULL: listen */
    const char *const *seeds; /* addresses of members, to join through; at most 64 */
    size_t seed_count;
    const char *zone; /* replicas are spread over zones; at most 63 bytes; NULL: none */
    uint16_t weight;  /* share of the data, against other members; 0: 100 */
    const struct kv_transport *transport; /* required with listen, else KV_ENOTSUP: no TCP yet */
} kv_options;

/* ------------------------------------------------------------------------------------------
 * Keyspaces
 * ------------------------------------------------------------------------------------------ */

/**
 * Opens a named keyspace of the store, creating it, durably, at its first use. Its keys are its
 * own. The handle takes the same calls as the store's, which is the default space; it may be opened
 * any number of times. name: 1 to 255 bytes and a NUL. policy NULL: what the space has, or for a
 * new one all defaults; placed, what the default space has. db: the store or any space of it. At
 * most 65,535 spaces, placed 1,023.
 *
 * KV_ECONFLICT: the space was created with another policy. KV_ETOOBIG: one space too many. Where it
 * is created, errors as kv_put(); placed, KV_EUNAVAILABLE: the cluster's authority did not answer
 * within KV_TIMEOUT_DEFAULT_MS, and may have made it or not.
 *
 * *out is the caller's until kv_close(), which comes before that of the store.
 */
KV_API int kv_space(kv *db, const char *name, const kv_policy *policy, kv **out);

/* ------------------------------------------------------------------------------------------
 * Batches: all or nothing, to every reader and in every crash
 * ------------------------------------------------------------------------------------------ */

/** Makes an empty batch, whose writes go to db's space. *out is the caller's until
 *  kv_batch_free(). */
KV_API int kv_batch_new(kv *db, kv_batch **out);

/** What is added from here on goes to this space of the same store. */
KV_API int kv_batch_use(kv_batch *batch, kv *space);

/** Adds a put. Copies key and value. Of op only ttl_ms may be set; it counts from the commit.
 *  KV_EINVAL, and nothing added, in a placed store where key is not of the part of the batch's
 *  first key, whatever their spaces. KV_ETOOBIG, and nothing added, where the keys and values in
 *  the batch would come to more than an eighth of the budget (512 MiB at most) and 64 KiB. */
KV_API int kv_batch_put(kv_batch *batch, const void *key, size_t key_len, const void *value,
                        size_t value_len, const kv_op *op);

/** Adds a delete. Copies key. KV_EINVAL, KV_ETOOBIG as kv_batch_put(). */
KV_API int kv_batch_delete(kv_batch *batch, const void *key, size_t key_len);

/** Writes all of it or nothing; of several writes to one key the last counts. Of op only durability
 *  and, placed, w, timeout_ms and flags may be set; result gets the durability reached and, placed,
 *  the counts, but no context. On success the batch is empty and may be used again, on failure it
 *  is as it was. An empty one is KV_OK. Errors as kv_put(). Placed, all spaces of the batch have
 *  the same n and the same conflict, else it is KV_EINVAL. */
KV_API int kv_batch_commit(kv_batch *batch, const kv_op *op, kv_result *result);

/** Ends a batch, written or not. NULL is allowed. */
KV_API void kv_batch_free(kv_batch *batch);

/* ------------------------------------------------------------------------------------------
 * Snapshots and iterators
 * ------------------------------------------------------------------------------------------ */

/** Keeps what is readable now, in all spaces of the store, for kv_op.snapshot and
 *  kv_range.snapshot, while writes go on. Costs disk space, not time: what it sees is not compacted
 *  away. A value that expires does so in a snapshot too. *out is the caller's until
 *  kv_snapshot_free(). */
KV_API int kv_snapshot(kv *db, kv_snap **out);

/** Ends a snapshot; iterators that were opened on it go on. NULL is allowed. */
KV_API void kv_snapshot_free(kv_snap *snap);

/** What an iterator walks over: the keys k with from <= k < to that begin with prefix. An empty
 *  slice does not bound. Bounds that leave nothing between them are an empty walk, no error. */
typedef struct kv_range {
    uint32_t size;  /* set by KV_RANGE_INIT */
    uint32_t flags; /* 0 */
    kv_slice from;  /* at most 65,535 bytes each */
    kv_slice to;
    kv_slice prefix;
    kv_snap *snapshot; /* NULL: what is readable when the iterator is opened or renewed */
} kv_range;

/** One entry of a walk; its bytes are lent until the iterator's next call. */
typedef struct kv_entry {
    uint32_t size;  /* set by KV_ENTRY_INIT */
    uint32_t flags; /* set by the call: 0, or placed KV_ENTRY_SIBLINGS */
    kv_slice key;
    kv_value value;
} kv_entry;

/** Opens a walk over range (NULL: all keys of the space). It sees what was readable at this moment,
 *  whatever is written later. It stands before the first entry and behind the last at once:
 *  kv_iter_next() gives the first, kv_iter_prev() the last. From then on it stands on the entry
 *  that it gave, or where kv_iter_seek() put it, between two. *out is the caller's until
 *  kv_iter_close(). */
KV_API int kv_iter_open(kv *db, const kv_range *range, kv_iter **out);

/** Does what closing and opening again over range would, at less cost, and sees what is readable
 *  now. range NULL: the same range, and the same snapshot if it had one. On failure the iterator is
 *  as it was. */
KV_API int kv_iter_renew(kv_iter *iter, const kv_range *range);

/** Steps to the next entry, upwards, and lends it; values that have expired are passed over.
 *  KV_ENOTFOUND past the last: the iterator then stands behind it, and kv_iter_prev() gives the
 *  last. entry NULL: only steps. */
KV_API int kv_iter_next(kv_iter *iter, kv_entry *entry);

/** As kv_iter_next(), downwards. */
KV_API int kv_iter_prev(kv_iter *iter, kv_entry *entry);

/** Stands before the first entry whose key is key or above, so that kv_iter_next() gives that one
 *  and kv_iter_prev() the last one below. A key outside the range stands at the nearer end, an
 *  empty one (key_len 0) before the first entry. */
KV_API int kv_iter_seek(kv_iter *iter, const void *key, size_t key_len);

/** Ends a walk. NULL is allowed. */
KV_API void kv_iter_close(kv_iter *iter);

/* ------------------------------------------------------------------------------------------
 * Asynchronous calls and the host's own loop
 * ------------------------------------------------------------------------------------------ */

enum { KV_REQUEST_GET = 1, KV_REQUEST_PUT = 2, KV_REQUEST_DELETE = 3 };

/** One call, to be made without waiting for it. */
typedef struct kv_request {
    uint32_t size;  /* set by KV_REQUEST_INIT */
    uint32_t flags; /* 0 */
    uint8_t call;   /* KV_REQUEST_… */
    kv_slice key;
    kv_slice value;  /* puts */
    const kv_op *op; /* as that call takes it; a snapshot must outlive the request */
} kv_request;

/** Told how a request ended. result is lent until it returns; err is what the call would have
 *  returned, with kv_error_detail() set. Callbacks of one store run one at a time. Of that store's
 *  calls one may use kv_submit(), kv_cancel(), kv_stats(), kv_pollfd(), kv_next_deadline(), and end
 *  what it has (kv_iter_close() …); those that may wait, or take something of the store, are
 *  KV_EDEADLK. */
typedef void kv_done_fn(void *user, uint64_t ticket, int err, const kv_result *result);

/**
 * Begins a get, put or delete. Copies key, value and op. Where it returns KV_OK, done runs exactly
 * once, later, never inside kv_submit(): on the store's own thread (KV_THREADED), in kv_step(), or
 * in kv_close(). An ordered store runs them one after the other, and as many as wait share a sync.
 * *ticket (may be NULL) names the request for kv_cancel(); never 0. Requests of one thread are
 * begun in order, and end in any.
 *
 * What is wrong with an argument is told here, and done does not run; only whether a placed store's
 * context is of this key, and r and w are within the space's n, is told to done. KV_EBUSY: 65,536
 * are under way, or what they take (their bytes, and about 2 KiB each) comes to an eighth of the
 * budget; some must end first. KV_ECANCELED: the store is being closed. Any thread.
 */
KV_API int kv_submit(kv *db, const kv_request *request, kv_done_fn *done, void *user,
                     uint64_t *ticket);

/** Gives up a request that was submitted: done runs soon, never inside this call, with KV_ECANCELED
 *  where nothing was written and nothing will be, KV_EUNCERTAIN where something was sent; or as it
 *  would have, if its end was quicker. KV_ENOTFOUND: it has ended, or its end is on the way, as
 *  that of every one is that an ordered store has begun. Any thread. */
KV_API int kv_cancel(kv *db, uint64_t ticket);

/**
 * Runs the store for about budget_ns (0: what is ready, once): messages, timers, disk work where
 * there are no workers, callbacks. Returns when nothing is ready; it waits for nothing but the
 * disk, and for that only where there are no workers. KV_STEPPED, or KV_CALLBACKS_IN_STEP (then
 * only the callbacks), else KV_ENOTSUP. One thread at a time; KV_EDEADLK from a callback. In
 * stepped mode, calls that wait (kv_get() …) step the store themselves meanwhile, on that same
 * thread, and leave callbacks for the next kv_step().
 */
KV_API int kv_step(kv *db, uint64_t budget_ns);

/** A descriptor that a host's event loop polls for reading: readable when kv_step() has something
 *  to do. The store's, and only to be polled; valid until kv_close(). -1: the transport has none,
 *  or none is left: then step by kv_next_deadline() and at every turn; or kv_step() is not for the
 *  host to call. Call kv_step(), then kv_next_deadline(), then poll. */
KV_API int kv_pollfd(kv *db);

/** Nanoseconds until kv_step() is next due by time; 0: now; -1: not before something happens,
 *  or kv_step() is not for the host to call. */
KV_API int64_t kv_next_deadline(kv *db);

/* ------------------------------------------------------------------------------------------
 * Clusters
 *
 * A placed store is a node. Its keys belong to partitions of a ring, each with n replicas on
 * distinct nodes; every node takes every request and finds the replicas. Where a key has a part in
 * braces, as in "{user7}/name", that part alone decides the placement: keys of one part lie on the
 * same nodes, and only they can be batched (atomic at each replica, not isolated) or be read in
 * order by a prefix. What else differs from an ordered store:
 *
 * - Iterators walk forwards only (kv_iter_prev() is KV_ENOTSUP): within a part, in the order of
 *   keys, where range.prefix contains one, else over the whole space in the order of the ring,
 *   where from and to are KV_EINVAL. They see each key as a get with the space's r would when its
 *   page is fetched, and may fail as a get does; the next call then tries again. kv_iter_seek() to
 *   the last key seen resumes a walk, also at another node. An entry of several siblings has
 *   KV_ENTRY_SIBLINGS set and shows the first; kv_options.merge is not asked.
 * - kv_sync(), kv_flush() and kv_stats() are about this node's own part; the requests that
 *   kv_statistics counts are those made at this node.
 * - Snapshots, and conditions in KV_AP spaces, are KV_ENOTSUP.
 * - Spaces are made by the cluster: kv_space() waits for its authority, the node that created it.
 *
 * A cluster forms before it serves: nodes join, and take the policies that they find, until the
 * first request, which is held up until as many members are there as the default space has replicas
 * (KV_EUNAVAILABLE before). From then on this version refuses to let new nodes in.
 * ------------------------------------------------------------------------------------------ */

/** kv_entry.flags: the key has siblings; a get has them all. */
#define KV_ENTRY_SIBLINGS 1u

enum { KV_MEMBER_ALIVE = 1, KV_MEMBER_SUSPECT = 2, KV_MEMBER_DEAD = 3, KV_MEMBER_UNKNOWN = 4 };

/** A member of the cluster, as this node sees it. */
typedef struct kv_member {
    uint32_t size;       /* set by KV_MEMBER_INIT */
    uint32_t flags;      /* 0 */
    uint64_t node;       /* its identity */
    uint32_t partitions; /* how many of the ring's it owns */
    uint16_t weight;
    uint8_t state; /* KV_MEMBER_…; this node itself is alive */
    char zone[64];
    char address[256];
    uint64_t hints; /* writes that this node keeps for it */
    uint64_t reserved;
} kv_member;

/** Fills members (each set up by KV_MEMBER_INIT) in the order of their identities, up to *count,
 *  and sets *count to how many there are; members NULL: only that. 0: not a member of a cluster
 *  yet. KV_ENOTSUP: the store is ordered. */
KV_API int kv_members(kv *db, kv_member *members, size_t *count);

/* --- The host's own network --------------------------------------------------------------- */

typedef struct kv_inbox kv_inbox; /* where a store takes its messages */

/** Who sent a message. */
typedef struct kv_peer {
    uint32_t size;       /* set by KV_PEER_INIT */
    uint32_t flags;      /* 0 */
    const char *address; /* to answer to, as send takes it; NULL: unknown */
    kv_slice identity; /* that the transport has proved; empty: none, and then only a store that was
                          opened with KV_TRUSTED_NETWORK listens to it */
} kv_peer;

/** What a transport may use of the store it serves. Valid until stop has returned. */
typedef struct kv_host {
    uint32_t size;
    uint32_t flags;
    const kv_allocator *allocator; /* NULL: the C library's */
    kv_log_fn *log;                /* NULL: silent */
    void *log_user;
} kv_host;

/** kv_transport.send: how soon. */
enum { KV_SEND_NORMAL = 0, KV_SEND_URGENT = 1 /* heartbeats: may overtake what waits */ };

/**
 * A network: carries messages between addresses, which are strings that only it understands. A
 * message arrives whole or not at all; it may be lost, doubled, delayed and overtaken: libkv
 * repeats, orders and, above max_message, fragments itself. One object serves one store at a time,
 * which copies the struct at kv_open() and calls the methods with self from the thread that runs
 * the node (KV_THREADED: its own; KV_STEPPED: the host's), but for wake, and never two at a time.
 * All of them but start only between start and stop. No method may call the store, but
 * kv_deliver().
 *
 * kv_transport_check() (kv_sim.h) puts any transport through these rules; transport/loop.c is one
 * to learn from.
 */
typedef struct kv_transport {
    uint32_t size;      /* set by KV_TRANSPORT_INIT */
    uint32_t flags;     /* 0 */
    size_t max_message; /* bytes, 1,200 or more */
    void *self;

    /** Begins to deliver to inbox what is sent to listen. Before anything else; once more only
     *  after stop, perhaps elsewhere and for another store. KV_EINVAL (an address that cannot be),
     *  KV_EINUSE (it is taken, or this object is started already), KV_EIO, KV_ENOMEM: kv_open()
     *  answers with it, all is as before, and stop is not called. inbox and host are the store's,
     *  valid until stop has returned; listen only during the call. */
    int (*start)(void *self, kv_inbox *inbox, const kv_host *host, const char *listen);

    /** Sends the count parts, 1 to 64, some perhaps empty, as one message of 1 to max_message
     *  bytes. Borrows all of it and address until it returns. An address may be the sender's own,
     *  one where nobody is, and any text that a peer made up. Never blocks. KV_OK: taken, nothing
     *  is promised. KV_EBUSY: too much waits for that peer; the message was dropped.
     *  KV_EUNAVAILABLE: nobody is there (refused, reset): taken as a suspicion at once. Other
     *  errors are logged and the message is lost. */
    int (*send)(void *self, const char *address, const kv_slice *parts, size_t count, int urgency);

    /** All that was sent since the last flush may leave now. May be NULL. */
    void (*flush)(void *self);

    /** Delivers what has come, by kv_deliver() from inside; where that is nothing, waits up to
     *  timeout_ns for something, or for a wake. UINT64_MAX: as long as it takes. Returns KV_OK,
     *  also where nothing came. NULL: it delivers from threads of its own. */
    int (*step)(void *self, uint64_t timeout_ns);

    /** Nanoseconds until step has something to do by time; 0: now; -1: none. May be NULL: none. */
    int64_t (*next)(void *self);

    /** Makes a step that waits, or the next one, return at once, and pollfd readable until then.
     *  From any thread, also while another method runs, but not once stop has begun. Required where
     *  there is a step. */
    void (*wake)(void *self);

    /** kv_deliver() had answered KV_EBUSY to a message of this address: try again with that one,
     *  which was kept, and read on. May come before that kv_deliver() has returned, where there is
     *  no step. May be NULL: what is refused is lost. */
    void (*resume)(void *self, const char *from);

    /** A descriptor, readable while step has something to deliver or was woken; -1: none. May be
     *  NULL. The same at each call, valid until stop. */
    int (*pollfd)(void *self);

    /** Ends it: no delivery is under way or will come when it returns, and the address is free.
     *  What was sent and not delivered is lost. */
    void (*stop)(void *self);
} kv_transport;

/** Hands over a message that has come. message and from are used or copied before it returns.
 *  KV_OK; KV_EBUSY: there is no room, stop reading that peer until resume; KV_EINVAL: it is empty
 *  or longer than max_message; KV_EACCES: the peer is not believed (see kv_peer.identity). What
 *  KV_EBUSY refused of a peer without an address is lost. From any thread where the transport has
 *  no step, else only from inside it. */
KV_API int kv_deliver(kv_inbox *inbox, const kv_peer *from, const void *message, size_t len);

/* --- A network within the process ---------------------------------------------------------- */

/** Stores that live in one process, and reach each other in it: for tests, and to see a cluster at
 *  work without a network. Addresses are any strings of 1 to 255 bytes. Any thread may call these,
 *  and the stores run on theirs; a child of fork() may not. */
typedef struct kv_loop kv_loop;

/** Makes a network without anybody in it. allocator NULL: the C library's; copied, and what it
 *  stands for outlives the network. *out is the caller's until kv_loop_free(). */
KV_API int kv_loop_new(const kv_allocator *allocator, kv_loop **out);

/** Adds an endpoint and fills out, which was set up by KV_TRANSPORT_INIT, for kv_options.transport
 *  of one store; when that is closed, of the next. The endpoint belongs to the network and ends
 *  with it, whether it was used or not. */
KV_API int kv_loop_transport(kv_loop *loop, kv_transport *out);

/** Ends a network and its endpoints. The stores on it are closed. NULL is allowed. */
KV_API void kv_loop_free(kv_loop *loop);

/* ------------------------------------------------------------------------------------------
 * Maintenance
 * ------------------------------------------------------------------------------------------ */

/** Makes every write that was acknowledged before this call durable (KV_DISK), whatever it had
 *  asked for. KV_ENOTSUP for a store without a log (KV_MEMORY): kv_flush() is the call there.
 *  KV_EIO as kv_put(). */
KV_API int kv_sync(kv *db);

/** Moves all that was written before this call from memory to tables and waits until it is there.
 *  Compaction goes on by itself. KV_ENOSPC, KV_EIO: it stays where it was, KV_EBUSY: some of it, as
 *  others kept writing. */
KV_API int kv_flush(kv *db);

#define KV_LEVELS 7

/** Figures of a store with all its spaces: since kv_open(), or of now where they say so. */
typedef struct kv_statistics {
    uint32_t size;  /* set by KV_STATISTICS_INIT */
    uint32_t flags; /* 0 */

    /* Requests that succeeded; gets also count where they found nothing. */
    uint64_t gets, gets_found;
    uint64_t puts, deletes; /* those of batches included */
    uint64_t batches;
    uint64_t user_bytes_written; /* keys and values as given */

    /* Reads. */
    uint64_t cache_hits, cache_misses; /* blocks of tables */
    uint64_t bloom_checked;            /* filters asked by gets */
    uint64_t bloom_skipped;            /* … that saved a look into their table */
    uint64_t bloom_false;              /* … that sent a get into a table without the key */

    /* Writes. log_synced_writes / log_syncs is how many share a sync. */
    uint64_t log_bytes, log_syncs, log_synced_writes;
    uint64_t flushes, flush_bytes;
    uint64_t compactions, compaction_read_bytes, compaction_write_bytes;
    uint64_t trivial_moves;    /* compactions that only moved a table down */
    uint64_t stalls, stall_ns; /* writes that had to wait, and for how long in all … */
    uint64_t stalls_memtable;  /* … because flushing had fallen behind */
    uint64_t stalls_level0;    /* … because compaction had */
    uint64_t stalls_log;       /* … because the next log was not ready */

    /* Now. */
    uint64_t memory_limit, memory_used; /* the budget, bytes */
    uint64_t memory_memtables, memory_cache, memory_tables, memory_other;
    uint64_t table_files[KV_LEVELS], table_bytes[KV_LEVELS];
    uint64_t disk_bytes; /* tables, logs and manifest */
    uint64_t snapshots, iterators;
    uint64_t last_sequence; /* of the newest write that is readable; each write counts one */
} kv_statistics;

/** Fills stats. Holds up no reader or writer. */
KV_API int kv_stats(kv *db, kv_statistics *stats);

/* ------------------------------------------------------------------------------------------
 * Initializers: a struct's size, and zero for the rest, as in kv_op op = KV_OP_INIT;
 * ------------------------------------------------------------------------------------------ */

/* clang-format off */
#define KV_OPTIONS_INIT                                          \
    {sizeof(kv_options), 0, 0, 0, 0, 0, 0, 0, {0}, 0,            \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, 0, NULL}
#define KV_ALLOCATOR_INIT {sizeof(kv_allocator), 0, NULL, NULL, NULL, NULL}
#define KV_POLICY_INIT    {sizeof(kv_policy), 0, 0, 0, 0, 0, 0, 0, {0}}
#define KV_OP_INIT        {sizeof(kv_op), 0, 0, 0, 0, 0, 0, 0, {NULL, 0}, NULL}
#define KV_RESULT_INIT    {sizeof(kv_result), 0, 0, 0, 0, 0, 0, NULL, {NULL, 0}, NULL}
#define KV_RANGE_INIT     {sizeof(kv_range), 0, {NULL, 0}, {NULL, 0}, {NULL, 0}, NULL}
#define KV_ENTRY_INIT     {sizeof(kv_entry), 0, {NULL, 0}, {NULL, 0, 0, 0}}
#define KV_REQUEST_INIT   {sizeof(kv_request), 0, 0, {NULL, 0}, {NULL, 0}, NULL}
#define KV_MEMBER_INIT    {sizeof(kv_member), 0, 0, 0, 0, 0, {0}, {0}, 0, 0}
#define KV_PEER_INIT      {sizeof(kv_peer), 0, NULL, {NULL, 0}}
#define KV_TRANSPORT_INIT                     \
    {sizeof(kv_transport), 0, 0, NULL, NULL,  \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}
#define KV_STATISTICS_INIT                              \
    {sizeof(kv_statistics), 0,                          \
     0, 0, 0, 0, 0, 0,           /* gets */             \
     0, 0, 0, 0, 0,              /* cache_hits */       \
     0, 0, 0, 0, 0, 0, 0, 0, 0,  /* log_bytes */        \
     0, 0, 0, 0, 0,              /* stalls */           \
     0, 0, 0, 0, 0, 0, {0}, {0}, /* memory_limit */     \
     0, 0, 0, 0}                 /* disk_bytes */
/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
