#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tar and rsync: a tree with everything a tree can have is unpacked and copied, and then nothing differs."""
import errno
import os
import random
import socket
import stat

import judge
from harness.case import check, equal, fails_with, main, requires, write_file

BACKENDS = "file versitygw ceph"
TIMEOUT = 1800 if judge.LONG else 400
FILES = judge.size(40, 1000)


def attributes(d):
    """Owners, modes and times of what is in the tree: what comes last must not undo what was set."""
    n = 0
    for top, dirs, files in os.walk(d, topdown=False):
        for name in dirs + files:
            path = os.path.join(top, name)
            n += 1
            os.chown(path, 1000 + n % 3, 2000 + n % 5, follow_symlinks=False)
            if not os.path.islink(path):
                os.chmod(path, (0o4755, 0o2750, 0o640, 0o1777, 0o600, 0o400)[n % 6])
            ns = (1000000000 + 86400 * n) * 10**9 + n * 1001
            os.utime(path, ns=(ns, ns), follow_symlinks=False)


def name_max(rig):
    """255, or what the server lets an object be called that is replaced: chown and touch do that."""
    listed = judge.exceptions("archives", rig.backend)
    return 200 if "replaced-name-of-255-bytes" in listed else 255


def tree(rig):
    """Made once, outside the mount."""
    d = rig.path("tree")
    if os.path.isdir(d):
        return d
    rng = random.Random(5)
    for i in range(FILES):
        sub = os.path.join(d, f"dir {i % 6}", f"{i % 2}")
        os.makedirs(sub, exist_ok=True)
        write_file(os.path.join(sub, f"file {i}"), rng.randbytes(rng.randrange(0, 100000)))
    write_file(os.path.join(d, "big"), rng.randbytes(20000000))
    write_file(os.path.join(d, "n" * name_max(rig)), b"long name")
    write_file(os.path.join(d, "ünïcödé & <odd> 'name' #%?*\\"), b"odd name")
    with open(os.path.join(d, "sparse"), "wb") as f:
        f.write(b"start")
        f.truncate(5000000)
    os.mkdir(os.path.join(d, "empty"))
    os.symlink("big", os.path.join(d, "link"))
    os.symlink("/nowhere/" + "x" * 300, os.path.join(d, "dangling"))
    os.mkfifo(os.path.join(d, "fifo"))
    os.mknod(os.path.join(d, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(os.path.join(d, "loop"), stat.S_IFBLK | 0o660, os.makedev(7, 300))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.join(d, "socket"))
    for i in range(3):
        os.link(os.path.join(d, "big"), os.path.join(d, "empty", f"hard {i}"))
    os.setxattr(os.path.join(d, "big"), "user.colour", b"blue\0green")
    os.setxattr(os.path.join(d, "dir 1"), "user.of.a.dir", b"x" * 500)
    attributes(d)
    return d


def again(rig, m, look):
    """The same look, after unmount and mount, and from a new cache."""
    look(m)
    m.unmount()
    m.remount()
    look(m)
    other = rig.mount(**judge.options(rig))
    look(other)
    other.unmount()
    rig.mounts.remove(other)


@check("tar -x, then tar -d: no difference, also after unmount and mount, and from a new cache")
def tar(rig):
    requires("tar")
    m = judge.mount(rig)
    archive = rig.path("tree.tar")
    judge.run(rig, "tar -c", ["tar", "--xattrs", "-C", tree(rig), "-cf", archive, "."])
    d = judge.folder(m, "tar")
    judge.run(rig, "tar -x", ["tar", "--xattrs", "-C", d, "-xpf", archive])
    again(rig, m, lambda at: judge.run(rig, "tar -d", ["tar", "-C", at.path("tar"), "-df", archive]))


def rsync(rig, flags, name):
    requires("rsync")
    m = judge.mount(rig)
    d = judge.folder(m, name)
    argv = ["rsync", flags, "--delete", tree(rig) + "/"]
    judge.run(rig, f"rsync {flags}", [*argv, d + "/"])

    def look(at):
        r = judge.run(rig, f"rsync {flags} -ni", [*argv[:2], "-ni", *argv[2:], at.path(name) + "/"])
        equal(r.stdout.strip(), "", "what a second run would do")
        r = judge.run(rig, f"rsync {flags} -nic", [*argv[:2], "-nic", *argv[2:], at.path(name) + "/"])
        equal(r.stdout.strip(), "", "what a second run by checksums would do")
    again(rig, m, look)


@check("rsync -a, then a dry run: nothing to do, by times and by checksums")
def rsync_a(rig):
    rsync(rig, "-a", "rsync-a")


@check("rsync -aHAX, then a dry run: nothing to do, by times and by checksums")
def rsync_all(rig):
    rsync(rig, "-aHAX", "rsync-aHAX")


@check("cp -a, then diff -r and a comparison of all attributes")
def copy(rig):
    m = judge.mount(rig)
    judge.run(rig, "cp -a", ["cp", "-a", tree(rig), m.path("copy")])

    def all_of(d):
        out = {}
        for top, dirs, files in os.walk(d):
            for n in dirs + files:
                s = os.lstat(os.path.join(top, n))
                kind = stat.S_IFMT(s.st_mode)
                out[os.path.relpath(os.path.join(top, n), d)] = (
                    oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns, 0 if kind == stat.S_IFDIR else s.st_size,
                    s.st_rdev, 0 if kind == stat.S_IFDIR else s.st_nlink)
        return out
    want = all_of(tree(rig))

    def look(at):
        got = all_of(at.path("copy"))
        equal({k: v for k, v in got.items() if want.get(k) != v}, {}, "what differs")
        equal(sorted(want), sorted(got), "names")
        judge.run(rig, "diff -r", ["diff", "-r", "--no-dereference", "-x", "fifo", "-x", "null", "-x", "loop",
                                   "-x", "socket", tree(rig), at.path("copy")])
    again(rig, m, look)


@check("a file with a name of 255 bytes is written, changed, and read back")
def long_name(rig):
    m = judge.mount(rig)
    path = m.path("l" * 255)
    why = ""
    try:
        write_file(path, b"first")
        os.chown(path, 5, 6)
        write_file(path, b"second")
        equal(os.stat(path).st_uid, 5, "owner")
    except OSError as e:
        why = os.strerror(e.errno)
        rig.allow("commit.failed")
    judge.verdicts(rig, "archives", {"replaced-name-of-255-bytes": ("failed" if why else "ok", why)})


@check("an ACL is refused plainly, as on EFS")
def acl(rig):
    m = judge.mount(rig)
    write_file(m.path("acl"), b"x")
    value = b"\x02\x00\x00\x00" + b"".join(t.to_bytes(2, "little") + p.to_bytes(2, "little") + i.to_bytes(4, "little")
                                            for t, p, i in ((1, 6, 2**32 - 1), (2, 7, 1000), (4, 4, 2**32 - 1),
                                                            (16, 7, 2**32 - 1), (32, 4, 2**32 - 1)))
    with fails_with(errno.EOPNOTSUPP):
        os.setxattr(m.path("acl"), "system.posix_acl_access", value)


main()
