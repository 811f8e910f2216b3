"""One connection: socket or TLS, buffers, and the requests that wait for their answers, in order. Never blocks; the engine's host says when the
socket is ready."""
from __future__ import annotations

import errno
import os
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING

from . import frames
from .options import UNIX
from .policy import BROKEN, LOST, SILENT, UNREACHED, Server

if TYPE_CHECKING:
    from .calls import Attempt
    from .engine import Engine

CONNECTING, HANDSHAKING, UP, LEAVING, ENDED = range(5)
CALL, PROBE, INFO, AUTH = range(4)
_FRAME_OF = {CALL: frames.NEXT, PROBE: frames.NEXT, INFO: frames.INFO, AUTH: frames.AUTH}

# Requests in flight on one connection. What comes meanwhile waits together and goes out together, as one request: the slower the answers, the
# more callers share one.
IN_FLIGHT_MAX = 4
# A connection whose oldest request has waited this many attempt timeouts, and a second, is given up.
SILENCE_FACTOR = 10
_READ_SIZE = 65540


class Request:
    """One frame that waits for its answer."""

    __slots__ = ("id", "kind", "count", "floor", "after", "sent", "silent", "attempts")

    def __init__(self, id_: int, kind: int, sent: float, count: int = 0, floor: int = 0, attempts: list[Attempt] | None = None):
        self.id, self.kind, self.sent, self.count, self.floor = id_, kind, sent, count, floor
        self.attempts: list[Attempt] = attempts or []
        self.after: int | None = None
        self.silent = False


def _unix_path(text: str) -> str:
    """The kernel's way to write it: an abstract name begins with a zero."""
    path = text[len(UNIX):]
    return "\0" + path[1:] if path.startswith("@") else path


