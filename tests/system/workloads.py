#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of S3: cp -a of 2,000 files, tar, git, sqlite3, rsync, find, rm -rf."""
import filecmp
import os
import random
import sqlite3

from harness.case import check, equal, main, requires, true
from harness.procs import run

BACKENDS = "file versitygw ceph"
TIMEOUT = 1800
FILES = int(os.environ.get("S3EFS_TEST_TREE_FILES", "2000"))


def tree(rig):
    """A source tree: 2,000 files in 100 directories, with symlinks, modes and times."""
    top = rig.path("tree")
    if os.path.isdir(top):
        return top
    rng = random.Random(3)
    for i in range(FILES):
        d = os.path.join(top, f"mod{i % 10}", f"part{i % 100}")
        os.makedirs(d, exist_ok=True)
        p = os.path.join(d, f"file{i}.c")
        with open(p, "wb") as f:
            f.write(b"/* %d */\n" % i + rng.randbytes(rng.choice((0, 10, 500, 3000, 9000))))
        os.chmod(p, rng.choice((0o644, 0o600, 0o755)))
        os.utime(p, ns=(10**18 + i, 10**18 + i * 1000003))
        if i % 50 == 0:
            os.symlink(f"file{i}.c", os.path.join(d, f"link{i}"))
    return top


def snapshot(top):
    """{path: (type and mode, size, mtime, link target)}"""
    out = {}
    for root, dirs, files in os.walk(top):
        for n in dirs + files:
            p = os.path.join(root, n)
            st = os.lstat(p)
            link = os.readlink(p) if os.path.islink(p) else ""
            is_dir = os.path.isdir(p) and not link
            out[os.path.relpath(p, top)] = (st.st_mode, 0 if is_dir else st.st_size,
                                            0 if link else st.st_mtime_ns, link)
    return out


def same(a, b):
    equal(snapshot(b), snapshot(a), "names, modes, sizes and times")
    for root, _, files in os.walk(a):
        for f in files:
            p = os.path.join(root, f)
            q = os.path.join(b, os.path.relpath(p, a))
            if not os.path.islink(p) and not filecmp.cmp(p, q, shallow=False):
                raise AssertionError(f"{q} differs")


@check("cp -a of a source tree of 2,000 files: bytes, modes, times, symlinks")
def cp(rig):
    m = rig.one()
    run(["cp", "-a", tree(rig), m.path("copy")], seconds=TIMEOUT)
    same(tree(rig), m.path("copy"))


@check("find counts the same, also from a mount with an empty cache")
def find(rig):
    m = rig.one()
    want = run(["find", ".", "-printf", "%P %y %m\n"], cwd=tree(rig)).stdout.splitlines()[1:]
    for root in (m, rig.mount()):
        got = run(["find", ".", "-printf", "%P %y %m\n"], cwd=root.path("copy"), seconds=TIMEOUT)
        equal(sorted(got.stdout.splitlines()[1:]), sorted(want))


@check("tar: written onto the mount, unpacked there, compared")
def tar(rig):
    m = rig.one()
    run(["tar", "--format=posix", "-cf", m.path("t.tar"), "-C", tree(rig), "mod1", "mod2"], seconds=TIMEOUT)
    os.mkdir(m.path("untar"))
    run(["tar", "-xpf", m.path("t.tar"), "-C", m.path("untar")], seconds=TIMEOUT)
    for d in ("mod1", "mod2"):
        same(os.path.join(tree(rig), d), m.path("untar", d))
    run(["tar", "-df", m.path("t.tar"), "-C", m.path("untar")], seconds=TIMEOUT)


