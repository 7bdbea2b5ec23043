# SPDX-License-Identifier: Apache-2.0
"""What is measured: s3efs with some options, the raw S3 client, a local directory, and the peers that are installed."""
import contextlib
import os
import shutil
import subprocess
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from harness import mount, procs  # noqa: E402

# Mounts in the foreground. is_late: close() returns before S3 has the file. cannot: rows that it refuses. slow: it gets one n-th
# of the files, where the same number would take minutes.
PEERS = {
    "geesefs": {"argv": ["geesefs", "-f", "--endpoint", "{endpoint}", "--region", "us-east-1", "--no-detect", "{bucket}", "{dir}"],
                "is_late": True},
    "mount-s3": {"argv": ["mount-s3", "{bucket}", "{dir}", "-f", "--endpoint-url", "{endpoint}", "--region", "us-east-1",
                          "--force-path-style", "--allow-delete", "--allow-overwrite"],
                 "cannot": ("rename", "scatter", "untar")},
    "rclone": {"argv": ["rclone", "mount", ":s3:{bucket}", "{dir}", "--vfs-cache-mode", "full", "--cache-dir", "{cache}",
                        "--config", "/dev/null", "--s3-provider", "Other", "--s3-endpoint", "{endpoint}", "--s3-env-auth",
                        "--s3-force-path-style", "--s3-region", "us-east-1"],
               "is_late": True},
    "s3fs": {"argv": ["s3fs", "{bucket}", "{dir}", "-f", "-o", "url={endpoint}", "-o", "use_path_request_style", "-o",
                      "endpoint=us-east-1"],
             "slow": 10},
}


def installed():
    """(peers in the PATH, the names of those that are not)"""
    here = [p for p in PEERS if shutil.which(p)]
    return here, [p for p in PEERS if p not in here]


class Side:
    """name; start(fresh) makes it ready: fresh without anything remembered; stop(). path() is where its files are."""
    remote, is_late, slow, cannot, pid = True, False, 1, (), None

    def __init__(self, name, bench):
        self.name, self.bench = name, bench

    def start(self, fresh=True):
        pass

    def stop(self):
        pass

    def drain(self):
        pass


class Raw(Side):
    """The S3 client; prefixes of the bucket are its directories."""

    def argv(self, verb, *words, past_proxy=False):
        env = mount.environment(BENCH_BUCKET=self.bench.bucket,
                                BENCH_ENDPOINT=self.bench.server.endpoint if past_proxy else self.bench.meter.endpoint)
        return ["env", *(f"{k}={env[k]}" for k in ("BENCH_BUCKET", "BENCH_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
                self.bench.program("raw"), verb, *map(str, words)]


class Disk(Side):
    """A local directory, nothing synced: the ideal."""
    remote = False

    def __init__(self, name, bench):
        super().__init__(name, bench)
        self.dir = os.path.join(bench.dir, "disk")
        os.makedirs(self.dir, exist_ok=True)

    def start(self, fresh=True):
        if fresh:
            self.bench.forget(self.dir)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)


class Mounted(Side):
    """Something that mounts the bucket at dir. Its cache goes with fresh=True."""

    def __init__(self, name, bench):
        super().__init__(name, bench)
        tag = uuid.uuid4().hex[:8]
        self.dir, self.cache, self.log = (os.path.join(bench.dir, f"{what}-{tag}") for what in ("mnt", "cache", "log"))

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def start(self, fresh=True):
        self.stop()
        if fresh:
            shutil.rmtree(self.cache, ignore_errors=True)
        os.makedirs(self.cache, exist_ok=True)
        self.mount()

    def forget(self):
        self.bench.forget(self.dir, self.cache)


class S3efs(Mounted):
    def __init__(self, name, bench, opts):
        super().__init__(name, bench)
        self.opts, self.m = opts, None
        self.is_late = opts.get("commit") == "local"

    def mount(self):
        opts = dict(self.opts, endpoint=self.bench.meter.endpoint, cache_dir=self.cache)
        self.m = mount.Mount("s3://" + self.bench.bucket, self.dir, opts, self.log)
        self.pid = self.m.pid

    def stop(self):
        if self.m:
            self.m.unmount()
        self.m = self.pid = None

    def drain(self):
        self.m.drain()


class Peer(Mounted):
    def __init__(self, name, bench):
        super().__init__(name, bench)
        spec = PEERS[name]
        self.command = spec["argv"]
        self.is_late, self.slow, self.cannot = spec.get("is_late", False), spec.get("slow", 1), spec.get("cannot", ())
        self.proc = None

    def mount(self):
        os.makedirs(self.dir, exist_ok=True)
        words = dict(endpoint=self.bench.meter.endpoint, bucket=self.bench.bucket, dir=self.dir, cache=self.cache)
        env = mount.environment(AWSACCESSKEYID="test", AWSSECRETACCESSKEY="testsecret")  # the names that s3fs reads
        self.proc = procs.start([w.format(**words) for w in self.command], self.log, env=env)
        procs.at_exit(lambda: mount.force_unmount(self.dir))

        def up():
            if self.proc.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.proc.returncode}: {open(self.log, errors='replace').read()[-500:]}")
            return mount.is_mounted(self.dir)
        procs.wait_for(up, f"mount of {self.name}", 60)
        self.pid = self.proc.pid

    def stop(self):
        if not self.proc:
            return
        subprocess.run(["umount", self.dir], check=False, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.proc.wait(60)
        mount.force_unmount(self.dir)
        procs.end(self.proc)
        self.proc = self.pid = None


def make(name, bench):
    """raw, disk, a peer, or "s3efs" with options: "s3efs excl=close,nocto"."""
    if name in ("raw", "disk"):
        return {"raw": Raw, "disk": Disk}[name](name, bench)
    if name in PEERS:
        return Peer(name, bench)
    words = [w for w in name.partition(" ")[2].split(",") if w]
    return S3efs(name, bench, {k: v or True for k, _, v in (w.partition("=") for w in words)})
