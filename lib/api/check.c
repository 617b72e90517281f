/*
 * What every call asks of its arguments; see the header for the contract.
 */
#include "api/check.h"

#include "base/error.h"
#include "vclock/context.h"

int kvi_api_check_store(const kvi_api_store *s)
{
    if (KVI_UNLIKELY(kvi_os_forked(&s->fork)))
        return kvi_error_set(
            KV_EFORK,
            "the store was opened by the parent of this process; the child opens its own");
    return KV_OK;
}

int kvi_api_check_handle(const kv *db)
{
    int err = kvi_api_check_given(db, "the handle");

    return err ? err : kvi_api_check_store(db->store);
}

int kvi_api_check_waits(const kv *db)
{
    int err = kvi_api_check_handle(db);

    return err ? err : kvi_api_check_outside(db->store);
}

int kvi_api_check_given(const void *p, const char *name)
{
    return p ? KV_OK : kvi_error_set(KV_EINVAL, "%s is NULL", name);
}

int kvi_api_check_struct(const char *name, uint32_t size, size_t known_size, uint32_t flags,
                         uint32_t known_flags)
{
    if (size != known_size)
        return kvi_error_set(KV_EINVAL,
                             "%s.size is %u, not %zu: set it by the struct's initializer", name,
                             (unsigned)size, known_size);
    if (flags & ~known_flags)
        return kvi_error_set(KV_EINVAL, "%s.flags has 0x%x, which is not defined", name,
                             (unsigned)(flags & ~known_flags));
    return KV_OK;
}

int kvi_api_check_reserved(const uint8_t *reserved, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++)
        if (reserved[i] != 0)
            return kvi_error_set(KV_EINVAL, "%s[%zu] is %u, not 0", name, i, reserved[i]);
    return KV_OK;
}

int kvi_api_check_key(kvi_slice key)
{
    if (KVI_UNLIKELY(!key.data))
        return kvi_error_set(KV_EINVAL, "key is NULL");
    if (KVI_UNLIKELY(key.len == 0))
        return kvi_error_set(KV_EINVAL, "key is empty");
    if (KVI_UNLIKELY(key.len > KVI_API_KEY_MAX))
        return kvi_error_set(KV_ETOOBIG, "key of %zu bytes is over the limit of %u", key.len,
                             KVI_API_KEY_MAX);
    return KV_OK;
}

int kvi_api_check_value(const kvi_api_store *s, kvi_slice value)
{
    if (KVI_UNLIKELY(!value.data && value.len > 0))
        return kvi_error_set(KV_EINVAL, "value is NULL, its length %zu", value.len);
    if (KVI_UNLIKELY(value.len > s->value_max))
        return kvi_error_set(KV_ETOOBIG, "value of %zu bytes is over this store's limit of %zu",
                             value.len, s->value_max);
    return KV_OK;
}

int kvi_api_check_bound(kvi_slice bound, const char *name)
{
    if (!bound.data && bound.len > 0)
        return kvi_error_set(KV_EINVAL, "%s is NULL, its length %zu", name, bound.len);
    if (bound.len > KVI_API_KEY_MAX)
        return kvi_error_set(KV_ETOOBIG, "%s of %zu bytes is over the limit of %u", name, bound.len,
                             KVI_API_KEY_MAX);
    return KV_OK;
}

int kvi_api_check_snapshot(const kvi_api_store *s, const kv_snap *snap, const char *name)
{
    if (snap && snap->store != s)
        return kvi_error_set(KV_EINVAL, "%s is of another store", name);
    return KV_OK;
}

int kvi_api_check_ttl(uint64_t ttl_ms, const char *name)
{
    if (ttl_ms > KV_TTL_MAX && ttl_ms != KV_TTL_NONE)
        return kvi_error_set(KV_EINVAL, "%s is %llu, over the limit of %llu", name,
                             (unsigned long long)ttl_ms, (unsigned long long)KV_TTL_MAX);
    return KV_OK;
}

static int check_durability(const kvi_api_store *s, uint8_t durability)
{
    if (durability > KV_DISK)
        return kvi_error_set(KV_EINVAL, "kv_op.durability is %u, which is not defined", durability);
    if (durability == KV_MEMORY && kvi_api_logged(s))
        return kvi_error_set(
            KV_EINVAL,
            "kv_op.durability is KV_MEMORY, which is for whole stores (kv_options.durability)");
    if (durability > KV_MEMORY && !kvi_api_logged(s))
        return kvi_error_set(KV_ENOTSUP, "kv_op.durability asks for more than KV_MEMORY, but the "
                                         "store was opened without a log");
    return KV_OK;
}

