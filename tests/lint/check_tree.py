#!/usr/bin/env python3
"""Checks rules of the source tree that no compiler knows.

usage: check_tree.py --source DIR [--generated DIR] [--cc CC] [--quick]

Prints one line for each violation and exits 1 if there is any. --quick leaves out what takes a compiler. CONTRIBUTING.md and docs/architecture.md explain the rules.
"""
import argparse
import sys

import compiled
import documents
import hand
import rooms
import structure
from source import Tree

RULES = [rooms.check_table, rooms.check_includes, structure.check_circles, structure.check_calls, structure.check_dead, structure.check_sizes,
         hand.check_banned_calls, hand.check_openings, hand.check_exit_codes, hand.check_casts, hand.check_results, hand.check_cmocka, hand.check_format,
         documents.check_options, documents.check_metrics, documents.check_frames, documents.check_log_events, documents.check_links]
SLOW_RULES = [compiled.check_headers, compiled.check_expressions]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--generated", default=None, help="folder of generated headers")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--quick", action="store_true", help="without the rules that take a compiler")
    args = parser.parse_args()
    tree = Tree(args.source, args.generated, args.cc)
    for rule in RULES + ([] if args.quick else SLOW_RULES):
        rule(tree)
    for violation in tree.violations:
        print(violation)
    for skipped in tree.skipped:
        print(f"skipped: {skipped}")
    print(f"{len(tree.violations)} violations")
    return 1 if tree.violations else 0


if __name__ == "__main__":
    sys.exit(main())
