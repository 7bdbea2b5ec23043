# SPDX-License-Identifier: Apache-2.0
"""Processes that take locks and do what they are told, or count under them."""
import subprocess
import sys

from harness import procs
from harness.case import equal

# python3 -c HELPER FILE KIND: takes commands from stdin, a line each, and answers each with a line.
HELPER = """
import errno, fcntl, os, sys, threading
path, kind = sys.argv[1:]
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
modes = {"sh": fcntl.LOCK_SH, "ex": fcntl.LOCK_EX, "un": fcntl.LOCK_UN}
def call(word, args):
    if word == "read":
        return os.pread(fd, 100, 0).decode()
    if word == "write":
        return str(os.pwrite(fd, args[0].encode(), 0))
    if word == "close":
        os.close(fd)
        return "closed"
    flags = modes[word] | (0 if word == "un" or args[:1] == ["wait"] else fcntl.LOCK_NB)
    if kind == "flock":
        fcntl.flock(fd, flags)
    else:
        fcntl.lockf(fd, flags, *[int(a) for a in args[1:]])
    return "ok"
for line in sys.stdin:
    word, *args = line.split()
    try:
        print(call(word, args), flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno].replace("DEADLOCK", "DEADLK"), flush=True)
"""

# python3 -c ADDER FILE KIND TIMES
ADDER = """
import fcntl, os, sys
path, kind, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
take = fcntl.flock if kind == "flock" else fcntl.lockf
for _ in range(times):
    take(fd, fcntl.LOCK_EX)
    n = int(os.pread(fd, 100, 0) or b"0")
    os.pwrite(fd, b"%-10d" % (n + 1), 0)
    take(fd, fcntl.LOCK_UN)
"""


class Holder:
    """A process with a file open, which does what it is told."""

    def __init__(self, path, kind="posix"):
        self.p = subprocess.Popen([sys.executable, "-c", HELPER, path, kind], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        procs.at_exit(lambda: procs.end(self.p))

    def send(self, *words):
        self.p.stdin.write(" ".join(map(str, words)) + "\n")
        self.p.stdin.flush()

    def answer(self):
        return self.p.stdout.readline().rstrip("\n")

    def __call__(self, *words):
        self.send(*words)
        return self.answer()

    def kill(self):
        self.p.kill()
        self.p.wait()

    def end(self):
        self.p.stdin.close()
        equal(self.p.wait(procs.PATIENCE), 0, "exit code of a holder")
