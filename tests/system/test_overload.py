#!/usr/bin/env python3
"""A worker that is asked for ten times what it can mint: its admin port answers, its reservation is renewed, one modest client is served,
and when the load has ended nothing is left of it."""
import json
import pathlib
import selectors
import struct
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


class Greedy:
    """A connection that always has some batches asked for."""

    def __init__(self, worker):
        self.connection, self.answers, self.buffer = worker.connect(), 0, b""
        self.connection.send(sf.next_frame(0, BATCH) * 4)

    def take(self):
        data = self.connection.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("closed by the worker")
        self.buffer += data
        while len(self.buffer) >= 12:
            length, _, kind, code, _ = struct.unpack_from(">IBBHI", self.buffer)
            if len(self.buffer) < 4 + length:
                break
            if (kind, code) != (0x80 | sf.NEXT, sf.OK):
                raise AssertionError(f"answered {kind:#x} {code}")
            self.buffer = self.buffer[4 + length:]
            self.answers += 1
            self.connection.send(sf.next_frame(0, BATCH))


class Overload(unittest.TestCase):
    def test_threads_share_the_ids(self):
        """Two threads serve connections that want more than a slot holds: none of them goes without for long."""
        with sf.Fleet() as fleet, selectors.DefaultSelector() as selector:
            worker = fleet.worker(options={"listen-threads": 2}).start()
            greedy = [Greedy(worker) for _ in range(4)]
            for one in greedy:
                selector.register(one.connection.socket, selectors.EVENT_READ, one)
            began, windows, starved = time.monotonic(), 0, []
            while time.monotonic() < began + SECONDS:
                before, window = [one.answers for one in greedy], time.monotonic()
                while time.monotonic() < window + 0.1:
                    for key, _ in selector.select(0.01):
                        key.data.take()
                got = [one.answers - n for one, n in zip(greedy, before)]
                if sum(got) < 50:
                    continue  # half of what a slot holds: the machine did something else
                windows += 1
                if min(got) == 0:
                    starved.append(got)
            print(f"{[one.answers for one in greedy]} answers, {windows} windows of 0.1 s, starved in {starved}")
            self.assertGreater(windows, 5)
            self.assertLessEqual(len(starved), windows / 20)
            self.assertEqual(worker.term(), 0)

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
