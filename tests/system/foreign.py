#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Objects that other tools put: they appear as files with sensible attributes, and no key escapes the
mount or breaks it."""
import contextlib
import errno
import os
import re
import stat

from harness.case import check, contains, equal, fails_with, main, read_file, true, write_file
from harness.s3 import S3Error

BACKENDS = "versitygw ceph"


@check("objects put by aws s3 cp: readable, with the mount's defaults")
def defaults(rig):
    for key in ("top.jpg", "a/b/c.jpg", "a/d.jpg"):
        rig.s3.put(rig.bucket, key, b"\xff\xd8 " + key.encode(), content_type="image/jpeg")
    m = rig.mount(uid=1500, gid=1600, file_mode="0640", dir_mode="0750")
    st, d = os.stat(m.path("a/b/c.jpg")), os.stat(m.path("a/b"))
    equal((st.st_mode, st.st_uid, st.st_gid), (0o100640, 1500, 1600))
    equal((d.st_mode, d.st_uid, d.st_gid), (0o40750, 1500, 1600), "implied directory")
    equal(sorted(os.listdir(m.path("a"))), ["b", "d.jpg"])
    equal(read_file(m.path("a/b/c.jpg")), b"\xff\xd8 a/b/c.jpg")
    m2 = rig.mount(umask="027")
    equal((os.stat(m2.path("top.jpg")).st_mode & 0o777, os.stat(m2.path("a")).st_mode & 0o777), (0o640, 0o750))


@check("attributes that s3fs, rclone and DataSync wrote are read")
def others(rig):
    p = rig.s3.put_meta
    p(rig.bucket, "s3fs", b"1", {"mode": "33184", "uid": "501", "gid": "502", "mtime": "1600000000"})
    p(rig.bucket, "rclone", b"1", {"mode": "0100600", "uid": "601", "gid": "602", "mtime": "1600000001.5"})
    p(rig.bucket, "datasync", b"1", {"file-permissions": "0100604", "file-owner": "701", "file-group": "702",
                                     "file-mtime": "1600000002000000003ns"})
    p(rig.bucket, "gateway", b"1", {"file-permissions": "0604", "file-owner": "801", "file-group": "802",
                                    "file-mtime": "1600000002004"})
    p(rig.bucket, "s3fs-link", b"s3fs", {"mode": str(0o120777), "uid": "0", "gid": "0"})
    p(rig.bucket, "ds-link", b"datasync", {"file-permissions": "0120777"})
    p(rig.bucket, "s3fs-dir/", b"", {"mode": str(0o40711), "uid": "5", "gid": "6"},
      content_type="application/x-directory")
    p(rig.bucket, "nonsense", b"1", {"mode": "banana", "uid": "-1", "file-mtime": "never",
                                     "file-permissions": "99999999999999999999"})
    m = rig.mount()
    got = {}
    for n in ("s3fs", "rclone", "datasync", "gateway", "s3fs-dir"):
        st = os.lstat(m.path(n))
        got[n] = (st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns)
    got["s3fs-dir"] = got["s3fs-dir"][:3]
    equal(got, {"s3fs": (33184, 501, 502, 1600000000 * 10**9),
                "rclone": (0o100600, 601, 602, 1600000001500000000),
                "datasync": (0o100604, 701, 702, 1600000002000000003),
                "gateway": (0o100604, 801, 802, 1600000002004000000),
                "s3fs-dir": (0o40711, 5, 6)})
    equal((os.readlink(m.path("s3fs-link")), os.readlink(m.path("ds-link"))), ("s3fs", "datasync"))
    true(stat.S_ISREG(os.lstat(m.path("nonsense")).st_mode), "nonsense is a file")
    equal(read_file(m.path("nonsense")), b"1")


THEIRS = {"content-type": "application/x-theirs", "cache-control": "public, max-age=31536000",
          "content-disposition": 'attachment; filename="x.bin"', "content-language": "de",
          "content-encoding": "identity", "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
          "x-amz-website-redirect-location": "/elsewhere", "x-amz-meta-unknown": "of another tool",
          "x-amz-meta-colour": "blue", "x-amz-tagging": "class=gold&path%20to=a%3Db"}


def theirs(rig, key):
    """What is to be kept, as the server shows it: headers, and the tags' document."""
    h = rig.s3.head(rig.bucket, key).headers
    shown = {k: h[k] for k in [*THEIRS, "x-amz-tagging-count", "x-amz-storage-class"] if k in h}
    doc = rig.s3.call("GET", rig.bucket, key, query={"tagging": ""}).body
    return shown, sorted(re.findall(rb"<Tag>.*?</Tag>", doc))


