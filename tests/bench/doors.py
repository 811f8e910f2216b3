#!/usr/bin/env python3
"""What strangers at the door cost those who want in: a worker, and beside it silent connections, half-open handshakes, floods of new connections and of
guessed tokens; what new clients and one that is connected get meanwhile, and the worker's memory.

usage: doors.py [--build build/release] [--silent 2050] [--clients 288] [--seconds 5]
"""
import argparse
import contextlib
import multiprocessing
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import benchlib  # noqa: E402

HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
shut_out = []  # who was not served
NEXT = struct.pack(">IBBHII", 12, 1, 1, 0, 1, 1)


def auth(i):
    token = b"guess%08d" % i
    return struct.pack(">IBBHI", 8 + len(token), 1, 5, 0, i) + token


def answer(s):
    """The code of one answer."""
    data = b""
    while len(data) < 12 or len(data) < 4 + struct.unpack_from(">I", data)[0]:
        more = s.recv(4096)
        if not more:
            raise ConnectionResetError
        data += more
    return struct.unpack_from(">H", data, 6)[0]


def comes_in(port, tls, timeout=10):
    """Seconds until a new client has an ID; None: it has none."""
    began = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            s = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout))
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                s = stack.enter_context(tls.wrap_socket(s, server_hostname="localhost"))
            s.sendall(NEXT)
            return time.monotonic() - began if answer(s) == 0 else None
    except OSError:
        return None


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def told(what, took, worker, before):
    served = [one for one in took if one is not None]
    shut_out.extend(one for one in took if one is None)
    print(f"  {what:62} {len(served)} of {len(took)} served, p50 {percentile(served, 0.5) * 1e3:6.2f} ms, p99 {percentile(served, 0.99) * 1e3:7.2f} ms, "
          f"{before / 1048576:.1f} to {worker.rss() / 1048576:.1f} MiB", flush=True)


def clients(worker, tls, options):
    return [comes_in(worker.port, tls) for _ in range(options.clients)]


def stand_about(worker, tls, options, half, addresses):
    """Connections that say nothing, or half of a hello, and stay."""
    before, crowd = worker.rss(), []
    for i in range(options.silent):
        s = socket.create_connection(("127.0.0.1", worker.port), 20, (f"127.0.0.{2 + i % addresses}", 0))
        with contextlib.suppress(OSError):
            if half:
                s.sendall(HALF_HELLO)
        crowd.append(s)
    took = clients(worker, tls, options)
    kind = ("half of a hello" if half else "silent") + (", TLS" if tls else ", plain")
    told(f"{options.silent} connections, {kind}, {addresses} address{'es' if addresses > 1 else ''}", took, worker, before)
    for s in crowd:
        s.close()


def knock(port, stop, half):
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as s:
            if half:
                s.sendall(HALF_HELLO)


def guess(port, stop, counted):
    i = 0
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as s:
            for _ in range(8):
                s.sendall(auth(i))
                i += 1
                answer(s)
    counted.value = i


@contextlib.contextmanager
def beside(target, *arguments):
    stop = multiprocessing.Event()
    process = multiprocessing.Process(target=target, args=(arguments[0], stop, *arguments[1:]), daemon=True)
    process.start()
    time.sleep(0.3)
    yield
    stop.set()
    process.join(10)
    process.kill()


def certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", directory / "key.pem", "-out", directory / "cert.pem"], check=True, capture_output=True)
    (directory / "key.pem").chmod(0o600)
    return ["--listen-tls-cert", directory / "cert.pem", "--listen-tls-key", directory / "key.pem"], ssl.create_default_context(cafile=str(directory / "cert.pem"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=benchlib.ROOT / "build/release")
    parser.add_argument("--silent", type=int, default=2050)
    parser.add_argument("--clients", type=int, default=288)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with benchlib.Bench(options.build, 1, options.seconds) as bench:
        secured, tls = certificate(bench.directory)
        worker, plain = bench.worker(*secured), bench.worker()
        first = worker.rss()
        print(f"load average {os.getloadavg()[0]:.1f}")
        told("nobody else, TLS", clients(worker, tls, options), worker, first)
        told("nobody else, plain", clients(plain, None, options), plain, plain.rss())
        for half, addresses in ((False, 1), (True, 1), (True, 8)):
            stand_about(worker, tls, options, half, addresses)
        stand_about(plain, None, options, False, 1)
        for half in (False, True):
            before, took = worker.rss(), []
            with beside(knock, worker.port, half):
                end = time.monotonic() + options.seconds
                while time.monotonic() < end:
                    took.append(comes_in(worker.port, tls))
            told("new connections, as fast as one process makes them, " + ("half of a hello" if half else "silent"), took, worker, before)
        benchlib.wait_until(lambda: benchlib.http(worker.admin, "/status")[0] == 200 and '"connections":0' in benchlib.http(worker.admin, "/status")[1].replace(" ", ""),
                            "half-open connections have ended")
        print(f"  memory of the TLS worker at the start and at the end: {first / 1048576:.1f}, {worker.rss() / 1048576:.1f} MiB")
        (bench.directory / "tokens").write_text("team:secret\n")
        (bench.directory / "tokens").chmod(0o600)
        guarded = bench.worker("--listen-token-file", bench.directory / "tokens")
        counted = multiprocessing.Value("q", 0)
        with socket.create_connection(("127.0.0.1", guarded.port), 10) as s:
            s.sendall(struct.pack(">IBBHI", 14, 1, 5, 0, 1) + b"secret")
            assert answer(s) == 0
            took = []
            with beside(guess, guarded.port, counted):
                end = time.monotonic() + options.seconds
                while time.monotonic() < end:
                    began = time.monotonic()
                    s.sendall(NEXT)
                    assert answer(s) == 0
                    took.append(time.monotonic() - began)
                    time.sleep(0.002)
        page = benchlib.http(guarded.admin, "/metrics")[1]
        failed = next(line.split()[1] for line in page.splitlines() if line.startswith("snowfleet_auth_failures_total "))
        log = pathlib.Path(guarded.log.name).read_text().count("server.auth_failed")
        print(f"  {counted.value / options.seconds:,.0f} guesses a second from one address: {failed} compared in all, {log} lines of log; a client that has shown its token waits "
              f"p50 {percentile(took, 0.5) * 1e3:.2f} ms, p99 {percentile(took, 0.99) * 1e3:.2f} ms")
    print(f"FAIL: {len(shut_out)} were not served" if shut_out else "PASS: all were served")
    return 1 if shut_out else 0


if __name__ == "__main__":
    sys.exit(main())
