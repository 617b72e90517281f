/*
 * lib/lsm/manifest.c, manifest_load.c: what was acknowledged is what is loaded, through rolls,
 * crashes, failures and damage.
 */
#include <stdio.h>

#include "support/failmem.h"
#include "unit/lsm/stage.h"

/* What fs holds is state number n of the stage, or the next one, whose step was under way; before
   there is a store it may be none. Then it can be opened: rolled, and read again. */
static void check_disk(const stage *s, kvi_sim_fs *fs, const char *when)
{
    owner o = {plain_mem(), 0};
    kvi_os_dir *dir = dir_open(fs);
    kvi_lsm_state got, again;
    kvi_lsm_manifest m;
    bool same;
    int err = load(dir, &o, &got);

    if (err == KV_ENOENT && s->done == 0) {
        dir_close(dir);
        return;
    }
    cr_assert_eq(err, KV_OK, "%s, %zu steps done: %s", when, s->done, kvi_error_detail());
    same = s->done > 0 && state_same(&got, &s->states[s->done]);
    if (!same && s->done < STEPS && s->states[s->done + 1].version)
        same = state_same(&got, &s->states[s->done + 1]);
    cr_assert(same, "%s, %zu steps done", when, s->done);
    kvi_lsm_manifest_init(&m, plain_mem(), dir);
    got.next_file++;
    OK(kvi_lsm_manifest_roll(&m, &got, got.next_file - 1));
    kvi_lsm_manifest_close(&m);
    OK(load(dir, &o, &again));
    cr_assert(state_same(&again, &got));
    cr_assert_eq(again.next_file, got.next_file);
    cr_assert_eq(o.obsolete, 0, "loading deletes nothing");
    kvi_lsm_version_unref(again.version);
    kvi_lsm_version_unref(got.version);
    dir_close(dir);
}

/* --- without faults ----------------------------------------------------------------------- */

Test(lsm_manifest, each_step_is_loaded_back)
{
    kvi_sim_fs *fs = disk_new(1);
    owner o = {plain_mem(), 0};
    kvi_lsm_state got;
    stage s;

    stage_begin(&s, plain_mem(), fs);
    cr_assert_eq(load(s.dir, &o, &got), KV_ENOENT);
    while (s.done < STEPS) {
        size_t n = s.done;

        OK(script[n] == STEP_ROLL ? step_roll(&s, n) : step_edit(&s, n));
        s.done++;
        OK(load(s.dir, &o, &got));
        cr_assert(state_same(&got, &s.states[s.done]), "step %zu", n);
        cr_assert_eq(got.next_file, s.states[s.done].next_file);
        cr_assert_eq(o.obsolete, 0, "what edits remove on the way is not told of");
        kvi_lsm_version_unref(got.version);
        cr_assert_gt(o.obsolete + (n == 0), 0, "what is in the version is the caller's");
        o.obsolete = 0;
    }
    stage_end(&s);
    kvi_sim_fs_free(fs);
}

Test(lsm_manifest, an_edit_that_changes_nothing_is_not_written)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_lsm_edit e;
    uint64_t end;
    stage s;

    stage_begin(&s, plain_mem(), fs);
    OK(stage_run(&s));
    end = s.m.end;
    kvi_lsm_edit_init(&e, plain_mem());
    OK(kvi_lsm_manifest_append(&s.m, &e));
    cr_assert_eq(s.m.end, end);
    e.flushed_seq = 1000;
    OK(kvi_lsm_manifest_append(&s.m, &e));
    cr_assert_eq(s.m.end, end + 32);
    stage_end(&s);
    kvi_sim_fs_free(fs);
}

Test(lsm_manifest, what_a_crash_left_does_not_stop_a_roll)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_lsm_state got;
    stage s;

    stage_begin(&s, plain_mem(), fs);
    file_put(s.dir, "MANIFEST-000002", "left by a crash");
    file_put(s.dir, "CURRENT.tmp", "left by a crash");
    OK(stage_run(&s));
    OK(load(s.dir, &s.owner, &got));
    cr_assert(state_same(&got, &s.states[STEPS]));
    kvi_lsm_version_unref(got.version);
    stage_end(&s);
    kvi_sim_fs_free(fs);
}

