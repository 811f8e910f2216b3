#!/usr/bin/env python3
"""Every command of RUNBOOK.md that one machine can run, run on a real fleet of three on a real etcd: placeholders filled in from a table,
its exit code checked, and every "quoted" piece of output found in what it printed. Entries about a fault are run while the fault is there.
Leaves with 77 without etcd. Needs SF_BIN."""
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

import load

sys.path.insert(0, os.path.join(load.ROOT, "tests/lib"))
sys.path.insert(0, os.path.join(load.ROOT, "tests/system"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

# They need systemd, chronyd or a host with clients; what they print is not ours.
OF_THE_HOST = ("journalctl", "chronyc", "timedatectl", "ss")
WINDOW_MS = 2000

# (heading, beginning of the command): exit code, where it is not 0.
EXITS = {
    ("SnowfleetWorkerDown", "curl -s $ADMIN/livez"): 7,
    ("SnowfleetCoordinatorUnreachable", "snowfleet slots"): 69,
    ("SnowfleetReservationLow", "snowfleet status --coordinator"): 69,
}


def commands():
    """(heading, command, text behind it): those in code blocks with their text, those within sentences without."""
    with open(os.path.join(load.ROOT, "RUNBOOK.md"), encoding="utf-8") as f:
        text = f.read()
    heading, found = "", []
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("    $ "):
            found.append([heading, line[6:], "", True])
        elif line.startswith("    ") and found and found[-1][3]:
            found[-1][2] += " " + line.strip()
        else:
            found += [[heading, c, "", False] for c in re.findall(r"`((?:snowfleet|snowfleetd|curl) (?=[^`]*[-$])[^`]*)`", line)]
    return [tuple(one[:3]) for one in found]


def pattern(quoted):
    """The regular expression of a quoted piece: ... stands for anything within a line, spaces for at least one."""
    return r"\s+".join(re.escape(word).replace(r"\.\.\.", ".*?") for word in quoted.split())


class Book:
    def __init__(self, fleet, coordinator):
        self.fleet, self.coordinator = fleet, coordinator
        self.workers = []
        self.ran = set()

    def filled(self, heading, command, worker):
        """NAME is the fleet; where a procedure begins with a new one, another."""
        for old, new in {
                "$ADMIN": f"http://127.0.0.1:{worker.admin}", "$COORD": self.coordinator, "10.0.0.7:7450": f"127.0.0.1:{worker.port}",
                "HOST:PORT": f"127.0.0.1:{worker.port}", "$NEW": self.coordinator,
                "--fleet NAME": "--fleet " + {"Deploy": "deployed", "Move to another coordinator": "moved"}.get(heading, "default"), "--fleet NEW": "--fleet wider",
                "--epoch-ms E": "--epoch-ms 1704067200000", "--layout T,D,W,S": "--layout 41,5,5,12", "--time NOW": "--time 2026-11-21T00:00:00Z", "12 ID": "12 381741927817609216",
        }.items():
            command = command.replace(old, new)
        command = re.sub(r"-t \d+", "-t 1", command)
        if command.startswith("snowfleet id"):
            command += f" --server 127.0.0.1:{worker.port}"  # said of a worker on the default port
        if "--after-data-loss" in command:
            command += f" --window-ms {WINDOW_MS}"  # not to wait: these workers were drained, so no ID lies above now
        return command

    def run(self, heading, command, text, worker):
        self.ran.add((heading, command))
        words = shlex.split(self.filled(heading, command, worker))
        if words[0] in ("snowfleet", "snowfleetd"):
            words[0] = str(sf.BIN / words[0])
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
        wanted = next((code for (h, c), code in EXITS.items() if h == heading and command.startswith(c)), 0)
        where = f"{heading}: {shlex.join(words)}"
        assert done.returncode == wanted, f"{where}: exit {done.returncode}, not {wanted}\n{done.stdout}\n{done.stderr}"
        output = done.stdout + done.stderr
        for quoted in re.findall(r'"([^"]+)"', text) if wanted == 0 else ():
            assert re.search(pattern(quoted), output), f"{where}: no \"{quoted}\" in\n{output[:6000]}"
        return output

    def run_blocks(self, headings, worker, skip=lambda command: False):
        for heading, command, text in commands():
            if heading in headings and text and command.split()[0] not in OF_THE_HOST and not skip(command):
                self.run(heading, command, text, worker)

    def run_one(self, heading, begin, worker):
        matches = [c for h, c, text in commands() if h == heading and c.startswith(begin) and not text]
        assert matches, f"{heading}: no {begin}"
        return self.run(heading, matches[0], "", worker)


def faults(book, coordinator, ntp):
    first, second, third = book.workers
    special = {"SnowfleetWorkerDown", "SnowfleetWorkerSuspended", "SnowfleetCoordinatorUnreachable", "SnowfleetReservationLow"}
    book.run_blocks({h for h, _, _ in commands()} - special, first)
    third.kill()
    book.run_blocks({"SnowfleetWorkerDown"}, third)
    third.start()
    book.run_one("SnowfleetWorkerDown", "curl -s $ADMIN/readyz", third)
    ntp.faults["offset"] = 5
    second.wait_not_ready()
    book.run_blocks({"SnowfleetWorkerSuspended"}, second)
    ntp.faults["offset"] = 0
    second.wait_ready()
    coordinator.stop_all()
    sf.wait_until(lambda: "unreachable" in first.readyz()[1], "the worker has noticed")
    book.run_blocks({"SnowfleetCoordinatorUnreachable", "SnowfleetReservationLow"}, first)
    coordinator.start_all()
    for worker in book.workers:
        worker.wait_ready()
    book.run_one("SnowfleetReservationLow", "curl -s $ADMIN/readyz", first)


def procedures(book):
    """In an order in which each finds what it needs; the fleet is stopped and made anew in the end."""
    first, second, third = book.workers
    book.run_one("SnowfleetFewReady", "snowfleet id -n 10", first)
    book.run_one("SnowfleetDuplicate", "snowfleet verify", first)
    book.run_one("Procedures", "snowfleet verify", first)
    book.run_one("Procedures", "snowfleet status", first)
    book.run_one("Poisoned slot", "snowfleet slots", first)
    book.run_one("Deploy", "snowfleet init", first)
    book.run_one("Deploy", "snowfleetd --check-config", first)
    book.run_one("Deploy", "curl -s $ADMIN/startupz", first)
    book.run_one("Change a layout", "snowfleet init", first)
    book.run_one("Change a layout", "snowfleet encode", first)
    book.run_one("Change a layout", "snowfleet decode", first)
    # One leaves and comes again.
    for heading, worker in (("Upgrade", third), ("Scale", third), ("SnowfleetErrorsFastBurn", second), ("SnowfleetClockOffset", second),
                            ("SnowfleetDuplicate", third), ("Deploy", second)):
        book.run_one(heading, "snowfleet drain", worker)
        assert worker.process.wait(sf.DEADLINE_S) == 0, heading
        worker.start()
    status = book.run_one("Move to another coordinator", "curl -s $ADMIN/status", first)
    assert '"epoch_ms":1704067200000' in status and '"layout":' in status
    for worker in book.workers:
        book.run_one("Move to another coordinator", "snowfleet drain", worker)
        assert worker.process.wait(sf.DEADLINE_S) == 0
    assert re.search(r"^0 held", book.run_one("Move to another coordinator", "snowfleet slots", first), re.M)
    book.run_one("Move to another coordinator", "snowfleet init", first)
    last = int(book.fleet.tool("encode", "--time", str(int(time.time() * 1000))).stdout)
    book.run_one("The coordinators data was lost or restored", "snowfleet init", first)
    for worker in book.workers:
        worker.start()
    ids = [int(word) for word in book.run_one("SnowfleetFewReady", "snowfleet id -n 10", first).split()]
    assert min(ids) > last, "above everything that was minted"


def check(coordinator):
    ntp = FakeNtp()
    fleet = sf.Fleet(coordinator.url())
    with fleet:
        try:
            fleet.tool("init", "--coordinator", coordinator.url(), "--first")
            book = Book(fleet, coordinator.url())
            for i in range(3):
                options = {"clock-sources": ntp.source, "clock-poll-ms": 500} if i == 1 else {}
                book.workers.append(fleet.worker(options=options).start())
            for worker in book.workers:
                with worker.connect() as c:
                    c.ids(5)
            faults(book, coordinator, ntp)
            procedures(book)
        finally:
            ntp.close()
    left = {(h, c) for h, c, _ in commands() if c.split()[0] not in OF_THE_HOST} - book.ran
    assert not left, "not run: " + "\n".join(map(str, sorted(left)))
    print(f"{len(book.ran)} commands ran")


def main():
    if not coordinators.available("etcd") or shutil.which("curl") is None:
        print("skipped: needs etcd and curl")
        return 77
    with coordinators.start("etcd") as coordinator:
        check(coordinator)
    return 0


if __name__ == "__main__":
    sys.exit(main())
