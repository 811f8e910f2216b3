#!/usr/bin/env python3
"""TLS and tokens as the tool speaks them: what must work works, everything else is refused with a reason.

Usage: test_tls.py SNOWFLEETD SNOWFLEET
"""
import os
import pty
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from certificates import make_certificates, openssl  # noqa: E402
from fake_worker import Worker  # noqa: E402

DAEMON, SNOWFLEET = sys.argv[1:3]
del sys.argv[1:3]


def at_a_terminal(command):
    """Runs it with a terminal, at which nobody types; (exit code, what it wrote there)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    said = b""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # the other side is closed
                part = b""
            if not part:
                break
            said += part
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode(errors="replace")


class Tls(unittest.TestCase):
    """The client's side, against a TLS server that is not ours."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="snowfleet-tls.")
        make_certificates(cls.directory)
        with open(cls.path("tokens"), "w") as file:
            file.write("shop:secret-of-the-shop\n")
        for name, text in (("token", "secret-of-the-shop\n"), ("wrong-token", "guessed\n")):
            with open(cls.path(name), "w") as file:
                file.write(text)
        for name, text in (("named-token", "shop:secret-of-the-shop:1000\n#\n"), ("no-token", "shop:\n"), ("open-token", "secret-of-the-shop\n")):
            with open(cls.path(name), "w") as file:
                file.write(text)
        for name in os.listdir(cls.directory):
            os.chmod(cls.path(name), 0o644 if name == "open-token" else 0o600)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory, name)

    def worker(self, *options):
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            b.bind(("127.0.0.1", 0))
            self.port, admin = a.getsockname()[1], b.getsockname()[1]
        fleet = tempfile.mkdtemp(dir=self.directory)
        log = open(os.path.join(fleet, "log"), "w+")
        process = subprocess.Popen(
            [DAEMON, "--fleet-coordinator", f"local://{fleet}/c", "--listen-address", f"127.0.0.1:{self.port}", "--admin-address",
             f"127.0.0.1:{admin}", "--reservation-state-dir", "", *options], stderr=log, stdin=subprocess.DEVNULL)

        def end():
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            log.close()
        self.addCleanup(end)
        for _ in range(200):
            done = subprocess.run([SNOWFLEET, "status", "--admin", f"127.0.0.1:{admin}"], capture_output=True, text=True)
            if "state        ready" in done.stdout:
                return
            self.assertIsNone(process.poll(), "the worker ended")
            time.sleep(0.05)
        self.fail("the worker did not become ready")

    def tls_worker(self, name="server", client_ca=None, most=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        if client_ca:
            context.load_verify_locations(self.path(client_ca))
            context.verify_mode = ssl.CERT_REQUIRED
        if most:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = most
            context.set_ciphers("ALL:@SECLEVEL=0")
        worker = Worker(tls=context)
        self.port = worker.data.server_address[1]
        self.addCleanup(worker.close)
        return worker

    def ask(self, *options, code=0, words=""):
        done = subprocess.run([SNOWFLEET, "id", "-n", "3", "--server", f"127.0.0.1:{self.port}", "--timeout-ms", "1500", *options],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, code, done.stderr)
        if code == 0 and not words:
            self.assertEqual(len(done.stdout.split()), 3)
        if words:
            self.assertRegex(done.stderr, words)

    def test_server_certificate(self):
        self.tls_worker()
        ca = ["--tls-ca", self.path("ca.pem")]
        self.ask(*ca)
        self.ask(*ca, "--tls-name", "ids.example")
        self.ask("--tls-ca", self.path("other.pem"), code=78, words="certificate is refused")
        self.ask("--tls", code=78, words="certificate is refused")  # not known to the system
        self.ask(*ca, "--tls-name", "wrong.example", code=78, words="refused.*(mismatch|match)")
        self.ask(code=69)  # no TLS at all
        self.ask("--tls-ca", self.path("missing.pem"), code=78, words="tls_ca.*missing.pem")

    def test_expired(self):
        self.tls_worker("expired")
        time.sleep(1)
        self.ask("--tls-ca", self.path("ca.pem"), code=78, words="expired")

    def test_a_lost_connection_is_no_matter_of_certificates(self):
        self.tls_worker().hang_up = True
        self.ask("--tls-ca", self.path("ca.pem"), code=69, words="UNREACHABLE|broke|unexpected eof")

    def test_nobody_is_asked_for_a_pass_phrase(self):
        self.tls_worker(client_ca="ca.pem")
        openssl("ec", "-in", "client.key", "-out", "locked.key", "-aes128", "-passout", "pass:secret", cwd=self.directory)
        os.chmod(self.path("locked.key"), 0o600)
        listen = ["--fleet-coordinator", f"local://{self.directory}/locked", "--listen-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]
        for command in ([SNOWFLEET, "id", "--server", f"127.0.0.1:{self.port}", "--tls-ca", self.path("ca.pem"), "--tls-cert",
                         self.path("client.pem"), "--tls-key", self.path("locked.key")],
                        [DAEMON, *listen, "--listen-tls-cert", self.path("client.pem"), "--listen-tls-key", self.path("locked.key")]):
            code, said = at_a_terminal(command)
            self.assertEqual(code, 78, said)
            self.assertRegex(said, "tls_key.*locked.key")
            self.assertNotIn("pass phrase:", said)

    def test_versions(self):
        self.tls_worker(most=ssl.TLSVersion.TLSv1_2)
        self.ask("--tls-ca", self.path("ca.pem"))
        self.tls_worker(most=ssl.TLSVersion.TLSv1_1)
        self.ask("--tls-ca", self.path("ca.pem"), code=78, words="TLS")

    def test_mutual(self):
        self.tls_worker(client_ca="ca.pem")
        ca = ["--tls-ca", self.path("ca.pem")]
        self.ask(*ca, "--tls-cert", self.path("client.pem"), "--tls-key", self.path("client.key"))
        self.ask(*ca, code=78, words="TLS")
        self.ask(*ca, "--tls-cert", self.path("client.pem"), code=64, words="tls_key")

    def test_tokens(self):
        self.worker("--listen-token-file", self.path("tokens"))
        self.ask("--token-file", self.path("token"))
        self.ask(code=78, words="DENIED")
        self.ask("--token-file", self.path("wrong-token"), code=78, words="DENIED")
        self.ask("--token-file", self.path("missing"), code=78, words="token-file")
        self.ask("--token-file", self.path("named-token"))
        self.ask("--token-file", self.path("no-token"), code=78, words="holds no token of 1 to 259 bytes")
        self.ask("--token-file", self.path("open-token"), code=78, words="open-token")

    def test_tls_with_many_ids(self):
        self.tls_worker()
        done = subprocess.run([SNOWFLEET, "id", "-n", "100000", "--server", f"127.0.0.1:{self.port}", "--tls-ca",
                               self.path("ca.pem")], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        ids = done.stdout.split()
        self.assertEqual(len(set(ids)), 100000)


if __name__ == "__main__":
    unittest.main(verbosity=1, warnings="ignore")
