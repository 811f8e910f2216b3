#!/usr/bin/env python3
"""What a worker does when its clock is wrong: under load, with servers and steps that the test controls."""
import ctypes
import json
import os
import pathlib
import re
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Minter(threading.Thread):
    """One request after the other, over reconnects; keeps IDs, and how often which status came."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.ids, self.statuses = port, [], {}
        self.stopping = threading.Event()
        self.start()

    def run(self):
        connection = None
        while not self.stopping.is_set():
            try:
                connection = connection or sf.Connection(self.port, timeout=10)
                self.ids += connection.ids(5)
            except sf.Refused as refused:
                code = refused.answer.code
                self.statuses[code] = self.statuses.get(code, 0) + 1
                time.sleep(0.01)
            except OSError as error:
                self.statuses[str(error)] = self.statuses.get(str(error), 0) + 1
                connection = None
                time.sleep(0.05)
            time.sleep(0.001)

    def end(self):
        self.stopping.set()
        self.join(20)
        return self.ids


class StoppedThread:
    """One thread of a process held by ptrace, while the others run on. For the thread that makes it."""
    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        tasks = pathlib.Path(f"/proc/{pid}/task")
        self.tid = next(int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().strip() == name)
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.request(self.SEIZE)
        self.request(self.INTERRUPT)
        os.waitpid(self.tid, self.WALL)

    def request(self, what):
        if self.ptrace(what, self.tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def let_go(self):
        self.request(self.DETACH)


class ClockWorker(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(lambda: self.fleet.__exit__(None, None, None))

    def assert_ascending(self, ids):
        self.assertGreater(len(ids), 10)
        for a, b in zip(ids, ids[1:]):
            self.assertLess(a, b)

    def wait_released(self, fence):
        """Until the slot of this claim is given back, free for others at once."""
        def slots():
            return json.loads(self.fleet.tool("slots", "--coordinator", self.fleet.coordinator, "--json").stdout)

        def released():
            found = slots()
            return found["held"] == 0 and [s["state"] for s in found["slots"] if s["fence"] == fence] == ["free"]

        sf.wait_until(released, lambda: f"slot of claim {fence} released: {[s for s in slots()['slots'] if s['fence']]}", step_s=0.1)

    def wait_for_ids(self, minter):
        before = len(minter.ids)
        sf.wait_until(lambda: len(minter.ids) > before + 10, "more IDs")

    def test_a_bad_clock_leaves_the_fleet_and_comes_back(self):
        fakes = [FakeNtp() for _ in range(3)]
        for fake in fakes:
            self.addCleanup(fake.close)
        worker = self.fleet.worker(options={"clock-sources": ",".join(f.source for f in fakes), "clock-poll-ms": 500,
                                            "clock-require-sync": "true"}).start()
        minter = Minter(worker.port)
        self.wait_for_ids(minter)
        fence = worker.status()["fence"]
        for fake in fakes:
            fake.faults["offset"] = 5
        worker.wait_not_ready()
        self.assertIn("over max_offset_ms 1000", worker.readyz()[1])
        sf.wait_until(lambda: minter.statuses.get(sf.CLOCK), "the status CLOCK")
        sf.wait_until(lambda: worker.status()["state"] in ("suspended", "resyncing"), "suspended")
        self.wait_released(fence)
        for fake in fakes:
            fake.faults["offset"] = 0
        began = time.monotonic()
        worker.wait_ready()
        self.assertLess(time.monotonic() - began, 10)
        self.assertGreater(worker.status()["fence"], fence, "a new claim")
        self.wait_for_ids(minter)
        self.assert_ascending(minter.end())
        self.assertEqual(set(minter.statuses) - {sf.CLOCK, sf.NOT_READY}, set())

    def test_a_clock_thread_that_stands_still_is_noticed(self):
        worker = self.fleet.worker().start()
        livez = f"http://127.0.0.1:{worker.admin}/livez"
        self.assertEqual(sf.http(livez), (200, "ok\n"))
        minter = Minter(worker.port)
        self.wait_for_ids(minter)
        fence = worker.status()["fence"]
        try:
            stopped = StoppedThread(worker.process.pid, "clock")
        except PermissionError as error:
            self.skipTest(f"ptrace is not allowed: {error}")
        try:
            sf.wait_until(lambda: sf.http(livez)[0] == 503, "the stall in /livez")
            self.assertRegex(sf.http(livez)[1], r"^clock: has not turned for \d+ ms\n$")
            worker.wait_not_ready()
            self.assertRegex(worker.readyz()[1], r"clock failed: its thread has not turned for \d+ ms")
            self.assertEqual(worker.status()["clock"]["verdict"], "bad")
            self.wait_released(fence)
            self.assertIn("clock.stalled", worker.log())
        finally:
            stopped.let_go()
        worker.wait_ready()
        self.assertEqual(sf.http(livez), (200, "ok\n"))
        self.assertIn("clock.turns", worker.log())
        self.wait_for_ids(minter)
        self.assert_ascending(minter.end())

    def test_time_brackets_true_time(self):
        fake = FakeNtp(offset=0.05)
        self.addCleanup(fake.close)
        worker = self.fleet.worker(options={"clock-sources": fake.source}).start()
        with worker.connect() as c:
            body = c.ask(sf.TIME).body
        earliest_us, latest_us, offset_ns, error_ns, source, synchronized = struct.unpack_from(">QQqQBB", body)
        true_us = (time.time() + 0.05) * 1e6
        self.assertEqual((source, synchronized), (2, 1))
        self.assertLess(abs(offset_ns - 50e6), 5e6)
        self.assertLessEqual(earliest_us, true_us)
        self.assertGreater(latest_us, true_us - 2e6)
        self.assertLess(latest_us - earliest_us, 20000)
        self.assertLess(error_ns, 10e6)

    @unittest.skipUnless(os.path.exists(FAKETIME), "libfaketime is not there")
    def test_steps_under_load(self):
        path = self.fleet.directory / "offset"

        def step(text):
            fresh = pathlib.Path(f"{path}.new")
            fresh.write_text(text + "\n")
            fresh.replace(path)

        step("+0")
        worker = self.fleet.worker(
            options={"clock-max-offset-ms": 1500},
            env={"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
                 "FAKETIME_NO_CACHE": "1", "FAKETIME_TIMESTAMP_FILE": str(path),
                 "ASAN_OPTIONS": "verify_asan_link_order=0"}).start()
        minter = Minter(worker.port)
        self.wait_for_ids(minter)
        for text in ("-0.001", "+0", "-0.1", "+0", "+0.1", "-1", "+0", "+1", "+0"):
            step(text)
            time.sleep(0.6)
            self.wait_for_ids(minter)
        self.assertEqual(minter.statuses, {}, "no error at all for steps within max_offset")
        for text in ("+3600", "-3600"):
            fence = worker.status()["fence"]
            step(text)
            worker.wait_not_ready()
            self.assertIn("clock", worker.readyz()[1])
            refused = dict(minter.statuses)
            sf.wait_until(lambda: minter.statuses.get(sf.CLOCK, 0) > refused.get(sf.CLOCK, 0), "the status CLOCK")
            slots = self.fleet.tool("slots", "--coordinator", self.fleet.coordinator, "--json").stdout
            reserved = re.findall(r'"reserved_until_ms":\s*(\d+)', slots)
            limit_ms = time.time() * 1000 + 700_000
            self.assertTrue(reserved)
            for number in reserved:
                self.assertLess(int(number), limit_ms, "a clock an hour ahead must not reserve an hour ahead")
            self.wait_released(fence)
            step("+0")
            began = time.monotonic()
            worker.wait_ready()
            self.assertLess(time.monotonic() - began, 10)
            self.assertGreater(worker.status()["fence"], fence, "a new claim")
            self.wait_for_ids(minter)
        self.assert_ascending(minter.end())
        self.assertEqual(set(minter.statuses) - {sf.CLOCK, sf.NOT_READY}, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
