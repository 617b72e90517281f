/*
 * Names on the simulated disk: sorted sets of them, and the changes that a sync of the directory
 * makes durable. See sim_disk.h.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "sim/sim_disk.h"

#define NAMES_MIN 16

void kvi_sim_names_init(kvi_sim_names *s, const kvi_mem *mem)
{
    s->mem = mem;
    s->entries = NULL;
    s->count = s->cap = 0;
}

void kvi_sim_names_deinit(kvi_sim_names *s)
{
    for (size_t i = 0; i < s->count; i++)
        kvi_sim_node_unref(s->entries[i].node);
    kvi_mem_free(s->mem, s->entries);
    kvi_sim_names_init(s, s->mem);
}

/* The first place whose name is not below this one. */
static size_t lower_bound(const kvi_sim_names *s, const char *name)
{
    size_t from = 0, to = s->count;

    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (strcmp(s->entries[mid].name, name) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static kvi_sim_entry *find(const kvi_sim_names *s, const char *name)
{
    size_t i = lower_bound(s, name);

    return i < s->count && strcmp(s->entries[i].name, name) == 0 ? &s->entries[i] : NULL;
}

kvi_sim_node *kvi_sim_names_find(const kvi_sim_names *s, const char *name)
{
    const kvi_sim_entry *e = find(s, name);

    return e ? e->node : NULL;
}

static int reserve(kvi_sim_names *s, size_t count)
{
    kvi_sim_entry *entries;
    size_t cap;

    if (count <= s->cap)
        return KV_OK;
    cap = kvi_max_size(count, kvi_max_size(NAMES_MIN, s->cap * 2));
    entries = kvi_mem_resize(s->mem, s->entries, cap * sizeof *entries);
    if (!entries)
        return kvi_error_set(KV_ENOMEM, "no memory for the names of a simulated disk");
    s->entries = entries;
    s->cap = cap;
    return KV_OK;
}

static void remove_at(kvi_sim_names *s, size_t i)
{
    kvi_sim_node *node = s->entries[i].node;

    memmove(&s->entries[i], &s->entries[i + 1], (s->count - i - 1) * sizeof s->entries[0]);
    s->count--;
    kvi_sim_node_unref(node);
}

void kvi_sim_names_remove(kvi_sim_names *s, const char *name)
{
    const kvi_sim_entry *e = find(s, name);

    if (e)
        remove_at(s, (size_t)(e - s->entries));
}

static void detach(kvi_sim_names *s, const kvi_sim_node *node)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->entries[i].node == node) {
            remove_at(s, i);
            return;
        }
}

int kvi_sim_names_put(kvi_sim_names *s, const char *name, kvi_sim_node *node)
{
    size_t i, len = strlen(name);
    kvi_sim_entry *e;
    int err = reserve(s, s->count + 1);

    if (err)
        return err;
    KVI_ASSERT(len <= KVI_OS_NAME_MAX);
    kvi_sim_node_ref(node);
    detach(s, node);
    kvi_sim_names_remove(s, name);
    i = lower_bound(s, name);
    e = &s->entries[i];
    memmove(e + 1, e, (s->count - i) * sizeof *e);
    memset(e, 0, sizeof *e);
    memcpy(e->name, name, len);
    e->node = node;
    s->count++;
    return KV_OK;
}

int kvi_sim_names_copy(kvi_sim_names *to, const kvi_sim_names *from)
{
    int err = reserve(to, from->count);

    if (err)
        return err;
    KVI_ASSERT(to->count == 0);
    for (size_t i = 0; i < from->count; i++) {
        to->entries[i] = from->entries[i];
        kvi_sim_node_ref(to->entries[i].node);
    }
    to->count = from->count;
    return KV_OK;
}

/* --- changes ------------------------------------------------------------------------------- */

