/*
 * The part of Criterion that libkv's tests use, on a runner of our own.
 *
 * Debian's Criterion cannot start under ThreadSanitizer, hides leaks from LeakSanitizer's exit
 * code and is missing on some architectures. With -Itests/support/plain the same tests run in one
 * process, one after the other.
 *
 * 1. A failed cr_assert prints where and what, and ends its test, not the run. On a thread that
 *    the test started it ends the run, since nobody could unwind that thread.
 * 2. A failed cr_expect is noted and the test goes on.
 * 3. Tests that await a signal or an exit code run in a child process.
 */
#ifndef KVT_PLAIN_CRITERION_H
#define KVT_PLAIN_CRITERION_H

#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kvt_plain_test {
    const char *suite;
    const char *name;
    const char *file;
    void (*run)(void);
    struct kvt_plain_test *next; /* the runner's */
    /* What a test may set. */
    void (*init)(void);
    void (*fini)(void);
    int signal;
    int exit_code;
    bool disabled;
    const char *description;
    double timeout; /* not kept: the whole program has a limit */
};

void kvt_plain_register(struct kvt_plain_test *test);

/* Notes a failure of the running test; ends it if fatal. */
__attribute__((format(printf, 5, 6))) void kvt_plain_fail(bool fatal, const char *file, int line,
                                                          const char *what, const char *format,
                                                          ...);

#define KVT_PLAIN_ID(suite, name, suffix) kvt_plain_##suite##_##name##_##suffix

#define KVT_PLAIN_TEST(Suite, Name, ...)                                                      \
    static void KVT_PLAIN_ID(Suite, Name, run)(void);                                         \
    static struct kvt_plain_test KVT_PLAIN_ID(Suite, Name,                                    \
                                              test) = {.suite = #Suite,                       \
                                                       .name = #Name,                         \
                                                       .file = __FILE__,                      \
                                                       .run = KVT_PLAIN_ID(Suite, Name, run), \
                                                       __VA_ARGS__};                          \
    __attribute__((constructor)) static void KVT_PLAIN_ID(Suite, Name, register)(void)        \
    {                                                                                         \
        kvt_plain_register(&KVT_PLAIN_ID(Suite, Name, test));                                 \
    }                                                                                         \
    static void KVT_PLAIN_ID(Suite, Name, run)(void)

#define Test(...) KVT_PLAIN_TEST(__VA_ARGS__, .next = NULL)

/* The space keeps the format from being empty where a test gives no message. */
#define KVT_PLAIN_CHECK(fatal, condition, what, ...)                          \
    do {                                                                      \
        if (!(condition))                                                     \
            kvt_plain_fail(fatal, __FILE__, __LINE__, what, " " __VA_ARGS__); \
    } while (0)

#define KVT_PLAIN_OP(fatal, a, op, b, ...) \
    KVT_PLAIN_CHECK(fatal, (a)op(b), #a " " #op " " #b, __VA_ARGS__)
#define KVT_PLAIN_STR(fatal, a, op, b, ...) \
    KVT_PLAIN_CHECK(fatal, strcmp((a), (b)) op 0, "strings " #a " " #op " " #b, __VA_ARGS__)
#define KVT_PLAIN_MEM(fatal, a, op, b, size, ...) \
    KVT_PLAIN_CHECK(fatal, memcmp((a), (b), (size)) op 0, "bytes " #a " " #op " " #b, __VA_ARGS__)

#define cr_fail(...)        kvt_plain_fail(false, __FILE__, __LINE__, "failure", " " __VA_ARGS__)
#define cr_assert_fail(...) kvt_plain_fail(true, __FILE__, __LINE__, "failure", " " __VA_ARGS__)
#define cr_fatal            cr_assert_fail
#define cr_log_info(...)     \
    do {                     \
        printf(__VA_ARGS__); \
        putchar('\n');       \
    } while (0)

#define cr_assert(c, ...)        KVT_PLAIN_CHECK(true, c, #c, __VA_ARGS__)
#define cr_assert_not(c, ...)    KVT_PLAIN_CHECK(true, !(c), "not " #c, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)  KVT_PLAIN_OP(true, a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) KVT_PLAIN_OP(true, a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)  KVT_PLAIN_OP(true, a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) KVT_PLAIN_OP(true, a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)  KVT_PLAIN_OP(true, a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) KVT_PLAIN_OP(true, a, >=, b, __VA_ARGS__)
#define cr_assert_null(p, ...)   KVT_PLAIN_CHECK(true, (p) == NULL, #p " is NULL", __VA_ARGS__)
#define cr_assert_not_null(p, ...) \
    KVT_PLAIN_CHECK(true, (p) != NULL, #p " is not NULL", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)        KVT_PLAIN_STR(true, a, ==, b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)       KVT_PLAIN_STR(true, a, !=, b, __VA_ARGS__)
#define cr_assert_str_empty(a, ...)        KVT_PLAIN_CHECK(true, !*(a), #a " is empty", __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...)  KVT_PLAIN_MEM(true, a, ==, b, size, __VA_ARGS__)
#define cr_assert_arr_neq(a, b, size, ...) KVT_PLAIN_MEM(true, a, !=, b, size, __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...)                                                  \
    KVT_PLAIN_CHECK(true, fabs((double)(a) - (double)(b)) <= (double)(e), #a " near " #b, \
                    __VA_ARGS__)

#define cr_expect(c, ...)           KVT_PLAIN_CHECK(false, c, #c, __VA_ARGS__)
#define cr_expect_not(c, ...)       KVT_PLAIN_CHECK(false, !(c), "not " #c, __VA_ARGS__)
#define cr_expect_eq(a, b, ...)     KVT_PLAIN_OP(false, a, ==, b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...)    KVT_PLAIN_OP(false, a, !=, b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...)     KVT_PLAIN_OP(false, a, <, b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...)    KVT_PLAIN_OP(false, a, <=, b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...)     KVT_PLAIN_OP(false, a, >, b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...)    KVT_PLAIN_OP(false, a, >=, b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) KVT_PLAIN_STR(false, a, ==, b, __VA_ARGS__)

#endif
