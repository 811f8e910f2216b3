#!/usr/bin/env python3
"""A claim that outlives its session: it is shown, and a person can free it after its holder was asked."""
import re
import sys
import threading
import unittest

import stage as st
import coordinators
import words
import zk
from stage import sf

WINDOW_MS = 4000


@st.spread
class Leaked(unittest.TestCase):
    def outlive(self, stage, worker):
        """Kills the worker and makes its claim stay, as a lease without end or somebody else's session would."""
        path = next(p for p in stage.claims() if stage.claims()[p]["node"] == worker.name)
        worker.kill()
        if stage.kind == "etcd":
            value = stage.coordinator.get(path)
            self.assertIsNotNone(value)
            stage.coordinator.set(path, value)  # a put without a lease takes the key off it
            self.assertEqual(stage.coordinator.cluster.get_prefix(path)[path][3], 0)
            return path
        with stage.coordinator.client() as client:
            owner = client.get(path)[2]
        port = stage.coordinator.ports()[0]
        session = zk.Client(port, owner, coordinators.session_password(owner))
        ended = threading.Event()

        def keep():
            while not ended.wait(0.3):
                session.ping()
        thread = threading.Thread(target=keep, daemon=True)
        thread.start()

        def end():
            ended.set()
            thread.join()
            session.socket.close()
        self.addCleanup(end)
        return path

    def release(self, stage, slot, *more):
        done = stage.fleet.tool("slots", "release", slot, "--coordinator", stage.coordinator.url(), *more, check=False)
        print(f"slots release {slot}: exit {done.returncode}: {(done.stdout + done.stderr).strip()}", file=sys.stderr)
        return done

    @st.on(*st.SERVERS)
    def shown_and_freed(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            gone, heir = stage.worker("gone"), stage.worker("heir", options={"fleet-worker": 0})
            stage.collect()
            gone.start()
            self.assertEqual(gone.slot(), 0)
            self.assertTrue(gone.mints())
            path = self.outlive(stage, gone)
            sf.wait_until(lambda: st.now_ms() > stage.record(0)["reserved_until_ms"] + 1000, "the reservation passes", step_s=0.2)
            self.assertIsNotNone(stage.coordinator.get(path))
            heir.start(ready=False)
            sf.wait_until(lambda: heir.readyz()[0] == 503 and re.search("held|leaked", heir.readyz()[1]), lambda: f"{heir.readyz()}\n{heir.log()}")
            state = stage.slots()[0]["state"]
            text = stage.fleet.tool("slots", "--coordinator", stage.coordinator.url()).stdout
            before = stage.coordinator.counters(stage.record_path(0))
            heir.end()
            done = self.release(stage, "0/0")
            self.assertEqual(state, words.LEAKED)
            self.assertIn("slots release 0/0", text)
            self.assertEqual(done.returncode, 0)
            self.assertIsNone(stage.coordinator.get(path))
            self.assertEqual(stage.coordinator.counters(stage.record_path(0)), before, "the record is not touched")
            heir.start()
            sf.wait_until(heir.mints, heir.log)
            stage.assert_unique(stage.finish())

    @st.on(*st.ALL)
    def not_from_the_living(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            worker = stage.worker("alive")
            stage.collect()
            worker.start()
            claims = stage.claims()
            done = self.release(stage, f"0/{worker.slot()}")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, words.RELEASE_ALIVE)
            self.assertIn(worker.name, done.stderr)
            self.assertEqual(stage.claims().keys(), claims.keys())
            self.assertTrue(worker.is_ready() and worker.mints())
            stage.assert_unique(stage.finish())

    @st.on(*st.SERVERS)
    def from_one_that_stands_still(self, kind, members):
        """Asked, and no answer: whether the claim goes or not, nothing comes twice when it wakes up."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            old, new = stage.worker("old"), stage.worker("new", options={"fleet-worker": 0})
            stage.collect()
            old.start()
            self.assertEqual(old.slot(), 0)
            self.assertTrue(old.mints())
            stage.coordinator.stop_outside_locks(old)
            done = self.release(stage, "0/0")
            self.assertIn(done.returncode, (0, 1))
            if done.returncode == 1:
                self.assertIn(words.FORCE, done.stderr)
                again = self.release(stage, "0/0", words.FORCE)
                # The session may have ended by itself meanwhile.
                self.assertTrue(again.returncode == 0 or "no claim" in again.stderr, again.stderr)
            new.start()  # before it wakes up: the slot would be its own again
            sf.wait_until(new.mints, new.log)
            old.resume()
            old.wait_ready()
            sf.wait_until(old.mints, old.log)
            stage.assert_unique(stage.finish())

    @st.on(*st.ALL)
    def a_slot_that_nobody_claims(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            for slot, pattern in (("0/3", "no claim|nobody"), ("0/99", "0 to 31"), ("x", "0/3|D/W")):
                done = self.release(stage, slot)
                self.assertIn(done.returncode, (1, 64))
                self.assertRegex(done.stderr, f"(?i){pattern}")


if __name__ == "__main__":
    st.main()
