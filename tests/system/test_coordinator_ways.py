#!/usr/bin/env python3
"""Coordinators that move, demand what we cannot give, or lack what we need: noticed in time, and named."""
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import etcd  # noqa: E402
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402
from ports import free_ports  # noqa: E402

NAME = "moving.coordinator.test"
NOTICED_S = 10
MOST_PER_S = 4  # asked of a coordinator that refuses


def own_hosts():
    """May a process have an /etc/hosts of its own here?"""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0


class Gate:
    """Where the coordinator can be had: one address at a time, on the same port."""

    def __init__(self, behind):
        self.behind, self.port, self.listener, self.sockets = behind, free_ports(1)[0], None, set()

    def at(self, host):
        """Everybody is sent away; then it is there."""
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        for s in list(self.sockets):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener = socket.create_server((host, self.port)) if host else None
        if host:
            threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.behind))
            except OSError:
                return  # closed
            self.sockets |= {client, server}
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    def _carry(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets.discard(a)
        with contextlib.suppress(OSError):
            a.close()


class Moves(unittest.TestCase):
    def play(self, scheme, behind):
        """The member's name leads elsewhere: it is found there, without a restart."""
        if not own_hosts():
            self.skipTest("needs root, and namespaces")
        gate = Gate(behind)
        self.addCleanup(gate.at, None)
        gate.at("127.0.0.1")
        with sf.Fleet(f"{scheme}://{NAME}:{gate.port}") as fleet:
            hosts = fleet.directory / "hosts"
            hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
            fleet.tool("init", "--coordinator", f"{scheme}://127.0.0.1:{gate.port}", "--first")
            inside = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
            w = fleet.worker("w", options={"reservation-window-ms": 60000}, wrap=inside).start()
            self.assertTrue(w.status()["coordinator"]["connected"])
            gate.at("127.0.0.2")
            hosts.write_text(f"127.0.0.1 localhost\n127.0.0.2 {NAME}\n")
            sf.wait_until(lambda: "coordinator.disconnected" in w.log(), "it is sent away")
            sent_away = time.monotonic()
            sf.wait_until(lambda: w.log().rstrip().rfind("coordinator.connected") > w.log().rfind("coordinator.disconnected"), w.log, 60)
            self.assertLess(time.monotonic() - sent_away, NOTICED_S, w.log())
            self.assertEqual(w.readyz()[0], 200)
            self.assertEqual(w.term(), 0)

    @unittest.skipUnless(etcd.available(), "no etcd here")
    def test_etcd(self):
        with etcd.Cluster() as cluster:
            self.play("etcd", cluster.ports[0])

    @unittest.skipUnless(zk.available(), "no ZooKeeper here")
    def test_zookeeper(self):
        with zk.Ensemble() as ensemble:
            self.play("zk", ensemble.servers[0].port)


class Named(unittest.TestCase):
    @staticmethod
    def operations(w):
        page = sf.http(f"http://127.0.0.1:{w.admin}/metrics")[1]
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith("snowfleet_coordinator_operations_total{"))

    def says(self, url, text, most=MOST_PER_S, seconds=6):
        """A worker says what is wrong, waits for it to be mended, and does not hammer meanwhile; the tool says the same."""
        with sf.Fleet(url) as fleet:
            w = fleet.worker("w").start(ready=False)
            sf.wait_until(lambda: re.search(text, w.log()), w.log)
            sf.wait_until(lambda: re.search(text, w.readyz()[1]), lambda: f"{w.readyz()}\n{w.log()}")
            before = self.operations(w)
            time.sleep(seconds)
            asked = self.operations(w) - before
            print(f"{asked / seconds:.1f} operations a second", file=sys.stderr)
            self.assertLessEqual(asked, most * seconds)
            self.assertIsNone(w.process.poll(), w.log())
            answer = fleet.tool("slots", "--coordinator", url, check=False)
            self.assertNotEqual(answer.returncode, 0)
            self.assertRegex(answer.stderr, text)

    @unittest.skipUnless(etcd.available(), "no etcd here")
    def test_etcd_without_its_gateway(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        client, peer = free_ports(2)
        with open(f"{directory}/log", "wb") as log:
            process = subprocess.Popen(["etcd", "--data-dir", f"{directory}/data", "--enable-grpc-gateway=false",
                                        "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
                                        "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                                        "--initial-cluster", f"default=http://127.0.0.1:{peer}"], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        sf.wait_until(lambda: sf.http(f"http://127.0.0.1:{client}/health")[0] == 200, lambda: pathlib.Path(f"{directory}/log").read_text())
        self.says(f"etcd://127.0.0.1:{client}", "no JSON gateway.*--enable-grpc-gateway=false")

    @unittest.skipUnless(zk.available(), "no ZooKeeper here")
    def test_zookeeper_with_a_quota(self):
        """Nothing may be added there: named, with the way out, and not tried again and again; once it is raised the worker is ready."""
        with zk.Ensemble(java_options=["-Dzookeeper.enforceQuota=true"]) as ensemble, sf.Fleet(ensemble.url()) as fleet:
            fleet.tool("init", "--coordinator", fleet.coordinator, "--first")
            admin = zk.Client(ensemble.servers[0].port)
            self.addCleanup(admin.close)
            quota = "/zookeeper/quota"
            for part in ("snowfleet", "default"):
                quota += "/" + part
                admin.create(quota)
            admin.create(quota + "/zookeeper_stats", b"count=0,bytes=0")
            admin.create(quota + "/zookeeper_limits", b"count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=-1")
            w = fleet.worker("w").start(ready=False)
            sf.wait_until(lambda: re.search(r"quota.*setquota", w.readyz()[1]), lambda: f"{w.readyz()}\n{w.log()}")
            time.sleep(3)  # by then it is tried rarely
            before = self.operations(w)
            time.sleep(6)
            asked = self.operations(w) - before
            print(f"{asked / 6:.1f} operations a second", file=sys.stderr)
            self.assertLessEqual(asked, MOST_PER_S * 6)
            admin.delete(quota + "/zookeeper_limits")
            admin.ping()
            w.wait_ready()
            self.assertEqual(w.term(), 0)

    @unittest.skipUnless(zk.available(), "no ZooKeeper here")
    def test_zookeeper_that_demands_a_login(self):
        directory = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        (directory / "jaas").write_text('Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_somebody="secret"; };')
        sasl = ["-Dzookeeper.sessionRequireClientSASLAuth=true", f"-Djava.security.auth.login.config={directory / 'jaas'}",
                "-Dzookeeper.authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"]
        digest = ["-Dzookeeper.enforce.auth.enabled=true", "-Dzookeeper.enforce.auth.schemes=digest"]
        for demand in (sasl, digest):
            with self.subTest(demand=demand), zk.Ensemble(java_options=demand) as ensemble:
                self.says(ensemble.url(), "enforce.auth.schemes")


if __name__ == "__main__":
    unittest.main(verbosity=2)
