/*
 * CURRENT; see the header for the contract.
 */
#include "lsm/current.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "lsm/manifest_format.h"
#include "lsm/names.h"

static int corrupt(const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "%s: %s", KVI_LSM_NAME_CURRENT, why);
}

/* The whole file, which has room bytes at most. */
static int read_all(kvi_os_dir *dir, uint8_t *bytes, size_t room, size_t *len)
{
    kvi_os_file *file;
    uint64_t size;
    int err = dir->ops->open(dir, KVI_LSM_NAME_CURRENT, KVI_OS_READ, &file);

    if (err)
        return err;
    err = file->ops->size(file, &size);
    if (!err && (size < KVI_CURRENT_LEN || size > room))
        err = kvi_error_set(KV_ECORRUPT, "%s: has %" PRIu64 " bytes, and should have %u",
                            KVI_LSM_NAME_CURRENT, size, KVI_CURRENT_LEN);
    if (!err)
        err = file->ops->read(file, 0, bytes, (size_t)size, len);
    if (!err && *len < size)
        err = kvi_error_set(KV_EIO, "%s: shrank while it was read", KVI_LSM_NAME_CURRENT);
    (void)file->ops->close(file); /* nothing was written */
    return err;
}

int kvi_lsm_current_read(kvi_os_dir *dir, uint8_t store_id[16], uint64_t *manifest_no)
{
    uint8_t bytes[KVI_CURRENT_LEN_MAX];
    uint32_t format;
    uint64_t number;
    size_t len = 0;
    int err = read_all(dir, bytes, sizeof bytes, &len);

    if (err)
        return err;
    KVI_ASSERT(len >= KVI_CURRENT_LEN && len <= sizeof bytes);
    if (kvi_get_u64(bytes + len - 8) != kvi_hash64(bytes, len - 8, 0))
        return corrupt("its checksum is wrong");
    if (kvi_get_u32(bytes + KVI_CURRENT_AT_MAGIC) != KVI_CURRENT_MAGIC)
        return corrupt("it is not a file of libkv");
    format = kvi_get_u32(bytes + KVI_CURRENT_AT_FORMAT);
    if (format > KVI_CURRENT_FORMAT)
        return kvi_error_set(KV_EFORMAT,
                             "the store has format %" PRIu32 ", this library knows up to %u; use a "
                             "newer one",
                             format, KVI_CURRENT_FORMAT);
    number = kvi_get_u64(bytes + KVI_CURRENT_AT_NUMBER);
    if (format == 0 || len != KVI_CURRENT_LEN || number == 0 ||
        kvi_get_u64(bytes + KVI_CURRENT_AT_ZERO) != 0)
        return corrupt("it is not one of format 1");
    memcpy(store_id, bytes + KVI_CURRENT_AT_STORE, 16);
    *manifest_no = number;
    return KV_OK;
}

static int write_synced(kvi_os_dir *dir, const char *name, const uint8_t *bytes, size_t len)
{
    kvi_os_file *file;
    int err = dir->ops->open(dir, name, KVI_OS_CREATE, &file), close_err;

    if (err)
        return err;
    err = file->ops->write(file, 0, bytes, len);
    if (!err)
        err = file->ops->sync(file);
    close_err = file->ops->close(file);
    return err ? err : close_err;
}

int kvi_lsm_current_prepare(kvi_os_dir *dir, const uint8_t store_id[16], uint64_t manifest_no)
{
    uint8_t bytes[KVI_CURRENT_LEN] = {0};
    int err;

    KVI_ASSERT(manifest_no > 0);
    kvi_put_u32(bytes + KVI_CURRENT_AT_MAGIC, KVI_CURRENT_MAGIC);
    kvi_put_u32(bytes + KVI_CURRENT_AT_FORMAT, KVI_CURRENT_FORMAT);
    memcpy(bytes + KVI_CURRENT_AT_STORE, store_id, 16);
    kvi_put_u64(bytes + KVI_CURRENT_AT_NUMBER, manifest_no);
    kvi_put_u64(bytes + KVI_CURRENT_AT_CHECKSUM, kvi_hash64(bytes, KVI_CURRENT_AT_CHECKSUM, 0));

    err = dir->ops->unlink(dir, KVI_LSM_NAME_CURRENT_TMP);
    if (err && err != KV_ENOENT)
        return err;
    return write_synced(dir, KVI_LSM_NAME_CURRENT_TMP, bytes, sizeof bytes);
}

int kvi_lsm_current_switch(kvi_os_dir *dir)
{
    int err = dir->ops->rename(dir, KVI_LSM_NAME_CURRENT_TMP, KVI_LSM_NAME_CURRENT);

    return err ? err : dir->ops->sync(dir);
}
