/*
 * The inside of the simulated disk: directories, names, handles. See sim_fs.h for what it does.
 *
 * 1. A directory has two sets of names, current and durable. changes are what leads from one to the
 *    other: the creates, renames and unlinks since the last sync, in order.
 * 2. A node has at most one name in a set: there are no hard links.
 * 3. Sets are sorted by name; directories stand in the order in which they were made. Nothing is
 *    ordered by address.
 *
 * Private to the simulated disk. One thread.
 */
#ifndef KVI_SIM_DISK_H
#define KVI_SIM_DISK_H

#include "sim/sim_node.h"

/** More changes without a sync, and all so far become durable by themselves, as journals do. */
#define KVI_SIM_CHANGES_MAX 1024u

typedef struct kvi_sim_entry {
    char name[KVI_OS_NAME_MAX + 1];
    kvi_sim_node *node; /* a reference */
} kvi_sim_entry;

typedef struct kvi_sim_names {
    const kvi_mem *mem;
    kvi_sim_entry *entries;
    size_t count, cap;
} kvi_sim_names;

enum kvi_sim_change_kind { KVI_SIM_CREATED, KVI_SIM_RENAMED, KVI_SIM_UNLINKED };

typedef struct kvi_sim_change {
    enum kvi_sim_change_kind kind;
    bool lost;              /* never becomes durable: a fault */
    kvi_sim_node *node;     /* a reference */
    kvi_sim_node *replaced; /* what a rename put out of its place: a reference, or NULL */
    char name[KVI_OS_NAME_MAX + 1];
    char to[KVI_OS_NAME_MAX + 1]; /* of a rename */
} kvi_sim_change;

typedef struct kvi_sim_dir {
    kvi_list link;
    kvi_sim_fs *fs;
    char *path; /* owned */
    kvi_sim_names current, durable;
    kvi_sim_change *changes;
    size_t change_count, change_cap;
    bool locked_elsewhere;
} kvi_sim_dir;

typedef struct kvi_sim_dir_handle {
    kvi_os_dir base;
    kvi_sim_dir *dir;
    kvi_sim_node *locked; /* the lock file that this handle holds: a reference, or NULL */
} kvi_sim_dir_handle;

typedef struct kvi_sim_file_handle {
    kvi_os_file base;
    kvi_sim_fs *fs;
    kvi_sim_node *node; /* a reference */
    bool writable;
    bool mapped;                    /* the node's map is this handle's */
    char name[KVI_OS_NAME_MAX + 1]; /* at open: for details */
} kvi_sim_file_handle;

struct kvi_sim_fs {
    kvi_os_fs base;
    const kvi_mem *mem;
    kvi_list dirs;
    kvi_list nodes; /* all of the disk's, in the order of their creation */
    kvi_sim_rng rng;
    kvi_sim_fs_faults faults;
    kvi_sim_fs_counts counts;
    kvi_sim_mutation_fn *hook;
    void *hook_user;
    bool in_hook;
    bool off; /* calls fail and change nothing */
    bool map_supported;
    size_t open_dirs, open_files, maps;
};

/* --- sim_names.c: sets of names, and changes to them --------------------------------------- */

void kvi_sim_names_init(kvi_sim_names *s, const kvi_mem *mem);
void kvi_sim_names_deinit(kvi_sim_names *s);
kvi_sim_node *kvi_sim_names_find(const kvi_sim_names *s, const char *name);

/** Sets what name stands for, whatever it was; node loses another name it has. */
int kvi_sim_names_put(kvi_sim_names *s, const char *name, kvi_sim_node *node) KVI_NODISCARD;

/** Where it is there. */
void kvi_sim_names_remove(kvi_sim_names *s, const char *name);
int kvi_sim_names_copy(kvi_sim_names *to, const kvi_sim_names *from) KVI_NODISCARD;

/** Notes a create or unlink that is about to be made to d's current names. */
int kvi_sim_dir_note(kvi_sim_dir *d, enum kvi_sim_change_kind kind, kvi_sim_node *node,
                     const char *name) KVI_NODISCARD;

/** The same of a rename. */
int kvi_sim_dir_note_rename(kvi_sim_dir *d, kvi_sim_node *node, const char *name, const char *to,
                            bool lost) KVI_NODISCARD;

/** Makes d's changes to set s, those alone that a draw of ppm keeps (KVI_SIM_ALWAYS_PPM: all), and
 * none that is lost. */
int kvi_sim_dir_replay(const kvi_sim_dir *d, kvi_sim_names *s, uint32_t ppm, kvi_sim_rng *rng)
    KVI_NODISCARD;

/** All changes that are not lost become durable. */
int kvi_sim_dir_commit(kvi_sim_dir *d) KVI_NODISCARD;
void kvi_sim_dir_forget_changes(kvi_sim_dir *d);

/* --- sim_fs.c ------------------------------------------------------------------------------ */

/** NULL where there is none. */
kvi_sim_dir *kvi_sim_fs_find_dir(kvi_sim_fs *fs, const char *path);
int kvi_sim_fs_add_dir(kvi_sim_fs *fs, const char *path, kvi_sim_dir **out) KVI_NODISCARD;

/** Lists a node as the disk's. */
void kvi_sim_fs_adopt(kvi_sim_fs *fs, kvi_sim_node *n);

/** Sets or removes a current name, keeping the nodes' named up to date. */
int kvi_sim_dir_set_current(kvi_sim_dir *d, const char *name, kvi_sim_node *node) KVI_NODISCARD;
void kvi_sim_dir_drop_current(kvi_sim_dir *d, const char *name);

/* --- sim_file.c ---------------------------------------------------------------------------- */

/** A handle on node, which it takes a reference to. */
int kvi_sim_file_new(kvi_sim_fs *fs, kvi_sim_node *node, const char *name, bool writable,
                     kvi_os_file **out) KVI_NODISCARD;

/* --- sim_faults.c -------------------------------------------------------------------------- */

/** Counts a call; KV_OK, or what it shall fail with. name: of the file or directory. */
int kvi_sim_call(kvi_sim_fs *fs, enum kvi_sim_call kind, const char *name) KVI_NODISCARD;

/** Counts a mutation and tells the hook, before anything is changed. */
void kvi_sim_mutation(kvi_sim_fs *fs);

/** How many of len bytes written at offset find room. */
size_t kvi_sim_room(const kvi_sim_fs *fs, const kvi_sim_node *n, uint64_t offset, size_t len);

/** Lets the knobs spoil a read of len bytes: may flip a bit on the disk, may point *n and *offset
 * elsewhere. */
int kvi_sim_spoil_read(kvi_sim_fs *fs, kvi_sim_node **n, uint64_t *offset, size_t len)
    KVI_NODISCARD;

/* --- sim_crash.c --------------------------------------------------------------------------- */

/** A rate of survival, from nearly nothing to nearly all. */
uint32_t kvi_sim_draw_survival(kvi_sim_rng *rng);

#endif
