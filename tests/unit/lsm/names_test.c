/* lib/lsm/names.c: each file has one name, and each name is of one file. */
#include "lsm/names.h"

#include <criterion/criterion.h>

#include "support/rng.h"

static void check(const char *name, enum kvi_lsm_name_kind kind, uint64_t number)
{
    uint64_t got = 42;

    cr_assert_eq(kvi_lsm_name_parse(name, &got), kind, "%s", name);
    cr_assert_eq(got, number, "%s", name);
}

static void check_number(uint64_t n)
{
    kvi_lsm_name name;

    kvi_lsm_name_manifest(name, n);
    check(name, KVI_LSM_NAME_IS_MANIFEST, n);
    kvi_lsm_name_log(name, n);
    check(name, KVI_LSM_NAME_IS_LOG, n);
    kvi_lsm_name_table(name, n);
    check(name, KVI_LSM_NAME_IS_TABLE, n);
}

Test(lsm_names, are_as_documented)
{
    kvi_lsm_name name;

    kvi_lsm_name_manifest(name, 1);
    cr_assert_str_eq(name, "MANIFEST-000001");
    kvi_lsm_name_log(name, 2);
    cr_assert_str_eq(name, "000002.log");
    kvi_lsm_name_table(name, 3);
    cr_assert_str_eq(name, "000003.sst");
    kvi_lsm_name_table(name, 1234567);
    cr_assert_str_eq(name, "1234567.sst");
    check("LOCK", KVI_LSM_NAME_IS_LOCK, 42);
    check("CURRENT", KVI_LSM_NAME_IS_CURRENT, 42);
    check("CURRENT.tmp", KVI_LSM_NAME_IS_TMP, 42);
}

Test(lsm_names, any_number_comes_back)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    check_number(1);
    check_number(999999);
    check_number(1000000);
    check_number(UINT64_MAX);
    for (int i = 0; i < 1000; i++)
        check_number(1 + (kvt_rng_next(&rng) >> kvt_rng_below(&rng, 64)) % UINT64_MAX);
}

Test(lsm_names, what_we_do_not_make_is_not_ours)
{
    static const char *const others[] = {
        "",
        ".",
        "lock",
        "LOCK2",
        "CURRENT.tm",
        "CURRENT.tmp2",
        "current",
        "MANIFEST",
        "MANIFEST-",
        "MANIFEST-1",
        "MANIFEST-000000",
        "MANIFEST-0000001",
        "MANIFEST-000001.log",
        "MANIFEST-000001 ",
        "MANIFEST--00001",
        "MANIFEST-00001x",
        "xMANIFEST-000001",
        "1.log",
        "00001.log",
        "000000.log",
        "0000001.log",
        "000001.LOG",
        "000001.log~",
        "000001.sst.bak",
        "000001",
        "000001.",
        ".log",
        ".sst",
        " 000001.log",
        "+00001.log",
        "-00001.log",
        "0x0001.log",
        "18446744073709551616.log",
        "18446744073709551617.log",
        "36893488147419103233.sst",
        "99999999999999999999999999999999999999999.log",
        "notes.txt",
    };

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        check(others[i], KVI_LSM_NAME_OTHER, 42);
}
