#!/usr/bin/env python3
"""Plants one bug at a time in the product's code and lets the simulation, or the test that is named with the bug, look for it.

usage: mutants.py --build DIR [--by sim|tests] [--only NAME,...] [--sample N] [--seed S] [--seeds N] [--seconds T] [--jobs N]

DIR is a configured and built build directory. A table of bugs is a file bugs*.py beside this one, with a dictionary BUGS of
    name: (what it is against, what it breaks, [(file, search text, replacement), ...])                 for the simulation, or
    name: (what it is against, what it breaks, [(file, search text, replacement), ...], name in ctest)  for that test,
and after the name what it is to be given, as "contract.fake --case race".
A number as the first stands for the trap of docs/uniqueness.md. A search text that is not found exactly once is an error:
the table follows the code. Exits 0 when every bug was found: by the simulation within N seeds, by a test that fails.
"""
import argparse
import concurrent.futures
import importlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import relink

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = relink.ROOT
PURE = ["src/id/generator.c", "src/client/policy.c", "src/clock/policy.c", "src/clock/select.c", "src/coord/init_plan.c"]
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-w"]


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def read_tables():
    bugs = {}
    for file in sorted(os.listdir(HERE)):
        if file.startswith("bugs") and file.endswith(".py"):
            for name, row in importlib.import_module(file[:-3]).BUGS.items():
                if name in bugs:
                    raise relink.Broken(f"two bugs are called {name}")
                bugs[name] = row
    return bugs


def write_overlay(name, edits, overlay):
    """The files with the bug in them, below `overlay`. Returns their names."""
    changed = []
    for file, search, replacement in edits:
        target = os.path.join(overlay, file)
        with open(target if file in changed else os.path.join(ROOT, file), encoding="utf-8") as text:
            whole = text.read()
        if whole.count(search) != 1:
            raise relink.Broken(f"bug {name}: its text stands {whole.count(search)} times in {file}, not once; "
                                "update the table")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as out:
            out.write(whole.replace(search, replacement))
        changed.append(file)
    return changed


class Bench:
    """The simulation. Unchanged objects are compiled once; a mutant compiles what it changes."""

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
            raise relink.Broken(f"{name}, {source}: {done.stderr}")
        return out

    def link(self, name, objects):
        program = os.path.join(self.folder, name, "sim")
        done = run(["gcc", "-o", program, *objects.values(), *self.libraries, "-ljansson", "-lm", "-lpthread"])
        if done.returncode:
            raise relink.Broken(done.stderr)
        return program

    def look(self, name, edits, args):
        """(found, where or how, what was said)"""
        overlay = os.path.join(self.folder, name, "tree")
        changed = write_overlay(name, edits, overlay)
        objects = dict(self.objects)
        for source in self.sources if any(file.endswith(".h") for file in changed) else changed:
            objects[source] = self.compile(source, name, overlay)
        program = self.link(name, objects)
        done = run([program, "--seed", "1", "--seeds", str(args.seeds), "--seconds", str(args.seconds)])
        failed = re.search(r"FAILED .*seed (\d+) \(\w+\): (.*)", done.stdout)
        if failed:
            return True, f"seed {failed.group(1)}", failed.group(2)
        never = re.findall(r"NEVER: .*", done.stdout)
        if never:
            return True, "campaign", ", ".join(never)
        return False, "SURVIVES", done.stderr[-200:]


class Killers:
    """The tests that are named with the bugs; each must pass as long as nothing is planted."""

    def __init__(self, build, folder, names, jobs):
        self.build, self.folder = relink.Build(build), folder
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for name, (passed, output) in zip(names, pool.map(self.build.run_test, names)):
                if not passed:
                    raise relink.Broken(f"{name} fails without any bug: {relink.reason(output)}")

    def look(self, name, edits, test):
        folder = os.path.join(self.folder, name)
        changed = write_overlay(name, edits, os.path.join(folder, "tree"))
        passed, output = self.build.run_test(test, os.path.join(folder, "tree"), set(changed), folder)
        short = test.removeprefix("unit.test_")
        return (False, "SURVIVES", short) if passed else (True, short, relink.reason(output))


def look(name, row, benches, args):
    """(found, the line to print)"""
    against, what, edits = row[:3]
    began = time.monotonic()
    os.makedirs(os.path.join(benches["folder"], name))
    found, where, said = benches["tests"].look(name, edits, row[3]) if len(row) > 3 else benches["sim"].look(name, edits, args)
    shutil.rmtree(os.path.join(benches["folder"], name))
    against = f"trap {against}" if isinstance(against, int) else against
    return found, f"{name:28} {where:>15} {time.monotonic() - began:5.1f} s  {against}: {what} -> {said}"


def choose(bugs, args):
    names = [name for name, row in bugs.items() if args.by in (None, "tests" if len(row) > 3 else "sim")]
    if args.only:
        names = args.only.split(",")
        for name in names:
            if name not in bugs:
                raise relink.Broken(f"no bug is called {name}; there are {', '.join(sorted(bugs))}")
    if args.sample is not None and args.sample < len(names):
        print(f"{args.sample} of {len(names)} bugs, chosen by --seed {args.seed}")
        names = sorted(random.Random(args.seed).sample(names, args.sample), key=names.index)
    return names


def plant_all(bugs, args, folder):
    names = choose(bugs, args)
    tests = sorted({bugs[name][3] for name in names if len(bugs[name]) > 3})
    for name, row in bugs.items():  # all of them, before the first one runs: a sample tells too when the table is behind the code
        write_overlay(name, row[2], os.path.join(folder, "check", name))
    build = os.path.abspath(args.build)
    benches = {"folder": folder}
    if tests:
        benches["tests"] = Killers(build, folder, tests, args.jobs)
    if any(len(bugs[name]) == 3 for name in names):
        benches["sim"] = Bench(build, folder, args.jobs)
    failed = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, (found, line) in zip(names, pool.map(lambda n: look(n, bugs[n], benches, args), names)):
            print(line, flush=True)
            if not found:
                failed.append(name)
    print(f"{len(names) - len(failed)} of {len(names)} planted bugs found"
          + (f"; not found: {', '.join(failed)}" if failed else ""))
    return not failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--by", choices=("sim", "tests"), help="only those that the simulation, or a test, shall find")
    parser.add_argument("--only", help="this one, or several with commas between")
    parser.add_argument("--sample", type=int, help="so many of them")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="which ones --sample takes")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="mutants-")
    try:
        sys.exit(0 if plant_all(read_tables(), args, folder) else 1)
    except relink.Broken as broken:
        sys.exit(f"mutants: {broken}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
