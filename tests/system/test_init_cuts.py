#!/usr/bin/env python3
"""`snowfleet init` and a first worker that are killed halfway: nothing half made is taken for a fleet, and the next one goes on from there."""
import json
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "etcd")]
import coordinators  # noqa: E402
import gateway  # noqa: E402
import snowfleet as sf  # noqa: E402

DATACENTERS, SLOTS = 2, 256
SHAPE = ["--layout", "41,5,8,9", "--datacenters", "0,1", "--timeout-ms", "30000"]
FLOOR_MS = 1900000000000  # far from now, so that no clock needs to be asked
FLEET_ID = "01234567-89ab-4cde-8f01-23456789abcd"
ANEW = ["--after-data-loss", "--yes", "--floor-ms", str(FLOOR_MS)]
PATIENCE, UNREACHABLE = 5, 69
TRIES = 60  # more writes than any init of this shape has


class ZooKeeperCut:
    """Between a client and ZooKeeper: lets so many writes through, then calls `cut` and goes silent."""

    WRITES = {1, 2, 5, 14, 15}  # create, delete, setData, multi, create2

    def __init__(self, coordinator, most, cut):
        self.behind = coordinator.ensemble.servers[0].port
        self.left, self.cut = most, cut
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"zk://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.behind))
            threading.Thread(target=self.requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self.answers, args=(server, client), daemon=True).start()

    def requests(self, client, server):
        stream, first = client.makefile("rb"), True
        try:
            while head := stream.read(4):
                frame = stream.read(struct.unpack(">i", head)[0])
                if not first and struct.unpack(">i", frame[4:8])[0] in self.WRITES:
                    self.left -= 1
                    if self.left < 0:
                        self.cut()
                        break
                first = False
                server.sendall(head + frame)
        except (OSError, struct.error):
            pass
        server.close()

    @staticmethod
    def answers(server, client):
        try:
            while data := server.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass
        client.close()

    def close(self):
        self.listener.close()


class EtcdCut:
    """The same for etcd."""

    def __init__(self, coordinator, most, cut):
        self.left, self.cut = most, cut
        self.gateway = gateway.Gateway(coordinator.cluster.ports[0])
        self.gateway.rule = self.rule
        self.url = self.gateway.url

    def rule(self, path, body):
        if path == "/v3/kv/txn" and "request_put" in body:
            self.left -= 1
            if self.left < 0:
                self.cut()
                return "refuse"
        return None

    def close(self):
        self.gateway.close()


def wait_started(worker):
    """Ready, or waiting for the floor of the fleet that it made where something half made was found."""
    worker.start(ready=False)
    sf.wait_until(lambda: worker.readyz()[0] == 200 or "mints nothing before its floor" in worker.readyz()[1], worker.readyz)
    code = worker.term()
    assert code == 0, (code, worker.log())


