#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No secret gets out: not into the log (at debug level), status, arguments, environment or temporary files of the
daemon, and not into a core dump of it, wherever its credentials come from. moto takes any key, so each check has
random ones. A core is what the kernel would write: each mapping of /proc/PID/smaps that is not marked "dd" (don't
dump), private ones that were written to, or without a file; gcore goes by the same marks."""
import base64
import contextlib
import http.server
import json
import os
import re
import threading
import time

from harness import mount, procs
from harness.case import check, equal, main, true, write_file
from harness.mount import environment

BACKENDS = "moto"


def random_word(n=40):
    return base64.b32encode(os.urandom(n)).decode()[:n]


def mappings(pid):
    """(start, end) of what a core dump has."""
    found, wanted = [], False
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)(.*)", line)
            if head:
                start, end, perms, inode, name = head.groups()
                wanted = "r" in perms and (inode == "0" or ("p" in perms and "w" in perms)) \
                    and "[v" not in name
                span = int(start, 16), int(end, 16)
            elif line.startswith("VmFlags:") and wanted and "dd" not in line.split():
                found.append(span)
    return found


def find_in_core(pid, words):
    """{name: addresses} of the words that the core of a process would have."""
    hits = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end in mappings(pid):
            at, tail = start, b""
            while at < end:
                try:
                    piece = os.pread(mem.fileno(), min(4 << 20, end - at), at)
                except OSError:
                    break  # a stack's guard, or gone meanwhile
                if not piece:
                    break
                text = tail + piece
                for name, word in words.items():
                    i = text.find(word)
                    if i >= 0:
                        hits.setdefault(name, []).append(hex(at - len(tail) + i))
                tail = text[-256:]
                at += len(piece)
    return hits


def spoken(m):
    """Everything that the daemon puts out."""
    out = {"log": m.log().encode()}
    for flags in ((), ("--json",)):
        r = mount.cli("status", m.dir, *flags, env=environment(False))
        equal(r.returncode, 0, "status")
        out["status" + "".join(flags)] = r.stdout.encode()
    for name in ("cmdline", "environ"):
        with open(f"/proc/{m.pid}/{name}", "rb") as f:
            out[name] = f.read()
    for top, _, names in os.walk(m.opts["cache_dir"]):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # one that was taken away meanwhile
                with open(os.path.join(top, name), "rb") as f:
                    out[os.path.join(top, name)] = f.read()
    return out


def work(m):
    """Requests of every kind, one that fails among them."""
    write_file(m.path("small"), "x")
    write_file(m.path("large"), os.urandom(20 << 20))
    os.rename(m.path("small"), m.path("renamed"))
    os.mkdir(m.path("dir"))
    with open(m.path("renamed"), "rb") as f:
        equal(f.read(), b"x")
    os.listdir(m.dir)
    true(not os.path.exists(m.path("not-there")), "a name that is not there")
    os.unlink(m.path("renamed"))


def keeps_quiet(rig, env, secrets, **opts):
    """Mounts, works, and looks everywhere for the secrets: {name: bytes}, whole and by their first 24 bytes."""
    secrets = {k: v.encode() if isinstance(v, str) else v for k, v in secrets.items()}
    words = dict(secrets, **{k + " (its beginning)": v[:24] for k, v in secrets.items()})
    rig.fresh()
    m = rig.mount(env=env, loglevel="debug", **opts)
    work(m)
    for where, text in spoken(m).items():
        for name, word in words.items():
            true(word not in text, f"{name} stands in {where}")
    hits = find_in_core(m.pid, words)
    for _ in range(3):  # a request that is under way has what it sends in buffers of curl and TLS
        if hits:
            time.sleep(3)
            hits = {k: v for k, v in find_in_core(m.pid, words).items() if k in hits}
    true(not hits, f"in a core dump: {hits}")
    # and the search itself finds what is there
    true(find_in_core(m.pid, {"mount point": m.dir.encode()}), "the search finds nothing at all")
    return m


class Replies(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.seen.append((dict(self.headers), self.rfile.read(length)))
        self.send_response(200)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def answering(kind, body):
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Replies)
    s.kind, s.body, s.seen = kind, body.encode(), []
    threading.Thread(target=s.serve_forever, daemon=True).start()
    procs.at_exit(s.shutdown)
    return s, f"http://127.0.0.1:{s.server_address[1]}"


def fetched():
    return {"secret key": random_word(), "session token": random_word(900)}


@check("keys and a session token of the environment, and a customer's key of a file")
def from_environment(rig):
    s, key = fetched(), os.urandom(32)
    write_file(rig.path("sse-c"), base64.b64encode(key) + b"\n")
    env = environment(AWS_SECRET_ACCESS_KEY=s["secret key"], AWS_SESSION_TOKEN=s["session token"])
    keeps_quiet(rig, env, dict(s, customer_key=key, customer_key_text=base64.b64encode(key)),
                sse="c", sse_c_key_file=rig.path("sse-c"))


@check("keys of a profile")
def from_profile(rig):
    s = fetched()
    write_file(rig.path("credentials"), "[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = "
               f"{s['secret key']}\naws_session_token = {s['session token']}\n", 0o600)
    keeps_quiet(rig, environment(False, AWS_SHARED_CREDENTIALS_FILE=rig.path("credentials"), AWS_REGION="us-east-1"),
                s, profile="team")


@check("web identity: the token of the file, and what STS gives for it")
def from_web_identity(rig):
    s, jwt = fetched(), random_word(800)
    expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    sts, url = answering("text/xml", "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
                         f"<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>{s['secret key']}"
                         f"</SecretAccessKey><SessionToken>{s['session token']}</SessionToken><Expiration>{expiry}"
                         "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
                         "</AssumeRoleWithWebIdentityResponse>")
    write_file(rig.path("jwt"), jwt, 0o600)
    keeps_quiet(rig, environment(False, AWS_ROLE_ARN="arn:aws:iam::123456789012:role/x", AWS_REGION="us-east-1",
                                 AWS_WEB_IDENTITY_TOKEN_FILE=rig.path("jwt"), AWS_ENDPOINT_URL_STS=url),
                dict(s, web_identity_token=jwt))
    true(jwt.encode() in sts.seen[0][1], "STS was not asked with the token")


@check("container endpoint: its token, and what it gives")
def from_container(rig):
    s, token = fetched(), random_word(700)
    expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    end, url = answering("application/json", json.dumps({
        "AccessKeyId": "ASIAPOD", "SecretAccessKey": s["secret key"], "Token": s["session token"],
        "Expiration": expiry}))
    keeps_quiet(rig, environment(False, AWS_CONTAINER_CREDENTIALS_FULL_URI=url + "/c", AWS_REGION="us-east-1",
                                 AWS_CONTAINER_AUTHORIZATION_TOKEN=token), dict(s, container_token=token))
    true(token in str(end.seen[0][0]), "the endpoint was not asked with the token")


@check("the daemon makes no core dump at all: its limit is 0, and nobody but root may attach to it")
def no_core(rig):
    m = rig.mount()
    with open(f"/proc/{m.pid}/limits", encoding="utf-8") as f:
        equal(re.search(r"^Max core file size +(\S+) +(\S+)", f.read(), re.M).groups(), ("0", "0"))
    r = procs.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", f"/proc/{m.pid}/environ"],
                  False)
    true(r.returncode != 0, "another user read its environment")


if __name__ == "__main__":
    main()
