#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mount is killed at each row of fs/base/crash.def, and another one takes over: what was told is there, whole,
the call under way happened or did not, and nothing is left but what fsck clears away. With --long (or
S3EFS_TEST_LONG): at every pass of each point, and what it leaves is seen by a mount with another cache, too.
S3EFS_TEST_CHAINS=REGEX: some of the chains. --write: the figures go to docs/reliability.md. On a server, not on
file://, it is a part of the chains (SOME), with --long all of them on versitygw and Ceph."""
import collections
import contextlib
import fcntl
import itertools
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
import traceback
import uuid

from harness import buckets, mount, procs
from harness.case import Skip, check, equal, main, true
from harness.world import Work, differs, look

BACKENDS = "file versitygw ceph moto"
TIMEOUT = 1800
FLAGS = [a for a in sys.argv if a.startswith("--")]
BACKEND = os.environ.get("S3EFS_TEST_BACKEND", "file")
LONG = "S3EFS_TEST_LONG" in os.environ or "--long" in FLAGS
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TABLE = os.path.join(TOP, "fs", "base", "crash.def")
PASSES_MAX = 40  # of one point, with --long
LEASE = 900  # seconds until a dead mount's renames must have been finished: a lease, and the looks in between
SENDERS = 8  # of commit=local
Point = collections.namedtuple("Point", "name workload modes")
Case = collections.namedtuple("Case", "point nth mode")
# Workloads in which commit=fsync differs from commit=local: their points are passed in this mode, too.
FSYNC = {"files", "replay"}
# On a server: what waits for a lease, and what is the same everywhere, is left to file://.
# With --long it is all of them, but on moto, which is slow.
SOME = {"versitygw": {"files", "unsent", "replay", "parts", "abort"}, "ceph": {"files"}, "moto": {"files"}}
# What these servers have no conditions for, no mount does there: a rename by COPY; on Ceph an upload in parts.
COPIES = {"upload.before_copy", "upload.after_copy"}
PARTS = {"parts", "abort"}
# Passes that are tried besides the first one; with --long every one that there is.
MORE = {"local.journaled": (10, 12), "journal.committed": (11, 14), "journal.linked": (10,), "upload.part_sent": (3,),
        "rename.copied_one": (4,), "rename.deleted_one": (3,), "lock.written": (2,), "link.commit_spread": (2,),
        "upload.after_put": (3,), "commit.stored": (3,), "local.sent": (3,), "intent.claimed": (2,)}


def table():
    with open(TABLE, encoding="utf-8") as f:
        rows = re.findall(r"^POINT\(([a-z_.]+), ([a-z_]+), (\w+), \".*\"\)$", f.read(), re.M)
    points = []
    for name, workload, modes in rows:
        if BACKEND == "file" or not (name.startswith("dir.") or name in COPIES or (BACKEND == "ceph" and workload in PARTS)):
            passes = ("close", "local") if modes == "both" else (modes,)
            points.append(Point(name, workload, passes + ("fsync",) if workload in FSYNC and "local" in passes else passes))
    return points


class Unreached(Exception):
    """The workload ended before the point was passed so often."""


class Victim(mount.Mount):
    """A mount that may die while it starts."""

    def start(self):
        try:
            super().start()
        except RuntimeError:
            if not self.is_dead():
                raise

    def is_dead(self):
        return self.proc.poll() == -9


class Site:
    """A bucket and a cache of a chain of cases."""

    def __init__(self, rig, name, mode):
        self.mode, self.name = mode, name
        self.dir = rig.path(name)
        os.makedirs(self.dir)
        self.bucket = (buckets.Directory(os.path.join(self.dir, "bucket")) if BACKEND == "file" else
                       buckets.Remote(rig.server, "t-" + uuid.uuid4().hex[:16]))
        self.cache, self.works, self.n = os.path.join(self.dir, "cache"), [], 0

    def mount(self, crash_at=None, **opts):
        env = mount.environment(**({"S3EFS_CRASH_AT": crash_at} if crash_at else {}))
        opts = {"cache_dir": self.cache, "commit": self.mode, **self.bucket.opts, **opts}
        d = os.path.join(self.dir, f"mnt{self.n}")
        self.n += 1
        m = Victim(self.bucket.source, d, opts, os.path.join(self.dir, "log"), env)
        return m

    def fsck(self, *args, crash_at=None):
        env = mount.environment(**({"S3EFS_CRASH_AT": crash_at} if crash_at else {}))
        more = [x for k, v in self.bucket.opts.items() for x in ("-o", f"{k}={v}")]
        return mount.cli("fsck", self.bucket.source, "--json", *more, "--cache", self.cache, *args, env=env)


