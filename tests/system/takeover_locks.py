#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Locks between mounts and a mount that outlives its daemon (option takeover): nobody sees that the daemon was another."""
import os
import signal
import sqlite3
import subprocess
import sys

from harness import mount, procs
from harness.case import check, contains, equal, main, read_file, true, write_file
from harness.living import daemon, kill, start, taken
from harness.locker import ADDER, Holder

BACKENDS = "file versitygw"
TIMEOUT = 900
WORKERS = 3
TIMES = 40  # each adds
REPLACED = 6  # daemons meanwhile, about

# python3 -c INSERTER DATABASE NAME TIMES: a byte of stdout for each
INSERTER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=600, isolation_level=None)
for n in range(int(sys.argv[3])):
    db.execute("begin immediate")
    db.execute("insert into t values (?, ?, (select count(*) from t))", (sys.argv[2], n))
    db.execute("commit")
    print(end=".", flush=True)
"""


def upgrade(m):
    r = mount.cli("upgrade", m.dir)
    equal(r.returncode, 0, r.stdout)


def two(rig, **opts):
    rig.fresh()
    rig.allow(r"event=holder\.died")
    return start(rig, **opts), rig.mount()


def held_across(rig, replace, **opts):
    m1, m2 = two(rig, **opts)
    for kind in ("posix", "flock"):
        write_file(m1.path(kind), "0")
        a, same, b = Holder(m1.path(kind), kind), Holder(m1.path(kind), kind), Holder(m2.path(kind), kind)
        equal((a("ex"), a("write", "first")), ("ok", "5"))
        for _ in range(3):
            replace(m1)
            equal((b("ex"), b("sh"), same("sh")), ("EAGAIN", "EAGAIN", "EAGAIN"), kind)
        equal((a("write", "second"), a("un")), ("6", "ok"))
        equal((b("ex"), b("read"), a("ex"), b("un")), ("ok", "second", "EAGAIN", "ok"))
        equal((same("ex"), a("ex")), ("ok", "EAGAIN"))
        replace(m1)
        same.kill()  # its descriptor is closed, and its lock with it
        a.send("ex", "wait")
        equal(a.answer(), "ok")
        for h in (a, b):
            h.end()
    contains(m1.log(), "takeover.locks")
    m1.unmount()


@check("a lock is held on when its daemon is killed: by its owner alone, also on the same mount, until he gives it up or ends")
def killed(rig):
    held_across(rig, kill)


@check("the same where the kernel can't send requests again (before 6.9)")
def killed_old_kernel(rig):
    held_across(rig, kill, old_kernel=True)


@check("s3efs upgrade: a lock is held on")
def upgraded(rig):
    held_across(rig, upgrade)


def waits_across(rig, **opts):
    m1, m2 = two(rig, **opts)
    for kind in ("posix", "flock"):
        write_file(m1.path(kind), "0")
        a, near, b = Holder(m1.path(kind), kind), Holder(m1.path(kind), kind), Holder(m2.path(kind), kind)
        equal(b("ex"), "ok")
        a.send("ex", "wait")
        for replace in (kill, upgrade, kill):
            replace(m1)
        equal((b("write", "theirs"), b("un")), ("6", "ok"))
        equal((a.answer(), a("read"), b("ex")), ("ok", "theirs", "EAGAIN"))
        near.send("ex", "wait")
        kill(m1)
        equal((a("write", "ours"), a("un"), near.answer()), ("4", "ok", "ok"))
        near.kill()
        a.end()
        b.end()
    m1.unmount()


@check("who waits for a lock of another mount, or of this one, waits across the daemon's death, and gets it")
def waits(rig):
    waits_across(rig)


@check("the same where the kernel can't send requests again (before 6.9)")
def waits_old_kernel(rig):
    waits_across(rig, old_kernel=True)


@check("nobody follows for longer than the lease: who waits gets the lock, what was written under it is EIO and kept")
def a_long_death(rig):
    rig.allow("lost with the lease|commit.failed|flush|setlk|lease was lost|session|locks.lost")
    m1, m2 = two(rig)
    write_file(m1.path("p"), "0")
    a, b = Holder(m1.path("p")), Holder(m2.path("p"))
    equal((a("ex"), a("write", "old-holder"), b("ex")), ("ok", "10", "EAGAIN"))
    b.send("ex", "wait")
    pid, n = daemon(m1), taken(m1)
    os.kill(m1.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        equal((b.answer(), b("write", "new-holder"), b("un")), ("ok", "10", "ok"))
    finally:
        os.kill(m1.pid, signal.SIGCONT)
    procs.wait_for(lambda: taken(m1) > n, "another daemon")
    equal((a("un"), a("close")), ("EIO", "EIO"))
    equal(read_file(m2.path("p")), b"new-holder")
    a.end()
    b.end()


def replace_until_done(m, runs, replace, count, step):
    """The daemon is replaced each time they have got on by so much."""
    at, n = 0, 0
    while any(p.poll() is None for p in runs):
        procs.wait_for(lambda: count() >= at + step or all(p.poll() is not None for p in runs), "calls that return")
        at = count()
        replace(m)
        n += 1
    for p in runs:
        equal(p.wait(), 0, "exit code of a worker")
    true(n > 2, "the daemon was replaced under them")


def adds_up(rig, replace, kind):
    m1, m2 = two(rig)
    write_file(m2.path(kind), "0")
    runs = [subprocess.Popen([sys.executable, "-c", ADDER, m.path(kind), kind, str(TIMES)]) for m in (m1, m2)
            for _ in range(WORKERS)]
    for p in runs:
        procs.at_exit(lambda p=p: procs.end(p))
    replace_until_done(m1, runs, replace, lambda: int(read_file(m2.path(kind)) or b"0"), 2 * WORKERS * TIMES // REPLACED)
    equal(int(read_file(m1.path(kind))), 2 * WORKERS * TIMES)
    m1.unmount()
    equal(int(read_file(m2.path(kind))), 2 * WORKERS * TIMES)


@check("a counter that six processes on two mounts add to under fcntl's lock while one's daemons die: no addition is lost")
def counter(rig):
    adds_up(rig, kill, "posix")


@check("the same under flock, and with s3efs upgrade")
def counter_flock(rig):
    adds_up(rig, upgrade, "flock")


@check("sqlite on two mounts while one's daemons die: no transaction is lost, none is seen twice, the database is whole")
def database(rig):
    m1, m2 = two(rig)
    with sqlite3.connect(m1.path("db")) as db:
        db.execute("create table t (who text, n int, before int)")
    db.close()
    names = [(m, f"w{k}") for k, m in enumerate((m1, m1, m2, m2))]
    with open(rig.path("done"), "ab") as done:
        runs = [subprocess.Popen([sys.executable, "-c", INSERTER, m.path("db"), name, "10"], stdout=done) for m, name in names]
    for p in runs:
        procs.at_exit(lambda p=p: procs.end(p))
    replace_until_done(m1, runs, kill, lambda: os.stat(rig.path("done")).st_size, 6)
    m1.unmount()
    db = sqlite3.connect(m2.path("db"))
    equal(db.execute("pragma integrity_check").fetchall(), [("ok",)])
    equal(sorted(db.execute("select who, n from t").fetchall()), sorted((name, n) for _, name in names for n in range(10)))
    equal(sorted(n for n, in db.execute("select before from t").fetchall()), list(range(40)), "what each saw of the others")
    db.close()


if __name__ == "__main__":
    main()
