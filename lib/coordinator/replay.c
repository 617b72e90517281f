/*
 * The windows and the answers; see the header for the contract. Windows are in a map by a mix of
 * origin and opening, in chains where two mixes are the same, and in a list by the time they were
 * last used. Answers are in a list by age: only copies look for one, so it is walked.
 */
#include "coordinator/replay.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"

typedef struct window {
    kvi_list used;       /* in kvi_replay.used: the longest unused first */
    struct window *next; /* in the chain of its key */
    uint64_t origin, open_id;
    uint64_t top; /* the greatest sequence asked about; 0: none */
    uint64_t used_ns;
    uint64_t bits[KVI_REPLAY_WINDOW / 64]; /* by sequence modulo the window */
} window;

typedef struct answer {
    kvi_list link; /* in kvi_replay.answers: the oldest first */
    uint64_t origin, open_id, seq;
    size_t len; /* of the bytes behind it */
} answer;

struct kvi_replay {
    const kvi_mem *mem;
    kvi_map windows;
    kvi_list used, answers;
    uint32_t window_count, answer_count;
    size_t answer_bytes;
};

static uint64_t key_of(uint64_t origin, uint64_t open_id)
{
    return kvi_mix64(origin ^ kvi_mix64(open_id));
}

int kvi_replay_new(const kvi_mem *mem, kvi_replay **out)
{
    kvi_replay *r = kvi_mem_zalloc(mem, 1, sizeof *r);

    if (!r)
        return kvi_error_set(KV_ENOMEM, "no memory for the windows of forwarded requests");
    r->mem = mem;
    kvi_map_init(&r->windows, mem);
    kvi_list_init(&r->used);
    kvi_list_init(&r->answers);
    *out = r;
    return KV_OK;
}

static void drop_answer(kvi_replay *r)
{
    answer *a = KVI_LIST_FIRST(&r->answers, answer, link);

    kvi_list_remove(&a->link);
    r->answer_count--;
    r->answer_bytes -= a->len;
    kvi_mem_free(r->mem, a);
}

void kvi_replay_free(kvi_replay *r)
{
    if (!r)
        return;
    while (!kvi_list_empty(&r->answers))
        drop_answer(r);
    while (!kvi_list_empty(&r->used)) {
        window *w = KVI_LIST_FIRST(&r->used, window, used);

        kvi_list_remove(&w->used);
        kvi_mem_free(r->mem, w);
    }
    kvi_map_deinit(&r->windows);
    kvi_mem_free(r->mem, r);
}

static window *find(const kvi_replay *r, uint64_t origin, uint64_t open_id)
{
    window *w = kvi_map_find(&r->windows, key_of(origin, open_id));

    while (w && (w->origin != origin || w->open_id != open_id))
        w = w->next;
    return w;
}

/* Takes w out of its chain; the map knows the chain by its first. */
static void forget(kvi_replay *r, window *w)
{
    uint64_t key = key_of(w->origin, w->open_id);
    window *first = kvi_map_remove(&r->windows, key);

    if (first == w) {
        first = w->next;
    } else {
        window *before = first;

        while (before->next != w)
            before = before->next;
        before->next = w->next;
    }
    if (first) {
        int err = kvi_map_insert(&r->windows, key, first);

        /* An insert after a remove needs no memory: the map has just given this room back. */
        KVI_ASSERT(err == KV_OK);
    }
    kvi_list_remove(&w->used);
    r->window_count--;
    kvi_mem_free(r->mem, w);
}

static window *make(kvi_replay *r, uint64_t origin, uint64_t open_id, uint64_t now_ns)
{
    uint64_t key = key_of(origin, open_id);
    window *w, *first;

    if (r->window_count >= KVI_REPLAY_ORIGINS) {
        window *oldest = KVI_LIST_FIRST(&r->used, window, used);

        if (now_ns - oldest->used_ns < KVI_REPLAY_QUIET_NS)
            return NULL;
        forget(r, oldest);
    }
    w = kvi_mem_zalloc(r->mem, 1, sizeof *w);
    if (!w)
        return NULL;
    w->origin = origin;
    w->open_id = open_id;
    first = kvi_map_find(&r->windows, key);
    if (first) {
        w->next = first->next;
        first->next = w;
    } else if (kvi_map_insert(&r->windows, key, w)) {
        kvi_mem_free(r->mem, w);
        return NULL;
    }
    kvi_list_push_back(&r->used, &w->used);
    r->window_count++;
    return w;
}

/* Moves the top up to seq; what comes into the window is unseen. */
static void rise(window *w, uint64_t seq)
{
    if (seq - w->top >= KVI_REPLAY_WINDOW) {
        memset(w->bits, 0, sizeof w->bits);
        w->top = seq;
        return;
    }
    while (w->top < seq) {
        w->top++;
        w->bits[w->top % KVI_REPLAY_WINDOW / 64] &= ~(UINT64_C(1) << (w->top % 64));
    }
}

enum kvi_replay_verdict kvi_replay_ask(kvi_replay *r, uint64_t origin, uint64_t open_id,
                                       uint64_t seq, uint64_t now_ns)
{
    window *w = find(r, origin, open_id);
    uint64_t *word, bit = UINT64_C(1) << (seq % 64);

    if (!w)
        w = make(r, origin, open_id, now_ns);
    if (!w)
        return KVI_REPLAY_BELOW;
    w->used_ns = now_ns;
    kvi_list_remove(&w->used);
    kvi_list_push_back(&r->used, &w->used);
    if (seq > w->top)
        rise(w, seq);
    if (w->top - seq >= KVI_REPLAY_WINDOW)
        return KVI_REPLAY_BELOW;
    word = &w->bits[seq % KVI_REPLAY_WINDOW / 64];
    if (*word & bit)
        return KVI_REPLAY_SEEN;
    *word |= bit;
    return KVI_REPLAY_NEW;
}

void kvi_replay_answered(kvi_replay *r, uint64_t origin, uint64_t open_id, uint64_t seq,
                         kvi_slice bytes)
{
    answer *a;

    KVI_ASSERT(bytes.len > 0);
    if (bytes.len > KVI_REPLAY_BYTES)
        return;
    while (r->answer_count >= KVI_REPLAY_ANSWERS ||
           (r->answer_count > 0 && r->answer_bytes + bytes.len > KVI_REPLAY_BYTES))
        drop_answer(r);
    a = kvi_mem_alloc(r->mem, sizeof *a + bytes.len);
    if (!a)
        return;
    a->origin = origin;
    a->open_id = open_id;
    a->seq = seq;
    a->len = bytes.len;
    memcpy(a + 1, bytes.data, bytes.len);
    kvi_list_push_back(&r->answers, &a->link);
    r->answer_count++;
    r->answer_bytes += bytes.len;
}

bool kvi_replay_answer(const kvi_replay *r, uint64_t origin, uint64_t open_id, uint64_t seq,
                       kvi_slice *bytes)
{
    KVI_LIST_EACH(n, &r->answers) {
        const answer *a = KVI_CONTAINER_OF(n, answer, link);

        if (a->seq == seq && a->origin == origin && a->open_id == open_id) {
            *bytes = kvi_slice_of(a + 1, a->len);
            return true;
        }
    }
    return false;
}
