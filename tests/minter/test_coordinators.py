#!/usr/bin/env python3
"""The same on ZooKeeper and etcd: open, mint, kill, stop past the session and the reservation, a coordinator that is away."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from host import Host, sf  # noqa: E402
import coordinators  # noqa: E402


class Story:
    kind = None

    @classmethod
    def setUpClass(cls):
        cls.fleet = sf.Fleet()
        cls.addClassCleanup(cls.fleet.__exit__, None, None, None)
        context = coordinators.start(cls.kind)
        cls.coordinator = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        cls.fleet.tool("init", "--first", "--coordinator", cls.coordinator.url())
        cls.seen, cls.count = set(), 0

    def host(self, **options):
        host = Host(self.fleet.directory, **{"fleet.coordinator": self.coordinator.url(), "coordinator.session_timeout_ms": 2000, **options})
        self.addCleanup(host.finish)
        return host

    def take(self, ids):
        type(self).seen.update(ids)
        type(self).count += len(ids)
        self.assertEqual(len(self.seen), self.count, "an ID came twice")

    def test_it_opens_mints_and_gives_back(self):
        host = self.host(**{"fleet.slots_per_worker": 2})
        host.ready()
        sf.wait_until(lambda: host.status()[2] == 2, host.text)
        for _ in range(10):
            self.take(host.ids(1000))
        self.assertEqual(host.say("fork"), "NOT_READY")
        self.take(host.ids(1000))
        self.assertEqual(host.say("close"), "OK")
        again = self.host().ready()
        self.take(again.ids(1000))
        self.assertEqual(again.say("close"), "OK")

    def test_killed_and_started_again(self):
        options = {"fleet.node": "app", "reservation.state_dir": str(self.fleet.directory / "state")}
        host = self.host(**options).ready()
        slots = []
        for _ in range(3):
            ids = host.ids(1000)
            slots.append(sf.parts(ids[0])[2])
            self.take(ids)
            host.kill()
            host = self.host(**options).ready()
        self.take(host.ids(1000))
        self.assertEqual(len(set(slots)), 1, host.text())
        self.assertEqual(host.say("close"), "OK")

    def test_stopped_past_session_and_reservation(self):
        options = {"reservation.window_ms": 3000, "reservation.min_window_ms": 3000}
        host, other = self.host(**options).ready(), self.host(**options).ready()
        self.take(host.ids(100))
        host.pause()
        time.sleep(8)
        self.take(other.ids(100))
        host.begin("ids", 1000)
        host.resume()
        words = host.end().split()
        self.assertIn(words[0], ("NOT_READY", "OK"))
        self.take([int(word) for word in words[1:]])
        self.assertEqual(host.say("wait", int(sf.DEADLINE_S * 2000)), "OK")
        self.take(host.ids(1000))
        self.take(other.ids(1000))

    def test_the_coordinator_is_away(self):
        host = self.host().ready()
        self.take(host.ids(100))
        self.coordinator.stop_all()
        try:
            for _ in range(20):
                self.take(host.ids(100))
                time.sleep(0.1)
        finally:
            self.coordinator.start_all()
        self.take(host.ids(100))

    def test_all_descriptors_closed_by_mistake(self):
        options = {"reservation.window_ms": 3000, "reservation.min_window_ms": 3000}
        host = self.host(**options).ready()
        self.take(host.ids(100))
        self.assertEqual(host.say("closefds"), "OK")
        end = time.monotonic() + sf.DEADLINE_S
        while True:
            words = host.say("ids", 100).split()
            self.take([int(word) for word in words[1:]])
            if words[0] == "ENDED":
                break
            self.assertLess(time.monotonic(), end, host.text())
            time.sleep(0.05)
        self.take(self.host(**options).ready().ids(1000))


@unittest.skipUnless(coordinators.available("zookeeper"), "no ZooKeeper here")
class ZooKeeper(Story, unittest.TestCase):
    kind = "zookeeper"


@unittest.skipUnless(coordinators.available("etcd"), "no etcd here")
class Etcd(Story, unittest.TestCase):
    kind = "etcd"


if __name__ == "__main__":
    unittest.main()
