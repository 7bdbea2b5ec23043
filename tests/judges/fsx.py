#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fsx: reads, writes, truncations, mappings at random offsets against a model, by one process."""
import os

import judge
from harness.case import check, main

BACKENDS = "file versitygw ceph"
TIMEOUT = 7200 if judge.LONG else 1800
OPERATIONS = 20000
SEEDS = 200

# a seed that closes and reopens has every other operation, too
REOPEN = """[weights]
close_open = 2
fsync = 1
fdatasync = 1
invalidate = 1
sendfile = 5
posix_fadvise = 1
posix_fallocate = 3
punch_hole = 5
copy_file_range = 3
"""
# of the 200, each has one of these
KINDS = ("", REOPEN, "[weights]\ntruncate = 1\nmapwrite = 30\nclose_open = 3\n", "[opsize]\nmax = 300000\n",
         "flen = 3000000\n[weights]\nfsync = 5\nclose_open = 5\n")


def fsx(rig, m, seed, operations, config=""):
    name = f"fsx-{seed}"
    argv = [judge.program("fsx"), "-q", "-S", str(seed), "-N", str(operations), "-P", rig.path()]
    if config:
        with open(rig.path(name + ".toml"), "w", encoding="ascii") as f:
            f.write(config)
        argv += ["-f", rig.path(name + ".toml")]
    judge.run(rig, f"fsx, seed {seed}", argv + [m.path(name)], TIMEOUT - 60)
    return name


@check("seeds 1 and 42: no difference, also after unmount and mount, from a new cache, and in the bucket")
def one_open(rig):
    m = judge.mount(rig)
    judge.survives(rig, m, [fsx(rig, m, 1, OPERATIONS), fsx(rig, m, 42, OPERATIONS)])


@check("seed 7, closing and reopening the file between: no difference, there neither")
def reopening(rig):
    m = judge.mount(rig)
    judge.survives(rig, m, [fsx(rig, m, 7, judge.size(6000, OPERATIONS), REOPEN)])


if judge.LONG:
    @check(f"{SEEDS} other seeds with all kinds of weights: no difference")
    def many(rig):
        m = judge.mount(rig)
        names = []
        for seed in range(1000, 1000 + SEEDS):
            names.append(fsx(rig, m, seed, 2000, KINDS[seed % len(KINDS)]))
            if len(names) == 20:
                judge.survives(rig, m, names)
                for n in names:
                    os.unlink(m.path(n))
                names = []

main()
