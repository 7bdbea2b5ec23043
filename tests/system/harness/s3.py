# SPDX-License-Identifier: Apache-2.0
"""A small S3 client of the tests' own (SigV4, path style), so that what the product put into the
bucket is seen through other code than the product's."""
import datetime
import hashlib
import hmac
import http.client
import ssl
import time
import urllib.parse
import xml.etree.ElementTree as ET

from . import procs


class S3Error(Exception):
    def __init__(self, status, code, text):
        super().__init__(f"{status} {code}: {text[:300]}")
        self.status, self.code = status, code


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {k.lower(): v for k, v in headers}

    def meta(self):
        return {k[11:]: v for k, v in self.headers.items() if k.startswith("x-amz-meta-")}

    def etag(self):
        return self.headers.get("etag", "").strip('"')


def quote(s, safe=""):
    return urllib.parse.quote(s, safe=safe + "-_.~")


def _hmac(key, msg):
    return hmac.new(key, msg.encode(), hashlib.sha256).digest()


class Client:
    def __init__(self, endpoint, access="test", secret="testsecret", region="us-east-1", token=None,
                 ca=None, patience=procs.PATIENCE, attempts=5):
        self.url = urllib.parse.urlsplit(endpoint)
        self.endpoint, self.access, self.secret = endpoint, access, secret
        self.region, self.token, self.patience, self.attempts = region, token, patience, attempts
        self.tls = ssl.create_default_context(cafile=ca) if self.url.scheme == "https" else None

    def connect(self):
        where = dict(host=self.url.hostname, port=self.url.port, timeout=self.patience)
        if self.tls:
            return http.client.HTTPSConnection(context=self.tls, **where)
        return http.client.HTTPConnection(**where)

    def _sign(self, method, path, query, headers, payload_hash):
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        headers = dict(headers, **{"host": self.url.netloc, "x-amz-date": stamp,
                                   "x-amz-content-sha256": payload_hash})
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = sorted(headers)
        canonical = "\n".join(
            [method, path, query] + [f"{n}:{' '.join(headers[n].split())}" for n in names]
            + ["", ";".join(names), payload_hash])
        scope = f"{day}/{self.region}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                             hashlib.sha256(canonical.encode()).hexdigest()])
        key = _hmac(_hmac(_hmac(_hmac(b"AWS4" + self.secret.encode(), day), self.region), "s3"),
                    "aws4_request")
        sig = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
                                    f"SignedHeaders={';'.join(names)}, Signature={sig}")
        return headers

    def raw(self, method, bucket, key="", query=None, headers=None, body=b""):
        path = "/" + bucket + ("/" + quote(key, "/") if key else "")
        q = "&".join(f"{quote(k)}={quote(str(v))}" for k, v in sorted((query or {}).items()))
        h = self._sign(method, path, q, {k.lower(): v for k, v in (headers or {}).items()},
                       hashlib.sha256(body).hexdigest())
        c = self.connect()
        try:
            c.request(method, path + ("?" + q if q else ""), body=body, headers=h)
            r = c.getresponse()
            return Reply(r.status, r.getheaders(), r.read())
        finally:
            c.close()

    def _may_repeat(self, method, headers):
        return method in ("GET", "PUT", "DELETE") and not any(h.lower().startswith("if-") for h in headers or {})

    def call(self, method, *a, **kw):
        """As an SDK: what a server says of itself (5xx) is no answer, if asking again can do no harm."""
        for n in range(self.attempts):
            r = self.raw(method, *a, **kw)
            if r.status < 500 or not self._may_repeat(method, kw.get("headers")):
                break
            time.sleep(0.2 * 2 ** n)
        if r.status >= 300:
            text = r.body.decode("utf-8", "replace")
            code = ""
            if "<Code>" in text:
                code = text.split("<Code>")[1].split("</Code>")[0]
            raise S3Error(r.status, code, text)
        return r

    def make_bucket(self, bucket):
        self.call("PUT", bucket)

    def put(self, bucket, key, body=b"", **headers):
        if isinstance(body, str):
            body = body.encode()
        return self.call("PUT", bucket, key, body=body,
                         headers={k.replace("_", "-"): v for k, v in headers.items()})

    def put_meta(self, bucket, key, body, meta, **headers):
        return self.put(bucket, key, body, **{f"x-amz-meta-{k}": v for k, v in meta.items()}, **headers)

    def get(self, bucket, key):
        return self.call("GET", bucket, key)

    def head(self, bucket, key):
        """None when there is no such key."""
        r = self.raw("HEAD", bucket, key)
        if r.status == 404:
            return None
        if r.status >= 300:
            raise S3Error(r.status, "", f"HEAD {key}")
        return r

    def delete(self, bucket, key):
        return self.call("DELETE", bucket, key)

    def list(self, bucket, prefix=""):
        """{key: (size, etag)} of all keys, in the order of the listing."""
        out, token = {}, None
        while True:
            q = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
            if token:
                q["continuation-token"] = token
            root = ET.fromstring(self.call("GET", bucket, query=q).body)
            ns = root.tag[:root.tag.index("}") + 1] if "}" in root.tag else ""
            # a server that ignores encoding-type says so by not repeating it
            coded = (root.findtext(ns + "EncodingType") or "") == "url"
            for c in root.iter(ns + "Contents"):
                k = c.findtext(ns + "Key")
                k = urllib.parse.unquote_plus(k) if coded else k
                out[k] = (int(c.findtext(ns + "Size")), (c.findtext(ns + "ETag") or "").strip('"'))
            token = root.findtext(ns + "NextContinuationToken")
            if (root.findtext(ns + "IsTruncated") or "false") != "true" or not token:
                return out

    def uploads(self, bucket):
        """Keys of the multipart uploads that are open."""
        root = ET.fromstring(self.call("GET", bucket, query={"uploads": ""}).body)
        ns = root.tag[:root.tag.index("}") + 1] if "}" in root.tag else ""
        return [u.findtext(ns + "Key") for u in root.iter(ns + "Upload")]
