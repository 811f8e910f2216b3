"""A proxy in front of a coordinator that makes garbage of its answers, as a bad network, a hostile hop or another program at that
port would. Each kind is a function of one answer: the bytes that go on in its place, or None: the connection ends after what was sent.

    proxy = ZooKeeperGarbage(port); proxy.kind = "huge length"; ...; proxy.kind = None
    proxy = HttpGarbage(port), for etcd's gateway
"""
import random
import re
import struct

from faultproxy import FaultProxy

HEADER = 16  # of an answer: xid, zxid, err


def framed(payload):
    return struct.pack(">i", len(payload)) + payload


def with_int(payload, at, value):
    return payload[:at] + struct.pack(">i", value) + payload[at + 4:] if len(payload) >= at + 4 else payload


def flip(payload, bits):
    changed = bytearray(payload)
    for bit in bits:
        if bit // 8 < len(changed):
            changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Frames:
    """Kinds of garbage for one connection to ZooKeeper: it remembers what has passed."""

    def __init__(self, seed):
        self.random, self.held, self.count = random.Random(seed), None, 0

    def event(self, path, kind=3):
        return framed(struct.pack(">iqi", -1, -1, 0) + struct.pack(">iii", kind, 3, len(path)) + path.encode())

    def swapped(self, payload):
        if self.held is None:
            self.held = payload
            return b""
        first, self.held = self.held, None
        return framed(payload) + framed(first)

    def every_third(self, payload, garbage):
        self.count += 1
        return garbage if self.count % 3 == 0 else framed(payload)

    # Of every answer but the first of a connection, which makes the session.
    ANSWERS = {
        "length with a flipped bit": lambda s, p: flip(framed(p), [s.random.randrange(32)]),
        "negative length": lambda s, p: struct.pack(">i", -len(p)) + p,
        "huge length": lambda s, p: struct.pack(">i", 0x7fffffff) + p,
        "length of a gigabyte, then pings": lambda s, p: struct.pack(">i", 1 << 30) + struct.pack(">iqi", -2, 1, 0) * 50,
        "length zero": lambda s, p: framed(b"") + framed(p),
        "length that is too small": lambda s, p: struct.pack(">i", max(len(p) - 5, 1)) + p,
        "length that is too large by one": lambda s, p: struct.pack(">i", len(p) + 1) + p,
        "xid with a flipped bit": lambda s, p: framed(flip(p, [s.random.randrange(32)])),
        "xids in the wrong order": lambda s, p: s.swapped(p),
        "xid of nobody": lambda s, p: framed(with_int(p, 0, 123456)),
        "zxid with a flipped bit": lambda s, p: framed(flip(p, [32 + s.random.randrange(64)])),
        "negative zxid": lambda s, p: framed(p[:4] + struct.pack(">q", -5) + p[12:]),
        "err with a flipped bit": lambda s, p: framed(flip(p, [96 + s.random.randrange(32)])),
        "unknown err": lambda s, p: framed(with_int(p, 12, -9999)),
        "no node, with the node": lambda s, p: framed(with_int(p, 12, -101)),
        "ok, without what was asked": lambda s, p: framed(p[:4] + p[4:12] + struct.pack(">i", 0)),
        "repeated answer": lambda s, p: framed(p) * 2,
        "truncated, then the end": lambda s, p: None if len(p) < HEADER + 4 else framed(p)[:len(p) - 3],
        "truncated, well framed": lambda s, p: framed(p[:max(len(p) - 7, HEADER)]),
        "header only in half": lambda s, p: framed(p[:9]),
        "trailing bytes": lambda s, p: framed(p + b"\xde\xad\xbe\xef" * 5),
        "negative length within": lambda s, p: framed(with_int(p, HEADER, -7)),
        "length -1 within": lambda s, p: framed(with_int(p, HEADER, -1)),
        "huge length within": lambda s, p: framed(with_int(p, HEADER, 0x7fffffff)),
        "count of a million within": lambda s, p: framed(with_int(p, HEADER, 1000000)),
        "all of the body zero": lambda s, p: framed(p[:HEADER] + bytes(len(p) - HEADER)),
        "all of the body ones": lambda s, p: framed(p[:HEADER] + b"\xff" * (len(p) - HEADER)),
        "zeros only": lambda s, p: framed(bytes(len(p))),
        "ones only": lambda s, p: b"\xff" * (len(p) + 4),
        "random bytes": lambda s, p: bytes(s.random.randrange(256) for _ in range(len(p) + 4)),
        "flipped bits anywhere": lambda s, p: framed(flip(p, [s.random.randrange(8 * len(p)) for _ in range(3)])),
        "another program's answer": lambda s, p: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "events for nothing": lambda s, p: s.event("/nothing") * 30 + framed(p),
        "events of an unknown kind": lambda s, p: s.event("/nothing", 77) + s.event("", -1) + framed(p),
        "truncated event": lambda s, p: framed(struct.pack(">iqi", -1, -1, 0) + b"\0\0") + framed(p),
        "event with a huge path": lambda s, p: framed(struct.pack(">iqiiii", -1, -1, 0, 3, 3, 0x7ffffff0)) + framed(p),
        "answers to no ping": lambda s, p: framed(struct.pack(">iqi", -2, 1, 0)) * 5 + framed(p),
        "failed login that nobody tried": lambda s, p: framed(struct.pack(">iqi", -4, 0, -115)) + framed(p),
        "answer to no set of watches": lambda s, p: framed(struct.pack(">iqi", -8, 0, 0)) + framed(p),
        "now and then random": lambda s, p: s.every_third(p, framed(bytes(s.random.randrange(256) for _ in range(len(p))))),
    }
    # Of the first answer: protocol, timeout, session, password, read-only.
    GREETINGS = {
        "greeting with a flipped bit": lambda s, p: framed(flip(p, [s.random.randrange(8 * 16)])),
        "greeting with a huge password": lambda s, p: framed(with_int(p, 16, 0x7fffffff)),
        "greeting with a negative password": lambda s, p: framed(with_int(p, 16, -3)),
        "greeting with a short password": lambda s, p: framed(p[:16] + struct.pack(">i", 3) + b"abc\0"),
        "greeting with a negative timeout": lambda s, p: framed(with_int(p, 4, -1000)),
        "greeting with a huge timeout": lambda s, p: framed(with_int(p, 4, 0x7fffffff)),
        "truncated greeting": lambda s, p: framed(p[:11]),
        "endless greeting": lambda s, p: struct.pack(">i", 0x10000000) + p,
        "repeated greeting": lambda s, p: framed(p) * 3,
        "greeting of zeros": lambda s, p: framed(bytes(len(p))),
    }


