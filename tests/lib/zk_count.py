"""A relay before one ZooKeeper server that counts what its clients ask for, by kind: pings, which the server's own counters
mix with reads, are told apart. Frames from client to server are a length, then xid and type; the first of a connection is its
greeting."""
import asyncio
import collections
import threading

PING = 11
CLOSE = -11
WRITES = {1, 2, 5, 14, 15, 19, 20, 21}  # create, delete, set, multi, create2, createContainer, ...
LENGTH, XID_AND_TYPE = 4, 8


def kind_of(op):
    if op == PING:
        return "pings"
    if op == CLOSE:
        return "other"
    return "writes" if op in WRITES else "reads"


class Counting:
    """with Counting(port) as relay: clients go to relay.port; relay.counts()."""

    def __init__(self, port):
        self.target = port
        self.port = None
        self.loop = asyncio.new_event_loop()
        self.found = collections.Counter()
        self.ready = threading.Event()
        self.tasks = set()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.ready.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(10)

    def counts(self):
        return {kind: self.found[kind] for kind in ("reads", "writes", "pings")}

    def cut(self):
        """Ends all connections."""
        self.loop.call_soon_threadsafe(self.end_all)

    def end_all(self):
        for task in self.tasks:
            task.cancel()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve())
        self.loop.close()

    async def serve(self):
        self.stopping = asyncio.Event()
        server = await asyncio.start_server(self.accepted, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stopping.wait()
        server.close()
        self.end_all()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def accepted(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(self.requests(reader, there_writer), self.answers(there_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # either end has gone: so does the other
        except asyncio.CancelledError:
            pass  # cut off, or at the end
        finally:
            writer.close()
            self.tasks.discard(asyncio.current_task())

    async def requests(self, reader, writer):
        greeted = False
        try:
            while True:
                head = await reader.readexactly(LENGTH)
                body = await reader.readexactly(int.from_bytes(head, "big"))
                if greeted:
                    self.found[kind_of(int.from_bytes(body[4:XID_AND_TYPE], "big", signed=True))] += 1
                greeted = True
                writer.write(head + body)
                await writer.drain()
        finally:
            writer.close()

    async def answers(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
