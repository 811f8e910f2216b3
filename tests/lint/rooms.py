#!/usr/bin/env python3
"""The walls between the rooms: cmake/rooms.json says which room may use which, and everything else follows from it.

usage: rooms.py --write     brings the table in docs/architecture.md up to date
"""
import json
import re
import sys
from pathlib import Path

from source import Tree, line_of

TABLE = "cmake/rooms.json"
PAGE = "docs/architecture.md"
BEGIN, END = "<!-- rooms: begin (made from cmake/rooms.json by tests/lint/rooms.py --write) -->\n", "<!-- rooms: end -->\n"
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
NEVER = {"assert.h": "base/assert.h stays on in release", "alloca.h": "malloc, or an array of a fixed size"}


class Rooms:
    def __init__(self, source):
        self.source = Path(source) / "src"
        table = json.loads((Path(source) / TABLE).read_text())
        self.libraries = {name: re.compile(row["headers"]) for name, row in table["libraries"].items()}
        self.rows = table["rooms"]
        self.by_name = {row["room"]: row for row in self.rows}

    def room_of(self, name):
        """The room of "coord/etcd/http.c" (a path below src/); None: no room."""
        stem = re.sub(r"\.[ch]$", "", name)
        parts = stem.split("/")
        for count in range(len(parts), 0, -1):
            room = "/".join(parts[:count])
            # A folder in a room is a room too, or nothing: the files of a room lie side by side.
            if room in self.by_name and (count == len(parts) or count == len(parts) - 1):
                return room
        return None

    def may_use(self, room, other):
        """Whether files of a room may call what another defines."""
        uses = self.by_name[room]["uses"]
        return other == room or other in uses or f"snowfleet/{other}.h" in uses

    def table(self):
        lines = ["| room | what it is for | may use | libraries |", "| --- | --- | --- | --- |"]
        for row in self.rows:
            uses = ", ".join(f"`<{use}>`" if use.endswith(".h") else use for use in row["uses"])
            name = f"`src/{row['room']}`" if not (self.source / f"{row['room']}.c").exists() else f"`src/{row['room']}.c`"
            if "program" in row:
                name += f" (`{row['program']}`)"
            lines.append(f"| {name} | {row['does']} | {uses} | {', '.join(row['libraries'])} |")
        return "\n".join(lines) + "\n"


def check_table(tree):
    """The table is in order: a room uses only what stands above it, every folder of src/ is in it, and the page shows it."""
    rooms = Rooms(tree.source)
    path, above = tree.source / TABLE, set()
    for row in rooms.rows:
        unknown = set(row) - {"room", "uses", "libraries", "does", "program", "switch"}
        if unknown:
            tree.complain(path, 1, f"{row['room']}: unknown member {', '.join(sorted(unknown))}")
        for use in row["uses"]:
            installed = re.fullmatch(r"snowfleet/(\w+)\.h", use)
            if (installed.group(1) if installed else use) not in above:
                tree.complain(path, 1, f"{row['room']} uses {use}, which does not stand above it")
        for library in row["libraries"]:
            if library not in rooms.libraries:
                tree.complain(path, 1, f"{row['room']} uses {library}, which is no library of the table")
        above.add(row["room"])
    page = tree.source / PAGE
    if not page.exists():
        tree.skip(f"{PAGE} is not in the tree")
    elif BEGIN + rooms.table() + END not in page.read_text():
        tree.complain(page, 1, f"the table of rooms is not that of {TABLE}: run tests/lint/rooms.py --write")


def check_includes(tree):
    """Every include is one that the table of rooms allows."""
    rooms = Rooms(tree.source)
    for path in tree.files("src"):
        room = rooms.room_of(path.relative_to(tree.source / "src").as_posix())
        if room is None:
            tree.complain(path, 1, f"{path.parent.relative_to(tree.source)} is no room of {TABLE}")
            continue
        text = tree.bare(path)
        for match in INCLUDE.finditer(text):
            wrong = wrong_include(rooms, room, match.group(1), match.group(2))
            if wrong:
                tree.complain(path, line_of(text, match.start(2)), wrong)


def included(tree, rooms):
    """{room: what its includes name: rooms, installed headers, libraries}"""
    found = {name: set() for name in rooms.by_name}
    for path in tree.files("src"):
        room = rooms.room_of(path.relative_to(tree.source / "src").as_posix())
        for match in INCLUDE.finditer(tree.bare(path)) if room else ():
            found[room] |= named(rooms, match.group(1), match.group(2))
    return found


def named(rooms, quote, name):
    if quote == '"':
        return {rooms.room_of(name)}
    return {name} | {library for library, headers in rooms.libraries.items() if headers.fullmatch(name)}


def wrong_include(rooms, room, quote, name):
    row = rooms.by_name[room]
    if name in NEVER:
        return f"<{name}> is not used here: {NEVER[name]}"
    if quote == '"':
        if name == "build_info.h":
            return None
        if "/" not in name:
            return f'"{name}" must be written with its room: "{room}/{name}"'
        other = rooms.room_of(name)
        if other is None:
            return f'"{name}" is in no room of {TABLE}'
        return None if other == room or other in row["uses"] else f"{room} must not depend on {other}"
    if name.startswith("snowfleet/"):
        other = Path(name).stem
        return None if other not in rooms.by_name or rooms.may_use(room, other) else f"{room} must not depend on {other} (<{name}>)"
    for library, headers in rooms.libraries.items():
        if headers.fullmatch(name) and library not in row["libraries"]:
            return f"{room} must not use {library} (<{name}>)"
    return None


def write(source):
    page = Path(source) / PAGE
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + Rooms(source).table() + END + rest.split(END)[1])


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write(Tree(Path(__file__).resolve().parents[2]).source)
