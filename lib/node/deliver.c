/*
 * kv_deliver(): the one call that a transport makes. The transport may be the host's own, so its
 * arguments are checked like any host's. Runs on the transport's thread.
 */
#include "base/error.h"
#include "node/inbox.h"

int kv_deliver(kv_inbox *inbox, const kv_peer *from, const void *message, size_t len)
{
    if (!inbox || !from || !message)
        return kvi_error_set(KV_EINVAL, "%s is NULL",
                             !inbox  ? "inbox"
                             : !from ? "from"
                                     : "message");
    if (from->size != sizeof *from)
        return kvi_error_set(KV_EINVAL,
                             "kv_peer.size is %u, not %zu: set it by the struct's initializer",
                             (unsigned)from->size, sizeof *from);
    if (from->flags)
        return kvi_error_set(KV_EINVAL, "kv_peer.flags has 0x%x, which is not defined",
                             (unsigned)from->flags);
    if (!from->identity.data && from->identity.len > 0)
        return kvi_error_set(KV_EINVAL, "kv_peer.identity is NULL, its length %zu",
                             from->identity.len);
    if (len == 0)
        return kvi_error_set(KV_EINVAL, "the message is empty");
    return inbox->deliver(inbox, from, message, len);
}
