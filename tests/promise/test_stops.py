#!/usr/bin/env python3
"""A connected worker whose fleet's config is gone, or is another fleet's, gives not one ID a second later."""
import json
import sys
import time
import unittest

import stage as st
import coordinators
import words
from stage import sf

WINDOW_MS = 60000  # the next renewal is six seconds away: nobody stumbles over the change by writing
OTHER_ID = "00000000-0000-4000-8000-000000000000"


@st.spread
class Stops(unittest.TestCase):
    def begin(self, stage):
        stage.first_init()
        worker = stage.worker("w").start()
        stage.collect()
        sf.wait_until(worker.mints, worker.log)
        time.sleep(0.5)  # it watches by now
        return worker

    def judge(self, stage, worker, changed_ms):
        time.sleep(2)
        verdict = stage.finish()
        after = stage.last_ms(verdict, worker) - changed_ms
        print(f"the last ID lies {after:.0f} ms after the change", file=sys.stderr)
        self.assertLessEqual(after, 1000, worker.log())
        stage.assert_unique(verdict)

    @st.on(*st.ALL)
    def config_deleted(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker = self.begin(stage)
            stage.coordinator.delete(f"{st.ROOT}/config")
            self.judge(stage, worker, st.now_ms())
            self.assertIsNone(worker.ended(), "it waits for somebody to make the fleet")
            self.assertRegex(worker.log(), words.CONFIG_GONE)
            self.assertRegex(worker.readyz()[1], words.READYZ_MISSING)
            self.assertEqual(worker.readyz()[0], 503)
            stage.init(first=True)
            self.assertEqual(worker.wait_ended(), words.EXIT_RESTARTABLE, worker.log())
            self.assertRegex(worker.log(), words.OTHER_FLEET_IDS)

    def make_other(self, stage):
        path = f"{st.ROOT}/config"
        if stage.kind != "local":
            stage.coordinator.set(path, json.dumps({**json.loads(stage.coordinator.get(path)), "fleet_id": OTHER_ID}))
            return
        with coordinators.Local() as other:
            stage.fleet.tool("init", "--coordinator", other.url(), *stage.init_words(first=True)[3:])
            (other.directory / "default" / "config").replace(stage.coordinator.directory / "default" / "config")

    @st.on(*st.ALL)
    def config_of_another_fleet(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            worker = self.begin(stage)
            self.make_other(stage)
            self.judge(stage, worker, st.now_ms())
            self.assertEqual(worker.wait_ended(), words.EXIT_RESTARTABLE, worker.log())
            self.assertRegex(worker.log(), words.OTHER_FLEET)
            self.assertRegex(worker.log(), words.OTHER_FLEET_IDS)

    @st.on(*st.ALL)
    def making_under_way(self, kind, members):
        """A config whose making is not named yet: it spends what it has, renews nothing, and goes on when it is named."""
        with st.Stage(self, kind, members, 6000) as stage:
            worker = self.begin(stage)
            config = stage.config()
            self.assertIn("token", config, "there are no makings yet")
            name = f"{st.ROOT}/current-{config['token']}"
            self.assertIsNotNone(stage.coordinator.get(name))
            stage.coordinator.delete(name)
            done = stage.init("--if-missing", check=False)
            self.assertNotEqual(done.returncode, 0, "a fleet that is half made will not do")
            before = stage.coordinator.counters(stage.record_path(worker.slot()))
            self.assertTrue(worker.mints())
            sf.wait_until(lambda: not worker.mints(), worker.log)
            self.assertEqual(stage.coordinator.counters(stage.record_path(0)), before)
            self.assertIsNone(worker.ended())
            stage.init("--after-data-loss", *([words.FORCE] if st.tool_knows(words.FORCE) else []))
            worker.wait_ready()
            sf.wait_until(worker.mints, worker.log)
            stage.assert_unique(stage.finish())


if __name__ == "__main__":
    st.main()
