#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sse= and storage_class=: what is written is encrypted and classed as asked, on every path that writes or
reads: single PUTs, parts, part copies, rewrites, renames, attributes, directories, links, and cold reads."""
import base64
import hashlib
import os

from harness.case import Skip, check, contains, equal, main, read_file, true, write_file

BACKENDS = "ceph moto"
TIMEOUT = 300
CLASSES = {"ceph": "COLD", "minio": "REDUCED_REDUNDANCY", "moto": "STANDARD_IA"}
UNFIT = {"minio": "MinIO takes SSE-C over TLS only", "moto": "moto asks for no key"}
ALGORITHM = "x-amz-server-side-encryption"
CUSTOMER = ALGORITHM + "-customer-algorithm"
KEY = bytes(range(32))
LARGE = 40 << 20


def customer(key=KEY):
    """The headers with which the tests' own client reads what sse=c wrote."""
    return {CUSTOMER: "AES256", ALGORITHM + "-customer-key": base64.b64encode(key).decode(),
            ALGORITHM + "-customer-key-md5": base64.b64encode(hashlib.md5(key).digest()).decode()}


def head(rig, key, headers=None):
    return rig.s3.raw("HEAD", rig.bucket, key, headers=headers)


def write_all(rig, m):
    """Every kind of object and every way to write one; {path: bytes} of the files."""
    small, large = os.urandom(1000), os.urandom(LARGE)
    write_file(m.path("small"), small)
    write_file(m.path("large"), large)
    os.mkdir(m.path("dir"))
    os.symlink("small", m.path("link"))
    write_file(m.path("dir/moved-small.tmp"), small)
    os.rename(m.path("dir/moved-small.tmp"), m.path("dir/moved-small"))
    write_file(m.path("dir/moved-large.tmp"), large)
    os.rename(m.path("dir/moved-large.tmp"), m.path("dir/moved-large"))
    os.mkdir(m.path("tree"))
    write_file(m.path("tree/leaf"), small)
    os.rename(m.path("tree"), m.path("moved-tree"))
    for name in ("small", "large"):
        os.chmod(m.path(name), 0o640)
    # a few bytes in the middle: where the server can, the rest is copied part by part
    with open(m.path("large"), "r+b") as f:
        f.seek(20 << 20)
        f.write(b"changed")
    changed = large[:20 << 20] + b"changed" + large[(20 << 20) + 7:]
    return {"small": small, "large": changed, "dir/moved-small": small, "dir/moved-large": large,
            "moved-tree/leaf": small}


def read_all(m, files):
    """From a mount that has nothing in its cache."""
    for name, data in files.items():
        equal(read_file(m.path(name)), data, name)
    with open(m.path("large"), "rb") as f:
        f.seek(30 << 20)
        equal(f.read(5000), files["large"][30 << 20:(30 << 20) + 5000], "a range")
    equal(os.readlink(m.path("link")), "small")
    equal(os.stat(m.path("small")).st_mode & 0o777, 0o640, "mode")
    equal(os.stat(m.path("large")).st_mode & 0o777, 0o640, "mode")
    equal(sorted(os.listdir(m.path("dir"))), ["moved-large", "moved-small"])


def round_trip(rig, **opts):
    """Writes with these options, reads with an empty cache; the keys that the bucket has then."""
    rig.fresh()
    m = rig.mount(**opts)
    files = write_all(rig, m)
    m.unmount()
    m.remount(cache_dir=rig.path("cold-" + rig.bucket))
    read_all(m, files)
    # and what the cold mount knows is written again
    with open(m.path("small"), "ab") as f:
        f.write(b"more")
    os.rename(m.path("large"), m.path("large-2"))
    equal(read_file(m.path("small")), files["small"] + b"more")
    m.unmount()
    keys = rig.s3.list(rig.bucket)
    for name in ("small", "large-2", "dir/", "link", "dir/moved-large", "moved-tree/leaf"):
        true(name in keys, f"{name} is not in the bucket: {sorted(keys)}")
    return sorted(keys)


@check("sse=c: the bucket gives nothing without the key, and everything with it")
def sse_c(rig):
    if rig.backend != "ceph":
        raise Skip(UNFIT[rig.backend])
    write_file(rig.path("key"), base64.b64encode(KEY) + b"\n")
    for key in round_trip(rig, sse="c", sse_c_key_file=rig.path("key")):
        if rig.s3.list(rig.bucket, key)[key][0] > 0:
            equal(head(rig, key).status, 400, f"HEAD of {key} without the key")
        equal(head(rig, key, customer()).status, 200, f"HEAD of {key} with it")
    body = rig.s3.call("GET", rig.bucket, "link", headers=customer()).body
    equal(body, b"small", "a link's target")


@check("sse=c with another key reads nothing and destroys nothing")
def sse_c_other_key(rig):
    if rig.backend != "ceph":
        raise Skip(UNFIT[rig.backend])
    rig.fresh()
    write_file(rig.path("key"), KEY.hex())
    write_file(rig.path("other-key"), bytes(reversed(KEY)))
    m = rig.mount(sse="c", sse_c_key_file=rig.path("key"))
    write_file(m.path("secret"), "text")
    m.unmount()
    rig.allow("")
    other = rig.mount(sse="c", sse_c_key_file=rig.path("other-key"))
    try:
        text = read_file(other.path("secret"))
    except OSError:
        text = None
    equal(text, None, "read with the wrong key")
    try:
        write_file(other.path("secret"), "overwritten")
        true(False, "a write with the wrong key was acknowledged")
    except OSError:
        pass
    equal(rig.s3.call("GET", rig.bucket, "secret", headers=customer()).body, b"text")


@check("sse=aws:kms: every object has the key that was asked for")
def kms(rig):
    for key in round_trip(rig, sse="aws:kms", sse_kms_key_id="mykey"):
        h = head(rig, key).headers
        if rig.s3.list(rig.bucket, key)[key][0] > 0:
            equal(h.get(ALGORITHM), "aws:kms", f"{ALGORITHM} of {key}")
            contains(h.get(ALGORITHM + "-aws-kms-key-id", ""), "mykey")


@check("sse=aes256: every object says so")
def sse_s3(rig):
    r = rig.s3.raw("PUT", rig.bucket, "plain", headers={ALGORITHM: "AES256"}, body=b"x")
    if r.headers.get(ALGORITHM) != "AES256":
        raise Skip(f"{rig.backend} does not do SSE-S3, or does not say so")
    for key in round_trip(rig, sse="aes256"):
        equal(head(rig, key).headers.get(ALGORITHM), "AES256", f"{ALGORITHM} of {key}")


@check("storage_class=: every object has it")
def storage_class(rig):
    name = CLASSES[rig.backend]
    for key in round_trip(rig, storage_class=name):
        equal(head(rig, key).headers.get("x-amz-storage-class"), name, f"class of {key}")


@check("an object keeps its own storage class when it is written, chmodded and renamed by a mount that asks for none")
def own_class(rig):
    rig.fresh()
    name = CLASSES[rig.backend]
    rig.s3.put(rig.bucket, "own", b"x" * 1000, x_amz_storage_class=name)
    m = rig.mount()
    os.chmod(m.path("own"), 0o600)
    with open(m.path("own"), "ab") as f:
        f.write(b"more")
    os.rename(m.path("own"), m.path("renamed"))
    write_file(m.path("new"), "x")
    m.unmount()
    equal(head(rig, "renamed").headers.get("x-amz-storage-class"), name)
    true(head(rig, "new").headers.get("x-amz-storage-class") != name, "a new file has the class of another one")


if __name__ == "__main__":
    main()
