/*
 * The blocked Bloom filter; see the header for the contract.
 */
#include "sstable/bloom.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "sstable/table_format.h"

#define LINE_BITS 512u /* of a line of KVI_SST_FILTER_LINE bytes */
#define TAIL_LEN  8u   /* line count u32, probes u8, zero[3] */
/* Above it (67 M keys) more keys share a line, and more absent ones pass. */
#define LINES_MAX ((KVI_SST_BLOCK_MAX - TAIL_LEN) / KVI_SST_FILTER_LINE)

/* The upper half of the hash, scaled to the lines (multiply-shift). */
static size_t line_of(uint64_t hash, uint32_t line_count)
{
    return (size_t)(((hash >> 32) * line_count) >> 32) * KVI_SST_FILTER_LINE;
}

/* The lower half, made the first probe and the distance between probes: the top 9 bits of a
 * running 32-bit sum, so that all its bits have a say and not only the 2^17 patterns of two 9-bit
 * numbers. */
typedef struct probe {
    uint32_t at, distance;
} probe;

static probe probe_first(uint64_t hash)
{
    uint32_t h = (uint32_t)hash;

    return (probe){h, (h >> 17 | h << 15) | 1};
}

static unsigned probe_next(probe *p)
{
    unsigned bit = p->at >> 23;

    _Static_assert(LINE_BITS == 1u << (32 - 23), "a probe is the top bits of 32");
    _Static_assert(LINE_BITS / 8 == KVI_SST_FILTER_LINE, "bits and bytes of a line");
    p->at += p->distance;
    return bit;
}

int kvi_sst_bloom_build(const uint64_t *hashes, size_t count, kvi_buf *out)
{
    uint64_t wanted = ((uint64_t)count * KVI_SST_BLOOM_BITS + LINE_BITS - 1) / LINE_BITS;
    uint32_t line_count = (uint32_t)kvi_max_u64(1, kvi_min_u64(wanted, LINES_MAX));
    size_t len = (size_t)line_count * KVI_SST_FILTER_LINE;
    int err;

    kvi_buf_clear(out);
    err = kvi_buf_reserve(out, len + TAIL_LEN);
    if (err)
        return err;
    memset(out->data, 0, len + TAIL_LEN);
    for (size_t i = 0; i < count; i++) {
        uint8_t *line = out->data + line_of(hashes[i], line_count);
        probe p = probe_first(hashes[i]);

        for (unsigned j = 0; j < KVI_SST_BLOOM_PROBES; j++) {
            unsigned bit = probe_next(&p);

            line[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
    }
    kvi_put_u32(out->data + len, line_count);
    out->data[len + 4] = KVI_SST_BLOOM_PROBES;
    out->len = len + TAIL_LEN;
    return KV_OK;
}

int kvi_sst_bloom_open(kvi_slice payload, kvi_sst_bloom *out)
{
    const uint8_t *bytes = payload.data;
    const uint8_t *tail;
    uint32_t line_count;

    if (payload.len < TAIL_LEN + KVI_SST_FILTER_LINE)
        return KV_ECORRUPT;
    tail = bytes + payload.len - TAIL_LEN;
    line_count = kvi_get_u32(tail);
    if (line_count > LINES_MAX ||
        (size_t)line_count * KVI_SST_FILTER_LINE != payload.len - TAIL_LEN)
        return KV_ECORRUPT;
    if (tail[4] == 0 || tail[4] > KVI_SST_BLOOM_PROBES_MAX || tail[5] || tail[6] || tail[7])
        return KV_ECORRUPT;
    *out = (kvi_sst_bloom){bytes, line_count, tail[4]};
    return KV_OK;
}

bool kvi_sst_bloom_may_have(const kvi_sst_bloom *b, uint64_t hash)
{
    const uint8_t *line = b->lines + line_of(hash, b->line_count);
    probe p = probe_first(hash);

    KVI_ASSERT(b->line_count > 0);
    for (unsigned j = 0; j < b->probes; j++) {
        unsigned bit = probe_next(&p);

        if (!(line[bit / 8] & (1u << bit % 8)))
            return false;
    }
    return true;
}
