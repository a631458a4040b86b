#!/usr/bin/env python3
"""A registry that misbehaves on request; prints its port on the first line of stdout.

    bad-registry.py LAYOUT --log FILE [--fault WHERE:KIND[=ARG][*TIMES]]... [--auth basic|token] [--tls CERT KEY]

LAYOUT is an OCI layout; its image "latest" is served under every repository name and tag.
WHERE is "manifests", "blobs", "layers" (blobs that the manifest lists as such) or "token".
KIND, for the next TIMES requests (for ever without it):

    status=CODE[/SECONDS]  answer CODE, with Retry-After
    stall                  half of the content, then nothing, until the client gives up
    cut                    half of the content, then the end
    cut-no-length          the same without a Content-Length
    lie                    content of the right length with one byte changed
    longer                 one byte more than there is, without a Content-Length
    no-range               ignore Range
    bad-range              a Content-Range that does not match
    gate=FIFO              half of the content; the rest when somebody opens FIFO for writing
    redirect=URL           307 to URL + path
    big=N                  N MiB of spaces
    endless=CODE           answer CODE (a redirect to itself) with a body that never ends
    trickle=CODE           answer CODE, then the content, a byte every 200 ms
    realm=URL              401 with this token server

Every request is a line of JSON in FILE: {method, path, range, authorization, body}.
"""
import argparse
import base64
import hashlib
import http.server
import json
import pathlib
import ssl
import sys
import threading
import time

USER, PASSWORD, TOKEN = "tester", "s3cret-Passw0rd", "t0ken-Value"


class Fault:
    def __init__(self, text):
        text, _, times = text.partition("*")
        self.where, _, kind = text.partition(":")
        self.kind, _, self.arg = kind.partition("=")
        self.left = int(times) if times else -1


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    lock = threading.Lock()

    def handle_error(self, request, client_address):
        pass  # clients that hang up are what this is for

    def take_fault(self, kinds):
        with self.lock:
            for f in self.faults:
                if f.where in kinds and f.left != 0:
                    f.left -= 1
                    return f
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, body=""):
        line = json.dumps({
            "method": self.command, "path": self.path, "range": self.headers.get("Range"),
            "authorization": self.headers.get("Authorization"), "body": body,
        })
        with self.server.lock, open(self.server.log, "a") as f:
            f.write(line + "\n")

    def reply(self, status, content=b"", headers=(), length=True, keep=True):
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        if length:
            self.send_header("Content-Length", str(len(content)))
        if not (length and keep):
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content)

    def refused(self):
        """Whether the request lacks its login; answers it then."""
        got = self.headers.get("Authorization", "")
        if self.server.auth == "basic":
            want = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            challenge = 'Basic realm="test"'
        elif self.server.auth == "token":
            with self.server.lock:
                want = f"Bearer {TOKEN}{self.server.tokens}" if self.server.uses != 0 else "none is valid"
                if got == want:
                    self.server.uses -= 1
            challenge = f'Bearer realm="{self.server.base}/token",service="test",scope="repository:x:pull"'
        else:
            return False
        if got == want:
            return False
        self.reply(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', [("WWW-Authenticate", challenge)])
        return True

    def token(self, body=""):
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        good = self.headers.get("Authorization") == basic or f"refresh_token={PASSWORD}" in body
        if not good:
            self.reply(401, b"{}")
            return
        with self.server.lock:
            self.server.tokens += 1
            self.server.uses = self.server.token_uses
            token = f"{TOKEN}{self.server.tokens}"
        self.reply(200, json.dumps({"token": token, "expires_in": 60}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.note(body)
        self.token(body)

    def do_GET(self):
        self.note()
        parts = self.path.split("?")[0].split("/")
        if parts[1] == "token":
            fault = self.server.take_fault(["token"])
            self.misbehave(fault, b"") if fault else self.token()
            return
        if len(parts) < 5 or self.refused():
            if len(parts) < 5:
                self.reply(404)
            return
        kind, name = parts[-2], parts[-1]
        content = self.server.manifest if kind == "manifests" and ":" not in name else self.blob(name)
        if content is None:
            self.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
            return
        kinds = [kind] + (["layers"] if name in self.server.layers else [])
        fault = self.server.take_fault(kinds)
        if fault:
            self.misbehave(fault, content)
        else:
            self.serve(content)

    def blob(self, digest):
        path = self.server.layout / "blobs" / digest.replace(":", "/")
        return path.read_bytes() if path.is_file() else None

    def serve(self, content):
        ranged = self.headers.get("Range")
        if not ranged:
            self.reply(200, content)
            return
        start = int(ranged.removeprefix("bytes=").rstrip("-"))
        self.reply(206, content[start:], [("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")])

    def begin(self, status):
        self.send_response(status)
        if status == 307:
            self.send_header("Location", self.path)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def half(self, content, length=True):
        self.send_response(200)
        if length:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[:len(content) // 2])
        self.wfile.flush()
        self.close_connection = True

    def misbehave(self, fault, content):
        kind, arg = fault.kind, fault.arg
        if kind == "status":
            code, _, after = arg.partition("/")
            self.reply(int(code), b'{"errors":[{"code":"TOOMANYREQUESTS"}]}',
                       [("Retry-After", after)] if after else [])
        elif kind == "stall":
            self.half(content)
            self.rfile.read(1)  # until the client hangs up
        elif kind == "gate":
            self.half(content)
            with open(arg, "rb"):
                pass
            self.wfile.write(content[len(content) // 2:])
        elif kind in ("cut", "cut-no-length"):
            self.half(content, kind == "cut")
        elif kind == "lie":
            self.serve(content[:-1] + bytes([content[-1] ^ 1]))
        elif kind == "longer":
            self.reply(200, content + b"x", length=False)
        elif kind == "no-range":
            self.reply(200, content)
        elif kind == "bad-range":
            self.reply(206, content, [("Content-Range", f"bytes 0-{len(content) - 1}/{len(content)}")])
        elif kind == "redirect":
            self.reply(307, b"", [("Location", arg + self.path)])
        elif kind == "realm":
            self.reply(401, b"", [("WWW-Authenticate", f'Bearer realm="{arg}",service="test"')])
        elif kind == "endless":
            self.begin(int(arg))
            while True:
                self.wfile.write(b" " * 65536)
        elif kind == "trickle":
            self.begin(int(arg))
            for byte in content or b"{}" * 1000:
                self.wfile.write(bytes([byte]))
                time.sleep(0.2)
        elif kind == "big":
            self.reply(200, b" " * (int(arg) << 20))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("layout", type=pathlib.Path)
    p.add_argument("--log", required=True)
    p.add_argument("--fault", action="append", default=[])
    p.add_argument("--auth", choices=["basic", "token"])
    p.add_argument("--token-uses", type=int, default=-1, help="requests that one token is good for")
    p.add_argument("--tls", nargs=2)
    args = p.parse_args()

    server = Server(("127.0.0.1", 0), Handler)
    server.layout, server.log, server.auth = args.layout, args.log, args.auth
    server.faults = [Fault(f) for f in args.fault]
    server.tokens, server.uses, server.token_uses = 0, 0, args.token_uses
    server.base = f"http{'s' if args.tls else ''}://127.0.0.1:{server.server_port}"
    index = json.loads((args.layout / "index.json").read_text())
    digest = index["manifests"][0]["digest"]
    server.manifest = (args.layout / "blobs" / digest.replace(":", "/")).read_bytes()
    assert hashlib.sha256(server.manifest).hexdigest() == digest[7:]
    server.layers = {d["digest"] for d in json.loads(server.manifest).get("layers", [])}
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*args.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
