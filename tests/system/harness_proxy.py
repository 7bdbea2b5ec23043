#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what the other scripts believe of the proxy and of the servers is so."""
import concurrent.futures
import http.client

from harness import procs
from harness.case import check, equal, main, true
from harness.s3 import Client, S3Error
from harness import servers

BACKENDS = "versitygw ceph"


def client(rig):
    rig.proxy.reset()
    return Client(rig.proxy.endpoint, servers.ACCESS, servers.SECRET, attempts=1)


def broken(func, *a):
    """True when the connection broke instead of an answer."""
    try:
        func(*a)
    except (OSError, http.client.HTTPException):
        return True
    return False


@check("requests are counted by kind and status")
def counts(rig):
    c = client(rig)
    c.put(rig.bucket, "k", b"12345")
    equal(c.get(rig.bucket, "k").body, b"12345")
    c.head(rig.bucket, "k")
    c.head(rig.bucket, "none")
    c.raw("HEAD", rig.bucket)
    c.list(rig.bucket)
    c.uploads(rig.bucket)
    c.call("PUT", rig.bucket, "k2", headers={"x-amz-copy-source": f"/{rig.bucket}/k"})
    body = b"<Delete><Object><Key>k2</Key></Object></Delete>"
    md5 = {"content-md5": __import__("base64").b64encode(__import__("hashlib").md5(body).digest()).decode()}
    c.call("POST", rig.bucket, query={"delete": ""}, headers=md5, body=body)
    c.delete(rig.bucket, "k")
    equal(rig.proxy.stats()["by_kind_status"], {
        "HEAD": {"200": 1, "404": 1}, "GET": {"200": 1}, "PUT": {"200": 1}, "DELETE": {"204": 1},
        "DELETE-multi": {"200": 1}, "LIST": {"200": 1}, "COPY": {"200": 1}, "LIST-mpu": {"200": 1},
        "HEAD-bucket": {"200": 1}})
    equal(rig.proxy.stats()["bytes_up"], 5 + len(body), "bytes up")


@check("multipart requests are counted by kind")
def multipart(rig):
    c = client(rig)
    c.put(rig.bucket, "src", b"s" * 6000000)
    up = c.call("POST", rig.bucket, "big", query={"uploads": ""}).body.decode()
    uid = up.split("<UploadId>")[1].split("</UploadId>")[0]
    e1 = c.call("PUT", rig.bucket, "big", query={"partNumber": 1, "uploadId": uid},
                headers={"x-amz-copy-source": f"/{rig.bucket}/src"}).body.decode()
    e1 = e1.split("<ETag>")[1].split("</ETag>")[0].replace("&#34;", '"').replace("&quot;", '"')
    e2 = c.call("PUT", rig.bucket, "big", query={"partNumber": 2, "uploadId": uid}, body=b"x").headers["etag"]
    xml = "<CompleteMultipartUpload>" + "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>" for n, e in ((1, e1), (2, e2))
    ) + "</CompleteMultipartUpload>"
    c.call("POST", rig.bucket, "big", query={"uploadId": uid}, body=xml.encode())
    up = c.call("POST", rig.bucket, "big2", query={"uploads": ""}).body.decode()
    uid = up.split("<UploadId>")[1].split("</UploadId>")[0]
    c.call("DELETE", rig.bucket, "big2", query={"uploadId": uid})
    equal(dict(rig.proxy.counts()), {"PUT": 1, "MPU-create": 2, "COPY-part": 1, "PUT-part": 1,
                                     "MPU-complete": 1, "MPU-abort": 1})
    equal(dict(rig.proxy.created()), {"src": 1, "big": 1}, "created")
    equal(len(c.get(rig.bucket, "big").body), 6000001)


@check("a rule answers the n-th request of a kind and key with status and code")
def status(rig):
    c = client(rig)
    rig.proxy.rule(op="PUT", key="^a", nth=2, count=1, action="status", status=503, code="SlowDown")
    c.put(rig.bucket, "b", b"1")
    c.put(rig.bucket, "a1", b"1")
    try:
        c.put(rig.bucket, "a2", b"1")
        raise AssertionError("no 503")
    except S3Error as e:
        equal((e.status, e.code), (503, "SlowDown"))
    c.put(rig.bucket, "a3", b"1")
    equal(sorted(rig.s3.list(rig.bucket, "a")), ["a1", "a3"])
    equal(rig.proxy.fired(), 1)


