# SPDX-License-Identifier: Apache-2.0
"""What a process of the soak knows of its files and says in its ledger, and what the death of its mount excuses."""
import contextlib
import errno
import hashlib
import json
import os
import random
import time

from harness.procs import PATIENCE
from soak.bucket import bucket
from soak.control import Control

CHUNK = 1 << 16    # of a write


class Bug(Exception):
    """What was seen can't be."""


def sha(data):
    return None if data is None else hashlib.sha256(data).hexdigest()


def body(label, size):
    """Bytes that say who wrote them, and are like no others."""
    head = f"<{label}>".encode()
    return (head + hashlib.shake_128(head).digest(size))[:size]


def put(path, data, flags):
    """open, write in pieces, close: any of them may fail."""
    fd = os.open(path, flags, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view[:CHUNK]):]
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def get(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)
    return b"".join(parts)


class Stopped(Exception):
    """Another has ended the soak."""


class Owner:
    def __init__(self, a):
        self.top, self.mount, self.me, self.others = a["dir"], a["mount"], a["worker"], a["others"]
        self.control = Control(a["control"])
        self.random = random.Random(f"{a['seed']}/{self.me}")
        self.ledger = open(a["ledger"], "a", buffering=1, encoding="utf-8")
        self.home, self.n = f"w{self.me}", 0
        self.files, self.dirs = {}, {0: f"{self.home}/d0", 1: f"{self.home}/e0"}
        self.is_local = a["local"]
        self.bucket = bucket(a["bucket"])

    # What is told and what is excused.

    def say(self, **entry):
        self.ledger.write(json.dumps(entry) + "\n")

    def at(self, key):
        return os.path.join(self.top, key)

    def state(self):
        """The times that the mount went down or came up, and that its disk was filled or emptied."""
        return self.control.down(self.mount), self.control.full(self.mount)

    def excused(self, before, e):
        now = self.state()
        if before[0] != now[0] or before[0] % 2:
            return True
        return e.errno == errno.ENOSPC and (before[1] != now[1] or before[1] % 2 == 1)

    def excused_of_all(self, before, e):
        """The same in a file that others write to: what failed may have been theirs."""
        return self.excused(before, e) or (e.errno == errno.ENOSPC and self.control.full(self.mount) > 0)

    def wait_until_up(self):
        end = time.monotonic() + PATIENCE
        while self.control.down(self.mount) % 2:
            if self.control.stop():
                raise Stopped()
            if time.monotonic() > end:
                raise Bug("the mount does not come back")
            time.sleep(0.05)

    def patiently(self, call):
        """A call that the death of the mount may cut short, until it did not."""
        while True:
            self.wait_until_up()
            before = self.state()
            try:
                return call()
            except OSError as e:
                if not self.excused(before, e):
                    raise
                time.sleep(0.05)

    def look(self, key):
        """What this mount shows: bytes, or None."""
        def once():
            try:
                return get(self.at(key))
            except FileNotFoundError:
                if self.state()[0] != before[0]:
                    raise  # the bare folder below the mount
                return None

        while True:
            self.wait_until_up()
            before = self.state()
            try:
                found = once()
            except OSError as e:
                if not self.excused(before, e):
                    raise
                time.sleep(0.05)
                continue
            if before[0] == self.state()[0]:
                return found

    # Changes.

    def change(self, op, new, call):
        """Does what makes the names of new hold its bytes (None: no such name)."""
        old = {k: self.files.get(k) for k in new}
        before, begun = self.state(), time.monotonic()
        entry = dict(op=op, t0=begun, worker=self.me, old={k: sha(v) for k, v in old.items()},
                     new={k: sha(v) for k, v in new.items()})
        try:
            call()
            end, failed = new, None
        except OSError as e:
            failed = e
            if not self.excused(before, e):
                self.say(**entry, t1=time.monotonic(), err=e.errno, end={}, bug=True)
                raise Bug(f"{op} {list(new)}: {e}") from e
            try:
                end = self.settle(op, old, new, before)
            except Bug as b:
                self.say(**entry, t1=time.monotonic(), err=e.errno, end={}, bug=True)
                raise Bug(f"{b} (it had failed with {e})") from e
        for k, v in end.items():
            self.files.pop(k, None) if v is None else self.files.__setitem__(k, v)
        self.say(**entry, t1=time.monotonic(), err=failed.errno if failed else 0,
                 end={k: sha(v) for k, v in end.items()})
        return failed is None

    def settle(self, op, old, new, before):
        """What became of a change that failed: it was made, or not, as a whole. A rename that a dead mount had begun is
        ended by the next one, when the dead one's lease has run out; until then it may still go either way."""
        end = time.monotonic() + PATIENCE
        while True:
            standing = op.startswith("rename") and self.bucket.standing(self.home)
            found = {k: self.look(k) for k in new}
            if found in (old, new) and not standing:
                return found
            was_down = before[0] != self.state()[0]
            if len(new) == 1 and was_down and op in ("create", "rewrite", "copy"):
                key, data = next(iter(found.items()))
                if data is not None and new[key].startswith(data):
                    return found  # a daemon that ended in order has sent what it had: judged with its times
            # What a full disk refused is given up after close, when the kernel releases the file.
            if (len(new) == 1 and was_down and op != "link") or time.monotonic() > end:
                what = {k: (v[:60], len(v)) if v is not None else None for k, v in found.items()}
                raise Bug(f"{op}: neither old nor new: {what}, old {[(k, v and (v[:60], len(v))) for k, v in old.items()]}")
            time.sleep(0.5)
