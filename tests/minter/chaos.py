#!/usr/bin/env python3
"""Programs that mint for themselves beside workers in one fleet, on a real coordinator: killed, stopped past session and reservation, forked, robbed of
their descriptors, while the coordinator goes away and comes back. Every ID is kept, and none may come twice.

    tests/minter/chaos.py [--coordinator zookeeper|etcd|local] [--seconds N] [--seed N] [--hosts N]
"""
import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from host import Host, sf  # noqa: E402
import coordinators  # noqa: E402

WINDOW_MS = 4000
PAUSE_S = 7


class Book:
    """What came, as runs (first, last) of consecutive IDs, looked through at the end."""

    def __init__(self):
        self.lock = threading.Lock()
        self.runs = []
        self.count = 0

    def add(self, ids):
        runs = []
        for identifier in ids:
            if runs and runs[-1][1] + 1 == identifier:
                runs[-1][1] = identifier
            else:
                runs.append([identifier, identifier])
        with self.lock:
            self.runs.extend(map(tuple, runs))
            self.count += len(ids)

    def repeated(self):
        """How many runs have an ID that one before them has."""
        self.runs.sort()
        highest, found = -1, 0
        for first, last in self.runs:
            found += first <= highest
            highest = max(highest, last)
        return found


class Player(threading.Thread):
    """One program and what happens to it."""

    def __init__(self, stage, number):
        super().__init__(name=f"player {number}")
        self.stage, self.number = stage, number
        self.random = random.Random(stage.seed * 1000 + number)
        self.counts = {}
        self.failure = None
        self.host = None

    def open(self):
        keeps = {"reservation.state_dir": str(self.stage.fleet.directory / "state")} if self.number % 2 else {}
        self.host = Host(self.stage.fleet.directory, **{
            "fleet.coordinator": self.stage.coordinator.url(), "fleet.node": f"app-{self.number}", "coordinator.session_timeout_ms": 2000,
            "reservation.window_ms": WINDOW_MS, "reservation.min_window_ms": WINDOW_MS, "fleet.slots_per_worker": 1 + self.number % 2, **keeps})
        answer = self.host.open()
        assert answer == "OK", answer

    def take(self, count):
        words = self.host.say("ids", count).split()
        if not words:
            raise AssertionError(f"{self.name}: it ended by itself\n{self.host.text()[-2000:]}")
        self.stage.book.add([int(word) for word in words[1:]])
        return words[0]

    def act(self):
        what = self.random.choice(("kill", "kill", "stop", "fork", "fork", "close", "closefds", "nothing"))
        self.counts[what] = self.counts.get(what, 0) + 1
        if what == "kill":
            self.host.kill()
            self.host.finish()
            self.open()
        elif what == "stop":
            self.host.pause()
            time.sleep(PAUSE_S)
            self.host.begin("ids", 1000)
            self.host.resume()
            self.stage.book.add([int(word) for word in self.host.end().split()[1:]])
        elif what == "fork":
            answer = self.host.say("fork")
            assert answer in ("NOT_READY", "DRAINING"), answer
        elif what == "close":
            self.host.say("close")
            self.host.finish()
            self.open()
        elif what == "closefds":
            self.host.say("closefds")
            end = time.monotonic() + sf.DEADLINE_S
            while self.take(100) != "ENDED":
                assert time.monotonic() < end, self.host.text()
            self.host.say("close")
            self.host.finish()
            self.open()

    def run(self):
        try:
            self.open()
            while not self.stage.over():
                until = time.monotonic() + self.random.uniform(0.2, 2)
                while time.monotonic() < until:
                    self.take(self.random.choice((1, 10, 1000)))
                    time.sleep(0.002)
                self.act()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        finally:
            if self.host is not None:
                self.host.finish()


class Stage:
    def __init__(self, args):
        self.seed = args.seed
        self.book = Book()
        self.end = None
        self.args = args
        self.fleet = self.coordinator = None

    def over(self):
        return time.monotonic() > self.end

    def serve(self, worker):
        """Beside them a worker, whose IDs count too."""
        while not self.over():
            try:
                with worker.connect() as connection:
                    while not self.over():
                        self.book.add(connection.ids(100))
                        time.sleep(0.005)
            except (OSError, sf.Refused, AssertionError):
                time.sleep(0.05)

    def disturb(self):
        choice = random.Random(self.seed)
        while not self.over():
            time.sleep(choice.uniform(4, 9))
            if self.over() or self.args.coordinator == "local":
                return
            self.coordinator.stop_all()
            time.sleep(choice.uniform(0.5, 2 * WINDOW_MS / 1000))
            self.coordinator.start_all()

    def play(self):
        with sf.Fleet() as fleet, coordinators.start(self.args.coordinator) as coordinator:
            self.fleet, self.coordinator = fleet, coordinator
            fleet.tool("init", "--first", "--coordinator", coordinator.url())
            worker = fleet.worker(coordinator=coordinator.url()).start()
            self.end = time.monotonic() + self.args.seconds
            players = [Player(self, i) for i in range(self.args.hosts)]
            others = [threading.Thread(target=self.serve, args=(worker,)), threading.Thread(target=self.disturb)]
            for thread in (*players, *others):
                thread.start()
            for thread in (*players, *others):
                thread.join()
        counts = {}
        for player in players:
            for what, count in player.counts.items():
                counts[what] = counts.get(what, 0) + count
        return counts, [player.failure for player in players if player.failure is not None]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coordinator", choices=("zookeeper", "etcd", "local"), default="local")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--hosts", type=int, default=4)
    args = parser.parse_args()
    if not coordinators.available(args.coordinator):
        print(f"no {args.coordinator} here")
        return 77
    stage = Stage(args)
    counts, failures = stage.play()
    repeated = stage.book.repeated()
    print(f"{args.coordinator}, seed {args.seed}: {stage.book.count:,} IDs of {args.hosts} programs and a worker, "
          f"{sum(counts.values())} events {counts}; {repeated} runs repeated")
    for failure in failures:
        print(failure)
    return 1 if repeated or failures or stage.book.count < 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
