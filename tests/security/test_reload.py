#!/usr/bin/env python3
"""What a running worker reads again: files that are replaced under it, of every connection, and its options (SIGHUP, POST /reload)."""
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import etcd  # noqa: E402
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402
from test_security import Certificates, context, next_over_tls  # noqa: E402

EXPIRY = re.compile(r'^snowfleet_certificate_expiry_seconds\{use="([^"]+)",file="([^"]+)"\} (\S+)$', re.M)


def get(w, path, method="GET", token=None, tls=None):
    import urllib.error
    import urllib.request
    request = urllib.request.Request(f"{'https' if tls else 'http'}://localhost:{w.admin}{path}", method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20, context=tls) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def served(port, ca):
    """The serial number of the certificate that this port shows."""
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context(ca).wrap_socket(plain, server_hostname="localhost") as s:
        return int(s.getpeercert()["serialNumber"], 16)


def serial(path):
    return int(subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", path], check=True, capture_output=True,
                              text=True).stdout.split("=")[1], 16)


def end_of(path):
    text = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", path], check=True, capture_output=True, text=True).stdout
    return datetime.datetime.strptime(text.strip().split("=")[1], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=datetime.timezone.utc).timestamp()


class Mounted:
    """A secret as the kubelet mounts it: names that lead through ..data, which is swapped as a whole."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir()
        self.version = 0

    def put(self, files):
        self.version += 1
        folder = self.dir / f"..v{self.version}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o440)
            if not (self.dir / name).is_symlink():
                (self.dir / name).symlink_to(f"..data/{name}")
        (self.dir / "..data_tmp").symlink_to(folder.name)
        (self.dir / "..data_tmp").rename(self.dir / "..data")
        old = self.dir / f"..v{self.version - 1}"
        if old.exists():
            shutil.rmtree(old)

    def __getitem__(self, name):
        return str(self.dir / name)


class Case(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.dir = self.fleet.directory

    def certificates(self, name):
        folder = self.dir / name
        folder.mkdir()
        return Certificates(folder)


class Files(Case):
    def secret(self, c, token):
        return {**{name: pathlib.Path(c[name]).read_bytes() for name in ("worker.pem", "worker.key", "ca.pem")},
                "tokens": f"app:{token}\n".encode()}

    def worker(self, mount):
        w = self.fleet.worker("w", options={
            "listen-tls-cert": mount["worker.pem"], "listen-tls-key": mount["worker.key"], "listen-tls-client-ca": mount["ca.pem"],
            "admin-tls-cert": mount["worker.pem"], "admin-tls-key": mount["worker.key"], "admin-token-file": mount["tokens"]})
        w.start(ready=False)
        return w

    def test_a_swapped_secret_is_used_by_itself(self):
        """Both ports, certificates, authorities and tokens; whoever is connected stays."""
        first, second = self.certificates("first"), self.certificates("second")
        mount = Mounted(self.dir / "mount")
        mount.put(self.secret(first, "old"))
        w = self.worker(mount)
        tls = context(first["ca.pem"])
        sf.wait_until(lambda: "worker.state claiming -> ready" in w.log(), w.log)
        client = context(first["ca.pem"], first["client.pem"], first["client.key"])
        self.assertGreater(next_over_tls(w.port, client), 0)
        self.assertEqual(served(w.admin, first["ca.pem"]), serial(first["worker.pem"]))
        self.assertEqual(get(w, "/status", token="old", tls=tls)[0], 200)
        ends = {use: (file, float(value)) for use, file, value in EXPIRY.findall(get(w, "/metrics", tls=tls)[1])}
        self.assertEqual(ends["listen.tls_cert"], (mount["worker.pem"], end_of(first["worker.pem"])))
        self.assertEqual(set(ends), {"listen.tls_cert", "listen.tls_client_ca", "admin.tls_cert"})
        with socket.create_connection(("127.0.0.1", w.port), 20) as plain, client.wrap_socket(plain, server_hostname="localhost") as held:
            mount.put(self.secret(second, "new"))
            began = time.monotonic()
            sf.wait_until(lambda: "files.changed" in w.log(), w.log)
            print(f"noticed after {time.monotonic() - began:.1f} s")
            self.assertEqual(served(w.admin, second["ca.pem"]), serial(second["worker.pem"]))
            next_over_tls(w.port, context(second["ca.pem"], second["client.pem"], second["client.key"]))
            with self.assertRaises(OSError):
                next_over_tls(w.port, context(second["ca.pem"], first["client.pem"], first["client.key"]))
            held.sendall(sf.frame(sf.PING, 0, 9))
            self.assertEqual(held.recv(100)[4:6], b"\x01\x82")
        tls = context(second["ca.pem"])
        self.assertEqual(get(w, "/status", token="old", tls=tls)[0], 401)
        self.assertEqual(get(w, "/status", token="new", tls=tls)[0], 200)
        self.assertIn('snowfleet_reloads_total{result="ok"} 1', get(w, "/metrics", tls=tls)[1])
        self.assertEqual(w.term(), 0)

    def test_what_cannot_be_used_is_not_used(self):
        """The old one is served on, the log and a metric say so, and what mends it is picked up again."""
        first, second = self.certificates("first"), self.certificates("second")
        mount = Mounted(self.dir / "mount")
        mount.put(self.secret(first, "old"))
        w = self.worker(mount)
        sf.wait_until(lambda: "worker.started" in w.log(), w.log)
        broken = self.secret(first, "old")
        broken["worker.pem"] = pathlib.Path(second["worker.pem"]).read_bytes()  # of another key
        mount.put(broken)
        sf.wait_until(lambda: "reload.refused" in w.log(), w.log)
        for port in [w.port, w.admin]:
            self.assertRaises(ssl.SSLError, served, port, second["ca.pem"])
        self.assertEqual(served(w.admin, first["ca.pem"]), serial(first["worker.pem"]))
        self.assertRegex(w.log(), r"ERROR +reload.refused .*listen.tls_key.*admin.tls_key")
        self.assertIn('snowfleet_reloads_total{result="refused"} 1', get(w, "/metrics", tls=context(first["ca.pem"]))[1])
        mount.put(self.secret(second, "new"))
        sf.wait_until(lambda: "files.changed" in w.log(), w.log)
        self.assertEqual(served(w.admin, second["ca.pem"]), serial(second["worker.pem"]))


@unittest.skipUnless(etcd.available(), "no etcd here")
class Coordinator(unittest.TestCase):
    def test_a_new_authority_of_the_coordinator(self):
        """etcd comes back with a certificate of another CA, and the worker's file has that one: it goes on, beyond its window."""
        with etcd.Cluster(tls=True) as cluster, sf.Fleet(cluster.url()) as fleet:
            directory = fleet.directory
            trusted = directory / "trusted.pem"
            shutil.copy(cluster.ca, trusted)
            fleet.tool("init", "--coordinator", fleet.coordinator, "--first", "--coordinator-ca", cluster.ca,
                       "--coordinator-cert", cluster.cert, "--coordinator-key", cluster.key)
            w = fleet.worker(options={"coordinator-tls-ca": trusted, "coordinator-tls-cert": cluster.cert, "coordinator-tls-key": cluster.key,
                                      "reservation-window-ms": 4000, "reservation-min-window-ms": 4000}).start()
            self.assertEqual({use for use, _, _ in EXPIRY.findall(sf.http(f"http://127.0.0.1:{w.admin}/metrics")[1])},
                             {"coordinator.tls_ca", "coordinator.tls_cert"})
            self.sign_anew(cluster)
            shutil.copy(cluster.certificates.other_ca, directory / "new.pem")
            (directory / "new.pem").rename(trusted)
            cluster.kill(0)
            sf.wait_until(lambda: "coordinator.disconnected" in w.log() or "coordinator.unreachable" in w.log(), w.log)
            with open(cluster.ca, "a", encoding="ascii") as both:  # etcd goes on trusting its clients
                both.write(pathlib.Path(cluster.certificates.other_ca).read_text())
            cluster.start(0)
            w.wait_ready()
            until = time.monotonic() + 5
            while time.monotonic() < until:
                self.assertEqual(w.readyz()[0], 200, w.log())
                time.sleep(0.2)
            sf.wait_until(lambda: re.search(r"files.changed .*coordinator.tls_ca", w.log()), w.log)

    def test_all_that_we_show_is_swapped(self):
        """Authority, certificate and key towards etcd in one swap of ..data, and etcd takes the old ones no more."""
        with etcd.Cluster(tls=True) as cluster, sf.Fleet(cluster.url()) as fleet:
            fleet.tool("init", "--coordinator", fleet.coordinator, "--first", "--coordinator-ca", cluster.ca,
                       "--coordinator-cert", cluster.cert, "--coordinator-key", cluster.key)
            mount = Mounted(fleet.directory / "mount")
            mount.put({name: pathlib.Path(file).read_bytes() for name, file in (("ca", cluster.ca), ("cert", cluster.cert), ("key", cluster.key))})
            w = fleet.worker(options={"coordinator-tls-ca": mount["ca"], "coordinator-tls-cert": mount["cert"], "coordinator-tls-key": mount["key"],
                                      "reservation-window-ms": 4000, "reservation-min-window-ms": 4000}).start()
            self.sign_anew(cluster)
            cluster.cert, cluster.key = self.client_anew(cluster)
            other = pathlib.Path(cluster.certificates.other_ca).read_bytes()
            mount.put({"ca": other, "cert": pathlib.Path(cluster.cert).read_bytes(), "key": pathlib.Path(cluster.key).read_bytes()})
            cluster.kill(0)
            pathlib.Path(cluster.ca).write_bytes(other)  # whom etcd trusts, and we who ask whether it is up
            cluster.start(0)
            w.wait_ready()
            until = time.monotonic() + 5
            while time.monotonic() < until:
                self.assertEqual(w.readyz()[0], 200, w.log())
                time.sleep(0.2)
            sf.wait_until(lambda: re.search(r"files.changed .*coordinator.tls_ca, coordinator.tls_cert, coordinator.tls_key", w.log()), w.log)

    @staticmethod
    def by_the_other(cluster, request, extensions, to):
        path = pathlib.Path(cluster.directory)
        subprocess.run(["openssl", "x509", "-req", "-in", path / request, "-CA", cluster.certificates.other_ca, "-CAkey", path / "other.key",
                        "-CAcreateserial", "-days", "2", "-extfile", path / extensions, "-out", to], check=True, capture_output=True)

    def sign_anew(self, cluster):
        """etcd's certificate, by the CA that had signed nothing so far."""
        self.by_the_other(cluster, "server.csr", "server.ext", cluster.certificates.server[0])

    def client_anew(self, cluster):
        """A certificate for its clients, by the same."""
        path = pathlib.Path(cluster.directory)
        (path / "anew.ext").write_text("extendedKeyUsage=clientAuth\n")
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=workers", "-keyout",
                        path / "anew.key", "-out", path / "anew.csr"], check=True, capture_output=True)
        (path / "anew.key").chmod(0o600)
        self.by_the_other(cluster, "anew.csr", "anew.ext", path / "anew.pem")
        return str(path / "anew.pem"), str(path / "anew.key")


