#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A write that can't be done says so at close (or before), the old object is untouched, and what was
acknowledged is not lost."""
import contextlib
import errno
import json
import os
import subprocess

from harness import procs
from harness.case import Skip, check, equal, fails_with, main, open_at_last, read_file, true, write_file

BACKENDS = "versitygw ceph"
TIMEOUT = 240


@check("denied by the server: EACCES at close, the old object untouched, a new one not there")
def denied(rig):
    m = rig.one()
    rig.allow("AccessDenied|EACCES|ermission|denied")
    write_file(m.path("kept"), "old bytes")
    rig.proxy.rule(op="PUT,COPY,MPU-create", action="status", status=403, code="AccessDenied", count=0)
    for name, want in (("kept", b"old bytes"), ("fresh", None)):
        fd = os.open(m.path(name), os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"NEW")
        with fails_with(errno.EACCES):
            os.close(fd)
        got = rig.s3.head(rig.bucket, name) and rig.s3.get(rig.bucket, name).body
        equal(got, want, name)
    rig.proxy.clear()
    write_file(m.path("fresh2"), "works again")
    equal(rig.s3.get(rig.bucket, "fresh2").body, b"works again")


@check("denied by a bucket policy of the server itself")
def policy(rig):
    if rig.backend != "ceph":
        raise Skip("versitygw's root user is above policies")
    m = rig.one()
    rig.allow("AccessDenied|EACCES|ermission|denied")
    write_file(m.path("guarded"), "old bytes")
    doc = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{rig.bucket}/*"]}]}
    rig.s3.call("PUT", rig.bucket, query={"policy": ""}, body=json.dumps(doc).encode())
    try:
        fd = os.open(m.path("guarded"), os.O_WRONLY)
        os.write(fd, b"NEW")
        with fails_with(errno.EACCES):
            os.close(fd)
    finally:
        rig.s3.call("DELETE", rig.bucket, query={"policy": ""})
    equal(rig.s3.get(rig.bucket, "guarded").body, b"old bytes")


@check("denied reads are EACCES")
def denied_read(rig):
    rig.s3.put(rig.bucket, "closed", b"secret " * 10)
    rig.allow("AccessDenied|EACCES|ermission|denied")
    m = rig.mount()
    rig.proxy.rule(op="GET,HEAD", key="closed", action="status", status=403, code="AccessDenied", count=0)
    with fails_with(errno.EACCES):
        read_file(m.path("closed"))
    rig.proxy.clear()
    equal(read_file(m.path("closed")), b"secret " * 10)


@check("a refusal that is not about rights is an error of close, not silence")
def refused(rig):
    m = rig.one()
    rig.allow(".*")
    for status, code in ((400, "InvalidRequest"), (400, "EntityTooLarge"), (403, "QuotaExceeded"),
                         (507, "InsufficientStorage")):
        rig.proxy.rule(op="PUT", key="refused", action="status", status=status, code=code, count=0)
        soft = rig.mount(soft=True, timeo=100, retrans=0)
        fd = open_at_last(soft.path("refused"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"x")
        failed = False
        try:
            os.close(fd)
        except OSError:
            failed = True
        true(failed, f"{status} {code}: close() returned 0")
        true(rig.s3.head(rig.bucket, "refused") is None, f"{code}: the object is there")
        soft.discard()
        rig.proxy.clear()
        true(rig.s3.head(rig.bucket, "refused") is None, f"{code}: there after the unmount")
    write_file(m.path("after"), "fine")


@contextlib.contextmanager
def small_disk(rig, name, size):
    d = rig.path(name)
    os.makedirs(d)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", d], check=False).returncode:
        raise Skip("no tmpfs can be mounted here")
    procs.at_exit(lambda: subprocess.run(["umount", "-l", d], check=False, stderr=subprocess.DEVNULL))
    try:
        yield d
    finally:
        subprocess.run(["umount", "-l", d], check=False, stderr=subprocess.DEVNULL)


def written_whole(path, data):
    try:
        write_file(path, data)
    except OSError as e:
        true(e.errno in (errno.ENOSPC, errno.EIO), f"errno {e}")
        return False
    return True


@check("the cache's disk is full: writes fail with ENOSPC or go through whole; reads and old objects are right")
def full_disk(rig):
    rig.allow(".*")
    with small_disk(rig, "small", "24m") as d:
        rig.s3.put(rig.bucket, "big-old", b"o" * 3000000)
        m = rig.mount(cache_dir=os.path.join(d, "cache"), cache_size="16M", cache_free="0")
        big = os.urandom(40 << 20)
        written = False
        try:
            write_file(m.path("too-big"), big)
            written = True
        except OSError as e:
            true(e.errno in (errno.ENOSPC, errno.EIO, errno.EFBIG), f"errno {e}")
        # After a write() that failed, close() says so: half an image is no object.
        h = rig.s3.head(rig.bucket, "too-big")
        if written:
            true(rig.s3.get(rig.bucket, "too-big").body == big, "close() said yes, and other bytes are there")
        else:
            true(h is None, "a part of a refused file is in the bucket")
        equal(read_file(m.path("big-old")), b"o" * 3000000, "a read with a full disk")
        # the kernel's RELEASE, which gives the refused file's room back, comes after close() has returned
        procs.wait_for(lambda: written_whole(m.path("small-after"), b"fits"), "room for a small file")
        equal(rig.s3.get(rig.bucket, "small-after").body, b"fits")
        # somebody else fills the disk
        with contextlib.suppress(OSError):
            with open(os.path.join(d, "filler"), "wb", buffering=0) as f:
                while True:
                    f.write(bytes(1 << 16))
        equal(read_file(m.path("small-after")), b"fits", "a read with no space at all")
        said_yes = True
        try:
            write_file(m.path("no-space"), b"n" * 200000)
        except OSError:
            said_yes = False
        h = rig.s3.head(rig.bucket, "no-space")
        if said_yes:
            equal(rig.s3.get(rig.bucket, "no-space").body, b"n" * 200000)
        else:
            true(h is None, "a refused file is in the bucket")
        os.unlink(os.path.join(d, "filler"))
        procs.wait_for(lambda: written_whole(m.path("space-again"), b"fine"), "room again")
        equal(rig.s3.get(rig.bucket, "space-again").body, b"fine")
        m.discard()


@check("the cache's disk gets read-only under a mount and is well again: reads go on, it is said once, caching returns")
def read_only_disk(rig):
    rig.allow("commit.bytes_lost")
    with small_disk(rig, "readonly", "64m") as d:
        rig.s3.put(rig.bucket, "ro-old", b"o" * 300000)
        rig.s3.put(rig.bucket, "ro-other", b"p" * 300000)
        m = rig.mount(cache_dir=os.path.join(d, "cache"), cache_size="16M", cache_free="0")
        write_file(m.path("ro-mine"), "before")
        # What is open stays writable (the index), else it could not be remounted: no file can be made.
        covered = [os.path.join(d, "cache", name) for name in ("stage", "blocks")]
        for c in covered:
            procs.at_exit(lambda c=c: subprocess.run(["umount", "-l", c], check=False, stderr=subprocess.DEVNULL))
            subprocess.run(["mount", "--bind", c, c], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", c], check=True)
        try:
            equal(read_file(m.path("ro-old")), b"o" * 300000, "a read with a read-only disk")
            with fails_with(errno.EROFS):
                write_file(m.path("ro-refused"), "x" * 5000)
            true(m.status()["cache"]["degraded"] != "", "the status says that the disk is well")
            true(rig.s3.head(rig.bucket, "ro-refused") is None, "a refused file is in the bucket")
        finally:
            for c in covered:
                subprocess.run(["umount", "-l", c], check=False)
        procs.wait_for(lambda: m.status()["cache"]["degraded"] == "", "the disk is well again")
        equal(m.status()["cache"]["degraded_times"], 1, "how often it began")
        for event in ("cache.degraded", "cache.recovered"):
            equal(m.log().count(f"event={event} "), 1, f"lines that say {event}")
        write_file(m.path("ro-refused"), "x" * 5000)
        equal(rig.s3.get(rig.bucket, "ro-refused").body, b"x" * 5000)
        known = m.status()["cache"]["versions"]
        equal(read_file(m.path("ro-other")), b"p" * 300000)
        procs.wait_for(lambda: m.status()["cache"]["versions"] > known, "what was read is cached")
        m.unmount()


@check("a cache limit far below the data: everything is read right, the cache stays within")
def small_cache(rig):
    names = {f"c{i}": os.urandom(3 << 20) for i in range(12)}
    for name, data in names.items():
        rig.s3.put(rig.bucket, name, data)
    m = rig.mount(cache_size="12M", cache_free="0")
    for _ in range(2):
        for name, data in names.items():
            equal(read_file(m.path(name)), data, name)
    used = sum(os.lstat(os.path.join(r, f)).st_blocks * 512
               for r, _, files in os.walk(m.opts["cache_dir"]) for f in files)
    true(used < 24 << 20, f"the cache takes {used} bytes of 12 MiB")


@check("ro: nothing can be changed, nothing is sent that writes")
def read_only(rig):
    rig.s3.put(rig.bucket, "ro-file", b"data")
    rig.proxy.reset()
    m = rig.mount(ro=True)
    equal(read_file(m.path("ro-file")), b"data")
    for call in (lambda: os.open(m.path("ro-file"), os.O_WRONLY), lambda: os.mkdir(m.path("d")),
                 lambda: os.unlink(m.path("ro-file")), lambda: os.chmod(m.path("ro-file"), 0o600),
                 lambda: os.open(m.path("n"), os.O_WRONLY | os.O_CREAT),
                 lambda: os.truncate(m.path("ro-file"), 0),
                 lambda: os.rename(m.path("ro-file"), m.path("x"))):
        with fails_with(errno.EROFS):
            call()
    m.unmount()
    sent = {k: n for k, n in rig.proxy.counts().items()
            if k not in ("HEAD", "GET", "LIST", "HEAD-bucket", "LIST-mpu")}
    equal(sent, {}, "writing requests of a read-only mount")


if __name__ == "__main__":
    main()
