#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every name that a Python file of the tree uses is defined somewhere in it: what only fails on its last line, after
minutes on a server, is found here."""
import ast
import builtins
import os
import sys

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ALWAYS = set(dir(builtins)) | {"__file__", "__name__", "__doc__"}


def is_python(path):
    if path.endswith(".py"):
        return True
    with open(path, "rb") as f:
        line = f.readline(100)
    return line.startswith(b"#!") and b"python" in line


def files():
    for part in ("tests", "tools", "docs"):
        for folder, folders, names in os.walk(os.path.join(TOP, part)):
            folders[:] = [d for d in folders if not d.startswith((".", "__"))]
            for path in (os.path.join(folder, n) for n in sorted(names)):
                if os.path.isfile(path) and is_python(path):
                    yield path


def defined(tree):
    """By any statement, in whatever function: this finds what is forgotten, not what is out of reach."""
    for n in ast.walk(tree):
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield n.name
        elif isinstance(n, ast.arg):
            yield n.arg
        elif isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
            yield n.id
        elif isinstance(n, (ast.Import, ast.ImportFrom)):
            yield from ((a.asname or a.name).split(".")[0] for a in n.names)
        elif isinstance(n, ast.ExceptHandler) and n.name:
            yield n.name


def faults(path):
    with open(path, encoding="utf-8") as f:
        tree = ast.parse(f.read(), path)
    known = ALWAYS | set(defined(tree))
    if "*" in known:
        return []
    return [f"{os.path.relpath(path, TOP)}:{n.lineno}: {n.id} is not defined" for n in ast.walk(tree)
            if isinstance(n, ast.Name) and n.id not in known]


def main():
    found, count = [], 0
    for path in files():
        count += 1
        try:
            found += faults(path)
        except (SyntaxError, UnicodeDecodeError) as e:
            found.append(f"{os.path.relpath(path, TOP)}: {e}")
    print("\n".join(found) if found else f"python: ok, {count} files")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
