#!/usr/bin/env python3
"""The same refusal has the same words on every coordinator: one table, over local, ZooKeeper and etcd.

What differs is the place alone: the URL, and the path that the fleet's records lie below. The test writes them as URL and ROOT."""
import base64
import contextlib
import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402
import zk  # noqa: E402

GARBAGE = {
    "text": b"garbage",
    "no object": b"[1]",
    "no fence": b'{"claim":""}',
    "fence below zero": b'{"fence":-1}',
    "too long": b'{"fence":1,"' + b"x" * 8200 + b'":1}',
}


class Local:
    """A directory, and reaching past the tool into it. A record that is planted carries a seal that is right: it is what stands in the
    record that is garbage, as it would be on a server."""

    def __init__(self, stack):
        self.fleet = stack.enter_context(sf.Fleet())
        self.directory = self.fleet.directory / "coordinator"
        self.url = f"local://{self.directory}"

    def root(self, name):
        return f"{self.directory}/{name}"

    def plant(self, name, path, content):
        seal = coordinators.crc64(f"{name}/{path}\n7 1\n".encode() + content)
        file = self.directory / name / path
        file.write_bytes(b'{"incarnation":7,"version":1,"checksum":"%016x"}\n%s\n' % (seal, content))

    def token(self, name):
        return json.loads((self.directory / name / "config").read_text().split("\n")[1])["token"]


class ZooKeeper:
    def __init__(self, stack):
        self.coordinator = stack.enter_context(coordinators.start("zookeeper"))
        self.url = self.coordinator.url()
        self.client = zk.Client(self.coordinator.ensemble.servers[0].port)
        stack.callback(self.client.close)
        self.fleet = stack.enter_context(sf.Fleet(self.url))

    @staticmethod
    def root(name):
        return f"/snowfleet/{name}"

    def plant(self, name, path, content):
        try:
            self.client.set(f"{self.root(name)}/{path}", content)
        except zk.ZooKeeperError:
            self.client.create(f"{self.root(name)}/{path}", content)

    def token(self, name):
        return self.coordinator.token(name)


class Etcd:
    def __init__(self, stack):
        self.coordinator = stack.enter_context(coordinators.start("etcd"))
        self.url = self.coordinator.url()
        self.fleet = stack.enter_context(sf.Fleet(self.url))

    @staticmethod
    def root(name):
        return f"/snowfleet/{name}"

    def ask(self, what, name, path, **more):
        key = base64.b64encode(f"{self.root(name)}/{path}".encode()).decode()
        self.coordinator.cluster.any_post(f"/v3/kv/{what}", {"key": key, **more})

    def plant(self, name, path, content):
        self.ask("put", name, path, value=base64.b64encode(content).decode())

    def token(self, name):
        return self.coordinator.token(name)


