/*
 * Fuzzes the reader of ring documents, and what is made of them.
 *
 *   input = steps u8, a document without its checksum
 *
 * The checksum is put right, so that all behind it is reached. No crash and no read outside; what
 * decodes encodes to the same bytes; look-ups find distinct members; a member that joins and leaves
 * again leaves a document that decodes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "ring/ring.h"
#include "ring/ring_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Changes of big rings take long and show nothing that small ones do not. */
#define BITS_FOR_CHANGES 10u

#define NEWCOMER UINT64_C(0x6e6577636f6d6572)

static void check_bytes(const kvi_mem *mem, const kvi_ring *ring, kvi_slice bytes)
{
    kvi_buf again;

    kvi_buf_init(&again, mem);
    KVI_ASSERT(kvi_ring_encode(ring, &again) == KV_OK);
    KVI_ASSERT(kvi_slice_eq(kvi_buf_slice(&again), bytes));
    kvi_buf_deinit(&again);
}

static void check_walk(const kvi_ring *ring, uint32_t partition, unsigned n)
{
    uint64_t nodes[KVI_RING_LIST_MAX];
    unsigned count = kvi_ring_walk(ring, partition, n, nodes, KVI_RING_LIST_MAX);

    KVI_ASSERT(count >= kvi_ring_effective_n(ring, n) &&
               nodes[0] == kvi_ring_owner(ring, partition));
    for (unsigned i = 0; i < count; i++) {
        KVI_ASSERT(kvi_ring_member_of(ring, nodes[i])->weight > 0);
        for (unsigned k = 0; k < i; k++)
            KVI_ASSERT(nodes[k] != nodes[i]);
    }
}

/* Goes on with made where there is one. */
static void step(kvi_ring **ring, int err, kvi_ring *made)
{
    KVI_ASSERT(err <= KV_OK && err != KV_ENOMEM);
    if (err || !made)
        return;
    KVI_ASSERT(kvi_ring_epoch(made) == kvi_ring_epoch(*ring) + 1);
    kvi_ring_free(*ring);
    *ring = made;
}

static void change(kvi_ring **ring, uint8_t steps)
{
    kvi_ring_member newcomer = {NEWCOMER, (uint16_t)(steps * 7), "zone", "address"};
    kvi_ring_policy policy = {2, 1, KV_ALL, 0, 0, 0};
    kvi_ring *made = NULL;
    uint32_t count;

    if (steps & 1)
        step(ring, kvi_ring_join(*ring, &newcomer, &made), made);
    made = NULL;
    if (steps & 2)
        step(ring,
             kvi_ring_reweight(*ring, kvi_ring_members(*ring, &count)[0].node_id, steps, &made),
             made);
    made = NULL;
    if (steps & 4)
        step(ring, kvi_ring_leave(*ring, NEWCOMER, &made), made);
    made = NULL;
    if (steps & 8)
        step(ring, kvi_ring_add_space(*ring, "space", &policy, &made), made);
    made = NULL;
    if (steps & 16)
        step(ring, kvi_ring_serve(*ring, &made), made);
}

/* What changes make decodes again. */
static void check_changes(const kvi_mem *mem, kvi_ring **ring, uint8_t steps)
{
    kvi_ring *again = NULL;
    kvi_buf bytes;

    change(ring, steps);
    kvi_buf_init(&bytes, mem);
    KVI_ASSERT(kvi_ring_encode(*ring, &bytes) == KV_OK);
    KVI_ASSERT(kvi_ring_decode(mem, kvi_buf_slice(&bytes), &again) == KV_OK);
    kvi_ring_free(again);
    kvi_buf_deinit(&bytes);
}

static void fuzz(const kvi_mem *mem, kvi_slice bytes, uint8_t steps)
{
    kvi_ring *ring = NULL;
    int err = kvi_ring_decode(mem, bytes, &ring);
    uint32_t q;

    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT || err == KV_EFORMAT);
    if (err)
        return;
    check_bytes(mem, ring, bytes);
    q = UINT32_C(1) << kvi_ring_bits(ring);
    for (uint32_t p = 0; p < q; p += 1 + q / 64)
        check_walk(ring, p, 1 + p % KVI_RING_N_MAX);
    if (kvi_ring_bits(ring) <= BITS_FOR_CHANGES && kvi_ring_epoch(ring) < KVI_RING_EPOCH_MAX - 8)
        check_changes(mem, &ring, steps);
    kvi_ring_free(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes; /* a copy without a byte to spare */
    size_t len;
    kvi_mem mem;

    if (size < 1)
        return 0;
    len = size - 1 + KVI_RING_CHECKSUM_LEN;
    bytes = malloc(len);
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, size - 1);
    kvi_put_u64(bytes + size - 1, kvi_hash64(bytes, size - 1, 0));
    kvi_mem_init(&mem, NULL);
    fuzz(&mem, kvi_slice_of(bytes, len), data[0]);
    free(bytes);
    return 0;
}
