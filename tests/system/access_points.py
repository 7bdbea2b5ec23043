#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whose files they are and who may do what: through an access point (posix_user=, root_creation=) every
caller is one user, root included; without it the kernel checks the callers, with all their groups."""
import errno
import os
import stat
import subprocess

from harness.case import Skip, check, contains, equal, fails_with, main, read_file, true, write_file
from harness.mount import cli

BACKENDS = "file versitygw"
TIMEOUT = 240
ROOT = os.geteuid() == 0


def needs_root(rig):
    if not ROOT:
        raise Skip("only root can be several users")
    os.chmod(rig.dir, 0o755)  # for the other users


def as_user(uid, gid, groups, func):
    """Runs func in a child that is this user; its OSError's errno, 0, or 255 for anything else."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            func()
            code = 0
        except OSError as e:
            code = e.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ids(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)


def point(rig, prefix, **opts):
    """A mount of a prefix; file:// has none, there it is the whole bucket."""
    return rig.mount(None if rig.backend == "file" else f"{rig.source}/{prefix}", **opts)


@check("root calls, and it is the enforced user's doing")
def root_is_nobody(rig):
    needs_root(rig)
    rig.fresh()
    plain = rig.mount()
    top = plain.path() if rig.backend == "file" else plain.path("ap")
    os.makedirs(top, exist_ok=True)
    os.chmod(top, 0o777)
    write_file(os.path.join(top, "roots"), b"secret")
    os.chmod(os.path.join(top, "roots"), 0o600)
    m = point(rig, "ap", posix_user="1000:2000:3000")
    write_file(m.path("mine"), b"1")
    os.mkdir(m.path("dir"))
    os.symlink("mine", m.path("link"))
    equal([ids(m.path(n))[:2] for n in ("mine", "dir", "link")], [(1000, 2000)] * 3)
    with fails_with(errno.EACCES):
        read_file(m.path("roots"))
    with fails_with(errno.EPERM):
        os.chown(m.path("mine"), 0, 0)
    with fails_with(errno.EPERM):
        os.chmod(m.path("roots"), 0o777)
    os.chown(m.path("mine"), -1, 3000)  # a secondary group
    equal(ids(m.path("mine"))[:2], (1000, 3000))
    os.chmod(m.path("dir"), 0)
    with fails_with(errno.EACCES):
        os.listdir(m.path("dir"))
    with fails_with(errno.EACCES):
        os.chdir(m.path("dir"))
    true(not os.access(m.path("roots"), os.R_OK), "access(2) says that root's file can be read")
    true(os.access(m.path("mine"), os.R_OK | os.W_OK), "access(2) of the user's own file")


@check("any caller is the enforced user")
def others_too(rig):
    needs_root(rig)
    rig.fresh()
    top = rig.mount()
    os.chmod(top.dir, 0o777)
    m = rig.mount(posix_user="1000:2000")
    write_file(m.path("f"), b"1")
    os.chmod(m.path("f"), 0o600)
    equal(as_user(4321, 4321, [], lambda: write_file(m.path("f"), b"22")), 0)
    equal(as_user(4321, 4321, [], lambda: write_file(m.path("g"), b"3")), 0)
    equal(ids(m.path("g"))[:2], (1000, 2000))
    equal(read_file(m.path("f")), b"22")


@check("what other tools put there is the enforced user's, unless it says otherwise")
def foreign(rig):
    if rig.backend == "file":
        raise Skip("file:// has no other tools")
    rig.fresh()
    rig.s3.put(rig.bucket, "team/plain.jpg", b"x")
    rig.s3.put_meta(rig.bucket, "team/owned.jpg", b"x", {"file-owner": "7", "file-group": "7",
                                                         "file-permissions": "0100600"})
    m = point(rig, "team", posix_user="1000:2000")
    equal((ids(m.dir)[:2], ids(m.path("plain.jpg"))[:2]), ((1000, 2000), (1000, 2000)))
    write_file(m.path("plain.jpg"), b"mine")
    write_file(m.path("new.jpg"), b"mine")
    with fails_with(errno.EACCES):
        read_file(m.path("owned.jpg"))


@check("programs run, and set-id bits fall when they are written to")
def programs(rig):
    rig.fresh()
    os.chmod(rig.mount().dir, 0o777)
    m = rig.mount(posix_user="1000:2000")
    write_file(m.path("run"), b"#!/bin/sh\necho ran\n", 0o755)
    equal(subprocess.run([m.path("run")], stdout=subprocess.PIPE, check=True).stdout, b"ran\n")
    os.chmod(m.path("run"), 0o644)
    with fails_with(errno.EACCES):
        os.execv(m.path("run"), ["run"])


@check("root_creation makes a prefix that is not there, and leaves one that is")
def creation(rig):
    if rig.backend == "file":
        raise Skip("file:// has no prefixes")
    rig.fresh()
    os.mkdir(rig.path("none"))
    r = cli("mount", rig.source + "/team/a", rig.path("none"), "-f", "-o",
            f"endpoint={rig.proxy.endpoint},cache_dir={rig.path('c-none')},posix_user=1000:2000")
    true(r.returncode != 0, "a prefix that is not there was mounted")
    contains((r.stdout or "") + (r.stderr or ""), "root_creation")
    m = point(rig, "team/a", posix_user="1000:2000", root_creation="1000:2000:2750")
    equal(ids(m.dir), (1000, 2000, 0o2750))
    write_file(m.path("f"), b"1")
    equal(sorted(k for k in rig.s3.list(rig.bucket) if not k.startswith(".s3efs/")), ["team/a/", "team/a/f"])
    m = point(rig, "team/a", posix_user="1000:2000", root_creation="0:0:700")
    equal(ids(m.dir), (1000, 2000, 0o2750))


@check("supplementary groups count: for access, in set-group-id directories, for chmod's set-group-id bit")
def groups(rig):
    needs_root(rig)
    rig.fresh()
    m = rig.mount()
    os.chmod(m.dir, 0o777)
    write_file(m.path("f"), b"1")
    os.chown(m.path("f"), 0, 1600)
    os.chmod(m.path("f"), 0o660)
    equal(as_user(1500, 1500, [1600], lambda: write_file(m.path("f"), b"22")), 0)
    equal(as_user(1500, 1500, [1700], lambda: write_file(m.path("f"), b"3")), errno.EACCES)
    os.mkdir(m.path("d"))
    os.chown(m.path("d"), 0, 1600)
    os.chmod(m.path("d"), 0o2777)
    equal(as_user(1500, 1500, [], lambda: write_file(m.path("d/f"), b"1")), 0)
    equal(as_user(1500, 1500, [], lambda: os.mkdir(m.path("d/sub"))), 0)
    equal(ids(m.path("d/f"))[:2], (1500, 1600))
    equal(ids(m.path("d/sub"))[:2], (1500, 1600))
    true(os.stat(m.path("d/sub")).st_mode & stat.S_ISGID, "no set-group-id bit on the new directory")
    # not in the file's group: the bit falls; in it: it stays
    equal(as_user(1500, 1500, [], lambda: os.chmod(m.path("d/f"), 0o2755)), 0)
    equal(ids(m.path("d/f"))[2], 0o755)
    equal(as_user(1500, 1500, [1600], lambda: os.chmod(m.path("d/f"), 0o2755)), 0)
    equal(ids(m.path("d/f"))[2], 0o2755)
    equal(as_user(1500, 1500, [1700], lambda: os.chown(m.path("f"), -1, 1700)), errno.EPERM)
    equal(as_user(1500, 1500, [1700], lambda: os.chown(m.path("d/f"), -1, 1700)), 0)


main()
