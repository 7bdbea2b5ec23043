#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/bench/run does what it says, and what its workloads may ask of S3 for each file: budgets, counted on the wire. Its
times are not looked at."""
import json
import os
import subprocess
import sys

from harness import mount, procs
from harness.case import check, equal, main, true

BACKENDS = "versitygw"
TIMEOUT = 300
HERE = os.path.dirname(os.path.abspath(__file__))
CHANGING = ("PUT", "COPY", "MPU-create", "PUT-part", "COPY-part", "MPU-complete", "DELETE", "DELETE-multi", "MPU-abort")

# (row, side): (files, {kind: requests that name a file}), of the kinds that are named here and of all that change something
BUDGETS = {
    ("upload-4k-c16", "raw"): (16, {"PUT": 16, "HEAD": 0, "GET": 0}),
    ("upload-4k-c16", "s3efs excl=close"): (16, {"PUT": 16, "GET": 0}),  # HEAD: a creator's call is not always seen in time
    ("upload-4k-c16", "s3efs"): (16, {"PUT": 16, "GET": 0}),
    ("read-cold-100k-c16", "s3efs"): (16, {}),  # its GETs: below
    ("rename-dir", "s3efs"): (40, {"GET": 40, "PUT": 40, "DELETE": 40}),
    ("rename-dir", "s3efs commit=local"): (40, {"GET": 40, "PUT": 40, "DELETE": 40}),
    ("remove", "s3efs"): (40, {"DELETE": 40, "GET": 0}),
}


def bench(*args, build=mount.BUILD, **env):
    return subprocess.run([sys.executable, os.path.join(HERE, "..", "bench", "run"), "--build", build, *args],
                          capture_output=True, text=True, errors="replace", timeout=procs.PATIENCE, check=False,
                          env=dict(os.environ, **env))


@check("the benchmark runs, writes JSON, leaves nothing behind, and its files cost what they may")
def budgets(rig):
    kept, tmp = rig.path("bench.json"), rig.path("tmp")
    os.mkdir(tmp)
    r = bench("--quick", "--rtt", "0", "--only", ",".join(sorted({row for row, _ in BUDGETS})), "--sides", "raw,s3efs*",
              "--json", kept, S3EFS_TEST_TMP=tmp)
    equal(r.returncode, 0, f"exit; {r.stdout[-1000:]} {r.stderr[-1500:]}")
    with open(kept, encoding="utf-8") as f:
        whole = json.load(f)
    steps = {(s["row"], s["side"]): s for s in whole["steps"]}
    for (row, side), (n, budget) in BUDGETS.items():
        s = steps[row, side]
        equal(s["ops"], n, f"{row} {side}: files")
        asked = {k: s["file_requests"].get(k, 0) for k in sorted({*budget, *CHANGING})}
        equal(asked, {k: budget.get(k, 0) for k in asked}, f"{row} {side}: requests")
    asked = steps["read-cold-100k-c16", "s3efs"]["file_requests"]
    # One each; where a thread is slow (its call not seen in time, its open late) a HEAD before or a conditional GET after it.
    true(16 <= asked.get("GET", 0) and asked.get("GET", 0) + asked.get("HEAD", 0) <= 32, f"cold reads: {asked}")
    true(all(line["row"] in r.stdout for line in whole["summary"]), "the table shows every row")
    equal(os.listdir(tmp), [], "what it left in its folder")
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        true(tmp not in f.read(), "it left a mount")


@check("what can't be measured is said: no programs, and the list of rows without any of them")
def refused(rig):
    r = bench(build=rig.path("none"))
    equal(r.returncode, 2, "exit without a build")
    r = bench("--list")
    equal(r.returncode, 0, "exit of --list")
    true("upload-100k-c64 " in r.stdout and "rename-dir" in r.stdout, "--list names the rows")


if __name__ == "__main__":
    main()
