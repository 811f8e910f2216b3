#!/usr/bin/env python3
"""A coordinator that was wiped and made anew while a worker lives that cannot hear of it: the old making grants nothing any more."""
import sys
import time
import unittest

import stage as st
import words
from stage import sf

WINDOW_MS = 12000


class Stops(unittest.TestCase):
    def stops_at_once(self, stage, old, heard_ms):
        """Another fleet's coordinator: not one ID a second after it heard; it ends so that it can be started again."""
        code = None
        try:
            code = old.wait_ended(15)
        except AssertionError:
            pass  # what it gave meanwhile is judged first
        verdict = stage.finish()
        stage.assert_unique(verdict)
        self.assertIsNotNone(code, f"it goes on in another fleet:\n{old.log()}")
        self.assertLessEqual(stage.last_ms(verdict, old), heard_ms + 1000, old.log())
        self.assertRegex(old.log(), words.OTHER_FLEET)
        self.assertRegex(old.log(), words.OTHER_FLEET_IDS)
        self.assertEqual(code, words.EXIT_RESTARTABLE)
        return verdict


@st.spread
class Wiped(Stops):
    def make_counters(self, stage, before, more):
        """Writes to the new coordinator until the next owner's record will have the old owner's counters, and `more` beyond."""
        path = stage.record_path(0)
        if stage.kind == "zookeeper":
            for _ in range(max(0, before[1] - 1 - stage.coordinator.counters(path)[1] + more)):
                stage.coordinator.set(path, stage.coordinator.get(path))
            return
        # In etcd the next owner makes a claim, then writes the record.
        header = stage.coordinator.cluster.any_post("/v3/kv/range", {"key": "AA=="})["header"]
        for _ in range(max(0, before[1] - 2 - int(header["revision"]) + more)):
            stage.coordinator.set("/filler", "x")

    def cut_off(self, stage, pinned=True):
        """A worker on slot 0 that mints and cannot hear of anything, and one that is to take slot 0 after it (or any, where the old
        one hears in time to take it again)."""
        stage.first_init()
        old = stage.worker("old")
        new = stage.worker("new", options={"fleet-worker": 0} if pinned else {})
        old.start()
        self.assertEqual(old.slot(), 0)
        stage.collect()
        self.assertTrue(old.mints())
        old.cut()
        return old, new

    def remade(self, stage, make, more):
        before = stage.coordinator.counters(stage.record_path(0))
        stage.coordinator.wipe()
        make()
        self.make_counters(stage, before, more)
        return before

    def at_slot_0(self, new):
        """Until the new worker has slot 0, or says that it waits for the floor."""
        new.start(ready=False)
        sf.wait_until(lambda: new.is_ready() or words.READYZ_FLOOR in new.readyz()[1], lambda: f"{new.readyz()}\n{new.log()}")

    def hears_again(self, stage, old, new, before):
        """The old worker is let through. The new one stands still for as long as the old one needs to act, or its next renewal would
        move the counters on: what is shown must not depend on who is faster. Returns when the old one heard."""
        new.pause()
        counters = stage.coordinator.counters(stage.record_path(0))
        print(f"the record's counters: the old worker knows {before}, now {counters}", file=sys.stderr)
        old.mend()
        heard_ms = old.wait_says(words.CONNECTED, old.when(words.DISCONNECTED))
        try:
            sf.wait_until(lambda: stage.coordinator.counters(stage.record_path(0)) != counters, "", 1)
        except AssertionError:
            pass  # it left the record alone
        new.resume()
        return heard_ms

    def play_plain_init(self, kind, members, more):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            old, new = self.cut_off(stage)
            before = self.remade(stage, lambda: stage.init("--if-missing"), more)
            self.at_slot_0(new)
            heard_ms = self.hears_again(stage, old, new, before)
            new.wait_ready()
            sf.wait_until(new.mints, "the new worker mints")
            verdict = self.stops_at_once(stage, old, heard_ms)
            self.assertGreater(stage.count(verdict, new), 0)

    @st.on(*st.SERVERS)
    def plain_init_counters_equal(self, kind, members):
        self.play_plain_init(kind, members, 0)

    @st.on(*st.SERVERS)
    def plain_init_counters_differ(self, kind, members):
        self.play_plain_init(kind, members, 5)

    def play_after_data_loss(self, kind, members, more, early):
        """As the runbook tells it: the same fleet, and every slot begins above what anybody may still mint."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            old, new = self.cut_off(stage, pinned=not early)
            limit_ms = stage.record(0)["reserved_until_ms"]
            before = self.remade(stage, stage.after_data_loss, more)
            self.at_slot_0(new)
            if not early:
                new.wait_ready()
            heard_ms = self.hears_again(stage, old, new, before)
            new.wait_ready()
            try:
                old.wait_says(words.SUPERSEDED, heard_ms, 5)
                old.wait_ready()
                sf.wait_until(old.mints, "the old worker mints in its new slot")
            finally:
                verdict = stage.finish()
                stage.assert_unique(verdict)
            self.assertNotEqual(old.slot(), new.slot())
            floor_ms = stage.config()["floor_ms"]
            self.assertLess(stage.last_ms(verdict, old, floor_ms), limit_ms)
            self.assertGreater(stage.count(verdict, old, floor_ms), 0, old.log())
            self.assertGreater(stage.count(verdict, new, floor_ms), 0)
            self.assertEqual(stage.config()["fleet_id"], stage.fleet_id)

    @st.on(*st.SERVERS)
    def auto_init_by_one_that_knows_nothing(self, kind, members):
        """Nothing tells a worker with a state directory of its own that somebody minted here, and it cannot tell when to begin: it leaves that to init."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            old, _ = self.cut_off(stage)
            limit_ms = stage.record(0)["reserved_until_ms"]
            stranger = stage.worker("stranger", options={"fleet-worker": 0, "fleet-auto-init": "true",
                                                         "reservation-state-dir": str(stage.fleet.directory / "elsewhere")})
            stage.coordinator.wipe()
            stranger.start(ready=False)
            sf.wait_until(lambda: "snowfleet init" in stranger.readyz()[1], lambda: f"{stranger.readyz()}\n{stranger.log()}")
            time.sleep(2)
            self.assertNotIn("fleet.created", stranger.log())
            stage.init("--if-missing")
            sf.wait_until(lambda: words.READYZ_FLOOR in stranger.readyz()[1], lambda: f"{stranger.readyz()}\n{stranger.log()}")
            self.assertGreater(stage.config()["floor_ms"], limit_ms)
            old.mend()
            heard_ms = old.wait_says(words.CONNECTED, old.when(words.DISCONNECTED))
            self.stops_at_once(stage, old, heard_ms)

    @st.on(*st.SERVERS)
    def after_data_loss_counters_equal(self, kind, members):
        self.play_after_data_loss(kind, members, 0, early=False)

    @st.on(*st.SERVERS)
    def after_data_loss_counters_differ(self, kind, members):
        self.play_after_data_loss(kind, members, 5, early=False)

    @st.on(*st.SERVERS)
    def after_data_loss_heard_before_the_floor(self, kind, members):
        self.play_after_data_loss(kind, members, 0, early=True)


