#!/usr/bin/env python3
"""Would the suite find it? Plants a bug in a copy of each client's source and runs the scenarios that must fail then.

usage: tests/clients/planted.py [--languages c,go] [--bugs order,goaway]

Exits 0 when every planted bug was found, and the scenarios pass without it.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

import driver
from driver import HERE, ROOT

PLANTED = ROOT / "build/clients/planted"

# What is planted, and which scenarios must notice.
BUGS = {
    "order": ("the order of IDs is not checked", "order:"),
    "goaway": ("GOAWAY is ignored", "goaway"),
    "deadline": ("the deadline is ignored", "nobody there"),
    "repeat": ("IDs that repeat within an answer are handed on", "answers are read"),
}

# language: bug: file, what stands there once, what stands there then
EDITS = {
    "c": {
        "order": ("src/client/answer.c", "conn->last_id = last;\n    return fine;", "conn->last_id = last;\n    return fine || true;"),
        "goaway": ("src/client/conn.c", "conn->state = SF_CONN_LEAVING;\n        handler->on_goaway(ctx, conn, &goaway);\n", ""),
        "deadline": ("src/client/engine.c", "if (engine->now_ns >= call->deadline_ns) {\n        expire(engine, call);",
                     "if (engine->now_ns >= call->deadline_ns + INT64_C(3600000000000)) {\n        expire(engine, call);"),
        "repeat": ("src/wire/response.c", "if (i > 0 && run.first <= last)", "if (i > runs && run.first <= last)"),
    },
    "go": {
        "order": ("answer.go", "\tif k.lastID != 0 && first <= k.lastID {\n", "\tif first < last+1 {\n\t\treturn true\n\t}\n\tif k.lastID != 0 && first <= k.lastID {\n"),
        "goaway": ("conn.go", "\t\tk.leave()\n", ""),
        "deadline": ("call.go", "case fired && !time.Now().Before(k.deadline):", "case fired && time.Now().Before(k.deadline.Add(-time.Hour)):"),
        "repeat": ("frame.go", "(i > 0 && first <= last)", "(i < 0 && first <= last)"),
    },
    "java": {
        "order": ("client/src/main/java/io/snowfleet/client/Engine.java", "        if (conn.lastId > 0 && first <= conn.lastId) {\n",
                  "        if (first <= last) {\n            return true;\n        }\n        if (conn.lastId > 0 && first <= conn.lastId) {\n"),
        "goaway": ("client/src/main/java/io/snowfleet/client/Conn.java", "            leave();\n", ""),
        "deadline": ("client/src/main/java/io/snowfleet/client/Engine.java", "if (now >= call.deadline) {\n            expire(call);",
                     "if (now >= call.deadline + 3600000 * Policy.MS) {\n            expire(call);"),
        "repeat": ("client/src/main/java/io/snowfleet/client/Frames.java", "n == 0 || first <= last || ", "n == 0 || "),
    },
    "python": {
        "order": ("src/snowfleet/engine.py", "if not self._in_order(conn, request, first, last):", "if self._in_order(conn, request, first, last) is None:"),
        "goaway": ("src/snowfleet/conn.py", "            self._leave()\n", ""),
        "deadline": ("src/snowfleet/engine.py", "if now >= call.deadline:\n", "if now >= call.deadline + 3600:\n"),
        "repeat": ("src/snowfleet/frames.py", "if n == 0 or first <= last or ", "if n == 0 or "),
    },
    "rust": {
        "order": ("src/answer.rs", "self.in_order(id, request, first, last) {", "self.in_order(id, request, first, last).or(Ok::<(), String>(())) {"),
        "goaway": ("src/conn.rs", "            self.leave(id, now);\n", ""),
        "deadline": ("src/attempt.rs", "if now >= call.deadline {\n", "if now >= call.deadline + Duration::from_secs(3600) {\n"),
        "repeat": ("src/frames.rs", "if !found.is_empty() && first <= last {", "if found.len() > 1 << 20 && first <= last {"),
    },
    "typescript": {
        "order": ("src/engine.ts", "    if (conn.lastId > 0n && first <= conn.lastId) return false;\n",
                  "    if (first <= last) return true;\n    if (conn.lastId > 0n && first <= conn.lastId) return false;\n"),
        "goaway": ("src/conn.ts", 'if (body.length < 4) return "a malformed GOAWAY came";', 'if (body.length < 4) return "a malformed GOAWAY came";\n      if (kind === frames.GOAWAY) return undefined;'),
        "deadline": ("src/engine.ts", "if (now >= call.deadline) this.expire(call);", "if (now >= call.deadline + 3600000) this.expire(call);"),
        "repeat": ("src/frames.ts", "if (n === 0 || first <= last) return undefined;", "if (n === 0) return undefined;"),
    },
}


SAME = {"tokio"}  # the source of another


def copy(language, name):
    """The client's source by itself, where its driver builds it; (its folder, its driver)."""
    place = PLANTED / f"{language}-{name}"
    if language == "c":
        files = subprocess.run(["git", "ls-files", "-z", "CMakeLists.txt", "cmake", "include", "src", "tests", "examples"], cwd=ROOT, capture_output=True,
                               check=True).stdout.decode().split("\0")
        for each in filter(None, files):
            to = place / each
            to.parent.mkdir(parents=True, exist_ok=True)
            if not to.exists() or to.read_bytes() != (ROOT / each).read_bytes():  # what is the same need not be built again
                shutil.copy(ROOT / each, to)
        return place, place / "tests/clients/c-driver"
    folder = place / "clients" / language
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(ROOT / "clients" / language, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "target", "__pycache__"))
    if (ROOT / "clients" / language / "node_modules").exists():
        (folder / "node_modules").symlink_to(ROOT / "clients" / language / "node_modules")
    built = pathlib.Path("build/clients/rust/release")
    if language == "rust" and not (place / built).exists():  # what it depends on need not be built again
        shutil.copytree(ROOT / built, place / built, ignore=shutil.ignore_patterns("incremental", "examples"))
    return folder, folder / "driver"


def plant(folder, edit):
    path, before, after = edit
    text = (folder / path).read_text()
    if text.count(before) != 1:
        raise SystemExit(f"{folder / path}: what the bug is planted in stands there {text.count(before)} times: {before!r}")
    (folder / path).write_text(text.replace(before, after))


def play(language, program, only):
    """(did every scenario pass?, what was said)"""
    done = subprocess.run([str(HERE / "run"), "--languages", language, "--driver", f"{language}={program}", "--only", only, "--beside", "2"],
                          capture_output=True, text=True, check=False, env={**os.environ, "SF_CLIENTS_DEADLINE_S": "20"})
    if " runs, " not in done.stdout:
        raise SystemExit(f"{language}: the scenarios were not played: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0, done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--languages", default=None)
    parser.add_argument("--bugs", default=",".join(BUGS))
    args = parser.parse_args()
    languages = args.languages.split(",") if args.languages else [name for name, missing in driver.languages_here().items()
                                                                   if missing is None and name not in SAME]
    missed = 0
    for language in languages:
        if language not in EDITS:
            raise SystemExit(f"no bugs are known for {language}")
        for bug in args.bugs.split(","):
            what, only = BUGS[bug]
            fine, said = play(language, driver.LANGUAGES[language][1], only)
            if not fine:
                raise SystemExit(f"{language}: \"{only}\" fails without a planted bug:\n{said}")
            folder, program = copy(language, bug)
            plant(folder, EDITS[language][bug])
            passed, _ = play(language, program, only)
            missed += passed
            print(f"{language:<11} {what:<50} {'NOT FOUND' if passed else 'found'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
