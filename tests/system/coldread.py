#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cold read by name is one GET, on a real mount and a real kernel, and a stat is one HEAD: counted on the wire. A caller
whose system call is not seen in time (the machine is slow) may cost one request more."""
import concurrent.futures
import os

from harness.case import check, equal, fails_with, main, read_file, true

BACKENDS = "versitygw"
TIMEOUT = 300
FILES = 40
CREDIT = 8  # fs/vfs/readhist.h: bodies for nothing


def requests(rig, func):
    rig.proxy.reset()
    func()
    return {k: n for k, n in rig.proxy.counts().items() if n}


def content(name):
    return name.encode() * 1000


def mounted(rig, folder):
    """A mount that has looked at what other mounts do, and knows the folder, not its files."""
    for n in range(FILES):
        name = f"{folder}/f{n}"
        rig.s3.put(rig.bucket, name, content(name))
    m = rig.mount(actimeo=600)  # however slow the machine is, nothing is looked at again
    equal(os.path.exists(m.path(f"{folder}/none")), False)
    return m


def look(rig, m, name, want, func):
    """One of the wanted counts of requests; which."""
    got = requests(rig, lambda: func(m.path(name)))
    true(got in want, f"{name}: {got}")
    return want.index(got)


@check("a file that is opened and read is one GET, one that is looked at one HEAD")
def one_get(rig):
    m = mounted(rig, "one")
    seen = []
    for n in range(FILES // 2):
        name = f"one/f{n}"
        seen.append(look(rig, m, name, [{"GET": 1}, {"HEAD": 1, "GET": 1}],
                         lambda path, name=name: equal(read_file(path), content(name))))
    true(0 in seen, "no read was one GET")
    looked = [look(rig, m, f"one/f{n}", [{"HEAD": 1}, {"GET": 1}], os.stat) for n in range(FILES // 2, FILES)]
    true(0 in looked and sum(looked) <= CREDIT, f"GETs for stat: {looked}")
    equal(requests(rig, lambda: equal(read_file(m.path("one/f0")), content("one/f0"))), {"GET": 1}, "it is asked for again")
    rig.s3.put(rig.bucket, "one/f1", b"another")
    equal(read_file(m.path("one/f1")), b"another")


@check("many readers at once: fewer requests than two a file")
def at_once(rig):
    m = mounted(rig, "many")
    rig.proxy.reset()
    names = [f"many/f{n}" for n in range(FILES)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda name: read_file(m.path(name)), names))
    equal(got, [content(name) for name in names])
    counts = rig.proxy.counts()
    true(FILES <= counts["GET"] and counts["GET"] + counts["HEAD"] < 2 * FILES and counts["LIST"] == 0, f"{counts}")


@check("what is not there, or empty, or larger than what is asked for first")
def odd_ones(rig):
    m = mounted(rig, "odd")
    rig.s3.put(rig.bucket, "odd/empty", b"")
    large = os.urandom(1024 * 1024) + b"end"
    rig.s3.put(rig.bucket, "odd/large", large)
    huge = os.urandom(1024 * 1024) * 9 + b"end"
    rig.s3.put(rig.bucket, "odd/huge", huge)
    rig.s3.put(rig.bucket, "odd/dir/below", b"x")
    with fails_with(2):
        read_file(m.path("odd/not"))
    with fails_with(21):
        read_file(m.path("odd/dir"))
    equal(read_file(m.path("odd/empty")), b"")
    true(read_file(m.path("odd/large")) == large, "a large file's bytes")
    true(read_file(m.path("odd/huge")) == huge, "a huge file's bytes")


if __name__ == "__main__":
    main()
