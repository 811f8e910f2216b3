#!/usr/bin/env python3
"""What code inside a worker can and cannot do, sentence by sentence of docs/security.md; and what a worker has given up."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

PROBES = pathlib.Path(os.environ.get("SF_PROBES", str(sf.BIN.parent / "tests/security")))
ROOT = os.geteuid() == 0

ENDS = ["exec", "ptrace", "vm-read"]
# Refused by the system call filter. Behind the name: what it needs to work where nothing is taken.
FILTERED = ["mount:root", "kill", "tgkill", "owner", "owner-ex", "signal", "asynchronous", "notify", "writable-code", "code", "made-code",
            "library", "show", "packet:root", "raw:root", "raw6:root", "ping:maybe", "uevent", "listen", "create-setuid", "setuid", "setgid",
            "type:maybe", "namespace:maybe", "capability:maybe"]
# Refused by Landlock.
FILES = ["read-memory", "write-memory", "patch", "patch-by-thread", "write-elsewhere", "change-elsewhere", "remove-elsewhere", "null",
         "directory-elsewhere", "link-elsewhere", "move-out", "socket-file", "fifo"]
ALLOWED = ["own-tgkill", "nonblocking", "hide", "tcp", "udp", "route", "write", "read", "mode", "thread", "read-own-memory"]
# What is said to remain possible where the kernel has no Landlock.
WITHOUT_LANDLOCK = ["patch", "write-elsewhere"]


class Probe(unittest.TestCase):
    def probe(self, what, how=""):
        with tempfile.TemporaryDirectory() as directory:
            own = pathlib.Path(directory) / "own"
            own.mkdir()
            for name in ["there", "doomed"]:
                (own.parent / name).write_text("x")
            done = subprocess.run([str(PROBES / "probe_confined"), what, str(own), *([how] if how else [])], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 77:
            self.skipTest(done.stderr)
        self.assertNotEqual(done.returncode, 64, f"{what}: {done.stderr}")
        return done.returncode, done.stdout.strip()

    def test_what_ends_the_process(self):
        for what in ENDS:
            self.assertEqual(self.probe(what)[0], -signal.SIGSYS, what)
        self.assertNotEqual(self.probe("fork")[1], "done")

    def test_what_the_filter_refuses(self):
        for entry in FILTERED:
            what, _, needs = entry.partition(":")
            with self.subTest(what):
                if needs == "" or (needs == "root" and ROOT and what != "mount"):
                    self.assertEqual(self.probe(what, "--open"), (0, "done"), f"{what} does not even work in the open")
                self.assertEqual(self.probe(what), (0, "Operation not permitted"))

    def test_which_files_are_out_of_reach(self):
        for what in FILES:
            with self.subTest(what):
                self.assertEqual(self.probe(what, "--open"), (0, "done"), f"{what} does not even work in the open")
                code, said = self.probe(what)
                self.assertIn(said, ["Permission denied", "Operation not permitted"])
                self.assertEqual(code, 0)

    def test_what_a_worker_needs(self):
        for what in ALLOWED:
            self.assertEqual(self.probe(what), (0, "done"), what)

    def test_what_is_left_without_landlock(self):
        """The page says so: this is no promise but a warning."""
        for what in WITHOUT_LANDLOCK:
            self.assertEqual(self.probe(what, "--without-landlock"), (0, "done"), what)

    def test_injection_opens_memory_only(self):
        for what in ["writable-code", "code", "made-code"]:
            self.assertEqual(self.probe(what, "--injection"), (0, "done"), what)
        for what in ["kill", "raw", "setuid", "patch"]:
            self.assertNotEqual(self.probe(what, "--injection")[1], "done", what)


class Worker(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)

    def make(self, name, **options):
        return self.fleet.worker(name, options={key.replace("_", "-"): value for key, value in options.items()})

    def status_of(self, process):
        return pathlib.Path(f"/proc/{process.pid}/status").read_text()

    def test_every_thread_has_given_up_its_capabilities(self):
        """Root too, and the port under 1024 that needed one is served."""
        options = {}
        if ROOT:
            port = next(p for p in range(1023, 900, -1) if self.is_free(p))
            options["listen_address"] = f"127.0.0.1:{port}"
        w = self.make("w", **options)
        if ROOT:
            w.port = port
        w.start()
        tasks = list(pathlib.Path(f"/proc/{w.process.pid}/task").iterdir())
        self.assertGreater(len(tasks), 4)
        self.assertIn("sf-shard-0", {(task / "comm").read_text().strip() for task in tasks}, "a confined thread has its name")
        for task in tasks:
            text = (task / "status").read_text()
            for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] + (["CapBnd"] if ROOT else []):
                self.assertRegex(text, rf"{name}:\s+0+\n", f"{task.name}: {text}")
        self.assertEqual("security.root" in w.log(), ROOT, w.log())
        with w.connect() as connection:
            connection.send(sf.next_frame(1))
            self.assertEqual(len(connection.read().ids()), 1)
        self.assertEqual(w.term(), 0)

    @staticmethod
    def is_free(port):
        import socket
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return True
            except OSError:
                return False

    def test_it_says_what_it_gave_up(self):
        w = self.make("w").start()
        text = self.status_of(w.process)
        if "system calls of a worker" in w.log():
            self.assertRegex(text, r"Seccomp:\s+2\n")
            self.assertRegex(text, r"NoNewPrivs:\s+1\n")
        self.assertRegex(w.log(), "security.files")
        self.assertFalse(w.status()["allow_injection"])
        self.assertEqual(w.metric("snowfleet_injection_allowed"), 0)

    def test_without_it(self):
        w = self.make("w", security_seccomp="false").start()
        self.assertRegex(self.status_of(w.process), r"Seccomp:\s+0\n")
        self.assertNotRegex(w.log(), "security.files")

    def test_another_directory_in_the_place_of_its_own(self):
        """It may not look into that one, and says so, and stops at once: who minted there may be anybody."""
        above = self.fleet.directory / "above"
        directory = above / "coordinator"
        above.mkdir()
        w = self.make("w", fleet_coordinator=f"local://{directory}").start()
        if "files can be changed in the directories of this worker only" not in w.log():
            self.skipTest("files are not confined here")
        above.rename(self.fleet.directory / "away")
        directory.mkdir(parents=True)
        subprocess.run([str(sf.BIN / "snowfleet"), "init", "--coordinator", f"local://{directory}", "--first"], check=True, capture_output=True)
        w.wait_not_ready(5)
        self.assertRegex(w.readyz()[1], "is another directory .* start it again")
        with w.connect() as connection:
            connection.send(sf.next_frame(1))
            self.assertNotEqual(connection.read().code, 0)

    def test_a_directory_that_is_not_there_yet(self):
        """Its nearest parent that is there stands for it, so it can be made."""
        directory = self.fleet.directory / "not" / "there" / "yet"
        w = self.make("w", fleet_coordinator=f"local://{directory}/coordinator", reservation_state_dir=f"{self.fleet.directory}/run").start()
        self.assertTrue((directory / "coordinator").is_dir())
        self.assertEqual(w.term(), 0)

    def inject(self, w):
        done = subprocess.run([str(PROBES / "probe_inject"), str(w.process.pid)], capture_output=True, text=True, check=False)
        if done.returncode in (64, 77):
            self.skipTest("no tracing here")
        return done.stdout.strip()

    def test_injection_is_refused(self):
        w = self.make("w").start()
        if "system calls of a worker" not in w.log():
            self.skipTest("no filter here")
        self.assertEqual(self.inject(w), "Operation not permitted")
        self.assertEqual(w.readyz()[0], 200)

    def test_injection_on_purpose(self):
        """What TimeChaos does works where security.allow_injection is on, and the log, /status and a metric say that it is."""
        w = self.make("w", security_allow_injection="true").start()
        self.assertEqual(self.inject(w), "done")
        self.assertEqual(w.readyz()[0], 200)
        self.assertRegex(w.log(), r"WARN\s+security.injection")
        self.assertTrue(w.status()["allow_injection"])
        self.assertEqual(w.metric("snowfleet_injection_allowed"), 1)
        self.assertEqual(w.term(), 0)

    @unittest.skipUnless(ROOT, "needs root to become nobody")
    def test_nobody_without_capabilities(self):
        directory = self.fleet.directory
        os.chmod(directory, 0o777)
        port, admin = sf.free_ports(2)
        log = open(directory / "log", "wb")
        process = subprocess.Popen(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs", str(sf.BIN / "snowfleetd"),
             "--listen-address", f"127.0.0.1:{port}", "--admin-address", f"127.0.0.1:{admin}", "--fleet-coordinator",
             f"local://{directory}/nobody", "--reservation-state-dir", ""], stderr=log)
        try:
            sf.wait_until(lambda: sf.http(f"http://127.0.0.1:{admin}/readyz")[0] == 200, lambda: (directory / "log").read_text())
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(sf.DEADLINE_S), 0)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
