/*
 * Messages that wait; see the header for the contract.
 */
#include "node/mailbox.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"

/** What a message that waits costs beside its bytes. */
#define MAIL_OVERHEAD (sizeof(kvi_mail) + KVI_MAILBOX_ADDRESS_MAX + 1)

static kvi_mail *mail_new(const kvi_mem *mem, const kv_peer *from, const void *message, size_t len)
{
    const char *address = from->address ? from->address : "";
    size_t address_len = strlen(address);
    kvi_mail *mail = kvi_mem_alloc(mem, sizeof *mail + len + address_len + 1);
    uint8_t *bytes;

    if (!mail)
        return NULL;
    bytes = (uint8_t *)(mail + 1);
    memcpy(bytes, message, len);
    mail->address = (char *)(bytes + len);
    memcpy(mail->address, address, address_len + 1);
    mail->bytes = kvi_slice_of(bytes, len);
    mail->proved = from->identity.len > 0;
    kvi_list_init(&mail->link);
    return mail;
}

/** Under the lock. There is no room: the peer is remembered for resume. One that cannot be, as
 *  there are too many or no memory, would wait for ever: its message is lost instead. */
static int refuse(kvi_mailbox *m, const char *address)
{
    char *copy;

    if (!address)
        return KV_EBUSY;
    for (uint32_t i = 0; i < m->refused_count; i++)
        if (strcmp(m->refused[i], address) == 0)
            return KV_EBUSY;
    if (m->refused_count == KVI_MAILBOX_REFUSED_MAX)
        return KV_OK;
    copy = kvi_mem_dup(m->mem, address, strlen(address) + 1);
    if (!copy)
        return KV_OK;
    m->refused[m->refused_count++] = copy;
    return KV_EBUSY;
}

static int put(kvi_mailbox *m, const kv_peer *from, const void *message, size_t len)
{
    kvi_mail *mail;

    if (m->bytes > 0 && m->bytes + len + MAIL_OVERHEAD > m->bytes_max)
        return refuse(m, from->address);
    mail = mail_new(m->mem, from, message, len);
    if (!mail)
        return refuse(m, from->address);
    kvi_list_push_back(&m->mails, &mail->link);
    m->bytes += len + MAIL_OVERHEAD;
    m->wake(m->user);
    return KV_OK;
}

static int deliver(kv_inbox *inbox, const kv_peer *from, const void *message, size_t len)
{
    kvi_mailbox *m = KVI_CONTAINER_OF(inbox, kvi_mailbox, base);
    int err;

    if (len > m->message_max)
        return kvi_error_set(KV_EINVAL, "a message of %zu bytes, over the transport's %zu", len,
                             m->message_max);
    if (from->address && strlen(from->address) > KVI_MAILBOX_ADDRESS_MAX)
        return kvi_error_set(KV_EINVAL, "kv_peer.address has over %u bytes",
                             KVI_MAILBOX_ADDRESS_MAX);
    kvi_os_mutex_lock(&m->lock);
    if (from->identity.len == 0 && !m->trusted) {
        m->unbelieved++;
        err = KV_EACCES;
    } else {
        err = put(m, from, message, len);
    }
    kvi_os_mutex_unlock(&m->lock);
    if (err == KV_EACCES)
        return kvi_error_set(err, "the peer has proved no identity, and KV_TRUSTED_NETWORK is not "
                                  "set");
    return err;
}

void kvi_mailbox_init(kvi_mailbox *m, const kvi_mem *mem, size_t message_max, size_t bytes_max,
                      bool trusted, void (*wake)(void *), void *user)
{
    *m = (kvi_mailbox){.base = {deliver},
                       .mem = mem,
                       .message_max = message_max,
                       .bytes_max = bytes_max,
                       .trusted = trusted,
                       .wake = wake,
                       .user = user};
    kvi_list_init(&m->mails);
    kvi_os_mutex_init(&m->lock, KVI_RANK_NODE, NULL);
}

void kvi_mailbox_deinit(kvi_mailbox *m)
{
    while (!kvi_list_empty(&m->mails)) {
        kvi_mail *mail = KVI_LIST_FIRST(&m->mails, kvi_mail, link);

        kvi_list_remove(&mail->link);
        kvi_mail_free(mail, m->mem);
    }
    while (m->refused_count > 0)
        kvi_mem_free(m->mem, m->refused[--m->refused_count]);
    kvi_os_mutex_deinit(&m->lock);
}

void kvi_mailbox_take(kvi_mailbox *m, kvi_list *out)
{
    kvi_os_mutex_lock(&m->lock);
    kvi_list_move(out, &m->mails);
    m->bytes = 0;
    kvi_os_mutex_unlock(&m->lock);
}

bool kvi_mailbox_empty(kvi_mailbox *m)
{
    bool empty;

    kvi_os_mutex_lock(&m->lock);
    empty = kvi_list_empty(&m->mails);
    kvi_os_mutex_unlock(&m->lock);
    return empty;
}

char *kvi_mailbox_resumable(kvi_mailbox *m)
{
    char *address = NULL;

    kvi_os_mutex_lock(&m->lock);
    if (m->refused_count > 0 && m->bytes == 0)
        address = m->refused[--m->refused_count];
    kvi_os_mutex_unlock(&m->lock);
    return address;
}

void kvi_mail_free(kvi_mail *mail, const kvi_mem *mem)
{
    kvi_mem_free(mem, mail);
}
