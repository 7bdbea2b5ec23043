# SPDX-License-Identifier: Apache-2.0
"""Processes and folders that a test starts: every one is recorded and ended at exit, by its pid,
whatever the reason for the exit is."""
import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

# Seconds after which what is waited for is said not to come: for the slowest machine under the highest load. A test
# that asks for less is decided by a clock.
PATIENCE = 600

_started = []
_undo = []
_ports = []  # sockets whose names say that this process has a port
_ended = False


class Timeout(Exception):
    """Something that was waited for did not come."""


def at_exit(func):
    """Runs func when the process ends; the last one registered runs first."""
    _undo.append(func)


def _end_all():
    global _ended
    if _ended:
        return
    _ended = True
    while _undo:
        func = _undo.pop()
        try:
            func()
        except Exception as e:  # each of the others must still run
            print(f"clean-up: {e!r}", file=sys.stderr)
    for p in reversed(_started):
        end(p)


def forked():
    """In a child that was forked: what the parent started is the parent's."""
    _undo.clear()
    _started.clear()


def end_all():
    """What atexit does, for a child that was forked."""
    _end_all()


def _on_signal(signo, _frame):
    # a second signal must not cut the clean-up short
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, signal.SIG_IGN)
    _end_all()
    os._exit(128 + signo)


def setup():
    """Called once by a program that uses this module."""
    atexit.register(_end_all)
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, _on_signal)


def start(argv, log=None, env=None, **kw):
    """Starts a process whose output goes to the file log."""
    out = open(log, "ab") if log else subprocess.DEVNULL
    try:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                             env=env, **kw)
    finally:
        if log:
            out.close()
    _started.append(p)
    return p


def start_with_output(argv):
    """Starts a process whose stdout can be read (p.stdout, text)."""
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    _started.append(p)
    return p


def end(p, seconds=10):
    """SIGTERM, then SIGKILL to a process of start()."""
    if p in _started:
        _started.remove(p)
    if p.poll() is not None:
        return p.returncode
    p.terminate()
    try:
        return p.wait(seconds)
    except subprocess.TimeoutExpired:
        p.kill()
        return p.wait()


def pid_is_alive(pid):
    """False also for a zombie: it runs no more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def end_pid(pid, seconds=10):
    """The same for a daemon that forked itself away."""
    for signo in (signal.SIGTERM, signal.SIGKILL):
        if not pid_is_alive(pid):
            return
        os.kill(pid, signo)
        try:
            wait_for(lambda: not pid_is_alive(pid), f"the end of process {pid}", seconds)
        except Timeout:
            continue


def run(argv, check=True, seconds=PATIENCE, **kw):
    """Runs a command to its end. Its output is in the exception when it fails."""
    kw.setdefault("stdin", subprocess.DEVNULL)
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", timeout=seconds, check=False, **kw)
    if check and r.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit {r.returncode}: {r.stdout[-2000:]}")
    return r


def wait_for(cond, what, seconds=PATIENCE, every=0.02):
    """Polls cond until it is true. The limit only ends a test that hangs: it decides nothing."""
    end_at = time.monotonic() + seconds
    while True:
        v = cond()
        if v:
            return v
        if time.monotonic() > end_at:
            raise Timeout(f"no {what} after {seconds} s")
        time.sleep(every)


def workdir(prefix="s3efs-test."):
    """A folder that is removed at exit."""
    d = tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("S3EFS_TEST_TMP") or None)
    at_exit(lambda: shutil.rmtree(d, ignore_errors=True))
    return d


def free_ports(n=1):
    """n free ports of 127.0.0.1 that follow each other, outside the range the kernel gives out, so
    that no client socket takes one before the server binds it, and no other test until this one ends."""
    start_at = 10000 + (os.getpid() * 61 + time.monotonic_ns() // 1000) % 20000
    for k in range(2000):
        base = 10000 + (start_at - 10000 + k * n) % 20000
        socks, marks = [], []
        try:
            for i in range(n):
                marks.append(socket.socket(socket.AF_UNIX))
                marks[-1].bind(f"\0s3efs-test-port-{base + i}")
                s = socket.socket()
                socks.append(s)
                s.bind(("127.0.0.1", base + i))
            _ports.extend(marks)
            return list(range(base, base + n))
        except OSError:
            for m in marks:
                m.close()
        finally:
            for s in socks:
                s.close()
    raise RuntimeError("no free ports on 127.0.0.1")


def port_answers(port):
    with socket.socket() as s:
        s.settimeout(2)
        try:
            s.connect(("127.0.0.1", port))
            return True
        except OSError:
            return False
