#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mount that outlives its daemon (option takeover): the holder, and what a new daemon takes over."""
import collections
import concurrent.futures
import contextlib
import errno
import fcntl
import glob
import json
import os
import re
import signal
import socket
import threading

from harness import mount, procs
from harness.case import Skip, check, contains, equal, fails_with, main, read_file, true, write_file
from harness.living import children, daemon, kill, start, taken

BACKENDS = "file versitygw"
TIMEOUT = 900  # above procs.PATIENCE, which says what did not come
KILLS = 20
UPGRADES = 5


def has_ended(pid):
    """A zombie whose other threads are gone, too: until then it keeps its descriptors."""
    return "State:\tZ" in read_file(f"/proc/{pid}/status").decode() and len(os.listdir(f"/proc/{pid}/task")) == 1


def control_socket(pid):
    """The path of the daemon's control socket."""
    with open("/proc/net/unix", encoding="ascii") as f:
        paths = {line.split()[6]: line.split()[7] for line in f if line.count(" ") > 6 and len(line.split()) > 7}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        at = os.readlink(f"/proc/{pid}/fd/{fd}")
        if at.startswith("socket:[") and at[8:-1] in paths:
            return paths[at[8:-1]]
    raise AssertionError("no control socket")


def ask(sock, line):
    """What the daemon answers; "": nothing, it ended."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sock)
        s.sendall(line.encode() + b"\n")
        out = b""
        try:
            while part := s.recv(4096):
                out += part
        except ConnectionResetError:
            pass
    return out.decode()


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
    with open(f"/proc/{m.pid}/limits", encoding="ascii") as f:
        true(re.search(r"Max core file size +0 ", f.read()), "the holder makes core dumps")
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


@check("between two daemons nobody else gets the cache directory")
def cache_is_kept(rig):
    rig.fresh()
    m = start(rig)
    rig.allow(r"event=holder\.died")
    write_file(m.path("f"), "text")
    pid, n = daemon(m), taken(m)
    os.kill(m.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        procs.wait_for(lambda: has_ended(pid), "its end")
        with open(os.path.join(m.opts["cache_dir"], "lock"), "rb") as f:
            with fails_with(errno.EAGAIN):
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(m.pid, signal.SIGCONT)
    procs.wait_for(lambda: taken(m) > n, "another daemon")
    kill(m)  # the second one has it from the holder, and so has the third
    equal(read_file(m.path("f")), b"text")


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


@check("a daemon that can't start leaves everything to the next one: what was written is not lost, the mount stays")
def failed_start(rig):
    m = start(rig)
    rig.allow(r"event=(holder\.died|mount\.failed|daemon\.\S+)")
    fd = os.open(m.path("f"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"first")
    n, deaths = taken(m), m.log().count("event=holder.died")
    pid = daemon(m)
    sock = control_socket(pid)
    os.unlink(sock)
    os.mkdir(sock)  # after the takeover, before the mount is served, no socket can be made there
    try:
        write_file(os.path.join(sock, "in-the-way"), "")
        os.kill(pid, signal.SIGKILL)
        procs.wait_for(lambda: m.log().count("event=holder.died") >= deaths + 3, "daemons that fail")
        equal(taken(m), n)
    finally:
        os.unlink(os.path.join(sock, "in-the-way"))
        os.rmdir(sock)
    procs.wait_for(lambda: taken(m) > n, "one that does not")
    os.write(fd, b", second")
    os.close(fd)
    m.unmount()
    equal(in_bucket(rig, "f"), b"first, second")


def in_bucket(rig, key):
    """What an independent reader sees there."""
    if rig.s3:
        return rig.s3.get(rig.bucket, key).body
    return read_file(os.path.join(rig.source[len("file://"):], key))


def images(m, w, stop, rounds):
    """As an image server: a temporary name, read back, the real one, compared; each close is believed."""
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
        equal(read_file(tmp), data, tmp)
        os.rename(tmp, name)
        equal(read_file(name), data, name)
        done.append((f"img{w}-{n}", data))
        if n % 3 == 2:
            os.unlink(name)
            done.pop()
        rounds[threading.get_ident()] += 1
    return done


def names(m, w, stop, rounds):
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


def appends(m, w, stop, rounds):
    """Its own log, and lines of one that others append to as well."""
    data = b""
    with open(m.path(f"log{w}"), "ab", buffering=0) as f, open(m.path("log"), "ab", buffering=0) as common:
        for n in range(100000):
            if stop.is_set():
                break
            line = f"line {w} {n}\n".encode()
            equal(f.write(line), len(line))
            equal(common.write(line), len(line))
            data += line
            rounds[threading.get_ident()] += 1
            if n % 50 == 49:
                os.fsync(f.fileno())
    return [(f"log{w}", data)]


def end_hard(m):
    """No daemon any more, and none to come: every call in the mount ends."""
    daemons = children(m.pid) if m.proc.poll() is None else []
    m.kill()
    for pid in daemons:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    mount.force_unmount(m.dir)


def load(rig, m, times, disturb, at_end=lambda: None):
    """Calls that go on while the daemon is disturbed so often; then every byte is compared in the bucket."""
    stop = threading.Event()
    rounds = collections.Counter()
    pool = concurrent.futures.ThreadPoolExecutor(8)
    try:
        work = [pool.submit(images, m, w, stop, rounds) for w in range(3)] + \
               [pool.submit(names, m, w, stop, rounds) for w in range(2)] + \
               [pool.submit(appends, m, w, stop, rounds) for w in range(3)]
        for k in range(times):
            procs.wait_for(lambda: sum(rounds.values()) > 12 * k or any(w.done() for w in work), "calls that return")
            for w in work:
                if w.done():
                    w.result()  # what failed
            disturb()
        stop.set()
        files = [f for w in work for f in w.result(procs.PATIENCE)]
    except BaseException:
        stop.set()
        end_hard(m)  # calls that hang would be waited for
        raise
    finally:
        pool.shutdown()
    equal(sorted(os.listdir(m.path(""))), sorted([n for n, _ in files] + ["log"]), "names")
    at_end()
    m.unmount()
    for name, data in files:
        equal(in_bucket(rig, name), data, name)
    lines = sorted(in_bucket(rig, "log").splitlines(True))
    equal(lines, sorted(x for n, data in files if n.startswith("log") for x in data.splitlines(True)), "lines of the common log")


@check("calls that run while daemons die return what they did: nothing fails, nothing is done twice")
def under_load(rig):
    rig.fresh()
    m = start(rig)
    rig.allow(r"event=holder\.died")
    load(rig, m, KILLS, lambda: kill(m))
    equal(taken(m), KILLS, "daemons")


@check("the same under commit=local: what was acknowledged and not sent is sent by the next daemon, once")
def under_load_local(rig):
    rig.fresh()
    m = start(rig, commit="local")
    rig.allow(r"event=holder\.died")
    load(rig, m, KILLS // 2, lambda: kill(m))
    equal(taken(m), KILLS // 2, "daemons")


@check("the same where the kernel can't send requests again (before 6.9): each daemon leaves them to the next")
def under_load_old_kernel(rig):
    rig.fresh()
    m = start(rig, old_kernel=True)
    rig.allow(r"event=holder\.died")
    kill(m)
    if "event=takeover.requests" not in m.log():
        m.unmount()
        raise Skip("this build can't play an old kernel's part (it needs --enable-debug)")
    load(rig, m, KILLS // 2, lambda: kill(m))
    equal(taken(m), KILLS // 2 + 1, "daemons")
    true(re.search(r"event=takeover\.requests unanswered=[1-9]", m.log()), "no daemon died with a request")


@check("and s3efs upgrade there: an open file goes on, and calls that run while programs change return")
def upgrade_old_kernel(rig):
    m = start(rig, old_kernel=True)
    fd = os.open(m.path("open"), os.O_RDWR | os.O_CREAT, 0o600)
    for n in range(UPGRADES):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            synced = pool.submit(lambda: (os.pwrite(fd, b"%d" % n, n), os.fsync(fd)))
            r = mount.cli("upgrade", m.dir)
            equal(r.returncode, 0, r.stdout)
            synced.result()
    os.close(fd)
    equal(in_bucket(rig, "open"), b"01234")
    m.unmount()


@check("s3efs upgrade: another program serves the living mount; open files and calls go on, none fails")
def upgrade(rig):
    rig.fresh()
    m = start(rig)
    pids = {daemon(m)}
    fd = os.open(m.path("open"), os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"before")

    def again():
        r = mount.cli("upgrade", m.dir, "--json")
        equal(r.returncode, 0, r.stdout)
        told = json.loads(r.stdout)
        true(told["upgraded"] and told["pid"] not in pids, "another daemon")
        equal(told["pid"], daemon(m), "its process id")
        pids.add(told["pid"])
        equal(os.pread(fd, 6, 0), b"before")

    again()
    os.write(fd, b", after")
    os.fsync(fd)
    equal(in_bucket(rig, "open"), b"before, after")
    os.unlink(m.path("open"))  # it stays open
    load(rig, m, UPGRADES, again, lambda: os.close(fd))
    true("event=holder.died" not in m.log(), "nobody died")


@check("s3efs upgrade refuses: a table it can't read, a mount without a holder; a program that fails leaves the old one")
def upgrade_refused(rig):
    rig.fresh()
    plain = rig.mount()
    r = mount.cli("upgrade", plain.dir)
    equal(r.returncode, 32, r.stdout)
    contains(r.stdout, "takeover")
    m = start(rig)
    write_file(m.path("f"), "text")
    pid = daemon(m)
    sock = control_socket(pid)
    contains(ask(sock, f"upgrade 999 token {mount.binary()}"), "error:", "format 999")
    contains(ask(sock, "upgrade 3 token /nowhere/s3efs"), "error:", "/nowhere/s3efs")
    equal(daemon(m), pid, "the old daemon")
    rig.allow(r"event=upgrade\.failed")
    equal(ask(sock, "upgrade 3 token /bin/false"), "", "its end")
    procs.wait_for(lambda: taken(m) == 1, "the old program")
    true(daemon(m) != pid, "another process")
    contains(m.log(), "event=upgrade.failed program=/bin/false status=256 ")  # its exit with 1
    equal(read_file(m.path("f")), b"text")
    r = mount.cli("upgrade", m.dir)
    equal(r.returncode, 0, r.stdout)
    equal(read_file(m.path("f")), b"text")


@check("the holder is killed: the mount goes on as one without")
def holder_dies(rig):
    m = start(rig)
    pid = daemon(m)
    m.proc.kill()
    m.proc.wait(procs.PATIENCE)
    write_file(m.path("after"), "text")
    equal(read_file(m.path("after")), b"text")
    r = mount.cli("upgrade", m.dir)
    equal(r.returncode, 32, r.stdout)
    contains(r.stdout, "holder")
    equal(mount.cli("umount", m.dir).returncode, 0)
    true(not procs.pid_is_alive(pid), "the daemon is alive")
    true(not mount.is_mounted(m.dir), "still mounted")


@check("s3efs umount between two daemons waits for the next one, which sends what the dead one had not")
def umount_between(rig):
    rig.fresh()
    m = start(rig)
    rig.allow(r"event=holder\.died")
    # not open here: a child would close it before its exec, and wait for a daemon
    writer = procs.start_with_output(["sh", "-c", 'exec 3>"$0"; printf "sent by the next" >&3; echo written; exec sleep 1000',
                                      m.path("unsent")])
    equal(writer.stdout.readline(), "written\n")
    pid = daemon(m)
    os.kill(m.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        procs.wait_for(lambda: has_ended(pid), "its end")
        ends = procs.start([mount.binary(), "umount", m.dir], env=m.env)
        procs.wait_for(lambda: ends.poll() is not None or children(ends.pid), "its question to the kernel")
        true(ends.poll() is None, "it did not wait")
        true(mount.is_mounted(m.dir), "not mounted any more")
    finally:
        os.kill(m.pid, signal.SIGCONT)
    equal(ends.wait(procs.PATIENCE), 32, "exit code of s3efs umount: the file is open")
    equal(in_bucket(rig, "unsent"), b"sent by the next")
    procs.end(writer)
    m.unmount()


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


@check("a daemon that can't know what was agreed with the kernel is not tried again: the mount ends")
def gives_up(rig):
    m = start(rig)
    rig.allow(r"event=(holder|takeover|mount|cache)\.")
    index = os.path.join(m.opts["cache_dir"], "takeover", "index")
    pid = daemon(m)
    os.kill(pid, signal.SIGSTOP)
    os.unlink(index)
    os.kill(pid, signal.SIGKILL)
    equal(m.proc.wait(procs.PATIENCE), 33, "exit code")
    contains(m.log(), "what was agreed with the kernel is not known")
    contains(m.log(), "event=holder.end ")
    equal(m.log().count("event=holder.died"), 1, "daemons that were followed")
    true(not mount.is_mounted(m.dir), "still mounted")


if __name__ == "__main__":
    main()
