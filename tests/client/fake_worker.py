"""A small worker for tests of the tool: answers NEXT and INFO on one port and the admin paths on another."""
import http.server
import json
import socketserver
import ssl
import struct
import threading
import time

EPOCH_MS = 1704067200000


class Worker:
    def __init__(self, worker=3, fleet_id="6f3f7a1e-0000-4000-8000-000000000000", tls=None):
        self.worker = worker
        self.fleet_id = fleet_id
        self.lock = threading.Lock()
        self.word = 0
        self.repeat = None  # an ID to give out instead of a fresh one
        self.workers = []  # told in INFO
        self.asked = 0
        self.hang_up = False  # on NEXT, without a farewell
        self.drained = threading.Event()
        self.answering = True  # on the admin paths
        self.node = "host-a"
        outer = self

        class Data(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    outer.serve(tls.wrap_socket(self.request, server_side=True) if tls else self.request)
                except (OSError, ssl.SSLError):
                    pass  # what clients do to us is their test's business

        class Admin(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, code, body, kind="application/json"):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                known = {"/status": outer.status, "/fleet": outer.fleet}
                if not outer.answering:
                    self.reply(503, b"not now", "text/plain")
                elif self.path in known:
                    self.reply(200, json.dumps(known[self.path]()).encode())
                else:
                    self.reply(404, b"no such path", "text/plain")

            def do_POST(self):
                assert self.path == "/drain" and "Origin" not in self.headers
                outer.drained.set()
                self.reply(202, b"draining", "text/plain")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.data = Server(("127.0.0.1", 0), Data)
        self.admin = Server(("127.0.0.1", 0), Admin)
        self.address = "127.0.0.1:%d" % self.data.server_address[1]
        self.admin_url = "http://127.0.0.1:%d" % self.admin.server_address[1]
        for server in (self.data, self.admin):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self):
        for server in (self.data, self.admin):
            server.shutdown()
            server.server_close()

    def runs(self, count, after):
        with self.lock:
            self.word = max(self.word + 1, (int(time.time() * 1000) - EPOCH_MS) << 12)
            if after is not None:
                self.word = max(self.word, ((after >> 22) << 12 | (after & 4095)) + 1)
            while count > 0:
                n = min(count, 4096 - (self.word & 4095))
                first = (self.word >> 12) << 22 | self.worker << 12 | (self.word & 4095)
                if self.repeat is not None:
                    first, n = self.repeat, 1
                yield struct.pack(">QI", first, n)
                self.word += n
                count -= n
            self.word -= 1

    def serve(self, sock):
        stream = sock.makefile("rwb")
        while True:
            head = stream.read(12)
            if len(head) < 12:
                return
            length, _, kind, flags, request_id = struct.unpack(">IBBHI", head)
            body = stream.read(length - 8)
            if kind == 3:
                answer = json.dumps({"fleet_id": self.fleet_id, "epoch_ms": EPOCH_MS, "max_batch": 65536, "workers": self.workers,
                                     "layout": {"timestamp": 41, "datacenter": 5, "worker": 5, "sequence": 12}}).encode()
            elif self.hang_up:
                return
            else:
                self.asked += 1
                count = struct.unpack(">I", body[:4])[0]
                after = struct.unpack(">Q", body[4:])[0] if flags & 1 else None
                answer = b"".join(self.runs(count, after))
            stream.write(struct.pack(">IBBHI", 8 + len(answer), 1, kind | 0x80, 0, request_id) + answer)
            stream.flush()

    def status(self):
        return {"fleet": "default", "fleet_id": self.fleet_id, "datacenter": 0, "worker": self.worker, "fence": 17,
                "state": "ready", "ready": True, "why": "", "node": self.node, "address": self.address, "admin": self.admin_url[7:],
                "version": "0.1.0", "clock": {
                    "verdict": "ok", "text": "offset 0.2ms", "offset_ns": 200000,
                    "sources": [{"name": "ntp", "up": True, "status": "synced", "offset_ns": -200000, "error_ns": 1100000, "age_ms": 2000,
                                 "text": "1 of 2 servers agree"},
                                {"name": "kernel", "up": False, "status": "unsynced", "offset_ns": 0, "error_ns": 0, "age_ms": 0, "text": ""}],
                    "servers": [{"name": "ntp:a", "address": "10.0.0.1:123", "state": "falseticker", "offset_ns": 5000000000,
                                 "error_ns": 1000000, "age_ms": 500, "polls": 20, "answers": 18, "refused": 2, "last_refusal": "origin"},
                                {"name": "ntp:b", "address": "", "state": "no answer", "offset_ns": None, "error_ns": None,
                                 "age_ms": None, "polls": 3, "answers": 0, "refused": 0, "last_refusal": ""}]},
                "reservation": {"reserved_until_ms": 1795219790000, "left_ms": 590000},
                "coordinator": {"backend": "local", "connected": True}, "connections": 12, "ids_minted": 5,
                "ids_per_s": 41000.5, "latency": {"p50_us": 21, "p95_us": None, "p99_us": 95},
                "checks": [{"name": "slot", "ok": True, "text": "datacenter 0 worker 3"}]}

    def fleet(self):
        return {"fleet": "default", "slots": [{"state": "held"}, {"state": "free"}], "waiting": 0,
                "workers": [{"admin": self.admin_url[7:], "worker": self.worker}, {"admin": "127.0.0.1:1", "worker": 9}]}
