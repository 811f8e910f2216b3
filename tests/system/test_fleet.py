#!/usr/bin/env python3
"""A fleet on real coordinators: outages, expired sessions, hand-overs, crowds. Every ID received is checked."""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402

SECONDS = float(os.environ.get("SF_SECONDS", "20"))
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Proxy:
    """HAProxy in front of the workers' data ports, health by GET /readyz."""

    def __init__(self, fleet, workers):
        self.port, = sf.free_ports(1)
        servers = "".join(f"  server {w.name} 127.0.0.1:{w.port} check port {w.admin}\n" for w in workers)
        path = fleet.directory / "haproxy.cfg"
        path.write_text("global\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client 60s\n  timeout server 60s\n  timeout check 5s\n"
                        "  option redispatch 1\n  retries 3\n"
                        f"listen snowfleet\n  bind 127.0.0.1:{self.port}\n  balance roundrobin\n  option httpchk GET /readyz\n"
                        "  default-server inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions\n" + servers)
        self.process = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(path)], stdin=subprocess.DEVNULL)
        sf.wait_until(self.answers, "HAProxy listens")

    def answers(self):
        try:
            with sf.Connection(self.port, timeout=2) as c:
                return c.ask(sf.PING).code == sf.OK
        except OSError:
            return False

    def end(self):
        self.process.kill()
        self.process.wait()


class Client(threading.Thread):
    """Asks in a loop, one retry on a new connection for each request, as a plain client would; keeps every ID."""

    def __init__(self, port, batch):
        super().__init__(daemon=True)
        self.port, self.batch = port, batch
        self.ids, self.failures, self.retries = [], [], 0
        self.requests = 0
        self.stopping = threading.Event()
        self.connection = None

    def once(self):
        if self.connection is None:
            self.connection = sf.Connection(self.port, timeout=5)
        try:
            return self.connection.ids(self.batch)
        except (OSError, sf.Refused):
            self.connection.close()
            self.connection = None
            raise

    def run(self):
        while not self.stopping.is_set():
            self.requests += 1
            try:
                self.ids += self.once()
            except (OSError, sf.Refused):
                self.retries += 1
                try:
                    self.ids += self.once()
                except (OSError, sf.Refused) as error:
                    self.failures.append(repr(error))
            time.sleep(0.002)

    def finish(self):
        self.stopping.set()
        self.join(20)
        if self.connection:
            self.connection.close()


def run_clients(port, count=4, batch=50):
    clients = [Client(port, batch) for _ in range(count)]
    for client in clients:
        client.start()
    return clients


