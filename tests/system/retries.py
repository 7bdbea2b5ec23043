#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults between the daemon and the server: retried or reported, never stored, never shown to a reader."""
import concurrent.futures
import os

from harness import procs
from harness.case import Skip, check, equal, main, read_file, true, write_file

BACKENDS = "versitygw ceph"
TIMEOUT = 300


def fired(rig, n=1):
    true(rig.proxy.fired() >= n, f"the fault did not happen: {rig.proxy.rules()}")


def put_survives(rig, key, **rule):
    m = rig.one()
    body = os.urandom(150000)
    rig.proxy.rule(op="PUT", key=f"^{key}$", **rule)
    write_file(m.path(key), body)
    fired(rig)
    equal(rig.s3.get(rig.bucket, key).body, body, "object")
    equal(read_file(m.path(key)), body, "through the mount")
    equal(rig.proxy.created()[key], 1, "ObjectCreated events")


@check("PUT: 500, twice")
def put_500(rig):
    put_survives(rig, "p500", action="status", status=500, code="InternalError", count=2)


@check("PUT: 503 SlowDown, with Retry-After")
def put_503(rig):
    put_survives(rig, "p503", action="status", status=503, code="SlowDown", retry_after=1)


@check("PUT: 429, 408 RequestTimeout and 400 RequestTimeout")
def put_others(rig):
    put_survives(rig, "p429", action="status", status=429, code="TooManyRequests")
    rig.proxy.clear()
    put_survives(rig, "p400", action="status", status=400, code="RequestTimeout")


@check("PUT: connection reset before, and the upload cut in the middle")
def put_reset(rig):
    put_survives(rig, "preset", action="reset", count=2)
    rig.proxy.clear()
    put_survives(rig, "pcut", action="cutup", n=70000)


def lost_put(rig, key, prepare):
    m = rig.one()
    if prepare is not None:
        write_file(m.path(key), prepare)
    body = os.urandom(60000)
    rig.proxy.rule(op="PUT", key=f"^{key}$", action="lost")
    write_file(m.path(key), body)
    fired(rig)
    equal(rig.s3.get(rig.bucket, key).body, body, "object")
    equal(read_file(m.path(key)), body)
    with open(m.path(key), "ab") as f:  # the ETag it believes in is the right one
        f.write(b"tail")
    equal(rig.s3.get(rig.bucket, key).body, body + b"tail")


@check("PUT of a new file whose answer is lost: no EEXIST, no double, the bytes are there")
def lost_new(rig):
    lost_put(rig, "lost-new", None)


@check("PUT of a known file whose answer is lost: no conflict with itself")
def lost_known(rig):
    lost_put(rig, "lost-known", b"before")


@check("PUT applied, but answered by 500: the same")
def applied_500(rig):
    m = rig.one()
    rig.proxy.rule(op="PUT", key="^a500$", action="status", status=500, after=1)
    write_file(m.path("a500"), b"applied")
    fired(rig)
    equal(rig.s3.get(rig.bucket, "a500").body, b"applied")


@check("DELETE and rename whose answers are lost")
def lost_others(rig):
    m = rig.one()
    write_file(m.path("gone"), b"x")
    rig.proxy.rule(op="DELETE,DELETE-multi", action="lost")
    os.unlink(m.path("gone"))
    fired(rig)
    equal(rig.s3.head(rig.bucket, "gone"), None)
    rig.proxy.clear()
    write_file(m.path("mv1"), b"moved")
    rig.proxy.rule(op="COPY,PUT", key="^mv2$", action="lost")
    os.rename(m.path("mv1"), m.path("mv2"))
    equal(rig.s3.get(rig.bucket, "mv2").body, b"moved")
    equal(rig.s3.head(rig.bucket, "mv1"), None)


def read_survives(rig, key, size, **rule):
    body = os.urandom(size)
    rig.s3.put(rig.bucket, key, body)
    m = rig.mount()
    rig.proxy.rule(op="GET", key=f"^{key}$", **rule)
    for what in ("what the reader got", "what the cache has"):
        equal(read_file(m.path(key)), body, what)
    fired(rig)


@check("GET: the body is cut short; the reader never sees it")
def truncated_get(rig):
    read_survives(rig, "tg1", 200000, action="truncate", n=50000)
    rig.proxy.clear()
    read_survives(rig, "tg2", 20 << 20, action="truncate", n=3000, count=3)


@check("GET: a byte of the body is changed on the way; the reader never sees it")
def corrupt_get(rig):
    read_survives(rig, "cg", 200000, action="corrupt", n=100000)


@check("T8: GET: 500, 503, reset: no error text reaches the reader or the cache")
def get_faults(rig):
    read_survives(rig, "g500", 1000, action="status", status=500)
    rig.proxy.clear()
    read_survives(rig, "g503", 1000, action="status", status=503, code="SlowDown")
    rig.proxy.clear()
    read_survives(rig, "greset", 1000, action="reset", count=2)