@unittest.skipUnless(zk.available(), "no ZooKeeper here")
class Password(unittest.TestCase):
    def test_a_new_password_of_the_coordinator(self):
        """ZooKeeper's nodes are given to another password, and the worker's file has that one: it goes on, beyond its window."""
        with zk.Ensemble() as ensemble, sf.Fleet(ensemble.url()) as fleet:
            file = fleet.directory / "password"
            file.write_text("first\n")
            file.chmod(0o600)
            user = ["--username", "worker", "--password-file", file]
            fleet.tool("init", "--coordinator", fleet.coordinator, "--first", *user)
            w = fleet.worker(options={"coordinator-username": "worker", "coordinator-password-file": file, "reservation-window-ms": 4000,
                                      "reservation-min-window-ms": 4000}).start()
            admin = zk.Client(ensemble.servers[0].port, auth="worker:first")
            self.addCleanup(admin.close)
            fresh = fleet.directory / "new"
            fresh.write_text("second\n")
            fresh.chmod(0o600)
            fresh.rename(file)
            admin.give("/snowfleet/default", "worker", "second")
            until = time.monotonic() + 6
            while time.monotonic() < until:
                self.assertEqual(w.readyz()[0], 200, w.log())
                time.sleep(0.1)
            sf.wait_until(lambda: re.search(r"files.changed .*coordinator.password_file", w.log()), w.log)
            self.assertNotIn("second", w.log())
            self.assertEqual(w.term(), 0)


