/*
 * The inbox of the kit and the messages that it can judge; see the header for the contract.
 *
 * A message of 8 bytes or more begins with 0x80 + the sender's number, its id in 24 bits and its
 * length in 32; a shorter one with its length. A pattern fills the rest.
 */
#include "sim/sim_transport_check.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define MARK     0x80u
#define ID_LIMIT (1u << 24)

static uint8_t pattern(uint32_t id, size_t i)
{
    return (uint8_t)(i * 131u + (i >> 8) * 29u + (size_t)id * 17u);
}

void kvi_tcheck_compose(uint8_t *out, unsigned from, uint32_t id, size_t len)
{
    size_t i = 0;

    if (len < KVI_TCHECK_HEADER) {
        id = (uint32_t)len;
        if (len > 0)
            out[i++] = (uint8_t)len;
    } else {
        kvi_put_be64(out, (uint64_t)(MARK + from) << 56 | (uint64_t)(id % ID_LIMIT) << 32 | len);
        i = KVI_TCHECK_HEADER;
    }
    for (; i < len; i++)
        out[i] = pattern(id, i);
}

/* What a message says of itself, if all of it is as it was composed. */
typedef struct said {
    unsigned from; /* KVI_TCHECK_ENDS: it does not say */
    uint32_t id;
    size_t wrong_at; /* the first byte that is not right; len: none */
} said;

static said judge(const uint8_t *bytes, size_t len)
{
    said s = {KVI_TCHECK_ENDS, (uint32_t)len, 0};
    size_t i;

    if (len < KVI_TCHECK_HEADER) {
        if (bytes[0] != len)
            return s;
        i = 1;
    } else {
        uint64_t head = kvi_get_be64(bytes);
        unsigned mark = (unsigned)(head >> 56);

        if (mark < MARK || mark >= MARK + KVI_TCHECK_ENDS || (uint32_t)head != len)
            return s;
        s.from = mark - MARK;
        s.id = (uint32_t)(head >> 32) % ID_LIMIT;
        i = KVI_TCHECK_HEADER;
    }
    while (i < len && bytes[i] == pattern(s.id, i))
        i++;
    s.wrong_at = i;
    return s;
}

static void note_fault(kvi_tcheck_inbox *in, unsigned *counter, const char *what, size_t len,
                       size_t at)
{
    (*counter)++;
    if (!in->fault[0])
        (void)snprintf(in->fault, sizeof in->fault, "a message of %zu bytes %s (byte %zu)", len,
                       what, at);
}

static void note_from(kvi_tcheck_inbox *in, const kv_peer *from)
{
    in->from[0] = '\0';
    if (from->address && strlen(from->address) < sizeof in->from)
        memcpy(in->from, from->address, strlen(from->address) + 1);
}

/* A whole message at an open inbox. */
static int take(kvi_tcheck_inbox *in, const said *s, size_t len)
{
    uint32_t nth = s->id - in->first_id;

    if (in->refuse >= 0 && s->from == (unsigned)in->refuse) {
        if (in->refused++ == 0)
            in->first_refused = s->id;
        return KV_EBUSY;
    }
    if (len < KVI_TCHECK_HEADER) {
        in->small[len] = true;
        return KV_OK;
    }
    in->count[s->from]++;
    if (nth < KVI_TCHECK_IDS)
        in->seen[nth] = true;
    return KV_OK;
}

static int deliver(struct kv_inbox *inbox, const kv_peer *from, const void *message, size_t len)
{
    kvi_tcheck_inbox *in = KVI_CONTAINER_OF(inbox, kvi_tcheck_inbox, base);
    said s = judge(message, len);
    int answer = KV_OK;

    kvi_os_mutex_lock(&in->lock);
    if (in->stepped && !in->in_step)
        in->outside++;
    if (!in->open) {
        in->late++;
    } else if (s.wrong_at < len) {
        note_fault(in, &in->damaged, "came that was not sent like this", len, s.wrong_at);
    } else {
        note_from(in, from);
        answer = take(in, &s, len);
    }
    kvi_os_mutex_unlock(&in->lock);
    kvi_os_wake_set(&in->check->arrival);
    return answer;
}

void kvi_tcheck_inbox_init(kvi_tcheck_inbox *in, kvi_tcheck *check)
{
    memset(in, 0, sizeof *in);
    in->base.deliver = deliver;
    in->check = check;
    in->refuse = -1;
    kvi_os_mutex_init(&in->lock, KVI_RANK_LEAF, NULL);
}

void kvi_tcheck_inbox_deinit(kvi_tcheck_inbox *in)
{
    kvi_os_mutex_deinit(&in->lock);
}

void kvi_tcheck_inbox_begin(kvi_tcheck_inbox *in, uint32_t first_id)
{
    kvi_os_mutex_lock(&in->lock);
    in->first_id = first_id;
    in->refuse = -1;
    in->refused = in->damaged = in->late = 0;
    memset(in->count, 0, sizeof in->count);
    in->fault[0] = '\0';
    memset(in->small, 0, sizeof in->small);
    memset(in->seen, 0, sizeof in->seen);
    kvi_os_mutex_unlock(&in->lock);
}

void kvi_tcheck_inbox_set_open(kvi_tcheck_inbox *in, bool open)
{
    kvi_os_mutex_lock(&in->lock);
    in->open = open;
    kvi_os_mutex_unlock(&in->lock);
}

void kvi_tcheck_inbox_set_in_step(kvi_tcheck_inbox *in, bool in_step)
{
    kvi_os_mutex_lock(&in->lock);
    in->in_step = in_step;
    kvi_os_mutex_unlock(&in->lock);
}

void kvi_tcheck_inbox_refuse(kvi_tcheck_inbox *in, int from)
{
    kvi_os_mutex_lock(&in->lock);
    in->refuse = from;
    kvi_os_mutex_unlock(&in->lock);
}

bool kvi_tcheck_inbox_has(kvi_tcheck_inbox *in, uint32_t id, size_t len)
{
    uint32_t nth = id - in->first_id;
    bool has;

    kvi_os_mutex_lock(&in->lock);
    has = len < KVI_TCHECK_HEADER ? in->small[len] : nth < KVI_TCHECK_IDS && in->seen[nth];
    kvi_os_mutex_unlock(&in->lock);
    return has;
}

unsigned kvi_tcheck_inbox_refused(kvi_tcheck_inbox *in, uint32_t *first)
{
    unsigned refused;

    kvi_os_mutex_lock(&in->lock);
    refused = in->refused;
    if (first)
        *first = in->first_refused;
    kvi_os_mutex_unlock(&in->lock);
    return refused;
}

unsigned kvi_tcheck_inbox_count(kvi_tcheck_inbox *in, unsigned from)
{
    unsigned count;

    kvi_os_mutex_lock(&in->lock);
    count = in->count[from];
    kvi_os_mutex_unlock(&in->lock);
    return count;
}

void kvi_tcheck_inbox_from(kvi_tcheck_inbox *in, char *out)
{
    kvi_os_mutex_lock(&in->lock);
    memcpy(out, in->from, sizeof in->from);
    kvi_os_mutex_unlock(&in->lock);
}
