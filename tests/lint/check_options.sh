#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The option table, the help and the manual page name the same options: none missing, none extra.
set -eu

list=$top_builddir/tests/unit/config/list_options
page=$top_srcdir/docs/man/s3efs.8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# name or name=: with what takes a value
"$list" | LC_ALL=C sort > "$work/table"

# In the page an option stands as `.BR name`, or `.BI name= VALUE`, behind a `.\" option` line.
sed -n '/^\.\\" option$/{n;p;}' "$page" |
    sed -e 's/\\-/-/g' -e 's/^\.B[IR]* *//' -e 's/ .*//' | LC_ALL=C sort > "$work/page"

# In the help: option lines are indented by 4, their names separated by ", ".
"$list" help | grep '^    [^ ]' | tr ',' '\n' |
    sed -e 's/^ *//' -e '/^$/d' -e 's/=.*/=/' | LC_ALL=C sort > "$work/help"

result=0
for other in page help; do
    if ! diff -u --label options.def --label "$other" "$work/table" "$work/$other"; then
        echo "the option table and the $other differ"
        result=1
    fi
done
test -s "$work/table" || { echo "no options at all"; result=1; }
exit $result
