#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""git: a repository is made, packed, cloned and checked out on the mount, and never looks changed."""
import os
import random

import judge
from harness.case import check, equal, main, write_file

BACKENDS = "file versitygw ceph"
TIMEOUT = 1800 if judge.LONG else 400
FILES = judge.size(40, 1000)

IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.com", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def git(rig, d, *argv):
    env = dict(os.environ, **IDENTITY)
    return judge.run(rig, f"git {' '.join(argv)}", ["git", "-C", d, "-c", "init.defaultBranch=main", *argv], env=env).stdout


def clean(rig, d):
    equal(git(rig, d, "status", "--porcelain"), "", f"git status in {os.path.basename(d)}")
    git(rig, d, "fsck", "--full", "--strict")


def fill(d, rng, n):
    for i in range(n):
        sub = os.path.join(d, f"folder {i % 7}", f"ü{i % 3}")
        os.makedirs(sub, exist_ok=True)
        write_file(os.path.join(sub, f"file {i}.txt"), rng.randbytes(rng.randrange(0, 40000)),
                   0o755 if i % 5 == 0 else 0o644)
    if not os.path.islink(os.path.join(d, "link")):
        os.symlink("folder 1/ü1", os.path.join(d, "link"))


@check("init, commit, branch, checkout, merge: status is clean, fsck finds nothing")
def commit(rig):
    m = judge.mount(rig)
    d = judge.folder(m, "origin")
    git(rig, d, "init", "-q")
    fill(d, random.Random(1), FILES)
    git(rig, d, "add", "-A")
    git(rig, d, "commit", "-q", "-m", "one")
    clean(rig, d)
    git(rig, d, "checkout", "-q", "-b", "other")
    fill(d, random.Random(2), FILES)
    git(rig, d, "commit", "-q", "-a", "-m", "two")
    clean(rig, d)
    git(rig, d, "checkout", "-q", "main")
    clean(rig, d)
    git(rig, d, "merge", "-q", "other")
    clean(rig, d)


@check("clone on the mount, gc, push: both are clean and the same, also after unmount and mount")
def clone(rig):
    m = judge.mount(rig)
    d, c = m.path("origin"), m.path("clone")
    git(rig, m.dir, "clone", "-q", "--no-hardlinks", d, c)
    clean(rig, c)
    git(rig, c, "checkout", "-q", "-b", "third")
    fill(c, random.Random(3), FILES // 2)
    git(rig, c, "commit", "-q", "-a", "-m", "three")
    git(rig, c, "push", "-q", "origin", "third")
    git(rig, d, "gc", "-q", "--prune=now", "--aggressive")
    git(rig, d, "checkout", "-q", "third")
    m.unmount()
    m.remount()
    for repository in (d, c):
        clean(rig, repository)
    equal(git(rig, d, "rev-parse", "HEAD"), git(rig, c, "rev-parse", "HEAD"), "the commit that was pushed")


main()