class Cuts:
    """Mixed into a TestCase for each coordinator with a server."""

    backend = cut_class = None
    step = 1  # how many writes one cut lies behind the one before
    between = (2, 3, 4)  # writes until the next cut of a connection

    def setUp(self):
        if not coordinators.available(self.backend):
            self.fail(f"{self.backend} is not installed; ./check installs it")
        self.coordinator = coordinators.start(self.backend)
        self.coordinator.__enter__()
        self.addCleanup(self.coordinator.__exit__, None, None, None)
        self.fleet = sf.Fleet(self.coordinator.url())
        self.addCleanup(self.fleet.__exit__, None, None, None)

    def tool(self, command, name, *more):
        """Asked again where a slow machine kept the coordinator from answering in time."""
        for _ in range(PATIENCE):
            result = self.fleet.tool(command, "--coordinator", self.fleet.coordinator, "--fleet", name, *more, check=False)
            if result.returncode != UNREACHABLE:
                break
        return result

    def cut_off(self, name, most, *more):
        """init through a proxy that kills it after `most` writes. Returns whether it was killed."""
        for _ in range(PATIENCE):
            started = threading.Event()

            def kill():
                started.wait()
                process.kill()
            proxy = self.cut_class(self.coordinator, most, kill)
            process = subprocess.Popen([str(sf.BIN / "snowfleet"), "init", "--coordinator", proxy.url, "--fleet", name, *SHAPE, *more],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            started.set()
            text = process.communicate(timeout=60)[0]
            proxy.close()
            if process.returncode == -signal.SIGKILL:
                return True
            if process.returncode != UNREACHABLE:
                break
            self.assertIn("the same command again", text)
        self.assertEqual(process.returncode, 0, text)
        return False

    def slots(self, name):
        """Every slot when there is a whole fleet, None when there is none; anything in between fails."""
        listed = self.tool("slots", name, "--json")
        if listed.returncode == 78:
            self.assertIn("there is no fleet at", listed.stderr)
            return None
        self.assertEqual(listed.returncode, 0, listed.stderr)
        slots = json.loads(listed.stdout)["slots"]
        self.assertEqual(len(slots), DATACENTERS * SLOTS)
        return slots

    def all_good(self, name, waiting=0):
        """waiting: so many workers were only waiting for the fleet, and may have taken their slots already."""
        slots = self.slots(name)
        self.assertTrue(slots is not None, "no fleet")
        states = [s["state"] for s in slots if s["state"] not in ("free", "quarantined")]
        self.assertEqual(states, ["held"] * min(waiting, len(states)))
        return slots

    def test_a_connection_that_is_cut(self):
        """Nobody kills it: it goes on by itself, with what is made."""
        lefts = [*self.between, TRIES]

        def cut():
            proxy.left = lefts.pop(0)
        proxy = self.cut_class(self.coordinator, lefts.pop(0), cut)
        self.addCleanup(proxy.close)
        made = self.fleet.tool("init", "--coordinator", proxy.url, "--fleet", "cut", "--first", *SHAPE, check=False)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(lefts, [], "it was not cut so often")
        self.assertEqual(made.stderr.count("going on from what is made"), 3, made.stderr)
        self.all_good("cut")

    def test_a_new_fleet(self):
        named = 0
        for most in range(0, TRIES, self.step):
            name = f"new{most}"
            killed = self.cut_off(name, most, "--first")
            if not killed:
                break
            if self.slots(name) is not None:  # it was named, and asked once more: on ZooKeeper that counts like a write
                self.assertEqual(self.tool("init", name, *SHAPE, "--if-missing").returncode, 0)
                self.all_good(name)
                named += 1
                continue
            self.assertEqual(named, 0, f"no fleet after {most} writes, and one after fewer")
            if most == 2 * self.step:
                worker = self.fleet.worker(options={"fleet-name": name}).start(ready=False)
                sf.wait_until(lambda: "snowfleet init" in worker.readyz()[1], worker.readyz)
            again = self.tool("init", name, *SHAPE, "--first")
            self.assertEqual(again.returncode, 0, again.stderr)
            self.all_good(name, 1 if most == 2 * self.step else 0)
            if most == 2 * self.step:
                worker.wait_ready()
                self.assertEqual(worker.term(), 0)
        self.assertFalse(killed)
        self.assertGreater(most, 4)
        self.all_good(name)
        self.assertIn("exists already", self.tool("init", name, *SHAPE).stderr)

    def config(self, name):
        return json.loads(self.tool("init", name, *SHAPE, "--json").stdout)

    def floors(self, name):
        return {slot["reserved_until_ms"] for slot in self.all_good(name)}

    def test_after_a_loss_of_data(self):
        """The name goes first and comes last: the old making grants until it goes, none in between, then the new one."""
        unnamed = 0
        for most in range(0, TRIES, self.step):
            name = f"loss{most}"
            self.assertEqual(self.tool("init", name, *SHAPE, "--first").returncode, 0)
            before = self.config(name)
            killed = self.cut_off(name, most, *ANEW)
            found, told = self.config(name), self.tool("init", name, *SHAPE, "--if-missing")
            if not killed:
                break
            self.assertEqual(found, before)
            named = f"/snowfleet/{name}/current-{before['token']}" in self.coordinator.paths(f"/snowfleet/{name}")
            self.assertEqual(told.returncode, 0 if named else 1, told.stderr)
            self.assertEqual("is not named: an init --after-data-loss was cut off" in told.stderr, not named, told.stderr)
            unnamed += not named
            again = self.tool("init", name, *SHAPE[:2], *ANEW)
            self.assertEqual(again.returncode, 0, again.stderr)
            after = self.config(name)
            self.assertEqual((after["fleet_id"], after["incarnation"], after["floor_ms"]), (before["fleet_id"], 2, FLOOR_MS))
            self.assertEqual(self.floors(name), {FLOOR_MS})
        self.assertFalse(killed)
        self.assertEqual((told.returncode, found["incarnation"], self.floors(name)), (0, 2, {FLOOR_MS}))
        self.assertGreater(unnamed, 1)

    def test_after_the_config_was_lost(self):
        for most in range(0, TRIES, self.step):
            name = f"wiped{most}"
            self.assertEqual(self.tool("init", name, *SHAPE, "--first").returncode, 0)
            for path in (self.coordinator.slot_path(name, 0, 7), self.coordinator.slot_path(name, 1, 200), f"/snowfleet/{name}/config"):
                self.coordinator.delete(path)
            if not self.cut_off(name, most, *ANEW, "--fleet-id", FLEET_ID, "--epoch-ms", "1704067200000"):
                break
            self.assertTrue(self.slots(name) is None, f"a fleet after {most} writes")
        self.assertEqual(self.floors(name), {FLOOR_MS})
        self.assertEqual(self.config(name)["fleet_id"], FLEET_ID)

    def test_a_first_worker(self):
        options = {"fleet-auto-init": "true", "fleet-auto-init-first": "true"}
        for most in (0, 5, 40):
            name = f"auto{most}"
            started = threading.Event()
            proxy = self.cut_class(self.coordinator, most, lambda: started.wait() and worker.process.kill())
            worker = self.fleet.worker(coordinator=proxy.url, options={**options, "fleet-name": name})
            worker.start(ready=False)
            started.set()
            ended = None
            try:
                ended = worker.process.wait(20)
            except subprocess.TimeoutExpired:
                pass  # it has fewer writes than that
            proxy.close()
            worker.end()
            if ended is not None:
                self.assertEqual(ended, -signal.SIGKILL, worker.log())
            wait_started(self.fleet.worker(options={**options, "fleet-name": name}))


class OnZooKeeper(Cuts, unittest.TestCase):
    backend, cut_class = "zookeeper", ZooKeeperCut
    step = 3
    between = (8, 12, 9)


class OnEtcd(Cuts, unittest.TestCase):
    backend, cut_class = "etcd", EtcdCut


class Local(unittest.TestCase):
    """Every step of the local backend is cut in tests/unit; here the programs are, at any moment."""

    def test_killed_at_any_moment(self):
        killed = 0
        for i in range(20):
            with sf.Fleet() as fleet:
                command = [str(sf.BIN / "snowfleet"), "init", "--first", "--coordinator", fleet.coordinator]
                if i % 2:
                    command = fleet.worker().command()
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(random.uniform(0, 0.15))
                process.kill()
                killed += process.wait() == -signal.SIGKILL
                listed = fleet.tool("slots", "--coordinator", fleet.coordinator, "--json", check=False)
                if listed.returncode == 0:
                    slots = json.loads(listed.stdout)["slots"]
                    self.assertEqual((len(slots), {s["state"] for s in slots} & {"broken"}), (1024, set()))
                else:
                    self.assertIn("there is no fleet at", listed.stderr)
                wait_started(fleet.worker())
        self.assertGreater(killed, 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
