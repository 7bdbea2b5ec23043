#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""S3's bad days: storms, outages, refusals. A hard mount fails nothing and goes on afterwards, a soft one says EIO; and a
server that is sick gets few requests: what is counted is what the proxy's rules answered."""
import concurrent.futures
import errno
import os
import time

from harness import procs
from harness.case import check, equal, fails_with, main, open_at_last, read_file, true, write_file

BACKENDS = "versitygw"
TIMEOUT = 240
THREADS = 12
BUDGET = 10


def held_to_budget(rig, start, asked):
    """Failures since the rules were made: 0.2 of what went well, one a second, what was under way, what a mount has to
    its name when it starts."""
    failed = rig.proxy.fired()
    seconds = time.monotonic() - start  # after the count: what came before it came in this time
    most = BUDGET + 0.2 * asked + seconds + THREADS + 2
    true(failed <= most, f"{failed} failures in {seconds:.1f} s, at most {most:.0f} are allowed")


def all_there(rig, m, data):
    for key, body in data.items():
        equal(rig.s3.get(rig.bucket, key).body, body, key)
        equal(read_file(m.path(key)), body, key)


def open_many(m, data):
    fds = []
    for key, body in data.items():
        fds.append(os.open(m.path(key), os.O_WRONLY | os.O_CREAT, 0o644))
        os.write(fds[-1], body)
    return fds


@check("an outage: one probe a second for all who wait, nothing fails, all goes on when the server is back")
def outage(rig):
    for i, rule in enumerate((dict(action="reset"), dict(action="status", status=503, code="SlowDown"))):
        m = rig.mount()
        data = {f"out{i}-{n}": os.urandom(20000 + n) for n in range(THREADS)}
        fds = open_many(m, data)
        start = time.monotonic()
        rig.proxy.rule(op="*", count=0, **rule)
        pool = concurrent.futures.ThreadPoolExecutor(THREADS + 1)
        futures = [pool.submit(os.close, fd) for fd in fds]
        procs.wait_for(lambda: rig.proxy.fired() >= THREADS, "the outage")
        data[f"late{i}"] = b"came in the outage"
        futures.append(pool.submit(write_file, m.path(f"late{i}"), data[f"late{i}"]))
        # As many rounds as there are probes; a machine that is slow makes fewer, not more, a second.
        procs.wait_for(lambda: rig.proxy.fired() >= THREADS + 3, "probes")
        held_to_budget(rig, start, 0)
        true(not any(f.done() for f in futures), "a close came back in the outage")
        if i == 0:
            procs.wait_for(lambda m=m: "event=s3.still_trying" in m.log(), "a word in the log")
        rig.proxy.clear()
        for f in futures:
            f.result(procs.PATIENCE)
        pool.shutdown()
        all_there(rig, m, data)
        equal([rig.proxy.created()[k] for k in data], [1] * len(data), "ObjectCreated events")
        m.unmount()


@check("a storm in the middle of work: every fifth request fails in turn by 500, 503, a reset and a lost answer")
def storm(rig):
    m = rig.mount()
    kinds = (dict(action="status", status=500, code="InternalError"), dict(action="reset"),
             dict(action="status", status=503, code="SlowDown", retry_after=1), dict(action="lost"))
    for n in range(24):
        rig.proxy.rule(op="*", nth=5 * n + 3, **kinds[n % 4])
    start = time.monotonic()
    data = {f"storm{n}": os.urandom(9000 + n) for n in range(80)}
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda i: write_file(m.path(i[0]), i[1]), data.items()))
    true(rig.proxy.fired() >= 10, "the storm did not happen")
    held_to_budget(rig, start, len(data))
    rig.proxy.clear()
    all_there(rig, m, data)


@check("T29: soft: EIO at close in an outage, the old object untouched, the bytes kept; fine again after it")
def soft(rig):
    rig.allow("front.failed|EIO|given up|lost.found|unsent|timed out|commit")
    rig.s3.put(rig.bucket, "soft", b"old bytes")
    m = rig.mount(soft=True, timeo=100, retrans=0)
    fd = open_at_last(m.path("soft"), os.O_WRONLY)
    rig.proxy.rule(op="*", action="status", status=503, code="SlowDown", count=0)
    os.write(fd, b"new bytes that nobody was promised")
    with fails_with(errno.EIO):
        os.close(fd)
    rig.proxy.clear()
    equal(rig.s3.get(rig.bucket, "soft").body, b"old bytes")
    # Later calls wait for the next probe at most: the mount is not left behind in its outage.
    procs.wait_for(lambda: _writes(m.path("after"), b"fine"), "a write after the outage")
    equal(rig.s3.get(rig.bucket, "after").body, b"fine")
    m.discard()


def _writes(path, data):
    try:
        write_file(path, data)
    except OSError:
        return False
    return True


def _kept(m):
    return [read_file(os.path.join(r, f)) for r, _, names in os.walk(m.opts["cache_dir"]) for f in names
            if "lost+found" in r]


@check("T12: 404 NoSuchKey, NoSuchBucket, NoSuchUpload and 416 at a commit: said at close, no bytes lost, never a removal")
def refused(rig):
    rig.allow(".*")
    for status, code in ((404, "NoSuchKey"), (404, "NoSuchBucket"), (404, "NoSuchUpload"), (416, "InvalidRange")):
        m = rig.mount()
        name = f"t12-{code}"
        write_file(m.path(name), b"old bytes")
        rig.proxy.rule(op="PUT", key=f"^{name}$", action="status", status=status, code=code, count=0)
        fd = os.open(m.path(name), os.O_WRONLY)
        os.write(fd, b"NEW")
        try:
            os.close(fd)
            raise AssertionError(f"{code}: close() returned 0")
        except OSError:
            pass
        rig.proxy.clear()
        equal(rig.s3.get(rig.bucket, name).body, b"old bytes", code)
        procs.wait_for(lambda: any(k[:3] == b"NEW" for k in _kept(m)), f"{code}: the bytes in lost+found")
        m.discard()
        equal(rig.s3.get(rig.bucket, name).body, b"old bytes", f"{code}, after the unmount")


@check("T25: the upload is gone in the middle of a multipart: begun again from what is here")
def upload_gone(rig):
    m = rig.one()
    body = os.urandom(40 << 20)
    for i, rule in enumerate((dict(op="PUT-part", nth=2), dict(op="MPU-complete", nth=1))):
        rig.proxy.rule(action="status", status=404, code="NoSuchUpload", **rule)
        write_file(m.path(f"gone{i}"), body)
        true(rig.proxy.fired() == 1, "the fault did not happen")
        true(rig.s3.get(rig.bucket, f"gone{i}").body == body, "the object differs")
        rig.proxy.clear()


if __name__ == "__main__":
    main()