class Options(Case):
    def setUp(self):
        super().setUp()
        self.file = self.dir / "config.json"
        self.write({})

    def write(self, options):
        text = json.dumps(options) if isinstance(options, dict) else options
        self.file.write_text(text)

    def reload(self, w, *more):
        return subprocess.run([str(sf.BIN / "snowfleet"), "reload", "--admin", f"http://127.0.0.1:{w.admin}", *more], capture_output=True, text=True,
                              check=False)

    def test_reload_tells_what_was_and_was_not_taken(self):
        w = self.fleet.worker("w", options={"config": self.file}).start()
        done = self.reload(w)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.write({"limit": {"connection_ids_per_s": 1000}, "log": {"level": "debug"}})
        done = self.reload(w)
        self.assertEqual(done.returncode, 0)
        self.assertIn("changed options: limit.connection_ids_per_s, log.level\n", done.stdout)
        with w.connect() as connection:
            self.assertEqual(connection.ask(sf.NEXT, 0, (5000).to_bytes(4, "big")).code, 3)  # more than the new burst
        self.write({"limit": {"connection_ids_per_s": 1000}, "drain": {"delay_ms": 1}, "mint": {"max_ahead_ms": 7}})
        done = self.reload(w)
        self.assertEqual(done.returncode, 1)
        self.assertIn("need a restart: mint.max_ahead_ms, drain.delay_ms\n", done.stdout)
        self.assertIn("changed options: log.level\n", done.stdout)
        code, text = get(w, "/reload", "POST")
        self.assertEqual((code, json.loads(text)), (200, {"changed": [], "needs_restart": ["mint.max_ahead_ms", "drain.delay_ms"]}))
        before = w.log().count("reload.done")
        w.process.send_signal(signal.SIGHUP)
        sf.wait_until(lambda: w.log().count("reload.done") > before, w.log)
        self.assertRegex(w.log(), r"WARN +reload.restart .*mint.max_ahead_ms, drain.delay_ms")
        self.assertEqual(w.readyz()[0], 200)

    def test_what_cannot_be_loaded_is_said_and_counted(self):
        w = self.fleet.worker("w", options={"config": self.file}).start()
        self.write('{"limit": {"connection_ids_per_s": "many"}}')
        done = self.reload(w)
        self.assertEqual(done.returncode, 1)
        self.assertIn("limit.connection_ids_per_s", done.stderr)
        self.assertEqual(get(w, "/reload", "POST")[0], 409)
        w.process.send_signal(signal.SIGHUP)
        sf.wait_until(lambda: w.log().count("reload.refused") == 3, w.log)
        self.assertEqual(w.metric('snowfleet_reloads_total{result="refused"}'), 3)
        with w.connect() as connection:
            connection.send(sf.next_frame(1, 100))
            self.assertEqual(len(connection.read().ids()), 100)

    def test_who_may(self):
        w = self.fleet.worker("w", options={"config": self.file}).start()
        self.assertEqual(get(w, "/reload")[0], 405)
        import urllib.error
        import urllib.request
        request = urllib.request.Request(f"http://127.0.0.1:{w.admin}/reload", method="POST", headers={"Origin": "http://evil.example"})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        self.assertEqual(refused.exception.code, 403)


if __name__ == "__main__":
    unittest.main(verbosity=2)
