/*
 * The block cache; see the header for the contract.
 */
#include "sstable/cache.h"

#include "base/check.h"
#include "base/error.h"
#include "sstable/cache_policy.h"

#define BUCKETS_MIN 64u
#define BUCKETS_MAX (UINT32_C(1) << 26)

typedef struct shard {
    _Alignas(KVI_CACHE_LINE) kvi_os_mutex lock;
    kvi_sst_block **buckets; /* chains by node.chain */
    uint32_t mask;           /* bucket count - 1 */
    size_t table_bytes;      /* of buckets and ghosts, charged */
    kvi_sst_policy policy;
    _Atomic uint64_t hits, misses; /* written under the lock */
} shard;

struct kvi_sst_cache {
    shard shards[KVI_SST_CACHE_SHARDS];
    const kvi_mem *mem;
    kvi_budget *budget;
    _Atomic uint32_t turn; /* the shard that gives next */
};

/* --- a shard: all under its lock ---------------------------------------------------------- */

static shard *shard_of(kvi_sst_cache *c, uint64_t hash)
{
    return &c->shards[hash >> 60];
}

/* The link that points to the block, or the NULL at the end of its chain. */
static kvi_sst_block **find(shard *s, uint64_t hash, uint64_t file_no, uint64_t offset)
{
    kvi_sst_block **link = &s->buckets[(uint32_t)hash & s->mask];

    while (*link && ((*link)->node.offset != offset || (*link)->node.file_no != file_no))
        link = &(*link)->node.chain;
    return link;
}

/* Takes a block, which has left the policy already, out of its chain. */
static void unchain(shard *s, kvi_sst_block *b)
{
    uint64_t hash = kvi_sst_policy_hash(b->node.file_no, b->node.offset);
    kvi_sst_block **link = find(s, hash, b->node.file_no, b->node.offset);

    KVI_ASSERT(*link == b);
    *link = b->node.chain;
    b->node.chain = NULL;
}

/* As many buckets as given and ghosts to match. Nothing changes where there is no memory. */
static bool resize(kvi_sst_cache *c, shard *s, uint32_t bucket_count)
{
    kvi_sst_block **old = s->buckets;
    uint32_t old_count = old ? s->mask + 1 : 0;
    kvi_sst_block **buckets = kvi_mem_zalloc(c->mem, bucket_count, sizeof *buckets);
    size_t bytes;

    KVI_ASSERT((bucket_count & (bucket_count - 1)) == 0);
    if (!buckets)
        return false;
    s->buckets = buckets;
    s->mask = bucket_count - 1;
    for (uint32_t i = 0; i < old_count; i++) {
        for (kvi_sst_block *b = old[i], *next; b; b = next) {
            uint64_t hash = kvi_sst_policy_hash(b->node.file_no, b->node.offset);
            kvi_sst_block **head = &s->buckets[(uint32_t)hash & s->mask];

            next = b->node.chain;
            b->node.chain = *head;
            *head = b;
        }
    }
    kvi_mem_free(c->mem, old);
    bytes = bucket_count * sizeof *buckets;
    bytes += kvi_sst_policy_resize(&s->policy, c->mem, bucket_count);
    kvi_budget_charge(c->budget, KVI_BUDGET_CACHE, bytes);
    kvi_budget_release(c->budget, KVI_BUDGET_CACHE, s->table_bytes);
    s->table_bytes = bytes;
    return true;
}

/* --- evicting ----------------------------------------------------------------------------- */

/* Blocks on their way out, linked by their queue links; freed after the lock is released. Returns
 * their bytes. */
static size_t release_all(kvi_list *gone)
{
    size_t bytes = 0;

    while (!kvi_list_empty(gone)) {
        kvi_sst_block *b = KVI_LIST_FIRST(gone, kvi_sst_block, node.queue);

        kvi_list_remove(&b->node.queue);
        bytes += b->charged;
        kvi_sst_block_unref(b);
    }
    return bytes;
}

/* Frees unpinned blocks of one shard until it was want bytes or none is left, but for `whole` no
 * more than half of what it has; how many bytes it was. */
static size_t evict(shard *s, size_t want, bool whole)
{
    kvi_list gone;
    size_t bytes = 0;

    kvi_list_init(&gone);
    kvi_os_mutex_lock(&s->lock);
    if (!whole)
        want = kvi_min_size(want, (s->policy.small_bytes + s->policy.main_bytes) / 2);
    while (bytes < want) {
        kvi_sst_block *b = kvi_sst_policy_victim(&s->policy);

        if (!b)
            break;
        unchain(s, b);
        bytes += b->charged;
        kvi_list_push_back(&gone, &b->node.queue);
    }
    kvi_os_mutex_unlock(&s->lock);
    return release_all(&gone);
}

size_t kvi_sst_cache_reclaim(void *cache, size_t want)
{
    kvi_sst_cache *c = cache;
    size_t share = want / KVI_SST_CACHE_SHARDS + 1;
    size_t total = 0;
    unsigned idle = 0; /* shards in a row that gave nothing */

    while (total < want && idle < KVI_SST_CACHE_SHARDS) {
        uint32_t turn = atomic_fetch_add_explicit(&c->turn, 1, memory_order_relaxed);
        shard *s = &c->shards[turn % KVI_SST_CACHE_SHARDS];
        size_t bytes = evict(s, kvi_min_size(share, want - total), true);

        idle = bytes > 0 ? 0 : idle + 1;
        total += bytes;
    }
    return total;
}

static size_t over_limit(const kvi_sst_cache *c)
{
    size_t used = atomic_load_explicit(&c->budget->used, memory_order_relaxed);

    return used > c->budget->limit ? used - c->budget->limit : 0;
}

