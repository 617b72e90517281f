/*
 * Results; see the header for the contract.
 */
#include "api/result.h"

#include "api/check.h"
#include "base/check.h"
#include "base/error.h"

int kvi_api_result_check(const kv_result *result)
{
    if (!result)
        return KV_OK;
    return kvi_api_check_struct("kv_result", result->size, sizeof *result, result->flags, 0);
}

int kvi_api_result_prepare(kv_result *result, const kvi_api_store *s)
{
    struct kv_result_private *held;

    if (!result || KVI_LIKELY(result->held != NULL))
        return KV_OK;
    held = kvi_mem_zalloc(s->env.mem, 1, sizeof *held);
    if (!held)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a result", sizeof *held);
    held->mem = *s->env.mem;
    kvi_buf_init(&held->copy, &held->mem);
    kvi_buf_init(&held->object, &held->mem);
    kvi_buf_init(&held->sealed, &held->mem);
    kvi_buf_init(&held->values, &held->mem);
    result->held = held;
    return KV_OK;
}

/** In a child of the process that opened the store, the pin is the parent's. */
static void release_pin(struct kv_result_private *held)
{
    kvi_api_store *lender = held->lender;

    held->lender = NULL;
    if (kvi_os_forked(&lender->fork))
        return;
    kvi_lsm_value_release(&held->value);
    if (!held->submitted)
        kvi_api_give_back(lender, KVI_API_LIVE_LENT);
}

void kvi_api_result_clear(kv_result *result)
{
    if (!result)
        return;
    if (result->held && KVI_UNLIKELY(result->held->lender != NULL))
        release_pin(result->held);
    result->count = 0;
    result->durability = KV_DEFAULT;
    result->acks = result->primaries = result->fallbacks = 0;
    result->values = NULL;
    result->context = kvi_slice_of(NULL, 0);
}

void kvi_api_result_set_value(kv_result *result, kvi_api_store *s, const kvi_lsm_value *value)
{
    struct kv_result_private *held = result->held;

    KVI_ASSERT(held && !held->lender);
    held->value = *value;
    if (value->unpin) {
        held->lender = s;
        if (!held->submitted)
            kvi_api_borrow(s, KVI_API_LIVE_LENT);
    }
    held->shown = (kv_value){value->data.data, value->data.len, value->expires_ms, 0};
    result->values = &held->shown;
    result->count = 1;
}

void kvi_api_result_set_context(kv_result *result, const kv *db, kvi_slice key,
                                kvi_api_version version)
{
    kvi_api_context_seal(db, key, version, result->held->context);
    result->context = kvi_slice_of(result->held->context, sizeof result->held->context);
}

void kv_result_free(kv_result *result)
{
    struct kv_result_private *held;
    kvi_mem mem;

    kvi_api_result_clear(result);
    if (!result || !result->held)
        return;
    held = result->held;
    mem = held->mem;
    kvi_buf_deinit(&held->copy);
    kvi_buf_deinit(&held->object);
    kvi_buf_deinit(&held->sealed);
    kvi_buf_deinit(&held->values);
    kvi_mem_free(&mem, held);
    result->held = NULL;
}
