#!/usr/bin/env python3
"""Rows of the fault table that need real processes and that the random mix does not draw: each on each coordinator it can happen on,
with the tiny layout (4 slots of 64 IDs a millisecond) and the default one. What every row shows besides: no ID twice.

    tests/chaos/rows.py [Rows.test_NAME_on_COORDINATOR]...
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import coordinators  # noqa: E402
import etcd  # noqa: E402
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402

LAYOUTS = {"tiny": "54,1,2,6", "default": "41,5,5,12"}
WINDOW_MS = 4000
OPTIONS = {"reservation-window-ms": WINDOW_MS, "reservation-min-window-ms": 2000, "coordinator-session-timeout-ms": 1500,
           "drain-timeout-ms": 2000}
ROOT = "/snowfleet/default"


class Records:
    """Looks at and changes what the coordinator keeps, past the product."""

    def __init__(self, coordinator):
        self.coordinator = coordinator

    def client(self):
        return zk.Client(next(s for s in self.coordinator.ensemble.servers if s.alive()).port)

    def token(self):
        return json.loads(self.get("/config"))["token"]

    def slot(self, worker):
        return f"/{self.token()}/dc/0/slots/{worker}"

    def get(self, path):
        if self.coordinator.name == "etcd":
            return self.coordinator.cluster.get_prefix(ROOT + path)[ROOT + path][0]
        return self.client().get(ROOT + path)[0].decode()

    def set(self, path, text):
        if self.coordinator.name == "etcd":
            self.coordinator.cluster.any_post("/v3/kv/put", {"key": etcd.b64(ROOT + path), "value": etcd.b64(text)})
        else:
            self.client().set(ROOT + path, text.encode())

    def delete(self, path):
        if self.coordinator.name == "etcd":
            self.coordinator.cluster.any_post("/v3/kv/deleterange", {"key": etcd.b64(ROOT + path)})
        else:
            self.client().delete(ROOT + path)


class Stage:
    """A fleet on one coordinator and layout; keeps every ID it drew, in order of drawing for each worker."""

    def __init__(self, test, fleet, layout, coordinator=None):
        self.test, self.fleet, self.coordinator, self.layout = test, fleet, coordinator, layout
        self.records = Records(coordinator) if coordinator else None
        self.seen = set()
        fleet.tool("init", "--coordinator", fleet.coordinator, "--first", "--layout", LAYOUTS[layout], "--datacenters", "0",
                   "--max-window-ms", WINDOW_MS)

    def worker(self, name=None, **more):
        more["options"] = {**OPTIONS, **more.get("options", {})}
        return self.fleet.worker(name, **more)

    def draw(self, worker, count=500):
        with worker.connect() as connection:
            ids = connection.ids(count)
        twice = self.seen & set(ids)
        self.test.assertFalse(twice, f"came twice: {sorted(twice)[:3]}")
        self.test.assertEqual(ids, sorted(set(ids)))
        self.seen |= set(ids)
        return ids

    def slots_drawn(self, connections):
        """Asks on all connections for more than one slot has at once; the slots that the IDs are of."""
        sequence_bits, slot_bits, count, requests = (6, 3, 1024, 4) if self.layout == "tiny" else (12, 10, 4096, 16)
        for connection in connections:
            connection.send(sf.next_frame(0, count) * requests)
        ids = []
        for connection in connections:
            for _ in range(requests):
                answer = connection.read()
                if answer.code != sf.OK:
                    raise sf.Refused(answer)
                ids += answer.ids()
        self.test.assertFalse(self.seen & set(ids))
        self.seen |= set(ids)
        return {id_ >> sequence_bits & (1 << slot_bits) - 1 for id_ in ids}

    def slot(self, worker):
        return worker.status()["worker"]

    def refused(self, worker):
        with worker.connect() as connection:
            with self.test.assertRaises(sf.Refused) as caught:
                self.draw_from(connection)
        return caught.exception.answer

    def draw_from(self, connection):
        ids = connection.ids(10)
        self.test.assertFalse(self.seen & set(ids))
        self.seen |= set(ids)


ROWS = {}


def row(*backends):
    def add(function):
        ROWS[function.__name__] = (function, backends)
        return function
    return add


def mounted(directory, options, then=":"):
    """Runs the worker with a file system of its own at `directory`, seen by it alone."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            f'd=$1; shift; mount -t tmpfs -o {options} tmpfs "$d" && {{ {then}; }} && exec "$@"', "sh", str(directory)]


