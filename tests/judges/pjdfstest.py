#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pjdfstest (the Rust one): what POSIX says of every call on names and attributes."""
import grp
import os
import pwd
import re

import judge
from harness.case import check, equal, main, true

BACKENDS = "file versitygw ceph"
TIMEOUT = 2400

USERS = ("nobody", "daemon", "bin")
CONFIG = """[features]
posix_fallocate = {}
rename_ctime = {}
utimensat = {}
utime_now = {}
[settings]
naptime = 1.2
[dummy_auth]
entries = [%s]
"""


def config(path):
    users = [pwd.getpwnam(u) for u in USERS]
    pairs = ", ".join(f'["{u.pw_name}", "{grp.getgrgid(u.pw_gid).gr_name}"]' for u in users)
    with open(path, "w", encoding="ascii") as f:
        f.write(CONFIG % pairs)
    return path


def parse(text):
    results, last = {}, None
    for line in text.splitlines():
        m = re.fullmatch(r"([a-z_0-9:]+) +(ok|FAILED|skipped)", line)
        if m:
            last = m[1]
            results[last] = [m[2].lower(), ""]
        elif last and line.startswith("\t") and not results[last][1]:
            results[last][1] = line.strip()
    return {t: tuple(r) for t, r in results.items()}


@check("pjdfstest says no test failed but those of the list")
def suite(rig):
    m = judge.mount(rig)
    other = rig.path("other-file-system")
    os.mkdir(other)
    r = judge.run(rig, "pjdfstest", [judge.program("pjdfstest"), "-c", config(rig.path("pjd.toml")), "-s", other,
                                     "-p", judge.folder(m, "p")], TIMEOUT - 60, None)
    results = parse(r.stdout)
    summary = re.search(r"^Summary: (\d+) failed, (\d+) skipped, (\d+) passed, .* (\d+) total$", r.stdout, re.M)
    true(summary, "pjdfstest came to its end")
    count = [v for v, _ in results.values()]
    equal([count.count(w) for w in ("failed", "skipped", "ok")] + [len(count)], [int(n) for n in summary.groups()],
          "tests that were read from the output")
    true(len(count) >= 398, f"all tests ran, not only {len(count)}")
    judge.verdicts(rig, "pjdfstest", results)


main()
