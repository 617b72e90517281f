/*
 * READ and SCAN: what this replica has is told as it is. An error is told as an error; nothing that
 * could not be read is left out in silence.
 */
#include "base/check.h"
#include "base/error.h"
#include "replication/key.h"
#include "replication/page.h"
#include "replication/replication_impl.h"

typedef struct read_job {
    kvi_replication *replication;
    uint64_t from, id;
    bool digest;
    kvi_buf key, value;
    kvi_store_read read;
} read_job;

typedef struct scan_job {
    kvi_replication *replication;
    uint64_t from, id;
    uint32_t space;
    kvi_buf begin, end, page, entries;
    kvi_store_scan scan;
} scan_job;

static int check_room(const kvi_replication *r)
{
    if (!r->cluster->ring)
        return kvi_error_set(KV_EUNAVAILABLE, "this node has no ring yet");
    if (r->jobs >= KVI_REPLICA_JOBS_MAX)
        return kvi_error_set(KV_EBUSY, "%u requests of other nodes are under way",
                             (unsigned)r->jobs);
    return KV_OK;
}

/* --- READ ------------------------------------------------------------------------------------ */

static void free_read(read_job *job)
{
    job->replication->jobs--;
    kvi_buf_deinit(&job->key);
    kvi_buf_deinit(&job->value);
    kvi_mem_free(job->replication->mem, job);
}

/* found: empty where there is nothing. */
static void answer_read(kvi_replication *r, uint64_t to, uint64_t id, int err, bool digest,
                        kvi_slice found)
{
    kvi_wire_message m;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_READ_ANSWER;
    m.u.read_answer.id = id;
    m.u.read_answer.err = err;
    m.u.read_answer.holds = KVI_WIRE_HOLDS_NONE;
    if (!err && found.len > 0 && digest) {
        m.u.read_answer.holds = KVI_WIRE_HOLDS_DIGEST;
        m.u.read_answer.digest = kvi_object_digest(found);
    } else if (!err && found.len > 0) {
        m.u.read_answer.holds = KVI_WIRE_HOLDS_OBJECT;
        m.u.read_answer.object = found;
    }
    r->effects->ops->send(r->effects, to, &m);
}

static void read_done(kvi_store_read *read)
{
    read_job *job = KVI_CONTAINER_OF(read, read_job, read);
    kvi_slice found = kvi_buf_slice(&job->value);
    int err = read->err;

    if (err == KV_ENOTFOUND) {
        found.len = 0;
        err = KV_OK;
    } else if (!err && found.len == 0) {
        err = kvi_error_set(KV_ECORRUPT, "an object in the store has no bytes");
    }
    answer_read(job->replication, job->from, job->id, err, job->digest, found);
    free_read(job);
}

static int begin_read(kvi_replication *r, uint64_t from, const kvi_wire_read *m)
{
    int err = check_room(r);
    read_job *job;

    if (err)
        return err;
    if (!kvi_key_holds_data(m->space) || (m->flags & ~(unsigned)KVI_WIRE_READ_DIGEST) ||
        m->key.len == 0 || kvi_ring_token(r->cluster->ring, m->key) != m->token)
        return kvi_error_set(KV_EINVAL, "a READ of no space of data, of unknown flags or of a "
                                        "token that is not its key's");
    job = kvi_mem_zalloc(r->mem, 1, sizeof *job);
    if (!job)
        return kvi_error_set(KV_ENOMEM, "cannot allocate what a READ needs");
    r->jobs++;
    job->replication = r;
    job->from = from;
    job->id = m->id;
    job->digest = (m->flags & KVI_WIRE_READ_DIGEST) != 0;
    kvi_buf_init(&job->key, r->mem);
    kvi_buf_init(&job->value, r->mem);
    err = kvi_key_data(&job->key, m->space, m->token, m->key);
    if (err) {
        free_read(job);
        return err;
    }
    job->read.key = kvi_buf_slice(&job->key);
    job->read.value = &job->value;
    job->read.done = read_done;
    r->effects->ops->read(r->effects, &job->read);
    return KV_OK;
}

