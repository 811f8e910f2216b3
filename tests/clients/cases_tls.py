"""TLS with the right certificates and with every wrong one; mutual TLS; tokens inside."""
import functools
import os
import ssl
import sys
import tempfile
import threading
import time

from driver import ROOT
from hostile import Server
from suite import scenario, within

sys.path.insert(0, str(ROOT / "tests/lib"))
from certificates import make_certificates  # noqa: E402


MAKING = threading.Lock()


def certificates():
    with MAKING:  # scenarios run beside each other
        return _certificates()


@functools.lru_cache
def _certificates():
    directory = tempfile.TemporaryDirectory(prefix="snowfleet-clients-tls.")
    make_certificates(directory.name)
    return directory


def path(name):
    return os.path.join(certificates().name, name)


def context(name="server", client_ca=None, most=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path(f"{name}.pem"), path(f"{name}.key"))
    if client_ca:
        made.load_verify_locations(path(client_ca))
        made.verify_mode = ssl.CERT_REQUIRED
    if most:
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = most
        made.set_ciphers("ALL:@SECLEVEL=0")
    return made


def works(driver, server, **options):
    driver.open(server.address, tls=True, timeout_ms=5000, **options)
    ids = driver.next(1000) + [driver.one() for _ in range(20)]
    assert len(set(ids)) == 1020
    driver.close()


def refused(driver, server, names=("TLS",), **options):
    driver.open(server.address, timeout_ms=600, **options)
    begin = time.monotonic()
    detail = driver.fails(names)
    within(begin, 0.6, "a refused certificate")
    driver.close()
    return detail


@scenario("TLS: the right certificate, and every wrong one")
def server_certificate(new):
    ca = path("ca.pem")
    with Server(tls=context()) as server, new() as driver:
        works(driver, server, tls_ca=ca)
        works(driver, server, tls_ca=ca, tls_server_name="ids.example")
        assert not refused(driver, server, tls=True, tls_ca=path("other.pem")).startswith("{")
        refused(driver, server, tls=True)  # not known to the system
        refused(driver, server, tls=True, tls_ca=ca, tls_server_name="wrong.example")
        refused(driver, server, names=("UNREACHABLE", "TIMEOUT", "PROTOCOL"))  # no TLS at all
        driver.fails(("TLS", "INVALID"), "open", servers=server.address, tls=True, tls_ca=path("missing.pem"))
        driver.fails(("TLS", "INVALID"), "open", servers=server.address, tls=True, tls_ca=path("ca.key"))
    time.sleep(1)
    with Server(tls=context("expired")) as server, new() as driver:
        refused(driver, server, tls=True, tls_ca=ca)
    with Server() as server, new() as driver:  # a server without TLS
        server.script = lambda request: None
        refused(driver, server, names=("TLS", "UNREACHABLE", "TIMEOUT"), tls=True, tls_ca=ca)


@scenario("TLS: versions")
def versions(new):
    with Server(tls=context(most=ssl.TLSVersion.TLSv1_2)) as server, new() as driver:
        works(driver, server, tls_ca=path("ca.pem"))
    with Server(tls=context(most=ssl.TLSVersion.TLSv1_1)) as server, new() as driver:
        refused(driver, server, tls=True, tls_ca=path("ca.pem"))


@scenario("TLS: mutual, with a token")
def mutual(new):
    ca = path("ca.pem")
    own = {"tls_cert": path("client.pem"), "tls_key": path("client.key")}
    with Server(tls=context(client_ca="ca.pem"), token=b"s3cret") as server, new() as driver:
        works(driver, server, tls_ca=ca, token="s3cret", **own)
        driver.open(server.address, tls=True, tls_ca=ca, timeout_ms=500, **own)
        driver.fails("DENIED")
        driver.close()
        # With TLS 1.3 the server refuses after the client's handshake has ended: a broken connection is as good a name for that.
        refused(driver, server, names=("TLS", "UNREACHABLE"), tls=True, tls_ca=ca)
        driver.fails(("TLS", "INVALID"), "open", servers=server.address, tls=True, tls_ca=ca, tls_cert=own["tls_cert"], tls_key=path("other.key"))


@scenario("TLS: a connection that is lost is no matter of certificates")
def lost(new):
    with Server(tls=context()) as server, new() as driver:
        server.script = lambda request: (request.connection.close(), b"")[1] if request.kind == 1 else None
        refused(driver, server, names=("UNREACHABLE", "TIMEOUT"), tls=True, tls_ca=path("ca.pem"))