@row("local")
def state_directory_full(stage):
    state = stage.fleet.directory / "state"
    state.mkdir()
    worker = stage.worker(wrap=mounted(state, "size=4k", 'head -c 4096 /dev/zero >"$d/filler"')).start()
    stage.draw(worker)
    stage.test.assertRegex(worker.log(), "state")
    worker.kill()
    other = stage.worker(options={"reservation-state-dir": ""}).start()
    stage.draw(other)
    stage.test.assertEqual(other.term(), 0)


@row("local")
def state_directory_read_only(stage):
    state = stage.fleet.directory / "state"
    state.mkdir()
    worker = stage.worker(wrap=mounted(state, "ro,size=64k")).start()
    stage.draw(worker)
    stage.test.assertRegex(worker.log(), "(?i)state.*read-only")
    stage.test.assertEqual(worker.term(), 0)


@row("local", "etcd", "zookeeper")
def state_file_copied(stage):
    worker = stage.worker(options={"log-level": "debug"}).start()
    first = stage.draw(worker)
    worker.kill()
    files = [p for p in (stage.fleet.directory / "state").rglob("*") if p.is_file()]
    stage.test.assertTrue(files)
    for path in files:
        shutil.copy(path, f"{path}.copy")
        os.rename(f"{path}.copy", path)
    worker.start()
    stage.test.assertIn("is a copy", worker.log())
    stage.test.assertGreater(stage.draw(worker)[0] >> 20, first[-1] >> 20 if stage.layout == "default" else 0)


@row("etcd", "zookeeper")
def coordinator_down_longer_than_the_window(stage):
    worker = stage.worker().start()
    stage.draw(worker)
    stage.coordinator.stop_all()
    down = time.monotonic()
    stage.draw(worker, 50)
    while time.monotonic() < down + WINDOW_MS / 1000 * 0.3:
        begun = time.monotonic()
        try:
            stage.draw(worker, 50)
        except sf.Refused:  # a machine that stood still in between proves nothing here
            if time.monotonic() - begun < WINDOW_MS / 1000 * 0.3:
                raise
        time.sleep(0.05)
    worker.wait_not_ready()
    # Ready ends drain.timeout_ms before the reservation does; then no ID at all.
    sf.wait_until(lambda: minted_nothing(stage, worker), "minting ends with the window", 10)
    stage.test.assertIn(stage.refused(worker).code, (sf.NOT_READY,))
    time.sleep(1)
    stage.test.assertEqual(stage.refused(worker).code, sf.NOT_READY)
    stage.test.assertIsNone(worker.process.poll())
    stage.coordinator.start_all()
    back = time.monotonic()
    worker.wait_ready()
    print(f"ready {time.monotonic() - back:.1f} s after the coordinator's return", file=sys.stderr)
    stage.draw(worker)


def minted_nothing(stage, worker):
    try:
        with worker.connect() as connection:
            stage.draw_from(connection)
        return False
    except (OSError, sf.Refused):
        return True


@row("etcd", "zookeeper")
def slot_record_missing_or_garbage(stage):
    stage.records.delete(stage.records.slot(0))
    stage.records.set(stage.records.slot(1), "{\"fence\": \"not a number\"")
    workers = [stage.worker().start() for _ in range(2)]
    for worker in workers:
        stage.draw(worker)
        stage.test.assertNotIn(stage.slot(worker), (0, 1))
    stage.test.assertEqual(stage.records.get(stage.records.slot(1)), "{\"fence\": \"not a number\"")
    for worker in workers:
        stage.test.assertEqual(worker.term(), 0)


@row("etcd", "zookeeper")
def slot_record_damaged_under_its_owner(stage):
    worker = stage.worker().start()
    stage.draw(worker)
    before = stage.slot(worker)
    stage.records.set(stage.records.slot(before), "garbage")
    sf.wait_until(lambda: worker.status().get("worker") not in (None, before), "another slot", 30)
    worker.wait_ready()
    stage.draw(worker)
    stage.test.assertEqual(stage.records.get(stage.records.slot(before)), "garbage")


