#!/usr/bin/env python3
"""zks://: TLS to real ZooKeeper servers, who is let in and who is believed, and certificates that are swapped."""
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import etcd  # noqa: E402  (its certificates)
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402
from faultproxy import FaultProxy  # noqa: E402


@unittest.skipUnless(zk.available(), "no ZooKeeper here")
class Secured(unittest.TestCase):
    members = 1

    @classmethod
    def setUpClass(cls):
        cls.fleet = sf.Fleet()
        cls.addClassCleanup(cls.fleet.__exit__, None, None, None)
        cls.directory = cls.fleet.directory / "certificates"
        cls.directory.mkdir()
        cls.certificates = etcd.Certificates(str(cls.directory))
        cls.ensemble = zk.Ensemble(members=cls.members, secured=cls.certificates)
        cls.ensemble.__enter__()
        cls.addClassCleanup(cls.ensemble.stop)
        cls.url = cls.ensemble.secured_url("/" + cls.__name__)

    def options(self, ca=None, pair=None):
        cert, key = pair or self.certificates.client
        return {"coordinator-tls-ca": ca or self.certificates.ca, "coordinator-tls-cert": cert, "coordinator-tls-key": key,
                "coordinator-session-timeout-ms": 4000, "reservation-window-ms": 4000, "reservation-min-window-ms": 4000}

    def tool(self, *words, check=True):
        cert, key = self.certificates.client
        return self.fleet.tool(*words, "--coordinator", self.url, "--coordinator-ca", self.certificates.ca, "--coordinator-cert", cert,
                               "--coordinator-key", key, check=check)

    def init(self):
        if self.tool("slots", check=False).returncode != 0:
            self.tool("init", "--first")

    def worker(self, url=None, ready=True, **options):
        worker = self.fleet.worker(coordinator=url or self.url, options=self.options(**options))
        self.addCleanup(worker.end)
        return worker.start(ready=ready)

    def stays(self, worker, seconds=6):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.assertEqual(worker.readyz()[0], 200, worker.log())
            time.sleep(0.1)


