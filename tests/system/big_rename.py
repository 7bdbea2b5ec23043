#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file above 5 GiB, which no CopyObject can copy, is renamed by parts on a real server, and no byte of it comes
here. It takes minutes and 11 GB of disk: only with S3EFS_TEST_BIG=1, as tools/check --long has it."""
import os
import time

from harness.case import Skip, check, equal, main, true

BACKENDS = "versitygw"
TIMEOUT = 3600
MIB, GIB = 1 << 20, 1 << 30
SIZE = 5 * GIB + 100 * MIB + 7
MARKS = {0: b"first", 12 * MIB - 3: b"over a part's end", 4 * GIB: b"four", 5 * GIB - 2: b"at the limit", SIZE - 4: b"last"}
STEP = 64 * MIB


def wanted(off, length):
    data = bytearray(length)
    for at, text in MARKS.items():
        lo, hi = max(at, off), min(at + len(text), off + length)
        if lo < hi:
            data[lo - off:hi - off] = text[lo - at:hi - at]
    return bytes(data)


def compare(rig, key):
    for off in range(0, SIZE, STEP):
        length = min(STEP, SIZE - off)
        got = rig.s3.call("GET", rig.bucket, key, headers={"Range": f"bytes={off}-{off + length - 1}"}).body
        true(got == wanted(off, length), f"the {length} bytes of {key} at {off}")


@check("rename of 5.1 GiB: by parts within the bucket, the same bytes, the old name is gone")
def rename_by_parts(rig):
    if os.environ.get("S3EFS_TEST_BIG") != "1":
        raise Skip("only with S3EFS_TEST_BIG=1")
    m = rig.mount()
    fd = os.open(m.path("big"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.ftruncate(fd, SIZE)
    for at, text in MARKS.items():
        os.pwrite(fd, text, at)
    os.close(fd)
    rig.proxy.reset()
    began = time.monotonic()
    os.rename(m.path("big"), m.path("moved"))
    took = time.monotonic() - began
    counts = {k: n for k, n in rig.proxy.counts().items() if n}
    print(f"# renamed {SIZE} bytes in {took:.1f} s: {counts}")
    sent = sum(n for k, n in counts.items() if k in ("COPY", "MPU-part", "PUT-part"))
    equal(sent, 0, f"copies in one, and parts that were sent ({counts})")
    head = rig.s3.head(rig.bucket, "moved")
    equal(int(head.headers["content-length"]), SIZE)
    compare(rig, "moved")
    true("big" not in rig.s3.list(rig.bucket), "the old name is gone")
    equal(os.stat(m.path("moved")).st_size, SIZE)


main()
