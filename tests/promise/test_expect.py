#!/usr/bin/env python3
"""A deployment that pins its fleet: a worker refuses every other one."""
import sys
import unittest

import stage as st
import words

WINDOW_MS = 8000
OTHER_ID = "00000000-0000-4000-8000-000000000000"


@st.spread
class Expect(unittest.TestCase):
    def refused(self, stage, name, options, pattern):
        worker = stage.worker(name, options=options).start(ready=False)
        code = worker.wait_ended()
        print(f"{options}: exit {code}: {worker.log().strip().splitlines()[-3:]}", file=sys.stderr)
        self.assertEqual(code, words.EXIT_UNFIT, worker.log())
        self.assertRegex(worker.log(), pattern)
        self.assertEqual(stage.claims(), {})

    @st.on(*st.ALL)
    def another_fleet(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            self.refused(stage, "id", {"fleet-expect-id": OTHER_ID}, words.EXPECTED_ID)
            self.refused(stage, "epoch", {"fleet-expect-epoch-ms": st.EPOCH_MS + 1}, words.EXPECTED_EPOCH)
            self.refused(stage, "layout", {"fleet-expect-layout": "41,5,4,13"}, words.EXPECTED_LAYOUT)
            fits = stage.worker("fits", options={"fleet-expect-id": stage.fleet_id, "fleet-expect-epoch-ms": st.EPOCH_MS,
                                                 "fleet-expect-layout": st.LAYOUT}).start()
            self.assertTrue(fits.mints())
            self.assertEqual(fits.term(), 0)

    @st.on(*st.ALL)
    def bad_values(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            for option, value in (("fleet-expect-id", "x"), ("fleet-expect-epoch-ms", "now"), ("fleet-expect-layout", "1,2,3")):
                worker = stage.worker(option, options={option: value}).start(ready=False)
                self.assertEqual(worker.wait_ended(), words.EXIT_UNFIT, worker.log())
                self.assertRegex(worker.log(), option.replace("fleet-expect-", "fleet.expect_").replace("-ms", "_ms"))

    @st.on(*st.SERVERS)
    def remade_under_a_pinned_worker(self, kind, members):
        """It stops, so that it can be started again; then it refuses to be a worker of the new one."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            worker = stage.worker("w", options={"fleet-expect-id": stage.fleet_id})
            stage.collect()
            worker.start()
            self.assertTrue(worker.mints())
            stage.coordinator.wipe()
            stage.init("--if-missing")
            self.assertEqual(worker.wait_ended(), words.EXIT_RESTARTABLE, worker.log())
            worker.start(ready=False)
            self.assertEqual(worker.wait_ended(), words.EXIT_UNFIT, worker.log())
            self.assertRegex(worker.log(), words.EXPECTED_ID)
            stage.assert_unique(stage.finish())


if __name__ == "__main__":
    st.main()
