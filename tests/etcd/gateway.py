"""An HTTP server between the etcd backend and etcd that loses, delays and makes up answers."""
import http.client
import socket
import threading
import time


class Gateway:
    """rule(path, body) decides on every request. None: pass on. (status, body): answer that, pass nothing on. "drop": pass on, then
    close without an answer. "refuse": read it, pass nothing on, close. ("late", seconds): pass on, answer later.
    ("edit", function): change the answer's bytes. A watch is passed through as a stream; with stall set, only its first line."""

    def __init__(self, port):
        self.port = port
        self.rule = lambda path, body: None
        self.stall = False
        self.requests = []
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.url = f"etcd://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _request(stream):
        line = stream.readline().decode()
        if not line:
            return None, None
        size = 0
        while header := stream.readline().decode().strip():
            name, value = header.split(":", 1)
            if name.lower() == "content-length":
                size = int(value)
        return line.split()[1], stream.read(size).decode()

    def _serve(self, client):
        stream = client.makefile("rb")
        try:
            while True:
                path, body = self._request(stream)
                if path is None:
                    return
                self.requests.append((path, body))
                if not self._one(client, path, body):
                    return
        except OSError:
            pass
        finally:
            stream.close()
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            client.close()

    def _one(self, client, path, body):
        action = self.rule(path, body)
        if action == "refuse":
            return False
        kind = action[0] if isinstance(action, tuple) else None
        if isinstance(kind, int):
            self._answer(client, kind, action[1].encode())
            return True
        upstream = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        upstream.request("POST", path, body, {"Content-Type": "application/json"})
        answer = upstream.getresponse()
        if path == "/v3/watch":
            with answer:
                return self._stream(client, answer)
        data = answer.read()
        upstream.close()
        if action == "drop":
            return False
        if kind == "late":
            time.sleep(action[1])
        if kind == "edit":
            data = action[1](data)
        self._answer(client, answer.status, data)
        return True

    @staticmethod
    def _answer(client, status, data):
        client.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                       % (status, len(data)) + data)

    def _stream(self, client, answer):
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while line := answer.readline():
            if not self.stall or b'"created"' in line:
                client.sendall(line)
        return False

    def count(self, part):
        return sum(part in body for _, body in self.requests)

    def close(self):
        self.listener.close()
