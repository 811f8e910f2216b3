#!/usr/bin/env python3
"""Pods are killed, paused, cut off, replaced and scaled under load; no ID twice, no failed call.

usage: test_fleet.py TOOLS_DIR [--seconds S] [--every S] [--seed N]

Prints what was measured. Exit 77: no containers to be had here.
"""
import argparse
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

import fleet
import pods

READY_S = 2

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tools", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=45)
    parser.add_argument("--every", type=float, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    why = pods.missing() or (None if shutil.which("haproxy") and shutil.which("java") and shutil.which("nft") else "not installed: haproxy, java or nft")
    if why is None and subprocess.run([pods.ROOT / "tests/chart/tools.sh", options.tools], check=False, stdout=subprocess.DEVNULL).returncode != 0:
        why = "no helm"
    if why:
        print("skipped:", why)
        return 77
    print(f"seed {options.seed}", flush=True)
    source, figures = fleet.randomness(options.seed), []

    def say(text):
        figures.append(text)
        print(text, flush=True)

    with pods.Podman() as podman:
        pods.make_image(podman)
        cluster = balancer = None
        try:
            cluster = fleet.Cluster(podman, options.tools.resolve())
            first = [cluster.add() for _ in range(3)]
            calm_s = [pod.wait_ready() for pod in first]
            say("first pods ready after " + ", ".join(f"{seconds:.2f}" for seconds in calm_s) + " s")
            balancer = fleet.Balancer(cluster)
            naive = fleet.Naive(balancer.port)
            time.sleep(1)
            checker = fleet.Checker(podman, cluster.network)
            naive.start()
            time.sleep(1)

            tally, ready, begun, next_at = {}, [], time.monotonic(), time.monotonic()
            while time.monotonic() - begun < options.seconds:
                what, seconds = fleet.break_something(cluster, source, tally)
                if seconds is not None:
                    ready.append((seconds, what))
                next_at += options.every
                time.sleep(max(0, next_at - time.monotonic()))
            chaos = (naive.asked, naive.failed, naive.retried)
            say(f"chaos: {sum(tally.values())} faults in {time.monotonic() - begun:.0f} s {tally}; ready after "
                f"{', '.join(f'{seconds:.2f} ({what})' for seconds, what in sorted(ready))} s; naive client: {chaos[0]} calls, {chaos[2]} retried, {chaos[1]} failed ({naive.first_failure})")

            replaced = []
            for old in list(cluster.pods):
                replaced.append(cluster.add().wait_ready())
                cluster.pods.remove(old)
                old.terminate()
            say(f"rolling replacement of {len(replaced)}: new pods ready after {', '.join(f'{value:.2f}' for value in replaced)} s")

            up = [cluster.add() for _ in range(5)]
            scaled = [pod.wait_ready() for pod in up]
            for pod in up:
                cluster.pods.remove(pod)
                pod.terminate()
            say(f"scale 3-8-3: new pods ready after {', '.join(f'{value:.2f}' for value in scaled)} s")
            calm = (naive.asked - chaos[0], naive.failed - chaos[1])
            say(f"replacing and scaling: naive client {calm[0]} calls, {calm[1]} failed")

            naive.stop.set()
            naive.join(30)
            result = checker.end()
            say(f"library: {result}")
            for pod in list(cluster.pods):
                cluster.pods.remove(pod)
                pod.terminate()
            pods.wait_until(lambda: cluster.slots()["free"] == 32, lambda: str({k: v for k, v in cluster.slots().items() if k != "slots"}), 60, 1)
            say("every slot is free again")

            wrong = result.findings()
            for group, values in (("chaos", [seconds for seconds, _ in ready]), ("rolling", replaced), ("scaling", scaled)):
                # 2 s on a machine that has nothing else to do; on a busy one, what the first pods took.
                if values and statistics.median(values) > max(READY_S, 3 * statistics.median(calm_s)):
                    wrong.append(f"{group}: new pods are ready too late, {statistics.median(values):.2f} s in the median")
            if naive.twice:
                wrong.append(f"the naive client got IDs twice: {naive.twice[:5]}")
            if chaos[1] > max(1, chaos[0] // 1000):
                wrong.append(f"over 0.1 % of the naive client's calls failed: {chaos[1]} of {chaos[0]}")
            if calm[1]:
                wrong.append(f"{calm[1]} calls of the naive client failed while pods were replaced and scaled in peace")
            if result.ids < 10000 or naive.asked < 1000:
                wrong.append("too little load to mean anything")
            print("\n".join(wrong) if wrong else "passed", flush=True)
            return 1 if wrong else 0
        finally:
            if balancer:
                balancer.close()
            if cluster:
                cluster.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