class Run(Work):
    """One case: its directory, and how its mounts come and go."""

    def __init__(self, site, case, top):
        super().__init__(top)
        self.site, self.case, self.others = site, case, []
        site.works.append(self)

    def start(self, **opts):
        """The mount that is to die."""
        self.m = self.site.mount(f"{self.case.point.name}:{self.case.nth}", **opts)
        if self.m.is_dead():
            raise OSError("it has died")

    def start_plain(self, **opts):
        self.m = self.site.mount(**opts)

    def start_to_die(self, point, work):
        """Another death comes before the one that is meant."""
        self.m = self.site.mount(point)
        try:
            work()
        except OSError:
            self.m.proc.wait(procs.PATIENCE)
        true(self.m.is_dead(), f"no death at {point}")
        mount.force_unmount(self.m.dir)

    def kill(self):
        self.m.kill()
        mount.force_unmount(self.m.dir)

    def fsck(self):
        """The one that dies is fsck."""
        r = self.site.fsck("--repair", crash_at=f"{self.case.point.name}:{self.case.nth}")
        if r.returncode == -9:
            raise OSError("it has died")

    def other(self):
        m = mount.Mount(self.site.bucket.source, os.path.join(self.site.dir, f"other-{self.top}"),
                        {"cache_dir": self.site.cache + "-other", "acregmin": 0, **self.site.bucket.opts},
                        os.path.join(self.site.dir, "log-other"))
        self.others.append(m)
        return m

    def fsync(self, name, body):
        super().fsync(name, body)
        if self.case.mode == "fsync":
            equal(self.site.bucket.get(self.key(name)), body, "in the bucket when fsync has returned")

    def end(self):
        for m in self.others:
            m.unmount()
        if self.m is not None:
            self.m.discard()


# --- the workloads of the table: each starts its mount, and passes its points ---

def start(c):
    c.site.cache += "+"  # a new one
    c.start()


def files(c):
    c.site.bucket.put("foreign-" + c.top, b"foreign" * 1000)
    c.start()
    c.mkdir()
    c.write("a", b"a" * 5000)
    with open(c.m.path("foreign-" + c.top), "rb") as f:
        f.read()
    c.append("a", b"more" * 100)
    c.write("a", os.urandom(200000))
    c.fsync("b", b"synced" * 50)
    c.drain()
    c.chmod("a", 0o600)
    c.append("b", b"at the end")
    c.drain()


def unsent(c):
    c.start()
    c.mkdir()
    c.drain()  # or the senders would wait for it
    with c.site.bucket.no_writes():
        for i in range(SENDERS):  # each sender has its hands full
            c.write(f"busy{i}", b"busy")
        c.write("new", b"n" * 3000)
        c.append("new", b"appended")
        c.rename("new", "moved")
        c.fsync("other", b"o" * 7000)
        c.rename("other", "moved")
        c.write("third", b"third")
        c.unlink("moved")
        c.mkdir("dir")
        c.write("dir/inside", b"inside")
    c.drain()


def replay(c):
    c.start_plain()
    c.mkdir()
    c.write("old", b"old bytes")
    c.drain()
    with c.site.bucket.no_writes():
        for i in range(3):
            c.write(f"new{i}", b"%d" % i * 2000)
        c.write("old", b"new bytes of old")
        c.mkdir("dir")
        c.write("dir/inside", b"inside")
        c.kill()
    c.start()
    c.drain()


def parts(c):
    c.start()
    c.mkdir()
    c.write("large", os.urandom(17 << 20))
    c.drain()


def abort(c):
    c.start(acregmin=600, acregmax=600)
    c.mkdir()
    c.write("large", os.urandom(17 << 20))
    fd = os.open(c.path("large"), os.O_RDWR)
    try:
        now = bytearray(os.urandom(17 << 20))
        with c.world.step() as t:
            c._put(t, "large", bytes(now))
            with open(c.other().path(c.key("large")), "r+b") as f:
                f.write(now)
        now[1 << 20] ^= 1
        with c.world.step() as t:
            c._put(t, "large", bytes(now))
            os.pwrite(fd, now[1 << 20:(1 << 20) + 1], 1 << 20)
            os.fsync(fd)
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)


def names(c):
    c.start()
    c.mkdir()
    c.symlink("to/nowhere", "symlink")
    c.mkdir("sub")
    c.write("sub/file", b"in sub")
    c.drain()
    c.unlink("sub/file")
    c.rmdir("sub")


def renames(c):
    c.start()
    c.mkdir()
    c.write("a", b"a" * 4000)
    c.write("b", b"b" * 3000)
    c.drain()
    with open(c.path("a"), "r+b"), open(c.path("b"), "r+b"):  # being written to: not the journal's
        c.rename("a", "c")
        c.rename("b", "c")


def moves(c):
    c.start()
    c.mkdir()
    for name in "abc":
        c.write(name, name.encode() * 4000)
    c.drain()
    c.rename("a", "d")
    c.rename("b", "a")
    c.rename("c", "d")
    c.write("c", b"new")
    c.drain()