class Story:
    """Mixed into a TestCase for each coordinator."""

    backend = None

    def setUp(self):
        if not coordinators.available(self.backend):
            self.fail(f"{self.backend} is not installed; ./check installs it")

    def check_clients(self, clients):
        for client in clients:
            client.finish()
        ids = [i for client in clients for i in client.ids]
        self.assertEqual(len(ids), len(set(ids)), "an ID came twice")
        self.assertGreater(len(ids), 1000)
        failures = [f for client in clients for f in client.failures]
        self.assertEqual(failures, [])
        print(f"{sum(c.requests for c in clients)} requests, {len(ids)} IDs, {sum(c.retries for c in clients)} retries")

    def init(self, fleet, *more):
        fleet.tool("init", "--coordinator", fleet.coordinator, "--first", *more)

    def test_outages_and_expiry_are_not_felt(self):
        with coordinators.start(self.backend, members=3) as coordinator, sf.Fleet(coordinator.url()) as fleet:
            self.init(fleet)
            workers = [fleet.worker().start() for _ in range(3)]
            proxy = Proxy(fleet, workers)
            try:
                clients = run_clients(proxy.port)
                time.sleep(1)
                again = coordinator.kill_leader()
                time.sleep(SECONDS / 5)
                again()
                coordinator.stop_all()
                time.sleep(SECONDS / 2)
                for worker in workers:
                    code, text = worker.readyz()
                    self.assertEqual(code, 200, text)
                    self.assertRegex(text, r"left, coordinator unreachable for \d+")
                    plain = sf.http(f"http://127.0.0.1:{worker.admin}/readyz")[1]
                    self.assertRegex(plain, r"^ready\nreservation: \d+m\d\ds left, coordinator unreachable for \d+s\n$")
                coordinator.start_all()
                sf.wait_until(lambda: all(w.metric("snowfleet_coordinator_connected") == 1 for w in workers), "reconnected", 60)
                self.assertGreaterEqual(coordinator.expire_all(), 3)
                time.sleep(SECONDS / 5)
                sf.wait_until(lambda: all(w.metric("snowfleet_coordinator_session_losses_total") >= 1 for w in workers), "expiry noticed", 30)
                sf.wait_until(lambda: len([s for s in self.slots(fleet) if s["state"] == "held"]) == 3, "slots bound again", 30)
                self.check_clients(clients)
                self.assertEqual({w.status()["worker"] for w in workers}, {0, 1, 2})
            finally:
                proxy.end()

    def slots(self, fleet):
        document = json.loads(fleet.tool("slots", "--coordinator", fleet.coordinator, "--json", "--datacenter", "0").stdout)
        return document["slots"] if isinstance(document, dict) else document

    def test_one_slot_changes_hands_while_its_owner_sleeps(self):
        with coordinators.start(self.backend) as coordinator, sf.Fleet(coordinator.url()) as fleet:
            self.init(fleet, "--layout", "41,10,0,12")
            options = {"reservation-window-ms": 2000, "reservation-min-window-ms": 2000, "coordinator-session-timeout-ms": 4000}
            first = fleet.worker(options=options).start()
            with first.connect() as c:
                ids = c.ids(5000)
                first.pause()
                c.send(sf.next_frame(7, 5000))
                second = fleet.worker(options=options).start(ready=False)
                second.wait_ready(60)
                with second.connect() as d:
                    ids += d.ids(5000)
                    first.resume()
                    late = c.read()
                    if late.code == sf.OK:
                        ids += late.ids()
                    for _ in range(50):
                        ids += d.ids(100)
                        try:
                            ids += c.ids(100)
                        except sf.Refused:
                            pass
                        time.sleep(0.02)
            self.assertEqual(len(ids), len(set(ids)), "an ID came twice")
            first.wait_not_ready()
            self.assertEqual(second.term(), 0)
            first.wait_ready(60)

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_clock_set_back_an_hour_between_owners(self):
        with coordinators.start(self.backend) as coordinator, sf.Fleet(coordinator.url()) as fleet:
            self.init(fleet, "--layout", "41,10,0,12")
            first = fleet.worker().start()
            with first.connect() as c:
                ids = c.ids(5000)
            self.assertEqual(first.term(), 0)
            offset = fleet.directory / "offset"
            offset.write_text("-3600\n")
            env = {"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0", "FAKETIME_NO_CACHE": "1",
                   "FAKETIME_TIMESTAMP_FILE": str(offset), "ASAN_OPTIONS": "verify_asan_link_order=0"}
            second = fleet.worker(env=env).start(ready=False)
            end = time.monotonic() + 4
            while time.monotonic() < end:
                try:
                    with second.connect() as c:
                        ids += c.ids(100)
                except (OSError, sf.Refused):
                    time.sleep(0.1)
            self.assertEqual(len(ids), len(set(ids)), "an ID came twice")
            self.assertEqual(second.readyz()[0], 503)
            (fleet.directory / "offset.new").write_text("+0\n")
            (fleet.directory / "offset.new").replace(offset)
            second.wait_ready(30)
            with second.connect() as c:
                self.assertGreater(c.ids(1)[0], max(ids))

    def test_a_crowd_starts_at_once_and_one_more_waits(self):
        with coordinators.start(self.backend, members=3) as coordinator, sf.Fleet(coordinator.url()) as fleet:
            self.init(fleet)
            crowd = [fleet.worker(options={"listen-threads": 1}) for _ in range(32)]
            begun = time.monotonic()
            for worker in crowd:
                worker.start(ready=False)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda w: w.wait_ready(60), crowd))
            print(f"32 workers ready after {time.monotonic() - begun:.2f} s")
            self.assertEqual({w.status()["worker"] for w in crowd}, set(range(32)))
            one_more = fleet.worker(options={"listen-threads": 1}).start(ready=False)
            sf.wait_until(lambda: "the fleet is full" in one_more.readyz()[1], one_more.readyz, 30)
            slot = crowd[5].status()["worker"]
            self.assertEqual(crowd[5].term(), 0)
            begun = time.monotonic()
            one_more.wait_ready(20)
            print(f"the 33rd ready {time.monotonic() - begun:.2f} s after a graceful stop")
            self.assertEqual(one_more.status()["worker"], slot)
            sf.wait_until(lambda: json.loads(sf.http(f"http://127.0.0.1:{one_more.admin}/fleet")[1])["waiting"] == 0, "no claim waits")

    def test_start_stop_and_refusals(self):
        with coordinators.start(self.backend) as coordinator, sf.Fleet(coordinator.url()) as fleet:
            lonely = fleet.worker().start(ready=False)
            sf.wait_until(lambda: "snowfleet init" in lonely.readyz()[1], lonely.readyz, 30)
            self.init(fleet, "--datacenters", "0")
            lonely.wait_ready(30)
            begun = time.monotonic()
            quick = fleet.worker().start()
            print(f"from exec to ready {(time.monotonic() - begun) * 1000:.0f} ms")
            self.assertLess(time.monotonic() - begun, 5)
            self.assertEqual(quick.term(), 0)
            self.assertEqual([s["state"] for s in self.slots(fleet)].count("held"), 1)
            stranger = fleet.worker(options={"fleet-datacenter": 3}).start(ready=False)
            self.assertEqual(stranger.process.wait(30), 78, stranger.log())
            again = fleet.tool("init", "--coordinator", fleet.coordinator, "--first", check=False)
            self.assertNotEqual(again.returncode, 0)
            coordinator.stop_all()
            self.assertEqual(lonely.readyz()[0], 200)
            lonely.options["drain-timeout-ms"] = 1
            begun = time.monotonic()
            self.assertEqual(lonely.term(60), 75, lonely.log())
            late = fleet.worker(options={"start-timeout": 700}).start(ready=False)
            self.assertEqual(late.process.wait(30), 69, late.log())


class OnZooKeeper(Story, unittest.TestCase):
    backend = "zookeeper"


class OnEtcd(Story, unittest.TestCase):
    backend = "etcd"


if __name__ == "__main__":
    unittest.main(verbosity=2)
