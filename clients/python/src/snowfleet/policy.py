"""Whom to ask, when to ask again, and whom to leave alone: circuit breakers, retry budget, hedging, as in the C library (src/client/policy.c).

It sends nothing and knows no clock: times are arguments, in seconds.
"""
from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .options import UNIX, Options

if TYPE_CHECKING:
    from .conn import Conn
    from .names import Name

CLOSED, OPEN, PROBING = range(3)

# What an attempt, a probe or a connection came to: fine; says itself that others may do; full; INTERNAL; not connected; broke; no answer in
# time; nonsense, IDs out of order, another fleet.
FINE, UNUSABLE, FULL, FAULT, UNREACHED, LOST, SILENT, BROKEN = range(8)

_TRY_SPACING = 0.005  # for each server, while none works: 200 tries a second in all at most
FOREVER = float("inf")


class Server:
    """One address that may mint, and how it does."""

    __slots__ = ("address", "at", "host", "local", "name", "conn", "max_batch", "last_id", "gone", "state", "failures", "load", "open_for", "opened",
                 "probe_at", "probing_since", "busy_until")

    def __init__(self, at: tuple[str, int], host: str, name: Name):
        self.at, self.host, self.name = at, host, name
        self.local = at[0].startswith(UNIX)
        self.address = at[0] if self.local else f"[{at[0]}]:{at[1]}" if ":" in at[0] else f"{at[0]}:{at[1]}"
        self.conn: Conn | None = None
        self.max_batch = 0  # 0: not known yet
        self.last_id = 0
        self.gone = False
        self.state, self.failures, self.load = CLOSED, 0, 0
        self.open_for = self.opened = self.probe_at = self.probing_since = self.busy_until = 0.0


class Policy:
    def __init__(self, options: Options):
        self.servers: list[Server] = []
        self.random = random.Random()
        self.budget = float(options.retry_budget_max)
        self.latency = 0.0
        self.opens = 0
        self.troubled = False  # some server is not closed, or was not a moment ago
        self._options = options
        self._open_min, self._open_max = options.breaker_open_min_ms / 1e3, options.breaker_open_max_ms / 1e3
        self._idle = options.breaker_idle_ms / 1e3
        self._backoff_min, self._backoff_max = options.backoff_min_ms / 1e3, options.backoff_max_ms / 1e3

    def add(self, server: Server) -> None:
        server.open_for = self._open_min
        self.servers.append(server)

    def doubt(self, server: Server, now: float) -> None:
        """A server just added that nobody has heard yet is probed before calls are sent to it."""
        server.state, server.opened, server.probe_at = OPEN, now, now
        self.troubled = True

    def call_begins(self) -> None:
        self.budget = min(self.budget + self._options.retry_budget_percent / 100, self._options.retry_budget_max)

    def idle(self) -> float:
        """The time between two tries of one server while none works; FOREVER while one does."""
        for server in self.servers:
            if server.state == CLOSED:
                return FOREVER
        return max(_TRY_SPACING * len(self.servers), self._idle)

    def _due(self, server: Server, idle: float) -> float:
        if server.state == PROBING:  # one that nobody looked after lapses
            return server.probing_since + self._open_max
        return min(server.opened + idle, server.probe_at)

    def usable(self, now: float, tried: list[Server]) -> list[Server]:
        return [each for each in self.servers if each.state == CLOSED and now >= each.busy_until and each not in tried]

    def choose(self, now: float, tried: list[Server]) -> Server | None:
        """Of two random usable servers the less loaded. When none at all is usable, one that is due for a probe. None: nobody now."""
        able = self.usable(now, tried)
        if able:
            count = len(able)
            if count == 1:
                return able[0]
            chance = self.random.random
            a = int(chance() * count)
            first, second = able[a], able[(a + 1 + int(chance() * (count - 1))) % count]
            return second if second.load < first.load else first
        idle = self.idle()
        if idle == FOREVER:
            return None
        due = [each for each in self.servers if now >= self._due(each, idle)]
        if not due:
            return None
        self.random.shuffle(due)
        found = min(due, key=lambda each: each.probing_since if each.state == PROBING else each.opened)
        found.state, found.probing_since = PROBING, now
        return found

    def probe(self, now: float) -> Server | None:
        """A server to be probed beside the calls. Only while some server is closed: else calls are the probes."""
        ill = [each for each in self.servers if each.state != CLOSED]
        self.troubled = bool(ill)
        if len(ill) == len(self.servers) or not ill:
            return None
        due = min(ill, key=lambda each: self._due(each, FOREVER))
        if self._due(due, FOREVER) > now:
            return None
        due.state, due.probing_since = PROBING, now
        return due

    def wake(self, now: float) -> float:
        """When asking again makes sense if choose found nobody."""
        idle, wake = self.idle(), now + self._idle
        for each in self.servers:
            at = each.busy_until if each.state == CLOSED else self._due(each, idle)
            if now < at < wake:
                wake = at
        return wake

    def _move(self, server: Server, to: int, now: float) -> None:
        before, server.state = server.state, to
        if to == CLOSED:
            server.failures, server.open_for = 0, self._open_min
            return
        if before == CLOSED:
            self.opens += 1
            server.open_for = self._open_min
        else:
            server.open_for = min(server.open_for * 2, self._open_max)
        self.troubled = True
        server.opened = now
        server.probe_at = now + server.open_for * (1 + self.random.random()) / 2

    def report(self, server: Server, outcome: int, retry_after: float, now: float) -> None:
        """What came of it."""
        if server.gone:
            return
        if outcome in (FINE, FULL):
            if server.state != CLOSED:
                self._move(server, CLOSED, now)
            server.failures = 0
            if outcome == FULL:  # a little more than asked for, so that not all come back in the same instant
                until = now + retry_after + self.random.random() * (retry_after / 4 + self._backoff_min)
                server.busy_until = max(server.busy_until, until)
            return
        if server.state == OPEN:
            return  # old news
        server.failures += 1
        if server.state == PROBING or outcome not in (LOST, FAULT) or server.failures >= self._options.breaker_failures:
            self._move(server, OPEN, now)

    def retry_wait(self, now: float, tried: list[Server], round_: int) -> tuple[float, bool]:
        """(how long a call waits before it tries again after its round-th fruitless round, for want of budget?). 0: at once; a token is taken."""
        idle = self.idle()
        if idle != FOREVER:  # no server works: the next one as soon as it is due
            if any(self._due(each, idle) <= now for each in self.servers):
                return 1e-6, False
            return self.wake(now) - now, False
        if not self.usable(now, tried):
            return min(self._backoff_min * 2 ** min(round_, 30), self._backoff_max) * self.random.random() + 1e-6, False
        if self.budget >= 1:
            self.budget -= 1
            return 0, False
        return self._backoff_max * self.random.random() + 1e-6, True

    def answered(self, latency: float) -> None:
        """Stochastic approximation of a quantile, in steps that are parts of the estimate."""
        percentile = self._options.hedge_percentile
        if percentile == 0:
            return
        if self.latency == 0:
            self.latency = latency * 8
        step = self.latency / 16
        self.latency += step * percentile / 100 if latency > self.latency else -step * (100 - percentile) / 100

    def hedge(self) -> float:
        """How long to wait for an answer before another server is asked beside; FOREVER: never."""
        least = self._options.hedge_ms / 1e3
        if self._options.hedge_percentile == 0:
            return least or FOREVER
        return max(self.latency, least) if self.latency else FOREVER

    def may_hedge(self) -> bool:
        """Takes a token."""
        if self.budget < 1:
            return False
        self.budget -= 1
        return True
