"""What the tests on a live Prometheus share: it, load on a worker, a clock that can be set wrong."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.request

import load

sys.path.insert(0, os.path.join(load.ROOT, "tests/lib"))
import snowfleet  # noqa: E402

WAIT_S = 120
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Load(threading.Thread):
    """Asks one worker all the time, whatever becomes of it."""

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


def targets(*addresses, **labels):
    """One entry of what file_sd reads."""
    return {"targets": list(addresses), "labels": labels}


class Prometheus:
    """With the rules in a hurry: every `for` a second, every range 15 s. Its targets are what `aim` was last told."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.port = snowfleet.free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.aim([], [])
        with open(self.root / "alerts.yaml", "wb") as f:
            subprocess.run(["jsonnet", "-S", "--tla-str", "hurry=1s", os.path.join(load.DASHBOARDS, "alerts.jsonnet")], check=True, stdout=f)
        (self.root / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["alerts.yaml"],
            "scrape_configs": [{"job_name": job, "file_sd_configs": [{"files": [f"{job}.json"]}]} for job in ("snowfleet", "snowfleet-verify")]}))
        with open(self.root / "prometheus.log", "wb") as log:
            self.process = subprocess.Popen(["prometheus", f"--config.file={self.root}/prometheus.yml", f"--storage.tsdb.path={self.root}/data",
                                             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        snowfleet.wait_until(lambda: snowfleet.http(self.url + "/-/ready")[0] == 200, "Prometheus", WAIT_S, 0.2)

    def aim(self, workers, probers):
        for job, entries in (("snowfleet", workers), ("snowfleet-verify", probers)):
            fresh = self.root / f"{job}.new"
            fresh.write_text(json.dumps(entries))
            fresh.replace(self.root / f"{job}.json")

    def ask(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)["data"]

    def firing(self):
        """[labels] of every alert that fires, its name without the product's."""
        return [{**one["labels"], "alertname": one["labels"]["alertname"].removeprefix("Snowfleet")}
                for one in self.ask("/api/v1/alerts")["alerts"] if one["state"] == "firing"]

    def end(self):
        end(self.process)


def fake_clock(file):
    """The environment of a process whose clock stands as `skew` last set the file."""
    skew(file, "+0")
    return {"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0", "FAKETIME_NO_CACHE": "1",
            "FAKETIME_TIMESTAMP_FILE": str(file), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def skew(file, text):
    fresh = pathlib.Path(f"{file}.new")
    fresh.write_text(text + "\n", encoding="ascii")
    fresh.replace(file)


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def missing(*programs):
    """What is not installed of these, and of what a test here needs."""
    absent = [name for name in ("prometheus", "jsonnet", *programs) if shutil.which(name) is None]
    return absent + ([] if os.path.exists(FAKETIME) else ["faketime"])
