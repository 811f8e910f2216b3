#!/usr/bin/env python3
"""What an ID costs in the caller's process: makes a fleet with room for it and runs bench_minter there.

    tests/bench/minter.py SNOWFLEET BENCH_MINTER [OPTIONS OF BENCH_MINTER]
"""
import subprocess
import sys
import tempfile


def main():
    snowfleet, bench, *more = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="snowfleet-bench-") as directory:
        url = f"local://{directory}/fleet"
        subprocess.run([snowfleet, "init", "--first", "--coordinator", url, "--layout", "41,0,3,19"], check=True, stdout=subprocess.DEVNULL)
        return subprocess.run([bench, url, *more], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
