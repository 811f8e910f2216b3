#!/usr/bin/env python3
"""Speed of the clients of other languages, as ratios of one run: against a bare blocking socket loop of the same language, of 64 callers against one,
and IDs a second with prefetch. One worker, on this machine.

usage: tests/bench/clients.py [--languages go,python] [--require]      SF_BIN: where snowfleetd is (build/release/bin)

Prints a table with the bars beside the figures; --require exits 1 where one is missed.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("SF_BIN", str(ROOT / "build/release/bin"))
sys.path.insert(0, str(ROOT / "tests/lib"))
import snowfleet  # noqa: E402

# tool, command, environment; then the bars: median over the bare loop's at most, 64 callers over one at least, prefetched IDs a second at least
LANGUAGES = {
    "go": ("go", lambda at: (["go", "test", "-buildvcs=false", "-count=1", "-v", "-run", "TestSpeed", "."], {"SF_SERVER": at}), 1.25, 10, 2e6),
    "python": ("python3", lambda at: ([sys.executable, "-B", "bench.py", at], {"PYTHONPATH": "src"}), 1.25, 5, 5e5),
    "typescript": ("node", lambda at: (["node", "bench.mjs", at], {}), 1.25, 5, 5e5),
    "java": ("javac", lambda at: (["java", "-cp", str(ROOT / "build/clients/java/classes"), "io.snowfleet.client.Bench", at], {}), 1.25, 10, 2e6),
    "rust": ("cargo", lambda at: (["cargo", "run", "-q", "--release", "--locked", "--all-features", "--example", "bench", "--", at], {}), 1.25, 10, 2e6),
}


def measure(language, address):
    command, env = LANGUAGES[language][1](address)
    done = subprocess.run(command, cwd=ROOT / "clients" / language, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=300)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit(f"{language}: {done.stdout[-1000:]}{done.stderr[-2000:]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--require", action="store_true")
    args = parser.parse_args()
    missed = 0
    with snowfleet.Fleet() as fleet:
        worker = fleet.worker().start()
        print(f"{'':<12}{'bare loop':>11}{'client':>10}{'ratio':>14}{'one caller':>13}{'64 callers':>13}{'ratio':>13}{'prefetch':>20}")
        for language in args.languages.split(","):
            tool, _, slower, more, ahead = LANGUAGES[language]
            if shutil.which(tool) is None:
                print(f"{language:<12} left out: {tool} is not installed")
                continue
            if language in ("typescript", "java"):
                subprocess.run([str(ROOT / f"clients/{language}/driver")], input="", text=True, check=True)  # builds it
            told = measure(language, f"127.0.0.1:{worker.port}")
            ratio, gain = told["client_us"] / told["bare_us"], told["many_per_s"] / told["one_per_s"]
            missed += (ratio > slower) + (gain < more) + (told["prefetch_per_s"] < ahead)
            print(f"{language:<12}{told['bare_us']:>8.1f} us{told['client_us']:>7.1f} us{ratio:>6.2f} (<={slower:.2f}){told['one_per_s']:>11.0f}/s"
                  f"{told['many_per_s']:>11.0f}/s{gain:>6.1f} (>={more:>2}){told['prefetch_per_s']:>11.0f} (>={ahead:.0e})", flush=True)
            if "tasks_one_per_s" in told:
                print(f"{'  tasks':<12}{'':>35}{told['tasks_one_per_s']:>11.0f}/s{told['tasks_many_per_s']:>11.0f}/s"
                      f"{told['tasks_many_per_s'] / told['tasks_one_per_s']:>6.1f}")
    print(f"{missed} bars missed")
    return 1 if missed and args.require else 0


if __name__ == "__main__":
    sys.exit(main())
