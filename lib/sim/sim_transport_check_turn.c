/*
 * What the clauses of the kit are made of: sending, letting the ends work, waiting for a message;
 * see the header for the contract.
 *
 * Networks lose messages, so what is to arrive is sent again until it does.
 */
#include "sim/sim_transport_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "os/clock.h"

#define TURN_NS   KVI_TCHECK_NS(1)
#define REPEAT_NS KVI_TCHECK_NS(50)

int kvi_tcheck_fail(kvi_tcheck *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(c->detail, sizeof c->detail, fmt, args);
    va_end(args);
    return 0;
}

void kvi_tcheck_begin(kvi_tcheck *c)
{
    c->detail[0] = '\0';
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        kvi_tcheck_inbox_begin(&c->end[i].inbox, atomic_load(&c->next_id));
        c->end[i].slow = 0;
        c->end[i].slowest_ns = 0;
    }
}

uint64_t kvi_tcheck_now(void)
{
    return kvi_os_mono_ns(kvi_os_clock_real());
}

uint64_t kvi_tcheck_patience_ns(const kvi_tcheck *c)
{
    return KVI_TCHECK_NS(c->config.patience_ms);
}

uint64_t kvi_tcheck_slack_ns(const kvi_tcheck *c)
{
    return KVI_TCHECK_NS(c->config.slack_ms);
}

/* --- Start and stop --------------------------------------------------------------------------- */

int kvi_tcheck_start(kvi_tcheck *c, unsigned i, const char *address)
{
    kvi_tcheck_end *end = &c->end[i];
    char borrowed[KVI_TCHECK_ADDRESS];
    int err;

    (void)snprintf(borrowed, sizeof borrowed, "%s", address);
    kvi_tcheck_inbox_set_open(&end->inbox, true);
    err = end->transport.start(end->transport.self, &end->inbox.base, &c->host, borrowed);
    memset(borrowed, 'x', sizeof borrowed - 1);
    if (!err)
        end->started = true;
    else if (!end->started)
        kvi_tcheck_inbox_set_open(&end->inbox, false);
    return err;
}

void kvi_tcheck_stop(kvi_tcheck *c, unsigned i)
{
    kvi_tcheck_end *end = &c->end[i];

    if (!end->started)
        return;
    end->transport.stop(end->transport.self);
    kvi_tcheck_inbox_set_open(&end->inbox, false);
    end->started = false;
}

int kvi_tcheck_start_all(kvi_tcheck *c)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        int err = c->end[i].started ? KV_OK : kvi_tcheck_start(c, i, c->config.addresses[i]);

        if (err)
            return kvi_tcheck_fail(c, "start at \"%s\" answers %d", c->config.addresses[i], err);
    }
    return 1;
}

/* --- Sending ---------------------------------------------------------------------------------- */

uint32_t kvi_tcheck_new_id(kvi_tcheck *c)
{
    return atomic_fetch_add(&c->next_id, 1);
}

/* Cuts the message into parts: even ones with an empty one in between, where there are many. */
static size_t cut(kvi_tcheck_end *end, size_t len, size_t parts)
{
    size_t done = 0;

    KVI_ASSERT(parts <= KVI_TCHECK_PARTS);
    for (size_t i = 0; i + 1 < parts; i++) {
        size_t piece = i % 2 ? 0 : (len - done) / (parts - i);

        end->parts[i] = (kv_slice){piece ? end->buffer + done : NULL, piece};
        done += piece;
    }
    end->parts[parts - 1] = (kv_slice){end->buffer + done, len - done};
    return parts;
}

static void note_time(kvi_tcheck *c, kvi_tcheck_end *end, uint64_t took_ns)
{
    if (took_ns > kvi_tcheck_slack_ns(c))
        end->slow++;
    if (took_ns > end->slowest_ns)
        end->slowest_ns = took_ns;
    (void)atomic_fetch_add(&end->sends, 1);
}