def make_tree(c):
    c.mkdir()
    c.mkdir("old")
    c.mkdir("old/sub")
    for i in range(4):
        c.write(f"old/{'sub/' if i % 2 else ''}{i}", b"%d" % i * 1000)
    c.drain()


def dirs(c):
    c.start()
    make_tree(c)
    c.rename("old", "new")


def links(c):
    c.start()
    c.mkdir()
    c.write("a", b"first")
    c.drain()
    c.link("a", "b")
    c.link("a", "c")
    c.append("b", b" and second")
    c.write("c", b"anew")
    c.unlink("a")


def link_renames(c):
    c.start()
    c.mkdir()
    c.write("a", b"of two names")
    c.drain()
    c.link("a", "b")
    c.rename("b", "c")


def mend_file(c):
    def work():
        c.mkdir()
        c.write("a", b"a" * 4000)
        c.rename("a", "b")

    c.start_to_die("rename.copied", work)
    waiting(c.fsck)


def mend_dir(c):
    def work():
        make_tree(c)
        c.rename("old", "new")

    c.start_to_die("rename.copied_one:3", work)
    waiting(c.fsck)


def locks(c):
    c.start()
    c.mkdir()
    c.write("a", b"locked")
    with open(c.path("a"), "r+b") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        if c.case.point.name == "session.renewed":
            waiting(lambda: procs.wait_for(c.m.is_dead, "renewal", 120, 0.2))
        fcntl.lockf(f, fcntl.LOCK_UN)


def strict(c):
    c.start(excl="strict")
    c.mkdir()
    c.fsync("a", b"mine alone")


def end(c):
    c.start()
    c.mkdir()
    c.write("a", b"a" * 5000)
    c.drain()
    c.rename("a", "b")
    c.write("c", b"c" * 9000)
    c.m.unmount()


# --- chains: cases on one bucket and cache, one after the other. Each is a process without threads: a fork beside an
# open(2) would close the file once more, which makes a commit of an empty one. ---

_fork = multiprocessing.get_context("fork")
_active = _fork.BoundedSemaphore(4 * (os.cpu_count() or 2))  # most of the time goes into fsync
BATCH = {"renames", "dirs", "link_renames", "locks", "strict"}  # what they leave is judged once, after a lease


def waiting(func):
    """What only waits leaves the machine to others."""
    _active.release()
    try:
        func()
    finally:
        _active.acquire()


def die(site, case, top):
    """The workload up to the death. Unreached."""
    c = Run(site, case, top)
    try:
        try:
            globals()[case.point.workload](c)
        except (OSError, AssertionError, RuntimeError, procs.Timeout, subprocess.TimeoutExpired) as e:
            with contextlib.suppress(subprocess.TimeoutExpired, AttributeError):
                c.m.proc.wait(procs.PATIENCE)
            if c.m is None or not c.m.is_dead():
                raise AssertionError(f"it failed and did not die: {e!r}") from e
            return
        with contextlib.suppress(AssertionError):
            c.m.unmount()
        if not c.m.is_dead():
            raise Unreached()
    finally:
        c.end()


def compare(site, m, works, bad):
    for c in works:
        look(m.dir, c.top)  # a link that was being made is counted once its name has been looked up
        found = look(m.dir, c.top)
        allowed = c.world.allowed()
        if c.world.settle(found) is None:
            bad.append(f"{label(c.case)}: {differs(found, allowed)}")


def recover(site, works, bad):
    """Another mount with the cache: it sends what is unsent, and finishes the renames."""
    m = site.mount()
    m.drain()

    def is_over():
        os.listdir(m.dir)
        return m.status()["renames"] == 0

    if not is_over():
        waiting(lambda: procs.wait_for(is_over, "end of the renames", LEASE, 0.5))
    compare(site, m, works, bad)
    s = m.status()
    equal(s["unsent"]["files"], 0, "unsent")
    equal([k["key"] for k in s["lost_and_found"] if not k["key"].startswith("journal-")], [], "lost+found")
    m.unmount()


def is_unacknowledged(f):
    """Bytes of a close that was not answered, kept for their owner."""
    return f["finding"] == "lost-found" and os.path.basename(f["name"]).startswith("journal-")


def fsck_finds(site, *args):
    """What fsck finds that is neither harmless nor repaired now."""
    r = site.fsck("--older-than", "0s", *args)
    lines = [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]
    if not lines or "summary" not in lines[-1] or lines[-1]["summary"]["errors"]:
        return [f"exit {r.returncode}: {r.stdout[-1000:]}"]
    return [f for f in lines[:-1] if f["fate"] not in ("note", "repaired") and not is_unacknowledged(f)]


