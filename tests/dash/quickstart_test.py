#!/usr/bin/env python3
"""`./quickstart --fleet 3 --observe`, as anybody would run it: Prometheus has every rule, every query of every panel and alert has data,
nothing fires, and Ctrl-C leaves nothing behind. Builds in build/release, as quickstart does."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import load
import queries

START_S = 900  # it may have to build first
DATA_S = 120
# On a machine without NTP the kernel's source has no reading, so no offset with an error bound; and the clock counts as unsynchronised.
EMPTY = ["clock_(error|uncertainty)", "certificate_expiry"]  # this machine's clock, and no TLS


def get(url, path):
    with urllib.request.urlopen(url + path, timeout=10) as answer:
        return json.load(answer)["data"]


class Quickstart:
    def __init__(self):
        self.lines = []
        self.process = subprocess.Popen([os.path.join(load.ROOT, "quickstart"), "--fleet", "3", "--observe"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True)
        self.reader.start()

    def wait_line(self, pattern):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for line in list(self.lines):
                found = re.search(pattern, line)
                if found:
                    return found
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise AssertionError(f"no line {pattern}; exit {self.process.poll()}:\n{''.join(self.lines)}")

    def interrupt(self):
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)


def check(quickstart):
    url = quickstart.wait_line(r"^Prometheus +(http://\S+?)/$").group(1)
    quickstart.wait_line("Ctrl-C ends everything")
    wanted = {r.get("alert") or r["record"] for g in load.rules() for r in g["rules"]}
    loaded = {r["name"] for g in get(url, "/api/v1/rules")["groups"] for r in g["rules"]}
    assert loaded == wanted, loaded ^ wanted
    deadline = time.monotonic() + DATA_S
    while True:
        said = []
        total, bad = queries.run(url, EMPTY, said.append)
        if bad == 0:
            break
        assert time.monotonic() < deadline, "\n".join(said)
        time.sleep(2)
    targets = get(url, "/api/v1/targets")["activeTargets"]
    assert sorted(t["labels"]["job"] for t in targets) == ["snowfleet"] * 3 + ["snowfleet-verify"], targets
    assert all(t["health"] == "up" for t in targets), targets
    firing = {a["labels"]["alertname"] for a in get(url, "/api/v1/alerts")["alerts"] if a["state"] == "firing"}
    assert firing <= {"SnowfleetClockUnsynchronised"}, firing
    print(f"{len(loaded)} rules, {total} queries with data")


def main():
    if shutil.which("prometheus") is None or shutil.which("haproxy") is None or shutil.which("jsonnet") is None:
        print("skipped: needs prometheus, haproxy and jsonnet")
        return 77
    before = set(pathlib.Path(load.ROOT, "build").glob("quickstart-*/"))
    quickstart = Quickstart()
    try:
        check(quickstart)
        code = quickstart.interrupt()
        assert code == 0, f"exit {code}:\n{''.join(quickstart.lines)}"
        left = set(pathlib.Path(load.ROOT, "build").glob("quickstart-*/")) - before
        assert not left, left
        return 0
    finally:
        if quickstart.process.poll() is None:
            quickstart.process.terminate()
            quickstart.process.wait(120)


if __name__ == "__main__":
    sys.exit(main())
