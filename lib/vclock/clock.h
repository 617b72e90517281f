/*
 * Dots and version vectors. A dot names one write: the actor that coordinated it, and a counter
 * that this actor counts per key. A clock (a version vector) is a set of dots that has, of each
 * actor, all up to some counter: "what has been seen".
 *
 * 1. Entries are sorted by actor, each actor once, no counter is 0, at most KVI_CLOCK_ACTORS_MAX.
 * 2. Equal clocks have equal bytes: the encoding is canonical, and nothing else is decoded.
 * 3. What fails leaves the clock as it was.
 *
 * Pure but for the memory it takes. One owner, no locks. Used by objects, contexts, replication and
 * coordinator.
 */
#ifndef KVI_VCLOCK_CLOCK_H
#define KVI_VCLOCK_CLOCK_H

#include "base/buf.h"

/* Actors of one clock. Far more than the nodes that ever write one key between two collections of
 * tombstones; a bound for what a peer can make us hold. */
#define KVI_CLOCK_ACTORS_MAX 4096u

/** Who mints: one opening of one node, and within it one birth of the object at that node. Never
 *  used again after a crash, a restored disk or a collected tombstone. */
typedef struct kvi_actor {
    uint64_t open_id, birth;
} kvi_actor;

/** counter 0 is no dot. */
typedef struct kvi_dot {
    kvi_actor actor;
    uint64_t counter;
} kvi_dot;

typedef struct kvi_clock {
    const kvi_mem *mem; /* borrowed, outlives the clock */
    kvi_dot *entries;   /* of each actor the greatest counter; owned, NULL where cap is 0 */
    uint32_t count, cap;
} kvi_clock;

enum kvi_clock_order {
    KVI_CLOCK_EQUAL,
    KVI_CLOCK_BEFORE, /* a has seen less than b */
    KVI_CLOCK_AFTER,
    KVI_CLOCK_CONCURRENT
};

/** By open-id, then birth: <0, 0, >0. */
static inline int kvi_actor_cmp(const kvi_actor *a, const kvi_actor *b)
{
    if (a->open_id != b->open_id)
        return a->open_id < b->open_id ? -1 : 1;
    return (a->birth > b->birth) - (a->birth < b->birth);
}

/** By actor, then counter: the order in which siblings are kept and shown. */
static inline int kvi_dot_cmp(const kvi_dot *a, const kvi_dot *b)
{
    int c = kvi_actor_cmp(&a->actor, &b->actor);

    return c ? c : (a->counter > b->counter) - (a->counter < b->counter);
}

static inline bool kvi_dot_eq(const kvi_dot *a, const kvi_dot *b)
{
    return kvi_dot_cmp(a, b) == 0;
}

void kvi_clock_init(kvi_clock *c, const kvi_mem *mem);
void kvi_clock_deinit(kvi_clock *c);

/** Has seen nothing; keeps its memory. */
void kvi_clock_clear(kvi_clock *c);

/** c becomes a copy of from, which may be c. KV_ENOMEM. */
int kvi_clock_copy(kvi_clock *c, const kvi_clock *from) KVI_NODISCARD;

/** The greatest counter seen of actor, 0 where there is none. */
uint64_t kvi_clock_get(const kvi_clock *c, const kvi_actor *actor);

static inline bool kvi_clock_covers(const kvi_clock *c, const kvi_dot *dot)
{
    return kvi_clock_get(c, &dot->actor) >= dot->counter;
}

/** Has c cover dot, whose counter is not 0. KV_ENOMEM; KV_ETOOBIG: one actor too many. */
int kvi_clock_raise(kvi_clock *c, const kvi_dot *dot) KVI_NODISCARD;

/** Has c cover all that other covers, which may be c. KV_ENOMEM, KV_ETOOBIG. */
int kvi_clock_merge(kvi_clock *c, const kvi_clock *other) KVI_NODISCARD;

enum kvi_clock_order kvi_clock_compare(const kvi_clock *a, const kvi_clock *b);

/** Appends the encoding: the number of entries as a varint, then of each: open-id u64
 *  little-endian, birth varint, counter varint. KV_ENOMEM, out as it was. */
int kvi_clock_encode(const kvi_clock *c, kvi_buf *out) KVI_NODISCARD;

/** How many bytes kvi_clock_encode appends. */
size_t kvi_clock_bytes(const kvi_clock *c);

/** Reads one encoded clock from the front of *in, which then begins behind it. KV_ECORRUPT:
 *  anything that kvi_clock_encode does not write. KV_ENOMEM. On failure c and *in are as they
 *  were. */
int kvi_clock_decode(kvi_clock *c, kvi_slice *in) KVI_NODISCARD;

#endif
