/*
 * The ring: who owns what, as one document that all nodes agree on, and where a key lies by it.
 *
 * The hash space of 64-bit tokens is cut into Q = 2^bits equal partitions; each is one virtual
 * node and has one owner (DeCandia et al., "Dynamo", 2007, the third strategy). The nodes for a
 * partition are found by walking clockwise from it.
 *
 * 1. A document never changes. A change makes a new one whose epoch is one higher.
 * 2. All is in integers and by rule: the same document and the same change give the same new
 *    document, byte for byte, on every platform.
 * 3. Members are sorted by node id, spaces by id. While any member has weight, each partition has
 *    an owner that has weight; a member without weight owns nothing.
 * 4. A look-up is an index: no walk over partitions at the time of a request.
 * 5. A document is plain memory and has one owner at a time. It may be read by several threads.
 *
 * Called by the owner of a node, and by whoever builds documents. No clock, no chance: what is
 * random (seeds, secrets, ids) comes in.
 */
#ifndef KVI_RING_RING_H
#define KVI_RING_RING_H

#include "base/buf.h"

#define KVI_RING_BITS_MAX    16u /* partitions: at most 2^16 */
#define KVI_RING_SPREAD      16u /* a ring of Q partitions takes Q / 16 members, one at least */
#define KVI_RING_MEMBERS_MAX ((1u << KVI_RING_BITS_MAX) / KVI_RING_SPREAD)
#define KVI_RING_VOTERS_MAX  7u
#define KVI_RING_SPACES_MAX  1024u
#define KVI_RING_N_MAX       8u   /* replicas of a space */
#define KVI_RING_LIST_MAX    16u  /* nodes that a walk finds: primaries, then fallbacks */
#define KVI_RING_ZONE_MAX    63u  /* bytes of a zone's name */
#define KVI_RING_ADDRESS_MAX 255u /* bytes of an address */
#define KVI_RING_NAME_MAX    255u /* bytes of a space's name */

#define KVI_RING_SPACE_DEFAULT 1u
#define KVI_RING_SPACE_NAMED   16u /* the first id of a named space */

/** FORMING: no client has written yet, members may join freely. SERVING: there is data. */
enum { KVI_RING_FORMING = 1, KVI_RING_SERVING = 2 };

typedef struct kvi_ring kvi_ring;

/** A node of the ring. zone: "" is a zone as any other. Strings in a document live as long as the
 *  document. */
typedef struct kvi_ring_member {
    uint64_t node_id; /* not 0 */
    uint16_t weight;  /* its share of partitions is weight / sum of weights; 0: owns none */
    const char *zone, *address;
} kvi_ring_member;

/** What a space's creator asked for. Of it the ring itself only minds n. */
typedef struct kvi_ring_policy {
    uint8_t n;              /* 1 to KVI_RING_N_MAX */
    uint8_t r, w;           /* 1 to n, KV_QUORUM or KV_ALL */
    uint8_t mode, conflict; /* at most 15; the caller's numbers */
    uint64_t ttl_ms;
} kvi_ring_policy;

typedef struct kvi_ring_space {
    uint32_t id;
    const char *name; /* "": the default space */
    kvi_ring_policy policy;
} kvi_ring_space;

/* --- making documents (change.c) ------------------------------------------------------------- */

/** What a cluster is created with. The pointers are borrowed for the call. */
typedef struct kvi_ring_params {
    uint8_t uuid[16];
    uint64_t token_seed;
    uint64_t secret[2];     /* of contexts */
    uint8_t bits;           /* log2 Q, at most KVI_RING_BITS_MAX */
    kvi_ring_member first;  /* with weight; it owns all and is the one voter */
    kvi_ring_policy policy; /* of the default space */
} kvi_ring_params;

/** A document of epoch 1, FORMING, whose one member owns everything. mem is borrowed and outlives
 *  the document and all made from it. KV_EINVAL (the detail names the field), KV_ENOMEM. */
int kvi_ring_create(const kvi_mem *mem, const kvi_ring_params *params, kvi_ring **out)
    KVI_NODISCARD;

/** NULL is allowed. */
void kvi_ring_free(kvi_ring *ring);

/*
 * The changes. Each leaves ring as it is and gives a new document of the next epoch, the caller's.
 * Where ring says already what is asked, nothing is to do: KV_OK, and *out is NULL. Any stage:
 * whether a change is allowed by now is for the caller to judge. All may fail with KV_ENOMEM.
 */

/** Adds a member, who takes its share from the most loaded. KV_EEXIST: a member of that id has
 *  other data. KV_ETOOBIG: the ring has too few partitions for one more. KV_EINVAL: a field. */
int kvi_ring_join(const kvi_ring *ring, const kvi_ring_member *member, kvi_ring **out)
    KVI_NODISCARD;

