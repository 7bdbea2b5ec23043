# SPDX-License-Identifier: Apache-2.0
"""The image server's HTTP API, as an app would call it. One connection for each thread."""
import http.client
import json
import threading
import urllib.parse

from pictures import TYPES


class Refused(Exception):
    def __init__(self, what, status, body):
        super().__init__(f"{what}: HTTP {status} {body[:200]!r}")
        self.status = status


def _form(extension, picture):
    """(content type, body) of a form with one file."""
    edge = "----------------s3efs-image-server-test"
    head = (f"--{edge}\r\n"
            f"Content-Disposition: form-data; name=\"file\"; filename=\"a photo.{extension}\"\r\n"
            f"Content-Type: {TYPES[extension]}\r\n\r\n")
    body = head.encode() + picture + f"\r\n--{edge}--\r\n".encode()
    return f"multipart/form-data; boundary={edge}", body


class ImageServer:
    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc
        self.local = threading.local()

    def _call(self, method, path, expected, body=None, content_type=None):
        """(headers, body); an answer with another status than expected is raised."""
        if not getattr(self.local, "connection", None):
            self.local.connection = http.client.HTTPConnection(self.host, timeout=600)
        connection = self.local.connection
        try:
            headers = {"Content-Type": content_type} if content_type else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self.local.connection = None
            raise
        if answer.status != expected:
            raise Refused(f"{method} {path}", answer.status, data)
        return answer.headers, data

    def upload(self, extension, picture):
        """The answer's {id, name, url, size}."""
        content_type, body = _form(extension, picture)
        return json.loads(self._call("POST", "/api/images/upload", 201, body, content_type)[1])

    def fetch(self, url):
        """(content type, bytes) of what an upload's url names."""
        headers, data = self._call("GET", urllib.parse.urlsplit(url).path, 200)
        return headers["Content-Type"], data

    def delete(self, image_id):
        self._call("DELETE", f"/api/images/{image_id}", 204)

    def is_gone(self, image_id):
        self._call("GET", f"/api/images/{image_id}", 404)

    def put_avatar(self, user, picture, by_copy):
        content_type, body = _form("jpg", picture)
        path = f"/api/users/{user}/avatar" + ("/copy" if by_copy else "")
        self._call("PUT", path, 204, body, content_type)

    def avatar(self, user):
        return self._call("GET", f"/api/users/{user}/avatar", 200)[1]
