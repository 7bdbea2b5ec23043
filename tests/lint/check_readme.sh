#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each folder with sources has a README.md, or stands in one whose README.md describes its parts.
set -u
cd "${top_srcdir:-$(dirname "$0")/../..}" || exit 1
bad=0
folders=$(find docs fs include m4 tests tools -type f ! -path '*/target/*' ! -path '*/__pycache__/*' ! -path '*/src/*' \
    \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name '*.m4' -o -name '*.8' -o -name '*.xml' -o -name '*.vec' \
    -o -name '*.jpg' -o -name local.mk \) -exec dirname {} + | sort -u)
[ -n "$folders" ] || { echo "no folders at all"; exit 1; }
for d in $folders; do
    if [ ! -s "$d/README.md" ] && [ ! -s "$d/../README.md" ]; then
        echo "$d: no README.md here or above"
        bad=1
    fi
done
for d in docs fs include m4 tests tools fs/*/ tests/*/; do
    case $d in */__pycache__/) continue ;; esac
    [ "$(ls "$d")" != local.mk ] || continue
    [ -s "${d%/}/README.md" ] || { echo "${d%/}: no README.md"; bad=1; }
done
exit $bad
