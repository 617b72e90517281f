/*
 * S3-FIFO; see the header for the contract.
 */
#include "sstable/cache_policy.h"

#include "base/check.h"
#include "base/hash.h"

#define GHOST_WAYS        4u
#define GHOST_CLOCK_START (UINT32_C(1) << 31) /* so that an empty slot looks old */
#define SMALL_PART        10u                 /* one part in so many is the small queue's */
#define SMALL_KEEP_FREQ   2u                  /* asked so often: on to the main queue */

uint64_t kvi_sst_policy_hash(uint64_t file_no, uint64_t offset)
{
    return kvi_mix64(offset ^ kvi_mix64(file_no + 1));
}

void kvi_sst_policy_init(kvi_sst_policy *p)
{
    *p = (kvi_sst_policy){.clock = GHOST_CLOCK_START};
    kvi_list_init(&p->small);
    kvi_list_init(&p->main);
}

void kvi_sst_policy_deinit(kvi_sst_policy *p, const kvi_mem *mem)
{
    KVI_ASSERT(p->count == 0 && p->small_bytes == 0 && p->main_bytes == 0);
    kvi_mem_free(mem, p->ghosts);
    p->ghosts = NULL;
}

static size_t ghost_bytes(const kvi_sst_policy *p)
{
    return p->ghosts ? ((size_t)p->ghost_mask + 1) * GHOST_WAYS * sizeof(kvi_sst_ghost) : 0;
}

size_t kvi_sst_policy_resize(kvi_sst_policy *p, const kvi_mem *mem, uint32_t blocks)
{
    uint32_t sets = blocks > GHOST_WAYS ? blocks / GHOST_WAYS : 1;
    kvi_sst_ghost *ghosts = kvi_mem_zalloc(mem, sets, GHOST_WAYS * sizeof *ghosts);

    KVI_ASSERT((sets & (sets - 1)) == 0);
    if (ghosts) {
        kvi_mem_free(mem, p->ghosts);
        p->ghosts = ghosts;
        p->ghost_mask = sets - 1;
    }
    return ghost_bytes(p);
}

/* The set that a hash belongs to; the shard and the bucket took other bits of it. */
static kvi_sst_ghost *ghost_set(kvi_sst_policy *p, uint64_t hash)
{
    return &p->ghosts[(size_t)((uint32_t)(hash >> 24) & p->ghost_mask) * GHOST_WAYS];
}

static void ghost_add(kvi_sst_policy *p, uint64_t hash)
{
    kvi_sst_ghost *set, *oldest;

    if (!p->ghosts)
        return;
    set = oldest = ghost_set(p, hash);
    for (unsigned i = 1; i < GHOST_WAYS; i++) {
        if (p->clock - set[i].stamp > p->clock - oldest->stamp)
            oldest = &set[i];
    }
    *oldest = (kvi_sst_ghost){(uint32_t)hash, p->clock++};
}

/* Whether the hash left lately (no more have left since than there are blocks); it is a ghost no
 * more. */
static bool ghost_take(kvi_sst_policy *p, uint64_t hash)
{
    kvi_sst_ghost *set;

    if (!p->ghosts)
        return false;
    set = ghost_set(p, hash);
    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        if (set[i].print == (uint32_t)hash && p->clock - set[i].stamp <= p->count) {
            set[i].stamp = p->clock - GHOST_CLOCK_START;
            return true;
        }
    }
    return false;
}

static kvi_sst_block *oldest_of(kvi_list *queue)
{
    return KVI_LIST_FIRST(queue, kvi_sst_block, node.queue);
}

static void enqueue(kvi_sst_policy *p, kvi_sst_block *b, bool in_main)
{
    b->node.in_main = in_main;
    b->node.freq = 0;
    kvi_list_push_back(in_main ? &p->main : &p->small, &b->node.queue);
    *(in_main ? &p->main_bytes : &p->small_bytes) += b->charged;
    p->count++;
}

void kvi_sst_policy_admit(kvi_sst_policy *p, kvi_sst_block *b, uint64_t hash)
{
    KVI_ASSERT(kvi_list_empty(&b->node.queue));
    enqueue(p, b, ghost_take(p, hash));
}

void kvi_sst_policy_remove(kvi_sst_policy *p, kvi_sst_block *b)
{
    size_t *bytes = b->node.in_main ? &p->main_bytes : &p->small_bytes;

    KVI_ASSERT(p->count > 0 && *bytes >= b->charged);
    kvi_list_remove(&b->node.queue);
    *bytes -= b->charged;
    p->count--;
}

/* Only the cache holds it. Exact: further references are made under the shard's lock alone. */
static bool unheld(kvi_sst_block *b)
{
    return atomic_load_explicit(&b->refs, memory_order_acquire) == 1;
}

/* Looks at the oldest of the small queue: the victim, or NULL and it moved on. */
static kvi_sst_block *try_small(kvi_sst_policy *p)
{
    kvi_sst_block *b = oldest_of(&p->small);
    bool stays = b->node.freq >= SMALL_KEEP_FREQ || !unheld(b);

    kvi_sst_policy_remove(p, b);
    if (stays) {
        enqueue(p, b, true);
        return NULL;
    }
    ghost_add(p, kvi_sst_policy_hash(b->node.file_no, b->node.offset));
    return b;
}

/* As try_small, of the main queue. */
static kvi_sst_block *try_main(kvi_sst_policy *p)
{
    kvi_sst_block *b = oldest_of(&p->main);

    if (b->node.freq == 0 && unheld(b)) {
        kvi_sst_policy_remove(p, b);
        return b;
    }
    if (b->node.freq > 0)
        b->node.freq--;
    kvi_list_remove(&b->node.queue);
    kvi_list_push_back(&p->main, &b->node.queue);
    return NULL;
}

kvi_sst_block *kvi_sst_policy_victim(kvi_sst_policy *p)
{
    /* Each block leaves the small queue once and goes round the main one at most freq times,
     * before it can only be held. */
    uint64_t looks = (uint64_t)p->count * (KVI_SST_POLICY_FREQ_MAX + 2);

    for (; looks > 0; looks--) {
        bool small_due = p->small_bytes >= (p->small_bytes + p->main_bytes) / SMALL_PART;
        bool from_small = !kvi_list_empty(&p->small) && (small_due || kvi_list_empty(&p->main));
        kvi_sst_block *victim = from_small ? try_small(p) : try_main(p);

        if (victim)
            return victim;
    }
    return NULL;
}
