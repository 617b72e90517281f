/*
 * Which entries a flush or a compaction writes; see sift.h.
 */
#include "lsm/sift.h"

#include "base/bytes.h"
#include "base/check.h"
#include "lsm/engine.h"

int kvi_lsm_sift_init(kvi_lsm_sift *s, kvi_lsm *l, kvi_lsm_beneath_fn *beneath, void *user)
{
    uint64_t newest;
    int r = KV_OK;

    kvi_buf_init(&s->snapshots, l->mem);
    kvi_buf_init(&s->key, l->mem);
    s->now_ms = kvi_os_wall_ms(l->env.clock);
    s->beneath = beneath;
    s->user = user;
    s->any = false;
    s->newer = 0;

    kvi_os_mutex_lock(&l->snapshot_lock);
    KVI_LIST_EACH(n, &l->snapshots) {
        uint64_t seq = KVI_CONTAINER_OF(n, kvi_lsm_snapshot, link)->seq;

        r = kvi_buf_append(&s->snapshots, &seq, sizeof seq);
        if (r < 0)
            break;
    }
    newest = atomic_load(&l->published);
    kvi_os_mutex_unlock(&l->snapshot_lock);
    return r < 0 ? r : kvi_buf_append(&s->snapshots, &newest, sizeof newest);
}

void kvi_lsm_sift_deinit(kvi_lsm_sift *s)
{
    kvi_buf_deinit(&s->snapshots);
    kvi_buf_deinit(&s->key);
}

static uint64_t snapshot_at(const kvi_lsm_sift *s, size_t i)
{
    uint64_t seq;

    memcpy(&seq, s->snapshots.data + i * sizeof seq, sizeof seq);
    return seq;
}

/** The oldest snapshot at or above seq; the newest of all where seq is above that. */
static uint64_t first_seeing(const kvi_lsm_sift *s, uint64_t seq)
{
    size_t low = 0, high = s->snapshots.len / sizeof seq - 1;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (snapshot_at(s, mid) >= seq)
            high = mid;
        else
            low = mid + 1;
    }
    return snapshot_at(s, low);
}

static bool deletes(const kvi_lsm_sift *s, uint64_t tag, kvi_slice value)
{
    if (kvi_tag_kind(tag) == KVI_KIND_DELETE)
        return true;
    return kvi_tag_kind(tag) == KVI_KIND_PUT_EXPIRING && value.len >= KVI_EXPIRES_LEN &&
           (int64_t)kvi_get_u64(value.data) <= s->now_ms;
}

int kvi_lsm_sift_next(kvi_lsm_sift *s, kvi_slice key, uint64_t *tag, kvi_slice *value, bool *keep)
{
    uint64_t seq = kvi_tag_seq(*tag);
    bool same = s->any && kvi_slice_eq(key, kvi_buf_slice(&s->key));
    bool hidden = same && first_seeing(s, seq) >= s->newer;
    int r;

    KVI_ASSERT(!same || seq < s->newer);
    if (!same) {
        r = kvi_buf_set(&s->key, key.data, key.len);
        if (r < 0)
            return r;
    }
    s->any = true;
    s->newer = seq;
    *keep = !hidden;
    if (hidden || !deletes(s, *tag, *value))
        return KV_OK;
    if (seq > snapshot_at(s, 0))
        return KV_OK; /* an older reader does not see this one, but what it deletes */
    if (!s->beneath(s->user, key)) {
        *keep = false;
        return KV_OK;
    }
    *tag = kvi_tag(seq, KVI_KIND_DELETE);
    *value = kvi_slice_of(NULL, 0);
    return KV_OK;
}
