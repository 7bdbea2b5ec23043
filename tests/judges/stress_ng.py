#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stress-ng: each of its file stressors, with --verify, one after the other."""
import functools
import os

import judge
from harness.case import Skip, check, equal, main

BACKENDS = "file versitygw ceph"
TIMEOUT = 3600
# Those that open, name, map, lock and copy files. Not those that only use /proc, pipes or file systems
# of their own (bind-mount, binderfs, dup, eventfd, fanotify, ioprio, procfs).
STRESSORS = """access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify fallocate fcntl
    fiemap file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease
    link locka lockf lockofd mknod open rename symlink sync-file touch utime verity xattr
    aio aiol io-uring readahead revio seek sendfile splice mmap""".split()
# Of Debian 12's stress-ng 0.15, io-uring asks for a file by the name that it took away: past some 60 operations
# its statx is ENOENT, and it fails, on ext4 and tmpfs just as here.
MOST = {"io-uring": 40}
NOT_HERE = {3: "not implemented here", 4: "no resources for it"}


def stress(rig, name):
    m = judge.mount(rig)
    d = judge.folder(m, name)
    many = [str(min(judge.size(40, 400), MOST.get(name, 400))), "--timeout", str(judge.size(4, 30))]
    r = judge.run(rig, name, [judge.program("stress-ng"), "--temp-path", d, f"--{name}", str(judge.size(1, 2)),
                              f"--{name}-ops", *many, "--verify", "--no-rand-seed"], 1200, None)
    if r.returncode in NOT_HERE:
        raise Skip(NOT_HERE[r.returncode])
    equal(r.returncode, 0, f"exit of stress-ng: {r.stdout[-1500:]}")
    equal(os.listdir(d), [], "what is left in its folder")
    os.rmdir(d)


for stressor in STRESSORS:
    f = functools.partial(stress, name=stressor)
    f.__name__ = stressor
    check(f"stress-ng --{stressor}")(f)
main()
