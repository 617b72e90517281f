/*
 * What the files behind object.h share.
 *
 * Pure. Private to this folder.
 */
#ifndef KVI_VCLOCK_OBJECT_IMPL_H
#define KVI_VCLOCK_OBJECT_IMPL_H

#include "vclock/object.h"

/** Room for count siblings in all. KV_ENOMEM; KV_ETOOBIG: over KVI_OBJECT_SIBLINGS_MAX. */
int kvi_object_reserve(kvi_object *o, size_t count) KVI_NODISCARD;

/** Which of two last-write-wins dots wins, by stamp, then actor: <0: b, 0: they are one, >0: a. */
static inline int kvi_object_stamp_cmp(const kvi_dot *a, const kvi_dot *b)
{
    if (a->counter != b->counter)
        return a->counter < b->counter ? -1 : 1;
    return kvi_actor_cmp(&a->actor, &b->actor);
}

#endif
