/*
 * Contexts (api/context.h): what was sealed opens, and nothing else does.
 */
#include "api/context.h"

#include "unit/api/fixture.h"

static kvi_api_store store;

static kv handle_of(uint32_t space)
{
    return (kv){.store = &store, .space = space};
}

static void begin(void)
{
    memset(&store, 0, sizeof store);
    store.context_seed = UINT64_C(0x1234567890abcdef);
}

static kvi_slice text(const char *s)
{
    return kvi_slice_of(s, strlen(s));
}

Test(api_context, what_was_sealed_opens, .init = begin)
{
    static const uint64_t seqs[] = {0, 1, 255, 256, KVI_SEQ_MAX};
    kv db = handle_of(1);

    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        uint8_t context[KVI_API_CONTEXT_LEN];
        kvi_api_version v = {7, 7}, sealed = {seqs[i], seqs[i] * 3};

        kvi_api_context_seal(&db, text("key"), sealed, context);
        OK(kvi_api_context_open(&db, text("key"), kvi_slice_of(context, sizeof context), &v));
        cr_assert(kvi_api_version_eq(v, sealed));
    }
}

/** Opens as db's key, under another secret where asked: refused, and the version left alone. */
static void refused(kv *db, const char *key, kvi_slice context, const char *detail)
{
    kvi_api_version v = {7, 7};

    FAILS(kvi_api_context_open(db, text(key), context, &v), KV_EINVAL, detail);
    cr_assert(v.seq == 7 && v.digest == 7);
}

Test(api_context, another_key_space_or_store_is_refused, .init = begin)
{
    uint8_t bytes[KVI_API_CONTEXT_LEN];
    kvi_slice context = kvi_slice_of(bytes, sizeof bytes);
    kv db = handle_of(1), other = handle_of(2);

    kvi_api_context_seal(&db, text("key"), (kvi_api_version){5, 9}, bytes);
    refused(&db, "kez", context, "not of this key");
    refused(&db, "key2", context, "not of this key");
    refused(&other, "key", context, "not of this key");
    store.context_seed++;
    refused(&db, "key", context, "not of this key");
}

Test(api_context, damage_is_refused_wherever_it_is, .init = begin)
{
    uint8_t bytes[KVI_API_CONTEXT_LEN];
    kvi_slice context = kvi_slice_of(bytes, sizeof bytes);
    kv db = handle_of(1);

    kvi_api_context_seal(&db, text("key"), (kvi_api_version){5, 9}, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        refused(&db, "key", context, "kv_op.context");
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 1; len < sizeof bytes; len++)
        refused(&db, "key", kvi_slice_of(bytes, len), "none that libkv made");
}
