/*
 * A file's contents on the simulated disk: two images of it in shared pages, the current one (what
 * reads see: the page cache) and the durable one (what is on the disk).
 *
 * 1. disk_size <= cur_size; the slots, count of them, cover cur_size at least. A page that is NULL
 *    is a hole: zeros. Bytes of a page past the image's size are zeros.
 * 2. A page is shared by reference, also between disks; who changes one that others hold too
 *    changes a copy of his own.
 * 3. A dirty slot will be made durable by the next sync. A slot that is not dirty differs from its
 *    durable page only after a sync that failed.
 * 4. ops are the writes since the last sync, in order, unless there were too many or some came
 *    through a map: loose.
 * 5. At most one map lives, and its bytes win over the current image: absorb brings that up to
 *    date.
 *
 * Private to the simulated disk. One thread.
 */
#ifndef KVI_SIM_NODE_H
#define KVI_SIM_NODE_H

#include "base/buf.h"
#include "base/list.h"
#include "sim/sim_fs.h"
#include "sim/sim_page.h"
#include "sim/sim_rand.h"

/** More unsynced writes than this, or more bytes in them, and they are forgotten as such: what
 * survives then is drawn by sector. */
#define KVI_SIM_OPS_MAX       1024u
#define KVI_SIM_OPS_BYTES_MAX (4u << 20)

typedef struct kvi_sim_slot {
    kvi_sim_page *cur, *disk;
    bool dirty;
} kvi_sim_slot;

/** A write since the last sync; its bytes stand at op_bytes.data + at. */
typedef struct kvi_sim_op {
    uint64_t offset;
    size_t len, at;
} kvi_sim_op;

typedef struct kvi_sim_node {
    kvi_list link; /* the disk's nodes, for whoever listed it */
    const kvi_mem *mem;
    uint32_t refs;
    uint32_t opens;   /* handles */
    bool named;       /* has a current name */
    const void *lock; /* the directory handle that holds it, or NULL */
    kvi_sim_slot *slots;
    size_t count, cap;
    uint64_t cur_size, disk_size;
    bool size_dirty; /* it grew since the last sync, so that its last page is dirty too */
    bool loose;      /* ops do not tell all that is dirty */
    kvi_sim_op *ops;
    size_t op_count, op_cap;
    kvi_buf op_bytes;
    uint8_t *map; /* NULL: none */
    size_t map_len;
    bool frozen; /* what is stored into the map no longer counts */
} kvi_sim_node;

/** Empty, with one reference. */
int kvi_sim_node_new(const kvi_mem *mem, kvi_sim_node **out) KVI_NODISCARD;
kvi_sim_node *kvi_sim_node_ref(kvi_sim_node *n);
void kvi_sim_node_unref(kvi_sim_node *n);

/** len bytes of the current image, which must hold them; absorb first. */
void kvi_sim_node_read(const kvi_sim_node *n, uint64_t offset, void *buf, size_t len);

/** Writes into the current image and the map, and notes the op. KV_ENOSPC (too large) or KV_ENOMEM:
 * a part may be written. */
int kvi_sim_node_write(kvi_sim_node *n, uint64_t offset, const void *data, size_t len)
    KVI_NODISCARD;

/** Brings stores into the map within [offset, offset + len) into the current image. */
int kvi_sim_node_absorb(kvi_sim_node *n, uint64_t offset, size_t len) KVI_NODISCARD;
int kvi_sim_node_absorb_all(kvi_sim_node *n) KVI_NODISCARD;

/** The first len bytes as memory of its own. They are there, without a hole, and not mapped
 * already. */
int kvi_sim_node_map(kvi_sim_node *n, size_t len, void **out) KVI_NODISCARD;

/** Absorbs, and from then on nothing more. */
int kvi_sim_node_freeze_map(kvi_sim_node *n) KVI_NODISCARD;

/** Absorbs and ends the map. */
int kvi_sim_node_unmap(kvi_sim_node *n) KVI_NODISCARD;

/** Makes all dirty pages and the size durable. */
int kvi_sim_node_sync(kvi_sim_node *n) KVI_NODISCARD;

/** A sync that fails: some dirty sectors become durable, all become clean. evict: reads see the
 * durable image from now on. */
int kvi_sim_node_sync_badly(kvi_sim_node *n, kvi_sim_rng *rng, bool evict) KVI_NODISCARD;

/** A new node: what a power loss now leaves of n, clean and durable. */
int kvi_sim_node_survive(kvi_sim_node *n, enum kvi_sim_crash variant, kvi_sim_rng *rng,
                         kvi_sim_node **out) KVI_NODISCARD;

/** Writes into both images and the map, within the current size: nothing becomes dirty. */
int kvi_sim_node_poke(kvi_sim_node *n, uint64_t offset, const void *data, size_t len) KVI_NODISCARD;

/** Sets the size of both images, of a node that is not mapped. */
int kvi_sim_node_resize(kvi_sim_node *n, uint64_t size) KVI_NODISCARD;

/* --- for crash copies ---------------------------------------------------------------------- */

/** Slots for so many bytes, the new ones holes. KV_ENOSPC or KV_ENOMEM. */
int kvi_sim_node_reserve(kvi_sim_node *n, uint64_t bytes) KVI_NODISCARD;

/** Writes into the durable image, which grows where needed within the slots there are. */
int kvi_sim_node_put(kvi_sim_node *n, uint64_t offset, const void *data, size_t len) KVI_NODISCARD;

/** The size that the durable image has once all that is dirty reaches it. */
uint64_t kvi_sim_node_size_kept(const kvi_sim_node *n);

/** Forgets what was dirty. */
void kvi_sim_node_mark_clean(kvi_sim_node *n);

#endif
