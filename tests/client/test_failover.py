#!/usr/bin/env python3
"""Three real workers and a client in tight loops: kill, stop, drain and restart workers; no call fails, no ID comes twice.

Usage: test_failover.py CLIENT_LOOP SNOWFLEETD SNOWFLEET
"""
import array
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_ports  # noqa: E402

LOOP, DAEMON, SNOWFLEET = sys.argv[1:4]
del sys.argv[1:4]
# Generous where the machine is shared; the figures measured are printed.
SLOW = float(os.environ.get("SNOWFLEET_TEST_SLOW", "1"))


class Fleet:
    def __init__(self, directory, count=3):
        self.directory = directory
        ports = free_ports(2 * count)
        self.data, self.admin = ports[:count], ports[count:]
        self.processes = [None] * count
        for i in range(count):
            self.start(i)
        for i in range(count):
            self.wait_ready(i)

    @property
    def servers(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.data)

    def start(self, i):
        log = open(os.path.join(self.directory, f"log{i}"), "a")
        self.processes[i] = subprocess.Popen(
            [DAEMON, "--fleet-coordinator", f"local://{self.directory}/c", "--listen-address", f"127.0.0.1:{self.data[i]}",
             "--admin-address", f"127.0.0.1:{self.admin[i]}", "--reservation-state-dir", f"{self.directory}/s{i}",
             "--listen-threads", "1", "--fleet-node", f"node{i}"], stderr=log, stdin=subprocess.DEVNULL)
        log.close()

    def wait_ready(self, i):
        for _ in range(300):
            done = subprocess.run([SNOWFLEET, "id", "--server", f"127.0.0.1:{self.data[i]}", "--timeout-ms", "200"],
                                  capture_output=True)
            if done.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError(f"worker {i} is not ready: {open(os.path.join(self.directory, f'log{i}')).read()}")

    def signal(self, i, number):
        self.processes[i].send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.processes[i].wait(30)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


class Loop:
    """client_loop with its IDs collected."""

    def __init__(self, servers, threads=2, pause_us=0):
        self.process = subprocess.Popen([LOOP, servers, str(threads), str(pause_us)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.parts = []
        self.errors = b""
        self.readers = [threading.Thread(target=self.read), threading.Thread(target=self.read_errors)]
        for each in self.readers:
            each.start()

    def read(self):
        while True:
            part = self.process.stdout.read1(1 << 16)
            if not part:
                return
            self.parts.append(part)

    def read_errors(self):
        self.errors = self.process.stderr.read()

    def stop(self):
        self.process.stdin.close()
        for each in self.readers:
            each.join(60)
        self.process.stdout.close()
        self.process.stderr.close()
        assert self.process.wait(60) == 0, self.errors
        ids = array.array("Q", b"".join(self.parts))
        assert len(set(ids)) == len(ids), "an ID came twice"
        figures = json.loads(self.errors.splitlines()[-1])
        if figures["failed"]:
            raise AssertionError(self.errors.decode()[-3000:])
        assert figures["order_errors"] == 0 and figures["calls"] == len(ids)
        return figures


class Failover(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="snowfleet-failover.")
        self.addCleanup(shutil.rmtree, self.directory)
        self.fleet = Fleet(self.directory)
        self.addCleanup(self.fleet.close)

    def disturb(self, name, disturbance, bound_ms):
        loop = Loop(self.fleet.servers)
        try:
            time.sleep(0.5)
            disturbance()
            time.sleep(1)
        finally:
            figures = loop.stop()
        print(f"{name}: {figures}", file=sys.stderr)
        self.assertLess(figures["longest_ms"], bound_ms * SLOW)

    def test_kill(self):
        def kill():
            for i in range(3):
                self.fleet.signal(i, signal.SIGKILL)
                time.sleep(0.3)
                self.fleet.start(i)
                self.fleet.wait_ready(i)
        self.disturb("kill -9 of each in turn", kill, 200)

    def test_stop(self):
        def stop():
            for i in (0, 1):
                self.fleet.signal(i, signal.SIGSTOP)
                time.sleep(1.5)
                self.fleet.signal(i, signal.SIGCONT)
                time.sleep(0.5)
        self.disturb("SIGSTOP for 1.5 s, twice", stop, 400)

    def test_rolling_restart(self):
        def roll():
            for i in range(3):
                self.fleet.signal(i, signal.SIGTERM)
                self.assertEqual(self.fleet.processes[i].returncode, 0)
                self.fleet.start(i)
                self.fleet.wait_ready(i)
        self.disturb("rolling restart", roll, 300)

    def test_all_down(self):
        loop = subprocess.Popen([LOOP, self.fleet.servers, "1", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        try:
            self.assertEqual(len(loop.stdout.read(8000)), 8000)
            for i in range(3):
                self.fleet.signal(i, signal.SIGKILL)
            drained = threading.Thread(target=self.wait_for_silence, args=(loop,))
            drained.start()
            drained.join()
            before = self.cpu_s(loop.pid)
            time.sleep(3)
            used = self.cpu_s(loop.pid) - before
            self.fleet.start(1)
            begin = time.monotonic()
            got = loop.stdout.read1(8)
            print(f"all down: {used / 3 * 100:.2f} % CPU; first ID {time.monotonic() - begin:.3f} s after the start of a worker",
                  file=sys.stderr)
            self.assertEqual(len(got), 8)
            self.assertLess(used / 3, 0.03 * SLOW)
        finally:
            loop.stdin.close()
            threading.Thread(target=loop.stdout.read).start()
            errors = loop.stderr.read().decode()
            loop.wait(60)
            loop.stdout.close()
            loop.stderr.close()
        self.assertIn("UNREACHABLE", errors)

    @staticmethod
    def cpu_s(pid):
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def wait_for_silence(loop):
        os.set_blocking(loop.stdout.fileno(), False)
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 0.5:
            try:
                if os.read(loop.stdout.fileno(), 1 << 16):
                    quiet_since = time.monotonic()
                    continue
            except BlockingIOError:
                pass
            time.sleep(0.01)
        os.set_blocking(loop.stdout.fileno(), True)


if __name__ == "__main__":
    unittest.main(verbosity=1)
