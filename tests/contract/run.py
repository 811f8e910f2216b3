#!/usr/bin/env python3
"""Starts a real coordinator on free ports, runs the contract suite against it, ends it.

  run.py BACKEND SUITE [--members N] [suite options, e.g. --case race]
  run.py raw BACKEND PORT put|delete PATH      what SF_CONTRACT_RAW points at (put: bytes on standard input)

BACKEND is one of tests/lib/coordinators.py that has servers. Exits 77 when their packages are not there.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import coordinators  # noqa: E402

SKIPPED = 77
BACKENDS = [name for name in coordinators.KINDS if name != "local"]


def dead(pid):
    """Whether a child of ours has ended; whoever started it still waits for it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def run(name, suite, options):
    members = 1
    if "--members" in options:
        at = options.index("--members")
        members = int(options[at + 1])
        del options[at:at + 2]
    if not coordinators.available(name):
        print(f"{name} is not installed here", file=sys.stderr)
        return SKIPPED
    with coordinators.start(name, members) as coordinator:
        env = dict(os.environ,
                   SF_CONTRACT_RAW=f"{sys.executable} -B {os.path.abspath(__file__)} raw {name} {coordinator.ports()[0]}",
                   SF_CONTRACT_PIDS=",".join(str(pid) for pid in coordinator.pids()))
        result = subprocess.run([suite, "--url", coordinator.url(), *options], env=env, check=False).returncode
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
    if len(argv) >= 3 and argv[1] in BACKENDS:
        return run(argv[1], os.path.abspath(argv[2]), argv[3:])
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv))