@row("etcd", "zookeeper")
def one_of_two_slots_damaged(stage):
    """No other slot can be had for a while; when it can, what is connected has the IDs of two slots again."""
    worker = stage.worker(options={"fleet-slots-per-worker": 2}).start()
    sf.wait_until(lambda: worker.log().count("slot.claimed") == 2, "two slots", 30)
    with contextlib.ExitStack() as open_ones:
        connections = [open_ones.enter_context(worker.connect()) for _ in range(4)]
        before = stage.slots_drawn(connections)
        stage.test.assertEqual(len(before), 2, before)
        lost, free = min(before), max(before) + 1
        record = stage.records.get(stage.records.slot(free))
        for slot in set(range(4 if stage.layout == "tiny" else 32)) - {max(before)}:
            stage.records.set(stage.records.slot(slot), "garbage")
        sf.wait_until(lambda: len(stage.slots_drawn(connections)) == 1, "a slot is lost", 30)
        listed = worker.status()["slots"]
        stage.test.assertEqual(sorted((slot["state"], slot["worker"]) for slot in listed), [("claiming", None), ("ready", max(before))])
        stage.test.assertRegex(stage.fleet.tool("status", "--admin", f"127.0.0.1:{worker.admin}", check=False).stdout,
                               fr"(?s)0/{max(before)}, fence \d+: ready.*none: claiming: \w|none: claiming: \w.*0/{max(before)}, fence \d+: ready")
        stage.records.set(stage.records.slot(free), record)
        sf.wait_until(lambda: worker.log().count("slot.claimed") == 3, worker.log, 30)
        sf.wait_until(lambda: len(stage.slots_drawn(connections)) == 2, "IDs of both slots", 10)
        stage.test.assertNotIn(lost, stage.slots_drawn(connections))
    stage.test.assertEqual(worker.term(), 0)


@row("etcd", "zookeeper")
def config_changed_under_a_live_worker(stage):
    worker = stage.worker().start()
    stage.draw(worker)
    config = json.loads(stage.records.get("/config"))
    stage.records.set("/config", json.dumps({**config, "epoch_ms": config["epoch_ms"] + 1000}))
    sf.wait_until(lambda: minted_nothing(stage, worker), "minting ends with the window", 20)
    time.sleep(1)
    if worker.process.poll() is not None:
        stage.test.assertEqual(worker.process.returncode, 78, worker.log())
    else:
        stage.refused(worker)
        stage.test.assertEqual(worker.readyz()[0], 503)
    stage.test.assertRegex(worker.log(), "(?i)config")


@row("etcd", "zookeeper", "local")
def another_datacenter_than_the_fleets(stage):
    worker = stage.worker(options={"fleet-datacenter": 1}).start(ready=False)
    stage.test.assertEqual(worker.process.wait(30), 78, worker.log())
    stage.test.assertRegex(worker.log(), "datacenter")


@row("etcd", "zookeeper", "local")
def more_workers_than_slots(stage):
    if stage.layout != "tiny":
        return
    workers = [stage.worker().start() for _ in range(4)]
    late = stage.worker().start(ready=False)
    sf.wait_until(lambda: late.readyz()[0] == 503, "the fifth answers")
    time.sleep(1.5)
    stage.test.assertEqual(late.readyz()[0], 503)
    stage.test.assertEqual(stage.refused(late).code, sf.NOT_READY)
    for worker in workers:
        stage.draw(worker)
    stage.test.assertEqual(workers[2].term(), 0)
    freed = time.monotonic()
    late.wait_ready()
    took = time.monotonic() - freed
    print(f"took the freed slot after {took:.2f} s", file=sys.stderr)
    stage.test.assertLess(took, 5)
    stage.draw(late)


@row("etcd", "zookeeper")
def stopped_while_the_coordinator_is_away(stage):
    worker = stage.worker().start()
    stage.draw(worker)
    stage.coordinator.stop_all()
    stage.test.assertEqual(worker.term(), 75, worker.log())
    stage.coordinator.start_all()
    worker.start()
    stage.draw(worker)


