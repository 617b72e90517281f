/*
 * Compression of blocks: zstd contexts, pooled, since making one costs more than a block. Any
 * thread.
 *
 * 1. At most KVI_SST_CODEC_POOL idle contexts of each kind are kept, none of them larger than
 *    KVI_SST_CODEC_KEEP_MAX; more are made while needed and freed afterwards.
 * 2. Their memory comes from the store's allocator.
 */
#ifndef KVI_SSTABLE_CODEC_H
#define KVI_SSTABLE_CODEC_H

#include "base/buf.h"
#include "sstable/context.h"

#define KVI_SST_CODEC_POOL     4
#define KVI_SST_CODEC_KEEP_MAX (UINT32_C(4) << 20)

int kvi_sst_codec_new(const kvi_mem *mem, kvi_os_jitter *jitter, kvi_sst_codec **out) KVI_NODISCARD;
/** Nobody uses it any more. NULL is allowed. */
void kvi_sst_codec_free(kvi_sst_codec *c);

/** Compresses raw into out (replaced) at zstd level. KV_OK, KV_ENOMEM; *smaller: whether it saved
 * at least an eighth (else out is to be ignored). */
int kvi_sst_compress(kvi_sst_codec *c, int level, kvi_slice raw, kvi_buf *out, bool *smaller)
    KVI_NODISCARD;

/** Restores exactly raw_len bytes to raw. KV_ECORRUPT where the data says anything else (the
 * detail is the caller's to set, who knows the file), KV_ENOMEM. */
int kvi_sst_decompress(kvi_sst_codec *c, kvi_slice packed, uint8_t *raw, size_t raw_len)
    KVI_NODISCARD;

#endif
