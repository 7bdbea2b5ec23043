# SPDX-License-Identifier: Apache-2.0
"""Real S3 servers on 127.0.0.1, each with its own folder and free ports."""
import base64
import glob
import os
import shutil
import uuid

from . import procs, s3

ACCESS, SECRET = "test", "testsecret"
CACHE = os.environ.get("S3EFS_TEST_CACHE", "/var/cache/s3efs-test")


class Missing(Exception):
    """A program that a server needs is not installed: its tests are skipped, with this as the reason."""


class Server:
    """name, endpoint; stop() ends it."""
    name = "?"
    region = "us-east-1"

    def __init__(self):
        self.dir = procs.workdir(f"s3efs-{self.name}.")
        self.log = os.path.join(self.dir, "log.txt")
        self.endpoint = None
        try:
            self.start()
        except Exception:
            print(self.tail())
            self.stop()
            raise

    def start(self):
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError

    def tail(self, n=2000):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return f.read()[-n:]
        except OSError:
            return ""

    def client(self, **kw):
        return s3.Client(self.endpoint, ACCESS, SECRET, self.region, **kw)

    def answers(self):
        try:
            r = self.client().raw("HEAD", "no-such-bucket-" + uuid.uuid4().hex[:8])
            return r.status == 404
        except OSError:
            return False


def need(*programs):
    for p in programs:
        if not (os.access(p, os.X_OK) if "/" in p else shutil.which(p)):
            raise Missing(f"{p} is not installed (tools/check installs it)")


class OneProcess(Server):
    proc = None

    def launch(self, argv, env=None):
        self.proc = procs.start(argv, self.log, env=env)

        def up():
            if self.proc.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start: {self.tail()}")
            return self.answers()
        procs.wait_for(up, f"answer from {self.name}")

    def stop(self):
        if self.proc:
            procs.end(self.proc)
        shutil.rmtree(self.dir, ignore_errors=True)


class Versitygw(OneProcess):
    """The posix backend of versitygw. --keep-alive: it closes each connection without it."""
    name = "versitygw"
    more = ()

    def start(self):
        binary = os.path.join(CACHE, "bin", "versitygw")
        need(binary)
        port = procs.free_ports()[0]
        self.endpoint = f"{'https' if self.more else 'http'}://127.0.0.1:{port}"
        data, versions = (os.path.join(self.dir, d) for d in ("data", "versions"))
        os.mkdir(data)
        os.mkdir(versions)
        self.launch([binary, "--keep-alive", "--quiet", "--port", f"127.0.0.1:{port}", "--access",
                     ACCESS, "--secret", SECRET, *self.more, "posix", "--versioning-dir", versions, data])


class VersitygwTls(Versitygw):
    """The same behind TLS, with the certificate of the test."""

    def __init__(self, cert, key):
        self.cert, self.more = cert, ("--cert", cert, "--key", key)
        super().__init__()

    def client(self, **kw):
        return super().client(ca=self.cert, **kw)


class Minio(OneProcess):
    name = "minio"

    def start(self):
        binary = os.path.join(CACHE, "bin", "minio")
        need(binary)
        port = procs.free_ports()[0]
        self.endpoint = f"http://127.0.0.1:{port}"
        key = base64.b64encode(os.urandom(32)).decode()
        env = dict(os.environ, MINIO_ROOT_USER=ACCESS, MINIO_ROOT_PASSWORD=SECRET, MINIO_BROWSER="off",
                   MINIO_UPDATE="off", MINIO_KMS_SECRET_KEY=f"mykey:{key}")
        self.launch([binary, "server", "--quiet", "--address", f"127.0.0.1:{port}",
                     os.path.join(self.dir, "data")], env)


class Moto(OneProcess):
    """For STS; it checks no signatures, so it judges no data path."""
    name = "moto"

    def start(self):
        binary = os.path.join(CACHE, "moto", "bin", "moto_server")
        if not os.access(binary, os.X_OK):
            binary = shutil.which("moto_server") or binary
        need(binary)
        port = procs.free_ports()[0]
        self.endpoint = f"http://127.0.0.1:{port}"
        self.launch([binary, "-H", "127.0.0.1", "-p", str(port)])