class Conn:
    def __init__(self, engine: Engine, server: Server, now: float):
        self.engine, self.server = engine, server
        self.state = CONNECTING
        self.waiting: deque[Attempt] = deque()
        self.pending: deque[Request] = deque()
        self.heard = now
        self.denied = self.asking_info = self.nameless = self.ids_came = self.announced = self.answered = self.checking = False
        self.last_id = 0
        self._next_id = 0
        self._out = bytearray()
        self._in = bytearray()
        self._writing = True
        family = socket.AF_UNIX if server.local else socket.AF_INET6 if ":" in server.at[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        if not server.local:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = self.socket.fileno()
        code = self.socket.connect_ex(_unix_path(server.at[0]) if server.local else server.at)
        engine.host.watch(self, self.fd, False, True)
        if code not in (0, errno.EINPROGRESS):
            engine.soon(lambda: self.end(UNREACHED, f"connect: {os.strerror(code)}"))
        engine.at(now + engine.options.connect_timeout_ms / 1e3, self._connect_timeout)

    def _connect_timeout(self) -> None:
        if self.state in (CONNECTING, HANDSHAKING):
            self.end(UNREACHED, f"no connection within {self.engine.options.connect_timeout_ms} ms")

    # --- requests ---

    def open(self) -> bool:
        """May a new request go out here?"""
        return self.state <= UP

    def _ask(self, kind: int, body: bytes, now: float) -> None:
        self._next_id = self._next_id + 1 & 0xFFFFFFFF
        self.pending.append(Request(self._next_id, kind, now))
        self._out += frames.put(_FRAME_OF[kind], self._next_id, body)

    def ask_info(self, now: float) -> None:
        """Who the worker is, and who its fellows are: beside the other requests."""
        if self.state == UP and not self.asking_info:
            self.asking_info = True
            self._ask(INFO, b"", now)

    def _introduce(self, now: float) -> None:
        self.denied = False
        if self.engine.options.token is not None:
            self._ask(AUTH, self.engine.options.token.encode(), now)
        self.asking_info = True
        self._ask(INFO, b"", now)

    def flush(self, now: float) -> None:
        """Makes frames of the attempts that wait: one for all that can share it, the sum of their counts; sends as far as the socket takes it."""
        if self.state != UP:
            return
        waiting, pending = self.waiting, self.pending
        if waiting:
            if self.denied:
                self._introduce(now)
            elif self.nameless:
                self.ask_info(now)
        most = self.server.max_batch
        while waiting and len(pending) < IN_FLIGHT_MAX:
            first = waiting.popleft()
            if first.abandoned:
                first.drop()
                continue
            self._next_id = self._next_id + 1 & 0xFFFFFFFF
            request = Request(self._next_id, PROBE if first.call is None else CALL, now, first.count, self.server.last_id, [first])
            after = first.after
            if first.call is not None:
                while after is None and waiting:  # max_batch 0: not known yet, so each for itself
                    other = waiting[0]
                    if other.call is None or other.after is not None or request.count + other.count > most:
                        break
                    waiting.popleft()
                    if other.abandoned:
                        other.drop()
                        continue
                    request.count += other.count
                    request.attempts.append(other)
                after = request.after = self.engine.later_than(after)
            pending.append(request)
            self._out += frames.put_next(self._next_id, request.count, after)
        if self._out:
            self._send()
            if not self.checking and self.pending:
                self.checking = True
                self.engine.at(now + self.engine.attempt_s, self._check)

    def _send(self) -> None:
        try:
            sent = self.socket.send(self._out)
            del self._out[:sent]
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            self.fail(error)
            return
        if bool(self._out) != self._writing:
            self._writing = bool(self._out)
            self.engine.host.watch(self, self.fd, True, self._writing)

    def _check(self) -> None:
        """Whoever waits for an answer judges the server himself; this is for the others, and for connections that stay silent."""
        engine = self.engine
        now, patience = engine.clock(), engine.attempt_s
        if not self.pending or self.state == ENDED:
            self.checking = False
            return
        age = now - self.pending[0].sent
        if age >= max(patience * SILENCE_FACTOR, 1):
            self.end(LOST, f"silent for {age * 1e3:.0f} ms")
            return
        if age >= patience and not self.pending[0].silent:
            self.pending[0].silent = True
            engine.report(self.server, SILENT)
        engine.at(now + max(patience - age, 0.001) if age < patience else now + patience, self._check)

    # --- events ---

    def on_ready(self, readable: bool, writable: bool, now: float) -> None:
        """The socket is ready: connects, handshakes, sends, receives."""
        if self.state == CONNECTING and (writable or readable):
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.end(UNREACHED, f"connect: {os.strerror(code)}")
                return
            context = None if self.server.local else self.engine.tls  # nobody is between the two
            if context is None:
                self._up(now)
            else:
                self.socket = context.wrap_socket(self.socket, server_hostname=self.engine.options.tls_server_name or self.server.host,
                                                  do_handshake_on_connect=False)
                self.state = HANDSHAKING
        if self.state == HANDSHAKING and isinstance(self.socket, ssl.SSLSocket):
            try:
                self.socket.do_handshake()
            except ssl.SSLWantReadError:
                self.engine.host.watch(self, self.fd, True, False)
                return
            except ssl.SSLWantWriteError:
                self.engine.host.watch(self, self.fd, True, True)
                return
            except OSError as error:
                self.fail(error)
                return
            self._up(now)
        if writable and self.state in (UP, LEAVING) and self._out:
            self._send()
        if readable and self.state in (UP, LEAVING):
            self._receive(now)

    def _up(self, now: float) -> None:
        self.state, self.announced = UP, True
        self.engine.stats["connects"] += 1
        waiting, self.waiting = self.waiting, deque()
        self._introduce(now)
        self.waiting = waiting
        self._writing = False
        self.engine.host.watch(self, self.fd, True, False)
        self.flush(now)

    def _receive(self, now: float) -> None:
        while self.state in (UP, LEAVING):
            try:
                data = self.socket.recv(_READ_SIZE)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self.fail(error)
                return
            if not data:
                self.end(LOST, "the server closed the connection")
                return
            self.heard = now
            if self._in:
                self._in += data
                data = bytes(self._in)
                self._in.clear()
            self._take_frames(data, now)
            if not isinstance(self.socket, ssl.SSLSocket):
                break  # what is left makes the socket ready again
        if self.state == LEAVING and not self.pending:
            self.end(LOST, "the server asked us to leave")
        elif self.waiting:
            self.flush(now)

    def _take_frames(self, data: bytes, now: float) -> None:
        at, size = 0, len(data)
        while size - at >= 4:
            length = int.from_bytes(data[at:at + 4], "big")
            if not frames.LENGTH_MIN <= length <= frames.LENGTH_MAX:
                self.end(BROKEN, "what came is no Snowfleet frame (length field)")
                return
            if size - at < 4 + length:
                break
            _, version, kind, code, request_id = frames.HEADER.unpack_from(data, at)
            wrong = self._take(version, kind, code, request_id, data[at + 12:at + 4 + length], now)
            if self.state == ENDED:
                return
            if wrong:
                self.end(BROKEN, wrong)
                return
            at += 4 + length
        self._in += data[at:]

    def _take(self, version: int, kind: int, code: int, request_id: int, body: bytes, now: float) -> str | None:
        """What is wrong with the frame, or None."""
        if version != 1:
            return "a frame of another protocol version came"
        if kind == frames.GOAWAY:
            if len(body) < 4:
                return "a malformed GOAWAY came"
            self._leave()
            return None
        if kind > frames.GOAWAY:
            return None  # a push of a later version
        if kind == frames.ERROR:
            if code in (frames.BAD_REQUEST, frames.UNSUPPORTED):
                return "the server could not read our stream"
            self.end(LOST, f"the server refused the connection: {frames.status_name(code)}")
            return None
        if not self.pending:
            return "an answer came that nobody asked for"
        request = self.pending[0]
        if request_id != request.id or kind != _FRAME_OF[request.kind] | frames.ANSWER:
            return "an answer came out of order"
        self.pending.popleft()
        self.answered = True
        return self.engine.on_answer(self, request, code, body, now)

    # --- the end ---

    def _leave(self) -> None:
        if self.state == UP:
            self.state = LEAVING
        self.engine.stats["goaways"] += 1
        self.forsake()
        self.engine.look_soon()

    def forsake(self) -> None:
        """Nothing new here: what was not sent yet goes over another connection."""
        if self.server.conn is self:
            self.server.conn = None
        moved, self.waiting = self.waiting, deque()
        for attempt in moved:
            self.engine.on_moved(attempt)

    def fail(self, error: OSError) -> None:
        """The socket gave an error."""
        text = str(error.strerror or error)
        # A peer that was killed says no farewell: that is a lost connection like any other.
        untrusted = isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError))
        self.end(LOST if self.announced else UNREACHED, text, "TLS" if untrusted else "UNREACHABLE")

    def end(self, outcome: int, why: str, code: str = "UNREACHABLE") -> None:
        """Closes, judges the server, hands its calls on. Only the first call of it counts."""
        if self.state == ENDED:
            return
        if not self.announced and outcome == LOST:
            outcome = UNREACHED
        self.state = ENDED
        self.engine.host.unwatch(self, self.fd)
        self.socket.close()
        if self.server.conn is self:
            self.server.conn = None
        self.engine.buried(self, outcome, "PROTOCOL" if outcome == BROKEN else code, why)

    def abandon(self) -> None:
        """In a forked child: the socket is the parent's. No farewell, no judgement."""
        self.state = ENDED
        fd = self.socket.detach()
        if fd >= 0:
            os.close(fd)
