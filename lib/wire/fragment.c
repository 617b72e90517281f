/*
 * Cutting long envelopes and putting them together; see the header for the contract.
 *
 * The cut: where a message carries at most so many bytes of a fragment (most), there are
 * count = ceil(total / most) pieces, and each but the last has ceil(total / count) bytes. That is
 * not more than most, so every piece fits; and (count - 1) * most < total, so the last has some.
 */
#include "wire/fragment.h"

#include "base/check.h"
#include "base/error.h"

bool kvi_wire_fragment_place(uint32_t index, uint32_t count, uint32_t total_len, uint32_t *at,
                             uint32_t *len)
{
    uint64_t piece, start;

    if (total_len > KVI_WIRE_ENVELOPE_MAX || count < 2 || count > total_len || index >= count)
        return false;
    piece = ((uint64_t)total_len + count - 1) / count;
    if ((count - 1) * piece >= total_len)
        return false;
    start = index * piece;
    *at = (uint32_t)start;
    *len = (uint32_t)kvi_min_u64(piece, total_len - start);
    return true;
}

/* ---- sending ----------------------------------------------------------------------------- */

int kvi_wire_split_init(kvi_wire_split *s, uint64_t id, kvi_buf *envelope, size_t max_message,
                        uint64_t resend_ns)
{
    size_t most;

    KVI_ASSERT(envelope->len <= KVI_WIRE_ENVELOPE_MAX && resend_ns > 0);
    if (max_message < KVI_WIRE_MAX_MESSAGE_MIN)
        return kvi_error_set(KV_EINVAL,
                             "the transport's max_message is %zu bytes; it must be at least %u",
                             max_message, KVI_WIRE_MAX_MESSAGE_MIN);
    if (envelope->len <= max_message)
        return kvi_error_set(KV_EINVAL, "%zu bytes need no fragments under a max_message of %zu",
                             envelope->len, max_message);
    most = max_message - KVI_WIRE_FRAGMENT_OVERHEAD;
    memset(s, 0, sizeof *s);
    s->envelope = *envelope;
    kvi_buf_init(envelope, s->envelope.mem);
    s->id = id;
    s->resend_ns = resend_ns;
    s->count = (uint32_t)((s->envelope.len + most - 1) / most);
    return KV_OK;
}

