# SPDX-License-Identifier: Apache-2.0
"""Real pictures, the same for the same number, each different from every other.

A JPEG is one of pictures/*.jpg with random comment segments behind its first marker; a PNG is made
from scratch. Both stay valid pictures at any size.
"""
import os
import random
import struct
import zlib

SMALLEST = 4 * 1024
LARGEST = 2 * 1024 * 1024
TYPES = {"jpg": "image/jpeg", "png": "image/png"}

COMMENT_MOST = 65533  # a JPEG segment's length is 16 bits and counts itself


def _jpeg_comments(rng, size):
    """COM segments of `size` bytes in all."""
    out = bytearray()
    while len(out) < size:
        # At least 16 random bytes, and never a rest too small for a segment of its own.
        body = min(COMMENT_MOST - 64, max(16, size - len(out) - 4))
        out += struct.pack(">HH", 0xFFFE, body + 2) + rng.randbytes(body)
    return bytes(out)


def _jpeg(rng, size, bases):
    fitting = [b for b in bases if len(b) + 64 <= size] or [min(bases, key=len)]
    base = rng.choice(fitting)
    return base[:2] + _jpeg_comments(rng, max(20, size - len(base))) + base[2:]


def _png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(rng, size):
    """RGB, the upper half noise (which does not compress), the lower half a gradient."""
    width = max(24, int((size * 2 / 3) ** 0.5))
    noise_rows = max(1, size // (3 * width + 1))
    gradient = bytes(v for x in range(width) for v in (x * 255 // width, 128, 64))
    rows = [b"\0" + rng.randbytes(3 * width) for _ in range(noise_rows)]
    rows += [b"\0" + gradient] * noise_rows
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header)
            + _png_chunk(b"IDAT", zlib.compress(b"".join(rows), 1)) + _png_chunk(b"IEND", b""))


class Pictures:
    def __init__(self, seed):
        self.seed = seed
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
        names = sorted(n for n in os.listdir(folder) if n.endswith(".jpg"))
        self.bases = []
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                self.bases.append(f.read())

    def make(self, series, number, kind=None):
        """(extension, bytes) of picture `number` of a series; sizes spread evenly by magnitude."""
        rng = random.Random(f"{self.seed}/{series}/{number}")
        kind = kind or ("jpg", "png")[number % 2]
        size = int(SMALLEST * (LARGEST / SMALLEST) ** rng.random())
        return kind, _jpeg(rng, size, self.bases) if kind == "jpg" else _png(rng, size)
