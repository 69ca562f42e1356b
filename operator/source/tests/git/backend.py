"""A git server for tests: `git http-backend` behind Python's own HTTP server.

Usage: backend.py ROOT LOG [CERTIFICATE KEY]

Prints its port. The first part of a path says how it behaves; LOG gets a line per
request: method, path, bytes received, bytes sent, Authorization.
"""

import http.server
import os
import ssl
import subprocess
import sys
import threading
import time

ROOT, LOG = sys.argv[1:3]
LOCK = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.sent = 0
        try:
            behaviour, _, rest = self.path[1:].partition("/")
            getattr(self, "as_" + behaviour)("/" + rest, body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        with LOCK, open(LOG, "a") as log:
            authorization = self.headers.get("Authorization", "-")
            print(self.command, self.path, len(body), self.sent, authorization, file=log)

    def reply(self, status, kind, body, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.sent = len(body)

    def backend(self, path, body, protocol):
        path, _, query = path.partition("?")
        environment = dict(
            os.environ,
            GIT_PROJECT_ROOT=ROOT,
            GIT_HTTP_EXPORT_ALL="1",
            GIT_CONFIG_GLOBAL="/dev/null",
            PATH_INFO=path,
            QUERY_STRING=query,
            REQUEST_METHOD=self.command,
            CONTENT_TYPE=self.headers.get("Content-Type", ""),
            CONTENT_LENGTH=str(len(body)),
            GIT_PROTOCOL=protocol,
        )
        result = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE, check=False
        )
        head, _, content = result.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.get("Status", "200 OK").split()[0])
        return status, fields.get("Content-Type", "text/plain"), content

    def as_git(self, path, body):
        self.reply(*self.backend(path, body, self.headers.get("Git-Protocol", "")))

    def as_old(self, path, body):
        self.reply(*self.backend(path, body, ""))

    def as_private(self, path, body):
        if self.headers.get("Authorization") == "Basic bWU6c2VjcmV0":
            self.as_git(path, body)
        else:
            self.reply(401, "text/plain", b"", WWW_Authenticate='Basic realm="git"')

    def as_token(self, path, body):
        if self.headers.get("Authorization") == "Bearer secret":
            self.as_git(path, body)
        else:
            self.reply(401, "text/plain", b"", WWW_Authenticate="Bearer")

    def as_moved(self, path, body):
        self.reply(301, "text/plain", b"", Location="/git" + path)

    def as_loop(self, path, body):
        self.reply(302, "text/plain", b"", Location="/loop" + path)

    def as_away(self, path, body):
        """/away/PORT/PATH: to another server."""
        port, _, rest = path[1:].partition("/")
        self.reply(302, "text/plain", b"", Location=f"http://127.0.0.1:{port}/{rest}")

    def as_insecure(self, path, body):
        self.reply(302, "text/plain", b"", Location="http://git.invalid" + path)

    def as_page(self, path, body):
        self.reply(200, "text/html; charset=utf-8", b"<html>A page.</html>")

    def as_failing(self, path, body):
        self.reply(503, "text/plain", b"")

    def as_nonsense(self, path, body):
        self.reply(200, "application/x-git-upload-pack-advertisement", b"<html>A page.</html>")

    def as_cut(self, path, body):
        """Ends the connection in the middle of a pack."""
        status, kind, content = self.backend(path, body, self.headers.get("Git-Protocol", ""))
        if b"packfile" not in content:
            return self.reply(status, kind, content)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def as_damaged(self, path, body):
        """Changes a byte in the middle of a pack."""
        status, kind, content = self.backend(path, body, self.headers.get("Git-Protocol", ""))
        start = content.find(b"PACK")
        if start >= 0:
            middle = start + 60
            changed = bytes([content[middle] ^ 255])
            content = content[:middle] + changed + content[middle + 1 :]
        self.reply(status, kind, content)

    def as_dripping(self, path, body):
        """Sends a byte now and then, for ever."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b"fff0")
        while True:
            time.sleep(0.02)
            self.wfile.write(b"a")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[3:5])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
