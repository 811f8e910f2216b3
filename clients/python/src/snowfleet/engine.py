"""What happens to calls: a server is chosen and asked, asked again or beside another, and the call ends.

The engine never blocks and knows no threads: a host (client.py, aio.py) watches its sockets, runs its timers and holds its lock.
"""
from __future__ import annotations

import heapq
import itertools
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from . import frames
from .calls import Attempt, Call
from .conn import CALL, ENDED, INFO, LEAVING, PROBE, Conn, Request
from .errors import BY_CODE
from .ids import Layout
from .names import Names
from .options import COUNT_MAX, Options, parse_servers
from .policy import BROKEN, FAULT, FINE, FULL, LOST, SILENT, UNREACHED, UNUSABLE, CLOSED, Policy, Server

log = logging.getLogger("snowfleet")
log.addHandler(logging.NullHandler())

ATTEMPTS_MAX = 8  # requests of one call that may wait for an answer at a time
AFTER_LOSS = 4  # the part of the attempt timeout that a worker has alone once another one was silent or lost
_STALE_S = 0.05  # sockets that were left alone this long are looked at before they are used

# status: outcome, error, may another worker do better?
_VERDICTS: dict[int, tuple[int, str, bool]] = {
    frames.BAD_REQUEST: (FINE, "REFUSED", False), frames.UNSUPPORTED: (FINE, "REFUSED", False), frames.TOO_LARGE: (FINE, "REFUSED", False),
    frames.NOT_READY: (UNUSABLE, "NOT_READY", True), frames.CLOCK: (UNUSABLE, "CLOCK", True), frames.OVERLOADED: (FULL, "OVERLOADED", True),
    frames.RATE_LIMITED: (FINE, "RATE_LIMITED", False), frames.DRAINING: (UNUSABLE, "DRAINING", True), frames.DENIED: (FINE, "DENIED", False),
    frames.CAUSALITY: (FINE, "CAUSALITY", False), frames.INTERNAL: (FAULT, "INTERNAL", True)}

COUNTERS = ("calls", "ids", "attempts", "retries", "hedges", "silences", "late_answers", "budget_waits", "connects", "connect_failures",
            "disconnects", "goaways", "probes", "order_errors", "protocol_errors", "wrong_fleet", "prefetch_hits", "prefetch_fills",
            "prefetch_expired", "resolves", "resolve_failures", "discoveries")


class Host(Protocol):
    def watch(self, conn: Conn, fd: int, read: bool, write: bool) -> None: ...
    def unwatch(self, conn: Conn, fd: int) -> None: ...
    def from_thread(self, what: Callable[[], None]) -> None: ...


