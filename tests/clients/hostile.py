"""A server that speaks the protocol (docs/protocol.md), well or badly as its script says. Python standard library only.

    server = Server(); server.script = lambda request: error(4) ; ...; server.close()

The script is called for each request, with a Request, on the connection's own thread. It returns None for the ordinary answer, the bytes to
send, or a list of bytes and numbers (seconds to wait). It may use request.connection to send and close by itself, and return b"" for nothing.
"""
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_ports  # noqa: E402

EPOCH_MS = 1704067200000
LAYOUT = {"timestamp": 41, "datacenter": 5, "worker": 5, "sequence": 12}
FLEET = "6f3f7a1e-0000-4000-8000-000000000000"
NEXT, PING, INFO, TIME, AUTH = 1, 2, 3, 4, 5
(OK, BAD_REQUEST, UNSUPPORTED, TOO_LARGE, NOT_READY, CLOCK, OVERLOADED, RATE_LIMITED, DRAINING, DENIED, CAUSALITY, INTERNAL, NOT_FOUND,
 EXHAUSTED) = range(14)


def frame(kind, code, request_id, body=b"", version=1):
    return struct.pack(">IBBHI", 8 + len(body), version, kind, code, request_id) + body


def runs(*pairs):
    return b"".join(struct.pack(">QI", first, count) for first, count in pairs)


def goaway(deadline_ms=5000, reason=b"drain"):
    return frame(0xC0, 0, 0, struct.pack(">I", deadline_ms) + reason)


class Request:
    def __init__(self, connection, number, kind, code, request_id, body):
        self.connection, self.number, self.kind, self.code, self.id, self.body = connection, number, kind, code, request_id, body
        self.count = struct.unpack_from(">I", body)[0] if kind == NEXT else 0
        self.after = struct.unpack_from(">Q", body, 4)[0] if kind == NEXT and code & 1 else None
        self.raw = frame(kind, code, request_id, body)
        self.at = time.monotonic()

    def answer(self, body=b"", code=OK):
        return frame(self.kind | 0x80, code, self.id, body)

    def error(self, status, retry_after_ms=0, reason=b"because"):
        return self.answer(struct.pack(">I", retry_after_ms) + reason, status)

    def ids(self, *pairs):
        return self.answer(runs(*pairs))


class Connection:
    def __init__(self, server, sock, number):
        self.server, self.socket, self.number = server, sock, number
        self.requests = []
        self.left = None  # how many requests had come when GOAWAY was sent

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def say_goaway(self, deadline_ms=5000):
        self.left = len(self.requests)
        self.send(goaway(deadline_ms))

    def close(self):
        for step in (lambda: self.socket.shutdown(socket.SHUT_RDWR), self.socket.close):
            try:
                step()
            except OSError:
                pass

    def take(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("closed")
            data += piece
        return data

    def run(self):
        try:
            while True:
                length, _, kind, code, request_id = struct.unpack(">IBBHI", self.take(12))
                request = Request(self, len(self.requests), kind, code, request_id, self.take(length - 8))
                self.requests.append(request)
                self.server.note(request)
                for piece in self.server.reply(request):
                    if isinstance(piece, bytes):
                        self.socket.sendall(piece)
                    else:
                        time.sleep(piece)
        except (OSError, ssl.SSLError, struct.error):
            pass
        finally:
            self.close()


class Server:
    def __init__(self, worker=1, fleet_id=FLEET, max_batch=65536, tls=None, token=None, layout=None, epoch_ms=EPOCH_MS, port=None):
        self.worker, self.fleet_id, self.max_batch, self.token = worker, fleet_id, max_batch, token
        self.layout, self.epoch_ms = layout or LAYOUT, epoch_ms
        self.workers = None  # told in INFO
        self.script = lambda request: None
        self.lock = threading.Lock()
        self.word = 0
        self.requests, self.connections = [], []
        self.tls = tls
        self.port = port
        self.listener = None
        while self.listener is None:
            try:
                self.port = port or free_ports(1)[0]
                self.listen()
            except OSError:  # somebody who does not ask for free ports took it meanwhile
                if port:
                    raise
        self.address = f"127.0.0.1:{self.port}"

    def listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self.port))
        except OSError:
            listener.close()
            raise
        listener.listen(64)
        self.listener = listener
        self.thread = threading.Thread(target=self._accept, args=(self.listener,), daemon=True)
        self.thread.start()

    def _accept(self, listener):
        while True:
            try:
                sock = listener.accept()[0]
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._begin, args=(sock,), daemon=True).start()

    def _begin(self, sock):
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except (OSError, ssl.SSLError):
                sock.close()
                return
        with self.lock:
            connection = Connection(self, sock, len(self.connections))
            self.connections.append(connection)
        connection.run()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def stop_listening(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def hang_up(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.close()

    def close(self):
        self.stop_listening()
        self.hang_up()

    def note(self, request):
        with self.lock:
            self.requests.append(request)

    def asked(self):
        """The requests for IDs so far."""
        with self.lock:
            return [request for request in self.requests if request.kind == NEXT]

    def reply(self, request):
        told = self.script(request)
        if told is None:
            told = self.ordinary(request)
        return told if isinstance(told, list) else [told]

    def shown(self, request):
        """Was the token shown on this connection?"""
        return self.token is None or any(each.kind == AUTH and each.body == self.token for each in request.connection.requests)

    def info(self):
        told = {"protocol": 1, "fleet": "test", "fleet_id": self.fleet_id, "epoch_ms": self.epoch_ms, "max_batch": self.max_batch,
                "layout": self.layout, "state": "ready", "datacenter": 0, "worker": self.worker, "version": "0.0.0 \"quoted\" {[\\",
                "later": {"member": [1, {"epoch_ms": 7, "layout": {"timestamp": 1}}]}}
        if self.workers is not None:
            told["workers"] = self.workers
        return json.dumps(told).encode()

    def ordinary(self, request):
        if request.kind == AUTH:
            return request.answer() if self.token in (None, request.body) else request.error(DENIED)
        if request.kind == PING:
            return request.answer(request.body)
        if not self.shown(request):
            return request.error(DENIED)
        if request.kind == INFO:
            return request.answer(self.info())
        if request.kind != NEXT:
            return request.error(UNSUPPORTED)
        if not 1 <= request.count <= self.max_batch:
            return request.error(TOO_LARGE)
        return request.answer(self.mint(request.count, request.after))

    def mint(self, count, after=None):
        """Runs, as a worker would give them: later than all before, and than `after` as a number."""
        bits = self.layout["sequence"]
        shift = bits + self.layout["worker"] + self.layout["datacenter"]
        most = 1 << bits
        body = b""
        with self.lock:
            self.word = max(self.word, (int(time.time() * 1000) - self.epoch_ms) << bits)
            if after is not None:
                self.word = max(self.word, ((after >> shift) + 1) << bits)
            while count > 0:
                n = min(count, most - (self.word & most - 1))
                body += struct.pack(">QI", (self.word >> bits) << shift | self.worker << bits | (self.word & most - 1), n)
                self.word += n
                count -= n
        return body

    def worker_of(self, identifier):
        return identifier >> self.layout["sequence"] & (1 << self.layout["worker"]) - 1
