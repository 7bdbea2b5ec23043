#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/examples/s3efs@.service under a systemd that runs: systemd-nspawn boots one on this machine's own tree, with an
overlay in memory on top for what is written. The network, and so the S3 server, is the machine's."""
import glob
import json
import os
import re
import shutil
import subprocess
import uuid

from harness import mount, procs, servers
from harness.case import Skip, check, equal, main, requires, true, write_file

BACKENDS = "versitygw"
TIMEOUT = 900
UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "examples", "s3efs@.service")
SYSTEMD = ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")
DIR = "/images"
TARGET = """[Unit]
Requires=basic.target
After=basic.target
"""


def tmpfs_and_overlay(d):
    """A tree like ours, whose changes are in memory."""
    memory, root = os.path.join(d, "memory"), os.path.join(d, "root")
    for p in (memory, root):
        os.mkdir(p)
    for argv in (["mount", "-t", "tmpfs", "s3efs-test", memory],
                 ["mkdir", memory + "/upper", memory + "/work"],
                 ["mount", "-t", "overlay", "s3efs-test", "-o",
                  f"lowerdir=/,upperdir={memory}/upper,workdir={memory}/work", root]):
        r = procs.run(argv, False)
        if r.returncode != 0:
            raise Skip(f"no overlay over / here: {r.stdout.strip()}")
        if argv[0] == "mount":
            procs.at_exit(lambda where=argv[-1]: mount.force_unmount(where))
    return root


class Machine:
    """A systemd of our own, which has started nothing but the basic target."""

    def __init__(self, rig):
        if os.getuid() != 0:
            raise Skip("needs root")
        requires("systemd-nspawn", "nsenter")
        if not any(os.path.exists(p) for p in SYSTEMD):
            raise Skip("systemd is not installed")
        self.log, self.name = rig.path("machine.log"), ""
        self.root = tmpfs_and_overlay(rig.dir)
        for d in glob.glob(os.path.join(self.root, "etc/systemd/system/*.*")):
            if d.endswith((".wants", ".requires")):  # what this machine starts at its boot: the network is shared
                shutil.rmtree(d)
        self.write("etc/systemd/system/s3efs-test.target", TARGET)
        shutil.copy(UNIT, os.path.join(self.root, "etc/systemd/system/s3efs@.service"))
        shutil.copy(mount.binary(), os.path.join(self.root, "usr/bin/s3efs"))
        os.chmod(os.path.join(self.root, "usr/bin/s3efs"), 0o755)
        self.proc = procs.start(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe",
             "--machine=s3efs-" + uuid.uuid4().hex[:8], "--bind=/dev/fuse", "-D", self.root, "--boot",
             "systemd.unit=s3efs-test.target"], self.log)
        try:
            self.pid = procs.wait_for(self.first, "the container", 200)
            procs.wait_for(self.is_up, "systemd's start", 300)
        except procs.Timeout as e:  # of a systemd that has nothing of ours to do yet
            raise Skip(f"no systemd starts here: {e}; {self.said()}") from e

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-600:]

    def is_up(self):
        return self.run("systemctl", "is-active", "s3efs-test.target").returncode == 0

    def first(self):
        """The pid of its systemd."""
        if self.proc.poll() is not None:
            raise Skip(f"no systemd starts here: {self.said()}")
        with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children", encoding="ascii") as f:
            for pid in map(int, f.read().split()):
                try:
                    with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                        if comm.read().strip() == "systemd":
                            return pid
                except OSError:
                    continue
        return 0

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path, text, mode)

    def run(self, *argv, data=None):
        """A command inside, as an administrator's shell would run it."""
        more = {"input": data, "stdin": None} if data is not None else {}
        return procs.run(["nsenter", "-t", str(self.pid), "-a", *argv], False, **more)

    def ok(self, *argv, data=None):
        r = self.run(*argv, data=data)
        if r.returncode != 0:
            journal = self.run("journalctl", "--no-pager", "-n", "30", "-u", self.name).stdout
            raise AssertionError(f"{' '.join(argv)}: exit {r.returncode}: {r.stdout[-1500:]}\n{journal}")
        return r.stdout

    def show(self, prop):
        return self.ok("systemctl", "show", "-P", prop, self.name).strip()

    def status_of(self, pid):
        return self.ok("cat", f"/proc/{pid}/status")

    def responds(self):
        return self.run("stat", "-f", "-c", "%t", DIR).stdout.strip() == mount.FUSE_MAGIC

    def up(self):
        procs.wait_for(lambda: self.show("ActiveState") in ("active", "failed") and self.responds() or
                       self.show("ActiveState") == "failed", "the mount")
        equal(self.show("ActiveState"), "active", self.ok("journalctl", "--no-pager", "-n", "30", "-u", self.name))


_machine = []


