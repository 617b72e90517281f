/*
 * The payloads of manifest records; see the header for the contract.
 */
#include "lsm/manifest_record.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

/* --- encoding ----------------------------------------------------------------------------- */

typedef struct encoder {
    kvi_buf *out;
    size_t start; /* of the payload in out */
    uint32_t count;
} encoder;

/* Begins a field that takes at most room bytes behind its id; *p: where they go. */
static int begin_field(encoder *w, enum kvi_manifest_field id, size_t room, uint8_t **p)
{
    int err;

    if (w->out->len - w->start + 1 + room > KVI_JOURNAL_PAYLOAD_MAX)
        return kvi_error_set(KV_ETOOBIG, "a manifest record of more than %" PRIu32 " bytes",
                             KVI_JOURNAL_PAYLOAD_MAX);
    err = kvi_buf_reserve(w->out, 1 + room);
    if (err)
        return err;
    *p = w->out->data + w->out->len;
    *(*p)++ = (uint8_t)id;
    w->count++;
    return KV_OK;
}

static void end_field(encoder *w, const uint8_t *p)
{
    w->out->len = (size_t)(p - w->out->data);
    KVI_ASSERT(w->out->len <= w->out->cap);
}

static int put_number(encoder *w, enum kvi_manifest_field id, uint64_t number)
{
    uint8_t *p;
    int err;

    if (number == 0)
        return KV_OK;
    err = begin_field(w, id, 8, &p);
    if (err)
        return err;
    kvi_put_u64(p, number);
    end_field(w, p + 8);
    return KV_OK;
}

static int put_store(encoder *w, const kvi_lsm_store *store)
{
    uint8_t *p;
    int err = begin_field(w, KVI_MANIFEST_STORE, 17, &p);

    if (err)
        return err;
    *p = store->layout;
    kvi_put_u64(p + 1, store->filter_seed);
    kvi_put_u64(p + 9, store->context_seed);
    end_field(w, p + 17);
    return KV_OK;
}

static uint8_t *put_key(uint8_t *p, kvi_slice key)
{
    p = kvi_put_varint(p, key.len);
    memcpy(p, key.data, key.len);
    return p + key.len;
}

static int put_add(encoder *w, uint32_t level, const kvi_lsm_file *f)
{
    size_t room = 1 + 8 * KVI_VARINT64_MAX + f->smallest.len + f->largest.len;
    uint8_t *p;
    int err = begin_field(w, KVI_MANIFEST_ADD, room, &p);

    if (err)
        return err;
    *p++ = (uint8_t)level;
    p = kvi_put_varint(p, f->number);
    p = kvi_put_varint(p, f->size);
    p = kvi_put_varint(p, f->entries);
    p = kvi_put_varint(p, f->deletes);
    p = kvi_put_varint(p, f->seq_min);
    p = kvi_put_varint(p, f->seq_max);
    p = put_key(p, f->smallest);
    end_field(w, put_key(p, f->largest));
    return KV_OK;
}

static int put_remove(encoder *w, uint32_t level, uint64_t number)
{
    uint8_t *p;
    int err = begin_field(w, KVI_MANIFEST_REMOVE, 1 + KVI_VARINT64_MAX, &p);

    if (err)
        return err;
    *p++ = (uint8_t)level;
    end_field(w, kvi_put_varint(p, number));
    return KV_OK;
}

static int put_numbers(encoder *w, uint64_t flushed_seq, uint64_t log_floor, uint64_t next_file)
{
    int err = put_number(w, KVI_MANIFEST_FLUSHED, flushed_seq);

    if (!err)
        err = put_number(w, KVI_MANIFEST_LOG_FLOOR, log_floor);
    if (!err)
        err = put_number(w, KVI_MANIFEST_NEXT_FILE, next_file);
    return err;
}

int kvi_lsm_manifest_encode_edit(const kvi_lsm_edit *e, kvi_buf *out, uint32_t *count)
{
    encoder w = {out, out->len, 0};
    int err = put_numbers(&w, e->flushed_seq, e->log_floor, e->next_file);

    for (uint32_t i = 0; i < e->remove_count && !err; i++)
        err = put_remove(&w, e->removes[i].level, e->removes[i].number);
    for (uint32_t i = 0; i < e->add_count && !err; i++)
        err = put_add(&w, e->adds[i].level, e->adds[i].file);
    if (!err)
        *count = w.count;
    return err;
}

int kvi_lsm_manifest_encode_state(const kvi_lsm_state *s, kvi_buf *out, uint32_t *count)
{
    encoder w = {out, out->len, 0};
    int err = put_store(&w, &s->store);

    if (!err)
        err = put_numbers(&w, s->flushed_seq, s->log_floor, s->next_file);
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < s->version->level[level].count && !err; i++)
            err = put_add(&w, level, s->version->level[level].files[i]);
    if (!err)
        *count = w.count;
    return err;
}

/* --- decoding ----------------------------------------------------------------------------- */

typedef struct decoder {
    const uint8_t *p, *end;
    uint32_t field; /* from 1 */
    const kvi_mem *mem;
    kvi_lsm_obsolete_fn *on_obsolete;
    void *user;
    kvi_lsm_manifest_record *out;
} decoder;

