#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""s3efs compare: what it counts is what the ledger has, what comes back wrong is found, and nothing stays behind.

An NFS side is a plain directory whose counters come from a pipe: each look of the program waits for this test, which thereby
holds it between two steps."""
import collections
import glob
import html.parser
import json
import os
import pty
import signal
import subprocess
import threading

from harness import mount, procs
from harness.case import check, contains, equal, main, read_file, true, write_file

BACKENDS = "file"
TIMEOUT = 600
VOID = {"meta", "br", "link", "img", "input"}


def argv(*args):
    return [mount.binary(), "compare", *args]


def compare(*args):
    """Exit code, stdout, stderr."""
    r = subprocess.run(argv(*args), capture_output=True, text=True, errors="replace", timeout=procs.PATIENCE,
                       env=mount.environment(), check=False)
    return r.returncode, r.stdout, r.stderr


def result(*args, code=0):
    got, out, err = compare(*args, "--json")
    equal(got, code, f"exit; stderr: {err}")
    return json.loads(out), err


def left(d):
    return sorted(n for n in os.listdir(d) if n.startswith("s3efs-compare"))


def plain(rig, name):
    d = rig.path(name)
    os.makedirs(d, exist_ok=True)
    return d


class Nfs:
    """The counters of an NFS mount at d; each look is answered when look() is called, with a little more each time."""

    def __init__(self, rig, d):
        self.d, self.path, self.looks = d, rig.path("mountstats-" + os.path.basename(d)), 0
        os.mkfifo(self.path)

    def text(self):
        n = self.looks
        head = f"device 127.0.0.1:/ mounted on {self.d} with fstype nfs4 statvers=1.1\n\topts:\trw,vers=4.1\n\tage:\t{n}\n"
        return (head + f"\tbytes:\t0 0 0 0 {8192 * n} {4096 * n} 0 0\n\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)\n"
                + f"\tper-op statistics\n\tREAD: {2 * n} {2 * n} 0 1 1 0 0 0 0\n\tWRITE: {n} {n} 0 1 1 0 0 0 0\n\n")

    def look(self):
        """Another pipe takes the place of this one before it ends, so that no reader sees two answers."""
        with open(self.path, "w", encoding="ascii") as f:
            os.mkfifo(self.path + ".new")
            os.rename(self.path + ".new", self.path)
            f.write(self.text())
        self.looks += 1

    def serve(self, process):
        """Answers until the process has ended."""
        def answer():
            while True:
                self.look()
        threading.Thread(target=answer, daemon=True).start()
        out, err = process.communicate(timeout=procs.PATIENCE)
        return process.returncode, out, err


def begin(*args):
    p = subprocess.Popen(argv(*args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         env=mount.environment())
    procs.at_exit(p.kill)
    return p


@check("two mounts and a plain directory: requests are the ledger's, the bill follows from them, nothing stays")
def ledger(rig):
    rig.fresh()
    a = rig.mount()
    write_file(a.path("mine"), "not touched")
    rig.fresh()
    b, c = rig.mount(), plain(rig, "plain")
    before = [a.ledger(), b.ledger()]
    o, err = result(a.dir, b.dir, c, "--work", "mix,upload,read,list,tree", "--files", "13", "--size", "4k,20k", "--concurrency", "1,4")
    equal(err, "", "stderr without a terminal")
    equal([s["kind"] for s in o["sides"]], ["s3efs", "s3efs", "other"], "kinds")
    for side, m, was in zip(o["sides"], (a, b), before):
        ledger_has = m.ledger() - was
        counted = collections.Counter(side["requests"])
        # the directory itself was looked at before the first count
        equal({k: n for k, n in (ledger_has - counted).items() if k != "HEAD" or n > 2}, {}, "in the ledger, not counted")
        equal(dict(counted - ledger_has), {}, "counted, not in the ledger")
        steps = collections.Counter()
        for s in side["steps"]:
            steps.update(s["requests"])
            equal((s["failed"], s["wrong"]), (0, 0), s["work"])
        equal(dict(steps - counted), {}, "more in steps than in all")
        equal(steps["PUT"], counted["PUT"] - 1, "all PUT but that of the directory are in steps")
        one = {(s["work"], s["size"], s["concurrency"]): s for s in side["steps"]}
        equal(one["upload", 20480, 4]["requests"]["PUT"], 13, "PUT of 13 uploads")
        equal(one["upload", 20480, 4]["store"]["bytes"], 13 * 20480, "bytes")
        equal(one["mix", 0, 1]["read"]["operations"], 130, "reads of a mix")
        equal(one["list", 4096, 4]["read"]["files"], 52, "files of four listings")
    price = o["bills"][0]
    equal(price["prices"], "today")
    mixes = [s for s in o["sides"][0]["steps"] if s["work"] == "mix"]
    rates = {"PUT": 5e-6, "LIST": 5e-6, "COPY": 5e-6, "GET": 4e-7, "HEAD": 4e-7, "DELETE": 0}
    image = sum(n * rates[k] for s in mixes for k, n in s["requests"].items()) / 26
    true(abs(price["image"][0] - image) < 1e-9, f"an image costs {price['image'][0]}, want {image}")
    month = price["months"][1]
    equal((month["stored_bytes"], month["images_per_day"]), (100 << 30, 10000), "the second month")
    true(abs(month["sides"][0]["total"] - (2.30 + 300000 * image)) < 1e-6, f"the month {month}")
    equal(month["sides"][2], None, "the bill of a plain directory")
    equal([left(d) for d in (a.dir, b.dir, c)], [[], [], []], "left behind")
    equal(os.listdir(a.dir), ["mine"], "names in the bucket")
    equal(read_file(a.path("mine")), b"not touched", "the file that was there")
    equal(os.listdir(c), [], "names in the plain directory")


@check("two mounts of one bucket, and commit=local: what is unsent is sent before it is counted")
def one_bucket(rig):
    rig.fresh()
    a, b = rig.mount(), rig.mount(commit="local")
    o, err = result(a.dir, b.dir, "--work", "upload", "--files", "9", "--size", "4k", "--concurrency", "3")
    equal(err, "", "stderr")
    for side in o["sides"]:
        equal([s["requests"]["PUT"] for s in side["steps"] if s["work"] == "upload"], [9], "PUT")
    equal([left(a.dir), left(b.dir)], [[], []], "left behind")


@check("an NFS side: its operations and bytes are those of mountstats, and so is its bill")
def nfs(rig):
    d = plain(rig, "nfs")
    n = Nfs(rig, d)
    p = begin(d, "--mountstats", n.path, "--json", "--files", "4", "--size", "4k", "--concurrency", "1", "--reads", "2")
    code, out, err = n.serve(p)
    equal(code, 0, f"exit: {err}")
    side = json.loads(out)["sides"][0]
    equal(side["kind"], "nfs")
    for s in side["steps"]:
        equal((s["requests"], s["bytes_up"], s["bytes_down"]), ({"READ": 2, "WRITE": 1}, 4096, 8192), s["work"])
    # what the pipe said at the first count, and at the last: 2 looks for each of 3 steps in between
    equal(side["requests"], {"READ": 14, "WRITE": 7}, "all of it")
    bill = json.loads(out)["bills"][0]
    want = (4096 * 0.06 + 8192 * 0.03) / (1 << 30) / 4
    true(abs(bill["image"][0] - want) < want * 1e-6, f"an image costs {bill['image'][0]}, want {want}")
    equal(os.listdir(d), [], "left behind")


def held(rig, name, looks, *args):
    """A run on a plain "NFS" directory that waits for its next look."""
    d = plain(rig, name)
    n = Nfs(rig, d)
    p = begin(d, "--mountstats", n.path, "--files", "6", "--size", "20k", "--concurrency", "2", *args)
    for _ in range(looks):
        n.look()
    return d, n, p


@check("a byte that changed in a file between its storing and its reading: found, named, exit 3")
def wrong(rig):
    # the side, the first count, two for each of make and upload
    d, n, p = held(rig, "wrong", 2 + 4 - 1, "--work", "upload,read", "--json")
    procs.wait_for(lambda: len(glob.glob(d + "/s3efs-compare-1/1/img*")) == 6, "the uploads")
    n.look()
    victim = sorted(glob.glob(d + "/s3efs-compare-1/1/img*"))[3]
    # the step of reads is begun by the next look
    with open(victim, "r+b") as f:
        f.seek(12345)
        byte = f.read(1)[0]
        f.seek(12345)
        f.write(bytes([byte ^ 1]))
    code, out, err = n.serve(p)
    equal(code, 3, f"exit: {err}")
    contains(err, os.path.basename(victim) + ": the byte at 12345")
    steps = json.loads(out)["sides"][0]["steps"]
    equal([s["wrong"] for s in steps if s["work"] == "read"], [1], "wrong files")
    equal(os.listdir(d), [], "left behind")


@check("Ctrl-C: what was made is removed, exit 130; a file that stands in the way of nothing is untouched")
def stopped(rig):
    d, n, p = held(rig, "stopped", 5, "--work", "upload")
    write_file(os.path.join(d, "mine"), "mine")
    procs.wait_for(lambda: len(glob.glob(d + "/s3efs-compare-1/1/img*")) == 6, "the uploads")
    p.send_signal(signal.SIGINT)
    code, out, err = n.serve(p)
    equal((code, out), (128 + signal.SIGINT, ""), f"exit: {err}")
    contains(err, "stopped")
    equal(os.listdir(d), ["mine"], "left behind")


@check("what a killed run left is named, and left alone")
def killed(rig):
    d, n, p = held(rig, "killed", 5, "--work", "upload")
    procs.wait_for(lambda: len(glob.glob(d + "/s3efs-compare-1/1/img*")) == 6, "the uploads")
    p.kill()
    p.wait()
    code, _, err = compare(d, "--files", "2", "--size", "4k")
    equal(code, 0, f"exit: {err}")
    contains(err, f"rm -r {d}/s3efs-compare-1")
    equal(left(d), ["s3efs-compare-1"], "left")
    equal(len(os.listdir(d + "/s3efs-compare-1/1")), 6, "its files")


@check("a mount that dies: the other side is cleaned, what can't be removed is named, exit 2")
def dies(rig):
    rig.fresh()
    m = rig.mount()
    d = plain(rig, "survivor")
    n = Nfs(rig, d)
    p = begin(d, m.dir, "--mountstats", n.path, "--files", "3", "--size", "4k", "--concurrency", "1", "--json")
    for _ in range(3):
        n.look()
    procs.wait_for(lambda: left(m.dir) == ["s3efs-compare-1"], "its directory")
    m.kill()
    code, out, err = n.serve(p)
    equal(code, 2, f"exit: {err}")
    contains(err, f"LEFT BEHIND: {m.dir}/s3efs-compare-1")
    o = json.loads(out)
    true(o["sides"][1]["failure"] != "", "the failure is in the result")
    equal(o["sides"][1]["left_behind"], f"{m.dir}/s3efs-compare-1")
    equal(os.listdir(d), [], "left on the other side")
    m.discard()


@check("counters that go back in the middle (mounted anew): no figures are made up, exit 2")
def counters_back(rig):
    d, n, p = held(rig, "back", 5, "--work", "upload", "--json")
    n.looks = 1
    code, out, err = n.serve(p)
    equal(code, 2, f"exit: {err}")
    contains(err, "the counters went back")
    side = json.loads(out)["sides"][0]
    true("requests" not in [s for s in side["steps"] if s["work"] == "upload"][0], f"requests of the upload: {side}")
    true("requests" not in side, "requests of all of it")
    equal(os.listdir(d), [], "left behind")


@check("a result that can't be written is an error, and nothing stays")
def no_output(rig):
    d = plain(rig, "no-output")
    code, _, err = compare(d, "--files", "2", "--size", "100", "--html", "/dev/full")
    equal(code, 2, f"exit: {err}")
    contains(err, "/dev/full: No space left")
    with open("/dev/full", "wb") as full:
        r = subprocess.run(argv(d, "--files", "2", "--size", "100"), stdout=full, stderr=subprocess.PIPE, text=True,
                           env=mount.environment(), timeout=procs.PATIENCE, check=False)
    equal(r.returncode, 2, f"exit: {r.stderr}")
    contains(r.stderr, "can't be written")
    equal(os.listdir(d), [], "left behind")


class Page(html.parser.HTMLParser):
    """Balanced, and nothing in it that runs or loads."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], collections.Counter(), []
        self.feed(text)
        self.close()
        equal(self.open, [], "tags left open")

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        true(tag not in ("script", "iframe", "object", "embed", "link", "img", "a", "base", "form"), f"a <{tag}>")
        for name, value in attrs:
            true(not name.startswith("on") and name not in ("src", "href", "xlink:href", "action"), f"{name}={value}")
            true("url(" not in (value or ""), f"{name}={value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag, "the end tag")

    def handle_data(self, data):
        self.texts.append(data)
        true("@import" not in data and "url(" not in data, "a style that loads")


@check("the page is whole, runs nothing and loads nothing, whatever the directories are called")
def page(rig):
    name = "x\"><script>alert('1')</script><img src=x onerror=y>&lt; 'q' \u00e4"
    d, e = plain(rig, name.replace("/", "_")), plain(rig, "n\x1b[2Jm\n\udcff")
    out = rig.path("page.html")
    code, _, err = compare(d, e, "--files", "3", "--size", "4k", "--work", "upload,read", "--html", out)
    equal(code, 0, f"exit: {err}")
    text = read_file(out).decode("utf-8")
    p = Page(text)
    true(any(name.replace("/", "_") in t for t in p.texts), "the name is shown as it is")
    equal([c for c in text if ord(c) < 32 and c != "\n"], [], "control characters")
    true(p.tags["svg"] >= 6, f"charts: {p.tags['svg']}")
    equal([os.listdir(d), os.listdir(e)], [[], []], "left behind")


@check("on a terminal it shows how far it is")
def progress(rig):
    d = plain(rig, "terminal")
    master, slave = pty.openpty()
    p = subprocess.Popen(argv(d, "--files", "3", "--size", "4k"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave,
                         env=mount.environment())
    procs.at_exit(p.kill)
    os.close(slave)
    seen = b""
    try:
        while True:
            piece = os.read(master, 4096)
            if not piece:
                break
            seen += piece
    except OSError:  # the other end is closed
        pass
    os.close(master)
    equal(p.wait(procs.PATIENCE), 0, "exit")
    contains(seen.decode("utf-8", "replace"), "6/6 remove, 16 at once")


@check("what is wrong with the command line is said, and nothing is made")
def usage(rig):
    d = plain(rig, "usage")
    write_file(rig.path("prices"), "{}")
    for args, said in (([], "no directory"), ([d, rig.path("not-there")], "not-there"), ([d, rig.path("prices")], "not a directory"),
                       ([d, "--prices", rig.path("prices")], "prices"), ([d, "--work", "dance"], "dance"),
                       ([d, "--html", d + "/no/page"], "no/page")):
        code, out, err = compare(*args)
        equal((code, out), (1, ""), f"{args}: {err}")
        contains(err, said)
    equal(os.listdir(d), [], "made")
    equal(compare("--help")[0], 0, "--help")


if __name__ == "__main__":
    main()
