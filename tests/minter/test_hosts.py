#!/usr/bin/env python3
"""Programs that mint for themselves, on a local coordinator, beside a worker: killed, stopped, forked, robbed of their descriptors."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from host import Host, sf  # noqa: E402


class Hosts(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.seen = set()
        self.count = 0

    def host(self, **options):
        host = Host(self.fleet.directory, **{"fleet.coordinator": self.fleet.coordinator, **options})
        self.addCleanup(host.finish)
        return host

    def take(self, ids):
        self.seen.update(ids)
        self.count += len(ids)
        self.assertEqual(len(self.seen), self.count, "an ID came twice")

    def test_beside_a_worker_in_one_fleet(self):
        worker = self.fleet.worker().start()
        hosts = [self.host(**{"fleet.node": f"app-{i}"}).ready() for i in range(3)]
        with worker.connect() as connection:
            for _ in range(20):
                self.take(connection.ids(100))
                for host in hosts:
                    self.take(host.ids(100))
        slots = self.fleet.tool("slots", "--coordinator", self.fleet.coordinator).stdout
        for i in range(3):
            self.assertIn(f"app-{i}", slots)
        for host in hosts:
            self.assertEqual(host.say("close"), "OK")
        slots = self.fleet.tool("slots", "--coordinator", self.fleet.coordinator).stdout
        self.assertEqual([line.split()[2] for line in slots.splitlines() if "app-" in line], ["free"] * 3)

    def test_killed_and_started_again(self):
        """With a state directory on its slot at once; without one on another."""
        for state in ("", str(self.fleet.directory / "state")):
            options = {"fleet.node": "app", "reservation.state_dir": state}
            host = self.host(**options).ready()
            workers = []
            for _ in range(3):
                ids = host.ids(1000)
                workers.append(sf.parts(ids[0])[2])
                self.take(ids)
                host.kill()
                host = self.host(**options).ready()
            self.take(host.ids(1000))
            self.assertEqual(len(set(workers)), 1 if state else 3, workers)
            self.assertEqual(host.say("close"), "OK")

    def test_stopped_past_its_reservation(self):
        options = {"reservation.window_ms": 2000, "reservation.min_window_ms": 2000, "coordinator.session_timeout_ms": 1000}
        host, other = self.host(**options).ready(), self.host(**options).ready()
        self.take(host.ids(100))
        host.pause()
        time.sleep(5)
        self.take(other.ids(100))
        host.begin("ids", 1000)
        host.resume()
        words = host.end().split()
        self.assertIn(words[0], ("NOT_READY", "OK"))
        self.take([int(word) for word in words[1:]])
        self.assertEqual(host.say("wait", int(sf.DEADLINE_S * 1000)), "OK")
        self.take(host.ids(1000))
        self.take(other.ids(1000))

    def test_a_child_gets_nothing(self):
        host = self.host()
        self.assertEqual(host.open(), "OK")
        for words in (("wait", 30000), ("next", 5), ("after", 1), ("status",)):
            self.assertEqual(host.say("fork"), "NOT_READY")
            host.say(*words)
        self.assertEqual(host.say("fork"), "NOT_READY")
        self.take(host.ids(1000))
        self.assertEqual(host.say("close"), "OK")
        self.assertEqual(host.say("next", 1), "DRAINING")

    def test_a_child_that_lives_on_keeps_nothing(self):
        """The parent is killed; its slot comes back as if it had had no child, and its state file is free."""
        options = {"fleet.node": "app", "reservation.state_dir": str(self.fleet.directory / "state")}
        host = self.host(**options).ready()
        ids = host.ids(10)
        child = int(host.say("leave", 60000))
        self.addCleanup(os.kill, child, 9)
        host.kill()
        again = self.host(**options).ready()
        more = again.ids(10)
        self.assertEqual(sf.parts(more[0])[2], sf.parts(ids[0])[2], again.text())
        self.take(ids + more)

    def test_no_descriptor_comes_through_an_exec(self):
        host = self.host(**{"reservation.state_dir": str(self.fleet.directory / "state")}).ready()
        self.assertEqual(set(host.say("exec").split()) - {"0", "1", "2", "9"}, {"3"})  # 3: the directory that is listed

    def test_all_descriptors_closed_by_mistake(self):
        """It says so, mints nothing past what was acknowledged, and costs no processor time; another takes the slot later."""
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
        self.assertIn("descriptor", host.status()[5])
        ticks = self.ticks(host.process.pid)
        time.sleep(1)
        self.assertLess(self.ticks(host.process.pid) - ticks, 30)
        other = self.host(**options).ready()
        self.take(other.ids(1000))
        self.assertEqual(host.say("close"), "NOT_RELEASED")
        self.assertEqual(host.say("next", 1), "DRAINING")

    @staticmethod
    def ticks(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def test_exit_from_a_thread(self):
        host = self.host().ready()
        self.take(host.ids(10))
        host.begin("exit")
        self.assertEqual(host.process.wait(sf.DEADLINE_S), 0)
        self.take(self.host().ready().ids(1000))


if __name__ == "__main__":
    unittest.main()
