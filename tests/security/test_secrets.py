#!/usr/bin/env python3
"""Secrets stay inside: not in logs, pages, errors and core files, not by tracing; and what speaks TLS takes no old cipher."""
import glob
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import snowfleet as sf  # noqa: E402
from test_reload import get  # noqa: E402
from test_security import Case, Certificates, context  # noqa: E402

ROOT = os.geteuid() == 0
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
DATA, OPS, PASSWORD = "sesame-data-0123456789", "sesame-ops-0123456789", "sesame-zoo-0123456789"


class Nowhere(Case):
    def options(self, **more):
        c = Certificates(self.dir)
        key = pathlib.Path(c["worker.key"]).read_text().splitlines()[1]
        self.tls = context(c["ca.pem"])
        return {"listen_tls_cert": c["worker.pem"], "listen_tls_key": c["worker.key"], "admin_tls_cert": c["worker.pem"],
                "admin_tls_key": c["worker.key"], "log_level": "debug", "listen_token_file": self.secret("data", f"team:{DATA}\n"),
                "admin_token_file": self.secret("ops", f"ops:{OPS}\n"), **more}, [DATA, OPS, PASSWORD, key]

    def nowhere(self, text, secrets):
        for secret in secrets:
            self.assertNotIn(secret, text)

    def play(self, w, secrets, ready):
        """All that can be said, asked and done wrong."""
        w.start(ready=False)
        sf.wait_until(lambda: "worker.started" in w.log() and (not ready or "-> ready" in w.log()), w.log)
        with socket.create_connection(("127.0.0.1", w.port), 20) as plain, self.tls.wrap_socket(plain, server_hostname="localhost") as s:
            for i, token in enumerate((DATA + "x", DATA[:-1], OPS, DATA)):
                s.sendall(sf.frame(sf.AUTH, 0, i, token.encode()) + sf.frame(sf.INFO, 0, i) + sf.frame(0x3D, 0, i, DATA.encode()))
            s.settimeout(2)
            heard = b""
            try:
                while data := s.recv(65536):
                    heard += data
            except TimeoutError:
                pass
        self.nowhere(heard.decode(errors="replace"), secrets)
        for path in ("/livez", "/readyz?verbose", "/healthz", "/startupz", "/metrics", "/status", "/fleet", "/history", "/", "/v1/ids", "/nothing"):
            for token in (None, OPS, DATA, OPS + "x"):
                self.nowhere(get(w, path, token=token, tls=self.tls)[1], secrets)
        self.nowhere(get(w, "/reload", "POST", token=OPS, tls=self.tls)[1], secrets)
        self.secret("data", f"team {DATA}\n")  # no line of a token file
        sf.wait_until(lambda: "reload.refused" in w.log(), w.log)
        self.nowhere(get(w, "/reload", "POST", token=OPS, tls=self.tls)[1], secrets)
        self.assertEqual(w.term(), 0)
        self.nowhere(w.log(), secrets)

    def test_a_worker_that_serves(self):
        options, secrets = self.options()
        self.play(self.make("w", **options), secrets, True)

    def test_a_worker_that_is_not_let_in(self):
        """Its coordinator is away, and its password is part of none of its sentences."""
        options, secrets = self.options(fleet_coordinator="zk://127.0.0.1:9", coordinator_username="ann",
                                        coordinator_password_file=self.secret("zoo", PASSWORD + "\n"))
        w = self.make("w", **options)
        done = subprocess.run([*w.command(), "--check-config"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.nowhere(done.stdout + done.stderr, secrets)
        self.play(w, secrets, False)

    def test_not_as_a_flag_or_a_variable(self):
        """There is no option whose value is a secret; a file is named instead."""
        page = json.loads(subprocess.run([str(sf.BIN / "snowfleetd"), "--check-config"], capture_output=True, text=True, check=True).stdout)
        names = {f"{group}.{name}" for group, options in page.items() for name in options}
        self.assertEqual({name for name in names if "token" in name or "password" in name},
                         {"listen.token_file", "admin.token_file", "coordinator.password_file"} & names)
        for flag in ("--listen-token", "--admin-token", "--coordinator-password", "--listen-tls-key-password"):
            done = subprocess.run([str(sf.BIN / "snowfleetd"), "--check-config", flag, "x"], capture_output=True, check=False)
            self.assertEqual(done.returncode, 64, flag)


@unittest.skipUnless(ROOT, "needs root to become nobody")
class Traced(Case):
    """A worker of nobody, and another process of nobody."""

    def setUp(self):
        super().setUp()
        self.nobody = self.dir / "nobody"
        self.nobody.mkdir()
        self.dir.chmod(0o755)
        os.chown(self.nobody, 65534, 65534)

    def started(self, **options):
        w = self.make("w", security_seccomp="false", reservation_state_dir="", fleet_coordinator=f"local://{self.nobody}/c", **options)
        w.wrap = ["sh", "-c", 'ulimit -c "$(ulimit -H -c)"; exec "$@"', "sh", *NOBODY]
        before = os.getcwd()
        os.chdir(self.nobody)  # where core files go, if anywhere here
        try:
            return w.start()
        finally:
            os.chdir(before)

    def tokens(self):
        path = self.secret("tokens", f"team:{DATA}\n")
        os.chown(path, 65534, 65534)
        return path

    @staticmethod
    def may_trace(pid):
        """Whether another process of nobody may look into it."""
        code = ("import ctypes,sys\nlibc=ctypes.CDLL(None,use_errno=True)\nlibc.ptrace.argtypes=[ctypes.c_long]*4\n"
                f"sys.exit(0 if libc.ptrace(0x4206,{pid},0,0)==0 else 1)")
        return subprocess.run([*NOBODY, sys.executable, "-c", code], check=False).returncode == 0

    @staticmethod
    def dumps(w):
        """Ends it by a signal that dumps; whether the kernel says that it did."""
        os.kill(w.process.pid, signal.SIGSEGV)
        _, status = os.waitpid(w.process.pid, 0)
        w.process.returncode = -os.WTERMSIG(status)
        return os.WCOREDUMP(status)

    def test_one_that_has_a_token(self):
        w = self.started(listen_token_file=self.tokens())
        self.assertFalse(self.may_trace(w.process.pid))
        done = subprocess.run([*NOBODY, "cat", f"/proc/{w.process.pid}/environ"], capture_output=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(self.dumps(w))
        self.assertEqual(glob.glob(f"{self.nobody}/core*"), [])

    def test_one_that_has_none(self):
        """So that what is refused above would work."""
        w = self.started()
        if not self.may_trace(w.process.pid):
            self.skipTest("nobody may trace anything here")
        if not self.dumps(w):
            self.skipTest("no core files here")


class Ciphers(Case):
    """A server that offers one cipher of TLS 1.2, and who goes on with it."""

    OLD, GOOD = "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-GCM-SHA256"

    def agreed(self, cipher, command):
        """What the handshakes came to that this command began."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.c["worker.pem"], self.c["worker.key"])
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.set_ciphers(cipher + ":@SECLEVEL=0")
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.2)
        seen, over = [], threading.Event()

        def serve():
            while not over.is_set():
                try:
                    plain = listener.accept()[0]
                except TimeoutError:
                    continue
                plain.settimeout(5)
                try:
                    with tls.wrap_socket(plain, server_side=True) as s:
                        seen.append(s.cipher()[0])
                except OSError as error:
                    seen.append(type(error).__name__)
        thread = threading.Thread(target=serve)
        thread.start()
        subprocess.run([str(sf.BIN / "snowfleet"), *(word.replace("PORT", str(listener.getsockname()[1])) for word in command)], capture_output=True,
                       check=False, timeout=60)
        over.set()
        thread.join()
        listener.close()
        self.assertTrue(seen, f"{command} did not come")
        return set(seen)

    def test_who_takes_an_old_one(self):
        self.c = Certificates(self.dir)
        ca = self.c["ca.pem"]
        for command in (["id", "--server", "localhost:PORT", "--tls", "--tls-ca", ca, "--timeout-ms", "1000"],
                        ["status", "--admin", "https://localhost:PORT", "--admin-ca", ca],
                        ["slots", "--coordinator", "etcds://localhost:PORT", "--coordinator-ca", ca]):
            with self.subTest(command=command[0]):
                self.assertIn(self.GOOD, self.agreed(self.GOOD, command))
                self.assertNotIn(self.OLD, self.agreed(self.OLD, command))


if __name__ == "__main__":
    unittest.main(verbosity=2)
