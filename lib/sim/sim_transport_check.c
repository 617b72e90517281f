/*
 * kv_transport_check(): makes the ends, runs the clauses one after the other, reports, and puts all
 * away. See kv_sim.h for what it promises and the header for how it is made.
 */
#include "sim/sim_transport_check.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define PATIENCE_DEFAULT_MS 5000u
#define SLACK_DEFAULT_MS    250u
#define TIME_MAX_MS         600000u

static const struct clause {
    const char *name;
    int (*holds)(kvi_tcheck *c);
} clauses[] = {
    {"fields", kvi_tcheck_fields}, /* before anything is called */
    {"start", kvi_tcheck_starting},
    {"content", kvi_tcheck_content},
    {"parts", kvi_tcheck_parts},
    {"borrowing", kvi_tcheck_borrowing},
    {"oneself", kvi_tcheck_oneself},
    {"sender", kvi_tcheck_sender},
    {"unreachable", kvi_tcheck_unreachable},
    {"send returns", kvi_tcheck_flood},
    {"wake", kvi_tcheck_wake},
    {"time-out", kvi_tcheck_timeout},
    {"message ends wait", kvi_tcheck_arrival},
    {"pollfd and next", kvi_tcheck_pollfd},
    {"busy and resume", kvi_tcheck_busy},
    {"stop", kvi_tcheck_stopping},
    {"start again", kvi_tcheck_restart},
    {"threads", kvi_tcheck_threads},
    {"inside step", kvi_tcheck_inside},
};

#define CLAUSES (sizeof clauses / sizeof clauses[0])

static int check_addresses(const kv_transport_check_config *config)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        const char *address = config->addresses[i];

        if (!address || !address[0] || strlen(address) >= KVI_TCHECK_ADDRESS)
            return kvi_error_set(KV_EINVAL, "addresses[%u] is not a string of 1 to %u bytes", i,
                                 KVI_TCHECK_ADDRESS - 1);
        for (unsigned other = 0; other < i; other++)
            if (strcmp(address, config->addresses[other]) == 0)
                return kvi_error_set(KV_EINVAL, "addresses[%u] is addresses[%u]", i, other);
    }
    return KV_OK;
}

static int check_only(const char *only)
{
    for (size_t i = 0; only && i < CLAUSES; i++)
        if (strcmp(clauses[i].name, only) == 0)
            return KV_OK;
    return only ? kvi_error_set(KV_EINVAL, "only: there is no clause \"%s\"", only) : KV_OK;
}

static int check_config(const kv_transport_check_config *config)
{
    if (!config)
        return kvi_error_set(KV_EINVAL, "config is NULL");
    if (config->size != sizeof *config || config->flags)
        return kvi_error_set(KV_EINVAL, "kv_transport_check_config.size or flags is not that of "
                                        "KV_TRANSPORT_CHECK_CONFIG_INIT");
    if (!config->make)
        return kvi_error_set(KV_EINVAL, "make is NULL");
    if (config->patience_ms > TIME_MAX_MS || config->slack_ms > TIME_MAX_MS)
        return kvi_error_set(KV_EINVAL, "patience_ms or slack_ms is over %u", TIME_MAX_MS);
    if (check_addresses(config) != KV_OK)
        return KV_EINVAL;
    return check_only(config->only);
}

static void init(kvi_tcheck *c, const kvi_mem *mem, const kv_transport_check_config *config)
{
    c->mem = *mem;
    c->config = *config;
    if (!c->config.patience_ms)
        c->config.patience_ms = PATIENCE_DEFAULT_MS;
    if (!c->config.slack_ms)
        c->config.slack_ms = SLACK_DEFAULT_MS;
    c->host.size = sizeof c->host;
    kvi_os_wake_open(&c->arrival);
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++)
        kvi_tcheck_inbox_init(&c->end[i].inbox, c);
}

static void deinit(kvi_tcheck *c)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++)
        kvi_tcheck_stop(c, i);
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++)
        if (c->end[i].made && c->config.release)
            c->config.release(c->config.user, i, &c->end[i].transport);
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        kvi_tcheck_inbox_deinit(&c->end[i].inbox);
        kvi_mem_free(&c->mem, c->end[i].buffer);
    }
    kvi_os_wake_close(&c->arrival);
}

static int make_ends(kvi_tcheck *c)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        kvi_tcheck_end *end = &c->end[i];
        int err;

        end->transport = (kv_transport)KV_TRANSPORT_INIT;
        err = c->config.make(c->config.user, i, &end->transport);
        if (err)
            return kvi_error_set(err, "make answers %d for object %u", err, i);
        end->made = true;
        end->inbox.stepped = end->transport.step != NULL;
    }
    return KV_OK;
}

static int allocate_buffers(kvi_tcheck *c)
{
    c->largest = KVI_TCHECK_LARGEST;
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++)
        c->largest = kvi_min_size(c->largest, c->end[i].transport.max_message);
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        c->end[i].buffer = kvi_mem_alloc(&c->mem, c->largest);
        if (!c->end[i].buffer)
            return kvi_error_set(KV_ENOMEM, "no memory for messages of %zu bytes", c->largest);
    }
    return KV_OK;
}

/* Runs and reports one. */
static bool judge(kvi_tcheck *c, const struct clause *clause)
{
    /* These two come before all ends are started. */
    bool early = clause->holds == kvi_tcheck_fields || clause->holds == kvi_tcheck_starting;
    int passed = 1;

    kvi_tcheck_begin(c);
    if (!early)
        passed = kvi_tcheck_start_all(c);
    if (passed)
        passed = clause->holds(c);
    if (c->config.report)
        c->config.report(c->config.user, clause->name, passed, c->detail);
    if (passed == 0 && !c->first[0])
        (void)snprintf(c->first, sizeof c->first, "\"%s\" does not hold: %.200s", clause->name,
                       c->detail);
    return passed != 0;
}

static int run(kvi_tcheck *c)
{
    const char *only = c->config.only;
    int err = make_ends(c);

    if (err)
        return err;
    if (!judge(c, &clauses[0]))
        return kvi_error_set(KV_ECONFLICT, "%s", c->first);
    err = allocate_buffers(c);
    if (err)
        return err;
    for (size_t i = 1; i < CLAUSES; i++)
        if (!only || strcmp(only, clauses[i].name) == 0)
            (void)judge(c, &clauses[i]);
    return c->first[0] ? kvi_error_set(KV_ECONFLICT, "%s", c->first) : KV_OK;
}

int kv_transport_check(const kv_transport_check_config *config)
{
    kvi_mem mem;
    kvi_tcheck *c;
    int err = check_config(config);

    if (err)
        return err;
    kvi_mem_init(&mem, NULL);
    c = kvi_mem_zalloc(&mem, 1, sizeof *c);
    if (!c)
        return kvi_error_set(KV_ENOMEM, "no memory for the kit");
    init(c, &mem, config);
    err = run(c);
    deinit(c);
    kvi_mem_free(&mem, c);
    return err;
}
