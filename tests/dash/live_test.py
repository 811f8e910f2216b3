#!/usr/bin/env python3
"""A real fleet of three under a real Prometheus with the rules: every query of every panel has data, a killed worker's alert fires and
clears, an exhausted sequence is told. Leaves with 77 where there is no Prometheus. Needs SF_BIN."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request

import load
import queries

sys.path.insert(0, os.path.join(load.ROOT, "tests/lib"))
import snowfleet  # noqa: E402

WAIT_S = 120
# On a machine without NTP the kernel's source has no reading, so no offset with an error bound.
CLOCK = ["clock_(error|uncertainty)"]


class Load(threading.Thread):
    def __init__(self, worker):
        super().__init__(daemon=True)
        self.worker, self.stop, self.count, self.pause = worker, threading.Event(), 1, 0.02

    def run(self):
        while not self.stop.is_set():
            try:
                with snowfleet.Connection(self.worker.port) as c:
                    while not self.stop.wait(self.pause):
                        c.ids(self.count)
            except (OSError, snowfleet.Refused):
                self.stop.wait(0.2)


def firing(url, alert):
    with urllib.request.urlopen(url + "/api/v1/alerts", timeout=10) as answer:
        alerts = json.load(answer)["data"]["alerts"]
    return sorted(a["labels"].get("instance", "") for a in alerts if a["labels"]["alertname"] == alert and a["state"] == "firing")


def check(root, processes):
    os.makedirs(os.path.join(root, "fleet"))
    workers = []
    for name in ("a", "b", "c"):
        folder = os.path.join(root, name)
        os.makedirs(folder)
        workers.append(snowfleet.Worker(folder, name, f"local://{root}/fleet"))
        workers[-1].start()
        processes.append(workers[-1].process)
    loads = [Load(w) for w in workers]
    for one in loads:
        one.start()
    with open(os.path.join(root, "alerts.yaml"), "wb") as f:
        subprocess.run(["jsonnet", "-S", "--tla-str", "hurry=1s", os.path.join(load.DASHBOARDS, "alerts.jsonnet")], check=True, stdout=f)
    targets = [f"127.0.0.1:{w.admin}" for w in workers]
    with open(os.path.join(root, "prometheus.yml"), "w", encoding="utf-8") as f:
        json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["alerts.yaml"],
                   "scrape_configs": [{"job_name": "snowfleet", "static_configs": [{"targets": targets}]}]}, f)
    port = snowfleet.free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    with open(os.path.join(root, "prometheus.log"), "wb") as log:
        processes.append(subprocess.Popen(["prometheus", f"--config.file={root}/prometheus.yml", f"--storage.tsdb.path={root}/data",
                                           f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log))
    snowfleet.wait_until(lambda: snowfleet.http(url + "/-/ready")[0] == 200, "Prometheus", WAIT_S, 0.2)

    said = []

    def all_answered():
        said.clear()
        total, bad = queries.run(url, CLOCK, said.append)
        assert total > 100
        return bad == 0

    snowfleet.wait_until(all_answered, lambda: "data for every query:\n" + "\n".join(said), WAIT_S, 2)
    print("every query has data")
    for alert in ("SnowfleetWorkerDown", "SnowfleetFewReady", "SnowfleetTargetMissing", "SnowfleetLayoutSkew"):
        assert firing(url, alert) == [], alert

    workers[2].process.send_signal(signal.SIGKILL)
    workers[2].process.wait()
    snowfleet.wait_until(lambda: firing(url, "SnowfleetWorkerDown") == [targets[2]], "WorkerDown fires for the killed one alone", WAIT_S, 0.5)
    workers[2].start()
    processes.append(workers[2].process)
    snowfleet.wait_until(lambda: firing(url, "SnowfleetWorkerDown") == [], "WorkerDown clears", WAIT_S, 0.5)
    print("a killed worker is told, and its return")

    loads[0].count, loads[0].pause = 65536, 0  # more than a burst may borrow: each waits
    snowfleet.wait_until(lambda: targets[0] in firing(url, "SnowfleetSequenceExhaustion"), "SequenceExhaustion fires", WAIT_S, 0.5)
    assert firing(url, "SnowfleetSequenceExhaustion") == [targets[0]]
    for one in loads:
        one.stop.set()
    for one in loads:
        one.join(10)
    print("an exhausted sequence is told")


def main():
    if shutil.which("prometheus") is None or shutil.which("jsonnet") is None:
        print("skipped: needs prometheus and jsonnet")
        return 77
    root, processes = tempfile.mkdtemp(prefix="sf-live-"), []
    try:
        check(root, processes)
        return 0
    finally:
        for process in reversed(processes):
            if process.poll() is None:
                process.terminate()
        for process in processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