class Words(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in ("zookeeper", "etcd"):
            if not coordinators.available(name):
                raise AssertionError(f"{name} is not installed; ./check installs it")
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.places = [Local(stack), ZooKeeper(stack), Etcd(stack)]
        cls.secrets = cls.places[0].fleet.directory
        cls.count = 0

    def secret(self, name, content, mode=0o600):
        path = self.secrets / name
        path.write_text(content)
        path.chmod(mode)
        return path

    def run_tool(self, place, name, *arguments):
        """Exit code and words, asked again where a slow machine kept the coordinator from answering in time."""
        for _ in range(5):
            result = place.fleet.tool(*arguments[:1], "--coordinator", place.url, "--fleet", name, *arguments[1:], check=False)
            if result.returncode != 69:
                break
        words = result.stderr.replace(place.url, "URL").replace(place.root(name), "ROOT")
        return result.returncode, words

    def same(self, code, needle, *arguments, prepare=lambda place, name: None):
        """The tool says the same on all three, with this exit code, and the needle is in it."""
        Words.count += 1
        name = f"words{Words.count}"
        said = {}
        for place in self.places:
            prepare(place, name)
            said[type(place).__name__] = self.run_tool(place, name, *arguments)
        self.assertEqual(len(set(said.values())), 1, said)
        found, words = said["Etcd"]
        self.assertEqual(found, code, words)
        self.assertIn(needle, words)

    def made(self, place, name, *more):
        code, words = self.run_tool(place, name, "init", "--first", "--layout", "41,5,2,15", "--datacenters", "0,1", *more)
        self.assertEqual(code, 0, words)

    def test_fleets_that_cannot_be_made(self):
        for layout, more, needle in (("38,10,14,1", [], "16777216 slots need as many records, at most 1048576 are allowed"),
                                     ("41,5,15,2", [], "5 datacenter and 15 worker bits; allowed are up to 10 and 14"),
                                     ("40,11,2,10", [], "11 datacenter and 2 worker bits"),
                                     ("41,5,5,12", ["--datacenters", "1,1"], "1 stands there twice")):
            with self.subTest(layout=layout):
                self.same(64, needle, "init", "--first", "--layout", layout, *more)

    def test_password_files(self):
        two = self.secret("two", "first\nsecond\n")
        user = ["--username", "fleet", "--password-file"]
        for files, code, needle in (([*user, two], 78, "must hold one line of 1 to 1023 bytes"),
                                    ([*user, self.secret("empty", "\n")], 78, "must hold one line"),
                                    ([*user, self.secret("long", "x" * 1024)], 78, "must hold one line"),
                                    ([*user, self.secret("open", "word\n", 0o644)], 78, "chmod 600"),
                                    ([*user, "/nonexistent/word"], 78, "/nonexistent/word"),
                                    (["--username", "fleet"], 78, "need each other"),
                                    (["--password-file", two], 78, "need each other"),
                                    (["--coordinator-cert", two], 78, "need each other")):
            with self.subTest(files=files):
                self.same(code, needle, "slots", *files)

    def test_no_fleet(self):
        self.same(78, "there is no fleet at ROOT (is the URL's path right?); if there never was: snowfleet init --first; if its data is lost, no worker mints: "
                  "snowfleet init --after-data-loss", "slots")

    def test_fleet_exists(self):
        def prepare(place, name):
            self.made(place, name)
            place.plant(name, "config", b'{"format":1,"fleet_id":"01234567-89ab-4cde-8f01-23456789abcd","epoch_ms":1704067200000,'
                        b'"layout":{"timestamp":41,"datacenter":5,"worker":2,"sequence":15},"datacenters":[0,1],"floor_ms":0,'
                        b'"incarnation":1,"created_ms":0}')
        self.same(1, "exists already, as shown; nothing was changed", "init", prepare=self.made)
        self.same(78, "URL: ROOT/config is not a config of ours: it is of format 1, made by an older version", "slots", prepare=prepare)

    def test_datacenters(self):
        self.same(78, "the fleet at ROOT has no datacenter 5", "slots", "--datacenter", "5", prepare=self.made)

    def test_datacenter_that_a_config_no_longer_has(self):
        def prepare(place, name):
            self.made(place, name)
            code, words = self.run_tool(place, name, "init", "--layout", "41,5,2,15", "--datacenters", "0", "--after-data-loss", "--yes", "--floor-ms", "1800000000000")
            self.assertEqual(code, 0, words)
        self.same(78, "the fleet at ROOT has no datacenter 1", "slots", "--datacenter", "1", prepare=prepare)

    def test_garbage_config(self):
        for what, content in GARBAGE.items():
            def prepare(place, name, content=content):
                self.made(place, name)
                place.plant(name, "config", content)
            for command in (["slots"], ["init"]):
                with self.subTest(what=what, command=command):
                    self.same(78, "URL: ROOT/config is not a config of ours: ", *command, prepare=prepare)

    def test_garbage_slot(self):
        for what, content in GARBAGE.items():
            def prepare(place, name, content=content):
                self.made(place, name)
                place.plant(name, f"{place.token(name)}/dc/1/slots/3", content)
            with self.subTest(what=what):
                self.same(1, "1 of its 8 records are missing or damaged (the first: datacenter 1, slot 3)", "init", prepare=prepare)

    def test_what_a_worker_logs(self):
        def garbage(place, name):
            self.made(place, name)
            place.plant(name, "config", GARBAGE["text"])

        for prepare, event in ((lambda place, name: None, "fleet.missing"), (garbage, "coordinator.failed")):
            Words.count += 1
            name, said = f"words{Words.count}", {}
            for place in self.places:
                prepare(place, name)
                with sf.Fleet(place.url) as fleet:
                    worker = fleet.worker(options={"fleet-name": name, "fleet-auto-init": "false"}).start(ready=False)
                    sf.wait_until(lambda: f" {event} " in worker.log(), f"{event} in the log")
                    line = next(line for line in worker.log().splitlines() if f" {event} " in line)
                    said[type(place).__name__] = line.split(event, 1)[1].replace(place.root(name), "ROOT")
            with self.subTest(event=event):
                self.assertEqual(len(set(said.values())), 1, said)
                self.assertIn("ROOT", said["Etcd"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
