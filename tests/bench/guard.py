#!/usr/bin/env python3
"""Guards the data path against growing slower: instructions per request, which do not depend on the machine's mood, against a stored bound.

    guard.py BENCH_SERVER              fails when a figure is above its bound in guard.json by more than the tolerance
    guard.py BENCH_SERVER --update     measures, and stores what was measured as the bounds (say in the commit why they changed)

The server runs under callgrind and serves a fixed number of requests over one connection, twice with different numbers: the difference is free
of start and end. A figure well below its bound is reported, so that the bound can follow it.
"""
import contextlib
import json
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile

BOUNDS = pathlib.Path(__file__).with_name("guard.json")
IDLE = 500  # below the usual limit of open files
# (figure, idle connections beside it, requests in one write, IDs in one request, writes of the short and of the long run)
CASES = (("one request at a time", 0, 1, 1, 500, 2500), ("64 requests in one write", 0, 64, 1, 20, 220),
         ("4 requests for 100 IDs in one write", 0, 4, 100, 50, 550), (f"one request at a time beside {IDLE} idle connections", IDLE, 1, 1, 500, 2500))


def exchange(port, depth, count, writes, idle=0):
    """Sends `writes` times `depth` requests, each time waiting for all answers; every answer must be OK and whole."""
    request_id = 0
    with contextlib.ExitStack() as others, socket.create_connection(("127.0.0.1", port), 30) as s:
        for _ in range(idle):
            others.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(writes):
            s.sendall(b"".join(struct.pack(">IBBHII", 12, 1, 1, 0, request_id + i, count) for i in range(depth)))
            data = b""
            for i in range(depth):
                while len(data) < 4 or len(data) < 4 + struct.unpack_from(">I", data)[0]:
                    more = s.recv(65536)
                    if not more:
                        sys.exit("guard: the server closed the connection")
                    data += more
                size, _, _, status, answered = struct.unpack_from(">IBBHI", data)
                if status != 0 or answered != request_id + i:
                    sys.exit(f"guard: wrong answer: status {status} to request {answered}")
                data = data[4 + size:]
            request_id += depth


def instructions(server, directory, idle, depth, count, writes):
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", server, "--threads", "1", "--slots", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        exchange(int(process.stdout.readline().split()[1]), depth, count, writes, idle)
        process.send_signal(signal.SIGTERM)
        text = process.communicate(timeout=60)[1]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    found = re.search(r"Collected : (\d+)", text)
    if found is None:
        sys.exit(f"guard: callgrind says no count:\n{text[-2000:]}")
    return int(found[1])


def main():
    server, update = sys.argv[1], "--update" in sys.argv[2:]
    stored = json.loads(BOUNDS.read_text()) if BOUNDS.exists() else {"tolerance": 0.08, "instructions_per_request": {}}
    bounds, failed = stored["instructions_per_request"], False
    with tempfile.TemporaryDirectory(prefix="snowfleet-guard-") as directory:
        for name, idle, depth, count, short, long in CASES:
            few, many = (instructions(server, directory, idle, depth, count, writes) for writes in (short, long))
            figure = (many - few) / ((long - short) * depth)
            if update:
                bounds[name] = round(figure, 1)
            bound = bounds[name]
            most = bound * (1 + stored["tolerance"])
            verdict = "too many" if figure > most else "far below the bound: lower it" if figure < bound * (1 - stored["tolerance"]) else "ok"
            print(f"{name}: {figure:.1f} instructions a request, bound {bound} + {stored['tolerance']:.0%}: {verdict}", flush=True)
            failed = failed or figure > most
    if update:
        BOUNDS.write_text(json.dumps(stored, indent=2) + "\n")
    if failed:
        print("If this is meant, run tests/bench/guard.py with --update and say why in the commit.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