Test(lsm_manifest, it_is_long_when_most_of_it_is_edits)
{
    kvi_lsm_manifest m = {.end = KVI_LSM_MANIFEST_ROLL, .full_end = KVI_LSM_MANIFEST_ROLL / 2};

    cr_assert(kvi_lsm_manifest_is_long(&m));
    m.end--;
    cr_assert(!kvi_lsm_manifest_is_long(&m));
    m.end = 10 * KVI_LSM_MANIFEST_ROLL;
    m.full_end = 9 * KVI_LSM_MANIFEST_ROLL; /* a huge store is not rolled at each edit */
    cr_assert(!kvi_lsm_manifest_is_long(&m));
}

/* --- power loss --------------------------------------------------------------------------- */

static void crash_here(void *user, kvi_sim_fs *fs, uint64_t n)
{
    const stage *s = user;

    for (int variant = 0; variant < KVI_SIM_CRASHES; variant++)
        for (uint64_t seed = 0; seed < (variant < KVI_SIM_RANDOM ? 1 : 8); seed++) {
            kvi_sim_fs *copy = crash(fs, (enum kvi_sim_crash)variant, n * 100 + seed);
            char when[64];

            snprintf(when, sizeof when, "mutation %llu, variant %d, seed %llu",
                     (unsigned long long)n, variant, (unsigned long long)seed);
            check_disk(s, copy, when);
            kvi_sim_fs_free(copy);
        }
}

Test(lsm_manifest, a_power_loss_at_any_mutation_leaves_what_was_acknowledged)
{
    kvi_sim_fs *fs = disk_new(1);
    stage s;

    stage_begin(&s, plain_mem(), fs);
    kvi_sim_fs_set_hook(fs, crash_here, &s);
    OK(stage_run(&s));
    kvi_sim_fs_set_hook(fs, NULL, NULL);
    crash_here(&s, fs, UINT32_MAX);
    stage_end(&s);
    kvi_sim_fs_free(fs);
}

/* --- failures ----------------------------------------------------------------------------- */

static void count_name(void *user, const char *name)
{
    size_t *counts = user; /* ours that belong, others */
    uint64_t number;
    enum kvi_lsm_name_kind kind = kvi_lsm_name_parse(name, &number);

    if (kind == KVI_LSM_NAME_IS_CURRENT || kind == KVI_LSM_NAME_IS_MANIFEST)
        counts[0]++;
    else
        counts[1]++;
}

static void fail_call(uint64_t n, int code, bool from_then_on, bool *failed)
{
    kvi_sim_fs *fs = disk_new(n);
    kvi_sim_fs_faults fault = {.fail_with = code, .from_then_on = from_then_on};
    kvt_failmem fm;
    kvi_mem mem;
    stage s;
    int err;

    kvt_failmem_init(&fm, &mem);
    stage_begin(&s, &mem, fs);
    fault.fail_at = kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_ANY] + n;
    kvi_sim_fs_set_faults(fs, &fault);
    err = stage_run(&s);
    *failed = kvi_sim_fs_get_counts(fs)->failed > 0;
    kvi_sim_fs_set_faults(fs, NULL);
    cr_assert(err == KV_OK || err == code, "call %llu: %d", (unsigned long long)n, err);
    check_disk(&s, fs, "after a failure"); /* this rolls, as an open does; s.m is out of date */
    crash_here(&s, fs, n);
    if (err) {
        kvi_lsm_edit e;

        kvi_lsm_edit_init(&e, &mem);
        e.flushed_seq = 1;
        if (s.m.broken) {
            cr_assert_eq(s.m.broken, code);
            cr_assert_eq(kvi_lsm_manifest_append(&s.m, &e), code);
            cr_assert_eq(kvi_lsm_manifest_roll(&s.m, &s.states[s.done], 1000), code);
        } else {
            cr_assert_eq(script[s.done], STEP_ROLL, "a failed append breaks the manifest");
        }
    }
    stage_end(&s);
    cr_assert_eq(kvi_sim_fs_open_count(fs), 0);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
    kvi_sim_fs_free(fs);
}

Test(lsm_manifest, a_failed_call_acknowledges_nothing_false)
{
    static const int codes[] = {KV_EIO, KV_ENOSPC};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
            bool failed = true;

            for (uint64_t n = 0; failed; n++)
                fail_call(n, codes[i], from_then_on, &failed);
        }
}

