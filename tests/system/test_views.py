#!/usr/bin/env python3
"""Whoever looks at a fleet sees who is in trouble, and why, within seconds: in a worker's /fleet and from the coordinator itself, which say the
same. On each coordinator one fleet of four slots goes through it: a wrong clock, a worker without a slot, one that is killed, one that leaves."""
import json
import pathlib
import re
import sys
import time
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

SEEN_S = 5  # trouble is on the screen by then
SESSION_MS = 1000


class Views:
    """Mixed into a TestCase for each coordinator."""
    backend = None

    def setUp(self):
        if not coordinators.available(self.backend):
            self.fail(f"{self.backend} is not installed; ./check installs it")
        self.coordinator = coordinators.start(self.backend)
        self.coordinator.__enter__()
        self.addCleanup(self.coordinator.__exit__, None, None, None)
        self.fleet = sf.Fleet(self.coordinator.url())
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.fleet.tool("init", "--first", "--coordinator", self.coordinator.url(), "--layout", "41,5,2,15", "--datacenters", "0")

    def worker(self, name, **options):
        options = {"coordinator-session-timeout-ms": SESSION_MS, **{key.replace("_", "-"): value for key, value in options.items()}}
        return self.fleet.worker(name, options=options)

    def page(self, worker):
        code, text = sf.http(f"http://127.0.0.1:{worker.admin}/fleet")
        self.assertEqual(code, 200, text)
        return json.loads(text)

    def members(self, worker):
        return {member["node"]: member for member in self.page(worker)["members"]}

    def metrics(self, worker):
        return self.metrics_of(worker, 0)

    def metrics_of(self, worker, datacenter):
        """snowfleet_members: {state: how many}, without those that nobody is in."""
        _, text = sf.http(f"http://127.0.0.1:{worker.admin}/metrics")
        counts = {state: int(n) for state, n in re.findall(rf'^snowfleet_members\{{datacenter="{datacenter}",state="(\w+)"\}} (\d+)$', text, re.M)}
        self.assertLessEqual({"ready", "claiming", "suspended", "lost", "left", "other"}, counts.keys(), text)
        return {state: n for state, n in counts.items() if n}

    def tool(self, *words):
        """What a command says that reads the coordinator, and its exit code."""
        result = self.fleet.tool(*words, "--coordinator", self.coordinator.url(), check=False)
        self.assertEqual(result.stderr, "", words)
        return result.returncode, result.stdout

    def check_tool(self, code, *words):
        """`status` ends so and says all that; `slots` says it too, as far as it is known without asking anybody."""
        status, slots = self.tool("status"), self.tool("slots")
        self.assertEqual(status[0], code, status[1])
        self.assertEqual(slots[0], 0)
        for word in words:
            self.assertRegex(status[1], word)
            self.assertRegex(slots[1], word)
        told = json.loads(self.tool("status", "--json")[1])
        self.assertEqual(told["health"]["level"] == "good", code == 0)
        return told

    def wait_for(self, worker, node, state, since):
        """Until /fleet of that worker shows that one so; within SEEN_S of `since`, on a machine that keeps up. A page asks each second."""
        def seen():
            return self.members(worker).get(node, {}).get("state") == state
        sf.wait_until(seen, lambda: f"{node} {state}: {json.dumps(self.page(worker), indent=1)}", step_s=0.5)
        took = time.monotonic() - since
        self.took[f"{node} {state}"] = round(took, 1)
        return self.members(worker)[node], took

    def test_each_trouble_is_seen(self):
        self.took = {}
        ntp = FakeNtp()
        self.addCleanup(ntp.close)
        self.story(ntp)
        print(self.backend, self.took)

    def story(self, ntp):
        a, b, d = (self.worker(name).start() for name in "abd")
        c = self.worker("c", clock_sources=ntp.source, clock_poll_ms=1000).start()
        self.everybody(a)
        self.how_well_the_time_is_known(a)
        waiting = self.who_waits(a)
        self.who_has_a_wrong_clock(a, c, ntp)
        waiting.wait_ready()  # the slot that was given back
        self.who_is_killed(a, d)
        self.who_leaves(a, b)
        self.who_wants_one_slot_only(a)

    def everybody(self, a):
        page = sf.wait_until(lambda: (page := self.page(a))["ready"] == 4 and page, lambda: self.page(a))
        self.assertEqual((page["expected"], page["lost"], page["left"], page["waiting"]), (4, 0, 0, 0))
        self.assertEqual(page["health"], {"level": "good", "text": "4 of 4 expected are ready"})
        self.assertEqual([m["node"] for m in page["members"] if m["self"]], ["a"])
        self.assertEqual(page["remember_ms"], 3600000)
        self.assertEqual(self.metrics(a), {"ready": 4})
        self.assertEqual([w.metric("snowfleet_capacity_ids_per_second") for w in self.fleet.workers], [32768000] * 4)
        told = self.check_tool(0)
        self.assertEqual({m["node"] for m in told["members"]}, set("abcd"))
        self.assertEqual([(m["node"], m["state"], m["worker"]) for m in told["members"]], [(m["node"], m["state"], m["worker"]) for m in page["members"]])
        self.assertIn("fleet default: 4 of 4 expected are ready\n", self.tool("status")[1])
        self.assertEqual(self.fleet.tool("status", "--admin", f"http://127.0.0.1:{a.admin}").returncode, 0)

    def how_well_the_time_is_known(self, a):
        """An offset stands beside its bound: etcd's clock is known to half a second, and an offset of that size says nothing."""
        lines = [line for line in self.tool("status")[1].splitlines() if re.match(r"\d+/\d+ ", line)]
        self.assertEqual(len(lines), 4)
        for line in lines:
            self.assertRegex(line, r" -?\d+\.\d \+-\d+(\.\d)?ms ")
        name = 'snowfleet_clock_%s_seconds{source="coordinator"}'
        offset, bound = a.metric(name % "offset"), a.metric(name % "error_bound")
        self.assertIsNotNone(bound)
        self.assertLessEqual(abs(offset), bound, "the clock of this very machine")
        clock = a.status()["clock"]
        self.assertLessEqual(abs(clock["coordinator_offset_ns"]), clock["coordinator_error_ns"])

    def who_waits(self, a):
        began = time.monotonic()
        e = self.worker("e").start(ready=False)
        member, took = self.wait_for(a, "e", "claiming", began)
        self.assertLess(took, SEEN_S)
        member = sf.wait_until(lambda: (m := self.members(a)["e"])["reason"] != "" and m, "a reason")
        self.assertIn("the fleet is full: all 4 slots of datacenter 0 are held", member["reason"])
        self.assertTrue(member["waiting"])
        self.assertIsNone(member["worker"])
        self.assertEqual(self.page(a)["health"]["level"], "warn")
        self.assertIn("slot.waiting", e.log())
        told = self.check_tool(1, "e claiming since .*: the fleet is full")
        self.assertEqual((told["expected"], told["ready"], told["waiting"]), (5, 4, 1))
        self.assertEqual(self.metrics(a), {"ready": 4, "claiming": 1})
        self.assertEqual(e.metric("snowfleet_capacity_ids_per_second"), 0)
        self.assertEqual(self.fleet.tool("status", "--admin", f"http://127.0.0.1:{e.admin}", check=False).returncode, 1)
        return e

    def who_has_a_wrong_clock(self, a, c, ntp):
        ntp.faults["offset"] = 45.0
        sf.wait_until(lambda: c.readyz()[0] == 503, c.log)
        began = time.monotonic()
        member, took = self.wait_for(a, "c", "resyncing", began)
        self.assertLess(took, SEEN_S)
        self.check_tool(1, "c resyncing since .*: .*offset")
        self.assertEqual(self.metrics(a)["resyncing"], 1)
        self.assertIn("offset", member["reason"])
        self.assertFalse(member["waiting"])
        self.assertIn("c resyncing since", self.page(a)["health"]["text"])

    def who_is_killed(self, a, d):
        slot = d.status()["worker"]
        d.kill()
        began = time.monotonic()
        code, text = self.tool("status")  # whatever its claim still says
        self.assertEqual(code, 1)
        self.assertRegex(text, "d 0/%d (ready since .*: so its claim says; it does not answer|lost since)" % slot)
        member, took = self.wait_for(a, "d", "lost", began)
        self.assertLess(took, SEEN_S)
        self.assertEqual(member["worker"], slot)
        self.assertEqual(self.metrics(a)["lost"], 1)
        self.assertIn("its slot was not given back", member["reason"])
        late = self.worker("late").start(ready=False)  # a page of somebody who was not there when it happened
        sf.wait_until(lambda: late.readyz()[0] != 0, late.log)
        member, _ = self.wait_for(late, "d", "lost", began)
        self.assertEqual(member["worker"], slot)
        self.assertEqual(late.term(), 0)
        self.check_tool(1, f"d 0/{slot} lost since .*: its session has ended and its slot was not given back")

    def who_leaves(self, a, b):
        self.assertEqual(b.term(), 0)
        member, took = self.wait_for(a, "b", "left", time.monotonic())
        self.assertLess(took, SEEN_S)
        self.assertFalse(member["expected"])
        self.assertEqual(self.metrics(a)["left"], 1)
        told = self.check_tool(1)  # d is still lost
        self.top_agrees(a)
        self.assertEqual((told["left"], told["lost"]), (1, 1), told)
        gone = {m["node"]: m["state"] for m in told["members"] if m["address"] is None}
        self.assertEqual(gone, {"b": "left", "d": "lost"})

    def who_wants_one_slot_only(self, a):
        """fleet.worker: the fleet is not full because that one is held."""
        slot, pinned = a.status()["worker"], self.worker("pinned", fleet_worker=a.status()["worker"]).start(ready=False)
        sf.wait_until(lambda: self.members(a).get("pinned", {}).get("reason"), lambda: self.page(a), step_s=0.5)
        member = self.members(a)["pinned"]
        free = sum(s["state"] == "free" for s in self.page(a)["slots"])
        self.assertGreater(free, 0)
        self.assertEqual(member["reason"], f"slot 0/{slot} (fleet.worker) is held by a; of the others {free} are free")
        self.assertTrue(member["waiting"])
        self.assertEqual(pinned.term(), 0)

    def test_every_datacenter_is_seen(self):
        """One coordinator may keep several: whoever looks at a worker of one sees those of the others, and what befalls them."""
        other = self.coordinator.url()
        self.fleet.tool("init", "--first", "--coordinator", other, "--fleet", "wide", "--layout", "41,3,4,15")
        a, b, c = (self.worker(name, fleet_name="wide", fleet_datacenter=datacenter).start() for name, datacenter in (("a", 2), ("b", 2), ("c", 5)))

        def seen(at):
            page = self.page(at)
            return {(m["node"], m["datacenter"], m["state"], m["self"]) for m in page["members"]}, {s["datacenter"] for s in page["slots"]}, len(page["workers"])
        everybody = {("a", 2, "ready", True), ("b", 2, "ready", False), ("c", 5, "ready", False)}
        sf.wait_until(lambda: seen(a) == (everybody, {2, 5}, 3), lambda: seen(a), step_s=0.5)
        sf.wait_until(lambda: self.page(c)["health"] == {"level": "good", "text": "3 of 3 expected are ready"}, lambda: self.page(c), step_s=0.5)
        self.assertEqual([m["node"] for m in self.page(c)["members"] if m["self"]], ["c"], "the numbers of claims are those of a datacenter")
        self.assertEqual(self.metrics_of(a, 2), {"ready": 2}, "each datacenter counts its own")
        self.assertRegex(self.fleet.tool("top", "--once", "--admin", f"http://127.0.0.1:{a.admin}").stdout, "; slots of 2 datacenters: 3 held, 29 free, ")
        self.assertRegex(self.fleet.tool("top", "--once", "--coordinator", self.coordinator.url(), "--fleet", "wide").stdout, r"; slots: 3 held, 29 free \(and 96 in 6 unused datacenters\), ")
        # Its console may ask the others, wherever they are.
        asked = urllib.request.Request(f"http://127.0.0.1:{a.admin}/status", headers={"Origin": f"http://127.0.0.1:{c.admin}"})
        with urllib.request.urlopen(asked, timeout=sf.DEADLINE_S) as answer:
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], f"http://127.0.0.1:{c.admin}")
        c.kill()
        began = time.monotonic()
        sf.wait_until(lambda: ("c", 5, "lost", False) in seen(a)[0], lambda: seen(a), step_s=0.5)
        self.assertLess(time.monotonic() - began, SEEN_S)
        late = self.worker("late", fleet_name="wide", fleet_datacenter=7).start()
        sf.wait_until(lambda: {("c", 5, "lost", False), ("late", 7, "ready", True)} <= seen(late)[0], lambda: seen(late), step_s=0.5)

    def test_a_scrape_is_a_look(self):
        """Nobody looks at the fleet but Prometheus, of another worker: who is killed is counted as lost all the same. Reservations that have been renewed
        since the fleet was read are nobody's trouble, short as they may be."""
        a, b = (self.worker(name, reservation_window_ms=5000, reservation_min_window_ms=3000).start() for name in "ab")
        sf.wait_until(lambda: self.metrics(a) == {"ready": 2}, lambda: self.metrics(a), step_s=0.5)
        for _ in range(18):
            time.sleep(1)
            self.assertEqual(self.metrics(a), {"ready": 2})
        self.assertEqual(self.page(a)["health"]["level"], "good", "nor for who looks once")
        b.kill()
        sf.wait_until(lambda: self.metrics(a) == {"ready": 1, "lost": 1}, lambda: self.metrics(a), step_s=1)

    def top_agrees(self, a):
        """Whoever is asked, the same members in the same states, and the same slots."""
        def seen(*source):
            lines = self.fleet.tool("top", "--once", *source).stdout.splitlines()
            return re.search(r"slots[^:]*: (.*)", lines[1]).group(1), sorted(line.split()[:3] for line in lines[4:])
        by_worker, by_coordinator = seen("--admin", f"http://127.0.0.1:{a.admin}"), seen("--coordinator", self.coordinator.url())
        self.assertEqual(by_worker, by_coordinator)
        self.assertEqual({line[2]: line[1] for line in by_worker[1] if line[1] in ("lost", "left")}, {"b": "left", "d": "lost"})


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite()
    for backend in coordinators.KINDS:
        suite.addTests(loader.loadTestsFromTestCase(type(f"Views_{backend}", (Views, unittest.TestCase), {"backend": backend})))
    return suite


if __name__ == "__main__":
    unittest.main(verbosity=2)