static int corrupt(const decoder *r, const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "field %" PRIu32 ": %s", r->field, why);
}

static int truncated(const decoder *r)
{
    return corrupt(r, "it is malformed or passes the end of the record");
}

static int get_number(decoder *r, uint64_t max, uint64_t *number)
{
    uint64_t value;

    if (r->end - r->p < 8)
        return truncated(r);
    value = kvi_get_u64(r->p);
    if (value == 0 || value > max)
        return corrupt(r, "its number is out of range");
    if (*number != 0)
        return corrupt(r, "it comes a second time");
    *number = value;
    r->p += 8;
    return KV_OK;
}

static int get_store(decoder *r)
{
    kvi_lsm_store *store = &r->out->store;

    if (r->end - r->p < 17)
        return truncated(r);
    if (r->out->has_store)
        return corrupt(r, "it comes a second time");
    r->out->has_store = true;
    store->layout = r->p[0];
    store->filter_seed = kvi_get_u64(r->p + 1);
    store->context_seed = kvi_get_u64(r->p + 9);
    r->p += 17;
    return KV_OK;
}

static int get_level(decoder *r, uint32_t *level)
{
    if (r->p == r->end)
        return truncated(r);
    *level = *r->p++;
    return *level < KVI_LSM_LEVELS ? KV_OK : corrupt(r, "there is no such level");
}

static int get_varint(decoder *r, uint64_t *value)
{
    const uint8_t *p = kvi_get_varint64(r->p, r->end, value);

    if (!p)
        return truncated(r);
    r->p = p;
    return KV_OK;
}

static int get_key(decoder *r, kvi_slice *key)
{
    uint64_t len;
    int err = get_varint(r, &len);

    if (err)
        return err;
    if (len > (size_t)(r->end - r->p))
        return truncated(r);
    *key = kvi_slice_of(r->p, (size_t)len);
    r->p += (size_t)len;
    return KV_OK;
}

static int get_add(decoder *r)
{
    kvi_lsm_file_info info;
    uint64_t *const numbers[] = {&info.number,  &info.size,    &info.entries,
                                 &info.deletes, &info.seq_min, &info.seq_max};
    const char *fault;
    kvi_lsm_file *f;
    uint32_t level;
    int err = get_level(r, &level);

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && !err; i++)
        err = get_varint(r, numbers[i]);
    if (!err)
        err = get_key(r, &info.smallest);
    if (!err)
        err = get_key(r, &info.largest);
    if (err)
        return err;
    fault = kvi_lsm_file_info_fault(&info);
    if (fault)
        return kvi_error_set(KV_ECORRUPT, "field %" PRIu32 ": table %" PRIu64 ": %s", r->field,
                             info.number, fault);
    f = kvi_lsm_file_new(r->mem, &info, r->on_obsolete, r->user);
    if (!f)
        return kvi_error_set(KV_ENOMEM, "no memory for table %06" PRIu64 ".sst", info.number);
    return kvi_lsm_edit_add(&r->out->edit, level, f);
}

static int get_remove(decoder *r)
{
    uint64_t number;
    uint32_t level;
    int err = get_level(r, &level);

    if (!err)
        err = get_varint(r, &number);
    return err ? err : kvi_lsm_edit_remove(&r->out->edit, level, number);
}

static int get_field(decoder *r)
{
    kvi_lsm_edit *e = &r->out->edit;
    uint8_t id = *r->p++;

    switch (id) {
    case KVI_MANIFEST_STORE:
        return get_store(r);
    case KVI_MANIFEST_FLUSHED:
        return get_number(r, KVI_SEQ_MAX, &e->flushed_seq);
    case KVI_MANIFEST_LOG_FLOOR:
        return get_number(r, KVI_LSM_FILE_NO_MAX, &e->log_floor);
    case KVI_MANIFEST_NEXT_FILE:
        return get_number(r, KVI_LSM_FILE_NO_MAX, &e->next_file);
    case KVI_MANIFEST_ADD:
        return get_add(r);
    case KVI_MANIFEST_REMOVE:
        return get_remove(r);
    default:
        return kvi_error_set(KV_EFORMAT,
                             "field %" PRIu32 " is of kind %u, which this library does not know; "
                             "use a newer one",
                             r->field, id);
    }
}

int kvi_lsm_manifest_decode(const kvi_mem *mem, kvi_slice payload, uint32_t count,
                            kvi_lsm_obsolete_fn *on_obsolete, void *user,
                            kvi_lsm_manifest_record *out)
{
    kvi_lsm_manifest_record record = {.has_store = false};
    const uint8_t *bytes = kvi_slice_bytes(payload);
    decoder r = {bytes, bytes + payload.len, 0, mem, on_obsolete, user, &record};
    int err = KV_OK;

    KVI_ASSERT(payload.len > 0);
    kvi_lsm_edit_init(&record.edit, mem);
    while (r.p < r.end && !err) {
        r.field++;
        err = get_field(&r);
    }
    if (!err && r.field != count)
        err = kvi_error_set(KV_ECORRUPT, "it has %" PRIu32 " fields and says %" PRIu32, r.field,
                            count);
    if (err) {
        kvi_lsm_edit_deinit(&record.edit);
        return err;
    }
    *out = record;
    return KV_OK;
}
