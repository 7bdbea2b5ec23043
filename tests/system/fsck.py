#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""s3efs fsck on what mounts leave that were killed: told, then repaired, and nothing of a user's is touched."""
import contextlib
import json
import os
import subprocess
import sys

from harness import procs
from harness.case import check, contains, equal, main, read_file, true, write_file
from harness.mount import cli
from harness.procs import wait_for
from harness.s3 import S3Error

BACKENDS = "file versitygw ceph"
TIMEOUT = 400
FILES = 40

HOLDER = "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(3600)"


def fsck(rig, *args):
    """Exit code, findings, summary."""
    opts = ["-o", "endpoint=" + rig.proxy.endpoint] if rig.proxy else []
    r = cli("fsck", rig.source, "--json", *opts, *args)
    lines = [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]
    true(lines and "summary" in lines[-1], f"no summary: exit {r.returncode}: {r.stdout}")
    return r.returncode, lines[:-1], lines[-1]["summary"]


def kinds(findings, fate):
    return sorted({f["finding"] for f in findings if f["fate"] == fate})


@check("an empty bucket is clean; usage, and a bucket that is not there")
def clean(rig):
    rig.fresh()
    code, findings, summary = fsck(rig)
    equal((code, findings, summary["objects"]), (0, [], 0), "fsck of an empty bucket")
    equal(cli("fsck").returncode, 16, "no source")
    equal(cli("fsck", rig.source, "--older-than", "soon").returncode, 16, "not a time")
    equal(cli("fsck", "file:///not/there").returncode, 8, "no bucket")
    r = cli("fsck", rig.source, *(["-o", "endpoint=" + rig.proxy.endpoint] if rig.proxy else []))
    equal(r.stdout, "0 objects checked, 0 findings, 0 repaired\n", "the closing line")


def begin_rename(rig, m):
    """A directory's rename: held in its middle on a server, wherever the kill meets it on file://."""
    if rig.proxy:
        rig.proxy.rule(op="PUT", key=f"new/f{FILES // 2}", action="hold")
    p = subprocess.Popen([sys.executable, "-c", "import os, sys; os.rename(*sys.argv[1:])", m.path("old"), m.path("new")],
                         stderr=subprocess.DEVNULL)
    if rig.proxy:
        rig.proxy.wait_held()
    else:
        wait_for(lambda: p.poll() is not None or m.status()["rename_steps_done"] > 0, "the rename", every=0.001)
    return p


@check("a mount killed in a rename, with a lock held and an upload left: repaired, and all its files are there")
def killed(rig):
    rig.fresh()
    m = rig.mount()
    os.mkdir(m.path("old"))
    for i in range(FILES):
        write_file(m.path("old", f"f{i}"), f"bytes of {i}")
    write_file(m.path("locked"), "under a lock")
    holder = procs.start([sys.executable, "-c", HOLDER, m.path("locked")], rig.path("holder.log"))
    wait_for(lambda: b"held" in read_file(rig.path("holder.log")), "the lock")
    if rig.s3:
        rig.s3.call("POST", rig.bucket, "left/upload", {"uploads": ""})
        equal(len(rig.s3.uploads(rig.bucket)), 1, "open uploads")
    p = begin_rename(rig, m)
    code, findings, _ = fsck(rig, "--cache", m.opts["cache_dir"], "--wait", "0s")
    contains(json.dumps(findings), "in use by pid")
    equal([f["finding"] for f in findings if f["fate"] not in ("note", "left")], [], "found of a mount that lives")
    m.kill()
    holder.kill()
    holder.wait()
    p.wait()
    if rig.proxy:
        rig.proxy.clear()

    code, findings, summary = fsck(rig, "--repair", "--older-than", "0s", "--cache", m.opts["cache_dir"])
    equal((code, summary["left"], summary["errors"]), (1, 0, 0), f"exit, left, errors of {findings}")
    want = ["dead-lock", "dead-session"]
    if rig.s3:
        want += ["abandoned-upload", "unfinished-rename"]
        equal(rig.s3.uploads(rig.bucket), [], "open uploads")
    missing = set(want) - set(kinds(findings, "repaired"))
    equal(missing, set(), f"not among what was repaired: {findings}")

    code, findings, summary = fsck(rig, "--cache", m.opts["cache_dir"])
    equal((code, summary["findings"]), (0, 0), f"after the repair: {findings}")
    fresh = rig.mount()
    true(len(set(os.listdir(fresh.path(""))) & {"old", "new"}) == 1, "one of the two names is there")
    top = "new" if os.path.exists(fresh.path("new")) else "old"
    equal(sorted(os.listdir(fresh.path(top))), sorted(f"f{i}" for i in range(FILES)), "names")
    for i in range(FILES):
        equal(read_file(fresh.path(top, f"f{i}")), f"bytes of {i}".encode(), f"f{i}")
    equal(read_file(fresh.path("locked")), b"under a lock", "the locked file")
    code = subprocess.run([sys.executable, "-c", HOLDER.replace("time.sleep(3600)", "0"), fresh.path("locked")], timeout=procs.PATIENCE,
                          stdout=subprocess.DEVNULL, check=False).returncode
    equal(code, 0, "the lock can be taken")


