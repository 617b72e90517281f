/* The node's inbox: what kv_deliver() refuses, what waits, who is resumed, and many threads at it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "node/mailbox.h"
#include "support/failmem.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define MESSAGE_MAX 1000u
#define BYTES_MAX   8000u

typedef struct scene {
    kvt_failmem fail;
    kvi_mem mem;
    kvi_mailbox box;
    _Atomic unsigned woken;
} scene;

static void wake(void *user)
{
    scene *s = user;

    atomic_fetch_add(&s->woken, 1);
}

static void begin(scene *s, bool trusted)
{
    kvt_failmem_init(&s->fail, &s->mem);
    atomic_store(&s->woken, 0);
    kvi_mailbox_init(&s->box, &s->mem, MESSAGE_MAX, BYTES_MAX, trusted, wake, s);
}

static void end(scene *s)
{
    kvi_mailbox_deinit(&s->box);
    cr_assert_eq(kvt_failmem_live(&s->fail), 0);
}

static int say(scene *s, const char *address, const char *identity, const void *bytes, size_t len)
{
    kv_peer from = KV_PEER_INIT;

    from.address = address;
    from.identity = kvi_slice_of(identity, identity ? strlen(identity) : 0);
    return kv_deliver(&s->box.base, &from, bytes, len);
}

/* Fills it until somebody is refused. */
static unsigned fill(scene *s, const char *address)
{
    static const char BYTES[500];
    unsigned count = 0;
    int err;

    while ((err = say(s, address, "id", BYTES, sizeof BYTES)) == KV_OK)
        cr_assert_lt(++count, 100);
    cr_assert_eq(err, KV_EBUSY);
    return count;
}

/* Takes all; how many. */
static unsigned take(scene *s)
{
    unsigned count = 0;
    kvi_list all;

    kvi_list_init(&all);
    kvi_mailbox_take(&s->box, &all);
    while (!kvi_list_empty(&all)) {
        kvi_mail *mail = KVI_LIST_FIRST(&all, kvi_mail, link);

        kvi_list_remove(&mail->link);
        kvi_mail_free(mail, &s->mem);
        count++;
    }
    return count;
}

Test(node_mailbox, refuses_what_is_wrong_with_the_arguments)
{
    static const char BYTES[MESSAGE_MAX + 1];
    kv_peer from = KV_PEER_INIT;
    char address[300];
    scene s;

    begin(&s, true);
    memset(address, 'a', sizeof address);
    address[sizeof address - 1] = '\0';
    cr_assert_eq(kv_deliver(NULL, &from, "x", 1), KV_EINVAL);
    cr_assert_eq(kv_deliver(&s.box.base, NULL, "x", 1), KV_EINVAL);
    cr_assert_eq(kv_deliver(&s.box.base, &from, NULL, 1), KV_EINVAL);
    cr_assert_eq(kv_deliver(&s.box.base, &from, "x", 0), KV_EINVAL);
    cr_assert_eq(say(&s, "a", "id", BYTES, sizeof BYTES), KV_EINVAL);
    cr_assert_eq(say(&s, address, "id", "x", 1), KV_EINVAL);
    from.size--;
    cr_assert_eq(kv_deliver(&s.box.base, &from, "x", 1), KV_EINVAL);
    from.size++;
    from.flags = 1;
    cr_assert_eq(kv_deliver(&s.box.base, &from, "x", 1), KV_EINVAL);
    from.flags = 0;
    from.identity.len = 3;
    cr_assert_eq(kv_deliver(&s.box.base, &from, "x", 1), KV_EINVAL);
    cr_assert(kvi_mailbox_empty(&s.box));
    cr_assert_eq(s.woken, 0);
    OK(say(&s, "a", "id", BYTES, MESSAGE_MAX));
    end(&s);
}

Test(node_mailbox, believes_who_has_an_identity_or_everyone)
{
    scene s;
    kvi_list all;

    begin(&s, false);
    cr_assert_eq(say(&s, "a", NULL, "x", 1), KV_EACCES);
    cr_assert_eq(s.box.unbelieved, 1);
    OK(say(&s, "a", "id", "x", 1));
    end(&s);
    begin(&s, true);
    OK(say(&s, "a", NULL, "x", 1));
    OK(say(&s, NULL, "id", "y", 1));
    cr_assert_eq(s.woken, 2);
    kvi_list_init(&all);
    kvi_mailbox_take(&s.box, &all);
    for (unsigned i = 0; i < 2; i++) {
        kvi_mail *mail = KVI_LIST_FIRST(&all, kvi_mail, link);

        cr_assert_eq(mail->proved, i == 1);
        cr_assert_str_eq(mail->address, i ? "" : "a");
        cr_assert_arr_eq(mail->bytes.data, i ? "y" : "x", 1);
        kvi_list_remove(&mail->link);
        kvi_mail_free(mail, &s.mem);
    }
    cr_assert(kvi_list_empty(&all));
    end(&s);
}

Test(node_mailbox, what_waits_is_bounded_and_the_refused_are_resumed_once)
{
    unsigned count;
    char *address;
    scene s;

    begin(&s, false);
    count = fill(&s, "a");
    cr_assert(count >= 8 && count * 500 <= BYTES_MAX, "%u", count);
    cr_assert_eq(fill(&s, "a"), 0);
    cr_assert_eq(fill(&s, "b"), 0);
    cr_assert_null(kvi_mailbox_resumable(&s.box), "there is no room yet");
    cr_assert_eq(take(&s), count);
    for (unsigned i = 0; i < 2; i++) {
        address = kvi_mailbox_resumable(&s.box);
        cr_assert_not_null(address);
        cr_assert_str_eq(address, i ? "a" : "b");
        kvi_mem_free(&s.mem, address);
    }
    cr_assert_null(kvi_mailbox_resumable(&s.box));
    cr_assert_eq(fill(&s, "a"), count);
    end(&s);
}

