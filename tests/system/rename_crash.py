#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon that is killed in the middle of a rename: another mount finishes it (T22)."""
import os
import subprocess
import sys

from harness.case import check, equal, main, read_file, true, write_file
from harness.procs import wait_for

BACKENDS = "file versitygw ceph"
TIMEOUT = 600
FILES = 300


def make(m, top):
    os.makedirs(m.path(top, "sub"))
    for i in range(FILES):
        write_file(m.path(top, "sub" if i % 7 == 0 else "", f"f{i}"), f"{top} {i}")


def check_all(m, top, text):
    """Every file is there once, whole."""
    found = []
    for folder, _, names in os.walk(m.path(top)):
        for name in names:
            found.append(name)
            equal(read_file(os.path.join(folder, name)), f"{text} {name[1:]}".encode(), name)
    equal(sorted(found), sorted(f"f{i}" for i in range(FILES)), "names")


def begin(m, old, new):
    return subprocess.Popen([sys.executable, "-c", "import os, sys; os.rename(*sys.argv[1:])", m.path(old), m.path(new)],
                            stderr=subprocess.DEVNULL)


def killed(rig, name, key_op, share):
    """Kills a mount when it has done this share of the steps of the rename, or when the request is held."""
    m, other = rig.mount(), rig.mount()
    make(m, name)
    to = name + "-new"
    if rig.proxy:
        top, op = (to, "PUT") if key_op == "PUT" else (name, "DELETE")
        rig.proxy.rule(op=op, key=f"{top}/f150", action="hold")
    p = begin(m, name, to)
    if rig.proxy:
        rig.proxy.wait_held()
    else:
        wait_for(lambda: p.poll() is not None or m.status()["rename_steps_done"] >= share * 2 * FILES, "the rename",
                 every=0.001)
    steps = m.status()["rename_steps_done"]
    m.kill()
    p.wait()
    if rig.proxy:
        rig.proxy.clear()
    true(steps > 0 or not rig.proxy, "the rename had not begun")

    def is_over():
        names = [n for n in os.listdir(other.path("")) if n.startswith(name)]
        return len(names) == 1 and other.status()["renames"] == 0 and names

    wait_for(is_over, "the other mount to finish it", every=1)
    fresh = rig.mount()
    names = [n for n in os.listdir(fresh.path("")) if n.startswith(name)]
    equal(names, is_over(), "what both mounts show")
    check_all(fresh, names[0], name)
    check_all(other, names[0], name)
    if rig.s3:
        kept = rig.s3.list(rig.bucket, name + ("/" if names[0] == to else "-new/"))
        equal(sorted(kept), [], "what is left under the other name")
    os.rename(other.path(names[0]), other.path(name + "-again"))
    check_all(other, name + "-again", name)


@check("T22: kill -9 while a directory's files are copied: another mount brings all to the new name")
def copying(rig):
    killed(rig, "copied", "PUT", 0.2)


@check("T22: kill -9 while a directory's old names are deleted: another mount goes on")
def deleting(rig):
    killed(rig, "deleted", "DELETE", 0.7)


if __name__ == "__main__":
    main()
