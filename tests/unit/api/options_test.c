/*
 * Options (api/options.h): every default, and every wrong field by its name.
 */
#include "api/options.h"

#include "unit/api/fixture.h"

static kv_options options;
static kv_allocator allocator;
static kv_policy policy;
static kvi_api_settings set;

static void *no_alloc(void *user, size_t bytes)
{
    (void)user;
    (void)bytes;
    return NULL;
}

static void *no_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    (void)old;
    (void)bytes;
    return NULL;
}

static void no_free(void *user, void *old)
{
    (void)user;
    (void)old;
}

static void begin(void)
{
    options = (kv_options)KV_OPTIONS_INIT;
    allocator = (kv_allocator)KV_ALLOCATOR_INIT;
    allocator.alloc = no_alloc;
    allocator.resize = no_resize;
    allocator.free = no_free;
    policy = (kv_policy)KV_POLICY_INIT;
    memset(&set, 0, sizeof set);
}

static void check_defaults(const char *path, const kv_options *o)
{
    OK(kvi_api_options_resolve(path, o, &set));
    cr_assert_eq(set.memory, (size_t)64 << 20);
    cr_assert_eq(set.workers, 2);
    cr_assert_eq(set.compression, 1);
    cr_assert_eq(set.durability, path ? KV_DISK : KV_MEMORY);
    cr_assert_eq(set.layout, KV_LAYOUT_DEFAULT);
    cr_assert(set.may_create && !set.must_create);
    cr_assert(!set.policy && !set.allocator && !set.log && !set.user && !set.merge);
    cr_assert(!set.stepped && !set.callbacks_in_step && !set.listen && !set.transport);
}

Test(api_options, all_defaults, .init = begin)
{
    check_defaults("x", NULL);
    check_defaults("x", &options);
    check_defaults(NULL, NULL);
    check_defaults(NULL, &options);
}

static void log_line(void *user, int level, const char *message)
{
    (void)user;
    (void)level;
    (void)message;
}

Test(api_options, what_is_given_is_taken, .init = begin)
{
    options.flags = KV_MUST_EXIST;
    options.memory = (size_t)4 << 20;
    options.durability = KV_OS;
    options.workers = 16;
    options.layout = KV_ORDERED;
    options.compression = KV_COMPRESS_NONE;
    options.policy = &policy;
    options.allocator = &allocator;
    options.log = log_line;
    options.user = &options;
    policy.ttl_ms = KV_TTL_MAX;
    OK(kvi_api_options_resolve("x", &options, &set));
    cr_assert_eq(set.memory, (size_t)4 << 20);
    cr_assert_eq(set.workers, 16);
    cr_assert_eq(set.compression, KV_COMPRESS_NONE);
    cr_assert_eq(set.durability, KV_OS);
    cr_assert_eq(set.layout, KV_ORDERED);
    cr_assert(!set.may_create && !set.must_create);
    cr_assert(set.policy == &policy && set.allocator == &allocator && set.log == log_line &&
              set.user == &options);
    options.flags = KV_MUST_CREATE;
    OK(kvi_api_options_resolve("x", &options, &set));
    cr_assert(set.may_create && set.must_create);
    options.flags = 0;
    options.durability = KV_MEMORY;
    OK(kvi_api_options_resolve(NULL, &options, &set));
    OK(kvi_api_options_resolve("x", &options, &set));
}

/** Refused, with a detail that names the field, and nothing resolved. Starts over with good
 *  options. */
static void refused(const char *path, const char *field)
{
    kvi_api_settings none = {0};

    options.policy = &policy;
    options.allocator = &allocator;
    FAILS(kvi_api_options_resolve(path, &options, &set), KV_EINVAL, field);
    cr_assert_arr_eq(&set, &none, sizeof set);
    begin();
}

Test(api_options, a_wrong_size_or_flag_is_named, .init = begin)
{
    options.size = 0;
    refused("x", "kv_options.size is 0");
    options.size++;
    refused("x", "kv_options.size");
    options.flags = 1u << 4;
    refused("x", "kv_options.flags has 0x10");
    options.flags = KV_MUST_EXIST | KV_MUST_CREATE;
    refused("x", "KV_MUST_EXIST and KV_MUST_CREATE");
    options.flags = KV_MUST_EXIST;
    refused(NULL, "kv_options.flags");
    policy.size--;
    refused("x", "kv_policy.size");
    policy.flags = 1;
    refused("x", "kv_policy.flags");
    allocator.size = 8;
    refused("x", "kv_allocator.size is 8");
    allocator.flags = 1u << 31;
    refused("x", "kv_allocator.flags has 0x80000000");
}

