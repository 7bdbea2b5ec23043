#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mount whose cache disk loses power: at each sync of a workload (before it, and when it is done and nobody knows),
and before other changes of the disk. The disk is tests/lib/baddisk.so below the daemon: of what was not synced any part
is there, torn and in any order, LMDB's pages included (tests/lib/baddisk.h). Then the machine comes back, with another boot id:
what was told is there, whole and once, what was under way is old or new, and the bucket has the same. Some lose power
again while they recover. --long (or S3EFS_TEST_LONG): every sync. S3EFS_TEST_SEED=N: the same choice. S3EFS_TEST_AT=MODE:AT[:AT], with the
seed that its failure told: one case.
S3EFS_TEST_LIE=N (enum baddisk_lie): a kind of sync that does nothing; the test must fail. --write: the figures go to docs/reliability.md."""
import collections
import contextlib
import multiprocessing
import os
import random
import re
import subprocess
import sys
import time
import traceback
import uuid

from harness import mount, procs
from harness.buckets import no_writes_in
from harness.case import Skip, check, equal, main, true
from harness.proxy import BUILD
from harness.world import Work, differs, look, stored

BACKENDS = "file"
FLAGS = [a for a in sys.argv if a.startswith("--")]
LONG = "S3EFS_TEST_LONG" in os.environ or "--long" in FLAGS
SEED = int(os.environ.get("S3EFS_TEST_SEED") or random.randrange(1 << 31))
LIE = os.environ.get("S3EFS_TEST_LIE", "0")
ONE = os.environ.get("S3EFS_TEST_AT")
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SENDERS = 8  # of commit=local
LEASE = 900  # seconds until a dead mount's renames must have been finished
# mode: how often the power goes at a sync, elsewhere, and twice
SHARES = {"local": (16, 4, 4), "held": (16, 4, 4), "fsync": (6, 2, 2), "close": (6, 2, 2)}
Case = collections.namedtuple("Case", "mode at again seed")
_fork = multiprocessing.get_context("fork")


class Powered(mount.Mount):
    """A mount whose daemon has the disk below it; it may die at any time."""

    def __init__(self, site, cache, **disk):
        disk.setdefault("BOOT", site.boot())
        self.disk = {"S3EFS_DISK_" + k: v for k, v in disk.items()}
        if "AT" in disk or "COUNT" in disk:
            self.disk["S3EFS_DISK"] = cache
        opts = {"cache_dir": cache, "commit": site.commit}
        super().__init__("file://" + site.bucket, site.path(f"mnt{site.n}"), opts, site.path("log"))

    def start(self):
        plain = self.env
        self.env = {**plain, "LD_PRELOAD": os.path.abspath(os.path.join(BUILD, "tests/lib/baddisk.so")), **self.disk}
        try:
            super().start()
        except RuntimeError:
            if not self.is_dead():
                raise
        finally:
            self.env = plain

    def is_dead(self):
        return self.proc.poll() == -9


class Site:
    """A machine and its bucket."""

    def __init__(self, rig, name, mode):
        self.mode, self.dir, self.n = mode, rig.path(name), 0
        self.commit = "local" if mode == "held" else mode
        self.bucket = self.path("bucket")
        os.makedirs(self.bucket)
        self.works = [Work("one"), Work("two")]

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def boot(self):
        """Another one each time."""
        self.n += 1
        with open(self.path(f"boot{self.n}"), "w", encoding="ascii") as f:
            f.write(f"{uuid.uuid4()}\n")
        return f.name

    def new_cache(self):
        d = self.path("cache")
        os.mkdir(d, 0o700)
        return d


# --- the workload: two processes, so that closes wait for the disk together ---

def body(what, size):
    """Each 16 bytes tell where they belong."""
    return b"".join(f"{what[:10]:10}{n:6}".encode() for n in range(size // 16 + 1))[:size]


def prepare(c):
    c.mkdir()
    c.mkdir("dir")
    c.write("stored", b"stored" * 1000)
    c.write("log", b"first line\n")


def busy(c):
    """The bucket takes nothing: what comes later is not under way."""
    for i in range(SENDERS // 2):
        c.write(f"busy{i}", b"busy")


def change(c):
    for i in range(3):
        c.write(f"new{i}", body(f"{c.top} new{i}", 3000 * (i + 1)))
    c.append("log", b"second line\n")
    c.write("tmp", body(c.top + " index", 20000))
    c.rename("tmp", "dir/index")
    c.write("stored", body(c.top + " stored anew", 70000))
    c.fsync("synced", b"synced" * 500)
    c.append("log", b"third line\n")
    c.write("tmp", b"t" * 100)
    c.rename("tmp", "new1")
    c.unlink("new0")
    c.write("new0", b"another of this name")
    c.append("synced", b"and more")


def settle(c):
    c.chmod("new2", 0o640)  # waits for the bucket
    c.append("stored", b"the end")


def work_in_child(c, func, pipe):
    procs.forked()
    try:
        func(c)
        pipe.send((c.world, None))
    except OSError as e:
        pipe.send((c.world, repr(e)))


def together(site, m, func):
    """Each work in a process of its own. What failed: None, or why."""
    pipes, why = [], None
    for c in site.works:
        c.m = m
        ours, theirs = _fork.Pipe(False)
        p = _fork.Process(target=work_in_child, args=(c, func, theirs))
        p.start()
        theirs.close()
        pipes.append((c, p, ours))
    for c, p, ours in pipes:
        c.world, failed = ours.recv()
        why = why or failed
        p.join()
    return why


def life(site, m):
    """The workload; what failed, or None."""
    why = together(site, m, prepare)
    if why is None and site.mode == "held":
        m.drain()
        with no_writes_in(site.bucket):
            why = together(site, m, busy) or together(site, m, change)
            if why:
                m.proc.wait(procs.PATIENCE)  # before the bucket takes anything
    elif why is None:
        why = together(site, m, change)
    why = why or together(site, m, settle)
    if why is None:
        send(m)
    return why


def send(m):
    m.drain()
    m.unmount()


def die(m, func):
    """True: the power went."""
    try:
        why = None if m.is_dead() else func(m)
    except (OSError, AssertionError, RuntimeError, procs.Timeout, subprocess.TimeoutExpired) as e:
        why = repr(e)
    if why is not None or m.is_dead():
        with contextlib.suppress(subprocess.TimeoutExpired):
            m.proc.wait(procs.PATIENCE)
        true(m.is_dead(), f"it failed, and the power was there: {why}")
        m.discard()
        procs.wait_for(lambda: os.path.exists(m.disk["S3EFS_DISK_TO"]), "disk after the power loss")
        return True
    return False


# --- and afterwards ---

def compare(site, root, bad):
    for c in site.works:
        look(root, c.top)
        found = look(root, c.top)
        allowed = c.world.allowed()
        if c.world.settle(found) is None:
            bad.append(f"{c.top}: {differs(found, allowed)}")


def recover(site, cache, bad):
    m = Powered(site, cache)
    m.drain()

    def is_over():
        os.listdir(m.dir)
        return m.status()["renames"] == 0

    procs.wait_for(is_over, "end of the renames", LEASE, 0.5)
    compare(site, m.dir, bad)
    s = m.status()
    equal(s["unsent"]["files"], 0, "unsent")
    equal([k["key"] for k in s["lost_and_found"] if not k["key"].startswith("journal-")], [], "lost+found")
    m.unmount()
    want = {p: e[1] for c in site.works for p, e in c.world.now.items() if e[0] != "d"}
    found = stored(site.bucket)
    if found != want:
        bad.append(f"in the bucket: {differs(found, [want])}")


def lose(site, case, bad):
    """How often the power went."""
    cache, times = site.new_cache(), 0
    for at, func in ((case.at, lambda m: life(site, m)), (case.again, send)):
        if at is None:
            break
        to = site.path(f"cache-after{times}")
        if not die(Powered(site, cache, AT=at, TO=to, SEED=str(case.seed + times), LIE=LIE), func):
            break
        cache, times = to, times + 1
    recover(site, cache, bad)
    return times


def label(case):
    return ":".join(x for x in (case.mode, case.at, case.again) if x)


def in_child(rig, name, case, results):
    procs.forked()
    bad, times, began = [], 0, time.monotonic()
    site = Site(rig, name, case.mode)
    try:
        times = lose(site, case, bad)
    except Exception as e:
        traceback.print_exc()
        bad.append(repr(e))
    finally:
        procs.end_all()
    print(f"{label(case)}: {times} losses, {time.monotonic() - began:.1f} s", flush=True)
    with open(site.path("log"), encoding="utf-8", errors="replace") as f:
        log = f.read()
    bad += [line for line in log.splitlines() if re.search("level=error|Assertion|baddisk:|runtime error:", line)]
    if bad:
        print(f"--- log of {label(case)} (end)\n{log[-6000:]}\n---", file=sys.stderr, flush=True)
    results.put((times, [f"S3EFS_TEST_AT={label(case)} S3EFS_TEST_SEED={case.seed}: {b}" for b in bad]))


def counted(rig, mode):
    """A life without a loss: how many changes of the disk there are, and how many syncs."""
    site = Site(rig, "count-" + mode, mode)
    m = Powered(site, site.new_cache(), COUNT=site.path("count"))
    true(life(site, m) is None, "the workload failed")
    with open(site.path("count"), encoding="ascii") as f:
        return [int(n) for n in f.read().split()]


def cases(rig):
    if ONE:
        mode, at, *again = ONE.split(":")
        return [Case(mode, at, again[0] if again else None, SEED)]
    rnd, out = random.Random(SEED), []
    for mode, (at_syncs, elsewhere, twice) in SHARES.items():
        calls, syncs = counted(rig, mode)
        print(f"commit={mode}: {calls} changes of the disk, {syncs} syncs", flush=True)
        if LONG:
            at_syncs, elsewhere, twice = syncs, 4 * elsewhere, 4 * twice
        ats = [f"{1 + i * syncs // at_syncs}{'+' if i % 2 else ''}" for i in range(at_syncs)]
        ats += [f"={rnd.randrange(1, calls + 1)}" for _ in range(elsewhere)]
        out += [Case(mode, at, None, rnd.randrange(1 << 30)) for at in ats]
        out += [Case(mode, str(rnd.randrange(syncs // 3, syncs)), str(rnd.randrange(1, 16)), rnd.randrange(1 << 30)) for _ in range(twice)]
    return out


def write_figures(cases_, losses, again):
    page = os.path.join(TOP, "docs", "reliability.md")
    with open(page, encoding="utf-8") as f:
        text = f.read()
    text = re.sub(r"(\| power losses of a whole mount.*\|) \d+, \d+ \|", rf"\1 {losses}, {again} |", text)
    with open(page, "w", encoding="utf-8") as f:
        f.write(text)


@check("the cache's disk loses power under a mount: what was told is there, whole and once, the rest is old or new")
def power(rig):
    with open(mount.binary(), "rb") as f:
        if re.search(b"__[at]san_init", f.read()):
            raise Skip("a sanitizer's library must be loaded before any other")
    print(f"S3EFS_TEST_SEED={SEED}", flush=True)
    todo, results = cases(rig), _fork.SimpleQueue()
    waiting, running, losses, again, bad = list(enumerate(todo)), 0, 0, 0, []
    while waiting or running:
        while waiting and running < 4 * (os.cpu_count() or 2):
            n, case = waiting.pop(0)
            p = _fork.Process(target=in_child, args=(rig, f"case{n}", case, results))
            p.start()
            procs.at_exit(p.terminate)
            running += 1
        times, wrong = results.get()
        running -= 1
        losses += times > 0
        again += times > 1
        bad += wrong
    print(f"power losses: {losses} of {len(todo)}, of them {again} once more while recovering", flush=True)
    for line in bad:
        print(f"wrong: {line}", flush=True)
    equal(len(bad), 0, "wrong")
    true(losses * 2 >= len(todo), "most cases never came to their power loss")
    if "--write" in FLAGS:
        write_figures(todo, losses, again)


if __name__ == "__main__":
    sys.argv = [a for a in sys.argv if a not in FLAGS]
    main()
