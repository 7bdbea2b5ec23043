#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every #include of a project header goes to the own module or to one that layers.txt allows. Calls
# are held down by linking (each unit test is linked with its layer and those below); this holds the
# types down too. Then the checker itself is tried on a tree with a bad include in it.
set -u
top=${top_srcdir:-$(dirname "$0")/../..}
bad_files=$(mktemp) || exit 1
planted=$(mktemp -d) || exit 1
trap 'rm -rf "$bad_files" "$planted"' EXIT

# check TREE: prints what is wrong, fails if anything is
check() {
    find "$1/fs" "$1/include" -name '*.[ch]' | sort | xargs awk -v tree="$1/" '
        FNR == 1 && FILENAME != rules {
            path = substr(FILENAME, length(tree) + 1)
            n = split(path, part, "/")
            module = n == 2 ? "main" : part[2]
            if (!(module in known)) { print path ": layers.txt does not know the module " module; bad = 1 }
        }
        FILENAME == rules {
            if ($0 ~ /^ *(#|$)/) next
            name = $1; sub(/:$/, "", name); known[name] = 1
            for (i = 2; i <= NF; i++) may[name, $i] = 1
            next
        }
        /^[ \t]*#[ \t]*include[ \t]*"/ {
            split($0, q, "\""); header = q[2]
            if (header ~ /(^|\/)\.\.?\//) { print path ":" FNR ": " header ": a relative path"; bad = 1; next }
            if (header !~ /\//) next                     # private, beside the file
            target = header; sub(/\/.*/, "", target)
            if (target == module || may[module, target] || may[module, "*"]) next
            print path ":" FNR ": " module " may not include " header; bad = 1
        }
        END { exit bad }
    ' rules="$1/tests/lint/layers.txt" "$1/tests/lint/layers.txt"
}

if ! check "$top"; then
    echo "An arrow of the layers points up: move the code, or argue for a change of layers.txt."
    exit 1
fi

mkdir -p "$planted/fs/base" "$planted/include" "$planted/tests/lint" || exit 1
cp "$top/tests/lint/layers.txt" "$planted/tests/lint/" || exit 1
for line in '#include "vfs/vfs.h"' '#  include "store/store.h"' '#include "../cache/x.h"'; do
    printf '/* planted */\n%s\n' "$line" > "$planted/fs/base/bad.c"
    if check "$planted" > "$bad_files"; then
        echo "the checker does not see a planted $line in fs/base"
        exit 1
    fi
done
printf '#include "base/err.h"\n#include <stdio.h>\n#include "own.h"\n' > "$planted/fs/base/bad.c"
check "$planted" || { echo "the checker refuses what is allowed"; exit 1; }
echo "layers: ok"
