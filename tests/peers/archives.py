"""Serves the files of a folder as a forge serves archives, on a free port of the loopback.

The first line of output is the port; each request is a line `METHOD PATH NAME`, NAME that of the user, or `-`.

/NAME            the file
/private/NAME    for repo-user with the password of the tests only
/redirect/NAME   leads to /private/NAME
/chunked/NAME    in chunks, without its length
/cut/NAME        ends in the middle
/busy/NAME       503 the first time
/held/NAME       half of it; the rest when /release was asked for
/secure/NAME     leads to https
"""

import base64
import http.server
import os
import sys
import threading

FOLDER = sys.argv[1]
USER, PASSWORD = "repo-user", "hunter2-of-the-archives"
LIMIT = 60
released = threading.Event()
been_busy = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def user(self):
        scheme, _, text = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        return name if password == PASSWORD else "(wrong password)"

    def plain(self, status, *fields):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        user = self.user()
        print(self.command, self.path, user or "-", flush=True)
        kind, _, name = self.path.strip("/").rpartition("/")
        if name == "release":
            released.set()
            return self.plain(204)
        path = os.path.join(FOLDER, name)
        if "/" in name or not os.path.isfile(path):
            return self.plain(404)
        with open(path, "rb") as file:
            body = file.read()
        if kind == "private" and user != USER:
            return self.plain(401, ("WWW-Authenticate", "Basic realm=archives"))
        if kind == "redirect":
            return self.plain(302, ("Location", "/private/" + name))
        if kind == "secure":
            return self.plain(302, ("Location", "https://127.0.0.1/" + name))
        if kind == "busy" and self.path not in been_busy:
            been_busy.add(self.path)
            return self.plain(503)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(body), 1000):
                piece = body[start : start + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if kind == "cut":
            self.close_connection = True
            return
        if kind == "held":
            self.wfile.flush()
            released.wait(LIMIT)
        self.wfile.write(body[half:])


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
