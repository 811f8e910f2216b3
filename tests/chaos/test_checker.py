#!/usr/bin/env python3
"""The checker is checked: what is planted is found, exactly, and nothing else."""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest
from array import array

BIN = pathlib.Path(os.environ["SF_BIN"]) / "chaos_checker"
MAKE = pathlib.Path(os.environ["SF_BIN"]) / "chaos_make_ids"
COUNT = int(os.environ.get("SF_IDS", "20000000"))
SEED = int(os.environ.get("SF_SEED", time.time_ns() % 1000000))
EPOCH = 1704067200000
NOW = 1800000000000
FAULTS = ("duplicates", "order_errors", "sign_errors", "slot_errors", "time_errors", "shape_errors")


def make(milliseconds, worker=0, sequence=0, datacenter=0):
    return (NOW - EPOCH + milliseconds) << 22 | datacenter << 17 | worker << 12 | sequence


class Checker(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="snowfleet-checker-")
        self.addCleanup(self.directory.cleanup)
        self.files = []

    def path(self, end):
        self.files.append(pathlib.Path(self.directory.name) / f"{len(self.files)}.{end}")
        return self.files[-1]

    def ids(self, values):
        self.path("ids").write_bytes(array("Q", values).tobytes())

    def runs(self, records):
        data = b"".join(first.to_bytes(8, "little") + count.to_bytes(4, "little") + connection.to_bytes(4, "little")
                        for first, count, connection in records)
        self.path("runs").write_bytes(data)

    def check(self, *options, **expected):
        """Runs it; everything not named in `expected` must be 0."""
        done = subprocess.run([BIN, "--from-ms", str(NOW - 1000), "--to-ms", str(NOW + 3600000), *options, *self.files],
                              capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual({name: result[name] for name in FAULTS}, {name: expected.get(name, 0) for name in FAULTS}, result)
        self.assertEqual(done.returncode, 1 if any(expected.get(name) for name in FAULTS) else 0)
        return result

    def generate(self, count, *plant):
        """Random density over three files; returns what was planted."""
        paths = [self.path("ids"), self.path("ids"), self.path("runs")]
        done = subprocess.run([MAKE, str(SEED), str(count), str(NOW - EPOCH), *map(str, plant), *paths],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def test_many_ids_without_fault(self):
        made = self.generate(COUNT)
        result = self.check()
        self.assertEqual(result["ids"], made["ids"])
        print(f"seed {SEED}: {result['ids']} IDs, {result['records']} records, {result['seconds']} s, "
              f"{result['records_per_s']:.0f} records/s", file=sys.stderr)

    def test_one_duplicate_among_many(self):
        made = self.generate(COUNT, "duplicate")
        result = self.check(duplicates=1)
        self.assertEqual(result["examples"]["duplicates"], [made["planted"]])

    def test_one_duplicate_inside_a_run(self):
        self.runs([(make(5), 100, 1), (make(6), 4096, 1)])
        self.ids([make(5, sequence=99)])
        self.assertEqual(self.check(duplicates=1)["examples"]["duplicates"], [str(make(5, sequence=99))])

    def test_neighbours_are_no_duplicates(self):
        self.runs([(make(5), 100, 1), (make(5, sequence=100), 1, 2)])
        self.ids([make(5, sequence=101), make(5, 1), make(5, datacenter=1)])
        self.assertEqual(self.check()["ids"], 104)

    def test_a_run_inside_another(self):
        self.runs([(make(5), 100, 1), (make(5, sequence=10), 20, 2), (make(5, sequence=50), 50, 3)])
        self.check(duplicates=70)

    def test_thrice_is_two_duplicates(self):
        for _ in range(3):
            self.ids([make(1), make(2)])
        self.check(duplicates=4)

    def test_order_within_a_connection(self):
        self.runs([(make(9), 10, 1), (make(8), 10, 2), (make(8, sequence=100), 1, 1), (make(7), 1, 0), (make(6), 1, 0)])
        self.check(order_errors=1)

    def test_the_same_id_again_is_order_and_duplicate(self):
        self.runs([(make(9), 1, 1), (make(9), 1, 1)])
        self.check(order_errors=1, duplicates=1)

    def test_sign_slot_time_and_shape(self):
        self.ids([1 << 63 | make(1)])
        self.check(sign_errors=1, time_errors=1)
        self.files.clear()
        self.ids([make(1, 1), make(1, 2)])
        self.check("--slot", "0:1", "--slot", "0:3", slot_errors=1)
        self.files.clear()
        self.ids([make(-1001), make(-1000), make(3600000), make(3600001)])
        self.check(time_errors=2)
        self.files.clear()
        self.runs([(make(1, sequence=4000), 97, 1), (make(2), 0, 1)])
        self.check(shape_errors=2)

    def test_duplicates_outside_the_time(self):
        self.ids([make(-5000), make(1)])
        self.ids([make(-5000), make(2)])
        self.check(time_errors=2, duplicates=1)

    def test_another_layout(self):
        one = (NOW - EPOCH) << 8 | 3 << 6
        self.runs([(one, 64, 1), (one + 256, 64, 1), (one + 63, 1, 2)])
        self.check("--layout", "55,1,1,6", "--slot", "1:1", duplicates=1)

    def test_small_random_sets_against_a_plain_count(self):
        generator = random.Random(SEED)
        for _ in range(50):
            self.files.clear()
            seen, twice = set(), 0
            for _ in range(generator.randrange(1, 4)):
                values = sorted(make(generator.randrange(4), 0, generator.randrange(50)) for _ in range(generator.randrange(1, 40)))
                values = sorted(set(values))
                twice += len(seen & set(values))
                seen |= set(values)
                self.ids(values)
            self.check(duplicates=twice)


if __name__ == "__main__":
    unittest.main()
