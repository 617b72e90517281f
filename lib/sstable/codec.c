/*
 * The border to zstd; see the header for the contract.
 */
#define ZSTD_STATIC_LINKING_ONLY /* for contexts on an allocator of our own */

#include "sstable/codec.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "base/check.h"
#include "base/error.h"

struct kvi_sst_codec {
    kvi_mem mem; /* a copy: zstd wants a pointer to what it may change */
    kvi_os_mutex lock;
    ZSTD_CCtx *packers[KVI_SST_CODEC_POOL]; /* the idle ones */
    ZSTD_DCtx *unpackers[KVI_SST_CODEC_POOL];
    unsigned packer_count, unpacker_count;
};

static void *codec_alloc(void *mem, size_t bytes)
{
    return bytes > 0 ? kvi_mem_alloc(mem, bytes) : NULL;
}

static void codec_free(void *mem, void *ptr)
{
    kvi_mem_free(mem, ptr);
}

static ZSTD_customMem custom_mem(kvi_sst_codec *c)
{
    return (ZSTD_customMem){codec_alloc, codec_free, &c->mem};
}

int kvi_sst_codec_new(const kvi_mem *mem, kvi_os_jitter *jitter, kvi_sst_codec **out)
{
    kvi_sst_codec *c = kvi_mem_zalloc(mem, 1, sizeof *c);

    if (!c)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for the codec", sizeof *c);
    c->mem = *mem;
    kvi_os_mutex_init(&c->lock, KVI_RANK_CODEC, jitter);
    *out = c;
    return KV_OK;
}

void kvi_sst_codec_free(kvi_sst_codec *c)
{
    kvi_mem mem;

    if (!c)
        return;
    while (c->packer_count > 0)
        ZSTD_freeCCtx(c->packers[--c->packer_count]);
    while (c->unpacker_count > 0)
        ZSTD_freeDCtx(c->unpackers[--c->unpacker_count]);
    kvi_os_mutex_deinit(&c->lock);
    mem = c->mem;
    kvi_mem_free(&mem, c);
}

/* A frame holds nothing that the block's trailer says already. */
static ZSTD_CCtx *new_packer(kvi_sst_codec *c)
{
    ZSTD_CCtx *packer = ZSTD_createCCtx_advanced(custom_mem(c));

    if (!packer)
        return NULL;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(packer, ZSTD_c_contentSizeFlag, 0)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(packer, ZSTD_c_checksumFlag, 0)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(packer, ZSTD_c_dictIDFlag, 0))) {
        ZSTD_freeCCtx(packer);
        return NULL;
    }
    return packer;
}

static ZSTD_CCtx *take_packer(kvi_sst_codec *c)
{
    ZSTD_CCtx *packer = NULL;

    kvi_os_mutex_lock(&c->lock);
    if (c->packer_count > 0)
        packer = c->packers[--c->packer_count];
    kvi_os_mutex_unlock(&c->lock);
    return packer ? packer : new_packer(c);
}

static void give_packer(kvi_sst_codec *c, ZSTD_CCtx *packer)
{
    bool keep = ZSTD_sizeof_CCtx(packer) <= KVI_SST_CODEC_KEEP_MAX;

    kvi_os_mutex_lock(&c->lock);
    keep = keep && c->packer_count < KVI_SST_CODEC_POOL;
    if (keep)
        c->packers[c->packer_count++] = packer;
    kvi_os_mutex_unlock(&c->lock);
    if (!keep)
        ZSTD_freeCCtx(packer);
}

static ZSTD_DCtx *take_unpacker(kvi_sst_codec *c)
{
    ZSTD_DCtx *unpacker = NULL;

    kvi_os_mutex_lock(&c->lock);
    if (c->unpacker_count > 0)
        unpacker = c->unpackers[--c->unpacker_count];
    kvi_os_mutex_unlock(&c->lock);
    return unpacker ? unpacker : ZSTD_createDCtx_advanced(custom_mem(c));
}

static void give_unpacker(kvi_sst_codec *c, ZSTD_DCtx *unpacker)
{
    bool keep = ZSTD_sizeof_DCtx(unpacker) <= KVI_SST_CODEC_KEEP_MAX;

    kvi_os_mutex_lock(&c->lock);
    keep = keep && c->unpacker_count < KVI_SST_CODEC_POOL;
    if (keep)
        c->unpackers[c->unpacker_count++] = unpacker;
    kvi_os_mutex_unlock(&c->lock);
    if (!keep)
        ZSTD_freeDCtx(unpacker);
}

static int out_of_memory(void)
{
    return kvi_error_set(KV_ENOMEM, "cannot allocate what zstd needs");
}

int kvi_sst_compress(kvi_sst_codec *c, int level, kvi_slice raw, kvi_buf *out, bool *smaller)
{
    size_t limit = raw.len - raw.len / 8;
    ZSTD_CCtx *packer;
    size_t n;
    int err;

    KVI_ASSERT(level >= 1 && raw.len > 0);
    kvi_buf_clear(out);
    err = kvi_buf_reserve(out, limit);
    if (err)
        return err;
    packer = take_packer(c);
    if (!packer)
        return out_of_memory();
    n = ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(n))
        n = ZSTD_compress2(packer, out->data, limit, raw.data, raw.len);
    if (ZSTD_isError(n))
        err = ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? out_of_memory() : KV_OK;
    if (err) {
        ZSTD_freeCCtx(packer);
        return err;
    }
    give_packer(c, packer);
    *smaller = !ZSTD_isError(n);
    out->len = *smaller ? n : 0;
    return KV_OK;
}

int kvi_sst_decompress(kvi_sst_codec *c, kvi_slice packed, uint8_t *raw, size_t raw_len)
{
    ZSTD_DCtx *unpacker = take_unpacker(c);
    size_t n;

    if (!unpacker)
        return out_of_memory();
    n = ZSTD_decompressDCtx(unpacker, raw, raw_len, packed.data, packed.len);
    give_unpacker(c, unpacker);
    if (ZSTD_isError(n) && ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
        return out_of_memory();
    return n == raw_len ? KV_OK : KV_ECORRUPT;
}
