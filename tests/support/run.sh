#!/bin/sh
# Runs test programs one after the other and adds up what they report.
#
#   tests/support/run.sh [-t SECONDS] [-a ARGS] [-p] PROGRAM...
#
# -p: the first one runs beside the others, on a processor of its own, and is shown last.
#
# Each program ends with Criterion's summary ("Synthesis: Tested: 5 | Passing: 4 | ..."). One that
# exits non-zero without reporting a failure (crash, leak, data race, time-out) counts as one
# failed test. KVT_WRAPPER is a command to run each program under. The last line is
# "N passed, N failed"; the exit status is 1 where any failed.

limit=900
args=
beside=
while getopts t:a:p opt; do
    case $opt in
    t) limit=$OPTARG ;;
    a) args=$OPTARG ;;
    p) beside=1 ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

work=$(mktemp -d "${TMPDIR:-/tmp}/kvt-run.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run NAME PROGRAM: what it says goes to NAME.log as well
run() {
    begin=$(date +%s%N)
    # shellcheck disable=SC2086 # lists of words
    { timeout -k 10 "$limit" $KVT_WRAPPER "$2" $args </dev/null; echo $? >"$work/$1.status"; } 2>&1 |
        tee "$work/$1.log"
    echo $((($(date +%s%N) - begin) / 10000000)) >"$work/$1.spent"
}

# number NAME FIELD: the number after "FIELD: " in the last summary line, without colours
number() {
    sed 's/\x1b\[[0-9;]*m//g' "$work/$1.log" | grep 'Synthesis: ' | tail -n 1 |
        sed -n "s/.*$2: \([0-9]*\).*/\1/p"
}

passed=0
failed=0

# count NAME PROGRAM: adds what it came to
count() {
    spent=$(cat "$work/$1.spent")
    status=$(cat "$work/$1.status")
    tested=$(number "$1" Tested)
    good=$(number "$1" Passing)
    good=${good:-0}
    bad=$((${tested:-0} - good))
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
        [ "$status" -eq 124 ] && echo "$2: stopped after $limit seconds"
    elif [ -z "$tested" ]; then
        bad=1
        echo "$2: ended without a summary"
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    printf '== %s: %d passed, %d failed, exit %d, %d.%02d s\n' "$2" "$good" "$bad" \
        "$status" $((spent / 100)) $((spent % 100))
}

first=
if [ -n "$beside" ] && [ $# -gt 1 ]; then
    first=$1
    shift
    run first "$first" >/dev/null &
fi
for program; do
    echo "== $program"
    run one "$program"
    count one "$program"
done
if [ -n "$first" ]; then
    wait
    echo "== $first"
    cat "$work/first.log"
    count first "$first"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
