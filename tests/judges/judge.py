# SPDX-License-Identifier: Apache-2.0
"""What the judges share: the mount that is judged, the programs, the list of exceptions."""
import hashlib
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from harness import procs, servers  # noqa: E402
from harness.case import Skip, equal  # noqa: E402

LONG = os.environ.get("S3EFS_JUDGES_LONG") == "1"
EXCEPTIONS = os.path.join(HERE, "exceptions.txt")


def size(usual, long):
    return long if LONG else usual


def program(name):
    """A program of cargo's, kept by tools/check, or one of the system."""
    own = os.path.join(servers.CACHE, "cargo", "bin", name)
    found = own if os.access(own, os.X_OK) else shutil.which(name)
    if not found:
        raise Skip(f"{name} is not installed (tools/check installs it where it can)")
    return found


def options(rig):
    """The judges' options: the defaults of a mount by root, and the server itself, not the proxy."""
    return {"endpoint": rig.server.endpoint} if rig.server else {}


def mount(rig):
    """The judged mount; the same one for all checks of a script. Other users may go there, and its path is
    short: a socket's has at most 107 bytes."""
    if not rig.mounts:
        os.chmod(rig.dir, 0o755)
        rig.mount_at(os.path.join(os.environ.get("S3EFS_TEST_TMP") or rig.dir, "m"), **options(rig))
    return rig.mounts[0]


def folder(m, name):
    d = m.path(name)
    os.mkdir(d)
    return d


def run(rig, name, argv, seconds=1200, want=0, **kw):
    """A command whose output goes to the log too."""
    r = procs.run(argv, check=False, seconds=seconds, cwd=rig.dir, **kw)
    print(f"--- {name}: exit {r.returncode}\n{r.stdout[-200000:]}", file=sys.stderr)
    if want is not None and r.returncode != want:
        raise AssertionError(f"{name}: exit {r.returncode}: {r.stdout[-1500:]}")
    return r


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def object_digest(rig, key):
    """Of the object itself, read past the daemon."""
    if rig.s3:
        return hashlib.sha256(rig.s3.get(rig.bucket, key).body).hexdigest()
    return digest(os.path.join(rig.source[len("file://"):], key))


def survives(rig, m, names):
    """Files of the mount are the same after unmount and mount, from a new cache, and in the bucket."""
    want = {n: digest(m.path(n)) for n in names}
    m.unmount()
    for n in names:
        equal(object_digest(rig, n), want[n], f"object {n}")
    m.remount()
    for n in names:
        equal(digest(m.path(n)), want[n], f"{n} after unmount and mount")
    other = rig.mount(**options(rig))
    for n in names:
        equal(digest(other.path(n)), want[n], f"{n} from a new cache")
    other.unmount()
    rig.mounts.remove(other)


def exceptions(judge, backend):
    """{test: cause} of the tests that are known not to pass on this backend."""
    out = {}
    with open(EXCEPTIONS, encoding="ascii") as f:
        for number, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            m = re.fullmatch(r"(\S+) (\S+) (\S+) +(key|server): (.+)", line)
            if not m:
                raise AssertionError(f"{EXCEPTIONS}:{number}: want JUDGE BACKENDS TEST key|server: CAUSE")
            if m[1] == judge and (m[2] == "*" or backend in m[2].split(",")):
                out[m[3]] = f"{m[4]}: {m[5]}"
    return out


def verdicts(rig, judge, results):
    """Results {test: (ok|failed|skipped, why)} of a judge with tests of its own: each is one of ours. A
    listed test that passes is as red as one that fails without being listed."""
    listed = exceptions(judge, rig.backend)
    for test in sorted(set(listed) - set(results)):
        results[test] = "failed", "listed in exceptions.txt, but there is no such test"
        listed.pop(test)
    red = []
    for test, (verdict, why) in sorted(results.items()):
        if verdict == "ok" and test in listed:
            verdict, why = "failed", "it passes, though exceptions.txt lists it"
        elif verdict == "failed" and test in listed:
            verdict, why = "skipped", f"as listed ({listed[test]})"
        word = {"ok": "PASS", "failed": "FAIL", "skipped": "SKIP"}[verdict]
        if word == "FAIL":
            red.append(test)
        rig.totals[word] += 1
        print(f"{word} {judge}[{rig.backend}] {test}" + (f": {why}" if why else ""), flush=True)
    if red:
        raise AssertionError(f"{len(red)} failed: {' '.join(red[:10])}")
