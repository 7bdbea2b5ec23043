# SPDX-License-Identifier: Apache-2.0
"""One measured step: a command, what it asked of S3 (counted by the proxy), and what the daemon took meanwhile."""
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from harness import procs, proxy  # noqa: E402

QUIET = 0.4  # seconds without a request: what was sent late is booked to the step that caused it
LONGEST = 900
STATE = ".s3efs/"  # what mounts keep beside the files


def family(pid):
    """The process and its descendants."""
    children = collections.defaultdict(list)
    for d in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{d}/stat", encoding="ascii", errors="replace") as f:
                children[int(f.read().rsplit(")", 1)[1].split()[1])].append(int(d))
        except OSError:
            continue
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children[found[-1]]
    return found


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                words = f.read().rsplit(")", 1)[1].split()
            total += int(words[11]) + int(words[12])
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


def rss_anon(pids):
    """MiB."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))
        except OSError:
            continue
    return total / 1024


class Watch:
    """The most RssAnon of a daemon while something goes on."""

    def __init__(self, pids):
        self.pids, self.most, self.end = pids, rss_anon(pids), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.end.wait(0.02):
            self.most = max(self.most, rss_anon(self.pids))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.end.set()
        self.thread.join()


class Meter:
    """The proxy before the S3 server, and its counts."""

    def __init__(self, endpoint, rtt):
        self.proxy, self.rtt = proxy.Proxy(endpoint), rtt
        self.endpoint = self.proxy.endpoint

    def delay(self, on):
        self.proxy.rtt(self.rtt if on else 0)

    def settle(self):
        """Until nothing was asked for a while."""
        last, since, end = None, time.monotonic(), time.monotonic() + 60
        while time.monotonic() < end:
            s = self.proxy.stats()
            now = (s["requests"], s["bytes_up"], s["bytes_down"])
            if now != last or s["under_way"]:
                last, since = now, time.monotonic()
            if time.monotonic() - since > QUIET:
                return
            time.sleep(0.05)

    def begin(self):
        self.settle()
        self.proxy.reset()

    def read(self):
        """Requests by kind: all but those of the mount's own state, these, and those that name a file of load's or raw's;
        bytes, and the most at once. (A LIST names no key, so it is among the first.)"""
        s, log = self.proxy.stats(), self.proxy.log()
        state = collections.Counter(e["kind"] for e in log if e["key"].startswith(STATE))
        files = collections.Counter(e["kind"] for e in log if re.search(r"/f-\d{6}\.jpg$", e["key"]))
        kinds = collections.Counter(s["requests"]) - state
        bad = {k: {code: n for code, n in by.items() if code[0] not in "23"} for k, by in s["by_kind_status"].items()}
        return {"requests": dict(kinds), "state_requests": dict(state), "file_requests": dict(files),
                "bytes_up": s["bytes_up"], "bytes_down": s["bytes_down"], "connections": s["connections"], "most_at_once": s["most_under_way"],
                "not_ok": {k: v for k, v in bad.items() if v}}


_group = []  # of the command that runs


def _end_group():
    for pid in _group:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


procs.at_exit(_end_group)


def command(argv, env=None):
    """(seconds, its last line of JSON or {}, None or what went wrong)"""
    start = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         errors="replace", env=env, start_new_session=True)
    _group.append(p.pid)
    try:
        out, err = p.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        _end_group()
        p.communicate()
        return time.monotonic() - start, {}, f"no end after {LONGEST} s"
    finally:
        _group.clear()
    seconds = time.monotonic() - start
    lines = [line for line in out.splitlines() if line.startswith("{")]
    said = json.loads(lines[-1]) if lines else {}
    wrong = None if p.returncode == 0 else said.get("first_failure") or err.strip()[-300:] or f"exit {p.returncode}"
    return seconds, said, wrong


def step(meter, side, argv, ops=None, env=None, after=None):
    """Runs argv on a side: a dict of all that was measured. after(): what completes it (a drain); it is timed apart."""
    pids = family(side.pid) if side.pid else []
    if side.remote:
        meter.begin()
    cpu = cpu_seconds(pids)
    with Watch(pids) as watch:
        seconds, said, wrong = command(argv, env)
        start = time.monotonic()
        durable = after() if after and not wrong else None
        drained = time.monotonic() - start
        if side.remote:
            meter.settle()
    out = {"seconds": round(said.get("seconds", seconds), 4), "ops": ops or said.get("ops", 1)}
    out.update({k: v for k, v in said.items() if k.endswith("_ms") or k == "mb_per_s"})
    out["ops_per_s"] = round(out["ops"] / max(out["seconds"], 1e-6), 3)
    if durable is not None:
        out["durable_at_return"], out["drain_seconds"] = durable, round(drained, 3)
    if side.remote:
        out.update(meter.read())
        out["requests_per_op"] = round(sum(out["requests"].values()) / max(out["ops"], 1), 3)
    if pids:
        out.update(cpu_seconds=round(cpu_seconds(pids) - cpu, 2), rss_anon_mib=round(watch.most, 1))
    out["load"] = os.getloadavg()[0]
    if wrong:
        out["failed"] = wrong
    return out


__all__ = ["Meter", "command", "procs", "step"]