void kvi_wire_split_deinit(kvi_wire_split *s)
{
    kvi_buf_deinit(&s->envelope);
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* How long to wait for the acknowledgement after so many resends. */
static uint64_t patience(const kvi_wire_split *s, uint32_t resends)
{
    unsigned shift = resends < KVI_WIRE_RESEND_SHIFT ? resends : KVI_WIRE_RESEND_SHIFT;

    return s->resend_ns > UINT64_MAX >> shift ? UINT64_MAX : s->resend_ns << shift;
}

/* The flight that has waited longest for its resend at now_ns; NULL: none is due. */
static kvi_wire_flight *overdue(kvi_wire_split *s, uint64_t now_ns)
{
    kvi_wire_flight *first = NULL;

    for (uint32_t i = 0; i < KVI_WIRE_WINDOW; i++) {
        kvi_wire_flight *f = &s->flight[i];

        if (f->used && f->due_ns <= now_ns && (!first || f->due_ns < first->due_ns))
            first = f;
    }
    return first;
}

static kvi_wire_flight *free_flight(kvi_wire_split *s)
{
    for (uint32_t i = 0; i < KVI_WIRE_WINDOW; i++)
        if (!s->flight[i].used)
            return &s->flight[i];
    return NULL;
}

/* The envelope of fragment index. */
static int write_fragment(const kvi_wire_split *s, const kvi_wire_header *header, uint32_t index,
                          kvi_buf *b)
{
    uint32_t total = (uint32_t)s->envelope.len, at = 0, len = 0;
    bool placed = kvi_wire_fragment_place(index, s->count, total, &at, &len);
    kvi_wire_message m = {.kind = KVI_WIRE_FRAGMENT};
    int err;

    KVI_ASSERT(placed);
    m.u.fragment = (kvi_wire_fragment){s->id, index, s->count, total, {s->envelope.data + at, len}};
    err = kvi_wire_begin(b, header);
    if (err)
        return err;
    err = kvi_wire_add(b, &m);
    if (err)
        return err;
    kvi_wire_finish(b);
    return KV_OK;
}

int kvi_wire_split_next(kvi_wire_split *s, const kvi_wire_header *header, uint64_t now_ns,
                        kvi_buf *b)
{
    kvi_wire_flight *flight = s->failed ? NULL : overdue(s, now_ns);
    kvi_wire_flight next = {true, s->unsent, 0, 0};
    int err;

    if (flight) {
        next = *flight;
        if (next.resends == KVI_WIRE_RESENDS_MAX) {
            s->failed = true;
            return KV_ENOTFOUND;
        }
        next.resends++;
    } else if (!s->failed && s->unsent < s->count) {
        flight = free_flight(s);
    }
    if (!flight)
        return KV_ENOTFOUND;
    err = write_fragment(s, header, next.index, b);
    if (err) {
        s->retry_ns = add_saturating(now_ns, s->resend_ns);
        return err;
    }
    s->retry_ns = 0;
    next.due_ns = add_saturating(now_ns, patience(s, next.resends));
    if (!flight->used) {
        s->unsent++;
        s->flights++;
    }
    *flight = next;
    return KV_OK;
}

void kvi_wire_split_ack(kvi_wire_split *s, uint32_t index)
{
    for (uint32_t i = 0; i < KVI_WIRE_WINDOW; i++) {
        kvi_wire_flight *f = &s->flight[i];

        if (f->used && f->index == index) {
            f->used = false;
            s->flights--;
            return;
        }
    }
}

enum kvi_wire_split_state kvi_wire_split_state(const kvi_wire_split *s)
{
    if (s->flights == 0 && s->unsent == s->count)
        return KVI_WIRE_SPLIT_DONE;
    return s->failed ? KVI_WIRE_SPLIT_FAILED : KVI_WIRE_SPLIT_GOING;
}

uint64_t kvi_wire_split_due(const kvi_wire_split *s)
{
    uint64_t due = UINT64_MAX;

    if (kvi_wire_split_state(s) != KVI_WIRE_SPLIT_GOING)
        return UINT64_MAX;
    if (s->retry_ns != 0 || (s->unsent < s->count && s->flights < KVI_WIRE_WINDOW))
        return s->retry_ns;
    for (uint32_t i = 0; i < KVI_WIRE_WINDOW; i++)
        if (s->flight[i].used)
            due = kvi_min_u64(due, s->flight[i].due_ns);
    return due;
}

/* ---- receiving --------------------------------------------------------------------------- */

void kvi_wire_gather_init(kvi_wire_gather *g, const kvi_mem *mem,
                          const kvi_wire_gather_limits *limits)
{
    KVI_ASSERT(limits->envelopes >= 1 && limits->envelopes <= KVI_WIRE_GATHERING_MAX);
    memset(g, 0, sizeof *g);
    g->mem = mem;
    g->limits = *limits;
}

/* Empties a slot; its bytes are gone, or somebody else's by now. */
static void vacate(kvi_wire_gather *g, kvi_wire_gathering *slot)
{
    KVI_ASSERT(slot->used && g->held >= slot->bytes_len);
    g->held -= slot->bytes_len;
    g->slots_used--;
    memset(slot, 0, sizeof *slot);
}

static void drop(kvi_wire_gather *g, kvi_wire_gathering *slot)
{
    kvi_mem_free(g->mem, slot->bytes);
    vacate(g, slot);
}

void kvi_wire_gather_deinit(kvi_wire_gather *g)
{
    kvi_wire_gather_reset(g);
}

void kvi_wire_gather_reset(kvi_wire_gather *g)
{
    for (uint32_t i = 0; i < KVI_WIRE_GATHERING_MAX; i++)
        if (g->slot[i].used)
            drop(g, &g->slot[i]);
    g->done_count = g->done_next = 0;
}

static kvi_wire_gathering *slot_of(kvi_wire_gather *g, uint64_t id)
{
    for (uint32_t i = 0; i < KVI_WIRE_GATHERING_MAX; i++)
        if (g->slot[i].used && g->slot[i].id == id)
            return &g->slot[i];
    return NULL;
}

static bool is_done(const kvi_wire_gather *g, uint64_t id)
{
    for (uint32_t i = 0; i < g->done_count; i++)
        if (g->done[i] == id)
            return true;
    return false;
}

static void note_done(kvi_wire_gather *g, uint64_t id)
{
    g->done[g->done_next] = id;
    g->done_next = (g->done_next + 1) % KVI_WIRE_GATHERED_MAX;
    if (g->done_count < KVI_WIRE_GATHERED_MAX)
        g->done_count++;
}

/* A slot for the envelope of f, all of whose bytes are still missing. */
static int begin(kvi_wire_gather *g, const kvi_wire_fragment *f, kvi_wire_gathering **out)
{
    size_t bits_len = ((size_t)f->count + 7) / 8, bytes_len = f->total_len + bits_len;
    kvi_wire_gathering *slot = g->slot;
    uint8_t *bytes;

    if (bytes_len > g->limits.bytes)
        return kvi_error_set(KV_ETOOBIG,
                             "another node sends an envelope of %u bytes in fragments; "
                             "at most %zu are taken",
                             f->total_len, g->limits.bytes);
    if (g->slots_used == g->limits.envelopes || bytes_len > g->limits.bytes - g->held)
        return kvi_error_set(KV_EBUSY,
                             "%u envelopes of another node, %zu bytes, are being put "
                             "together already",
                             g->slots_used, g->held);
    bytes = kvi_mem_alloc(g->mem, bytes_len);
    if (!bytes)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for fragments", bytes_len);
    memset(bytes + f->total_len, 0, bits_len);
    while (slot->used)
        slot++;
    *slot = (kvi_wire_gathering){true, f->id, f->count, f->total_len, 0, 0, bytes, bytes_len};
    g->held += bytes_len;
    g->slots_used++;
    *out = slot;
    return KV_OK;
}

/* Copies f to its place, unless it is there; whether it was new. */
static bool put(kvi_wire_gathering *slot, const kvi_wire_fragment *f, uint32_t at)
{
    uint8_t *bits = slot->bytes + slot->total_len + f->index / 8;
    unsigned bit = 1u << f->index % 8;

    if (*bits & bit)
        return false;
    *bits = (uint8_t)(*bits | bit);
    memcpy(slot->bytes + at, f->bytes.data, f->bytes.len);
    slot->have++;
    return true;
}

/* The bytes change hands: what was slot's is whole's. */
static void hand_over(kvi_wire_gather *g, kvi_wire_gathering *slot, kvi_buf *whole)
{
    kvi_buf_deinit(whole);
    whole->mem = g->mem;
    whole->data = slot->bytes;
    whole->len = slot->total_len;
    whole->cap = slot->bytes_len;
    note_done(g, slot->id);
    vacate(g, slot);
}

int kvi_wire_gather_add(kvi_wire_gather *g, const kvi_wire_fragment *fragment, uint64_t now_ns,
                        kvi_buf *whole)
{
    kvi_wire_gathering *slot;
    uint32_t at = 0, len = 0;
    int err;

    (void)kvi_wire_gather_expire(g, now_ns);
    if (!kvi_wire_fragment_place(fragment->index, fragment->count, fragment->total_len, &at,
                                 &len) ||
        fragment->bytes.len != len)
        return kvi_error_set(KV_ECORRUPT, "a fragment from another node has no place");
    if (is_done(g, fragment->id))
        return KVI_PENDING;
    slot = slot_of(g, fragment->id);
    if (!slot) {
        err = begin(g, fragment, &slot);
        if (err)
            return err;
    }
    if (slot->count != fragment->count || slot->total_len != fragment->total_len)
        return kvi_error_set(KV_ECORRUPT, "fragments from another node contradict each other");
    if (put(slot, fragment, at))
        slot->touched_ns = now_ns;
    if (slot->have < slot->count)
        return KVI_PENDING;
    hand_over(g, slot, whole);
    return KV_OK;
}

/* When slot will be too old. */
static uint64_t end_of(const kvi_wire_gather *g, const kvi_wire_gathering *slot)
{
    return add_saturating(slot->touched_ns, g->limits.age_ns);
}

uint32_t kvi_wire_gather_expire(kvi_wire_gather *g, uint64_t now_ns)
{
    uint32_t dropped = 0;

    for (uint32_t i = 0; g->slots_used > 0 && i < KVI_WIRE_GATHERING_MAX; i++) {
        if (!g->slot[i].used || now_ns < end_of(g, &g->slot[i]))
            continue;
        drop(g, &g->slot[i]);
        dropped++;
    }
    return dropped;
}

uint64_t kvi_wire_gather_due(const kvi_wire_gather *g)
{
    uint64_t due = UINT64_MAX;

    for (uint32_t i = 0; i < KVI_WIRE_GATHERING_MAX; i++)
        if (g->slot[i].used)
            due = kvi_min_u64(due, end_of(g, &g->slot[i]));
    return due;
}
