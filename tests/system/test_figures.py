#!/usr/bin/env python3
"""A worker that refuses nearly everything is not green: its figures are of the last seconds, what it served apart from what it refused, and
every view says how much was asked of it."""
import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import snowfleet as sf  # noqa: E402


class Figures(unittest.TestCase):
    def test_overload_is_seen_and_passes(self):
        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            admin, server = f"http://127.0.0.1:{worker.admin}", f"127.0.0.1:{worker.port}"

            def row():
                return next(line for line in fleet.tool("top", "--once", "--admin", admin).stdout.splitlines() if line.startswith("0/"))
            self.assertRegex(row(), r"^0/\d+ +ready ")
            calm = fleet.tool("bench", "--server", server, "-c", 1, "-d", 1, "-n", 200, "--max-errors", "0")
            self.assertIn("errors       0\nerror ratio  0.0000\n", calm.stdout)
            loud = fleet.tool("bench", "--server", server, "-c", 16, "-d", 16, "-b", 20000, "-t", 3, "--max-errors", "0.01", "--json", check=False)
            self.assertEqual(loud.returncode, 1, loud.stderr)
            self.assertIn("--max-errors is 0.01", loud.stderr)
            told = json.loads(loud.stdout)
            self.assertGreater(told["statuses"]["OVERLOADED"], told["statuses"]["OK"])
            self.assertAlmostEqual(told["error_ratio"], told["errors"] / told["requests"])
            self.assertGreater(told["latency_us"]["p50"], told["refused_latency_us"]["p50"])

            sf.wait_until(lambda: worker.status()["rates"]["10s"]["refused"] > 0, worker.status)
            status = worker.status()
            recent, latency = status["rates"]["10s"], status["latency_us"]["10s"]
            self.assertGreater(recent["refused"], recent["served"])
            self.assertAlmostEqual(recent["refused_by"]["overloaded"], recent["refused"], delta=1)
            self.assertGreater(status["saturation"], 1)
            self.assertGreater(worker.metric("snowfleet_saturation"), 1)
            self.assertGreater(worker.metric("snowfleet_ids_refused_total"), 0)
            self.assertGreater(latency["served"]["p50"], latency["refused"]["p50"])
            self.assertRegex(row(), r"^0/\d+ +refusing \d+% ")
            self.assertRegex(fleet.tool("status", "--admin", admin).stdout, r"(?m)^last 10 s .* refused/s, overloaded \d+/s; p99 ")
            # Ready it is, and well it is not: nobody counts heads alone.
            self.assertRegex(fleet.tool("status", "--coordinator", fleet.coordinator).stdout, r"fleet default: 1 of 1 expected are ready; \S+ 0/\d+ refusing \d+%")
            health = json.loads(fleet.tool("status", "--coordinator", fleet.coordinator, "--json").stdout)["health"]
            self.assertEqual(health["level"], "bad", health)

            # Ten seconds later nothing of it is left there, while the minute remembers.
            sf.wait_until(lambda: worker.status()["rates"]["10s"]["refused"] == 0, worker.status)
            self.assertRegex(row(), r"^0/\d+ +ready ")
            self.assertIsNone(worker.status()["latency_us"]["10s"]["served"]["p99"])
            self.assertGreater(worker.status()["rates"]["1m"]["refused"], 0)
            self.assertLess(worker.metric("snowfleet_saturation"), 0.1)
            health = json.loads(fleet.tool("status", "--coordinator", fleet.coordinator, "--json").stdout)["health"]
            self.assertEqual(health["level"], "good", health)
            self.check_history(worker)

    def check_history(self, worker):
        """The flood stands in the hour that the worker keeps, and a look for what is new brings only that."""
        def read(after=0):
            code, text = sf.http(f"http://127.0.0.1:{worker.admin}/history?after={after}")
            self.assertEqual(code, 200, text)
            return json.loads(text)
        sf.wait_until(lambda: any(rate > 0 for rate in read()["refused_per_s"]), read)
        told = read()
        lists = [value for value in told.values() if isinstance(value, list)]
        self.assertEqual({len(value) for value in lists}, {told["last"] - told["first"] + 1})
        loud = max(range(len(told["state"])), key=lambda i: told["refused_per_s"][i])
        self.assertGreater(told["saturation"][loud], told["ids_per_s"][loud] / told["ceiling_per_s"][loud])
        self.assertEqual((told["ceiling_per_s"][loud], told["errors_per_s"][loud], told["state"][loud]), (4096000, 0, "ready"))
        self.assertGreater(told["p99_us"][loud], told["p50_us"][loud] - 1)
        self.assertGreaterEqual(told["span_ms"][loud], 10000)
        self.assertAlmostEqual(told["now_ms"] - told["age_ms"][-1], told["at_ms"][-1], delta=100)
        newer = read(told["last"])
        self.assertIn(newer["last"], (told["last"], told["last"] + 1))
        self.assertLessEqual(len(newer["state"]), 1)

    def test_a_ratio_is_a_ratio(self):
        with sf.Fleet() as fleet:
            for word in ("2", "-1", "x", "", "0.1x"):
                refused = fleet.tool("bench", "--max-errors", word, check=False)
                self.assertEqual(refused.returncode, 64, refused.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
