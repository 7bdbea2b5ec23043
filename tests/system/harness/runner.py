# SPDX-License-Identifier: Apache-2.0
"""Running test scripts, each on the backends that it names: what tests/system/run and
tests/judges/run share."""
import collections
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from . import procs, servers

Job = collections.namedtuple("Job", "script backend timeout")


STACKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib", "stacks")
LEAST = 1800  # seconds: whatever a script says, a machine that is slow and loaded gets these


def declared(path):
    """BACKENDS and TIMEOUT of a script, without running it. LONGER names a variable of the environment: the seconds that
    the script is asked to go on for."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    b = re.search(r'^BACKENDS = "([^"]*)"', text, re.M)
    t = re.search(r"^TIMEOUT = (\d+)", text, re.M)
    more = re.search(r'^LONGER = "(\w+)"', text, re.M)
    longer = int(os.environ.get(more.group(1)) or 0) if more else 0
    return (b.group(1) if b else "versitygw").split(), max(int(t.group(1)) if t else 0, LEAST) + longer


def mounts():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        return [line.split(" ")[4] for line in f]


def working_in(tmp):
    """The processes whose command names the folder."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                mine = tmp.encode() in f.read()
        except OSError:
            continue
        if mine and int(pid) != os.getpid():
            out.append(int(pid))
    return out


def clean_up_after(tmp):
    """What a killed script could not undo: its mounts, then the processes that work in its folder."""
    for d in mounts():
        if d.startswith(tmp + "/"):
            subprocess.run(["umount", "-l", d], check=False, stderr=subprocess.DEVNULL)
    for pid in working_in(tmp):
        procs.end_pid(pid, 2)


def show_hang(p, tmp, out):
    """What a script that hangs is doing, its daemons and its children: to its log, and the ends of the daemons' logs."""
    print("--- it hangs; what all its processes are doing:", file=out, flush=True)
    with subprocess.Popen([STACKS, *map(str, [p.pid, *working_in(tmp)])], stdout=out, stderr=out,
                          stdin=subprocess.DEVNULL) as s:
        try:
            s.wait(300)
        except subprocess.TimeoutExpired:
            s.kill()
    for log in glob.glob(os.path.join(tmp, "s3efs-test.*", "log*")):  # no look into a mount: it might hang too
        with open(log, encoding="utf-8", errors="replace") as f:
            print(f"--- {log} (end)\n{f.read()[-3000:]}", file=out, flush=True)


def run_script(here, job, env, logs):
    """A script of the folder here, on one backend: its verdicts, for report()."""
    kind = os.path.basename(here)
    log = os.path.join(logs, f"{kind}-{job.script[:-3]}-{job.backend}.log")
    with tempfile.TemporaryDirectory(prefix="s3efs-run.", ignore_cleanup_errors=True) as tmp:
        os.chmod(tmp, 0o755)  # checks with another user's eyes
        env = dict(env, S3EFS_TEST_BACKEND=job.backend, S3EFS_TEST_TMP=tmp,
                   S3EFS_TEST_LOGS=env.get("S3EFS_TEST_LOGS") or logs, PYTHONDONTWRITEBYTECODE="1")
        began, why = time.monotonic(), ""
        with open(log, "w+", encoding="utf-8", errors="replace") as out:
            p = subprocess.Popen([sys.executable, os.path.join(here, job.script)], stdout=out,
                                 stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env,
                                 start_new_session=True)
            try:
                code = p.wait(job.timeout)
            except subprocess.TimeoutExpired:
                why = f"no end after {job.timeout} s (its log says what it was doing)"
                show_hang(p, tmp, out)
                os.killpg(p.pid, signal.SIGTERM)
                try:
                    p.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)
                    p.wait()
                code = -1
            left = [d for d in mounts() if d.startswith(tmp + "/")]
            clean_up_after(tmp)
            out.flush()
            out.seek(0)
            text = out.read()
    return job, code, text, why or (f"left mounted: {left}" if left else ""), time.monotonic() - began, log


def report(result, totals):
    """Prints what failed and was skipped, and the script's count; returns that and adds it to totals."""
    job, code, text, why, seconds, log = result
    n = collections.Counter()
    for line in text.splitlines():
        if re.match(r"(PASS|FAIL|SKIP) ", line):
            n[line[:4]] += 1
            if not line.startswith("PASS"):
                print("  " + line)
    complete = re.search(r"^\d+ passed, \d+ failed, \d+ skipped$", text, re.M)
    if why or not complete or code not in (0, 1, 77):
        # one more failure: the script itself
        n["FAIL"] += 1
        print(f"  FAIL {job.script}[{job.backend}]: {why or f'ended with {code} before its last check'}")
    totals.update(n)
    verdict = "FAIL" if n["FAIL"] else "PASS" if n["PASS"] else "SKIP"
    print(f"{verdict} {job.script}[{job.backend}] {n['PASS']} passed, {n['FAIL']} failed, {n['SKIP']} skipped"
          f" in {seconds:.0f} s" + (f", see {log}" if n["FAIL"] else ""), flush=True)
    return n


def start_servers(wanted, env):
    for name in wanted:
        try:
            server = servers.KINDS[name]()
        except servers.Missing as e:
            print(f"{name}: {e}: its tests are skipped")
            continue
        procs.at_exit(server.stop)
        env[servers.env_name(name)] = server.endpoint
        print(f"{name}: {servers.version_of(name)} at {server.endpoint}", flush=True)
