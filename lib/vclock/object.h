/*
 * The stored object of a key: what has been seen of it, and its siblings. Dotted version vectors
 * (Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Dotted version vectors: logical clocks for
 * optimistic replication", 2012; as sets: Almeida et al., "Scalable and accurate causality tracking
 * for eventually consistent stores", 2014).
 *
 * 1. Siblings are sorted by dot, each dot once, all of them covered by `seen`; a dot that is
 *    covered and has no sibling was replaced. Merging never drops a sibling that nothing has
 *    replaced.
 * 2. A last-write-wins object has no `seen` and at most one sibling, whose dot is (actor, stamp):
 *    the greatest (stamp, actor) wins. Its actor is (open-id, 0).
 * 3. An object without siblings and without `seen` is empty: as if there were none. `lww` of an
 *    empty object means nothing yet: who puts the first sibling sets it, merging takes it over.
 * 4. Equal objects have equal bytes (object_format.h).
 * 5. Values are borrowed: from the bytes that were decoded, or from who put them; a merge passes
 *    them on. They must live as long as any object that holds them is used.
 * 6. What fails leaves the object as it was.
 *
 * Pure but for the memory it takes. One owner, no locks. Used by replication and coordinator.
 */
#ifndef KVI_VCLOCK_OBJECT_H
#define KVI_VCLOCK_OBJECT_H

#include "vclock/clock.h"
#include "vclock/object_format.h"

/* A client's put that would make more siblings than this is refused, by the coordinator: merging
 * replicas may exceed it. */
#define KVI_OBJECT_SIBLINGS_CLIENT_MAX 64u

/* What is decoded, and what a merge may come to. */
#define KVI_OBJECT_SIBLINGS_MAX 4096u

typedef struct kvi_sibling {
    kvi_dot dot;
    uint8_t flags;      /* enum kvi_sibling_flag */
    int64_t expires_ms; /* wall clock; 0: never. Not negative */
    int64_t written_ms; /* the coordinator's wall clock, for people and for collection only */
    kvi_slice value;    /* borrowed; empty for a tombstone */
} kvi_sibling;

typedef struct kvi_object {
    const kvi_mem *mem; /* borrowed, outlives the object */
    bool lww;
    kvi_clock seen;
    kvi_sibling *siblings; /* owned, NULL where cap is 0 */
    uint32_t count, cap;
} kvi_object;

/** An empty object. */
void kvi_object_init(kvi_object *o, const kvi_mem *mem);
void kvi_object_deinit(kvi_object *o);

/** Empty again; keeps its memory. */
void kvi_object_clear(kvi_object *o);

static inline bool kvi_object_empty(const kvi_object *o)
{
    return o->count == 0 && o->seen.count == 0;
}

/* --- bytes ------------------------------------------------------------------------------------ */

/** o becomes what encoded says, which lives as long as o holds its values. KV_ECORRUPT (the detail
 *  says what is wrong), KV_ENOMEM. */
int kvi_object_decode(kvi_object *o, kvi_slice encoded) KVI_NODISCARD;

/** Appends the canonical encoding. KV_ENOMEM, out as it was. */
int kvi_object_encode(const kvi_object *o, kvi_buf *out) KVI_NODISCARD;

/** How many bytes kvi_object_encode appends. */
size_t kvi_object_bytes(const kvi_object *o);

/** Of an encoded object: equal objects have equal digests, on every platform. */
uint64_t kvi_object_digest(kvi_slice encoded);

/* --- merging ---------------------------------------------------------------------------------- */

/** What a merge found. Neither bit: both were equal. */
enum kvi_object_merged {
    KVI_MERGE_GAINED = 1u << 0, /* into is no longer what it was: from had something it lacked */
    KVI_MERGE_AHEAD = 1u << 1   /* into is not what from is: it has something that from lacks */
};

/** into becomes what knows all that both know; commutative, associative, idempotent. into then
 *  borrows values of from, too. *out: enum kvi_object_merged. KV_ECORRUPT: one is last-write-wins
 *  and the other is not, or one dot has two contents. KV_ENOMEM, KV_ETOOBIG (actors, siblings). */
int kvi_object_merge(kvi_object *into, const kvi_object *from, unsigned *out) KVI_NODISCARD;

/** The same from an encoded one, whose bytes live as long as into holds values of it. */
int kvi_object_merge_encoded(kvi_object *into, kvi_slice from, unsigned *out) KVI_NODISCARD;

/* --- writing ---------------------------------------------------------------------------------- */

/** The dot for a put to o (which is not last-write-wins) at the node that is open as open_id.
 *  context: what the client had seen, or NULL. Its actor is the youngest of this open-id in o->seen
 *  whose birth is birth_floor or later, else a new one, born as ++*next_birth. So neither o nor
 *  context cover it.
 *
 *  The caller persists nothing: open ids are never used twice. But a node that has dropped an
 *  object within this opening may get an old state of it back from a peer, and would mint again
 *  what it had minted before dropping it: so *next_birth + 1 becomes the floor of that key. Keys
 *  may share a floor: it costs the others a new actor each time that it rises. */
kvi_dot kvi_object_mint_from(const kvi_object *o, const kvi_clock *context, uint64_t open_id,
                             uint64_t birth_floor, uint64_t *next_birth);

/** The same at a node that has dropped no object since it was opened. */
static inline kvi_dot kvi_object_mint(const kvi_object *o, const kvi_clock *context,
                                      uint64_t open_id, uint64_t *next_birth)
{
    return kvi_object_mint_from(o, context, open_id, 0, next_birth);
}

/** The greatest stamp that o (last-write-wins or empty) and context (NULL or of such an object)
 *  know, 0 where there is none: to be observed by the node's kvi_hlc before it stamps a put. */
uint64_t kvi_object_stamp(const kvi_object *o, const kvi_clock *context);

/** The dot of a last-write-wins put. */
static inline kvi_dot kvi_object_stamped(uint64_t open_id, uint64_t stamp)
{
    kvi_dot dot = {{open_id, 0}, stamp};

    return dot;
}

/** Puts *s, replacing the siblings that context covers (NULL: none; it may be &o->seen: all). Its
 *  dot is covered neither by o nor by context; of a last-write-wins object it is greater than the
 *  one held, which it replaces, whatever the context. o borrows the value. KV_ENOMEM,
 *  KV_ETOOBIG. */
int kvi_object_put(kvi_object *o, const kvi_clock *context, const kvi_sibling *s) KVI_NODISCARD;

/** What a client that has read o has seen: seen, or the one dot of a last-write-wins object.
 *  context was initialised. KV_ENOMEM. */
int kvi_object_context(const kvi_object *o, kvi_clock *context) KVI_NODISCARD;

/* --- reading ---------------------------------------------------------------------------------- */

/** Whether s is a value at now_ms: an expired one is as good as a tombstone. */
static inline bool kvi_sibling_live(const kvi_sibling *s, int64_t now_ms)
{
    return !(s->flags & KVI_SIBLING_TOMBSTONE) && (s->expires_ms == 0 || s->expires_ms > now_ms);
}

/** How many values o has at now_ms. */
uint32_t kvi_object_values(const kvi_object *o, int64_t now_ms);

/** The next value in the order of dots, NULL behind the last:
 *  for (uint32_t at = 0; (s = kvi_object_next_value(o, now_ms, &at)) != NULL;) */
const kvi_sibling *kvi_object_next_value(const kvi_object *o, int64_t now_ms, uint32_t *at);

/** The sibling with this dot, or NULL. */
const kvi_sibling *kvi_object_find(const kvi_object *o, const kvi_dot *dot);

#endif
