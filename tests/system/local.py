#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""commit=local: what close() has acknowledged reaches the bucket, once, whatever becomes of the daemon."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import tempfile

from harness import mount, procs
from harness.case import Skip, check, contains, equal, main, read_file, true, write_file

BACKENDS = "file versitygw ceph"
TIMEOUT = 300


def stored(rig, key):
    """What an independent client finds."""
    if rig.s3:
        return rig.s3.get(rig.bucket, key).body
    return read_file(os.path.join(rig.source[len("file://"):], key))


def needs_proxy(rig):
    if not rig.proxy:
        raise Skip("no requests that could be held")


class Told:
    """What the daemon has acknowledged, and what was under way when it died: that may have happened or not."""

    def __init__(self, workers):
        self.files, self.maybe, self.renamed = {}, {}, {}
        self.lines = [[] for _ in range(workers)]

    def write(self, m, name, body):
        self.maybe.setdefault(name, []).append(body)
        write_file(m.path(name), body)
        self.files[name], self.maybe[name] = body, []

    def rename(self, m, name, to):
        body = self.files[name]
        self.renamed[name] = to
        self.maybe.setdefault(to, []).append(body)
        os.rename(m.path(name), m.path(to))
        self.files[to], self.maybe[to] = body, []
        del self.files[name], self.renamed[name]

    def append(self, m, worker, line):
        fd = os.open(m.path(f"log{worker}"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
        self.lines[worker].append(line)

    def check(self, names, read):
        for name, body in self.files.items():
            if name not in names:
                true(name in self.renamed, f"{name} is lost")
                continue
            found = read(name)
            true(found == body or found in self.maybe.get(name, []), f"{name}: {found[:40]} is not what was told")
        for name in names:
            true(name in self.files or name in self.maybe or name.startswith("log"), f"{name} came from nowhere")

    def check_logs(self, read):
        """Every line that was told stands there, once, in its order; at most one more does."""
        for w, lines in enumerate(self.lines):
            found = read(f"log{w}").splitlines(keepends=True) if lines else []
            equal(found[:len(lines)], lines, f"log{w}")
            true(len(found) <= len(lines) + 1, f"log{w}: {found[len(lines):]}")
            lines[:] = found


def work(m, worker, told):
    """New files, rewritten ones, temporary names that are renamed, and a log, until the mount dies."""
    for i in range(100000):
        body = f"{worker}/{i} ".encode() * 300 + os.urandom(8)
        name = f"w{worker}-{i % 7}"
        try:
            if i % 3 == 0:
                told.write(m, name + ".tmp", body)
                told.rename(m, name + ".tmp", name)
            else:
                told.write(m, name, body)
            told.append(m, worker, f"{worker} {i}\n".encode())
        except OSError:
            return


@check("kill -9 under load, five times: everything that was acknowledged arrives, no append twice")
def killed(rig):
    m = rig.mount(commit="local")
    told = Told(3)
    for _ in range(5):
        before = sum(len(a) for a in told.lines)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(work, m, w, told) for w in range(3)]
            procs.wait_for(lambda: sum(len(a) for a in told.lines) >= before + 30 or all(j.done() for j in jobs),
                           "30 files")
            m.kill()
            for j in jobs:
                j.result()
        mount.force_unmount(m.dir)
        m.remount()
        told.check_logs(lambda name: read_file(m.path(name)))
    m.drain()
    equal(m.status()["unsent"]["files"], 0, "unsent")
    names = os.listdir(m.dir)
    told.check_logs(lambda name: stored(rig, name))
    told.check(names, lambda name: stored(rig, name))
    for name in names:
        equal(read_file(m.path(name)), stored(rig, name), name)
    kept = [k["key"] for k in m.status()["lost_and_found"]]  # but for closes that were under way
    equal([k for k in kept if not k.startswith("journal-")], [], "lost+found")
    m.unmount()


@check("nothing was sent when the daemon died: the next mount, of another mode, sends it")
def other_mode(rig):
    needs_proxy(rig)
    m = rig.mount(commit="local")
    rig.proxy.rule(op="PUT", key="^held", action="hold", count=0)
    bodies = {f"held{i}": os.urandom(5000) for i in range(20)}
    for name, body in bodies.items():
        write_file(m.path(name), body)
    s = m.status()["unsent"]
    equal(s["files"], 20, "unsent files")
    equal(len(s["keys"]), 10, "names")
    equal(s["keys"][0]["key"], "held0")
    m.kill()
    mount.force_unmount(m.dir)
    rig.proxy.clear()
    rig.proxy.reset()
    m.remount(commit="close")
    for name, body in bodies.items():
        equal(stored(rig, name), body, name)
    equal(m.status()["unsent"]["files"], 0, "unsent")
    m.unmount()


@check("an outage: closes return, drain and SIGTERM say what is unsent, and the journal keeps it")
def outage(rig):
    needs_proxy(rig)
    rig.allow(r"event=mount\.unsent")
    m = rig.mount(commit="local", drain_timeout=1)
    fds = [os.open(m.path(f"out{i}"), os.O_WRONLY | os.O_CREAT, 0o644) for i in range(12)]
    rig.proxy.rule(op="PUT", key="^out", action="status", status=503, code="SlowDown", count=0)
    for i, fd in enumerate(fds):
        os.write(fd, f"text {i}".encode())
        os.close(fd)
    equal(m.status()["unsent"]["files"], 12, "unsent files")
    equal(read_file(m.path("out3")), b"text 3")
    true(m.term() != 0, "the daemon says that nothing is unsent")
    contains(m.log(), "key=out0")
    contains(m.log(), "the next mount with this cache_dir sends them")
    mount.force_unmount(m.dir)
    rig.proxy.clear()
    m.remount()
    m.drain()
    for i in range(12):
        equal(stored(rig, f"out{i}"), f"text {i}".encode())
    m.unmount()


@check("an outage: rm returns, the names are gone here; the next mount removes them, but for what was made again")
def removed(rig):
    needs_proxy(rig)
    rig.allow(r"event=mount\.unsent")
    m = rig.mount(commit="local", drain_timeout=1)
    names = [f"gone{i}" for i in range(12)]
    for name in names:
        write_file(m.path(name), name)
    m.drain()
    for op in ("PUT", "DELETE"):
        rig.proxy.rule(op=op, key="^gone", action="status", status=503, code="SlowDown", count=0)
    for name in names:
        os.unlink(m.path(name))
    equal([n for n in names if os.path.exists(m.path(n))], [])
    equal([n for n in os.listdir(m.dir) if n in names], [])
    for name in ("gone0", "gone11"):  # the first one's removal is being tried, the last one's not
        with open(m.path(name), "x", encoding="utf-8") as f:
            f.write("again")
        equal(read_file(m.path(name)), b"again")
    true(m.status()["unsent"]["removals"] >= 11, "removals in the status")
    for name in names:
        equal(stored(rig, name), name.encode())
    true(m.term() != 0, "the daemon says that nothing is unsent")
    contains(m.log(), "key=gone1")
    contains(m.log(), "the next mount with this cache_dir sends them")
    mount.force_unmount(m.dir)
    rig.proxy.clear()
    m.remount()
    equal(sorted(n for n in os.listdir(m.dir) if n in names), ["gone0", "gone11"])
    m.drain()
    equal(sorted(k for k in rig.s3.list(rig.bucket) if k in names), ["gone0", "gone11"])
    for name in ("gone0", "gone11"):
        equal(stored(rig, name), b"again")
    equal(m.status()["cache"]["lost_found"], 0, "lost+found")
    m.unmount()


@check("an outage: tar -x over a stored tree returns, with its modes and times; they are there when it is over")
def unpacked(rig):
    needs_proxy(rig)
    m = rig.mount(commit="local")
    made = tempfile.mkdtemp()
    try:
        for d in ("tree", "tree/a", "tree/b"):
            os.mkdir(os.path.join(made, d))
            write_file(os.path.join(made, d, "file"), d)
        for k, d in enumerate(("tree/a", "tree/b", "tree")):
            os.chmod(os.path.join(made, d), 0o750 + k)
            os.utime(os.path.join(made, d), (1234567890 + k, 1234567890 + k))
        subprocess.run(["tar", "-C", made, "-cf", os.path.join(made, "t.tar"), "tree"], check=True)
        for d in ("tree", "tree/a", "tree/b"):
            os.mkdir(m.path(d))
        m.drain()
        rig.proxy.rule(op="PUT", key="^tree", action="status", status=503, code="SlowDown", count=0)
        subprocess.run(["tar", "-C", m.dir, "-xpf", os.path.join(made, "t.tar")], check=True)
        true(m.status()["unsent"]["files"] >= 6, "unsent files")
        for again in (False, True):
            for k, d in enumerate(("tree/a", "tree/b", "tree")):
                st = os.stat(m.path(d))
                equal(st.st_mode & 0o7777, 0o750 + k, d)
                equal(int(st.st_mtime), 1234567890 + k, d)
            if not again:
                rig.proxy.clear()
                m.drain()
                m.unmount()
                m.remount(commit="close")
        equal(read_file(m.path("tree/a/file")), b"tree/a")
        m.unmount()
    finally:
        shutil.rmtree(made, ignore_errors=True)


@check("an outage: mv of stored files returns, with the new names here; the next mount brings them there, each once")
def moved(rig):
    needs_proxy(rig)
    rig.allow(r"event=mount\.unsent")
    m = rig.mount(commit="local", drain_timeout=1)
    for i in range(12):
        write_file(m.path(f"old{i}"), f"text {i}")
    m.drain()
    for op in ("PUT", "DELETE"):
        rig.proxy.rule(op=op, key="^(old|new)", action="status", status=503, code="SlowDown", count=0)
    for i in range(12):
        os.rename(m.path(f"old{i}"), m.path(f"new{i}"))
    os.rename(m.path("new11"), m.path("new10"))  # of those whose PUT no sender is at
    write_file(m.path("old5"), "again")  # where one was renamed from
    here = sorted(["old5"] + [f"new{i}" for i in range(11)])
    equal(sorted(n for n in os.listdir(m.dir) if n[:3] in ("old", "new")), here)
    equal(read_file(m.path("new10")), b"text 11")
    equal(read_file(m.path("new7")), b"text 7")
    for i in range(12):
        equal(stored(rig, f"old{i}"), f"text {i}".encode())
    true(m.term() != 0, "the daemon says that nothing is unsent")
    contains(m.log(), "key=new7")
    mount.force_unmount(m.dir)
    rig.proxy.clear()
    m.remount()
    equal(sorted(n for n in os.listdir(m.dir) if n[:3] in ("old", "new")), here)
    m.drain()
    equal(sorted(k for k in rig.s3.list(rig.bucket) if k[:3] in ("old", "new")), here)
    for i in range(10):
        equal(stored(rig, f"new{i}"), f"text {i}".encode())
    equal(stored(rig, "new10"), b"text 11")
    equal(stored(rig, "old5"), b"again")
    equal(m.status()["cache"]["lost_found"], 0, "lost+found")
    m.unmount()


@check("s3efs drain waits; --json says that all was sent")
def drain(rig):
    m = rig.mount(commit="local")
    for i in range(50):
        write_file(m.path(f"d{i}"), f"text {i}")
    r = mount.cli("drain", m.dir, "--json")
    equal(r.returncode, 0, r.stdout)
    said = json.loads(r.stdout)
    equal((said["sent"], said["files"], said["keys"]), (True, 0, []))
    for i in range(50):
        equal(stored(rig, f"d{i}"), f"text {i}".encode())
    m.unmount()


@check("a refusal: drain fails and says why, the bytes are in lost+found")
def refused(rig):
    needs_proxy(rig)
    rig.allow(r"event=commit\.failed")
    m = rig.mount(commit="local")
    rig.proxy.rule(op="PUT", key="^no", action="status", status=403, code="AccessDenied", count=0)
    write_file(m.path("no"), "refused")
    procs.wait_for(lambda: m.status()["cache"]["lost_found"] == 1, "lost+found")
    equal(m.status()["lost_and_found"][0]["key"], "no")
    contains(m.status()["last_error"], "when it was sent after its close")
    m.unmount()


@check("temporary names that are renamed before they were sent: one ObjectCreated each; many closes: few")
def requests(rig):
    needs_proxy(rig)
    m = rig.mount(commit="local")
    rig.proxy.rule(op="PUT", key="^hold-the-senders", action="hold", count=0)
    for i in range(8):  # every sender has its hands full
        write_file(m.path(f"hold-the-senders{i}"), "x")
    rig.proxy.wait_held(8)
    rig.proxy.reset()
    for i in range(10):
        write_file(m.path(f"t{i}.tmp"), f"{i}")
        os.rename(m.path(f"t{i}.tmp"), m.path(f"t{i}"))
        write_file(m.path("often"), f"{i}")
        write_file(m.path("never"), f"{i}")
        os.unlink(m.path("never"))
    rig.proxy.clear()
    rig.proxy.release()
    m.drain()
    created = rig.proxy.created()
    equal({k: n for k, n in created.items() if k.startswith(("t", "often", "never"))},
          {**{f"t{i}": 1 for i in range(10)}, "often": 1})
    equal(stored(rig, "often"), b"9")
    m.unmount()


def link_away(m, tmp, name):
    os.link(m.path(tmp), m.path(name))
    equal(os.stat(m.path(name)).st_nlink, 2)
    equal(os.stat(m.path(tmp)).st_ino, os.stat(m.path(name)).st_ino)
    os.unlink(m.path(tmp))
    equal(os.stat(m.path(name)).st_nlink, 1)


@check("a temporary name that is linked to the final one and removed, as git does: one ObjectCreated each")
def linked(rig):
    m = rig.mount(commit="local")
    if rig.proxy:
        rig.proxy.rule(op="PUT", key="^hold-the-senders", action="hold", count=0)
        for i in range(8):
            write_file(m.path(f"hold-the-senders{i}"), "y")
        rig.proxy.wait_held(8)
        rig.proxy.reset()
    for i in range(10):
        write_file(m.path(f"tmp_obj_{i}"), f"{i}")
        link_away(m, f"tmp_obj_{i}", f"linked{i}")
    write_file(m.path("linked-tmp"), "two names")
    os.link(m.path("linked-tmp"), m.path("linked-both"))
    m.kill()
    if rig.proxy:
        rig.proxy.clear()
        rig.proxy.release()
    mount.force_unmount(m.dir)
    m.remount()
    equal(os.stat(m.path("linked-both")).st_nlink, 2)
    m.drain()
    if rig.proxy:
        created = rig.proxy.created()
        equal({k: n for k, n in created.items() if k.startswith(("linked", "tmp_obj"))},
              {**{f"linked{i}": 1 for i in range(10)}, "linked-tmp": 1, "linked-both": 1})
    for i in range(10):
        equal(stored(rig, f"linked{i}"), f"{i}".encode())
    equal(stored(rig, "linked-tmp"), b"two names")
    equal(stored(rig, "linked-both"), b"two names")
    equal([n for n in os.listdir(m.dir) if n.startswith("tmp_obj")], [])
    m.unmount()


@check("a cache in memory: the mount warns")
def in_memory(rig):
    d = f"/dev/shm/s3efs-test-{os.getpid()}"
    if procs.run(["stat", "-f", "-c", "%T", "/dev/shm"], False).stdout.strip() != "tmpfs":
        raise Skip("/dev/shm is not in memory")
    try:
        m = rig.mount(commit="local", cache_dir=d)
        contains(m.log(), "the cache is in memory")
        m.unmount()
    finally:
        shutil.rmtree(d, ignore_errors=True)


@check("commit=fsync: fsync waits for the bucket, close does not")
def fsync(rig):
    needs_proxy(rig)
    m = rig.mount(commit="fsync")
    rig.proxy.rule(op="PUT", key="^later", action="hold", count=0)
    with open(m.path("now"), "wb") as f:
        f.write(b"text")
        f.flush()
        os.fsync(f.fileno())
        equal(stored(rig, "now"), b"text")
    write_file(m.path("later"), "text")
    rig.proxy.wait_held(1)
    rig.proxy.clear()
    rig.proxy.release()
    m.unmount()
    equal(stored(rig, "later"), b"text")


if __name__ == "__main__":
    main()
