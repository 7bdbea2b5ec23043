#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The disk can't read pages of an index under a running mount (LMDB reads through a map: SIGBUS; here the file is cut):
the mount goes on, nothing that was acknowledged is lost."""
import os

from harness import procs
from harness.case import check, equal, main, read_file, true, write_file

BACKENDS = "file"
PAGE = 4096


def fill(m, first, n):
    told = {f"{first}{i}": f"{first} {i} ".encode() * (50 + 40 * i) for i in range(n)}
    for name, body in told.items():
        write_file(m.path(name), body)
    return told


def compare(m, told):
    equal(sorted(os.listdir(m.dir)), sorted(told), "names")
    for name, body in told.items():
        equal(read_file(m.path(name)), body, name)


@check("the cache's index can't be read: the bucket is, and the index begins anew")
def index(rig):
    rig.fresh()
    cache = rig.path("cache-index")
    m = rig.mount(cache_dir=cache, acregmin=0, acregmax=0, acdirmin=0, acdirmax=0)
    data = os.path.join(cache, "meta", "data.mdb")
    told = fill(m, "before", 60)
    compare(m, told)
    for turn in range(3):
        true(os.stat(data).st_size > 2 * PAGE, "the index is larger")
        rebuilt = m.log().count("event=cache.index.rebuilt")
        os.truncate(data, 2 * PAGE)  # no page of a tree is left

        def is_over():
            compare(m, told)
            return m.log().count("event=cache.index.rebuilt") > rebuilt
        procs.wait_for(is_over, "new index", every=0.1)
        told.update(fill(m, f"after{turn}-", 20))
        compare(m, told)
    true("event=cache.degraded" in m.log(), "it is said")
    m.unmount()
    m = rig.mount(cache_dir=cache)
    compare(m, told)
    m.unmount()


@check("the journal's index can't be read: what was told is sent, and what comes is sent before its close returns")
def journal(rig):
    rig.fresh()
    cache = rig.path("cache-journal")
    m = rig.mount(cache_dir=cache, commit="local")
    told = fill(m, "before", 40)
    os.truncate(os.path.join(cache, "journal", "index"), 2 * PAGE)
    told.update(fill(m, "after", 20))
    compare(m, told)
    m.drain()
    true("event=journal.put" in m.log(), "it is said")
    equal(m.status()["unsent"]["files"], 0, "unsent")
    m.unmount()
    m = rig.mount(cache_dir=rig.path("cache-fresh"))
    compare(m, told)
    m.unmount()
    m = rig.mount(cache_dir=cache, commit="local")
    told.update(fill(m, "again", 5))
    m.drain()
    compare(m, told)
    m.unmount()


if __name__ == "__main__":
    main()
