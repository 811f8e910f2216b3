"""etcd_driver (etcd_driver.c) as a Python object."""
import os
import queue
import re
import subprocess
import tempfile
import threading
import time

WAIT_S = 20


class Driver:
    """The etcd backend in a process of its own."""

    program = None

    def __init__(self, url, fleet="f", session_ms=4000, options=()):
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([self.program, url, fleet, str(session_ms), *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1)
        self.lines = queue.Queue()
        self.seen = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def fail(self, text):
        raise AssertionError(f"{text}; seen: {self.seen[-12:]}; log: {self.stderr()[-1500:]}")

    def send(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def expect(self, pattern, timeout_s=WAIT_S):
        """The next line that matches; those before it are kept in seen."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            try:
                self.seen.append(self.lines.get(timeout=left))
            except queue.Empty:
                break
            if re.search(pattern, self.seen[-1]):
                return self.seen[-1]
        return self.fail(f"no line like {pattern!r} within {timeout_s} s")

    def call(self, command, outcome="done", reason="none"):
        self.send(command)
        line = self.expect(r"^done ")
        if line.split()[3:5] != [outcome, reason]:
            self.fail(f"{command}: {line}; expected {outcome} {reason}")
        return line

    def until(self, command, outcome="done", timeout_s=WAIT_S):
        """Again and again until it comes out like this."""
        end = time.monotonic() + timeout_s
        while True:
            self.send(command)
            line = self.expect(r"^done ")
            if line.split()[3] == outcome:
                return line
            if time.monotonic() > end:
                self.fail(f"{command} is never {outcome}")
            time.sleep(0.05)

    def prepare(self, worker=0):
        """Connected, with a fleet, a claim, and a slot bound."""
        self.prepare_in("init", "config", "claim", f"slot {worker}", f"bind {worker}")

    def prepare_in(self, *commands):
        """Connected, then these."""
        self.expect("^event connected")
        for command in commands:
            self.call(command)

    def stderr(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    def close(self):
        """Ends it; a second time is fine."""
        if self.log.closed:
            return
        hangs = False
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended
        if self.process.poll() is None:
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                hangs = True
                self.process.kill()
                self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()
        errors = self.stderr()
        self.log.close()
        if hangs or self.process.returncode not in (0, 1):
            raise AssertionError(f"the driver {'hangs' if hangs else 'ended with %d' % self.process.returncode}: {errors[-3000:]}")
