#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Histories of six processes on three daemons: one winner of an exclusive create, no append lost or doubled, a
counter under flock, monotonic reads, no torn read (tests/model/histories.c), also while replies are lost and late."""
import os
import shutil
import subprocess

from harness.case import check, main
from harness.procs import PATIENCE
from harness.proxy import BUILD

BACKENDS = "file versitygw"
TIMEOUT = 400
SECONDS = int(os.environ.get("S3EFS_HISTORY_SECONDS", "20"))


def run(rig, seed):
    program = os.path.join(BUILD, "tests", "model", "histories")
    rig.allow(r"key=x\d+ .*File exists")  # the losers of an exclusive create: their bytes are kept
    mounts = [rig.mount() for _ in range(3)]
    history = rig.path(f"history.{seed}")
    r = subprocess.run([program, str(SECONDS), str(seed), history, *(m.dir for m in mounts)], check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
    print(r.stdout.splitlines()[-1] if r.stdout else "")
    if r.returncode != 0:
        kept = os.path.join(os.environ.get("S3EFS_TEST_LOGS", "/tmp"), f"histories.{rig.backend}.{seed}.history")
        shutil.copy(history, kept)
        raise AssertionError(f"{r.stdout[-3000:]}\nthe history is in {kept}")
    for m in mounts:
        m.unmount()


@check("six processes on three mounts")
def quiet(rig):
    run(rig, 1)


@check("the same while replies are lost and requests are late")
def faults(rig):
    if not rig.proxy:
        return
    rig.fresh()
    # A reply was lost, and before the answer to the next try came the others had written more often than a version's marks
    # tell: such an append is told EIO, and is there once or not at all (the checker sees to it).
    rig.allow(r"event=(front|commit)\.failed .*log: in doubt: .*others have written so much")
    for n in range(1, 25):
        rig.proxy.rule(op="PUT", nth=7 * n, count=1, action="lost")
        rig.proxy.rule(op="PUT", nth=5 * n, count=1, action="delay", ms=300)
    run(rig, 2)
    rig.proxy.clear()


main()
