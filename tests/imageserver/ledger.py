# SPDX-License-Identifier: Apache-2.0
"""The request ledgers: what the mounts say they sent, and what a counting proxy saw."""
import json
import subprocess
import time
import urllib.request

WRITES = ("put", "copy", "delete", "delete_multi", "mpu_create", "put_part", "copy_part",
          "mpu_complete", "mpu_abort")
SETTLE_SECONDS = 600
ALIKE = 4  # readings, 0.2 s apart


def _count(value):
    """A count, or a kind's counts by status."""
    return sum(_count(v) for v in value.values()) if isinstance(value, dict) else int(value)


def _requests(text):
    """{kind: count} of a status or a proxy's statistics. One says put_part, the other PUT-part."""
    counts = {kind.lower().replace("-", "_"): _count(value)
              for kind, value in json.loads(text)["requests"].items()}
    return {kind: count for kind, count in counts.items() if count}


def added(before, after):
    """{kind: count} of what came between two readings."""
    kinds = {k: after.get(k, 0) - before.get(k, 0) for k in {**before, **after}}
    return {k: n for k, n in sorted(kinds.items()) if n}


class Ledger:
    def __init__(self, s3efs, mounts, proxy_stats):
        self.s3efs = s3efs
        self.mounts = mounts
        self.proxy_stats = proxy_stats

    def _mount(self, directory):
        done = subprocess.run([self.s3efs, "status", directory, "--json"], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, check=True, timeout=SETTLE_SECONDS)
        return _requests(done.stdout)

    def _proxy(self):
        """None while requests are under way."""
        with urllib.request.urlopen(self.proxy_stats, timeout=SETTLE_SECONDS) as answer:
            text = answer.read()
        return None if json.loads(text)["under_way"] else _requests(text)

    def _read_once(self):
        reading = {directory: self._mount(directory) for directory in self.mounts}
        if self.proxy_stats:
            reading["proxy"] = self._proxy()
        return reading

    def read(self):
        """Each source's counts at a moment when nothing was under way: readings that agree."""
        end = time.monotonic() + SETTLE_SECONDS
        last, alike = self._read_once(), 1
        while alike < ALIKE:
            if time.monotonic() > end:
                raise TimeoutError(f"requests are still under way after {SETTLE_SECONDS} s: {last}")
            time.sleep(0.2)
            reading = self._read_once()
            alike = alike + 1 if reading == last and None not in reading.values() else 1
            last = reading
        return last

    def since(self, before):
        """Counts since `before`: of all mounts, of the first one alone, of the proxy (or None)."""
        after = self.read()
        of = {source: added(before[source], after[source]) for source in after}
        total = {}
        for directory in self.mounts:
            for kind, count in of[directory].items():
                total[kind] = total.get(kind, 0) + count
        return total, of[self.mounts[0]], of.get("proxy")
