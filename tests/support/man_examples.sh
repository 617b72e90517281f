#!/bin/sh
# Compiles the examples of the manual and of the README, so that none goes stale.
#
#   sh tests/support/man_examples.sh [WORK_DIR]
#
# Taken are the literal blocks below EXAMPLES in man/*.3 and man/*.7, and the ```c blocks of
# README.md. A block with main, or with functions of its own, is compiled as it is; any other as
# the body of a function that has an open store, `db`. The README's first block must be
# examples/hello.c to the letter. Every page with a SYNOPSIS must have an example. Honours CC.

cc=${CC:-cc}
work=${1:-}
if [ -z "$work" ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/kv-examples.XXXXXX") || exit 1
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
fi
mkdir -p "$work" || exit 1
rm -f "$work"/*.c
failed=0

fail() {
    echo "$*" >&2
    failed=$((failed + 1))
}

# Writes each block of the standard input to $work/NAME-LINE.c. $1: name, $2: awk that sets on.
take_blocks() {
    awk -v out="$work/$1" "$2"'
        on { print >file }
        begins { file = sprintf("%s-%04d.c", out, NR); printf "" >file; on = 1; begins = 0 }'
}

man_blocks='
    /^\.Sh / { examples = $2 == "EXAMPLES" }
    /^\.Ed/ { on = 0 }
    /^\.Bd -literal/ && examples { begins = 1 }
    { gsub(/\\e/, "\001"); gsub(/\\[&]/, ""); gsub(/\\-/, "-"); gsub(/\001/, "\\") }'
readme_blocks='
    /^```/ { on = 0 }
    /^```c$/ { begins = 1 }'

# shellcheck disable=SC2016 # C, not shell
wrap() {
    if grep -q '^{' "$1"; then
        cat "$1"
        return
    fi
    printf '#include <inttypes.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n'
    printf '#include <kv.h>\nint example(kv *db);\nint example(kv *db)\n{\n(void)db;\n{\n'
    printf '#line 1 "%s"\n' "$(basename "$1")"
    cat "$1"
    printf '}\nreturn 0;\n}\n'
}

for page in man/*.3 man/*.7; do
    [ -h "$page" ] && continue
    name=$(basename "$page")
    take_blocks "$name" "$man_blocks" <"$page"
    set -- "$work/$name"-*.c
    [ -e "$1" ] || fail "$page: no example"
done
take_blocks README.md "$readme_blocks" <README.md

set -- "$work"/README.md-*.c
cmp -s "$1" examples/hello.c || fail 'README.md: the first C block is not examples/hello.c'

count=0
for block in "$work"/*.c; do
    wrap "$block" >"$work/wrapped"
    # shellcheck disable=SC2086 # a compiler and its options
    $cc -x c -std=c11 -Wall -Wextra -Wconversion -Werror -Iinclude -fsyntax-only "$work/wrapped" ||
        fail "$(basename "$block" .c): does not compile"
    count=$((count + 1))
done

[ "$failed" -eq 0 ] && echo "lint: $count examples of manual and README compile"
[ "$failed" -eq 0 ]
