#!/usr/bin/env python3
"""TLS, tokens, the system call filter and scarce descriptors, on real workers."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def documented_commands():
    """The certificate how-to of docs/security.md: the test runs what people are told to run."""
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    return re.search(r"<!-- certificates -->\n```sh\n(.*?)```", text, re.S).group(1)


class Certificates:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        subprocess.run(["sh", "-e", "-c", documented_commands()], cwd=self.dir, check=True, capture_output=True)
        self.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=other -keyout other-ca.key -out other-ca.pem")
        self.run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stranger -keyout stranger.key -out stranger.csr")
        self.run("openssl x509 -req -in stranger.csr -CA other-ca.pem -CAkey other-ca.key -CAcreateserial -days 30 -out stranger.pem")
        # Expired: valid for a second in the past (openssl ca takes dates; x509 -req does not).
        (self.dir / "db").write_text("")
        (self.dir / "serial").write_text("77\n")
        (self.dir / "ca.conf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=db\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        self.run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=late -keyout late.key -out late.csr")
        self.run("openssl ca -batch -config ca.conf -cert ca.pem -keyfile ca.key -in late.csr -out late.pem "
                 "-startdate 20200101000000Z -enddate 20200101000001Z")

    def run(self, command):
        subprocess.run(command.split(), cwd=self.dir, check=True, capture_output=True)

    def __getitem__(self, name):
        return str(self.dir / name)


def context(ca, cert=None, key=None, names=True):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(ca)
    made.check_hostname = names
    if cert:
        made.load_cert_chain(cert, key)
    return made


def next_over_tls(port, tls, name="localhost"):
    """One ID, or the error that there was instead."""
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        with tls.wrap_socket(plain, server_hostname=name) as s:
            s.sendall(sf.next_frame(1))
            got = b""
            while len(got) < 24:
                part = s.recv(1024)
                if not part:
                    raise ConnectionResetError("closed")
                got += part
            return int.from_bytes(got[12:20], "big")


class Case(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.dir = self.fleet.directory

    def make(self, name, **options):
        return self.fleet.worker(name, options={key.replace("_", "-"): value for key, value in options.items()})

    def worker(self, name, **options):
        return self.make(name, **options).start()

    def secret(self, name, text):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)


class Tls(Case):
    def test_who_is_let_in(self):
        c = Certificates(self.dir)
        w = self.worker("w", listen_tls_cert=c["worker.pem"], listen_tls_key=c["worker.key"], listen_tls_client_ca=c["ca.pem"])
        good = context(c["ca.pem"], c["client.pem"], c["client.key"])
        first = next_over_tls(w.port, good)
        with socket.create_connection(("127.0.0.1", w.port), 20) as plain, good.wrap_socket(plain, server_hostname="localhost") as held:
            for what, tls, name in [
                ("wrong CA", context(c["other-ca.pem"], c["client.pem"], c["client.key"]), "localhost"),
                ("wrong host name", good, "elsewhere.example"),
                ("no client certificate", context(c["ca.pem"]), "localhost"),
                ("client of another CA", context(c["ca.pem"], c["stranger.pem"], c["stranger.key"]), "localhost"),
                ("expired client certificate", context(c["ca.pem"], c["late.pem"], c["late.key"]), "localhost"),
            ]:
                with self.subTest(what), self.assertRaises(OSError):
                    next_over_tls(w.port, tls, name)
            held.sendall(sf.frame(sf.PING, 0, 9))
            self.assertEqual(held.recv(100)[4:6], b"\x01\x82")
        self.assertGreater(next_over_tls(w.port, good), first)

    def test_http_asks_for_what_the_data_port_asks_for(self):
        """TLS and client certificates on listen.http_address; nobody gets round them by way of the admin port."""
        c = Certificates(self.dir)
        port = sf.free_ports(1)[0]
        w = self.worker("w", listen_tls_cert=c["worker.pem"], listen_tls_key=c["worker.key"], listen_tls_client_ca=c["ca.pem"],
                        listen_http_address=f"127.0.0.1:{port}")

        def ids(tls, count):
            with contextlib.closing(http.client.HTTPSConnection("localhost", port, context=tls, timeout=20)) as connection:
                connection.request("GET", f"/v1/ids?count={count}")
                answer = connection.getresponse()
                text = answer.read()
            self.assertEqual(answer.status, 200, text)
            return len(json.loads(text)["ids"])
        good = context(c["ca.pem"], c["client.pem"], c["client.key"])
        self.assertEqual(ids(good, 1), 1)
        self.assertEqual(ids(good, 65536), 65536)
        for tls in (context(c["ca.pem"]), context(c["ca.pem"], c["stranger.pem"], c["stranger.key"])):
            with self.assertRaises(OSError):
                ids(tls, 1)
        with socket.create_connection(("127.0.0.1", port), 20) as plain, contextlib.suppress(ConnectionResetError):
            plain.sendall(b"GET /v1/ids HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertNotIn(b"HTTP/1.1", plain.recv(1000))
        self.assertEqual(sf.http(f"http://127.0.0.1:{w.admin}/v1/ids")[0], 403)

    def test_an_expired_client_is_told_so(self):
        """By the alert, though it has sent its request already, and by a line in the log that names it."""
        c = Certificates(self.dir)
        w = self.worker("w", listen_tls_cert=c["worker.pem"], listen_tls_key=c["worker.key"], listen_tls_client_ca=c["ca.pem"])
        for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
            for _ in range(5):
                tls = context(c["ca.pem"], c["late.pem"], c["late.key"])
                tls.minimum_version = tls.maximum_version = version
                with self.assertRaisesRegex(ssl.SSLError, "(?i)alert.certificate.expired"):
                    next_over_tls(w.port, tls)
        sf.wait_until(lambda: 'server.tls_failed' in w.log(), w.log)
        self.assertRegex(w.log(), r'server.tls_failed .*the client\'s certificate "late" is refused: certificate has expired')

    def test_old_ciphers_are_refused(self):
        """TLS 1.2 with authenticated encryption and forward secrecy, or TLS 1.3; on both ports."""
        c = Certificates(self.dir)
        self.run_openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout rsa.key -out rsa.pem")
        for cert, key, good, bad in [
            (c["worker.pem"], c["worker.key"], ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"],
             ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256"]),
            (c["rsa.pem"], c["rsa.key"], ["ECDHE-RSA-AES256-GCM-SHA384"], ["ECDHE-RSA-AES256-SHA", "AES128-SHA", "AES128-GCM-SHA256"]),
        ]:
            w = self.make("w" + str(len(bad) + len(good)), listen_tls_cert=cert, listen_tls_key=key, admin_tls_cert=cert, admin_tls_key=key)
            w.start(ready=False)
            sf.wait_until(lambda: "worker.started" in w.log(), w.log)
            for port in [w.port, w.admin]:
                for name, works in [*((name, True) for name in good), *((name, False) for name in bad)]:
                    with self.subTest(cipher=name, port="data" if port == w.port else "admin"):
                        self.assertEqual(self.shakes_hands(port, name), works)

    def run_openssl(self, arguments):
        subprocess.run(["openssl", *arguments.split()], cwd=self.dir, check=True, capture_output=True)

    @staticmethod
    def shakes_hands(port, cipher):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.set_ciphers(cipher + ":@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            try:
                with tls.wrap_socket(plain) as s:
                    return s.cipher()[0] == cipher
            except (ssl.SSLError, ConnectionError):
                return False

    def test_strict_clients_accept_the_documented_certificates(self):
        """Python 3.13 checks as RFC 5280 asks (VERIFY_X509_STRICT) unless it is told otherwise."""
        c = Certificates(self.dir)
        w = self.worker("w", listen_tls_cert=c["worker.pem"], listen_tls_key=c["worker.key"], listen_tls_client_ca=c["ca.pem"])
        tls = context(c["ca.pem"], c["client.pem"], c["client.key"])
        tls.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        next_over_tls(w.port, tls)
        for name, purpose in [("worker.pem", "sslserver"), ("client.pem", "sslclient")]:
            self.run_openssl(f"verify -x509_strict -purpose {purpose} -CAfile ca.pem {name}")

    def test_expired_server_certificate(self):
        c = Certificates(self.dir)
        w = self.worker("w", listen_tls_cert=c["late.pem"], listen_tls_key=c["late.key"])
        with self.assertRaisesRegex(ssl.SSLError, "expired"):
            next_over_tls(w.port, context(c["ca.pem"], names=False))

    def test_renegotiation_is_refused(self):
        c = Certificates(self.dir)
        w = self.worker("w", listen_tls_cert=c["worker.pem"], listen_tls_key=c["worker.key"])
        asked = subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{w.port}"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(1)  # s_client reads its orders once the handshake is over
        asked.stdin.write(b"R\n")
        asked.stdin.flush()
        text = asked.communicate(timeout=60)[0].decode(errors="replace")
        self.assertIn("RENEGOTIATING", text)
        self.assertRegex(text, "no renegotiation")
        next_over_tls(w.port, context(c["ca.pem"]))

    def test_a_storm_of_handshakes_keeps_nobody_out(self):
        """Silent connections, and handshakes that are begun and left: everybody else is let in, and the memory comes back."""
        c = Certificates(self.dir)
        w = self.worker("w", listen_tls_cert=c["worker.pem"], listen_tls_key=c["worker.key"], listen_frame_timeout_ms=2000)
        tls = context(c["ca.pem"])

        def resident_kib():
            return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{w.process.pid}/status").read_text())[1])

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        begun = [address for i in range(8) for address in [f"127.0.0.{i + 2}"] * 250]
        storm = []
        try:
            for _ in range(20):
                next_over_tls(w.port, tls)
            before = resident_kib()
            for i, address in enumerate(begun):
                s = socket.create_connection(("127.0.0.1", w.port), 20, (address, 0))
                s.setblocking(False)
                try:
                    s.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # and never the rest
                except OSError:
                    pass  # it has given way already
                storm.append(s)
                if i % 100 == 0:
                    next_over_tls(w.port, tls)
            for _ in range(2050):
                storm.append(socket.create_connection(("127.0.0.1", w.port), 20))
            for _ in range(50):
                next_over_tls(w.port, tls)
            during = resident_kib()
            sf.wait_until(lambda: w.status()["connections"] == 0, "half-open handshakes ended")
            sf.wait_until(lambda: resident_kib() < before + 8192, "the memory comes back")
            print(f"{before} KiB before the storm, {during} KiB in it, {resident_kib()} KiB after it")
        finally:
            for s in storm:
                s.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_a_thousand_half_open_handshakes(self):
        c = Certificates(self.dir)
        w = self.worker("w", listen_tls_cert=c["worker.pem"], listen_tls_key=c["worker.key"], listen_frame_timeout_ms=4000)
        tls = context(c["ca.pem"])
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        half = []
        try:
            for i in range(1000):
                s = socket.create_connection(("127.0.0.1", w.port), 20)
                if i % 2:
                    s.sendall(b"\x16\x03\x01\x02")  # and never the rest
                half.append(s)
            began = time.monotonic()
            for _ in range(20):
                next_over_tls(w.port, tls)
            print(f"with 1,000 half-open handshakes: {(time.monotonic() - began) / 20 * 1e3:.1f} ms for a handshake and an ID")
            self.assertEqual(w.readyz()[0], 200)
            sf.wait_until(lambda: w.status()["connections"] == 0, "half-open handshakes ended")
        finally:
            for s in half:
                s.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Admin(Case):
    def ask(self, w, path, method="GET", token=None, tls=None):
        import urllib.error
        import urllib.request
        request = urllib.request.Request(f"{'https' if tls else 'http'}://localhost:{w.admin}{path}", method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=20, context=tls) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_token_and_tls(self):
        c = Certificates(self.dir)
        w = self.make("w", admin_token_file=self.secret("admin-tokens", "ops:swordfish\n"), admin_tls_cert=c["worker.pem"],
                              admin_tls_key=c["worker.key"]).start(ready=False)
        tls = context(c["ca.pem"])

        def up():
            try:
                return self.ask(w, "/readyz", tls=tls) == 200
            except OSError:
                return False
        sf.wait_until(up, w.log)
        for path in ["/livez", "/metrics", "/startupz", "/healthz"]:
            self.assertEqual(self.ask(w, path, tls=tls), 200, path)
        self.assertEqual(self.ask(w, "/", tls=tls), 200, "the page asks for the token")
        for path in ["/status", "/fleet", "/v1/ids"]:
            self.assertEqual(self.ask(w, path, tls=tls), 401, path)
            self.assertEqual(self.ask(w, path, tls=tls, token="swordfisH"), 401, path)
            self.assertEqual(self.ask(w, path, tls=tls, token="swordfish"), 200, path)
        self.assertEqual(self.ask(w, "/drain", "POST", tls=tls), 401)
        url = f"https://localhost:{w.admin}"
        right = ["--admin", url, "--admin-ca", c["ca.pem"], "--token-file", self.secret("ops", "ops:swordfish\n")]
        wrong = ["--admin", url, "--admin-ca", c["ca.pem"], "--token-file", self.secret("others", "ops:swordfisH\n")]
        for arguments, code in ((["status", *right], 0), (["top", "--once", *right], 0), (["status", *wrong], 78), (["drain", *wrong], 78),
                                (["status", "--admin", url, "--token-file", self.secret("ops", "ops:swordfish\n")], 69)):
            result = subprocess.run([str(sf.BIN / "snowfleet"), *map(str, arguments)], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, code, f"{arguments}\n{result.stdout}\n{result.stderr}")
        result = subprocess.run([str(sf.BIN / "snowfleet"), "drain", *map(str, right)], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(w.process.wait(sf.DEADLINE_S), 0)

    def test_drain_from_outside_needs_a_token(self):
        port = sf.free_ports(1)[0]
        w = self.make("open", admin_address=f"0.0.0.0:{port}")
        w.admin = port
        w.start()
        self.assertEqual(self.ask(w, "/drain", "POST"), 403)
        self.assertEqual(self.ask(w, "/status"), 200)
        self.assertEqual(w.readyz()[0], 200)


class Filter(Case):
    def test_a_worker_lives_under_it(self):
        tokens = self.secret("tokens", "app:secret\n")
        w = self.worker("w", clock_sources="kernel,ntp:localhost:1", log_format="json", listen_token_file=tokens)
        status = pathlib.Path(f"/proc/{w.process.pid}/status").read_text()
        if "going on without" in w.log():
            self.skipTest("no filter here")
        self.assertRegex(status, r"Seccomp:\s+2\n")
        self.assertRegex(status, r"NoNewPrivs:\s+1\n")
        self.secret("tokens", "app:other\n")
        w.process.send_signal(signal.SIGHUP)
        sf.wait_until(lambda: "reload.done" in w.log(), w.log)
        with w.connect() as connection:
            connection.send(sf.frame(sf.AUTH, 0, 1, b"other\nforged: line") + sf.frame(sf.AUTH, 0, 2, b"other"))
            connection.send(sf.next_frame(3, 100) + b"\x00\n2026 error forged\r\n\x1b[31m")
            time.sleep(0.5)
        for line in w.log().splitlines():
            self.assertIn("event", json.loads(line))
            self.assertNotIn("other", line)
        self.assertEqual(w.term(), 0)


class Descriptors(Case):
    def test_exhausted(self):
        w = self.worker("w")
        held = w.connect()
        self.addCleanup(held.close)
        used = len(os.listdir(f"/proc/{w.process.pid}/fd"))
        resource.prlimit(w.process.pid, resource.RLIMIT_NOFILE, (used + 30 + 64, used + 30 + 64) if used + 94 > 128 else (140, 140))
        extra = []
        try:
            for _ in range(120):
                extra.append(socket.create_connection(("127.0.0.1", w.port), 20))
            sf.wait_until(lambda: "server.accept_failed" in w.log(), w.log)
            self.assertEqual(w.readyz()[0], 200)  # a new connection to the admin port
            held.send(sf.next_frame(1))
            self.assertEqual(len(held.read().ids()), 1)
            self.assertGreater(w.metric('snowfleet_connection_refused_total{reason="descriptors"}'), 0)
        finally:
            for s in extra:
                s.close()
        with w.connect() as fresh:
            fresh.send(sf.next_frame(1))
            self.assertEqual(len(fresh.read().ids()), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
