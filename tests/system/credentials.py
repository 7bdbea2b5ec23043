#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Credentials: environment, shared files, web identity at a real STS (moto), container endpoint; and
secrets in no log. moto checks no signatures, so the keys that were used are read at versitygw, or from
what STS was asked."""
import http.server
import json
import os
import threading
import time

from harness import procs, proxy, servers
from harness.case import check, equal, main, read_file, true, write_file
from harness.mount import environment

BACKENDS = "versitygw"


def works(rig, env, name, **opts):
    m = rig.mount(env=env, **opts)
    write_file(m.path(name), name)
    equal(rig.s3.get(rig.bucket, name).body, name.encode())
    return m


class Replies(http.server.BaseHTTPRequestHandler):
    """A credentials endpoint by script: server.answer(self) gives (status, type, body)."""

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers), b""))
        self.reply()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, dict(self.headers), body))
        self.reply()

    def reply(self):
        status, kind, body = self.server.answer(len(self.server.seen))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def scripted(answer):
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Replies)
    s.seen, s.answer = [], answer
    threading.Thread(target=s.serve_forever, daemon=True).start()
    procs.at_exit(s.shutdown)
    return s, f"http://127.0.0.1:{s.server_address[1]}"


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


@check("shared credentials and config files, with a profile")
def shared_files(rig):
    write_file(rig.path("credentials"), f"[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n"
               f"[team]\naws_access_key_id = {servers.ACCESS}\naws_secret_access_key = {servers.SECRET}\n")
    write_file(rig.path("config"), "[profile team]\nregion = us-east-1\n")
    env = environment(False, AWS_SHARED_CREDENTIALS_FILE=rig.path("credentials"), AWS_CONFIG_FILE=rig.path("config"))
    works(rig, env, "by-option", profile="team")
    works(rig, dict(env, AWS_PROFILE="team"), "by-environment")


@check("AWS_ENDPOINT_URL_S3 instead of endpoint=")
def endpoint_env(rig):
    works(rig, environment(AWS_ENDPOINT_URL_S3=rig.proxy.endpoint), "by-url", endpoint=None)


@check("container endpoint (EKS pod identity), with its token file")
def container(rig):
    body = json.dumps({"AccessKeyId": servers.ACCESS, "SecretAccessKey": servers.SECRET, "Token": "",
                       "Expiration": stamp(3600)}).encode()
    s, url = scripted(lambda n: (200, "application/json", body))
    write_file(rig.path("token"), "pod-token")
    env = environment(False, AWS_CONTAINER_CREDENTIALS_FULL_URI=url + "/v1/credentials", AWS_REGION="us-east-1",
                      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=rig.path("token"))
    works(rig, env, "by-container")
    equal({k.lower(): v for k, v in s.seen[0][1].items()}.get("authorization"), "pod-token")


@check("credentials that expire in the middle of a multipart upload are fetched again, and the upload goes on")
def expired(rig):
    moto = servers.get("moto")  # versitygw knows no tokens
    procs.at_exit(moto.stop)
    moto.client().make_bucket("moto-expired")
    way = proxy.Proxy(moto.endpoint)
    s, url = scripted(lambda n: (200, "application/json", json.dumps({
        "AccessKeyId": servers.ACCESS, "SecretAccessKey": servers.SECRET, "Token": f"token-{n}",
        "Expiration": stamp(3600)}).encode()))
    write_file(rig.path("token2"), "pod-token")
    m = rig.mount(source="s3://moto-expired", endpoint=way.endpoint, env=environment(
        False, AWS_CONTAINER_CREDENTIALS_FULL_URI=url + "/c", AWS_REGION="us-east-1",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=rig.path("token2")))
    asked, body = len(s.seen), os.urandom(40 << 20)
    way.rule(op="PUT-part", nth=2, action="status", status=400, code="ExpiredToken")
    write_file(m.path("expired"), body)
    true(way.fired() == 1 and len(s.seen) > asked, "nothing was fetched")
    true(moto.client().get("moto-expired", "expired").body == body, "the object differs")


STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{a}</AccessKeyId>
<SecretAccessKey>{s}</SecretAccessKey><SessionToken>{t}</SessionToken><Expiration>{e}</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


def web_identity(rig, url):
    write_file(rig.path("jwt"), "header.payload.signature")
    return environment(False, AWS_ROLE_ARN="arn:aws:iam::123456789012:role/images", AWS_REGION="us-east-1",
                       AWS_WEB_IDENTITY_TOKEN_FILE=rig.path("jwt"), AWS_ENDPOINT_URL_STS=url)


@check("web identity (IRSA) by a scripted STS: keys that are about to expire are fetched again")
def irsa(rig):
    def answer(n):
        xml = STS.format(a=servers.ACCESS, s=servers.SECRET, t="", e=stamp(5 if n == 1 else 3600))
        return 200, "text/xml", xml.encode()
    s, url = scripted(answer)
    m = works(rig, web_identity(rig, url), "by-irsa")
    true(b"header.payload.signature" in s.seen[0][2] or "header.payload.signature" in s.seen[0][0], "the token")
    procs.wait_for(lambda: (read_file(m.path("by-irsa")), write_file(m.path("again"), "again"),
                            len(s.seen) >= 2)[2], "refresh of the keys", every=0.5)
    equal(rig.s3.get(rig.bucket, "again").body, b"again")


@check("web identity at moto's STS, with moto's S3")
def irsa_moto(rig):
    moto = servers.get("moto")
    procs.at_exit(moto.stop)
    moto.client().make_bucket("moto-bucket")
    m = rig.mount(source="s3://moto-bucket", env=web_identity(rig, moto.endpoint), endpoint=moto.endpoint)
    write_file(m.path("by-moto"), "x")
    equal(moto.client().get("moto-bucket", "by-moto").body, b"x")


@check("no secret and no token stands in the log, at debug level either, nor in status")
def no_secrets(rig):
    m = works(rig, environment(), "quiet", loglevel="debug")
    text = m.log() + json.dumps(m.status())
    for word in (servers.SECRET, "Signature="):
        i = text.find(word)
        true(i < 0, f"{word}: {text[max(0, i - 100):i + 100]}")
    with open(f"/proc/{m.pid}/cmdline", "rb") as f:
        true(servers.SECRET.encode() not in f.read(), "in the command line")


if __name__ == "__main__":
    main()