static int reserve_change(kvi_sim_dir *d)
{
    kvi_sim_change *changes;
    size_t cap = d->change_cap ? d->change_cap * 2 : NAMES_MIN;

    if (d->change_count == KVI_SIM_CHANGES_MAX)
        return kvi_sim_dir_commit(d);
    if (d->change_count < d->change_cap)
        return KV_OK;
    changes = kvi_mem_resize(d->fs->mem, d->changes, cap * sizeof *changes);
    if (!changes)
        return kvi_error_set(KV_ENOMEM, "no memory for the changes of a simulated disk");
    d->changes = changes;
    d->change_cap = cap;
    return KV_OK;
}

int kvi_sim_dir_note(kvi_sim_dir *d, enum kvi_sim_change_kind kind, kvi_sim_node *node,
                     const char *name)
{
    kvi_sim_change *c;
    int err = reserve_change(d);

    if (err)
        return err;
    KVI_ASSERT(strlen(name) <= KVI_OS_NAME_MAX);
    c = &d->changes[d->change_count++];
    memset(c, 0, sizeof *c);
    c->kind = kind;
    c->node = kvi_sim_node_ref(node);
    memcpy(c->name, name, strlen(name));
    return KV_OK;
}

int kvi_sim_dir_note_rename(kvi_sim_dir *d, kvi_sim_node *node, const char *name, const char *to,
                            bool lost)
{
    kvi_sim_node *replaced = kvi_sim_names_find(&d->current, to);
    kvi_sim_change *c;
    int err = kvi_sim_dir_note(d, KVI_SIM_RENAMED, node, name);

    if (err)
        return err;
    KVI_ASSERT(strlen(to) <= KVI_OS_NAME_MAX);
    c = &d->changes[d->change_count - 1];
    c->replaced = replaced ? kvi_sim_node_ref(replaced) : NULL;
    c->lost = lost;
    memcpy(c->to, to, strlen(to));
    return KV_OK;
}

/* Whether the name that change number i gives to its node is in s a file's that was renamed away
 * from it before: then that rename did not survive, and the change, which needs the name, cannot
 * have. Of a file that was unlinked or replaced the place is taken. */
static bool taken(const kvi_sim_dir *d, size_t i, const kvi_sim_names *s, const char *name)
{
    const kvi_sim_node *there = kvi_sim_names_find(s, name);

    if (!there || there == d->changes[i].node || there == d->changes[i].replaced)
        return false;
    for (size_t k = 0; k < i; k++) {
        const kvi_sim_change *c = &d->changes[k];

        if (c->kind == KVI_SIM_RENAMED && c->node == there && strcmp(c->name, name) == 0)
            return true;
    }
    return false;
}

static int replay_one(const kvi_sim_dir *d, size_t i, kvi_sim_names *s)
{
    const kvi_sim_change *c = &d->changes[i];
    const char *name = c->kind == KVI_SIM_RENAMED ? c->to : c->name;

    if (c->kind == KVI_SIM_UNLINKED) {
        if (kvi_sim_names_find(s, name) == c->node)
            kvi_sim_names_remove(s, name);
        return KV_OK;
    }
    if (taken(d, i, s, name))
        return KV_OK;
    return kvi_sim_names_put(s, name, c->node);
}

int kvi_sim_dir_replay(const kvi_sim_dir *d, kvi_sim_names *s, uint32_t ppm, kvi_sim_rng *rng)
{
    for (size_t i = 0; i < d->change_count; i++) {
        int err;

        if (d->changes[i].lost)
            continue;
        if (ppm < KVI_SIM_ALWAYS_PPM && !kvi_sim_rng_chance(rng, ppm))
            continue;
        err = replay_one(d, i, s);
        if (err)
            return err;
    }
    return KV_OK;
}

void kvi_sim_dir_forget_changes(kvi_sim_dir *d)
{
    for (size_t i = 0; i < d->change_count; i++) {
        kvi_sim_node_unref(d->changes[i].node);
        kvi_sim_node_unref(d->changes[i].replaced);
    }
    d->change_count = 0;
}

int kvi_sim_dir_commit(kvi_sim_dir *d)
{
    int err = kvi_sim_dir_replay(d, &d->durable, KVI_SIM_ALWAYS_PPM, NULL);

    if (err == KV_OK)
        kvi_sim_dir_forget_changes(d);
    return err;
}
