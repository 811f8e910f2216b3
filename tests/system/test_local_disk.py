#!/usr/bin/env python3
"""The disk below a local coordinator fills up or becomes read-only: minting goes on to the end of the reservation, stops, says why, and
comes back with the disk."""
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

WINDOW_MS = 4000


def own_mounts():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@unittest.skipUnless(own_mounts(), "needs root and mount namespaces")
class Disk(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.directory = self.fleet.directory / "coordinator"
        self.directory.mkdir()
        self.worker = self.fleet.worker(
            options={"reservation-window-ms": WINDOW_MS, "reservation-min-window-ms": WINDOW_MS},
            wrap=["unshare", "--mount", "--propagation", "private", "sh", "-c",
                  'd=$1; shift; mount -t tmpfs -o size=16m tmpfs "$d" && exec "$@"', "sh", str(self.directory)]).start()
        self.ids = []

    def inside(self, script):
        subprocess.run(["nsenter", "--target", str(self.worker.process.pid), "--mount", "sh", "-c", script, "sh", str(self.directory)],
                       check=True, capture_output=True)

    def draw(self):
        with self.worker.connect() as c:
            self.ids += c.ids(10)

    def story(self, spoil, mend, why):
        self.draw()
        self.inside(spoil)
        begun = time.monotonic()
        try:
            while True:
                self.draw()
                self.assertLess(time.monotonic() - begun, 10 * WINDOW_MS / 1000, "it should have stopped")
                time.sleep(0.05)
        except sf.Refused as refused:
            self.assertEqual(refused.answer.code, sf.NOT_READY)
            self.assertIn(why, refused.answer.reason())
        self.assertGreater(time.monotonic() - begun, WINDOW_MS * 0.8 / 1000)
        self.worker.wait_not_ready()
        self.assertIn("used up", self.worker.readyz()[1])
        self.assertIn(why, self.worker.log())
        self.assertLess(len([line for line in self.worker.log().splitlines() if why in line]), 3 * (time.monotonic() - begun) + 3)
        self.inside(mend)
        self.worker.wait_ready()
        self.draw()
        self.assertEqual(len(self.ids), len(set(self.ids)))
        self.assertEqual(self.ids, sorted(self.ids))
        self.assertEqual(self.worker.term(), 0)

    def test_read_only(self):
        # A view that is read-only, over the one that the worker's claim keeps open for writing.
        self.story('mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"', 'umount --lazy "$1"', "EROFS")

    def test_full(self):
        self.story('cat /dev/zero >"$1/filler" 2>/dev/null || true', 'rm "$1/filler"', "ENOSPC")


if __name__ == "__main__":
    unittest.main(verbosity=2)