/** Fields that this call has no use for are not silently passed over. */
static int check_unknown_fields(const kv_op *op, unsigned known)
{
    const char *field = NULL;

    if (op->durability != KV_DEFAULT && !(known & KVI_API_OP_DURABILITY))
        field = "durability";
    else if (op->condition != KV_ALWAYS && !(known & KVI_API_OP_CONDITION))
        field = "condition";
    else if (op->context.len > 0 && !(known & KVI_API_OP_CONDITION))
        field = "context";
    else if (op->ttl_ms != 0 && !(known & KVI_API_OP_TTL))
        field = "ttl_ms";
    else if (op->snapshot && !(known & KVI_API_OP_SNAPSHOT))
        field = "snapshot";
    else if (op->r != 0 && !(known & KVI_API_OP_R))
        field = "r";
    else if (op->w != 0 && !(known & KVI_API_OP_W))
        field = "w";
    else if (op->timeout_ms != 0 && !(known & KVI_API_OP_TIMEOUT))
        field = "timeout_ms";
    else if ((op->flags & KV_PRIMARIES_ONLY) && !(known & KVI_API_OP_TIMEOUT))
        field = "flags (KV_PRIMARIES_ONLY)";
    else if ((op->flags & KV_OVERWRITE) && !(known & KVI_API_OP_OVERWRITE))
        field = "flags (KV_OVERWRITE)";
    return field ? kvi_error_set(KV_EINVAL, "kv_op.%s has no meaning for this call", field) : KV_OK;
}

/** What makes sense in a placed store alone. */
static int check_for_ordered(const kv_op *op)
{
    const char *field = op->r ? "r" : op->w ? "w" : op->timeout_ms ? "timeout_ms" : NULL;

    if (op->flags)
        return kvi_error_set(KV_EINVAL, "kv_op.flags has 0x%x, which is of placed stores",
                             (unsigned)op->flags);
    return field ? kvi_error_set(KV_EINVAL, "kv_op.%s is of placed stores", field) : KV_OK;
}

int kvi_api_check_replicas(uint8_t count, const char *name)
{
    if (count <= KV_REPLICAS_MAX || count == KV_QUORUM || count == KV_ALL)
        return KV_OK;
    return kvi_error_set(KV_EINVAL, "%s is %u, not up to %u, KV_QUORUM or KV_ALL", name, count,
                         KV_REPLICAS_MAX);
}

static int check_for_placed(const kv_op *op)
{
    int err;

    if (op->condition != KV_ALWAYS)
        return kvi_error_set(KV_ENOTSUP, "kv_op.condition: an available space (KV_AP) of a placed "
                                         "store cannot judge conditions");
    if (op->snapshot)
        return kvi_error_set(KV_ENOTSUP, "kv_op.snapshot: a placed store has no snapshots");
    if ((op->flags & KV_OVERWRITE) && op->context.len > 0)
        return kvi_error_set(KV_EINVAL, "kv_op.flags: KV_OVERWRITE is for puts without a context");
    if (op->context.len > KVI_CONTEXT_LEN_MAX)
        return kvi_error_set(KV_EINVAL, "kv_op.context of %zu bytes is none that libkv made",
                             op->context.len);
    err = kvi_api_check_replicas(op->r, "kv_op.r");
    return err ? err : kvi_api_check_replicas(op->w, "kv_op.w");
}

static int check_known_fields(const kvi_api_store *s, const kv_op *op)
{
    int err = check_durability(s, op->durability);

    if (!err)
        err = kvi_api_check_ttl(op->ttl_ms, "kv_op.ttl_ms");
    if (!err)
        err = kvi_api_check_snapshot(s, op->snapshot, "kv_op.snapshot");
    if (err)
        return err;
    if (op->condition > KV_IF_PRESENT)
        return kvi_error_set(KV_EINVAL, "kv_op.condition is %u, which is not defined",
                             op->condition);
    if (!op->context.data && op->context.len > 0)
        return kvi_error_set(KV_EINVAL, "kv_op.context is NULL, its length %zu", op->context.len);
    return s->placed ? check_for_placed(op) : check_for_ordered(op);
}

int kvi_api_check_op(const kv *db, const kv_op *op, unsigned known)
{
    int err;

    if (!op)
        return KV_OK;
    err = kvi_api_check_struct("kv_op", op->size, sizeof *op, op->flags,
                               KV_OVERWRITE | KV_PRIMARIES_ONLY);
    if (!err)
        err = check_unknown_fields(op, known);
    return err ? err : check_known_fields(db->store, op);
}
