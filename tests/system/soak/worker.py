# SPDX-License-Identifier: Apache-2.0
"""One process of the soak: work in its own folder of one mount, in the files that all share, and looks at the others'.

It knows what each of its files holds, for nobody else writes there, and says so in its ledger, a JSON line for each
operation: begun, ended, what the names held before, what they were to hold, what they hold, and how it failed. It stops
the soak at the first thing that can't be."""
import contextlib
import errno
import json
import os
import sys
import time
import traceback

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness.procs import PATIENCE  # noqa: E402
from soak.owner import Bug, Owner, Stopped, body, get, put, sha  # noqa: E402

FILES = 6  # in each directory of a worker


class Worker(Owner):
    def name(self):
        return f"{self.dirs[self.random.randrange(2)]}/f{self.random.randrange(FILES)}"

    def known(self, pattern="/f"):
        """One of its files, or None."""
        keys = sorted(k for k in self.files if pattern in k)
        return self.random.choice(keys) if keys else None

    def fresh(self):
        self.n += 1
        r = self.random.random()
        size = (0 if r < 0.03 else self.random.randrange(1, 5000) if r < 0.5 else self.random.randrange(5000, 200000) if r < 0.985
                else self.random.randrange(9 << 20, 18 << 20))
        return body(f"{self.me}.{self.n}", size)

    def temp_and_rename(self):
        key, data = self.name(), self.fresh()
        if self.change("create", {key + ".tmp": data},
                       lambda: put(self.at(key + ".tmp"), data, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            self.change("rename", {key: data, key + ".tmp": None}, lambda: os.rename(self.at(key + ".tmp"), self.at(key)))

    def create(self):
        key, data = self.name(), self.fresh()
        flags = os.O_WRONLY | os.O_CREAT
        if key not in self.files and self.random.random() < 0.5:
            self.change("create", {key: data}, lambda: put(self.at(key), data, flags | os.O_EXCL))
        else:
            self.change("rewrite", {key: data}, lambda: put(self.at(key), data, flags | os.O_TRUNC))

    def append(self):
        key = self.known()
        if key and len(self.files[key]) < 1 << 20:
            more = body(f"{self.me}.{self.n}+", self.random.randrange(1, 3000))
            self.change("append", {key: self.files[key] + more}, lambda: put(self.at(key), more, os.O_WRONLY | os.O_APPEND))

    def overwrite(self):
        key = self.known()
        if not key:
            return
        self.n += 1
        old = self.files[key]
        at = self.random.randrange(len(old) + 1)
        piece = body(f"{self.me}.{self.n}@", self.random.randrange(1, 3000))

        def call():
            fd = os.open(self.at(key), os.O_WRONLY)
            try:
                os.pwrite(fd, piece, at)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.close(fd)
                raise
            os.close(fd)
        self.change("overwrite", {key: old[:at] + piece + old[at + len(piece):]}, call)

    def truncate(self):
        key = self.known()
        if key:
            size = self.random.randrange(min(2 * len(self.files[key]) + 10, 1 << 20))
            data = self.files[key][:size]
            self.change("truncate", {key: data + bytes(size - len(data))}, lambda: os.truncate(self.at(key), size))

    def rename(self):
        key, to = self.known(), self.name()
        if key and to != key:
            self.change("rename", {key: None, to: self.files[key]}, lambda: os.rename(self.at(key), self.at(to)))

    def rename_dir(self):
        i = self.random.randrange(2)
        old = self.dirs[i]
        new = f"{old[:-1]}{1 - int(old[-1])}"
        names = [k for k in self.files if k.startswith(old + "/")]
        change = {k: None for k in names}
        change.update({new + k[len(old):]: self.files[k] for k in names})
        done = self.change("rename_dir", change, lambda: os.rename(self.at(old), self.at(new)))
        if done:
            self.dirs[i] = new
        elif names:
            self.dirs[i] = old if names[0] in self.files else new
        else:  # an empty one: which name it has is all there is to see
            self.dirs[i] = self.one_of(old, new)

    def one_of(self, old, new):
        end = time.monotonic() + PATIENCE
        while True:
            there = [self.patiently(lambda k=k: os.path.isdir(self.at(k))) for k in (old, new)]
            if there in ([True, False], [False, True]):
                return new if there[1] else old
            if time.monotonic() > end:
                raise Bug(f"rename_dir: {old} and {new} are there: {there}")
            time.sleep(0.5)

    def unlink(self):
        key = self.known("/")
        if key and "/h" not in key:
            self.change("unlink", {key: None}, lambda: os.unlink(self.at(key)))

    def copy(self):
        key, to = self.known(), self.name()
        if not key or to == key:
            return
        data = self.files[key]

        def call():
            with open(self.at(key), "rb", buffering=0) as src:
                fd = os.open(self.at(to), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                try:
                    left = len(data)
                    while left and (n := os.copy_file_range(src.fileno(), fd, left)):
                        left -= n
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.close(fd)
                    raise
                os.close(fd)
        self.change("copy", {to: data}, call)

    def link(self):
        """A second name, a write through one of them, and the end of it."""
        key, second = f"{self.home}/h", f"{self.home}/h.ln"
        if key not in self.files:
            data = self.fresh()
            self.change("rewrite", {key: data}, lambda: put(self.at(key), data, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        elif second not in self.files:
            self.change("link", {second: self.files[key]}, lambda: os.link(self.at(key), self.at(second)))
        elif self.random.random() < 0.6:
            more = body(f"{self.me}.{self.n}+", 500)
            data = (self.files[key] + more) if len(self.files[key]) < 1 << 20 else more
            flags = os.O_WRONLY | (os.O_APPEND if len(data) > 500 else os.O_TRUNC)
            self.change("linked", {key: data, second: data}, lambda: put(self.at(self.random.choice((key, second))), more, flags))
        else:
            self.change("unlink", {second: None}, lambda: os.unlink(self.at(second)))

    def read(self):
        key = self.known("/")
        if key:
            found, want = self.look(key), self.files[key]
            if found != want:
                raise Bug(f"{key} on its own mount: {found and found[:60]} ({found and len(found)}), "
                          f"not {want[:60]} ({len(want)})")

    def list(self):
        d = self.dirs[self.random.randrange(2)]
        before = self.state()
        try:
            found = sorted(os.listdir(self.at(d)))
        except OSError as e:
            if not self.excused(before, e):
                raise Bug(f"listing {d}: {e}") from e
            return
        want = sorted(k[len(d) + 1:] for k in self.files if k.startswith(d + "/"))
        if found != want and self.state() == before:
            raise Bug(f"{d} lists {found}, not {want}")

    def peek(self):
        """Another worker's file, by whichever name it may have now."""
        key = f"w{self.random.choice(self.others)}/{self.random.choice('de')}{self.random.randrange(2)}/f{self.random.randrange(FILES)}"
        before, begun = self.state(), time.monotonic()
        entry = dict(op="peek", t0=begun, worker=self.me, key=key)
        try:
            data = get(self.at(key))
            self.say(**entry, t1=time.monotonic(), found=sha(data), size=len(data), head=repr(data[:40]))
        except FileNotFoundError:
            if before == self.state() and before[0] % 2 == 0:
                self.say(**entry, t1=time.monotonic(), found=None)
        except OSError as e:
            # the version that was opened is gone, and its bytes are not here
            if e.errno != errno.ESTALE and not self.excused(before, e):
                raise Bug(f"reading {key}: {e}") from e

    # What all write to.

    def shared_append(self):
        """A line of the log of all, or of that of this mount: told if it was acknowledged."""
        self.n += 1
        log = self.random.choice(("shared/log", f"shared/log{self.mount}"))
        line = f"{self.me} {self.n} {'.' * self.random.randrange(60)}\n"
        before, begun = self.state(), time.monotonic()
        entry = dict(op="line", t0=begun, worker=self.me, key=log, line=line, local=self.is_local)
        try:
            put(self.at(log), line.encode(), os.O_WRONLY | os.O_APPEND)
            self.say(**entry, t1=time.monotonic(), err=0)
        except OSError as e:
            excused = self.excused_of_all(before, e)
            # in doubt, under more than 16 commits of others: how often is compared with the daemons' logs
            in_doubt = not excused and e.errno == errno.EIO
            self.say(**entry, t1=time.monotonic(), err=e.errno, in_doubt=in_doubt)
            if not excused and not in_doubt:
                raise Bug(f"append to {log}: {e}") from e

    def contested(self):
        """Whole contents by all: one of them stands there, whole."""
        self.n += 1
        key = f"shared/c{self.random.randrange(2)}"
        data = body(f"{self.me}.{self.n}", self.random.randrange(1, 50000))
        before, begun = self.state(), time.monotonic()
        entry = dict(op="contested", t0=begun, worker=self.me, key=key, new=sha(data), local=self.is_local)
        try:
            put(self.at(key), data, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            self.say(**entry, t1=time.monotonic(), err=0)
        except OSError as e:
            self.say(**entry, t1=time.monotonic(), err=e.errno)
            if not self.excused_of_all(before, e):
                raise Bug(f"{key}: {e}") from e

    def run(self):
        self.patiently(lambda: os.makedirs(self.at(self.home), exist_ok=True))
        for d in self.dirs.values():
            self.patiently(lambda d=d: os.makedirs(self.at(d), exist_ok=True))
        work = ([self.temp_and_rename] * 5 + [self.create] * 4 + [self.append] * 3 + [self.overwrite] * 2 + [self.truncate] * 2
                + [self.rename] * 2 + [self.unlink] * 2 + [self.copy] + [self.link] * 2 + [self.read] * 4 + [self.list] * 2
                + [self.peek] * 5 + [self.shared_append] * 4 + [self.contested] + [self.rename_dir])
        while not self.control.stop():
            self.wait_until_up()
            self.random.choice(work)()
            time.sleep(self.random.random() * 0.03)
        for key in sorted(self.files):
            found = self.look(key)
            if found != self.files[key]:
                raise Bug(f"{key} at the end: {found and found[:60]}, not {self.files[key][:60]}")


def main():
    a = json.loads(sys.argv[1])
    w = Worker(a)
    try:
        w.run()
    except Stopped:
        return 2
    except Exception as e:
        w.control.set_stop()
        w.say(op="bug", worker=w.me, t0=time.monotonic(), text=f"worker {w.me} on mount {w.mount}: {type(e).__name__}: {e}",
              trace=traceback.format_exc())
        return 1
    w.say(op="end", worker=w.me, t0=time.monotonic(), dirs=sorted(w.dirs.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
