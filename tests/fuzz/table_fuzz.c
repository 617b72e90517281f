/*
 * Fuzzes the reader of tables with whole files.
 *
 *   input = what to reseal u8 (reseal.h), key length u8, key, file
 *
 * The file is opened, asked for the key and walked in all ways. With the checksums made right
 * again the parsers behind them see the wrong bytes. Whatever they say, nothing crashes, nothing
 * leaks, and memory stays within a few times what blocks of this size may unpack to.
 */
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "support/reseal.h"
#include "support/sst.h"

#define FILE_NO   7u
#define STEPS_MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool expected(int err)
{
    return err == KV_OK || err == KV_ECORRUPT;
}

static void ask(kvt_sst *s, kvi_sst_table *t, kvi_slice key)
{
    kvi_sst_found found = {.found = false};
    int err = kvt_sst_get(s, t, key, KVI_TAG_NEWEST, &found);

    KVI_ASSERT(expected(err));
    KVI_ASSERT(!found.found || found.block);
    kvi_sst_block_unref(found.block);
}

static void walk(kvi_sst_table *t, enum kvi_sst_scan how, kvi_slice key)
{
    kvi_cursor *c;
    int err = kvi_sst_table_cursor(t, how, &c);
    size_t steps = 0;

    KVI_ASSERT(expected(err));
    if (err)
        return;
    for (err = c->ops->first(c); !err && c->valid && steps < STEPS_MAX; steps++)
        err = c->ops->next(c);
    KVI_ASSERT(expected(err));
    for (err = c->ops->last(c); !err && c->valid && steps < 2 * STEPS_MAX; steps++)
        err = c->ops->prev(c);
    KVI_ASSERT(expected(err));
    err = c->ops->seek(c, key, KVI_TAG_NEWEST);
    KVI_ASSERT(expected(err));
    c->ops->close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kvt_memfile file;
    kvi_sst_table *t;
    kvi_slice key;
    kvt_sst s;
    int err;

    if (size < 2)
        return 0;
    key = kvi_slice_of(data + 2, kvi_min_size(data[1], size - 2));
    kvt_sst_init(&s, (size_t)16 << 20);
    kvt_memfile_init(&file);
    kvt_memfile_set(&file, data + 2 + key.len, size - 2 - key.len);
    kvt_reseal(&s.ctx, FILE_NO, file.data, file.len, data[0]);
    err = kvi_sst_table_open(&s.ctx, &file.base, FILE_NO, &t);
    KVI_ASSERT(expected(err) || err == KV_EFORMAT);
    if (!err) {
        ask(&s, t, key);
        ask(&s, t, kvi_sst_table_meta(t)->smallest);
        walk(t, KVI_SST_CACHED, key);
        walk(t, KVI_SST_BULK, key);
        kvi_sst_table_close(t);
    }
    kvt_memfile_deinit(&file);
    kvt_sst_deinit(&s);
    return 0;
}
