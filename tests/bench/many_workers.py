#!/usr/bin/env python3
"""How much a coordinator has to do for many idle workers: starts them, lets them settle, counts what they ask for.

usage: many_workers.py [--workers N] [--seconds S] [--members M]     (ZooKeeper; SF_BIN names the directory of the programs)
"""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402

PER_DATACENTER = 16  # half of the default layout's slots: the long window applies


def operations(workers):
    """Sums over all workers of coordinator operations by op."""
    total = {}
    for worker in workers:
        for line in sf.http(f"http://127.0.0.1:{worker.admin}/metrics")[1].splitlines():
            if line.startswith("snowfleet_coordinator_operations_total{"):
                op = line.split('op="')[1].split('"')[0]
                total[op] = total.get(op, 0) + float(line.rsplit(" ", 1)[1])
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--workers", type=int, default=128)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--members", type=int, default=3)
    options = parser.parse_args()
    with zk.Ensemble(members=options.members) as ensemble, sf.Fleet(ensemble.url()) as fleet:
        fleet.tool("init", "--coordinator", fleet.coordinator, "--first")
        begun = time.monotonic()
        workers = [fleet.worker(options={"listen-threads": 1, "fleet-datacenter": i // PER_DATACENTER}) for i in range(options.workers)]
        for worker in workers:
            worker.start(ready=False)
        for worker in workers:
            worker.wait_ready(120)
        print(f"{options.workers} workers in {(options.workers + PER_DATACENTER - 1) // PER_DATACENTER} datacenters ready after "
              f"{time.monotonic() - begun:.1f} s")
        time.sleep(45)  # first reservations are short; the long ones come with the first look around
        before = operations(workers)
        time.sleep(options.seconds)
        after = operations(workers)
        for op in sorted(after):
            count = after[op] - before.get(op, 0)
            if count:
                print(f"  {op}: {count:.0f} in {options.seconds} s, {count / options.seconds:.2f}/s, "
                      f"one per worker every {options.seconds * options.workers / count:.1f} s")
        writes = sum(after.get(op, 0) - before.get(op, 0) for op in ("bind", "renew", "claim", "unclaim", "release"))
        print(f"{writes / options.seconds:.2f} writes/s; for 1,024 workers that makes {writes / options.seconds * 1024 / options.workers:.1f}/s")


if __name__ == "__main__":
    main()
