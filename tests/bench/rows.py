# SPDX-License-Identifier: Apache-2.0
"""The workloads, one row each: on which sides, and how one side does it once."""
import io
import os
import tarfile
import time

from measure import step

KIB, MIB = 1 << 10, 1 << 20
SIZES = {"4k": 4 * KIB, "100k": 100 * KIB, "2m": 2 * MIB}
FILES = {("4k", 1): 60, ("4k", 16): 320, ("4k", 64): 640, ("100k", 1): 60, ("100k", 16): 320, ("100k", 64): 640,
         ("2m", 1): 12, ("2m", 16): 48, ("2m", 64): 96}
PART = 8 * MIB
SMALL = 128  # bytes of a file where only names count
LOCAL, CLOSE, DEFAULT = "s3efs commit=local", "s3efs excl=close", "s3efs"


class Row:
    """run(bench, side): a dict as measure.step() gives it, or None where the side has nothing like it."""

    def __init__(self, name, what, sides, run, against="raw"):
        self.name, self.what, self.sides, self.run, self.against = name, what, sides, run, against


def files_of(bench, side, size, conc):
    n = 16 if bench.quick else FILES[size, conc]
    return max(n // side.slow, min(n, conc, 32))


def wait_complete(bench, side, rel, n, size):
    """How many of the files were whole objects when the workload returned; then all of them are."""
    def complete():
        return sum(s == size and not k.endswith(".tmp") for k, (s, _) in bench.s3.list(bench.bucket, rel + "/").items())
    first = complete()
    side.drain()
    end = time.monotonic() + 120
    while complete() < n:
        if not side.is_late or time.monotonic() > end:
            raise RuntimeError(f"{complete()} of {n} files came to S3")
        time.sleep(0.05)
    return first


def upload(size, conc, dirs=1, verb="upload"):
    def run(bench, side):
        n, rel, length = files_of(bench, side, size, conc), bench.fresh(), SIZES[size]
        if side.name == "raw":
            return None if verb == "rename" else step(bench.meter, side, side.argv("put", rel, n, length, conc, dirs))
        with bench.ready(side):
            os.makedirs(side.path(rel))
            for d in range(dirs if dirs > 1 else 0):
                os.mkdir(side.path(rel, f"d{d:02}"))
            bench.meter.delay(True)
            return step(bench.meter, side, bench.load(verb, side.path(rel), n, length, conc, dirs),
                        after=(lambda: wait_complete(bench, side, rel, n, length)) if side.remote else None)
    return run


def read_cold(size, conc):
    def run(bench, side):
        n, length = files_of(bench, side, size, conc), SIZES[size]
        rel = bench.seed(side, f"r{size}", FILES[size, 64] if not bench.quick else 16, length)
        if side.name == "raw":
            return step(bench.meter, side, side.argv("get", rel, n, length, conc, 1))
        with bench.ready(side):
            bench.meter.delay(True)
            return step(bench.meter, side, bench.load("read", side.path(rel), n, length, conc, 1))
    return run


def read_warm(size, conc, dropped):
    def run(bench, side):
        n, length = files_of(bench, side, size, conc), SIZES[size]
        rel = bench.seed(side, f"r{size}", FILES[size, 64] if not bench.quick else 16, length)
        with bench.ready(side):
            argv = bench.load("read", side.path(rel), n, length, conc, 1)
            first = step(bench.meter, side, argv)
            if "failed" in first:
                return first
            if dropped:
                bench.forget(side.dir, *([side.cache] if side.remote else []))
            bench.meter.delay(True)
            return step(bench.meter, side, argv)
    return run


def ls(n, restart):
    def run(bench, side):
        rel = bench.seed(side, f"ls{n}", n, SMALL)
        if side.name == "raw":
            return step(bench.meter, side, side.argv("list", rel + "/"))
        with bench.ready(side):
            argv = ["sh", "-c", 'test "$(ls -l "$1" | wc -l)" -eq "$2"', "sh", side.path(rel), str(n + 1)]
            if restart:
                step(bench.meter, side, argv)
                side.start(fresh=False)
            bench.meter.delay(True)
            return step(bench.meter, side, argv, ops=n)
    return run


def tree(command):
    """Warm: walked once, then mounted again with what was kept."""
    def run(bench, side):
        dirs, n = (4, 40) if bench.quick else (1000, 100000) if bench.long else (20, 2000)
        rel = bench.seed(side, f"tree{n}", n, SMALL, dirs)
        if side.name == "raw":
            return None
        with bench.ready(side):
            argv = ["sh", "-c", command, "sh", side.path(rel)]
            step(bench.meter, side, argv)
            side.start(fresh=False)
            bench.meter.delay(True)
            return step(bench.meter, side, argv, ops=n)
    return run


def seq_write(bench, side):
    rel, size = bench.fresh(), bench.big
    if side.name == "raw":
        return step(bench.meter, side, side.argv("putbig", rel + "/big", size, PART, 16))
    with bench.ready(side):
        os.makedirs(side.path(rel))
        bench.meter.delay(True)
        return step(bench.meter, side, bench.load("seqwrite", side.path(rel, "big"), size),
                    after=(lambda: wait_complete(bench, side, rel, 1, size)) if side.remote else None)


def seq_read(bench, side):
    rel = bench.seed_big(side, "big")
    if side.name == "raw":
        return step(bench.meter, side, side.argv("getbig", rel + "/big", bench.big, PART, 16), ops=1)
    with bench.ready(side):
        bench.meter.delay(True)
        return step(bench.meter, side, bench.load("seqread", side.path(rel, "big"), bench.big))


def random_read(conc):
    def run(bench, side):
        n = 16 if bench.quick else 60 if conc == 1 else 320
        rel = bench.seed_big(side, "big")
        if side.name == "raw":
            return step(bench.meter, side, side.argv("randread", rel + "/big", bench.big, n, 4 * KIB, conc))
        with bench.ready(side):
            bench.meter.delay(True)
            return step(bench.meter, side, bench.load("randread", side.path(rel, "big"), n, 4 * KIB, conc))
    return run


def scatter(bench, side):
    if side.name == "raw" or "scatter" in side.cannot:
        return None
    rel = bench.seed_big(side, bench.fresh())
    with bench.ready(side):
        bench.meter.delay(True)
        return step(bench.meter, side, bench.load("scatter", side.path(rel, "big"), 20, 4 * KIB),
                    after=side.drain if side.is_late else None)


def names(command):
    """A directory of foreign files, new each time: "$1" is it, "$2" another name beside it."""
    def run(bench, side):
        if side.name == "raw" or ("mv" in command and "rename" in side.cannot):
            return None
        n = 40 if bench.quick else max(1000 // side.slow, 100)
        rel = bench.seed(side, bench.fresh(), n, SMALL)
        with bench.ready(side):
            os.listdir(side.path())
            bench.meter.delay(True)
            return step(bench.meter, side, ["sh", "-c", command, "sh", side.path(rel), side.path(rel + "-moved")], ops=n,
                        after=side.drain if side.is_late else None)
    return run


def make_tar(path, dirs, n):
    with tarfile.open(path, "w") as tar:
        for d in range(dirs):
            info = tarfile.TarInfo(f"t/d{d:02}")
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 10**9
            tar.addfile(info)
        for i in range(n):
            body = (b"%06d " % i) * (50 + i * 37 % 1500)
            info = tarfile.TarInfo(f"t/d{i % dirs:02}/f{i:06}")
            info.size, info.mode, info.mtime = len(body), 0o644, 10**9 + i
            tar.addfile(info, io.BytesIO(body))


def untar(bench, side):
    if side.name == "raw" or "untar" in side.cannot:
        return None
    n = 20 if bench.quick else 2000 if bench.long else max(400 // side.slow, 100)
    tar = os.path.join(bench.dir, f"{n}.tar")
    if not os.path.exists(tar):
        make_tar(tar, 20, n)
    rel = bench.fresh()
    with bench.ready(side):
        os.makedirs(side.path(rel))
        bench.meter.delay(True)
        return step(bench.meter, side, ["tar", "-xf", tar, "-C", side.path(rel)], ops=n,
                    after=side.drain if side.is_late else None)


def all_rows():
    rows = []
    for size in SIZES:
        rows += [Row(f"upload-{size}-c{c}", f"{size} files, {c} at once, one directory", ["raw", "disk", CLOSE, DEFAULT],
                     upload(size, c)) for c in (1, 16, 64)]
    rows += [Row(f"upload-100k-c{c}-dirs", f"100k files, {c} at once, over 16 directories", ["raw", "disk", DEFAULT],
                 upload("100k", c, 16)) for c in (16, 64)]
    rows += [Row(f"replace-100k-c{c}", f"100k files by temporary name and rename, {c} at once", ["disk", DEFAULT, LOCAL],
                 upload("100k", c, 1, "rename"), "disk") for c in (1, 16)]
    rows += [Row(f"read-cold-{s}-c{c}", f"{s} files read by name, {c} at once, cold", ["raw", "disk", DEFAULT],
                 read_cold(s, c)) for s, c in (("100k", 1), ("100k", 16), ("100k", 64), ("2m", 16), ("2m", 64))]
    warm = ["disk", DEFAULT, "s3efs nocto"]
    rows += [Row("read-kept-100k-c16", "100k files read again, page cache kept", warm, read_warm("100k", 16, False), "disk"),
             Row("read-dropped-100k-c16", "100k files read again, page cache dropped", warm, read_warm("100k", 16, True), "disk")]
    for n, name in ((1000, "1k"), (10000, "10k"), (100000, "100k")):
        rows += [Row(f"ls-{name}-cold", f"ls -l of {n} foreign files", ["raw", "disk", DEFAULT], ls(n, False)),
                 Row(f"ls-{name}-restart", f"ls -l of {n} files, known before a restart", ["raw", "disk", DEFAULT], ls(n, True))]
    rows += [Row("seq-write", "one large file, written", ["raw", "disk", DEFAULT], seq_write),
             Row("seq-read", "one large file, read", ["raw", "disk", DEFAULT], seq_read)]
    rows += [Row(f"random-read-c{c}", f"4 KiB at random places of it, {c} at once", ["raw", "disk", DEFAULT], random_read(c))
             for c in (1, 16)]
    rows.append(Row("scatter", "20 x 4 KiB written into it", ["disk", DEFAULT], scatter, "disk"))
    for name, command in (("find", 'find "$1" -type f | wc -l'), ("du", 'du -s "$1"'),
                          ("stat", 'find "$1" -type f -printf "%s %T@\\n" | wc -l')):
        rows.append(Row(f"tree-{name}", f"{name} over a tree, known before a restart", ["disk", DEFAULT], tree(command), "disk"))
    rows += [Row("rename-dir", "a directory of 1,000 renamed", ["disk", DEFAULT, LOCAL], names('mv -T "$1" "$2"'), "disk"),
             Row("remove", "rm -rf of 1,000", ["disk", DEFAULT, LOCAL], names('rm -rf "$1"'), "disk"),
             Row("untar", "tar -x", ["disk", DEFAULT, LOCAL], untar, "disk")]
    return rows
