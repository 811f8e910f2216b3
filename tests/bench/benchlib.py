"""Starts the servers that are compared and drives them; reads what they cost from /proc.

Everything is on loopback and free ports, in a temporary directory, and ended by pid.
"""
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
from ports import free_ports  # noqa: E402


def http(port, path):
    """(status, text); status 0 when nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_until(condition, what, deadline_s=30, step_s=0.005):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: not within {deadline_s} s: {what}")
        time.sleep(step_s)


class Process:
    """A child that is measured: processor time of all its threads (ns) and resident memory (bytes)."""

    def __init__(self, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        self.child = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)

    def cpu_ns(self):
        total = 0
        for task in os.listdir(f"/proc/{self.child.pid}/task"):
            with contextlib.suppress(OSError):
                total += int(pathlib.Path(f"/proc/{self.child.pid}/task/{task}/schedstat").read_text().split()[0])
        return total

    def rss(self):
        text = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class Worker(Process):
    def __init__(self, bench, directory, options=(), wait=True, ports=None):
        self.port, self.admin = ports or free_ports(2)
        command = [bench.bin / "snowfleetd", "--fleet-coordinator", f"local://{directory}/coordinator",
                   "--listen-address", f"127.0.0.1:{self.port}", "--admin-address", f"127.0.0.1:{self.admin}",
                   "--reservation-state-dir", f"{directory}/run", *options]
        self.log = open(directory / f"{self.port}.log", "wb")
        super().__init__(command, stderr=self.log)
        if wait:
            wait_until(lambda: http(self.admin, "/readyz")[0] == 200, f"the worker is ready; see {self.log.name}")

    def end(self):
        super().end()
        self.log.close()


class Echo(Process):
    def __init__(self, bench, threads):
        super().__init__([bench.tools / "bench_echo", "--threads", threads], stdout=subprocess.PIPE)
        self.port = int(self.child.stdout.readline().split()[1])


class Redis(Process):
    """fsync: None for a counter that is in memory only and gone with the process; everysec or always for an append-only file."""

    def __init__(self, directory, fsync=None):
        self.port, = free_ports(1)
        kept = ["--appendonly", "yes", "--appendfsync", fsync] if fsync else ["--appendonly", "no"]
        super().__init__(["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", *kept, "--dir", directory,
                          "--maxclients", 10000])

        def answers():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(7) == b"+PONG\r\n"
            return False
        wait_until(answers, "redis answers")


class Bench(contextlib.AbstractContextManager):
    """What all sections share: where programs are, how long and how often, and what has to be ended."""

    def __init__(self, build, rounds, seconds):
        self.bin, self.tools = build / "bin", build / "tests/bench"
        self.rounds, self.seconds = rounds, seconds
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="snowfleet-bench-"))
        self.processes = []
        self.fleets = 0
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))

    def __exit__(self, *_):
        for process in self.processes:
            process.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def started(self, process):
        self.processes.append(process)
        return process

    def end(self, *processes):
        for process in processes:
            process.end()
            self.processes.remove(process)

    def fleet(self):
        """A directory of its own, for the workers of one fleet or for a Redis."""
        self.fleets += 1
        directory = self.directory / f"fleet{self.fleets}"
        directory.mkdir()
        return directory

    def worker(self, *options, fleet=None):
        return self.started(Worker(self, fleet or self.fleet(), options))

    def certificate(self):
        """A key and a certificate for it, self-signed: (certificate, key)."""
        cert, key = self.directory / "cert.pem", self.directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=bench", "-keyout", key, "-out", cert], check=True, capture_output=True)
        key.chmod(0o600)
        return cert, key

    def echo(self, threads=2):
        return self.started(Echo(self, threads))

    def redis(self, fsync=None):
        if shutil.which("redis-benchmark") is None:
            raise SystemExit("bench: redis-server and redis-benchmark are needed (apt-get install redis-server redis-tools)")
        return self.started(Redis(self.fleet(), fsync))

    def load_command(self, port, conns, depth, batch=1, threads=1, rate=0, seconds=None, warmup=0, redis=False, flags=()):
        command = [self.tools / "bench_load", "--port", port, "-c", conns, "-d", depth, "-b", batch, "-T", min(threads, conns),
                   "-t", seconds or self.seconds, "-w", warmup, "--json", *flags]
        return list(map(str, command + (["--rate", rate] if rate else []) + (["--redis"] if redis else [])))

    def load(self, server, conns, depth, **more):
        """One run; adds what the server's processor time was, per request and per ID, and as a share of one core."""
        cpu, began = server.cpu_ns(), time.monotonic()
        run = subprocess.run(self.load_command(server.port, conns, depth, **more), stdout=subprocess.PIPE, text=True, timeout=300,
                             check=False)
        took = time.monotonic() - began
        cpu = server.cpu_ns() - cpu
        if run.returncode != 0 or not run.stdout:
            raise SystemExit(f"bench: bench_load failed with {run.returncode}: {run.stdout}")
        result = json.loads(run.stdout)
        seconds = (more.get("seconds") or self.seconds) + more.get("warmup", 0)
        answers = result["requests_per_s"] * seconds
        result["cpu_ns_per_request"] = cpu / max(answers, 1)
        result["cpu_ns_per_id"] = cpu / max(result["ids_per_s"] * seconds, 1)
        result["core_percent"] = 100 * cpu / 1e9 / took
        return result

    def incr(self, server, conns, depth, threads=1):
        """redis-benchmark's INCR, for about as long as the others run."""
        requests, cpu = 1000 * conns * depth if conns * depth > 64 else 40000, server.cpu_ns()
        requests = int(requests * self.seconds * 2)
        command = ["redis-benchmark", "-p", server.port, "-c", conns, "-P", depth, "-n", requests, "--csv", "-t", "incr"]
        if threads > 1:
            command += ["--threads", threads]
        text = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=True).stdout
        names, values = (list(map(lambda word: word.strip('"'), line.split(","))) for line in text.strip().splitlines()[-2:])
        row = dict(zip(names, values))
        rate = float(row["rps"])
        cpu = server.cpu_ns() - cpu
        return {"requests_per_s": rate, "ids_per_s": rate, "cpu_ns_per_request": cpu / requests, "cpu_ns_per_id": cpu / requests,
                "latency_us": {"p50": float(row["p50_latency_ms"]) * 1000, "p99": float(row["p99_latency_ms"]) * 1000}}


def median(rows, *path):
    """Of one figure over rounds: median(rows, "latency_us", "p99")."""
    values = []
    for row in rows:
        for name in path:
            row = row[name]
        values.append(row)
    return statistics.median(values)


def median_ratio(over, under, *path):
    """The median of each round's ratio: rounds are interleaved, so what disturbs one disturbs both."""
    return statistics.median(median([a], *path) / max(median([b], *path), 1e-9) for a, b in zip(over, under))


def ask(port, count=1, timeout=5):
    """One NEXT on a connection of its own; returns the status and the first ID (None without one)."""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        s.sendall(struct.pack(">IBBHII", 12, 1, 1, 0, 1, count))
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            more = s.recv(65536)
            if not more:
                raise ConnectionResetError("closed by the worker")
            data += more
        status = struct.unpack(">H", data[6:8])[0]
        return status, struct.unpack(">Q", data[12:20])[0] if status == 0 else None
