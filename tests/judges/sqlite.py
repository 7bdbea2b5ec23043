#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SQLite: each of its journals, three writing processes at once, and no row is lost or broken."""
import functools
import os
import sqlite3
import sys

import judge
from harness import procs
from harness.case import check, equal, main

BACKENDS = "file versitygw ceph"
TIMEOUT = 3600 if judge.LONG else 600
WRITERS = 3
ROWS = judge.size(10, 200)

# Rows in transactions of their own, a counter that all writers add to, and a value as long as some pages.
WRITER = """
import sqlite3, sys
path, writer, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, timeout=1200, isolation_level=None)
for n in range(rows):
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO rows VALUES (?, ?, ?)", (writer, n, bytes([n % 256]) * 9000))
    db.execute("UPDATE counter SET n = n + 1")
    db.execute("COMMIT")
db.close()
"""


def look(path):
    db = sqlite3.connect(path)
    equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity_check")
    equal(db.execute("SELECT writer, count(*), min(length(data)) FROM rows GROUP BY writer").fetchall(),
          [(w, ROWS, 9000) for w in range(WRITERS)], "rows of each writer")
    equal(db.execute("SELECT n FROM counter").fetchall(), [(WRITERS * ROWS,)], "the common counter")
    db.close()


def journal(rig, mode):
    m = judge.mount(rig)
    path = m.path(f"{mode}.db")
    db = sqlite3.connect(path)
    equal(db.execute(f"PRAGMA journal_mode = {mode}").fetchall(), [(mode,)], "journal_mode")
    db.execute("CREATE TABLE rows (writer INT, n INT, data BLOB)")
    db.execute("CREATE TABLE counter (n INT)")
    db.execute("INSERT INTO counter VALUES (0)")
    db.commit()
    db.close()
    log = rig.path(f"{mode}.log")
    writers = [procs.start([sys.executable, "-c", f"MODE = '{mode}'\n" + WRITER, path, str(w), str(ROWS)], log)
               for w in range(WRITERS)]
    codes = [p.wait() for p in writers]
    with open(log, encoding="utf-8", errors="replace") as f:
        equal(codes, [0] * WRITERS, f"exits of the writers: {f.read()[-1500:]}")
    look(path)
    m.unmount()
    m.remount()
    look(path)
    os.unlink(path)


for one in ("delete", "truncate", "persist", "wal"):
    check(f"journal_mode={one}: {WRITERS} writers, integrity_check, also after unmount and mount")(
        functools.partial(journal, mode=one))
main()
