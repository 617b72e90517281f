/*
 * The knobs of the simulated disk: which call fails, what a read is spoiled by, how much room there
 * is. See sim_fs.h.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "sim/sim_disk.h"

static const char *const call_names[KVI_SIM_CALLS] = {
    [KVI_SIM_CALL_ANY] = "call",        [KVI_SIM_CALL_OPEN_DIR] = "opening of a directory",
    [KVI_SIM_CALL_CLOSE_DIR] = "close", [KVI_SIM_CALL_LOCK] = "lock",
    [KVI_SIM_CALL_LIST] = "list",       [KVI_SIM_CALL_SYNC_DIR] = "sync of the directory",
    [KVI_SIM_CALL_RENAME] = "rename",   [KVI_SIM_CALL_UNLINK] = "unlink",
    [KVI_SIM_CALL_OPEN] = "open",       [KVI_SIM_CALL_CREATE] = "create",
    [KVI_SIM_CALL_READ] = "read",       [KVI_SIM_CALL_WRITE] = "write",
    [KVI_SIM_CALL_SYNC] = "sync",       [KVI_SIM_CALL_SIZE] = "size",
    [KVI_SIM_CALL_MAP] = "map",         [KVI_SIM_CALL_CLOSE] = "close",
};

static bool exactly(const kvi_sim_fs_faults *f, enum kvi_sim_call kind, uint64_t n)
{
    if (f->fail_with == KV_OK || f->fail_call != kind)
        return false;
    return n == f->fail_at || (f->from_then_on && n > f->fail_at);
}

int kvi_sim_call(kvi_sim_fs *fs, enum kvi_sim_call kind, const char *name)
{
    const kvi_sim_fs_faults *f = &fs->faults;
    uint64_t any = fs->counts.calls[KVI_SIM_CALL_ANY]++;
    uint64_t n = fs->counts.calls[kind]++;
    int err = KV_OK;

    KVI_ASSERT(kind > KVI_SIM_CALL_ANY && kind < KVI_SIM_CALLS);
    KVI_ASSERT(!fs->in_hook);
    if (fs->off)
        err = KV_EIO;
    else if (exactly(f, kind, n) || exactly(f, KVI_SIM_CALL_ANY, any))
        err = f->fail_with;
    else if (kvi_sim_rng_chance(&fs->rng, f->error_ppm[KVI_SIM_CALL_ANY]) ||
             kvi_sim_rng_chance(&fs->rng, f->error_ppm[kind]))
        err = f->error == KV_OK ? KV_EIO : f->error;
    if (err == KV_OK)
        return KV_OK;
    fs->counts.failed++;
    return kvi_error_set(err, "%s: %s failed (simulated)", name, call_names[kind]);
}

void kvi_sim_mutation(kvi_sim_fs *fs)
{
    uint64_t n = fs->counts.mutations;

    KVI_ASSERT(!fs->in_hook);
    if (fs->off)
        return;
    fs->counts.mutations++;
    if (!fs->hook)
        return;
    fs->in_hook = true;
    fs->hook(fs->hook_user, fs, n);
    fs->in_hook = false;
}

uint64_t kvi_sim_fs_used(const kvi_sim_fs *fs)
{
    uint64_t bytes = 0;

    KVI_LIST_EACH(at, &fs->nodes) {
        const kvi_sim_node *n = KVI_CONTAINER_OF(at, kvi_sim_node, link);

        if (n->named || n->opens > 0)
            bytes += n->cur_size;
    }
    return bytes;
}

size_t kvi_sim_room(const kvi_sim_fs *fs, const kvi_sim_node *n, uint64_t offset, size_t len)
{
    uint64_t used, end;

    if (fs->faults.capacity == 0)
        return len;
    used = kvi_sim_fs_used(fs);
    end = n->cur_size + (fs->faults.capacity > used ? fs->faults.capacity - used : 0);
    return offset >= end ? 0 : (size_t)kvi_min_u64(len, end - offset);
}

/* Flips a bit of [offset, offset + len), unless the page is dirty: what is in memory alone does not
 * rot. */
static int rot(kvi_sim_fs *fs, kvi_sim_node *n, uint64_t offset, size_t len)
{
    uint64_t where = offset + kvi_sim_rng_below(&fs->rng, len);
    uint8_t mask = (uint8_t)(1u << kvi_sim_rng_below(&fs->rng, 8));
    uint8_t byte;
    int err = kvi_sim_node_absorb(n, where, 1);

    if (err || n->slots[where / KVI_SIM_PAGE].dirty)
        return err;
    kvi_sim_node_read(n, where, &byte, 1);
    byte ^= mask;
    fs->counts.rotted++;
    return kvi_sim_node_poke(n, where, &byte, 1);
}

static bool can_stand_in(const kvi_sim_node *n, size_t len)
{
    return n->named && n->cur_size >= len;
}

/* Another file, or another sector of the same. */
static void misdirect(kvi_sim_fs *fs, kvi_sim_node **n, uint64_t *offset, size_t len)
{
    size_t count = 0, skip;

    KVI_LIST_EACH(at, &fs->nodes)
        count += can_stand_in(KVI_CONTAINER_OF(at, kvi_sim_node, link), len);
    if (count == 0)
        return;
    skip = (size_t)kvi_sim_rng_below(&fs->rng, count);
    KVI_LIST_EACH(at, &fs->nodes) {
        kvi_sim_node *other = KVI_CONTAINER_OF(at, kvi_sim_node, link);
        uint64_t sectors, place;

        if (!can_stand_in(other, len) || skip-- > 0)
            continue;
        sectors = (other->cur_size - len) / KVI_SIM_SECTOR + 1;
        place = kvi_sim_rng_below(&fs->rng, sectors) * KVI_SIM_SECTOR;
        fs->counts.misdirected += other != *n || place != *offset;
        *n = other;
        *offset = place;
        return;
    }
}

int kvi_sim_spoil_read(kvi_sim_fs *fs, kvi_sim_node **n, uint64_t *offset, size_t len)
{
    if (kvi_sim_rng_chance(&fs->rng, fs->faults.rot_ppm)) {
        int err = rot(fs, *n, *offset, len);

        if (err)
            return err;
    }
    if (kvi_sim_rng_chance(&fs->rng, fs->faults.misdirect_ppm))
        misdirect(fs, n, offset, len);
    return KV_OK;
}

/* --- setting the knobs ---------------------------------------------------------------------------
 */

void kvi_sim_fs_set_faults(kvi_sim_fs *fs, const kvi_sim_fs_faults *faults)
{
    static const kvi_sim_fs_faults none;

    fs->faults = faults ? *faults : none;
}

int kvi_sim_fs_power_off(kvi_sim_fs *fs)
{
    KVI_LIST_EACH(at, &fs->nodes) {
        int err = kvi_sim_node_freeze_map(KVI_CONTAINER_OF(at, kvi_sim_node, link));

        if (err)
            return err;
    }
    fs->off = true;
    return KV_OK;
}

const kvi_sim_fs_counts *kvi_sim_fs_get_counts(const kvi_sim_fs *fs)
{
    return &fs->counts;
}

void kvi_sim_fs_reset_counts(kvi_sim_fs *fs)
{
    memset(&fs->counts, 0, sizeof fs->counts);
}
