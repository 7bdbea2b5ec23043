#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fio: what is written with a checksum in each block is read back right."""
import functools
import os

import judge
from harness.case import check, main

BACKENDS = "file versitygw ceph"
TIMEOUT = 1800 if judge.LONG else 400
JOBS = (("randwrite", "4k"), ("write", "4k"), ("randwrite", "1m"), ("write", "1m"))


def verify(rig, how, block):
    m = judge.mount(rig)
    name = f"{how}-{block}"
    d = judge.folder(m, name)
    judge.run(rig, name, [judge.program("fio"), f"--name={name}", f"--directory={d}", f"--rw={how}", f"--bs={block}",
                          f"--size={judge.size('8M', '128M')}", "--verify=crc32c", "--do_verify=1",
                          "--end_fsync=1"])
    judge.survives(rig, m, [f"{name}/{n}" for n in os.listdir(d)])


for job in JOBS:
    check(f"{job[0]} in blocks of {job[1]}, verified")(functools.partial(verify, how=job[0], block=job[1]))
main()
