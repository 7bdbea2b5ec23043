#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon's life: background mount, umount and SIGTERM drain, kill -9, restart with its cache, status."""
import concurrent.futures
import contextlib
import os
import subprocess

from harness import mount, procs
from harness.case import Skip, check, contains, equal, main, read_file, true, write_file
from harness.mount import environment

BACKENDS = "file versitygw ceph"
TIMEOUT = 300


@check("mount in the background returns when the files are there; umount takes it away")
def background(rig):
    d = rig.path("bg")
    os.makedirs(d)
    r = procs.run(mount.command(rig.source, d, rig.options()), False, env=environment())
    try:
        equal(r.returncode, 0, r.stdout)
        true(mount.is_mounted(d), "not mounted")
        write_file(os.path.join(d, "bg-file"), "background")
        equal(read_file(os.path.join(d, "bg-file")), b"background")
        r = mount.cli("umount", d)
        equal(r.returncode, 0, r.stdout)
        true(not mount.is_mounted(d), "still mounted")
    finally:
        mount.force_unmount(d)
    equal(read_file(rig.mount().path("bg-file")), b"background")


@check("umount drains: a file that is still open for writing is in the bucket afterwards")
def umount_drains(rig):
    m = rig.mount()
    for i in range(50):
        write_file(m.path(f"drain{i}"), f"drained {i}")
    m.unmount()
    other = rig.mount()
    for i in range(50):
        equal(read_file(other.path(f"drain{i}")), f"drained {i}".encode())


@check("s3efs umount ends the daemon also where another mount namespace keeps a copy of the mount")
def umount_with_copies(rig):
    if subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        raise Skip("no mount namespace of its own can be made here (in a chroot, / is no mount point)")
    m = rig.mount()
    write_file(m.path("copied"), "kept")
    copy = procs.start(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                        f"cat {m.dir}/copied && echo > {rig.path('copy-is-there')} && exec sleep 600"])
    procs.wait_for(lambda: os.path.exists(rig.path("copy-is-there")), "the copy of the mount")
    m.unmount()
    equal(copy.poll(), None, "the other namespace has ended")
    contains(m.log(), "mount.copies")
    procs.end(copy)
    equal(read_file(rig.mount().path("copied")), b"kept")


