/*
 * What clients hold as contexts (vclock/context.h), sealed and opened for a key; see impl.h.
 */
#include "coordinator/impl.h"
#include "replication/key.h"
#include "vclock/context.h"

/* What a context is bound to. */
static int physical_of(const kvi_coordinator *c, uint32_t space, kvi_slice key, kvi_buf *out)
{
    return kvi_key_data(out, space, kvi_ring_token(c->cluster->ring, key), key);
}

int kvi_seal(const kvi_coordinator *c, uint32_t space, kvi_slice key, const kvi_clock *seen,
             kvi_buf *out)
{
    kvi_buf physical;
    int err;

    kvi_buf_init(&physical, c->mem);
    err = physical_of(c, space, key, &physical);
    kvi_buf_clear(out);
    if (!err)
        err = kvi_context_seal(seen, kvi_ring_secret(c->cluster->ring), kvi_buf_slice(&physical),
                               out);
    kvi_buf_deinit(&physical);
    return err;
}

int kvi_seal_object(const kvi_coordinator *c, uint32_t space, kvi_slice key, const kvi_object *o,
                    kvi_buf *out)
{
    kvi_clock seen;
    int err;

    kvi_buf_clear(out);
    kvi_clock_init(&seen, c->mem);
    err = kvi_object_context(o, &seen);
    if (!err)
        err = kvi_seal(c, space, key, &seen, out);
    kvi_clock_deinit(&seen);
    return err;
}

int kvi_unseal(const kvi_coordinator *c, uint32_t space, kvi_slice key, kvi_slice context,
               kvi_clock *seen)
{
    kvi_buf physical;
    int err;

    kvi_buf_init(&physical, c->mem);
    err = physical_of(c, space, key, &physical);
    if (!err)
        err = kvi_context_open(context, kvi_ring_secret(c->cluster->ring), kvi_buf_slice(&physical),
                               seen);
    kvi_buf_deinit(&physical);
    return err;
}
