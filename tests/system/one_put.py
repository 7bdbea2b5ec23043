#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A new file costs one PUT and makes one ObjectCreated event, whatever way a program writes it, and its
key is never there with fewer bytes."""
import concurrent.futures
import hashlib
import os
import subprocess

from harness.case import check, equal, main, read_file, true, write_file

BACKENDS = "versitygw ceph"
TIMEOUT = 240
WRITING = ("PUT", "COPY", "MPU-create", "PUT-part", "COPY-part", "MPU-complete", "DELETE", "DELETE-multi",
           "MPU-abort")


def one_put(rig, key, data, write):
    """Runs write(path) and checks the requests it made."""
    m = rig.one()
    rig.proxy.reset()
    write(m.path(key))
    counts = rig.proxy.counts()
    equal({k: counts[k] for k in WRITING if counts[k]}, {"PUT": 1}, "writing requests")
    equal(dict(rig.proxy.created()), {key: 1}, "ObjectCreated events")
    equal(rig.s3.get(rig.bucket, key).body, data, "object")
    equal(rig.s3.uploads(rig.bucket), [], "open multipart uploads")


def sh(script, path):
    subprocess.run(["sh", "-c", script], env=dict(os.environ, f=path), check=True)


@check("open, write, close")
def plain(rig):
    one_put(rig, "plain.bin", b"p" * 100000, lambda p: write_file(p, b"p" * 100000))


@check("cp")
def cp(rig):
    src = rig.path("src.bin")
    write_file(src, os.urandom(300000))
    one_put(rig, "cp.bin", read_file(src), lambda p: subprocess.run(["cp", src, p], check=True))


@check("an empty file: touch")
def touch(rig):
    one_put(rig, "touched", b"", lambda p: sh(': > "$f"', p))


@check("shell redirect: echo hello > f")
def redirect(rig):
    one_put(rig, "redirect", b"hello\n", lambda p: sh('echo hello > "$f"', p))


@check("shell group with a builtin between: { echo a; true; echo b; } > f")
def group(rig):
    one_put(rig, "group", b"a\nb\n", lambda p: sh('{ echo a; true; echo b; } > "$f"', p))


@check("shell group with a child process between: { echo a; /bin/true; echo b; } > f")
def group_exec(rig):
    one_put(rig, "group_exec", b"a\nb\n", lambda p: sh('{ echo a; /bin/true; echo b; } > "$f"', p))


@check("cat > f, and a pipe into it")
def cat(rig):
    one_put(rig, "cat", b"x\n" * 2000, lambda p: sh('yes x | head -2000 | cat > "$f"', p))


@check("duplicated descriptors that are closed before anything is written")
def dup(rig):
    def write(p):
        fd = os.open(p, os.O_WRONLY | os.O_CREAT, 0o644)
        d = os.dup2(fd, 100)
        os.close(fd)
        for i in range(3):
            os.close(os.dup2(d, 101 + i))
        os.write(d, b"by the last of them")
        os.close(d)
    one_put(rig, "dup", b"by the last of them", write)


@check("duplicated descriptors that are closed while others write on")
def dup_between(rig):
    def write(p):
        fd = os.open(p, os.O_WRONLY | os.O_CREAT, 0o644)
        for i in range(3):
            d = os.dup2(fd, 100 + i)
            os.write(d, b"d%d" % i)
            os.close(d)
        os.write(fd, b"end")
        os.close(fd)
    one_put(rig, "dup_between", b"d0d1d2end", write)


@check("a second open of the file is no duplicate: each close() of the writer keeps its word")
def second_open(rig):
    m = rig.one()
    fd = os.open(m.path("twice"), os.O_WRONLY | os.O_CREAT, 0o644)
    reader = os.open(m.path("twice"), os.O_RDONLY)
    os.write(fd, b"bytes")
    os.close(fd)
    equal(rig.s3.get(rig.bucket, "twice").body, b"bytes", "after the writer's close")
    os.close(reader)


@check("fork and exec in the middle of the writing")
def fork_exec(rig):
    def write(p):
        fd = os.open(p, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"before ")
        pid = os.fork()
        if pid == 0:
            os.set_inheritable(fd, True)
            os.execv("/bin/true", ["true"])
        os.waitpid(pid, 0)
        os.write(fd, b"after")
        os.close(fd)
    one_put(rig, "fork_exec", b"before after", write)


@check("fork without exec: the child exits with the file open")
def fork_exit(rig):
    def write(p):
        fd = os.open(p, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"before ")
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        os.write(fd, b"after")
        os.close(fd)
    one_put(rig, "fork_exit", b"before after", write)


@check("mode and times set on the open descriptor go up with the bytes")
def attributes(rig):
    def write(p):
        fd = os.open(p, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(fd, b"data")
        os.fchmod(fd, 0o640)
        os.utime(fd, ns=(10**18, 10**18))
        os.close(fd)
    one_put(rig, "attributes", b"data", write)
    equal(rig.s3.head(rig.bucket, "attributes").meta()["file-permissions"].lstrip("0")[-3:], "640")


@check("the key is not there before it is whole: not at open, not while written, not while the PUT is held")
def whole(rig):
    m = rig.one()
    rig.proxy.reset()
    fd = os.open(m.path("whole"), os.O_WRONLY | os.O_CREAT, 0o644)
    equal(rig.s3.head(rig.bucket, "whole"), None, "after open")
    os.write(fd, b"w" * 200000)
    equal(rig.s3.head(rig.bucket, "whole"), None, "after write")
    rig.proxy.rule(op="PUT", key="whole", action="hold")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        f = pool.submit(os.close, fd)
        rig.proxy.wait_held()
        equal(rig.s3.head(rig.bucket, "whole"), None, "while the PUT is held")
        true(not f.done(), "close() must wait for the PUT")
        rig.proxy.release()
        f.result()
    equal(rig.s3.head(rig.bucket, "whole").headers["content-length"], "200000")


@check("close() returns only when the server has answered")
def answered(rig):
    m = rig.one()
    rig.proxy.rule(op="PUT", key="answered", action="hold", after=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        f = pool.submit(write_file, m.path("answered"), b"data")
        rig.proxy.wait_held()
        true(not f.done(), "close() must wait for the answer")
        rig.proxy.release()
        f.result()


@check("200 new images at concurrency 16: PUTs per image = 1.00, read back by hash")
def images(rig):
    m = rig.one()
    os.mkdir(m.path("up"))
    rig.proxy.reset()
    data = {f"up/{i:04}.jpg": b"\xff\xd8\xff\xe0" + os.urandom(40000 + i) for i in range(200)}

    def upload(item):
        name, body = item
        write_file(m.path(name), body)
        equal(hashlib.sha256(read_file(m.path(name))).digest(), hashlib.sha256(body).digest(), name)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(upload, data.items()))
    counts = rig.proxy.counts()
    equal({k: counts[k] for k in WRITING if counts[k]}, {"PUT": 200}, "writing requests")
    equal(dict(rig.proxy.created()), {k: 1 for k in data}, "events")
    for k, body in data.items():
        equal(rig.s3.get(rig.bucket, k).body, body, k)


@check("an overwrite of a known file is one PUT too")
def overwrite(rig):
    m = rig.one()
    write_file(m.path("over"), b"old")
    one_put(rig, "over", b"new bytes", lambda p: write_file(p, b"new bytes"))


@check("a file that is opened for writing and not changed is not put again")
def unchanged(rig):
    m = rig.one()
    write_file(m.path("unchanged"), b"same")
    rig.proxy.reset()
    os.close(os.open(m.path("unchanged"), os.O_RDWR))
    with open(m.path("unchanged"), "ab"):
        pass
    counts = rig.proxy.counts()
    equal({k: counts[k] for k in WRITING if counts[k]}, {}, "writing requests")


if __name__ == "__main__":
    main()
