/*
 * A recording port; see the header for the contract.
 */
#include "support/fake_effects.h"

#include "base/bytes.h"
#include "base/check.h"
#include "wire/envelope.h"

typedef struct kvt_entry {
    kvi_slice key, value; /* owned */
} kvt_entry;

typedef struct kvt_change {
    uint64_t seq;
    kvi_slice key, value; /* owned */
    bool remove;
} kvt_change;

typedef struct kvt_op {
    enum kvt_effect kind;
    void *what; /* kvi_store_… */
    int err;    /* that it is to fail with */
    bool applied;
    uint64_t fingerprint; /* of what was passed in */
    /* A read or scan that was answered when it was asked. */
    bool early, found, more;
    uint32_t count;
    kvi_buf value;
} kvt_op;

static void grow(void **array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return;
    *cap = *cap ? *cap * 2 : 64;
    *array = realloc(*array, *cap * size);
    KVI_ASSERT(*array);
}

static kvi_slice copy(kvi_slice s)
{
    void *data = malloc(s.len + 1);

    KVI_ASSERT(data);
    if (s.len > 0)
        memcpy(data, s.data, s.len);
    return kvi_slice_of(data, s.len);
}

static void drop(kvi_slice s)
{
    free((void *)(uintptr_t)s.data);
}

/* --- the store ------------------------------------------------------------------------------- */

