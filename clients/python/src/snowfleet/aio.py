"""The client for asyncio: the same engine, with the event loop as its host."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from .calls import Call
from .conn import Conn
from .engine import Engine
from .errors import BY_CODE, CancelledError, InvalidError
from .fork import cancelled, mark
from .ids import Layout, Parts
from .options import COUNT_MAX, Options
from .prefetch import Prefetch


class AsyncClient:
    """IDs from a fleet, for any number of tasks of one event loop: those that wait at the same moment share one request.

        async with AsyncClient("ids-0:7450,ids-1:7450") as client:
            identifier = await client.next()

    Options are those of `Options`, by name. After a fork the child makes a client of its own: an event loop does not survive one.
    """

    def __init__(self, servers: str = "127.0.0.1:7450", **options: Any):
        try:
            self.options = Options(servers=servers, **options)
        except TypeError as error:
            raise InvalidError(str(error)) from error
        self._mine = mark()
        self._engine = Engine(self.options, self)
        self._prefetch = Prefetch(self.options.prefetch_max_age_ms)
        self._filling: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pump_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # --- for the engine ---

    def watch(self, conn: Conn, fd: int, read: bool, write: bool) -> None:
        loop = self._loop
        if not self._mine[0]:  # the loop's epoll is the parent's
            return
        assert loop is not None
        if read:
            loop.add_reader(fd, self._ready, conn, True, False)
        else:
            loop.remove_reader(fd)
        if write:
            loop.add_writer(fd, self._ready, conn, False, True)
        else:
            loop.remove_writer(fd)

    def unwatch(self, conn: Conn, fd: int) -> None:
        loop = self._loop
        if self._mine[0] and loop is not None and not loop.is_closed():
            loop.remove_reader(fd)
            loop.remove_writer(fd)

    def from_thread(self, what: Callable[[], None]) -> None:
        loop = self._loop

        def run() -> None:
            if not self._closed:
                what()
                self._pump()
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(run)

    def _ready(self, conn: Conn, readable: bool, writable: bool) -> None:
        if not self._mine[0]:
            self._abandon()
            return
        conn.on_ready(readable, writable, self._engine.clock())
        self._pump()

    def _pump(self) -> None:
        self._pump_due = False
        engine = self._engine
        if not self._mine[0]:
            self._abandon()
            return
        engine.pump()
        when = engine.next_timer()
        if when == float("inf"):
            return
        assert self._loop is not None
        if self._timer is not None:
            if self._timer.when() <= when or self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._mine[0]:
            self._abandon()
            return
        self._engine.run_timers(self._engine.clock())
        self._pump()

    def _abandon(self) -> None:
        """In a child that runs a copy of the loop: whoever waits is told."""
        self._engine.abandon()

    # --- calls ---

    async def next(self) -> int:
        """One ID, within timeout_ms."""
        if not self._mine[0]:
            raise cancelled(asyncio=True)
        try:
            identifier = await self._prefetched() if self.options.prefetch else (await self._ask(1, None, None))[0][0]
        except Exception as error:
            if self._mine[0]:
                raise
            raise cancelled(asyncio=True) from error
        if self._mine[0]:  # nothing may come between this and the caller
            return identifier
        raise cancelled(asyncio=True)

    async def next_many(self, count: int, *, after: int | None = None, timeout_ms: int | None = None) -> list[int]:
        """`count` IDs, all of them or none. With `after` each is greater than it."""
        try:
            ids = [identifier for first, n in await self._ask(count, after, timeout_ms) for identifier in range(first, first + n)]
        except Exception as error:
            if self._mine[0]:
                raise
            raise cancelled(asyncio=True) from error
        if self._mine[0]:
            return ids
        raise cancelled(asyncio=True)

    async def _ask(self, count: int, after: int | None, timeout_ms: int | None) -> list[tuple[int, int]]:
        engine = self._engine
        if not engine.valid(count, after, timeout_ms):
            engine.count_call("INVALID")
            raise InvalidError(f"the request is not allowed: count 1 to {COUNT_MAX}, timeout_ms up to 3600000, after 0 to 2^63-1")
        if self._closed or not self._mine[0]:
            raise CancelledError("the client is closed") if self._closed else cancelled(asyncio=True)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            engine.clock = loop.time
        elif self._loop is not loop:
            raise InvalidError("the client belongs to another event loop")
        future: asyncio.Future[None] = loop.create_future()

        def notify() -> None:
            if not future.done():  # else the task was cancelled
                future.set_result(None)
        call = Call(count, after, engine.clock() + (timeout_ms or self.options.timeout_ms) / 1e3, notify)
        engine.start(call)
        if not self._pump_due:  # those that call in the same turn of the loop share a request
            self._pump_due = True
            loop.call_soon(self._pump)
        try:
            await future
        finally:
            engine.cancel(call)  # the task was cancelled; else it is done
        return call.result()

    async def _prefetched(self) -> int:
        engine = self._engine
        while True:
            identifier = self._prefetch.take(engine.clock())
            if identifier is not None:
                engine.stats["prefetch_hits"] += 1
                engine.count_call("OK")
                return identifier
            filling = self._filling
            if filling is not None:
                await asyncio.shield(filling)
                continue
            filling = self._filling = asyncio.get_running_loop().create_task(self._fill())
            filling.add_done_callback(self._filled)
            await asyncio.shield(filling)
            engine.stats["prefetch_hits"] -= 1  # the first of a fill is no hit
            engine.stats["calls"] -= 1
            engine.calls_by_error["OK"] -= 1

    def _filled(self, filling: asyncio.Task[None]) -> None:
        """Before any task that waits for it goes on, and also where none does: whoever began it may have been cancelled."""
        self._filling = None
        if not filling.cancelled():
            filling.exception()  # those that wait have it

    async def _fill(self) -> None:
        asked = self._engine.clock()
        runs = await self._ask(self.options.prefetch, None, None)
        self._engine.stats["prefetch_fills"] += 1
        self._prefetch.put(runs, max(asked, self._engine.clock() - self._prefetch.max_age_s))

    # --- what is known ---

    def layout(self) -> Layout | None:
        """That of the fleet, as the workers told it; None while none has answered yet."""
        return self._engine.layout

    async def decode(self, identifier: int) -> Parts:
        """Takes an ID of the fleet apart. Where no worker has answered yet, one is asked."""
        if self._engine.layout is None:
            await self._ask(1, None, None)
        layout = self._engine.layout
        if layout is None:
            raise BY_CODE["NOT_READY"]("no worker has told the fleet's layout")
        try:
            return layout.decode(identifier)
        except ValueError as error:
            raise InvalidError(str(error)) from error

    def stats(self) -> dict[str, Any]:
        """What happened so far, by the names of the C library's struct sf_client_stats."""
        return {**self._engine.snapshot(), "prefetch_expired": self._prefetch.expired}

    async def close(self) -> None:
        """Ends everything; calls under way get CancelledError (of this package)."""
        if self._closed:
            return
        self._closed = True
        if not self._mine[0]:
            self._abandon()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._engine.close()
        self._engine.pump()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