class ZooKeeperGarbage(FaultProxy):
    KINDS = list(Frames.ANSWERS) + list(Frames.GREETINGS)

    def __init__(self, behind):
        self.kind, self._state, self._rest, self._greeted = None, {}, {}, set()
        self._connections = 0
        super().__init__(behind)

    def _garble(self, sink, payload):
        kind, greeting = self.kind, sink not in self._greeted
        self._greeted.add(sink)
        garble = (Frames.GREETINGS if greeting else Frames.ANSWERS).get(kind)
        if sink not in self._state:
            self._connections += 1
            self._state[sink] = Frames(f"{kind} {self._connections}")
        return framed(payload) if garble is None else garble(self._state[sink], payload)

    def _pass_on(self, sink, data, answers):
        if not answers:
            super()._pass_on(sink, data, answers)
            return
        data = self._rest.get(sink, b"") + data
        while len(data) >= 4 and len(data) >= 4 + (size := struct.unpack(">i", data[:4])[0]):
            out = self._garble(sink, data[4:4 + size])
            data = data[4 + size:]
            if out is None:
                raise OSError("the connection ends here")
            if out:
                super()._pass_on(sink, out, answers)
        self._rest[sink] = data


def header(data, name, value):
    return re.sub(rb"(?i)" + name + rb": [^\r]*", name + b": " + value, data, count=1)


