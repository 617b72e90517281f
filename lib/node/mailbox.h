/*
 * The messages that have come and wait for the owner: the node's kv_inbox.
 *
 * 1. kv_deliver() copies, from any thread, and wakes the owner. What waits is bounded in bytes (one
 *    message always has room); over the bound a peer is told KV_EBUSY, remembered, and resumed once
 *    there is room again. Where it cannot be remembered, its message is lost: KV_EBUSY without a
 *    resume would silence it for ever.
 * 2. The address that a transport names is kept with the message, and whether it has proved it.
 */
#ifndef KVI_NODE_MAILBOX_H
#define KVI_NODE_MAILBOX_H

#include "base/list.h"
#include "base/mem.h"
#include "base/slice.h"
#include "node/inbox.h"
#include "os/lock.h"

#define KVI_MAILBOX_REFUSED_MAX 64u /* peers that are remembered */
#define KVI_MAILBOX_ADDRESS_MAX 255u

/** One message; freed by kvi_mail_free. */
typedef struct kvi_mail {
    kvi_list link;
    bool proved;   /* the transport vouches for address */
    char *address; /* "": unknown */
    kvi_slice bytes;
} kvi_mail;

typedef struct kvi_mailbox {
    kv_inbox base;
    const kvi_mem *mem; /* borrowed */
    size_t message_max, bytes_max;
    bool trusted; /* peers without identity are listened to */
    void (*wake)(void *user);
    void *user;
    kvi_os_mutex lock;
    kvi_list mails;
    size_t bytes;
    uint32_t refused_count;
    char *refused[KVI_MAILBOX_REFUSED_MAX];
    uint64_t unbelieved; /* refused for want of an identity */
} kvi_mailbox;

void kvi_mailbox_init(kvi_mailbox *m, const kvi_mem *mem, size_t message_max, size_t bytes_max,
                      bool trusted, void (*wake)(void *), void *user);
/** Nobody delivers any more. */
void kvi_mailbox_deinit(kvi_mailbox *m);

/** The owner takes all that is there, in the order of arrival. */
void kvi_mailbox_take(kvi_mailbox *m, kvi_list *out);
bool kvi_mailbox_empty(kvi_mailbox *m);
/** A peer that was refused and may go on: the caller frees the address. NULL: none. */
char *kvi_mailbox_resumable(kvi_mailbox *m);
void kvi_mail_free(kvi_mail *mail, const kvi_mem *mem);

#endif
