"""Frames of the protocol (docs/protocol.md)."""
from __future__ import annotations

import struct

HEADER = struct.Struct(">IBBHI")
_NEXT = struct.Struct(">IBBHII")
_NEXT_AFTER = struct.Struct(">IBBHIIQ")
_RUN = struct.Struct(">QI")
LENGTH_MIN, LENGTH_MAX = 8, 65536

NEXT, INFO, AUTH = 0x01, 0x03, 0x05
ANSWER, ERROR, GOAWAY = 0x80, 0xBF, 0xC0

(OK, BAD_REQUEST, UNSUPPORTED, TOO_LARGE, NOT_READY, CLOCK, OVERLOADED, RATE_LIMITED, DRAINING, DENIED, CAUSALITY, INTERNAL) = range(12)
STATUS_NAMES = ("OK", "BAD_REQUEST", "UNSUPPORTED", "TOO_LARGE", "NOT_READY", "CLOCK", "OVERLOADED", "RATE_LIMITED", "DRAINING", "DENIED",
                "CAUSALITY", "INTERNAL")

Run = tuple[int, int]  # first, count: the IDs first, first + 1, ... first + count - 1


def status_name(status: int) -> str:
    """For people."""
    return STATUS_NAMES[status] if status < len(STATUS_NAMES) else f"status {status}"


def put(kind: int, request_id: int, body: bytes = b"", code: int = 0) -> bytes:
    """A whole frame."""
    return HEADER.pack(8 + len(body), 1, kind, code, request_id) + body


def put_next(request_id: int, count: int, after: int | None = None) -> bytes:
    """A request for IDs."""
    if after is None:
        return _NEXT.pack(12, 1, NEXT, 0, request_id, count)
    return _NEXT_AFTER.pack(20, 1, NEXT, 1, request_id, count, after)


def get_runs(body: bytes, count: int) -> list[Run] | None:
    """None where it is not what docs/protocol.md allows, or not `count` IDs."""
    if len(body) == 12:  # as ever
        first, n = _RUN.unpack(body)
        return [(first, n)] if n == count and n > 0 and first + n <= 1 << 63 else None
    if not body or len(body) % 12:
        return None
    runs, last, total = [], -1, 0
    for first, n in _RUN.iter_unpack(body):
        if n == 0 or first <= last or first + n > 1 << 63:
            return None
        last = first + n - 1
        total += n
        runs.append((first, n))
    return runs if total == count else None


def get_refusal(body: bytes) -> tuple[int, str] | None:
    """(retry_after_ms, reason), or None."""
    if len(body) < 4:
        return None
    return int.from_bytes(body[:4], "big"), body[4:154].decode(errors="replace")
