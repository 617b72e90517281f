/*
 * Batches of a placed store: of one part, over any spaces of as many replicas.
 */
#include "unit/api/placed_fixture.h"

#define PLACED_TEST(name) Test(api_placed_batch, name, .init = begin, .fini = end)

PLACED_TEST(a_batch_is_of_one_part)
{
    kv_batch *b;

    OK(kv_batch_new(t.db, &b));
    OK(kv_batch_put(b, "{u}/a", 5, "1", 1, NULL));
    OK(kv_batch_put(b, "{u}/b", 5, "2", 1, NULL));
    FAILS(kv_batch_put(b, "{v}/a", 5, "3", 1, NULL), KV_EINVAL, "key \"{v}/a\"");
    FAILS(kv_batch_delete(b, "alone", 5), KV_EINVAL, "key \"alone\"");
    OK(kv_batch_delete(b, "u", 1));
    OK(kv_batch_commit(b, NULL, &r));
    cr_assert(r.acks == 1 && r.durability == KV_DISK && r.context.len == 0);
    cr_assert(kvt_has(t.db, "{u}/a", "1") && kvt_has(t.db, "{u}/b", "2"));
    OK(kv_batch_delete(b, "{u}/a", 5));
    OK(kv_batch_put(b, "{u}/b", 5, "3", 1, NULL));
    op.w = KV_ALL;
    op.durability = KV_OS;
    OK(kv_batch_commit(b, &op, &r));
    cr_assert_eq(r.durability, KV_OS);
    cr_assert(kvt_has(t.db, "{u}/a", NULL) && kvt_has(t.db, "{u}/b", "3"));
    OK(kv_batch_commit(b, NULL, &r));
    kv_batch_free(b);
}

PLACED_TEST(a_batch_may_span_spaces_of_as_many_replicas)
{
    kv *same, *other;
    kv_batch *b;

    OK(kv_space(t.db, "same", NULL, &same));
    policy.n = 2;
    OK(kv_space(t.db, "other", &policy, &other));
    OK(kv_batch_new(t.db, &b));
    OK(kv_batch_put(b, "k", 1, "1", 1, NULL));
    OK(kv_batch_use(b, same));
    OK(kv_batch_put(b, "k", 1, "2", 1, NULL));
    OK(kv_batch_commit(b, NULL, NULL));
    cr_assert(kvt_has(t.db, "k", "1") && kvt_has(same, "k", "2"));
    OK(kv_batch_put(b, "k", 1, "3", 1, NULL));
    OK(kv_batch_use(b, other));
    OK(kv_batch_put(b, "k", 1, "4", 1, NULL));
    FAILS(kv_batch_commit(b, NULL, NULL), KV_EINVAL, "\"other\" has n 2");
    cr_assert(kvt_has(same, "k", "2"));
    kv_batch_free(b);
    OK(kv_close(other));
    OK(kv_close(same));
}
