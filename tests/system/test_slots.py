#!/usr/bin/env python3
"""`snowfleet slots release` and `slots reset`: what they free and write anew, and whom they refuse, on each coordinator."""
import json
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402

FAILED, USAGE, CONFIG = 1, 64, 78
LAYOUT = (41, 5, 2, 15)
EPOCH_MS, WINDOW_MS = 1704067200000, 600000
FLOOR_MS = 1900000000000


class Repairs:
    """Mixed into a TestCase for each coordinator."""
    backend = None

    def setUp(self):
        if not coordinators.available(self.backend):
            self.fail(f"{self.backend} is not installed; ./check installs it")
        self.coordinator = coordinators.start(self.backend)
        self.coordinator.__enter__()
        self.addCleanup(self.coordinator.__exit__, None, None, None)
        self.fleet = sf.Fleet(self.coordinator.url())
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.fleet.tool("init", "--first", "--coordinator", self.coordinator.url(), "--layout", "41,5,2,15", "--datacenters", "0")

    def slots(self, *words):
        return self.fleet.tool("slots", *words, "--coordinator", self.coordinator.url(), check=False)

    def state(self, number):
        return json.loads(self.slots("--json").stdout)["slots"][number]["state"]

    def record(self, number):
        return self.coordinator.get(self.coordinator.slot_path("default", 0, number))

    def refused(self, code, needle, *words):
        before = [self.record(i) for i in range(4)], self.coordinator.paths("/snowfleet/default")
        result = self.slots(*words)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(needle, result.stderr)
        self.assertEqual(([self.record(i) for i in range(4)], self.coordinator.paths("/snowfleet/default")), before)

    # --- release ---

    def test_release(self):
        self.refused(FAILED, "no claim holds slot 0/0; nothing was changed", "release", "0/0")
        worker = self.fleet.worker(options={"coordinator-session-timeout-ms": 60000, "reservation-window-ms": 60000}).start()
        slot = worker.status()["worker"]
        name = f"0/{slot}"
        with worker.connect() as connection:
            last = connection.ids(1)[0]
        self.refused(FAILED, "which is alive", "release", name)
        self.refused(FAILED, "which is alive", "release", name, "--force")
        self.coordinator.stop_outside_locks(worker)
        self.refused(FAILED, "it may be alive; if it is not: --force", "release", name)
        before = self.record(slot)
        forced = self.slots("release", name, "--force")
        self.assertEqual(forced.returncode, 0, forced.stderr)
        self.assertEqual(self.record(slot), before, "the record stays")
        self.assertEqual(self.state(slot), "quarantined")
        worker.resume()  # it spends what was acknowledged, and claims anew: never an ID twice
        worker.wait_ready()
        with worker.connect() as connection:
            self.assertGreater(connection.ids(1)[0], last)
        sf.wait_until(lambda: sum(s["state"] == "held" for s in json.loads(self.slots("--json").stdout)["slots"]) == 1, worker.log, 60)
        self.assertEqual(worker.term(), 0)

    def test_release_of_a_dead_holder(self):
        if self.backend == "local":
            return self.skipTest("a claim in a directory goes with its process")
        worker = self.fleet.worker(options={"coordinator-session-timeout-ms": 20000}).start()
        slot = worker.status()["worker"]
        worker.kill()
        self.assertEqual(self.state(slot), "held")
        freed = self.slots("release", f"0/{slot}")
        self.assertEqual(freed.returncode, 0, freed.stderr)
        self.assertIn("is gone; the slot is free when its reservation has passed", freed.stdout)
        self.assertEqual(self.state(slot), "quarantined")
        self.refused(FAILED, "no claim holds", "release", f"0/{slot}")
        return None

    # --- reset ---

    def test_reset(self):
        clock = ["--floor-ms", FLOOR_MS, "--yes"]
        self.refused(FAILED, "has a record that can be read; nothing was changed", "reset", "0/1", *clock)
        self.coordinator.set(self.coordinator.slot_path("default", 0, 1), "garbage")
        self.coordinator.delete(self.coordinator.slot_path("default", 0, 2))
        self.assertEqual([self.state(1), self.state(2)], ["broken", "broken"])
        self.refused(USAGE, "--yes confirms it without a terminal", "reset", "0/1", "--floor-ms", FLOOR_MS)
        self.refused(FAILED, "--floor-ms 3 is 1970-01-01", "reset", "0/1", "--floor-ms", 3, "--yes")
        for number in (1, 2):
            done = self.slots("reset", f"0/{number}", *clock)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("the slot mints from 2030-03-17", done.stdout)
            record = json.loads(self.record(number))
            self.assertEqual((record["reset"], record["fence"], record["from_ms"], record["reserved_until_ms"]), (True, 0, FLOOR_MS, FLOOR_MS))
            self.assertEqual(self.state(number), "quarantined")
        # Written by hand, and it can be read: a person says so, and no reservation that is honest gets shorter.
        until_ms = int(time.time() * 1000) + WINDOW_MS
        self.coordinator.set(self.coordinator.slot_path("default", 0, 3), json.dumps({**json.loads(self.record(0)), "reserved_until_ms": until_ms}))
        self.refused(FAILED, "If somebody wrote it by hand: --force", "reset", "0/3", *clock)
        early_ms = int(time.time() * 1000)
        done = self.slots("reset", "0/3", "--floor-ms", early_ms, "--yes", "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(self.record(3))["reserved_until_ms"], until_ms)

    def test_a_slot_that_was_reset_is_used(self):
        start_ms = int(time.time() * 1000) + 3000
        for number in range(4):
            self.coordinator.set(self.coordinator.slot_path("default", 0, number), "garbage")
        done = self.slots("reset", "0/2", "--floor-ms", start_ms, "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        worker = self.fleet.worker().start()
        with worker.connect() as connection:
            timestamp, _, number, _ = sf.parts(connection.ids(1)[0], LAYOUT)
        self.assertEqual(number, 2)
        self.assertGreaterEqual(timestamp + EPOCH_MS, start_ms)
        self.assertEqual(worker.term(), 0)

    # --- words ---

    def test_words(self):
        for slot in ("0/4", "32/0", "0", "/", "0/", "0/x", "+1/0", "0/0/0", "00000000000000000000000000000/1"):
            for command in ("release", "reset"):
                with self.subTest(slot=slot, command=command):
                    self.refused(USAGE, "is no slot of this fleet", command, slot)
        self.refused(USAGE, "are known", "free", "0/0")
        self.refused(USAGE, "are known", "release")
        result = self.fleet.tool("slots", "release", "0/0", check=False)
        self.assertEqual(result.returncode, USAGE, result.stderr)
        self.assertIn("nobody named", result.stderr)
        result = self.slots("release", "0/0", "--fleet", "other")
        self.assertEqual(result.returncode, CONFIG, result.stderr)


class OnLocal(Repairs, unittest.TestCase):
    backend = "local"


class OnEtcd(Repairs, unittest.TestCase):
    backend = "etcd"


class OnZooKeeper(Repairs, unittest.TestCase):
    backend = "zookeeper"


if __name__ == "__main__":
    unittest.main(verbosity=2)
