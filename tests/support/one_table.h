/*
 * One table of one model in a file in memory, as most tests of tables want it.
 */
#ifndef KVT_SUPPORT_ONE_TABLE_H
#define KVT_SUPPORT_ONE_TABLE_H

#include "support/sst.h"

#define KVT_ONE_FILE_NO 12u

typedef struct kvt_one_table {
    kvt_sst s;
    kvt_memfile file;
    kvt_model model;      /* the test makes it */
    kvi_sst_table *table; /* NULL: closed */
} kvt_one_table;

void kvt_one_init(kvt_one_table *one);
void kvt_one_deinit(kvt_one_table *one);

/** Writes the model to the file anew. */
void kvt_one_build(kvt_one_table *one, uint32_t block_size, int compression);

/** KV_OK and it is open, or what the open answered and it is closed. */
int kvt_one_open(kvt_one_table *one);

/** Closes it and forgets its blocks. */
void kvt_one_close(kvt_one_table *one);

/** Asks for a key: KV_OK where the answer is the model's, else the error. Aborts on a wrong
 * answer. */
int kvt_one_ask(kvt_one_table *one, kvi_slice key, uint64_t max_tag);

#endif
