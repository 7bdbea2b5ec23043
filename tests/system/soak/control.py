# SPDX-License-Identifier: Apache-2.0
"""A page of memory that the soak's processes share: when to stop, and what was done to each mount. A count that is odd
says that it is so now, one that has changed that it was so meanwhile."""
import mmap
import os
import struct

WORD = struct.Struct("=q")
SLOTS = 1 + 2 * 2


class Control:
    def __init__(self, path, make=False):
        if make:
            with open(path, "wb") as f:
                f.write(bytes(SLOTS * WORD.size))
        fd = os.open(path, os.O_RDWR)
        self.map = mmap.mmap(fd, SLOTS * WORD.size)
        os.close(fd)

    def _get(self, slot):
        return WORD.unpack_from(self.map, slot * WORD.size)[0]

    def _set(self, slot, value):
        WORD.pack_into(self.map, slot * WORD.size, value)

    def stop(self):
        return self._get(0) != 0

    def set_stop(self):
        self._set(0, 1)

    def down(self, m):
        return self._get(1 + m)

    def next_down(self, m):
        self._set(1 + m, self.down(m) + 1)

    def full(self, m):
        return self._get(3 + m)

    def next_full(self, m):
        self._set(3 + m, self.full(m) + 1)
