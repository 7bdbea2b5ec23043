#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signals: ordinary ones fail no close, whatever waits; who is killed can die, and what it was closing is sent all the same."""
import os
import signal
import subprocess
import sys

from harness import procs
from harness.case import check, equal, main, true
from harness.proxy import BUILD

BACKENDS = "versitygw"
TIMEOUT = 240
FILES = 6


@check("SIGALRM and SIGURG every millisecond and SIGCHLD during slow closes: no call fails")
def storm(rig):
    m = rig.one()
    rig.proxy.rule(op="PUT", count=0, action="delay", ms=100)
    r = procs.run([os.path.join(BUILD, "tests", "system", "stormy"), m.dir, str(FILES)], False)
    equal(r.returncode, 0, r.stdout)
    seen = dict(word.split("=") for word in r.stdout.split())
    true(all(int(n) >= FILES for n in seen.values()), f"there was no storm: {seen}")
    for i in range(FILES):
        equal(rig.s3.get(rig.bucket, f"stormy{i}").body, bytes([97 + i]) * 300000, f"stormy{i}")


@check("kill -9 in a close that waits for the bucket: the process is gone at once, the upload goes on")
def killed(rig):
    m = rig.one()
    rig.proxy.rule(op="PUT", key="^killed$", action="hold")
    p = procs.start([sys.executable, "-c", "import os, sys\n"
                     "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
                     "os.write(fd, b'k' * 50000)\nos.close(fd)\n", m.path("killed")])
    rig.proxy.wait_held()
    p.send_signal(signal.SIGKILL)
    try:
        equal(p.wait(procs.PATIENCE), -signal.SIGKILL, "how it ended")
    except subprocess.TimeoutExpired:
        raise AssertionError("who was killed can't die") from None
    finally:
        held = rig.proxy.held()
        rig.proxy.release()
    equal(held, 1, "its PUT, when the process was gone")
    procs.wait_for(lambda: rig.s3.head(rig.bucket, "killed") is not None, "the object")
    equal(rig.s3.get(rig.bucket, "killed").body, b"k" * 50000)


if __name__ == "__main__":
    main()
