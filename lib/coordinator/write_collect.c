/*
 * What a delete without a context has to see first: the versions that r replicas hold; see write.h.
 *
 * Where they hold nothing, nothing is written, and the delete has done what it says. A tombstone
 * would do nothing: it replaces what its context covers, and this context is empty. A write that
 * was acknowledged before and is not seen here (r + w is not above n, or a stand-in has it) would
 * stand beside such a tombstone as it does without; one that is still on its way is concurrent, and
 * neither order of the two is wrong. Where anything was seen, were it tombstones only, the delete
 * is written to w replicas: another one may still hold what these replaced. Last-write-wins deletes
 * collect nothing and are always written: their stamp wins over what was not seen.
 */
#include "base/error.h"
#include "coordinator/write.h"

bool kvi_writer_must_collect(const kvi_writer *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->items[i].collect)
            return true;
    return false;
}

static void collected(void *user, const kvi_read_result *result)
{
    kvi_writer_item *item = user;
    kvi_writer *w = item->writer;
    int err = result->err;

    KVI_ASSERT(w->reads > 0);
    w->reads--;
    if (!err)
        err = kvi_object_context(result->merged, &item->seen);
    if (err) {
        w->collect_err = w->collect_err ? w->collect_err : err;
    } else {
        item->collected = true;
        item->nothing = kvi_object_empty(result->merged);
        w->collect_acks = result->answered;
        w->collect_primaries = result->primaries;
    }
    kvi_job_wake(&w->job, w->job.c->cluster->now_ns);
}

static int begin_read(kvi_writer *w, kvi_writer_item *item)
{
    kvi_read_ask ask = {0};
    kvi_job *job;
    int err;

    ask.space = item->space;
    ask.key = item->key;
    ask.r = w->ask.r;
    ask.flags = w->ask.flags;
    ask.deadline_ns = w->deadline_ns;
    ask.told = collected;
    ask.user = item;
    err = kvi_reader_begin(w->job.c, &ask, &job);
    w->reads += !err;
    return err;
}

/* Leaves out what is not there. */
static void settle(kvi_writer *w)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < w->count; i++) {
        kvi_writer_item *item = &w->items[i];

        if (item->collected && item->nothing)
            kvi_clock_deinit(&item->seen);
        else
            w->items[kept++] = *item;
    }
    w->count = kept;
}

bool kvi_writer_collect(kvi_writer *w)
{
    while (w->collect_next < w->count && w->reads < KVI_WRITER_COLLECTS && !w->collect_err) {
        kvi_writer_item *item = &w->items[w->collect_next++];

        if (item->collect)
            w->collect_err = begin_read(w, item);
    }
    if (w->reads > 0)
        return false;
    if (!w->collect_err && w->ask.op == KVI_WIRE_DELETE && w->items[0].nothing)
        w->collect_err =
            kvi_seal(w->job.c, w->items[0].space, w->items[0].key, &w->items[0].seen, &w->made);
    if (!w->collect_err)
        settle(w);
    return true;
}
