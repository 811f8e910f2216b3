#!/usr/bin/env python3
"""`snowfleet init --ask` of workers whose data port wants TLS, client certificates or tokens: one that answers forbids a new fleet and tells
the old one's id; one that cannot be talked to is refused with what is missing, and nothing is made."""
import json
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import etcd  # noqa: E402
import snowfleet as sf  # noqa: E402

FAILED, USAGE = 1, 64
TOKEN = "secret-of-the-shop"


class AskTls(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="snowfleet-ask.")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.certificates = etcd.Certificates(folder.name)
        self.coordinator = coordinators.start("local")
        self.coordinator.__enter__()
        self.addCleanup(self.coordinator.__exit__, None, None, None)
        self.fleet = sf.Fleet(self.coordinator.url())
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.made = json.loads(self.init("--first", "--json", code=0).stdout)

    def secret(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def init(self, *arguments, code, words=()):
        done = self.fleet.tool("init", "--coordinator", self.coordinator.url(), *arguments, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        for text in [words] if isinstance(words, str) else words:
            self.assertIn(text, done.stderr)
        self.assertNotIn(TOKEN, done.stderr)
        return done

    def worker(self, **options):
        """It lives; its coordinator has forgotten it."""
        cert, key = self.certificates.server
        options = {"fleet-auto-init": "false", "listen-tls-cert": cert, "listen-tls-key": key} | {name.replace("_", "-"): value for name, value in options.items()}
        worker = self.fleet.worker(options={name: value for name, value in options.items() if value is not None}).start()
        self.coordinator.wipe()
        self.where = f"127.0.0.1:{worker.port}"
        return worker

    def refused(self, *tls, words, code=FAILED):
        self.init("--first", "--ask", self.where, *tls, code=code, words=words)
        self.assertFalse(self.coordinator.paths("/snowfleet/default"), "nothing was made")

    def answers(self, *tls):
        """It is there, and knows its fleet."""
        for where in (self.where, self.where.replace("127.0.0.1", "localhost")):
            self.init("--first", "--ask", where, *tls, code=FAILED, words=["answers as a worker of fleet", self.made["fleet_id"], "Nothing was changed"])

    def test_a_certificate_of_the_worker(self):
        self.worker()
        ca = ["--ask-tls-ca", self.certificates.ca]
        self.refused(words=["not as a worker without TLS", "--ask-tls-ca"])
        self.refused("--ask-tls-ca", self.certificates.other_ca, words=["certificate", "--ask-tls-ca"])
        self.refused("--ask-tls-ca", "/no/such/file", words="/no/such/file")
        self.answers(*ca)
        again = json.loads(self.init("--after-data-loss", "--yes", "--json", "--ask", self.where, *ca, "--floor-ms", str(self.made["floor_ms"] + 10**9), code=0).stdout)
        self.assertEqual([again[k] for k in ("fleet_id", "epoch_ms", "layout")], [self.made[k] for k in ("fleet_id", "epoch_ms", "layout")])

    def test_a_certificate_of_another_name(self):
        cert, key = self.certificates.leaf("elsewhere", "/CN=elsewhere", "subjectAltName=DNS:ids.example")
        self.worker(listen_tls_cert=cert, listen_tls_key=key)
        self.refused("--ask-tls-ca", self.certificates.ca, words=["127.0.0.1", "--ask-tls-ca"])

    def test_a_certificate_of_ours(self):
        self.worker(listen_tls_client_ca=self.certificates.ca)
        cert, key = self.certificates.client
        ca = ["--ask-tls-ca", self.certificates.ca]
        self.refused(words="not as a worker without TLS")
        self.refused(*ca, words="--ask-tls-cert")
        self.refused(*ca, "--ask-tls-cert", cert, code=USAGE, words="--ask-tls-cert and --ask-tls-key need each other")
        self.refused(*ca, "--ask-tls-key", key, code=USAGE, words="--ask-tls-cert and --ask-tls-key need each other")
        self.refused(*ca, "--ask-tls-cert", cert, "--ask-tls-key", self.certificates.server[1], words="--ask-tls-key")
        self.answers(*ca, "--ask-tls-cert", cert, "--ask-tls-key", key)

    def test_a_token(self):
        for tls in (True, False):
            with self.subTest(tls=tls):
                more = {} if tls else {"listen_tls_cert": None, "listen_tls_key": None}
                worker = self.worker(listen_token_file=self.secret("tokens", f"shop:{TOKEN}\n"), **more)
                ca = ["--ask-tls-ca", self.certificates.ca] if tls else []
                self.refused(*ca, words=["wants a token", "--ask-token-file"])
                self.refused(*ca, "--ask-token-file", self.secret("wrong", "guessed\n"), words="another one")
                self.refused(*ca, "--ask-token-file", self.folder / "none", words="none", code=USAGE)
                self.answers(*ca, "--ask-token-file", self.secret("token", f"shop:{TOKEN}\n"))
                worker.end()
                self.made = json.loads(self.init("--first", "--json", code=0).stdout)

    def test_no_tls_there(self):
        self.worker(listen_tls_cert=None, listen_tls_key=None)
        self.refused("--ask-tls-ca", self.certificates.ca, words=["TLS", "--ask-tls-ca"])
        self.answers()


if __name__ == "__main__":
    unittest.main(verbosity=2)
