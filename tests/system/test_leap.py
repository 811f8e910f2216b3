#!/usr/bin/env python3
"""A leap second, as docs/clock.md tells it: stepped or smeared, with sources that step at once, later, or not at all, and with a ZooKeeper that does not
step. The worker's wall clock is libfaketime's."""
import json
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402
from test_clock_worker import FAKETIME, Minter  # noqa: E402


@unittest.skipUnless(os.path.exists(FAKETIME), "libfaketime is not there")
class Leap(unittest.TestCase):
    """The wall clock goes back by a second, once."""

    def fleet(self, coordinator=None):
        fleet = sf.Fleet(coordinator)
        self.addCleanup(fleet.__exit__, None, None, None)
        self.path = fleet.directory / "offset"
        self.wall("+0")
        return fleet

    def wall(self, offset):
        fresh = pathlib.Path(f"{self.path}.new")
        fresh.write_text(offset + "\n")
        fresh.replace(self.path)

    def worker(self, fleet, **options):
        worker = fleet.worker(
            options={"clock-poll-ms": 500, **{name.replace("_", "-"): value for name, value in options.items()}},
            env={"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
                 "FAKETIME_NO_CACHE": "1", "FAKETIME_TIMESTAMP_FILE": str(self.path), "ASAN_OPTIONS": "verify_asan_link_order=0"}).start()
        minter = Minter(worker.port)
        self.addCleanup(minter.end)
        self.more(minter)
        return worker, minter

    def servers(self):
        fakes = [FakeNtp() for _ in range(3)]
        for fake in fakes:
            self.addCleanup(fake.close)
        return fakes, ",".join(fake.source for fake in fakes)

    @staticmethod
    def more(minter):
        before = len(minter.ids)
        sf.wait_until(lambda: len(minter.ids) > before + 10, lambda: f"more IDs: {minter.statuses}")

    def goes_on(self, worker, minter, seconds=4):
        """Not one request is refused, and IDs ascend all the way; the log tells of the step."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.assertEqual(worker.readyz()[0], 200, worker.readyz()[1])
            time.sleep(0.1)
        self.more(minter)
        ids = list(minter.ids)
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(minter.statuses, {}, worker.log())

    def comes_back(self, worker, minter):
        """Away for some seconds, with the clock as the reason."""
        worker.wait_not_ready()
        said = worker.readyz()[1]
        began = time.monotonic()
        worker.wait_ready()
        self.assertLess(time.monotonic() - began, 10)
        self.more(minter)
        ids = list(minter.ids)
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(set(minter.statuses) - {sf.CLOCK, sf.NOT_READY}, set())
        return said

    @staticmethod
    def agrees(worker):
        """Until the servers and the wall clock tell the same time."""
        sf.wait_until(lambda: abs(worker.status()["clock"]["offset_ns"]) < 50e6, lambda: json.dumps(worker.status()["clock"]))

    @staticmethod
    def ahead_ms(worker):
        """How far the next ID is ahead of the worker's wall clock, which is a second behind this one's."""
        with worker.connect() as connection:
            last = connection.ids()[0]
        return sf.parts(last)[0] + worker.status()["epoch_ms"] - (time.time() - 1) * 1000

    def test_stepped_all_at_once(self):
        """Wall clock and servers step together; with room for a second it is slewed through, and IDs are ahead meanwhile."""
        fakes, sources = self.servers()
        worker, minter = self.worker(self.fleet(), clock_sources=sources, clock_max_offset_ms=1500)
        for fake in fakes:
            fake.faults["offset"] = -1
        self.wall("-1")
        self.goes_on(worker, minter)
        self.assertIn("clock.step", worker.log())
        ahead = self.ahead_ms(worker)
        self.assertGreater(ahead, 800)
        self.assertLess(ahead, 1100)
        self.assertTrue(worker.status()["clock"]["slewing"])

    def test_sources_that_step_later(self):
        """They have the old second for a moment: no reason to leave where there is room for a second."""
        fakes, sources = self.servers()
        worker, minter = self.worker(self.fleet(), clock_sources=sources, clock_max_offset_ms=1500)
        self.wall("-1")
        sf.wait_until(lambda: worker.status()["clock"]["verdict"] == "warn", worker.log)
        self.goes_on(worker, minter, 2)
        for fake in fakes:
            fake.faults["offset"] = -1
        self.agrees(worker)
        self.goes_on(worker, minter, 1)

    def test_no_room_for_a_second(self):
        """With the default a second and a bound are too much: away until the sources have stepped too."""
        fakes, sources = self.servers()
        worker, minter = self.worker(self.fleet(), clock_sources=sources)
        self.wall("-1")
        worker.wait_not_ready()
        self.assertIn("over max_offset_ms 1000", worker.readyz()[1])
        for fake in fakes:
            fake.faults["offset"] = -1
        self.comes_back(worker, minter)

    def test_without_servers(self):
        """Nobody has the old second: also with the default of a second nobody leaves."""
        worker, minter = self.worker(self.fleet(), clock_sources="kernel")
        self.wall("-1")
        self.goes_on(worker, minter)

    def test_smeared_sources_and_a_clock_that_steps(self):
        """At the worst moment they are half a second apart, before and after: a warning, and nothing else, also with the default."""
        fakes, sources = self.servers()
        worker, minter = self.worker(self.fleet(), clock_sources=sources)
        for fake in fakes:
            fake.faults["offset"] = -0.5
        sf.wait_until(lambda: worker.status()["clock"]["verdict"] == "warn", worker.log)
        self.wall("-1")
        self.goes_on(worker, minter)
        for fake in fakes:
            fake.faults["offset"] = -1
        self.agrees(worker)
        self.goes_on(worker, minter, 1)

    def test_smeared_everywhere(self):
        """Wall clock and sources are slewed together."""
        fakes, sources = self.servers()
        worker, minter = self.worker(self.fleet(), clock_sources=sources)
        for step in range(1, 41):  # much faster than 12 ppm, but never more than the sources tell
            for fake in fakes:
                fake.faults["offset"] = -0.025 * step
            self.wall(f"{-0.025 * step:+}")
            time.sleep(0.05)
        self.goes_on(worker, minter, 1)

    @unittest.skipUnless(zk.available(), "no ZooKeeper here")
    def test_a_zookeeper_that_does_not_step(self):
        """The worker goes by its own clock, tells the difference, and renews; with room for a second it stays, with or without servers."""
        with zk.Ensemble() as ensemble:
            fakes, sources = self.servers()
            fleet = self.fleet(ensemble.url())
            fleet.tool("init", "--coordinator", fleet.coordinator, "--first")
            for given in ("kernel", sources):
                with self.subTest(sources=given):
                    self.wall("+0")
                    for fake in fakes:
                        fake.faults["offset"] = 0
                    most = 1000 if given == "kernel" else 1500
                    worker, minter = self.worker(fleet, clock_sources=given, clock_max_offset_ms=most, reservation_window_ms=3000,
                                                 reservation_min_window_ms=3000)
                    for fake in fakes:
                        fake.faults["offset"] = -1
                    self.wall("-1")
                    self.goes_on(worker, minter, 8)
                    self.assertRegex(worker.status()["clock"]["text"], r"the coordinator's clock is \+(9|10)\d\d ms from ours, over warn_offset_ms")
                    minter.end()
                    self.assertEqual(worker.term(), 0)
                    anew, minter = self.worker(fleet, clock_sources=given, clock_max_offset_ms=most)
                    self.goes_on(anew, minter, 2)
                    minter.end()
                    self.assertEqual(anew.term(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
