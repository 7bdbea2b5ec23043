# SPDX-License-Identifier: Apache-2.0
"""A bucket as a test sees it that fills it, reads it and stops its writes, whatever stands behind it: past the mounts."""
import contextlib
import fcntl
import os

from . import proxy
from .world import stored


@contextlib.contextmanager
def no_writes_in(bucket):
    """The bucket in that directory takes no PUT and no DELETE meanwhile."""
    fds = []
    try:
        for i in range(256):
            fds.append(os.open(os.path.join(bucket, ".s3efs-dir", "locks", f"{i:02x}"), os.O_RDONLY | os.O_CREAT, 0o666))
            fcntl.flock(fds[-1], fcntl.LOCK_EX)
        yield
    finally:
        for fd in fds:
            os.close(fd)


class Directory:
    """file://"""

    def __init__(self, d):
        self.dir, self.source, self.opts = d, "file://" + d, {}
        os.makedirs(d)

    def put(self, key, body):
        with open(os.path.join(self.dir, key), "wb") as f:
            f.write(body)

    def get(self, key):
        with open(os.path.join(self.dir, key), "rb") as f:
            return f.read()

    def objects(self):
        """{key: bytes} of the user's files."""
        return stored(self.dir)

    def no_writes(self):
        """It takes no PUT and no DELETE meanwhile: who makes one hangs."""
        return no_writes_in(self.dir)


class Remote:
    """On a server of harness.servers, behind a proxy of its own."""

    def __init__(self, server, name):
        self.s3, self.name, self.source = server.client(), name, "s3://" + name
        self.s3.make_bucket(name)
        self.proxy = proxy.Proxy(server.endpoint)
        self.opts = {"endpoint": self.proxy.endpoint}

    def put(self, key, body):
        self.s3.put(self.name, key, body)

    def get(self, key):
        return self.s3.get(self.name, key).body

    def objects(self):
        return {k: self.get(k) for k in self.s3.list(self.name) if not k.startswith(".s3efs/") and not k.endswith("/")}

    @contextlib.contextmanager
    def no_writes(self):
        """As above. What was held of a mount that is dead by then arrives late."""
        self.proxy.rule(op="PUT,DELETE,COPY,MPU-create", action="hold", count=0)
        try:
            yield
        finally:
            self.proxy.clear()
