#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Extended attributes on a real mount: user.* stay with the file, the object's headers can be read
and set, and tools that try to keep every attribute work quietly."""
import errno
import os
import shutil
import subprocess
import tempfile

from harness.case import Skip, check, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw ceph"


@check("user attributes are set, listed, replaced, removed, and survive a rewrite, a rename and a remount")
def user(rig):
    m = rig.one()
    f = m.path("f")
    write_file(f, "data")
    equal(os.listxattr(f), [])
    os.setxattr(f, "user.colour", b"blue")
    os.setxattr(f, "user.bytes", bytes(range(256)))
    os.setxattr(f, "user.empty", b"")
    with fails_with(errno.EEXIST):
        os.setxattr(f, "user.colour", b"red", os.XATTR_CREATE)
    with fails_with(errno.ENODATA):
        os.setxattr(f, "user.none", b"red", os.XATTR_REPLACE)
    with fails_with(errno.ENODATA):
        os.getxattr(f, "user.none")
    write_file(f, "other data")
    os.rename(f, m.path("g"))
    os.mkdir(m.path("d"))
    os.setxattr(m.path("d"), "user.dir", b"1")
    m.unmount()
    other = rig.mount()
    g = other.path("g")
    equal(sorted(os.listxattr(g)), ["user.bytes", "user.colour", "user.empty"])
    equal([os.getxattr(g, n) for n in ("user.colour", "user.bytes", "user.empty")],
          [b"blue", bytes(range(256)), b""])
    equal(os.getxattr(other.path("d"), "user.dir"), b"1")
    os.removexattr(g, "user.bytes")
    with fails_with(errno.ENODATA):
        os.removexattr(g, "user.bytes")
    equal(read_file(g), b"other data")


@check("other kinds and ACLs are refused as on EFS; what has no room is ENOSPC and the file stays as it was")
def refused(rig):
    m = rig.one()
    f = m.path("r")
    write_file(f, "data")
    for name in ("trusted.x", "security.x", "system.posix_acl_access"):
        with fails_with(errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL):
            os.setxattr(f, name, b"x")
    os.setxattr(f, "user.a", b"1")
    with fails_with(errno.ENOSPC):
        os.setxattr(f, "user.big", b"x" * 4000)
    equal(os.listxattr(f), ["user.a"])
    equal(read_file(f), b"data")


@check("user.s3efs.* are the object's headers; a type that was set stays when the bytes change")
def headers(rig):
    m = rig.one()
    f = m.path("h.bin")
    write_file(f, "data")
    os.setxattr(f, "user.s3efs.content-type", b"text/x-mine")
    os.setxattr(f, "user.s3efs.cache-control", b"max-age=60, public")
    os.setxattr(f, "user.s3efs.content-disposition", b'attachment; filename="a.b"')
    equal(os.listxattr(f), [], "not listed, so not copied")
    write_file(f, b"\x89PNG\r\n\x1a\n and so on")
    equal(os.getxattr(f, "user.s3efs.content-type"), b"text/x-mine")
    with fails_with(errno.EPERM):
        os.setxattr(f, "user.s3efs.etag", b"x")
    etag = os.getxattr(f, "user.s3efs.etag").decode()
    true(len(etag) >= 16, etag)
    if rig.s3:
        h = rig.s3.head(rig.bucket, "h.bin").headers
        equal((h["content-type"], h["cache-control"], h["content-disposition"], h["etag"].strip('"')),
              ("text/x-mine", "max-age=60, public", 'attachment; filename="a.b"', etag))
    os.removexattr(f, "user.s3efs.content-type")
    equal(os.getxattr(f, "user.s3efs.content-type"), b"image/png")


def quiet(*command):
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    equal((p.returncode, p.stdout), (0, ""), " ".join(command))


@check("cp -a, tar --xattrs and rsync -aHAX copy into and out of the mount without a word")
def tools(rig):
    m = rig.one()
    with tempfile.TemporaryDirectory() as t:
        src = os.path.join(t, "src")
        os.mkdir(src)
        write_file(os.path.join(src, "f"), "data")
        os.symlink("f", os.path.join(src, "l"))
        os.chmod(os.path.join(src, "f"), 0o640)
        keeps = True
        try:
            os.setxattr(os.path.join(src, "f"), "user.colour", b"blue")
        except OSError:
            keeps = False  # a /tmp without user attributes: the tools still must be quiet
        quiet("cp", "-a", src, m.path("cp"))
        quiet("cp", "-a", m.path("cp"), os.path.join(t, "back"))
        quiet("sh", "-c", f"tar --xattrs -C {t} -cf - src | tar --xattrs -C {m.dir} -xf -")
        names = ["cp/f", "src/f"]
        if shutil.which("rsync"):
            quiet("rsync", "-aHAX", src + "/", m.path("rsync"))
            names.append("rsync/f")
        for name in names:
            equal(read_file(m.path(name)), b"data", name)
            equal(os.stat(m.path(name)).st_mode & 0o777, 0o640, name)
            if keeps:
                equal(os.getxattr(m.path(name), "user.colour"), b"blue", name)
        if keeps:
            equal(os.getxattr(os.path.join(t, "back/f"), "user.colour"), b"blue", "back")
        if not shutil.which("rsync"):
            raise Skip("rsync is not here; cp and tar passed")


@check("nouser_xattr: there are none, as on EFS, and those in the bucket stay")
def none(rig):
    m = rig.one()
    write_file(m.path("n"), "data")
    os.setxattr(m.path("n"), "user.a", b"1")
    other = rig.mount(nouser_xattr=True)
    for call in (lambda: os.setxattr(other.path("n"), "user.b", b"1"), lambda: os.getxattr(other.path("n"), "user.a"),
                 lambda: os.removexattr(other.path("n"), "user.a")):
        with fails_with(errno.EOPNOTSUPP):
            call()
    os.chmod(other.path("n"), 0o600)
    write_file(other.path("n"), "more data")
    equal(os.getxattr(rig.mount().path("n"), "user.a"), b"1")


if __name__ == "__main__":
    main()