def last_look(site, bad):
    """The bucket itself, a fresh mount of it, and what fsck says of both."""
    want = {p: e[1].encode() if e[0] == "l" else e[1] for c in site.works for p, e in c.world.now.items() if e[0] != "d"}
    found = {p: b for p, b in site.bucket.objects().items() if not p.startswith("foreign-")}
    if found != want:
        bad.append(f"{site.name}: in the bucket: {differs(found, [want])}")
    results = []
    waiting(lambda: results.extend(fsck_finds(site, "--repair")))
    results += fsck_finds(site)
    if results:
        bad.append(f"{site.name}: fsck finds {results}")
    if LONG:
        site.cache += "-fresh"
        m = site.mount()
        compare(site, m, site.works, bad)
        m.unmount()


def label(case):
    return f"{case.point.name}:{case.nth} commit={case.mode}"


def cases_of(point, mode):
    """Until one is not reached."""
    waits = point.workload.startswith("mend") or point.name == "session.renewed"
    for nth in range(1, PASSES_MAX) if LONG and not waits else (1, *MORE.get(point.name, ())):
        yield Case(point, nth, mode)


def run_cases(site, points, tried, bad):
    is_mended = points[0].workload.startswith("mend")
    names_ = (f"c{n}" for n in itertools.count())
    for point in points:
        for case in cases_of(point, site.mode):
            try:
                die(site, case, next(names_))
                tried.append(label(case))
            except Unreached:
                if not LONG or case.nth == 1:
                    bad.append(f"{label(case)}: {point.workload} does not pass it")
                break
            if not is_mended and point.workload not in BATCH:
                recover(site, site.works[-1:], bad)
    if is_mended:
        waiting(lambda: site.fsck("--repair"))
    recover(site, site.works, bad)
    last_look(site, bad)


def run_chain(rig, name, mode, points, results):
    """In a process of its own."""
    procs.forked()
    tried, bad, began = [], [], time.monotonic()
    with _active:
        site = Site(rig, name, mode)
        try:
            run_cases(site, points, tried, bad)
        except Exception as e:
            traceback.print_exc()
            bad.append(f"{name}: {e!r}")
        finally:
            procs.end_all()
    if bad:
        with open(os.path.join(site.dir, "log"), encoding="utf-8", errors="replace") as f:
            print(f"--- log of {name} (end)\n{f.read()[-6000:]}\n---", file=sys.stderr, flush=True)
    print(f"{name}: {len(tried)} deaths, {time.monotonic() - began:.0f} s", flush=True)
    results.put((tried, bad))


def chains():
    """{name, mode: points}, those that wait for a lease first."""
    out = collections.defaultdict(list)
    some = SOME.get(BACKEND) if not LONG or BACKEND == "moto" else None
    for p in table():
        for mode in p.modes if some is None or p.workload in some else ():
            out[(p.name if p.workload.startswith("mend") else p.workload, mode)].append(p)
    first = BATCH | {"mend_file", "mend_dir"}
    chosen = os.environ.get("S3EFS_TEST_CHAINS", "")
    return {k: v for k, v in sorted(out.items(), key=lambda c: c[1][0].workload not in first) if re.search(chosen, "-".join(k))}


def write_figures(points, deaths):
    page = os.path.join(TOP, "docs", "reliability.md")
    with open(page, encoding="utf-8") as f:
        text = f.read()
    row = r"\| named crash points" if BACKEND == "file" else rf"\| those on {BACKEND}"
    text = re.sub(rf"({row}.*\|) \d+, \d+ \|", rf"\1 {points}, {deaths} |", text)
    with open(page, "w", encoding="utf-8") as f:
        f.write(text)


@check("each named crash point: what was told is there, whole, the rest is old or new, and nothing stays behind")
def each_point(rig):
    with open(mount.binary(), "rb") as f:
        if b"S3EFS_CRASH_AT" not in f.read():
            raise Skip("this build has no crash points: configure --enable-debug")
    tried, bad, results = [], [], _fork.SimpleQueue()
    todo = chains()
    for (name, mode), points in todo.items():
        p = _fork.Process(target=run_chain, args=(rig, f"{name}-{mode}", mode, points, results))
        p.start()
        procs.at_exit(p.terminate)
    for _ in todo:
        t, b = results.get()
        tried += t
        bad += b
    points = {t.split(":")[0] for t in tried}
    print(f"crash points tried: {len(points)} of {len(table())}, deaths: {len(tried)}", flush=True)
    for line in bad:
        print(f"wrong: {line}", flush=True)
    equal(len(bad), 0, "wrong")
    equal(sorted({p.name for chain in todo.values() for p in chain} - points), [], "points that nobody died at")
    if "--write" in FLAGS:
        write_figures(len(points), len(tried))


if __name__ == "__main__":
    sys.argv = [a for a in sys.argv if a not in FLAGS]
    main()
