"""hvac, as Debian ships it, against a coffer server (COFFER_ADDR, COFFER_TOKEN)."""

import json
import os
import unittest

import hvac
from hvac import exceptions

ADDR = os.environ["COFFER_ADDR"]
ROOT = os.environ["COFFER_TOKEN"]


def root():
    return hvac.Client(url=ADDR, token=ROOT)


class KVv2(unittest.TestCase):
    def setUp(self):
        self.kv = root().secrets.kv.v2

    def test_a_secret_has_versions(self):
        first = self.kv.create_or_update_secret("v/db", {"password": "one", "big": 12345678901234567890})
        self.assertEqual(first["data"]["version"], 1)
        self.assertEqual(first["data"]["deletion_time"], "")
        self.assertFalse(first["data"]["destroyed"])
        self.kv.create_or_update_secret("v/db", {"password": "two"}, cas=1)
        read = self.kv.read_secret_version("v/db")
        self.assertEqual(read["data"]["data"], {"password": "two"})
        old = self.kv.read_secret_version("v/db", version=1)
        self.assertEqual(old["data"]["data"]["big"], 12345678901234567890)
        with self.assertRaises(exceptions.InvalidRequest) as e:
            self.kv.create_or_update_secret("v/db", {"password": "x"}, cas=1)
        self.assertIn("check-and-set parameter did not match", str(e.exception))

    def test_patch_keeps_the_other_fields(self):
        self.kv.create_or_update_secret("v/patch", {"a": "1", "b": "2"})
        self.kv.patch("v/patch", {"b": "3"})
        read = self.kv.read_secret_version("v/patch")
        self.assertEqual(read["data"]["data"], {"a": "1", "b": "3"})

    def test_delete_undelete_destroy(self):
        self.kv.create_or_update_secret("v/gone", {"a": "1"})
        self.kv.delete_latest_version_of_secret("v/gone")
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.read_secret_version("v/gone")
        with self.assertRaises(exceptions.InvalidPath) as e:
            self.kv.read_secret_version("v/gone")
        kept = json.loads(str(e.exception).split("\n")[0].split(", on get")[0])
        self.assertIsNone(kept["data"]["data"])
        self.assertNotEqual(kept["data"]["metadata"]["deletion_time"], "")
        self.kv.undelete_secret_versions("v/gone", [1])
        self.assertEqual(self.kv.read_secret_version("v/gone")["data"]["data"], {"a": "1"})
        self.kv.destroy_secret_versions("v/gone", [1])
        meta = self.kv.read_secret_metadata("v/gone")["data"]
        self.assertTrue(meta["versions"]["1"]["destroyed"])
        self.kv.delete_metadata_and_all_versions("v/gone")
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.read_secret_metadata("v/gone")

    def test_metadata_and_configuration(self):
        self.kv.update_metadata("v/meta", max_versions=3, cas_required=True)
        root().write("secret/metadata/v/meta", custom_metadata={"owner": "team"})
        meta = self.kv.read_secret_metadata("v/meta")["data"]
        self.assertEqual(meta["max_versions"], 3)
        self.assertEqual(meta["custom_metadata"], {"owner": "team"})
        self.assertEqual(meta["current_version"], 0)
        with self.assertRaises(exceptions.InvalidRequest):
            self.kv.create_or_update_secret("v/meta", {"a": "1"})
        config = self.kv.read_configuration()["data"]
        self.assertIn("max_versions", config)
        self.assertEqual(config["delete_version_after"], "0s")

    def test_list(self):
        self.kv.create_or_update_secret("v/list/one", {"a": "1"})
        self.kv.create_or_update_secret("v/list/two/three", {"a": "1"})
        self.assertEqual(self.kv.list_secrets("v/list")["data"]["keys"], ["one", "two/"])
        with self.assertRaises(exceptions.InvalidPath):
            self.kv.list_secrets("v/nothing/here")


