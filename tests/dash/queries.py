#!/usr/bin/env python3
"""Runs every query of every panel, annotation and rule on a live Prometheus. usage: queries.py URL [--allow-empty REGEX]...
Fails on errors, and on queries without data that no REGEX (matched against "where: expression") allows. Annotations may always be
empty: in a healthy fleet they are. So may alerts; they are asked for once more without their thresholds, and then must have data."""
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

import load


def without_thresholds(expr):
    """What an alert compares, of which there must be data in any fleet; what it looks for in vain is no part of that."""
    expr = re.sub(r"\sunless\s.*$", "", expr)
    expr = re.sub(r"^absent\((.*)\)$", r"\1", expr)
    return re.sub(r"\s(?:[<>]=?|==)\s*[\d.]+(?:\s*\*\s*[\d.]+)*", "", expr)


def everything():
    for where, expr in load.queries():
        yield where, expr
        if where.startswith("alerts.yaml: Snowfleet"):
            bare = without_thresholds(expr)
            assert bare != expr, f"{where}: no threshold in {expr}"
            yield where.replace("Snowfleet", "what is compared by Snowfleet"), bare


def run(url, allowed, out=print):
    """Returns how many queries there are, and how many of them are bad."""
    bad = total = 0
    for where, expr in everything():
        total += 1
        body = urllib.parse.urlencode({"query": expr}).encode()
        try:
            with urllib.request.urlopen(url.rstrip("/") + "/api/v1/query", body, timeout=30) as answer:
                data = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            out(f"ERROR {where}: {error.read().decode()[:300]}\n    {expr}")
            bad += 1
            continue
        may_be_empty = "alerts.yaml: Snowfleet" in where or ": annotation " in where or any(re.search(p, f"{where}: {expr}") for p in allowed)
        if not data and not may_be_empty:
            out(f"EMPTY {where}\n    {expr}")
            bad += 1
    return total, bad


def main(arguments):
    total, bad = run(arguments[0], arguments[2::2])
    print(f"{total} queries, {bad} bad")
    return 1 if bad or not total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