def machine(rig):
    if not _machine:
        try:
            _machine.append(Machine(rig))
        except Skip as e:
            _machine.append(e)
        except (OSError, subprocess.TimeoutExpired) as e:
            _machine.append(Skip(f"no machine can be made here: {e}"))
    if isinstance(_machine[0], Skip):
        raise _machine[0]
    return _machine[0]


def service(rig, instance, options):
    """The unit, started for a new bucket."""
    m = machine(rig)
    m.name = f"s3efs@{instance}.service"
    rig.fresh()
    text = (f"S3EFS_SOURCE={rig.source}\nS3EFS_DIR={DIR}\nS3EFS_OPTIONS=endpoint={rig.proxy.endpoint},{options}\n"
            f"AWS_ACCESS_KEY_ID={servers.ACCESS}\nAWS_SECRET_ACCESS_KEY={servers.SECRET}\nAWS_REGION=us-east-1\n")
    m.ok("mkdir", "-p", DIR, "/etc/s3efs")
    m.ok("sh", "-c", f"umask 077; cat > /etc/s3efs/{instance}.env", data=text)
    m.ok("systemctl", "start", m.name)
    m.up()
    return m


def stopped(m):
    m.ok("systemctl", "stop", m.name)
    equal((m.show("ActiveState"), m.show("Result"), m.show("ExecMainStatus")), ("inactive", "success", "0"), "how it ended")
    true(not m.responds(), "still mounted after systemctl stop")


@check("systemctl start mounts for everybody, inside the unit's sandbox; systemctl stop sends what is unsent")
def start_and_stop(rig):
    m = service(rig, "images", "uid=1000,gid=1000,commit=local")
    text = m.status_of(m.show("MainPID"))
    equal(re.search(r"^NoNewPrivs:\t(\d)", text, re.M)[1], "1", "NoNewPrivs")
    equal(re.search(r"^Seccomp:\t(\d)", text, re.M)[1], "2", "seccomp")
    caps = int(re.search(r"^CapBnd:\t(\w+)", text, re.M)[1], 16)
    equal(caps, 1 << 21 | 1 << 19 | 1 << 2, "bounding set (SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH)")
    equal(m.ok("stat", "-c", "%u:%g %a", "/var/cache/s3efs/images").split()[-1], "700", "the cache's mode")
    m.ok("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "-c",
         f"mkdir {DIR}/a && echo one > {DIR}/a/f && mv {DIR}/a/f {DIR}/a/g && cat {DIR}/a/g")
    equal(json.loads(m.ok("s3efs", "status", DIR, "--json"))["missing_privileges"], "", "missing privileges")
    m.ok("dd", "if=/dev/urandom", f"of={DIR}/large", "bs=1M", "count=20")
    sums = m.ok("sha256sum", f"{DIR}/large").split()[0]
    m.ok("s3efs", "drain", DIR)
    rig.proxy.rtt(200)  # something is still unsent when it stops
    m.ok("sh", "-c", f"for i in 1 2 3 4 5 6 7 8; do echo $i > {DIR}/a/late$i; done")
    stopped(m)
    rig.proxy.rtt(0)
    equal(rig.s3.get(rig.bucket, "a/g").body, b"one\n")
    for i in range(1, 9):
        equal(rig.s3.get(rig.bucket, f"a/late{i}").body, f"{i}\n".encode())
    m.ok("systemctl", "start", m.name)
    m.up()
    equal(m.ok("sha256sum", f"{DIR}/large").split()[0], sums)
    stopped(m)


@check("a daemon that is killed is started again by systemd, over its own dead mount, and what was unsent arrives")
def killed(rig):
    m = service(rig, "killed", "commit=local")
    m.ok("sh", "-c", f"echo before > {DIR}/before")
    pid = m.show("MainPID")
    rig.proxy.rtt(200)
    m.ok("sh", "-c", f"echo unsent > {DIR}/unsent")
    m.ok("kill", "-9", pid)
    rig.proxy.rtt(0)
    procs.wait_for(lambda: m.show("MainPID") not in ("0", pid), "another daemon")
    m.up()
    equal(m.ok("cat", f"{DIR}/before", f"{DIR}/unsent"), "before\nunsent\n")
    m.ok("s3efs", "drain", DIR)
    equal(rig.s3.get(rig.bucket, "unsent").body, b"unsent\n")
    stopped(m)


@check("with takeover the service's daemon dies and nobody sees it: an open file goes on, systemd has nothing to restart")
def takeover(rig):
    m = service(rig, "upgraded", "takeover")
    holder = m.show("MainPID")
    script = (f"exec 3>{DIR}/log; echo one >&3; kill -9 $(cat /proc/{holder}/task/{holder}/children); echo two >&3; "
              f"exec 3>&-; cat {DIR}/log")
    equal(m.ok("sh", "-c", script), "one\ntwo\n")
    equal((m.show("MainPID"), m.show("NRestarts")), (holder, "0"), "the service")
    equal(rig.s3.get(rig.bucket, "log").body, b"one\ntwo\n")
    stopped(m)


if __name__ == "__main__":
    main()
