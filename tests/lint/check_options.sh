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
# s3efs fsck has a table of its own: its help and its page.
"$top_builddir/s3efs" fsck --help | grep '^  -' | sed -e 's/^ *//' | grep -o -- '--[a-z-]*' | LC_ALL=C sort -u > "$work/fsck"
sed -n '/^\.SH OPTIONS/,/^\.SH FINDINGS/p' "$top_srcdir/docs/man/s3efs-fsck.8" | sed -e 's/\\-/-/g' |
    sed -n '/^\.TP/{n;p;}' | grep -o -- '--[a-z-]*' > "$work/fsck-page"
echo --help >> "$work/fsck-page"
LC_ALL=C sort -u -o "$work/fsck-page" "$work/fsck-page"
if ! diff -u --label 'fsck --help' --label 's3efs-fsck.8' "$work/fsck" "$work/fsck-page"; then
    echo "the help of fsck and its page differ"
    result=1
fi
test -s "$work/fsck" || { echo "fsck has no options at all"; result=1; }
# and s3efs compare.
"$top_builddir/s3efs" compare --help | grep '^  -' | grep -o -- '^  --[a-z-]*' | tr -d ' ' | LC_ALL=C sort -u > "$work/compare"
sed -n '/^\.SH OPTIONS/,/^\.SH EXIT/p' "$top_srcdir/docs/man/s3efs-compare.8" | sed -e 's/\\-/-/g' |
    sed -n '/^\.TP/{n;p;}' | grep -o -- '--[a-z-]*' | LC_ALL=C sort -u > "$work/compare-page"
if ! diff -u --label 'compare --help' --label 's3efs-compare.8' "$work/compare" "$work/compare-page"; then
    echo "the help of compare and its page differ"
    result=1
fi
test -s "$work/compare" || { echo "compare has no options at all"; result=1; }
test -s "$work/table" || { echo "no options at all"; result=1; }
exit $result
