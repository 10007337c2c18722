"""Reads and rotates secrets in a server that speaks Vault's HTTP API.

VaultManager is the class of the tutorial with its mistakes mended; the README
says which they were.
"""

import logging
import threading

import hvac
from hvac.exceptions import Forbidden, InvalidRequest, VaultError
from requests.exceptions import RequestException

log = logging.getLogger(__name__)

# What the server says to a write whose condition did not hold.
CAS_MISMATCH = "check-and-set parameter did not match"

# How often a rotation is tried when others write to the same secret.
MAX_ATTEMPTS = 5

# Seconds between two attempts to renew or log in when the server cannot be
# reached.
RETRY_AFTER = 5.0


class RotationConflict(Exception):
    """Others write to the same secret all the time."""


class VaultManager:
    """A login to the server, kept alive, and the secrets that it may see.

    It is safe for use by several threads. close() ends the login.
    """

    def __init__(self, vault_addr, role_id, secret_id, mount_point="secret"):
        self._role_id = role_id
        self._secret_id = secret_id
        self._mount_point = mount_point
        self._login_lock = threading.Lock()  # held by whoever replaces the token
        self._closed = threading.Event()
        self._keeper = None
        # An empty token, as hvac would take None for "the developer's own, from
        # VAULT_TOKEN or ~/.vault-token".
        self.client = hvac.Client(url=vault_addr, token="")
        self._lease = self._login()

    # Secrets

    def get_secret(self, path, key):
        """Return one key of the newest version of the secret at path."""
        data, _ = self.read_secret(path)
        return data[key]

    def read_secret(self, path):
        """Return all keys of the newest version of the secret at path, and its number.

        What belongs together, a certificate and its key, must come from one
        read: between two a rotation may happen.
        """
        answer = self._call(
            self.client.secrets.kv.v2.read_secret_version,
            path=path,
            mount_point=self._mount_point,
        )
        return answer["data"]["data"], answer["data"]["metadata"]["version"]

    def rotate_secret(self, path, key, new_value):
        """Set one key of the secret at path, keep the others, and return the new version.

        A write replaces the secret as a whole, so the other keys are read first,
        and the write is made on condition that nobody wrote in between.
        """
        for _ in range(MAX_ATTEMPTS):
            data, version = self.read_secret(path)
            try:
                answer = self._call(
                    self.client.secrets.kv.v2.create_or_update_secret,
                    path=path,
                    secret={**data, key: new_value},
                    cas=version,
                    mount_point=self._mount_point,
                )
            except InvalidRequest as err:
                if CAS_MISMATCH not in str(err):
                    raise
                continue  # somebody was faster: take what they wrote as well
            return answer["data"]["version"]
        raise RotationConflict(path)

    # The login

    def keep_alive(self):
        """Renew the token in the background until close().

        An application that only logs in again when its token has expired fails
        one request first, and cannot do even that if its secret id was good for
        one use.
        """
        self._keeper = threading.Thread(target=self._keep_token, daemon=True)
        self._keeper.start()

    def close(self):
        """Stop renewing and give the token back."""
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join()
        try:
            self.client.auth.token.revoke_self()
        except (VaultError, RequestException) as err:
            log.warning("the token was not revoked: %s", type(err).__name__)

    def _login(self):
        """Log in with AppRole and return the seconds for which the token is good."""
        # login() also makes the client use the token.
        answer = self.client.auth.approle.login(
            role_id=self._role_id, secret_id=self._secret_id
        )
        return answer["auth"]["lease_duration"]

    def _renew(self):
        """Renew the token and return the seconds for which it is good now."""
        answer = self.client.auth.token.renew_self()
        return answer["auth"]["lease_duration"]

    def _keep_token(self):
        wait = self._lease * 2 / 3
        # A lease of zero never expires: then there is nothing to do but wait.
        while not self._closed.wait(wait or None):
            wait = self._extend()

    def _extend(self):
        """Make the token good for longer, and return the seconds until the next time."""
        with self._login_lock:
            try:
                lease = self._renew()
                # At its greatest lifetime a token is renewed for less and less.
                if lease < self._lease / 2:
                    lease = self._lease = self._login()
            except VaultError:  # not renewable, expired or revoked
                try:
                    lease = self._lease = self._login()
                except (VaultError, RequestException) as err:
                    log.error("cannot log in again: %s", type(err).__name__)
                    return RETRY_AFTER
            except RequestException as err:
                log.warning("cannot renew the token: %s", type(err).__name__)
                return RETRY_AFTER
        return lease * 2 / 3

    def _call(self, method, **arguments):
        """Call a method of the client, once more after a new login if the token has died."""
        token = self.client.token
        try:
            return method(**arguments)
        except Forbidden:
            # The same answer is given to a token that is gone and to one without
            # the right: only the first can be helped.
            if not self._token_is_gone():
                raise
        with self._login_lock:
            if self.client.token == token:  # else another thread has done it
                self._lease = self._login()
        return method(**arguments)

    def _token_is_gone(self):
        try:
            self.client.auth.token.lookup_self()
        except Forbidden:
            return True
        return False
