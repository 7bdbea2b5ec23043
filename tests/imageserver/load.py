#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loads a running image server and judges what became of the pictures: over HTTP, as files, as
files of another mount of the same bucket, and as objects."""
import argparse
import concurrent.futures
import errno
import functools
import hashlib
import itertools
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))

from killer import Killer  # noqa: E402
from ledger import Ledger, WRITES  # noqa: E402
from pictures import Pictures, TYPES  # noqa: E402
from server import ImageServer  # noqa: E402

AVATAR_USERS = 16
AVATAR_ROUNDS = 4
SHOWN = 5  # problems printed of one check


class Sum:
    """What is remembered of a picture's bytes."""

    def __init__(self, data):
        self.size, self.sha256 = len(data), hashlib.sha256(data).hexdigest()

    def __eq__(self, other):
        return self.sha256 == other.sha256

    def __str__(self):
        return f"{self.size} bytes {self.sha256[:12]}"


class Image:
    """An upload that was answered."""

    def __init__(self, kind, data, answer):
        self.kind, self.sum = kind, Sum(data)
        self.id, self.name, self.url = answer["id"], answer["name"], answer["url"]
        self.size_said = answer["size"]


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, title, problems, of=None):
        """problems: a text for each thing that is wrong."""
        wrong = [p for p in problems if p]
        count = f" ({of})" if of is not None else ""
        print(f"{'FAIL' if wrong else 'PASS'}: {title}{count}", flush=True)
        for problem in wrong[:SHOWN]:
            print(f"      {' '.join(problem.split())[:200]}")
        if len(wrong) > SHOWN:
            print(f"      ... {len(wrong)} in all")
        if wrong:
            self.failed += 1
        else:
            self.passed += 1

    @staticmethod
    def without(title, why):
        print(f"not checked: {title}: {why}", flush=True)


def judged(func):
    """A function that raises becomes one that returns the problem's text."""
    @functools.wraps(func)
    def run(*args):
        try:
            return func(*args)
        except Exception as e:  # whatever it is, it is this picture's result
            return f"{type(e).__name__}: {e}"
    return run


def read_file(directory, name):
    with open(os.path.join(directory, name), "rb") as f:
        return f.read()


def differs(what, expected, data):
    found = Sum(data)
    return None if found == expected else f"{what}: {found}, uploaded were {expected}"


