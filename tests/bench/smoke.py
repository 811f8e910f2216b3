#!/usr/bin/env python3
"""Runs each server of this folder for a second under bench_load: the programs work, and every answer is right."""
import json
import subprocess
import sys


def measure(server, load, server_args, load_args):
    process = subprocess.Popen([server, *server_args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = process.stdout.readline().split()[1]
        run = subprocess.run([load, "--port", port, "-t", "1", "-w", "0", "--json", *load_args],
                             stdout=subprocess.PIPE, text=True, timeout=60)
        if run.returncode != 0:
            sys.exit(f"bench_load failed with {run.returncode}: {run.stdout}")
        return json.loads(run.stdout)
    finally:
        process.terminate()
        process.wait(timeout=20)


def main():
    echo, server, load = sys.argv[1:4]
    for name, args in (("echo", (echo, load, [], [])),
                       ("one slot", (server, load, ["--threads", "2"], [])),
                       ("two slots", (server, load, ["--threads", "2", "--slots", "2"], ["-T", "2"])),
                       ("batches", (server, load, [], ["-c", "4", "-d", "4", "-b", "4096"])),
                       ("open loop", (server, load, [], ["--rate", "5000"]))):
        result = measure(*args)
        print(name, result)
        if result["errors"] or result["order_errors"] or not result["requests_per_s"]:
            sys.exit(f"{name}: wrong answers")
    if not 4000 < result["requests_per_s"] < 5200:
        sys.exit("the open loop did not keep its rate")


if __name__ == "__main__":
    main()
