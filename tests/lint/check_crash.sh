#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every crash_point() has a row in fs/base/crash.def, every row one call and a workload that the system test knows.
set -u
cd "${top_srcdir:-$(dirname "$0")/../..}" || exit 1
table=fs/base/crash.def
script=tests/system/crash_points.py
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

find fs -name '*.c' -exec cat {} + | grep -o 'crash_point([^)]*)' | grep -v 'const char' > "$work/all"
if grep -v '^crash_point("[a-z_]*\.[a-z_]*")$' "$work/all"; then
    echo "a crash point's name is a literal, module.what_is_done"
    bad=1
fi
sed -e 's/^crash_point("//' -e 's/")$//' "$work/all" | LC_ALL=C sort > "$work/calls"
sed -n 's/^POINT(\([^,]*\),.*/\1/p' $table | LC_ALL=C sort > "$work/rows"
[ -s "$work/rows" ] || { echo "$table has no rows"; bad=1; }
if ! diff -u --label $table --label "crash_point() in fs" "$work/rows" "$work/calls"; then
    echo "each row has one call, each call a row"
    bad=1
fi
if grep '^POINT(' $table | grep -vE '^POINT\([a-z_.]+, [a-z_]+, (close|local|both), ".+"\)$'; then
    echo "rows are POINT(name, workload, close|local|both, \"what is durable\")"
    bad=1
fi
for name in $(sed -n 's/^POINT([^,]*, \([^,]*\),.*/\1/p' $table | sort -u); do
    grep -q "^def $name(" $script || { echo "$script has no workload $name"; bad=1; }
done
said=$(sed -n 's/^| named crash points.* | \([0-9]*\), [0-9]* |$/\1/p' docs/reliability.md)
if [ "$said" != "$(wc -l < "$work/rows" | tr -d ' ')" ]; then
    echo "docs/reliability.md says ${said:-nothing} of named crash points: run $script --write"
    bad=1
fi
exit $bad
