"""hvac's database engine against a coffer server (COFFER_ADDR, COFFER_TOKEN) and a
PostgreSQL server (POSTGRES_URL, and psql's own variables)."""

import os
import subprocess
import unittest

import hvac
from hvac import exceptions


def login(user, password):
    """Says whether PostgreSQL takes the credentials."""
    env = dict(os.environ, PGUSER=user, PGPASSWORD=password)
    done = subprocess.run(["/usr/bin/psql", "-X", "-c", "SELECT 1"], env=env, capture_output=True, text=True)
    if done.returncode != 0 and "password authentication failed" not in done.stderr:
        raise AssertionError(done.stderr)
    return done.returncode == 0


class Database(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = hvac.Client(url=os.environ["COFFER_ADDR"], token=os.environ["COFFER_TOKEN"])
        cls.client.sys.enable_secrets_engine("database")
        cls.db = cls.client.secrets.database
        cls.db.configure(
            name="items",
            plugin_name="postgresql-database-plugin",
            allowed_roles=["*"],
            connection_url=os.environ["POSTGRES_URL"],
            username="coffer",
            password="first of coffer",
        )

    @classmethod
    def tearDownClass(cls):
        cls.client.sys.disable_secrets_engine("database")

    def test_a_connection(self):
        read = self.db.read_connection("items")["data"]
        self.assertEqual(read["plugin_name"], "postgresql-database-plugin")
        self.assertEqual(read["allowed_roles"], ["*"])
        self.assertEqual(
            read["connection_details"], {"connection_url": os.environ["POSTGRES_URL"], "username": "coffer"}
        )
        self.assertEqual(self.db.list_connections()["data"]["keys"], ["items"])
        self.db.reset_connection("items")
        self.db.rotate_root_credentials("items")
        self.assertFalse(login("coffer", "first of coffer"))
        with self.assertRaises(exceptions.InvalidRequest) as e:
            self.db.configure(name="bad", plugin_name="none")
        self.assertIn("postgresql-database-plugin", str(e.exception))
        with self.assertRaises(exceptions.InvalidPath):
            self.db.read_connection("other")

    def test_a_role(self):
        statements = ["CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"]
        self.db.create_role("reader", "items", statements, default_ttl="1h", max_ttl=86400)
        read = self.db.read_role("reader")["data"]
        self.assertEqual(read["creation_statements"], statements)
        self.assertEqual((read["default_ttl"], read["max_ttl"], read["revocation_statements"]), (3600, 86400, []))
        self.assertEqual(self.db.list_roles()["data"]["keys"], ["reader"])
        got = self.db.generate_credentials("reader")
        self.assertEqual(got["lease_duration"], 3600)
        self.assertTrue(login(got["data"]["username"], got["data"]["password"]))
        self.client.sys.renew_lease(got["lease_id"], increment=7200)
        self.client.sys.revoke_lease(got["lease_id"])
        self.assertFalse(login(got["data"]["username"], got["data"]["password"]))
        self.db.delete_role("reader")
        with self.assertRaises(exceptions.InvalidRequest):
            self.db.generate_credentials("reader")

    def test_a_static_role(self):
        statements = ["ALTER USER \"{{name}}\" WITH PASSWORD '{{password}}'"]
        self.db.create_static_role("app", "items", "app", statements, rotation_period="1h")
        self.assertEqual(self.db.list_static_roles()["data"]["keys"], ["app"])
        got = self.db.get_static_credentials("app")["data"]
        self.assertEqual((got["username"], got["rotation_period"]), ("app", 3600))
        self.assertLessEqual(got["ttl"], 3600)
        self.assertTrue(login("app", got["password"]))
        self.client.write("database/rotate-role/app")
        self.assertFalse(login("app", got["password"]))
        self.db.delete_static_role("app")


if __name__ == "__main__":
    unittest.main()
