#!/usr/bin/env python3
"""Availability is not the price: a member that lags, old reads and changes of leader halt nobody and fail no call."""
import sys
import time
import unittest

import stage as st
import words
from stage import sf

WINDOW_MS = 20000
OPTIONS = {"coordinator-session-timeout-ms": 10000}
HURT = "|".join((words.HALTED, r"slot\.gone", r"slot\.lost ", words.SUPERSEDED))


@st.spread
class Lag(unittest.TestCase):
    def begin(self, stage):
        """Three workers, each of which knows one member only, and one that knows them all."""
        stage.first_init()
        workers = [stage.worker(f"only{i}", members=[i], options=OPTIONS) for i in range(3)] + [stage.worker("all", options=OPTIONS)]
        for worker in workers:
            worker.start()
        stage.collect(rate=1e5)
        for worker in workers:
            sf.wait_until(worker.mints, worker.log)
        return workers

    def judge(self, stage, workers):
        for worker in workers:
            worker.wait_ready()
            self.assertIsNone(worker.when(HURT), worker.log())
            self.assertIn(worker.metric(words.METRIC_HALTED), (None, 0))
        stage.assert_unique(stage.finish())
        print(f"answers: {stage.statuses}", file=sys.stderr)
        self.assertEqual(set(stage.statuses), {"OK"})

    def behind_a_laggard(self, kind, members, sessions_end):
        with st.Stage(self, kind, members, WINDOW_MS, lagging=True) as stage:
            ensemble = stage.coordinator.ensemble
            laggard = ensemble.servers[2]
            while laggard.mode() != "follower":
                laggard.kill()
                ensemble.wait_leader()
                laggard.start()
                ensemble.wait_ready()
            workers = self.begin(stage)
            late = stage.fleet.worker("late", coordinator=stage.coordinator.url([laggard.port]), options={**stage.options, **OPTIONS})
            for proxy in ensemble.quorum_proxies:
                proxy.delay_s = 0.15
                proxy.mode = "delay"
            time.sleep(4)
            for proxy in workers[-1].proxies[:2]:
                proxy.mode = "refuse"
            if sessions_end:
                stage.coordinator.expire_all()
            time.sleep(5)
            late.start()
            self.assertEqual(late.term(), 0)
            for proxy in workers[-1].proxies:
                proxy.mode = "pass"
            for proxy in ensemble.quorum_proxies:
                proxy.mode = "pass"
            self.assertEqual(laggard.mode(), "follower")
            self.judge(stage, workers)

    @st.on(("zookeeper", 3))
    def a_follower_that_lags(self, kind, members):
        """What it answers is old: its workers renew, one worker moves to it, one comes and goes."""
        self.behind_a_laggard(kind, members, False)

    @st.on(("zookeeper", 3))
    def a_follower_that_lags_and_sessions_end(self, kind, members):
        """The others know that a session is over before the follower does: its connections live on, their writes are refused."""
        self.behind_a_laggard(kind, members, True)

    @st.on(("zookeeper", 3))
    def a_follower_that_stands_still(self, kind, members):
        """Held back behind the others, then serving what it had before it has caught up."""
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            workers = self.begin(stage)
            for follower in stage.coordinator.ensemble.followers():
                follower.pause()
                time.sleep(1.8)  # less than syncLimit: it stays in the quorum
                follower.go_on()
                time.sleep(1)
            self.judge(stage, workers)

    @st.on(("etcd", 3))
    def a_member_that_stands_still(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            workers = self.begin(stage)
            for member in range(3):
                stage.coordinator.cluster.pause(member)
                time.sleep(2)
                stage.coordinator.cluster.resume(member)
                time.sleep(1)
            self.judge(stage, workers)

    @st.on(("zookeeper", 3), ("etcd", 3))
    def changes_of_leader(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            workers = self.begin(stage)
            for _ in range(2):
                again = stage.coordinator.kill_leader()
                time.sleep(3)
                again()
                time.sleep(2)
            self.judge(stage, workers)

    @st.on(("zookeeper", 3), ("etcd", 3))
    def answers_a_second_late(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            workers = self.begin(stage)
            for worker in workers:
                for proxy in worker.proxies:
                    proxy.delay_s = 0.5
                worker.mode("delay")
            time.sleep(8)
            for worker in workers:
                worker.mend()
            self.judge(stage, workers)

    @st.on(*st.SERVERS)
    def all_sessions_expire_and_the_coordinator_restarts(self, kind, members):
        with st.Stage(self, kind, members, WINDOW_MS) as stage:
            stage.first_init()
            workers = [stage.worker(f"w{i}").start() for i in range(3)]
            stage.collect(rate=1e5)
            stage.coordinator.expire_all()
            time.sleep(2)
            stage.coordinator.stop_all()
            time.sleep(2)
            stage.coordinator.start_all()
            time.sleep(2)
            self.judge(stage, workers)


if __name__ == "__main__":
    st.main()
