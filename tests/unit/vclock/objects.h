/* Dots, siblings and objects for the tests of lib/vclock. */
#ifndef KVT_UNIT_VCLOCK_OBJECTS_H
#define KVT_UNIT_VCLOCK_OBJECTS_H

#include <criterion/criterion.h>

#include <string.h>

#include "base/error.h"
#include "support/failmem.h"
#include "support/rng.h"
#include "vclock/object.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

static inline kvi_dot dot_of(uint64_t open_id, uint64_t birth, uint64_t counter)
{
    kvi_dot dot = {{open_id, birth}, counter};

    return dot;
}

/* A value; text NULL: a tombstone. */
static inline kvi_sibling sibling_of(kvi_dot dot, const char *text)
{
    kvi_sibling s = {.dot = dot, .written_ms = 1000};

    if (text)
        s.value = kvi_slice_of(text, strlen(text));
    else
        s.flags = KVI_SIBLING_TOMBSTONE;
    return s;
}

static inline void put_text(kvi_object *o, const kvi_clock *context, kvi_dot dot, const char *text)
{
    kvi_sibling s = sibling_of(dot, text);

    OK(kvi_object_put(o, context, &s));
}

/* o has exactly this sibling at this place. */
static inline void has(const kvi_object *o, uint32_t at, kvi_dot dot, const char *text)
{
    cr_assert_lt(at, o->count);
    cr_assert(kvi_dot_eq(&o->siblings[at].dot, &dot));
    cr_assert_eq(o->siblings[at].flags, text ? 0 : KVI_SIBLING_TOMBSTONE);
    cr_assert(kvi_slice_eq(o->siblings[at].value, kvi_slice_of(text, text ? strlen(text) : 0)));
}

/* o, which is empty, becomes a random object; its values are constants. */
static inline void put_random(kvt_rng *rng, kvi_object *o, bool lww)
{
    static const char *const texts[] = {"", "x", "some value", NULL};
    uint64_t births = kvt_rng_below(rng, 200);
    uint64_t puts = 1 + kvt_rng_below(rng, lww ? 3 : 12);

    o->lww = lww;
    for (uint64_t i = 0; i < puts; i++) {
        uint64_t open_id = kvt_rng_below(rng, 3) + (kvt_rng_below(rng, 2) ? UINT64_MAX - 5 : 0);
        uint64_t stamp = kvi_object_empty(o) || !lww ? 0 : kvi_object_stamp(o, NULL);
        kvi_dot dot = lww ? kvi_object_stamped(open_id, stamp + 1 + kvt_rng_below(rng, 1000))
                          : kvi_object_mint(o, NULL, open_id, &births);
        kvi_sibling s = sibling_of(dot, texts[kvt_rng_below(rng, 4)]);

        if (!s.flags && kvt_rng_below(rng, 3) == 0)
            s.expires_ms = (int64_t)(kvt_rng_next(rng) >> (1 + kvt_rng_below(rng, 60)));
        s.written_ms = (int64_t)kvt_rng_next(rng) >> kvt_rng_below(rng, 60);
        OK(kvi_object_put(o, kvt_rng_below(rng, 4) == 0 ? &o->seen : NULL, &s));
    }
}

#endif
