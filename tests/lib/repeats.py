"""Proxies that deliver a write twice and hand on the second answer, as a service mesh does that sends a POST again, or a network
that repeats what it had delivered. Everything that faultproxy.FaultProxy can do, and:

    proxy = repeats.proxy("etcd", port); proxy.twice = True           # every write from now on, on living connections too
    proxy.which = repeats.is_release                                  # only these; called with (the operations of a write)
    proxy.repeated = lambda: ...                                      # called when a second answer was handed on; until it returns,
                                                                      # no further request passes (it may set proxy.mode)

    proxy.stale = True                                                # etcd: reads are answered as the last ones of the same keys were
    proxy.answered_stale = lambda: ...                                # called when one was; as `repeated`
    proxy.keep = lambda operations: ...                               # etcd: these writes are remembered, and
    proxy.deliver_kept()                                              # come a second time now

The operations of a write are words: create, set, delete, check. Sessions, leases and watches pass as they are, and so do reads but for that.
Python standard library only.
"""
import http.client
import json
import re
import select
import struct
import threading

import faultproxy


def is_release(operations):
    """Gives a slot back: a record is set and a claim deleted in one step."""
    return "delete" in operations and "set" in operations


def is_claim(operations):
    return "create" in operations


class _Repeats(faultproxy.FaultProxy):
    def __init__(self, behind, **more):
        self.twice = False
        self.which = lambda operations: True
        self.repeated = lambda: None
        self.count = 0  # writes that were delivered twice
        self._answering = 0
        super().__init__(behind, **more)

    def _wanted(self, operations):
        return self.twice and bool(operations) and self.which(operations)

    def _held(self, answers):
        return super()._held(answers) or (not answers and self._answering > 0)

    def _second_answer(self, client, data):
        with self._changed:
            self._answering += 1
        try:
            self._pass_on(client, data, True)
            self.count += 1
            self.repeated()
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()


# --- ZooKeeper ---

CREATE, DELETE, SET, CHECK, MULTI, CREATE2 = 1, 2, 5, 13, 14, 15
NAMES = {CREATE: "create", CREATE2: "create", DELETE: "delete", SET: "set", CHECK: "check"}


def _skip_buffer(body, at):
    return at + 4 + max(0, struct.unpack_from(">i", body, at)[0])


def _multi(body):
    """The operations of a multi: headers (type, done, error) with a request after each."""
    found, at = [], 0
    while at + 9 <= len(body):
        kind, done = struct.unpack_from(">i?", body, at)
        at += 9
        if done or kind not in NAMES:
            break
        found.append(NAMES[kind])
        at = _skip_buffer(body, at)  # the path
        if kind in (CREATE, CREATE2):
            at = _skip_buffer(body, at)
            acls = struct.unpack_from(">i", body, at)[0]
            at += 4
            for _ in range(max(0, acls)):
                at = _skip_buffer(body, _skip_buffer(body, at + 4))
        elif kind == SET:
            at = _skip_buffer(body, at)
        at += 4 if kind in (CREATE, CREATE2, SET, DELETE, CHECK) else 0  # flags or version
    return found


def zookeeper_operations(frame):
    """frame: a request without its length."""
    if len(frame) < 8:
        return []
    kind = struct.unpack_from(">i", frame, 4)[0]
    if kind == MULTI:
        return _multi(frame[8:])
    return [NAMES[kind]] if kind in NAMES and kind != CHECK else []


class ZooKeeper(_Repeats):
    """The server sees the same request, with the same number, twice in a row. Its first answer is kept back."""

    def _begin(self, client, server):
        withheld, lock = {}, threading.Lock()  # numbers of requests whose first answer is kept back
        threading.Thread(target=self._requests, args=(client, server, withheld, lock), daemon=True).start()
        threading.Thread(target=self._answers, args=(server, client, withheld, lock), daemon=True).start()

    @staticmethod
    def _frames(source):
        stream = source.makefile("rb")
        while len(head := stream.read(4)) == 4:
            size = struct.unpack(">i", head)[0]
            frame = stream.read(size)
            if len(frame) < size:
                return
            yield head, frame

    def _requests(self, client, server, withheld, lock):
        first = True
        try:
            for head, frame in self._frames(client):
                data = head + frame
                if not first and self._wanted(zookeeper_operations(frame)):
                    with lock:
                        number = struct.unpack_from(">i", frame)[0]
                        withheld[number] = True
                    data += data
                first = False  # that is the connect request
                self._pass_on(server, data, False)
        except (OSError, ValueError):
            pass
        self._gate(False)
        self._over(client, server)

    def _answers(self, server, client, withheld, lock):
        first, due = True, set()  # due: requests whose second answer is yet to come
        try:
            for head, frame in self._frames(server):
                number = struct.unpack_from(">i", frame)[0]
                with lock:
                    keep_back = not first and number not in due and withheld.pop(number, None) is not None
                first = False
                if keep_back:
                    due.add(number)
                elif number in due:
                    due.discard(number)
                    self._second_answer(client, head + frame)
                else:
                    self._pass_on(client, head + frame, True)
        except (OSError, ValueError):
            pass
        self._gate(True)
        self._over(client, server)


