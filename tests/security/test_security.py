#!/usr/bin/env python3
"""TLS, tokens, the system call filter and scarce descriptors, on real workers."""
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
PROBE = os.environ.get("SF_PROBE_SECCOMP", str(sf.BIN.parent / "tests/security/probe_seccomp"))


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
        for path in ["/status", "/fleet", "/v1/ids", "/"]:
            self.assertEqual(self.ask(w, path, tls=tls), 401, path)
            self.assertEqual(self.ask(w, path, tls=tls, token="swordfisH"), 401, path)
            self.assertEqual(self.ask(w, path, tls=tls, token="swordfish"), 200, path)
        self.assertEqual(self.ask(w, "/drain", "POST", tls=tls), 401)
        url = f"https://localhost:{w.admin}"
        right = ["--admin", url, "--admin-ca", c["ca.pem"], "--token-file", self.secret("ops", "ops:swordfish\n")]
        wrong = ["--admin", url, "--admin-ca", c["ca.pem"], "--token-file", self.secret("others", "ops:swordfisH\n")]
        for arguments, code in ((["status", *right], 0), (["top", "--once", *right], 0), (["status", *wrong], 69), (["drain", *wrong], 1),
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
    def probe(self, what):
        done = subprocess.run([PROBE, what], capture_output=True, text=True, check=False)
        if done.returncode == 77:
            self.skipTest(done.stderr)
        return done.returncode, done.stdout.strip()

    def test_what_is_refused(self):
        for what in ["exec", "ptrace"]:
            self.assertEqual(self.probe(what)[0], -signal.SIGSYS, what)
        self.assertNotEqual(self.probe("fork"), (0, "done"))
        for what in ["mount", "kill", "tgkill", "type", "raw-socket", "writable-code"]:
            self.assertEqual(self.probe(what), (0, "Operation not permitted"), what)
        for what in ["socket", "thread", "own-tgkill"]:
            self.assertEqual(self.probe(what), (0, "done"), what)

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

    def test_without_it(self):
        w = self.make("w", security_seccomp="false").start()
        self.assertRegex(pathlib.Path(f"/proc/{w.process.pid}/status").read_text(), r"Seccomp:\s+0\n")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become nobody")
    def test_nobody_without_capabilities(self):
        os.chmod(self.dir, 0o777)
        port, admin = sf.free_ports(2)
        log = open(self.dir / "log", "wb")
        process = subprocess.Popen(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs", str(sf.BIN / "snowfleetd"),
             "--listen-address", f"127.0.0.1:{port}", "--admin-address", f"127.0.0.1:{admin}", "--fleet-coordinator", f"local://{self.dir}/nobody",
             "--reservation-state-dir", ""], stderr=log)
        try:
            sf.wait_until(lambda: sf.http(f"http://127.0.0.1:{admin}/readyz")[0] == 200, lambda: (self.dir / "log").read_text())
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(sf.DEADLINE_S), 0)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()


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
