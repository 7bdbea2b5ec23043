#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Option passthrough: the kernel reads whole cached files by itself, which shows when the daemon is stopped; and what opens for
writing, changes elsewhere and evictions mean for who reads so. Needs Linux 6.9."""
import mmap
import os
import platform
import signal
import subprocess
import sys
import threading

from harness.case import Skip, check, equal, main, read_file, true, write_file
from harness.mount import cli
from harness.procs import PATIENCE, wait_for

BACKENDS = "file versitygw"
TIMEOUT = 240
MIB = 1 << 20


def needs_kernel():
    release = tuple(int(n) for n in platform.release().split("-")[0].split(".")[:2])
    if release < (6, 9):
        raise Skip(f"FUSE passthrough needs Linux 6.9, this is {platform.release()}")
    if os.getuid() != 0:
        raise Skip("needs root")


def mounted(rig, **more):
    needs_kernel()
    return rig.mount(passthrough=True, **more)


def opened(m, name):
    """A descriptor that the kernel reads from by itself: the file comes to the cache with its first readers."""
    def once():
        fd = os.open(m.path(name), os.O_RDONLY)
        os.read(fd, MIB)
        if int(m.status()["passthrough_files"]) > 0:
            os.lseek(fd, 0, os.SEEK_SET)
            return fd + 1
        os.close(fd)
        return 0
    return wait_for(once, f"{name} is read by the kernel") - 1


def read_alone(m, fd, size):
    """What is read while nobody answers the kernel; b"" if it waits for the daemon. (Not by a child: its close asks.)"""
    out = []
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    reader = threading.Thread(target=lambda: out.append(os.pread(fd, size, 0)), daemon=True)
    os.kill(m.pid, signal.SIGSTOP)
    try:
        reader.start()
        reader.join(PATIENCE)
        return out[0] if out else b""
    finally:
        os.kill(m.pid, signal.SIGCONT)
        reader.join()


@check("a whole cached file is read without the daemon, by pread and by mmap")
def stopped(rig):
    data = os.urandom(300000)
    write_file(rig.mount().path("image"), data)
    m = mounted(rig)
    fd = opened(m, "image")
    equal(read_alone(m, fd, len(data)), data)
    view = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    equal(view[:], data)
    view.close()
    os.close(fd)
    wait_for(lambda: int(m.status()["passthrough_files"]) == 0, "it is closed")
    equal(read_file(m.path("image")), data)


@check("what is written beside a reader: he keeps what he opened, all others see the new bytes")
def written(rig):
    m = mounted(rig)
    write_file(m.path("f"), b"old bytes")
    ino = os.stat(m.path("f")).st_ino
    fd = opened(m, "f")
    write_file(m.path("f"), b"new")
    equal(os.pread(fd, 100, 0), b"old bytes")
    equal(read_file(m.path("f")), b"new")
    equal(os.stat(m.path("f")).st_ino, ino)
    with open(m.path("f"), "ab") as f:
        f.write(b" and more")
    equal(read_file(m.path("f")), b"new and more")
    os.close(fd)
    fd = opened(m, "f")
    os.truncate(m.path("f"), 3)
    equal(os.pread(fd, 100, 0), b"new and more")
    equal(read_file(m.path("f")), b"new")
    os.close(fd)
    equal(read_file(rig.mount().path("f")), b"new")


@check("a version of another mount: who opens it gets it, who has the old one open reads that to its end")
def replaced(rig):
    m, other = mounted(rig), rig.mount()
    write_file(m.path("f"), b"old bytes")
    fd = opened(m, "f")
    write_file(other.path("f"), b"their bytes")
    equal(read_file(m.path("f")), b"their bytes")
    equal(os.pread(fd, 100, 0), b"old bytes")
    os.close(fd)
    equal(read_file(m.path("f")), b"their bytes")


@check("removed, renamed over and evicted: who has it open reads on")
def gone(rig):
    m = mounted(rig, cache_size="64M")
    data = os.urandom(3 * MIB)
    write_file(m.path("f"), data)
    fd = opened(m, "f")
    write_file(m.path("g"), b"another")
    os.rename(m.path("g"), m.path("f"))
    for n in range(30):
        write_file(m.path(f"more{n}"), os.urandom(4 * MIB))
    os.remove(m.path("f"))
    equal(read_alone(m, fd, len(data)), data)
    os.close(fd)


@check("many open and close one file at once, with writers among them: no open fails, and no read is torn")
def at_once(rig):
    m = mounted(rig)
    write_file(m.path("f"), b"0" * 50000)
    script = (
        "import os, sys\n"
        "path, me = sys.argv[1], int(sys.argv[2])\n"
        "for n in range(150):\n"
        "    if me == 0 and n % 5 == 0:\n"
        "        fd = os.open(path + '.new', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)\n"
        "        os.write(fd, str(n % 10).encode() * 50000)\n"
        "        os.close(fd)\n"
        "        os.rename(path + '.new', path)\n"
        "    fd = os.open(path, os.O_RDWR if me == 1 and n % 7 == 0 else os.O_RDONLY)\n"
        "    data = os.read(fd, 60000)\n"
        "    os.close(fd)\n"
        "    assert len(data) == 50000 and len(set(data)) == 1, (len(data), set(data))\n")
    procs = [subprocess.Popen([sys.executable, "-c", script, m.path("f"), str(n)]) for n in range(6)]
    equal([p.wait() for p in procs], [0] * len(procs))


@check("with takeover it is refused, and why is said")
def refused(rig):
    r = cli("mount", rig.source, rig.dir, "-o", "passthrough,takeover,nolock")
    true(r.returncode != 0 and "passthrough" in r.stdout, r.stdout)


if __name__ == "__main__":
    main()
