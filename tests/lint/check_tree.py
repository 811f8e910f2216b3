#!/usr/bin/env python3
"""Checks rules of the source tree that no compiler knows.

usage: check_tree.py --source DIR [--generated DIR] [--cc CC]

Prints one line for each violation and exits 1 if there is any. docs/architecture.md explains the rules.
"""
import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

# What a room may include besides itself and include/. The order is that of the dependencies.
ALLOWED = {
    "base": set(),
    "id": {"base"},
    "wire": {"base"},
    "metrics": {"base"},
    "config": {"base"},
    "clock": {"base", "id", "wire", "metrics", "config"},
    "coord": {"base", "id"},
    "worker": {"base", "id", "clock", "coord"},
    "server": {"base", "id", "wire", "metrics"},
    "admin": {"base", "id", "wire", "metrics", "config", "clock", "coord", "worker"},
    "client": {"base", "wire"},
    "cli": {"base", "wire", "coord", "client"},
    "daemon": {"base", "id", "wire", "metrics", "config", "clock", "coord", "worker", "server", "admin"},
}

# Backends of coord: their files are a backend's name, alone or with _suffix. Only their own files include their headers.
BACKENDS = ("zookeeper", "etcd", "local")
# One outside library for each backend, besides jansson, which the records need.
BACKEND_LIBRARIES = {"zookeeper": {"zookeeper"}, "etcd": {"curl"}, "local": set()}
OUTSIDE_LIBRARIES = {"zookeeper": r"^zookeeper/|^zookeeper", "curl": r"^curl/", "microhttpd": r"^microhttpd",
                     "openssl": r"^openssl/", "jansson": r"^jansson"}
# Which rooms may include which outside library.
ROOM_LIBRARIES = {"config": {"jansson"}, "coord": {"jansson"}, "server": {"openssl"}, "client": {"openssl"},
                  "admin": {"microhttpd", "jansson"}, "cli": {"jansson", "curl", "microhttpd", "openssl"},
                  "daemon": {"openssl", "curl", "jansson"}}

