#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mount(8): mount -t s3efs, an fstab line of EFS's form, read-only mounts, users who are not root."""
import fcntl
import os
import shutil
import subprocess
import tempfile

from harness import mount, procs
from harness.case import Skip, check, contains, equal, main, read_file, true, write_file
from harness.mount import environment

BACKENDS = "file versitygw ceph"
HELPER = "/sbin/mount.s3efs"


class HELPER_LINK:
    fd = None  # locked while our link is there


def install_helper(rig):
    """mount(8) looks for mount.TYPE in /sbin only: a link there for the time of this script, which the
    scripts of the other backends wait for. One that is installed is left alone."""
    if os.getuid() != 0:
        raise Skip("mount(8) needs root")
    if HELPER_LINK.fd is not None:
        return
    fd = os.open(os.path.join(tempfile.gettempdir(), "s3efs-test-helper.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    target = mount.helper() if os.path.exists(mount.helper()) else mount.binary()
    if os.path.islink(HELPER) and not os.path.exists(HELPER):
        os.unlink(HELPER)  # of a test that was killed
    if os.path.lexists(HELPER):
        os.close(fd)
        raise Skip(f"{HELPER} is there already and may be another version")
    os.symlink(target, HELPER)
    HELPER_LINK.fd = fd
    procs.at_exit(lambda: os.unlink(HELPER))


def mount8(rig, d, *argv, env=None):
    e = env or environment()
    e["PATH"] = os.path.dirname(mount.binary()) + ":" + e.get("PATH", "")
    return procs.run(["mount", *argv, d], False, env=e)


def source(rig):
    """For S3 also in the short form that the issue names: mount -t s3efs BUCKET DIR."""
    return rig.bucket or rig.source


@check("s3efs SOURCE DIR, as mount -t fuse.s3efs runs it; fsname= is what the mount table shows")
def by_fuse_type(rig):
    d = rig.path("fuse-type")
    os.makedirs(d)
    try:
        r = mount.cli(rig.source, d, "-o", "rw,dev,suid," + mount.options(rig.options(fsname="pictures")))
        equal(r.returncode, 0, r.stdout)
        equal(mount.mount_line(d)[:2], ("fuse.s3efs", "pictures"), "type and source")
        write_file(os.path.join(d, "f"), b"text")
        equal(mount.cli("status", d).returncode, 0, "status finds it")
        equal(mount.cli("umount", d).returncode, 0, "umount finds it")
        true(not mount.is_mounted(d), "it is unmounted")
    finally:
        mount.force_unmount(d)


@check("mount -t s3efs and umount(8)")
def by_type(rig):
    install_helper(rig)
    d = rig.path("helper1")
    os.makedirs(d)
    try:
        r = mount8(rig, d, "-t", "s3efs", source(rig), "-o", mount.options(rig.options()))
        equal(r.returncode, 0, r.stdout)
        write_file(os.path.join(d, "by-type"), "x")
        equal(read_file(os.path.join(d, "by-type")), b"x")
        procs.run(["umount", d])
        true(not mount.is_mounted(d), "still mounted")
    finally:
        mount.force_unmount(d)
    equal(read_file(rig.mount().path("by-type")), b"x")


@check("the options of an EFS fstab line are taken, those without effect are said once")
def efs_options(rig):
    install_helper(rig)
    d = rig.path("helper2")
    os.makedirs(d)
    o = mount.options(rig.options(nfsvers="4.1", rsize=1048576, wsize=1048576, hard=True, timeo=600,
                                  retrans=2, noresvport=True, tls=True, iam=True, _netdev=True, nofail=True))
    fstab = rig.path("fstab")
    write_file(fstab, f"{source(rig)} {d} s3efs {o} 0 0\n")
    try:
        r = mount8(rig, d, "-T", fstab)
        equal(r.returncode, 0, r.stdout)
        write_file(os.path.join(d, "by-fstab"), "x")
        true("_netdev" not in (mount.mount_line(d) or ("", "", "_netdev"))[2], "_netdev went to the kernel")
        procs.run(["umount", d])
    finally:
        mount.force_unmount(d)


@check("a mount that fails by mount(8) exits non-zero with the cause")
def helper_fails(rig):
    install_helper(rig)
    d = rig.path("helper3")
    os.makedirs(d)
    bad = "file:///no/such/folder" if rig.backend == "file" else "no-such-bucket-here"
    r = mount8(rig, d, "-t", "s3efs", bad, "-o", mount.options(rig.options()))
    true(r.returncode != 0, "exit 0")
    true(not mount.is_mounted(d), "mounted")
    contains(r.stdout, "no such", "not found", "does not exist", "NoSuchBucket", "no bucket")


@check("ro through mount(8)")
def read_only(rig):
    install_helper(rig)
    d = rig.path("helper4")
    os.makedirs(d)
    try:
        r = mount8(rig, d, "-t", "s3efs", source(rig), "-o", "ro," + mount.options(rig.options()))
        equal(r.returncode, 0, r.stdout)
        r = procs.run(["touch", os.path.join(d, "no")], False)
        contains(r.stdout, "read-only")
        procs.run(["umount", d])
    finally:
        mount.force_unmount(d)


def as_nobody(*argv):
    return procs.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *argv], False)


@check("a user who is not root reads what aws s3 cp filled, and writes where the mode lets him")
def other_user(rig):
    if os.getuid() != 0 or not shutil.which("setpriv"):
        raise Skip("needs root and setpriv")
    if rig.s3:
        rig.s3.put(rig.bucket, "pub/pic.jpg", b"\xff\xd8\xff\xe0 picture", content_type="image/jpeg")
    os.chmod(rig.dir, 0o755)
    m = rig.mount()
    if not rig.s3:
        os.mkdir(m.path("pub"))
        write_file(m.path("pub/pic.jpg"), b"\xff\xd8\xff\xe0 picture")
    tmp = os.path.dirname(rig.dir)
    if subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "test", "-x", tmp],
                      check=False).returncode:
        raise Skip(f"{tmp} is closed to other users")
    r = as_nobody("sha256sum", m.path("pub/pic.jpg"))
    equal(r.returncode, 0, r.stdout)
    r = as_nobody("touch", m.path("pub/theirs"))
    contains(r.stdout, "Permission denied")
    os.mkdir(m.path("open"))
    os.chmod(m.path("open"), 0o1777)
    r = as_nobody("sh", "-c", f"echo mine > {m.path('open/theirs')}")
    equal(r.returncode, 0, r.stdout)
    st = os.stat(m.path("open/theirs"))
    equal((st.st_uid, st.st_gid), (65534, 65534))
    write_file(m.path("secret"), "root only")
    os.chmod(m.path("secret"), 0o600)
    r = as_nobody("cat", m.path("secret"))
    contains(r.stdout, "Permission denied")


@check("uid=, gid= and dir_mode= give a user who is not root a bucket of his own")
def owned(rig):
    if os.getuid() != 0 or not rig.s3:
        raise Skip("needs root and S3")
    os.chmod(rig.dir, 0o755)
    rig.fresh()
    rig.s3.put(rig.bucket, "in/pic.jpg", b"\xff\xd8")
    m = rig.mount(uid=65534, gid=65534, dir_mode="0700", file_mode="0600")
    r = as_nobody("sh", "-c", f"cat {m.path('in/pic.jpg')} > {m.path('in/copy.jpg')} && rm {m.path('in/pic.jpg')}")
    equal(r.returncode, 0, r.stdout)
    equal([k for k in rig.s3.list(rig.bucket, "in/") if k != "in/"], ["in/copy.jpg"])


if __name__ == "__main__":
    main()
