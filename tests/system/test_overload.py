#!/usr/bin/env python3
"""A worker that is asked for ten times what it can mint: its admin port answers, its reservation is renewed, one modest client is served,
and when the load has ended nothing is left of it."""
import json
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

LOAD = sf.BIN.parent / "tests/bench/bench_load"
SECONDS = 6
BATCH = 4096


class Modest(threading.Thread):
    """One request for one ID at a time; OVERLOADED is waited out as told."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.served, self.refused, self.last, self.ascending, self.over = port, 0, 0, 0, True, threading.Event()

    def run(self):
        with sf.Connection(self.port) as connection:
            while not self.over.is_set():
                answer = connection.ask(1, body=(1).to_bytes(4, "big"))
                if answer.code != 0:
                    self.refused += 1
                    time.sleep(answer.retry_after_ms / 1000)
                    continue
                first = answer.ids()[0]
                self.ascending = self.ascending and first > self.last
                self.last = first
                self.served += 1


class Overload(unittest.TestCase):
    def test_ten_times_the_demand(self):
        with sf.Fleet() as fleet:
            worker = fleet.worker(options={"reservation-window-ms": 2000, "reservation-min-window-ms": 2000}).start()
            modest = Modest(worker.port)
            modest.start()
            load = subprocess.Popen([LOAD, "--port", str(worker.port), "-c", "64", "-d", "4096", "-b", str(BATCH), "--rate",
                                     str(10 * 4096000 // BATCH), "-t", str(SECONDS), "-w", "1", "--json"], stdout=subprocess.PIPE, text=True)
            pages, renewals = [], worker.metric('snowfleet_reservation_renewals_total{result="ok"}')
            while load.poll() is None:
                pages += [(path, sf.http(f"http://127.0.0.1:{worker.admin}{path}", timeout=sf.DEADLINE_S)[0])
                          for path in ("/livez", "/readyz", "/metrics", "/status")]
                time.sleep(0.1)
            result = json.loads(load.communicate()[0])
            ended = time.monotonic()
            with worker.connect() as fresh:
                while fresh.ask(1, body=(1).to_bytes(4, "big")).code != 0:
                    self.assertLess(time.monotonic() - ended, sf.DEADLINE_S)
            served = modest.served
            sf.wait_until(lambda: modest.served > served + 10, "the modest client is served again")
            modest.over.set()
            modest.join(sf.DEADLINE_S)
            print(f"{result}\nmodest: {modest.served} served, {modest.refused} refused; {len(pages)} pages")
            self.assertEqual({status for _, status in pages}, {200}, pages)
            self.assertGreater(result["errors"], result["requests_per_s"] * SECONDS, "that was no overload")
            self.assertEqual(result["order_errors"], 0)
            self.assertGreater(worker.metric('snowfleet_reservation_renewals_total{result="ok"}'), renewals + 1)
            self.assertTrue(modest.ascending)
            # Its share is small, but it is one connection among 65, not among thousands of requests.
            self.assertGreater(served, SECONDS, "the modest client starved")
            sf.wait_until(lambda: worker.metric("snowfleet_waiting_requests") == 0, "nobody waits any more")


if __name__ == "__main__":
    unittest.main(verbosity=2)