@check("GET: the object changes between two ranges; the reader sees one version or an error, no mixture")
def changed_get(rig):
    old, new = b"o" * (24 << 20), b"n" * (24 << 20)
    rig.s3.put(rig.bucket, "mix", old)
    rig.allow("ESTALE|precondition|412|changed")
    m = rig.mount()
    fd = os.open(m.path("mix"), os.O_RDONLY)
    first = os.pread(fd, 1000, 0)
    rig.s3.put(rig.bucket, "mix", new)
    try:
        rest = os.pread(fd, 1000, 20 << 20)
        equal(first[:1] == rest[:1], True, "two versions under one handle")
    except OSError:
        pass
    os.close(fd)
    equal(read_file(m.path("mix")), new, "a new open")


@check("HEAD and LIST: 500, 503, reset, lost")
def head_list(rig):
    os.mkdir(rig.one().path("hl"))
    for i in range(5):
        rig.s3.put(rig.bucket, f"hl/f{i}", b"x")
    for rule in ({"action": "status", "status": 500}, {"action": "status", "status": 503, "code": "SlowDown"},
                 {"action": "reset"}, {"action": "lost"}):
        m = rig.mount()
        rig.proxy.rule(op="HEAD,LIST,GET", **rule)
        equal(sorted(os.listdir(m.path("hl"))), [f"f{i}" for i in range(5)], str(rule))
        equal(os.stat(m.path("hl/f1")).st_size, 1)
        fired(rig)
        rig.proxy.clear()


@check("LIST: the listing is cut short in its XML; no name is missing")
def cut_list(rig):
    for i in range(40):
        rig.s3.put(rig.bucket, f"cl/f{i:02}", b"x")
    m = rig.mount()
    rig.proxy.rule(op="LIST", action="truncate", n=900)
    equal(len(os.listdir(m.path("cl"))), 40)
    fired(rig)


@check("an error inside a 200 to COPY: done again or another way, never believed")
def copy_error_in_200(rig):
    rig.s3.put(rig.bucket, "e1", b"to be moved" * 1000)
    m = rig.mount()  # an empty cache: with the bytes at hand a rename is a PUT
    rig.proxy.rule(op="COPY", action="status", status=200, code="InternalError")
    os.rename(m.path("e1"), m.path("e2"))
    equal(rig.s3.get(rig.bucket, "e2").body, b"to be moved" * 1000)
    equal(rig.s3.head(rig.bucket, "e1"), None)
    if rig.proxy.fired() == 0:
        raise Skip("renames on this server make no COPY")


@check("an error inside a 200 to Complete: done again, never believed")
def complete_error_in_200(rig):
    rig.proxy.rule(op="MPU-complete", action="status", status=200, code="InternalError")
    body = os.urandom(40 << 20)
    write_file(rig.one().path("e-big"), body)
    true(rig.s3.get(rig.bucket, "e-big").body == body, "the object differs")
    if rig.proxy.fired() == 0:
        raise Skip("40 MiB are no multipart upload on this server")


@check("multipart: faults on create, parts and complete, lost answers too")
def multipart(rig):
    m = rig.one()
    body = os.urandom(40 << 20)
    for i, rule in enumerate((dict(op="MPU-create", action="status", status=500),
                              dict(op="PUT-part", nth=2, action="status", status=503, code="SlowDown"),
                              dict(op="PUT-part", nth=2, action="reset"),
                              dict(op="PUT-part", nth=1, action="lost"),
                              dict(op="PUT-part", nth=1, action="cutup", n=100000),
                              dict(op="MPU-complete", action="status", status=500),
                              dict(op="MPU-complete", action="lost"))):
        rig.proxy.rule(**rule)
        write_file(m.path(f"mp{i}"), body)
        equal(rig.s3.get(rig.bucket, f"mp{i}").body, body, str(rule))
        rig.proxy.clear()
        rig.s3.delete(rig.bucket, f"mp{i}")
    equal(rig.s3.uploads(rig.bucket), [], "open uploads")


@check("10 % of everything fails: a whole workload comes out right")
def storm(rig):
    m = rig.mount()
    for n in range(3, 200, 20):
        rig.proxy.rule(op="*", nth=n, action="status", status=503, code="SlowDown")
        rig.proxy.rule(op="*", nth=n + 7, action="reset")
        rig.proxy.rule(op="*", nth=n + 13, action="lost")
    data = {f"st{i}": os.urandom(20000 + i) for i in range(40)}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write_file(m.path(i[0]), i[1]), data.items()))
    for name, body in data.items():
        equal(read_file(m.path(name)), body, name)
        equal(rig.s3.get(rig.bucket, name).body, body, name)
    fired(rig, 10)


@check("the server is away for a while: a hard mount waits and then goes on")
def away(rig):
    m = rig.one()
    rig.proxy.rule(op="PUT", key="^away$", action="hold")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        f = pool.submit(write_file, m.path("away"), b"at last")
        rig.proxy.wait_held()
        rig.proxy.rule(op="*", action="reset", count=6)
        rig.proxy.release()
        f.result(procs.PATIENCE)
    equal(rig.s3.get(rig.bucket, "away").body, b"at last")


if __name__ == "__main__":
    main()
