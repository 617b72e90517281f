/* See sst.h. */
#include "support/sst.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define KVT_SST_SEED UINT64_C(0x5eed)

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "sst: %s\n", what);
    abort();
}

void kvt_sst_init(kvt_sst *s, size_t limit)
{
    kvi_sst_cache *cache;
    kvi_sst_codec *codec;

    kvt_failmem_init(&s->failmem, &s->mem);
    kvi_budget_init(&s->budget, limit);
    need(kvi_sst_cache_new(&s->mem, &s->budget, NULL, &cache) == KV_OK, "no cache");
    need(kvi_sst_codec_new(&s->mem, NULL, &codec) == KV_OK, "no codec");
    kvi_budget_set_reclaim(&s->budget, kvi_sst_cache_reclaim, cache);
    s->ctx = (kvi_sst_context){
        .mem = &s->mem,
        .budget = &s->budget,
        .cache = cache,
        .codec = codec,
        .store_seed = KVT_SST_SEED,
        .filter_seed = ~KVT_SST_SEED,
    };
}

void kvt_sst_deinit(kvt_sst *s)
{
    kvi_sst_cache_free(s->ctx.cache);
    kvi_sst_codec_free(s->ctx.codec);
    need(atomic_load(&s->budget.used) == 0, "something is still charged");
    need(kvt_failmem_live(&s->failmem) == 0, "something is still allocated");
}

/* --- models ------------------------------------------------------------------------------- */

static int by_order(const void *a, const void *b)
{
    const kvt_entry *x = a;
    const kvt_entry *y = b;

    return kvi_entry_cmp(x->key, x->tag, y->key, y->tag);
}

static void sort_unique(kvt_model *m)
{
    size_t kept = 0;

    qsort(m->entries, m->count, sizeof *m->entries, by_order);
    for (size_t i = 0; i < m->count; i++) {
        if (kept == 0 || by_order(&m->entries[kept - 1], &m->entries[i]) != 0)
            m->entries[kept++] = m->entries[i];
    }
    m->count = kept;
}

static void model_alloc(kvt_model *m, size_t entries, size_t bytes)
{
    m->count = 0;
    m->entries = calloc(entries + 1, sizeof *m->entries);
    m->bytes = malloc(bytes + 1);
    need(m->entries && m->bytes, "no memory for a model");
}

void kvt_model_random(kvt_model *m, kvt_rng *rng, const kvt_shape *shape)
{
    size_t versions = shape->keys * shape->versions_max;
    uint8_t *p;

    model_alloc(m, versions, shape->keys * shape->key_max + versions * shape->value_max);
    p = m->bytes;
    for (size_t i = 0; i < shape->keys; i++) {
        kvi_slice key = {p, (size_t)kvt_rng_below(rng, shape->key_max + 1)};
        size_t n = 1 + (size_t)kvt_rng_below(rng, shape->versions_max);

        for (size_t j = 0; j < key.len; j++)
            *p++ = (uint8_t)(255 - kvt_rng_below(rng, shape->letters));
        for (; n > 0; n--) {
            enum kvi_kind kind = (enum kvi_kind)(1 + kvt_rng_below(rng, 3));
            kvi_slice value = {p, (size_t)kvt_rng_below(rng, shape->value_max + 1)};

            if (kind == KVI_KIND_DELETE)
                value.len = 0;
            for (size_t j = 0; j < value.len; j++)
                *p++ = (uint8_t)kvt_rng_below(rng, 4);
            m->entries[m->count++] =
                (kvt_entry){key, kvi_tag(1 + kvt_rng_below(rng, 1000), kind), value};
        }
    }
    sort_unique(m);
}

void kvt_model_counted(kvt_model *m, size_t keys, size_t value_len)
{
    uint8_t *p;

    model_alloc(m, keys, keys * (KVT_COUNTED_KEY_LEN + value_len));
    p = m->bytes;
    for (size_t i = 0; i < keys; i++) {
        kvt_entry *e = &m->entries[m->count++];

        kvt_counted_key(p, i);
        *e = (kvt_entry){{p, KVT_COUNTED_KEY_LEN},
                         kvi_tag(i + 1, KVI_KIND_PUT),
                         {p + KVT_COUNTED_KEY_LEN, value_len}};
        p += KVT_COUNTED_KEY_LEN;
        for (size_t j = 0; j < value_len; j++)
            *p++ = (uint8_t)(kvi_mix64(i * 31 + j / 2) & 0x3f);
    }
}

void kvt_counted_key(uint8_t *key, size_t n)
{
    memcpy(key, "key", 3);
    for (size_t i = KVT_COUNTED_KEY_LEN; i-- > 3; n /= 10)
        key[i] = (uint8_t)('0' + n % 10);
}

void kvt_model_deinit(kvt_model *m)
{
    free(m->entries);
    free(m->bytes);
    m->entries = NULL;
    m->bytes = NULL;
    m->count = 0;
}

size_t kvt_model_seek(const kvt_model *m, kvi_slice key, uint64_t tag)
{
    size_t low = 0, high = m->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (kvi_entry_cmp(m->entries[middle].key, m->entries[middle].tag, key, tag) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const kvt_entry *kvt_model_get(const kvt_model *m, kvi_slice key, uint64_t max_tag)
{
    size_t i = kvt_model_seek(m, key, max_tag);

    return i < m->count && kvi_slice_eq(m->entries[i].key, key) ? &m->entries[i] : NULL;
}

bool kvt_entry_same(const kvt_entry *e, kvi_slice key, uint64_t tag, kvi_slice value)
{
    return kvi_slice_eq(e->key, key) && e->tag == tag && kvi_slice_eq(e->value, value);
}

/* --- tables ------------------------------------------------------------------------------- */

int kvt_sst_build(kvt_sst *s, const kvt_model *m, const kvi_sst_builder_options *o, kvt_memfile *f,
                  kvi_sst_built *built)
{
    kvi_sst_builder *b;
    kvi_sst_built result;
    int err = kvi_sst_builder_new(&s->ctx, o, &f->base, &b);

    if (err)
        return err;
    for (size_t i = 0; !err && i < m->count; i++)
        err = kvi_sst_builder_add(b, m->entries[i].key, m->entries[i].tag, m->entries[i].value);
    if (!err)
        err = kvi_sst_builder_finish(b, &result);
    if (!err && built) {
        *built = result;
        built->smallest = m->entries[0].key; /* the builder's own end with it */
        built->largest = m->entries[m->count - 1].key;
        need(kvi_slice_eq(built->smallest, result.smallest), "the smallest key is another");
        need(kvi_slice_eq(built->largest, result.largest), "the largest key is another");
    }
    kvi_sst_builder_free(b);
    return err;
}

int kvt_sst_get(kvt_sst *s, kvi_sst_table *t, kvi_slice key, uint64_t max_tag, kvi_sst_found *out)
{
    kvi_sst_get_info info;

    return kvi_sst_table_get(t, key, kvi_hash64(key.data, key.len, s->ctx.filter_seed), max_tag,
                             false, out, &info);
}
