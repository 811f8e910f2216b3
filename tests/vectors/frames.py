#!/usr/bin/env python3
"""Reads tests/vectors/frames.txt, and writes it as JSON for those whose language has no reader of its own (`frames.py --write`).

The text is written by hand and is the original; frames.json is made from it, and a check compares them. Python standard library only.
"""
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Vector:
    def __init__(self, name, kind, keys, data):
        self.name, self.kind, self.keys, self.bytes = name, kind, keys, data


def read_vectors(path=HERE / "frames.txt"):
    """{name: Vector}; the values of `keys` are texts."""
    found, head, digits = {}, None, ""

    def finish():
        if head is not None:
            name, kind, rest = head
            keys = {}
            while rest:
                last = re.match(r"(\w+)=(\S*)(?:\s+(?=\w+=)(.*)|)$", rest) or re.match(r"(\w+)=(.*)()$", rest)
                keys[last.group(1)] = last.group(2)
                rest = last.group(3)
            found[name] = Vector(name, kind, keys, bytes.fromhex(digits))

    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            digits += "".join(line.split())
            continue
        finish()
        name, _, rest = line.partition(":")
        kind, _, rest = rest.strip().partition(" ")
        head, digits = (name, kind, rest.strip()), ""
    finish()
    return found


def as_json():
    rows = [{"name": v.name, "kind": v.kind, **({"values": v.keys} if v.keys else {}), "bytes": v.bytes.hex()} for v in read_vectors().values()]
    return ('{\n "about": "tests/vectors/frames.txt, by frames.py --write. Numbers are decimal strings, runs are FIRST+COUNT.",\n "frames": [\n'
            + ",\n".join("  " + json.dumps(row) for row in rows) + "\n ]\n}\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (HERE / "frames.json").write_text(as_json())
    elif (HERE / "frames.json").read_text() != as_json():
        sys.exit("tests/vectors/frames.json is not what frames.txt says: run tests/vectors/frames.py --write")
