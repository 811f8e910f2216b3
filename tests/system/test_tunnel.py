#!/usr/bin/env python3
"""TLS to ZooKeeper through a tunnel for each server, as docs/coordinators.md says: with socat and with stunnel."""
import pathlib
import re
import socket
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
import etcd  # noqa: E402  (its certificates)
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402


def documented_command():
    text = (ROOT / "docs/coordinators.md").read_text(encoding="utf-8")
    return re.search(r"(socat TCP-LISTEN:21811.*?) &\n", text, re.S).group(1).replace("\\\n", " ").split()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Tunnel(unittest.TestCase):
    def setUp(self):
        self.ensemble = zk.Ensemble(members=3)
        self.ensemble.__enter__()
        self.addCleanup(self.ensemble.__exit__, None, None, None)
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.certificates = etcd.Certificates(str(self.fleet.directory))
        self.server_ports = sf.free_ports(3)
        cert, key = self.certificates.server
        for server, port in zip(self.ensemble.servers, self.server_ports):  # the TLS side of each server
            self.start(["socat", f"OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,cert={cert},key={key},"
                                 f"cafile={self.certificates.ca},verify=1", f"TCP:127.0.0.1:{server.port}"], port)

    def start(self, command, port):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end():
            process.kill()
            process.wait()
        self.addCleanup(end)
        sf.wait_until(lambda: listens(port), lambda: f"{command[0]} listens")

    def socat(self, port, behind, ca):
        cert, key = self.certificates.client
        replaced = {"21811": str(port), "zk-0.zk:2281": f"localhost:{behind}", "ca.pem": ca, "worker.pem": cert, "worker.key": key}
        command = documented_command()
        for old, new in replaced.items():
            self.assertIn(old, " ".join(command))
            command = [word.replace(old, new) for word in command]
        self.start(command, port)

    def stunnel(self, port, behind, ca):
        cert, key = self.certificates.client
        path = self.fleet.directory / f"stunnel.{port}.conf"
        path.write_text(f"foreground = yes\npid =\n[zookeeper]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{behind}\n"
                        f"CAfile = {ca}\nverifyChain = yes\ncheckHost = localhost\ncert = {cert}\nkey = {key}\nTIMEOUTclose = 0\n")
        self.start(["stunnel", str(path)], port)

    def story(self, tunnel):
        ports = sf.free_ports(3)
        for port, behind in zip(ports, self.server_ports):
            tunnel(port, behind, self.certificates.ca)
        url = "zk://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        self.fleet.tool("init", "--coordinator", url, "--first", "--datacenters", "0")
        worker = self.fleet.worker(coordinator=url, options={"coordinator-session-timeout-ms": 4000, "reservation-window-ms": 20000,
                                                          "reservation-min-window-ms": 20000}).start()
        renewals = 'snowfleet_reservation_renewals_total{result="ok"}'
        leader = self.ensemble.wait_leader()
        leader.kill()
        began = time.monotonic()
        before = worker.metric(renewals)
        with worker.connect() as c:
            ids = c.ids(1000)
            sf.wait_until(lambda: worker.metric("snowfleet_coordinator_connected") == 1 and worker.metric(renewals) > before,
                          worker.log, 60)
            ids += c.ids(1000)
        print(f"renewed {time.monotonic() - began:.1f} s after the leader was killed")
        self.assertEqual(len(set(ids)), 2000)
        self.assertEqual(worker.term(), 0, worker.log())
        leader.start()

    def test_socat(self):
        self.story(self.socat)

    def test_stunnel(self):
        self.story(self.stunnel)

    def test_a_certificate_of_another_authority(self):
        port, = sf.free_ports(1)
        self.socat(port, self.server_ports[0], self.certificates.other_ca)
        worker = self.fleet.worker(coordinator=f"zk://127.0.0.1:{port}").start(ready=False)
        sf.wait_until(lambda: "coordinator.disconnected" in worker.log(), worker.log)
        self.assertEqual(worker.readyz()[0], 503)


if __name__ == "__main__":
    unittest.main(verbosity=2)
