#!/usr/bin/env python3
"""A coordinator that was put back from an older copy: who notices never claims again, and tells everybody."""
import sys
import time
import unittest

import stage as st
import words
from stage import sf

WINDOW_MS = 12000


@st.spread
class Restored(unittest.TestCase):
    def leave(self, stage, worker):
        """Cut off from the coordinator; from a directory nobody can be, so there it stands still."""
        if stage.kind == "local":
            stage.coordinator.stop_outside_locks(worker)
        else:
            worker.cut()

    def come_back(self, stage, worker):
        if stage.kind == "local":
            worker.resume()
        else:
            worker.mend()

    def copied(self, stage, directory, stopped):
        if stopped and stage.kind != "local":
            stage.coordinator.stop_all()
            stage.coordinator.save(directory)
            stage.coordinator.start_all()
        else:
            stage.coordinator.save(directory)

    def begin(self, stage, directory, stopped):
        """Of two slots, slot 0 has an owner who wrote after the copy was taken, and slot 1 one of whom the copy knows nothing."""
        stage.first_init()
        noticer, away = stage.worker("noticer"), stage.worker("away")
        late = stage.worker("late")
        noticer.start()
        self.assertEqual(noticer.slot(), 0)
        self.copied(stage, directory, stopped)
        # A write of unknown outcome may lie in between: only a renewal after the copy is one that the copy does not have.
        before = stage.coordinator.counters(stage.record_path(0))
        sf.wait_until(lambda: stage.coordinator.counters(stage.record_path(0))[1] >= before[1] + 2 and noticer.is_ready(), "renewals")
        away.start()
        self.assertEqual(away.slot(), 1)
        stage.collect()
        self.assertTrue(away.mints() and noticer.mints())
        self.leave(stage, away)
        return noticer, away, late

    def assert_halted(self, stage, worker):
        """It may go on for as long as its reservation lasts; then it says who found what, and what to do."""
        sf.wait_until(lambda: worker.metric(words.METRIC_HALTED) == 1, lambda: f"{worker.readyz()}\n{worker.log()}")
        worker.wait_not_ready()
        sf.wait_until(lambda: worker.status()["state"] == words.STATE_HALTED, lambda: f"{worker.status()}\n{worker.log()}")
        self.assertRegex(worker.readyz()[1], words.READYZ_HALTED)
        self.assertTrue(worker.when(words.HALTED), worker.log())

    def recovers(self, stage, *workers):
        stage.init("--after-data-loss")
        for worker in workers:
            worker.wait_ready()
            self.assertEqual(worker.metric(words.METRIC_HALTED), 0)
            sf.wait_until(worker.mints, f"{worker.name} mints again")

    def play(self, kind, members, stopped):
        """Whoever notices reads first, so nothing comes twice at all."""
        with st.Stage(self, kind, members, WINDOW_MS, st.TWO_SLOTS) as stage, stage.directory() as directory:
            noticer, away, late = self.begin(stage, directory, stopped)
            begun_ms = st.now_ms()
            stage.coordinator.restore(directory)
            try:
                sf.wait_until(lambda: noticer.when(words.LOST_WRITES, begun_ms), noticer.log)
                # Whoever claims instead has done so by then.
                try:
                    sf.wait_until(lambda: noticer.when(words.CLAIMED, begun_ms) or noticer.when(words.HALTED), "", 5)
                except AssertionError:
                    pass
                self.come_back(stage, away) if kind == "local" else time.sleep(2)
                self.assertTrue(noticer.when(words.HALTED), f"nobody was told:\n{noticer.log()}")
                self.assertFalse(noticer.when(words.CLAIMED, begun_ms), noticer.log())
                self.assert_halted(stage, noticer)
                late.start(ready=False)
                self.assert_halted(stage, late)
                self.come_back(stage, away)
                self.assert_halted(stage, away)
                late.term()  # there are two slots
                self.recovers(stage, noticer, away)
            finally:
                time.sleep(1)
                verdict = stage.finish()
                stage.assert_unique(verdict)
            self.assertGreater(stage.count(verdict, noticer, stage.config()["floor_ms"]), 0)

    @st.on(*st.ALL)
    def copy_of_a_running_one(self, kind, members):
        self.play(kind, members, False)

    @st.on(*st.SERVERS)
    def copy_of_a_stopped_one(self, kind, members):
        self.play(kind, members, True)

    @st.on(*st.SERVERS)
    def somebody_claims_before_it_is_noticed(self, kind, members):
        """What a restored coordinator grants before anybody notices may come twice: counted, and over a window later."""
        with st.Stage(self, kind, members, WINDOW_MS, st.TWO_SLOTS) as stage, stage.directory() as directory:
            noticer, away, late = self.begin(stage, directory, True)
            self.leave(stage, noticer)
            stage.coordinator.restore(directory)
            late.start()
            self.assertEqual(late.slot(), 1)
            time.sleep(1)
            self.come_back(stage, noticer)
            told_ms = None
            try:
                told_ms = noticer.wait_says(words.HALTED, deadline_s=8)
                granted = stage.record(1)["reserved_until_ms"]
                time.sleep(2)
                self.assertEqual(stage.record(1)["reserved_until_ms"], granted, "renewed while halted")
                self.assert_halted(stage, noticer)
                sf.wait_until(lambda: not late.mints(), late.log)
                self.come_back(stage, away)
                sf.wait_until(lambda: not away.mints(), away.log)
                late.term()
                self.recovers(stage, noticer, away)
            finally:
                verdict = stage.finish()
            after = verdict.between(told_ms + WINDOW_MS)
            print(f"{verdict.duplicates:,} from what was granted before the halt, {after:,} a window after it", file=sys.stderr)
            self.assertEqual(after, 0)
            self.assertEqual(verdict.between(granted), 0)
            self.assertFalse(noticer.when(words.CLAIMED, told_ms - 1) and noticer.when(words.CLAIMED, told_ms) < stage.config()["created_ms"])


if __name__ == "__main__":
    st.main()
