/*
 * Policies of spaces; see the header for the contract.
 */
#include "api/policy.h"

#include "api/check.h"
#include "base/error.h"

static int check_placed(const kv_policy *p)
{
    int err;

    if (p->n > KV_REPLICAS_MAX)
        return kvi_error_set(KV_EINVAL, "kv_policy.n is %u, over the limit of %u", p->n,
                             KV_REPLICAS_MAX);
    err = kvi_api_check_replicas(p->r, "kv_policy.r");
    return err ? err : kvi_api_check_replicas(p->w, "kv_policy.w");
}

static int check_ordered(const kv_policy *p)
{
    const char *field = p->n ? "n" : p->r ? "r" : p->w ? "w" : p->conflict ? "conflict" : NULL;

    if (!field)
        return KV_OK;
    return kvi_error_set(
        KV_EINVAL, "kv_policy.%s is of placed stores (kv_options.layout KV_PLACED, or listen)",
        field);
}

int kvi_api_check_policy(const kv_policy *policy, bool placed)
{
    int err = kvi_api_check_struct("kv_policy", policy->size, sizeof *policy, policy->flags, 0);

    if (!err)
        err = kvi_api_check_ttl(policy->ttl_ms, "kv_policy.ttl_ms");
    if (!err)
        err =
            kvi_api_check_reserved(policy->reserved, sizeof policy->reserved, "kv_policy.reserved");
    if (err)
        return err;
    if (policy->mode == KV_STRONG)
        return kvi_error_set(KV_ENOTSUP,
                             "kv_policy.mode: KV_STRONG spaces are not there in this version");
    if (policy->mode > KV_STRONG)
        return kvi_error_set(KV_EINVAL, "kv_policy.mode is %u, which is not defined", policy->mode);
    if (policy->conflict > KV_LAST_WRITE_WINS)
        return kvi_error_set(KV_EINVAL, "kv_policy.conflict is %u, which is not defined",
                             policy->conflict);
    return placed ? check_placed(policy) : check_ordered(policy);
}

static int resolve_count(const char *field, uint8_t count, uint8_t n, uint8_t *out)
{
    if (count != KV_QUORUM && count != KV_ALL && count > n)
        return kvi_error_set(KV_EINVAL, "%s is %u, over kv_policy.n, which is %u", field, count, n);
    *out = count ? count : KV_QUORUM;
    return KV_OK;
}

int kvi_api_policy_resolve(const kv_policy *policy, unsigned default_n, kvi_ring_policy *out)
{
    static const kv_policy all_defaults = KV_POLICY_INIT;
    kvi_ring_policy p = {0};
    int err;

    if (!policy)
        policy = &all_defaults;
    p.n = policy->n ? policy->n : (uint8_t)default_n;
    p.mode = policy->mode;
    p.conflict = policy->conflict;
    p.ttl_ms = policy->ttl_ms == KV_TTL_NONE ? 0 : policy->ttl_ms;
    err = resolve_count("kv_policy.r", policy->r, p.n, &p.r);
    if (!err)
        err = resolve_count("kv_policy.w", policy->w, p.n, &p.w);
    if (!err)
        *out = p;
    return err;
}

bool kvi_api_policy_eq(const kvi_ring_policy *a, const kvi_ring_policy *b)
{
    return a->n == b->n && a->r == b->r && a->w == b->w && a->mode == b->mode &&
           a->conflict == b->conflict && a->ttl_ms == b->ttl_ms;
}

static unsigned number_of(uint8_t count, uint8_t n)
{
    return count == KV_QUORUM ? n / 2u + 1u : count == KV_ALL ? n : count;
}

void kvi_api_policy_warn(const kvi_os_env *env, const char *name, const kvi_ring_policy *policy,
                         unsigned nodes)
{
    unsigned n = policy->n, r = number_of(policy->r, policy->n),
             w = number_of(policy->w, policy->n);

    if (r + w <= n)
        kvi_os_log(
            env, KV_LOG_WARN,
            "space \"%s\": r %u and w %u are not above n %u together: a read may miss a write "
            "that was acknowledged",
            name, r, w, n);
    if (w <= n / 2)
        kvi_os_log(
            env, KV_LOG_WARN,
            "space \"%s\": w %u is not above half of n %u: writes that follow each other may "
            "become siblings",
            name, w, n);
    if (n > nodes)
        kvi_os_log(
            env, KV_LOG_WARN,
            "space \"%s\": n is %u, and the cluster has %u nodes that keep data: each has one "
            "replica, until there are more",
            name, n, nodes);
}