@check("a bit that flipped in the cache is found, told, dropped")
def flipped(rig):
    rig.fresh()
    m = rig.mount()
    write_file(m.path("image"), os.urandom(1 << 20))
    cache = m.opts["cache_dir"]
    m.unmount()
    files = [os.path.join(d, n) for d, _, names in os.walk(os.path.join(cache, "blocks")) for n in names]
    equal([os.path.getsize(f) for f in files], [1 << 20], "cached versions")
    with open(files[0], "r+b") as f:
        f.seek(300000)
        byte = f.read(1)[0]
        f.seek(300000)
        f.write(bytes([byte ^ 4]))
    for args, want, fate in (([], 4, "repairable"), (["--repair"], 1, "repaired")):
        code, findings, summary = fsck(rig, "--cache", cache, *args)
        equal((code, [(f["finding"], f["name"], f["fate"]) for f in findings]), (want, [("cache-block", "image", fate)]),
              "the flipped bit")
        equal(summary["cached_versions"], 1, "cached versions")
    equal(fsck(rig, "--cache", cache)[0], 0, "after the repair")


@check("a bucket of keys that no mount shows: told one by one, and not one object changes")
def hostile(rig):
    if not rig.s3:  # a directory can't have them
        return
    rig.fresh()
    keys = ["a//b", "dots/../x", "dot/./x", "file", "file/below", "n" * 300, "line\nbreak", ".s3efs/locks/foreign",
            ".s3efs/lost+found/bytes"]
    for k in keys:
        with contextlib.suppress(S3Error):  # a server on a file system can't have each of them
            rig.s3.put(rig.bucket, k, b"bytes of " + k.encode())
    stored = rig.s3.list(rig.bucket)
    true({"line\nbreak", ".s3efs/locks/foreign", ".s3efs/lost+found/bytes"} <= set(stored), f"stored: {sorted(stored)}")
    before = {k: (rig.s3.get(rig.bucket, k).body, rig.s3.head(rig.bucket, k).etag()) for k in stored}
    code, findings, summary = fsck(rig, "--repair", "--older-than", "0s")
    equal(code, 4, f"exit of {findings}")
    told = {f["name"]: f["finding"] for f in findings}
    for k in stored:
        if k in ("a//b", "dots/../x", "dot/./x", "n" * 300):
            equal(told.get(k), "hidden-key", k)
    if "file/below" in stored and "file" in stored:
        equal(told["file"], "shadowed-file", "a file behind a directory")
    equal(told["locks/foreign"], "unreadable-record", "a record of nobody's")
    equal(summary["repaired"], 0, "repaired")
    after = {k: (rig.s3.get(rig.bucket, k).body, rig.s3.head(rig.bucket, k).etag()) for k in rig.s3.list(rig.bucket)}
    equal({k: v for k, v in after.items() if not k.startswith(".s3efs/probe/")}, before, "the objects")


if __name__ == "__main__":
    main()