Test(api_options, a_wrong_number_is_named, .init = begin)
{
    options.memory = ((size_t)4 << 20) - 1;
    refused("x", "kv_options.memory is 4194303");
    options.durability = KV_DISK + 1;
    refused("x", "kv_options.durability is 4");
    options.durability = KV_OS;
    refused(NULL, "kv_options.durability");
    options.durability = KV_DISK;
    refused(NULL, "kv_options.durability");
    options.workers = 17;
    refused("x", "kv_options.workers is 17");
    options.layout = 3;
    refused("x", "kv_options.layout is 3");
    options.mode = 2;
    refused("x", "kv_options.mode is 2");
    options.start = 2;
    refused("x", "kv_options.start is 2");
    options.compression = 20;
    refused("x", "kv_options.compression is 20");
    options.compression = -2;
    refused("x", "kv_options.compression is -2");
    options.reserved[2] = 9;
    refused("x", "kv_options.reserved[2] is 9");
    policy.ttl_ms = KV_TTL_MAX + 1;
    refused("x", "kv_policy.ttl_ms is 31536000000001");
}

Test(api_options, a_missing_function_or_path_is_named, .init = begin)
{
    allocator.alloc = NULL;
    refused("x", "kv_allocator.alloc is NULL");
    allocator.resize = NULL;
    refused("x", "kv_allocator.resize is NULL");
    allocator.free = NULL;
    refused("x", "kv_allocator.free is NULL");
    refused("", "path is empty");
}

/* --- who runs it ------------------------------------------------------------------------------ */

Test(api_options, a_stepped_store_has_the_workers_that_it_asks_for, .init = begin)
{
    options.mode = KV_STEPPED;
    OK(kvi_api_options_resolve("x", &options, &set));
    cr_assert(set.stepped && set.callbacks_in_step);
    cr_assert_eq(set.workers, 0);
    options.workers = 3;
    OK(kvi_api_options_resolve("x", &options, &set));
    cr_assert_eq(set.workers, 3);
    options.mode = KV_THREADED;
    options.workers = 0;
    options.flags = KV_CALLBACKS_IN_STEP;
    OK(kvi_api_options_resolve(NULL, &options, &set));
    cr_assert(!set.stepped && set.callbacks_in_step);
    cr_assert_eq(set.workers, 2);
}

/* --- clusters --------------------------------------------------------------------------------- */

static kv_transport transport;
static const char *seeds[2];

static int no_start(void *self, kv_inbox *inbox, const kv_host *host, const char *listen)
{
    (void)self, (void)inbox, (void)host, (void)listen;
    return KV_EIO;
}

static int no_send(void *self, const char *address, const kv_slice *parts, size_t count,
                   int urgency)
{
    (void)self, (void)address, (void)parts, (void)count, (void)urgency;
    return KV_EIO;
}

static int no_step(void *self, uint64_t timeout_ns)
{
    (void)self, (void)timeout_ns;
    return KV_EIO;
}

static void no_stop(void *self)
{
    (void)self;
}

static void begin_node(void)
{
    begin();
    transport = (kv_transport)KV_TRANSPORT_INIT;
    transport.max_message = 1200;
    transport.start = no_start;
    transport.send = no_send;
    transport.stop = no_stop;
    seeds[0] = "other:1";
    seeds[1] = "other:2";
    options.listen = "me:1";
    options.transport = &transport;
}

static void node_refused(int code, const char *detail)
{
    FAILS(kvi_api_options_resolve("x", &options, &set), code, detail);
    begin_node();
}

Test(api_options, a_node_has_its_defaults, .init = begin_node)
{
    OK(kvi_api_options_resolve("x", &options, &set));
    cr_assert_eq(set.layout, KV_PLACED);
    cr_assert(!set.create && !set.trusted && !set.zone && set.seed_count == 0);
    cr_assert_str_eq(set.advertise, "me:1");
    cr_assert_eq(set.weight, 100);
    options.advertise = "outside:1";
    options.start = KV_CREATE;
    options.flags = KV_TRUSTED_NETWORK;
    options.seeds = seeds;
    options.seed_count = 2;
    options.zone = "a";
    options.weight = 7;
    options.layout = KV_PLACED;
    policy.n = KV_REPLICAS_MAX;
    policy.r = KV_ALL;
    policy.w = KV_QUORUM;
    policy.conflict = KV_LAST_WRITE_WINS;
    options.policy = &policy;
    OK(kvi_api_options_resolve(NULL, &options, &set));
    cr_assert(set.create && set.trusted && set.seeds == seeds && set.seed_count == 2);
    cr_assert_str_eq(set.listen, "me:1");
    cr_assert_str_eq(set.advertise, "outside:1");
    cr_assert_str_eq(set.zone, "a");
    cr_assert_eq(set.weight, 7);
}

