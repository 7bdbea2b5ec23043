#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mount that outlives its daemon (option takeover): the holder, and what a new daemon takes over."""
import collections
import concurrent.futures
import errno
import glob
import os
import signal
import threading

from harness import mount, procs
from harness.case import Skip, check, contains, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw"
TIMEOUT = 300
KILLS = 12


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def taken(m):
    """How often a new daemon has taken the mount over."""
    return m.log().count("event=holder.replaced")


def daemon(m):
    procs.wait_for(lambda: children(m.pid), "a daemon")
    return children(m.pid)[0]


def start(rig, **opts):
    m = rig.mount(takeover=True, nolock=True, **opts)
    if "event=holder.kernel" in m.log():
        m.unmount()
        raise Skip("this kernel can't send requests again (6.9 can)")
    return m


def kill(m):
    """kill -9 of the daemon, and wait until another serves the mount."""
    n = taken(m)
    os.kill(daemon(m), signal.SIGKILL)
    procs.wait_for(lambda: taken(m) > n, "another daemon")


@check("a daemon that is killed is replaced: open files and directories go on, nobody sees ENOTCONN")
def open_files(rig):
    m = start(rig)
    rig.allow(r"event=holder\.died")
    write_file(m.path("old"), "what was there")
    os.mkdir(m.path("dir"))
    for i in range(30):
        write_file(m.path(f"dir/{i:02}"), str(i))
    reader = os.open(m.path("old"), os.O_RDONLY)
    writer = os.open(m.path("new"), os.O_WRONLY | os.O_CREAT, 0o640)
    os.write(writer, b"first,")
    appender = os.open(m.path("old"), os.O_WRONLY | os.O_APPEND)
    os.write(appender, b", and more")
    at = os.open(m.path("dir"), os.O_RDONLY | os.O_DIRECTORY)
    equal(os.read(reader, 4), b"what")
    for _ in range(3):
        kill(m)
    os.write(writer, b" second")
    os.write(appender, b", and more")
    equal(os.fstat(writer).st_size, 13)
    os.fsync(writer)
    os.close(writer)
    os.close(appender)
    equal(os.read(reader, 10), b" was there")
    os.close(reader)
    equal(len(os.listdir(at)), 30, "names")
    os.close(at)
    equal(read_file(m.path("new")), b"first, second")
    equal(os.stat(m.path("new")).st_mode & 0o777, 0o640)
    m.unmount()
    other = rig.mount()
    equal(read_file(other.path("new")), b"first, second")
    equal(read_file(other.path("old")), b"what was there, and more, and more")


@check("bytes that died with the daemon: write goes on to nothing, fsync and close fail, never 0 (T24)")
def lost_bytes(rig):
    m = start(rig)
    rig.allow(r"event=(holder\.died|takeover\.lost|front\.failed|vfs\.kept|commit\.\S+|lost\S*)")
    rig.allow(r"op=(flush|fsync|release)")
    write_file(m.path("clean"), "clean")
    clean = os.open(m.path("clean"), os.O_RDONLY)
    fd = os.open(m.path("torn"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"x" * 100000)
    n = taken(m)
    pid = daemon(m)
    os.kill(pid, signal.SIGSTOP)
    for kept in glob.glob(os.path.join(m.opts["cache_dir"], "takeover", "f*")):
        os.unlink(kept)
    os.kill(pid, signal.SIGKILL)
    procs.wait_for(lambda: taken(m) > n, "another daemon")
    contains(m.log(), "takeover.lost")
    with fails_with(errno.EIO, errno.ESTALE):
        os.fsync(fd)
    with fails_with(errno.EIO, errno.ESTALE):
        os.close(fd)
    equal(os.read(clean, 10), b"clean")
    os.close(clean)


@check("calls that run while daemons die return what they did: nothing fails, nothing is done twice")
def under_load(rig):
    rig.fresh()
    m = start(rig)
    rig.allow(r"event=holder\.died")
    stop = threading.Event()
    rounds = collections.Counter()

    def images(w):
        """Copy and verify; each close is believed."""
        done = []
        for n in range(100000):
            if stop.is_set():
                return done
            data = f"{w}-{n} ".encode() * (1 + n % 700)
            tmp, name = m.path(f"tmp{w}-{n}"), m.path(f"img{w}-{n}")
            fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            for part in range(0, len(data), 3000):
                os.write(fd, data[part:part + 3000])
            os.close(fd)
            os.rename(tmp, name)
            equal(read_file(name), data, name)
            done.append((f"img{w}-{n}", data))
            if n % 3 == 2:
                os.unlink(name)
                done.pop()
            rounds[threading.get_ident()] += 1
        return done

    def names(w):
        for n in range(100000):
            if stop.is_set():
                return []
            d = m.path(f"dir{w}-{n}")
            os.mkdir(d)
            os.symlink("nowhere", os.path.join(d, "link"))
            equal(os.readlink(os.path.join(d, "link")), "nowhere")
            os.unlink(os.path.join(d, "link"))
            os.rmdir(d)
            rounds[threading.get_ident()] += 1
        return []

    def appends(w):
        data = b""
        with open(m.path(f"log{w}"), "ab", buffering=0) as f:
            for n in range(100000):
                if stop.is_set():
                    break
                line = f"line {n}\n".encode()
                equal(f.write(line), len(line))
                data += line
                rounds[threading.get_ident()] += 1
                if n % 50 == 49:
                    os.fsync(f.fileno())
        return [(f"log{w}", data)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        work = [pool.submit(images, w) for w in range(4)] + [pool.submit(names, w) for w in range(2)] + \
               [pool.submit(appends, w) for w in range(2)]
        try:
            for k in range(KILLS):
                procs.wait_for(lambda: sum(rounds.values()) > 12 * k or any(w.done() for w in work), "calls that return")
                for w in work:
                    if w.done():
                        w.result()  # what failed
                kill(m)
        finally:
            stop.set()
        files = [f for w in work for f in w.result()]
    equal(taken(m), KILLS, "daemons")
    m.unmount()
    other = rig.mount()
    for name, data in files:
        equal(read_file(other.path(name)), data, name)
    equal(sorted(os.listdir(other.path(""))), sorted(n for n, _ in files), "names")


@check("TERM to the holder and s3efs umount end the daemon, the mount and the holder, with 0")
def ends(rig):
    m = start(rig)
    fd = os.open(m.path("open"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"sent at the end")
    pid = daemon(m)
    equal(m.term(), 0, "exit code")
    try:
        os.close(fd)
    except OSError:
        pass  # the file system is gone
    true(not procs.pid_is_alive(pid), "the daemon is alive")
    true(not mount.is_mounted(m.dir), "still mounted")
    equal(read_file(rig.mount().path("open")), b"sent at the end")


@check("daemons that die before they serve are tried again, not for ever: then the mount ends")
def gives_up(rig):
    m = start(rig)
    rig.allow(r"event=(holder|takeover|mount|cache)\.")
    index = os.path.join(m.opts["cache_dir"], "takeover", "index")
    pid = daemon(m)
    os.kill(pid, signal.SIGSTOP)
    os.unlink(index)
    os.kill(pid, signal.SIGKILL)
    true(m.proc.wait(120) != 0, "exit code")
    contains(m.log(), "holder.end")
    true(not mount.is_mounted(m.dir), "still mounted")


if __name__ == "__main__":
    main()