class KVv1(unittest.TestCase):
    def test_round_trip(self):
        c = root()
        c.sys.enable_secrets_engine("kv", path="hv1", options={"version": "1"})
        self.addCleanup(c.sys.disable_secrets_engine, "hv1")
        kv = c.secrets.kv.v1
        kv.create_or_update_secret("a/b", {"k": "v"}, mount_point="hv1")
        self.assertEqual(kv.read_secret("a/b", mount_point="hv1")["data"], {"k": "v"})
        self.assertEqual(kv.list_secrets("a", mount_point="hv1")["data"]["keys"], ["b"])
        kv.delete_secret("a/b", mount_point="hv1")
        with self.assertRaises(exceptions.InvalidPath):
            kv.read_secret("a/b", mount_point="hv1")


class AppRole(unittest.TestCase):
    def setUp(self):
        self.c = root()
        if "approle/" not in self.c.sys.list_auth_methods()["data"]:
            self.c.sys.enable_auth_method("approle")
        self.c.sys.create_or_update_policy("hv", 'path "secret/data/hv/*" { capabilities = ["read"] }')
        self.approle = self.c.auth.approle
        self.approle.create_or_update_approle("hv", token_policies=["hv"], token_ttl="10m", secret_id_num_uses=0)

    def test_login_reads_what_the_policy_allows(self):
        self.c.secrets.kv.v2.create_or_update_secret("hv/db", {"password": "p"})
        role_id = self.approle.read_role_id("hv")["data"]["role_id"]
        made = self.approle.generate_secret_id("hv", metadata={"host": "a"})["data"]
        app = hvac.Client(url=ADDR)
        login = app.auth.approle.login(role_id, made["secret_id"])
        self.assertEqual(login["auth"]["lease_duration"], 600)
        self.assertEqual(login["auth"]["metadata"], {"role_name": "hv", "host": "a"})
        self.assertTrue(app.is_authenticated())
        read = app.secrets.kv.v2.read_secret_version("hv/db")
        self.assertEqual(read["data"]["data"]["password"], "p")
        with self.assertRaises(exceptions.Forbidden):
            app.secrets.kv.v2.read_secret_version("other")
        app.logout(revoke_token=True)

    def test_a_wrong_secret_id_is_refused(self):
        role_id = self.approle.read_role_id("hv")["data"]["role_id"]
        with self.assertRaises(exceptions.InvalidRequest) as e:
            hvac.Client(url=ADDR).auth.approle.login(role_id, "wrong")
        self.assertIn("invalid role or secret ID", str(e.exception))

    def test_secret_ids_are_looked_up_listed_and_destroyed(self):
        made = self.approle.generate_secret_id("hv")["data"]
        look = self.approle.read_secret_id("hv", made["secret_id"])["data"]
        self.assertEqual(look["secret_id_accessor"], made["secret_id_accessor"])
        self.assertIn(made["secret_id_accessor"], self.approle.list_secret_id_accessors("hv")["data"]["keys"])
        self.approle.destroy_secret_id_accessor("hv", made["secret_id_accessor"])
        self.assertEqual(self.approle.read_secret_id("hv", made["secret_id"]).status_code, 204)

    def test_a_chosen_secret_id(self):
        made = self.approle.create_custom_secret_id("hv", "chosen-by-the-operator")["data"]
        self.assertEqual(made["secret_id"], "chosen-by-the-operator")
        role_id = self.approle.read_role_id("hv")["data"]["role_id"]
        self.assertTrue(hvac.Client(url=ADDR).auth.approle.login(role_id, "chosen-by-the-operator")["auth"]["client_token"])

    def test_roles_are_read_listed_and_deleted(self):
        role = self.approle.read_role("hv")["data"]
        self.assertEqual(role["token_policies"], ["hv"])
        self.assertEqual(role["token_ttl"], 600)
        self.assertTrue(role["bind_secret_id"])
        self.assertIn("hv", self.approle.list_roles()["data"]["keys"])
        self.approle.update_role_id("hv", "custom-role-id")
        self.assertEqual(self.approle.read_role_id("hv")["data"]["role_id"], "custom-role-id")
        self.approle.delete_role("hv")
        with self.assertRaises(exceptions.InvalidPath):
            self.approle.read_role("hv")


