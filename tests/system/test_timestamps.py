#!/usr/bin/env python3
"""Before a fleet's first timestamp and after its last nothing is minted, and every view says so: readiness, status, INFO, metrics, the
table of workers, and the answer to a client."""
import json
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402

SPAN_MS = (1 << 21) - 1


def now_ms():
    return time.time_ns() // 1_000_000


class Timestamps(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.fleet.tool("init", "--coordinator", self.fleet.coordinator, "--first", "--datacenters", "0")

    def remake(self, **changes):
        """`init` makes no such fleet: its config is written by hand, with a seal that is right."""
        file = self.fleet.directory / "coordinator" / "default" / "config"
        config = {**json.loads(file.read_text().split("\n")[1]), **changes}
        content = json.dumps(config).encode()
        file.write_bytes(b'{"incarnation":7,"version":1,"checksum":"%016x"}\n%s\n' %
                         (coordinators.crc64(b"default/config\n7 1\n" + content), content))

    def refusal(self, worker):
        connection = worker.connect()
        self.addCleanup(connection.close)
        with self.assertRaises(sf.Refused) as refused:
            connection.ids()
        return refused.exception.answer

    def test_an_epoch_to_come(self):
        begins_ms = now_ms() + 6000
        self.remake(epoch_ms=begins_ms)
        worker = self.fleet.worker().start(ready=False)
        words = "the fleet's epoch is in the future: minting begins at "
        sf.wait_until(lambda: words in worker.readyz()[1], worker.readyz)
        code, text = worker.readyz()
        self.assertEqual(code, 503)
        self.assertIn("[-]reservation failed: none", text)
        answer = self.refusal(worker)
        self.assertEqual(answer.code, sf.NOT_READY)
        self.assertTrue(answer.reason().startswith(words), answer.reason())
        self.assertEqual((worker.status()["state"], worker.status()["why"][:len(words)]), ("quarantined", words))
        self.assertLess(now_ms(), begins_ms)
        worker.wait_ready()
        self.assertGreaterEqual(now_ms(), begins_ms)
        connection = worker.connect()
        self.addCleanup(connection.close)
        self.assertEqual(len(connection.ids(3)), 3)

    def test_the_last_one(self):
        self.remake(epoch_ms=now_ms() + 5000 - SPAN_MS, layout={"timestamp": 21, "datacenter": 5, "worker": 5, "sequence": 32})
        worker = self.fleet.worker().start()
        connection = worker.connect()
        self.addCleanup(connection.close)
        connection.ids()
        words = "the fleet's timestamps ended at "
        sf.wait_until(lambda: words in worker.readyz()[1], worker.readyz)
        code, text = worker.readyz()
        self.assertEqual(code, 503)
        self.assertIn("[-]slot failed: " + words, text)
        answer = self.refusal(worker)
        self.assertEqual(answer.code, sf.NOT_READY)
        self.assertTrue(answer.reason().startswith(words), answer.reason())
        self.assertEqual(json.loads(connection.ask(sf.INFO).body)["state"], "exhausted")
        self.assertEqual(worker.status()["state"], "exhausted")
        self.assertEqual(worker.metric('snowfleet_state{state="exhausted"}'), 1)
        self.assertLess(worker.metric("snowfleet_timestamp_bits_exhausted_seconds"), time.time())
        admin = f"http://127.0.0.1:{worker.admin}"
        said = self.fleet.tool("status", "--admin", admin, check=False)
        self.assertEqual(said.returncode, 1, "it is not ready")
        self.assertIn("state        exhausted: " + words, said.stdout)
        self.assertIsNone(worker.process.poll())
        self.assertEqual(worker.term(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
