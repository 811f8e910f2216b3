"""The client for threads. The threads that wait for answers take turns in looking at the sockets: there is no thread of its own between a caller
and its answer."""
from __future__ import annotations

import os
import select
import threading
import weakref
from collections.abc import Callable
from typing import Any, Self, TypeVar

from .calls import Call
from .conn import Conn
from .engine import Engine
from .errors import BY_CODE, CancelledError, InvalidError
from .fork import cancelled, mark
from .ids import Layout, Parts
from .options import COUNT_MAX, Options
from .prefetch import Prefetch

_Result = TypeVar("_Result")
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class _Waiter:
    """A thread that waits for its call."""

    __slots__ = ("call", "wake")

    def __init__(self) -> None:
        self.call: Call | None = None
        self.wake = threading.Lock()
        self.wake.acquire()

    def waits(self) -> bool:
        return self.call is not None and not self.call.done

    def notify(self) -> None:
        """It is done, or it is its turn to look at the sockets."""
        if self.wake.locked():
            try:
                self.wake.release()
            except RuntimeError:  # it came to itself meanwhile
                pass


class Client:
    """IDs from a fleet, for any number of threads at once: those that wait at the same moment share one request.

        with Client("ids-0:7450,ids-1:7450") as client:
            identifier = client.next()

    Options are those of `Options`, by name. Make one for each fleet and keep it. A process may fork: the child may go on using the client; what was
    fetched ahead or asked for is the parent's alone.
    """

    def __init__(self, servers: str = "127.0.0.1:7450", **options: Any):
        try:
            self.options = Options(servers=servers, **options)
        except TypeError as error:
            raise InvalidError(str(error)) from error
        self._mine = mark()
        self._engine = Engine(self.options, self)
        self._reset()
        self._closed = False
        _clients.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._watched: dict[int, Conn] = {}
        self._leader: _Waiter | None = None
        self._waiters: set[_Waiter] = set()
        self._local = threading.local()
        self._filling = threading.Lock()
        self._prefetch = Prefetch(self.options.prefetch_max_age_ms)

    # --- for the engine ---

    def watch(self, conn: Conn, fd: int, read: bool, write: bool) -> None:
        events = (select.EPOLLIN if read else 0) | (select.EPOLLOUT if write else 0)
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._watched[fd] = conn
            self._epoll.register(fd, events)

    def unwatch(self, conn: Conn, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def from_thread(self, what: Callable[[], None]) -> None:
        with self._lock:
            if not self._closed:
                what()
                self._engine.pump()

    # --- calls ---

    def next(self) -> int:
        """One ID, within timeout_ms."""
        return self._run(self._prefetched if self.options.prefetch else self._one)

    def next_many(self, count: int, *, after: int | None = None, timeout_ms: int | None = None) -> list[int]:
        """`count` IDs, all of them or none. Up to the worker's max_batch they come from one worker and ascend. With `after` each is greater than it."""
        return self._run(lambda: [identifier for first, n in self._ask(count, after, timeout_ms) for identifier in range(first, first + n)])

    def _own(self) -> None:
        """In a child, where no hook of ours has run: makes the client the child's."""
        if not self._mine[0]:
            self._forked()

    def _run(self, what: Callable[[], _Result]) -> _Result:
        """A call. If the process forks in the midst of it (a signal handler, a callback), what it comes to is the parent's."""
        mine = self._mine
        if not mine[0]:
            self._own()
            mine = self._mine
        try:
            result = what()
        except Exception as error:
            if mine[0]:
                raise
            raise cancelled() from error
        if mine[0]:  # nothing may come between this and the caller
            return result
        raise cancelled()

    def _one(self) -> int:
        return self._ask(1, None, None)[0][0]

    def _ask(self, count: int, after: int | None, timeout_ms: int | None) -> list[tuple[int, int]]:
        engine = self._engine
        if not engine.valid(count, after, timeout_ms):
            with self._lock:
                engine.count_call("INVALID")
            raise InvalidError(f"the request is not allowed: count 1 to {COUNT_MAX}, timeout_ms up to 3600000, after 0 to 2^63-1")
        waiter: _Waiter | None = getattr(self._local, "waiter", None)
        if waiter is None:
            waiter = self._local.waiter = _Waiter()
        elif not waiter.wake.locked():
            waiter.wake.acquire(blocking=False)
        with self._lock:
            if self._closed:
                raise CancelledError("the client is closed")
            now = engine.clock()
            call = Call(count, after, now + (timeout_ms or self.options.timeout_ms) / 1e3, waiter.notify)
            waiter.call = call
            if self._leader is None and engine.is_stale(now):
                self._look(0)
            engine.start(call)
            engine.pump()
            if not call.done:
                self._waiters.add(waiter)
        if not call.done:
            self._wait(waiter, call)
        return call.result()

    def _wait(self, waiter: _Waiter, call: Call) -> None:
        lock, engine = self._lock, self._engine
        try:
            mine = self._mine
            while not call.done:
                if not mine[0]:
                    raise cancelled()
                with lock:
                    leads = self._leader is None or self._leader is waiter
                    if leads:
                        self._leader = waiter
                    wait = max(min(call.armed, engine.next_timer() if leads else call.armed) - engine.clock(), 0)
                if leads:
                    events = self._poll(wait)
                    with lock:
                        self._handle(events)
                else:
                    waiter.wake.acquire(timeout=wait + 0.001)
                    if call.done:  # often: the lock is what others want now
                        continue
                    with lock:
                        if not call.done and call.armed <= engine.clock():
                            engine.run_timers(engine.clock())
                            engine.pump()
        finally:
            if call.done and self._leader is not waiter:  # whose call is done is not made leader any more
                self._waiters.discard(waiter)
            else:
                with lock:
                    self._waiters.discard(waiter)
                    if not call.done:  # an exception: KeyboardInterrupt and the like
                        engine.cancel(call)
                    if self._leader is waiter:
                        self._leader = next((each for each in list(self._waiters) if each.waits()), None)
                        if self._leader is not None:
                            self._leader.notify()

    def _poll(self, wait: float) -> list[tuple[int, int]]:
        return self._epoll.poll(wait, 64)

    def _look(self, wait: float) -> None:
        self._handle(self._poll(wait))

    def _handle(self, events: list[tuple[int, int]]) -> None:
        engine = self._engine
        now = engine.clock()
        for fd, event in events:
            conn = self._watched.get(fd)
            if conn is not None:
                conn.on_ready(bool(event & ~select.EPOLLOUT), bool(event & ~select.EPOLLIN), now)
        if engine.next_timer() <= now:
            engine.run_timers(now)
        engine.is_stale(now)
        engine.pump()

    # --- prefetch ---

    def _prefetched(self) -> int:
        engine, prefetch = self._engine, self._prefetch  # of the process in which the call began
        with self._lock:
            identifier = prefetch.take(engine.clock())
            if identifier is not None:
                engine.stats["prefetch_hits"] += 1
                engine.stats["calls"] += 1
                engine.calls_by_error["OK"] = engine.calls_by_error.get("OK", 0) + 1
                return identifier
        filling = self._filling
        if not filling.acquire(timeout=self.options.timeout_ms / 1e3):
            with self._lock:
                engine.count_call("TIMEOUT")
            raise BY_CODE["TIMEOUT"]("others were still fetching at the deadline")
        try:
            with self._lock:
                identifier = prefetch.take(engine.clock())  # somebody else has fetched meanwhile
                if identifier is not None:
                    engine.stats["prefetch_hits"] += 1
                    engine.count_call("OK")
                    return identifier
            asked = engine.clock()
            runs = self._ask(self.options.prefetch, None, None)
            with self._lock:
                engine.stats["prefetch_fills"] += 1
                prefetch.put(runs, asked)
                identifier = prefetch.take(asked)
                assert identifier is not None
                return identifier
        finally:
            filling.release()

    # --- what is known ---

    def layout(self) -> Layout | None:
        """That of the fleet, as the workers told it; None while none has answered yet."""
        return self._engine.layout

    def decode(self, identifier: int) -> Parts:
        """Takes an ID of the fleet apart. Where no worker has answered yet, one is asked."""
        if self._engine.layout is None:
            self._run(self._one)
        layout = self._engine.layout
        if layout is None:
            raise BY_CODE["NOT_READY"]("no worker has told the fleet's layout")
        try:
            return layout.decode(identifier)
        except ValueError as error:
            raise InvalidError(str(error)) from error

    def stats(self) -> dict[str, Any]:
        """What happened so far, by the names of the C library's struct sf_client_stats."""
        self._own()
        with self._lock:
            return {**self._engine.snapshot(), "prefetch_expired": self._prefetch.expired}

    # --- the end ---

    def close(self) -> None:
        """Ends everything; calls under way in other threads get CancelledError."""
        self._own()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._engine.close()
                self._engine.pump()
                for waiter in list(self._waiters):
                    waiter.notify()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_lock") and not self._closed:
            self.close()

    def _forked(self) -> None:
        """In the child: the sockets are the parent's, and so is what was fetched or asked for."""
        mine, epoll = mark(), self._epoll
        self._reset()
        epoll.close()
        self._engine.abandon()
        self._mine = mine  # last: who sees it finds nothing of the parent's any more


def _after_fork() -> None:
    for client in list(_clients):
        client._own()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


os.register_at_fork(after_in_child=_after_fork)