class One(Secured):
    def test_a_worker_and_the_tool(self):
        self.init()
        worker = self.worker()
        with worker.connect() as connection:
            self.assertEqual(len(set(connection.ids(1000))), 1000)
        self.stays(worker)
        self.assertIn("held", self.tool("slots").stdout)
        self.assertEqual(worker.term(), 0)

    def refused(self, text, **options):
        worker = self.worker(ready=False, **options)
        sf.wait_until(lambda: "coordinator.disconnected" in worker.log(), worker.log)
        self.assertRegex(worker.log(), text)
        self.assertEqual(worker.readyz()[0], 503)
        self.assertIsNone(worker.process.poll())
        worker.kill()

    def test_who_is_not_believed(self):
        self.init()
        port = self.ensemble.servers[0].secured
        self.refused("certificate verify failed.*(self-signed|unable to get)", ca=self.certificates.other_ca)
        elsewhere = FaultProxy(port, host="127.0.0.2", behind_host="127.0.0.1")  # no address of the certificate
        self.addCleanup(elsewhere.stop)
        self.refused("certificate verify failed.*mismatch", url=f"zks://127.0.0.2:{elsewhere.port}")
        self.refused("TLS|closed the connection", url=f"zks://localhost:{self.ensemble.servers[0].port}")  # the plain port
        self.refused("closed the connection|alert", pair=self.stranger())

    def stranger(self):
        """A certificate of an authority that the servers do not know."""
        folder = self.directory / "stranger"
        folder.mkdir(exist_ok=True)
        return etcd.Certificates(str(folder)).client

    def test_files_are_looked_at_at_the_start(self):
        cert, key = self.certificates.client
        broken = self.directory / "broken.pem"
        broken.write_text("no certificate\n")
        loose = self.directory / "loose.key"
        shutil.copy(key, loose)
        loose.chmod(0o644)
        for options, word in (({"ca": str(broken)}, "coordinator.tls_ca"), ({"pair": (str(broken), key)}, "coordinator.tls_cert"),
                              ({"pair": (cert, str(loose))}, "chmod 600"), ({"pair": (self.certificates.server[0], key)}, "coordinator.tls_key"),
                              ({"pair": (str(self.directory / "none"), key)}, "coordinator.tls_cert")):
            with self.subTest(word=word):
                worker = self.fleet.worker(coordinator=self.url, options=self.options(**options))
                for more in ([], ["--check-config"]):
                    done = subprocess.run([*worker.command(), *more], capture_output=True, text=True, check=False, timeout=20)
                    self.assertEqual(done.returncode, 78, done.stderr)
                    self.assertIn(word, done.stderr)

    def test_old_ciphers_are_refused(self):
        seen = {}
        for cipher in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-GCM-SHA256"):
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self.certificates.server)
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            tls.set_ciphers(cipher + ":@SECLEVEL=0")
            listener = socket.create_server(("127.0.0.1", 0))
            listener.settimeout(20)
            port = listener.getsockname()[1]

            def serve():
                try:
                    with tls.wrap_socket(listener.accept()[0], server_side=True) as s:
                        seen[s.cipher()[0]] = len(s.recv(100))
                except OSError:
                    pass
            thread = threading.Thread(target=serve)
            thread.start()
            worker = self.worker(f"zks://localhost:{port}", ready=False)
            thread.join(30)
            worker.kill()
            listener.close()
        self.assertEqual(seen, {"ECDHE-ECDSA-AES128-GCM-SHA256": 49}, "the greeting, inside TLS 1.2, and nothing for the old one")

    def test_what_is_swapped_is_shown(self):
        """Another authority in the file: the present connection stays, the next one goes by it, both ways."""
        self.init()
        ca = self.directory / "trusted.pem"
        shutil.copy(self.certificates.ca, ca)
        worker = self.worker(ca=str(ca))
        shutil.copy(self.certificates.other_ca, self.directory / "new.pem")
        os.replace(self.directory / "new.pem", ca)
        self.stays(worker)
        self.ensemble.servers[0].kill()
        self.ensemble.servers[0].start()
        self.ensemble.wait_ready()
        sf.wait_until(lambda: "certificate verify failed" in worker.log(), worker.log)
        shutil.copy(self.certificates.ca, self.directory / "new.pem")
        os.replace(self.directory / "new.pem", ca)
        worker.wait_ready()
        self.stays(worker)
        self.assertEqual(worker.term(), 0)


class Garbage(Secured):
    def test_what_is_no_tls(self):
        """One after the other, on each connection another; then the real server behind the same address, and the worker is ready."""
        self.init()
        answers = [b"", b"\0" * 100, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28", b"\x15\x03\x03\x00\x02\x01\x00", os.urandom(5000),
                   b"\x16\x03\x03\xff\xff" + os.urandom(70000), b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", b"\x17\x03\x03\x00\x10" + bytes(16),
                   b"\x16\x03\x03\x00\x30\x02\x00\x00\x2c\x03\x03" + bytes(41)]
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        worker = self.worker(f"zks://localhost:{port}/{type(self).__name__}", ready=False)
        listener.settimeout(30)
        for answer in answers:
            s = listener.accept()[0]
            s.settimeout(5)
            try:
                s.recv(4096)
                s.sendall(answer)
                s.shutdown(socket.SHUT_WR)
                s.recv(4096)
            except OSError:
                pass
            s.close()
        listener.close()
        self.assertIsNone(worker.process.poll(), worker.log())
        front = FaultProxy(self.ensemble.servers[0].secured, port=port)
        self.addCleanup(front.stop)
        worker.wait_ready()
        front.mode = "reset"
        front.mode = "pass"
        worker.wait_ready()
        self.stays(worker)
        self.assertEqual(worker.term(), 0)


class Three(Secured):
    members = 3

    def test_a_leader_that_is_killed(self):
        self.init()
        worker = self.worker()
        leader = self.ensemble.wait_leader()
        leader.kill()
        worker.wait_ready()
        self.stays(worker, 10)
        self.assertEqual(worker.term(), 0)
        leader.start()


if __name__ == "__main__":
    unittest.main(verbosity=2)