@row("local", "etcd", "zookeeper")
def descriptors_exhausted(stage):
    worker = stage.worker(wrap=["prlimit", "--nofile=256:256"]).start()
    kept = worker.connect()
    stage.draw_from(kept)
    crowd = []
    for _ in range(400):
        try:
            crowd.append(sf.Connection(worker.port))
        except OSError:
            break
        if len(crowd) % 20 == 0:
            stage.draw_from(kept)  # what is used is not the one that gives way
    stage.test.assertGreater(len(crowd), 200)
    stage.draw_from(kept)
    stage.test.assertEqual(sf.http(f"http://127.0.0.1:{worker.admin}/livez")[0], 200)
    time.sleep(WINDOW_MS / 1000 * 1.5)  # renewals need no new descriptor
    stage.draw_from(kept)
    for connection in crowd:
        connection.close()
    sf.wait_until(lambda: drawn(stage, worker), "new connections are served again")
    kept.close()
    stage.test.assertEqual(worker.term(), 0)


def drawn(stage, worker):
    try:
        stage.draw(worker, 10)
        return True
    except (OSError, sf.Refused):
        return False


def expire(directory, name, ca, ca_key):
    """A client certificate that is over."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=directory)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", "/O=workers")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", f"{name}.pem", "-days", "0")


def certificate_expires(test, layout):
    """etcd with TLS: a client certificate that has run out is replaced under the living worker."""
    with etcd.Cluster(tls=True) as cluster, sf.Fleet(cluster.url()) as fleet:
        directory = fleet.directory
        good = [pathlib.Path(p).read_bytes() for p in (cluster.cert, cluster.key)]
        expire(directory, "old", cluster.ca, os.path.join(cluster.directory, "ca.key"))
        old = [(directory / f"old.{end}").read_bytes() for end in ("pem", "key")]

        def put(pair):
            for name, content in zip(("use.pem", "use.key"), pair):
                path = directory / (name + ".new")
                path.write_bytes(content)
                path.chmod(0o600)
                path.rename(directory / name)
        put(good)
        fleet.tool("init", "--coordinator", fleet.coordinator, "--first", "--layout", LAYOUTS[layout], "--coordinator-ca", cluster.ca,
                   "--coordinator-cert", cluster.cert, "--coordinator-key", cluster.key)
        worker = fleet.worker(options={**OPTIONS, "coordinator-tls-ca": cluster.ca, "coordinator-tls-cert": directory / "use.pem",
                                       "coordinator-tls-key": directory / "use.key"}).start()
        seen = set(worker.connect().ids(100))
        put(old)
        cluster.kill(0)  # connections made with the good one end
        sf.wait_until(lambda: "coordinator.unreachable" in worker.log(), "the loss is in the log")
        cluster.start(0)
        worker.wait_not_ready()
        test.assertIsNone(worker.process.poll())
        # What is wrong now is told, though another cause was told just before.
        sf.wait_until(lambda: re.search(r"(?i)coordinator\.unreachable .*(certificate|tls|ssl)", worker.log()), worker.log)
        put(good)
        worker.wait_ready()
        ids = worker.connect().ids(100)
        test.assertFalse(seen & set(ids))


class Rows(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")

    def play(self, function, backend, layout):
        if backend == "local":
            with sf.Fleet() as fleet:
                function(Stage(self, fleet, layout))
            return
        if not coordinators.available(backend):
            self.fail(f"{backend} is not installed; ./check installs it")
        with coordinators.start(backend) as coordinator, sf.Fleet(coordinator.url()) as fleet:
            function(Stage(self, fleet, layout, coordinator))


def add(name, function, backend, layout):
    def test(self):
        self.play(function, backend, layout)
    setattr(Rows, f"test_{name}_on_{backend}_{layout}", test)


for row_name, (row_function, row_backends) in ROWS.items():
    for one in row_backends:
        for chosen in LAYOUTS:
            add(row_name, row_function, one, chosen)
for chosen in LAYOUTS:
    setattr(Rows, f"test_certificate_expires_on_etcd_{chosen}", lambda self, chosen=chosen: certificate_expires(self, chosen))

if __name__ == "__main__":
    unittest.main(verbosity=2)
