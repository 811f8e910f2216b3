"""IDs that one request fetched for many calls."""
from __future__ import annotations

from collections import deque

from . import frames


class Prefetch:
    """Under the client's lock."""

    __slots__ = ("_runs", "_next", "_end", "_until", "max_age_s", "expired")

    def __init__(self, max_age_ms: int):
        self._runs: deque[frames.Run] = deque()
        self._next = self._end = self.expired = 0
        self._until = 0.0
        self.max_age_s = max_age_ms / 1e3

    def take(self, now: float) -> int | None:
        """An ID that is not too old, or None."""
        if self._next < self._end and now <= self._until:
            self._next += 1
            return self._next - 1
        return self._take_run(now)

    def _take_run(self, now: float) -> int | None:
        if now > self._until:
            self.expired += self._end - self._next + sum(count for _, count in self._runs)
            self.clear()
            return None
        if not self._runs:
            return None
        first, count = self._runs.popleft()
        self._next, self._end = first + 1, first + count
        return first

    def put(self, runs: list[frames.Run], asked: float) -> None:
        """What was asked for at this time. All that is there goes: it was too old, or used up."""
        self._runs = deque(runs)
        self._next = self._end = 0
        self._until = asked + self.max_age_s

    def clear(self) -> None:
        self._runs.clear()
        self._next = self._end = 0
