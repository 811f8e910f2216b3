#!/usr/bin/env python3
"""`init` over what is still there: it keeps what the fleet is, and leaves alone what is alive."""
import json
import subprocess
import sys
import time
import unittest

import stage as st
import words
from stage import sf

WINDOW_MS = 8000
SHIFT_MS = 10000  # the fleet's epoch lies so far before the default one that the same timestamps come again within a test


@st.spread
class Remade(unittest.TestCase):
    def kept(self, before, after):
        for name in ("fleet_id", "epoch_ms", "layout", "datacenters"):
            self.assertEqual(after[name], before[name], name)

    def after_data_loss(self, stage, *more):
        """As somebody types it who trusts that the fleet stays what it is."""
        window = words.MAX_WINDOW if st.tool_knows(words.MAX_WINDOW) else "--window-ms"
        return stage.fleet.tool("init", "--coordinator", stage.coordinator.url(), "--after-data-loss", "--yes", window, WINDOW_MS, *stage.clock_words, *more,
                                check=False)

    @st.on(*st.ALL)
    def stays_what_it_is(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS, st.TWO_SLOTS, st.EPOCH_MS - SHIFT_MS) as stage:
            stage.first_init()
            before = stage.config()
            worker = stage.worker("w").start()
            self.assertEqual(worker.term(), 0)
            done = self.after_data_loss(stage)
            self.assertEqual(done.returncode, 0, done.stderr)
            after = stage.config()
            print(f"before {before}\nafter  {after}", file=sys.stderr)
            self.kept(before, after)
            self.assertGreaterEqual(after["floor_ms"], st.now_ms() + WINDOW_MS - 2000)

    @st.on(*st.ALL)
    def leaves_the_living_alone(self, kind, members):
        """Live claims, and nothing halted: refused. Today it is done, with the default epoch, under a worker that goes on."""
        with st.Stage(self, kind, members, WINDOW_MS, epoch_ms=st.EPOCH_MS - SHIFT_MS) as stage:
            stage.first_init()
            before = stage.config()
            old = stage.worker("old").start()
            new = stage.worker("new", options={"fleet-worker": 0})
            stage.collect()
            self.assertTrue(old.mints())
            time.sleep(4)  # what it mints now has the timestamps that the default epoch has SHIFT_MS later
            done = self.after_data_loss(stage)
            if done.returncode == 0:
                new.start()
                time.sleep(5)
            verdict = stage.finish()
            print(f"exit {done.returncode}: {done.stdout}{done.stderr}", file=sys.stderr)
            stage.assert_unique(verdict)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertRegex(done.stderr, words.LIVE_CLAIMS)
            self.assertIn(words.FORCE, done.stderr)
            self.assertEqual(stage.config(), before)
            self.assertTrue(old.is_ready() and old.mints())

    @st.on(*st.ALL)
    def forced_over_the_living(self, kind, members):
        """A person insists: they are superseded, spend what they have, and go on above it."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            before = stage.config()
            old = stage.worker("old").start()
            stage.collect()
            self.assertTrue(old.mints())
            done = self.after_data_loss(stage, *([words.FORCE] if st.tool_knows(words.FORCE) else []))
            self.assertEqual(done.returncode, 0, done.stderr)
            try:
                old.wait_says(words.SUPERSEDED, deadline_s=10)
                sf.wait_until(lambda: st.now_ms() > stage.config()["floor_ms"] and old.is_ready(), old.log)
                sf.wait_until(old.mints, old.log)
            finally:
                verdict = stage.finish()
                stage.assert_unique(verdict)
            self.kept(before, stage.config())
            self.assertGreater(stage.count(verdict, old, stage.config()["floor_ms"]), 0)

    @st.on(*st.ALL)
    def config_deleted_and_another_epoch(self, kind, members):
        """The records and their claims are still there, but what they were made for is not."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            old = stage.worker("old").start()
            new = stage.worker("new", options={"fleet-worker": 0})
            stage.collect()
            self.assertTrue(old.mints())
            stage.coordinator.delete(f"{st.ROOT}/config")
            deleted_ms = st.now_ms()
            done = stage.init(epoch_ms=st.EPOCH_MS + 4000, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            time.sleep(6)
            if old.ended() is None:
                old.term()
            new.start()
            time.sleep(4)
            verdict = stage.finish()
            stage.assert_unique(verdict)
            self.assertLessEqual(stage.last_ms(verdict, old), deleted_ms + 1000, old.log())
            self.assertRegex(old.log(), f"{words.CONFIG_GONE}|{words.OTHER_FLEET}")

    @st.on(*st.ALL)
    def two_at_once(self, kind, members):
        """One making is named in the end, whoever won, and it is whole."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            words_ = [str(w) for w in (sf.BIN / "snowfleet", *stage.init_words("--after-data-loss"))]
            both = [subprocess.Popen(words_, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
            said = [process.communicate(timeout=60)[0] for process in both]
            codes = [process.returncode for process in both]
            print(f"exits {codes}: {said}", file=sys.stderr)
            self.assertIn(0, codes, said)
            config = stage.config()
            self.assertIn("token", config, "there are no makings yet")
            named = [path for path in stage.coordinator.paths(st.ROOT) if path.startswith(f"{st.ROOT}/current-")]
            self.assertEqual(named, [f"{st.ROOT}/current-{config['token']}"])
            self.assertEqual({slot["state"] for slot in stage.slots().values()} - {"free", "quarantined"}, set())
            self.assertEqual(len(stage.slots()), 32)
            self.assertEqual(config["fleet_id"], stage.fleet_id)

    @st.on(*st.ALL)
    def a_hook_at_every_sync(self, kind, members):
        """What a deployment tool runs again and again over a healthy fleet changes nothing."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            worker = stage.worker("w").start()
            before = stage.coordinator.get(f"{st.ROOT}/config"), stage.coordinator.counters(f"{st.ROOT}/config")
            stage.collect()
            for _ in range(3):
                self.assertEqual(stage.init("--if-missing", "--json").returncode, 0)
            self.assertEqual((stage.coordinator.get(f"{st.ROOT}/config"), stage.coordinator.counters(f"{st.ROOT}/config")), before)
            self.assertTrue(worker.is_ready() and worker.mints())
            stage.assert_unique(stage.finish())
            self.assertEqual(json.loads(stage.init("--if-missing", "--json").stdout)["fleet_id"], stage.fleet_id)


if __name__ == "__main__":
    st.main()
