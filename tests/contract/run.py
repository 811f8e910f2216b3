#!/usr/bin/env python3
"""Starts a real coordinator on free ports, runs the contract suite against it, ends it.

  run.py BACKEND SUITE [--members N] [--disturb] [suite options, e.g. --case race]
  run.py raw BACKEND PORT put|delete PATH      what SF_CONTRACT_RAW points at (put: bytes on standard input)
  run.py cut BACKEND PORTS PIDS                what SF_CONTRACT_CUT points at: another member leads from now on

--disturb: all the while one member or another that does not lead is stopped for a moment. BACKEND is one of
tests/lib/coordinators.py that has servers. Exits 77 when their packages are not there.
"""
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import coordinators  # noqa: E402

SKIPPED = 77
BACKENDS = [name for name in coordinators.KINDS if name != "local"]


def dead(pid):
    """Whether a child of ours has ended; whoever started it still waits for it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@contextlib.contextmanager
def disturbed(coordinator):
    """Short enough that no connection is given up: what is under way is late, and who reads there reads old things."""
    leader_at = coordinators.KINDS[coordinator.name].leader_at
    over = threading.Event()

    def disturb():
        while not over.wait(0.5):
            leader = leader_at(coordinator.ports())
            if leader is None:
                continue
            pid = random.choice([pid for i, pid in enumerate(coordinator.pids()) if i != leader])
            os.kill(pid, signal.SIGSTOP)
            over.wait(random.uniform(0.1, 0.4))  # etcd's backend turns to another member after 0.7 s without an answer
            os.kill(pid, signal.SIGCONT)
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def environment(coordinator):
    own = f"{sys.executable} -B {os.path.abspath(__file__)}"
    ports, pids = (",".join(map(str, numbers)) for numbers in (coordinator.ports(), coordinator.pids()))
    env = dict(os.environ, SF_CONTRACT_RAW=f"{own} raw {coordinator.name} {coordinator.ports()[0]}", SF_CONTRACT_PIDS=pids)
    if coordinator.members > 1:
        env["SF_CONTRACT_CUT"] = f"{own} cut {coordinator.name} {ports} {pids}"
    return env


def run(name, suite, options):
    members, disturb = 1, "--disturb" in options
    if "--members" in options:
        at = options.index("--members")
        members = int(options[at + 1])
        del options[at:at + 2]
    if disturb:
        options.remove("--disturb")
    if not coordinators.available(name):
        print(f"{name} is not installed here", file=sys.stderr)
        return SKIPPED
    with coordinators.start(name, members) as coordinator:
        with disturbed(coordinator) if disturb else contextlib.nullcontext():
            result = subprocess.run([suite, "--url", coordinator.url(), *options], env=environment(coordinator), check=False).returncode
        for pid in coordinator.pids():
            if dead(pid):
                print(f"a server ({pid}) died", file=sys.stderr)
                result = result or 1
        return result


def main(argv):
    if len(argv) == 6 and argv[1] == "raw" and argv[2] in BACKENDS and argv[4] in ("put", "delete"):
        content = sys.stdin.buffer.read() if argv[4] == "put" else None
        coordinators.KINDS[argv[2]].change_at(int(argv[3]), argv[5], content)
        return 0
    if len(argv) == 5 and argv[1] == "cut" and argv[2] in BACKENDS:
        ports, pids = ([int(number) for number in numbers.split(",")] for numbers in argv[3:])
        coordinators.stop_the_leader(coordinators.KINDS[argv[2]].leader_at, ports, pids)
        return 0
    if len(argv) >= 3 and argv[1] in BACKENDS:
        return run(argv[1], os.path.abspath(argv[2]), argv[3:])
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv))
