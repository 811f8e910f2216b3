#!/usr/bin/env python3
"""Something between worker and coordinator delivers a write twice and hands on the second answer: a refusal is no proof."""
import pathlib
import sys
import time
import unittest
import unittest.mock

import stage as st
import repeats
from stage import sf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from fake_ntp import FakeNtp  # noqa: E402

WINDOW_MS = 20000


@st.spread
class Hop(unittest.TestCase):
    def clock(self):
        """Three time servers that are right, and so know of a worker's clock that is not."""
        fakes = [FakeNtp() for _ in range(3)]
        for fake in fakes:
            self.addCleanup(fake.close)
        return {"clock-sources": ",".join(f.source for f in fakes), "clock-poll-ms": 200, "clock-require-sync": "true"}

    @st.on(*st.SERVERS)
    def release_applied_but_refused(self, kind, members):
        """The clock is wrong, so the slot is given back; that is done, and reported as refused; then the coordinator is away."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            old = stage.worker("old", proxy=stage.repeater, options=self.clock(), clock=True)
            new = stage.worker("new", options={"fleet-worker": 0})
            old.start()
            self.assertEqual(old.slot(), 0)
            stage.collect()
            self.assertTrue(old.mints())
            for proxy in old.proxies:
                proxy.which = repeats.is_release
                proxy.repeated = lambda: old.mode("hole")
                proxy.twice = True
            old.clock(5)
            sf.wait_until(lambda: sum(p.count for p in old.proxies) > 0, lambda: f"a release, twice:\n{old.log()}")
            for proxy in old.proxies:
                proxy.twice = False
            old.clock(0)
            new.start()
            self.assertEqual(new.slot(), 0)
            sf.wait_until(lambda: old.status()["clock"]["verdict"] != "bad", lambda: f"{old.status()['clock']}")
            released_ms = st.now_ms()
            time.sleep(4)
            minted_without_writing = old.mints()
            old.mend()
            old.wait_ready()
            sf.wait_until(old.mints, old.log)
            verdict = stage.finish()
            stage.assert_unique(verdict)
            self.assertFalse(minted_without_writing, old.log())
            self.assertNotEqual(old.slot(), 0)
            self.assertGreater(stage.count(verdict, old, released_ms), 0)

    @st.on(("etcd", 1))
    def release_refused_and_an_old_read(self, kind, members):
        """The same, and the read that is to settle it is answered as one before it was. etcd's answers carry no number."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            old = stage.worker("old", proxy=stage.repeater, options=self.clock(), clock=True)
            new = stage.worker("new", options={"fleet-worker": 0})
            old.start()
            self.assertEqual(old.slot(), 0)
            old.cut()
            old.mend()  # whoever comes back reads its record
            sf.wait_until(old.connected, old.log)
            stage.collect()
            self.assertTrue(old.mints())
            proxy = old.proxies[0]
            proxy.which = repeats.is_release

            def repeated():
                proxy.stale = True
                proxy.twice = False
            proxy.repeated = repeated
            proxy.answered_stale = lambda: old.mode("hole")
            proxy.twice = True
            old.clock(5)
            sf.wait_until(lambda: proxy.mode == "hole", lambda: f"a release, twice, and a read:\n{old.log()}")
            old.clock(0)
            new.start()
            self.assertEqual(new.slot(), 0)
            sf.wait_until(lambda: old.status()["clock"]["verdict"] != "bad", lambda: f"{old.status()['clock']}")
            released_ms = st.now_ms()
            time.sleep(4)
            minted_without_writing = old.mints()
            proxy.stale, proxy.answered_stale = False, lambda: None
            old.mend()
            old.wait_ready()
            sf.wait_until(old.mints, old.log)
            verdict = stage.finish()
            stage.assert_unique(verdict)
            self.assertFalse(minted_without_writing, old.log())
            self.assertGreater(stage.count(verdict, old, released_ms), 0)

    @st.on(("etcd", 1))
    def records_of_init_come_again(self, kind, members):
        """What makes the records of a fleet is delivered a second time, when a worker that is cut off has reserved one of them."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            hop = repeats.Etcd(stage.coordinator.ports()[0])
            self.addCleanup(hop.stop)
            hop.keep = lambda operations: operations.count("set") > 8
            url = stage.coordinator.url
            with unittest.mock.patch.object(stage.coordinator, "url", lambda: url([hop.port])):
                stage.init(first=True)
            old = stage.worker("old")
            new = stage.worker("new", options={"fleet-worker": 0})
            old.start()
            self.assertEqual(old.slot(), 0)
            stage.collect()
            self.assertTrue(old.mints())
            old.mode("hole")
            sf.wait_until(lambda: stage.claims() == {}, lambda: f"its claim ends: {stage.claims()}")
            before = stage.record(0)
            self.assertEqual(hop.deliver_kept(), 1)
            new.start(ready=False)
            new.wait_ready()
            self.assertGreater(stage.record(0)["reserved_until_ms"], before["reserved_until_ms"])
            sf.wait_until(new.mints, new.log)
            stage.assert_unique(stage.finish())

    @st.on(*st.SERVERS)
    def init_twice(self, kind, members):
        """The records of a fleet are made twice, and the second answer is handed on: they are there, which is what was wanted."""
        with st.Stage(self, kind, members, 5000) as stage:
            hops = [stage.repeater(port) for port in stage.coordinator.ports()]
            for hop in hops:
                self.addCleanup(hop.stop)
                hop.which = lambda operations: operations.count("set") + operations.count("create") > 8
                hop.twice = True
            url = stage.coordinator.url
            with unittest.mock.patch.object(stage.coordinator, "url", lambda: url([hop.port for hop in hops])):
                result = stage.init(first=True, check=False)
            self.assertGreater(sum(hop.count for hop in hops), 0)
            self.assertEqual(result.returncode, 0, result.stderr)
            worker = stage.worker("worker")
            worker.start()
            self.assertEqual(len(stage.slots()), 32)

    @st.on(*st.SERVERS)
    def every_write_twice(self, kind, members):
        """A whole life through such a hop: it claims, renews and gives back as if nothing were wrong, and leaves nothing behind."""
        with st.Stage(self, kind, members, 5000) as stage:
            stage.first_init()
            worker = stage.worker("twice", proxy=stage.repeater)
            for proxy in worker.proxies:
                proxy.twice = True
            stage.collect()
            worker.start()
            first = stage.coordinator.counters(stage.record_path(worker.slot()))
            sf.wait_until(lambda: stage.coordinator.counters(stage.record_path(worker.slot()))[1] >= first[1] + 4, worker.log)
            self.assertGreater(sum(p.count for p in worker.proxies), 4)
            self.assertTrue(worker.is_ready() and worker.mints())
            sf.wait_until(lambda: len(stage.claims()) == 1, lambda: f"strays: {stage.claims()}\n{worker.log()}", 15)
            slot = worker.slot()
            self.assertEqual(worker.term(), 0, worker.log())
            sf.wait_until(lambda: stage.claims() == {}, lambda: f"left behind: {stage.claims()}", 10)
            self.assertEqual(stage.slots()[slot]["state"], "free")
            stage.assert_unique(stage.finish())

    @st.on(*st.SERVERS)
    def every_claim_twice(self, kind, members):
        """A sequential create that is done twice makes two claims; one of them must go."""
        with st.Stage(self, kind, members, 5000) as stage:
            stage.first_init()
            worker = stage.worker("twice", proxy=stage.repeater)
            for proxy in worker.proxies:
                proxy.which = repeats.is_claim
                proxy.twice = True
            stage.collect()
            worker.start()
            self.assertGreater(sum(p.count for p in worker.proxies), 0)
            sf.wait_until(lambda: len(stage.claims()) == 1, lambda: f"strays: {stage.claims()}\n{worker.log()}", 15)
            name = next(iter(stage.claims())).rsplit("/", 1)[1]
            self.assertEqual(stage.record(worker.slot())["claim"], name)
            self.assertTrue(worker.is_ready() and worker.mints())
            stage.assert_unique(stage.finish())


if __name__ == "__main__":
    st.main()
