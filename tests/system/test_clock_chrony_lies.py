#!/usr/bin/env python3
"""The clock against something in chronyd's place that lies, fails and forges: what is believed, what is refused and counted."""
import unittest

from clock_tools import Probe
from fake_chrony import N_SOURCES, SOURCE_DATA, TRACKING, FakeChrony

MS = 1_000_000


def chrony(snapshot):
    return next(s for s in snapshot["sources"] if s["name"] == "chrony")


class ClockChronyLies(unittest.TestCase):
    def fake(self, **faults):
        fake = FakeChrony(**faults)
        self.addCleanup(fake.close)
        return fake

    def probe(self, fake, **options):
        probe = Probe(fake.source, **options)
        self.addCleanup(lambda: self.assertEqual(probe.close(), 0))
        return probe

    def test_what_is_believed(self):
        for correction in (0.25, -0.25):
            fake = self.fake(correction=correction, sources=[correction, 5.0])
            s = self.probe(fake).until(lambda s: s["source"] == "chrony" and len(s["servers"]) == 3, "a reading and its sources")
            self.assertLess(abs(chrony(s)["offset_ns"] - correction * 1e9), 2 * MS)
            self.assertEqual([v["state"] for v in s["servers"]], ["synced", "selected", "falseticker"])
            self.assertEqual([v["address"] for v in s["servers"][1:]], ["10.0.0.1", "10.0.0.2"])

    def test_what_is_never_believed(self):
        faults = [({"version": 5}, "header"), ({"kind": 1}, "header"), ({"sequence": True}, "sequence"), ({"short": 27}, "short"),
                  ({"short": 0}, "short"), ({"short": 103}, "short"), ({"command": N_SOURCES}, "command"), ({"reply": 2}, "command"),
                  ({"status": 2}, "unauthorised"), ({"status": 18}, "bad version"), ({"stratum": 17}, "value"), ({"leap": 4}, "value"),
                  ({"correction": 4e8}, "value"), ({"dispersion": -1.0}, "value")]
        probes = [(self.probe(fake), name) for fake, name in ((self.fake(**fault), name) for fault, name in faults)]
        for probe, name in probes:
            s = probe.until(lambda s: s["servers"][0]["refused"] > 1, "refused: " + name)
            own = s["servers"][0]
            self.assertEqual((own["last_refusal"], own["answers"], own["has_time"]), (name, 0, False))
            self.assertFalse(chrony(probe.until_state("warn", 10))["has_time"])

    def test_what_says_that_it_does_not_know(self):
        for fault, why in (({"stratum": 0}, "no synchronised source"), ({"leap": 3}, "no synchronised source"),
                           ({"refid": 0x7F7F0101}, "local mode")):
            s = self.probe(self.fake(**fault), require_sync=True).until_state("suspended")
            self.assertIn(why, s["text"])
            self.assertFalse(chrony(s)["has_time"])

    def test_replayed_answer(self):
        fake = self.fake()
        probe = self.probe(fake)
        probe.until(lambda s: s["servers"][0]["answers"] > 0, "an answer")
        fake.faults["dup"] = True
        s = probe.until(lambda s: s["servers"][0]["last_refusal"] == "sequence", "the replay refused")
        probe.until(lambda s: chrony(s)["status"] == "holdover", "no replay keeps it fresh")

    def test_a_forged_answer_does_not_shut_out_the_true_one(self):
        fake = self.fake(forge_first=True)
        s = self.probe(fake).until(lambda s: s["servers"][0]["answers"] >= 3, "true answers")
        self.assertGreaterEqual(s["servers"][0]["refused"], 6)
        self.assertEqual((s["servers"][0]["timeouts"], s["state"]), (0, "ok"))
        self.assertLess(abs(chrony(s)["offset_ns"]), 5 * MS)

    def test_a_longer_answer_is_read_as_far_as_it_is_known(self):
        self.probe(self.fake(long=200)).until_state("ok")

    def test_sources_that_are_not_told(self):
        for command in (N_SOURCES, SOURCE_DATA):
            s = self.probe(self.fake(drop={command}, sources=[0, 0])).until(lambda s: s["servers"][0]["timeouts"] > 0, "no answer")
            self.assertEqual(len(s["servers"]), 1, "none is shown that was not heard of")
            self.assertTrue(chrony(s)["has_time"])

    def test_sources_that_go(self):
        fake = self.fake(sources=[0, 0, 0])
        probe = self.probe(fake)
        probe.until(lambda s: len(s["servers"]) == 4, "three sources")
        fake.faults["sources"] = [0]
        probe.until(lambda s: len(s["servers"]) == 2, "one source")
        fake.faults["drop"] = {TRACKING}
        old = probe.until(lambda s: s["servers"][0]["state"] == "no answer", "silence")["servers"][1]["age_ns"]
        probe.until(lambda s: s["servers"][1]["age_ns"] > old + 500 * MS, "what was heard grows old", 10)

    def test_requests_cannot_be_guessed(self):
        fake = self.fake()
        self.probe(fake).until(lambda s: s["servers"][0]["answers"] >= 5, "answers")
        sequences = [r[8:12] for r in fake.requests]
        self.assertEqual(len(set(sequences)), len(sequences))


if __name__ == "__main__":
    unittest.main(verbosity=2)