@check("SIGTERM drains: what was written but not closed is sent, then the daemon ends with 0")
def sigterm(rig):
    m = rig.mount(drain_timeout=procs.PATIENCE)
    fd = os.open(m.path("term"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"not closed yet")
    code = m.term()
    try:
        os.close(fd)
    except OSError:
        pass  # the file system is gone
    equal(code, 0, "exit code")
    true(not mount.is_mounted(m.dir), "still mounted")
    equal(read_file(rig.mount().path("term")), b"not closed yet")


@check("s3efs drain commits what is open and dirty, and returns 0")
def drain(rig):
    m = rig.mount()
    fd = os.open(m.path("dirty"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"dirty bytes")
    m.drain()
    if rig.s3:
        equal(rig.s3.get(rig.bucket, "dirty").body, b"dirty bytes")
    os.close(fd)
    m.unmount()


@check("kill -9, then mounted again over the dead mount: what close() acknowledged is there")
def killed(rig):
    m = rig.mount()
    data = {f"k{i}": os.urandom(5000 + i) for i in range(20)}
    for name, body in data.items():
        write_file(m.path(name), body)
    fd = os.open(m.path("k-open"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"never closed")
    m.kill()
    try:
        os.close(fd)
    except OSError:
        pass
    m.remount()
    for name, body in data.items():
        equal(read_file(m.path(name)), body, name)
    write_file(m.path("after"), "alive")
    equal(read_file(m.path("after")), b"alive")
    m.unmount()


@check("kill -9 in the middle of writes, ten times: never a torn file, never an acknowledged one lost")
def killed_often(rig):
    m = rig.mount()
    acknowledged = {}
    for rnd in range(10):
        def work(worker):
            for i in range(200):
                body = f"{rnd}/{worker}/{i} ".encode() * 800
                name = f"kk{worker}"
                try:
                    write_file(m.path(name), body)
                except OSError:
                    return
                acknowledged[name] = body
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(work, w) for w in range(4)]
            before = dict(acknowledged)
            procs.wait_for(lambda: acknowledged != before or all(j.done() for j in jobs), "a write")
            m.kill()  # the writers see the dead mount, and end
        mount.force_unmount(m.dir)
        m.remount()
        for name, body in acknowledged.items():
            got = read_file(m.path(name))
            # the write under way may be there or not; what is there is one write, whole
            head = got.split(b" ")[0]
            true(got == (head + b" ") * 800, f"{name} is torn: {len(got)} bytes")
            if got != body:
                r, _, i = map(int, head.split(b"/"))
                r0, _, i0 = map(int, body.split(b" ")[0].split(b"/"))
                true((r, i) >= (r0, i0), f"{name}: acknowledged {body[:12]!r}, found {got[:12]!r}")
    m.unmount()


def brought(rig, m):
    """GETs that brought bytes: an open revalidates with a conditional one, that costs no bytes."""
    if rig.proxy:
        return [e["key"] for e in rig.proxy.log() if e["kind"] == "GET" and e["status"] != 304]
    return m.status()["bytes_down"]


@check("a restart keeps the cache: opens revalidate cached files, and bring no bytes")
def restart(rig):
    m = rig.mount()
    data = {f"r{i}": os.urandom(50000 + i) for i in range(20)}
    for name, body in data.items():
        write_file(m.path(name), body)
    rig_reads(m, data)
    m.unmount()
    m.remount()
    if rig.proxy:
        rig.proxy.reset()
    rig_reads(m, data)
    equal(brought(rig, m) or 0, 0, "bytes brought again after the restart")
    m.kill()
    m.remount()
    if rig.proxy:
        rig.proxy.reset()
    rig_reads(m, data)
    equal(brought(rig, m) or 0, 0, "bytes brought again after kill -9")
    m.unmount()


def rig_reads(m, data):
    for name, body in data.items():
        equal(read_file(m.path(name)), body, name)


@check("a damaged cache is a miss, not wrong bytes")
def damaged(rig):
    m = rig.mount()
    rig.allow("cache|block|damag|check")
    body = os.urandom(400000)
    write_file(m.path("precious"), body)
    equal(read_file(m.path("precious")), body)
    m.unmount()
    hurt = 0
    for root, _, files in os.walk(m.opts["cache_dir"]):
        for f in files:
            path = os.path.join(root, f)
            if not f.endswith(".mdb") and os.path.getsize(path) > 100000:
                with open(path, "r+b") as h:
                    h.seek(70000)
                    h.write(b"DAMAGE" * 100)
                hurt += 1
    true(hurt > 0, "no block file was found in the cache")
    m.remount()
    equal(read_file(m.path("precious")), body)
    m.unmount()


@check("status: text for people, JSON for programs; the ledger equals what the proxy counted")
def status(rig):
    if rig.proxy:
        rig.proxy.reset()
    m = rig.mount()
    for i in range(30):
        write_file(m.path(f"s{i}"), os.urandom(1000 * i))
    os.mkdir(m.path("sdir"))
    os.rename(m.path("s1"), m.path("sdir/s1"))
    os.unlink(m.path("s2"))
    os.listdir(m.dir)
    other = rig.mount()
    for i in range(3, 30):
        read_file(other.path(f"s{i}"))
    if rig.proxy:
        seen = []

        def agree():
            seen[:] = dict(m.ledger() + other.ledger()), dict(rig.proxy.counts())
            return rig.proxy.stats()["under_way"] == 0 and seen[0] == seen[1]

        # What a mount asks of itself (its session) may come between two readings: then they are read again.
        with contextlib.suppress(procs.Timeout):
            procs.wait_for(agree, "equal ledgers", every=0.2)
        equal(seen[0], seen[1], "sum of both ledgers")
    else:
        equal(m.ledger()["PUT"] >= 30, True, "PUTs")
    s = m.status()
    for field in ("requests", "uptime_s", "cache"):
        true(field in s or any(k.startswith(field.split("_")[0]) for k in s), f"{field} is not in {list(s)}")
    text = mount.cli("status", m.dir)
    equal(text.returncode, 0, text.stdout)
    contains(text.stdout, "PUT")


@check("two mounts of one bucket with different caches live side by side, one ends, the other goes on")
def side_by_side(rig):
    a, b = rig.mount(), rig.mount()
    write_file(a.path("ab"), "from a")
    equal(read_file(b.path("ab")), b"from a")
    a.unmount()
    write_file(b.path("ab"), "from b")
    equal(read_file(b.path("ab")), b"from b")
    b.unmount()


@check("the unmount of a busy mount says so and leaves it working, or waits for it")
def busy(rig):
    m = rig.mount()
    write_file(m.path("busy"), "x")
    fd = os.open(m.path("busy"), os.O_RDONLY)
    r = mount.cli("umount", m.dir)
    if r.returncode != 0:
        contains(r.stdout, "busy", "in use")
        equal(os.read(fd, 10), b"x")
        os.close(fd)
        m.unmount()
    else:
        os.close(fd)
    true(not mount.is_mounted(m.dir), "still mounted")


if __name__ == "__main__":
    main()
