# SPDX-License-Identifier: Apache-2.0
"""Pages whose tables name tests: their rows, and whether a test that they name is there."""
import os
import re

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def cells(line):
    return [c.strip() for c in line.strip().strip("|").split("|")]


def rows(lines):
    """(line number, {column: cell}) of each row of a table that has a column 'test'."""
    head = None
    for n, line in enumerate(lines):
        if not line.startswith("|"):
            head = None
        elif head is None:
            head = cells(line)
        elif "test" in head and not re.fullmatch(r"[|\s:-]+", line):
            yield n, dict(zip(head, cells(line)))


def exists(test):
    """`tests/x/y.c` or `tests/x/y.py`, or those with a name in parentheses, which must stand in it."""
    m = re.fullmatch(r"`(tests/[\w/.-]+)`(?: \(([\w, ]+)\))?", test)
    if not m:
        return f"no test named like `tests/...` (name): {test}"
    path = next((p for p in (m[1], m[1] + ".c", m[1] + ".py") if os.path.isfile(os.path.join(TOP, p))), None)
    if not path:
        return f"no such test: {m[1]}"
    if not m[2]:
        return None
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        text = f.read()
    for name in m[2].split(","):
        name = name.strip()
        used = re.findall(rf"\b(?:test_)?{name}\b", text)
        if path.endswith(".c") and len(used) < 2:
            return f"{path} has no test {name} in its list"
        if path.endswith(".py") and not re.search(rf"^def {name}\(", text, re.M):
            return f"{path} has no check {name}"
    return None
