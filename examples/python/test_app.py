"""Tests of the example against a server that is made for them.

Run them with: python3 -m unittest. They need the openssl command.
"""

import hashlib
import hmac
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

from hvac.exceptions import Forbidden, InvalidRequest

import certificate
import secret_values
from fake_vault import ROLE_ID, SECRET_ID, FakeVault
from vault_manager import VaultManager


def make_certificate(name):
    """Return a new certificate and its key, PEM."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "cert"), Path(folder, "key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", f"/CN={name}", "-days", "2", "-keyout", key, "-out", cert],
            check=True, capture_output=True,
        )
        return cert.read_text(), key.read_text()


class VaultManagerTest(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(FakeVault())
        self.server.put("database/backend", {"user": "app", "password": "old"})
        self.vault = VaultManager(self.server.url, ROLE_ID, SECRET_ID)
        self.addCleanup(self.vault.close)

    def test_a_key_is_read(self):
        self.assertEqual(self.vault.get_secret("database/backend", "password"), "old")

    def test_a_wrong_secret_id_is_refused(self):
        with self.assertRaises(InvalidRequest):
            VaultManager(self.server.url, ROLE_ID, "guessed")

    def test_a_rotation_keeps_the_other_keys(self):
        self.assertEqual(self.vault.rotate_secret("database/backend", "password", "new"), 2)
        self.assertEqual(
            self.server.secrets["database/backend"][-1], {"user": "app", "password": "new"})

    def test_a_rotation_keeps_what_somebody_wrote_meanwhile(self):
        self.server.before_write = lambda: self.server.put(
            "database/backend", {"user": "renamed", "password": "old"})
        self.assertEqual(self.vault.rotate_secret("database/backend", "password", "new"), 3)
        self.assertEqual(
            self.server.secrets["database/backend"][-1], {"user": "renamed", "password": "new"})

    def test_a_dead_token_is_replaced(self):
        self.server.tokens.clear()
        self.assertEqual(self.vault.get_secret("database/backend", "password"), "old")
        self.assertEqual(self.server.logins, 2)

    def test_a_missing_right_is_no_reason_to_log_in(self):
        self.server.forbidden.add("secret/data/database/backend")
        with self.assertRaises(Forbidden):
            self.vault.get_secret("database/backend", "password")
        self.assertEqual(self.server.logins, 1)

    def test_the_developers_own_token_is_not_used(self):
        with unittest.mock.patch.dict(os.environ, VAULT_TOKEN="root"):
            vault = VaultManager(self.server.url, ROLE_ID, SECRET_ID)
        self.addCleanup(vault.close)
        self.assertEqual(vault.client.token, "token-2")

    def test_closing_gives_the_token_back(self):
        vault = VaultManager(self.server.url, ROLE_ID, SECRET_ID)
        vault.close()
        self.assertNotIn("token-2", self.server.tokens)

    def test_the_token_is_renewed_before_it_expires(self):
        self.server.lease = 0.001
        vault = VaultManager(self.server.url, ROLE_ID, SECRET_ID)
        vault.keep_alive()
        self.assertTrue(self.server.renewed.wait(10))
        vault.close()


class CertificateTest(unittest.TestCase):
    def test_a_certificate_with_its_key_is_described(self):
        told = certificate.describe(*make_certificate("shop.example.com"))
        self.assertEqual(told["subject"], "commonName=shop.example.com")
        self.assertTrue(told["key_matches"])

    def test_the_key_of_another_is_refused(self):
        cert, _ = make_certificate("one")
        _, key = make_certificate("two")
        with self.assertRaises(ssl.SSLError):
            certificate.describe(cert, key)


class SourceTest(unittest.TestCase):
    VALUES = {"DATABASE_URL": "d", "API_KEY": "a",
              "TLS_CERT": "-----BEGIN CERTIFICATE-----", "TLS_KEY": "-----BEGIN PRIVATE KEY-----"}

    def test_values_in_the_environment_need_no_login(self):
        source = secret_values.open_source(self.VALUES)
        self.assertEqual(source.read().database_url, "d")

    def test_half_of_the_values_is_a_mistake(self):
        with self.assertRaisesRegex(secret_values.ConfigError, "API_KEY is set but not DATABASE_URL"):
            secret_values.open_source({"API_KEY": "a"})

    def test_a_reference_is_no_value(self):
        with self.assertRaisesRegex(secret_values.ConfigError, "DATABASE_URL is a reference"):
            secret_values.open_source({**self.VALUES, "DATABASE_URL": "vault:secret/db#url"})

    def test_nothing_at_all_names_what_is_missing(self):
        with self.assertRaisesRegex(secret_values.ConfigError, "VAULT_ADDR not set"):
            secret_values.open_source({})

    def test_secrets_do_not_print_themselves(self):
        source = secret_values.open_source({**self.VALUES, "API_KEY": "canary"})
        self.assertNotIn("canary", repr(source.read()))


class ProgramTest(unittest.TestCase):
    """The program as a whole, as a process."""

    def setUp(self):
        self.cert, self.key = make_certificate("shop.example.com")
        self.server = self.enterContext(FakeVault())
        self.server.put("app/database", {"url": "postgresql://app:canary@db/app"})
        self.server.put("app/api", {"key": "first key", "owner": "payments"})
        self.server.put("app/tls", {"certificate": self.cert, "private_key": self.key})

    def start(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("app.py"), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.addCleanup(self.stop)
        line = self.process.stdout.readline()
        if not line:
            self.fail(self.process.stderr.read())
        self.port = int(line.rsplit(":", 1)[1])

    def start_with_login(self, *arguments):
        self.start(*arguments, VAULT_ADDR=self.server.url,
                   VAULT_ROLE_ID=ROLE_ID, VAULT_SECRET_ID=SECRET_ID)

    def stop(self):
        """End the program and return all that it has written."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        return out + err

    def ask(self, method, path, headers=None, connection=http.client.HTTPConnection, **options):
        conn = connection("127.0.0.1", self.port, timeout=20, **options)
        self.addCleanup(conn.close)
        conn.request(method, path, headers=headers or {})
        answer = conn.getresponse()
        return answer.status, answer.read().decode()

    def assert_proof(self, name, secret):
        _, body = self.ask("GET", "/proof?nonce=somethingnew")
        want = hmac.new(secret.encode(), b"somethingnew", hashlib.sha256).hexdigest()
        self.assertEqual(json.loads(body)[name], want)
        return body

    def test_it_logs_in_and_proves_what_it_has(self):
        self.start_with_login()
        self.assertEqual(self.ask("GET", "/healthz"), (200, "ok\n"))
        body = self.assert_proof("database_url", "postgresql://app:canary@db/app")
        self.assertIn("shop.example.com", body)
        self.assertEqual(self.ask("GET", "/proof?nonce=short")[0], 400)
        self.assertEqual(self.ask("GET", "/elsewhere")[0], 404)
        self.assertNotIn("canary", body + self.stop())
        self.assertEqual(self.server.tokens, set(), "the token was not given back")

    def test_it_rotates_the_key_and_nothing_else(self):
        self.start_with_login()
        self.assertEqual(self.ask("POST", "/rotate", {"Origin": "https://evil.example.com"})[0], 403)
        status, body = self.ask("POST", "/rotate")
        self.assertEqual((status, json.loads(body)), (200, {"version": 2}))
        new = self.server.secrets["app/api"][-1]
        self.assertEqual(new["owner"], "payments")
        self.assertNotEqual(new["key"], "first key")
        self.assert_proof("api_key", new["key"])

    def test_it_reads_again_when_told(self):
        self.start_with_login()
        self.server.put("app/api", {"key": "second key"})
        self.assert_proof("api_key", "first key")
        self.assertEqual(self.ask("GET", "/reload")[0], 200)
        self.assert_proof("api_key", "second key")

    def test_it_reads_again_on_a_signal(self):
        self.start_with_login()
        self.server.put("app/api", {"key": "second key"})
        self.process.send_signal(signal.SIGHUP)
        while "secrets read again" not in self.process.stderr.readline():
            self.assertIsNone(self.process.poll(), "the program has ended")
        self.assert_proof("api_key", "second key")

    def test_it_keeps_the_old_secrets_if_the_new_cannot_be_read(self):
        self.start_with_login()
        self.server.put("app/api", {"other": "x"})
        status, body = self.ask("POST", "/reload")
        self.assertEqual((status, body), (502, "reload: the secret app/api has no key key\n"))
        self.assert_proof("api_key", "first key")

    def test_it_runs_from_the_environment_alone(self):
        self.start(DATABASE_URL="d", API_KEY="from coffer run", TLS_CERT=self.cert, TLS_KEY=self.key)
        self.assert_proof("api_key", "from coffer run")
        self.assertEqual(self.ask("POST", "/rotate")[0], 409)
        self.assertEqual(self.server.logins, 0)

    def test_it_serves_with_the_certificate(self):
        self.start_with_login("--tls")
        context = ssl.create_default_context(cadata=self.cert)
        context.check_hostname = False
        status, _ = self.ask("GET", "/healthz", connection=http.client.HTTPSConnection, context=context)
        self.assertEqual(status, 200)


if __name__ == "__main__":
    unittest.main()
