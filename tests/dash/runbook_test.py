#!/usr/bin/env python3
"""Every command of RUNBOOK.md that one machine can run, run on a real fleet of three on a real etcd: placeholders filled in from a table,
its exit code checked, and every "quoted" piece of output found in what it printed. Entries about a fault are run while the fault is there.
Leaves with 77 without etcd. Needs SF_BIN."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

import yaml

import load

sys.path.insert(0, os.path.join(load.ROOT, "tests/lib"))
sys.path.insert(0, os.path.join(load.ROOT, "tests/system"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

# They need systemd, chronyd, a cluster or a host with clients; what they print is not ours.
OF_THE_HOST = ("journalctl", "chronyc", "timedatectl", "ss", "kubectl")
WINDOW_MS = 2000
SMALL = {"reservation-window-ms": WINDOW_MS, "reservation-min-window-ms": 1000}
FLEET_ID = "01234567-89ab-4cde-8f01-23456789abcd"
LOST = "The coordinators data was lost or restored"
WIPED, PUT_BACK = "The coordinator was wiped", "The coordinator was put back from a backup"
FOR_GOOD = "Wipe a fleet"
STOP, JOB = "Stop a worker", "A Job that runs the tool"
REFUSED, OF_ONE_MACHINE, ADMIN_PORT = "The coordinator refuses us", "A local coordinator", "An admin port does not answer as it should"
# What stops workers is another thing on hosts and on Kubernetes, where they come back by themselves.
BOTH_WAYS = ("SnowfleetDuplicate", FOR_GOOD)

# Spoken of, in full further down.
NAMES = ("snowfleet init --after-data-loss",)

# (heading, beginning of the command): exit codes, where they are others than 0. Of `snowfleet status` 1: somebody who is expected is not ready.
EXITS = {
    ("SnowfleetWorkerDown", "curl -s $ADMIN/livez"): (7,),
    ("SnowfleetWorkerDown", "snowfleet status"): (1,),
    ("SnowfleetWorkerSuspended", "snowfleet status"): (1,),
    ("SnowfleetCoordinatorUnreachable", "snowfleet slots"): (69,),
    ("SnowfleetReservationLow", "snowfleet status --coordinator"): (69,),
    (LOST, "snowfleet status"): (0, 1),  # as long as something is left to spend it is ready
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
            found += [[heading, c, "", False] for c in re.findall(r"`((?:snowfleet|snowfleetd|curl) (?=[^`]*[-$])[^`]*)`", line) if c not in NAMES]
    return [tuple(one[:3]) for one in found]


def pattern(quoted):
    """The regular expression of a quoted piece: ... stands for anything within a line, spaces for at least one."""
    return r"\s+".join(re.escape(word).replace(r"\.\.\.", ".*?") for word in quoted.split())


class Book:
    def __init__(self, fleet, coordinator):
        self.fleet, self.coordinator = fleet, coordinator
        self.workers = []
        self.ran = set()
        self.slot = "0/0"
        self.fleet_id, self.epoch_ms, self.layout = FLEET_ID, 1704067200000, "41,5,5,12"  # as noted

    def filled(self, heading, command, worker):
        if "--fleet-id I" in command and heading == WIPED:
            command = command.replace("--fleet NAME", "--fleet again")
        """NAME is the fleet; where a procedure begins with a new one, another."""
        for old, new in {
                "$ADMIN": f"http://127.0.0.1:{worker.admin}", "$COORD": self.coordinator, "10.0.0.7:7450": f"127.0.0.1:{worker.port}",
                "HOST:PORT": f"127.0.0.1:{worker.port}", "$NEW": self.coordinator,
                "--fleet NAME": "--fleet " + {"Deploy": "deployed", "Move to another coordinator": "moved"}.get(heading, "default"), "--fleet NEW": "--fleet wider",
                "--epoch-ms E": f"--epoch-ms {self.epoch_ms}", "--fleet-id I": f"--fleet-id {self.fleet_id}", " SLOT ": f" {self.slot} ", "--layout T,D,W,S": f"--layout {self.layout}", "--time NOW": "--time 2026-11-21T00:00:00Z", "12 ID": "12 381741927817609216",
        }.items():
            command = command.replace(old, new)
        command = re.sub(r"-t \d+", "-t 1", command)
        if command.startswith("snowfleet id"):
            command += f" --server 127.0.0.1:{worker.port}"  # said of a worker on the default port
        if "--after-data-loss" in command:
            command += f" --max-window-ms {WINDOW_MS}"  # not to wait ten minutes: it is the window that these workers have
        return command

    def run(self, heading, command, text, worker):
        self.ran.add((heading, command))
        words = shlex.split(self.filled(heading, command, worker))
        if words[0] in ("snowfleet", "snowfleetd"):
            words[0] = str(sf.BIN / words[0])
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
        wanted = next((code for (h, c), code in EXITS.items() if h == heading and command.startswith(c)), (0,))
        if command.startswith("snowfleet doctor"):
            wanted = (0, 1)  # it may well find something: nobody vouches for this machine's clock
        where = f"{heading}: {shlex.join(words)}"
        assert done.returncode in wanted, f"{where}: exit {done.returncode}, not {wanted}\n{done.stdout}\n{done.stderr}"
        output = done.stdout + done.stderr
        for quoted in re.findall(r'"([^"]+)"', text) if done.returncode in (0, 1) else ():
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
    sf.wait_until(lambda: second.status()["state"] == "resyncing", second.log)  # it has given its slot back by now
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


def stop_all(book):
    """Here nothing supervises them."""
    for worker in book.workers:
        book.run_one(STOP, "snowfleet drain", worker)
        assert worker.process.wait(sf.DEADLINE_S) == 0


def procedures(book):
    """In an order in which each finds what it needs; the fleet is stopped and made anew in the end."""
    first, second, third = book.workers
    book.run_one("SnowfleetFewReady", "snowfleet id -n 10", first)
    book.run_one("SnowfleetDuplicate", "snowfleet verify", first)
    json.loads(book.run_one("SnowfleetDuplicate", "snowfleet slots", first))
    book.run_one("SnowfleetSlotHeldTwice", "snowfleet status", first)
    book.run_one("Procedures", "snowfleet verify", first)
    book.run_one("Procedures", "snowfleet status", first)
    for heading, begin in ((REFUSED, "snowfleet doctor"), (OF_ONE_MACHINE, "snowfleet doctor"), (OF_ONE_MACHINE, "curl -s $ADMIN/readyz"),
                           (ADMIN_PORT, "snowfleet status")):
        book.run_one(heading, begin, first)
    book.run_one("Poisoned slot", "snowfleet slots", first)
    book.run_one("Deploy", "snowfleet init", first)
    book.run_one("Deploy", "snowfleetd --check-config", first)
    book.run_one("Deploy", "curl -s $ADMIN/startupz", first)
    book.run_one("Change a layout", "snowfleet init", first)
    book.run_one("Change a layout", "snowfleet encode", first)
    book.run_one("Change a layout", "snowfleet decode", first)
    # One leaves and comes again.
    for heading, begin in (("Stop a worker", "snowfleet status"), ("Stop a worker", "snowfleet slots"), ("Stop every worker", "snowfleet slots"),
                           ("Upgrade", "snowfleet doctor"), (PUT_BACK, "snowfleet doctor")):
        book.run_one(heading, begin, first)
    for heading, worker in ((STOP, third), ("SnowfleetLoadImbalance", second)):
        book.run_one(heading, "snowfleet drain", worker)
        assert worker.process.wait(sf.DEADLINE_S) == 0, heading
        worker.start()
    book.run_one("Move to another coordinator", "snowfleet id -n 1", first)
    status = book.run_one("Move to another coordinator", "curl -s $ADMIN/status", first)
    assert '"epoch_ms":1704067200000' in status and '"layout":' in status
    stop_all(book)
    assert re.search(r"^0 held", book.run_one("Move to another coordinator", "snowfleet slots", first), re.M)
    book.run_one("Move to another coordinator", "snowfleet init", first)
    book.run_one("Move to another coordinator", "snowfleet doctor", first)


def single_slots(book, coordinator):
    """One that a dead worker holds, and one whose record is garbage."""
    third = book.workers[2]
    with third.connect() as connection:
        _, datacenter, number, _ = sf.parts(connection.ids(1)[0])
    third.kill()
    book.slot = f"{datacenter}/{number}"
    book.run_one("A slot is leaked", "snowfleet slots --coordinator", third)
    book.run_one("A slot is leaked", "snowfleet slots release", third)
    third.start()
    book.slot = "0/30"
    coordinator.set(coordinator.slot_path("default", 0, 30), "garbage")
    listed = book.run_one("A record is broken", "snowfleet slots --coordinator", third)
    assert re.search(r"^0 +30 +broken", listed, re.M), listed
    book.run_one("A record is broken", "snowfleet slots reset", third)
    assert not re.search(r"^0 +30 +broken", book.run_one("A record is broken", "snowfleet slots --coordinator", third), re.M)


def draw_of(worker, seen):
    """IDs of one; each for the first time."""
    with worker.connect() as connection:
        for identifier in connection.ids(50):
            assert identifier not in seen, f"{identifier} came twice"
            seen.add(identifier)


def draw(book, seen):
    for worker in book.workers:
        draw_of(worker, seen)


def remade(book, seen, token):
    """Everybody mints again, in the new making, and above what was."""
    for worker in book.workers:
        if worker.process.poll() is not None:
            worker.start(ready=False)
    sf.wait_until(lambda: all(worker.readyz()[0] == 200 and worker.status()["token"] not in (None, token) for worker in book.workers),
                  lambda: [(worker.readyz(), worker.log()[-1500:]) for worker in book.workers], 60)
    last = max(seen)
    draw(book, seen)
    fresh = sorted(seen)[-150:]
    assert fresh[0] > last, "above everything that was minted"


def lost_data(book, coordinator, directory):
    """Under workers that live: everything gone, then an older copy put back."""
    for worker in book.workers:
        worker.end()
        worker.options.update(SMALL)
        worker.start()
    seen, first = set(), book.workers[0]
    draw(book, seen)
    token = first.status()["token"]
    coordinator.wipe()
    sf.wait_until(lambda: all(worker.readyz()[0] == 503 for worker in book.workers), lambda: [worker.readyz() for worker in book.workers], 60)
    book.run_one(LOST, "snowfleet status --admin", first)
    book.run_one(WIPED, "snowfleet init --coordinator $COORD --fleet NAME --after-data-loss --yes --ask", first)
    remade(book, seen, token)
    book.run_one(WIPED, "snowfleet init --coordinator $COORD --fleet NAME --after-data-loss --yes --fleet-id", first)
    directory.mkdir()
    coordinator.save(directory)
    third = book.workers[2]
    assert third.term() == 0  # what the copy knows of it is out of date now
    third.start()
    draw(book, seen)
    token = first.status()["token"]
    coordinator.restore(directory)
    book.run_one(PUT_BACK, "snowfleet slots", first)
    sf.wait_until(lambda: any("fleet.lost" in worker.log() or "fleet.halted" in worker.log() for worker in book.workers),
                  lambda: [worker.log()[-1500:] for worker in book.workers], 60)
    book.run_one(PUT_BACK, "snowfleet init", first)
    remade(book, seen, token)
    book.run_one(PUT_BACK, "snowfleet init --coordinator $COORD --fleet NAME --if-missing", first)
    return seen


def wiped_for_good(book, coordinator, seen):
    """Everybody is drained but one who was forgotten; then somebody wants the name again."""
    first, forgotten = book.workers[0], book.workers[2]
    # They may be ready with the rest of the making before, and wait for the new one's floor when that is spent.
    time.sleep(2 * WINDOW_MS / 1000)
    for worker in book.workers:
        worker.wait_ready()
    said = book.run_one(FOR_GOOD, "curl -s $ADMIN/status", first)
    fleet = {name: json.loads(said)[name] for name in ("fleet_id", "epoch_ms", "layout", "token")}
    book.run_one(FOR_GOOD, "snowfleet id -n 1", first)
    draw(book, seen)
    stop_all(book)
    assert re.search(r"^0 held", book.run_one(FOR_GOOD, "snowfleet slots", first), re.M)
    forgotten.start()
    draw_of(forgotten, seen)
    coordinator.wipe()
    sf.wait_until(lambda: "slot.gone" in forgotten.log(), forgotten.log, 60)
    assert forgotten.readyz()[0] == 503, forgotten.readyz()
    assert "snowfleet_fleet_halted 0" in sf.http(f"http://127.0.0.1:{forgotten.admin}/metrics")[1]
    book.fleet_id, book.layout, book.epoch_ms = fleet["fleet_id"], ",".join(str(fleet["layout"][k]) for k in ("timestamp", "datacenter", "worker", "sequence")), fleet["epoch_ms"]
    book.run_one(FOR_GOOD, "snowfleet init", first)
    remade(book, seen, fleet["token"])
    assert all(worker.status()["fleet_id"] == fleet["fleet_id"] for worker in book.workers)


VERBS = {"get", "logs", "exec", "port-forward", "delete", "scale", "describe", "rollout", "annotate", "wait", "apply", "cordon", "uncordon"}


def check_job(ran):
    """The manifest is one that the restricted profile takes, and each line of its table a command that a procedure ran."""
    text = sections()[JOB]
    job = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S).group(1))
    pod = job["spec"]["template"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "init"  # whom the chart's network policy lets in
    assert pod["spec"]["securityContext"]["runAsNonRoot"] and pod["spec"]["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    container = pod["spec"]["containers"][0]
    assert container["command"] == ["/usr/bin/snowfleet"] and pod["spec"]["restartPolicy"] == "Never"
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    rows = re.findall(r"^\| [^|]+ \| `\[([^`]*)\]`", text, re.M)
    assert len(rows) >= 5, rows
    known = {re.sub(r"--ask \S+", "--ask X", command) for _, command in ran}
    for row in [*rows, ", ".join(container["args"])]:
        command = "snowfleet " + row.replace("T,D,W,S", "TDWS").replace(",", "").replace("TDWS", "T,D,W,S")
        plain = re.sub(r"--ask \S+", "--ask X", command)
        plain = plain.replace(" --fleet NAME", "") if "doctor" in plain else plain
        assert plain in known, f"{JOB}: no procedure runs {command}"


def sections():
    """heading: its text, as far as the next heading."""
    with open(os.path.join(load.ROOT, "RUNBOOK.md"), encoding="utf-8") as f:
        parts = re.split(r"^#+ (.*)$", f.read(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def check_words():
    """What is said of Kubernetes exists in the chart, and nothing tells people what was true before there were tokens."""
    found = sections()
    for heading in BOTH_WAYS:
        for needed in ("systemctl", "kubectl scale deployment/RELEASE-snowfleet", "token"):
            assert needed in found[heading], f"{heading}: no word of {needed}"
    whole = "".join(found.values())
    with open(os.path.join(load.ROOT, "helm/snowfleet/values.schema.json"), encoding="utf-8") as f:
        schema = json.load(f)
    for path in re.findall(r"--set ([\w.]+)=", whole):
        at = schema
        for part in path.split("."):
            assert part in at.get("properties", {}), f"RUNBOOK.md: --set {path}: the chart has no such value"
            at = at["properties"][part]
    for heading, text in found.items():
        assert not heading.startswith("Snowfleet") or "snowfleet bench" not in text, f"{heading}: no load test on production"
        assert heading == STOP or not re.search(r"snowfleet drain [^`]*--wait", text), f"{heading}: a supervisor undoes drain alone: say stop"
        for verb in re.findall(r"kubectl (?:-\S+ )?([a-z-]+)", text):
            assert verb in VERBS, f"{heading}: kubectl {verb}"
        for name in re.findall(r"(?:deployment/|kubectl get deployment )([\w-]+)", text):
            assert name == "RELEASE-snowfleet", f"{heading}: the chart has no deployment {name}"
    for heading in (LOST, WIPED, PUT_BACK, FOR_GOOD):
        for command in re.findall(r"`(snowfleet init [^`]*-[^`]*)`", found[heading]):
            assert "--after-data-loss" in command or "--if-missing" in command, f"{heading}: {command}"


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
            for worker in book.workers:
                if worker.process.poll() is not None:
                    worker.start()
            single_slots(book, coordinator)
            seen = lost_data(book, coordinator, fleet.directory / "copy")
            wiped_for_good(book, coordinator, seen)
        finally:
            ntp.close()
    left = {(h, c) for h, c, _ in commands() if c.split()[0] not in OF_THE_HOST} - book.ran
    assert not left, "not run: " + "\n".join(map(str, sorted(left)))
    check_job(book.ran)
    print(f"{len(book.ran)} commands ran")


def main():
    check_words()
    if not coordinators.available("etcd") or shutil.which("curl") is None:
        print("skipped: needs etcd and curl")
        return 77
    with coordinators.start("etcd") as coordinator:
        check(coordinator)
    return 0


if __name__ == "__main__":
    sys.exit(main())
