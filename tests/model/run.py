#!/usr/bin/env python3
"""Checks the model of docs/uniqueness.md with spin: exhaustively, and then that each mutant fails.

usage: run.py [--only NAME] [--memory-mb N] [--jobs N]

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="one base run or mutant")
    parser.add_argument("--memory-mb", type=int, default=4096, help="of each verifier")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
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
