"""A small worker: what the common suite (tests/clients) plays is not played again here, but what only Python has."""
import json
import socket
import socketserver
import struct
import threading
import time

INFO = json.dumps({"fleet_id": "f", "epoch_ms": 1704067200000, "max_batch": 65536,
                   "layout": {"timestamp": 41, "datacenter": 5, "worker": 5, "sequence": 12}}).encode()


class Worker(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, at=("127.0.0.1", 0)):
        self.last, self.asked, self.silent, self.lock = 5 << 40, 0, False, threading.Lock()
        self.slow_s = 0.0
        if isinstance(at, str):
            self.address_family = socket.AF_UNIX
        super().__init__(at, Handler)
        self.address = f"unix:{at}" if isinstance(at, str) else "127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        stream, server = self.request.makefile("rwb"), self.server
        while len(head := stream.read(12)) == 12:
            length, _, kind, _, request_id = struct.unpack(">IBBHI", head)
            body = stream.read(length - 8)
            answer = INFO
            if kind == 1:
                with server.lock:
                    server.asked += 1
                    count = struct.unpack_from(">I", body)[0]
                    first, server.last = server.last + 1, server.last + count
                if server.silent:
                    continue
                time.sleep(server.slow_s)
                answer = struct.pack(">QI", first, count)
            stream.write(struct.pack(">IBBHI", 8 + len(answer), 1, kind | 0x80, 0, request_id) + answer)
            stream.flush()