class Engine:
    def __init__(self, options: Options, host: Host):
        self.options, self.host = options, host
        self.clock = time.monotonic
        self.tls = options.tls_context()
        self.attempt_s = options.attempt_timeout_ms / 1e3
        entries = parse_servers(options.servers)
        self.layout: Layout | None = None
        self.fleet_id = ""
        self.causal_id = 0
        self.closed = False
        self.policy = Policy(options)
        self.stats: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self.calls_by_error: dict[str, int] = {}
        self.last_protocol_error = ""
        self.calls: set[Call] = set()
        self.conns: set[Conn] = set()
        self._dirty: set[Conn] = set()
        self._soon: list[Callable[[], None]] = []
        self._timers: list[tuple[float, int, Any]] = []
        self._order = itertools.count()
        self._turned = 0.0
        self.names = Names(self, entries)

    # --- for the host ---

    def soon(self, what: Callable[[], None]) -> None:
        """Is done by the next pump."""
        self._soon.append(what)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """A timer."""
        heapq.heappush(self._timers, (when, next(self._order), what))

    def next_timer(self) -> float:
        return self._timers[0][0] if self._timers else float("inf")

    def run_timers(self, now: float) -> None:
        """Does what is due."""
        timers = self._timers
        while timers and timers[0][0] <= now:
            what = heapq.heappop(timers)[2]
            if not isinstance(what, Call):
                what()
            elif not what.done:
                what.armed = float("inf")
                if what.wake <= now:
                    self._on_timer(what, now)
                else:
                    self._arm(what, what.wake)

    def pump(self) -> None:
        """Sends what waits."""
        while self._soon or self._dirty:
            if self._soon:
                todo, self._soon = self._soon, []
                for what in todo:
                    what()
            if self._dirty:
                dirty, self._dirty = self._dirty, set()
                now = self.clock()
                for conn in dirty:
                    conn.flush(now)

    def is_stale(self, now: float) -> bool:
        """Has nobody looked at the sockets for a while?"""
        stale, self._turned = now - self._turned > _STALE_S, now
        return stale

    def valid(self, count: object, after: object, timeout_ms: object) -> bool:
        return (type(count) is int and 1 <= count <= COUNT_MAX and (after is None or type(after) is int and 0 <= after < 1 << 63) and
                (timeout_ms is None or type(timeout_ms) is int and 1 <= timeout_ms <= 3600000))

    def start(self, call: Call) -> None:
        """A call begins; pump sends what it asks."""
        self.names.start()
        policy = self.policy
        policy.call_begins()
        self.calls.add(call)
        self._attempt(call, self.clock())

    def cancel(self, call: Call) -> None:
        if not call.done:
            call.detail = "the call was cancelled"
            self._finish(call, "CANCELLED")

    def close(self) -> None:
        """Ends everything; calls under way get CANCELLED."""
        self.closed = True
        for call in list(self.calls):
            call.detail = "the client was closed"
            self._finish(call, "CANCELLED")
        for conn in list(self.conns):
            conn.end(LOST, "the client was closed")
        if self.names.resolver is not None:
            self.names.resolver.stop()

    def abandon(self) -> None:
        """In a forked child: what was not handed out is the parent's."""
        for call in list(self.calls):
            call.abandon()
            call.detail = "the process forked while the call was under way, and this is the child"
            self._finish(call, "CANCELLED")
        for conn in list(self.conns):
            conn.server.conn = None
            conn.abandon()
        for server in self.policy.servers:
            server.load = 0
        self.policy.random.seed()
        self.conns.clear()
        self._dirty.clear()
        self._soon.clear()
        self._timers.clear()
        self.names.resolver = None
        self.stats = dict.fromkeys(COUNTERS, 0)
        self.calls_by_error = {}

    # --- a call ---

    def _arm(self, call: Call, when: float) -> None:
        """Wakes the call then. A timer that is set already may tick too early; it is set anew then."""
        call.wake = when = min(when, call.deadline)
        if when < call.armed:
            call.armed = when
            heapq.heappush(self._timers, (when, next(self._order), call))

    def run_waiting(self) -> None:
        """Servers have come: calls that wait for one need not wait longer."""
        now = self.clock()
        for call in list(self.calls):
            if not call.in_flight and not call.done and call.last_error in ("NAME", "UNREACHABLE"):
                self._attempt(call, now)

    def _conn_to(self, server: Server, now: float) -> Conn:
        conn = server.conn
        if conn is None:
            conn = server.conn = Conn(self, server, now)
            self.conns.add(conn)
        return conn

    def _attempt(self, call: Call, now: float) -> None:
        """Asks a server."""
        policy = self.policy
        server = policy.choose(now, call.tried)
        if policy.troubled:
            probe = policy.probe(now)
            if probe is not None:
                self._send_probe(probe, now)
        if server is None:
            if not call.last_error:
                call.last_error = "UNREACHABLE" if policy.servers else "NAME"
                call.detail = call.detail or ("" if policy.servers else "no server name has an address")
            if call.in_flight:  # nobody else to ask: go on waiting for the answers that are due
                self._arm(call, self._attempt_ends(call, now))
            else:
                call.tried.clear()
                self._arm(call, policy.wake(now))
            return
        conn = self._conn_to(server, now)
        if self.options.discover and self.names.look_due(now):
            conn.ask_info(now)
        count = min(call.left, server.max_batch or 65536, 65536)
        attempt = Attempt(call, server, conn, count, call.after, now)
        server.load += 1
        call.in_flight.append(attempt)
        conn.waiting.append(attempt)
        self._dirty.add(conn)
        call.sent += 1
        self.stats["attempts"] += 1
        if call.last_error:
            self.stats["retries"] += 1
        call.hasty = call.bereft or server.failures > 0
        call.hedge = policy.hedge()
        self._arm(call, self._attempt_ends(call, now))

    def _send_probe(self, server: Server, now: float) -> None:
        """A request for one ID that nobody waits for: does the server mint?"""
        self.stats["probes"] += 1
        conn = self._conn_to(server, now)
        if conn.pending and now - conn.pending[0].sent >= self.attempt_s:
            self.report(server, SILENT)
            return
        conn.waiting.append(Attempt(None, server, conn, 1, None, now))
        self._dirty.add(conn)

    def _may_hedge(self, call: Call) -> bool:
        return not call.hedged and call.hedge < self.attempt_s

    def _attempt_ends(self, call: Call, now: float) -> float:
        """Where one worker fell silent others may have, and one that broke off may still be dying: there the next is asked quickly."""
        wait = self.attempt_s / AFTER_LOSS if call.silenced or call.hasty else self.attempt_s
        return now + (min(call.hedge, wait) if self._may_hedge(call) else wait)

    def _on_timer(self, call: Call, now: float) -> None:
        if now >= call.deadline:
            self._expire(call)
        elif not call.in_flight:
            self._attempt(call, now)
        else:
            self._grow_impatient(call, now)

    def _grow_impatient(self, call: Call, now: float) -> None:
        """The attempt has had its time: marks the server (unless the time was a short one) and asks another one beside it."""
        latest = call.in_flight[-1]
        if self._may_hedge(call):
            call.hedged = True
            if not self.policy.may_hedge():
                self._arm(call, self._attempt_ends(call, latest.sent))
                return
            self.stats["hedges"] += 1
        elif call.silenced or call.hasty:
            self.stats["hedges"] += 1
        else:
            call.silenced = True
            self.stats["silences"] += 1
            call.last_error = call.last_error or "TIMEOUT"
            self.report(latest.server, SILENT)
        call.tried.append(latest.server)
        if len(call.in_flight) < ATTEMPTS_MAX:
            self._attempt(call, now)
        else:
            self._arm(call, self._attempt_ends(call, now))

    def _expire(self, call: Call) -> None:
        """The last thing heard is the error."""
        code = call.last_error
        if code in ("", "UNREACHABLE", "TIMEOUT"):
            code = "TIMEOUT" if any(each.conn.announced for each in call.in_flight) else "UNREACHABLE"
            if code == "TIMEOUT":
                call.detail = f"no answer by the deadline ({call.sent} requests)"
            elif not call.detail:
                call.detail = "no server could be connected to by the deadline"
        self._finish(call, code)

    def _finish(self, call: Call, code: str = "OK") -> None:
        call.done = True
        call.abandon()
        self.calls.discard(call)
        if code == "OK":
            self.stats["ids"] += call.count
            if self.options.causal:
                self.causal_id = max(self.causal_id, max(first + n - 1 for first, n in call.runs))
        else:
            call.error = BY_CODE[code](call.detail, call.server, call.retry_after_ms, call.sent)
        self.count_call(code)
        if call.notify is not None:
            call.notify()

    def count_call(self, code: str) -> None:
        self.stats["calls"] += 1
        self.calls_by_error[code] = self.calls_by_error.get(code, 0) + 1

    def count(self, what: str) -> None:
        self.stats[what] += 1

    # --- what comes back ---

    def report(self, server: Server, outcome: int, retry_after: float = 0) -> None:
        before = server.state
        self.policy.report(server, outcome, retry_after, self.clock())
        if before != server.state:
            if before == CLOSED:
                log.warning("left alone: %s failed", server.address)
            elif server.state == CLOSED:
                log.info("used again: %s answers", server.address)
        if outcome in (LOST, UNREACHED) and self.names.resolver is not None:
            self.names.resolver.wake.set()

    def look_soon(self) -> None:
        self.names.look_soon(self.clock())

    def retire(self, conn: Conn) -> None:
        """Its server is no longer in use; what was asked is still answered."""
        conn.forsake()
        if not conn.pending:
            conn.end(LOST, "its server is no longer in use")
        elif conn.state != ENDED:
            conn.state = LEAVING

    def on_moved(self, attempt: Attempt) -> None:
        """It was never sent: GOAWAY came first."""
        attempt.drop()
        call = attempt.call
        if call is not None and not attempt.abandoned:
            call.in_flight.remove(attempt)
            self._again(call)

    def _again(self, call: Call) -> None:
        """Asks at once, unless an answer is still due."""
        if not call.in_flight:
            self.soon(lambda: None if call.done or call.in_flight else self._attempt(call, self.clock()))

    def buried(self, conn: Conn, outcome: int, code: str, why: str) -> None:
        """A connection has ended."""
        self.conns.discard(conn)
        server = conn.server
        if outcome == BROKEN:
            self.stats["protocol_errors"] += 1
            self.last_protocol_error = f"{server.address}: {why}"
            log.warning("%s: %s", server.address, why)
        self.stats["connect_failures" if outcome == UNREACHED else "disconnects"] += 1
        orphans = [attempt for request in conn.pending for attempt in request.attempts] + list(conn.waiting)
        # A connection that the server wanted to end, or that ended while nothing was asked, says nothing bad about the server.
        if not self.closed and (conn.pending or conn.waiting or outcome != LOST):
            self.report(server, outcome)
        conn.pending.clear()
        conn.waiting.clear()
        if conn.announced:
            self.look_soon()
        for attempt in orphans:
            attempt.drop()
            call = attempt.call
            if call is None or attempt.abandoned:
                continue
            call.in_flight.remove(attempt)
            self._note(call, code, f"{server.address}: {why}", server)
            call.bereft = call.bereft or outcome == LOST
            # A worker that closed a connection that had worked may well answer on a new one: it may be asked again.
            if conn.answered and outcome == LOST and call.round == 0:
                call.round += 1
            else:
                call.tried.append(server)
            self._retry(call)

    def _note(self, call: Call, code: str, detail: str, server: Server, retry_after_ms: int = 0) -> None:
        call.last_error, call.detail, call.server, call.retry_after_ms = code, detail, server.address, retry_after_ms

    def _retry(self, call: Call) -> None:
        """The call failed at its last server. It waits, or asks another one at once."""
        if call.in_flight or call.done:
            return
        now = self.clock()
        wait, no_budget = self.policy.retry_wait(now, call.tried, call.round)
        if wait == 0:
            self._again(call)
            return
        if no_budget:
            self.stats["budget_waits"] += 1
        else:
            call.round += 1
            call.tried.clear()
        self._arm(call, now + wait)

    def on_answer(self, conn: Conn, request: Request, status: int, body: bytes, now: float) -> str | None:
        """What is wrong with it, so that the connection must end; or None."""
        if request.kind == INFO:
            return self._on_info(conn, status, body, now)
        if request.kind not in (CALL, PROBE):
            return None
        server, attempts = conn.server, request.attempts
        for attempt in attempts:
            attempt.drop()
        if request.kind == CALL and all(attempt.abandoned for attempt in attempts):
            self.stats["late_answers"] += 1
        waiting = [attempt for attempt in attempts if attempt.call is not None and not attempt.abandoned]
        for attempt in waiting:
            attempt.call.in_flight.remove(attempt)  # type: ignore[union-attr]
        if status != frames.OK:
            return self._on_refusal(conn, request, waiting, status, body)
        self.policy.answered(now - request.sent)
        if server.state != CLOSED or server.failures:
            self.report(server, FINE)
        return self._on_ids(conn, request, waiting, body)

    def _on_ids(self, conn: Conn, request: Request, waiting: list[Attempt], body: bytes) -> str | None:
        runs = frames.get_runs(body, request.count)
        if runs is None:
            return self._nonsense(conn, waiting, "an answer to NEXT is malformed")
        if conn.nameless:  # whose they are is not known; it is asked again, INFO first
            conn.ids_came = True
            for attempt in waiting:
                self._again(attempt.call)  # type: ignore[arg-type]
            return None
        first, last = runs[0][0], runs[-1][0] + runs[-1][1] - 1
        before = max(conn.last_id, request.floor)
        if not self._in_order(conn, request, first, last):
            self.stats["order_errors"] += 1
            why = f"ID {first} came after ID {before}"
            if request.after is not None and first <= request.after:
                why = f"ID {first} is not above ID {request.after}, as was asked for"
            for attempt in waiting:
                call = attempt.call
                assert call is not None
                self._note(call, "ORDER", why, conn.server)
                self._finish(call, "ORDER")
            return "IDs repeated or went back"
        if len(request.attempts) == 1:
            if waiting:
                self._give(waiting[0], runs)
            return None
        at, used = 0, 0
        for attempt in request.attempts:  # each its part, in the order in which they came
            need, part = attempt.count, []
            while need:
                start, size = runs[at]
                n = min(size - used, need)
                part.append((start + used, n))
                need -= n
                used += n
                if used == size:
                    at, used = at + 1, 0
            if not attempt.abandoned:
                self._give(attempt, part)
        return None

    def later_than(self, after: int | None) -> int | None:
        """What NEXT's AFTER is to say: the call's own, or the largest ID that was handed out."""
        return self.causal_id if self.causal_id and (after is None or self.causal_id > after) else after

    def _in_order(self, conn: Conn, request: Request, first: int, last: int) -> bool:
        """Do these IDs go on from what the connection and the server gave before, and are they above what was asked for?"""
        server = conn.server
        if conn.last_id and first <= conn.last_id or request.after is not None and first <= request.after:
            return False
        if request.floor and self.layout is not None and first <= request.floor and self.layout.same_slot(first, request.floor):
            return False
        conn.last_id = last
        if server.last_id < last or self.layout is None or not self.layout.same_slot(server.last_id, last):
            server.last_id = last
        return True

    def _give(self, attempt: Attempt, runs: list[frames.Run]) -> None:
        call = attempt.call
        assert call is not None
        call.left -= attempt.count
        if call.runs:
            call.runs += runs
        else:
            call.runs = runs
        call.server = attempt.server.address
        if call.left == 0:
            self._finish(call)
            return
        call.abandon()  # an answer to a repeated request would be counted twice
        call.tried.clear()
        self._again(call)

    def _nonsense(self, conn: Conn, waiting: list[Attempt], why: str) -> str:
        for attempt in waiting:
            call = attempt.call
            assert call is not None
            self._note(call, "PROTOCOL", f"{conn.server.address}: {why}", conn.server)
            call.tried.append(conn.server)
            self._retry(call)
        return why

    def _on_refusal(self, conn: Conn, request: Request, waiting: list[Attempt], status: int, body: bytes) -> str | None:
        told = frames.get_refusal(body)
        if told is None:
            return self._nonsense(conn, waiting, "an error answer is malformed")
        retry_after_ms, reason = told
        outcome, code, another = _VERDICTS.get(status, _VERDICTS[frames.INTERNAL])
        server = conn.server
        self.report(server, outcome, retry_after_ms / 1e3)
        conn.denied = conn.denied or status == frames.DENIED
        detail = f"{server.address} says {frames.status_name(status)}" + (f": {reason}" if reason else "")
        for attempt in waiting:
            call = attempt.call
            assert call is not None
            if status == frames.TOO_LARGE and (len(request.attempts) > 1 or server.max_batch and attempt.count > server.max_batch):
                self._again(call)  # INFO has told us meanwhile how much it gives at a time; or each alone may not be too large
                continue
            self._note(call, code, detail, server, retry_after_ms)
            if code in ("RATE_LIMITED", "CAUSALITY"):
                self._wait_as_told(call, code)
            elif another:
                call.tried.append(server)
                self._retry(call)
            else:
                self._finish(call, code)
        return None

    def _wait_as_told(self, call: Call, code: str) -> None:
        """The call waits as long as the worker asked, if it may last that long."""
        when = self.clock() + max(call.retry_after_ms, 1) / 1e3
        if when >= call.deadline:
            self._finish(call, code)
            return
        call.abandon()
        call.tried.clear()
        self._arm(call, when)

    def _on_info(self, conn: Conn, status: int, body: bytes, now: float) -> str | None:
        conn.asking_info = False
        if status != frames.OK:
            return None  # an AUTH that failed shows in NEXT too
        malformed = "an answer to INFO is malformed"
        try:
            told = json.loads(body)
            fleet_id, max_batch, workers = told.get("fleet_id"), told.get("max_batch"), told.get("workers")
            layout = None
            if fleet_id:
                widths = told["layout"]
                layout = Layout(**{part: int(widths[part]) for part in ("timestamp", "datacenter", "worker", "sequence")},
                                epoch_ms=int(told["epoch_ms"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return malformed
        ids_came, conn.ids_came, conn.nameless = conn.ids_came, False, layout is None
        if type(max_batch) is int and max_batch > 0:
            conn.server.max_batch = max_batch
        if layout is None:
            return "IDs came from a worker whose fleet is not known" if ids_came else None
        if self.layout is None:
            self.layout, self.fleet_id = layout, fleet_id
        if fleet_id != self.fleet_id:
            self.stats["wrong_fleet"] += 1
            return "the worker belongs to another fleet than the first one that answered"
        if isinstance(workers, list):
            self.names.told(workers, now)
        return None

    def snapshot(self) -> dict[str, Any]:
        """The counters, by the names of the C library's struct sf_client_stats."""
        policy = self.policy
        return {**self.stats, "calls_by_error": dict(self.calls_by_error), "last_protocol_error": self.last_protocol_error,
                "breaker_opens": policy.opens, "servers": len(policy.servers), "servers_usable": len(policy.usable(self.clock(), [])),
                "servers_discovered": sum(each.name.discovered for each in policy.servers)}
