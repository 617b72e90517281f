/*
 * Disk work of a node, on the executor: run is called there, then back by the owner, in
 * kvi_storage_complete(). The job is the first thing in a struct of its maker, who frees it in
 * back.
 */
#ifndef KVI_NODE_STORAGE_JOB_H
#define KVI_NODE_STORAGE_JOB_H

#include "node/storage.h"

typedef struct kvi_storage_job {
    kvi_list link;
    kvi_os_job job;
    kvi_storage *storage;
    void (*run)(struct kvi_storage_job *job);
    void (*back)(struct kvi_storage_job *job);
} kvi_storage_job;

void kvi_storage_job_begin(kvi_storage *s, kvi_storage_job *job, void (*run)(kvi_storage_job *),
                           void (*back)(kvi_storage_job *));

#endif
