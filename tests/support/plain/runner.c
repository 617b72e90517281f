/*
 * Runs tests written for Criterion in this process, one after the other.
 *
 *   program [--filter SUITE/NAME] [--seed N] [--list] [--leaks]
 *
 * 1. Any order: they run in one that the seed gives (1 unless told, so that a run repeats).
 * 2. Ends with Criterion's summary line; the exit status is 1 where any test failed.
 * 3. LeakSanitizer's check at exit sees what any test has leaked, and where it was allocated. With
 *    --leaks the first test that leaks fails by name as well (only the first: what has leaked
 *    stays leaked and would blame all that follow); a check after each test takes minutes in all.
 *
 * Registration runs in constructors, the rest on the main thread; kvt_plain_fail on any.
 */
#include "criterion/criterion.h"
#include "support/rng.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_TESTS 4096

/* Whichever sanitizer is linked in brings it. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static struct kvt_plain_test *registered;
static struct kvt_plain_test *tests[MAX_TESTS];
static size_t tests_len;

static pthread_t main_thread;
static jmp_buf unwind;
static const struct kvt_plain_test *running;
static atomic_bool failed;
static bool leaks_by_name, leaked;

void kvt_plain_register(struct kvt_plain_test *test)
{
    test->next = registered;
    registered = test;
}

void kvt_plain_fail(bool fatal, const char *file, int line, const char *what, const char *format,
                    ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fprintf(stderr, "[----] %s:%d: %s/%s: failed: %s:%s\n", file, line, running->suite,
            running->name, what, message);
    atomic_store(&failed, true);
    if (!fatal)
        return;
    if (!pthread_equal(pthread_self(), main_thread)) {
        fprintf(stderr, "[----] on a thread of the test: the run ends here\n");
        _exit(1);
    }
    longjmp(unwind, 1);
}

/* The test and its fixtures; a failed init skips the test, fini always runs. */
static void run_body(const struct kvt_plain_test *test)
{
    if (setjmp(unwind) == 0) {
        if (test->init)
            test->init();
        test->run();
    }
    if (test->fini && setjmp(unwind) == 0)
        test->fini();
}

/* For tests that are meant to die. */
static void run_in_child(const struct kvt_plain_test *test)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run_body(test);
        _exit(atomic_load(&failed) ? 1 : 0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    bool as_wanted = test->signal ? WIFSIGNALED(status) && WTERMSIG(status) == test->signal
                                  : WIFEXITED(status) && WEXITSTATUS(status) == test->exit_code;
    if (child < 0 || !as_wanted) {
        fprintf(stderr, "[----] %s: %s/%s: ended with status %#x, wanted signal %d or exit %d\n",
                test->file, test->suite, test->name, (unsigned)status, test->signal,
                test->exit_code);
        atomic_store(&failed, true);
    }
}

static bool run_one(const struct kvt_plain_test *test)
{
    running = test;
    atomic_store(&failed, false);
    if (test->signal || test->exit_code)
        run_in_child(test);
    else
        run_body(test);
    if (leaks_by_name && !leaked && __lsan_do_recoverable_leak_check &&
        __lsan_do_recoverable_leak_check()) {
        fprintf(stderr, "[----] %s: %s/%s: leaks\n", test->file, test->suite, test->name);
        leaked = true;
        atomic_store(&failed, true);
    }
    if (atomic_load(&failed))
        fprintf(stderr, "[FAIL] %s::%s\n", test->suite, test->name);
    return !atomic_load(&failed);
}

static int by_name(const void *a, const void *b)
{
    const struct kvt_plain_test *left = *(struct kvt_plain_test *const *)a;
    const struct kvt_plain_test *right = *(struct kvt_plain_test *const *)b;
    int order = strcmp(left->suite, right->suite);
    return order ? order : strcmp(left->name, right->name);
}

/* Sorted first: the order of constructors is the linker's, and the seed alone should decide. */
static void collect(const char *filter, uint64_t seed)
{
    for (struct kvt_plain_test *test = registered; test; test = test->next) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", test->suite, test->name);
        if (test->disabled || (filter && fnmatch(filter, path, 0) != 0))
            continue;
        if (tests_len == MAX_TESTS) {
            fprintf(stderr, "more than %d tests\n", MAX_TESTS);
            exit(2);
        }
        tests[tests_len++] = test;
    }
    qsort(tests, tests_len, sizeof tests[0], by_name);
    kvt_rng rng;
    kvt_rng_init(&rng, seed);
    for (size_t i = tests_len; i > 1; i--) {
        size_t j = (size_t)kvt_rng_below(&rng, i);
        struct kvt_plain_test *swap = tests[i - 1];
        tests[i - 1] = tests[j];
        tests[j] = swap;
    }
}

/* The value of --name VALUE or --name=VALUE at argv[*at], or NULL. */
static const char *option(char **argv, int *at, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(argv[*at], name, len) != 0)
        return NULL;
    if (argv[*at][len] == '=')
        return argv[*at] + len + 1;
    if (argv[*at][len] == '\0' && argv[*at + 1])
        return argv[++*at];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *filter = NULL;
    const char *value;
    uint64_t seed = 1;
    bool list = false;
    for (int i = 1; i < argc; i++) {
        if ((value = option(argv, &i, "--filter")))
            filter = value;
        else if ((value = option(argv, &i, "--seed")))
            seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--list") == 0)
            list = true;
        else if (strcmp(argv[i], "--leaks") == 0)
            leaks_by_name = true;
        else if (strncmp(argv[i], "-j", 2) != 0) { /* Criterion's: tests at a time */
            fprintf(stderr, "usage: %s [--filter SUITE/NAME] [--seed N] [--list] [--leaks]\n",
                    argv[0]);
            return 2;
        }
    }
    main_thread = pthread_self();
    collect(filter, seed);
    size_t passed = 0;
    for (size_t i = 0; i < tests_len; i++) {
        if (list)
            printf("%s/%s\n", tests[i]->suite, tests[i]->name);
        else if (run_one(tests[i]))
            passed++;
    }
    if (list)
        return 0;
    fflush(stdout);
    if (passed < tests_len)
        fprintf(stderr, "[====] order: --seed %llu\n", (unsigned long long)seed);
    fprintf(stderr, "[====] Synthesis: Tested: %zu | Passing: %zu | Failing: %zu | Crashing: 0\n",
            tests_len, passed, tests_len - passed);
    return passed == tests_len ? 0 : 1;
}
