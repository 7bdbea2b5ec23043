#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS is verified by default: a server is believed by the system's authorities, ca_bundle= or AWS_CA_BUNDLE
only, and only under its own name."""
import os

from harness import mount, procs, servers
from harness.case import check, contains, equal, main, read_file, true, write_file
from harness.mount import environment

BACKENDS = "none"
BUCKET = "tls-bucket"


def certificate(rig, name):
    """A self-signed certificate for 127.0.0.1, and its key."""
    cert, key = rig.path(name + ".pem"), rig.path(name + ".key")
    procs.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert])
    return cert, key


def server(rig):
    """versitygw with TLS: the certificate's file, and a client that trusts it."""
    if not hasattr(rig, "tls"):
        cert, key = certificate(rig, "server")
        rig.tls = servers.VersitygwTls(cert, key)
        procs.at_exit(rig.tls.stop)
        rig.tls.client().make_bucket(BUCKET)
    return rig.tls


def refused(rig, env=None, **opts):
    d = rig.path("refused")
    os.makedirs(d, exist_ok=True)
    o = rig.options(endpoint=server(rig).endpoint)
    o.update(opts)
    r = procs.run(mount.command("s3://" + BUCKET, d, o), False, env=env or environment())
    try:
        equal(r.returncode, 32, f"exit ({r.stdout})")
        true(not mount.is_mounted(d), "something is mounted")
        contains(r.stdout, "certificate")
    finally:
        mount.force_unmount(d)


def works(rig, name, env=None, **opts):
    m = rig.mount("s3://" + BUCKET, env, endpoint=server(rig).endpoint, **opts)
    data = os.urandom(20 << 20)  # parts too
    write_file(m.path(name), data)
    equal(server(rig).client().get(BUCKET, name).body, data)
    m.unmount()
    m.remount(cache_dir=rig.path("cache-of-" + name))
    equal(read_file(m.path(name)), data)


@check("a self-signed server is refused, with the cause, and nothing is mounted")
def untrusted(rig):
    refused(rig)


@check("an authority that did not sign it does not help")
def other_authority(rig):
    refused(rig, ca_bundle=certificate(rig, "other")[0])


@check("a trusted certificate speaks for its own name only")
def wrong_name(rig):
    tls = server(rig)
    refused(rig, ca_bundle=tls.cert, endpoint=tls.endpoint.replace("127.0.0.1", "localhost"))


@check("ca_bundle= is believed: small files and parts")
def by_option(rig):
    works(rig, "by-option", ca_bundle=server(rig).cert)


@check("AWS_CA_BUNDLE is believed")
def by_environment(rig):
    works(rig, "by-environment", environment(AWS_CA_BUNDLE=server(rig).cert))


if __name__ == "__main__":
    main()
