"""Starts workers and speaks their protocol, for the multi-process tests.

Everything is on loopback and free ports, in a temporary directory, and ended by pid. The protocol code here is written from docs/protocol.md,
not from src/: it is the other half of every conversation.
"""
import contextlib
import http.client as http_client
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import processes
from ports import free_ports  # noqa: F401 (also for those who import this module)

BIN = pathlib.Path(os.environ.get("SF_BIN", pathlib.Path(__file__).resolve().parents[2] / "build/dev/bin"))
DEADLINE_S = float(os.environ.get("SF_DEADLINE_S", "30"))  # generous: machines differ

NEXT, PING, INFO, TIME, AUTH = 1, 2, 3, 4, 5
OK, BAD_REQUEST, UNSUPPORTED, TOO_LARGE, NOT_READY, CLOCK, OVERLOADED, RATE_LIMITED, DRAINING, DENIED, CAUSALITY, INTERNAL = range(12)
GOAWAY = 0xC0
ERROR = 0xBF


def wait_until(condition, what, deadline_s=DEADLINE_S, step_s=0.01):
    """Polls until the condition is true; returns its value and fails the test with `what` otherwise."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what() if callable(what) else what}")
        time.sleep(step_s)


def http(url, method="GET", timeout=DEADLINE_S):
    """Returns (status, text); status 0 when nothing answers, or only half of it."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, http_client.HTTPException) as error:
        return 0, repr(error)


def frame(kind, code, request_id, body=b"", version=1):
    return struct.pack(">IBBHI", 8 + len(body), version, kind, code, request_id) + body


def next_frame(request_id, count=1, after=None):
    body = struct.pack(">I", count) + (struct.pack(">Q", after) if after is not None else b"")
    return frame(NEXT, 1 if after is not None else 0, request_id, body)


class Answer:
    def __init__(self, kind, code, request_id, body):
        self.kind, self.code, self.request_id, self.body = kind, code, request_id, body

    def runs(self):
        assert len(self.body) % 12 == 0, len(self.body)
        return [struct.unpack_from(">QI", self.body, i) for i in range(0, len(self.body), 12)]

    def ids(self):
        return [first + k for first, count in self.runs() for k in range(count)]

    def reason(self):
        return self.body[4:].decode()

    def retry_after_ms(self):
        return struct.unpack_from(">I", self.body)[0]


class Connection:
    """One connection, by TCP or to a UNIX socket (path; "@name" is an abstract one); send frames, read answers in order. Pushes are kept in
    `pushes`."""

    def __init__(self, port=None, host="127.0.0.1", timeout=DEADLINE_S, path=None):
        if path is None:
            self.socket = socket.create_connection((host, port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect("\0" + path[1:] if path.startswith("@") else path)
        self.buffer = b""
        self.pushes = []
        self.next_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _fill(self, size):
        while len(self.buffer) < size:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionResetError("closed by the worker")
            self.buffer += data

    def read(self):
        """The next answer, pushes put aside."""
        while True:
            self._fill(12)
            length, _, kind, code, request_id = struct.unpack_from(">IBBHI", self.buffer)
            self._fill(4 + length)
            answer = Answer(kind, code, request_id, self.buffer[12:4 + length])
            self.buffer = self.buffer[4 + length:]
            if kind < 0xC0:
                return answer
            self.pushes.append(answer)

    def ask(self, kind, code=0, body=b""):
        self.next_id += 1
        self.send(frame(kind, code, self.next_id, body))
        answer = self.read()
        assert answer.request_id == self.next_id, (answer.request_id, self.next_id)
        return answer

    def ids(self, count=1, after=None):
        """IDs, or raises Refused with the status."""
        body = struct.pack(">I", count) + (struct.pack(">Q", after) if after is not None else b"")
        answer = self.ask(NEXT, 1 if after is not None else 0, body)
        if answer.code != OK:
            raise Refused(answer)
        ids = answer.ids()
        assert len(ids) == count
        return ids


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(f"status {answer.code}: {answer.reason()}")
        self.answer = answer


class Worker:
    """One snowfleetd. Options are flags by name: {"fleet-worker": "3"}."""

    def __init__(self, directory, name, coordinator, options=None, env=None, data_port=None, admin_port=None, wrap=()):
        self.directory, self.name, self.coordinator = pathlib.Path(directory), name, coordinator
        ports = free_ports(2)
        self.port, self.admin = data_port or ports[0], admin_port or ports[1]
        self.options, self.env, self.wrap = dict(options or {}), dict(env or {}), list(wrap)
        self.process = None
        self.starts = 0

    def command(self):
        options = {"fleet-coordinator": self.coordinator, "fleet-node": self.name, "listen-address": f"127.0.0.1:{self.port}",
                   "admin-address": f"127.0.0.1:{self.admin}", "reservation-state-dir": str(self.directory / "state")}
        options.update(self.options)
        return self.wrap + [str(BIN / "snowfleetd")] + [word for key, value in options.items() for word in (f"--{key}", str(value))]

    def start(self, ready=True):
        self.starts += 1
        self.log_path = self.directory / f"{self.name}.{self.starts}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.env})
        if ready:
            self.wait_ready()
        return self

    def log(self):
        return self.log_path.read_text(errors="replace")

    def readyz(self):
        return http(f"http://127.0.0.1:{self.admin}/readyz?verbose")

    def wait_ready(self, deadline_s=DEADLINE_S):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
            return self.readyz()[0] == 200
        wait_until(ready, lambda: f"{self.name} ready; {self.readyz()}\n{self.log()}", deadline_s)

    def wait_not_ready(self, deadline_s=DEADLINE_S):
        wait_until(lambda: self.readyz()[0] == 503, lambda: f"{self.name} not ready; {self.readyz()}", deadline_s)

    def status(self):
        code, text = http(f"http://127.0.0.1:{self.admin}/status")
        assert code == 200, (code, text)
        return json.loads(text)

    def metric(self, name):
        """The value of one series, by its full name with labels."""
        for line in http(f"http://127.0.0.1:{self.admin}/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def connect(self):
        return Connection(self.port)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def term(self, deadline_s=DEADLINE_S):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(deadline_s)

    def pause(self):
        processes.pause(self.process.pid)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class Fleet(contextlib.AbstractContextManager):
    """A temporary directory and everything that was started in it."""

    def __init__(self, coordinator=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="snowfleet-test-"))
        self.coordinator = coordinator or f"local://{self.directory / 'coordinator'}"
        self.workers = []

    def worker(self, name=None, **more):
        worker = Worker(self.directory, name or f"w{len(self.workers)}", more.pop("coordinator", self.coordinator), **more)
        self.workers.append(worker)
        return worker

    def tool(self, *arguments, check=True, **more):
        result = subprocess.run([str(BIN / "snowfleet"), *map(str, arguments)], capture_output=True, text=True, check=False, **more)
        if check and result.returncode != 0:
            raise AssertionError(f"snowfleet {arguments}: exit {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def __exit__(self, kind, value, trace):
        for worker in self.workers:
            worker.end()
        if kind is not None:
            for worker in self.workers:
                if worker.starts:
                    print(f"--- {worker.name} ---\n{worker.log()[-4000:]}", file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)


def parts(identifier, layout=(41, 5, 5, 12)):
    """(timestamp, datacenter, worker, sequence) of an ID."""
    _, d, w, s = layout
    return (identifier >> (d + w + s), identifier >> (w + s) & (1 << d) - 1, identifier >> s & (1 << w) - 1, identifier & (1 << s) - 1)
