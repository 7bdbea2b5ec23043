# SPDX-License-Identifier: Apache-2.0
"""What a daemon takes while something goes on: memory, threads, descriptors."""
import os
import threading

from .case import true

MIB = 1 << 20
THREADS_MORE = 40  # of the daemon beside `threads`: fs/README.md lists them


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f)


class Watch:
    """The most that the daemon had of each, seen every few milliseconds."""

    def __init__(self, m, most_rss, most_threads):
        self.pid, self.rss, self.threads, self.fds = m.pid, 0, 0, 0
        self.most_rss, self.most_threads = most_rss, most_threads
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def look(self):
        s = status(self.pid)
        self.rss = max(self.rss, int(s["RssAnon"].split()[0]) * 1024)
        self.threads = max(self.threads, int(s["Threads"]))
        self.fds = max(self.fds, len(os.listdir(f"/proc/{self.pid}/fd")))

    def run(self):
        while not self.end.wait(0.01):
            self.look()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.end.set()
        self.thread.join()
        if error[0] is None:
            self.look()
            self.judge()

    def judge(self):
        print(f"      most: RssAnon {self.rss / MIB:.0f} MiB, {self.threads} threads, {self.fds} descriptors",
              flush=True)
        true(self.rss <= self.most_rss, f"RssAnon was {self.rss / MIB:.1f} MiB, at most {self.most_rss / MIB:.0f}")
        true(self.threads <= self.most_threads + THREADS_MORE, f"{self.threads} threads")
