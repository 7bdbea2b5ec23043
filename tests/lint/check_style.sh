#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What of the style a script can see: licence line, tabs, line length, comment form, banned calls,
# complexity and length of functions.
set -u
top=${top_srcdir:-$(dirname "$0")/../..}
cd "$top" || exit 1
code=$(mktemp) || exit 1
faults=$(mktemp) || exit 1
trap 'rm -f "$code" "$faults"' EXIT

c_files=$(find fs include tests tools -name '*.[ch]' | grep -v '/build/' | sort)
texts=$(find fs include tests tools m4 docs -name '*.sh' -o -name '*.py' -o -name '*.mk' -o -name '*.m4' \
    -o -name '*.def' | sort)

# say WHAT: lines on stdin are faults
say() {
    found=$(cat)
    [ -z "$found" ] && return
    printf '%s:\n%s\n' "$1" "$found" | tee -a "$faults"
}

for f in $c_files $texts Makefile.am configure.ac; do
    head -5 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"
done | say "no SPDX line at the top"

grep -nP '\t' $c_files | say "tab in a C file"
grep -nP '[ \t]+$' $c_files $texts | say "space at the end of a line"
# The aim is 100 columns; a .c file must not pass 130, a prototype in a header 170 (one prototype on one
# line is easier to look up).
awk 'length($0) > 130 { print FILENAME ":" FNR ": " length($0) }' $(echo "$c_files" | grep '\.c$') \
    | say "line longer than 130 columns"
awk 'length($0) > 170 { print FILENAME ":" FNR ": " length($0) }' $(echo "$c_files" | grep '\.h$') \
    | say "line longer than 170 columns in a header"
long=$(awk 'length($0) > 100' $(echo "$c_files" | grep '\.c$') | wc -l)
[ "$long" -eq 0 ] || echo "note: $long lines of C are longer than 100 columns"

# Strings and comments are blanked first, so that "https://" is no comment and a word in a comment
# is no call.
strip() {
    awk '
        {
            line = $0; out = ""
            while (line != "") {
                if (block) {
                    e = index(line, "*/")
                    if (!e) { line = ""; break }
                    line = substr(line, e + 2); block = 0; continue
                }
                c = substr(line, 1, 1)
                if (substr(line, 1, 2) == "/*") { block = 1; line = substr(line, 3); continue }
                if (c == "\"" || c == "\047") {
                    line = substr(line, 2)
                    while (line != "" && substr(line, 1, 1) != c) {
                        if (substr(line, 1, 1) == "\\") line = substr(line, 2)
                        line = substr(line, 2)
                    }
                    line = substr(line, 2); out = out "S"; continue
                }
                out = out c; line = substr(line, 2)
            }
            print FILENAME ":" FNR ":" out
        }' "$1"
}
for f in $c_files; do strip "$f"; done > "$code"

grep '//' "$code" | say "// comment"
calls='strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|alloca|system|localtime|gmtime|tmpnam|mktemp'
grep -E "[^_a-zA-Z0-9](${calls}) *\(" "$code" | grep -v -e '^fs/base/str' -e '^tests/' \
    | say "banned call"
grep -E '[^_a-zA-Z0-9](strtol|strtoul|strtoll|strtoull|strtod|localtime_r|gmtime_r) *\(' "$code" \
    | grep -v -e '^fs/base/str' -e '^tests/' -e '^tools/' | say "numbers and dates are read in fs/base/str*.c only"
grep -E '^(fs|include)/[^:]*:[0-9]*:.*[^_a-zA-Z0-9](abort|exit) *\(' "$code" \
    | grep -v -e '^fs/main.c' -e '^fs/[a-z_]*\.c:' | say "a library layer must not end the process"
grep -n 'skip *()' $(echo "$c_files" | grep '^tests/') /dev/null | say "cmocka's skip(): exit 77 instead"
grep -nE '\b(TODO|FIXME|XXX)\b' $c_files $texts | grep -v check_style.sh | say "unfinished"

if command -v pmccabe > /dev/null; then
    pmccabe $(echo "$c_files" | grep '\.c$') 2> /dev/null \
        | awk '$1 > 30 { print $0 "  (complexity " $1 ", at most 30)" }
               $5 > 150 { print $0 "  (" $5 " lines, at most 150)" }' | say "function too complex"
else
    echo "note: pmccabe is not installed, complexity is not looked at"
fi

# each folder of the program says what it is
for d in fs/*/; do [ -s "${d}README.md" ] || echo "${d}README.md"; done | say "no README"

[ -s "$faults" ] && exit 1
echo "style: ok"
