#!/usr/bin/env python3
"""What breaks ZooKeeper clients, each with its cure: real servers, a proxy with faults, and a coordinator handle on a pipe.

  zookeeper_traps.py DRIVER [unittest options]          exits 77 where ZooKeeper is not installed
"""
import os
import queue
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import repeats                         # noqa: E402
import zk                              # noqa: E402
import zk_count                        # noqa: E402
from faultproxy import FaultProxy      # noqa: E402

DRIVER = None
PATIENCE = 40  # seconds; generous, since machines that run tests are slow


class Driver:
    def __init__(self, url, fleet, timeout_ms=4000, auth=(), prefix=()):
        self.process = subprocess.Popen(list(prefix) + [DRIVER, url, fleet, str(timeout_ms)] + list(auth),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.lines = queue.Queue()
        self.events, self.log = [], []
        threading.Thread(target=self._read, daemon=True).start()
        self.log_thread = threading.Thread(target=self._read_log, daemon=True)
        self.log_thread.start()
        self.first = self._next()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line)

    def _next(self, seconds=PATIENCE):
        line = self.lines.get(timeout=seconds)
        if line is not None and line.startswith("event "):
            self.events.append(line[6:])
        return line

    def expect(self, prefix, seconds=PATIENCE, after=0):
        """The first event from number `after` on that starts so."""
        end = time.monotonic() + seconds
        at = after
        while True:
            while at < len(self.events):
                if self.events[at].startswith(prefix):
                    return self.events[at]
                at += 1
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no \"{prefix}\" within {seconds} s; had {self.events[-8:]}")
            try:
                if self._next(left) is None:
                    raise AssertionError(f"the driver ended: {''.join(self.log)[-3000:]}")
            except queue.Empty:
                pass

    def drain(self):
        while not self.lines.empty():
            self._next()

    def send(self, command):
        """Submits; returns the request's id."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            line = self._next()
            if line is None:
                raise AssertionError(f"the driver ended: {''.join(self.log)[-3000:]}")
            if line.startswith("submitted "):
                return int(line.split()[1])
        raise AssertionError("not submitted")

    def call(self, command):
        """(outcome, reason, fields, text)"""
        return parse(self.expect(f"completion {self.send(command)} "))

    def quit(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        destroyed = None
        while (line := self._next()) is not None:
            if line.startswith("destroyed "):
                destroyed = int(line.split()[1])
        code = self.process.wait(PATIENCE)
        self.log_thread.join(PATIENCE)
        if code != 0:
            raise AssertionError(f"the driver ended with {code}: {''.join(self.log)[-4000:]}")
        return destroyed

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                pass


def parse(event):
    head, _, text = event.partition(" : ")
    words = head.split()
    fields = dict(w.split("=", 1) for w in words if "=" in w)
    return words[3], words[4], fields, text


class CrossingProxy(FaultProxy):
    """With `crossed`, what is answered on one of its first two connections goes to whoever has the other."""

    def __init__(self, behind):
        super().__init__(behind)
        self.crossed, self._clients = False, []

    def _begin(self, client, server):
        self._clients.append(client)
        super()._begin(client, server)

    def _pass_on(self, sink, data, answers):
        if answers and self.crossed and sink in self._clients[:2]:
            sink = self._clients[1 - self._clients.index(sink)]
        super()._pass_on(sink, data, answers)


class RequestProxy(FaultProxy):
    """Calls on_multi, once, just before the next multi goes on to the server: between what a write looks at and the write itself."""
    MULTI = 14

    def __init__(self, behind):
        super().__init__(behind)
        self.on_multi = None
        self._begun = {}  # by connection: what has passed of requests, from the beginning of the last one on

    def _requests(self, sink, data):
        """What came up in data, cut behind each request: (its op code, or None for the rest of one whose beginning has passed; bytes)."""
        begun, self._begun[sink] = self._begun.get(sink, b""), b""
        data, sent = begun + data, len(begun)
        while data:
            size = 4 + struct.unpack(">i", data[:4])[0] if len(data) >= 4 else 4
            if len(data) < size or len(data) < 12:
                self._begun[sink] = data
            op = struct.unpack(">i", data[8:12])[0] if len(data) >= 12 > sent else None
            yield op, data[sent:size]
            data, sent = data[size:], 0

    def _pass_on(self, sink, data, answers):
        if answers:
            super()._pass_on(sink, data, answers)
            return
        for op, piece in self._requests(sink, data):
            if op == self.MULTI and self.on_multi is not None:
                call, self.on_multi = self.on_multi, None
                call()
            super()._pass_on(sink, piece, answers)

    def set_mode(self, mode):
        self.mode = mode


class WrongAnswers(repeats.ZooKeeper):
    """Every write is done, and answered with this error."""
    error = 0

    def _second_answer(self, client, data):
        super()._second_answer(client, struct.pack(">i", 16) + data[4:16] + struct.pack(">i", self.error))


def session_password(session):
    """As the server makes it: java.util.Random(session ^ 0xB3415C00).nextBytes(16)."""
    seed = ((session ^ 0xB3415C00) ^ 0x5DEECE66D) & ((1 << 48) - 1)
    out = b""
    for _ in range(4):
        seed = (seed * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        out += ((seed >> 16) & 0xFFFFFFFF).to_bytes(4, "little")
    return out


class Traps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ensemble = zk.Ensemble(java_options=["-Dzookeeper.enforceQuota=true"]).__enter__()
        cls.server = cls.ensemble.servers[0]
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.ensemble.stop()

    def setUp(self):
        Traps.count += 1
        self.fleet = f"t{Traps.count}-{os.getpid()}"
        self.drivers, self.proxies = [], []

    def tearDown(self):
        if self.server.paused:
            self.server.go_on()
        for driver in self.drivers:
            driver.end()
        for proxy in self.proxies:
            proxy.stop()
        self.ensemble.wait_ready()

    def open(self, url=None, **more):
        driver = Driver(url or self.ensemble.url(), self.fleet, **more)
        self.drivers.append(driver)
        return driver

    def proxy(self):
        proxy = RequestProxy(self.server.port)
        self.proxies.append(proxy)
        return proxy

    def bound(self, url=None, **more):
        """A driver that holds slot 0 of a fresh fleet."""
        driver = self.open(url, **more)
        driver.expect("connected")
        for command in ("survey", "init", "config", "claim", "slot 0", "bind 0"):
            outcome, reason, fields, text = driver.call(command)
            self.assertEqual(outcome, "done", f"{command}: {reason} {text}")
            if command == "config":
                self.root = f"/snowfleet/{self.fleet}"
                self.tree = f"{self.root}/{fields['token']}"
                self.claims, self.record = f"{self.tree}/dc/0/claims", f"{self.tree}/dc/0/slots/0"
        return driver

    def probe(self, **more):
        client = zk.Client(self.server.port, **more)
        self.addCleanup(client.close)
        return client

    def settled_version(self, wanted):
        """Waits until the record of slot 0, read by another handle, has this version."""
        other = self.open()
        other.expect("connected")
        self.assertEqual(other.call("config")[0], "done")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            version = int(other.call("slot 0")[2]["version"])
            if version == wanted:
                return
            time.sleep(0.05)
        self.fail(f"the record is at version {version}, not {wanted}")

    # -- connection

    def test_refused_connection(self):
        driver = self.open(f"zk://127.0.0.1:{zk.free_ports(1)[0]}", timeout_ms=2000)
        outcome, reason, fields, _ = driver.call("config 300")
        self.assertEqual((outcome, reason), ("lost", "unreachable"))
        self.assertLess(int(fields["ms"]), 2000)
        self.assertIn("no server", driver.expect("disconnected"))
        self.assertEqual(driver.call("claim 300")[0], "lost")
        driver.quit()
        self.assertLess(len(driver.log), 60, "the library's complaints are limited")

    def test_even_address_list(self):
        """The library never gets to half of an even list: here, to the server that it was connected to. The session timeout is long,
        so that a rebuilt handle cannot be what helps."""
        for same in (True, False):
            with self.subTest(survivor_was_connected=same):
                proxies = [self.proxy(), self.proxy()]
                driver = self.open(f"zk://127.0.0.1:{proxies[0].port},127.0.0.1:{proxies[1].port}",
                                   timeout_ms=30000)
                driver.expect("connected")
                survivor = next(p for p in proxies if (p.connections() > 0) == same)
                for proxy in proxies:
                    proxy.mode = "refuse"
                driver.expect("disconnected")
                time.sleep(1)
                seen = len(driver.events)
                survivor.mode = "pass"
                driver.expect("connected", seconds=12, after=seen)
                driver.quit()

    def test_silent_server(self):
        proxy = self.proxy()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", timeout_ms=2000)
        proxy.on_multi = lambda: proxy.set_mode("hole")
        outcome, reason, fields, _ = driver.call("renew 0 400")
        self.assertEqual((outcome, reason), ("unknown", "unreachable"))
        self.assertLess(int(fields["ms"]), 2500)
        self.assertEqual(driver.call("renew 0 400")[0], "lost", "what it looks at is not answered: it is never sent")
        seen = len(driver.events)
        driver.expect("disconnected", after=0)
        self.assertEqual(driver.call("slot 0 400")[0], "lost")
        driver.expect("session_lost")
        proxy.mode = "pass"
        driver.expect("connected", after=seen)
        self.assertEqual(driver.call("claim")[0], "done")
        self.assertEqual(driver.call("slot 0")[0], "done")
        self.assertEqual(driver.call("bind 0")[0], "done")
        driver.quit()

    def test_reset_keeps_the_session(self):
        """But every loss of the connection is told, also one that is over at once: the data behind it may be another's."""
        proxy = self.proxy()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        for _ in range(4):
            seen = len(driver.events)
            proxy.mode = "reset"
            proxy.mode = "pass"
            driver.expect("disconnected", after=seen)
            driver.expect("connected", after=seen)
            self.assertEqual(driver.call("renew 0")[0], "done")
        self.assertFalse([e for e in driver.events if e.startswith("session_lost")])
        driver.quit()

    def test_loss_is_told_before_what_it_left_unknown(self):
        proxy = self.proxy()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        seen = len(driver.events)
        proxy.on_multi = lambda: proxy.set_mode("reset")
        self.assertEqual(driver.call("renew 0")[:2], ("unknown", "unreachable"))
        proxy.mode = "pass"
        kinds = [e.split()[0] for e in driver.events[seen:]]
        self.assertLess(kinds.index("disconnected"), kinds.index("completion"), driver.events[seen:])
        driver.quit()

    def test_slow_network(self):
        proxy = self.proxy()
        proxy.delay_s = 0.1
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}")
        proxy.mode = "delay"
        outcome, _, fields, _ = driver.call("renew 0")
        self.assertEqual(outcome, "done")
        self.assertGreaterEqual(int(fields["ms"]), 390)  # what it looks at, and the write
        self.assertEqual(driver.call("renew 0 50")[0], "lost", "what it looks at is not answered: it is never sent")
        proxy.mode, proxy.delay_s = "pass", PATIENCE
        proxy.on_multi = lambda: proxy.set_mode("delay")
        self.assertEqual(driver.call("renew 0 3000")[0], "unknown")
        driver.end()

    # -- unknown outcomes

    def test_unheard_write_is_applied(self):
        proxy = self.proxy()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}")
        proxy.on_multi = lambda: proxy.set_mode("noreply")
        self.assertEqual(driver.call("renew 0 300")[:2], ("unknown", "unreachable"))
        self.settled_version(2)
        driver.end()

    def test_frozen_server_applies_late(self):
        proxy = self.proxy()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        proxy.on_multi = self.server.pause
        self.assertEqual(driver.call("renew 0 300")[:2], ("unknown", "unreachable"))
        self.server.go_on()
        self.settled_version(2)
        # The version moved, so what the driver knows is stale: a conditional write cannot go through.
        self.assertEqual(driver.call("renew 0")[:2], ("refused", "version"))
        driver.quit()

    # -- refusals: only a condition that can never come true again

    def test_no_right_leaves_a_write_unknown(self):
        driver, probe = self.bound(), self.probe()
        probe.set_acl(self.record, 17)  # read, and put the ACL right again
        self.assertEqual(driver.call("renew 0")[:2], ("unknown", "auth"))
        self.assertEqual(driver.call("release 0")[:2], ("unknown", "auth"))
        probe.set_acl(self.claims, 17)
        self.assertEqual(driver.call("claim")[:2], ("unknown", "auth"))
        probe.set_acl(self.tree + "/state", 17)
        self.assertEqual(driver.call("halt 0")[:2], ("unknown", "auth"))
        for path in (self.record, self.claims, self.tree + "/state"):
            probe.set_acl(path, 31)
        self.assertEqual(driver.call("renew 0")[0], "done")
        driver.quit()

    def test_an_exceeded_quota_leaves_a_write_unknown(self):
        driver, probe = self.bound(), self.probe()
        path = "/zookeeper/quota"
        for part in self.root.split("/")[1:]:
            path += "/" + part
            try:
                probe.create(path)
            except zk.ZooKeeperError as error:
                self.assertEqual(error.code, zk.NODE_EXISTS)
        limits = path + "/zookeeper_limits"
        probe.create(path + "/zookeeper_stats", b"count=0,bytes=0")
        probe.create(limits, b"count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=-1")
        outcome, reason, _, text = driver.call("claim")
        self.assertEqual((outcome, reason), ("unknown", "storage"), text)
        self.assertIn("quota", text)
        probe.delete(limits)
        self.assertEqual(driver.call("claim")[0], "done")
        driver.quit()

    def test_no_error_of_a_write_that_was_sent_is_believed(self):
        """A session that has ended or moved, a server that is overloaded: it was done all the same."""
        proxy = WrongAnswers(self.server.port)
        self.proxies.append(proxy)
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        for error, reason in ((-102, "auth"), (-5, "unreachable"), (-127, "unreachable"), (-118, "unreachable"), (-112, "session")):
            before = driver.call("slot 0")[2]["version"]
            proxy.error, proxy.twice = error, True
            for command in ("renew 0", "claim"):
                outcome, told, _, text = driver.call(command)
                self.assertEqual((outcome, told), ("unknown", reason), f"{error} {command}: {text}")
            proxy.twice = False
            self.assertNotEqual(driver.call("slot 0")[2]["version"], before)
        driver.quit()

    def test_a_write_that_is_done_twice(self):
        """Whoever gets the second answer alone must not be told that his claim is gone, when it is there."""
        proxy = repeats.proxy("zookeeper", self.server.port)
        self.proxies.append(proxy)
        driver = self.open(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        driver.expect("connected")
        for command in ("survey", "init", "config"):
            self.assertEqual(driver.call(command)[0], "done", command)
        proxy.twice = True
        for command, answer in (("claim", ("done", "none")), ("slot 0", ("done", "none")), ("bind 0", ("refused", "version")),
                                ("slot 0", ("done", "none")), ("renew 0", ("refused", "version")), ("slot 0", ("done", "none")),
                                ("release 0", ("refused", "claim_gone"))):
            outcome, reason, _, text = driver.call(command)
            self.assertEqual((outcome, reason), answer, f"{command}: {text}")
        self.assertGreaterEqual(proxy.count, 4)
        driver.quit()

    def test_an_answer_to_somebody_else_is_none(self):
        """Two workers do the same at the same time, and something between them and the server gives each the other's answers."""
        proxy = CrossingProxy(self.server.port)
        self.proxies.append(proxy)
        maker = self.bound()
        workers = [self.open(f"zk://127.0.0.1:{proxy.port}", timeout_ms=20000) for _ in range(2)]
        records = []
        for slot, worker in enumerate(workers):
            worker.expect("connected")
            self.assertEqual(worker.call("config")[0], "done")
            records.append(worker.call(f"slot {slot}")[2]["nonce"])
        self.server.pause()  # until both have asked
        asked = [worker.send(f"slot {slot}") for slot, worker in enumerate(workers)]
        told = [len(worker.events) for worker in workers]
        time.sleep(0.3)
        proxy.crossed = True
        self.server.go_on()
        for worker, number in zip(workers, asked):
            self.assertEqual(parse(worker.expect(f"completion {number} "))[0], "lost")
        proxy.crossed = False
        for slot, worker in enumerate(workers):
            worker.expect("connected", after=told[slot])
            self.assertEqual(worker.call(f"slot {slot}")[2]["nonce"], records[slot])
        maker.quit()

    # -- identities that no version compares

    def remade(self, probe, path):
        """Deletes the node and makes it again at the version and with the content that it had."""
        content, version, _ = probe.get(path)
        probe.delete(path)
        probe.create(path, content)
        for _ in range(version):
            probe.set(path, content)
        self.assertEqual(probe.get(path)[:2], (content, version))

    def test_a_node_made_again_is_another(self):
        driver, probe = self.bound(), self.probe()
        cases = ((self.record, "version", ("bind 0", "renew 0", "release 0", "reset 0")),
                 (self.tree + "/state", "state_changed", ("claim", "bind 0", "renew 0", "halt 0")),
                 (self.root + "/config", "config_changed", ("claim", "bind 0", "renew 0", "halt 0")))
        for path, reason, commands in cases:
            self.remade(probe, path)
            if path == self.record:
                probe.delete(self.claims + "/" + probe.children(self.claims)[0])  # a slot that is held is not reset
                self.assertEqual(driver.call("reset 0")[:2], ("refused", "version"))
                self.assertEqual(driver.call("claim")[0], "done")
                commands = commands[:-1]
            before = probe.get(path), probe.get(self.record)
            for command in commands:
                self.assertEqual(driver.call(command)[:2], ("refused", reason), f"{path} {command}")
            self.assertEqual((probe.get(path), probe.get(self.record)), before)
            for command in ("config", "slot 0"):
                self.assertEqual(driver.call(command)[0], "done")
        driver.quit()

    def test_what_is_watched_is_looked_at_once(self):
        """A renewal reads config and state for their incarnations. Where they are watched and nothing was told, it does so once on a
        connection; what was told makes it look again."""
        with zk_count.Counting(self.server.port) as relay:
            driver, probe = self.bound(f"zk://127.0.0.1:{relay.port}", timeout_ms=10000), self.probe()

            def reads_of_a_renewal():
                before = relay.counts()["reads"]
                self.assertEqual(driver.call("renew 0")[0], "done")
                return relay.counts()["reads"] - before

            self.assertEqual([reads_of_a_renewal() for _ in range(2)], [3, 3])  # nothing is watched yet
            self.assertEqual(driver.call("watch")[0], "done")
            self.assertEqual([reads_of_a_renewal() for _ in range(3)], [3, 1, 1])
            for path, reason in ((self.tree + "/state", "state_changed"), (self.root + "/config", "config_changed")):
                seen = len(driver.events)
                self.remade(probe, path)
                driver.expect("fleet_changed", after=seen)
                self.assertEqual(driver.call("renew 0")[:2], ("refused", reason))
                self.assertEqual(driver.call("config")[0], "done")
                self.assertEqual([reads_of_a_renewal() for _ in range(2)], [3, 1])
            seen = len(driver.events)
            relay.cut()
            driver.expect("connected", after=driver.events.index(driver.expect("disconnected", after=seen)))
            self.assertEqual(driver.call("slot 0")[0], "done")  # behind this the watches are set again
            self.assertEqual([reads_of_a_renewal() for _ in range(2)], [3, 1])
            driver.quit()

    def test_a_record_made_again_in_mid_write(self):
        """Between the look at it and the write: the server compares the version alone, and the answer tells whose record was written."""
        proxy, probe = self.proxy(), self.probe()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        for command in ("renew 0", "bind 0", "release 0"):
            proxy.on_multi = lambda: self.remade(probe, self.record)
            outcome, reason, _, text = driver.call(command)
            self.assertEqual((outcome, reason), ("unknown", "version"), f"{command}: {text}")
            self.assertIn("made again", text)
            self.assertEqual(driver.call("slot 0")[0], "done")
        driver.quit()

    def test_a_survey_tells_the_time_and_wakes_nobody(self):
        driver, probe = self.bound(), self.probe()
        self.assertEqual(driver.call("watch")[0], "done")
        before = probe.children("/snowfleet"), probe.counters(self.root)
        driver.drain()
        seen = len(driver.events)
        told = int(driver.call("survey")[2]["server"])
        self.assertLess(abs(told - time.time() * 1000), 60000)
        self.assertEqual((probe.children("/snowfleet"), probe.counters(self.root)), before)
        time.sleep(0.3)
        self.assertEqual(driver.call("config")[0], "done")
        self.assertFalse([e for e in driver.events[seen:] if e.startswith("fleet_changed")])
        driver.quit()

    def test_a_making_begun_before_the_root_was_made_again_makes_nothing(self):
        driver, probe = self.open(), self.probe()
        driver.expect("connected")
        root = f"/snowfleet/{self.fleet}"
        if "snowfleet" not in probe.children("/"):
            probe.create("/snowfleet")
        probe.create(root)
        self.assertEqual(driver.call("survey")[0], "done")
        self.remade(probe, root)
        self.assertEqual(driver.call("init")[:2], ("refused", "exists"))
        self.assertEqual(probe.children(root), [])
        driver.quit()

    # -- data that went back

    def test_older_data_put_back(self):
        """Then somebody else gets as far as we were: the same record, czxid and version, with another content. And our claims, made
        anew, are as good as his."""
        with zk.Ensemble() as ensemble, tempfile.TemporaryDirectory() as saved:
            ours, theirs = (Driver(ensemble.url(), self.fleet, timeout_ms=2000) for _ in range(2))
            self.drivers += [ours, theirs]
            for driver in (ours, theirs):
                driver.expect("connected")
            for command in ("survey", "init", "config", "claim", "slot 0", "bind 0"):
                self.assertEqual(ours.call(command)[0], "done", command)
            ensemble.save(saved)
            self.assertEqual(ours.call("renew 0")[2]["version"], "2")
            seen = len(ours.events)
            ensemble.restore(saved)
            ours.expect("disconnected", after=seen)
            ours.expect("connected", after=seen)
            theirs.expect("connected", after=theirs.events.index(theirs.expect("disconnected")))
            self.assertEqual(ours.call("claim")[0], "done")
            for command in ("config", "claim", "slot 0", "bind 0"):
                outcome, reason, fields, text = theirs.call(command)
                self.assertEqual(outcome, "done", f"{command} {reason} {text}")
            self.assertEqual(fields["version"], "2", "as far as ours")
            for command in ("renew 0", "bind 0", "release 0"):
                self.assertEqual(ours.call(command)[:2], ("refused", "version"), command)
            self.assertEqual(theirs.call("renew 0")[0], "done")
            for driver in (ours, theirs):
                driver.quit()

    # -- making

    def cut_after(self, multis, answered, command):
        """(outcome, text) of a making whose connection breaks around its multi of that number: before that goes out, or before its
        answer comes back. Another handle then sees what there is, and makes the fleet where it has not been made."""
        proxy = self.proxy()
        driver = self.open(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        driver.expect("connected")
        for preparing in ("survey", "config") if command == "remake" else ("survey",):
            driver.call(preparing)
        left = [multis]

        def count():
            if left[0] > 0:
                left[0] -= 1
                proxy.on_multi = count
                return
            proxy.mode = "noreply" if answered else "reset"
            threading.Timer(0.05, lambda: (proxy.set_mode("reset"), proxy.set_mode("pass"))).start()
        proxy.on_multi = count
        outcome, reason, _, text = driver.call(f"{command} 20000")
        proxy.on_multi = None
        driver.quit()
        other = self.open()
        other.expect("connected")
        made, why, fields, _ = other.call("config")
        if outcome == "done":
            self.assertEqual((made, fields["current"]), ("done", "1"))
        else:
            if command == "init":
                self.assertEqual((made, why), ("refused", "missing"))
            else:  # never two that grant: the old one does, or none
                self.assertEqual((made, fields["current"]), ("done", "0" if multis > 1 or (multis == 1 and answered) else "1"))
            for following in ("survey", command, "config"):
                self.assertEqual(other.call(following)[0], "done", following)
        for following in ("claim", "slot 0", "bind 0"):
            self.assertEqual(other.call(following)[0], "done", following)
        other.quit()
        return outcome, f"{reason} {text}"

    def test_cut_while_it_is_made(self):
        """The multis of a making: asking a quorum, the records, the name, asking a quorum what came of that."""
        for multis, answered, wanted in ((0, False, "lost"), (0, True, "lost"), (1, False, "unknown"), (1, True, "unknown"),
                                         (2, False, "unknown"), (2, True, "done"), (3, False, "done"), (3, True, "done")):
            with self.subTest(multis=multis, answered=answered):
                self.fleet = f"cut-{multis}-{answered}-{os.getpid()}"
                outcome, text = self.cut_after(multis, answered, "init")
                self.assertEqual(outcome, wanted, text)

    def test_cut_while_it_is_made_anew(self):
        """The same after a loss of data, where the name is taken away after the quorum has been asked."""
        for multis, answered, wanted in ((0, True, "lost"), (1, False, "unknown"), (1, True, "unknown"), (2, True, "unknown"),
                                         (3, False, "unknown"), (3, True, "done"), (4, False, "done")):
            with self.subTest(multis=multis, answered=answered):
                self.fleet = f"cut-anew-{multis}-{answered}-{os.getpid()}"
                self.bound().quit()
                outcome, text = self.cut_after(multis, answered, "remake")
                self.assertEqual(outcome, wanted, text)

    def test_large_fleet_over_a_slow_network(self):
        """A making's deadline is for each of its steps, not for all of them."""
        proxy = self.proxy()
        proxy.delay_s, proxy.mode = 0.001, "delay"
        tool = os.path.join(os.path.dirname(DRIVER), "..", "..", "bin", "snowfleet")
        begin = time.monotonic()
        done = subprocess.run([tool, "init", "--first", "--coordinator", f"zk://127.0.0.1:{proxy.port}", "--fleet", self.fleet,
                               "--layout", "41,10,0,12", "--timeout-ms", "1000"], capture_output=True, text=True, timeout=120)
        took_s = time.monotonic() - begin
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(took_s, 1, "this shows nothing")

    # -- sessions

    def test_expiry(self):
        proxy = self.proxy()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", timeout_ms=10000)
        probe, directory = self.probe(), self.claims
        claim = probe.children(directory)[0]
        owner = probe.get(f"{directory}/{claim}")[2]
        seen = len(driver.events)
        proxy.mode = "hole"  # else the driver takes its session back before it can be closed
        thief = zk.Client(self.server.port, owner, session_password(owner))
        self.assertEqual(thief.session, owner)
        thief.close()
        self.assertEqual(probe.children(directory), [])
        proxy.mode = "pass"
        driver.expect("session_lost", after=seen)
        driver.expect("connected", after=seen)
        self.assertEqual(driver.call("renew 0")[:2], ("refused", "claim_gone"))
        for command in ("claim", "slot 0", "bind 0", "renew 0"):
            self.assertEqual(driver.call(command)[0], "done", command)
        self.assertEqual(len(probe.children(directory)), 1)
        driver.quit()

    def test_release_and_destroy_free_the_claim(self):
        driver = self.bound()
        probe, directory = self.probe(), self.claims
        self.assertEqual(driver.call("release 0")[0], "done")
        self.assertEqual(probe.children(directory), [])
        self.assertEqual(driver.call("claim")[0], "done")
        self.assertEqual(len(probe.children(directory)), 1)
        self.assertLess(driver.quit(), 1000)
        self.assertEqual(probe.children(directory), [])

    def test_close_with_requests_in_flight(self):
        for mode in ("pass", "hole"):
            with self.subTest(mode=mode):
                proxy = self.proxy()
                self.fleet += mode
                driver = self.bound(f"zk://127.0.0.1:{proxy.port}")
                proxy.mode = mode
                first = len(driver.events)
                ids = [driver.send("list") for _ in range(100)] + [driver.send("renew 0")]
                self.assertLess(driver.quit(), 2500)
                done = [int(e.split()[1]) for e in driver.events[first:] if e.startswith("completion")]
                self.assertEqual(sorted(done), ids, "exactly one completion each")
                if mode == "hole":
                    last = [e for e in driver.events if e.startswith(f"completion {ids[-1]} ")][0]
                    self.assertEqual(parse(last)[:2], ("unknown", "ending"))

    # -- names

    def test_name_that_stops_resolving(self):
        directory = tempfile.mkdtemp(prefix="snowfleet-hosts-")
        hosts, resolv = os.path.join(directory, "hosts"), os.path.join(directory, "resolv.conf")
        with open(hosts, "w") as f:
            f.write("127.0.0.1 localhost zk.snowfleet.test\n")
        with open(resolv, "w") as f:
            f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        prefix = ["unshare", "--mount", "sh", "-c",
                  f"mount --bind {hosts} /etc/hosts && mount --bind {resolv} /etc/resolv.conf && exec \"$@\"", "sh"]
        if subprocess.run(prefix + ["true"], capture_output=True).returncode != 0:
            self.skipTest("no right to make a mount namespace")
        proxy = self.proxy()
        driver = self.bound(f"zk://zk.snowfleet.test:{proxy.port}", timeout_ms=2000, prefix=prefix)
        with open(hosts, "w") as f:
            f.write("127.0.0.1 localhost\n")
        for _ in range(5):  # connected: a resolver is of no concern
            outcome, _, fields, _ = driver.call("renew 0")
            self.assertEqual(outcome, "done")
            self.assertLess(int(fields["ms"]), 1000)
        seen = len(driver.events)
        proxy.mode = "refuse"
        driver.expect("session_lost", after=seen)  # a link was rebuilt without names
        time.sleep(1)
        proxy.mode = "pass"
        driver.expect("connected", after=seen)     # with the addresses that were known
        self.assertEqual(driver.call("config")[0], "done")
        driver.quit()
        self.assertLess(len(driver.log), 200)
        os.unlink(hosts)
        os.unlink(resolv)
        os.rmdir(directory)

    def test_name_that_does_not_exist(self):
        driver = self.open("zk://no-such-host.invalid:2181", timeout_ms=2000)
        self.assertIn("resolve", driver.expect("disconnected"))
        self.assertEqual(driver.call("config 200")[:2], ("lost", "unreachable"))
        driver.quit()

    # -- chroot, credentials

    def test_wrong_chroot(self):
        driver = self.open(self.ensemble.url("/no/such"))
        driver.expect("connected")
        outcome, reason, _, text = driver.call("config")
        self.assertEqual((outcome, reason), ("refused", "missing"))
        self.assertIn("/no/such/snowfleet/", text)
        self.assertIn("is the URL's path right?", text)
        for command in ("list", "claim", "watch"):
            self.assertEqual(driver.call(command)[:2], ("refused", "missing"), command)
        self.assertEqual(driver.call("slot 0")[2]["state"], "1", "missing")
        probe = self.probe()
        self.assertNotIn("no", probe.children("/"))
        for command in ("survey", "init", "config"):
            self.assertEqual(driver.call(command)[0], "done", command)
        self.assertIn("such", probe.children("/no"))
        driver.quit()

    def test_credentials(self):
        directory = tempfile.mkdtemp(prefix="snowfleet-auth-")
        good, bad = os.path.join(directory, "good"), os.path.join(directory, "bad")
        for path, password in ((good, "secret"), (bad, "wrong")):
            with open(path, "w") as f:
                f.write(password + "\n")
            os.chmod(path, 0o644)
        self.assertRegex(self.open(auth=("ann", good)).first, r"^refused -13 .*chmod 600")
        os.chmod(good, 0o600)
        os.chmod(bad, 0o600)
        self.assertRegex(self.open(auth=("ann", good + "x")).first, r"^refused -2 ")
        driver = self.bound(auth=("ann", good))
        self.assertEqual(driver.call("list")[0], "done")
        for auth in (("ann", bad), ()):
            other = self.open(auth=auth)
            other.expect("connected")
            for command in ("config", "survey", "list", "slot 0", "watch"):
                outcome, reason, _, text = other.call(command)
                self.assertEqual((outcome, reason), ("refused", "auth"), f"{auth} {command} {text}")
            other.quit()
        admin = self.probe(auth="ann:secret")
        name = f"{self.root}/current-{self.tree.rsplit('/', 1)[1]}"
        for forbidden in (lambda: admin.delete(self.record), lambda: admin.create(self.record + "/child"),
                          lambda: admin.set(name, b"?"), lambda: self.probe().delete(name), lambda: self.probe().get(self.tree + "/state")):
            with self.assertRaises(zk.ZooKeeperError) as caught:
                forbidden()
            self.assertEqual(caught.exception.code, zk.NO_AUTH)
        self.assertEqual(driver.call("halt 0")[0], "done")
        self.assertEqual(driver.call("release 0")[0], "done")
        for command in ("survey", "remake", "config", "claim", "slot 0", "bind 0"):
            self.assertEqual(driver.call(command)[0], "done", command)
        driver.quit()
        for path in (good, bad):
            os.unlink(path)
        os.rmdir(directory)

    def test_a_password_that_changes(self):
        """Read again when it is refused, on the connection that stands, and for every new one."""
        directory = tempfile.mkdtemp(prefix="snowfleet-auth-")
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, "password")

        def write(password, mode=0o600):
            with open(path + ".new", "w") as f:
                f.write(password + "\n")
            os.chmod(path + ".new", mode)
            os.replace(path + ".new", path)

        def change(before, after):
            self.probe(auth=f"ann:{before}").give(self.root, "ann", after)

        def done(driver, command):
            """Within some tries."""
            end = time.monotonic() + PATIENCE
            while (answer := driver.call(command))[0] != "done":
                self.assertEqual(answer[1], "auth", answer)
                self.assertLess(time.monotonic(), end, answer)
                time.sleep(0.1)

        write("secret")
        proxy = self.proxy()
        driver = self.bound(f"zk://127.0.0.1:{proxy.port}", auth=("ann", path), timeout_ms=10000)
        change("secret", "second")
        for _ in range(5):
            self.assertEqual(driver.call("config")[:2], ("refused", "auth"))
        write("second", 0o644)
        time.sleep(1.1)  # it is looked at once a second
        self.assertEqual(driver.call("config")[:2], ("refused", "auth"), "a file that others may read is not taken")
        self.assertIn("chmod 600", "".join(driver.log))
        write("second")
        done(driver, "config")
        done(driver, "slot 0")
        self.assertEqual(driver.call("renew 0")[0], "done")
        self.assertEqual(len([event for event in driver.events if event.startswith("connected")]), 1, "on the same connection")
        write("third")
        change("second", "third")
        driver.drain()
        seen = len(driver.events)
        proxy.mode = "reset"
        proxy.mode = "pass"
        driver.expect("connected", after=seen)
        self.assertEqual(driver.call("config")[0], "done", "a new connection begins with what is in the file")
        os.unlink(path)
        driver.drain()
        seen = len(driver.events)
        proxy.mode = "reset"
        proxy.mode = "pass"
        driver.expect("connected", after=seen)
        self.assertEqual(driver.call("config")[0], "done", "what was read before is used where there is no file")
        driver.quit()


class Limits(unittest.TestCase):
    """What a server's options forbid is said in words, with the option that would help."""

    def setUp(self):
        self.drivers = []

    def tearDown(self):
        for driver in self.drivers:
            driver.end()

    def open(self, ensemble, fleet="limits", **more):
        driver = Driver(ensemble.url(), fleet, timeout_ms=4000, **more)
        self.drivers.append(driver)
        return driver

    def test_login_is_demanded(self):
        with zk.Ensemble(java_options="-Dzookeeper.enforce.auth.enabled=true -Dzookeeper.enforce.auth.schemes=digest".split()) as ensemble:
            driver = self.open(ensemble)
            driver.expect("connected")
            outcome, reason, _, text = driver.call("config")
            self.assertEqual(outcome, "lost")
            self.assertIn("coordinator.username", text)
            self.assertIn("coordinator.username", driver.expect("disconnected"))
            time.sleep(4)  # it is tried again, and not without a pause
            driver.drain()
            tries = sum(event.startswith("connected") for event in driver.events)
            self.assertTrue(2 < tries < 20, tries)
            with tempfile.NamedTemporaryFile("w", prefix="snowfleet-auth-") as password:
                password.write("secret\n")
                password.flush()
                named = self.open(ensemble, auth=("ann", password.name))
                named.expect("connected")
                for command in ("survey", "init", "config"):
                    self.assertEqual(named.call(command)[0], "done", command)

    def test_connections_of_one_address(self):
        with zk.Ensemble(options=["maxClientCnxns=1"]) as ensemble:
            self.open(ensemble).expect("connected")
            self.assertIn("maxClientCnxns", self.open(ensemble).expect("disconnected"))

    def test_small_requests_only(self):
        with zk.Ensemble(java_options=["-Djute.maxbuffer=1100"]) as ensemble:
            driver = self.open(ensemble, fleet="long" * 15)
            driver.expect("connected")
            self.assertEqual(driver.call("survey")[0], "done")
            driver.send("init")
            self.assertIn("jute.maxbuffer", driver.expect("disconnected"))


class Reconnection(unittest.TestCase):
    def test_attempts_grow_rarer(self):
        """A server that closes every connection, as one without a quorum does, is asked less and less often; once it serves, that is
        found out soon."""
        with zk.Ensemble() as ensemble:
            proxy = FaultProxy(ensemble.servers[0].port)
            accepted = []
            accept = proxy._connect
            proxy._connect = lambda client: (accepted.append(time.monotonic()), accept(client))
            driver = Driver(f"zk://127.0.0.1:{proxy.port}", "storm", timeout_ms=4000)
            try:
                driver.expect("connected")
                behind, proxy.behind = proxy.behind, zk.free_ports(1)[0]
                proxy.mode = "reset"
                proxy.mode = "pass"
                time.sleep(8)
                late = [at for at in accepted if at > time.monotonic() - 4]
                self.assertLess(len(late), 10, "in 4 s")
                self.assertGreater(len(late), 1, "in 4 s")
                seen = len(driver.events)
                proxy.behind = behind
                driver.expect("connected", seconds=10, after=seen)
                driver.quit()
            finally:
                driver.end()
                proxy.stop()


class Lag(unittest.TestCase):
    def test_confirmed_reads_do_not_lag(self):
        """A server that hears of everything late shows old records to who just reads, but not to who asks a quorum first."""
        with zk.Ensemble(members=3, lagging=True) as ensemble:
            late = ensemble.servers[2]
            late.kill()
            ensemble.wait_leader()  # one of the others
            late.start()
            ensemble.wait_ready()
            writer = Driver("zk://" + ",".join(ensemble.addresses()[:2]), "lag", timeout_ms=10000)
            reader = Driver(f"zk://127.0.0.1:{late.port}", "lag", timeout_ms=10000)
            probe, lagged = zk.Client(late.port), 0
            try:
                for driver in (writer, reader):
                    driver.expect("connected")
                for command in ("survey", "init", "config", "claim", "slot 0", "bind 0"):
                    outcome, reason, fields, text = writer.call(command)
                    self.assertEqual(outcome, "done", f"{command} {reason} {text}")
                    if command == "config":
                        record = f"/snowfleet/lag/{fields['token']}/dc/0/slots/0"
                self.assertEqual(reader.call("config")[0], "done")
                for proxy in ensemble.quorum_proxies:
                    proxy.delay_s, proxy.mode = 0.3, "delay"
                for _ in range(10):
                    written = int(writer.call("renew 0")[2]["version"])
                    lagged += probe.get(record)[1] < written
                    outcome, _, fields, text = reader.call("slot 0 10000")
                    self.assertEqual(outcome, "done", text)
                    self.assertEqual(int(fields["version"]), written)
                self.assertEqual(writer.call("halt 0")[0], "done")
                self.assertEqual(reader.call("config 10000")[2]["halted"], "1")
                self.assertGreater(lagged, 0, "the server never lagged: this shows nothing")
                for driver in (writer, reader):
                    driver.quit()
            finally:
                for driver in (writer, reader):
                    driver.end()
                probe.close()


class Failover(unittest.TestCase):
    def test_leader_killed(self):
        with zk.Ensemble(members=3) as ensemble:
            driver = Driver(ensemble.url("/app"), "fail", timeout_ms=6000)
            try:
                driver.expect("connected")
                for command in ("survey", "init", "config", "claim", "slot 0", "bind 0", "renew 0"):
                    self.assertEqual(driver.call(command)[0], "done", command)
                leader = ensemble.wait_leader()
                leader.kill()
                end = time.monotonic() + PATIENCE
                while True:
                    if driver.call("slot 0 1000")[0] == "done" and driver.call("renew 0 1000")[0] == "done":
                        break
                    self.assertLess(time.monotonic(), end, driver.events[-5:])
                    time.sleep(0.05)
                self.assertFalse([e for e in driver.events if e.startswith("session_lost")])
                driver.quit()
            finally:
                driver.end()


if __name__ == "__main__":
    if not zk.available():
        print("ZooKeeper is not installed here", file=sys.stderr)
        sys.exit(77)
    DRIVER = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
