#!/usr/bin/env python3
"""IDs over HTTP: the limits, the queue, the tokens and the refusals are those of the data port, on whatever port they are asked for."""
import http.client
import json
import pathlib
import resource
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

TOKEN = "0123456789abcdef"
MANY = 10000


class Asker:
    """One connection, kept open."""

    def __init__(self, port, token=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=sf.DEADLINE_S)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, path, method="GET", **headers):
        """Returns (status, fields, text)."""
        self.connection.request(method, path, headers={**self.headers, **headers})
        answer = self.connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()

    def ids(self, count=1):
        status, _, text = self.ask(f"/v1/ids?count={count}")
        return json.loads(text)["ids"] if status == 200 else []

    def close(self):
        self.connection.close()


class Ids:
    """What holds on each port."""
    options = {}

    @classmethod
    def setUpClass(cls):
        cls.fleet = sf.Fleet()
        cls.addClassCleanup(cls.fleet.__exit__, None, None, None)

    def worker(self, **options):
        options = {name.replace("_", "-"): value for name, value in {**self.options, **options}.items()}
        worker = self.fleet.worker(options=options).start()
        self.addCleanup(worker.kill)
        return worker

    def tokens(self, text=f"team:{TOKEN}\n"):
        path = self.fleet.directory / "tokens"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def asker(self, worker, token=None):
        asker = Asker(self.port_of(worker), token)
        self.addCleanup(asker.close)
        return asker

    def test_the_limit_of_the_worker_holds(self):
        asker = self.asker(self.worker(limit_worker_ids_per_s=100))
        began = time.monotonic()
        got, refused = 0, {}
        while time.monotonic() - began < 1.5:
            status, fields, text = asker.ask("/v1/ids?count=50")
            if status == 200:
                got += len(json.loads(text)["ids"])
            else:
                self.assertEqual(status, 429)
                refused = fields
        self.assertLessEqual(got, 100 + 100 * (time.monotonic() - began))
        self.assertGreaterEqual(got, 100)
        self.assertGreaterEqual(int(refused["retry-after"]), 1)

    def test_the_limit_of_an_address_holds(self):
        worker = self.worker(limit_address_ids_per_s=100, limit_address_burst=200)
        asker = self.asker(worker)
        self.assertEqual(len(asker.ids(200)), 200)
        self.assertEqual(asker.ask("/v1/ids?count=100")[0], 429)
        with worker.connect() as frames:
            answer = frames.ask(sf.NEXT, body=(100).to_bytes(4, "big"))
            self.assertEqual(answer.code, sf.RATE_LIMITED)

    def test_a_name_and_its_limit(self):
        worker = self.worker(listen_token_file=self.tokens(f"team:{TOKEN}:100:200\nother:fedcba9876543210\n"))
        self.assertEqual(self.asker(worker).ask("/v1/ids")[0], 401)
        status, fields, _ = self.asker(worker, "wrong").ask("/v1/ids")
        self.assertEqual((status, fields["www-authenticate"]), (401, "Bearer"))
        team = self.asker(worker, TOKEN)
        self.assertEqual(team.ask("/v1/ids?count=201")[0], 413)
        self.assertEqual(len(team.ids(200)), 200)
        self.assertEqual(team.ask("/v1/ids?count=100")[0], 429)
        self.assertEqual(len(self.asker(worker, "fedcba9876543210").ids(1000)), 1000)
        self.assertEqual(team.ask("/v1/ids", Authorization="Basic abc")[0], 401)
        sf.wait_until(lambda: worker.metric('snowfleet_auth_ids_total{name="team"}') == 200, worker.log)
        self.assertEqual(worker.metric("snowfleet_auth_failures_total"), 1)

    def test_guesses_of_an_address_are_few(self):
        worker = self.worker(listen_token_file=self.tokens())
        statuses = [self.asker(worker, f"guess{i}").ask("/v1/ids")[0] for i in range(25)]
        self.assertEqual(statuses[:20], [401] * 20)
        self.assertIn(429, statuses)

    def test_browsers(self):
        asker = self.asker(self.worker())
        for field, value in (("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"), ("X-Moz", "prefetch"), ("Sec-Fetch-Site", "cross-site"),
                             ("Sec-Fetch-Site", "same-site"), ("Origin", "http://evil.example"), ("Origin", "null")):
            with self.subTest(field=field, value=value):
                self.assertEqual(asker.ask("/v1/ids", **{field: value})[0], 403)
        for value in ("none", "same-origin"):
            self.assertEqual(asker.ask("/v1/ids", **{"Sec-Fetch-Site": value})[0], 200)

    def test_counts(self):
        worker = self.worker(listen_max_batch=20000)
        asker = self.asker(worker)
        ids = [int(text) for text in asker.ids(20000)]
        self.assertEqual(len(ids), 20000)
        self.assertEqual(ids, sorted(set(ids)))
        for path, status in (("?count=0", 400), ("?count=20001", 413), ("?count=x", 400), ("?count=1&count=1", 400), ("?n=1", 400),
                             ("?count=99999999999999999999", 413)):
            with self.subTest(path=path):
                self.assertEqual(asker.ask("/v1/ids" + path)[0], status)
        self.assertIn("count is 4294967295 or more; allowed are 1 to 20000", asker.ask("/v1/ids?count=435592021448")[2])
        self.assertEqual(asker.ask("/v1/ids")[1]["cache-control"], "no-store")

    def test_nobody_is_overtaken(self):
        """One that asks over HTTP as fast as it can takes no more from a connection with frames than another one with frames would."""
        worker = self.worker(mint_max_wait_ms=10000)
        ends = time.monotonic() + 2
        got = {"frames": 0, "http": 0}

        def frames():
            with worker.connect() as connection:
                while time.monotonic() < ends:
                    got["frames"] += len(connection.ids(20000))

        def over_http():
            asker = Asker(self.port_of(worker))
            while time.monotonic() < ends:
                got["http"] += len(asker.ids(20000))
            asker.close()

        threads = [threading.Thread(target=target) for target in (frames, over_http, over_http)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertGreater(got["http"], 0)
        self.assertGreater(got["frames"], got["http"] / 8, got)



class AdminPort(Ids, unittest.TestCase):
    @staticmethod
    def port_of(worker):
        return worker.admin

    def test_no_room(self):
        worker = self.worker(listen_max_connections=1)
        with worker.connect() as connection:
            connection.ids(1)
            status, fields, _ = self.asker(worker).ask("/v1/ids")
            self.assertEqual((status, fields["retry-after"]), (503, "1"))


class HttpPort(Ids, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = sf.free_ports(1)[0]
        cls.options = {"listen_http_address": f"127.0.0.1:{cls.port}"}

    def port_of(self, _):
        return self.port

    def test_decode(self):
        asker = self.asker(self.worker(listen_token_file=self.tokens()), TOKEN)
        one = asker.ids()[0]
        status, fields, text = asker.ask(f"/v1/decode/{one}")
        self.assertEqual((status, fields["content-type"], fields["cache-control"]), (200, "application/json", "no-store"))
        told = json.loads(self.fleet.tool("decode", "--json", one).stdout)
        self.assertEqual(json.loads(text), told)
        self.assertEqual(self.asker(None).ask(f"/v1/decode/{one}")[0], 401)
        for bad in ("x", "0x1", "9223372036854775808", "-1", ""):
            self.assertEqual(asker.ask("/v1/decode/" + bad)[0], 400)
        self.assertEqual(asker.ask("/status")[0], 404, "that is the admin port's")

    def test_ten_thousand_connections(self):
        """All open at once, each answered, and again."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most < MANY + 400:
            self.skipTest(f"needs {MANY + 400} open files, {most} are allowed")
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        worker = self.worker(listen_max_connections=MANY)
        seen, crowd = set(), []
        try:
            for _ in range(MANY):
                crowd.append(socket.create_connection(("127.0.0.1", self.port), timeout=sf.DEADLINE_S))
            for _ in range(2):
                for one in crowd:
                    one.sendall(b"GET /v1/ids HTTP/1.1\r\nHost: x\r\n\r\n")
                for one in crowd:
                    answer = one.recv(4096)
                    self.assertTrue(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"]}\n"), answer)
                    seen.add(answer.split(b'"')[3])
            self.assertEqual(len(seen), 2 * MANY)
            self.assertEqual(worker.metric("snowfleet_connections"), MANY)
        finally:
            for one in crowd:
                one.close()

    def test_ends(self):
        """A worker that ends answers what was asked and says that the connection ends."""
        worker = self.worker()
        asker = self.asker(worker)
        self.assertEqual(len(asker.ids()), 1)
        self.assertEqual(worker.term(), 0)
        with self.assertRaises(OSError):
            self.asker(worker).ask("/v1/ids")


if __name__ == "__main__":
    unittest.main()
