"""Calls of the program, and what they ask of servers."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import frames
from .errors import SnowfleetError

if TYPE_CHECKING:
    from .conn import Conn
    from .policy import Server


class Attempt:
    """A call's request to one server (None: a probe). It may share its frame with others."""

    __slots__ = ("call", "server", "conn", "count", "after", "sent", "abandoned")

    def __init__(self, call: Call | None, server: Server, conn: Conn, count: int, after: int | None, sent: float):
        self.call, self.server, self.conn, self.count, self.after, self.sent = call, server, conn, count, after, sent
        self.abandoned = False

    def drop(self) -> None:
        """It is not sent, or has been answered."""
        if self.call is not None:
            self.server.load -= 1


class Call:
    """One call of the program. `notify` is called when it is done."""

    __slots__ = ("count", "left", "after", "deadline", "notify", "done", "runs", "error", "in_flight", "sent", "tried", "round", "silenced", "hasty",
                 "bereft", "hedged", "last_error", "detail", "server", "retry_after_ms", "hedge", "wake", "armed")

    def __init__(self, count: int, after: int | None, deadline: float, notify: Callable[[], None] | None):
        self.count = self.left = count
        self.after, self.deadline, self.notify = after, deadline, notify
        self.done = self.silenced = self.hasty = self.bereft = self.hedged = False
        self.runs: list[frames.Run] = []
        self.error: SnowfleetError | None = None
        self.in_flight: list[Attempt] = []
        self.tried: list[Server] = []
        self.sent = self.round = self.retry_after_ms = 0
        self.last_error = self.detail = self.server = ""
        self.hedge, self.wake, self.armed = float("inf"), deadline, float("inf")

    def abandon(self) -> None:
        """No answer that is still to come counts any more."""
        for attempt in self.in_flight:
            attempt.abandoned = True
        self.in_flight.clear()

    def result(self) -> list[frames.Run]:
        """The runs, or raises."""
        if self.error is not None:
            raise self.error
        return self.runs
