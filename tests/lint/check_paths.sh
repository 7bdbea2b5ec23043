#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No file names a path of the machine it was written on, a package registry's host, or a key.
set -u
top=${top_srcdir:-$(dirname "$0")/../..}
cd "$top" || exit 1
if git rev-parse --show-prefix 2> /dev/null | grep -qx ''; then
    files=$(git ls-files | grep -v check_paths.sh) # what is committed, or will be
else # a tarball, perhaps with a build in it
    files=$(find . -type f ! -path './_build/*' ! -path './_inst/*' ! -path './build*' ! -path './autom4te.cache/*' \
        ! -path '*/.deps/*' ! -name configure ! -name aclocal.m4 ! -name 'Makefile*' ! -name 'config.*' ! -name '*.log' \
        ! -name '*.trs' ! -name '*.o' ! -name '*.a' ! -path '*/target/*' ! -path '*/__pycache__/*' \
        ! -name libtool ! -name check_paths.sh -print)
fi
[ -n "$files" ] || { echo "no files to look at"; exit 1; }
bad=0
here=$(pwd -P)
look() { # what, pattern
    found=$(printf '%s\n' "$files" | tr '\n' '\0' | xargs -0 grep -InE "$2" | head -20)
    [ -z "$found" ] && return
    printf '%s:\n%s\n' "$1" "$found"
    bad=1
}
look "path of a machine" '(/home/[a-z]{2,}/|/Users/[A-Za-z]+/|/root/|/work/|/tmp/b-|/usr/local/go)'
look "host of a registry" '(pypi\.org|files\.pythonhosted|proxy\.golang|registry\.npmjs|repo1?\.maven|crates\.io|deb\.debian\.org|archive\.ubuntu)'
# AWS's own examples end in EXAMPLE
found=$(printf '%s\n' "$files" | tr '\n' '\0' | xargs -0 grep -InE '\b(AKIA|ASIA)[A-Z0-9]{16}\b' \
    | grep -v -e EXAMPLE -e 'AKIDEXAMPLE' | head)
[ -z "$found" ] || { echo "something like an access key:"; echo "$found"; bad=1; }
# only where the tree is one that is worked in: its own path must not be in it
if [ "$here" != / ]; then
    found=$(printf '%s\n' "$files" | tr '\n' '\0' | xargs -0 grep -IlF "$here/" | head)
    [ -z "$found" ] || { echo "this tree's own path:"; echo "$found"; bad=1; }
fi
[ "$bad" = 0 ] && echo "paths: ok"
exit "$bad"
