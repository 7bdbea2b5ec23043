#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many connections a mount has, counted where the server is: each request of 64 parallel reads is held there."""
import concurrent.futures
import subprocess

from harness import procs
from harness.case import check, equal, main, read_file, true

BACKENDS = "versitygw"
READERS = 64
LIMIT = 8
ESTABLISHED = "01"


def connections(port):
    """Established ones whose end here is the port that the server listens at."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(int(row[1].split(":")[1], 16) == port and row[3] == ESTABLISHED for row in rows)


@check("64 reads at once make no more connections than max_concurrent_requests, and all of them are answered")
def reads(rig):
    data = {f"f{i:02}": bytes([i]) * 1000 for i in range(READERS)}
    for key, body in data.items():
        rig.s3.put(rig.bucket, key, body)
    m = rig.mount(max_concurrent_requests=LIMIT)
    rig.proxy.rule(op="GET", key="^f", count=0, action="hold")
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        reads_ = {key: pool.submit(read_file, m.path(key)) for key in data}
        try:
            rig.proxy.wait_held(LIMIT)
            most = 0
            while not all(r.done() for r in reads_.values()):
                true(rig.proxy.held() <= LIMIT, "requests under way")
                most = max(most, connections(rig.proxy.port))
                rig.proxy.release()
        finally:
            rig.proxy.clear()
            rig.proxy.release()
        for key, r in reads_.items():
            equal(r.result(), data[key], key)
    true(LIMIT <= most <= LIMIT + 1, f"{most} connections")  # one may be about to be replaced
    procs.wait_for(lambda: connections(rig.proxy.port) <= LIMIT, "the rest of the connections to be closed")


@check("one key whose GETs hang does not stop the others at the least mem_limit")
def one_hangs(rig):
    large = bytes(range(256)) * (8 * 4096)  # 8 MiB, more than all fetches may have at once
    for key in ("hangs", "large"):
        rig.s3.put(rig.bucket, key, large)
    rig.s3.put(rig.bucket, "small", b"small")
    m = rig.mount(mem_limit="32M", threads=32)
    rig.proxy.rule(op="GET", key="^hangs$", count=0, action="hold")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        hangs = pool.submit(read_file, m.path("hangs"))
        try:
            rig.proxy.wait_held(1)
            others = subprocess.run(["cat", m.path("large"), m.path("small")], stdout=subprocess.PIPE, check=True,
                                    timeout=procs.PATIENCE)
            true(others.stdout == large + b"small", "bytes of the others")
            true(not hangs.done(), "who reads the key that hangs")
        finally:
            rig.proxy.clear()
            rig.proxy.release()
        true(hangs.result() == large, "bytes of the one that hung")


main()
