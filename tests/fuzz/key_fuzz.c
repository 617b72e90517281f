/*
 * Fuzzes the keys of a placed store and what a client holds of one: physical keys and the values of
 * hints are taken apart, contexts opened.
 *
 *   input = a physical key; the value of a hint; a context; and: length u8, so many bytes of a key,
 *           the rest a context of that key, but for its seal, which is added
 *
 * No crash, no read outside. What is taken apart is made of its parts again, byte for byte; nothing
 * is the key of an object and of a hint at once, nor are the bytes of a key its own context. What
 * is refused leaves the outputs as they were.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "replication/key.h"
#include "vclock/context.h"

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t secret[2] = {1, 2};

/* --- Keys ------------------------------------------------------------------------------------- */

/* A key that was taken apart lies within the range that its bytes begin. */
static void check_end(kvi_buf *made, kvi_slice physical)
{
    kvi_key_end(made);
    KVI_ASSERT(kvi_slice_cmp(physical, kvi_buf_slice(made)) < 0);
}

static bool check_data(const kvi_mem *mem, kvi_slice physical)
{
    uint64_t token = UNTOUCHED;
    uint32_t space = (uint32_t)UNTOUCHED;
    kvi_slice key = {0};
    kvi_buf made;
    int err = kvi_key_parse_data(physical, &space, &token, &key);

    if (err) {
        KVI_ASSERT(err == KV_ECORRUPT && token == UNTOUCHED && space == (uint32_t)UNTOUCHED);
        KVI_ASSERT(key.data == NULL);
        return false;
    }
    KVI_ASSERT(kvi_key_holds_data(space) && key.len > 0);
    kvi_buf_init(&made, mem);
    KVI_ASSERT(kvi_key_data(&made, space, token, key) == KV_OK);
    KVI_ASSERT(kvi_slice_eq(kvi_buf_slice(&made), physical));
    check_end(&made, physical);
    kvi_buf_deinit(&made);
    return true;
}

static bool check_hint(const kvi_mem *mem, kvi_slice physical)
{
    uint64_t token = UNTOUCHED, owner = UNTOUCHED;
    uint32_t space = (uint32_t)UNTOUCHED;
    kvi_slice key = {0};
    kvi_buf made;
    int err = kvi_key_parse_hint(physical, &owner, &space, &token, &key);

    if (err) {
        KVI_ASSERT(err == KV_ECORRUPT && token == UNTOUCHED && space == (uint32_t)UNTOUCHED);
        KVI_ASSERT(owner == UNTOUCHED && key.data == NULL);
        return false;
    }
    KVI_ASSERT(owner != 0 && kvi_key_holds_data(space) && key.len > 0);
    kvi_buf_init(&made, mem);
    KVI_ASSERT(kvi_key_hint(&made, owner, space, token, key) == KV_OK);
    KVI_ASSERT(kvi_slice_eq(kvi_buf_slice(&made), physical));
    kvi_buf_clear(&made);
    KVI_ASSERT(kvi_key_hints_of(&made, owner) == KV_OK && made.len < physical.len);
    KVI_ASSERT(memcmp(made.data, physical.data, made.len) == 0);
    check_end(&made, physical);
    kvi_buf_deinit(&made);
    return true;
}

static void check_hint_value(kvi_slice value)
{
    uint8_t made[KVI_KEY_HINT_VALUE_LEN];
    int64_t made_ms = (int64_t)UNTOUCHED;
    uint64_t bytes = UNTOUCHED;
    int err = kvi_key_parse_hint_value(value, &made_ms, &bytes);

    if (err) {
        KVI_ASSERT(value.len != KVI_KEY_HINT_VALUE_LEN ||
                   kvi_get_u64((const uint8_t *)value.data + 8) > KVI_KEY_HINT_BYTES_MAX);
        KVI_ASSERT(err == KV_ECORRUPT && made_ms == (int64_t)UNTOUCHED && bytes == UNTOUCHED);
        return;
    }
    KVI_ASSERT(value.len == KVI_KEY_HINT_VALUE_LEN && bytes <= KVI_KEY_HINT_BYTES_MAX);
    kvi_key_hint_value(made, made_ms, bytes);
    KVI_ASSERT(memcmp(made, value.data, sizeof made) == 0);
}

/* --- Contexts --------------------------------------------------------------------------------- */

static int open_context(kvi_slice context, kvi_slice key, kvi_clock *seen)
{
    const kvi_dot before = {{3, 4}, 5};
    int err;

    KVI_ASSERT(kvi_clock_raise(seen, &before) == KV_OK);
    err = kvi_context_open(context, secret, key, seen);
    KVI_ASSERT(err == KV_OK || err == KV_EINVAL);
    if (err)
        KVI_ASSERT(seen->count == 1 && kvi_dot_eq(&seen->entries[0], &before));
    return err;
}

/* Room for the seal is behind the body. */
static void seal(uint8_t *body, size_t len, kvi_slice key)
{
    for (size_t i = 0; i < 2; i++) {
        uint64_t seed = kvi_hash64(key.data, key.len, secret[i]);

        kvi_put_u64(body + len + 8 * i, kvi_hash64(body, len, seed));
    }
}

static void check_context(const kvi_mem *mem, kvi_slice context, kvi_slice key)
{
    kvi_clock seen;
    kvi_buf again;

    kvi_clock_init(&seen, mem);
    kvi_buf_init(&again, mem);
    if (open_context(context, key, &seen) == KV_OK) {
        KVI_ASSERT(context.len <= KVI_CONTEXT_LEN_MAX);
        KVI_ASSERT(kvi_context_seal(&seen, secret, key, &again) == KV_OK);
        KVI_ASSERT(kvi_slice_eq(kvi_buf_slice(&again), context));
        again.data[again.len - 1] ^= 1;
        kvi_clock_clear(&seen);
        KVI_ASSERT(open_context(kvi_buf_slice(&again), key, &seen) == KV_EINVAL);
    }
    kvi_buf_deinit(&again);
    kvi_clock_deinit(&seen);
}

static void check_sealed(const kvi_mem *mem, const uint8_t *data, size_t size)
{
    size_t key_len = kvi_min_size(data[0], size - 1), len = size - 1 - key_len;
    kvi_slice key = kvi_slice_of(data + 1, key_len);
    uint8_t *context = malloc(len + KVI_CONTEXT_MAC_LEN);

    if (!context)
        return;
    if (len > 0)
        memcpy(context, data + 1 + key_len, len);
    seal(context, len, key);
    check_context(mem, kvi_slice_of(context, len + KVI_CONTEXT_MAC_LEN), key);
    free(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kvi_slice input = kvi_slice_of(data, size);
    bool is_data, is_hint;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    is_data = check_data(&mem, input);
    is_hint = check_hint(&mem, input);
    KVI_ASSERT(!is_data || !is_hint);
    check_hint_value(input);
    check_context(&mem, input, input);
    if (size > 0)
        check_sealed(&mem, data, size);
    return 0;
}
