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
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_ports  # noqa: E402

LOOP, DAEMON, SNOWFLEET = sys.argv[1:4]
del sys.argv[1:4]
# Generous where the machine is shared; the figures measured are printed.
SLOW = float(os.environ.get("SNOWFLEET_TEST_SLOW", "1"))
# In a network namespace of its own the test may drop packets.
PRIVATE = os.environ.get("SF_PRIVATE_NETWORK") == "1"


def nft(rules):
    subprocess.run(["nft", rules], check=True)



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

    def add(self):
        data, admin = free_ports(2)
        self.data.append(data)
        self.admin.append(admin)
        self.processes.append(None)
        self.start(len(self.data) - 1)
        self.wait_ready(len(self.data) - 1)

    def minted(self, i):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin[i]}/status", timeout=20) as answer:
            return json.load(answer)["ids_minted"]

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

    def __init__(self, servers, threads=2, pause_us=0, *more):
        self.process = subprocess.Popen([LOOP, servers, str(threads), str(pause_us), *more], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.parts = []
        self.errors = []
        self.said = threading.Condition()
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
        for line in self.process.stderr:
            with self.said:
                self.errors.append(line.decode())
                self.said.notify()

    def figures(self):
        with self.said:
            seen = len(self.errors)
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
            while True:
                assert self.said.wait(30), self.errors
                for line in self.errors[seen:]:
                    if line.startswith("{"):
                        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        for each in self.readers:
            each.join(60)
        self.process.stdout.close()
        self.process.stderr.close()
        assert self.process.wait(60) == 0, "".join(self.errors)
        ids = array.array("Q", b"".join(self.parts))
        assert len(set(ids)) == len(ids), "an ID came twice"
        figures = json.loads(self.errors[-1])
        if figures["failed"]:
            raise AssertionError("".join(self.errors)[-3000:])
        assert figures["order_errors"] == 0 and figures["calls"] == len(ids)
        return figures


class Failover(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="snowfleet-failover.")
        self.addCleanup(shutil.rmtree, self.directory)
        self.fleet = Fleet(self.directory)
        self.addCleanup(self.fleet.close)

    def disturb(self, name, disturbance, bound_ms):
        """A call may last bound_ms, what the disturbance says it took by itself, and what the machine was late."""
        loop = Loop(self.fleet.servers, 2, 0, "watch")
        try:
            time.sleep(0.5)
            own_ms = disturbance() or 0
            time.sleep(1)
        finally:
            figures = loop.stop()
        print(f"{name}: {figures}", file=sys.stderr)
        self.assertLess(figures["longest_ms"], bound_ms * SLOW + own_ms + 2 * figures["hiccup_ms"])

    def test_kill(self):
        def kill():
            dying_ms = 0
            for i in range(3):
                begin = time.monotonic()
                self.fleet.signal(i, signal.SIGKILL)
                dying_ms = max(dying_ms, (time.monotonic() - begin) * 1e3)
                time.sleep(0.3)
                self.fleet.start(i)
                self.fleet.wait_ready(i)
            # Until the kernel has closed its sockets a killed process is a silent one: for an attempt timeout at most.
            return min(dying_ms, 70)
        self.disturb("kill -9 of each in turn", kill, 50)

    def test_stop(self):
        def stop():
            for i in (0, 1):
                self.fleet.signal(i, signal.SIGSTOP)
                time.sleep(1.5)
                self.fleet.signal(i, signal.SIGCONT)
                time.sleep(0.5)
        self.disturb("SIGSTOP for 1.5 s, twice", stop, 120)

    @unittest.skipUnless(PRIVATE, "needs root for a network of its own")
    def test_partition(self):
        def cut():
            for i in (0, 2):
                port = self.fleet.data[i]
                nft("add table ip cut; add chain ip cut input { type filter hook input priority 0; };"
                    f"add rule ip cut input tcp dport {port} drop; add rule ip cut input tcp sport {port} drop")
                time.sleep(2)
                nft("delete table ip cut")
                time.sleep(0.5)
        self.disturb("packets dropped for 2 s, twice", cut, 120)

    def test_rolling_restart(self):
        def roll():
            for i in range(3):
                self.fleet.signal(i, signal.SIGTERM)
                self.assertEqual(self.fleet.processes[i].returncode, 0)
                self.fleet.start(i)
                self.fleet.wait_ready(i)
        self.disturb("rolling restart", roll, 50)

    def wait_for(self, condition, what):
        end = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)

    def wait_for_load(self, *workers):
        before = {i: self.fleet.minted(i) for i in workers}
        for i in workers:
            self.wait_for(lambda: self.fleet.minted(i) > before[i] + 200, f"load on worker {i}")

    def test_load_is_even_again_after_a_rolling_restart(self):
        loop = Loop(self.fleet.servers)
        try:
            for i in range(3):
                self.fleet.signal(i, signal.SIGTERM)
                self.fleet.start(i)
                self.fleet.wait_ready(i)

            def even():
                before = [self.fleet.minted(i) for i in range(3)]
                time.sleep(1)
                shares = [self.fleet.minted(i) - before[i] for i in range(3)]
                return min(shares) * 3 > 0.75 * sum(shares) > 0
            begin = time.monotonic()
            self.wait_for(even, "even load")
            # Connections have no maximal age here: it is the client that goes back to whoever is there again.
            print(f"rolling restart: load even {time.monotonic() - begin - 1:.1f} s later", file=sys.stderr)
        finally:
            loop.stop()

    def test_one_address_is_enough(self):
        loop = Loop(f"127.0.0.1:{self.fleet.data[0]}", 2, 200, "discover")
        try:
            self.wait_for_load(0, 1, 2)
            self.fleet.signal(0, signal.SIGKILL)  # the only one that the client was told of
            self.wait_for_load(1, 2)
            self.fleet.add()
            self.wait_for_load(1, 2, 3)
            self.fleet.signal(1, signal.SIGTERM)
            self.assertEqual(self.fleet.processes[1].returncode, 0)
            self.wait_for(lambda: loop.figures()["servers"] == 3, "the one that left is dropped")
            self.wait_for_load(2, 3)
            self.fleet.start(0)
            self.fleet.wait_ready(0)
            self.wait_for_load(0, 2, 3)
        finally:
            figures = loop.stop()
        print(f"discovery: {figures}", file=sys.stderr)
        self.assertEqual((figures["servers"], figures["discovered"]), (3, 2))

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
            used = min(self.cpu_share(loop.pid, 1.5) for _ in range(4))  # others on the machine can only make it look more
            self.fleet.start(1)
            back = []  # when the worker gave somebody an ID, and how late the machine woke us
            watch = threading.Thread(target=lambda: back.extend(self.wait_for_id(self.fleet.data[1])))
            watch.start()
            got, at = loop.stdout.read1(8), time.monotonic()
            watch.join()
            print(f"all down: {used * 100:.2f} % CPU; first ID {(at - back[0]) * 1e3:.1f} ms after the worker is back "
                  f"(the machine was {back[1] * 1e3:.1f} ms late)", file=sys.stderr)
            self.assertEqual(len(got), 8)
            self.assertLess(used, 0.01 * SLOW)
            self.assertLess(at - back[0], 0.1 * SLOW + 2 * back[1])
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
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def cpu_share(self, pid, seconds):
        before, begin = self.cpu_s(pid), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_s(pid) - before) / (time.monotonic() - begin)

    @staticmethod
    def wait_for_id(port):
        late = 0
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as s:
                    s.sendall(struct.pack(">IBBHII", 12, 1, 1, 0, 1, 1))
                    if s.recv(100)[6:8] == b"\0\0":
                        return time.monotonic(), late
            except OSError:
                pass
            begin = time.monotonic()
            time.sleep(0.002)
            late = max(late, time.monotonic() - begin - 0.002)

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
    if not PRIVATE and os.geteuid() == 0 and all(map(shutil.which, ("unshare", "ip", "nft"))):
        os.environ["SF_PRIVATE_NETWORK"] = "1"
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-B", __file__,
                              LOOP, DAEMON, SNOWFLEET, *sys.argv[1:]])
    unittest.main(verbosity=1)