int kvi_tcheck_send(kvi_tcheck *c, const kvi_tcheck_letter *letter)
{
    kvi_tcheck_end *end = &c->end[letter->from];
    size_t count = letter->parts ? letter->parts : 1;
    const char *address = letter->address;
    uint64_t before;
    int err;

    KVI_ASSERT(letter->len <= c->largest);
    kvi_tcheck_compose(end->buffer, letter->from, letter->id, letter->len);
    count = cut(end, letter->len, count);
    if (letter->scramble) {
        (void)snprintf(end->address, sizeof end->address, "%s", address);
        address = end->address;
    }
    before = kvi_tcheck_now();
    err = end->transport.send(end->transport.self, address, end->parts, count, KV_SEND_NORMAL);
    note_time(c, end, kvi_tcheck_now() - before);
    if (letter->scramble) {
        memset(end->buffer, 0x55, letter->len);
        memset(end->address, 'x', sizeof end->address - 1);
        for (size_t i = 0; i < count; i++)
            end->parts[i] = (kv_slice){NULL, 0};
    }
    if (end->transport.flush)
        end->transport.flush(end->transport.self);
    return err;
}

/* --- Turns ------------------------------------------------------------------------------------ */

void kvi_tcheck_step(kvi_tcheck *c, unsigned i, uint64_t timeout_ns)
{
    kvi_tcheck_end *end = &c->end[i];

    if (!end->started || !end->transport.step)
        return;
    kvi_tcheck_inbox_set_in_step(&end->inbox, true);
    (void)end->transport.step(end->transport.self, timeout_ns);
    kvi_tcheck_inbox_set_in_step(&end->inbox, false);
}

void kvi_tcheck_turn(kvi_tcheck *c, unsigned i)
{
    for (unsigned other = 0; other < KVI_TCHECK_ENDS; other++)
        if (other != i)
            kvi_tcheck_step(c, other, 0);
    if (c->end[i].started && c->end[i].transport.step) {
        kvi_tcheck_step(c, i, TURN_NS);
    } else {
        (void)kvi_os_wake_wait(&c->arrival, TURN_NS);
        kvi_os_wake_clear(&c->arrival);
    }
}

void kvi_tcheck_turns(kvi_tcheck *c, unsigned i, unsigned count)
{
    while (count-- > 0)
        kvi_tcheck_turn(c, i);
}

int kvi_tcheck_all_whole(kvi_tcheck *c)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        kvi_tcheck_inbox *in = &c->end[i].inbox;
        bool damaged;

        kvi_os_mutex_lock(&in->lock);
        damaged = in->damaged > 0;
        if (damaged)
            (void)kvi_tcheck_fail(c, "at endpoint %u %s", i, in->fault);
        kvi_os_mutex_unlock(&in->lock);
        if (damaged)
            return 0;
    }
    return 1;
}

int kvi_tcheck_sends_quick(kvi_tcheck *c)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++)
        if (c->end[i].slow >= KVI_TCHECK_SLOW_SENDS)
            return kvi_tcheck_fail(c, "%u sends took more than %u ms, one of them %u ms",
                                   c->end[i].slow, (unsigned)c->config.slack_ms,
                                   (unsigned)(c->end[i].slowest_ns / KVI_TCHECK_NS(1)));
    return 1;
}

int kvi_tcheck_carry(kvi_tcheck *c, unsigned to, const kvi_tcheck_letter *letter)
{
    uint64_t begin = kvi_tcheck_now(), sent = 0, now = begin;
    int answer = KV_OK;

    while (!kvi_tcheck_inbox_has(&c->end[to].inbox, letter->id, letter->len)) {
        if (now - begin > kvi_tcheck_patience_ns(c))
            return kvi_tcheck_fail(c,
                                   "a message of %zu bytes from endpoint %u did not come to %u in "
                                   "%u ms; the last send answers %d",
                                   letter->len, letter->from, to, (unsigned)c->config.patience_ms,
                                   answer);
        if (sent == 0 || answer == KV_EBUSY || now - sent > REPEAT_NS) {
            answer = kvi_tcheck_send(c, letter);
            sent = now;
        }
        kvi_tcheck_turn(c, to);
        if (!kvi_tcheck_all_whole(c) || !kvi_tcheck_sends_quick(c))
            return 0;
        now = kvi_tcheck_now();
    }
    return 1;
}

int kvi_tcheck_exchange(kvi_tcheck *c, unsigned from, unsigned to, size_t len)
{
    kvi_tcheck_letter letter = {
        .from = from, .address = c->config.addresses[to], .id = kvi_tcheck_new_id(c), .len = len};

    return kvi_tcheck_carry(c, to, &letter);
}
