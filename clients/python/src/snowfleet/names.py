"""Where servers come from: the entries of Options.servers, and what workers tell of their fellows. Names are looked up by a thread."""
from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from .options import DISCOVER_MAX, SERVERS_MAX, is_numeric, parse_host_port
from .policy import CLOSED, Server

if TYPE_CHECKING:
    from .engine import Engine

_RESOLVE_MIN_S = 1.0  # between two look-ups, however many connections are lost
_RETRY_S = 1.0  # while a name has no address
_LOOK_MIN_S = 1.0


class Name:
    """An entry of Options.servers, or a worker that another worker told of."""

    __slots__ = ("host", "port", "discovered", "numeric", "resolved", "listed")

    def __init__(self, host: str, port: int, discovered: bool = False, listed: float = 0):
        self.host, self.port, self.discovered, self.listed = host, port, discovered, listed
        self.numeric = is_numeric(host)
        self.resolved = False


class Names:
    """Under the engine's lock."""

    def __init__(self, engine: Engine, entries: list[tuple[str, int]]):
        self._engine = engine
        self.all = [Name(host, port) for host, port in entries]
        self._looked = self._look_at = 0.0
        self.resolver: Resolver | None = None
        for name in self.all:
            if name.numeric:
                self.take(name, [name.host], 0)

    def start(self) -> None:
        """Makes the thread, where names are to be looked up and there is none."""
        if self.resolver is None and (self._engine.options.discover or any(not each.numeric for each in self.all)):
            self.resolver = Resolver(self._engine)

    def take(self, name: Name, hosts: list[str], now: float) -> None:
        """Makes servers of a name's addresses, and forgets those that the name no longer has."""
        policy = self._engine.policy
        name.resolved = True
        wanted = {(host, name.port) for host in hosts}
        for server in list(policy.servers):
            if server.at in wanted:
                wanted.discard(server.at)
            elif server.name is name:
                self._remove(server)
        for at in sorted(wanted):
            if len(policy.servers) == SERVERS_MAX:
                return
            server = Server(at, name.host, name)
            policy.add(server)
            if name.discovered:
                policy.doubt(server, now)

    def _remove(self, server: Server) -> None:
        server.gone = True
        self._engine.policy.servers.remove(server)
        conn = server.conn
        if conn is not None:
            self._engine.soon(lambda: self._engine.retire(conn))

    # --- discovery ---

    def look_due(self, now: float) -> bool:
        """Is it time to ask a worker who is there?"""
        options = self._engine.options
        if not options.discover or now < self._look_at:
            return False
        self._looked = now
        self._look_at = now + options.discover_ms / 1e3 * (0.8 + 0.4 * self._engine.policy.random.random())
        return True

    def look_soon(self, now: float) -> None:
        """The fleet may have changed."""
        self._look_at = min(self._look_at, max(now, self._looked + _LOOK_MIN_S) + self._engine.policy.random.random() * _LOOK_MIN_S)

    def told(self, workers: list[object], now: float) -> None:
        """What a worker tells of its fellows adds servers, and takes away only those that nobody has told of for a while and that do not answer."""
        engine = self._engine
        if not engine.options.discover:
            return
        engine.stats["discoveries"] += 1
        for text in workers:
            at = parse_host_port(text, None) if isinstance(text, str) else None
            if at is not None:
                self._listed(at, now)
        for name in list(self.all):
            own = [each for each in engine.policy.servers if each.name is name]
            if name.discovered and now - name.listed >= engine.options.discover_ms / 1e3 and all(each.state != CLOSED for each in own):
                for server in own:
                    self._remove(server)
                self.all.remove(name)

    def _listed(self, at: tuple[str, int], now: float) -> None:
        for name in self.all:
            if (name.host, name.port) == at:
                name.listed = now
                return
        if sum(each.discovered for each in self.all) == DISCOVER_MAX:
            return
        name = Name(*at, discovered=True, listed=now)
        self.all.append(name)
        if name.numeric:
            self.take(name, [name.host], now)
        elif self.resolver is not None:
            self.resolver.wake.set()


class Resolver:
    """Looks names up again and again, until it is stopped."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.wake, self.stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="snowfleet-resolver", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self.wake.set()

    def _run(self) -> None:
        while not self.stopped.is_set():
            complete = self._look_up_all()
            period = self._engine.options.resolve_ms / 1e3 * (0.8 + 0.4 * self._engine.policy.random.random())
            self.wake.wait(period if complete else _RETRY_S)
            self.wake.clear()
            self.stopped.wait(_RESOLVE_MIN_S if complete else 0)

    def _look_up_all(self) -> bool:
        engine, complete = self._engine, True
        for name in list(engine.names.all):
            if name.numeric or self.stopped.is_set():
                continue
            try:
                found = socket.getaddrinfo(name.host, name.port, type=socket.SOCK_STREAM)
            except OSError:
                engine.host.from_thread(lambda: engine.count("resolve_failures"))
                complete = complete and (name.resolved or name.discovered)
                continue
            hosts = [str(each[4][0]) for each in found]
            engine.host.from_thread(lambda name=name, hosts=hosts: self._take(name, hosts))  # type: ignore[misc]
        return complete

    def _take(self, name: Name, hosts: list[str]) -> None:
        engine = self._engine
        engine.count("resolves")
        if name in engine.names.all and not self.stopped.is_set():
            engine.names.take(name, hosts, engine.clock())
            engine.run_waiting()
