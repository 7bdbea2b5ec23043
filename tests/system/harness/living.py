# SPDX-License-Identifier: Apache-2.0
"""Mounts that outlive their daemons (option takeover)."""
import os
import signal

from harness import mount, procs
from harness.case import Skip


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def taken(m):
    """How often a new daemon has taken the mount over."""
    return m.log().count("event=holder.replaced")


def daemon(m):
    return procs.wait_for(lambda: children(m.pid), "a daemon")[0]


def start(rig, old_kernel=False, **opts):
    env = mount.environment(S3EFS_OLD_KERNEL="1") if old_kernel else None
    m = rig.mount(env=env, takeover=True, **opts)
    if "event=holder.kernel" in m.log():
        m.unmount()
        raise Skip("this kernel is older than 4.20")
    return m


def kill(m):
    """kill -9 of the daemon, and wait until another serves the mount."""
    n = taken(m)
    os.kill(daemon(m), signal.SIGKILL)
    procs.wait_for(lambda: taken(m) > n, "another daemon")
