#!/usr/bin/env python3
"""The state file is written, never believed, while the process lives: whatever is done to it costs at most a fast restart."""
import os
import pathlib
import shutil
import sys
import time
import unittest

import stage as st
from stage import sf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from fake_ntp import FakeNtp  # noqa: E402

WINDOW_MS = 8000
LONG_MS = 60000  # no renewal within a test: the record keeps the version that an older file names
STEP_S = 0.9  # within clock.max_offset_ms
PLACES = (("local", 0), ("etcd", 1), ("zookeeper", 1))


@st.spread
class StateFile(unittest.TestCase):
    def begin(self, stage, clock=False, **load):
        stage.first_init()
        self.fakes = [FakeNtp() for _ in range(3)] if clock else []
        for fake in self.fakes:
            self.addCleanup(fake.close)
        worker = stage.worker("w", clock=clock, options={"clock-sources": ",".join(f.source for f in self.fakes), "clock-poll-ms": 200,
                                                         "clock-require-sync": "true"} if clock else {})
        stage.collect(**load)
        worker.start()
        sf.wait_until(worker.mints, worker.log)
        return worker, self.file(stage)

    def file(self, stage):
        files = list((stage.fleet.directory / "state").rglob("*.state"))
        self.assertEqual(len(files), 1, files)
        return files[0]

    @staticmethod
    def put_back(file, content):
        """Over the same file, as dd conv=notrunc does it."""
        with open(file, "r+b") as f:
            f.write(content)

    def step(self, worker, offset_s):
        """The clock steps, and its sources say that it is right."""
        for fake in self.fakes:
            fake.faults["offset"] = offset_s
        worker.clock(offset_s)

    @staticmethod
    def start_again(worker):
        worker.kill()
        worker.start()
        sf.wait_until(worker.mints, worker.log)

    def end(self, stage, worker):
        self.assertTrue(worker.is_ready())
        time.sleep(0.5)
        stage.assert_unique(stage.finish())

    @st.on(*PLACES)
    def overwritten_in_place(self, kind, members):
        """64 IDs a millisecond and a load beyond that: timestamps run ahead of the clock, so what is put back is still above it."""
        with st.Stage(self, kind, members, WINDOW_MS, "47,5,5,6") as stage:
            worker, file = self.begin(stage, rate=2e5, batch=64)
            for pause in (0, 0.001, 0.003):
                for _ in range(200):
                    content = file.read_bytes()
                    time.sleep(pause)
                    self.put_back(file, content)
                    time.sleep(0.002)
                self.assertTrue(worker.mints())
            self.end(stage, worker)

    @st.on(*PLACES)
    def overwritten_with_zeros_and_ones(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker, file = self.begin(stage)
            size = file.stat().st_size
            for filler in (b"\0", b"\xff", b"\x55"):
                self.put_back(file, filler * size)
                time.sleep(0.2)
                self.assertTrue(worker.mints(), worker.log())
            self.start_again(worker)
            self.end(stage, worker)

    @st.on(*PLACES)
    def put_back_while_it_lives_and_killed(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker, file = self.begin(stage)
            content = file.read_bytes()
            time.sleep(1)
            self.put_back(file, content)
            time.sleep(0.3)
            self.start_again(worker)
            self.end(stage, worker)

    @st.on(*PLACES)
    def put_back_while_it_is_dead(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker, file = self.begin(stage)
            content = file.read_bytes()
            time.sleep(1)
            worker.kill()
            self.put_back(file, content)
            worker.start()
            sf.wait_until(worker.mints, worker.log)
            self.end(stage, worker)

    @st.on(*PLACES)
    def truncated(self, kind, members):
        """The process may end of it (SIGBUS); it gives no ID twice."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker, file = self.begin(stage)
            os.truncate(file, 0)
            time.sleep(1)
            print(f"ended with {worker.ended()}", file=sys.stderr)
            self.assertIn(worker.ended(), (None, -7))  # 7: SIGBUS
            if worker.ended() is None:
                self.assertTrue(worker.mints(), worker.log())
            self.start_again(worker)
            self.end(stage, worker)

    @st.on(*PLACES)
    def replaced(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker, file = self.begin(stage)
            shutil.copy(file, f"{file}.copy")
            time.sleep(0.5)
            os.rename(f"{file}.copy", file)
            self.assertTrue(worker.mints())
            self.start_again(worker)
            self.end(stage, worker)

    @st.on(*PLACES)
    def deleted(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker, file = self.begin(stage)
            file.unlink()
            self.assertTrue(worker.mints())
            self.start_again(worker)
            self.end(stage, worker)

    @st.on(*PLACES)
    def clock_stepped_back_and_killed(self, kind, members):
        with st.Stage(self, kind, members, LONG_MS) as stage:
            worker, _ = self.begin(stage, clock=True)
            self.step(worker, STEP_S)
            time.sleep(2)
            worker.kill()
            self.step(worker, 0)
            worker.start()
            sf.wait_until(worker.mints, worker.log)
            self.end(stage, worker)

    @st.on(*PLACES)
    def all_three_at_once(self, kind, members):
        """Where the promise ends: an old file put back, the clock stepped within its bound and back, and a kill. Counted, not judged."""
        with st.Stage(self, kind, members, LONG_MS) as stage:
            worker, file = self.begin(stage, clock=True)
            content = file.read_bytes()
            self.step(worker, STEP_S)
            time.sleep(2)
            worker.kill()
            self.put_back(file, content)
            self.step(worker, 0)
            worker.start()
            sf.wait_until(worker.mints, worker.log)
            time.sleep(1)
            verdict = stage.finish()
            print(f"where the promise ends: {verdict.duplicates:,} duplicates of {verdict.ids:,}", file=sys.stderr)


if __name__ == "__main__":
    st.main()
