"""A small web application with three secrets: a database URL, an API key, and a
TLS certificate with its key.

It takes them from the environment if they are there (`coffer run` puts them
there), and else logs in to the server with AppRole and reads them. It proves
that it has them without ever showing one.
"""

import argparse
import hashlib
import hmac
import json
import logging
import os
import secrets
import signal
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from dotenv import load_dotenv

# Before hvac is imported, which looks for VAULT_CACERT only then.
load_dotenv()

from hvac.exceptions import VaultError  # noqa: E402
from requests.exceptions import RequestException  # noqa: E402

import certificate  # noqa: E402
from secret_values import ConfigError, FromVault, open_source  # noqa: E402
from vault_manager import RotationConflict  # noqa: E402

log = logging.getLogger("app")

# A nonce of this many characters cannot have been computed for in advance.
MIN_NONCE = 8

# Why there may be no secrets: the server is away or sealed, does not let us, or
# has others than we look for.
FAILURES = (VaultError, RequestException, RotationConflict, ConfigError)

# Seconds that a client may take for anything.
CLIENT_TIMEOUT = 30

SIGNALS = {signal.SIGHUP, signal.SIGTERM, signal.SIGINT}


class Application:
    """The secrets in use, and what can be done with them."""

    def __init__(self, source, with_tls=False):
        self._source = source
        self._change = threading.Lock()  # held by whoever replaces what follows
        # Read by all threads, and only replaced as a whole.
        self._secrets = source.read()
        self.tls = None
        if with_tls:
            self.tls = certificate.server_context(self._secrets.tls_cert, self._secrets.tls_key)

    def reload(self):
        """Read the secrets again. If that fails, the old ones stay in use."""
        with self._change:
            self._reload_locked()

    def rotate(self):
        """Make a new API key, store it, use it, and return its version.

        A real application asks the API's provider for the new key here, and
        gives the old one back when nobody uses it any more.
        """
        with self._change:
            version = self._source.rotate_api_key(secrets.token_urlsafe(32))
            self._reload_locked()
        return version

    def can_rotate(self):
        return isinstance(self._source, FromVault)

    def status(self):
        now = self._secrets
        return {"source": self._source.name, "versions": now.versions}

    def proof(self, nonce):
        """Return what only somebody who has the secrets can compute from nonce."""
        now = self._secrets
        return {
            **self.status(),
            "database_url": _mac(now.database_url, nonce),
            "api_key": _mac(now.api_key, nonce),
            "tls_key": _mac(now.tls_key, nonce),
            "tls_cert": certificate.describe(now.tls_cert, now.tls_key),
        }

    def _reload_locked(self):
        new = self._source.read()
        if self.tls is not None:
            certificate.load(self.tls, new.tls_cert, new.tls_key)
        self._secrets = new


def _mac(secret, nonce):
    """Return the HMAC-SHA-256 of nonce under secret, in hex."""
    return hmac.new(secret.encode(), nonce.encode(), hashlib.sha256).hexdigest()


def reason(err):
    """Return why something failed, in words that hold no secret."""
    # The texts of other errors may repeat what was sent.
    return str(err) if isinstance(err, ConfigError) else type(err).__name__


class Handler(BaseHTTPRequestHandler):
    """Answers requests. The server has the application, as `app`."""

    timeout = CLIENT_TIMEOUT

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/healthz":
            self._text(200, "ok\n")
        elif url.path == "/":
            self._json(200, self.server.app.status())
        elif url.path == "/proof":
            self._proof(parse_qs(url.query).get("nonce", [""])[0])
        elif url.path == "/reload":
            self._reload()
        else:
            self._text(404, "not found\n")

    def do_POST(self):
        url = urlsplit(self.path)
        # Browsers add the header; no web page may rotate our keys.
        if self.headers.get("Origin"):
            self._text(403, "not from a web page\n")
        elif url.path == "/reload":
            self._reload()
        elif url.path == "/rotate":
            self._rotate()
        else:
            self._text(404, "not found\n")

    def _proof(self, nonce):
        if len(nonce) < MIN_NONCE:
            self._text(400, f"nonce needs {MIN_NONCE} characters\n")
            return
        try:
            self._json(200, self.server.app.proof(nonce))
        except ssl.SSLError as err:
            self._text(500, f"the certificate cannot be used: {err.reason}\n")

    def _reload(self):
        try:
            self.server.app.reload()
        except FAILURES as err:
            self._upstream_failed("reload", err)
            return
        self._json(200, self.server.app.status())

    def _rotate(self):
        if not self.server.app.can_rotate():
            self._text(409, "the secrets are the environment's: rotate them where they are stored\n")
            return
        try:
            version = self.server.app.rotate()
        except FAILURES as err:
            self._upstream_failed("rotate", err)
            return
        self._json(200, {"version": version})

    def _upstream_failed(self, what, err):
        log.error("%s: %s", what, reason(err))
        self._text(502, f"{what}: {reason(err)}\n")

    def _json(self, status, value):
        self._answer(status, "application/json", json.dumps(value) + "\n")

    def _text(self, status, text):
        self._answer(status, "text/plain; charset=utf-8", text)

    def _answer(self, status, content_type, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        log.info(format, *args)


class Server(ThreadingHTTPServer):
    """Serves an application on this machine only."""

    daemon_threads = True

    def __init__(self, app, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.app = app

    def finish_request(self, request, client_address):
        # In the connection's own thread: a slow handshake holds nobody else up.
        if self.app.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(CLIENT_TIMEOUT)
        with self.app.tls.wrap_socket(request, server_side=True) as protected:
            super().finish_request(protected, client_address)

    def handle_error(self, request, client_address):
        log.warning("connection: %s", sys.exc_info()[0].__name__)

    def url(self):
        scheme = "https" if self.app.tls is not None else "http"
        return f"{scheme}://127.0.0.1:{self.server_port}"


def serve(source, port, with_tls):
    """Serve until SIGTERM or SIGINT; SIGHUP reads the secrets again."""
    app = Application(source, with_tls)
    # For all threads that begin from here on: the signals are waited for below.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    source.start()
    server = Server(app, port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    print(f"listening on {server.url()}", flush=True)
    while signal.sigwait(SIGNALS) == signal.SIGHUP:
        try:
            app.reload()
            log.info("secrets read again")
        except FAILURES as err:
            log.error("reload: %s", reason(err))
    server.shutdown()
    thread.join()
    server.server_close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls", action="store_true", help="serve HTTPS with the certificate")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        source = open_source()
    except FAILURES as err:
        sys.exit(f"app: {reason(err)}")
    # What the children of this process, and whoever looks at it, need not see.
    os.environ.pop("VAULT_SECRET_ID", None)
    try:
        serve(source, int(os.environ.get("PORT", "0")), options.tls)
    except FAILURES as err:
        sys.exit(f"app: {reason(err)}")
    finally:
        source.close()


if __name__ == "__main__":
    main()
