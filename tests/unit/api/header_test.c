/*
 * include/kv.h itself: initializers, texts.
 */
#include "unit/api/fixture.h"

/** All bytes of a struct behind its size are zero. */
static bool zero_behind_size(const void *p, size_t size)
{
    const uint8_t *bytes = p;
    uint32_t said;

    memcpy(&said, p, sizeof said);
    for (size_t i = sizeof said; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return said == size;
}

Test(api_header, an_initializer_is_the_size_and_zeros)
{
    static kv_options options = KV_OPTIONS_INIT;
    static kv_allocator allocator = KV_ALLOCATOR_INIT;
    static kv_policy policy = KV_POLICY_INIT;
    static kv_op op = KV_OP_INIT;
    static kv_result result = KV_RESULT_INIT;
    static kv_range range = KV_RANGE_INIT;
    static kv_entry entry = KV_ENTRY_INIT;
    static kv_request request = KV_REQUEST_INIT;
    static kv_member member = KV_MEMBER_INIT;
    static kv_peer peer = KV_PEER_INIT;
    static kv_transport transport = KV_TRANSPORT_INIT;
    static kv_statistics statistics = KV_STATISTICS_INIT;

    cr_assert(zero_behind_size(&request, sizeof request));
    cr_assert(zero_behind_size(&member, sizeof member));
    cr_assert(zero_behind_size(&peer, sizeof peer));
    cr_assert(zero_behind_size(&transport, sizeof transport));
    cr_assert(zero_behind_size(&options, sizeof options));
    cr_assert(zero_behind_size(&allocator, sizeof allocator));
    cr_assert(zero_behind_size(&policy, sizeof policy));
    cr_assert(zero_behind_size(&op, sizeof op));
    cr_assert(zero_behind_size(&result, sizeof result));
    cr_assert(zero_behind_size(&range, sizeof range));
    cr_assert(zero_behind_size(&entry, sizeof entry));
    cr_assert(zero_behind_size(&statistics, sizeof statistics));
}

Test(api_header, every_code_has_a_text_of_its_own)
{
    for (int a = KV_OK; a >= KV_EDEADLK; a--) {
        cr_assert_not_null(kv_strerror(a));
        cr_assert_eq(strncmp(kv_strerror(a), "KV_", 3), 0, "%d: %s", a, kv_strerror(a));
        for (int b = a - 1; b >= KV_EDEADLK; b--)
            cr_assert(strcmp(kv_strerror(a), kv_strerror(b)) != 0);
    }
    cr_assert_not_null(kv_strerror(1));
    cr_assert_not_null(kv_strerror(KV_EDEADLK - 1));
    cr_assert_not_null(kv_strerror(INT32_MIN));
}

Test(api_header, the_version_is_that_of_the_header)
{
    char version[32];

    (void)snprintf(version, sizeof version, "%d.%d.%d", KV_VERSION_MAJOR, KV_VERSION_MINOR,
                   KV_VERSION_PATCH);
    cr_assert_str_eq(kv_version(), version);
}