@check("t27: chmod, chown, utimens, append, rewrite and rename keep headers, unknown metadata and tags")
def t27_everything_is_kept(rig):
    rig.s3.put(rig.bucket, "t27", b"their bytes", **THEIRS)
    rig.s3.put(rig.bucket, "t27-large", b"x" * (17 << 20), **THEIRS)
    want, large = theirs(rig, "t27"), theirs(rig, "t27-large")
    equal(want[0]["x-amz-tagging-count"], "2", "the server keeps tags")
    true(len(want[0]) >= 6 and len(want[1]) == 2, f"what the server keeps at all: {want}")
    m = rig.mount()
    f = m.path("t27")
    os.chmod(f, 0o600)
    equal(theirs(rig, "t27"), want, "chmod")
    if os.getuid() == 0:
        os.chown(f, 77, 78)
        equal(theirs(rig, "t27"), want, "chown")
    os.utime(f, ns=(10**18, 10**18 + 5))
    equal(theirs(rig, "t27"), want, "utimens")
    with open(f, "ab") as a:
        a.write(b", and ours")
    equal(theirs(rig, "t27"), want, "append")
    write_file(f, b"new bytes")
    equal(theirs(rig, "t27"), want, "rewrite")
    os.rename(f, m.path("t27-new"))
    equal(theirs(rig, "t27-new"), want, "rename")
    equal(read_file(m.path("t27-new")), b"new bytes")
    os.chmod(m.path("t27-large"), 0o600)  # by parts
    equal(theirs(rig, "t27-large"), large, "chmod of a large one")


@check("no time of its own: Last-Modified is the mtime")
def last_modified(rig):
    rig.s3.put(rig.bucket, "plain-time", b"1")
    lm = rig.s3.head(rig.bucket, "plain-time").headers["last-modified"]
    import email.utils
    want = email.utils.parsedate_to_datetime(lm).timestamp()
    equal(int(os.stat(rig.mount().path("plain-time")).st_mtime), int(want))


@check("hostile keys are no escape and no crash; what has no name is hidden, the rest works")
def hostile(rig):
    rig.fresh()
    hidden = ["../escape", "x/../y", "x/./y", "./dot", "..", "double//slash", "/leading",
              "n" * 300, "dir/" + "m" * 256 + "/file", "tail/.."]
    good = {"ok": b"1", "x/fine": b"2", "dir/fine": b"3", "tail/fine": b"4", "...": b"5", "x/.hid": b"6"}
    for key in hidden:
        try:
            rig.s3.put(rig.bucket, key, b"hostile")
        except S3Error:
            continue  # the server refuses such keys itself
    for key, data in good.items():
        rig.s3.put(rig.bucket, key, data)
    there = rig.s3.list(rig.bucket)  # a server may have made other keys of them
    m = rig.mount()
    seen = []
    for root, dirs, files in os.walk(m.dir):
        for n in dirs + files:
            true(n not in (".", "..", "") and len(os.fsencode(n)) <= 255, f"name {n!r}")
        seen += [os.path.relpath(os.path.join(root, f), m.dir) for f in files]
    for key, data in good.items():
        true(key in seen, f"{key} is not listed: {seen}")
        equal(read_file(m.path(key)), data, key)
    true(not os.path.exists(rig.path("escape")), "a key left the mount")
    equal(read_file(m.path("ok")), b"1", "after the walk")
    listed = rig.s3.list(rig.bucket)
    equal({k: v for k, v in listed.items() if not k.startswith(".s3efs/")}, there, "keys afterwards")