Test(node_mailbox, a_message_over_the_bound_has_room_where_nothing_waits)
{
    static const char BYTES[MESSAGE_MAX];
    scene s;

    kvt_failmem_init(&s.fail, &s.mem);
    kvi_mailbox_init(&s.box, &s.mem, MESSAGE_MAX, 100, false, wake, &s);
    OK(say(&s, "a", "id", BYTES, sizeof BYTES));
    cr_assert_eq(say(&s, "a", "id", "x", 1), KV_EBUSY);
    end(&s);
}

Test(node_mailbox, who_cannot_be_remembered_is_not_told_to_wait)
{
    unsigned count, busy = 0, lost = 0;
    char *address;
    scene s;

    begin(&s, false);
    count = fill(&s, "a");
    cr_assert_eq(say(&s, NULL, "id", "x", 1), KV_OK, "a small one fits yet");
    (void)take(&s);
    address = kvi_mailbox_resumable(&s.box);
    kvi_mem_free(&s.mem, address);
    count = fill(&s, "peer 0");
    for (unsigned i = 1; i < KVI_MAILBOX_REFUSED_MAX + 10; i++) {
        static const char BYTES[900];
        char name[16];
        int err;

        (void)snprintf(name, sizeof name, "peer %u", i);
        err = say(&s, name, "id", BYTES, sizeof BYTES);
        busy += err == KV_EBUSY;
        lost += err == KV_OK;
    }
    cr_assert_eq(busy, KVI_MAILBOX_REFUSED_MAX - 1);
    cr_assert_eq(lost, 10);
    cr_assert_eq(take(&s), count, "what was lost does not come");
    for (unsigned i = 0; i < KVI_MAILBOX_REFUSED_MAX; i++) {
        address = kvi_mailbox_resumable(&s.box);
        cr_assert_not_null(address);
        kvi_mem_free(&s.mem, address);
    }
    cr_assert_null(kvi_mailbox_resumable(&s.box));
    end(&s);
}

Test(node_mailbox, without_memory_a_peer_waits_or_its_message_is_lost)
{
    char *address;
    scene s;

    begin(&s, false);
    kvt_failmem_arm(&s.fail, 0, false);
    cr_assert_eq(say(&s, "a", "id", "x", 1), KV_EBUSY);
    (void)kvt_failmem_disarm(&s.fail);
    address = kvi_mailbox_resumable(&s.box);
    cr_assert_str_eq(address, "a");
    kvi_mem_free(&s.mem, address);
    kvt_failmem_arm(&s.fail, 0, true);
    cr_assert_eq(say(&s, "a", "id", "x", 1), KV_OK, "lost");
    cr_assert_eq(say(&s, NULL, "id", "x", 1), KV_EBUSY);
    (void)kvt_failmem_disarm(&s.fail);
    cr_assert(kvi_mailbox_empty(&s.box));
    cr_assert_null(kvi_mailbox_resumable(&s.box));
    end(&s);
}

/* --- threads ------------------------------------------------------------------------------ */

#define THREADS  4
#define MESSAGES 2000u

typedef struct sender {
    scene *s;
    unsigned index;
    unsigned refused;
} sender;

static void *send_all(void *user)
{
    sender *x = user;
    char address[8];

    (void)snprintf(address, sizeof address, "t%u", x->index);
    for (unsigned i = 0; i < MESSAGES;) {
        unsigned what[2] = {x->index, i};
        int err = say(x->s, address, "id", what, sizeof what);

        if (err == KV_EBUSY)
            x->refused++;
        else
            i++;
        if (err)
            kvi_os_yield();
    }
    return NULL;
}

Test(node_mailbox, many_deliver_while_the_owner_takes)
{
    unsigned next[THREADS] = {0}, got = 0;
    sender x[THREADS];
    pthread_t id[THREADS];
    scene s;

    begin(&s, false);
    for (unsigned i = 0; i < THREADS; i++) {
        x[i] = (sender){&s, i, 0};
        cr_assert_eq(pthread_create(&id[i], NULL, send_all, &x[i]), 0);
    }
    while (got < THREADS * MESSAGES) {
        kvi_list all;

        kvi_list_init(&all);
        kvi_mailbox_take(&s.box, &all);
        while (!kvi_list_empty(&all)) {
            kvi_mail *mail = KVI_LIST_FIRST(&all, kvi_mail, link);
            unsigned what[2];

            memcpy(what, mail->bytes.data, sizeof what);
            cr_assert_lt(what[0], THREADS);
            cr_assert_eq(what[1], next[what[0]]++, "in order, each once");
            kvi_list_remove(&mail->link);
            kvi_mail_free(mail, &s.mem);
            got++;
        }
        for (char *a; (a = kvi_mailbox_resumable(&s.box)) != NULL;)
            kvi_mem_free(&s.mem, a);
        (void)kvi_mailbox_empty(&s.box);
    }
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(id[i], NULL), 0);
    cr_assert_eq(s.woken, THREADS * MESSAGES);
    end(&s);
}
