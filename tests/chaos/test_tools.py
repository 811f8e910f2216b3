#!/usr/bin/env python3
"""The tools of the fault tests themselves: copies and wipes of real coordinators, proxies that deliver twice, the exact comparison."""
import collections
import contextlib
import json
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import collector  # noqa: E402
import coordinators  # noqa: E402
import etcd  # noqa: E402
import repeats  # noqa: E402
import zk  # noqa: E402

PATH = "/snowfleet/tools"


def post(port, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


class Data(unittest.TestCase):
    """What was written is there, is gone after a wipe, and an older copy brings the older state back."""

    def play(self, kind, members):
        if not coordinators.available(kind):
            self.fail(f"{kind} is not installed; ./check installs it")
        with coordinators.start(kind, members) as c, tempfile.TemporaryDirectory() as directory:
            if kind == "zookeeper":
                with c.client() as client:
                    client.create("/snowfleet")
                    client.create(PATH, b"old")
            else:
                c.set(PATH, "old")
            first = c.counters(PATH)
            c.save(directory)
            c.set(PATH, "new")
            self.assertGreater(c.counters(PATH), first)
            self.assertIn(PATH, c.paths("/snowfleet"))
            c.restore(directory)
            self.assertEqual((c.get(PATH), c.counters(PATH)), ("old", first))
            c.wipe()
            self.assertEqual((c.get(PATH), c.paths("/snowfleet")), (None, []))

    def test_etcd(self):
        self.play("etcd", 1)

    def test_zookeeper(self):
        self.play("zookeeper", 1)

    def test_three_of_zookeeper(self):
        self.play("zookeeper", 3)

    def test_three_of_etcd(self):
        self.play("etcd", 3)


class Copies(unittest.TestCase):
    """Members of a running coordinator are copied as they are at one moment: no write is done between the first and the last."""

    def play(self, kind):
        written, over, at = [0], threading.Event(), []
        with coordinators.start(kind, 3) as c, tempfile.TemporaryDirectory() as directory:
            if kind == "zookeeper":
                with c.client() as client:
                    client.create("/snowfleet")
                    client.create(PATH, b"0")

            def write():
                while not over.is_set():
                    with contextlib.suppress(OSError, zk.ZooKeeperError):
                        c.set(PATH, str(written[0] + 1))
                        written[0] += 1

            def slowly(*words, copytree=shutil.copytree):
                at.append(written[0])
                time.sleep(0.3)
                copytree(*words)
                at.append(written[0])
            writer = threading.Thread(target=write)
            writer.start()
            try:
                zk.wait_until(lambda: written[0] > 5, "writes are done")
                with unittest.mock.patch("shutil.copytree", slowly):
                    c.save(directory)
            finally:
                over.set()
                writer.join()
            self.assertEqual(set(at), {at[0]})
            c.restore(directory)
            self.assertIn(int(c.get(PATH)), (at[0], at[0] + 1))

    def test_etcd(self):
        self.play("etcd")

    def test_zookeeper(self):
        self.play("zookeeper")


class Leases(unittest.TestCase):
    def test_one_that_has_ended_is_none_any_more(self):
        with coordinators.start("etcd") as c:
            lease = int(c.cluster.any_post("/v3/lease/grant", {"TTL": "60"})["ID"])
            self.assertIn(lease, c.cluster.leases())
            c.cluster.revoke(lease)
            c.cluster.revoke(lease)
            self.assertEqual(c.cluster.leases(), [])


class Repeats(unittest.TestCase):
    def test_zookeeper(self):
        with coordinators.start("zookeeper") as c:
            proxy = repeats.proxy("zookeeper", c.ports()[0])
            self.addCleanup(proxy.stop)
            client = zk.Client(proxy.port)
            self.addCleanup(client.close)
            client.create("/a", b"")
            client.set("/a", b"1")
            self.assertEqual(client.get("/a")[1], 1)
            proxy.twice = True
            client.set("/a", b"2")
            self.assertEqual(client.get("/a"), (b"2", 3, 0))
            # The answer that counts is the second one: refused, though it was done.
            with self.assertRaises(zk.ZooKeeperError) as caught:
                client.create("/b", b"")
            self.assertEqual(caught.exception.code, zk.NODE_EXISTS)
            client.create("/b/c-", b"", flags=2)
            self.assertEqual(len(client.children("/b")), 2)
            proxy.which = repeats.is_release
            client.set("/a", b"4")
            self.assertEqual((client.get("/a")[1], proxy.count), (4, 3))

    def test_operations_of_a_multi(self):
        def text(value):
            return struct.pack(">i", len(value)) + value
        acl = struct.pack(">ii", 1, 31) + text(b"world") + text(b"anyone")
        ops = [(13, text(b"/config") + struct.pack(">i", 7)), (1, text(b"/c-") + text(b"{}") + acl + struct.pack(">i", 3)),
               (2, text(b"/claim") + struct.pack(">i", 0)), (5, text(b"/slot") + text(b"{}") + struct.pack(">i", 1))]
        body = b"".join(struct.pack(">i?i", kind, False, -1) + request for kind, request in ops) + struct.pack(">i?i", -1, True, -1)
        found = repeats.zookeeper_operations(struct.pack(">ii", 5, 14) + body)
        self.assertEqual(found, ["check", "create", "delete", "set"])
        self.assertTrue(repeats.is_release(found) and repeats.is_claim(found))
        for kind in (3, 4, 8, 9, 11, 12):
            self.assertEqual(repeats.zookeeper_operations(struct.pack(">ii", 5, kind) + text(b"/a")), [])

    def test_etcd(self):
        with coordinators.start("etcd") as c:
            proxy = repeats.proxy("etcd", c.ports()[0])
            self.addCleanup(proxy.stop)
            key = etcd.b64("/a")
            once = {"compare": [{"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
                    "success": [{"request_put": {"key": key, "value": etcd.b64("1")}}]}
            self.assertTrue(post(proxy.port, "/v3/kv/txn", once)["succeeded"])
            c.delete("/a")
            proxy.twice = True
            self.assertNotIn("succeeded", post(proxy.port, "/v3/kv/txn", once))
            self.assertEqual((c.get("/a"), proxy.count), ("1", 1))
            post(proxy.port, "/v3/kv/range", {"key": key})
            self.assertEqual(proxy.count, 1)
            request = urllib.request.Request(f"http://127.0.0.1:{proxy.port}/v3/watch",
                                             json.dumps({"create_request": {"key": key}}).encode())
            with urllib.request.urlopen(request, timeout=10) as watch:
                self.assertIn(b"created", watch.readline())
                c.set("/a", "2")
                self.assertIn(b"events", watch.readline())

    def test_no_request_passes_before_the_answer_is_out(self):
        with coordinators.start("zookeeper") as c:
            proxy = repeats.proxy("zookeeper", c.ports()[0])
            self.addCleanup(proxy.stop)
            client = zk.Client(proxy.port)
            self.addCleanup(client.socket.close)
            client.create("/a", b"")
            proxy.repeated = lambda: setattr(proxy, "mode", "hole")
            proxy.twice = True
            client.set("/a", b"1")
            client.socket.settimeout(0.5)
            with self.assertRaises(OSError):
                client.get("/a")
            with c.client() as other:
                self.assertEqual(other.get("/a")[1], 2)


class Laggard(unittest.TestCase):
    def test_it_serves_what_is_old(self):
        with coordinators.start("zookeeper", 3, lagging=True) as c:
            laggard = c.ensemble.servers[-1]
            for _ in range(5):
                if laggard.mode() == "follower":
                    break
                c.ensemble.wait_leader().kill()
                c.ensemble.wait_leader()
                c.ensemble.servers[-1].kill()
                for server in c.ensemble.servers:
                    if not server.alive():
                        server.start()
                c.ensemble.wait_ready()
            self.assertEqual(laggard.mode(), "follower")
            behind, before = zk.Client(laggard.port), zk.Client(c.ports()[0])
            self.addCleanup(behind.socket.close)
            self.addCleanup(before.socket.close)
            before.create("/a", b"")
            zk.wait_until(lambda: behind.children("/").count("a"), "the laggard has it")
            for proxy in c.ensemble.quorum_proxies:
                proxy.delay_s = 0.5
                proxy.mode = "delay"
            before.set("/a", b"1")
            self.assertEqual(behind.get("/a")[0], b"")
            zk.wait_until(lambda: behind.get("/a")[0] == b"1", "it comes after")


class Load(unittest.TestCase):
    """An answer that breaks the protocol is counted and told: the rule, the bytes, the state."""

    def told(self, answer):
        """What chaos_load says of a server that answers every request with answer(request_id, count)."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        while request := peer.recv(16, socket.MSG_WAITALL):
                            peer.sendall(answer(*struct.unpack(">II", request[8:])))
        threading.Thread(target=serve, daemon=True).start()
        with tempfile.TemporaryDirectory() as directory:
            load = subprocess.Popen(
                [str(pathlib.Path(os.environ["SF_BIN"]) / "chaos_load"), "--servers", f"127.0.0.1:{listener.getsockname()[1]}", "--out",
                 directory, "--clients", "0", "--raw", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            events = pathlib.Path(directory) / "events.jsonl"
            zk.wait_until(lambda: events.exists() and events.read_text(), "a second of it has passed")
            result = json.loads(load.communicate("", timeout=60)[0])
        self.assertGreater(result["protocol_errors"], 0)
        return result["broken_answers"][0]

    def test_it_tells_what_was_broken(self):
        def runs(request_id, count, kind=0x81):
            return struct.pack(">IBBHIQI", 20, 1, kind, 0, request_id, 4096, count)
        for answer, rule, begin in [
                (lambda i, n: runs(i, n + 1), "do not add up", "00 00 00 14 01 81 00 00 00 00 00 01"),
                (lambda i, n: runs(i + 1, n), "out of order", "00 00 00 14 01 81 00 00 00 00 00 02"),
                (lambda i, n: runs(i, n, 0x82), "no answer to NEXT", "00 00 00 14 01 82"),
                (lambda i, n: b"HTTP/1.1 400", "a length that no frame has", "48 54 54 50"),
                (lambda i, n: struct.pack(">IBBHI", 8, 1, 0x81, 4, i), "without retry_after_ms", "00 00 00 08 01 81 00 04")]:
            told = self.told(answer)
            self.assertIn("127.0.0.1 connection 1: ", told)
            self.assertIn(rule, told)
            self.assertIn(f"bytes here: {begin}", told)


class Comparison(unittest.TestCase):
    def test_like_a_plain_count(self):
        rng = random.Random(7)
        for _ in range(200):
            runs = [[(rng.randrange(0, 300), rng.randrange(1, 20)) for _ in range(rng.randrange(0, 10))] for _ in range(3)]
            seen = collections.Counter(first + k for given in runs for first, count in given for k in range(count))
            verdict = collector.Verdict(runs, "55,1,1,6", 0)
            self.assertEqual(verdict.duplicates, sum(n - 1 for n in seen.values()))
            self.assertEqual(verdict.ids, sum(seen.values()))

    def test_whose_and_when(self):
        def identifier(ms, slot, sequence):
            return ms << 22 | slot << 12 | sequence
        runs = [[(identifier(1000, 3, 0), 50), (identifier(1001, 3, 0), 50)], [(identifier(1001, 3, 40), 30), (identifier(1002, 4, 0), 9)],
                [(identifier(1002, 3, 0), 5), (identifier(1002, 3, 2), 1)]]
        verdict = collector.Verdict(runs, epoch_ms=5000)
        self.assertEqual((verdict.pairs, verdict.shared_ms), ({(0, 1): 10, (2, 2): 1}, {(0, 1): 1}))
        self.assertEqual((verdict.between(6001), verdict.between(6002), verdict.between(6000, 6002)), (11, 1, 10))
        self.assertEqual((verdict.span_ms(), verdict.last_ms(1), verdict.first_ms(1)), ((6001, 6002), 6002, 6001))
        self.assertEqual((verdict.slots(1), verdict.slots(1, 6002), verdict.count(1, 6002)), ({3, 4}, {4}, 9))


if __name__ == "__main__":
    unittest.main(verbosity=2)