CEPH_CONF = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{mon1}]
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind port min = {first}
ms bind port max = {last}
keyring = {d}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
run dir = {d}/run
admin socket = {d}/run/$name.asok
pid file = {d}/run/$name.pid
log file = {d}/log/$name.log
[mon]
mon data = {d}/mon
[osd]
osd data = {d}/osd$id
osd class dir = {classes}
osd objectstore = memstore
memstore device bytes = 8589934592
osd memory target = 939524096
osd class load list = *
osd class default list = *
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {d}/rgw
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = mykey={kms}
rgw enable apis = s3,sts,iam,admin,notifications
"""


class Ceph(Server):
    """Ceph RGW: one monitor, one OSD in memory, one gateway; no systemd, no manager. cephx stays on
    (without it radosgw hangs), tcp_nodelay too (without it each small GET takes 44 ms)."""
    name = "ceph"

    def tool(self, *argv):
        env = dict(os.environ, CEPH_CONF=f"{self.dir}/ceph.conf")
        return procs.run(argv, env=env, cwd=self.dir).stdout

    def daemon(self, *argv):
        """In the foreground (-f), so that it is our child and dies with us."""
        env = dict(os.environ, CEPH_CONF=f"{self.dir}/ceph.conf")
        p = procs.start([*argv, "-f"], self.log, env=env, cwd=self.dir)
        self.procs.append(p)
        return p

    def start(self):
        self.procs = []
        need("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")
        d = self.dir
        ports = procs.free_ports(45)
        mon, port = ports[0], ports[44]
        self.endpoint = f"http://127.0.0.1:{port}"
        fsid, osd_uuid = str(uuid.uuid4()), str(uuid.uuid4())
        for sub in ("mon", "run", "log", "rgw", "osd0"):
            os.mkdir(f"{d}/{sub}")
        # Debian 13's ceph-osd looks for its classes below a relative path
        classes = glob.glob("/usr/lib/*/rados-classes") + glob.glob("/usr/lib*/rados-classes")
        if not classes:
            raise Missing("the OSD's classes (rados-classes) are not installed")
        with open(f"{d}/ceph.conf", "w", encoding="ascii") as f:
            f.write(CEPH_CONF.format(d=d, fsid=fsid, classes=classes[0], mon=mon, mon1=mon + 1,
                                     first=mon + 2, last=mon + 42, port=port, kms=base64.b64encode(os.urandom(32)).decode()))
        key = f"{d}/keyring"
        gen = ("ceph-authtool", key, "--gen-key", "-n")
        self.tool("ceph-authtool", "--create-keyring", *gen[1:], "mon.", "--cap", "mon", "allow *")
        self.tool(*gen, "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap",
                  "mgr", "allow *")
        self.tool(*gen, "client.rgw.a", "--cap", "mon", "allow rw", "--cap", "osd", "allow rwx", "--cap",
                  "mgr", "allow rw")
        self.tool(*gen, "osd.0", "--cap", "mon", "allow profile osd", "--cap", "mgr",
                  "allow profile osd", "--cap", "osd", "allow *")
        self.tool("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                  f"[v2:127.0.0.1:{mon},v1:127.0.0.1:{mon + 1}]", f"{d}/monmap")
        self.tool("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{d}/monmap", "--keyring", key)
        self.daemon("ceph-mon", "-i", "a")
        self.tool("ceph", "--connect-timeout", "600", "osd", "new", osd_uuid, "0")
        self.tool("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_uuid)
        self.tool("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=h0")
        self.daemon("ceph-osd", "-i", "0", "--osd-crush-update-on-start=false")
        self.tool("radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test",
                  "--access-key", ACCESS, "--secret-key", SECRET)
        cold = ("placement", "add", "--placement-id", "default-placement", "--storage-class", "COLD")
        self.tool("radosgw-admin", "zonegroup", *cold, "--rgw-zonegroup", "default")
        self.tool("radosgw-admin", "zone", *cold, "--rgw-zone", "default", "--data-pool", "default.rgw.cold.data")
        self.daemon("radosgw", "-n", "client.rgw.a")

        def up():
            for p in self.procs:
                if p.poll() is not None:
                    raise RuntimeError(f"a Ceph daemon ended at its start: {self.tail()}")
            return self.answers()
        procs.wait_for(up, "answer from Ceph RGW")
        # the first write makes the pools; tests shall not wait for that
        c = self.client()
        c.make_bucket("warm-up")
        c.put("warm-up", "x", b"x")

    def stop(self):
        for p in reversed(self.procs):
            procs.end(p)
        self.procs = []
        shutil.rmtree(self.dir, ignore_errors=True)


KINDS = {c.name: c for c in (Versitygw, Ceph, Minio, Moto)}


class Running:
    """A server that somebody else started (the runner): its endpoint came in the environment."""

    def __init__(self, name, endpoint):
        self.name, self.endpoint, self.region = name, endpoint, "us-east-1"

    def client(self, **kw):
        return s3.Client(self.endpoint, ACCESS, SECRET, self.region, **kw)

    def stop(self):
        pass


def env_name(name):
    return f"S3EFS_TEST_{name.upper()}"


def get(name):
    """The running server of that name, or a new one."""
    endpoint = os.environ.get(env_name(name))
    return Running(name, endpoint) if endpoint else KINDS[name]()


def version_of(name):
    """For the report."""
    if name == "ceph":
        return procs.run(["radosgw", "--version"], False).stdout.strip()
    return name
