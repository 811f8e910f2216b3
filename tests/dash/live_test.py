#!/usr/bin/env python3
"""A real fleet of three on a real etcd, under a real Prometheus with the rules (every `for` a second, every range 15 s): every query of
every panel and rule has data; then a worker is killed, the coordinator stopped, a clock set wrong, a sequence exhausted, and each time
the alert for it fires and clears afterwards. Leaves with 77 where a program is missing. Needs SF_BIN."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request

import load
import queries

sys.path.insert(0, os.path.join(load.ROOT, "tests/lib"))
sys.path.insert(0, os.path.join(load.ROOT, "tests/system"))
import coordinators  # noqa: E402
import snowfleet  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

WAIT_S = 120
NO_CERTIFICATES = ["certificate_expiry"]
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


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


class Prometheus:
    def __init__(self, root, targets, prober):
        self.port = snowfleet.free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        with open(os.path.join(root, "alerts.yaml"), "wb") as f:
            subprocess.run(["jsonnet", "-S", "--tla-str", "hurry=1s", os.path.join(load.DASHBOARDS, "alerts.jsonnet")], check=True, stdout=f)
        with open(os.path.join(root, "prometheus.yml"), "w", encoding="utf-8") as f:
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["alerts.yaml"],
                       "scrape_configs": [{"job_name": "snowfleet", "static_configs": [{"targets": targets}]},
                                          {"job_name": "snowfleet-verify", "static_configs": [{"targets": [prober]}]}]}, f)
        with open(os.path.join(root, "prometheus.log"), "wb") as log:
            self.process = subprocess.Popen(["prometheus", f"--config.file={root}/prometheus.yml", f"--storage.tsdb.path={root}/data",
                                             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        snowfleet.wait_until(lambda: snowfleet.http(self.url + "/-/ready")[0] == 200, "Prometheus", WAIT_S, 0.2)

    def firing(self):
        """{alert: sorted instances}"""
        with urllib.request.urlopen(self.url + "/api/v1/alerts", timeout=10) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        found = {}
        for one in alerts:
            if one["state"] == "firing":
                found.setdefault(one["labels"]["alertname"], []).append(one["labels"].get("instance", ""))
        return {name: sorted(instances) for name, instances in found.items()}

    def wait_firing(self, alert, instances):
        """Until the alert fires for exactly these ([]: for none)."""
        snowfleet.wait_until(lambda: self.firing().get("Snowfleet" + alert, []) == sorted(instances),
                             lambda: f"{alert} for {instances}; firing: {self.firing()}", WAIT_S, 0.5)
        print(f"{alert}: " + (f"fires for {len(instances)}" if instances else "clears"), flush=True)


def wait_for_data(prometheus):
    said = []

    def all_answered():
        said.clear()
        total, bad = queries.run(prometheus.url, NO_CERTIFICATES, said.append)
        assert total > 130, total
        return bad == 0

    snowfleet.wait_until(all_answered, lambda: "data for every query:\n" + "\n".join(said), WAIT_S, 2)
    print("every query has data", flush=True)


def skew(path, text):
    fresh = pathlib.Path(f"{path}.new")
    fresh.write_text(text + "\n", encoding="ascii")
    fresh.replace(path)


def check(root, url, coordinator, ntp, ends):
    clock = root / "clock"
    skew(clock, "+0")
    faked = {"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0", "FAKETIME_NO_CACHE": "1",
             "FAKETIME_TIMESTAMP_FILE": str(clock), "ASAN_OPTIONS": "verify_asan_link_order=0"}
    workers = []
    for name, env in (("a", {}), ("b", faked), ("c", {})):
        (root / name).mkdir()
        workers.append(snowfleet.Worker(root / name, name, url, env=env, options={"clock-sources": ntp.source, "clock-poll-ms": "500"}))
        ends.append(workers[-1].end)
        workers[-1].start()
    loads = [Load(w) for w in workers]
    for one in loads:
        one.start()
        ends.append(one.stop.set)
    prober = f"127.0.0.1:{snowfleet.free_ports(1)[0]}"
    verify = subprocess.Popen([str(snowfleet.BIN / "snowfleet"), "verify", "--coordinator", url, "--metrics", prober, "--interval-ms", "50"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ends.append(lambda: end(verify))
    targets = [f"127.0.0.1:{w.admin}" for w in workers]
    prometheus = Prometheus(root, targets, prober)
    ends.append(lambda: end(prometheus.process))
    wait_for_data(prometheus)
    snowfleet.wait_until(lambda: prometheus.firing() == {}, lambda: f"a healthy fleet: {prometheus.firing()}", WAIT_S, 1)

    workers[2].kill()
    prometheus.wait_firing("WorkerDown", targets[2:])
    workers[2].start()
    prometheus.wait_firing("WorkerDown", [])

    coordinator.stop_all()
    prometheus.wait_firing("CoordinatorUnreachable", targets)
    assert "SnowfleetFewReady" not in prometheus.firing(), "they mint on from their reservations"
    coordinator.start_all()
    prometheus.wait_firing("CoordinatorUnreachable", [])

    skew(clock, "+0.3")
    prometheus.wait_firing("ClockOffset", targets[1:2])
    prometheus.wait_firing("ClockStep", targets[1:2])
    skew(clock, "+0")
    prometheus.wait_firing("ClockOffset", [])
    prometheus.wait_firing("ClockStep", [])

    loads[0].count, loads[0].pause = 65536, 0  # more than a burst may borrow: each waits
    prometheus.wait_firing("SequenceExhaustion", targets[:1])
    loads[0].count, loads[0].pause = 1, 0.02
    prometheus.wait_firing("SequenceExhaustion", [])

    assert not {"SnowfleetDuplicate", "SnowfleetOrderViolation"} & prometheus.firing().keys()
    verify.terminate()
    _, said = verify.communicate(timeout=30)
    assert verify.returncode == 0, f"the prober ended with {verify.returncode}: {said}"


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main():
    missing = [name for name in ("prometheus", "jsonnet", "etcd") if shutil.which(name) is None]
    if not os.path.exists(FAKETIME):
        missing.append("faketime")
    if missing:
        print(f"skipped: needs {', '.join(missing)}")
        return 77
    root, ends = pathlib.Path(tempfile.mkdtemp(prefix="sf-live-")), []
    ntp = FakeNtp()
    try:
        with coordinators.start("etcd") as coordinator:
            try:
                subprocess.run([str(snowfleet.BIN / "snowfleet"), "init", "--coordinator", coordinator.url(), "--first"], check=True)
                check(root, coordinator.url(), coordinator, ntp, ends)
            finally:
                for one in reversed(ends):
                    one()
        return 0
    finally:
        ntp.close()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