# --- etcd ---

def etcd_operations(path, body):
    if path == "/v3/kv/put":
        return ["set"]
    if path == "/v3/kv/deleterange":
        return ["delete"]
    if path != "/v3/kv/txn":
        return []
    found = ["check"] * len(json.loads(body).get("compare", []))
    for operation in json.loads(body).get("success", []):
        for name, value in operation.items():
            if name in ("request_put", "requestPut"):
                found.append("create" if value.get("lease") else "set")
            elif name in ("request_delete_range", "requestDeleteRange"):
                found.append("delete")
    return found if set(found) - {"check"} else []


class _Stream:
    """What comes from one side, with a look at where a message of HTTP/1.1 ends."""

    def __init__(self, source):
        self.source, self.data = source, b""

    def _more(self):
        piece = self.source.recv(65536)
        if not piece:
            raise ConnectionError("closed")
        self.data += piece

    def take(self, size):
        while len(self.data) < size:
            self._more()
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def line(self):
        while b"\n" not in self.data:
            self._more()
        return self.take(self.data.index(b"\n") + 1)

    def head(self):
        """The first line and the headers, raw; and the headers by lower-case name."""
        raw, headers = self.line(), {}
        while (line := self.line()).strip():
            raw += line
            name, value = line.decode("latin-1").split(":", 1)
            headers[name.strip().lower()] = value.strip().lower()
        return raw + b"\r\n", headers


def etcd_read_keys(path, body):
    """What a transaction that writes nothing reads; None: it is none, or it writes."""
    if path != "/v3/kv/txn" or etcd_operations(path, body):
        return None
    ranges = [operation["request_range"] for operation in json.loads(body).get("success", []) if "request_range" in operation]
    return tuple((one["key"], one.get("range_end")) for one in ranges) or None


class Etcd(_Repeats):
    """The gateway gets the same POST a second time, when its first answer has been read to the end and thrown away. With `stale`, reads do
    not get there at all: what they are answered was read before, as by a cache, or over a connection that has an answer too many."""

    def __init__(self, behind, **more):
        self.stale, self.answered_stale, self._read = False, lambda: None, {}
        self.keep, self._kept = lambda operations: False, []
        super().__init__(behind, **more)

    def _answer_read(self, answers, client, server, keys, request):
        if self.stale and keys in self._read:
            self._pass_on(client, self._read[keys], True)
            self.answered_stale()
            return
        self._pass_on(server, request, False)
        self._read[keys] = b"".join(self._answer(answers, client))
        self._pass_on(client, self._read[keys], True)

    def deliver_kept(self):
        for path, body in self._kept:
            connection = http.client.HTTPConnection(self.host, self.behind, timeout=10)
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            connection.getresponse().read()
            connection.close()
        return len(self._kept)

    def _begin(self, client, server):
        threading.Thread(target=self._talk, args=(client, server), daemon=True).start()

    def _talk(self, client, server):
        requests, answers = _Stream(client), _Stream(server)
        try:
            while True:
                head, headers = requests.head()
                body = requests.take(int(headers.get("content-length", 0)))
                keys = etcd_read_keys(head.split()[1].decode(), body)
                if keys:
                    self._answer_read(answers, client, server, keys, head + body)
                    continue
                path = head.split()[1].decode()
                repeat = self._wanted(etcd_operations(path, body))
                if self.keep(etcd_operations(path, body)):
                    self._kept.append((path, body))
                if repeat:
                    # Not its last request on this connection, whatever the client says.
                    self._pass_on(server, re.sub(rb"(?im)^connection:.*\r\n", b"", head) + body, False)
                    for _ in self._answer(answers, client):
                        pass
                self._pass_on(server, head + body, False)
                if repeat:
                    self._second_answer(client, b"".join(self._answer(answers, client)))
                    continue
                for piece in self._answer(answers, client):
                    self._pass_on(client, piece, True)
        except (OSError, ValueError):
            pass
        self._gate(True)
        self._over(client, server)

    @staticmethod
    def _answer(stream, client):
        """The pieces of one answer, as they come. A stream (a watch) ends when the client goes."""
        head, headers = stream.head()
        yield head
        if "chunked" not in headers.get("transfer-encoding", ""):
            yield stream.take(int(headers.get("content-length", 0)))
            return
        while True:
            while not stream.data:
                ready = select.select([stream.source, client], [], [])[0]
                if client in ready and stream.source not in ready:
                    raise ConnectionError("the client has gone")  # nobody asks twice at once on a connection
                stream.data += stream.source.recv(65536) or b""
                if not stream.data:
                    raise ConnectionError("closed")
            size_line = stream.line()
            size = int(size_line.split(b";")[0], 16)
            yield size_line + stream.take(size + 2)
            if size == 0:
                return


KINDS = {"zookeeper": ZooKeeper, "etcd": Etcd}


def proxy(kind, behind, **more):
    return KINDS[kind](behind, **more)