Test(api_options, a_placed_store_alone_creates_its_cluster, .init = begin)
{
    options.layout = KV_PLACED;
    OK(kvi_api_options_resolve("x", &options, &set));
    cr_assert(set.create && !set.listen);
    cr_assert_eq(set.layout, KV_PLACED);
}

Test(api_options, a_node_without_a_network_is_refused, .init = begin_node)
{
    options.transport = NULL;
    node_refused(KV_ENOTSUP, "kv_options.listen needs kv_options.transport");
    transport.size = 8;
    node_refused(KV_EINVAL, "kv_transport.size is 8");
    transport.max_message = 1199;
    node_refused(KV_EINVAL, "kv_transport.max_message is 1199");
    transport.start = NULL;
    node_refused(KV_EINVAL, "kv_transport.start is NULL");
    transport.send = NULL;
    node_refused(KV_EINVAL, "kv_transport.send is NULL");
    transport.stop = NULL;
    node_refused(KV_EINVAL, "kv_transport.stop is NULL");
    transport.step = no_step;
    node_refused(KV_EINVAL, "kv_transport.wake is NULL");
}

Test(api_options, a_wrong_field_of_a_node_is_named, .init = begin_node)
{
    static char longer[257];

    memset(longer, 'a', sizeof longer - 1);
    options.listen = "";
    node_refused(KV_EINVAL, "kv_options.listen is empty");
    options.listen = longer;
    node_refused(KV_EINVAL, "kv_options.listen is over the limit of 255");
    options.advertise = longer;
    node_refused(KV_EINVAL, "kv_options.advertise is over");
    options.zone = longer;
    node_refused(KV_EINVAL, "kv_options.zone is over the limit of 63");
    options.seeds = seeds;
    options.seed_count = 65;
    node_refused(KV_EINVAL, "kv_options.seed_count is 65");
    options.seed_count = 1;
    node_refused(KV_EINVAL, "kv_options.seeds is NULL");
    options.seeds = seeds;
    options.seed_count = 2;
    seeds[1] = NULL;
    node_refused(KV_EINVAL, "kv_options.seeds[1] is NULL");
    options.layout = KV_ORDERED;
    node_refused(KV_EINVAL, "layout is KV_ORDERED");
    options.policy = &policy;
    policy.n = 9;
    node_refused(KV_EINVAL, "kv_policy.n is 9");
    options.policy = &policy;
    policy.w = 9;
    node_refused(KV_EINVAL, "kv_policy.w is 9");
    options.policy = &policy;
    policy.mode = KV_STRONG;
    node_refused(KV_ENOTSUP, "KV_STRONG");
    options.policy = &policy;
    policy.mode = 2;
    node_refused(KV_EINVAL, "kv_policy.mode is 2");
    options.policy = &policy;
    policy.conflict = 2;
    node_refused(KV_EINVAL, "kv_policy.conflict is 2");
    options.policy = &policy;
    policy.reserved[1] = 1;
    node_refused(KV_EINVAL, "kv_policy.reserved[1] is 1");
}

static int no_merge(void *user, kv_slice key, const kv_value *siblings, uint32_t count, void *out,
                    size_t capacity, size_t *len)
{
    (void)user, (void)key, (void)siblings, (void)count, (void)out, (void)capacity, (void)len;
    return KV_EIO;
}

Test(api_options, what_only_a_node_has_is_refused_elsewhere, .init = begin)
{
    options.advertise = "me:1";
    refused("x", "kv_options.advertise has no meaning without listen");
    options.seeds = seeds;
    refused("x", "kv_options.seeds has no meaning without listen");
    options.zone = "a";
    refused("x", "kv_options.zone has no meaning without listen");
    options.weight = 1;
    refused("x", "kv_options.weight has no meaning without listen");
    options.transport = &transport;
    refused("x", "kv_options.transport has no meaning without listen");
    options.flags = KV_TRUSTED_NETWORK;
    refused("x", "kv_options.flags (KV_TRUSTED_NETWORK) has no meaning without listen");
    options.start = KV_CREATE;
    refused("x", "kv_options.start is of placed stores");
    options.merge = no_merge;
    refused("x", "kv_options.merge is of placed stores");
    policy.n = 1;
    refused("x", "kv_policy.n is of placed stores");
    policy.r = 1;
    refused("x", "kv_policy.r is of placed stores");
    policy.conflict = KV_LAST_WRITE_WINS;
    refused("x", "kv_policy.conflict is of placed stores");
    options.layout = KV_PLACED;
    options.merge = no_merge;
    options.start = KV_CREATE;
    policy.n = 1;
    options.policy = &policy;
    OK(kvi_api_options_resolve("x", &options, &set));
    cr_assert(set.merge == no_merge);
}
