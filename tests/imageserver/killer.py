# SPDX-License-Identifier: Apache-2.0
"""Kills the daemon of a mount every few seconds; its holder (option takeover) starts another one."""
import json
import os
import random
import signal
import subprocess
import threading
import time

LIMIT = 600  # seconds without another daemon, or without a call that returns: then something hangs


class Killer:
    def __init__(self, s3efs, directory, kills, every, seed):
        """kills: at least so many before is_over(); every: seconds, about."""
        self.s3efs, self.directory, self.kills, self.every = s3efs, directory, kills, every
        self.random = random.Random(seed)
        self.changed = threading.Condition()
        self.calls = self.killed = 0
        self.problem, self.stopped = None, False
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.thread.start()

    def note(self):
        """A call has returned: this daemon serves."""
        with self.changed:
            self.calls += 1
            self.changed.notify_all()

    def is_over(self):
        return self.killed >= self.kills or self.problem is not None

    def stop(self):
        """The last daemon is let live. The problem's text, or None."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self.thread.join()
        return self.problem

    def _pid(self):
        """None while none answers."""
        done = subprocess.run([self.s3efs, "status", self.directory, "--json"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False, timeout=LIMIT)
        return json.loads(done.stdout)["pid"] if done.returncode == 0 else None

    def _pause(self):
        with self.changed:
            before = self.calls
            self.changed.wait_for(lambda: self.stopped, self.every * self.random.uniform(0.5, 1.5))
            if not self.changed.wait_for(lambda: self.stopped or self.calls > before, LIMIT):
                raise TimeoutError(f"no call has returned for {LIMIT} s after {self.killed} kills")

    def _another(self, old):
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            pid = self._pid()
            if pid not in (None, old):
                return pid
            time.sleep(0.05)
        raise TimeoutError(f"no other daemon {LIMIT} s after {self.killed} kills")

    def _main(self):
        try:
            pid = self._another(None)
            while True:
                self._pause()
                if self.stopped:
                    return
                os.kill(pid, signal.SIGKILL)
                with self.changed:
                    self.killed += 1
                pid = self._another(pid)
        except Exception as e:  # told by stop()
            self.problem = f"{type(e).__name__}: {e}"
