/*
 * kv_bench: measures libkv alone, and checks every answer. See options.c for the command line.
 *
 * Exit status: 0 measured and all right, 1 an answer was wrong or a call failed, 2 usage.
 */
#include "report.h"

#include <signal.h>

int main(int argc, char **argv)
{
    options o;
    workload w;
    if (!options_parse(&o, argc, argv))
        return 2;
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves early must not leave the stores behind */
    if (!workload_init(&w, &o))
        return 1;

    report_begin(&o, &w.place);
    bool ok = true;
    for (size_t i = 0; ok && i < o.count; i++) {
        outcome out;
        ok = workload_run(&w, o.list[i], &out);
        if (ok)
            report_outcome(&o, &out);
    }
    if (ok)
        report_end(&o);
    return workload_deinit(&w) && ok ? 0 : 1;
}
