/*
 * Policies of spaces: checked, and as the ring document has them. Pure, but for the log.
 */
#ifndef KVI_API_POLICY_H
#define KVI_API_POLICY_H

#include "os/env.h"
#include "ring/ring.h"

#define KVI_API_REPLICAS_DEFAULT 3u /* of a node that can be reached; alone it is one */

/** policy for a space of a placed store, or of an ordered one, which knows of ttl_ms only.
 *  KV_EINVAL names the field; KV_ENOTSUP: KV_STRONG. */
int kvi_api_check_policy(const kv_policy *policy, bool placed) KVI_NODISCARD;

/** Fills in the defaults. policy was checked, or is NULL: all defaults. default_n: where it names
 *  none. KV_EINVAL: r or w is over n. */
int kvi_api_policy_resolve(const kv_policy *policy, unsigned default_n, kvi_ring_policy *out)
    KVI_NODISCARD;

bool kvi_api_policy_eq(const kvi_ring_policy *a, const kvi_ring_policy *b);

/** Tells the log what the policy of the space called name ("": the default one) does not promise.
 *  nodes: how many there are that keep data. */
void kvi_api_policy_warn(const kvi_os_env *env, const char *name, const kvi_ring_policy *policy,
                         unsigned nodes);

#endif
