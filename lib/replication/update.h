/*
 * How objects of a replica change: read what is there, decide, write, make durable. Everything that
 * writes objects goes through here: the coordinator's own replica, what others replicate, repairs,
 * hints that come home.
 *
 * 1. Updates of one token run one after the other, in the order in which they came, each from its
 *    read to its write (the token is locked meanwhile). So deciding and writing are one step as far
 *    as anybody can see, also where the read had to wait for the disk: no dot is minted twice, no
 *    merge lost.
 * 2. What is read with an error is not decided upon: "unreadable" is never "not there".
 * 3. written comes when the new objects are readable (the lock is free by then), done when they are
 *    as durable as asked. Where nothing changed, done still waits for the durability of what is
 *    there.
 * 4. A hint (replication.h) is noted and taken back in the same write as the objects, under the
 *    same lock; what is noted was counted before, and refused with KV_ENOSPC where it passes a cap.
 * 5. Whatever fails frees the lock and ends in done. What fails before written has written nothing,
 *    but for KV_EIO.
 *
 * The update and all it points to is the asker's, and stays untouched by it, until done. done is
 * called once, never from inside kvi_update_begin.
 */
#ifndef KVI_REPLICATION_UPDATE_H
#define KVI_REPLICATION_UPDATE_H

#include "replication/effects.h"
#include "vclock/object.h"

#define KVI_UPDATE_KEYS_MAX 65536u /* of one update: a batch */

typedef struct kvi_update kvi_update;
typedef struct kvi_updates kvi_updates; /* all of a node, with the locks */

/** One key of an update. */
typedef struct kvi_update_item {
    uint32_t space;
    kvi_slice key;
    /* During decide: what is there (empty where nothing is), to be changed in place. From written
       on: what is there now. Its values borrow from the update's memory or from the asker's. */
    kvi_object object;
    bool changed;  /* decide sets it: object, which is not empty, is to be written */
    bool drop;     /* decide sets it, with unhint_for: the object goes, if that hint was there, and
                      no hint for another node names it. From written on: whether it went */
    kvi_buf bytes; /* from written on: the object, encoded; empty where there is none */
    /* private */
    kvi_buf physical, found;
    kvi_store_read read;
    kvi_update *update;
} kvi_update_item;

struct kvi_update_mark; /* marks.c */

struct kvi_update {
    uint64_t token;
    kvi_update_item *items; /* space and key set by the asker; keys distinct */
    uint32_t count;         /* 1 to KVI_UPDATE_KEYS_MAX */
    uint8_t durability;     /* KV_MEMORY, KV_OS, KV_DISK: to wait for */
    uint64_t hint_for;      /* also note, atomically, a hint for this node on each item that is not
                               empty; 0 (and this node itself): none. May be set by decide */
    uint64_t unhint_for;    /* decide sets it: the hints for this node on all items go; 0: none. Not
                               together with hint_for */
    int64_t unhint_made_ms; /* … those made no later than this, INT64_MAX: all */
    uint32_t unhinted;      /* from written on: how many went */
    /** Looks at all items and changes what is to change. An error ends the update with it, and
     *  nothing is written. */
    int (*decide)(kvi_update *u);
    void (*written)(kvi_update *u);       /* may be NULL */
    void (*done)(kvi_update *u, int err); /* items are released by the asker, kvi_update_release */
    void *user;
    /* private */
    kvi_list link;   /* all of one token, in their order: the first has the lock */
    kvi_list parked; /* until the hints are counted */
    bool locked;
    uint32_t reads_left;
    int err;
    struct kvi_update_mark *marks;
    uint32_t mark_count;
    int64_t hints_more, hint_bytes_more; /* counted already, for hint_for */
    kvi_store_put *puts;
    kvi_store_write write;
    kvi_store_sync sync;
    kvi_updates *owner;
};

/** Zeroes *u and prepares count items in mem; all else that is the asker's is set after it.
 *  KV_ENOMEM, and then u may be released or not. */
int kvi_update_init(kvi_update *u, const kvi_mem *mem, uint32_t count) KVI_NODISCARD;
/** Frees what init and the update made. After done, or if it was never begun. */
void kvi_update_release(kvi_update *u, const kvi_mem *mem);

int kvi_updates_new(const kvi_mem *mem, kvi_effects *effects, kvi_cluster *cluster,
                    kvi_updates **out) KVI_NODISCARD;
/** Nothing is under way. */
void kvi_updates_free(kvi_updates *all);

void kvi_update_begin(kvi_updates *all, kvi_update *u);

#endif
