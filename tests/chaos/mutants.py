#!/usr/bin/env python3
"""The checks are checked: a daemon with one line changed mints duplicates under the right faults, and a chaos run must say so.

One slot, two workers, a short window. Every mutant must be caught by a duplicate, and the daemon as it is must pass the same run.
"""
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("SF_SOURCE_DIR", HERE.parents[1]))
BUILD = pathlib.Path(os.environ.get("SF_BUILD_DIR", SOURCE / "build/dev"))
SECONDS, SEED = os.environ.get("SF_SECONDS", "25"), os.environ.get("SF_SEED", "1")
ROUNDS = 4

# name: (source file, line, the line instead, faults that bring it out)
MUTANTS = {
    "mints past what was acknowledged": (
        "src/worker/reservation_tenure.c", "int64_t limit_ms = sf_tenure_granted_ms(&res->hold);",
        "int64_t limit_ms = sf_tenure_granted_ms(&res->hold) + 60000;", "partition_from_coordinator,pause_past_window"),
    "releases below what it minted": (
        "src/worker/reservation_tenure.c", "    return until;\n", "    return tenure->floor_ms;\n", "late_clock_takes_over"),
}


def build(directory, source, old, new):
    """Compiles one changed file as the build did, and links it before the library that has the right one."""
    text = (SOURCE / source).read_text()
    if text.count(old) != 1:
        raise AssertionError(f"{source} no longer has exactly one {old.strip()!r}: the mutant needs a new place")
    changed, target, program = directory / "mutant.c", directory / "mutant.o", directory / "snowfleetd"
    changed.write_text(text.replace(old, new))
    commands = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", "bin/snowfleetd"], check=True, capture_output=True,
                              text=True).stdout.splitlines()
    words = shlex.split(next(c for c in commands if c.endswith(f"-c {SOURCE / source}")))
    cut = words.index("-MD")
    subprocess.run([*words[:cut], f"-I{(SOURCE / source).parent}", "-o", target, "-c", changed], check=True, cwd=BUILD)
    words = shlex.split(next(c for c in reversed(commands) if "-o bin/snowfleetd" in c).replace(": && ", "").replace(" && :", ""))
    at = words.index("-o")
    words[at:at + 2] = ["-Wl,--allow-multiple-definition", str(target), "-o", str(program)]
    subprocess.run(words, check=True, cwd=BUILD)
    return program


class Mutants(unittest.TestCase):
    def run_chaos(self, directory, faults, binary, seed=SEED):
        done = subprocess.run(
            [HERE / "run", "--one-slot", "--seconds", SECONDS, "--seed", str(seed), "--coordinator", "etcd", "--rate", "50000", "--quiet", "1",
             "--faults", faults, "--option", "reservation-window-ms=3000", "--option", "reservation-min-window-ms=1000",
             "--option", "coordinator-session-timeout-ms=1000", "--report", directory / "report", *(["--binary", binary] if binary else [])],
            capture_output=True, text=True, check=False, env={**os.environ, "SF_BIN": str(BUILD / "bin")})
        if done.returncode == 77:
            self.skipTest("needs root")
        path = directory / "report/report.json"
        self.assertTrue(path.exists(), done.stdout + done.stderr)
        return done.returncode, json.loads(path.read_text())

    def test_as_it_is(self):
        with tempfile.TemporaryDirectory() as directory:
            code, report = self.run_chaos(pathlib.Path(directory), ",".join(m[3] for m in MUTANTS.values()), None)
        self.assertEqual((code, report["failures"]), (0, []))
        self.assertGreater(report["ids"], 10000)


def add(name, mutant):
    def test(self):
        with tempfile.TemporaryDirectory() as directory:
            program = build(pathlib.Path(directory), *mutant[:3])
            # Whether a hand-over falls into the run is chance: a defect must be found within a few seeds, as in the simulation.
            for seed in range(int(SEED), int(SEED) + ROUNDS):
                code, report = self.run_chaos(pathlib.Path(directory), mutant[3], program, seed)
                if report["duplicates"] > 0:
                    break
        self.assertGreater(report["duplicates"], 0, report["failures"])
        self.assertEqual(code, 1)
        print(f"{name}: {report['duplicates']} duplicates among {report['ids']} IDs", file=sys.stderr)
    setattr(Mutants, "test_" + name.replace(" ", "_"), test)


for key, value in MUTANTS.items():
    add(key, value)

if __name__ == "__main__":
    unittest.main()
