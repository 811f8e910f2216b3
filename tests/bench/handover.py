#!/usr/bin/env python3
"""How long a worker takes from exec to ready, and how soon a slot that is given back serves under its next owner.

usage: handover.py [--rounds N] [--coordinators zookeeper,etcd] [--members M]     (SF_BIN names the directory of the programs)
"""
import argparse
import datetime
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402

READY_MS, FREE_MS = 300, 50  # what is promised


def logged_ms(worker, event, at=-1):
    """When the worker said so: lines begin with a time in milliseconds."""
    line = [line for line in worker.log().splitlines() if f" {event} " in line][at]
    return datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp() * 1000


def until_ready_ms(worker):
    begun = time.monotonic()
    worker.start(ready=False)
    while worker.readyz()[0] != 200:
        time.sleep(0.001)
    return (time.monotonic() - begun) * 1000


def ready(fleet, rounds):
    times = []
    for _ in range(rounds):
        worker = fleet.worker()
        times.append(until_ready_ms(worker))
        worker.term()
    return times


def hand_over(fleet, rounds):
    """A fleet of one slot and one worker too many: from the release to the other one's slot."""
    fleet.tool("init", "--coordinator", fleet.coordinator, "--fleet", "one", "--layout", "41,10,0,12", "--datacenters", "0", "--first")
    options = {"fleet-name": "one"}
    holder, times = fleet.worker(options=options).start(), []
    for _ in range(rounds):
        other = fleet.worker(options=options).start(ready=False)
        sf.wait_until(lambda: "the fleet is full" in other.readyz()[1], other.readyz)
        time.sleep(1)  # it has settled down to wait
        holder.term()
        other.wait_ready()
        times.append(logged_ms(other, "slot.claimed") - logged_ms(holder, "slot.released"))
        holder = other
    return times


def verdict(what, times, most_ms):
    middle = statistics.median(times)
    print(f"{'PASS' if middle < most_ms else 'FAIL'}  {what}: median {middle:.0f} ms, {min(times):.0f} to {max(times):.0f} ms of {len(times)} "
          f"(needs under {most_ms} ms)", flush=True)
    return middle < most_ms


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--coordinators", default="zookeeper,etcd")
    parser.add_argument("--members", type=int, default=1)
    options = parser.parse_args()
    kept = True
    for name in options.coordinators.split(","):
        with coordinators.start(name, members=options.members) as coordinator, sf.Fleet(coordinator.url()) as fleet:
            fleet.tool("init", "--coordinator", fleet.coordinator, "--first")
            kept &= verdict(f"{name}: exec to ready", ready(fleet, options.rounds), READY_MS)
            kept &= verdict(f"{name}: release to the next owner's slot", hand_over(fleet, options.rounds), FREE_MS)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
