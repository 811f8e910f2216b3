#!/usr/bin/env python3
"""Checks the models of docs/uniqueness.md: exhaustively, and then that each mutant fails.

usage: run.py [--identity PROGRAM [--long]] [--only NAME] [--memory-mb N] [--jobs N]

Without --identity: rules 1 to 4, with spin (uniqueness.pml). With it: rules 5 to 12, with that program (identity/), within
the small bounds of identity_runs.py or, with --long, within the large ones.

Exits 0 when every base run is complete and without error and every mutant has a counterexample
that is a failed assertion of the checker.
"""
import argparse
import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import identity_runs

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uniqueness.pml")

# name: (what it adds, bounds)
BASE = {
    "core": ("unknown, late and lost writes, releases, shrinking, suspension", "T=4 WRITES=4 CRASHES=0"),
    "crash": ("and a crash with or without the state file", "T=4 WRITES=3 CRASHES=1"),
    "two crashes": ("two crashes", "T=3 WRITES=3 CRASHES=2"),
    "copies": ("a copy of the state file put back", "T=4 WRITES=3 CRASHES=1 COPIES=1"),
    "stale reads": ("reads served by a member that lags", "T=4 WRITES=3 CRASHES=1 LAG=1"),
    "claims": ("claims that vanish at any moment", "T=3 WRITES=3 CRASHES=0 CLAIMED CLAIMS=3"),
    "remade": ("the record deleted and made again", "T=4 WRITES=3 CRASHES=0 REMAKES=1"),
    "sequences": ("two sequence numbers in a millisecond", "T=3 SEQ=2 WRITES=4 CRASHES=0"),
    "split": ("each load and store of minting a step of its own", "T=4 WRITES=3 CRASHES=1 SPLIT"),
    "three": ("three workers", "N=3 T=4 WRITES=3 CRASHES=0"),
}
B = "T=4 WRITES=4 CRASHES=0"
C = "T=4 WRITES=4 CRASHES=1"
MUTANTS = {
    "EPHEMERAL": ("no reservation: mint while the claim is believed to live", B),
    "TRUST_UNACKED": ("a write counts before it is acknowledged", B),
    "UNCONDITIONAL": ("renewals do not compare the version", B),
    "RELEASE_OPEN": ("release while a batch is in flight", B),
    "RELEASE_FLOOR": ("release below the floor by an owner that minted nothing", B),
    "REOPEN_RELEASED": ("mint again after a release of unknown outcome", B),
    "OWN_CLOCK": ("a new owner starts at its own clock", B),
    "TWO_READS": ("data and version from two reads", B + " LAG=1"),
    "READ_SETTLES": ("a read settles that a write was not applied", B),
    "NONCE": ("an unknown write is adopted by its fence, not by its nonce", B),
    "LIMIT_EQUAL": ("<= where the rule says <", B),
    "LOWER_WORD": ("a reservation shrinks and the word is not moved", B),
    "LOWER_CHECK": ("a reservation shrinks below what was minted meanwhile", B),
    "OPEN_SAME_WORD": ("reopened at a word that has stood there before", B),
    "FILE_UNCHECKED": ("the state file is believed without the version", C),
    "FILE_FENCE": ("the state file is believed by the fence alone", "T=4 WRITES=3 CRASHES=1 COPIES=1"),
    "NOT_BEFORE": ("an old copy of the state file starts where its word stands", "T=4 WRITES=3 CRASHES=1 COPIES=1"),
    "BOOT": ("the state file is believed across boots", "T=3 WRITES=4 CRASHES=1"),
    "FILE_UNOPENED": ("the state file of a slot that was won but never opened", C),
    "INCARNATION": ("a record made again is taken for the old one", "T=4 WRITES=3 CRASHES=0 REMAKES=1"),
}