@check("git init, add, commit, status, log, checkout, gc, fsck")
def git(rig):
    requires("git")
    m = rig.one()
    repo = m.path("repo")
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null", HOME=rig.dir,
               GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@example.org", GIT_COMMITTER_NAME="t",
               GIT_COMMITTER_EMAIL="t@example.org")

    def g(*argv):
        return run(["git", "-c", "gc.auto=0", "-c", "safe.directory=*", *argv], cwd=repo, env=env,
                   seconds=TIMEOUT).stdout
    os.mkdir(repo)
    g("init", "-q", "-b", "main")
    run(["cp", "-a", os.path.join(tree(rig), "mod3"), repo], seconds=TIMEOUT)
    g("add", "-A")
    g("commit", "-q", "-m", "first")
    equal(g("status", "--porcelain"), "", "status")
    with open(os.path.join(repo, "README"), "w", encoding="ascii") as f:
        f.write("words\n")
    equal(g("status", "--porcelain").strip(), "?? README")
    g("add", "README")
    g("commit", "-q", "-m", "second")
    g("checkout", "-q", "-b", "side", "HEAD~1")
    true(not os.path.exists(os.path.join(repo, "README")), "README after checkout")
    g("checkout", "-q", "main")
    equal(len(g("log", "--oneline").splitlines()), 2)
    g("gc", "-q")
    g("fsck", "--full", "--strict")
    equal(g("status", "--porcelain"), "", "status at the end")


@check("sqlite3 with a rollback journal: transactions, rollback, integrity_check, read by another mount")
def sqlite(rig):
    m = rig.one()
    db = sqlite3.connect(m.path("images.db"), isolation_level=None)
    equal(db.execute("PRAGMA journal_mode=DELETE").fetchone()[0], "delete")
    db.execute("CREATE TABLE image (id INTEGER PRIMARY KEY, name TEXT, body BLOB)")
    for t in range(10):
        db.execute("BEGIN")
        db.executemany("INSERT INTO image (name, body) VALUES (?, ?)",
                       ((f"{t}-{i}", os.urandom(700)) for i in range(20)))
        db.execute("ROLLBACK" if t % 3 == 2 else "COMMIT")
    equal(db.execute("SELECT count(*) FROM image").fetchone()[0], 140)
    equal(db.execute("PRAGMA integrity_check").fetchone()[0], "ok")
    db.close()
    other = rig.mount()
    db = sqlite3.connect(f"file:{other.path('images.db')}?mode=ro", uri=True)
    equal(db.execute("PRAGMA integrity_check").fetchone()[0], "ok", "from another mount")
    equal(db.execute("SELECT count(*) FROM image").fetchone()[0], 140)
    db.close()
    true(not os.path.exists(m.path("images.db-journal")), "the journal is gone")


@check("rsync -a twice: the second run sends nothing; a changed file is sent")
def rsync(rig):
    requires("rsync")
    m = rig.one()
    src = os.path.join(tree(rig), "mod4") + "/"
    run(["rsync", "-a", src, m.path("synced")], seconds=TIMEOUT)
    same(src, m.path("synced"))
    again = run(["rsync", "-ai", src, m.path("synced")], seconds=TIMEOUT).stdout
    equal(again, "", "second run")
    name = sorted(n for n in os.listdir(os.path.join(src, "part4")) if n.endswith(".c"))[0]
    with open(os.path.join(src, "part4", name), "ab") as f:
        f.write(b"changed")
    sent = run(["rsync", "-ai", src, m.path("synced")], seconds=TIMEOUT).stdout
    true(name in sent, f"{name} was not sent: {sent}")
    same(src, m.path("synced"))


@check("rm -rf leaves nothing, in the mount and in the bucket")
def rm(rig):
    m = rig.one()
    names = os.listdir(m.dir)
    run(["rm", "-rf"] + [m.path(n) for n in names], seconds=TIMEOUT)
    equal(os.listdir(m.dir), [])
    if rig.s3:
        left = [k for k in rig.s3.list(rig.bucket) if not k.startswith(".s3efs/")]
        equal(left, [], "objects")
    equal(os.listdir(rig.mount().dir), [], "from another mount")


if __name__ == "__main__":
    main()
