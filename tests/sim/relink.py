"""Programs of a build with a bug planted in them, for the tests that ctest knows.

A mutant compiles the objects that its files go into (by the commands and dependencies of the build itself), links the
programs of one test anew, and runs that test with them in place of its own.
"""
import json
import os
import re
import shlex
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Broken(Exception):
    """The table or the build is wrong, not the product."""


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def output_of(command, folder):
    done = run(command, cwd=folder)
    if done.returncode:
        raise Broken(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


class Build:
    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        with open(os.path.join(self.folder, "compile_commands.json"), encoding="utf-8") as text:
            self.compile = {}
            for row in json.load(text):
                words = shlex.split(row["command"])
                self.compile[words[words.index("-o") + 1]] = row
        listing = json.loads(output_of(["ctest", "--show-only=json-v1"], self.folder))
        self.tests = {test["name"]: test for test in listing["tests"]}
        self.sources = self.read_dependencies()

    def read_dependencies(self):
        """object: the files of the project that it was made from"""
        sources, name = {}, None
        for line in output_of(["ninja", "-t", "deps"], self.folder).splitlines():
            if line and not line.startswith(" "):
                name = line.split(":")[0]
                sources[name] = set()
            elif line.strip():
                path = os.path.normpath(os.path.join(self.folder, line.strip()))
                if path.startswith(ROOT + os.sep) and not path.startswith(self.folder + os.sep):
                    sources[name].add(os.path.relpath(path, ROOT))
        return sources

    def members_of(self, library):
        lines = output_of(["ninja", "-t", "query", library], self.folder).splitlines()
        return [line.strip() for line in lines if line.strip() in self.compile]

    def is_program(self, path):
        return path.startswith(self.folder + os.sep) and os.access(path, os.X_OK) and os.path.isfile(path) \
            and not path.endswith((".py", ".sh"))

    def recompile(self, name, overlay, out):
        row = self.compile[name]
        words = shlex.split(row["command"])
        words[words.index("-o") + 1] = out
        source = os.path.relpath(row["file"], ROOT)
        changed = os.path.join(overlay, source)
        words[-1] = changed if os.path.exists(changed) else row["file"]
        first = [f"-I{os.path.join(overlay, folder)}" for folder in ("src", "include", "tests")]
        at = next(i for i, word in enumerate(words) if word.startswith("-I"))
        done = run(words[:at] + first + words[at:] + ["-w"], cwd=row["directory"])
        if done.returncode:
            raise Broken(f"{source} does not compile:\n{done.stderr}")

    def recompile_all(self, objects, overlay, changed, folder):
        """Those of the objects that a changed file goes into. {object of the build: new object, by the same name}"""
        new = {}
        for name in objects:
            if self.sources.get(name, set()) & changed:
                new[name] = os.path.join(folder, "objects", name)
                if not os.path.exists(new[name]):
                    os.makedirs(os.path.dirname(new[name]), exist_ok=True)
                    self.recompile(name, overlay, new[name])
        return new

    def replace_members(self, library, overlay, changed, folder):
        """A copy of the library with its members made anew; None when there is nothing to change."""
        new = self.recompile_all(self.members_of(library), overlay, changed, folder)
        if not new:
            return None
        copy = os.path.join(folder, library.replace("/", "_"))
        if not os.path.exists(copy):
            shutil.copyfile(os.path.join(self.folder, library), copy)
            output_of(["ar", "r", copy, *new.values()], self.folder)
        return copy

    def relink(self, program, overlay, changed, folder):
        """The program with the changed files in it; None when none of them goes into it."""
        link = output_of(["ninja", "-t", "commands", os.path.relpath(program, self.folder)], self.folder)
        words = shlex.split(link.splitlines()[-1].split("&&")[1])
        objects = self.recompile_all([word for word in words if word.endswith(".o")], overlay, changed, folder)
        libraries = {word: self.replace_members(word, overlay, changed, folder)
                     for word in set(words) if word.endswith(".a") and not os.path.isabs(word)}
        planted = objects | {library: copy for library, copy in libraries.items() if copy}
        if not planted:
            return None
        target = os.path.join(folder, os.path.basename(program))
        words = [planted.get(word, word) for word in words]
        words[words.index("-o") + 1] = target
        done = run(words, cwd=self.folder)
        if done.returncode:
            raise Broken(f"{os.path.basename(program)} does not link:\n{done.stderr}")
        return target

    def run_test(self, name, overlay=None, changed=frozenset(), folder=None):
        """(passed, its output): the test as ctest runs it, with the changed files in its programs. Words after the name are given to it:
        the one case of it that is needed."""
        name, *more = name.split()
        if name not in self.tests:
            raise Broken(f"ctest knows no test {name}")
        test = self.tests[name]
        properties = {row["name"]: row["value"] for row in test.get("properties", [])}
        environment = dict(os.environ)
        environment.update(row.split("=", 1) for row in properties.get("ENVIRONMENT", []))
        command, planted = list(test["command"]) + more, 0
        if overlay:
            for i, word in enumerate(command):
                if self.is_program(word):
                    program = self.relink(word, overlay, changed, folder)
                    command[i] = program or word
                    planted += program is not None
            if "SF_BIN" in environment:
                for word in ("snowfleetd", "snowfleet"):
                    program = self.relink(os.path.join(environment["SF_BIN"], word), overlay, changed, folder)
                    planted += program is not None
                    if not program:
                        os.symlink(os.path.join(environment["SF_BIN"], word), os.path.join(folder, word))
                environment["SF_BIN"] = folder
            if not planted:
                raise Broken(f"none of {', '.join(sorted(changed))} goes into the programs of {name}")
        try:
            done = run(command, cwd=properties.get("WORKING_DIRECTORY"), env=environment,
                       timeout=properties.get("TIMEOUT", 600))
        except subprocess.TimeoutExpired:
            return False, "it does not end"
        if done.returncode == properties.get("SKIP_RETURN_CODE"):
            raise Broken(f"{name} is skipped on this machine")
        return done.returncode == 0, done.stdout + done.stderr


def reason(output):
    """Why a test failed, in a line."""
    for pattern in (r"invariant broke: .*", r"ERROR: \w+Sanitizer: .*", r"(?m)^ERROR: (.*)", r"Assertion .*", r"\[  FAILED  \] (\w+)", r".*Error: .*"):
        found = re.search(pattern, output)
        if found:
            where = re.search(r"\[   LINE   \] --- .*/(\S+): error", output)
            return found.group(found.lastindex or 0)[:120] + (f" ({where.group(1)})" if where else "")
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1][:120] if lines else "it says nothing"
