#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""status books every request to the call, or the task of the daemon, that sent it, and says what they cost."""
import collections
import os

from harness.case import check, equal, main, read_file, true, write_file
from harness.mount import cli

BACKENDS = "versitygw file"


def by_operation(m):
    s = m.status()
    sums = collections.Counter()
    for kinds in s["requests_by_operation"].values():
        sums.update({k: n for k, n in kinds.items() if k != "cost"})
    equal(dict(sums), {k: n for k, n in s["requests"].items() if n}, "all requests are somebody's")
    return {op: {k: n for k, n in kinds.items() if k != "cost"} for op, kinds in s["requests_by_operation"].items()}


def made_by(m, work):
    before = by_operation(m)
    work()
    after = by_operation(m)
    out = {}
    for op, kinds in after.items():
        new = {k: n - before.get(op, {}).get(k, 0) for k, n in kinds.items()}
        out[op] = {k: n for k, n in new.items() if n}
    return {op: kinds for op, kinds in out.items() if kinds and op not in ("lease", "mend")}


@check("a file is written, read, listed and removed: who asks for what")
def calls(rig):
    a, b = rig.mount(excl="close", actimeo=600), rig.mount(actimeo=600)
    os.mkdir(a.path("d"))
    equal(made_by(a, lambda: write_file(a.path("d/f"), b"x" * 1000))["close"], {"PUT": 1})
    os.stat(b.path("d"))
    made = made_by(b, lambda: read_file(b.path("d/f")))
    asked = (made["lookup"], made.get("open"))  # the last: a reader that was not seen in time
    true(asked in (({"GET": 1}, None), ({"HEAD": 1}, {"GET": 1})), made)
    equal(made_by(b, lambda: os.listdir(b.path("d")))["opendir"], {"LIST": 1})
    equal(made_by(a, lambda: os.unlink(a.path("d/f")))["unlink"], {"DELETE": 1})


@check("what other threads do for a call is that call's: parts, reading ahead, a directory's rename")
def threads(rig):
    a, b = rig.mount(), rig.mount()
    write_file(a.path("big"), os.urandom(30 << 20))
    made = made_by(b, lambda: read_file(b.path("big")))
    true(made["read"]["GET"] > 1, made)
    os.mkdir(a.path("many"))
    for n in range(20):
        write_file(a.path(f"many/{n}"), b"x")
    made = made_by(a, lambda: os.rename(a.path("many"), a.path("moved")))
    true(made["rename"].get("COPY", 0) + made["rename"]["PUT"] >= 20, made)


@check("commit=local: what is sent after the close is the sender's")
def sent(rig):
    m = rig.mount(commit="local")

    def work():
        write_file(m.path("f"), b"x" * 1000)
        m.drain()

    made = made_by(m, work)  # by a sender, or by the drain if that was first
    equal(made.get("send", {}).get("PUT", 0) + made.get("control", {}).get("PUT", 0), 1)
    true("close" not in made, made)


@check("the cost is that of the requests, where requests cost something")
def cost(rig):
    m = rig.mount()
    write_file(m.path("f"), b"x")
    s = m.status()
    text = cli("status", m.dir).stdout
    true("requests_by_operation.close.PUT" in text, text)
    if not rig.proxy:
        true("cost" not in s and "cost" not in s["requests_by_operation"]["close"], s)
        return
    dear = ("PUT", "COPY", "MPU-create", "PUT-part", "COPY-part", "MPU-complete", "LIST", "LIST-mpu")
    want = sum(n * (0 if k.startswith("DELETE") or k == "MPU-abort" else 5e-6 if k in dear else 4e-7)
               for k, n in s["requests"].items())
    equal((round(s["cost"], 9), s["currency"]), (round(want, 9), "USD"))
    equal(round(sum(o["cost"] for o in s["requests_by_operation"].values()), 9), round(want, 9))
    equal(round(s["requests_by_operation"]["close"]["cost"], 9), 5e-6)


main()