/** Takes a member out, whose partitions go to the least loaded; one that is none is gone already.
 *  KV_EINVAL: it is the last one with weight. KV_EBUSY: it is a voter, whose place another must
 *  take first. */
int kvi_ring_leave(const kvi_ring *ring, uint64_t node_id, kvi_ring **out) KVI_NODISCARD;

/** KV_ENOENT: no such member. KV_EINVAL: it is the last one with weight, and weight is 0. */
int kvi_ring_reweight(const kvi_ring *ring, uint64_t node_id, uint16_t weight, kvi_ring **out)
    KVI_NODISCARD;

/** The stage becomes SERVING, for ever. */
int kvi_ring_serve(const kvi_ring *ring, kvi_ring **out) KVI_NODISCARD;

/** Adds a named space with the next id. KV_EEXIST: there is one of that name with another policy.
 *  KV_ETOOBIG: one space too many. KV_EINVAL: a name that is empty or too long, the policy. */
int kvi_ring_add_space(const kvi_ring *ring, const char *name, const kvi_ring_policy *policy,
                       kvi_ring **out) KVI_NODISCARD;

/* --- what a document says (ring.c) ----------------------------------------------------------- */

const uint8_t *kvi_ring_uuid(const kvi_ring *ring); /* 16 bytes */
uint64_t kvi_ring_epoch(const kvi_ring *ring);
unsigned kvi_ring_stage(const kvi_ring *ring);
uint64_t kvi_ring_token_seed(const kvi_ring *ring);
const uint64_t *kvi_ring_secret(const kvi_ring *ring); /* 2 of them */
unsigned kvi_ring_bits(const kvi_ring *ring);
uint32_t kvi_ring_next_space_id(const kvi_ring *ring);

/** Sorted by node id; live as long as the document. */
const kvi_ring_member *kvi_ring_members(const kvi_ring *ring, uint32_t *count);
/** NULL where it is none. */
const kvi_ring_member *kvi_ring_member_of(const kvi_ring *ring, uint64_t node_id);
/** How many members have weight: the effective n of a space is at most this. */
uint32_t kvi_ring_weighted(const kvi_ring *ring);

/** Sorted node ids, 1 to KVI_RING_VOTERS_MAX. With one voter that one is the authority. */
const uint64_t *kvi_ring_voters(const kvi_ring *ring, uint32_t *count);

/** Sorted by id, the default space first. */
const kvi_ring_space *kvi_ring_spaces(const kvi_ring *ring, uint32_t *count);
/** NULL where there is none. */
const kvi_ring_space *kvi_ring_space_of(const kvi_ring *ring, uint32_t id);
const kvi_ring_space *kvi_ring_space_named(const kvi_ring *ring, const char *name);

/** The node id of a partition's owner; partition < Q. */
uint64_t kvi_ring_owner(const kvi_ring *ring, uint32_t partition);

/* --- where a key lies (look.c) --------------------------------------------------------------- */

/** What of a key decides its placement: the bytes between its first '{' and the next '}' behind
 *  that, where there are any, else all of it. Borrows from key. */
kvi_slice kvi_ring_part(kvi_slice key);

uint64_t kvi_ring_token(const kvi_ring *ring, kvi_slice key);

/** The partition of a token: its top bits. */
uint32_t kvi_ring_partition(const kvi_ring *ring, uint64_t token);

/** min(n, members with weight): how many primaries a partition has. */
unsigned kvi_ring_effective_n(const kvi_ring *ring, unsigned n);

/**
 * The nodes for a partition, best first, without repetition: kvi_ring_effective_n(n) primaries,
 * then fallbacks. Writes at most max of them to out_nodes and returns how many; never more than
 * KVI_RING_LIST_MAX. n: 1 to KVI_RING_N_MAX.
 *
 * Primaries are the first met clockwise of each zone, until there are n or the zones are through,
 * and then the first met of all others. The fallbacks follow as they are met.
 */
unsigned kvi_ring_walk(const kvi_ring *ring, uint32_t partition, unsigned n, uint64_t *out_nodes,
                       unsigned max);

/** Whether node is one of the primaries. */
bool kvi_ring_is_primary(const kvi_ring *ring, uint32_t partition, unsigned n, uint64_t node);

/* --- as bytes (encode.c, decode.c; the bytes: ring_format.h) ---------------------------------- */

/** Appends the document to out. Equal documents give equal bytes. KV_ENOMEM. */
int kvi_ring_encode(const kvi_ring *ring, kvi_buf *out) KVI_NODISCARD;

/**
 * Reads a document, which must be all of bytes; nothing of bytes is kept. KV_EFORMAT: a newer
 * version wrote it. KV_ECORRUPT: it is not what kvi_ring_encode wrote. KV_ENOMEM. What decodes,
 * encodes to the same bytes.
 */
int kvi_ring_decode(const kvi_mem *mem, kvi_slice bytes, kvi_ring **out) KVI_NODISCARD;

#endif