/* A roll that failed before its rename is as if it had not been tried: the manifest goes on. */
Test(lsm_manifest, a_failed_roll_leaves_the_manifest_as_it_was)
{
    bool broken = false;

    for (uint64_t n = 0; !broken; n++) {
        kvi_sim_fs *fs = disk_new(n);
        kvi_sim_fs_faults fault = {.fail_with = KV_ENOSPC};
        size_t counts[2] = {0, 0};
        kvi_lsm_state got;
        stage s;

        stage_begin(&s, plain_mem(), fs);
        OK(step_roll(&s, 0));
        OK(step_edit(&s, 1));
        s.done = 2;
        fault.fail_at = kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_ANY] + n;
        kvi_sim_fs_set_faults(fs, &fault);
        s.states[2].next_file++;
        if (kvi_lsm_manifest_roll(&s.m, &s.states[2], s.states[2].next_file - 1) == KV_OK) {
            cr_assert_gt(n, 10, "calls that fail unseen: the unlink of what is not there alone");
            stage_end(&s);
            kvi_sim_fs_free(fs);
            break;
        }
        kvi_sim_fs_set_faults(fs, NULL);
        broken = s.m.broken != KV_OK;
        if (!broken) {
            OK(s.dir->ops->list(s.dir, count_name, counts));
            cr_assert_eq(counts[0], 2);
            cr_assert_eq(counts[1], 0);
            OK(stage_run(&s));
            OK(load(s.dir, &s.owner, &got));
            cr_assert(state_same(&got, &s.states[STEPS]));
            kvi_lsm_version_unref(got.version);
        }
        stage_end(&s);
        kvi_sim_fs_free(fs);
    }
    cr_assert(broken);
}

Test(lsm_manifest, without_memory_a_step_can_be_taken_again)
{
    kvt_failmem fm;
    kvi_mem mem;
    bool failed = true;

    kvt_failmem_init(&fm, &mem);
    for (size_t n = 0; failed; n++) {
        kvi_sim_fs *fs = disk_new(n);
        kvi_lsm_state got;
        stage s;
        int err;

        stage_begin(&s, &mem, fs);
        kvt_failmem_arm(&fm, n, false);
        err = stage_run(&s);
        if (err) {
            cr_assert_eq(err, KV_ENOMEM);
            cr_assert_eq(s.m.broken, KV_OK);
            OK(stage_run(&s));
        }
        failed = kvt_failmem_disarm(&fm);
        OK(load(s.dir, &s.owner, &got));
        cr_assert(state_same(&got, &s.states[STEPS]));
        kvi_lsm_version_unref(got.version);
        stage_end(&s);
        cr_assert_eq(kvt_failmem_live(&fm), 0);
        kvi_sim_fs_free(fs);
    }
}

Test(lsm_manifest, loading_fails_cleanly)
{
    kvi_sim_fs *fs = disk_new(1);
    kvi_sim_fs_faults fault = {.fail_with = KV_EIO};
    owner o = {plain_mem(), 0};
    kvi_lsm_state got = {.next_file = 42};
    kvt_failmem fm;
    kvi_mem mem;
    stage s;
    int err = KV_ENOMEM;

    kvt_failmem_init(&fm, &mem);
    stage_begin(&s, plain_mem(), fs);
    OK(stage_run(&s));
    for (size_t n = 0; err; n++) {
        owner hungry = {&mem, 0};

        kvt_failmem_arm(&fm, n, false);
        err = load(s.dir, &hungry, &got);
        cr_assert_eq(kvt_failmem_disarm(&fm), err == KV_ENOMEM);
        cr_assert_eq(hungry.obsolete, 0);
        if (err)
            cr_assert_eq(got.next_file, 42);
        else
            kvi_lsm_version_unref(got.version);
        cr_assert_eq(kvt_failmem_live(&fm), 0);
    }
    got.next_file = 42;
    for (uint64_t n = 0; got.next_file == 42; n++) {
        fault.fail_at = kvi_sim_fs_get_counts(fs)->calls[KVI_SIM_CALL_ANY] + n;
        kvi_sim_fs_set_faults(fs, &fault);
        err = load(s.dir, &o, &got);
        cr_assert(err == KV_EIO || err == KV_OK); /* a failed close of what was read is no harm */
        cr_assert_eq(o.obsolete, 0);
        if (!err)
            kvi_lsm_version_unref(got.version);
        o.obsolete = 0;
    }
    kvi_sim_fs_set_faults(fs, NULL);
    stage_end(&s);
    cr_assert_eq(kvi_sim_fs_open_count(fs), 0);
    kvi_sim_fs_free(fs);
}
