# SPDX-License-Identifier: Apache-2.0
"""The bucket as another client sees it, past the mounts and their proxies."""
import contextlib
import os
import urllib.parse

from harness.s3 import Client, S3Error

OWN = ".s3efs-dir"  # on file://: the marker of a directory, and at the top the back end's own folder
INTENTS = ".s3efs/intents/"


def bucket(where):
    return Server(where) if "endpoint" in where else Folder(where)


class Bucket:
    def standing(self, home):
        """Renames of what is below home that are begun and not ended."""
        out = []
        for key in self.keys(INTENTS):
            text = (self.get(key) or b"").decode()
            words = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
            if words.get("state", "done") != "done" and urllib.parse.unquote(words["from"]).startswith(home + "/"):
                out.append(text)
        return out


class Server(Bucket):
    def __init__(self, where):
        self.client, self.name = Client(where["endpoint"]), where["name"]

    def keys(self, prefix=""):
        return list(self.client.list(self.name, prefix))

    def get(self, key):
        """Its bytes, or None."""
        try:
            return self.client.get(self.name, key).body
        except S3Error as e:
            if e.status != 404:
                raise
            return None

    def left_open(self):
        """Uploads that nobody has ended."""
        return self.client.uploads(self.name)


class Folder(Bucket):
    def __init__(self, where):
        self.top = where["folder"]

    def keys(self, prefix=""):
        """A directory's marker is a key that ends in /, as on a server."""
        out = []
        for root, dirs, files in os.walk(self.top):
            rel = "" if root == self.top else os.path.relpath(root, self.top) + "/"
            if not rel:
                dirs[:] = [d for d in dirs if d != OWN]
            out += [rel if f == OWN else rel + f for f in files]
        return [k for k in out if k.startswith(prefix)]

    def get(self, key):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            with open(os.path.join(self.top, key + OWN if key.endswith("/") else key), "rb") as f:
                return f.read()
        return None

    def left_open(self):
        return [n for d in ("tmp", "uploads") for n in os.listdir(os.path.join(self.top, OWN, d))]