def check(name, text, bounds, memory_mb, mutant):
    """Builds and runs one verifier; returns (name, ok, row)."""
    defines = ["-D" + word for word in bounds.split()]
    if mutant:
        defines.append("-DM_" + name)
    folder = tempfile.mkdtemp(prefix="model-")
    began = time.monotonic()
    try:
        subprocess.run(["spin", "-a", *defines, MODEL], cwd=folder, check=True, capture_output=True, text=True)
        subprocess.run(["gcc", "-O2", "-w", "-DSAFETY", "-DVECTORSZ=512", "-o", "pan", "pan.c"],
                       cwd=folder, check=True)
        limit = memory_mb << 20
        run = subprocess.run(["./pan", "-m20000", "-w24"], cwd=folder, capture_output=True, text=True,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    except subprocess.CalledProcessError as error:
        return name, False, f"{name}: {error}\n{error.stdout or ''}{error.stderr or ''}"
    finally:
        shutil.rmtree(folder)
    out = run.stdout + run.stderr

    def number(pattern):
        found = re.search(pattern, out)
        return found.group(1) if found else "?"

    violated = "assertion violated" in out
    complete = "Search not completed" not in out and "max search depth too small" not in out
    states, depth = number(r"\n *(\d+) states, stored"), number(r"depth reached (\d+)")
    memory = number(r"([\d.]+)\ttotal actual memory")
    if mutant:
        ok, verdict = violated, "fails, as it must" if violated else "SURVIVES"
    else:
        ok = complete and not violated and number(r"errors: (\d+)") == "0"
        verdict = "holds" if ok else "FAILS" if violated else "NOT COMPLETE"
    row = (f"{name:16} {verdict:18} {states:>10} states, depth {depth:>3}, {memory:>8} MB, "
           f"{time.monotonic() - began:5.1f} s  {text} ({bounds})")
    return name, ok, row if ok else row + ("" if mutant else "\n" + out[-2000:])


def explore(name, text, bounds, memory_mb, program, bug=None, must_fail=False):
    """Runs one exploration of rules 5 to 12; returns (name, ok, row, the steps that came up)."""
    began = time.monotonic()
    limit = memory_mb << 20
    command = [program, *bounds.split()] + (["--bug", bug] if bug else [])
    run = subprocess.run(command, capture_output=True, text=True,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    lines = run.stdout.splitlines() or ["nothing said"]
    figures = re.match(r"[^:]*: (\d+) states, (\d+) steps, depth (\d+)(?:: (.*))?", lines[0])
    ok = figures is not None and run.returncode == (1 if must_fail else 0)
    verdict = {0: "SURVIVES" if must_fail else "holds", 1: "fails, as it must" if must_fail else "FAILS"}
    row = f"{name:22} {verdict.get(run.returncode, 'NOT COMPLETE'):18} "
    if figures:
        row += (f"{figures[1]:>9} states, {figures[2]:>9} steps, depth {figures[3]:>2}, {time.monotonic() - began:5.1f} s  "
                f"{text} ({bounds})" + (f": {figures[4]}" if figures[4] else ""))
    else:
        row += run.stdout + run.stderr
    if not ok and not must_fail:
        row += "\n" + subprocess.run(command + ["--trace"], capture_output=True, text=True).stdout
    return name, ok, row, {line[6:] for line in lines if line.startswith("step: ")}


def steps_in_sources():
    """Every step that the sources of the model name, those apart that only a bug takes."""
    folder = os.path.join(os.path.dirname(MODEL), "identity")
    named = set()
    for file in os.listdir(folder):
        with open(os.path.join(folder, file), encoding="utf-8") as source:
            for call in re.findall(r"\bemit\([^;]*;", source.read()):
                named |= set(re.findall(r'"([^"]*)"', call))
    return named - identity_runs.STEPS_OF_BUGS


def check_identity(args):
    """All runs of rules 5 to 12; returns the names of those that are wrong."""
    runs = [(n, t, b[1 if args.long else 0], None, False) for n, (t, *b) in identity_runs.BASE.items()]
    runs += [(n, t, b, None, True) for n, (t, b) in identity_runs.ENDS.items()]
    runs += [(n, f"rule {r}: {t}", b, n, True) for n, (r, t, b) in identity_runs.BUGS.items()]
    wrong, taken = [], set()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        work = [pool.submit(explore, n, t, b, args.memory_mb, args.identity, bug, fails)
                for n, t, b, bug, fails in runs if args.only in (None, n)]
        for done in work:
            name, ok, row, steps = done.result()
            print(row, flush=True)
            taken |= steps
            if not ok:
                wrong.append(name)
    known = set(subprocess.run([args.identity, "--bugs"], capture_output=True, text=True, check=True).stdout.split())
    if known != set(identity_runs.BUGS):
        wrong.append(f"bugs without a run, or runs without a bug: {sorted(known ^ set(identity_runs.BUGS))}")
    missing = steps_in_sources() - taken
    if missing and args.only is None:
        wrong.append(f"steps that never came up: {sorted(missing)}")
    print(f"{len(work) - len(wrong)} of {len(work)} as they must be" + (f"; wrong: {wrong}" if wrong else ""))
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--identity", metavar="PROGRAM", help="check rules 5 to 12 with this program")
    parser.add_argument("--long", action="store_true", help="the large bounds of rules 5 to 12")
    parser.add_argument("--only", help="one base run or mutant")
    parser.add_argument("--memory-mb", type=int, default=4096, help="of each verifier")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    if args.identity:
        sys.exit(1 if check_identity(args) else 0)
    work = [(n, t, b, args.memory_mb, False) for n, (t, b) in BASE.items()]
    work += [(n, t, b, args.memory_mb, True) for n, (t, b) in MUTANTS.items()]
    work = [item for item in work if args.only in (None, item[0])]
    if not work:
        sys.exit(f"run.py: no run is called '{args.only}'")
    failed = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, ok, row in pool.map(lambda item: check(*item), work):
            print(row, flush=True)
            if not ok:
                failed.append(name)
    print(f"{len(work) - len(failed)} of {len(work)} as they must be" + (f"; wrong: {failed}" if failed else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
