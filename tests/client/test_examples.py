#!/usr/bin/env python3
"""The example programs run, and README-sized they stay. Usage: test_examples.py GET_IDS EVENT_LOOP SOURCE"""
import os
import subprocess
import sys

from fake_worker import Worker

get_ids, event_loop, source = sys.argv[1:]
worker = Worker()
try:
    text = subprocess.run([get_ids, worker.address], capture_output=True, text=True, timeout=30, check=True).stdout
    ids = [int(x) for x in text.split()]
    assert len(set(ids)) == 10 and ids == sorted(ids), text
    text = subprocess.run([event_loop, worker.address], capture_output=True, text=True, timeout=30, check=True).stdout
    assert text == "1000 IDs, 0 calls failed\n", text
finally:
    worker.close()
with open(os.path.join(source, "examples", "get_ids.c")) as file:
    code = file.read()
assert code.count("\n") <= 32
with open(os.path.join(source, "docs", "client.md")) as file:
    assert code.split("*/\n", 1)[1] in file.read(), "docs/client.md shows another program than examples/get_ids.c"
