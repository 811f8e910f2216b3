"""Probe and chronyd for the tests of the clock."""
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time

BUILD = os.environ.get("SF_BUILD_DIR", os.path.join(os.path.dirname(__file__), "../../build/dev"))
PROBE = os.path.join(BUILD, "bin/probe_clock")


def find(program):
    """The program's path: from $<PROGRAM>, the PATH, or where administrators' programs live; None without it."""
    given = os.environ.get(program.upper())
    places = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
    return given if given else shutil.which(program, path=places)


def kernel_is_synchronised():
    """Whether somebody keeps this machine's clock, as adjtimex(2) tells (STA_UNSYNC)."""
    answer = (ctypes.c_byte * 512)()  # a struct timex, asked for nothing
    ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(answer))
    status_at = 5 * ctypes.sizeof(ctypes.c_long)
    return not ctypes.c_int.from_buffer(answer, status_at).value & 0x40


def free_udp_port(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


class Probe:
    """probe_clock, whose lines are read as they come."""

    def __init__(self, *sources, poll_ms=100, warn_ms=100, max_ms=1000, require_sync=False, coordinator="-",
                 env=None):
        args = [PROBE, str(poll_ms), str(warn_ms), str(max_ms), str(int(require_sync)), str(coordinator), *sources]
        self.started = time.monotonic()
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env)
        self.buffer = b""
        self.seen = []

    def next(self, timeout=20):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError("the probe says nothing")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise AssertionError("the probe ended: %s" % self.process.stderr.read().decode())
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        snapshot = json.loads(line)
        self.seen.append(snapshot)
        return snapshot

    def until(self, condition, what, timeout=30):
        deadline = time.monotonic() + timeout
        snapshot = None
        while time.monotonic() < deadline:
            snapshot = self.next()
            if condition(snapshot):
                return snapshot
        raise AssertionError("not within %d s: %s; last: %s" % (timeout, what, json.dumps(snapshot)))

    def until_state(self, state, timeout=30):
        return self.until(lambda s: s["state"] == state, state, timeout)

    def stay(self, seconds, condition, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            snapshot = self.next()
            if not condition(snapshot):
                raise AssertionError("not any more: %s: %s" % (what, json.dumps(snapshot)))
        return snapshot

    def close(self):
        """Ends it; returns its exit code."""
        if self.process.stdout.closed:
            return self.process.returncode
        self.process.stdin.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:  # what it still says must not block it
            if select.select([self.process.stdout], [], [], 0.1)[0] and \
                    not os.read(self.process.stdout.fileno(), 65536):
                break
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode


class Chronyd:
    """A real chronyd that leaves the system clock alone. Each needs an address of its own."""

    def __init__(self, folder, name, address, servers=(), local=None):
        self.address = address
        self.port = free_udp_port(address)
        self.cmdport = free_udp_port("127.0.0.1")
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder, 0o770)
        self.socket = os.path.join(self.folder, "chronyd.sock")
        lines = ["port %d" % self.port, "cmdport %d" % self.cmdport, "bindaddress %s" % address,
                 "bindcmdaddress 127.0.0.1", "bindcmdaddress %s" % self.socket, "allow 127.0.0.0/8", "user root",
                 "pidfile %s/pid" % self.folder, "driftfile %s/drift" % self.folder]
        if local:
            lines.append("local stratum %d" % local)
        lines += ["server %s port %d iburst minpoll 0 maxpoll 0 %s" % (a, p, more) for a, p, more in servers]
        self.config = os.path.join(self.folder, "chrony.conf")
        with open(self.config, "w") as f:
            f.write("\n".join(lines) + "\n")
        self.process = None
        self.start()

    def start(self):
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen([find("chronyd"), "-4", "-x", "-d", "-f", self.config], stdout=self.log,
                                        stderr=self.log)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self.process:
            self.log.close()
        self.process = None
        for left in (self.socket, os.path.join(self.folder, "pid")):
            if os.path.exists(left):
                os.unlink(left)
