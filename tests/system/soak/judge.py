# SPDX-License-Identifier: Apache-2.0
"""What the ledgers of a soak say, and whether what is found agrees with them. Nothing here knows s3efs."""
import collections
import hashlib
import json


# Operations whose bytes nothing else has.
ALONE = ("create", "rewrite", "append", "overwrite", "linked")


def sha(data):
    return None if data is None else hashlib.sha256(data).hexdigest()


class Ledgers:
    """mounts: the mount of each worker; ended: for each mount, when it was asked to end in order and was back."""

    def __init__(self, paths, mounts, local, ended):
        self.mounts, self.local, self.ended = mounts, local, ended
        self.changes = collections.defaultdict(list)
        self.peeks, self.lines, self.contested, self.bugs = [], [], [], []
        self.dirs = set()
        self.ops = collections.Counter()
        self.failed = 0
        for p in paths:
            with open(p, encoding="utf-8") as f:
                for text in f:
                    self.take(json.loads(text))

    def take(self, e):
        self.ops[e["op"]] += 1
        self.failed += bool(e.get("err"))
        if e["op"] == "bug":
            self.bugs.append(e)
        elif e["op"] == "end":
            self.dirs.update(e["dirs"])
        elif e["op"] == "peek":
            self.peeks.append(e)
        elif e["op"] == "line":
            self.lines.append(e)
        elif e["op"] == "contested":
            self.contested.append(e)
        else:
            for key in e["new"]:
                self.changes[key].append(dict(e, was=e["old"][key], want=e["new"][key], now=e["end"].get(key)))

    # While it ran.

    def torn(self):
        """Changes that left neither the old nor the new state, and not what a daemon that ends in order sends."""
        out = []
        for key, entries in self.changes.items():
            for e in entries:
                if e["now"] in (e["was"], e["want"]) or e.get("bug"):
                    continue
                spans = self.ended[self.mounts[e["worker"]]]
                if not any(a < e["t1"] and b > e["t0"] for a, b in spans):
                    out.append(f"{key} is torn: {brief(e)}")
        return out

    def may_be_seen(self, key, t0, t1, elsewhere):
        """The states that a reader between t0 and t1 may have found; None in it: no such name."""
        entries = self.changes.get(key, [])
        if elsewhere:  # what the writer's mount has acknowledged may still be on its way
            seen = {None}
            for e in entries:
                if e["t0"] < t1:
                    seen |= {e["was"], e["want"], e["now"]}
            return seen
        before, seen = None, set()
        for e in entries:
            if e["t1"] <= t0:
                before = e["now"]
            elif e["t0"] < t1:
                seen |= {e["was"], e["want"], e["now"]}
        return seen | {before}

    def busy(self, key, t0, t1):
        return any(e["t0"] < t1 and e["t1"] > t0 for e in self.changes.get(key, []))

    def wrong_reads(self):
        out = []
        for p in self.peeks:
            writer = int(p["key"].split("/")[0][1:])
            same = self.mounts[writer] == self.mounts[p["worker"]]
            if same and self.busy(p["key"], p["t0"], p["t1"]):
                continue  # on one mount a reader sees what was written so far, as on any
            ok = self.may_be_seen(p["key"], p["t0"], p["t1"], not same and self.local[self.mounts[writer]])
            if p["found"] not in ok:
                near = [brief(e) for e in self.changes.get(p["key"], []) if e["t0"] < p["t1"]][-4:]
                out.append(f"worker {p['worker']} (mount {self.mounts[p['worker']]}) read {p['key']} at {p['t0']:.3f}-{p['t1']:.3f}: "
                           f"{(p['found'] or 'nothing')[:8]} {p.get('head')} {p.get('size')}; before it: " + "; ".join(near))
        return out

    # At the end.

    def expected(self):
        return {key: entries[-1]["now"] for key, entries in self.changes.items() if entries[-1]["now"] is not None}

    def differences(self, found):
        """found: {key: bytes} of all that stands in the workers' folders."""
        out, want = [], self.expected()
        for key in sorted(set(want) | set(found)):
            if key.endswith("/") and not found[key]:
                known = self.dirs | {d.split("/")[0] for d in self.dirs}
                if key[:-1] not in known:
                    out.append(f"the directory {key} is there")
            elif want.get(key) != sha(found.get(key)):
                here = found.get(key)
                text = "is not there" if here is None else f"holds {here[:40]!r} ({len(here)} bytes, {sha(here)[:8]})"
                out.append(f"{key} {text}; told: " + "; ".join(brief(e) for e in self.changes.get(key, [])[-4:]))
        return out

    def wrong_lines(self, key, data, kept):
        """Every line that was acknowledged stands there once, each worker's in their order; nothing else does, but for
        lines that were under way. What a mount could not send is among what it kept."""
        out = []
        told = {e["line"]: e for e in self.lines if e["key"] == key}
        found = data.decode("utf-8", "replace").splitlines(keepends=True)
        seen, last = collections.Counter(found), {}
        for line in seen:
            if line not in told:
                out.append(f"{key} has a line that nobody wrote: {line[:80]!r}")
        for line, e in told.items():
            if seen[line] > 1:
                out.append(f"{key} has {line!r} {seen[line]} times")
            if not seen[line] and not e["err"] and not (e["local"] and any(line.encode() in k for k in kept)):
                out.append(f"{key} has lost {line!r}, told at {e['t1']:.3f}")
        for line in found:
            if line in told and not told[line]["err"]:
                worker, n = line.split()[:2]
                if int(n) <= last.get(worker, -1):
                    out.append(f"{key}: {line!r} comes after {last[worker]}")
                last[worker] = int(n)
        return out

    def wrongly_kept(self, kept):
        """What was told by a close is in the bucket, not in lost+found, unless others write to that file: there a close
        that did not wait for the bucket may have been too late."""
        told = {e["want"]: e for entries in self.changes.values() for e in entries if not e["err"] and e["op"] in ALONE}
        return [f"{name} is what was told: {brief(told[sha(data)])}" for name, data in kept.items()
                if len(data) > 20 and sha(data) in told]  # a few bytes may be the beginning of several

    def wrong_contested(self, key, data):
        if data is None:
            return [f"{key} is gone"] if any(not e["err"] for e in self.contested if e["key"] == key) else []
        mine = [e for e in self.contested if e["key"] == key and e["new"] == sha(data)]
        if not mine:
            return [f"{key} holds what nobody wrote: {data[:60]!r} ({len(data)} bytes)"]
        later = [e for e in self.contested if e["key"] == key and not e["err"] and not e["local"] and e["t0"] > mine[0]["t1"]]
        if later and not mine[0]["err"]:
            return [f"{key} holds {data[:20]!r}, told at {mine[0]['t1']:.3f}; worker {later[-1]['worker']} wrote after it, {later[-1]}"]
        return []


def brief(e):
    def s(v):
        return "-" if v is None else v[:8]
    return (f"[{e['t0']:.3f}-{e['t1']:.3f} w{e['worker']} {e['op']} errno {e['err']}: {s(e['was'])} -> {s(e['want'])}, "
            f"then {s(e['now'])}]")
