# SPDX-License-Identifier: Apache-2.0
"""s3proxy, the counting and fault proxy, seen from the tests."""
import collections
import http.client
import json
import os
import select
import urllib.parse

from . import procs

BUILD = os.environ.get("S3EFS_BUILD", os.path.join(os.path.dirname(__file__), "..", "..", ".."))
CREATING = ("PUT", "COPY", "MPU-complete")  # what makes an ObjectCreated event when it succeeds


def binary():
    return os.path.abspath(os.path.join(BUILD, "tests", "system", "s3proxy", "s3proxy"))


class Proxy:
    def __init__(self, endpoint):
        port = urllib.parse.urlsplit(endpoint).port
        self.proc = procs.start_with_output([binary(), str(port)])
        ready, _, _ = select.select([self.proc.stdout], [], [], procs.PATIENCE)
        words = self.proc.stdout.readline().split() if ready else []
        if len(words) != 4:
            raise RuntimeError("s3proxy did not start")
        self.port, self.control = int(words[1]), int(words[3])
        self.endpoint = f"http://127.0.0.1:{self.port}"
        procs.at_exit(self.stop)

    def stop(self):
        procs.end(self.proc)
        if self.proc.stdout:
            self.proc.stdout.close()

    def _ask(self, method, path):
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=procs.PATIENCE)
        try:
            c.request(method, path)
            r = c.getresponse()
            body = r.read().decode("utf-8", "replace")
        finally:
            c.close()
        if r.status != 200:
            raise RuntimeError(f"s3proxy {path}: {body.strip()}")
        return body

    def stats(self):
        return json.loads(self._ask("GET", "/stats"))

    def counts(self):
        """{kind: requests}; kinds that did not occur count 0."""
        return collections.Counter(self.stats()["requests"])

    def log(self):
        out = [json.loads(line) for line in self._ask("GET", "/log").splitlines()]
        for e in out:  # bytes came as \u00xx
            e["key"] = e["key"].encode("latin-1").decode("utf-8", "replace")
        return out

    def created(self):
        """{key: ObjectCreated events that S3 would have sent}."""
        return collections.Counter(e["key"] for e in self.log()
                                   if e["kind"] in CREATING and 200 <= e["status"] < 300)

    def reset(self):
        self._ask("POST", "/reset")

    def rule(self, **kw):
        """op, key (regex), nth, count (0: no limit), action, status, code, n, ms, after, retry_after"""
        self._ask("POST", "/rule?" + urllib.parse.urlencode(kw, quote_via=urllib.parse.quote))

    def rules(self):
        return json.loads(self._ask("GET", "/rules"))

    def fired(self):
        return sum(r["fired"] for r in self.rules())

    def clear(self):
        self._ask("POST", "/clear")

    def held(self):
        return int(self._ask("GET", "/held"))

    def wait_held(self, n=1):
        procs.wait_for(lambda: self.held() >= n, f"{n} held request(s) in the proxy")

    def release(self):
        self._ask("POST", "/release")

    def rtt(self, ms):
        self._ask("POST", f"/rtt?ms={ms}")


def dead_endpoint():
    """An endpoint where nothing listens."""
    return f"http://127.0.0.1:{procs.free_ports()[0]}"


__all__ = ["Proxy", "binary", "dead_endpoint", "CREATING"]
