#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many connections a mount has, counted where the server is: each request of 64 parallel reads is held there."""
import concurrent.futures

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


main()
