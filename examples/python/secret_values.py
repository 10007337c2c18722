"""The three secrets of the application, and the two places they can come from."""

import os
from dataclasses import dataclass, field

from vault_manager import VaultManager

# Environment variables that hold the secrets themselves, as `coffer run` sets them.
VALUES = ("DATABASE_URL", "API_KEY", "TLS_CERT", "TLS_KEY")

# How text begins that names a secret and is none.
REFERENCES = ("vault:", "coffer://", "ref+vault://")


@dataclass(frozen=True)
class Secrets:
    """What the application works with. It does not print its values."""

    database_url: str = field(repr=False)
    api_key: str = field(repr=False)
    tls_cert: str = field(repr=False)
    tls_key: str = field(repr=False)
    versions: dict  # name of a secret -> its version; empty if that is not known


class ConfigError(Exception):
    """The secrets are not where they should be. Its text holds none."""


class FromEnvironment:
    """Secrets that somebody, such as `coffer run`, has put into the environment.

    The application then needs no login, no client and no knowledge of a server.
    """

    name = "environment"

    def __init__(self, environ):
        self._secrets = Secrets(
            database_url=_value(environ, "DATABASE_URL"),
            api_key=_value(environ, "API_KEY"),
            tls_cert=_pem(environ, "TLS_CERT"),
            tls_key=_pem(environ, "TLS_KEY"),
            versions={},
        )

    def read(self):
        """Return the secrets. They never change: a new value is a new process."""
        return self._secrets

    def start(self):
        pass

    def close(self):
        pass


class FromVault:
    """Secrets that the application asks the server for, after a login with AppRole."""

    name = "vault"

    def __init__(self, environ):
        self._vault = VaultManager(
            vault_addr=_value(environ, "VAULT_ADDR"),
            role_id=_value(environ, "VAULT_ROLE_ID"),
            secret_id=_value(environ, "VAULT_SECRET_ID"),
            mount_point=environ.get("SECRET_MOUNT", "secret"),
        )
        self._database = environ.get("DATABASE_SECRET", "app/database")
        self._api = environ.get("API_SECRET", "app/api")
        self._tls = environ.get("TLS_SECRET", "app/tls")

    def read(self):
        """Ask the server for the newest versions."""
        database, database_version = self._vault.read_secret(self._database)
        api, api_version = self._vault.read_secret(self._api)
        tls, tls_version = self._vault.read_secret(self._tls)
        return Secrets(
            database_url=_part(database, self._database, "url"),
            api_key=_part(api, self._api, "key"),
            tls_cert=_part(tls, self._tls, "certificate"),
            tls_key=_part(tls, self._tls, "private_key"),
            versions={"database": database_version, "api": api_version, "tls": tls_version},
        )

    def rotate_api_key(self, new_value):
        """Store a new API key and return the version that has it."""
        return self._vault.rotate_secret(self._api, "key", new_value)

    def start(self):
        self._vault.keep_alive()

    def close(self):
        self._vault.close()


def open_source(environ=os.environ):
    """Return where the secrets come from, going by what is in the environment.

    If the values are there, they are used; if none of them is, the server is
    asked. Some of them are a mistake that is better found now.
    """
    there = [name for name in VALUES if environ.get(name)]
    if len(there) == len(VALUES):
        return FromEnvironment(environ)
    if there:
        missing = ", ".join(name for name in VALUES if name not in there)
        raise ConfigError(f"{', '.join(there)} is set but not {missing}")
    return FromVault(environ)


def _part(data, path, key):
    if key not in data:
        raise ConfigError(f"the secret {path} has no key {key}")
    return data[key]


def _value(environ, name):
    value = environ.get(name)
    if not value:
        raise ConfigError(f"{name} not set")
    if value.startswith(REFERENCES):
        raise ConfigError(f"{name} is a reference: start the application with `coffer run`")
    return value


def _pem(environ, name):
    """Return PEM that a variable holds, or that lies in the file it names."""
    value = _value(environ, name)
    if value.lstrip().startswith("-----BEGIN"):
        return value
    with open(value, encoding="ascii") as f:
        return f.read()
