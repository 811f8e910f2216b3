#!/usr/bin/env python3
"""The admin port over real sockets: paths, methods, arguments, limits, browsers. usage: http_test.py FAKE_ADMIN"""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = sys.argv.pop(1)
WAIT_S = 30


class Admin:
    def __init__(self, files=()):
        self.dir = tempfile.mkdtemp(prefix="sf-admin-")
        for name, text in dict(files).items():
            self.put(name, text)
            os.chmod(os.path.join(self.dir, name), 0o600)
        self.process = subprocess.Popen([PROGRAM, self.dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(WAIT_S)
        self.process.stdout.close()
        shutil.rmtree(self.dir)
        return code

    def put(self, name, text=""):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), WAIT_S)

    def raw(self, data):
        """Sends bytes, reads until the peer closes."""
        with self.connect() as s:
            s.sendall(data)
            got = b""
            while True:
                try:
                    part = s.recv(65536)
                except ConnectionResetError:
                    break
                if not part:
                    break
                got += part
        return got

    def ask(self, path, method="GET", headers=(), version="1.1", body=b"", host="x"):
        lines = [f"{method} {path} HTTP/{version}", "Host: " + host, "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        got = self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head, _, payload = got.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}
        return int(first.split(" ")[1]), fields, payload.decode()


class AdminTest(unittest.TestCase):
    def setUp(self):
        self.admin = Admin()
        self.closed = False

    def tearDown(self):
        if not self.closed:
            self.assertEqual(self.admin.close(), 0)

    def check(self, path, status, text=None, **how):
        got = self.admin.ask(path, **how)
        self.assertEqual(got[0], status, got)
        if text is not None:
            self.assertEqual(got[2], text)
        return got

    def test_readiness(self):
        for path in ("/readyz", "/healthz"):
            self.check(path, 200, "ready\n")
        self.admin.put("clock", "offset 1.2s, over 1000 ms")
        self.admin.put("drain", "someone asked")
        for path in ("/readyz", "/healthz"):
            self.check(path, 503, "clock: offset 1.2s, over 1000 ms\ndrain: someone asked\n")
        self.check("/readyz?verbose", 503, "[+]slot ok: fine\n[+]reservation ok: fine\n"
                   "[-]clock failed: offset 1.2s, over 1000 ms\n[-]drain failed: someone asked\n[+]shards ok: fine\n")
        self.check("/readyz?verbose=1", 503)
        status, _, text = self.check("/readyz?verbos", 400)
        self.assertEqual(text, 'unknown argument "verbos"; known: verbose\n')

    def test_history(self):
        self.check("/history", 200, '{"after":0}')
        self.check("/history?after=0", 200, '{"after":0}')
        self.check(f"/history?after={2**64 - 1}", 200, f'{{"after":{2**64 - 1}}}')
        for query, say in ((f"after={2**64}", "after: a whole number, the last that was had\n"), ("after=-1", "after: a whole number, the last that was had\n"),
                           ("after=", "after: a whole number, the last that was had\n"), ("before=1", 'unknown argument "before"; known: after\n'),
                           ("after=1&after=2", "argument after is given 2 times; give it once\n")):
            with self.subTest(query=query):
                self.check("/history?" + query, 400, say)

    def test_live_and_started(self):
        self.check("/livez", 200, "ok\n")
        self.admin.put("stalled", "shard 1: no turn for 12s\n")
        self.check("/livez", 503, "shard 1: no turn for 12s\n")
        self.admin.put("slot", "every slot is held")
        self.check("/startupz", 503, "not ready yet\nslot: every slot is held\n")
        self.admin.put("started")
        self.check("/startupz", 200, "started\n")

    def test_ids(self):
        _, fields, text = self.check("/v1/ids", 200)
        self.assertEqual(json.loads(text), {"ids": [str(2**62)]})
        self.assertEqual(fields["cache-control"], "no-store")
        self.assertEqual(fields["content-type"], "application/json")
        _, _, text = self.check("/v1/ids?count=1000", 200)
        ids = json.loads(text)["ids"]
        self.assertEqual([int(i) for i in ids], list(range(2**62 + 1, 2**62 + 1001)))
        for query, status, say in (
            ("count=0", 400, 'count "0" is no whole number from 1 on\n'),
            ("count=1001", 413, "count is 1001; allowed are 1 to 1000\n"),
            ("count=", 400, 'count "" is no whole number from 1 on\n'),
            ("count", 400, 'unknown argument "count"; known: count=N\n'),
            ("count=-1", 400, 'count "-1" is no whole number from 1 on\n'),
            ("count=1&count=2", 400, "count is given twice; give it once\n"),
            ("n=3", 400, 'unknown argument "n=3"; known: count=N\n'),
            ("count=" + "x" * 500, 400, 'count "' + "x" * 40 + '" is no whole number from 1 on\n'),
        ):
            with self.subTest(query=query):
                self.check("/v1/ids?" + query, status, say)
        self.admin.put("unready", "no slot is held: starting")
        _, fields, _ = self.check("/v1/ids", 503, "no slot is held: starting\n")
        self.assertEqual(fields["retry-after"], "1")

    def test_ids_do_not_stop_health(self):
        """Whoever waits for the data port waits alone."""
        self.admin.put("slow", "")
        waiting = []
        for _ in range(60):
            s = self.admin.connect()
            s.sendall(b"GET /v1/ids HTTP/1.1\r\nHost: x\r\n\r\n")
            waiting.append(s)
        start = time.monotonic()
        self.check("/livez", 200, "ok\n")
        self.assertLess(time.monotonic() - start, 1)
        os.unlink(self.admin.dir + "/slow")
        for s in waiting:
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200"))
            s.close()

    def test_ends_while_ids_are_waited_for(self):
        self.admin.put("slow", "")
        s = self.admin.connect()
        s.sendall(b"GET /v1/ids HTTP/1.1\r\nHost: x\r\n\r\n")
        self.check("/livez", 200, "ok\n")
        self.closed = True
        self.assertEqual(self.admin.close(), 0)
        s.close()

    def test_what_can_be_read_in_two_ways(self):
        """Refused, and the connection ends: nothing behind it is taken for a request."""
        behind = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        for head in (b"POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
                     b"POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
                     b"POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"GET /status HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                     b"GET /status%00x HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"POST /%64rain HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET /readyz?%76erbose HTTP/1.1\r\nHost: x\r\n\r\n"):
            with self.subTest(head=head):
                got = self.admin.raw(head + behind)
                self.assertRegex(got[:12], rb"^HTTP/1\.[01] 400$")
                self.assertEqual(got.count(b"HTTP/1."), 1, got)
        self.assertFalse(os.path.exists(self.admin.dir + "/drained"))

    def test_metrics(self):
        _, fields, text = self.check("/metrics", 200)
        self.assertEqual(fields["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn("\nsnowfleet_ids_minted_total 7\n", text)
        self.assertNotIn("# EOF", text)
        opens = {
            "application/openmetrics-text; version=1.0.0; charset=utf-8": True,
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1": True,
            "text/plain, application/openmetrics-text;q=0.2": False,
            "application/openmetrics-text;q=0": False, "application/openmetrics-texts": False, "*/*": False, ",;q=,": False,
        }
        for accept, yes in opens.items():
            with self.subTest(accept=accept):
                _, fields, text = self.check("/metrics", 200, headers=["Accept: " + accept])
                self.assertEqual(text.endswith("# EOF\n"), yes)
                self.assertEqual(fields["content-type"].startswith("application/openmetrics-text"), yes)

    def test_paths_and_methods(self):
        self.check("/nothing", 404)
        self.check("/readyz/", 404)
        self.check("//", 404)
        _, fields, _ = self.check("/readyz", 405, "/readyz: allowed is GET, HEAD\n", method="POST")
        self.assertEqual(fields["allow"], "GET, HEAD")
        for method in ("GET", "HEAD", "PUT"):
            _, fields, _ = self.check("/drain", 405, method=method)
            self.assertEqual(fields["allow"], "POST")
        _, fields, _ = self.check("/v1/ids", 405, method="HEAD")
        self.assertEqual(fields["allow"], "GET")
        for path in ("/livez", "/readyz", "/metrics", "/status", "/fleet", "/"):
            with self.subTest(path=path):
                _, want, body = self.check(path, 200)
                _, got, none = self.check(path, 200, "", method="HEAD")
                self.assertEqual(got["content-type"], want["content-type"])
                self.assertEqual(want["content-length"], str(len(body.encode())))
                self.assertEqual(self.check(path, 200, version="1.0")[2], body)
        got = self.admin.raw(b"GET /readyz HTTP/1.0\r\n\r\n")
        self.assertTrue(got.startswith(b"HTTP/1.0 200") or got.startswith(b"HTTP/1.1 200"), got)

    def test_keep_alive(self):
        with self.admin.connect() as s:
            for _ in range(3):
                s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                got = b""
                while not got.endswith(b"\r\n\r\nok\n"):
                    part = s.recv(4096)
                    self.assertTrue(part)
                    got += part

    def test_drain(self):
        self.check("/drain", 403, method="POST", headers=["Origin: http://127.0.0.1:%d" % self.admin.port])
        self.check("/drain", 403, method="POST", headers=["Origin: null"])
        self.assertFalse(os.path.exists(self.admin.dir + "/drained"))
        self.check("/drain", 202, "draining\n", method="POST", body=b"{}")
        self.assertTrue(os.path.exists(self.admin.dir + "/drained"))
        self.check("/drain", 202, method="POST")

    def test_an_answer_that_was_begun_is_sent_before_the_end(self):
        self.admin.put("ending", "")
        self.check("/drain", 202, "draining\n", method="POST")
        self.assertEqual(self.admin.process.wait(20), 0)

    def test_limits(self):
        self.check("/v1/ids?count=" + "1" * (1024 - len("/v1/ids?count=")), 413)
        self.check("/v1/ids?count=" + "1" * (1025 - len("/v1/ids?count=")), 414)
        self.check("/drain", 202, method="POST", body=b"x" * 4096)
        self.check("/drain", 413, method="POST", headers=["Content-Length: 4097"])
        self.check("/drain", 413, method="POST", headers=["Content-Length: 99999999999999999999"])
        got = self.admin.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n")
        self.assertRegex(got[:40], rb"^(HTTP/1\.[01] 431|)")
        self.assertNotIn(b"200 OK", got)
        self.admin.raw(b"\x00\xff\r\n\r\n" * 10)
        self.check("/livez", 200)

    def test_crowd(self):
        """More silent connections than are kept: the oldest go, a probe still gets its answer."""
        crowd = [self.admin.connect() for _ in range(200)]
        for s in crowd:
            s.sendall(b"GET /liv")
        start = time.monotonic()
        self.check("/livez", 200, "ok\n")
        self.assertLess(time.monotonic() - start, 5)
        crowd[0].settimeout(5)
        self.assertEqual(crowd[0].recv(1), b"")
        for s in crowd:
            s.close()
        self.check("/livez", 200, "ok\n")

    def test_slow_reader_does_not_stop_health(self):
        self.admin.put("status.json", '{"x":"' + "y" * 6_000_000 + '"}')
        slow = []
        for _ in range(10):
            s = self.admin.connect()
            s.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
            slow.append(s)
        deadline = time.monotonic() + WAIT_S
        while self.admin.ask("/fleet")[0] != 503:  # 32 MiB are out
            self.assertLess(time.monotonic(), deadline)
        start = time.monotonic()
        self.check("/readyz", 200, "ready\n")
        self.assertLess(time.monotonic() - start, 1)
        for s in slow:
            s.close()
        while self.admin.ask("/fleet")[0] != 200:
            self.assertLess(time.monotonic(), deadline)

    def test_browsers(self):
        self.admin.put("fleet.json", json.dumps({"workers": [{"admin": "10.0.0.7:7451"}, {"admin": "127.0.0.1:7551"}, {"admin": None}]}))
        for origin, allowed in {
            "http://10.0.0.7:7451": True, "http://localhost:7551": True, "http://127.0.0.1:7551": True, "http://localhost:7552": False,
            "https://10.0.0.7:7451": False, "http://10.0.0.7:7451.evil.example": False, "http://evil.example": False, "null": False,
        }.items():
            with self.subTest(origin=origin):
                _, fields, _ = self.check("/status", 200, headers=["Origin: " + origin])
                self.assertEqual(fields.get("access-control-allow-origin"), origin if allowed else None)
                self.assertEqual(fields["vary"], "Origin")
        _, fields, _ = self.check("/v1/ids", 403, headers=["Origin: http://10.0.0.7:7451"])
        self.assertNotIn("access-control-allow-origin", fields)

    def test_names(self):
        """A stranger's name that leads here (DNS rebinding) reads nothing, mints nothing, drains nobody; probes are answered under any."""
        for host, allowed in {"127.0.0.1": True, "127.0.0.1:7451": True, "[::1]:7451": True, "[fe80::1]": True, "localhost:7451": True, "worker-0": True,
                              "worker.example": True, "WORKER.example.:80": True, "evil.example": False, "evil.example:7451": False,
                              "127.0.0.1.evil.example": False, "xworker.example": False, "worker.example.evil.example": False, "1.2.3": False,
                              "worker.example,other.example": None, "[evil.example]": False}.items():
            with self.subTest(host=host):
                want = 400 if allowed is None else 200 if allowed else 403
                for path in ("/status", "/fleet", "/metrics", "/", "/v1/ids"):
                    self.check(path, want, host=host)
                self.check("/drain", {200: 202}.get(want, want), host=host, method="POST")
                for path in ("/livez", "/readyz", "/healthz", "/startupz"):
                    self.assertEqual(self.admin.ask(path, host=host)[0], 400 if allowed is None else self.admin.ask(path)[0])
        self.assertEqual(self.admin.raw(b"GET /status HTTP/1.0\r\n\r\n").split(b" ")[1], b"200")

    def test_tokens(self):
        """Everything but probes, metrics and the page itself; a page of another worker may send its token."""
        self.assertEqual(self.admin.close(), 0)
        self.admin = Admin({"tokens": "ops:swordfish\n", "fleet.json": json.dumps({"workers": [{"admin": "10.0.0.7:7451"}]})})
        mine, other = ["Authorization: Bearer swordfish"], "Origin: http://10.0.0.7:7451"
        for path in ("/status", "/fleet", "/v1/ids"):
            _, fields, _ = self.check(path, 401, headers=[other] if path != "/v1/ids" else [])
            self.assertEqual(fields["www-authenticate"], "Bearer")
            self.check(path, 401, headers=["Authorization: Bearer swordfisH"])
            self.check(path, 200, headers=mine)
        for path in ("/", "/metrics", "/livez"):
            self.check(path, 200)
        for path in ("/status", "/fleet"):
            _, fields, _ = self.check(path, 200, "", method="OPTIONS", headers=[other, "Access-Control-Request-Headers: authorization"])
            self.assertEqual(fields["access-control-allow-origin"], "http://10.0.0.7:7451")
            self.assertEqual(fields["access-control-allow-headers"], "Authorization")
            for origin in ("http://evil.example", "https://10.0.0.7:7451", "null"):
                _, fields, _ = self.check(path, 403, method="OPTIONS", headers=["Origin: " + origin])
                self.assertNotIn("access-control-allow-origin", fields)
                self.assertNotIn("access-control-allow-headers", fields)
        _, fields, _ = self.check("/status", 401, headers=[other])
        self.assertEqual(fields["access-control-allow-origin"], "http://10.0.0.7:7451", "so that the page can tell why")
        for path in ("/v1/ids", "/drain", "/metrics"):
            self.assertIn(self.admin.ask(path, method="OPTIONS", headers=[other])[0], (401, 405))

    def test_console(self):
        _, fields, text = self.check("/", 200)
        self.assertEqual(fields["content-type"], "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", fields["content-security-policy"])
        folder = pathlib.Path(__file__).resolve().parents[2] / "src/admin/console"
        page = (folder / "page.html").read_text(encoding="utf-8")
        parts = re.findall(r"<!-- part (\S+) -->\n", page)
        self.assertEqual(sorted(parts + ["page.html"]), sorted(path.name for path in folder.iterdir()), "every file of the folder is a part of the page")
        self.assertEqual(text, re.sub(r"<!-- part (\S+) -->\n", lambda part: (folder / part.group(1)).read_text(encoding="utf-8"), page))

    def test_stops_with_open_connections(self):
        crowd = [self.admin.connect() for _ in range(10)]
        self.check("/livez", 200)
        self.closed = True
        self.assertEqual(self.admin.close(), 0)
        for s in crowd:
            s.close()

    def test_taken_port(self):
        second = subprocess.run([PROGRAM, self.admin.dir, str(self.admin.port)], stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=WAIT_S, check=False)
        self.assertEqual(second.returncode, 78)
        self.assertIn(b"EADDRINUSE", second.stderr)


if __name__ == "__main__":
    unittest.main()
