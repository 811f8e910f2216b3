#!/usr/bin/env python3
"""A rolling restart of many workers in one datacenter, a few at a time, beside a program that asks for IDs all the while: no call may
fail and no ID come twice. What is also told: how long it takes and what it costs the coordinator.

usage: rolling.py [--build DIR] [--backend zookeeper|etcd] [--workers N] [--batch N] [--rounds N] [--threads N]

--rounds: so many batches are restarted (0: all). Workers are the real ones, with 10 bits of worker.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
PATIENCE_S = 60
SKIPPED = 77


class Caller:
    """tests/client/client_loop: its IDs are read here."""

    def __init__(self, program, workers, threads):
        servers = ",".join(f"127.0.0.1:{worker.port}" for worker in workers)
        self.process = subprocess.Popen([str(program), servers, str(threads), "2000", "watch"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ids, self.said = collections.Counter(), []
        self.threads = [threading.Thread(target=self.read_ids), threading.Thread(target=self.read_words)]
        for thread in self.threads:
            thread.start()

    def read_ids(self):
        while data := self.process.stdout.read(8):
            self.ids[data] += 1

    def read_words(self):
        self.said.extend(self.process.stderr.read().decode().splitlines())

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        for thread in self.threads:
            thread.join()
        return json.loads(self.said[-1]), self.said[:-1]


def start_all(workers):
    begun = time.monotonic()
    for worker in workers:
        worker.start(ready=False)
    for worker in workers:
        worker.wait_ready(PATIENCE_S)
    return time.monotonic() - begun


def restart(workers):
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        code = worker.process.wait(PATIENCE_S)
        if code != 0:
            raise AssertionError(f"{worker.name} ended with {code}:\n{worker.log()}")
    start_all(workers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "dev")
    parser.add_argument("--backend", default="zookeeper")
    parser.add_argument("--workers", type=int, default=300)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    os.environ["SF_BIN"] = str(options.build / "bin")
    import coordinators  # pylint: disable=import-outside-toplevel # it reads SF_BIN
    import snowfleet as sf  # pylint: disable=import-outside-toplevel

    if not coordinators.available(options.backend):
        return SKIPPED
    with coordinators.start(options.backend) as coordinator, sf.Fleet(coordinator.url()) as fleet:
        fleet.tool("init", "--coordinator", fleet.coordinator, "--first", "--layout", "41,5,10,7", "--datacenters", "0")
        workers = [fleet.worker(options={"listen-threads": 1}) for _ in range(options.workers)]
        print(f"{options.backend}: {options.workers} workers ready after {start_all(workers):.1f} s from the first exec on", flush=True)
        caller = Caller(options.build / "tests" / "client" / "client_loop", workers, options.threads)
        time.sleep(2)
        batches = [workers[i:i + options.batch] for i in range(0, len(workers), options.batch)]
        begun = time.monotonic()
        for batch in batches[:options.rounds or len(batches)]:
            restart(batch)
        took = time.monotonic() - begun
        time.sleep(1)
        figures, words = caller.end()
        twice = sum(count > 1 for count in caller.ids.values())
        print(f"{options.backend}: {options.rounds or len(batches)} batches of {options.batch} restarted in {took:.1f} s; calls {figures['calls']}, failed "
              f"{figures['failed']}, IDs twice {twice}, retries {figures['retries']}, the longest call {figures['longest_ms']:.0f} ms (the "
              f"machine itself {figures['hiccup_ms']:.0f} ms late)")
        for line in words[:5]:
            print("  " + line)
        return 0 if figures["failed"] == 0 and twice == 0 and figures["calls"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
