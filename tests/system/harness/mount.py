# SPDX-License-Identifier: Apache-2.0
"""s3efs mounts of the tests."""
import collections
import ctypes
import json
import os
import re
import signal
import subprocess

from . import procs, servers
from .proxy import BUILD

MNT_DETACH = 2
FUSE_MAGIC = "65735546"
_libc = ctypes.CDLL(None, use_errno=True)


def binary():
    return os.path.abspath(os.path.join(BUILD, "s3efs"))


def helper():
    return os.path.abspath(os.path.join(BUILD, "mount.s3efs"))


def unescape(path):
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), path)


def mount_line(d):
    """(type, source, options) of what is mounted at d, or None."""
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            left, right = line.rstrip("\n").split(" - ", 1)
            if unescape(left.split(" ")[4]) == d:
                kind, source, options = right.split(" ")[:3]
                found = kind, unescape(source), left.split(" ")[5] + "," + options
    return found


def is_mounted(d):
    return mount_line(d) is not None


def force_unmount(d):
    """Whatever state it is in; never blocks on a daemon that is gone."""
    while is_mounted(d):
        if _libc.umount2(os.fsencode(d), MNT_DETACH) != 0:
            return


def environment(credentials=True, **more):
    """The caller's environment without its AWS settings, with the test server's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    if credentials:
        env.update(AWS_ACCESS_KEY_ID=servers.ACCESS, AWS_SECRET_ACCESS_KEY=servers.SECRET,
                   AWS_REGION="us-east-1")
    env.update(AWS_EC2_METADATA_DISABLED="true", AWS_SHARED_CREDENTIALS_FILE="/dev/null",
               AWS_CONFIG_FILE="/dev/null")
    env.update(more)
    return env


def options(opts):
    """cache_dir="/x", ro=True -> cache_dir=/x,ro"""
    return ",".join(k if v is True else f"{k}={v}" for k, v in opts.items()
                    if v is not None and v is not False)


def command(source, d, opts, *flags):
    argv = [binary(), "mount", source, d, *flags]
    text = options(opts)
    return argv + (["-o", text] if text else [])


def cli(*argv, **kw):
    """s3efs ARGV...: exit code and output."""
    kw.setdefault("env", environment())
    return procs.run([binary(), *argv], check=False, **kw)


class Mount:
    """A daemon in the foreground (-f), our child, with its log in a file."""
    wrap = ()  # what runs it, by exec

    def __init__(self, source, d, opts, log, env=None):
        self.source, self.dir, self.opts, self.log_path = source, d, dict(opts), log
        self.env = env or environment()
        self.proc = None
        procs.at_exit(self.discard)
        self.start()

    def start(self):
        if not is_mounted(self.dir):  # a dead mount, left by kill(), can't be looked at
            os.makedirs(self.dir, exist_ok=True)
        self.proc = procs.start([*self.wrap, *command(self.source, self.dir, self.opts, "-f")], self.log_path,
                                env=self.env)

        def up():
            if self.proc.poll() is not None:
                raise RuntimeError(f"s3efs mount ended with {self.proc.returncode}: {self.log()[-2000:]}")
            return is_mounted(self.dir) and self.responds()
        try:
            procs.wait_for(up, f"mount at {self.dir}")
        except Exception:
            self.discard()
            raise

    def responds(self):
        """Is it FUSE that answers there? A dead mount that was left by kill() does not, and the bare directory,
        between its end and the new mount, is no FUSE. Asked in another process, so that we can't hang."""
        try:
            r = procs.run(["stat", "-f", "-c", "%t", self.dir], False, 60)
            return r.returncode == 0 and r.stdout.strip() == FUSE_MAGIC
        except subprocess.TimeoutExpired:
            return False

    @property
    def pid(self):
        return self.proc.pid

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def unmount(self):
        """s3efs umount: drains. Fails when the daemon does not end well."""
        r = cli("umount", self.dir, env=self.env)
        if r.returncode != 0:
            raise AssertionError(f"s3efs umount: exit {r.returncode}: {r.stdout}")
        code = self.proc.wait(procs.PATIENCE)
        if code != 0:
            raise AssertionError(f"the daemon ended with {code}: {self.log()[-2000:]}")
        if is_mounted(self.dir):
            raise AssertionError("still mounted after s3efs umount")

    def term(self):
        """SIGTERM, and the exit code."""
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(procs.PATIENCE)

    def kill(self):
        """kill -9: the mount point is left dead, as a crash leaves it."""
        self.proc.kill()
        self.proc.wait()

    def remount(self, **opts):
        self.opts.update(opts)
        self.start()

    def discard(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(5)
            except subprocess.TimeoutExpired:
                force_unmount(self.dir)
                self.proc.kill()
                self.proc.wait()
        force_unmount(self.dir)

    def status(self):
        r = cli("status", self.dir, "--json", env=self.env)
        if r.returncode != 0:
            raise AssertionError(f"s3efs status: exit {r.returncode}: {r.stdout}")
        return json.loads(r.stdout)

    def ledger(self):
        """{kind: requests} of the daemon's own count."""
        out = collections.Counter()
        for kind, n in self.status()["requests"].items():
            if isinstance(n, dict):
                n = n["total"] if "total" in n else sum(n.values())
            if n:
                out[kind] = n
        return out

    def drain(self):
        r = cli("drain", self.dir, env=self.env)
        if r.returncode != 0:
            raise AssertionError(f"s3efs drain: exit {r.returncode}: {r.stdout}")