static size_t lower_bound(const kvt_effects *e, kvi_slice key)
{
    size_t low = 0, high = e->entry_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (kvi_slice_cmp(e->entries[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_at(const kvt_effects *e, size_t at, kvi_slice key)
{
    return at < e->entry_count && kvi_slice_eq(e->entries[at].key, key);
}

bool kvt_effects_get(kvt_effects *e, kvi_slice key, kvi_slice *value)
{
    size_t at = lower_bound(e, key);

    if (!is_at(e, at, key))
        return false;
    *value = e->entries[at].value;
    return true;
}

static void set_entry(kvt_effects *e, kvi_slice key, kvi_slice value, bool removed)
{
    size_t at = lower_bound(e, key);
    bool is = is_at(e, at, key);

    if (removed) {
        if (!is)
            return;
        drop(e->entries[at].key);
        drop(e->entries[at].value);
        memmove(&e->entries[at], &e->entries[at + 1], (--e->entry_count - at) * sizeof *e->entries);
    } else if (is) {
        drop(e->entries[at].value);
        e->entries[at].value = copy(value);
    } else {
        grow((void **)&e->entries, &e->entry_cap, e->entry_count, sizeof *e->entries);
        memmove(&e->entries[at + 1], &e->entries[at], (e->entry_count++ - at) * sizeof *e->entries);
        e->entries[at].key = copy(key);
        e->entries[at].value = copy(value);
    }
}

static void change(kvt_effects *e, kvi_slice key, kvi_slice value, bool removed)
{
    kvt_change *c;

    grow((void **)&e->log, &e->log_cap, e->log_count, sizeof *e->log);
    c = &e->log[e->log_count++];
    c->seq = e->seq;
    c->key = copy(key);
    c->value = copy(value);
    c->remove = removed;
    set_entry(e, key, value, removed);
}

void kvt_effects_put(kvt_effects *e, kvi_slice key, kvi_slice value)
{
    e->durable = ++e->seq;
    change(e, key, value, false);
}

size_t kvt_effects_count(kvt_effects *e, kvi_slice prefix)
{
    size_t n = 0;

    for (size_t at = lower_bound(e, prefix); at < e->entry_count; at++) {
        if (!kvi_slice_has_prefix(e->entries[at].key, prefix))
            break;
        n++;
    }
    return n;
}

static void append_varint(kvi_buf *b, uint64_t v)
{
    uint8_t bytes[KVI_VARINT64_MAX];

    KVI_ASSERT(kvi_buf_append(b, bytes, (size_t)(kvi_put_varint(bytes, v) - bytes)) == KV_OK);
}

static void scan(kvt_effects *e, const kvi_store_scan *s, kvt_op *op)
{
    size_t bytes = 0;

    op->count = 0;
    op->more = false;
    kvi_buf_clear(&op->value);
    for (size_t at = lower_bound(e, s->from); at < e->entry_count; at++) {
        const kvt_entry *entry = &e->entries[at];

        if (kvi_slice_cmp(entry->key, s->to) >= 0)
            break;
        bytes += entry->key.len + entry->value.len;
        if (op->count == s->limit || (op->count > 0 && bytes > s->bytes_max)) {
            op->more = true;
            break;
        }
        append_varint(&op->value, entry->key.len);
        KVI_ASSERT(kvi_buf_append(&op->value, entry->key.data, entry->key.len) == KV_OK);
        append_varint(&op->value, entry->value.len);
        KVI_ASSERT(kvi_buf_append(&op->value, entry->value.data, entry->value.len) == KV_OK);
        op->count++;
    }
}

static void look(kvt_effects *e, kvt_op *op)
{
    kvi_slice value = {NULL, 0};

    if (op->kind == KVT_SCAN) {
        scan(e, op->what, op);
    } else {
        op->found = kvt_effects_get(e, ((kvi_store_read *)op->what)->key, &value);
        KVI_ASSERT(kvi_buf_set(&op->value, value.data, value.len) == KV_OK);
    }
}

/* --- asking ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, kvi_slice s)
{
    return kvi_hash64(s.data, s.len, hash + s.len);
}

static uint64_t fingerprint(enum kvt_effect kind, const void *what)
{
    const kvi_store_read *read = what;
    const kvi_store_write *write = what;
    const kvi_store_scan *page = what;
    uint64_t hash = kind;

    if (kind == KVT_READ)
        return mix(hash, read->key);
    if (kind == KVT_SCAN)
        return mix(mix(hash, page->from), page->to);
    for (uint32_t i = 0; kind == KVT_WRITE && i < write->count; i++)
        hash = mix(mix(hash + write->puts[i].remove, write->puts[i].key), write->puts[i].value);
    return hash;
}

static void ask(kvt_effects *e, enum kvt_effect kind, void *what)
{
    kvt_op *op;

    grow((void **)&e->ops, &e->op_cap, e->op_count, sizeof *e->ops);
    op = &e->ops[e->op_count++];
    memset(op, 0, sizeof *op);
    op->kind = kind;
    op->what = what;
    op->fingerprint = fingerprint(kind, what);
    kvi_buf_init(&op->value, &e->mem);
    e->asked++;
    if (e->closing) {
        op->err = KV_ECANCELED;
    } else if (e->fail_times > 0 && (e->fail_kinds & kind) && e->fail_after-- == 0) {
        op->err = e->fail_err;
        e->fail_after = 0;
        e->fail_times--;
    }
    op->early = (kind & (KVT_READ | KVT_SCAN)) && kvt_rng_below(&e->rng, 2) == 0;
    if (op->early && !op->err)
        look(e, op);
}

static void ask_read(kvi_effects *e, kvi_store_read *r)
{
    KVI_ASSERT(r->key.len > 0 && r->value && r->done);
    ask((kvt_effects *)e, KVT_READ, r);
}

static void ask_write(kvi_effects *e, kvi_store_write *w)
{
    KVI_ASSERT(w->count > 0 && w->done);
    for (uint32_t i = 0; i < w->count; i++) {
        KVI_ASSERT(w->puts[i].key.len > 0 && (!w->puts[i].remove || w->puts[i].value.len == 0));
        for (uint32_t j = 0; j < i && w->count < 100; j++)
            KVI_ASSERT(!kvi_slice_eq(w->puts[i].key, w->puts[j].key));
    }
    ask((kvt_effects *)e, KVT_WRITE, w);
}

static void ask_sync(kvi_effects *e, kvi_store_sync *s)
{
    KVI_ASSERT(s->done && s->seq <= ((kvt_effects *)e)->seq);
    ask((kvt_effects *)e, KVT_SYNC, s);
}

static void ask_scan(kvi_effects *e, kvi_store_scan *s)
{
    KVI_ASSERT(s->limit > 0 && s->entries && s->done);
    ask((kvt_effects *)e, KVT_SCAN, s);
}

/* --- completing ------------------------------------------------------------------------------ */

static void apply(kvt_effects *e, kvt_op *op)
{
    kvi_store_write *w = op->what;

    if (op->kind != KVT_WRITE || op->applied || op->err)
        return;
    KVI_ASSERT(op->fingerprint == fingerprint(op->kind, op->what));
    op->applied = true;
    w->seq = ++e->seq;
    for (uint32_t i = 0; i < w->count; i++)
        change(e, w->puts[i].key, w->puts[i].value, w->puts[i].remove);
}

static void complete_read(kvt_effects *e, kvt_op *op)
{
    kvi_store_read *r = op->what;

    if (!op->err && !op->early)
        look(e, op);
    r->err = op->err ? op->err : op->found ? KV_OK : KV_ENOTFOUND;
    if (!op->err && kvi_buf_set(r->value, op->value.data, op->value.len))
        r->err = KV_ENOMEM;
}

static void complete_scan(kvt_effects *e, kvt_op *op)
{
    kvi_store_scan *s = op->what;

    if (!op->err && !op->early)
        look(e, op);
    s->err = op->err;
    s->count = op->count;
    s->more = op->more;
    if (!op->err && kvi_buf_set(s->entries, op->value.data, op->value.len))
        s->err = KV_ENOMEM;
}

/* It is no longer pending when it is told. */
static void tell(kvt_effects *e, kvt_op op)
{
    KVI_ASSERT(op.fingerprint == fingerprint(op.kind, op.what));
    if (op.kind == KVT_READ) {
        complete_read(e, &op);
        kvi_buf_deinit(&op.value);
        ((kvi_store_read *)op.what)->done(op.what);
    } else if (op.kind == KVT_SCAN) {
        complete_scan(e, &op);
        kvi_buf_deinit(&op.value);
        ((kvi_store_scan *)op.what)->done(op.what);
    } else if (op.kind == KVT_WRITE) {
        ((kvi_store_write *)op.what)->err = op.err;
        ((kvi_store_write *)op.what)->done(op.what);
    } else {
        kvi_store_sync *s = op.what;

        s->err = op.err;
        if (!op.err && s->seq > e->durable)
            e->durable = s->seq;
        s->done(s);
    }
}

bool kvt_effects_step(kvt_effects *e)
{
    size_t at;
    kvt_op op;

    if (e->op_count == 0)
        return false;
    at = (size_t)kvt_rng_below(&e->rng, e->op_count);
    if (e->ops[at].kind == KVT_WRITE && !e->ops[at].err) {
        for (size_t i = 0; i <= at; i++)
            apply(e, &e->ops[i]);
    }
    op = e->ops[at];
    e->op_count--;
    if (e->ops[e->op_count].kind != KVT_WRITE) /* only writes have an order */
        e->ops[at] = e->ops[e->op_count];
    else
        memmove(&e->ops[at], &e->ops[at + 1], (e->op_count - at) * sizeof *e->ops);
    tell(e, op);
    return true;
}

void kvt_effects_run(kvt_effects *e)
{
    for (size_t i = 0; kvt_effects_step(e); i++)
        KVI_ASSERT(i < 100000000);
}

void kvt_effects_fail(kvt_effects *e, unsigned kinds, size_t after, size_t times, int err)
{
    e->fail_kinds = kinds;
    e->fail_after = after;
    e->fail_times = times;
    e->fail_err = err;
}

void kvt_effects_cancel(kvt_effects *e)
{
    e->closing = true;
    for (size_t i = 0; i < e->op_count; i++) {
        if (!e->ops[i].applied)
            e->ops[i].err = KV_ECANCELED;
    }
    kvt_effects_run(e);
}

void kvt_effects_reopen(kvt_effects *e)
{
    uint64_t keep = e->durable + kvt_rng_below(&e->rng, e->seq - e->durable + 1);
    size_t kept = 0;

    KVI_ASSERT(e->op_count == 0);
    while (e->entry_count > 0)
        set_entry(e, e->entries[0].key, e->entries[0].value, true);
    for (size_t i = 0; i < e->log_count; i++) {
        kvt_change *c = &e->log[i];

        if (c->seq <= keep) {
            set_entry(e, c->key, c->value, c->remove);
            kept++;
        } else {
            drop(c->key);
            drop(c->value);
        }
    }
    e->log_count = kept;
    e->seq = e->durable = keep;
    e->closing = false;
    e->cluster.open_id += 1000;
    e->cluster.next_birth = 0;
    memset(e->cluster.birth_floors, 0, sizeof e->cluster.birth_floors);
}

/* --- messages -------------------------------------------------------------------------------- */

static void note(kvi_effects *port, uint64_t node, const kvi_wire_message *m)
{
    kvt_effects *e = (kvt_effects *)port;
    kvi_wire_header header;
    kvi_wire_reader reader;
    kvt_sent *s;

    grow((void **)&e->sent, &e->sent_cap, e->sent_count, sizeof *e->sent);
    s = &e->sent[e->sent_count++];
    s->to = node;
    memset(&header, 0, sizeof header);
    header.uuid[0] = 1;
    header.from_node = e->cluster.self;
    header.from_open = e->cluster.open_id;
    kvi_buf_init(&s->bytes, &e->mem);
    KVI_ASSERT(kvi_wire_begin(&s->bytes, &header) == KV_OK);
    KVI_ASSERT(kvi_wire_add(&s->bytes, m) == KV_OK);
    kvi_wire_finish(&s->bytes);
    KVI_ASSERT(kvi_wire_open(kvi_buf_slice(&s->bytes), &header, &reader) == KV_OK);
    KVI_ASSERT(kvi_wire_next(&reader, &s->m) == KV_OK);
}

static void note_line(kvi_effects *port, int level, const char *message)
{
    (void)level;
    KVI_ASSERT(message && *message);
    ((kvt_effects *)port)->logged++;
}

const kvt_sent *kvt_effects_last(const kvt_effects *e, uint64_t to, enum kvi_wire_kind kind)
{
    for (size_t i = e->sent_count; i-- > 0;) {
        if (e->sent[i].to == to && e->sent[i].m.kind == kind)
            return &e->sent[i];
    }
    return NULL;
}

void kvt_effects_forget_sent(kvt_effects *e)
{
    for (size_t i = 0; i < e->sent_count; i++)
        kvi_buf_deinit(&e->sent[i].bytes);
    e->sent_count = 0;
}

/* --- the cluster ----------------------------------------------------------------------------- */

static bool reachable(void *user, uint64_t node)
{
    const kvt_effects *e = user;

    for (uint32_t i = 0; i < e->unreachable_count; i++) {
        if (e->unreachable[i] == node)
            return false;
    }
    return true;
}

void kvt_effects_reachable(kvt_effects *e, uint64_t node, bool is)
{
    if (reachable(e, node) == is)
        return;
    if (!is) {
        KVI_ASSERT(e->unreachable_count < KVT_NODES_MAX);
        e->unreachable[e->unreachable_count++] = node;
        return;
    }
    for (uint32_t i = 0; i < e->unreachable_count; i++) {
        if (e->unreachable[i] == node)
            e->unreachable[i] = e->unreachable[--e->unreachable_count];
    }
}

static uint64_t open_id_of(void *user, uint64_t node)
{
    (void)user;
    return 100 + node;
}

static void want_serving(void *user)
{
    (void)user;
}

void kvt_effects_ring(kvt_effects *e, uint32_t nodes, unsigned bits, uint8_t n)
{
    kvi_ring_params params;
    kvi_ring *ring = NULL, *next = NULL;

    memset(&params, 0, sizeof params);
    params.uuid[0] = 1;
    params.token_seed = 7;
    params.secret[0] = 1;
    params.secret[1] = 2;
    params.bits = (uint8_t)bits;
    params.policy.n = n;
    params.policy.r = params.policy.w = 1;
    params.policy.mode = 1;
    params.policy.conflict = 1;
    params.first.weight = 1;
    params.first.zone = "";
    params.first.address = "1";
    params.first.node_id = 1;
    KVI_ASSERT(kvi_ring_create(&e->mem, &params, &ring) == KV_OK);
    for (uint32_t i = 2; i <= nodes; i++) {
        kvi_ring_member member = params.first;

        member.node_id = i;
        KVI_ASSERT(kvi_ring_join(ring, &member, &next) == KV_OK && next);
        kvi_ring_free(ring);
        ring = next;
    }
    KVI_ASSERT(kvi_ring_serve(ring, &next) == KV_OK && next);
    kvi_ring_free(ring);
    kvi_ring_free((kvi_ring *)(uintptr_t)e->cluster.ring);
    e->cluster.ring = next;
}

void kvt_effects_init(kvt_effects *e, uint64_t seed)
{
    static const struct kvi_effects_ops ops = {.send = note,
                                               .read = ask_read,
                                               .write = ask_write,
                                               .sync = ask_sync,
                                               .scan = ask_scan,
                                               .log = note_line};
    kvi_cluster *c = &e->cluster;

    memset(e, 0, sizeof *e);
    kvi_mem_init(&e->mem, NULL);
    kvt_rng_init(&e->rng, seed);
    e->port.ops = &ops;
    c->self = 1;
    c->open_id = 101;
    c->now_ns = 1000000000;
    c->wall_ms = 1000000000;
    c->logged = true;
    c->why = "it is only a test";
    c->durability = KV_DISK;
    c->value_max = (size_t)1 << 20;
    c->batch_max = (size_t)1 << 20;
    kvi_rng_init(&c->rng, seed);
    c->user = e;
    c->reachable = reachable;
    c->open_id_of = open_id_of;
    c->want_serving = want_serving;
}

void kvt_effects_deinit(kvt_effects *e)
{
    KVI_ASSERT(e->op_count == 0);
    for (size_t i = 0; i < e->entry_count; i++) {
        drop(e->entries[i].key);
        drop(e->entries[i].value);
    }
    for (size_t i = 0; i < e->log_count; i++) {
        drop(e->log[i].key);
        drop(e->log[i].value);
    }
    kvt_effects_forget_sent(e);
    kvi_ring_free((kvi_ring *)(uintptr_t)e->cluster.ring);
    free(e->entries);
    free(e->log);
    free(e->ops);
    free(e->sent);
}
