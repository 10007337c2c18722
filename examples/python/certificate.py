"""Uses a certificate that is in memory, with the standard library only."""

import contextlib
import os
import ssl
import tempfile


def server_context(cert, key):
    """Return a context that serves TLS with cert and key, both PEM.

    It raises ssl.SSLError if they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(context, cert, key)
    return context


def load(context, cert, key):
    """Give cert and key to context, for the connections that come from now on."""
    # The ssl module only takes the names of files.
    with _file(cert + "\n" + key) as name:
        context.load_cert_chain(name)


def describe(cert, key):
    """Return what there is to say about a certificate, once its key has worked.

    The proof is a handshake with itself, in memory. It raises ssl.SSLError if
    the key is another's or the certificate has expired.
    """
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    # The certificate itself is trusted, whoever has signed it.
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(cadata=cert)

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context(cert, key).wrap_bio(to_server, to_client, server_side=True)
    ends = [client, server]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue  # it is the other's turn
            ends.remove(end)

    info = client.getpeercert()
    return {
        "subject": _name(info["subject"]),
        "issuer": _name(info["issuer"]),
        "not_after": info["notAfter"],
        "key_matches": True,
    }


def _name(rdns):
    return ", ".join(f"{key}={value}" for rdn in rdns for key, value in rdn)


@contextlib.contextmanager
def _file(text):
    """Give text a name in the file system, on Linux without touching a disk."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("tls"), "w", encoding="ascii") as f:
            f.write(text)
            f.flush()
            yield f"/proc/self/fd/{f.fileno()}"
        return
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as f:  # mode 0600
        f.write(text)
        f.flush()
        yield f.name
