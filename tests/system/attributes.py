#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mode, owner and times: they survive a remount, and stand in the object's metadata as AWS DataSync
writes them."""
import os

from harness.case import Skip, check, equal, main, read_file, true, write_file

BACKENDS = "file versitygw ceph"


def attrs(path):
    st = os.lstat(path)
    return st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns


@check("chmod, chown and utimens on files, directories and symlinks survive a remount with an empty cache")
def survive(rig):
    m = rig.one()
    if os.getuid() != 0:
        raise Skip("chown needs root")
    write_file(m.path("file"), "data")
    os.mkdir(m.path("dir"))
    os.symlink("file", m.path("link"))
    os.chmod(m.path("file"), 0o4751)
    os.chown(m.path("file"), 1234, 5678)
    os.utime(m.path("file"), ns=(1600000000123456789, 1500000000987654321))
    os.chmod(m.path("dir"), 0o1770)
    os.chown(m.path("dir"), 11, 12)
    os.utime(m.path("dir"), ns=(10**18, 10**18 + 1))
    os.lchown(m.path("link"), 21, 22)
    want = {n: attrs(m.path(n)) for n in ("file", "dir", "link")}
    # chown takes setuid away from a file, so it is not in what is wanted
    equal((want["file"][0] & 0o777, want["file"][1:]), (0o751, (1234, 5678, 1500000000987654321)))
    equal(want["dir"], (0o41770, 11, 12, 10**18 + 1))
    m.unmount()
    other = rig.mount()
    equal({n: attrs(other.path(n)) for n in want}, want)
    equal(os.stat(other.path("file")).st_atime_ns, 1600000000123456789, "atime")
    equal(read_file(other.path("file")), b"data")


@check("the metadata is DataSync's: file-permissions, file-owner, file-group, file-mtime")
def datasync(rig):
    if not rig.s3:
        raise Skip("file:// has no S3 view")
    m = rig.one()
    write_file(m.path("sync"), "data")
    os.chmod(m.path("sync"), 0o640)
    os.chown(m.path("sync"), 1001, 1002)
    os.utime(m.path("sync"), ns=(10**18, 1500000000987654321))
    h = rig.s3.head(rig.bucket, "sync")
    meta = h.meta()
    equal(int(meta["file-permissions"], 8), 0o100640)
    equal((meta["file-owner"], meta["file-group"]), ("1001", "1002"))
    equal(meta["file-mtime"], "1500000000987654321ns")
    equal(rig.s3.get(rig.bucket, "sync").body, b"data")


@check("a write sets mtime, a chmod sets ctime, nlink is 1")
def times(rig):
    m = rig.one()
    write_file(m.path("t"), "x")
    os.utime(m.path("t"), ns=(10**18, 10**18))
    before = os.stat(m.path("t"))
    with open(m.path("t"), "ab") as f:
        f.write(b"y")
    after = os.stat(m.path("t"))
    true(after.st_mtime_ns > before.st_mtime_ns, "mtime after a write")
    os.chmod(m.path("t"), 0o600)
    last = os.stat(m.path("t"))
    equal((last.st_mtime_ns, last.st_nlink), (after.st_mtime_ns, 1))
    true(last.st_ctime_ns >= after.st_ctime_ns, "ctime after chmod")


@check("the mode of a new file obeys the umask, a new directory too")
def umask(rig):
    m = rig.one()
    old = os.umask(0o027)
    try:
        os.close(os.open(m.path("u"), os.O_WRONLY | os.O_CREAT, 0o666))
        os.mkdir(m.path("ud"), 0o777)
    finally:
        os.umask(old)
    equal((os.stat(m.path("u")).st_mode & 0o777, os.stat(m.path("ud")).st_mode & 0o777), (0o640, 0o750))


@check("chmod of a read-only file by its owner and a write after it keep the other attributes")
def keep(rig):
    m = rig.one()
    write_file(m.path("k"), "one")
    os.chown(m.path("k"), 500, 600)
    os.chmod(m.path("k"), 0o644)
    with open(m.path("k"), "r+b") as f:
        f.write(b"ONE")
    equal(attrs(rig.mount().path("k"))[:3], (0o100644, 500, 600))


if __name__ == "__main__":
    main()
