#!/usr/bin/env python3
"""What a worker says when its coordinator cannot be used: one clear line, never a flood, and it goes on trying."""
import collections
import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import etcd  # noqa: E402
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402

WATCH_S = 5


class Refusals(unittest.TestCase):
    def tell(self, url, needles, **options):
        """Runs a worker against the URL for a while; every needle must be in its log, which must stay short."""
        with sf.Fleet(url) as fleet:
            worker = fleet.worker(options=options).start(ready=False)
            time.sleep(WATCH_S)
            self.assertIsNone(worker.process.poll(), f"it ended:\n{worker.log()}")
            lines = worker.log().splitlines()
            for needle in needles:
                self.assertTrue(any(needle in line for line in lines), f"'{needle}' is not in:\n{worker.log()}")
            # A few lines of the start, and at most one a second for each of two causes.
            self.assertLess(len(lines), 8 + 2 * (WATCH_S + 1), worker.log())
            for event, count in collections.Counter(line.split()[2] for line in lines if line.split()[1] in ("WARN", "ERROR")).items():
                causes = 3 if event == "coordinator.library" else 1
                self.assertLessEqual(count, causes * (WATCH_S + 2), f"{event}:\n{worker.log()}")
            code, text = worker.readyz()
            self.assertEqual(code, 503, text)
            self.assertEqual(sf.http(f"http://127.0.0.1:{worker.admin}/livez")[0], 200)
            return text

    def test_nobody_listens(self):
        port, = sf.free_ports(1)
        self.tell(f"zk://127.0.0.1:{port}", [f"127.0.0.1:{port}"])
        self.tell(f"etcd://127.0.0.1:{port}", [f"127.0.0.1:{port}"])

    def test_somebody_listens_and_says_nothing(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(50)
            port = silent.getsockname()[1]
            self.tell(f"zk://127.0.0.1:{port}", [])
            self.tell(f"etcd://127.0.0.1:{port}", [])

    def test_name_that_does_not_resolve(self):
        self.tell("zk://no-such-host.invalid:2181", ["no-such-host.invalid"])
        self.tell("etcd://no-such-host.invalid:2379", ["no-such-host.invalid"])

    def test_urls_that_cannot_work(self):
        for url, needle in (("redis://127.0.0.1:1", "redis"), ("etcd://", "etcd"), ("local://relative", "local")):
            with sf.Fleet(url) as fleet:
                worker = fleet.worker().start(ready=False)
                self.assertEqual(worker.process.wait(20), 78, worker.log())
                self.assertIn(needle, worker.log())

    def test_zookeeper_chroot_config_and_password(self):
        with zk.Ensemble() as ensemble:
            self.tell(ensemble.url("/nowhere"), ["snowfleet init"])
            self.tell(ensemble.url(), ["snowfleet init"])
            with sf.Fleet(ensemble.url("/safe")) as fleet:
                good, bad = fleet.directory / "good", fleet.directory / "bad"
                for path, word in ((good, "secret"), (bad, "wrong")):
                    path.write_text(word + "\n")
                    path.chmod(0o600)
                fleet.tool("init", "--coordinator", fleet.coordinator, "--first", "--username", "fleet", "--password-file", good)
                self.tell(fleet.coordinator, ["auth"], **{"coordinator-username": "fleet", "coordinator-password-file": bad})
                self.tell(fleet.coordinator, ["auth"])
                worker = fleet.worker(options={"coordinator-username": "fleet", "coordinator-password-file": good}).start()
                self.assertEqual(worker.term(), 0)
                good.chmod(0o644)
                worker = fleet.worker(options={"coordinator-username": "fleet", "coordinator-password-file": good}).start(ready=False)
                self.assertEqual(worker.process.wait(20), 78, worker.log())
                self.assertIn(str(good), worker.log())

    def test_etcd_config_and_password(self):
        with etcd.Cluster(users={"worker": "secret"}) as cluster, sf.Fleet(cluster.url()) as fleet:
            good = cluster.password_file("worker")
            bad = fleet.directory / "bad"
            bad.write_text("wrong\n")
            bad.chmod(0o600)
            credentials = {"coordinator-username": "worker", "coordinator-password-file": good}
            self.tell(cluster.url(), ["snowfleet init"], **credentials)
            self.tell(cluster.url(), ["auth"], **{"coordinator-username": "worker", "coordinator-password-file": bad})
            self.tell(cluster.url(), ["user name is empty"])
            fleet.tool("init", "--coordinator", cluster.url(), "--first", "--username", "worker", "--password-file", good)
            self.assertEqual(fleet.worker(options=credentials).start().term(), 0)

    def test_etcd_certificates(self):
        with etcd.Cluster(tls=True) as cluster, sf.Fleet(cluster.url()) as fleet:
            right = {"coordinator-tls-ca": cluster.ca, "coordinator-tls-cert": cluster.cert, "coordinator-tls-key": cluster.key}
            fleet.tool("init", "--coordinator", cluster.url(), "--first", "--coordinator-ca", cluster.ca, "--coordinator-cert", cluster.cert, "--coordinator-key", cluster.key)
            self.assertEqual(fleet.worker(options=right).start().term(), 0)
            self.tell(cluster.url(), ["certificate"], **{"coordinator-tls-ca": cluster.ca})
            self.tell(cluster.url(), ["certificate"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