def body(data, change):
    head, blank, rest = data.partition(b"\r\n\r\n")
    return head + blank + change(rest) if blank else data


def rebuilt(data, change):
    """With the length that fits what the body has become."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return data
    rest = change(rest)
    return header(head, b"Content-Length", str(len(rest)).encode()) + blank + rest


def scattered(data, count, seed):
    return flip(data, [random.Random(seed).randrange(8 * len(data)) for _ in range(count)])


class HttpGarbage(FaultProxy):
    """Of each piece of an answer of etcd's gateway."""
    KINDS = {
        "status with a flipped bit": lambda d: flip(d, [8 * 9 + 1]),
        "status of none": lambda d: b"HTTP/1.1 999 What\r\n" + d.partition(b"\r\n")[2],
        "negative length": lambda d: header(d, b"Content-Length", b"-5"),
        "huge length": lambda d: header(d, b"Content-Length", b"99999999999999999999999"),
        "length of a gigabyte": lambda d: header(d, b"Content-Length", b"1073741824"),
        "length that is too small": lambda d: header(d, b"Content-Length", b"3"),
        "no header": lambda d: d.partition(b"\r\n\r\n")[2] or d,
        "no body": lambda d: rebuilt(d, lambda b: b""),
        "repeated answer": lambda d: d + d,
        "truncated, then the end": lambda d: None,
        "truncated, well framed": lambda d: rebuilt(d, lambda b: b[:len(b) // 2]),
        "trailing bytes": lambda d: d + b"\xde\xad\xbe\xef" * 5,
        "not JSON": lambda d: rebuilt(d, lambda b: b"<html>no</html>"),
        "another JSON": lambda d: rebuilt(d, lambda b: b"[1,2,{}]"),
        "an empty object": lambda d: rebuilt(d, lambda b: b"{}"),
        "deep JSON": lambda d: rebuilt(d, lambda b: b"[" * 3000),
        "keys twice": lambda d: rebuilt(d, lambda b: b.replace(b"{", b'{"header":1,"header":{},', 1)),
        "numbers negative": lambda d: rebuilt(d, lambda b: re.sub(rb':"(\d+)"', rb':"-\1"', b)),
        "numbers huge": lambda d: rebuilt(d, lambda b: re.sub(rb':"\d+"', b':"99999999999999999999999999"', b)),
        "numbers zero": lambda d: rebuilt(d, lambda b: re.sub(rb':"\d+"', b':"0"', b)),
        "numbers that are lists": lambda d: rebuilt(d, lambda b: re.sub(rb':"\d+"', b":[]", b)),
        "values that are no base64": lambda d: rebuilt(d, lambda b: re.sub(rb'"value":"[^"]*"', b'"value":"%%%"', b)),
        "values cut": lambda d: rebuilt(d, lambda b: re.sub(rb'"value":"([^"]{4})[^"]*"', rb'"value":"\1"', b)),
        "body with flipped bits": lambda d: body(d, lambda b: scattered(b, 5, d) if b else b),
        "flipped bits anywhere": lambda d: scattered(d, 4, d),
        "ones only": lambda d: b"\xff" * len(d),
        "random bytes": lambda d: random.Random(d).randbytes(len(d)),
        "zeros only": lambda d: bytes(len(d)),
        "endless header": lambda d: b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200000,
    }

    def __init__(self, behind):
        self.kind = None
        super().__init__(behind)

    def _pass_on(self, sink, data, answers):
        garble = self.KINDS.get(self.kind) if answers else None
        out = data if garble is None else garble(data)
        if out is None:
            super()._pass_on(sink, data[:len(data) // 2], answers)
            raise OSError("the connection ends here")
        super()._pass_on(sink, out, answers)
