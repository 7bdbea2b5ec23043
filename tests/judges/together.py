#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two suites at once on one mount: they must not disturb each other (another mounter crashed at it)."""
import os
import tempfile

import judge
from harness import procs
from harness.case import check, equal, main

BACKENDS = "file versitygw ceph"
TIMEOUT = 1800 if judge.LONG else 400


def fsx(rig, m, seed):
    d = tempfile.mkdtemp(dir=rig.dir)
    return [judge.program("fsx"), "-q", "-S", str(seed), "-N", str(judge.size(8000, 50000)), "-P", d, m.path(f"fsx-{seed}")]


def fio(m, how, block):
    d = judge.folder(m, f"fio-{how}-{block}")
    return [judge.program("fio"), "--name=f", f"--directory={d}", f"--rw={how}", f"--bs={block}",
            f"--size={judge.size('8M', '64M')}", "--numjobs=2", "--verify=crc32c", "--do_verify=1", "--end_fsync=1"]


def stress(m, *names):
    d = judge.folder(m, "stress-" + "-".join(names))
    each = [w for n in names for w in (f"--{n}", "1", f"--{n}-ops", str(judge.size(60, 600)))]
    return [judge.program("stress-ng"), "--temp-path", d, *each, "--timeout", str(judge.size(8, 60)), "--verify",
            "--no-rand-seed"]


def at_once(rig, *commands):
    logs = [rig.path(f"log-{os.path.basename(c[0])}-{n}") for n, c in enumerate(commands)]
    running = [procs.start(c, log, cwd=rig.dir) for c, log in zip(commands, logs)]
    codes = [p.wait() for p in running]
    texts = []
    for log in logs:
        with open(log, encoding="utf-8", errors="replace") as f:
            texts.append(f.read()[-1500:])
    equal(codes, [0] * len(codes), "exits: " + "\n".join(texts))


@check("fsx beside fio beside a second fsx, and the files afterwards")
def fsx_beside_fio(rig):
    m = judge.mount(rig)
    at_once(rig, fsx(rig, m, 1), fio(m, "randwrite", "4k"), fsx(rig, m, 2))
    judge.survives(rig, m, ["fsx-1", "fsx-2"])


@check("stress-ng's renames, links and directories beside fio")
def names_beside_fio(rig):
    m = judge.mount(rig)
    at_once(rig, stress(m, "rename", "dir", "dentry", "symlink", "utime"), fio(m, "write", "1m"))


main()