/* Evicts until used <= limit, first of all where the newcomer goes, so that shards keep their
 * sizes. */
static bool make_room(kvi_sst_cache *c, shard *s)
{
    size_t over = over_limit(c);

    if (over == 0)
        return true;
    (void)evict(s, over, false);
    over = over_limit(c);
    if (over > 0)
        (void)kvi_sst_cache_reclaim(c, over);
    return over_limit(c) == 0;
}

/* --- the cache ---------------------------------------------------------------------------- */

int kvi_sst_cache_new(const kvi_mem *mem, kvi_budget *budget, kvi_os_jitter *jitter,
                      kvi_sst_cache **out)
{
    kvi_sst_cache *c = kvi_mem_zalloc_aligned(mem, sizeof *c);
    bool whole = true;

    if (!c)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for the cache", sizeof *c);
    c->mem = mem;
    c->budget = budget;
    atomic_init(&c->turn, 0);
    kvi_budget_charge(budget, KVI_BUDGET_CACHE, sizeof *c);
    for (unsigned i = 0; i < KVI_SST_CACHE_SHARDS; i++) {
        shard *s = &c->shards[i];

        kvi_os_mutex_init(&s->lock, KVI_RANK_CACHE, jitter);
        kvi_sst_policy_init(&s->policy);
        atomic_init(&s->hits, 0);
        atomic_init(&s->misses, 0);
        whole = whole && resize(c, s, BUCKETS_MIN);
    }
    if (!whole) {
        kvi_sst_cache_free(c);
        return kvi_error_set(KV_ENOMEM, "cannot allocate the tables of the cache");
    }
    *out = c;
    return KV_OK;
}

/* Takes all blocks out, or those of one file. */
static void drop(shard *s, bool all, uint64_t file_no)
{
    kvi_list gone;

    kvi_list_init(&gone);
    kvi_os_mutex_lock(&s->lock);
    for (int i = 0; i < 2; i++) {
        kvi_list *queue = i == 0 ? &s->policy.small : &s->policy.main;

        for (kvi_list *n = queue->next, *next; n != queue; n = next) {
            kvi_sst_block *b = KVI_CONTAINER_OF(n, kvi_sst_block, node.queue);

            next = n->next;
            if (!all && b->node.file_no != file_no)
                continue;
            kvi_sst_policy_remove(&s->policy, b);
            unchain(s, b);
            kvi_list_push_back(&gone, &b->node.queue);
        }
    }
    kvi_os_mutex_unlock(&s->lock);
    (void)release_all(&gone);
}

void kvi_sst_cache_free(kvi_sst_cache *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < KVI_SST_CACHE_SHARDS; i++) {
        shard *s = &c->shards[i];

        drop(s, true, 0);
        kvi_sst_policy_deinit(&s->policy, c->mem);
        kvi_mem_free(c->mem, s->buckets);
        kvi_budget_release(c->budget, KVI_BUDGET_CACHE, s->table_bytes);
        kvi_os_mutex_deinit(&s->lock);
    }
    kvi_budget_release(c->budget, KVI_BUDGET_CACHE, sizeof *c);
    kvi_mem_free_aligned(c->mem, c);
}

/* Under the shard's lock, so that nothing is lost; read by others at any time. */
static void count_up(_Atomic uint64_t *counter)
{
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

kvi_sst_block *kvi_sst_cache_get(kvi_sst_cache *c, uint64_t file_no, uint64_t offset)
{
    uint64_t hash = kvi_sst_policy_hash(file_no, offset);
    shard *s = shard_of(c, hash);
    kvi_sst_block *b;

    kvi_os_mutex_lock(&s->lock);
    b = *find(s, hash, file_no, offset);
    if (b) {
        kvi_sst_block_ref(b);
        kvi_sst_policy_hit(b);
    }
    count_up(b ? &s->hits : &s->misses);
    kvi_os_mutex_unlock(&s->lock);
    return b;
}

void kvi_sst_cache_put(kvi_sst_cache *c, uint64_t file_no, uint64_t offset, kvi_sst_block *block)
{
    uint64_t hash = kvi_sst_policy_hash(file_no, offset);
    shard *s = shard_of(c, hash);
    kvi_sst_block **link;
    bool grown = false;

    KVI_ASSERT(block->who == KVI_BUDGET_CACHE);
    if (!make_room(c, s))
        return;
    kvi_os_mutex_lock(&s->lock);
    if (s->policy.count > s->mask && s->mask < BUCKETS_MAX - 1)
        grown = resize(c, s, (s->mask + 1) * 2); /* without it chains are longer, no more */
    link = find(s, hash, file_no, offset);
    if (!*link) {
        kvi_sst_block_ref(block);
        block->node.file_no = file_no;
        block->node.offset = offset;
        block->node.chain = NULL;
        *link = block;
        kvi_sst_policy_admit(&s->policy, block, hash);
    }
    kvi_os_mutex_unlock(&s->lock);
    if (grown)
        (void)make_room(c, s);
}

void kvi_sst_cache_drop_file(kvi_sst_cache *c, uint64_t file_no)
{
    for (unsigned i = 0; i < KVI_SST_CACHE_SHARDS; i++)
        drop(&c->shards[i], false, file_no);
}

void kvi_sst_cache_counts(const kvi_sst_cache *c, uint64_t *hits, uint64_t *misses)
{
    uint64_t hit_sum = 0, miss_sum = 0;

    for (unsigned i = 0; i < KVI_SST_CACHE_SHARDS; i++) {
        hit_sum += atomic_load_explicit(&c->shards[i].hits, memory_order_relaxed);
        miss_sum += atomic_load_explicit(&c->shards[i].misses, memory_order_relaxed);
    }
    *hits = hit_sum;
    *misses = miss_sum;
}
