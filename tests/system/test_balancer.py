#!/usr/bin/env python3
"""HAProxy with the health of /readyz in front of three workers: it takes its connections away from a worker that drains, has a wrong clock
or is dead, and a client that tries once more, when it is told to, sees no error."""
import os
import pathlib
import shutil
import sys
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "lib"), str(pathlib.Path(__file__).resolve().parent)]
import snowfleet as sf  # noqa: E402
from test_fleet import FAKETIME, Client, Proxy  # noqa: E402
from test_worker import faketime_env, set_offset  # noqa: E402


class Patient(Client):
    """Waits as long as a refusal says before its one retry, and nap_s where the connection just broke."""

    nap_s = 0

    def once(self):
        try:
            return super().once()
        except sf.Refused as refused:
            time.sleep(refused.answer.retry_after_ms() / 1000)
            raise
        except OSError:
            time.sleep(self.nap_s)
            raise


@unittest.skipUnless(shutil.which("haproxy") and os.path.exists(FAKETIME), "needs haproxy and libfaketime")
class Balancer(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.offset = self.fleet.directory / "offset"
        set_offset(self.offset, "+0")
        self.workers = [self.fleet.worker(env=faketime_env(self.offset) if i == 0 else None, options={"drain-delay-ms": 4000}).start()
                        for i in range(3)]
        self.proxy = Proxy(self.fleet, self.workers)
        self.addCleanup(self.proxy.end)
        self.clients = [Patient(self.proxy.port, 10) for _ in range(6)]
        for client in self.clients:
            client.start()
        sf.wait_until(lambda: all(w.status()["connections"] >= 1 for w in self.workers), "every worker has connections")

    def left_alone(self, worker):
        """The proxy has taken its connections away and brings no new ones."""
        sf.wait_until(lambda: worker.status()["connections"] == 0, lambda: f"{worker.name} still has connections")
        opened = worker.metric("snowfleet_connections_total")
        answered = sum(len(c.ids) for c in self.clients)
        sf.wait_until(lambda: sum(len(c.ids) for c in self.clients) > answered + 200, "the clients go on")
        self.assertEqual(worker.metric("snowfleet_connections_total"), opened)

    def no_errors(self):
        for client in self.clients:
            client.finish()
        ids = [i for client in self.clients for i in client.ids]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertGreater(len(ids), 1000)
        self.assertEqual([f for client in self.clients for f in client.failures], [])

    def test_draining(self):
        worker = self.workers[1]
        self.assertEqual(sf.http(f"http://127.0.0.1:{worker.admin}/drain", "POST")[0], 202)
        self.left_alone(worker)
        with worker.connect() as c:
            self.assertEqual(len(c.ids(5)), 5)  # it would still have served
        self.assertEqual(worker.process.wait(30), 0)
        self.no_errors()

    def test_suspended(self):
        worker = self.workers[0]
        set_offset(self.offset, "-3600")
        worker.wait_not_ready()
        self.left_alone(worker)
        set_offset(self.offset, "+0")
        worker.wait_ready()
        self.no_errors()

    def test_killed(self):
        # A killed process takes new connections to its very end, and HAProxy breaks those that it is still trying when it marks a server
        # down: who comes back within one check's interval (here 200 ms) may meet the dead one again.
        for client in self.clients:
            client.nap_s = 0.25
        self.workers[2].kill()
        answered = sum(len(c.ids) for c in self.clients)
        sf.wait_until(lambda: sum(len(c.ids) for c in self.clients) > answered + 1000, "the clients go on")
        self.no_errors()


if __name__ == "__main__":
    unittest.main(verbosity=2)
