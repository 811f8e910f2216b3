#!/usr/bin/env python3
"""The clock against real chronyd: offsets and signs by both kinds of source, falsetickers, loss and return."""
import os
import sys
import tempfile
import unittest

from clock_tools import Chronyd, Probe, find
from fake_ntp import FakeNtp

MS = 1_000_000


def source(snapshot, name):
    return next(s for s in snapshot["sources"] if s["name"] == name)


class ClockChronyd(unittest.TestCase):
    net = 40 + os.getpid() % 200

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.count = 0

    def address(self, n):
        return "127.%d.%d.%d" % (self.net, os.getpid() // 256 % 256, n)

    def daemon(self, servers=(), **more):
        self.count += 1
        daemon = Chronyd(self.folder, "d%d" % self.count, self.address(self.count), servers, **more)
        self.addCleanup(daemon.kill)
        return daemon

    def fake(self, **faults):
        self.count += 1  # not 127.0.0.1: chronyd would take a server that follows it for a loop
        fake = FakeNtp(self.address(self.count), **faults)
        self.addCleanup(fake.close)
        return fake

    def probe(self, *sources, **options):
        probe = Probe(*sources, **options)
        self.addCleanup(lambda: self.assertEqual(probe.close(), 0))
        return probe

    def following(self, offset):
        """A chronyd behind a server that is this far off, and its source strings."""
        upstream = self.fake(offset=offset)
        daemon = self.daemon([(upstream.address, upstream.port, "")])
        return daemon, "ntp:%s:%d" % (daemon.address, daemon.port), "chrony:127.0.0.1:%d" % daemon.cmdport

    def settles(self, probe, s):
        """The truth, which is 0, lies within the bound; a chronyd that has just begun gives a wide one, which narrows."""
        self.assertLessEqual(abs(s["offset_ns"]), s["error_ns"])
        s = probe.until(lambda s: abs(s["offset_ns"]) + s["error_ns"] < 20 * MS, "a narrow bound", 60)
        self.assertLessEqual(abs(s["offset_ns"]), s["error_ns"])
        self.assertEqual(s["state"], "ok")

    def test_offset_and_sign_by_both_kinds(self):
        for offset in (0.25, -0.25):
            daemon, ntp, chrony = self.following(offset)
            for name, text in (("ntp", ntp), ("chrony", chrony), ("chrony", "chrony:" + daemon.socket)):
                probe = self.probe(text)
                s = probe.until(lambda s: s["source"] == name and source(s, name)["error_ns"] < 2 * MS,
                                text + " to settle", 60)
                got = source(s, name)
                self.assertLess(abs(got["offset_ns"] - offset * 1e9), 2 * MS, text)
                self.assertGreaterEqual(got["error_ns"], abs(got["offset_ns"] - offset * 1e9))
                self.assertEqual(s["interval_source"], name)
                if name == "chrony":
                    s = probe.until(lambda s: len(s["servers"]) == 2, "chronyd's own source")
                    self.assertEqual(s["servers"][1]["state"], "selected")
                    self.assertLess(abs(s["servers"][1]["offset_ns"] - offset * 1e9), 5 * MS)
                probe.close()
            self.assertEqual([f for f in os.listdir(daemon.folder) if f.startswith("snowfleet")], [])

    def test_servers_of_which_one_lies(self):
        honest = [self.following(0)[1], self.following(0)[1]]
        liar = self.following(5)[1]
        probe = self.probe(*honest, liar, require_sync=True)
        s = probe.until(lambda s: s["state"] == "ok" and s["servers"][2]["state"] == "falseticker",
                        "the liar named", 30)
        self.settles(probe, s)
        probe = self.probe(honest[0], liar, require_sync=True)
        s = probe.until(lambda s: "disagree" in s["text"], "no majority", 30)
        self.assertEqual(s["state"], "suspended")

    def test_chronyd_that_rejects_a_liar(self):
        fakes = [self.fake(), self.fake(), self.fake(offset=5)]
        relays = [self.daemon([(f.address, f.port, "")]) for f in fakes]  # chronyd wants an address of its own for each
        daemon = self.daemon([(r.address, r.port, "") for r in relays])
        probe = self.probe("chrony:127.0.0.1:%d" % daemon.cmdport, require_sync=True)
        s = probe.until(lambda s: s["state"] == "ok" and
                        "falseticker" in [v["state"] for v in s["servers"]], "chronyd names the liar", 60)
        self.assertEqual([v["address"] for v in s["servers"] if v["state"] == "falseticker"], [relays[2].address])
        self.settles(probe, s)

    def test_killed_and_restarted(self):
        for require in (False, True):
            daemon, _, chrony = self.following(0)
            probe = self.probe(chrony, require_sync=require, poll_ms=50)
            before = probe.until_state("ok")
            daemon.kill()
            s = probe.until_state("warn")
            self.assertIn("chrony: holdover", s["text"])
            self.assertEqual(source(s, "chrony")["status"], "holdover")
            self.assertTrue(s["synchronized"])
            later = probe.stay(2, lambda s: s["state"] == "warn", "warn")
            self.assertGreater(later["error_ns"], s["error_ns"])
            self.assertGreater(s["error_ns"], before["error_ns"] - MS)
            s = probe.until(lambda s: not s["synchronized"], "the end of holdover")
            self.assertEqual(s["state"], "suspended" if require else "warn")
            self.assertFalse(source(s, "chrony")["has_time"], "what it said last counts no more")
            daemon.start()
            s = probe.until_state("ok", 40)
            self.assertTrue(s["synchronized"])

    def test_local_mode_is_not_believed(self):
        daemon = self.daemon(local=8)
        probe = self.probe("chrony:127.0.0.1:%d" % daemon.cmdport)
        s = probe.until(lambda s: "local mode" in s["text"], "local mode refused", 20)
        self.assertFalse(s["synchronized"])
        probe = self.probe("ntp:%s:%d" % (daemon.address, daemon.port))
        s = probe.until(lambda s: s["servers"][0]["last_refusal"] == "local reference", "refused", 20)
        self.assertFalse(s["servers"][0]["has_time"])

    def test_without_sources_it_is_unsynchronised(self):
        daemon = self.daemon()
        probe = self.probe("chrony:127.0.0.1:%d" % daemon.cmdport, require_sync=True)
        s = probe.until(lambda s: "no synchronised source" in s["text"], "unsynchronised", 20)
        self.assertEqual(s["state"], "suspended")

    def test_not_a_chronyd(self):
        fake = self.fake()  # answers, but not this protocol
        probe = self.probe("chrony:%s:%d" % (fake.address, fake.port))
        s = probe.until(lambda s: s["servers"][0]["refused"] > 1, "refused")
        self.assertFalse(s["servers"][0]["has_time"])
        probe = self.probe("chrony:%s/none.sock" % self.folder)
        s = probe.until_state("warn")
        self.assertEqual(s["servers"][0]["state"], "No such file or directory"[:23])
        self.assertEqual([f for f in os.listdir(self.folder) if f.startswith("snowfleet")], [])


if __name__ == "__main__":
    if not find("chronyd"):
        print("no chronyd: set CHRONYD or install it")
        sys.exit(77)
    unittest.main(verbosity=2)