@st.spread
class LocalWiped(Stops):
    """Nobody can be cut off from a directory, but a worker can stand still while it is wiped."""

    def play(self, kind, members, make, options, ready=True):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            old = stage.worker("old", options=options)
            new = stage.worker("new", options={"fleet-worker": 0, **options})
            old.start()
            self.assertEqual(old.slot(), 0)
            stage.collect()
            self.assertTrue(old.mints())
            old.pause()
            stage.coordinator.wipe()
            make(stage)
            new.start(ready=False)
            sf.wait_until(lambda: new.is_ready() or words.READYZ_FLOOR in new.readyz()[1], lambda: f"{new.readyz()}\n{new.log()}",
                          step_s=0.002)
            resumed_ms = st.now_ms()
            old.resume()
            if ready:
                new.wait_ready()
                sf.wait_until(new.mints, "the new worker mints")
            self.stops_at_once(stage, old, resumed_ms)

    @st.on(("local", 0))
    def by_init(self, kind, members):
        self.play(kind, members, lambda stage: stage.init("--if-missing"), {})

    @st.on(("local", 0))
    def by_the_next_worker(self, kind, members):
        """auto_init, as it is by default: the state directory knows that this fleet has minted, so that it begins after the longest
        window that there is by default, which is not waited for here."""
        self.play(kind, members, lambda stage: None, {"fleet-auto-init": "true"}, ready=False)


if __name__ == "__main__":
    st.main()