class System(unittest.TestCase):
    def setUp(self):
        self.sys = root().sys

    def test_status(self):
        self.assertTrue(self.sys.is_initialized())
        self.assertFalse(self.sys.is_sealed())
        self.assertEqual(self.sys.read_health_status(method="GET")["initialized"], True)
        self.assertIn("ha_enabled", self.sys.read_leader_status())

    def test_mounts(self):
        self.sys.enable_secrets_engine("kv", path="hvm", description="d", config={"max_lease_ttl": "1h"})
        mounts = self.sys.list_mounted_secrets_engines()
        self.assertEqual(mounts["data"]["hvm/"]["type"], "kv")
        self.assertEqual(mounts["hvm/"]["config"]["max_lease_ttl"], 3600)
        self.sys.tune_mount_configuration("hvm", default_lease_ttl="20m")
        self.assertEqual(self.sys.read_mount_configuration("hvm")["data"]["default_lease_ttl"], 1200)
        self.sys.move_backend("hvm", "hvm2")
        self.sys.disable_secrets_engine("hvm2")
        self.assertNotIn("hvm2/", self.sys.list_mounted_secrets_engines()["data"])

    def test_auth_methods(self):
        self.sys.enable_auth_method("approle", path="hva", description="d")
        self.sys.tune_auth_method("hva", default_lease_ttl="10m", description="e")
        self.assertEqual(self.sys.read_auth_method_tuning("hva")["data"]["default_lease_ttl"], 600)
        self.assertEqual(self.sys.list_auth_methods()["data"]["hva/"]["description"], "e")
        self.sys.disable_auth_method("hva")

    def test_policies(self):
        self.sys.create_or_update_policy("hvp", {"path": {"secret/*": {"capabilities": ["read"]}}})
        self.assertIn("hvp", self.sys.list_policies()["data"]["policies"])
        self.assertIn("secret/*", self.sys.read_policy("hvp")["data"]["rules"])
        c = root()
        c.write("sys/policies/acl/hvp2", policy='path "a" { capabilities = ["list"] }')
        self.assertIn("hvp2", c.list("sys/policies/acl")["data"]["keys"])
        self.assertIn('path "a"', c.read("sys/policies/acl/hvp2")["data"]["policy"])
        for name in ("hvp", "hvp2"):
            self.sys.delete_policy(name)
        with self.assertRaises(exceptions.InvalidPath):
            self.sys.read_policy("hvp")

    def test_capabilities(self):
        caps = self.sys.get_capabilities(paths=["secret/data/x", "sys/mounts"])
        self.assertEqual(caps["data"]["secret/data/x"], ["root"])
        self.assertEqual(caps["sys/mounts"], ["root"])

    def test_wrapping(self):
        c = root()
        wrapped = c.write("sys/wrapping/wrap", wrap_ttl="60", a="b")
        token = wrapped["wrap_info"]["token"]
        self.assertEqual(hvac.Client(url=ADDR).sys.unwrap(token)["data"], {"a": "b"})
        with self.assertRaises(exceptions.InvalidRequest):
            hvac.Client(url=ADDR).sys.unwrap(token)

    def test_key_status(self):
        self.assertGreaterEqual(root().key_status["term"], 1)


class Token(unittest.TestCase):
    def test_create_look_up_renew_revoke(self):
        c = root()
        made = c.auth.token.create(policies=["default"], ttl="1h", meta={"k": "v"})["auth"]
        look = c.auth.token.lookup(made["client_token"])["data"]
        self.assertEqual(look["meta"], {"k": "v"})
        self.assertEqual(c.auth.token.lookup_accessor(made["accessor"])["data"]["id"], "")
        self.assertEqual(c.auth.token.renew(made["client_token"], increment=1200)["auth"]["client_token"], made["client_token"])
        c.auth.token.revoke_accessor(made["accessor"])
        with self.assertRaises(exceptions.Forbidden):
            c.auth.token.lookup(made["client_token"])

    def test_roles(self):
        c = root()
        c.auth.token.create_or_update_role("hv", allowed_policies=["default"], orphan=True)
        self.assertTrue(c.auth.token.read_role("hv")["data"]["orphan"])
        made = c.write("auth/token/create/hv")
        self.assertTrue(made["auth"]["orphan"])
        self.assertIn("hv", c.auth.token.list_roles()["data"]["keys"])
        c.auth.token.delete_role("hv")


if __name__ == "__main__":
    unittest.main()
