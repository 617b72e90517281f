/* See one_table.h. */
#include "support/one_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "one_table: %s\n", what);
    abort();
}

void kvt_one_init(kvt_one_table *one)
{
    kvt_sst_init(&one->s, (size_t)64 << 20);
    kvt_memfile_init(&one->file);
    memset(&one->model, 0, sizeof one->model);
    one->table = NULL;
}

void kvt_one_deinit(kvt_one_table *one)
{
    kvt_one_close(one);
    kvt_model_deinit(&one->model);
    kvt_memfile_deinit(&one->file);
    kvt_sst_deinit(&one->s);
}

void kvt_one_build(kvt_one_table *one, uint32_t block_size, int compression)
{
    kvi_sst_builder_options o = {KVT_ONE_FILE_NO, block_size, compression};

    one->file.len = 0;
    need(kvt_sst_build(&one->s, &one->model, &o, &one->file, NULL) == KV_OK, "it was not built");
}

int kvt_one_open(kvt_one_table *one)
{
    need(!one->table, "it is open already");
    return kvi_sst_table_open(&one->s.ctx, &one->file.base, KVT_ONE_FILE_NO, &one->table);
}

void kvt_one_close(kvt_one_table *one)
{
    kvi_sst_table_close(one->table);
    kvi_sst_cache_drop_file(one->s.ctx.cache, KVT_ONE_FILE_NO);
    one->table = NULL;
}

int kvt_one_ask(kvt_one_table *one, kvi_slice key, uint64_t max_tag)
{
    const kvt_entry *wanted = kvt_model_get(&one->model, key, max_tag);
    kvi_sst_found found = {.found = !wanted};
    int err = kvt_sst_get(&one->s, one->table, key, max_tag, &found);

    if (err)
        return err;
    need(found.found == (wanted != NULL), wanted ? "a key is missing" : "a key was invented");
    need(!wanted || kvt_entry_same(wanted, key, found.tag, found.value), "a value is wrong");
    kvi_sst_block_unref(found.block);
    return KV_OK;
}
