/*
 * The names of a store's files; see the header for the contract.
 */
#include "lsm/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* A name: digits between two words. The longest has 20 digits. */
typedef struct name_form {
    enum kvi_lsm_name_kind kind;
    const char *before, *after;
} name_form;

static const name_form manifest_form = {KVI_LSM_NAME_IS_MANIFEST, "MANIFEST-", ""};
static const name_form log_form = {KVI_LSM_NAME_IS_LOG, "", ".log"};
static const name_form table_form = {KVI_LSM_NAME_IS_TABLE, "", ".sst"};

static void make(kvi_lsm_name out, const name_form *form, uint64_t number)
{
    int len =
        snprintf(out, sizeof(kvi_lsm_name), "%s%06" PRIu64 "%s", form->before, number, form->after);

    KVI_ASSERT(len > 0 && (size_t)len < sizeof(kvi_lsm_name));
}

void kvi_lsm_name_manifest(kvi_lsm_name out, uint64_t number)
{
    make(out, &manifest_form, number);
}

void kvi_lsm_name_log(kvi_lsm_name out, uint64_t number)
{
    make(out, &log_form, number);
}

void kvi_lsm_name_table(kvi_lsm_name out, uint64_t number)
{
    make(out, &table_form, number);
}

/* Reads what may be a number, then holds the name it makes against this one: so that each file has
 * exactly one name. */
static bool matches(const name_form *form, const char *name, uint64_t *number)
{
    size_t before_len = strlen(form->before);
    kvi_lsm_name made;
    uint64_t n = 0;

    if (strncmp(name, form->before, before_len) != 0)
        return false;
    for (const char *p = name + before_len; *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (uint64_t)(*p - '0'); /* wraps for too many digits, and then differs below */
    if (n == 0)
        return false;
    make(made, form, n);
    if (strcmp(made, name) != 0)
        return false;
    *number = n;
    return true;
}

enum kvi_lsm_name_kind kvi_lsm_name_parse(const char *name, uint64_t *number)
{
    static const name_form *const forms[] = {&manifest_form, &log_form, &table_form};

    if (strcmp(name, KVI_LSM_NAME_LOCK) == 0)
        return KVI_LSM_NAME_IS_LOCK;
    if (strcmp(name, KVI_LSM_NAME_CURRENT) == 0)
        return KVI_LSM_NAME_IS_CURRENT;
    if (strcmp(name, KVI_LSM_NAME_CURRENT_TMP) == 0)
        return KVI_LSM_NAME_IS_TMP;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (matches(forms[i], name, number))
            return forms[i]->kind;
    }
    return KVI_LSM_NAME_OTHER;
}
