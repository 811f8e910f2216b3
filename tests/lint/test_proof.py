#!/usr/bin/env python3
"""The commands that docs/proof.md tells people to repeat: their programs are there and know the options that are given, the tests that they name exist.

usage: test_proof.py --build DIR"""
import argparse
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACES = re.compile(r"build/(dev|release)(?=/|$)")  # as the page calls the build
TESTS = re.compile(r"(unit|lint|sim|model|contract|promise|chaos|system)[.]\w+")  # a test, by its name in ctest


def commands():
    """Those in the tables whose second or third column is called "repeat with"."""
    found, column = [], None
    with open(os.path.join(ROOT, "docs/proof.md"), encoding="utf-8") as page:
        for line in page:
            if not line.startswith("|"):
                column = None
                continue
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if "repeat with" in cells:
                column = cells.index("repeat with")
            elif column is not None and not set(line) <= set("|- \n"):
                assert column < len(cells), f"a row without a command: {line}"
                found += re.findall(r"`([^`]+)`", cells[column])
    return found


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=ROOT, timeout=120)
    return done.returncode, done.stdout + done.stderr


def wrong(command, build):
    """What is wrong with it, or None."""
    words = [PLACES.sub(build, word) if PLACES.match(word) else word for word in shlex.split(command)]
    options = [word for word in words[1:] if word.startswith("--")]
    if TESTS.fullmatch(command):
        words = ["ctest", "--test-dir", build, "-R", f"^{re.escape(command)}$"]
    if words[0] == "ctest":
        code, said = output(*words, "-N")
        return None if code == 0 and re.search(r"Total Tests: [1-9]", said) else "no test is called so"
    path = os.path.join(ROOT, words[0])
    if words[0] == "sim":  # as in the rows about long runs
        path = os.path.join(build, "tests/sim/sim")
    if not os.access(path, os.X_OK):
        return f"{words[0]} is no program"
    if words[0] == "./check":
        with open(path, encoding="utf-8") as text:
            whole = text.read()
        stages = set(re.findall(r"^if wanted (\w+);", whole, re.M))
        given = words[words.index("--only") + 1].split(",") if "--only" in words else []
        unknown = [option for option in options if f"\n  {option})" not in whole] + sorted(set(given) - stages)
        return f"it knows no {', '.join(unknown)}" if unknown else None
    if options:
        code, said = output(path, "--help")
        unknown = [option for option in options if option not in said]
        return f"its help knows no {', '.join(unknown)}" if unknown else None
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    build = os.path.abspath(parser.parse_args().build)
    found = commands()
    assert len(found) >= 15, found
    bad = [f"docs/proof.md: `{command}`: {why}" for command in found if (why := wrong(command, build))]
    assert wrong("ctest --test-dir build/dev -R '^nowhere$'", build) and wrong("build/dev/tests/nothing", build) and wrong("./check --only nothing", build)
    print("\n".join(bad) or f"{len(found)} commands")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
