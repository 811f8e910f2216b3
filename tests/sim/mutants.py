#!/usr/bin/env python3
"""Plants one bug at a time (bugs.py) in the product's code and lets the simulation look for it.

usage: mutants.py --build DIR [--seeds N] [--seconds T] [--only NAME] [--jobs N]

DIR is a configured and built build directory. A search text that is not found exactly once is an
error: the table follows the code. Exits 0 when every bug was found within N seeds.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from bugs import BUGS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PURE = ["src/id/generator.c", "src/client/policy.c", "src/clock/policy.c", "src/clock/select.c"]
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-w"]


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


class Bench:
    """Unchanged objects are compiled once; a mutant compiles what it changes."""

    def __init__(self, build, folder, jobs):
        self.build, self.folder = build, folder
        self.sources = sorted(
            [f"{room}/{name}" for room in ("src/worker", "tests/sim") for name in os.listdir(os.path.join(ROOT, room))
             if name.endswith(".c")] + PURE)
        self.libraries = [os.path.join(build, f"libsf_{n}.a") for n in ("coord", "clock", "id", "base")]
        os.makedirs(os.path.join(folder, "base"))
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            self.objects = dict(zip(self.sources, pool.map(lambda s: self.compile(s, "base", None), self.sources)))

    def compile(self, source, name, overlay):
        out = os.path.join(self.folder, name, source.replace("/", "_") + ".o")
        first = ["-I", os.path.join(overlay, "src")] if overlay else []
        path = os.path.join(overlay or ROOT, source)
        if not os.path.exists(path):
            path = os.path.join(ROOT, source)
        done = run(["gcc", *FLAGS, "-c", path, "-o", out, *first, "-I", os.path.join(ROOT, "src"),
                    "-I", os.path.join(ROOT, "include"), "-I", os.path.join(ROOT, "tests/sim"),
                    "-I", os.path.join(self.build, "generated")])
        if done.returncode:
            sys.exit(f"{name}, {source}: {done.stderr}")
        return out

    def link(self, name, objects):
        program = os.path.join(self.folder, name, "sim")
        done = run(["gcc", "-o", program, *objects.values(), *self.libraries, "-ljansson", "-lm", "-lpthread"])
        if done.returncode:
            sys.exit(done.stderr)
        return program

    def mutate(self, name, edits):
        overlay = os.path.join(self.folder, name, "tree")
        changed = []
        for file, search, replacement in edits:
            target = os.path.join(overlay, file)
            with open(target if file in changed else os.path.join(ROOT, file), encoding="utf-8") as text:
                whole = text.read()
            if whole.count(search) != 1:
                sys.exit(f"bug {name}: its text stands {whole.count(search)} times in {file}, not once; "
                         "update the table")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "w", encoding="utf-8") as out:
                out.write(whole.replace(search, replacement))
            changed.append(file)
        objects = dict(self.objects)
        for source in self.sources if any(file.endswith(".h") for file in changed) else changed:
            objects[source] = self.compile(source, name, overlay)
        return self.link(name, objects)


def look(bench, name, args):
    """(found, what to print)"""
    trap, what, edits = BUGS[name]
    against = f"trap {trap}" if isinstance(trap, int) else trap
    began = time.monotonic()
    program = bench.mutate(name, edits)
    done = run([program, "--seed", "1", "--seeds", str(args.seeds), "--seconds", str(args.seconds)])
    took = time.monotonic() - began
    shutil.rmtree(os.path.join(bench.folder, name))
    row = f"{name:24} {{:>9}} {took:5.1f} s  {against}: {what}"
    failed = re.search(r"FAILED .*seed (\d+) \(\w+\): (.*)", done.stdout)
    if failed:
        return True, row.format(f"seed {failed.group(1)}") + f" -> {failed.group(2)}"
    never = re.findall(r"NEVER: .*", done.stdout)
    if never:
        return True, row.format("campaign") + f" -> {', '.join(never)}"
    return False, row.format("SURVIVES") + f" {done.stderr[-200:]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", help="this one, or several with commas between")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(BUGS)
    folder = tempfile.mkdtemp(prefix="sim-mutants-")
    failed = []
    try:
        bench = Bench(os.path.abspath(args.build), folder, args.jobs)
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for name, (found, row) in zip(names, pool.map(lambda n: look(bench, n, args), names)):
                print(row, flush=True)
                if not found:
                    failed.append(name)
        print(f"{len(names) - len(failed)} of {len(names)} planted bugs found"
              + (f"; not found: {', '.join(failed)}" if failed else ""))
    finally:
        shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
