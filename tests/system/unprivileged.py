#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon without root: by fusermount3, or on a /dev/fuse that a privileged process mounted and hands over; and one
with the few capabilities and system calls that the systemd unit leaves it: on any machine, put on by hand (seccomp by
the unit's own filter, the bounding set by setpriv). Under a systemd that runs: service.py."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile

from harness import mount, procs
from harness.case import Skip, check, contains, equal, main, read_file, requires, true, write_file
from harness.mount import environment
from harness.proxy import BUILD

BACKENDS = "versitygw"
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "examples", "s3efs@.service")
_libc = ctypes.CDLL(None, use_errno=True)


class Place:
    """A directory that everybody may enter, with the program, and with folders of nobody's."""

    def __init__(self, rig):
        if os.getuid() != 0:
            raise Skip("needs root")
        requires("setpriv")
        self.dir = tempfile.mkdtemp(prefix="s3efs-unprivileged.", dir="/tmp")
        procs.at_exit(lambda: shutil.rmtree(self.dir, ignore_errors=True))
        os.chmod(self.dir, 0o755)
        self.binary = os.path.join(self.dir, "s3efs")
        shutil.copy(mount.binary(), self.binary)
        os.chmod(self.binary, 0o755)
        for name in ("cache", "run", "mnt"):
            os.mkdir(self.path(name), 0o700)
            os.chown(self.path(name), NOBODY, NOBODY)
        self.env = environment(XDG_RUNTIME_DIR=self.path("run"), HOME=self.dir)
        self.options = {"cache_dir": self.path("cache"), "endpoint": rig.proxy.endpoint, "uid": NOBODY}

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def command(self, rig, where, **more):
        return [self.binary, "mount", rig.source, where, "-f", "-o", mount.options(dict(self.options, **more))]

    def ask(self, *argv):
        return procs.run([*AS_NOBODY, self.binary, *argv], False, procs.PATIENCE, env=self.env)


def is_fuse(d):
    try:
        r = procs.run(["stat", "-f", "-c", "%t", d], False, procs.PATIENCE)
        return r.returncode == 0 and r.stdout.strip() == mount.FUSE_MAGIC
    except subprocess.TimeoutExpired:
        return False


