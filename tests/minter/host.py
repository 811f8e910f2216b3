"""A program that mints for itself (minter_host), led by a test."""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import processes  # noqa: E402
import snowfleet as sf  # noqa: E402


class Host:
    """One process. Options as the worker's: Host(directory, **{"fleet.coordinator": url})."""

    def __init__(self, directory, **options):
        self.options = {"clock.poll_ms": 500, **options}
        self.log = tempfile.NamedTemporaryFile(dir=directory, prefix="host-", suffix=".log", delete=False)
        self.process = subprocess.Popen([os.environ["SF_HOST"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def say(self, *words):
        """One line to it, and its answer."""
        self.begin(*words)
        return self.end()

    def begin(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def end(self):
        return self.process.stdout.readline().rstrip("\n")

    def open(self):
        return self.say("open", *(f"{name}={value}" for name, value in self.options.items()))

    def ready(self):
        answer = self.open()
        assert answer == "OK", answer
        answer = self.say("wait", int(sf.DEADLINE_S * 2000))
        assert answer == "OK", answer + "\n" + self.text()
        return self

    def ids(self, count):
        words = self.say("ids", count).split()
        assert words[0] == "OK", words[0] + "\n" + self.text()
        return [int(word) for word in words[1:]]

    def status(self):
        """(next, state, held, left_ms, ids, why)"""
        answer, state, held, left_ms, ids, why = self.say("status").split(" ", 5)
        return answer, state, int(held), int(left_ms), int(ids), why

    def text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        processes.pause(self.process.pid)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def finish(self):
        """Whatever it is doing."""
        if self.process.poll() is None:
            self.resume()
            self.kill()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            stream.close()
