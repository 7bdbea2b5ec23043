# SPDX-License-Identifier: Apache-2.0
"""A test script: functions marked @check run in their order on one rig (bucket, proxy, mounts).

    BACKENDS = "versitygw ceph"        # read by the runner: on which the script runs
    TIMEOUT = 300                      # seconds; the runner ends a script that hangs
    @check("cp makes exactly one PUT")
    def cp(rig): ...
    main()

A check passes when it returns, fails with any exception, and is skipped by Skip(reason)."""
import contextlib
import errno
import os
import re
import shutil
import sys
import traceback
import uuid

from . import mount, procs, proxy, servers


class Skip(Exception):
    pass


_checks = []


def check(title):
    def mark(func):
        _checks.append((title, func))
        return func
    return mark


def requires(*programs):
    for p in programs:
        if not shutil.which(p):
            raise Skip(f"{p} is not installed")


def short(v):
    text = repr(v)
    size = f" ({len(v)} bytes)" if isinstance(v, (bytes, bytearray)) else ""
    return (text if len(text) <= 600 else text[:300] + " ... " + text[-200:]) + size


def equal(got, want, what="value"):
    if got != want:
        raise AssertionError(f"{what}: got {short(got)}, want {short(want)}")


def true(cond, what):
    if not cond:
        raise AssertionError(what)


def contains(text, *words):
    """One of the words, without regard to case."""
    if not any(w.lower() in text.lower() for w in words):
        raise AssertionError(f"none of {words} in: {text[-1500:]}")


@contextlib.contextmanager
def fails_with(*codes):
    """The block must raise OSError with one of these errnos."""
    try:
        yield
    except OSError as e:
        if e.errno not in codes:
            raise AssertionError(f"errno {errno.errorcode.get(e.errno, e.errno)}, want "
                                 f"{[errno.errorcode[c] for c in codes]}") from e
        return
    raise AssertionError(f"no error, want {[errno.errorcode[c] for c in codes]}")


def write_file(path, data, mode=0o644):
    """open, write, close by system calls: an error of close() is an exception."""
    if isinstance(data, str):
        data = data.encode()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def open_at_last(path, flags):
    """On a soft mount, whose time a slow machine may use up for an open already: EIO is tried again."""
    def opened():
        try:
            return os.open(path, flags, 0o644) + 1
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            return 0
    return procs.wait_for(opened, f"open of {path}") - 1


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


class Rig:
    """What the checks of one script work on: a fresh bucket of the chosen backend."""

    def __init__(self, backend):
        self.backend = backend
        self.dir = procs.workdir()
        self.mounts, self.n_mounts, self.allowed, self.scanned = [], 0, [], {}
        self.server = self.proxy = self.s3 = self.bucket = None
        if backend == "file":
            os.mkdir(os.path.join(self.dir, "bucket"))
            self.source = "file://" + os.path.join(self.dir, "bucket")
        elif backend != "none":
            self.server = servers.get(backend)
            procs.at_exit(self.server.stop)
            self.s3 = self.server.client()
            self.proxy = proxy.Proxy(self.server.endpoint)
            self.bucket = self.new_bucket()
            self.source = "s3://" + self.bucket

    def new_bucket(self):
        name = "t-" + uuid.uuid4().hex[:16]
        self.s3.make_bucket(name)
        return name

    def fresh(self):
        """Another empty bucket, for a check that wants one of its own."""
        if self.backend == "file":
            d = os.path.join(self.dir, "bucket-" + uuid.uuid4().hex[:8])
            os.mkdir(d)
            self.source = "file://" + d
        else:
            self.bucket = self.new_bucket()
            self.source = "s3://" + self.bucket

    def options(self, **opts):
        o = {"cache_dir": self.path("cache-" + uuid.uuid4().hex[:8])}
        if self.proxy:
            o["endpoint"] = self.proxy.endpoint
        o.update(opts)
        return o

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def mount(self, source=None, env=None, **opts):
        """Mounts the bucket at a new directory, with a new cache unless cache_dir= is given."""
        return self.mount_at(self.path(f"mnt{self.n_mounts}"), source, env, **opts)

    def mount_at(self, d, source=None, env=None, **opts):
        log = self.path(f"log{self.n_mounts}")
        self.n_mounts += 1  # not len(self.mounts): one() takes the place of another
        m = mount.Mount(source or self.source, d, self.options(**opts), log, env)
        self.mounts.append(m)
        return m

    def allow(self, pattern):
        """Error lines of the daemon's log that match are expected."""
        self.allowed.append(re.compile(pattern))

    def one(self):
        """The script's common mount."""
        if not self.mounts or self.mounts[0].proc.poll() is not None:
            m = self.mount()
            if self.mounts[0] is not m:
                self.mounts.remove(m)
                self.mounts.insert(0, m)
        return self.mounts[0]

    def bad_lines(self):
        """New lines in the logs that nobody expected."""
        out = []
        for m in self.mounts:
            text = m.log()
            start = self.scanned.get(m.log_path, 0)
            self.scanned[m.log_path] = len(text)
            for line in text[start:].splitlines():
                if not re.search(r"level=error|Sanitizer|Assertion|runtime error:|invariant", line):
                    continue
                if not any(p.search(line) for p in self.allowed):
                    out.append(line)
        return out

    def settle(self):
        """After each check: no rule, no latency is left over."""
        if self.proxy:
            self.proxy.clear()
            self.proxy.rtt(0)
        for m in self.mounts[1:]:
            m.discard()
        del self.mounts[1:]


def _run(rig, title, func, name, totals):
    rig.allowed = []
    try:
        func(rig)
        bad = rig.bad_lines()
        if bad:
            raise AssertionError("the daemon logged: " + " | ".join(bad[:5]))
        verdict, why = "PASS", ""
    except (Skip, servers.Missing) as e:
        verdict, why = "SKIP", f": {e}"
    except Exception as e:
        verdict, why = "FAIL", f": {type(e).__name__}: {e}"
        traceback.print_exc()
        for m in rig.mounts:
            print(f"--- log of {m.dir} (end)\n{m.log()[-3000:]}\n---", file=sys.stderr)
    with contextlib.suppress(Exception):
        rig.bad_lines()
        rig.settle()
    totals[verdict] += 1
    sys.stderr.flush()
    print(f"{verdict} {name}: {title}{why}", flush=True)


def main():
    """Runs the checks; the last line is the count. Exit 1 when one failed, 77 when all were skipped."""
    backend = os.environ.get("S3EFS_TEST_BACKEND", "versitygw")
    only = sys.argv[1:]
    procs.setup()
    name = f"{os.path.splitext(os.path.basename(sys.argv[0]))[0]}[{backend}]"
    totals = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    chosen = [c for c in _checks if not only or any(w in c[1].__name__ for w in only)]
    try:
        rig = Rig(backend)
    except servers.Missing as e:
        for title, _ in chosen:
            print(f"SKIP {name}: {title}: {e}", flush=True)
        print(f"0 passed, 0 failed, {len(chosen)} skipped", flush=True)
        sys.exit(77)
    rig.totals = totals  # a check may stand for several
    for title, func in chosen:
        _run(rig, title, func, name, totals)
    print(f"{totals['PASS']} passed, {totals['FAIL']} failed, {totals['SKIP']} skipped", flush=True)
    sys.exit(1 if totals["FAIL"] else 0 if totals["PASS"] else 77)
