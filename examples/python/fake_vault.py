"""A server for tests that speaks the few calls of Vault's API that the example makes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE_ID = "role"
SECRET_ID = "secret"


class FakeVault(ThreadingHTTPServer):
    """Keeps secrets in `secrets` (path -> list of versions) and counts logins."""

    def __init__(self, lease=3600):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lease = lease
        self.secrets = {}
        self.tokens = set()
        self.logins = 0
        self.forbidden = set()  # paths that no token may read
        self.before_write = None  # called once, before the next write is looked at
        self.renewed = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, path, data):
        self.secrets.setdefault(path, []).append(data)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._route("GET")

    def do_POST(self):
        self._route("POST")

    do_PUT = do_POST

    def _route(self, method):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        path = self.path.removeprefix("/v1/")
        if path == "auth/approle/login":
            self._login(body)
        elif self.headers.get("X-Vault-Token") not in self.server.tokens:
            self._fail(403, "permission denied")
        elif path.startswith("auth/token/"):
            self._token(path.removeprefix("auth/token/"))
        elif path in self.server.forbidden:
            self._fail(403, "permission denied")
        elif method == "GET":
            self._read(path.removeprefix("secret/data/"))
        else:
            self._write(path.removeprefix("secret/data/"), body)

    def _login(self, body):
        if (body.get("role_id"), body.get("secret_id")) != (ROLE_ID, SECRET_ID):
            self._fail(400, "invalid role or secret ID")
            return
        self.server.logins += 1
        token = f"token-{self.server.logins}"
        self.server.tokens.add(token)
        self._auth(token)

    def _token(self, call):
        token = self.headers["X-Vault-Token"]
        if call == "renew-self":
            self.server.renewed.set()
            self._auth(token)
        elif call == "revoke-self":
            self.server.tokens.remove(token)
            self._answer(204)
        else:
            self._answer(200, {"data": {"ttl": self.server.lease}})

    def _auth(self, token):
        self._answer(200, {"auth": {
            "client_token": token, "lease_duration": self.server.lease, "renewable": True,
        }})

    def _read(self, path):
        versions = self.server.secrets.get(path)
        if not versions:
            self._fail(404)
            return
        self._answer(200, {"data": {"data": versions[-1], "metadata": {"version": len(versions)}}})

    def _write(self, path, body):
        if self.server.before_write is not None:
            interfere, self.server.before_write = self.server.before_write, None
            interfere()
        versions = self.server.secrets.setdefault(path, [])
        if body["options"].get("cas", len(versions)) != len(versions):
            self._fail(400, "check-and-set parameter did not match the current version")
            return
        versions.append(body["data"])
        self._answer(200, {"data": {"version": len(versions)}})

    def _fail(self, status, *errors):
        self._answer(status, {"errors": list(errors)})

    def _answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
