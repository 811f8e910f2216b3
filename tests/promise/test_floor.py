#!/usr/bin/env python3
"""Where a new making begins: above everything that somebody may still mint, also where `init` runs on a host with a wrong clock."""
import os
import sys
import time
import unittest

import stage as st
import words
from stage import sf

WINDOW_MS = 12000
MINUTES_20_S = 1200


@st.spread
class Floor(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(st.FAKETIME):
            self.fail("libfaketime is not installed; ./check installs it")

    def cut_off_and_wiped(self, stage):
        stage.first_init()
        away = stage.worker("away")
        new = stage.worker("new", options={"fleet-worker": 0})
        away.start()
        self.assertEqual(away.slot(), 0)
        stage.collect()
        self.assertTrue(away.mints())
        away.cut()
        stage.coordinator.wipe()
        return away, new

    def made(self, stage, done, offset_s):
        """Either init found a floor that is right, or it refused, says what to do, and made nothing; then it is done on a good host."""
        print(f"exit {done.returncode}: {(done.stdout + done.stderr).strip()}", file=sys.stderr)
        if done.returncode == 0:
            return
        self.assertIn(words.FLOOR, done.stderr)
        self.assertIsNone(stage.config())
        self.assertRegex(done.stderr, r"(?i)clock|1,?[12]\d\d|20 ?m")
        stage.after_data_loss()

    def judge(self, stage, away, new):
        """The one that is cut off spends all it has; the new one begins above."""
        new.start()
        sf.wait_until(lambda: not away.mints(), away.log)
        sf.wait_until(new.mints, new.log)
        verdict = stage.finish()
        stage.assert_unique(verdict)
        floor_ms = stage.config()["floor_ms"]
        self.assertGreater(floor_ms, stage.last_ms(verdict, away))
        self.assertLess(floor_ms, st.now_ms() + 3 * WINDOW_MS)
        self.assertGreaterEqual(verdict.first_ms(stage.actors.index(new)), floor_ms)

    @st.on(*st.SERVERS)
    def slow_host(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            away, new = self.cut_off_and_wiped(stage)
            self.made(stage, stage.after_data_loss(check=False, env=st.fake_time(-MINUTES_20_S)), -MINUTES_20_S)
            self.judge(stage, away, new)

    @st.on(*st.SERVERS)
    def fast_host(self, kind, members):
        """A floor 20 minutes ahead would keep everybody from minting for as long."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            away, new = self.cut_off_and_wiped(stage)
            self.made(stage, stage.after_data_loss(check=False, env=st.fake_time(MINUTES_20_S)), MINUTES_20_S)
            self.assertLess(stage.config()["floor_ms"], st.now_ms() + 3 * WINDOW_MS)
            self.judge(stage, away, new)

    @st.on(*st.SERVERS)
    def plain_init_by_a_hook(self, kind, members):
        """`init --if-missing`, as the chart's hook runs it, finds an empty coordinator, while a worker is cut off and mints."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            away, new = self.cut_off_and_wiped(stage)
            stage.init("--if-missing")
            self.judge(stage, away, new)

    @st.on(*st.SERVERS)
    def plain_init_on_a_slow_host(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            away, new = self.cut_off_and_wiped(stage)
            self.made(stage, stage.init("--if-missing", check=False, env=st.fake_time(-MINUTES_20_S)), -MINUTES_20_S)
            self.judge(stage, away, new)

    @st.on(*st.SERVERS)
    def the_first_one_refuses_a_wrong_clock(self, kind, members):
        """--first asks for no clock, but not for one that is a minute off the coordinator's."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            done = stage.init(first=True, check=False, env=st.fake_time(-MINUTES_20_S))
            self.assertNotEqual(done.returncode, 0, done.stdout)
            self.assertRegex(done.stderr, r"(?i)clock")
            self.assertIsNone(stage.config())
            stage.first_init()
            begun = time.monotonic()
            worker = stage.worker("w").start()
            self.assertTrue(worker.mints())
            self.assertLess(time.monotonic() - begun, WINDOW_MS / 1000, "a first fleet does not wait")

    @st.on(*st.SERVERS)
    def a_floor_below_what_is_minted(self, kind, members):
        """Nothing survives, and somebody gives a floor by hand that is too low: who hears of it stops there, and tells the others."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            away, _ = self.cut_off_and_wiped(stage)
            floor_ms = int(st.now_ms()) + 4000
            stage.after_data_loss(words.FLOOR, floor_ms)
            self.assertEqual(stage.config()["floor_ms"], floor_ms)
            away.mend()
            away.wait_says(words.HALTED)
            time.sleep(4)
            verdict = stage.finish()
            self.assertLess(stage.last_ms(verdict, away), floor_ms)
            stage.assert_unique(verdict)

    @st.on(*st.SERVERS)
    def a_floor_below_what_survives(self, kind, members):
        """Records that are still there are not passed over by a floor that somebody gives by hand."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            old = stage.worker("old").start()
            stage.collect()
            self.assertTrue(old.mints())
            survives_ms = stage.record(0)["reserved_until_ms"]
            stage.init("--after-data-loss", words.FLOOR, int(st.now_ms()) + 2500, words.FORCE)
            self.assertGreaterEqual(stage.config()["floor_ms"], survives_ms)
            old.wait_says(words.SUPERSEDED)
            sf.wait_until(lambda: (old.status()["reservation"]["reserved_until_ms"] or 0) > stage.config()["floor_ms"], old.log)
            stage.assert_unique(stage.finish())

    @st.on(*st.SERVERS)
    def the_living_are_asked(self, kind, members):
        """--ask: a worker of that fleet name answers, so this is not a new fleet."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            away, _ = self.cut_off_and_wiped(stage)
            words_ = ["--if-missing", words.ASK, f"127.0.0.1:{away.port}"]
            done = stage.init(*words_, check=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn(stage.fleet_id, done.stderr)
            self.assertIn("--after-data-loss", done.stderr)
            self.assertIsNone(stage.config())
            # Told the truth, it keeps the fleet's id and begins above what the one that answered may spend.
            stage.after_data_loss(words.ASK, f"127.0.0.1:{away.port}")
            self.assertEqual(stage.config()["fleet_id"], stage.fleet_id)
            sf.wait_until(lambda: not away.mints(), away.log)
            verdict = stage.finish()
            self.assertGreater(stage.config()["floor_ms"], stage.last_ms(verdict, away))


if __name__ == "__main__":
    st.main()