BANNED = {
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strcpy": "snprintf or memcpy", "strcat": "sf_strbuf",
    "strncpy": "snprintf or memcpy", "strncat": "sf_strbuf", "strtok": "strcspn", "gets": "fgets",
    "atoi": "sf_parse_i64", "atol": "sf_parse_i64", "atoll": "sf_parse_i64", "atof": "nothing: no floating input",
    "rand": "sf_prng", "srand": "sf_prng", "random": "sf_prng", "srandom": "sf_prng",
    "localtime": "sf_format_time_ms", "gmtime": "sf_format_time_ms", "ctime": "sf_format_time_ms",
    "asctime": "sf_format_time_ms", "system": "nothing: no shells", "popen": "nothing: no shells",
    "alloca": "malloc or a fixed array", "tmpnam": "mkstemp", "mktemp": "mkstemp", "setjmp": "nothing",
    "longjmp": "nothing",
    # Synchronous calls of the ZooKeeper library wait for ever when the session ends under them.
    "zoo_create": "zoo_acreate2", "zoo_create2": "zoo_acreate2", "zoo_delete": "zoo_adelete", "zoo_exists": "zoo_awexists",
    "zoo_wexists": "zoo_awexists", "zoo_get": "zoo_aget", "zoo_wget": "zoo_aget", "zoo_get_children": "zoo_awget_children2",
    "zoo_get_children2": "zoo_awget_children2", "zoo_wget_children2": "zoo_awget_children2", "zoo_set": "zoo_aset",
    "zoo_set2": "zoo_aset", "zoo_multi": "zoo_amulti",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(sorted(BANNED)) + r")\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 90
# Files that are too long and must not grow; the right end of this list is empty.
FILE_LINES_GRANDFATHERED = {}


def blank_comments_and_strings(text):
    """The same text with comments and the insides of literals blanked, line breaks kept."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def blank_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)


LOG_CALL = re.compile(r"\b(?:sf_log_write|sf_log_limited|write_line|sf_res_log|sf_shared_event)\s*\(")


def arguments_at(text, begin):
    """What stands between the parenthesis that was opened before `begin` and the one that closes it."""
    depth = 0
    for match in re.compile(r'"(?:\\.|[^"\\\n])*"|[()]').finditer(text, begin):
        depth += {"(": 1, ")": -1}.get(match.group(0), 0)
        if depth < 0:
            return text[begin:match.start()]
    return text[begin:]


def backend_of(path):
    for name in BACKENDS:
        if path.stem == name or path.stem.startswith(name + "_"):
            return name
    return None


class Checker:
    def __init__(self, source, generated, cc):
        self.source = Path(source)
        self.generated = generated
        self.cc = cc
        self.violations = []
        self.skipped = []

    def complain(self, path, line, text):
        try:
            path = path.relative_to(self.source)
        except ValueError:
            pass
        self.violations.append(f"{path}:{line}: {text}")

    def files(self, *folders, suffixes=(".c", ".h")):
        for folder in folders:
            for path in sorted((self.source / folder).rglob("*")):
                if path.suffix in suffixes and path.is_file():
                    yield path

    # --- rules -----------------------------------------------------------------------------------------------------
    def check_includes(self):
        for path in self.files("src"):
            room = path.relative_to(self.source / "src").parts[0]
            text = blank_comments(path.read_text())
            if room not in ALLOWED:
                self.complain(path, 1, f"src/{room} is no room of the architecture")
                continue
            for match in INCLUDE.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                self.check_include(path, room, line, match.group(1), match.group(2))

    def check_include(self, path, room, line, quote, name):
        if name in ("assert.h", "alloca.h"):
            self.complain(path, line, f"<{name}> is not used here: base/assert.h stays on in release")
            return
        if quote == '"':
            if name == "build_info.h":
                return
            if "/" not in name:
                self.complain(path, line, f'"{name}" must be written with its room: "{room}/{name}"')
                return
            other = name.split("/")[0]
            if other != room and other not in ALLOWED.get(room, set()):
                self.complain(path, line, f"{room} must not depend on {other}")
            backend = backend_of(Path(name)) if other == "coord" else None
            if backend and (room != "coord" or backend_of(path) != backend):
                self.complain(path, line, f"only the files of the {backend} backend may include {name}")
            return
        if name.startswith("snowfleet/") and room != "cli" and room != "client" and name.endswith("client.h"):
            self.complain(path, line, f"{room} must not depend on the client library")
        for library, pattern in OUTSIDE_LIBRARIES.items():
            if not re.search(pattern, name):
                continue
            allowed = set(ROOM_LIBRARIES.get(room, set()))
            if room == "coord":
                allowed |= BACKEND_LIBRARIES.get(backend_of(path), set())
            if library not in allowed:
                self.complain(path, line, f"{path.name} must not use {library}")

    def check_banned_calls(self):
        for path in self.files("src", "include"):
            text = blank_comments_and_strings(path.read_text())
            for match in BANNED_CALL.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                name = match.group(1)
                self.complain(path, line, f"{name} is banned; use {BANNED[name]}")

    def check_sizes(self):
        for path in self.files("src"):
            lines = path.read_text().splitlines()
            limit = FILE_LINES_GRANDFATHERED.get(path.relative_to(self.source).as_posix(), FILE_LINES_MAX)
            if len(lines) > limit:
                self.complain(path, len(lines), f"{len(lines)} lines, at most {limit}: split by meaning")
            begin = None
            for number, line in enumerate(lines, 1):
                if line == "{":
                    begin = number
                elif line == "}" and begin:
                    if number - begin + 1 > FUNCTION_LINES_MAX:
                        self.complain(path, begin, f"a function of {number - begin + 1} lines, "
                                                   f"at most {FUNCTION_LINES_MAX}: it must fit on a screen")
                    begin = None

    def check_headers(self):
        """Every header compiles alone; the installed ones also as strict C11 and as C++."""
        includes = ["-I", str(self.source / "include"), "-I", str(self.source / "src")]
        if self.generated:
            includes += ["-I", self.generated]
        for path in self.files("include", "src", suffixes=(".h",)):
            public = path.is_relative_to(self.source / "include")
            name = path.relative_to(self.source / ("include" if public else "src"))
            modes = [["-x", "c", "-std=gnu17", "-D_GNU_SOURCE"]]
            if public:
                modes.append(["-x", "c", "-std=c11", "-pedantic-errors"])
                if shutil.which("c++"):
                    modes.append(["-x", "c++", "-std=c++17", "-pedantic-errors"])
            for mode in modes:
                compiler = "c++" if "c++" in mode else self.cc
                run = subprocess.run([compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *mode, *includes, "-"],
                                     input=f"#include <{name}>\n#include <{name}>\nextern int sf_unit;\n", capture_output=True, text=True)
                if run.returncode != 0:
                    first = next((l for l in run.stderr.splitlines() if "error" in l), run.stderr.strip())
                    self.complain(path, 1, f"does not compile alone ({' '.join(mode)}): {first}")

    def check_documented(self, table, pattern, page, what, names):
        table_path, page_path = self.source / table, self.source / page
        if not table_path.exists() or not page_path.exists():
            self.skipped.append(f"{page}: {table if not table_path.exists() else page} is not in the tree")
            return
        found = names(re.findall(pattern, table_path.read_text(), re.M))
        if not found:
            self.complain(table_path, 1, f"no {what} found: this check reads the table wrongly")
        text = page_path.read_text()
        for name in found:
            if not re.search(r"(?<![\w.])" + re.escape(name) + r"(?!\w)", text):
                self.complain(page_path, 1, f"{what} {name} is not documented")

    def check_documents(self):
        self.check_documented("src/config/options.c", r'^    \{"([a-z_]+\.[a-z_]+)",', "docs/configuration.md", "option",
                              lambda found: found)
        # A counter's series is exposed with _total; the page may use either name.
        self.check_documented("src/metrics/table.h", r'^\s*X\([A-Z_0-9]+, "([a-z_0-9]+)", ([A-Z]+)', "docs/metrics.md",
                              "metric",
                              lambda found: [n + ("_total" if kind == "COUNTER" else "") for n, kind in found])

    def log_events(self):
        """{event: (levels, path, line)} of every call that writes a log line or tells an event."""
        found = {}
        for path in self.files("src", suffixes=(".c",)):
            text = blank_comments(path.read_text())
            for match in LOG_CALL.finditer(text):
                arguments = arguments_at(text, match.end())
                line = text.count("\n", 0, match.start()) + 1
                levels = {level.lower() for level in re.findall(r"\bSF_LOG_(DEBUG|INFO|WARN|ERROR)\b", arguments)}
                names = re.findall(r'"([a-z]+\.[a-z_-]+)"', arguments)
                if not names and not re.search(r"\bevent\b", arguments):
                    self.complain(path, line, "a log line without a literal event name")
                for name in names:
                    if not re.fullmatch(r"[a-z]+\.[a-z_]+", name):
                        self.complain(path, line, f"log event {name}: names are made of a-z and _")
                    found.setdefault(name, (set(), path, line))[0].update(levels)
        return found

    def check_log_events(self):
        """docs/logs.md lists every log event with its levels, and no other."""
        page = self.source / "docs/logs.md"
        if not page.exists():
            self.skipped.append("docs/logs.md is not in the tree")
            return
        found, documented = self.log_events(), {}
        for number, text in enumerate(page.read_text().splitlines(), 1):
            match = re.match(r"\| (`[^|]*`) \| ([a-z, ]+) \| \S", text)
            for name in re.findall(r"`([^`]+)`", match.group(1)) if match else ():
                if name in documented:
                    self.complain(page, number, f"log event {name} is listed twice")
                documented[name] = set(match.group(2).split(", ")), number
        for name, (levels, path, line) in sorted(found.items()):
            if name not in documented:
                self.complain(path, line, f"log event {name} is not in docs/logs.md")
            elif levels != documented[name][0]:
                self.complain(page, documented[name][1], f"log event {name} is written at level {', '.join(sorted(levels))}")
        for name in sorted(documented.keys() - found.keys()):
            self.complain(page, documented[name][1], f"log event {name} is not in src")

    def check_format(self):
        program = shutil.which("clang-format")
        if not program:
            self.skipped.append("clang-format is not installed")
            return
        paths = [str(p) for p in self.files("src", "include", "tests", suffixes=FORMATTED)]
        for begin in range(0, len(paths), 100):
            run = subprocess.run([program, "--dry-run", "-Werror", "--ferror-limit=1", *paths[begin:begin + 100]],
                                 capture_output=True, text=True)
            for match in re.finditer(r"^(\S+?):(\d+):\d+: error: code should be clang-formatted", run.stderr, re.M):
                self.complain(Path(match.group(1)), match.group(2), "not formatted: run clang-format -i")
            if run.returncode != 0 and "clang-formatted" not in run.stderr:
                self.complain(Path("."), 0, f"clang-format failed: {run.stderr.strip()[:300]}")

    def run(self):
        self.check_includes()
        self.check_banned_calls()
        self.check_sizes()
        self.check_headers()
        self.check_documents()
        self.check_log_events()
        self.check_format()
        return self.violations


# Headers are laid out by hand where a table or a comment reads better wide.
FORMATTED = (".c",)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--generated", default=None, help="folder of generated headers")
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()
    checker = Checker(args.source, args.generated, args.cc)
    for violation in checker.run():
        print(violation)
    for skipped in checker.skipped:
        print(f"skipped: {skipped}")
    print(f"{len(checker.violations)} violations")
    return 1 if checker.violations else 0


if __name__ == "__main__":
    sys.exit(main())
