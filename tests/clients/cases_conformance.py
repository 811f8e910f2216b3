"""`snowfleet conformance` plays its scenarios against every client: what its lines say is true, and it finds nothing wrong with ours."""
import json
import os
import pathlib
import signal
import subprocess
import time

from driver import ROOT
from suite import scenario

os.environ.setdefault("SF_BIN", str(ROOT / "build/dev/bin"))
EPOCH_MS = 1704067200000
FIRST_CHOICES = 12


class Conformance:
    def __enter__(self):
        self.process = subprocess.Popen([str(pathlib.Path(os.environ["SF_BIN"]) / "snowfleet"), "conformance", "--listen", "127.0.0.1:0", "--json"],
                                        stdout=subprocess.PIPE, text=True)
        self.rows = []
        while not self.rows or self.rows[-1]["scenario"] != "beside-other-id":
            line = self.process.stdout.readline()
            assert line, "snowfleet conformance ended"
            self.rows.append(json.loads(line))
        return self

    def end(self):
        """What it saw, by scenario; and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        out = self.process.communicate(timeout=20)[0]
        return {row["scenario"]: row for row in map(json.loads, out.splitlines())}, self.process.returncode

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def play(new, driver, row):
    options = {"timeout_ms": new.ms(row["timeout_ms"])}
    if row["token"]:
        options["token"] = row["token"]
    members = {"count": row["count"]}
    mark = (int(time.time() * 1000) + 5000 - EPOCH_MS) << 22
    if row["after"]:
        members["after"] = str(mark)
    driver.open(row["servers"], **options)
    seen = []
    for _ in range(row["calls"]):
        seen += driver.next(**members)
        assert not row["after"] or min(seen) > mark
    assert len(set(seen)) == row["calls"] * row["count"], "an ID was handed on twice"
    if row["error"]:
        driver.fails(tuple(row["error"].split("|")), **members)
    driver.close()


@scenario("snowfleet conformance: every line is true of it, and it finds nothing wrong")
def conformance(new):
    with Conformance() as server, new() as driver:
        for row in server.rows:
            try:
                # Of two workers a client asks whichever it likes; one that it has met and is content with, again and again.
                for _ in range(FIRST_CHOICES if "," in row["servers"] else 1):
                    play(new, driver, row)
            except AssertionError as wrong:
                raise AssertionError(f"{row['scenario']}: {wrong}") from wrong
        seen, code = server.end()
        wrong = [row for row in seen.values() if row["verdict"] != "ok"]
        assert not wrong and code == 0 and len(seen) == len(server.rows), (code, wrong)