@check("a key that is both a file and a directory is one of them, never an error")
def both(rig):
    rig.fresh()
    rig.s3.put(rig.bucket, "a/b", b"inner")
    try:
        rig.s3.put(rig.bucket, "a", b"outer")
    except S3Error as e:
        from harness.case import Skip
        raise Skip(f"{rig.backend} can't hold a beside a/b: {e.code}") from e
    m = rig.mount()
    equal(os.listdir(m.dir), ["a"], "one name")
    st = os.stat(m.path("a"))
    if stat.S_ISDIR(st.st_mode):
        equal(read_file(m.path("a/b")), b"inner")
    else:
        equal(read_file(m.path("a")), b"outer")


@check("what others put, change and delete is seen at the next open")
def changes(rig):
    m = rig.mount(actimeo=0)
    rig.s3.put(rig.bucket, "live", b"first")
    equal(read_file(m.path("live")), b"first")
    rig.s3.put(rig.bucket, "live", b"second, longer")
    equal(read_file(m.path("live")), b"second, longer")
    equal(os.stat(m.path("live")).st_size, 14)
    rig.s3.delete(rig.bucket, "live")
    true(not os.path.exists(m.path("live")), "deleted")


@check("close-to-open with the default attribute times: a changed object is read whole and new")
def close_to_open(rig):
    m = rig.mount()
    other = rig.mount()
    for i in range(20):
        data = b"%d " % i * (1000 + i * 7)
        write_file(m.path("cto"), data)
        equal(read_file(other.path("cto")), data, f"round {i}")
        rig.s3.put(rig.bucket, "cto", data + b"x")
        equal(read_file(m.path("cto")), data + b"x", f"round {i}, by S3")


@check("a prefix is a root of its own")
def prefix(rig):
    rig.s3.put(rig.bucket, "team/one/f", b"inside")
    rig.s3.put(rig.bucket, "team/onerous", b"outside")
    m = rig.mount(source=rig.source + "/team/one")
    equal(os.listdir(m.dir), ["f"])
    write_file(m.path("g"), b"new")
    equal(rig.s3.get(rig.bucket, "team/one/g").body, b"new")


@check("a write over an object that changed meanwhile does not overwrite it unseen")
def conflict(rig):
    m = rig.mount()
    rig.allow("commit|upload|flush|release|fsync|write")
    rig.s3.put(rig.bucket, "race", b"version 1")
    fd = os.open(m.path("race"), os.O_RDWR)
    os.pwrite(fd, b"V", 0)
    rig.s3.put(rig.bucket, "race", b"version 2, by another")
    error = None
    try:
        os.close(fd)
    except OSError as e:
        error = e
    got = rig.s3.get(rig.bucket, "race").body
    contains(got.decode(), "by another")
    if error is None:  # then our byte must be in it: rebased onto the newer version
        equal(got, b"Version 2, by another")
    m.unmount()  # what RELEASE says is in the log


def keys(rig):
    """What `aws s3 ls --recursive` shows, without our own state."""
    return sorted(k for k in rig.s3.list(rig.bucket) if not k.startswith(".s3efs/"))


@check("an implied directory gets its marker when its last name goes, and stays, empty, for others too")
def emptied(rig):
    rig.fresh()
    rig.s3.put(rig.bucket, "implied/only", b"1")
    rig.s3.put(rig.bucket, "deep/er/only", b"1")
    m = rig.mount()
    os.unlink(m.path("implied/only"))
    os.unlink(m.path("deep/er/only"))
    equal(keys(rig), ["deep/er/", "implied/"])
    other = rig.mount()
    equal((sorted(os.listdir(other.dir)), os.listdir(other.path("implied")), os.listdir(other.path("deep"))),
          (["deep", "implied"], [], ["er"]))
    os.rmdir(other.path("implied"))
    equal(keys(rig), ["deep/er/"])
    os.rmdir(other.path("deep/er"))
    equal((keys(rig), os.listdir(other.path("deep"))), (["deep/"], []))


