# SPDX-License-Identifier: Apache-2.0
"""What a tree must look like after a daemon's death: the state that was told, or the one of the call under way."""
import contextlib
import os
import stat

from .case import read_file, short, write_file


class World:
    """Paths below a mount. An entry is ("d",), ("l", target) or ("f", bytes, mode, group): names of one group are
    hard links of one file."""

    def __init__(self):
        self.now, self.next = {}, None

    @contextlib.contextmanager
    def step(self):
        """The block changes the copy that it gets, then makes the call: when that returns, the change has happened."""
        self.next = dict(self.now)
        yield self.next
        self.now, self.next = self.next, None

    def allowed(self):
        return [view(t) for t in (self.now, self.next) if t is not None]

    def settle(self, found):
        """What was found is what is there from now on. None: it is not allowed."""
        for tree in (self.now, self.next):
            if tree is not None and view(tree) == found:
                self.now, self.next = tree, None
                return found
        return None


def view(tree):
    """As seen from outside: a group is a count of names."""
    groups = [e[3] for e in tree.values() if e[0] == "f"]
    return {p: e[:3] + (groups.count(e[3]),) if e[0] == "f" else e for p, e in tree.items()}


def look(root, top):
    """The view of what is there at and below root/top."""
    out = {}

    def add(path):
        full = os.path.join(root, path)
        s = os.lstat(full)
        if stat.S_ISDIR(s.st_mode):
            out[path] = ("d",)
            names = os.listdir(full)
            assert len(names) == len(set(names)), f"{path} lists a name twice"
            for name in names:
                add(os.path.join(path, name))
        elif stat.S_ISLNK(s.st_mode):
            out[path] = ("l", os.readlink(full))
        else:
            body = read_file(full)
            assert len(body) == s.st_size, f"{path} has {len(body)} bytes, and the size {s.st_size}"
            out[path] = ("f", body, stat.S_IMODE(s.st_mode), s.st_nlink)

    if os.path.lexists(os.path.join(root, top)):
        add(top)
    return out


def stored(bucket):
    """What an independent reader finds: the files of a file:// bucket."""
    out = {}
    for folder, dirs, names in os.walk(bucket):
        dirs[:] = [d for d in dirs if d not in (".s3efs", ".s3efs-dir")]
        for name in names:
            path = os.path.join(folder, name)
            if name != ".s3efs-dir":
                out[os.path.relpath(path, bucket)] = read_file(path)
    return out


def differs(found, allowed):
    """In words: how what was found differs from each state that may be."""
    out = []
    for want in allowed:
        lines = [f"{p}: {short(found.get(p))} and not {short(want.get(p))}" for p in sorted({*found, *want})
                 if found.get(p) != want.get(p)]
        out.append("; ".join(lines))
    return " | or ".join(out)


class Work:
    """Calls below one directory of a mount, each as a step of its world. m: the mount."""

    def __init__(self, top):
        self.top, self.world, self.m = top, World(), None

    def key(self, name):
        return os.path.join(self.top, name) if name else self.top

    def path(self, name=""):
        return self.m.path(self.key(name))

    def mkdir(self, name=""):
        with self.world.step() as t:
            t[self.key(name)] = ("d",)
            os.mkdir(self.path(name))

    def rmdir(self, name):
        with self.world.step() as t:
            del t[self.key(name)]
            os.rmdir(self.path(name))

    def symlink(self, target, name):
        with self.world.step() as t:
            t[self.key(name)] = ("l", target)
            os.symlink(target, self.path(name))

    def unlink(self, name):
        with self.world.step() as t:
            del t[self.key(name)]
            os.unlink(self.path(name))

    def rename(self, name, to):
        with self.world.step() as t:
            old, new = self.key(name), self.key(to)
            for p in [p for p in t if p == new or p.startswith(new + "/")]:
                del t[p]
            for p in [p for p in t if p == old or p.startswith(old + "/")]:
                t[new + p[len(old):]] = t.pop(p)
            os.rename(self.path(name), self.path(to))

    def link(self, name, to):
        with self.world.step() as t:
            t[self.key(to)] = t[self.key(name)]
            os.link(self.path(name), self.path(to))

    def _put(self, t, name, body, mode=0o644):
        old = t.get(self.key(name))
        if old is None:
            t[self.key(name)] = ("f", body, mode, os.urandom(8))  # also in another process no two are one
            return
        for p, e in t.items():
            if e[0] == "f" and e[3] == old[3]:
                t[p] = ("f", body, e[2], e[3])

    def body(self, name):
        return self.world.now[self.key(name)][1]

    def write(self, name, body):
        """A new file, or all of an old one: open with O_TRUNC, write, close."""
        with self.world.step() as t:
            self._put(t, name, body)
            write_file(self.path(name), body)

    def append(self, name, more):
        with self.world.step() as t:
            self._put(t, name, self.body(name) + more)
            fd = os.open(self.path(name), os.O_WRONLY | os.O_APPEND)
            try:
                os.write(fd, more)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.close(fd)
                raise
            os.close(fd)

    def fsync(self, name, body):
        """A new file that is written and synced: then it is there, whatever becomes of its close."""
        fd = None
        try:
            with self.world.step() as t:
                self._put(t, name, body)
                fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                os.write(fd, body)
                os.fsync(fd)
        except BaseException:
            if fd is not None:
                with contextlib.suppress(OSError):
                    os.close(fd)
            raise
        os.close(fd)

    def chmod(self, name, mode):
        with self.world.step() as t:
            e = t[self.key(name)]
            t[self.key(name)] = ("f", e[1], mode, e[3])
            os.chmod(self.path(name), mode)

    def drain(self):
        self.m.drain()