class Load:
    def __init__(self, args):
        self.args = args
        self.checks = Checks()
        self.http = ImageServer(args.server)
        self.pictures = Pictures(args.seed)
        self.pool = concurrent.futures.ThreadPoolExecutor(args.concurrency)
        self.s3, self.ledger, self.killer = None, None, None
        if args.bucket:
            from harness import s3
            self.s3 = s3.Client(args.endpoint, os.environ["AWS_ACCESS_KEY_ID"],
                                os.environ["AWS_SECRET_ACCESS_KEY"],
                                os.environ.get("AWS_REGION", "us-east-1"),
                                os.environ.get("AWS_SESSION_TOKEN"))
        if args.s3efs and not args.kills:  # a daemon's ledger dies with it
            mounts = [args.dir] + ([args.second] if args.second else [])
            self.ledger = Ledger(args.s3efs, mounts, args.proxy_stats)
        self.keys_before = self.keys()
        self.names_before = set(os.listdir(args.dir))
        if args.kills:
            self.killer = Killer(args.s3efs, args.dir, args.kills, args.kill_every, args.seed)

    def keys(self):
        """{name: size} of the objects, without what the file system keeps for itself."""
        if not self.s3:
            return {}
        prefix = self.args.prefix
        listed = self.s3.list(self.args.bucket, prefix)
        return {key[len(prefix):]: size for key, (size, _) in listed.items()
                if key != prefix and not key[len(prefix):].startswith(".s3efs/")}

    def each(self, func, items):
        """func of each item, at the concurrency asked for; problems in the items' order."""
        def one(item):
            problem = func(item)
            self.note()
            return problem
        return list(self.pool.map(one, items))

    def note(self):
        if self.killer:
            self.killer.note()

    # uploads

    def upload_one(self, number):
        """(image, seconds, problem over HTTP, problem in the second mount)"""
        kind, data = self.pictures.make("upload", number)
        start = time.monotonic()
        try:
            image = Image(kind, data, self.http.upload(kind, data))
        except Exception as e:
            return None, 0, f"upload {number}: {type(e).__name__}: {e}", None
        seconds = time.monotonic() - start
        self.note()
        # The other pod reads before this one every second time, so that neither warms the other up.
        tests = [self.same_over_http, self.same_in_second]
        results = [test(image) for test in (tests if number % 2 else reversed(tests))]
        over_http, in_second = results if number % 2 else reversed(results)
        return image, seconds, over_http, in_second

    @judged
    def same_over_http(self, image):
        content_type, data = self.http.fetch(image.url)
        if content_type != TYPES[image.kind]:
            return f"{image.name}: Content-Type {content_type}"
        if image.size_said != image.sum.size or not image.name.endswith("." + image.kind):
            return f"{image.name}: answered with size {image.size_said}, sent were {image.sum.size}"
        return differs(image.name, image.sum, data)

    @judged
    def same_in_second(self, image):
        if not self.args.second:
            return None
        return differs(image.name, image.sum, read_file(self.args.second, image.name))

    @judged
    def same_in_mount(self, image):
        size = os.stat(os.path.join(self.args.dir, image.name)).st_size
        if size != image.sum.size:
            return f"{image.name}: st_size {size}, uploaded were {image.sum.size}"
        return differs(image.name, image.sum, read_file(self.args.dir, image.name))

    @judged
    def same_object(self, image):
        reply = self.s3.get(self.args.bucket, self.args.prefix + image.name)
        return differs(image.name, image.sum, reply.body)

    @judged
    def right_content_type(self, image):
        reply = self.s3.head(self.args.bucket, self.args.prefix + image.name)
        if reply is None:
            return f"{image.name}: no such object"
        if reply.headers.get("content-type") != TYPES[image.kind]:
            return f"{image.name}: Content-Type {reply.headers.get('content-type')}"
        return None

    def upload_all(self):
        """As many as were asked for, and more until daemons were killed often enough."""
        numbers, lock = itertools.count(), threading.Lock()

        def some(_):
            done = []
            while True:
                with lock:
                    number = next(numbers)
                if number >= self.args.images and (not self.killer or self.killer.is_over()):
                    return done
                done.append(self.upload_one(number))
        return [d for part in self.pool.map(some, range(self.args.concurrency)) for d in part]

    def uploads(self):
        before = self.ledger.read() if self.ledger else None
        start = time.monotonic()
        done = self.upload_all()
        seconds = time.monotonic() - start
        images = [d[0] for d in done if d[0]]
        n = len(done)
        self.checks.add("uploads are read back over HTTP at once, equal", [d[2] for d in done], n)
        if self.args.second:
            self.checks.add("uploads are read through the second mount at once, equal",
                            [d[3] for d in done], n)
        took = sorted(d[1] for d in done)
        megabytes = sum(image.sum.size for image in images) / 1e6
        print(f"      {megabytes:.0f} MB in {seconds:.1f} s, upload p50 "
              f"{took[n // 2] * 1e3:.0f} ms, p99 {took[n * 99 // 100] * 1e3:.0f} ms")
        if self.ledger:
            self.upload_ledger(before, n)
        return images

    def upload_ledger(self, before, n):
        total, first, proxy = self.ledger.since(before)
        print(f"      requests of all mounts: {total}")
        puts = first.get("put", 0)
        wrong = [f"{total[kind]} {kind}" for kind in WRITES if kind != "put" and total.get(kind)]
        if puts != n:
            wrong.append(f"{puts} PUTs for {n} images")
        if total.get("put", 0) != puts:
            wrong.append(f"{total['put'] - puts} PUTs of the mount that only reads")
        self.checks.add("an image costs exactly one PUT and no other write", wrong,
                        f"{puts / n:.2f} PUTs per image")
        self.proxy_agrees("uploads", total, proxy)

    def proxy_agrees(self, phase, total, proxy):
        title = f"{phase}: the ledger is what the proxy counted"
        if proxy is None:
            self.checks.without(title, "no S3EFS_TEST_PROXY_STATS")
            return
        self.checks.add(title, [f"{kind}: ledger {total.get(kind, 0)}, proxy {proxy.get(kind, 0)}"
                                for kind in sorted({**total, **proxy})
                                if total.get(kind, 0) != proxy.get(kind, 0)])

    def compare(self, images):
        n = len(images)
        self.checks.add("files of the mount are equal", self.each(self.same_in_mount, images), n)
        if self.s3:
            self.checks.add("objects are equal", self.each(self.same_object, images), n)
            self.checks.add("objects have their Content-Type",
                            self.each(self.right_content_type, images), n)
        else:
            self.checks.without("objects", "not on S3")

    # profile pictures

    @judged
    def replace_avatar(self, user):
        by_copy = user % 2 == 1
        name = self.avatar_name(user)
        for number in range(AVATAR_ROUNDS):
            data = self.avatar_bytes(user, number)
            self.http.put_avatar(f"u{user}", data, by_copy)
            readers = {"HTTP": lambda: self.http.avatar(f"u{user}"),
                       "mount": lambda: read_file(self.args.dir, name)}
            if self.args.second:
                readers = {"second mount": lambda: read_file(self.args.second, name), **readers}
            for where, read in readers.items():
                wrong = differs(f"{name}, version {number}, {where}", Sum(data), read())
                if wrong:
                    return wrong
        return None

    @staticmethod
    def avatar_name(user):
        return f"avatar-u{user}.jpg"

    def avatar_bytes(self, user, number):
        return self.pictures.make(f"avatar-{user}", number, "jpg")[1]

    def avatar_image(self, user):
        data = self.avatar_bytes(user, AVATAR_ROUNDS - 1)
        name = self.avatar_name(user)
        return Image("jpg", data, {"id": None, "name": name, "url": None, "size": len(data)})

    def avatars(self):
        before = self.ledger.read() if self.ledger else None
        users = range(AVATAR_USERS)
        problems = self.each(self.replace_avatar, users)
        of = f"{AVATAR_USERS // 2} users, {AVATAR_ROUNDS} times"
        where = "HTTP, mount" + (", second mount" if self.args.second else "")
        for first, way in enumerate(("move", "copy")):
            self.checks.add(f"a picture replaced by {way} is read anew at once: {where}",
                            problems[first::2], of)
        if self.ledger:
            total, _, proxy = self.ledger.since(before)
            print(f"      requests of all mounts: {total}")
            self.proxy_agrees("profile pictures", total, proxy)
        pictures = [self.avatar_image(user) for user in users]
        if self.s3:
            self.checks.add("profile pictures' objects are the last version",
                            self.each(self.same_object, pictures), AVATAR_USERS)
            self.checks.add("profile pictures' objects have their Content-Type",
                            self.each(self.right_content_type, pictures), AVATAR_USERS)
        return pictures

    # deletes

    @judged
    def delete_one(self, image):
        self.http.delete(image.id)
        self.http.is_gone(image.id)
        for directory in filter(None, (self.args.dir, self.args.second)):
            try:
                read_file(directory, image.name)
                return f"{directory}/{image.name} can still be read"
            except OSError as e:
                if e.errno != errno.ENOENT:
                    raise
        if self.s3 and self.s3.head(self.args.bucket, self.args.prefix + image.name):
            return f"{image.name}: the object is still there"
        return None

    def deletes(self, images):
        victims = images[::20]
        self.checks.add("deleted images are gone everywhere",
                        self.each(self.delete_one, victims), len(victims))
        return [image for image in images if image not in victims]

    # what is left

    def nothing_else(self, left):
        expected = {image.name: image.sum.size for image in left}
        names = set(os.listdir(self.args.dir)) - (self.names_before - set(expected)) - {".s3efs"}
        self.checks.add("the directory lists the images and nothing else",
                        [f"{name}: {'missing' if name in expected else 'not expected'}"
                         for name in sorted(names ^ set(expected))], len(expected))
        if not self.s3:
            return
        found = {k: v for k, v in self.keys().items() if k in expected or k not in self.keys_before}
        self.checks.add("the bucket holds the images and nothing else",
                        [f"{key}: {found.get(key)} bytes, expected {expected.get(key)}"
                         for key in sorted({**found, **expected})
                         if found.get(key) != expected.get(key)],
                        len(expected))

    def run(self):
        images = self.uploads()
        self.compare(images)
        left = self.avatars() + self.deletes(images)
        if self.killer:
            problem = self.killer.stop()
            self.checks.add("killed daemons were replaced, and calls went on", [problem], self.killer.killed)
        self.nothing_else(left)
        if self.args.counts:
            with open(self.args.counts, "w", encoding="ascii") as f:
                print(self.checks.passed, self.checks.failed, file=f)
        else:
            print(f"{self.checks.passed} passed, {self.checks.failed} failed")
        return 1 if self.checks.failed else 0


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--server", required=True, help="URL of the image server")
    p.add_argument("--dir", required=True, help="the directory it keeps its images in")
    p.add_argument("--second", help="another mount of the same bucket")
    p.add_argument("--s3efs", help="the program, to ask the mounts for their ledgers")
    p.add_argument("--endpoint", help="the S3 server")
    p.add_argument("--bucket", help="the bucket behind the directory")
    p.add_argument("--prefix", default="", help="the keys' prefix, with its slash")
    p.add_argument("--proxy-stats", help="URL of a counting proxy's statistics")
    p.add_argument("--images", type=int, default=1000)
    p.add_argument("--concurrency", type=int, default=16)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--kills", type=int, default=0, help="kill the daemon of --dir at least so often (option takeover)")
    p.add_argument("--kill-every", type=float, default=3, help="seconds between kills, about")
    p.add_argument("--counts", help="a file for the counts, instead of the last line")
    args = p.parse_args()
    if bool(args.endpoint) != bool(args.bucket):
        p.error("--endpoint and --bucket go together")
    if args.kills and not args.s3efs:
        p.error("--kills needs --s3efs")
    if args.images < 1 or args.concurrency < 1:
        p.error("--images and --concurrency are 1 or more")
    return args


if __name__ == "__main__":
    sys.exit(Load(arguments()).run())
