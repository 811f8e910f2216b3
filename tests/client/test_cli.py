#!/usr/bin/env python3
"""The tool `snowfleet`: every subcommand, its exit codes and its words. Usage: test_cli.py SNOWFLEET"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from fake_worker import Worker

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_ports  # noqa: E402

SNOWFLEET = sys.argv.pop(1)
COMMANDS = "id decode encode init slots status top bench verify drain conformance".split()


def run(*args, code=0, **kwargs):
    done = subprocess.run([SNOWFLEET, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          **kwargs)
    assert done.returncode == code, f"{args}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    if code != 0:
        assert done.stderr.startswith("snowfleet: "), done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


class Pure(unittest.TestCase):
    def test_help_of_everything(self):
        text = run("--help")
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command}\b")
            help_text = run(command, "--help")
            self.assertIn(f"usage: snowfleet {command}", help_text)
            self.assertIn("options:", help_text)
        self.assertRegex(run("--version"), r"^snowfleet \d+\.\d+\.\d+ ")

    def test_usage_errors(self):
        for args in [["nonsense"], ["id", "--nonsense"], ["id", "-n"], ["id", "-n", "0"], ["id", "-n", "x"], ["id", "word"],
                     ["id", "--format", "octal"], ["id", "--server", "a:99999"], ["conformance", "--listen", "nowhere"], ["conformance", "--listen", "127.0.0.1:65500"], ["decode"], ["decode", "-5"], ["decode", "1x"],
                     ["decode", str(1 << 63)], ["decode", "1", "--layout", "40,5,5,12"], ["encode"],
                     ["encode", "--time", "yesterday"], ["encode", "--time", "2000-01-01T00:00:00Z"],
                     ["encode", "--time", "2026-01-01T00:00:00Z", "--worker", "32"], ["status", "--admin", "ftp://x"],
                     ["drain", "--json"], ["bench", "-d", "5000"], ["verify", "--window", "0"], ["top", "-i", "1"],
                     ["init", "--layout", "20,20,11,12", "--coordinator", "local:///nonexistent"],
                     ["slots", "--coordinator", "local:///" + "x" * 3992]]:
            with self.subTest(args=args):
                run(*args, code=64)
        done = subprocess.run([SNOWFLEET], capture_output=True, text=True)
        self.assertEqual(done.returncode, 64)

    def test_decode_and_encode(self):
        cases = [
            # id, time, datacenter, worker, sequence: computed by hand from the layout
            (0, "2024-01-01T00:00:00.000Z", 0, 0, 0),
            (1 << 22 | 1 << 17 | 2 << 12 | 3, "2024-01-01T00:00:00.001Z", 1, 2, 3),
            (86400000 << 22 | 31 << 17 | 31 << 12 | 4095, "2024-01-02T00:00:00.000Z", 31, 31, 4095),
            ((1 << 63) - 1, "2093-09-06T15:47:35.551Z", 31, 31, 4095),
        ]
        for number, when, datacenter, worker, sequence in cases:
            got = json.loads(run("decode", number, "--json"))
            self.assertEqual((got["id"], got["time"], got["datacenter"], got["worker"], got["sequence"]),
                             (str(number), when, datacenter, worker, sequence))
            self.assertEqual(json.loads(run("decode", hex(number), "--json")), got)
            fields = dict(re.findall(r"(?m)^(\w+) +(.*)$", run("decode", number)))
            self.assertEqual(fields["time"], when)
            self.assertEqual(fields["worker"], str(worker))
            for time_text in (when, got["unix_ms"]):
                self.assertEqual(run("encode", "--time", time_text, "--datacenter", datacenter, "--worker", worker,
                                     "--sequence", sequence), f"{number}\n")
        got = json.loads(run("decode", 5 << 22, "--json", "--layout", "41,0,10,12", "--epoch-ms", "1000"))
        self.assertEqual((got["unix_ms"], got["datacenter"], got["worker"]), (1005, 0, 0))
        self.assertEqual(run("encode", "--hex", "--time=1704067200001"), "0x400000\n")

    def test_base32(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vectors/ids.json"), encoding="utf-8") as file:
            vectors = json.load(file)
        for row in vectors["ids"]:
            layout = ["--layout", ",".join(str(row["layout"][part]) for part in ("timestamp", "datacenter", "worker", "sequence")),
                      f"--epoch-ms={row['epoch_ms']}"]
            got = json.loads(run("decode", row["id"], "--json", *layout))
            self.assertEqual({key: got[key] for key in row if key in got}, {key: row[key] for key in row if key in got})
            self.assertEqual(json.loads(run("decode", "--base32", row["base32"], "--json", *layout)), got)
            self.assertIn(f"base32      {row['base32']}\n", run("decode", row["id"], *layout))
            if row["unix_ms"] >= 0:
                self.assertEqual(run("encode", "--base32", "--time", row["unix_ms"], "--datacenter", row["datacenter"], "--worker",
                                     row["worker"], "--sequence", row["sequence"], *layout), row["base32"] + "\n")
        for text in vectors["refused"]:
            done = subprocess.run([SNOWFLEET, "decode", "--base32", text], capture_output=True, text=True)
            self.assertEqual(done.returncode, 64, text)
            self.assertRegex(done.stderr, "is not an ID in base 32|unknown option|is not known")

    def test_unreachable(self):
        with socket.socket() as taken:  # bound, not listening: refused
            taken.bind(("127.0.0.1", 0))
            place = "127.0.0.1:%d" % taken.getsockname()[1]
            for args in (["id", "--server", place, "--timeout-ms", "100"], ["bench", "--server", place],
                         ["verify", "--server", place, "-t", "1", "--timeout-ms", "100"], ["status", "--admin", place],
                         ["drain", "--admin", place], ["top", "--once", "--admin", place]):
                self.assertIn(place, run(*args, code=69))

    def test_full_output(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([SNOWFLEET, "decode", "1"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("stdout", done.stderr)


class WithWorker(unittest.TestCase):
    def setUp(self):
        self.worker = Worker()
        self.addCleanup(self.worker.close)
        self.server = ["--server", self.worker.address]

    def test_id(self):
        ids = [int(x) for x in run("id", "-n", "70000", *self.server).split()]
        self.assertEqual(len(ids), 70000)
        self.assertEqual(sorted(set(ids)), ids)
        self.assertRegex(run("id", "--format", "hex", *self.server), r"^0x[0-9a-f]{16}\n$")
        got = json.loads(run("id", "--format", "json", *self.server))
        self.assertEqual(got["worker"], 3)
        ahead = ids[-1] + (5000 << 22)
        self.assertGreater(int(run("id", "--after", ahead, *self.server)), ahead)

    def test_id_discovers(self):
        other = Worker(worker=4)
        self.addCleanup(other.close)
        self.worker.workers = [self.worker.address, other.address]
        ask = ["id", "-n", "400000", "--server", self.worker.address]  # several requests
        self.assertEqual(len(set(run(*ask).split())), 400000)
        self.assertEqual(other.asked, 0)
        self.assertEqual(len(set(run(*ask, "--discover").split())), 400000)
        self.assertGreater(other.asked, 0)

    def test_id_passes_a_dead_server(self):
        self.assertEqual(len(run("id", "-n", "5", "--server", "127.0.0.1:1", *self.server).split()), 5)

    def test_bench(self):
        got = json.loads(run("bench", "-n", "2000", "-c", "2", "-d", "8", "--batch", "3", "--json", *self.server))
        self.assertEqual((got["requests"], got["ids"], got["errors"]), (2000, 6000, 0))
        self.assertGreater(got["latency_us"]["p99"], got["latency_us"]["p50"] * 0.99)
        self.assertIn("requests     100 in", run("bench", "-n", "100", *self.server))
        self.assertIn("--library", run("bench", "--tls", *self.server, code=64))

    def test_bench_of_the_library(self):
        dead = f"127.0.0.1:{free_ports(1)[0]}"  # what a bare connection cannot do without
        run("bench", "-n", "10", "--server", dead, *self.server, code=69)
        got = json.loads(run("bench", "--library", "-n", "2000", "-c", "2", "-d", "8", "--batch", "3", "--json", "--server", dead,
                             *self.server))
        self.assertEqual((got["requests"], got["ids"], got["errors"], got["statuses"]), (2000, 6000, 0, {"OK": 2000}))
        self.assertGreater(got["latency_us"]["p99"], got["latency_us"]["p50"] * 0.99)
        text = run("bench", "--library", "-n", "4", "-c", "1", "-d", "2", "--timeout-ms", "200", "--server", dead)
        self.assertRegex(text, r"(?s)errors +4\nerror ratio +1.0000\n.*UNREACHABLE +4 answers")

    def test_verify(self):
        other = Worker(worker=4)
        self.addCleanup(other.close)
        servers = [*self.server, "--server", other.address]
        got = json.loads(run("verify", "-t", "1", "-i", "1", "--batch", "10", "--json", *servers))
        self.assertEqual(got["duplicates"], 0)
        for each in got["servers"]:
            self.assertGreater(each["ids"], 10)
            self.assertEqual((each["order_errors"], each["time_errors"], each["failures"]), (0, 0, 0))
        self.worker.repeat = other.repeat = 7 << 22  # two workers, one ID
        text = run("verify", "-t", "30", "-i", "20000", *servers, code=1)  # before either is asked a second time
        self.assertIn(f"DUPLICATE: ID {7 << 22}", text)
        self.assertIn(self.worker.address, text)
        self.assertIn(other.address, text)
        text = run("verify", "-t", "10", *self.server, code=1)  # one worker, twice the same
        self.assertRegex(text, f"DISORDER: .*ID {7 << 22} came after ID {7 << 22}")

    def test_verify_each_address(self):
        port = self.worker.address.rsplit(":", 1)[1]
        got = json.loads(run("verify", "-t", "1", "--json", "--each-address", "--server", f"127.0.0.1:{port}"))
        self.assertEqual([one["server"] for one in got["servers"]], [f"127.0.0.1:{port}"])
        run("verify", "-t", "1", "--each-address", "--server", "no-such-name.invalid:1", code=69)
        # One that gives nothing is no success, however well the others do.
        run("verify", "-t", "1", "--timeout-ms", "100", "--each-address", *self.server, "--server", "127.0.0.1:1", code=69)

    def test_verify_metrics(self):
        port, = free_ports(1)
        process = subprocess.Popen([SNOWFLEET, "verify", "--metrics", f"127.0.0.1:{port}", *self.server],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(100):
                try:
                    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
                    if re.search(r"snowfleet_verify_ids_total\{worker=\"[^\"]+\"\} [1-9]", text):
                        break
                except OSError:
                    pass
                time.sleep(0.05)
            for name in ("ids_total", "duplicates_total", "order_errors_total", "failures_total", "duration_seconds_bucket",
                         "duration_seconds_sum", "duration_seconds_count"):
                self.assertIn(f'snowfleet_verify_{name}{{worker="{self.worker.address}"', text)
            with socket.create_connection(("127.0.0.1", port), 20) as slow:  # its request comes in two pieces
                slow.sendall(b"GET /met")
                time.sleep(0.2)
                slow.sendall(b"rics HTTP/1.0\r\n\r\n")
                self.assertEqual(slow.recv(15), b"HTTP/1.0 200 OK")
            with socket.create_connection(("127.0.0.1", port), 20) as other:
                other.sendall(b"GET /metricsx HTTP/1.0\r\n\r\n")
                self.assertEqual(other.recv(12), b"HTTP/1.0 404")
            with socket.create_connection(("127.0.0.1", port), 20):  # asks nothing, and holds nobody up for long
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)

    def check_top_goes_on(self):
        """What was seen once is looked at on, through an outage, until Ctrl-C; what never answered is an error."""
        port = self.worker.admin.server_address[1]
        top = subprocess.Popen([SNOWFLEET, "top", "-i", "100", "--admin", self.worker.admin_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
        try:
            self.wait_line(top.stdout, "host-a")
            self.worker.answering = False
            self.assertIn(f"127.0.0.1:{port}/fleet: HTTP 503", top.stderr.readline())
            self.worker.node, self.worker.answering = "host-b", True
            self.wait_line(top.stdout, "host-b")
        finally:
            top.send_signal(signal.SIGINT)
            top.communicate(timeout=20)
        self.assertEqual(top.returncode, 0)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            run("top", "--admin", "http://127.0.0.1:%d" % free.getsockname()[1], code=69)

    def wait_line(self, lines, part):
        self.assertTrue(any(part in line for line in lines), "top has ended")

    def test_status_top_drain(self):
        admin = ["--admin", self.worker.admin_url]
        text = run("status", *admin)
        self.assertIn("datacenter 0 worker 3", text)
        for line in ("clock        ok: offset 0.2ms",
                     "  source     ntp: synced  -0.200 ms +- 1.100 ms, 2 s ago  1 of 2 servers agree",
                     "  source     kernel: unsynced",
                     "  server     ntp:a 10.0.0.1:123: falseticker  +5000.000 ms +- 1.000 ms, 0 s ago  18 of 20 answered, 2 refused, last: origin",
                     "  server     ntp:b: no answer  0 of 3 answered"):
            self.assertIn(line + "\n", text)
        self.assertEqual(json.loads(run("status", "--json", *admin))["fence"], 17)
        text = run("top", "--once", *admin)
        self.assertRegex(text, r"(?m)^0/3 +ready +host-a +4100[01]")
        self.assertIn("no answer", text)
        self.assertIn("2 workers (1 silent)", text)
        self.check_top_goes_on()
        self.assertEqual(run("drain", *admin), "draining\n")
        self.assertTrue(self.worker.drained.is_set())
        run("drain", "--wait", "--timeout-ms", "300", *admin, code=1)
        waiting = subprocess.Popen([SNOWFLEET, "drain", "--wait", *admin], stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        self.worker.admin.shutdown()
        self.worker.admin.server_close()
        self.assertEqual(waiting.communicate(timeout=20)[0], "draining\nleft\n")
        self.assertEqual(waiting.returncode, 0)
        self.worker.admin = Worker().admin  # for the cleanup


class WithCoordinator(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="snowfleet-cli.")
        self.addCleanup(shutil.rmtree, self.directory)
        self.to = ["--coordinator", f"local://{self.directory}/c"]

    def test_init_and_slots(self):
        run("slots", *self.to, code=78)
        made = json.loads(run("init", *self.to, "--first", "--json", "--layout", "44,1,2,16", "--datacenters", "0,1", "--epoch-ms", "1600000000000"))
        self.assertEqual((made["epoch_ms"], made["layout"]["worker"], made["datacenters"]), (1600000000000, 2, [0, 1]))
        self.assertIn(made["fleet_id"], run("init", *self.to, code=1))
        same = ["--layout", "44,1,2,16", "--datacenters", "1", "--epoch-ms", "1600000000000", "--if-missing"]
        self.assertIn(made["fleet_id"], run("init", *self.to, *same, code=0))
        for other in (["--epoch-ms", "1600000000001"], ["--layout", "43,1,3,16"], ["--datacenters", "2"], ["--after-data-loss", "--yes"]):
            with self.subTest(other=other):
                run("init", *self.to, *same, *other, code=64 if other[0] in ("--after-data-loss", "--datacenters") else 1)
        run("init", *self.to, *same[:2], *same[4:], code=1)  # any datacenter is not what the fleet has
        slots = json.loads(run("slots", "--json", *self.to))
        self.assertEqual((slots["free"], slots["held"], slots["quarantined"]), (8, 0, 0))
        self.assertEqual(slots["fleet_id"], made["fleet_id"])
        self.assertEqual(len(json.loads(run("slots", "--json", "--datacenter", "1", *self.to))["slots"]), 4)
        run("slots", "--datacenter", "2", *self.to, code=64)
        self.assertIn("8 free", run("slots", *self.to))
        self.assertEqual(json.loads(run("status", "--json", *self.to))["workers"], [])
        floor_ms = made["floor_ms"] + 1000000
        anew = ["init", "--after-data-loss", "--floor-ms", floor_ms, *self.to]
        run(*anew, code=64)  # no terminal to confirm on
        again = json.loads(run(*anew, "--yes", "--json", "--layout", "44,1,2,16"))
        self.assertEqual([again[key] for key in ("fleet_id", "epoch_ms", "layout", "datacenters")], [made[key] for key in ("fleet_id", "epoch_ms", "layout", "datacenters")])
        self.assertNotEqual(again["token"], made["token"])
        self.assertEqual((again["floor_ms"], again["incarnation"]), (floor_ms, 2))
        self.assertEqual(json.loads(run("slots", "--json", *self.to))["quarantined"], 8)

    def test_bad_places(self):
        run("slots", "--coordinator", "ftp://x", code=78)
        run("init", *self.to, "--fleet", "../x", code=78)
        run("init", *self.to, "--datacenters", "32", code=64)


if __name__ == "__main__":
    os.environ.pop("SNOWFLEET_LISTEN_ADDRESS", None)
    unittest.main(verbosity=1)
