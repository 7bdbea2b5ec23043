#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two mounts of one bucket, one with commit=close and one with commit=local, and six processes that create, rewrite,
rename, link and remove in them, while the server fails, the daemons are killed and ended, and their disk is full. Then
every byte is compared with what the processes were told, by another client.

    S3EFS_TEST_SOAK=1800 S3EFS_TEST_SEED=7 tests/system/soak.py     # seconds, seed (of the clock)"""
import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import mount, procs, proxy
from harness.case import Skip, check, equal, main, read_file, true
from soak.bucket import bucket
from soak.control import Control
from soak.judge import Ledgers, sha

BACKENDS = "file versitygw"
TIMEOUT = 600
LONGER = "S3EFS_TEST_SOAK"  # by as many seconds
SECONDS = int(os.environ.get("S3EFS_TEST_SOAK", "40"))
SEED = int(os.environ.get("S3EFS_TEST_SEED", time.time_ns() // 1000 % 1000000))
WORKERS = 3  # of each mount
EACH_KILL = 15  # seconds to a kill
HERE = os.path.dirname(os.path.abspath(__file__))
DISK = f"{220 + SECONDS // 8}m"  # lost+found grows


class Side:
    """A mount with its proxy, its disk and its workers."""

    def __init__(self, soak, n, local):
        self.soak, self.n, self.local, self.rig = soak, n, local, soak.rig
        self.ended = []
        self.fired = 0
        self.disk = self.rig.path(f"disk{n}")
        os.mkdir(self.disk)
        procs.at_exit(lambda: subprocess.run(["umount", "-l", self.disk], check=False, stderr=subprocess.DEVNULL))
        procs.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", self.disk])
        more = {}
        self.proxy = None
        if self.rig.proxy:
            self.proxy = self.rig.proxy if n == 0 else proxy.Proxy(self.rig.server.endpoint)
            more["endpoint"] = self.proxy.endpoint
        self.m = self.rig.mount(commit="local" if local else "close", cache_dir=os.path.join(self.disk, "cache"),
                                cache_size="96M", cache_free="0", drain_timeout=procs.PATIENCE, **more)

    def clear(self):
        if self.proxy:
            self.fired += self.proxy.fired()
            self.proxy.clear()
            self.proxy.rtt(0)

    def start_again(self):
        """No request of the dead daemon is left when the next one starts: what lands later is nobody's to tell."""
        self.clear()
        if self.proxy:
            procs.wait_for(lambda: self.proxy.stats()["under_way"] == 0, "end of the requests", procs.PATIENCE)
        self.m.start()
        self.soak.control.next_down(self.n)

    def kill(self):
        self.soak.control.next_down(self.n)
        self.m.kill()
        self.start_again()  # what was held goes on, from a daemon that is gone

    def term(self):
        self.clear()
        began = time.monotonic()
        self.soak.control.next_down(self.n)
        self.m.proc.send_signal(signal.SIGTERM)
        equal(self.m.proc.wait(procs.PATIENCE), 0, f"exit code after SIGTERM: {self.m.log()[-1500:]}")
        self.start_again()
        self.ended.append((began, time.monotonic()))

    def fill(self, seconds):
        """Somebody else fills the disk of the cache."""
        filler = os.path.join(self.disk, "filler")
        self.soak.control.next_full(self.n)
        try:
            with open(filler, "wb", buffering=0) as f:
                while True:
                    f.write(bytes(1 << 16))
        except OSError:
            pass
        self.soak.sleep(seconds)
        os.unlink(filler)
        self.soak.control.next_full(self.n)

    def kept(self):
        """{name: bytes} of lost+found, without its notes."""
        d = os.path.join(self.m.opts["cache_dir"], "lost+found")
        names = os.listdir(d) if os.path.isdir(d) else []
        return {n: read_file(os.path.join(d, n)) for n in names if not n.endswith(".txt")}


class Soak:
    def __init__(self, rig, seed, seconds):
        self.rig, self.seed, self.seconds = rig, seed, seconds
        self.random = random.Random(seed)
        self.control = Control(rig.path("control"), make=True)
        self.did = {}
        self.where = (dict(endpoint=rig.server.endpoint, name=rig.bucket) if rig.s3
                      else dict(folder=rig.source[len("file://"):]))
        self.bucket = bucket(self.where)
        first = seed % 2 == 1
        self.sides = [Side(self, 0, first), Side(self, 1, not first)]
        self.mounts = {w: w // WORKERS for w in range(2 * WORKERS)}
        self.ledgers = [rig.path(f"ledger.{w}") for w in self.mounts]
        self.procs = []

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.control.stop():
            time.sleep(0.1)

    def start(self):
        m = self.sides[0].m
        os.mkdir(m.path("shared"))
        for name in ("log", "log0", "log1"):
            with open(m.path("shared", name), "wb"):
                pass
        m.drain()
        for w, n in self.mounts.items():
            args = dict(dir=self.sides[n].m.dir, mount=n, worker=w, others=[o for o in self.mounts if o != w],
                        control=self.rig.path("control"), seed=self.seed, bucket=self.where,
                        ledger=self.ledgers[w], local=self.sides[n].local)
            self.procs.append(procs.start([sys.executable, os.path.join(HERE, "soak", "worker.py"), json.dumps(args)],
                                          self.rig.path(f"worker.{w}")))

    # Weather.

    def storm(self, side):
        """Requests here and there fail, each in its way."""
        kinds = (dict(action="status", status=500, code="InternalError"), dict(action="reset"), dict(action="lost"),
                 dict(action="status", status=503, code="SlowDown"), dict(action="status", status=503, code="SlowDown", retry_after=1),
                 dict(action="truncate", n=100), dict(action="cutup", n=50), dict(action="delay", ms=300),
                 dict(action="stall", n=200), dict(action="corrupt", n=20), dict(action="status", status=500, code="InternalError", after=1))
        for n in range(24):
            deed = dict(self.random.choice(kinds))
            op = {"truncate": "GET", "corrupt": "GET", "stall": "GET", "cutup": "PUT,PUT-part"}.get(deed["action"], "*")
            side.proxy.rule(op=op, nth=self.random.randrange(3, 8) * (n + 1), **deed)
        self.sleep(self.random.uniform(2, 8))
        side.clear()

    def outage(self, side):
        deed = self.random.choice((dict(action="reset"), dict(action="status", status=503, code="SlowDown")))
        side.proxy.rule(op="*", count=0, **deed)
        self.sleep(self.random.uniform(1, 6))
        side.clear()

    def slow(self, side):
        side.proxy.rtt(self.random.choice((20, 50, 150)))
        self.sleep(self.random.uniform(2, 5))
        side.clear()

    def full(self, side):
        side.fill(self.random.uniform(1, 5))

    def kill(self, side):
        """At any time; in the middle of bad weather; or while a request is on its way, or its answer."""
        how = self.random.random() if side.proxy else 1
        if how < 0.25:
            side.proxy.rule(op="*", nth=3, count=0, **self.random.choice((dict(action="lost"), dict(action="delay", ms=200))))
            self.sleep(self.random.uniform(0.2, 2))
        elif how < 0.75:
            side.proxy.rule(op=self.random.choice(("PUT", "DELETE", "COPY", "PUT,COPY,DELETE,MPU-complete,PUT-part")),
                            nth=self.random.randrange(1, 12), action="hold", after=self.random.randrange(2))
            end = time.monotonic() + 4
            while not side.proxy.held() and time.monotonic() < end:
                time.sleep(0.02)
        side.kill()

    def term(self, side):
        side.term()

    def calm(self, _side):
        """After a kill each rename that was cut off waits for the end of a lease: there must be time to work."""
        self.sleep(self.random.uniform(2, 8))

    def weather(self):
        kinds = [self.kill] * 3 + [self.term, self.full, self.calm]
        if self.rig.proxy:
            kinds += [self.storm] * 4 + [self.outage] * 2 + [self.slow]
        begin = time.monotonic()
        while time.monotonic() < begin + self.seconds and not self.control.stop():
            self.sleep(self.random.uniform(0.3, 4))
            kind, side = self.random.choice(kinds), self.random.choice(self.sides)
            if kind == self.kill and self.did.get("kill", 0) > (time.monotonic() - begin) / EACH_KILL:
                kind = self.calm
            self.did[kind.__name__] = self.did.get(kind.__name__, 0) + 1
            kind(side)
            if any(p.poll() is not None for p in self.procs):
                self.control.set_stop()

    # The end.

    def read_ledgers(self):
        out = Ledgers(self.ledgers, self.mounts, [s.local for s in self.sides], [s.ended for s in self.sides])
        true(not out.bugs, "\n".join(b["text"] for b in out.bugs))
        return out

    def finish(self):
        self.control.set_stop()
        for w, p in enumerate(self.procs):
            code = p.wait(procs.PATIENCE)
            text = read_file(self.rig.path(f"worker.{w}")).decode("utf-8", "replace")
            self.read_ledgers()
            equal(code, 0, f"worker {w}: {text[-1500:]}")
        for s in self.sides:
            r = mount.cli("drain", s.m.dir, seconds=procs.PATIENCE)
            equal(r.returncode, 0, f"s3efs drain: {r.stdout}")
            equal(s.m.status()["unsent"]["files"], 0, "unsent after drain")
        for s in self.sides:
            s.m.unmount()

    def stored(self):
        """{key: bytes} of the whole bucket."""
        return {k: self.bucket.get(k) for k in self.bucket.keys()}

    def compare(self):
        told, found = self.read_ledgers(), self.stored()
        kept = {}
        for s in self.sides:
            kept.update({f"{s.n}:{k}": v for k, v in s.kept().items()})
        wrong = told.torn() + told.wrong_reads()
        wrong += told.differences({k: v for k, v in found.items() if k.startswith("w")})
        for name in ("log", "log0", "log1"):
            key = f"shared/{name}"
            wrong += told.wrong_lines(key, found.get(key, b""), kept.values())
        for n in range(2):
            wrong += told.wrong_contested(f"shared/c{n}", found.get(f"shared/c{n}"))
        wrong += told.wrongly_kept(kept)
        in_doubt = sum(e.get("in_doubt", False) for e in told.lines)
        said = sum(s.m.log().count("others have written so much") for s in self.sides)
        if in_doubt > said:
            wrong.append(f"{in_doubt} appends failed with EIO, and the daemons were in doubt {said} times")
        others = [k for k in found if not k.startswith(("w", "shared/", ".s3efs/"))]
        wrong += [f"{k} came from nowhere" for k in others]
        for w in wrong:
            print(w)
        true(not wrong, f"seed {self.seed}: {len(wrong)} differences, the first: {wrong[:3]}")
        print(f"seed {self.seed}: {self.seconds} s, {sum(told.ops.values())} operations ({told.failed} failed with their mount), "
              f"{len(found)} objects of {sum(map(len, found.values()))} bytes compared; weather {self.did}, "
              f"{sum(s.fired for s in self.sides)} faults; lost+found {sorted(kept)}; {self.warnings()}")
        return found

    def warnings(self):
        """How often the daemons warned of what."""
        text = "".join(s.m.log() for s in self.sides)
        return dict(collections.Counter(re.findall(r"level=(?:warn|error) event=(\S+)", text)))

    def fsck(self, side, *args):
        opts = ["-o", "endpoint=" + side.proxy.endpoint] if side.proxy else []
        r = mount.cli("fsck", self.rig.source, "--json", "--cache", side.m.opts["cache_dir"], *opts, *args, seconds=procs.PATIENCE)
        lines = [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]
        true(lines and "summary" in lines[-1], f"no summary: exit {r.returncode}: {r.stdout}")
        return r.returncode, lines[:-1]

    def check_clean(self, found):
        """What killed daemons left is found and taken away by fsck, and nothing else is."""
        told = []
        for s in self.sides:
            told += self.fsck(s, "--repair", "--older-than", "0s")[1]
        print("fsck --repair:", dict(collections.Counter((f["finding"], f["fate"]) for f in told)))
        for s in self.sides:
            code, left = self.fsck(s)
            found_kept = [f for f in left if f["finding"] == "lost-found"]  # for the administrator
            left = [f for f in left if f["fate"] != "note" and f not in found_kept]
            equal(left, [], f"fsck after --repair, which left {[f for f in told if f['fate'] != 'repaired']}")
            equal((code == 0, len(found_kept)), (not s.kept(), len(s.kept())), f"exit code {code}, and what is in lost+found")
        after = self.stored()
        for k in set(found) | set(after):
            if not k.startswith(".s3efs/"):
                equal(sha(after.get(k)), sha(found.get(k)), f"{k} after fsck --repair")
        equal(self.bucket.left_open(), [], "open uploads")

    def keep(self):
        """What tells how it came to it."""
        d = os.path.join(os.environ.get("S3EFS_TEST_LOGS", "/tmp"), f"soak.{self.rig.backend}.{self.seed}")
        os.makedirs(d, exist_ok=True)
        for p in self.ledgers + [s.m.log_path for s in self.sides]:
            if os.path.exists(p):
                shutil.copy(p, d)
        for s in self.sides:
            if s.proxy:
                with open(os.path.join(d, f"requests.{s.n}"), "w", encoding="utf-8") as f:
                    f.writelines(json.dumps(e) + "\n" for e in s.proxy.log())
        print(f"ledgers, logs and requests are in {d}")


@check("two mounts under random faults, kills and a full disk: every byte is what was told")
def soak(rig):
    if "S3EFS_TEST_SOAK" not in os.environ:
        raise Skip("a soak is asked for by its seconds, S3EFS_TEST_SOAK; tools/check --long does")
    print(f"seed {SEED}, {SECONDS} s", flush=True)
    rig.fresh()
    # a reader whose version another mount has replaced is told so, as on NFS (worker.py: peek)
    rig.allow("No space left on device|key=shared/|op=read errno=ESTALE .*is not in the bucket any more")
    s = Soak(rig, SEED, SECONDS)
    try:
        s.start()
        s.weather()
        s.finish()
        s.check_clean(s.compare())
    except BaseException:
        s.control.set_stop()
        s.keep()
        raise


if __name__ == "__main__":
    main()
