#!/bin/sh
# Runs test programs one after the other and adds up what they report.
#
#   tests/support/run.sh [-t SECONDS] [-a ARGS] PROGRAM...
#
# Each program ends with Criterion's summary ("Synthesis: Tested: 5 | Passing: 4 | ..."). One that
# exits non-zero without reporting a failure (crash, leak, data race, time-out) counts as one
# failed test. KVT_WRAPPER is a command to run each program under. The last line is
# "N passed, N failed"; the exit status is 1 where any failed.

limit=900
args=
while getopts t:a: opt; do
    case $opt in
    t) limit=$OPTARG ;;
    a) args=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

work=$(mktemp -d "${TMPDIR:-/tmp}/kvt-run.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# number FIELD: the number after "FIELD: " in the program's last summary line, without colours
number() {
    sed 's/\x1b\[[0-9;]*m//g' "$work/log" | grep 'Synthesis: ' | tail -n 1 |
        sed -n "s/.*$1: \([0-9]*\).*/\1/p"
}

passed=0
failed=0
for program; do
    echo "== $program"
    begin=$(date +%s%N)
    # shellcheck disable=SC2086 # lists of words
    { timeout -k 10 "$limit" $KVT_WRAPPER "$program" $args </dev/null; echo $? >"$work/status"; } 2>&1 |
        tee "$work/log"
    spent=$((($(date +%s%N) - begin) / 10000000))
    status=$(cat "$work/status")
    tested=$(number Tested)
    good=$(number Passing)
    good=${good:-0}
    bad=$((${tested:-0} - good))
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
        [ "$status" -eq 124 ] && echo "$program: stopped after $limit seconds"
    elif [ -z "$tested" ]; then
        bad=1
        echo "$program: ended without a summary"
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    printf '== %s: %d passed, %d failed, exit %d, %d.%02d s\n' "$program" "$good" "$bad" \
        "$status" $((spent / 100)) $((spent % 100))
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