void kvi_answer_read(kvi_replication *r, uint64_t from, const kvi_wire_read *m)
{
    int err = begin_read(r, from, m);

    if (err)
        answer_read(r, from, m->id, err, false, kvi_slice_of(NULL, 0));
}

/* --- SCAN ------------------------------------------------------------------------------------ */

static void free_scan(scan_job *job)
{
    job->replication->jobs--;
    kvi_buf_deinit(&job->begin);
    kvi_buf_deinit(&job->end);
    kvi_buf_deinit(&job->page);
    kvi_buf_deinit(&job->entries);
    kvi_mem_free(job->replication->mem, job);
}

static void answer_scan(kvi_replication *r, uint64_t to, uint64_t id, int err, bool more,
                        kvi_wire_items items)
{
    kvi_wire_message m;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_SCAN_ANSWER;
    m.u.scan_answer.id = id;
    m.u.scan_answer.err = err;
    if (!err) {
        m.u.scan_answer.more = more;
        m.u.scan_answer.items = items;
    }
    r->effects->ops->send(r->effects, to, &m);
}

int kvi_page_entries(const kvi_buf *entries, uint32_t count, uint32_t space, kvi_buf *items)
{
    kvi_page page;
    kvi_slice physical, value;
    int err = KV_OK;

    kvi_page_begin(&page, entries, count);
    while (!err && kvi_page_next(&page, &physical, &value)) {
        kvi_wire_entry entry = {0, {NULL, 0}, value};
        uint32_t of = 0;

        err = kvi_key_parse_data(physical, &of, &entry.token, &entry.key);
        if (!err && (of != space || value.len == 0))
            err = kvi_error_set(KV_ECORRUPT, "an object in the store has no bytes");
        if (!err)
            err = kvi_wire_entries_put(items, &entry);
    }
    return err;
}

static void scan_done(kvi_store_scan *scan)
{
    scan_job *job = KVI_CONTAINER_OF(scan, scan_job, scan);
    int err = scan->err;
    kvi_wire_items items = {scan->count, {NULL, 0}};

    if (!err)
        err = kvi_page_entries(&job->page, scan->count, job->space, &job->entries);
    items.bytes = kvi_buf_slice(&job->entries);
    answer_scan(job->replication, job->from, job->id, err, scan->more, items);
    free_scan(job);
}

static int begin_scan(kvi_replication *r, uint64_t from, const kvi_wire_scan *m)
{
    int err = check_room(r);
    scan_job *job;

    if (err)
        return err;
    if (!kvi_key_holds_data(m->space) || m->token_from > m->token_to || m->limit == 0)
        return kvi_error_set(KV_EINVAL, "a SCAN of no space of data, backwards or of no entries");
    job = kvi_mem_zalloc(r->mem, 1, sizeof *job);
    if (!job)
        return kvi_error_set(KV_ENOMEM, "cannot allocate what a SCAN needs");
    r->jobs++;
    job->replication = r;
    job->from = from;
    job->id = m->id;
    job->space = m->space;
    kvi_buf_init(&job->begin, r->mem);
    kvi_buf_init(&job->end, r->mem);
    kvi_buf_init(&job->page, r->mem);
    kvi_buf_init(&job->entries, r->mem);
    err = kvi_key_range(&job->begin, &job->end, m->space, m->token_from, m->key_after, m->token_to);
    if (err) {
        free_scan(job);
        return err;
    }
    job->scan.from = kvi_buf_slice(&job->begin);
    job->scan.to = kvi_buf_slice(&job->end);
    job->scan.limit = m->limit < KVI_SCAN_LIMIT_MAX ? m->limit : KVI_SCAN_LIMIT_MAX;
    job->scan.bytes_max = m->bytes < KVI_SCAN_BYTES_MAX ? m->bytes : KVI_SCAN_BYTES_MAX;
    job->scan.entries = &job->page;
    job->scan.done = scan_done;
    r->effects->ops->scan(r->effects, &job->scan);
    return KV_OK;
}

void kvi_answer_scan(kvi_replication *r, uint64_t from, const kvi_wire_scan *m)
{
    kvi_wire_items none = {0, {NULL, 0}};
    int err = begin_scan(r, from, m);

    if (err)
        answer_scan(r, from, m->id, err, false, none);
}
