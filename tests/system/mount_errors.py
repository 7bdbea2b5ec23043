#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mount that can't be made says why on the terminal, exits non-zero, and leaves nothing mounted."""
import os
import subprocess

from harness import mount, procs, proxy
from harness.case import Skip, check, contains, equal, main, true, write_file
from harness.mount import environment

BACKENDS = "versitygw ceph"


def refused(rig, *words, source=None, env=None, flags=(), **opts):
    """Tries a mount in the background as a user would, and looks at what he sees."""
    d = rig.path("refused")
    os.makedirs(d, exist_ok=True)
    cache = opts.pop("cache_dir", rig.path("refused-cache"))
    o = {"cache_dir": cache, "endpoint": rig.proxy.endpoint}
    o.update(opts)
    r = procs.run(mount.command(source or rig.source, d, o, *flags), False, env=env or environment())
    try:
        true(r.returncode != 0, f"exit {r.returncode}: {r.stdout}")
        true(not mount.is_mounted(d), "something is mounted")
        contains(r.stdout, *words)
        true("testsecret" not in r.stdout, "the secret was printed")
    finally:
        mount.force_unmount(d)
    return r.stdout


@check("no such bucket")
def no_bucket(rig):
    text = refused(rig, "bucket", source="s3://no-such-bucket-here")
    contains(text, "no-such-bucket-here")


@check("a wrong secret")
def wrong_secret(rig):
    refused(rig, "secret", "signature", "denied", "403",
            env=environment(AWS_SECRET_ACCESS_KEY="wrong"))


@check("an unknown access key")
def unknown_key(rig):
    # versitygw answers 404 to a key that it does not know
    refused(rig, "key", "denied", "403", "credential", "no such bucket",
            env=environment(AWS_ACCESS_KEY_ID="nobody"))


@check("no credentials at all")
def no_credentials(rig):
    refused(rig, "credential", env=environment(credentials=False, HOME="/nonexistent"))


@check("a wrong region: the right one is named")
def wrong_region(rig):
    # The reply of AWS to HEAD bucket from another region, by rule: no local server has regions.
    rig.proxy.rule(op="*", action="status", status=301, code="PermanentRedirect", count=0,
                   region="eu-central-1")
    refused(rig, "eu-central-1")


@check("an expired session token")
def expired(rig):
    rig.proxy.rule(op="*", action="status", status=400, code="ExpiredToken", count=0)
    refused(rig, "expired", env=environment(AWS_SESSION_TOKEN="old"))


@check("an endpoint where nobody listens")
def unreachable(rig):
    refused(rig, "connect", "reach", "refused", endpoint=proxy.dead_endpoint())


@check("an endpoint whose name does not exist")
def no_host(rig):
    refused(rig, "resolve", "host", "reach", endpoint="http://no-such-host.invalid:9")


@check("an option that does not exist, and bad values")
def bad_options(rig):
    contains(refused(rig, "option", "unknown", bananas=7), "bananas")
    contains(refused(rig, "cache_size", cache_size="much"), "much")
    contains(refused(rig, "file_mode", file_mode="rw-r"), "rw-r")
    contains(refused(rig, "commit", commit="never"), "never")
    contains(refused(rig, "uid", uid="-5x"), "-5x")


@check("a source that is none, a mount point that is not there")
def bad_source(rig):
    refused(rig, "source", "s3://", source="ftp://somewhere/x")
    refused(rig, "bucket", "source", source="s3://")
    refused(rig, "directory", "no such", source="file:///no/such/folder")
    d = rig.path("not-there")
    r = procs.run(mount.command(rig.source, d, rig.options()), False, env=environment())
    true(r.returncode != 0, "a missing mount point was taken")
    contains(r.stdout, "not-there")


@check("a cache directory that can't be written")
def cache_not_writable(rig):
    write_file(rig.path("a-file"), "x")
    contains(refused(rig, "cache", cache_dir=rig.path("a-file")), "a-file")
    contains(refused(rig, "cache", cache_dir="/proc/s3efs-cache"), "/proc/s3efs-cache")


@check("a cache directory that another mount uses")
def cache_in_use(rig):
    m = rig.mount()
    text = refused(rig, "in use", "already", "another", cache_dir=m.opts["cache_dir"])
    contains(text, m.opts["cache_dir"])
    write_file(m.path("still"), "works")
    equal(rig.s3.get(rig.bucket, "still").body, b"works")


@check("a bucket that may be read but not written, mounted for writing, says so or mounts")
def not_writable(rig):
    rig.proxy.rule(op="PUT,MPU-create", action="status", status=403, code="AccessDenied", count=0)
    refused(rig, "denied", "write", "ro", "403")


@check("the foreground mount fails alike")
def foreground(rig):
    refused(rig, "bucket", source="s3://no-such-bucket-here", flags=("-f",))


@check("wrong usage prints the usage and exits non-zero; --help exits 0")
def usage(rig):
    for argv in ([], ["bananas"], ["mount"], ["mount", "s3://x"], ["umount"], ["status"]):
        r = mount.cli(*argv)
        true(r.returncode != 0, f"{argv}: exit 0")
        contains(r.stdout, "usage", "s3efs")
    r = mount.cli("--help")
    equal(r.returncode, 0, "--help")
    contains(r.stdout, "mount")


@check("umount, status, drain and upgrade of what is no mount of ours fail with a cause")
def no_mount(rig):
    os.makedirs(rig.path("plain-dir"), exist_ok=True)
    for verb in ("umount", "status", "drain", "upgrade"):
        r = mount.cli(verb, rig.path("plain-dir"))
        true(r.returncode != 0, f"{verb}: exit 0")
        contains(r.stdout, "mount")


@check("no daemon and no lock is left after all this")
def nothing_left(rig):
    out = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    left = [line for line in out.splitlines() if rig.path("refused") in line and "s3efs" in line]
    equal(left, [])
    if not os.path.isdir(rig.path("refused-cache")):
        raise Skip("no cache directory was made")
    m = rig.mount(cache_dir=rig.path("refused-cache"))
    write_file(m.path("x"), "x")


if __name__ == "__main__":
    main()
