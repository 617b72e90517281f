#include <kv.h>
#include <stdio.h>

int main(void)
{
    kv *db;
    kv_result r = KV_RESULT_INIT;

    if (kv_open("data", NULL, &db) != KV_OK)
        return 1;
    kv_put(db, "hello", 5, "world", 5, NULL, NULL);
    if (kv_get(db, "hello", 5, NULL, &r) == KV_OK)
        printf("%.*s\n", (int)r.values->len, (const char *)r.values->data);
    kv_result_free(&r);
    return kv_close(db) != KV_OK;
}
