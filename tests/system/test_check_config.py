#!/usr/bin/env python3
"""What --check-config refuses, the start refuses, with the same code and the same words; and what it takes, the start takes. One table."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import snowfleet as sf  # noqa: E402

USAGE, CONFIG = 64, 78
PROGRAM = str(sf.BIN / "snowfleetd")


def run(*arguments):
    """Exit code and what was said; None: it was still running after ten seconds."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SNOWFLEET_")}
    try:
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=10, env=environment,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr


class Files:
    """One of each kind of file that an option may name."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.missing = self.directory / "missing"
        self.fifo = self.directory / "fifo"
        os.mkfifo(self.fifo, 0o600)
        self.empty = self.file("empty", "")
        self.text = self.file("text", "no certificate\n")
        self.tokens = self.file("tokens", "team:0123456789abcdef0123456789abcdef\n")
        self.tokens_open = self.file("tokens-open", self.tokens.read_text(), 0o644)
        self.tokens_bad = self.file("tokens-bad", "without a colon\n")
        self.password = self.file("password", "word\n")
        self.password_open = self.file("password-open", "word\n", 0o644)
        self.lines = self.file("lines", "one\ntwo\n")
        self.cert, self.key = self.pair("one")
        _, self.other_key = self.pair("other")
        self.key_open = self.file("key-open", self.key.read_text(), 0o644)
        self.config_bad = self.file("config-bad", '{"listen": {"threads": "many"}}')

    def file(self, name, content, mode=0o600):
        path = self.directory / name
        path.write_text(content)
        path.chmod(mode)
        return path

    def pair(self, name):
        cert, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        key.chmod(0o600)
        return cert, key


def bad(f):
    """(options, a word that must be said)."""
    user = {"coordinator-username": "u"}
    etcds = {"fleet-coordinator": "etcds://127.0.0.1:1"}
    tls, admin = {"listen-tls-cert": f.cert, "listen-tls-key": f.key}, {"admin-tls-cert": f.cert, "admin-tls-key": f.key}
    return [
        ({"fleet-coordinator": "zk://127.0.0.1:99999"}, "99999"),
        ({"fleet-coordinator": "zk://127.0.0.1:0"}, "zk://"),
        ({"fleet-coordinator": "zk://h,"}, "zk://"),
        ({"fleet-coordinator": "zk://h/a/../b"}, "a/../b"),
        ({"fleet-coordinator": "zk://h/a//b"}, "a//b"),
        ({"fleet-coordinator": "etcd://127.0.0.1:99999"}, "99999"),
        ({"fleet-coordinator": "etcd://user:word@127.0.0.1:2379"}, "etcd://"),
        ({"fleet-coordinator": "etcd://h:1,h:1"}, "h:1"),
        ({"fleet-coordinator": "etcd://h/a?b"}, "a?b"),
        ({"fleet-coordinator": "redis://h"}, "redis"),
        ({"fleet-coordinator": f"local://{f.text}"}, "text"),
        ({"fleet-coordinator": f"local://{f.directory}", "coordinator-tls-ca": f.cert}, "coordinator.tls_ca"),
        ({"fleet-coordinator": "etcd://h", **user, "coordinator-password-file": f.missing}, "missing"),
        ({"fleet-coordinator": "etcd://h", **user, "coordinator-password-file": f.password_open}, "chmod 600"),
        ({"fleet-coordinator": "etcd://h", **user, "coordinator-password-file": f.fifo}, "no regular file"),
        ({"fleet-coordinator": "etcd://h", **user, "coordinator-password-file": f.lines}, "one line"),
        ({"fleet-coordinator": "etcd://h", **user}, "coordinator.password_file"),
        ({"fleet-coordinator": "zk://h", **user, "coordinator-password-file": f.empty}, "one line"),
        ({**etcds, "coordinator-tls-ca": f.missing}, "coordinator.tls_ca"),
        ({**etcds, "coordinator-tls-ca": f.fifo}, "no regular file"),
        ({**etcds, "coordinator-tls-cert": f.cert, "coordinator-tls-key": f.key_open}, "chmod 600"),
        ({**etcds, "coordinator-tls-cert": f.cert}, "coordinator.tls_key"),
        ({"fleet-coordinator": "zks://h", "coordinator-tls-ca": f.missing}, "coordinator.tls_ca"),
        ({"fleet-coordinator": "zks://h", "coordinator-tls-ca": f.text}, "coordinator.tls_ca"),
        ({"fleet-coordinator": "zks://h", "coordinator-tls-cert": f.cert, "coordinator-tls-key": f.other_key}, "coordinator.tls_key"),
        ({"fleet-coordinator": "zks://h", "coordinator-tls-cert": f.cert, "coordinator-tls-key": f.key_open}, "chmod 600"),
        ({"fleet-coordinator": "zk://h", "coordinator-tls-ca": f.cert}, "zks:// or etcds://"),
        ({"fleet-name": ".hidden"}, "fleet.name"),
        ({"reservation-state-dir": "/" + "x" * 600}, "state directory"),
        ({**tls, "listen-tls-cert": f.missing}, "listen.tls_cert"),
        ({**tls, "listen-tls-cert": f.fifo}, "no regular file"),
        ({**tls, "listen-tls-cert": f.text}, "listen.tls_cert"),
        ({**tls, "listen-tls-key": f.key_open}, "chmod 600"),
        ({**tls, "listen-tls-key": f.other_key}, "listen.tls_key"),
        ({**tls, "listen-tls-client-ca": f.fifo}, "listen.tls_client_ca"),
        ({**tls, "listen-tls-client-ca": f.text}, "listen.tls_client_ca"),
        ({"listen-tls-cert": f.cert}, "listen.tls_key"),
        ({"listen-token-file": f.tokens_open}, "chmod 600"),
        ({"listen-token-file": f.tokens_bad}, "line 1"),
        ({"listen-token-file": f.fifo}, "no regular file"),
        ({"listen-token-file": f.empty}, "holds no token"),
        ({"listen-unix-path": "data.sock"}, "an absolute path"),
        ({"listen-unix-path": "/data.sock"}, "below a directory"),
        ({"listen-unix-path": f.missing / "x"}, "missing"),
        ({"listen-unix-path": f.text}, "is no socket"),
        ({"listen-unix-path": f.directory / "s", "listen-unix-mode": "0888"}, "listen.unix_mode"),
        ({"listen-unix-path": f.directory / "s", "listen-unix-mode": "4755"}, "listen.unix_mode"),
        ({"listen-unix-path": f.directory / "s", "listen-unix-owner": "no-such-user"}, "no-such-user"),
        ({"listen-unix-path": f.directory / "s", "listen-unix-group": "no-such-group"}, "no-such-group"),
        ({"listen-unix-path": "@x", "listen-unix-mode": "0600"}, "listen.unix_mode and listen.unix_path"),
        ({"listen-unix-owner": "root"}, "listen.unix_owner and listen.unix_path"),
        ({"listen-unix-group": "root"}, "listen.unix_group and listen.unix_path"),
        ({**tls, "listen-tls-client-ca": f.cert, "listen-unix-path": "@x"}, "an abstract name is open"),
        ({"listen-address": "127.0.0.1:99999"}, "listen.address"),
        ({"listen-address": "127.0.0.1:7999", "listen-http-address": "127.0.0.1:7999"}, "listen.http_address and listen.address"),
        ({"listen-address": "127.0.0.1:7999", "listen-http-address": ":7999"}, "listen.http_address and listen.address"),
        ({"admin-address": "127.0.0.1:7999", "listen-http-address": "127.0.0.1:7999"}, "listen.http_address and admin.address"),
        ({"admin-address": ":7999", "listen-address": "127.0.0.1:7999"}, "listen.address and admin.address"),
        ({"fleet-coordinator": "redis://h"}, "or with TLS zks://... and etcds://..."),
        ({**admin, "admin-tls-cert": f.missing}, "admin.tls_cert"),
        ({**admin, "admin-tls-cert": f.fifo}, "no regular file"),
        ({**admin, "admin-tls-cert": f.text}, "admin.tls_cert"),
        ({**admin, "admin-tls-key": f.other_key}, "admin.tls_key"),
        ({**admin, "admin-tls-key": f.key_open}, "chmod 600"),
        ({"admin-token-file": f.missing}, "admin.token_file"),
        ({"listen-token-file": f.missing, "admin-token-file": f.tokens_bad}, "admin.token_file"),
        ({"config": f.fifo}, "no regular file"),
        ({"config": f.missing}, "missing"),
        ({"config": f.directory}, "config"),
        ({"config": f.config_bad}, "listen.threads"),
        ({"no-such-option": "1"}, "no-such-option"),
    ]


class CheckConfig(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="snowfleet-check-")
        self.addCleanup(directory.cleanup)
        self.files = Files(directory.name)

    def arguments(self, options):
        ports = sf.free_ports(2)
        base = {"fleet-coordinator": f"local://{self.files.directory}/coordinator", "listen-address": f"127.0.0.1:{ports[0]}",
                "admin-address": f"127.0.0.1:{ports[1]}", "reservation-state-dir": f"{self.files.directory}/state"}
        return [word for key, value in {**base, **options}.items() for word in (f"--{key}", value)]

    def test_both_refuse_alike(self):
        table = bad(self.files)
        self.assertGreater(len(table), 30)
        for options, word in table:
            with self.subTest(**{key.replace("-", "_"): str(value)[-40:] for key, value in options.items()}):
                arguments = self.arguments(options)
                checked, started = run("--check-config", *arguments), run(*arguments)
                self.assertEqual(checked[0], USAGE if "no-such-option" in options else CONFIG, checked)
                self.assertIn(word, checked[1])
                self.assertEqual(started, checked)

    def test_all_is_said_at_once(self):
        code, text = run("--check-config", *self.arguments({
            "fleet-coordinator": "etcd://h", "coordinator-username": "u", "coordinator-password-file": self.files.lines,
            "listen-token-file": self.files.missing, "admin-token-file": self.files.fifo}))
        self.assertEqual(code, CONFIG)
        for word in ("one line", "listen.token_file", "admin.token_file"):
            self.assertIn(word, text)

    def test_what_it_takes_is_started(self):
        f = self.files
        good = {"listen-unix-path": f.directory / "data.sock", "listen-unix-mode": "0600", "listen-unix-owner": os.getuid(),
                "listen-unix-group": os.getgid(), "listen-tls-cert": f.cert, "listen-tls-key": f.key, "listen-tls-client-ca": f.cert, "listen-token-file": f.tokens,
                "admin-tls-cert": f.cert, "admin-tls-key": f.key, "admin-token-file": f.tokens}
        arguments = self.arguments(good)
        self.assertEqual(run("--check-config", *arguments), (0, ""))
        with sf.Fleet() as fleet:
            worker = fleet.worker(options=good).start(ready=False)
            sf.wait_until(lambda: "worker.ready" in worker.log() or "-> ready" in worker.log(), worker.log)
            self.assertEqual(worker.term(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