@check("reset: nothing reaches the server; lost: the server has it, the client has no answer")
def lost(rig):
    c = client(rig)
    rig.proxy.rule(op="PUT", key="reset", action="reset")
    rig.proxy.rule(op="PUT", key="lost", action="lost")
    true(broken(c.put, rig.bucket, "reset", b"1"), "reset")
    true(broken(c.put, rig.bucket, "lost", b"1"), "lost")
    equal(rig.s3.head(rig.bucket, "reset"), None)
    equal(rig.s3.get(rig.bucket, "lost").body, b"1")
    equal(rig.proxy.stats()["statuses"], {"0": 2})


@check("a reply's body can be cut and changed, an upload's cut")
def bodies(rig):
    c = client(rig)
    data = bytes(range(256)) * 1000
    c.put(rig.bucket, "o", data)
    rig.proxy.rule(op="GET", action="truncate", n=1000)
    true(broken(c.get, rig.bucket, "o"), "truncated")
    rig.proxy.clear()
    rig.proxy.rule(op="GET", action="corrupt", n=70000)
    got = c.get(rig.bucket, "o").body
    equal([i for i in range(len(data)) if got[i] != data[i]], [70000], "changed bytes")
    rig.proxy.clear()
    rig.proxy.rule(op="PUT", action="cutup", n=1000)
    true(broken(c.put, rig.bucket, "cut", data), "cut")
    equal(rig.s3.head(rig.bucket, "cut"), None, "a cut upload with a signed hash")


@check("a held request waits until it is released, and can be held with its answer")
def hold(rig):
    c = client(rig)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        rig.proxy.rule(op="PUT", key="h1", action="hold")
        f = pool.submit(c.put, rig.bucket, "h1", b"1")
        rig.proxy.wait_held()
        equal(rig.s3.head(rig.bucket, "h1"), None, "while held")
        rig.proxy.release()
        f.result()
        rig.proxy.rule(op="PUT", key="h2", action="hold", after=1)
        f = pool.submit(c.put, rig.bucket, "h2", b"1")
        rig.proxy.wait_held()
        true(rig.s3.head(rig.bucket, "h2"), "there before the answer")
        true(not f.done(), "not answered")
        rig.proxy.release()
        f.result()


@check("who gives up a held request and sends it again is held again; what nobody sends again is late")
def held_again(rig):
    def give_up(key, body):
        hasty = Client(rig.proxy.endpoint, servers.ACCESS, servers.SECRET, patience=1, attempts=1)
        true(broken(hasty.put, rig.bucket, key, body), "a held request was answered")

    def dropped(n):
        procs.wait_for(lambda: rig.proxy.stats()["statuses"].get("0", 0) == n, f"the end of {n}")

    c = client(rig)
    rig.proxy.rule(op="PUT", action="hold")
    give_up("again", b"1")
    rig.proxy.wait_held()
    give_up("again", b"2" * 10_000_000)  # more than the proxy's socket takes while nobody reads it
    dropped(1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        f = pool.submit(c.put, rig.bucket, "again", b"3")
        dropped(2)
        equal((rig.proxy.held(), rig.proxy.fired()), (1, 1), "held, and by how many deeds of the rule")
        equal(rig.s3.head(rig.bucket, "again"), None, "while held")
        rig.proxy.release()
        f.result()
    equal(rig.s3.get(rig.bucket, "again").body, b"3")
    rig.proxy.clear()
    rig.proxy.rule(op="PUT", action="hold")
    give_up("late", b"4")  # the whole of it is there
    rig.proxy.wait_held()
    rig.proxy.release()
    procs.wait_for(lambda: rig.s3.head(rig.bucket, "late"), "the late request")


@check("1,000 uploads at concurrency 16 are all counted and all there")
def many(rig):
    c = client(rig)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: c.put(rig.bucket, f"m/{i:04}", str(i) * 100), range(1000)))
    equal(dict(rig.proxy.counts()), {"PUT": 1000})
    equal(len(rig.s3.list(rig.bucket, "m/")), 1000)
    equal(set(rig.proxy.created().values()), {1}, "events for each key")


if __name__ == "__main__":
    main()
