#!/usr/bin/env python3
"""What a modest client waits for beside many greedy ones, by what these ask for: a worker, 200 connections that are kept full of one kind
of request, and one connection that asks for one ID at a time. What is promised: its 99th percentile is at most three times that beside
greedy one-ID NEXT. Where other work wants the cores a 99th percentile says how long the scheduler kept a process waiting; unit.server_greedy counts
processor time instead.

usage: greedy.py [--build build/release] [--connections 200] [--seconds 3] [--rounds 3] [--only NAME,...] [--factor 3]
"""
import argparse
import multiprocessing
import os
import pathlib
import selectors
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import benchlib  # noqa: E402

CHUNK = 1 << 16
PAUSE_S = 0.002  # between two requests of the modest client


def frame(kind, code=0, body=b""):
    return struct.pack(">IBBHI", 8 + len(body), 1, kind, code, 1) + body


def http(path, fields=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode()


KINDS = {  # name: (port, one request)
    "NEXT for one ID": ("data", frame(1, 0, struct.pack(">I", 1))),
    "NEXT for 500 IDs": ("data", frame(1, 0, struct.pack(">I", 500))),
    "NEXT for 65,536 IDs": ("data", frame(1, 0, struct.pack(">I", 65536))),
    "NEXT with AFTER": ("data", frame(1, 1, struct.pack(">IQ", 1, 1))),
    "NEXT with AFTER, far ahead": ("data", frame(1, 1, struct.pack(">IQ", 1, (1 << 62) + 1))),
    "NEXT for no ID": ("data", frame(1, 0, struct.pack(">I", 0))),
    "PING, 0 bytes": ("data", frame(2)),
    "PING, 256 bytes": ("data", frame(2, 0, bytes(256))),
    "INFO": ("data", frame(3)),
    "TIME": ("data", frame(4)),
    "AUTH": ("data", frame(5, 0, bytes(200))),
    "an unknown type": ("data", frame(0x3D)),
    "HTTP, one ID": ("http", http("/v1/ids")),
    "HTTP, 500 IDs": ("http", http("/v1/ids?count=500")),
    "HTTP, 65,536 IDs": ("http", http("/v1/ids?count=65536")),
    "HTTP, decode": ("http", http("/v1/decode/382138005323788288")),
    "HTTP, nothing there": ("http", http("/nothing")),
}


def be_greedy(port, request, connections, stop, begun):
    """Keeps every connection full, and reads what comes as fast as it can; one that is closed is made anew."""
    chunk = request * max(1, CHUNK // len(request))
    selector = selectors.DefaultSelector()
    sink = bytearray(1 << 20)

    def connect():
        s = socket.create_connection(("127.0.0.1", port), 10)
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE, [0, None])
    for _ in range(connections):
        connect()
    begun.set()
    while not stop.is_set():
        for key, events in selector.select(0.1):
            s, state = key.fileobj, key.data
            try:
                if events & selectors.EVENT_READ and s.recv_into(sink) == 0:
                    raise ConnectionResetError
                if events & selectors.EVENT_WRITE:
                    state[0] = (state[0] + s.send(memoryview(chunk)[state[0]:])) % len(chunk)
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(s)
                s.close()
                connect()


def be_modest(port, seconds):
    """Seconds from each request to its ID; a refusal that says to come again later is waited out and counts."""
    took, one = [], frame(1, 0, struct.pack(">I", 1))
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began, code = time.monotonic(), None
            while code != 0:
                s.sendall(one)
                answer = s.recv(4096)
                while len(answer) < 12 or len(answer) < 4 + struct.unpack_from(">I", answer)[0]:
                    answer += s.recv(4096)
                code = struct.unpack_from(">H", answer, 6)[0]
                if code != 0:
                    time.sleep(struct.unpack_from(">I", answer, 12)[0] / 1000)
            took.append(time.monotonic() - began)
            time.sleep(PAUSE_S)
    return took


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(ports, kind, options):
    """What each request of the modest client took beside this kind."""
    port, request = KINDS[kind]
    stop, begun = multiprocessing.Event(), multiprocessing.Event()
    greedy = multiprocessing.Process(target=be_greedy, args=(ports[port], request, options.connections, stop, begun), daemon=True)
    greedy.start()
    try:
        if not begun.wait(30):
            raise SystemExit("the greedy connections could not be made")
        time.sleep(0.5)
        return be_modest(ports["data"], options.seconds)
    finally:
        stop.set()
        greedy.join(20)
        greedy.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=benchlib.ROOT / "build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--factor", type=float, default=3)
    parser.add_argument("--only", type=lambda text: text.split(","), help="kinds beside the first, by how their names begin")
    options = parser.parse_args()
    names = [name for i, name in enumerate(KINDS) if i == 0 or not options.only or any(name.startswith(one) for one in options.only)]
    seen = {name: [] for name in names}
    with benchlib.Bench(options.build, options.rounds, options.seconds) as bench:
        http_port, = benchlib.free_ports(1)
        worker = bench.worker("--listen-http-address", f"127.0.0.1:{http_port}", "--listen-threads", 2)
        ports = {"data": worker.port, "http": http_port}
        for _ in range(options.rounds):
            for name in names:
                seen[name].append(measure(ports, name, options))
    print(f"{options.connections} greedy connections, {options.rounds} rounds of {options.seconds:g} s, load average {os.getloadavg()[0]:.1f}")
    usual, failed = None, []
    for name in names:
        every = [one for took in seen[name] for one in took]
        p50, p99 = percentile(every, 0.5), percentile(every, 0.99)
        usual = usual or p99
        print(f"  {name:28} p50 {p50 * 1e3:7.1f} ms  p99 {p99 * 1e3:7.1f} ms  {p99 / usual:5.2f} times   ({len(every)} requests; each round's p99 "
              + ", ".join(f"{percentile(took, 0.99) * 1e3:.0f}" for took in seen[name]) + ")")
        if p99 > options.factor * usual:
            failed.append(name)
    print(f"FAIL: over {options.factor:g} times beside {', '.join(failed)}" if failed else f"PASS: at most {options.factor:g} times that beside {names[0]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
