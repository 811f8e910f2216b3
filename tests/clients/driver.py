"""The drivers of all languages, and a client behind one. Python standard library only."""
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# What a language needs on this machine, and where its driver is.
LANGUAGES = {
    "c": ("cmake", HERE / "c-driver"),
    "go": ("go", ROOT / "clients/go/driver"),
    "python": ("python3", ROOT / "clients/python/driver"),
    "typescript": ("node", ROOT / "clients/typescript/driver"),
    "rust": ("cargo", ROOT / "clients/rust/driver"),
    "tokio": ("cargo", ROOT / "clients/rust/driver-tokio"),
    "java": ("mvn", ROOT / "clients/java/driver"),
}
DEADLINE_S = float(os.environ.get("SF_CLIENTS_DEADLINE_S", "60"))  # for an answer; machines differ
BUILD_S = 900  # for the first one: the driver builds what it needs


def languages_here():
    """Those that are in the tree, each with what is missing to run it, or None."""
    found = {}
    for name, (tool, driver) in LANGUAGES.items():
        if driver.exists():
            found[name] = None if shutil.which(tool) else f"{tool} is not installed"
    return found


class Failed(Exception):
    """What the driver said: `name` is the error's, of enum sf_client_error."""

    def __init__(self, answer):
        super().__init__(f"{answer.get('error')}: {answer.get('detail')}")
        self.name, self.detail = answer.get("error"), answer.get("detail", "")


class Driver:
    """One driver; `with Driver("go") as d: d.open(servers=...); d.next()`."""

    def __init__(self, language, program=None):
        self.language = language
        program = program or LANGUAGES[language][1]
        self.process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        encoding="utf-8", bufsize=1, env={k: v for k, v in os.environ.items() if k != "SNOWFLEET_COORDINATOR"})
        self.n = 0
        self.answers = queue.Queue()
        self.said = []
        self.threads = [threading.Thread(target=self._read, daemon=True), threading.Thread(target=self._read_errors, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def _read_errors(self):
        for line in self.process.stderr:
            self.said.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """End of input ends it, with 0."""
        if self.process.poll() is None:
            try:
                self.process.stdin.close()
                code = self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the driver did not end when its input did") from None
        else:
            code = self.process.returncode
        for thread in self.threads:
            thread.join(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if not stream.closed:
                try:
                    stream.close()
                except OSError:
                    pass
        if code != 0 and sys.exc_info()[0] is None:
            raise AssertionError(f"the driver ended with {code}: {''.join(self.said)[-2000:]}")

    def line(self, text, within_s=DEADLINE_S):
        """Sends a line as it is; the answer as an object."""
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self._answer(within_s)

    def _answer(self, within_s):
        try:
            line = self.answers.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"no answer within {within_s} s; stderr: {''.join(self.said)[-2000:]}") from None
        if not line:
            raise AssertionError(f"the driver ended; stderr: {''.join(self.said)[-3000:]}")
        return json.loads(line)

    def ask(self, op, within_s=DEADLINE_S, **members):
        self.n += 1
        self.process.stdin.write(json.dumps({"n": self.n, "op": op, **members}) + "\n")
        self.process.stdin.flush()
        answer = self._answer(within_s)
        assert answer.get("n") == self.n, (answer, self.n)
        if answer["ok"] is not True:
            assert answer["ok"] is False and answer["error"], answer
            raise Failed(answer)
        return answer

    def open(self, servers, **options):
        return self.ask("open", servers=servers, **options)

    def next(self, count=None, **members):
        if count is not None:
            members["count"] = count
        answer = self.ask("next", **members)
        ids = [int(text) for text in answer["ids"]]
        assert all(isinstance(text, str) for text in answer["ids"]) and len(ids) == (count or 1), answer
        return ids

    def one(self, **members):
        return self.next(**members)[0]

    def stats(self):
        return self.ask("stats")

    def load(self, seconds=None, **members):
        if seconds is not None:
            members["seconds"] = seconds
        return self.ask("load", within_s=DEADLINE_S + (seconds or 60), **members)

    def close(self):
        return self.ask("close")

    def fails(self, name, op="next", **members):
        """The call must fail, with this error (or one of these); its detail."""
        try:
            answer = self.ask(op, **members)
        except Failed as failure:
            names = (name,) if isinstance(name, str) else name
            assert failure.name in names, f"{failure.name} instead of {name}: {failure.detail}"
            assert failure.detail, "an error without a word for people"
            return failure.detail
        raise AssertionError(f"{op} was to fail with {name} and gave {str(answer)[:200]}")
