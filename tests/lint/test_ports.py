#!/usr/bin/env python3
"""What tests/lib/ports.py promises: a port that one process was given is given to no other while that one lives."""
import pathlib
import subprocess
import sys
import unittest

LIB = pathlib.Path(__file__).resolve().parents[1] / "lib"
PROCESSES, EACH = 6, 400  # many enough that two would meet by chance
PROGRAM = f"import ports, sys; print(*ports.free_ports({EACH}), flush=True); sys.stdin.read()"


class Ports(unittest.TestCase):
    def test_no_port_is_given_twice(self):
        found = []
        crowd = [subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=LIB, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                 for _ in range(PROCESSES)]
        for process in crowd:
            found += process.stdout.readline().split()
        for process in crowd:
            process.communicate("")
            self.assertEqual(process.returncode, 0)
        self.assertEqual(len(found), PROCESSES * EACH)
        self.assertEqual(len(set(found)), len(found))


if __name__ == "__main__":
    unittest.main()