def text_of(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def wait_up(p, d, log):
    def up():
        if p.poll() is not None:
            raise RuntimeError(f"the daemon ended with {p.returncode}: {text_of(log)[-2000:]}")
        return is_fuse(d)
    procs.wait_for(up, f"mount at {d}", procs.PATIENCE)


def status_of(place, name):
    r = place.ask("status", name, "--json")
    equal(r.returncode, 0, r.stdout)
    return json.loads(r.stdout)


def is_nobodys(p):
    with open(f"/proc/{p.pid}/status", encoding="utf-8") as f:
        text = f.read()
    equal(re.search(r"^Uid:\t(.*)", text, re.M)[1].split(), [str(NOBODY)] * 4, "uid")
    equal(int(re.search(r"^CapEff:\t(\w+)", text, re.M)[1], 16), 0, "capabilities")


def use(rig, d, name):
    write_file(os.path.join(d, name), name)
    equal(read_file(os.path.join(d, name)), name.encode())
    equal(rig.s3.get(rig.bucket, name).body, name.encode())
    os.rename(os.path.join(d, name), os.path.join(d, name + "-2"))
    equal(os.listdir(d), [name + "-2"])
    os.unlink(os.path.join(d, name + "-2"))


def ended(p, log):
    code = p.wait(procs.PATIENCE)
    equal(code, 0, text_of(log)[-2000:])


@check("a /dev/fuse that is mounted already is served by nobody without a capability; status says what is missing")
def by_descriptor(rig):
    place, log = Place(rig), rig.path("descriptor.log")
    d = place.path("mnt")
    fd = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    if _libc.mount(b"s3efs-test", d.encode(), b"fuse.s3efs", 6, data.encode()) != 0:  # nosuid, nodev
        raise OSError(ctypes.get_errno(), "mount")
    procs.at_exit(lambda: mount.force_unmount(d))
    try:
        p = procs.start([*AS_NOBODY, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
                         *place.command(rig, f"/dev/fd/{fd}")], log, env=place.env, pass_fds=[fd])
        name = f"/proc/{p.pid}/fd/{fd}"
        os.close(fd)
        wait_up(p, d, log)
        is_nobodys(p)
        r = procs.run([*AS_NOBODY, "cat", f"/proc/{p.pid}/environ"], False, procs.PATIENCE)
        true(r.returncode != 0, "another process of its user read its memory (PR_SET_DUMPABLE)")
        use(rig, d, "by-descriptor")
        missing = status_of(place, name)["missing_privileges"]
        contains(missing, "creator's hint")
        contains(missing, "unmounting")
        equal(len(re.findall("mount.privileges", text_of(log))), 1, "lines in the log about it")
        write_file(os.path.join(d, "last"), "x")
        r = place.ask("umount", name)
        equal(r.returncode, 0, r.stdout)
        ended(p, log)
        equal(rig.s3.get(rig.bucket, "last").body, b"x")
    finally:
        mount.force_unmount(d)


@check("a descriptor that is no /dev/fuse, or not there, is refused")
def wrong_descriptor(rig):
    place = Place(rig)
    for where in ("/dev/fd/0", "/dev/fd/999", "/dev/fd/5"):
        with open("/dev/null", "rb") as null:
            r = subprocess.run([*AS_NOBODY, *place.command(rig, where)], stdin=null, capture_output=True, text=True,
                               env=place.env, timeout=procs.PATIENCE, check=False)
        true(r.returncode != 0, f"{where} was taken")
        contains(r.stderr, where)


def fuse_for_all(place):
    """Arguments that run a program where everybody may open /dev/fuse, as is usual: here, or in a namespace."""
    if os.stat("/dev/fuse").st_mode & 0o006 == 0o006:
        return []
    node = place.path("fuse")
    try:
        os.mknod(node, 0o020666, os.makedev(10, 229))
        os.chmod(node, 0o666)
        os.close(os.open(node, os.O_RDWR))
    except OSError as e:
        raise Skip(f"/dev/fuse is root's alone, and no other node works: {e}") from e
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /dev/fuse && exec "$@"', node]


@check("an ordinary user mounts by fusermount3, and unmounts")
def by_fusermount(rig):
    requires("fusermount3")
    place, log = Place(rig), rig.path("fusermount.log")
    p = procs.start([*fuse_for_all(place), *AS_NOBODY, *place.command(rig, place.path("mnt"))], log, env=place.env)
    seen = f"/proc/{p.pid}/root" + place.path("mnt")  # also in a mount namespace
    procs.at_exit(lambda: mount.force_unmount(place.path("mnt")))
    procs.wait_for(lambda: p.poll() is not None or "front.ready" in text_of(log), "the mount", procs.PATIENCE)
    true(p.poll() is None, text_of(log)[-2000:])
    is_nobodys(p)
    # without user_allow_other it is for its user only, not even for root
    inside = ["nsenter", "-t", str(p.pid), "-m"]
    r = procs.run([*inside, *AS_NOBODY, "sh", "-c", 'echo text > "$0/f" && cat "$0/f"', place.path("mnt")], False, procs.PATIENCE)
    equal((r.returncode, r.stdout), (0, "text\n"), text_of(log)[-2000:])
    equal(rig.s3.get(rig.bucket, "f").body, b"text\n")
    with contextlib.suppress(PermissionError):
        os.listdir(seen)
        true(False, "root was let in")
    contains(status_of(place, place.path("mnt"))["missing_privileges"], "creator's hint")
    r = procs.run([*inside, *AS_NOBODY, place.binary, "umount", place.path("mnt")], False, procs.PATIENCE, env=place.env)
    equal(r.returncode, 0, r.stdout)
    ended(p, log)


@check("the holder of an ordinary user's mount (option takeover) can't be read by his other processes")
def holder_is_closed(rig):
    requires("fusermount3")
    place, log = Place(rig), rig.path("holder.log")
    p = procs.start([*fuse_for_all(place), *AS_NOBODY, *place.command(rig, place.path("mnt"), takeover=True)], log,
                    env=place.env)
    procs.at_exit(lambda: mount.force_unmount(place.path("mnt")))
    procs.wait_for(lambda: p.poll() is not None or "front.ready" in text_of(log), "the mount", procs.PATIENCE)
    true(p.poll() is None, text_of(log)[-2000:])
    is_nobodys(p)
    equal(text_of(f"/proc/{p.pid}/comm"), "s3efs-holder\n")
    r = procs.run([*AS_NOBODY, "cat", f"/proc/{p.pid}/environ"], False, procs.PATIENCE)
    contains(r.stdout + (r.stderr or ""), "Permission denied")
    true(r.returncode != 0, "another process of its user read the holder's environment")
    p.terminate()
    ended(p, log)


def filter_numbers():
    """The system calls that the unit's SystemCallFilter= lets through."""
    line = re.search(r"^SystemCallFilter=(.*)", text_of(UNIT), re.M)[1]
    names, todo, seen = set(), line.split(), set()
    while todo:
        word = todo.pop()
        if not word.startswith("@"):
            names.add(word)
        elif word not in seen:
            seen.add(word)
            r = procs.run(["systemd-analyze", "syscall-filter", word], True, procs.PATIENCE)
            todo += [w for w in r.stdout.split("\n") if w.startswith("    ") and not w.strip().startswith("#")]
            todo = [w.strip() for w in todo]
    header = next((h for h in ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")
                   if os.path.exists(h)), None)
    if header is None or os.uname().machine != "x86_64":
        raise Skip("the numbers of system calls are known for x86-64 with its headers only")
    known = dict(re.findall(r"#define __NR_(\w+) (\d+)", text_of(header)))
    return sorted(int(known[n]) for n in names if n in known)


def install_filter(numbers):
    """In the child: no new privileges, and EPERM for every other system call."""
    code = [(0x20, 0, 0, 0)]  # the number
    for n in numbers:
        code += [(0x15, 0, 1, n), (0x06, 0, 0, 0x7fff0000)]
    code.append((0x06, 0, 0, 0x00050001))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
    head = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))

    def install(_kept=program):  # head has its address only
        if _libc.prctl(38, 1, 0, 0, 0) != 0 or _libc.prctl(22, 2, ctypes.create_string_buffer(head), 0, 0) != 0:
            os._exit(99)
    return install


