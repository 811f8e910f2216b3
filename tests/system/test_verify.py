#!/usr/bin/env python3
"""`snowfleet verify` on real workers: it follows a fleet through its coordinator, and it finds a duplicate that was planted."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import coordinators  # noqa: E402
import planted  # noqa: E402
import snowfleet as sf  # noqa: E402


class Prober:
    """A prober with metrics, in the background."""

    def __init__(self, *arguments):
        self.port, = sf.free_ports(1)
        self.process = subprocess.Popen([str(sf.BIN / "snowfleet"), "verify", "--metrics", f"127.0.0.1:{self.port}", *map(str, arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def series(self, name):
        """{address of a worker: value}"""
        text = sf.http(f"http://127.0.0.1:{self.port}/metrics")[1]
        return {worker: float(value) for worker, value in re.findall(rf'^snowfleet_verify_{name}\{{worker="([^"]+)"\}} (\S+)$', text, re.M)}

    def end(self):
        """(exit code, stdout, stderr) after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=sf.DEADLINE_S)
        return self.process.returncode, out, err

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Verify(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(lambda: self.fleet.__exit__(None, None, None))

    def prober(self, *arguments):
        prober = Prober(*arguments)
        self.addCleanup(prober.close)
        return prober

    def wait_for_ids(self, prober, workers):
        """Until every one of these workers has given more IDs than now."""
        addresses = {f"127.0.0.1:{w.port}" for w in workers}
        before = prober.series("ids_total")
        sf.wait_until(lambda: all(prober.series("ids_total").get(a, 0) > before.get(a, 0) for a in addresses),
                      lambda: f"IDs from {addresses}: {before} {prober.series('ids_total')}")

    def test_every_live_worker_is_asked(self):
        workers = [self.fleet.worker().start() for _ in range(3)]
        got = json.loads(self.fleet.tool("verify", "--coordinator", self.fleet.coordinator, "-t", 3, "-i", 2, "--batch", 100, "--json").stdout)
        self.assertEqual({s["server"] for s in got["servers"]}, {f"127.0.0.1:{w.port}" for w in workers})
        self.assertEqual((got["duplicates"], got["first_finding"]), (0, ""))
        for one in got["servers"]:
            self.assertGreater(one["ids"], 1000)
            self.assertEqual((one["failures"], one["order_errors"], one["time_errors"]), (0, 0, 0))
            self.assertGreater(one["latency_us"]["p99"], 0)

    def test_workers_that_come_and_go(self):
        first, second = [self.fleet.worker().start() for _ in range(2)]
        prober = self.prober("--coordinator", self.fleet.coordinator)
        self.wait_for_ids(prober, [first, second])
        third = self.fleet.worker().start()
        self.wait_for_ids(prober, [third])
        address = f"127.0.0.1:{second.port}"
        self.assertEqual(second.term(), 0)

        def is_left_alone():
            before = prober.series("failures_total")[address]
            sf.time.sleep(0.5)
            return prober.series("failures_total")[address] == before

        sf.wait_until(is_left_alone, "a worker that left is not asked any more")
        self.assertEqual(prober.series("failures_total")[address], 0, "it left as it should: that is no failure of anybody")
        second.start()
        self.wait_for_ids(prober, [first, second, third])
        code, out, err = prober.end()
        self.assertEqual((code, err), (0, ""))
        self.assertIn("0 duplicates", out)

    @unittest.skipUnless(coordinators.available("etcd"), "etcd is not there")
    def test_who_is_killed_has_failed(self):
        """Whether the look comes before its session ends or after."""
        with coordinators.start("etcd") as etcd:
            self.fleet.tool("init", "--coordinator", etcd.url(), "--first")
            for timeout_ms in (1000, 8000):
                worker, other = (self.fleet.worker(coordinator=etcd.url(), options={"coordinator-session-timeout-ms": timeout_ms}).start() for _ in range(2))
                prober = self.prober("--coordinator", etcd.url())
                self.wait_for_ids(prober, [worker, other])
                address = f"127.0.0.1:{worker.port}"
                worker.kill()
                sf.wait_until(lambda: prober.series("failures_total")[address] > 0, lambda: prober.series("failures_total"))
                self.assertEqual(prober.series("failures_total")[f"127.0.0.1:{other.port}"], 0)
                self.assertEqual(prober.end()[0], 0)

    @unittest.skipUnless(coordinators.available("etcd"), "etcd is not there")
    def test_without_the_coordinator_it_asks_on(self):
        with coordinators.start("etcd") as etcd:
            self.fleet.tool("init", "--coordinator", etcd.url(), "--first")
            worker = self.fleet.worker(coordinator=etcd.url()).start()
            prober = self.prober("--coordinator", etcd.url())
            self.wait_for_ids(prober, [worker])
            etcd.stop_all()
            sf.wait_until(lambda: worker.metric("snowfleet_coordinator_connected") == 0, "the worker without coordinator")
            sf.time.sleep(6)  # longer than the prober's look at the fleet
            self.wait_for_ids(prober, [worker])
            self.assertEqual(sum(prober.series("failures_total").values()), 0)
            self.assertEqual(prober.end()[0], 0)

    def test_nobody_there(self):
        missing = self.fleet.tool("verify", "--coordinator", self.fleet.coordinator, check=False)
        self.assertEqual(missing.returncode, 78, missing.stderr)
        self.fleet.tool("init", "--coordinator", self.fleet.coordinator, "--first")
        empty = self.fleet.tool("verify", "--coordinator", self.fleet.coordinator, check=False)
        self.assertEqual(empty.returncode, 69, empty.stderr)
        self.assertIn("no worker of fleet default holds a slot", empty.stderr)

    def test_a_planted_duplicate_is_found(self):
        program = planted.build(self.fleet.directory, planted.ONE_SLOT)
        workers = []
        for name in ("x", "y"):
            worker = self.fleet.worker(name, options={"reservation-state-dir": self.fleet.directory / f"state-{name}"})
            worker.wrap = [str(program / "snowfleetd")]
            worker.command = lambda w=worker: w.wrap + sf.Worker.command(w)[2:]
            workers.append(worker.start())
        self.assertEqual([w.status()["worker"] for w in workers], [0, 0], "both have one slot")
        servers = [word for w in workers for word in ("--server", f"127.0.0.1:{w.port}")]
        found = self.fleet.tool("verify", *servers, "-t", 60, "-i", 0, "--batch", 500, check=False)
        self.assertEqual(found.returncode, 1, found.stderr)
        finding = re.search(r"DUPLICATE: ID (\d+) from (\S+) is the same as ID (\d+) from (\S+)", found.stderr)
        self.assertTrue(finding, found.stderr)
        self.assertEqual(finding.group(1), finding.group(3))
        self.assertEqual({finding.group(2), finding.group(4)}, {f"127.0.0.1:{w.port}" for w in workers})
        self.assertEqual(sf.parts(int(finding.group(1)))[1:3], (0, 0))

        prober = self.prober(*servers, "-i", 1, "--batch", 500)
        sf.wait_until(lambda: sum(prober.series("duplicates_total").values()) > 0, "the duplicate in the metrics")
        self.wait_for_ids(prober, workers)  # it goes on, so that whoever scrapes sees it
        code, _, err = prober.end()
        self.assertEqual(code, 1)
        self.assertIn("DUPLICATE", err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
