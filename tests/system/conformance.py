#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The store's conformance test, the same rows as for the memory and the directory store, on a real S3
server. Each row of the program tests/system/s3_conformance is a check."""
import os
import re
import subprocess

from harness import servers
from harness.case import Skip, check, main, true
from harness.proxy import BUILD

BACKENDS = "versitygw ceph"
TIMEOUT = 420
ROW = re.compile(r"^(ok|not ok|skip) ([a-z0-9-]+)(.*)$", re.M)


@check("the conformance test runs to its end; each of its rows is a check of its own")
def conformance(rig):
    program = os.path.join(BUILD, "tests", "system", "s3_conformance")
    if not os.access(program, os.X_OK):
        raise Skip(f"{program} is not built (make check TESTS=)")
    env = dict(os.environ, S3EFS_TEST_ENDPOINT=rig.server.endpoint, S3EFS_TEST_BUCKET=rig.bucket,
               S3EFS_TEST_SERVER=rig.backend, AWS_ACCESS_KEY_ID=servers.ACCESS,
               AWS_SECRET_ACCESS_KEY=servers.SECRET, AWS_REGION="us-east-1")
    r = subprocess.run([program], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", check=False)
    rows = ROW.findall(r.stdout)
    failed = 0
    for verdict, name, why in rows:
        word = {"ok": "PASS", "not ok": "FAIL", "skip": "SKIP"}[verdict]
        failed += word == "FAIL"
        rig.totals[word] += 1
        print(f"{word} conformance[{rig.backend}]: {name}{why}", flush=True)
    true(rows, f"no rows, exit {r.returncode}: {r.stdout[-1000:]}")
    # a row that failed is counted already; the program itself must agree
    true(r.returncode == (1 if failed else 0), f"exit {r.returncode}: {r.stdout[-1000:]}")


if __name__ == "__main__":
    main()