@check("the daemon works with the capabilities and the system calls that the systemd unit leaves it")
def sandboxed(rig):
    requires("setpriv", "systemd-analyze")
    numbers, d, log = filter_numbers(), rig.path("sandboxed"), rig.path("sandboxed.log")
    true(len(numbers) > 200, f"{len(numbers)} system calls")
    caps = re.search(r"^CapabilityBoundingSet=(.*)", text_of(UNIT), re.M)[1].lower().replace("cap_", "+").split()
    os.mkdir(d)
    rig.fresh()
    env = environment()
    p = procs.start(["setpriv", "--bounding-set=-all," + ",".join(caps), "--no-new-privs",
                     *mount.command(rig.source, d, rig.options(), "-f")], log, env=env,
                    preexec_fn=install_filter(numbers))
    procs.at_exit(lambda: mount.force_unmount(d))
    wait_up(p, d, log)
    with open(f"/proc/{p.pid}/status", encoding="utf-8") as f:
        contains(f.read(), "Seccomp:\t2")
    use(rig, d, "sandboxed")
    write_file(os.path.join(d, "large"), os.urandom(20 << 20))
    r = mount.cli("umount", d, env=env)
    equal(r.returncode, 0, r.stdout)
    ended(p, log)


@check("the systemd unit is a proper one, and its exposure is at most 5.0 of 10")
def unit(rig):
    requires("systemd-analyze")
    path = rig.path("s3efs@test.service")
    write_file(path, text_of(UNIT).replace("/usr/bin/s3efs", os.path.abspath(os.path.join(BUILD, "s3efs"))))
    r = procs.run(["systemd-analyze", "verify", path], False, procs.PATIENCE)
    true(r.returncode == 0 and "s3efs@" not in r.stdout, r.stdout)
    r = procs.run(["systemd-analyze", "security", "--offline=true", "--threshold=50", "--no-pager", path], False, procs.PATIENCE)
    equal(r.returncode, 0, r.stdout[-300:])


if __name__ == "__main__":
    main()
