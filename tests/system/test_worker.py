#!/usr/bin/env python3
"""One worker and its neighbours on the local coordinator: what a user of one machine sees."""
import json
import os
import pathlib
import random
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
SANITIZED = "san" in str(sf.BIN)


def faketime_env(path):
    return {"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "FAKETIME_NO_CACHE": "1", "FAKETIME_TIMESTAMP_FILE": str(path), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def set_offset(path, text):
    """Atomically, as libfaketime reads the file at every call."""
    fresh = pathlib.Path(str(path) + ".new")
    fresh.write_text(text + "\n")
    fresh.replace(path)


class Load(threading.Thread):
    """Pipelined one-ID requests until stopped; keeps every answer."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.connection = sf.Connection(port)
        self.sent = 0
        self.answers = []
        self.error = None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.connection.send(b"".join(sf.next_frame(self.sent + i) for i in range(20)))
                self.sent += 20
                for _ in range(20):
                    self.answers.append(self.connection.read())
        except OSError as error:
            self.error = error
        finally:
            self.connection.close()


class OneWorker(unittest.TestCase):
    def test_ids_ascend_and_decode(self):
        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            before_ms = time.time() * 1000
            with worker.connect() as c:
                ids = c.ids(1) + c.ids(10000) + c.ids(1)
            self.assertEqual(ids, sorted(set(ids)))
            epoch = worker.status()["epoch_ms"]
            timestamp, datacenter, slot, _ = sf.parts(ids[0])
            self.assertEqual((datacenter, slot), (0, 0))
            self.assertLess(abs(timestamp + epoch - before_ms), 5000)

    def test_info_and_http(self):
        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            with worker.connect() as c:
                info = json.loads(c.ask(sf.INFO).body)
                self.assertEqual(c.ask(sf.PING, body=b"hello").body, b"hello")
            self.assertEqual((info["state"], info["worker"], info["protocol"]), ("ready", 0, 1))
            self.assertEqual(info["layout"], {"timestamp": 41, "datacenter": 5, "worker": 5, "sequence": 12})
            base = f"http://127.0.0.1:{worker.admin}"
            for path in ("/livez", "/readyz", "/healthz", "/startupz", "/metrics", "/status", "/fleet", "/"):
                self.assertEqual(sf.http(base + path)[0], 200, path)
            ids = json.loads(sf.http(base + "/v1/ids?count=1000")[1])["ids"]
            self.assertEqual(len(set(ids)), 1000)
            self.assertEqual(sf.http(base + "/v1/ids?count=65537")[0], 413)
            self.assertGreaterEqual(worker.metric("snowfleet_ids_minted_total"), 0)

    def test_metrics_are_those_of_the_document(self):
        """A worker that has done everything shows every metric of docs/metrics.md but the prober's, with the type and labels told there."""
        with sf.Fleet() as fleet:
            tokens = fleet.directory / "tokens"
            tokens.write_text("team:0123456789abcdef0123456789abcdef\n")
            tokens.chmod(0o600)
            ntp = FakeNtp()
            self.addCleanup(ntp.close)
            subprocess.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=worker -keyout w.key -out w.pem".split(),
                           cwd=fleet.directory, check=True, capture_output=True)
            worker = fleet.worker(options={"listen-token-file": tokens, "clock-sources": ntp.source, "listen-tls-cert": fleet.directory / "w.pem",
                                           "listen-tls-key": fleet.directory / "w.key"}).start()
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            with worker.connect() as c:
                c.socket = tls.wrap_socket(c.socket)
                self.assertEqual(c.ask(sf.AUTH, body=b"0123456789abcdef0123456789abcdef").code, sf.OK)
                c.ids(10)
            page = sf.http(f"http://127.0.0.1:{worker.admin}/metrics")[1]
            series = [line.rsplit(" ", 1)[0] for line in page.splitlines() if not line.startswith("#")]
            self.assertEqual([one for one in series if series.count(one) > 1], [], "each series once")
            documented = (ROOT / "docs/metrics.md").read_text()
            for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w,]+|-) \|", documented, re.M):
                if name.startswith("snowfleet_verify_"):
                    continue
                self.assertRegex(page, rf"(?m)^# TYPE {name} {kind}$")
                sample = name + ("_count" if kind == "histogram" else "")
                samples = re.findall(rf"^{sample}(?:\{{(.*)\}})? \S+$", page, re.M)
                self.assertTrue(samples, name)
                for keys in samples:
                    self.assertEqual(re.findall(r'(\w+)="', keys), [] if labels == "-" else labels.split(","), name)
            known = set(re.findall(r"^# TYPE (\w+) ", page, re.M))
            self.assertEqual(known - set(re.findall(r"^\| `(\w+)` \|", documented, re.M)), set())
            if shutil.which("promtool"):
                done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
                # See test_metrics.c: it may take the "bits" in this name for a unit.
                said = [line for line in done.stderr.splitlines() if "timestamp_bits_exhausted_seconds" not in line]
                self.assertEqual(said, [])

    @unittest.skipIf(SANITIZED, "what it costs with a sanitizer says nothing")
    def test_a_scrape_is_cheap(self):
        """Under 5 ms of CPU, which other load on the machine does not change."""
        def cpu_s(worker):
            fields = pathlib.Path(f"/proc/{worker.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            with worker.connect() as c:
                for count in (1, 1000):
                    c.ids(count)
            count, before = 200, cpu_s(worker)
            for _ in range(count):
                self.assertEqual(sf.http(f"http://127.0.0.1:{worker.admin}/metrics")[0], 200)
            each_s = (cpu_s(worker) - before) / count
            print(f"a scrape takes {each_s * 1000:.2f} ms of CPU")
            self.assertLess(each_s, 0.005)

    def test_kill_and_restart_goes_on_above(self):
        seed = int(os.environ.get("SF_SEED", time.time_ns() % 10**9))
        print("seed", seed)
        rng = random.Random(seed)
        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            last = 0
            slowest_s = slowest_start_s = 0
            for _ in range(5):
                load = Load(worker.port)
                load.start()
                sf.wait_until(lambda load=load: load.answers or load.error, "the first answer")
                time.sleep(rng.uniform(0.05, 0.3))
                worker.kill()
                load.stopping.set()
                load.join(60)
                ids = [i for a in load.answers for i in a.ids()]
                self.assertEqual(ids, sorted(set(ids)))
                self.assertGreater(ids[0], last)
                last = max(ids)
                begun = time.monotonic()
                subprocess.run([str(sf.BIN / "snowfleetd"), "--version"], check=True, capture_output=True)
                slowest_start_s = max(slowest_start_s, time.monotonic() - begun)
                begun = time.monotonic()
                worker.start(ready=False)
                while True:
                    try:
                        with worker.connect() as c:
                            first = c.ids(1)[0]
                        break
                    except (OSError, sf.Refused):
                        self.assertLess(time.monotonic() - begun, 20, worker.log())
                        time.sleep(0.002)
                slowest_s = max(slowest_s, time.monotonic() - begun)
                self.assertGreater(first, last)
                self.assertEqual(sf.parts(first)[2], 0, "same slot")
                last = first
            print(f"slowest restart {slowest_s * 1000:.0f} ms, slowest start of a program {slowest_start_s * 1000:.0f} ms")
            if not SANITIZED:  # 200 ms is the promise, which tests/bench measures; a busy machine takes long for any program
                self.assertLess(slowest_s, 2.0 + 10 * slowest_start_s)

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_clock_set_back_an_hour_across_a_restart(self):
        with sf.Fleet() as fleet:
            offset = fleet.directory / "offset"
            set_offset(offset, "+0")
            worker = fleet.worker(env=faketime_env(offset)).start()
            with worker.connect() as c:
                last = c.ids(100)[-1]
            worker.kill()
            set_offset(offset, "-3600")
            worker.start(ready=False)
            end = time.monotonic() + 4
            refused = 0
            while time.monotonic() < end:
                try:
                    with worker.connect() as c:
                        self.assertGreater(c.ids(1)[0], last)
                except (OSError, sf.Refused):
                    refused += 1
                time.sleep(0.05)
            self.assertGreater(refused, 0)
            set_offset(offset, "+0")
            worker.wait_ready()
            with worker.connect() as c:
                self.assertGreater(c.ids(1)[0], last)

    def test_sigterm_under_load_answers_everything(self):
        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            loads = [Load(worker.port) for _ in range(4)]
            for load in loads:
                load.start()
            for load in loads:
                sf.wait_until(lambda load=load: load.answers or load.error, "the first answer")
            time.sleep(0.3)
            self.assertEqual(worker.term(), 0, worker.log())
            last = 0
            for load in loads:
                load.join(60)
                self.assertFalse(load.is_alive())
                codes = {a.code for a in load.answers}
                self.assertLessEqual(codes, {sf.OK, sf.DRAINING})
                self.assertEqual(len(load.connection.pushes), 1, "one GOAWAY")
                ids = [i for a in load.answers if a.code == sf.OK for i in a.ids()]
                self.assertEqual(ids, sorted(set(ids)))
                last = max(last, ids[-1])
            record = json.loads(next((fleet.directory / "coordinator/default").glob("*/dc/0/slots/0")).read_text().splitlines()[1])
            self.assertEqual(record["last_ms"] + 1, record["reserved_until_ms"])
            self.assertGreaterEqual(record["last_ms"], sf.parts(last)[0] + 1704067200000)
            worker.start()  # another slot, unused for longer; the first one is free at once
            slots = json.loads(sf.http(f"http://127.0.0.1:{worker.admin}/fleet")[1])["slots"]
            self.assertEqual(slots[0]["state"], "free")

    def test_two_workers_differ_and_a_full_fleet_waits(self):
        with sf.Fleet() as fleet:
            fleet.tool("init", "--coordinator", fleet.coordinator, "--layout", "46,4,1,12", "--first")
            first, second = fleet.worker().start(), fleet.worker().start()
            self.assertEqual({first.status()["worker"], second.status()["worker"]}, {0, 1})
            third = fleet.worker().start(ready=False)
            sf.wait_until(lambda: "the fleet is full" in third.readyz()[1], lambda: third.readyz())
            self.assertEqual(third.log().count("slot.waiting the fleet is full"), 1, third.log())
            with third.connect() as c:
                with self.assertRaises(sf.Refused) as refused:
                    c.ids(1)
                self.assertEqual(refused.exception.answer.code, sf.NOT_READY)
            self.assertEqual(first.term(), 0)
            third.wait_ready(12)  # one that is not given back is quarantined for 15 s or more

    def test_all_count_the_same_slots(self):
        """A layout for 32 datacenters, a fleet in one of them: nobody can use what the others have."""
        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            counted = "1 held, 31 free (and 992 in 31 unused datacenters), 0 quarantined, 0 broken; 0 workers wait"
            self.assertIn(counted, fleet.tool("slots", "--coordinator", fleet.coordinator).stdout)
            self.assertIn(f"slots: {counted}", fleet.tool("top", "--once", "--coordinator", fleet.coordinator).stdout)
            shown = json.loads(fleet.tool("slots", "--json", "--coordinator", fleet.coordinator).stdout)
            self.assertEqual([shown[key] for key in ("held", "free", "unused_datacenters", "unused_slots")], [1, 31, 31, 992])
            self.assertEqual(len(shown["slots"]), 1024)

            def asked():
                return fleet.tool("top", "--once", "--admin", f"http://127.0.0.1:{worker.admin}").stdout
            sf.wait_until(lambda: "slots of datacenter 0: 1 held, 31 free, 0 quarantined, 0 broken; 0 workers wait" in asked(), asked)

    def test_one_number_that_is_held(self):
        with sf.Fleet() as fleet:
            fleet.worker(options={"fleet-worker": 3}).start()
            second = fleet.worker(options={"fleet-worker": 3}).start(ready=False)
            sf.wait_until(lambda: "slot 0/3 (fleet.worker) is held by w0; of the others 31 are free" in second.readyz()[1], second.readyz)
            self.assertIn("slot.waiting", second.log())

    def test_bad_options_are_all_named(self):
        with sf.Fleet() as fleet:
            result = subprocess.run([str(sf.BIN / "snowfleetd"), "--listen-threads", "zero", "--mint-max-ahead-ms", "-1", "--check-config"],
                                    capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 78, result.stderr)
            self.assertIn("listen.threads", result.stderr)
            self.assertIn("mint.max_ahead_ms", result.stderr)
            result = subprocess.run([str(sf.BIN / "snowfleetd"), "--no-such-option", "1"], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 64, result.stderr)
            worker = fleet.worker(options={"fleet-datacenter": "40"}).start(ready=False)
            self.assertEqual(worker.process.wait(20), 78, worker.log())
            self.assertIn("fleet.datacenter 40", worker.log())

    def test_port_in_use_is_named(self):
        with sf.Fleet() as fleet:
            first = fleet.worker().start()
            second = fleet.worker(data_port=first.port).start(ready=False)
            self.assertEqual(second.process.wait(20), 75, second.log())  # what systemd starts again
            self.assertIn(str(first.port), second.log())

    def test_a_port_that_is_taken_for_a_moment(self):
        """As the process before leaves it, or an address that comes up late."""
        for port in ("port", "admin"):
            with sf.Fleet() as fleet, sf.socket.socket() as taken:
                worker = fleet.worker()
                taken.setsockopt(sf.socket.SOL_SOCKET, sf.socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", getattr(worker, port)))
                taken.listen(1)
                worker.start(ready=False)
                sf.wait_until(lambda: "worker.port" in worker.log(), worker.log)  # noqa: B023
                taken.close()
                worker.wait_ready()
                self.assertEqual(worker.term(), 0)

    def test_a_signal_ends_the_wait_for_a_port(self):
        with sf.Fleet() as fleet, sf.socket.socket() as taken:
            worker = fleet.worker()
            taken.bind(("127.0.0.1", worker.port))
            taken.listen(1)
            worker.start(ready=False)
            sf.wait_until(lambda: "worker.port" in worker.log(), worker.log)
            self.assertEqual(worker.term(), 0, worker.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
