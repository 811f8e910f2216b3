#!/usr/bin/env python3
"""`snowfleet init`: every option and every refusal, on each coordinator. Who is refused has changed nothing: everything that the coordinator
keeps is compared, content and counters."""
import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402
from clock_tools import kernel_is_synchronised  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

FAILED, USAGE, UNREACHABLE, CONFIG = 1, 64, 69, 78
EPOCH_MS, END_MS = 1704067200000, 1704067200000 + (1 << 41) - 1
WINDOW_MS, MARGIN_MS = 600000, 2000  # the default of --max-window-ms, and what the rule adds to it
FEW = ["--layout", "41,5,2,15", "--datacenters", "0,1"]
ID = "01234567-89ab-4cde-8f01-23456789abcd"
STRANGER = "fedcba98-89ab-4cde-8f01-23456789abcd"
PATIENCE = 5


def now_ms():
    return int(time.time() * 1000)


class Inits:
    """Mixed into a TestCase for each coordinator."""
    backend = None
    count = 0

    @classmethod
    def setUpClass(cls):
        if not coordinators.available(cls.backend):
            raise AssertionError(f"{cls.backend} is not installed; ./check installs it")
        cls.coordinator = coordinators.start(cls.backend)
        cls.coordinator.__enter__()
        cls.addClassCleanup(cls.coordinator.__exit__, None, None, None)

    def setUp(self):
        Inits.count += 1
        self.name = f"init{Inits.count}"
        self.root = f"/snowfleet/{self.name}"
        self.fleet = sf.Fleet(self.coordinator.url())
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.ntp = FakeNtp()
        self.addCleanup(self.ntp.close)
        self.clock = ["--clock-source", self.ntp.source]

    # --- helpers ---

    def run_tool(self, command, *arguments, url=None, **more):
        """Asked again where a slow machine kept the coordinator from answering in time."""
        for _ in range(PATIENCE):
            result = self.fleet.tool(command, "--coordinator", url or self.coordinator.url(), "--fleet", self.name, *arguments, check=False, **more)
            if result.returncode != UNREACHABLE:
                break
        return result

    def made(self, *arguments):
        """Makes it, and says what was made."""
        return self.told(self.run_tool("init", "--json", *FEW, *arguments))

    def told(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        made = json.loads(result.stdout)
        self.said = result.stderr
        self.assertEqual(json.loads(self.coordinator.get(f"{self.root}/config"))["token"], made["token"])
        self.assertIn(f"{self.root}/current-{made['token']}", self.coordinator.paths(self.root))
        return made

    def everything(self):
        paths = self.coordinator.paths(self.root)
        kept = {}
        for path in paths:
            content = self.coordinator.get(path)
            # The lock of a directory is taken by reading too, and directories have no content.
            if not path.endswith("/lock") and content is not None:
                kept[path] = (content, self.version(path))
        return paths, kept

    def hold_still(self, worker):
        """Stops it between two of its writes: what it writes is no doing of ours."""
        self.coordinator.stop_outside_locks(worker)
        while "/.tmp-" in str(self.everything()):
            worker.resume()
            time.sleep(0.05)
            self.coordinator.stop_outside_locks(worker)

    def version(self, path):
        try:
            return self.coordinator.counters(path)
        except (ValueError, OSError):
            return None

    def refused(self, code, needle, *arguments, command="init", url=None, **more):
        before = self.everything()
        result = self.run_tool(command, *arguments, url=url, **more)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(needle, result.stderr)
        self.assertEqual(self.everything(), before)
        return result

    def config(self, **changes):
        """The config, after these changes by hand."""
        text = json.loads(self.coordinator.get(f"{self.root}/config"))
        if changes:
            text.update(changes)
            self.coordinator.set(f"{self.root}/config", json.dumps(text, separators=(",", ":")))
        return text

    def halt(self, held_until_ms):
        token = self.coordinator.token(self.name)
        report = {"datacenter": 0, "worker": 1, "claim": f"claim-{token}-0000000001", "held_until_ms": held_until_ms, "last_ms": held_until_ms - 1,
                  "reported_ms": now_ms(), "node": "finder"}
        path = f"{self.root}/{token}/state"
        state = json.loads(self.coordinator.get(path))
        self.coordinator.set(path, json.dumps({**state, "halted": True, "reports": [report]}, separators=(",", ":")))

    def reserve(self, worker, until_ms):
        path = self.coordinator.slot_path(self.name, 0, worker)
        record = json.loads(self.coordinator.get(path))
        self.coordinator.set(path, json.dumps({**record, "fence": 5, "reserved_until_ms": until_ms, "node": "elsewhere"}, separators=(",", ":")))

    def wipe(self):
        """All that the coordinator keeps of this fleet is gone."""
        for path in sorted(self.coordinator.paths(self.root), key=len, reverse=True):
            self.remove(path)
        self.remove(self.root)
        self.assertEqual(self.coordinator.paths(self.root), [])

    def remove(self, path):
        self.coordinator.delete(path)

    def worker(self, **options):
        more = {"fleet-name": self.name, "fleet-auto-init": "false", **options}
        return self.fleet.worker(options={key.replace("_", "-"): value for key, value in more.items()})

    def near(self, floor_ms, begun_ms, ahead_ms):
        """The floor is so far above the clock as it was between then and now; what a clock says of its own error comes on top."""
        self.assertGreaterEqual(floor_ms, begun_ms + ahead_ms)
        self.assertLessEqual(floor_ms, now_ms() + ahead_ms + 1500)

    # --- a fleet that never was ---

    def test_first(self):
        begun_ms = now_ms()
        made = self.made("--first")
        self.near(made["floor_ms"], begun_ms, 0)
        self.assertEqual((made["epoch_ms"], made["incarnation"], made["max_window_ms"]), (EPOCH_MS, 1, WINDOW_MS))
        self.assertNotIn("begin to mint", self.said)
        worker = self.worker().start()
        with worker.connect() as connection:
            self.assertGreaterEqual(sf.parts(connection.ids(1)[0], (41, 5, 2, 15))[0] + EPOCH_MS, made["floor_ms"])
        self.assertEqual(worker.term(), 0)
        self.refused(FAILED, "exists already, as shown; nothing was changed. If the coordinator lost data: --after-data-loss", "--first", *FEW)
        before = self.everything()
        for more in (["--first"], []):
            again = self.run_tool("init", "--if-missing", "--json", *FEW, *more)
            self.assertEqual((again.returncode, json.loads(again.stdout)["fleet_id"]), (0, made["fleet_id"]), again.stderr)
        self.assertEqual(self.everything(), before)

    def test_first_where_somebody_minted(self):
        """Slots that were held contradict it, whatever became of the config."""
        made = self.made("--first")
        self.assertEqual(self.worker().start().term(), 0)
        self.coordinator.delete(f"{self.root}/config")
        begun_ms = now_ms()
        again = self.made("--first", *self.clock)
        self.assertIn("--first: a fleet of this name has minted here before", self.said)
        self.near(again["floor_ms"], begun_ms, WINDOW_MS + MARGIN_MS)
        self.assertNotEqual((again["token"], again["fleet_id"]), (made["token"], made["fleet_id"]))

    def test_plain(self):
        begun_ms = now_ms()
        made = self.made(*self.clock)
        self.near(made["floor_ms"], begun_ms, WINDOW_MS + MARGIN_MS)
        self.assertRegex(self.said, r"workers begin to mint in (10m|9m\d\ds)")
        worker = self.worker().start(ready=False)
        sf.wait_until(lambda: "from" in worker.readyz()[1] or "floor" in worker.readyz()[1], worker.readyz)
        with worker.connect() as connection, self.assertRaises(sf.Refused) as refused:
            connection.ids(1)
        self.assertEqual(refused.exception.answer.code, sf.NOT_READY)

    def test_max_window(self):
        for value, code in ((999, USAGE), (31536000001, USAGE), ("x", USAGE)):
            with self.subTest(value=value):
                self.refused(code, "--max-window-ms", "--first", "--max-window-ms", value, *FEW)
        begun_ms = now_ms()
        made = self.made("--max-window-ms", 1000, *self.clock)
        self.near(made["floor_ms"], begun_ms, 1000 + MARGIN_MS)
        self.assertIn("may mint above the floor", self.said, "no config says how far ahead anybody could reserve")
        worker = self.worker().start(ready=False)  # its window is ten minutes
        self.assertEqual(worker.process.wait(sf.DEADLINE_S), CONFIG, worker.log())
        self.assertRegex(worker.log(), r"600000.*1000|1000.*600000")
        small = self.worker(reservation_window_ms=1000).start()
        with small.connect() as connection:
            self.assertGreaterEqual(sf.parts(connection.ids(1)[0], (41, 5, 2, 15))[0] + EPOCH_MS, made["floor_ms"])
        self.assertEqual(small.term(), 0)

    def test_floor(self):
        for value in (EPOCH_MS - 1, now_ms() // 1000, 0, -1, END_MS + 1, 1 << 62, 1 - (1 << 63), (1 << 63) - 1):
            with self.subTest(value=value):
                self.refused(FAILED, f"--floor-ms {value} is ", "--floor-ms", value, *FEW)
        for value in (1 << 63, -(1 << 63), "x"):
            self.refused(USAGE, "--floor-ms", "--floor-ms", value, *FEW)
        for value in (EPOCH_MS, END_MS):
            self.assertEqual(self.made("--floor-ms", value)["floor_ms"], value)
            self.coordinator.delete(f"{self.root}/config")

    def test_above(self):
        identifier = (now_ms() + 5000000 - EPOCH_MS) << 22 | 4242
        self.assertEqual(self.made("--first", "--above", identifier)["floor_ms"], (identifier >> 22) + EPOCH_MS + 1)
        self.refused(USAGE, "--above", "--above", "x", *FEW)
        self.name += "-last"
        self.root += "-last"
        self.refused(FAILED, "the floor", "--first", "--above", (1 << 63) - 1, *FEW)

    def test_epoch(self):
        for value, needle in ((EPOCH_MS // 1000, "if it was given in seconds"), (now_ms() + 100000, "in the future"),
                              (now_ms() - (1 << 41), "less than a year is left")):
            with self.subTest(value=value):
                self.refused(USAGE, f"--epoch-ms: {'with ' if 'year' in needle else ''}the epoch {value}", "--first", "--epoch-ms", value, *FEW)
                self.refused(USAGE, needle, "--first", "--epoch-ms", value, *FEW)
        self.assertEqual(self.made("--first", "--epoch-ms", 1600000000000)["epoch_ms"], 1600000000000)

    def test_fleet_id(self):
        self.refused(USAGE, "--fleet-id", "--first", "--fleet-id", "x", *FEW)
        self.assertEqual(self.made("--first", "--fleet-id", ID)["fleet_id"], ID)

    # --- clocks ---

    def test_clocks_that_disagree(self):
        for offset_s, first in ((5, True), (-5, True), (90, False), (-90, False)):
            with self.subTest(offset_s=offset_s):
                self.ntp.faults["offset"] = offset_s
                self.refused(FAILED, "disagree by " if first else "disagree by 1m", *self.clock, *FEW)
                self.refused(FAILED, "name the floor with --floor-ms", *self.clock, *FEW)
                if not first:  # over a minute: not even a first fleet is made by them
                    self.refused(FAILED, "disagree by", "--first", *self.clock, *FEW)
                    continue
                begun_ms = now_ms()
                made = self.made("--first", *self.clock)
                self.near(made["floor_ms"], begun_ms, max(0, offset_s) * 1000)
                self.wipe()
        self.ntp.faults["offset"] = 90
        self.assertEqual(self.made(*self.clock, "--floor-ms", EPOCH_MS)["floor_ms"], EPOCH_MS)

    def test_clock_sources_that_tell_nothing(self):
        self.ntp.faults["drop"] = True
        self.refused(FAILED, "tells no time", *self.clock, *FEW)
        self.refused(USAGE, "--clock-source", "--clock-source", "sundial:garden", *FEW)
        self.made("--first")

    def test_nobody_to_ask_for_the_time(self):
        """The coordinator's clock will do; a directory has none."""
        if self.backend == "local" and not kernel_is_synchronised():
            self.refused(FAILED, "name a source with --clock-source", *FEW)
            self.assertFalse(self.coordinator.paths(self.root))
            self.made("--first")
        else:
            self.made()

    # --- who still mints ---

    def test_ask_nobody(self):
        port = sf.free_ports(1)[0]
        self.made("--first", "--ask", f"127.0.0.1:{port}", "--ask", "no-such-host.invalid", "--ask", f"http://127.0.0.1:{port}")
        self.assertEqual(self.said.count("does not answer ("), 3, self.said)

    def test_ask_the_silent(self):
        """Somebody who takes a connection and says nothing may be a worker that stands still."""
        made = self.made("--first")
        worker = self.worker().start()
        self.wipe()
        worker.pause()
        try:
            for where in (f"127.0.0.1:{worker.port}", f"http://127.0.0.1:{worker.admin}"):
                with self.subTest(where=where):
                    self.refused(FAILED, "does not answer", "--first", "--ask", where, *FEW)
                    self.refused(FAILED, "does not answer", "--after-data-loss", "--yes", "--ask", where, "--fleet-id", made["fleet_id"],
                                 "--epoch-ms", EPOCH_MS, *FEW)
            again = self.made("--ask", f"127.0.0.1:{worker.port}", "--force", *self.clock)
            self.assertIn("does not answer (", self.said)
            self.assertNotEqual(again["fleet_id"], made["fleet_id"])
        finally:
            worker.resume()
        self.assertEqual(worker.process.wait(sf.DEADLINE_S), 75, worker.log())  # another fleet id

    def test_ask_the_living(self):
        made = self.made("--first")
        worker = self.worker().start()
        status = worker.status()
        asks = [["--ask", f"127.0.0.1:{worker.port}"], ["--ask", f"http://127.0.0.1:{worker.admin}"]]
        self.wipe()
        for ask in asks:
            with self.subTest(ask=ask):
                for more in (["--first"], ["--if-missing"], ["--first", "--if-missing", "--force"]):
                    told = self.refused(FAILED, f"answers as a worker of fleet {self.name}", *ask, *more, *FEW)
                    self.assertIn(made["fleet_id"], told.stderr)
                    self.assertIn("Nothing was changed", told.stderr)
                self.refused(USAGE, "has another one", "--after-data-loss", "--yes", "--fleet-id", STRANGER, *ask)
        # What nobody can read any more, it knows.
        again = self.made("--after-data-loss", "--yes", *asks[0], *self.clock)
        self.assertEqual([again[k] for k in ("fleet_id", "epoch_ms", "layout")], [made[k] for k in ("fleet_id", "epoch_ms", "layout")])
        self.assertGreaterEqual(again["floor_ms"], status["reservation"]["reserved_until_ms"] if "reservation" in status else made["floor_ms"])
        self.assertEqual(worker.term(), 75 if worker.process.poll() is None and not worker.status()["slots"] else worker.process.wait(sf.DEADLINE_S))

    def test_ask_others(self):
        self.made("--first")
        worker = self.worker().start()
        other = self.name
        self.name += "-other"
        self.root += "-other"
        self.refused(FAILED, f'is of the fleet "{other}", not of "{self.name}"', "--first", "--ask", f"127.0.0.1:{worker.port}", *FEW)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def babble():
                while True:
                    try:
                        client = listener.accept()[0]
                    except OSError:
                        return
                    client.sendall(b"SSH-2.0-none\r\n" * 20)
                    client.recv(1 << 16)
                    client.close()
            threading.Thread(target=babble, daemon=True).start()
            port = listener.getsockname()[1]
            self.refused(FAILED, "answers, but not as a worker", "--first", "--ask", f"127.0.0.1:{port}", *FEW)
            self.refused(FAILED, "--ask: ", "--first", "--ask", f"http://127.0.0.1:{port}", *FEW)
        for text in ("127.0.0.1:99999", "ftp://127.0.0.1:1", "a b", "[::1"):
            self.refused(USAGE, "--ask", "--first", "--ask", text, *FEW)
        self.assertEqual(worker.term(), 0)

    # --- after a loss of data ---

    def anew(self, code, needle, *more):
        return self.refused(code, needle, "--after-data-loss", *more)

    def test_after_data_loss_keeps_what_the_fleet_is(self):
        made = self.made("--first", "--max-window-ms", 5000)
        self.anew(USAGE, "--yes confirms it without a terminal", *self.clock)
        for more in (["--if-missing"], ["--first"]):
            self.anew(USAGE, "exclude each other", "--yes", *more)
        for more in (["--fleet-id", STRANGER], ["--epoch-ms", EPOCH_MS + 1], ["--layout", "41,5,3,14"]):
            self.anew(USAGE, f"{more[0]}: the fleet has another one, by its config", "--yes", *self.clock, *more)
        begun_ms = now_ms()
        again = self.told(self.run_tool("init", "--json", "--after-data-loss", "--yes", *self.clock))
        kept = ("fleet_id", "epoch_ms", "layout", "datacenters")
        self.assertEqual([again[k] for k in kept], [made[k] for k in kept])
        self.assertEqual((again["incarnation"], again["max_window_ms"]), (2, WINDOW_MS))
        self.near(again["floor_ms"], begun_ms, WINDOW_MS + MARGIN_MS)
        self.assertNotEqual(again["token"], made["token"])
        paths = self.coordinator.paths(self.root)
        self.assertIn(f"{self.root}/{made['token']}/state", paths, "the old tree stays")
        self.assertNotIn(f"{self.root}/current-{made['token']}", paths)
        third = self.told(self.run_tool("init", "--json", "--after-data-loss", "--yes", "--max-window-ms", 1000, "--datacenters", "1", *self.clock))
        self.assertEqual((third["max_window_ms"], third["datacenters"]), (WINDOW_MS, [1]), "what was reserved by the old window must be passed")

    def test_after_data_loss_without_a_config(self):
        self.made("--first", "--fleet-id", ID)
        whole = ["--fleet-id", ID, "--epoch-ms", EPOCH_MS, "--layout", "41,5,2,15"]

        def demands_all():
            for i in range(0, 6, 2):
                self.anew(USAGE, "must say what it was", "--yes", *self.clock, *whole[:i], *whole[i + 2:])
        self.coordinator.set(f"{self.root}/config", "garbage")
        self.refused(CONFIG, "is not a config of ours", "--first", *FEW)
        demands_all()
        self.coordinator.delete(f"{self.root}/config")
        demands_all()
        again = self.made("--after-data-loss", "--yes", *self.clock, *whole)
        self.assertEqual((again["fleet_id"], again["epoch_ms"]), (ID, EPOCH_MS))

    def test_after_data_loss_over_the_living(self):
        self.made("--first")
        worker = self.worker().start()
        self.hold_still(worker)
        self.anew(FAILED, "1 live claim holds slots", "--yes", *self.clock)
        self.refused(USAGE, "--force is for", "--force", *FEW)
        worker.resume()
        token = self.coordinator.token(self.name)
        forced = self.made("--after-data-loss", "--yes", "--force", *self.clock)
        self.assertNotEqual(forced["token"], token)
        sf.wait_until(lambda: worker.status()["token"] == forced["token"], worker.log)
        # A run that was cut off has taken the name away: nobody needs to be forced to go on.
        self.remove(f"{self.root}/current-{forced['token']}")
        self.hold_still(worker)
        self.refused(FAILED, "is not named: an init --after-data-loss was cut off", "--if-missing", *FEW)
        worker.resume()
        again = self.made("--after-data-loss", "--yes", *self.clock)
        self.assertEqual(again["incarnation"], 3)
        worker.end()

    def test_after_a_halt(self):
        self.made("--first")
        worker = self.worker().start()
        begun_ms = now_ms()
        self.hold_still(worker)  # it tells in its claim what it hears
        self.halt(begun_ms + WINDOW_MS + 120000)
        self.refused(FAILED, "is halted: 1 workers noticed that data was lost", "--if-missing", *FEW)
        self.anew(FAILED, "a worker reported that it may mint up to", "--yes", *self.clock)
        worker.resume()
        self.halt(begun_ms + WINDOW_MS)
        self.near(self.made("--after-data-loss", "--yes", *self.clock)["floor_ms"], begun_ms, WINDOW_MS + MARGIN_MS)  # with no word of --force
        worker.end()

    def test_survivors(self):
        """Records above everything honest are named, and passed over by a person's word alone."""
        self.made("--first")
        far_ms = now_ms() + WINDOW_MS + 3600000
        self.reserve(2, far_ms)
        self.anew(FAILED, "slot 0/2 (elsewhere) of the making", "--yes", *self.clock)
        self.anew(FAILED, "slot 0/2", "--yes", *self.clock, "--floor-ms", now_ms())
        floor_ms = now_ms() + WINDOW_MS + 120000
        self.assertEqual(self.made("--after-data-loss", "--yes", *self.clock, "--floor-ms", floor_ms)["floor_ms"], floor_ms)
        near_ms = floor_ms + 7
        self.reserve(3, near_ms)
        self.assertEqual(self.made("--after-data-loss", "--yes", "--floor-ms", floor_ms, *self.clock)["floor_ms"], floor_ms)

    def test_a_survivor_raises_the_floor(self):
        self.made("--first")
        until_ms = now_ms() + WINDOW_MS - 60000
        self.reserve(1, until_ms)
        self.assertEqual(self.made("--after-data-loss", "--yes", "--floor-ms", now_ms(), *self.clock)["floor_ms"], until_ms)

    # --- what is there already ---

    def test_another_shape(self):
        self.made("--first")
        for more in (["--layout", "41,5,3,14", "--datacenters", "0,1"], [*FEW, "--epoch-ms", EPOCH_MS + 1], [*FEW[:2], "--datacenters", "2"], FEW[:2]):
            with self.subTest(more=more):
                told = self.refused(FAILED, "exists with another layout, epoch or datacenters, as shown; nothing was changed", "--if-missing", *more)
                self.assertIn("41,5,2,15", told.stdout)
        self.assertEqual(self.run_tool("init", "--if-missing", *FEW[:2], "--datacenters", "1").returncode, 0)

    def test_records_that_are_missing(self):
        self.made("--first")
        self.coordinator.delete(self.coordinator.slot_path(self.name, 1, 2))
        self.coordinator.set(self.coordinator.slot_path(self.name, 1, 3), "garbage")
        for more in ([], ["--if-missing"], ["--first"]):
            told = self.refused(FAILED, "2 of its 8 records are missing or damaged (the first: datacenter 1, slot 2)", *more, *FEW)
            self.assertIn("slots reset", told.stderr)

    def test_an_older_format(self):
        self.made("--first")
        self.coordinator.set(f"{self.root}/config", json.dumps(
            {"format": 1, "fleet_id": ID, "epoch_ms": EPOCH_MS, "layout": {"timestamp": 41, "datacenter": 5, "worker": 2, "sequence": 15},
             "datacenters": [0, 1], "floor_ms": 0, "incarnation": 1, "created_ms": 0}, separators=(",", ":")))
        self.refused(CONFIG, "format 1", *FEW, *self.clock)
        again = self.made("--after-data-loss", "--yes", *self.clock)
        self.assertEqual((again["fleet_id"], again["epoch_ms"]), (ID, EPOCH_MS))

    # --- who asks, and where ---

    def test_confirmed_on_a_terminal(self):
        made = self.made("--first")
        for typed, code in (("other\n", FAILED), ("\n", FAILED), (f"{self.name}\n", 0)):
            before = self.everything()
            ours, theirs = pty.openpty()
            os.write(ours, typed.encode())
            result = subprocess.run([str(sf.BIN / "snowfleet"), "init", "--coordinator", self.coordinator.url(), "--fleet", self.name, "--after-data-loss",
                                     *self.clock], stdin=theirs, capture_output=True, text=True, check=False, timeout=60)
            for end in (ours, theirs):
                os.close(end)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn("Type the fleet's name to go on", result.stderr)
            if code != 0:
                self.assertIn("not confirmed; nothing was changed", result.stderr)
                self.assertEqual(self.everything(), before)
        self.assertNotEqual(self.coordinator.token(self.name), made["token"])

    def test_the_place_is_named(self):
        environment = {k: v for k, v in os.environ.items() if k != "SNOWFLEET_COORDINATOR"}
        environment["HOME"] = environment["XDG_STATE_HOME"] = str(self.fleet.directory)
        result = self.fleet.tool("init", "--first", check=False, env=environment)
        self.assertEqual(result.returncode, USAGE, result.stderr)
        self.assertIn("makes nothing in a place that nobody named", result.stderr)
        self.assertEqual(os.listdir(self.fleet.directory), [])
        environment["SNOWFLEET_COORDINATOR"] = self.coordinator.url()
        result = self.fleet.tool("init", "--first", "--fleet", self.name, *FEW, check=False, env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(self.coordinator.token(self.name))

    def test_words_that_cannot_be_meant(self):
        for more, needle in ((["--datacenters", "32"], "--datacenters"), (["--datacenters", "1,1"], "1 stands there twice"), (["--layout", "1,2,3"], "--layout"),
                             (["--layout", "38,5,15,5"], "5 datacenter and 15 worker bits"), (["word"], "word"), (["--nonsense"], "nonsense")):
            with self.subTest(more=more):
                self.refused(USAGE, needle, "--first", *more)
        self.refused(CONFIG, "fleet", "--first", "--fleet", "../x")


class OnLocal(Inits, unittest.TestCase):
    backend = "local"

    def wipe(self):
        """Done again where a worker that still lives wrote meanwhile."""
        def gone():
            shutil.rmtree(self.coordinator.directory / self.name, ignore_errors=True)
            return not (self.coordinator.directory / self.name).exists()
        sf.wait_until(gone, "the directory goes away")

    def everything(self):
        files = sorted(path for path in (self.coordinator.directory / self.name).rglob("*") if path.name != "lock")
        return sorted(os.listdir(self.coordinator.place)), [(str(path), path.read_bytes() if path.is_file() else None) for path in files]


class OnEtcd(Inits, unittest.TestCase):
    backend = "etcd"


class OnZooKeeper(Inits, unittest.TestCase):
    backend = "zookeeper"

    def test_unreachable(self):
        port = sf.free_ports(1)[0]
        self.refused(UNREACHABLE, "", "--first", "--timeout-ms", 500, url=f"zk://127.0.0.1:{port}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