@check("folders made in the console: zero bytes, any content type; they are directories, and rmdir removes them")
def console_folders(rig):
    rig.fresh()
    rig.s3.put(rig.bucket, "folder/", b"", content_type="application/octet-stream")
    rig.s3.put(rig.bucket, "folder/sub/", b"")
    rig.s3.put(rig.bucket, "folder/f", b"1")
    left = []
    with contextlib.suppress(S3Error):  # a server may refuse it
        rig.s3.put(rig.bucket, "with-bytes/", b"not empty", content_type="text/plain")
        left = ["with-bytes/"]
    m = rig.mount()
    for d in ["folder", "folder/sub"] + left:
        true(stat.S_ISDIR(os.stat(m.path(d)).st_mode), f"{d} is no directory")
    equal(sorted(os.listdir(m.path("folder"))), ["f", "sub"])
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(m.path("folder"))
    os.rmdir(m.path("folder/sub"))
    os.unlink(m.path("folder/f"))
    os.rmdir(m.path("folder"))
    equal(keys(rig), left)


@check("after each operation the bucket holds what aws s3 ls users expect, and nothing else")
def what_is_there(rig):
    rig.fresh()
    m = rig.mount()
    rig.s3.put(rig.bucket, "foreign/a.txt", b"a")

    def after(what, want, func):
        func()
        equal(keys(rig), sorted(want), what)
        equal(rig.s3.uploads(rig.bucket), [], f"open uploads after {what}")

    p, base = m.path, ["foreign/a.txt"]
    after("mkdir", base + ["d/"], lambda: os.mkdir(p("d")))
    after("write", base + ["d/", "d/f"], lambda: write_file(p("d/f"), b"x"))
    after("rewrite", base + ["d/", "d/f"], lambda: write_file(p("d/f"), b"longer"))
    after("chmod", base + ["d/", "d/f"], lambda: os.chmod(p("d/f"), 0o600))
    after("chmod of a directory", base + ["d/", "d/f"], lambda: os.chmod(p("d"), 0o700))
    after("rename", base + ["d/", "d/g"], lambda: os.rename(p("d/f"), p("d/g")))
    after("rename over", base + ["d/", "d/g"],
          lambda: (write_file(p("d/tmp"), b"new"), os.rename(p("d/tmp"), p("d/g"))))
    after("link", base + ["d/", "d/g", "d/h"], lambda: os.link(p("d/g"), p("d/h")))
    after("unlink of a link", base + ["d/", "d/g"], lambda: os.unlink(p("d/h")))
    after("symlink", base + ["d/", "d/g", "d/l"], lambda: os.symlink("g", p("d/l")))
    after("rename of a directory", base + ["e/", "e/g", "e/l"], lambda: os.rename(p("d"), p("e")))
    equal(rig.s3.get(rig.bucket, "e/g").body, b"new")
    after("a write into an implied directory", base + ["e/", "e/g", "e/l", "foreign/b.txt"],
          lambda: write_file(p("foreign/b.txt"), b"b"))
    after("unlink", ["e/", "e/g", "e/l", "foreign/", "foreign/a.txt"], lambda: os.unlink(p("foreign/b.txt")))
    after("rm -r", ["foreign/", "foreign/a.txt"],
          lambda: (os.unlink(p("e/g")), os.unlink(p("e/l")), os.rmdir(p("e"))))
    after("rename of an implied directory", ["moved/", "moved/a.txt"],
          lambda: os.rename(p("foreign"), p("moved")))
    after("a large file", ["big", "moved/", "moved/a.txt"], lambda: write_file(p("big"), b"b" * (20 << 20)))
    head = rig.s3.head(rig.bucket, "moved/").headers
    equal((head.get("content-length"), head.get("content-type")), ("0", "application/x-directory"), "a marker")
    m.unmount()
    left = [k for k in rig.s3.list(rig.bucket) if k.startswith(".s3efs/")]
    true(all(k.split("/")[1] in ("intents", "links", "reservations", "locks", "sessions", "root") for k in left),
         f"other state of ours: {left}")


if __name__ == "__main__":
    main()
