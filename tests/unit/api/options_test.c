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
    cr_assert(!set.policy && !set.allocator && !set.log && !set.user);
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
    options.flags = 1u << 2;
    refused("x", "kv_options.flags has 0x4");
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
    options.layout = 2;
    refused("x", "kv_options.layout is 2");
    options.compression = 20;
    refused("x", "kv_options.compression is 20");
    options.compression = -2;
    refused("x", "kv_options.compression is -2");
    options.reserved[4] = 9;
    refused("x", "kv_options.reserved[4] is 9");
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
