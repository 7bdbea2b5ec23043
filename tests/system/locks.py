#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Locks between two mounts of one bucket, by the programs that use them: fcntl and flock of Python's,
FileChannel.lock of Java's. Each process that takes a lock is one of its own, as the kernel tells owners
apart."""
import os
import select
import shutil
import subprocess
import sys

from harness import procs
from harness.case import Skip, check, equal, main, read_file, write_file
from harness.locker import ADDER, Holder

BACKENDS = "file versitygw"
TIMEOUT = 600

# The same, but it opens and closes the file each time; close unlocks.
REOPENER = """
import fcntl, os, sys
for _ in range(int(sys.argv[3])):
    fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
    (fcntl.flock if sys.argv[2] == "flock" else fcntl.lockf)(fd, fcntl.LOCK_EX)
    n = int(os.pread(fd, 100, 0) or b"0")
    os.pwrite(fd, b"%-10d" % (n + 1), 0)
    os.close(fd)
"""


def two(rig, **opts):
    return rig.mount(**opts), rig.mount(**opts)


def each_kind(rig, name, body):
    m1, m2 = two(rig)
    for kind in ("posix", "flock"):
        write_file(m1.path(kind + name), "0")
        body(Holder(m1.path(kind + name), kind), Holder(m2.path(kind + name), kind))


@check("exclusive and shared locks of one mount are in the way of the other's")
def exclusion(rig):
    def body(a, b):
        equal((a("ex"), b("ex"), b("sh")), ("ok", "EAGAIN", "EAGAIN"))
        equal((a("un"), b("sh"), a("sh"), a("un")), ("ok", "ok", "ok", "ok"))
        equal((a("sh"), b("un"), a("ex"), b("sh")), ("ok", "ok", "ok", "EAGAIN"))
        a.end()
        equal(b("ex", "wait"), "ok", "unlocked by close")  # flock's: by RELEASE, which comes after close
        b.end()
    each_kind(rig, ".x", body)


@check("byte ranges")
def ranges(rig):
    m1, m2 = two(rig)
    write_file(m1.path("r"), "0123456789")
    a, b = Holder(m1.path("r")), Holder(m2.path("r"))
    equal((a("ex", "now", 5, 0), b("ex", "now", 5, 5), b("ex", "now", 1, 4)), ("ok", "ok", "EAGAIN"))
    equal((a("un", "now", 1, 4), b("ex", "now", 1, 4), b("sh", "now", 1, 3)), ("ok", "ok", "EAGAIN"))
    a.end()
    b.end()


@check("who waits gets it when it is given up, with what was written under it")
def handover(rig):
    def body(a, b):
        equal((a("ex"), b("read")), ("ok", "0"))
        b.send("ex", "wait")
        equal((a("write", "hello"), a("un")), ("5", "ok"))
        equal((b.answer(), b("read")), ("ok", "hello"))
        a.send("ex", "wait")
        b.kill()  # by the end of the process
        equal(a.answer(), "ok")
        a.end()
    each_kind(rig, ".w", body)


@check("a signal ends a wait for another mount")
def interrupted(rig):
    m1, m2 = two(rig)
    write_file(m1.path("i"), "0")
    a = Holder(m1.path("i"))
    equal(a("ex"), "ok")
    code = ("import fcntl,os,signal,sys\n"
            "def late(*_): raise TimeoutError\n"
            "signal.signal(signal.SIGALRM, late); fd = os.open(sys.argv[1], os.O_RDWR)\n"
            "try:\n"
            "    signal.setitimer(signal.ITIMER_REAL, 1)\n"
            "    fcntl.lockf(fd, fcntl.LOCK_EX)\n"
            "except TimeoutError: sys.exit(9)")
    equal(subprocess.run([sys.executable, "-c", code, m2.path("i")], timeout=procs.PATIENCE).returncode, 9)
    p = subprocess.Popen([sys.executable, "-c", code.replace("setitimer(signal.ITIMER_REAL, 1)", "alarm(0)"),
                          m2.path("i")])
    procs.wait_for(lambda: "setlk" in wchan(p.pid) or "fuse" in wchan(p.pid) or "request" in wchan(p.pid),
                   "the wait in the kernel")
    p.kill()
    equal(p.wait(procs.PATIENCE), -9, "killed while it waits")
    equal(a("un"), "ok")
    b = Holder(m2.path("i"))
    equal(b("ex"), "ok")
    a.end()
    b.end()


def wchan(pid):
    with open(f"/proc/{pid}/wchan", encoding="ascii") as f:
        return f.read()


@check("a circle of waits on one mount is EDEADLK")
def deadlock(rig):
    m = rig.mount()
    write_file(m.path("d"), "0123456789")
    a, b = Holder(m.path("d")), Holder(m.path("d"))
    equal((a("ex", "now", 1, 0), b("ex", "now", 1, 5)), ("ok", "ok"))
    a.send("ex", "wait", 1, 5)
    b.send("ex", "wait", 1, 0)
    # Whose wait comes to the daemon last closes the circle, and is told so; the other gets what that one gives up.
    told = select.select([a.p.stdout, b.p.stdout], [], [], procs.PATIENCE)[0]
    equal(len(told), 1, "who is told")
    last, other, own = (a, b, 0) if told[0] is a.p.stdout else (b, a, 5)
    equal(last.answer(), "EDEADLK")
    equal((last("un", "now", 1, own), other.answer()), ("ok", "ok"))
    a.end()
    b.end()


@check("kill -9 of the holder's daemon: who waits gets the lock when the lease has run out")
def killed(rig):
    m1, m2 = two(rig)
    write_file(m1.path("k"), "0")
    a, b = Holder(m1.path("k")), Holder(m2.path("k"))
    equal((a("ex"), b("ex")), ("ok", "EAGAIN"))
    b.send("ex", "wait")
    m1.kill()
    equal((b.answer(), b("write", "mine"), b("un")), ("ok", "4", "ok"))
    a.kill()
    b.end()
    equal(read_file(m2.path("k")), b"mine")


def kept_files(rig):
    return [os.path.join(d, f) for d, _, names in os.walk(rig.path(".")) for f in names
            if os.path.basename(d) == "lost+found"]


@check("a daemon that was stopped while it held the lock: its bytes are EIO, the new holder's stay")
def paused(rig):
    rig.allow("lost with the lease|commit.failed|flush|setlk|lease was lost")
    m1, m2 = two(rig)
    write_file(m1.path("p"), "0")
    a, b = Holder(m1.path("p")), Holder(m2.path("p"))
    equal((a("ex"), a("write", "old-holder"), b("ex")), ("ok", "10", "EAGAIN"))
    b.send("ex", "wait")
    m1.proc.send_signal(19)
    equal((b.answer(), b("write", "new-holder"), b("un")), ("ok", "10", "ok"))
    m1.proc.send_signal(18)
    equal((a("un"), a("close")), ("EIO", "EIO"))
    equal(read_file(m2.path("p")), b"new-holder")
    # the last close keeps them, in a call that close() does not wait for
    procs.wait_for(lambda: any(read_file(f) == b"old-holder" for f in kept_files(rig)), "the bytes in lost+found")
    a.end()
    b.end()


def adds_up(rig, name, argv, workers, times):
    m1, m2 = two(rig)
    runs = [subprocess.Popen(argv(m.path(name))) for m in (m1, m2) for _ in range(workers)]
    for p in runs:
        procs.at_exit(lambda p=p: procs.end(p))
    for p in runs:
        equal(p.wait(procs.PATIENCE), 0, "exit code of a worker")
    equal(int(read_file(m1.path(name))), 2 * workers * times)
    equal(int(read_file(m2.path(name))), 2 * workers * times)


@check("a counter that four processes on two mounts add to under fcntl's lock")
def counter_posix(rig):
    adds_up(rig, "posix", lambda path: [sys.executable, "-c", ADDER, path, "posix", "25"], 2, 25)


@check("the same under flock")
def counter_flock(rig):
    adds_up(rig, "flock", lambda path: [sys.executable, "-c", ADDER, path, "flock", "25"], 2, 25)


@check("the same by processes that open the file and close it each time")
def counter_reopened(rig):
    for kind in ("posix", "flock"):
        adds_up(rig, kind + "-reopened", lambda path, k=kind: [sys.executable, "-c", REOPENER, path, k, "10"], 2, 10)


@check("a counter that two JVMs on two mounts add to under FileChannel.lock")
def counter_java(rig):
    java = os.path.join(os.environ.get("JAVA_HOME", ""), "bin", "java") if os.environ.get("JAVA_HOME") else "java"
    if shutil.which(java) is None or shutil.which(java + "c") is None:
        raise Skip("needs a JDK")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Counter.java")
    adds_up(rig, "java", lambda path: [java, source, path, "40"], 1, 40)


@check("local_lock: what stays on the mount is in nobody's way elsewhere")
def local(rig):
    for option, posix, flock in (("flock", "EAGAIN", "ok"), ("posix", "ok", "EAGAIN"), ("all", "ok", "ok")):
        m1, m2 = two(rig, local_lock=option)
        write_file(m1.path("l" + option), "0")
        for kind, want in (("posix", posix), ("flock", flock)):
            path = "l" + option
            a, b, c = Holder(m1.path(path), kind), Holder(m2.path(path), kind), Holder(m1.path(path), kind)
            equal((a("ex"), b("ex"), c("ex")), ("ok", want, "EAGAIN"), f"{option} {kind}")
            for h in (a, b, c):
                h.end()


@check("a lock and its unlock cost two PUTs and a conditional request, and nothing for who is refused here")
def cost(rig):
    m = rig.mount(actimeo=600)  # no stat of the kernel's asks the bucket, however slow this machine is
    write_file(m.path("c"), "0")
    a, b = Holder(m.path("c")), Holder(m.path("c"))
    equal((a("ex"), a("un")), ("ok", "ok"))
    costs = []
    for _ in range(9):
        before = m.ledger()
        equal((a("ex"), b("ex"), a("un")), ("ok", "EAGAIN", "ok"))
        now = m.ledger()
        costs.append((now["PUT"] - before["PUT"], sum(now.values()) - sum(before.values())))
    # a renewal of the mount's session may come between, so most rounds count
    equal(sorted(costs)[4], (2, 3), f"PUTs and requests of each round: {costs}")
    a.end()
    b.end()


if __name__ == "__main__":
    main()
