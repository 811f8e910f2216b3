#!/usr/bin/env python3
"""What somebody meets who has the pages and the tool alone: what a message says of the next step is right."""
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402

ROOT = HERE.parents[1]
TOKEN = "0123456789abcdef0123456789abcdef"
FLOOR_MS = 2000000000000


class Newcomers(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.place = self.fleet.directory / "coordinator"

    def said(self, code, *arguments, **more):
        result = self.fleet.tool(*arguments, check=False, **more)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def file(self, name, text):
        path = self.fleet.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def init(self, *more):
        return self.fleet.tool("init", "--coordinator", self.fleet.coordinator, *more)

    def plant(self, path, content):
        seal = coordinators.crc64(f"default/{path}\n7 1\n".encode() + content)
        (self.place / "default" / path).write_bytes(b'{"incarnation":7,"version":1,"checksum":"%016x"}\n%s\n' % (seal, content))

    def test_a_wiped_coordinator(self):
        for command in ("slots", "status", "top"):
            text = self.said(78, command, "--coordinator", self.fleet.coordinator, *(["--once"] if command == "top" else []))
            self.assertIn("if its data is lost, no worker mints: snowfleet init --after-data-loss", text)
            self.assertIn("if there never was: snowfleet init --first", text)

    def test_a_halted_fleet(self):
        if not coordinators.available("etcd"):
            raise AssertionError("etcd is not installed; ./check installs it")
        coordinator = self.enterContext(coordinators.start("etcd", 1))
        self.fleet.coordinator = coordinator.url()
        self.init("--first")
        token = coordinator.token()
        report = {"datacenter": 0, "worker": 3, "claim": "claim-00000000000000000000000000000000-0000000001", "held_until_ms": 1, "last_ms": 1,
                  "reported_ms": 1795176000250, "node": "host-a"}
        for reports in ([], [report]):
            state = {"format": 2, "halted": True, "reports": reports, "others_held_until_ms": 0}
            coordinator.set(f"/snowfleet/default/{token}/state", json.dumps(state))
            for command in ("slots", "status", "top"):
                text = self.said(0, command, "--coordinator", self.fleet.coordinator, *(["--once"] if command == "top" else []))
                self.assertRegex(text, r"(?m)^HALTED: .*snowfleet init --after-data-loss", command)
                if reports:
                    self.assertIn("host-a noticed at 2026-11-20T12:00:00.250Z that slot 0/3 had lost data", text)
            for command in ("slots", "status"):
                self.assertIn("--after-data-loss", json.loads(self.said(0, command, "--coordinator", self.fleet.coordinator, "--json"))["halted"])

    def test_equal_slots_are_one_line(self):
        self.init("--first")
        self.init("--after-data-loss", "--yes", "--floor-ms", FLOOR_MS)
        text = self.said(0, "slots", "--coordinator", self.fleet.coordinator)
        lines = [line for line in text.splitlines() if "quarantined " in line]
        self.assertEqual(len(lines), 1, text)
        self.assertRegex(lines[0], r"^0-31 0-31 +quarantined +2033-05-18T03:33:20.000Z ")
        self.assertEqual(len(json.loads(self.said(0, "slots", "--coordinator", self.fleet.coordinator, "--json"))["slots"]), 1024)
        token = json.loads((self.place / "default/config").read_text().split("\n")[1])["token"]
        self.plant(f"{token}/dc/4/slots/7", b"garbage")
        text = self.said(0, "slots", "--coordinator", self.fleet.coordinator)
        rows = [line.split()[:3] for line in text.splitlines()[1:] if re.match(r"\d[-\d]* +\d[-\d]* ", line)]
        self.assertEqual(rows, [["0-3", "0-31", "quarantined"], ["4", "0-6", "quarantined"], ["4", "7", "broken"],
                                ["4", "8-31", "quarantined"], ["5-31", "0-31", "quarantined"]], text)

    def test_how_long_is_said_in_hours(self):
        self.init("--first")
        until_ms = (int(time.time()) + 9 * 3600 + 12 * 60 + 30) * 1000
        self.init("--after-data-loss", "--yes", "--floor-ms", until_ms)
        worker = self.fleet.worker().start(ready=False)
        sf.wait_until(lambda: "slot.waiting" in worker.log(), worker.log)
        self.assertRegex(worker.status()["why"], r"9h12m")
        self.assertNotRegex(worker.log().split("slot.waiting")[1].splitlines()[0], r"\d{6} ms")

    def test_token_files(self):
        theirs = self.file("theirs", f"# who may\n\nteam:{TOKEN}\n")
        worker = self.fleet.worker(options={"admin-token-file": theirs}).start()
        admin = f"http://127.0.0.1:{worker.admin}"
        for text in (f"# {'long ' * 200}\n\n# more\nteam:{TOKEN}\n", f"{TOKEN}\n"):
            self.said(0, "status", "--admin", admin, "--token-file", self.file("ours", text))
        for command in ("status", "reload", "drain", "top"):
            text = self.said(78, command, "--admin", admin)
            self.assertIn("--token-file names a file with a token of admin.token_file", text)
            text = self.said(78, command, "--admin", admin, "--token-file", self.file("wrong", "f" * 32 + "\n"))
            self.assertIn("the token that --token-file shows is none of this worker's (admin.token_file)", text)
            self.assertNotIn("is snowfleetd running there", text)
        self.assertIn("no token", self.said(64, "status", "--admin", admin, "--token-file", self.file("none", "# nothing\n\n")))

    def test_reload_as_json(self):
        worker = self.fleet.worker().start()
        answer = json.loads(self.said(0, "reload", "--admin", f"http://127.0.0.1:{worker.admin}", "--json"))
        self.assertEqual(answer, {"changed": [], "needs_restart": []})

    def test_the_coordinators_message(self):
        worker = self.fleet.worker().start()
        self.assertRegex(worker.log(), r"coordinator\.connected the directory /\S+ answers")

    def test_two_variables(self):
        bare = {key: value for key, value in os.environ.items() if not key.startswith("SNOWFLEET_")}
        text = self.said(64, "slots", env={**bare, "SNOWFLEET_FLEET_COORDINATOR": "zk://h"})
        self.assertIn("SNOWFLEET_FLEET_COORDINATOR is snowfleetd's option", text)
        self.assertIn("set SNOWFLEET_COORDINATOR", text)
        done = subprocess.run([sf.BIN / "snowfleetd", "--check-config"], env={**bare, "SNOWFLEET_COORDINATOR": "zk://h"}, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("it is the tool's; a worker's is SNOWFLEET_FLEET_COORDINATOR", done.stderr)

    def test_the_time_now(self):
        for word in ("now", "NOW"):
            made = json.loads(self.fleet.tool("encode", "--time", word, "--json").stdout)
            self.assertLess(abs(made["unix_ms"] / 1000 - time.time()), 60)

    def test_an_id_by_its_own_fleet(self):
        """By another layout and epoch an ID looks sound, and is wrong by years."""
        self.init("--first", "--layout", "42,4,7,10", "--epoch-ms", "1500000000000", "--datacenters", "3")
        worker = self.fleet.worker(options={"fleet-datacenter": 3}).start()
        with worker.connect() as connection:
            one = str(connection.ids(1)[0])
        true = {"datacenter": 3, "worker": worker.status()["worker"]}
        for who in (["--server", f"127.0.0.1:{worker.port}"], ["--admin", f"http://127.0.0.1:{worker.admin}"],
                    ["--coordinator", self.fleet.coordinator], ["--layout", "42,4,7,10", "--epoch-ms", "1500000000000"]):
            done = self.fleet.tool("decode", "--json", one, *who)
            told = json.loads(done.stdout)
            self.assertEqual({**told, **true}, told, who)
            self.assertLess(abs(told["unix_ms"] / 1000 - time.time()), 60)
            self.assertEqual(done.stderr, "")
            made = self.fleet.tool("encode", "--time", "now", "--json", *who)
            self.assertGreater(int(json.loads(made.stdout)["id"]), int(one) - (60000 << 21))
            self.assertEqual(made.stderr, "")
        done = self.fleet.tool("decode", "--json", one)
        self.assertGreater(abs(json.loads(done.stdout)["unix_ms"] / 1000 - time.time()), 86400)
        self.assertIn("layout 41,5,5,12 and epoch 2024-01-01T00:00:00.000Z assumed; --server, --admin or --coordinator asks", done.stderr)
        self.assertIn("snowfleet: epoch 2024", self.fleet.tool("decode", one, "--layout", "42,4,7,10").stderr)
        self.assertIn("snowfleet: layout 41", self.fleet.tool("decode", one, "--epoch-ms", "1500000000000").stderr)
        for both in (["--layout", "42,4,7,10"], ["--epoch-ms", "1"], ["--coordinator", self.fleet.coordinator]):
            self.assertIn("asks the fleet", self.said(64, "decode", one, "--server", f"127.0.0.1:{worker.port}", *both))
        self.assertIn("is not allowed here", self.said(64, "decode", one, "--server", "unix:/tmp/x"))
        worker.kill()
        self.said(69, "decode", one, "--server", f"127.0.0.1:{worker.port}")
        self.said(69, "decode", one, "--admin", f"http://127.0.0.1:{worker.admin}")

    def test_an_id_of_a_worker_that_knows_no_fleet(self):
        worker = self.fleet.worker().start(ready=False)
        sf.wait_until(lambda: self.fleet.tool("decode", "1", "--server", f"127.0.0.1:{worker.port}", check=False).stderr.count("REFUSED") == 0, worker.log)
        for who in (["--server", f"127.0.0.1:{worker.port}"], ["--admin", f"http://127.0.0.1:{worker.admin}"]):
            self.assertIn("does not know its fleet's layout yet", self.said(69, "decode", "1", *who))

    def test_presets(self):
        """IDs that their makers' pages show, with the times that stand there."""
        for name, one, when, more in (("twitter", "1541815603606036480", "2022-06-28T16:07:40.105Z", {"datacenter": 11, "worker": 26, "sequence": 0}),
                                      ("discord", "175928847299117063", "2016-04-30T11:18:25.796Z", {"datacenter": 1, "worker": 0, "sequence": 7}),
                                      ("instagram", str(1387263000000 - 1314220021721 << 23 | 1341 << 10 | 5), "2013-12-17T06:50:00.000Z",
                                       {"datacenter": 1, "worker": 317, "sequence": 5})):
            done = self.fleet.tool("decode", "--json", one, "--layout", name)
            told = json.loads(done.stdout)
            self.assertEqual((told["time"], done.stderr), (when, ""))
            self.assertEqual({**told, **more}, told)
        made = json.loads(self.init("--first", "--layout", "twitter", "--json").stdout)
        self.assertEqual(made["epoch_ms"], 1288834974657)
        self.assertIn("and twitter, discord, instagram", self.said(64, "decode", "1", "--layout", "myspace"))

    def test_examples_are_right(self):
        page = (ROOT / "docs/http.md").read_text()
        example = json.loads(re.search(r'`(\{"id":[^`]*)`', page).group(1))
        decoded = json.loads(self.fleet.tool("decode", "--json", example["id"]).stdout)
        self.assertEqual({**decoded, **example}, decoded)
        self.assertIn(f'"ids":["{example["id"]}"', page)

    def test_every_port_has_one_use(self):
        uses = {}
        for name in ("docs/http.md", "docs/operations.md", "packaging/prometheus.yml", "packaging/haproxy.cfg", "helm/snowfleet/templates/prober.yaml",
                     "helm/snowfleet/templates/_helpers.tpl", "docs/cli.md"):
            for line in (ROOT / name).read_text().splitlines():
                for port in re.findall(r":(745[2-9])\b", line):
                    uses.setdefault(port, set()).add("prober" if "prober" in name or "--metrics" in line or "prometheus" in name else "http")
        self.assertEqual(uses, {"7452": {"http"}, "7453": {"prober"}})


if __name__ == "__main__":
    unittest.main(verbosity=2)
