#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Content-Type: from the bytes, else from the name."""
from harness.case import check, equal, main, write_file

BACKENDS = "versitygw ceph"

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20)
BY_BYTES = {
    "a.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(50), "image/jpeg"),
    "no-extension-jpeg": (b"\xff\xd8\xff\xe1\0\x10Exif\0" + bytes(50), "image/jpeg"),
    "a.png": (PNG, "image/png"),
    "really-a-png.jpg": (PNG, "image/png"),
    "a.webp": (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(30), "image/webp"),
    "upload-1": (b"RIFF\x24\0\0\0WEBPVP8L" + bytes(30), "image/webp"),
    "a.gif": (b"GIF89a" + bytes(30), "image/gif"),
    "a.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
}
BY_NAME = {
    "a.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', ("image/svg+xml",)),
    "a.html": (b"<!DOCTYPE html><title>x</title>", ("text/html", "text/html; charset=utf-8")),
    "a.css": (b"body { color: red }", ("text/css", "text/css; charset=utf-8")),
    "a.js": (b"let x = 1;", ("text/javascript", "application/javascript", "text/javascript; charset=utf-8")),
    "a.json": (b'{"x": 1}', ("application/json",)),
    "a.txt": (b"plain words\n", ("text/plain", "text/plain; charset=utf-8")),
    "UPPER.TXT": (b"plain words\n", ("text/plain", "text/plain; charset=utf-8")),
    "a.unknown-kind": (bytes(range(200)), ("application/octet-stream", "binary/octet-stream")),
    "nothing-known": (bytes([1, 2, 3, 254]) * 9, ("application/octet-stream", "binary/octet-stream")),
}


def content_type(rig, key):
    return rig.s3.head(rig.bucket, key).headers.get("content-type", "none").lower()


@check("pictures and documents are known by their first bytes, whatever their name")
def by_bytes(rig):
    m = rig.one()
    got = {}
    for name, (data, _) in BY_BYTES.items():
        write_file(m.path(name), data)
        got[name] = content_type(rig, name)
    equal(got, {name: want for name, (_, want) in BY_BYTES.items()})


@check("text and the rest by their names")
def by_name(rig):
    m = rig.one()
    wrong = {}
    for name, (data, want) in BY_NAME.items():
        write_file(m.path(name), data)
        got = content_type(rig, name)
        if got not in want:
            wrong[name] = got, want
    equal(wrong, {})


@check("a rewrite keeps a type that another writer chose, and its other headers")
def kept(rig):
    m = rig.one()
    rig.s3.put(rig.bucket, "chosen.dat", b"old", content_type="application/x-chosen",
               cache_control="max-age=77", x_amz_meta_colour="blue")
    with open(m.path("chosen.dat"), "ab") as f:
        f.write(b" and more")
    h = rig.s3.head(rig.bucket, "chosen.dat").headers
    equal((h["content-type"], h.get("cache-control"), h.get("x-amz-meta-colour"), h["content-length"]),
          ("application/x-chosen", "max-age=77", "blue", "12"))


if __name__ == "__main__":
    main()
