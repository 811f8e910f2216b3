"""fork, by whoever and wherever: no ID comes to parent and child, and a call that was under way at the fork is CANCELLED in the child."""
import asyncio
import ctypes
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

import snowfleet

from .worker import Worker

SOURCE = pathlib.Path(__file__).resolve().parents[1] / "src"
LIBC = ctypes.PyDLL(None)  # of C code: no hook of Python's runs
C_FORKS = [getattr(LIBC, name) for name in ("fork", "_Fork") if hasattr(LIBC, name)]
PREFETCH = {"prefetch": 1000, "prefetch_max_age_ms": 60000}


def child_of(fork, what):
    """What `what` returns in a child: IDs, or the code of the error."""
    read, write = os.pipe()
    child = fork()
    if child == 0:
        try:
            os.close(read)
            try:
                told = " ".join(map(str, what()))
            except snowfleet.SnowfleetError as error:
                told = error.code
            except BaseException as error:
                told = repr(error)
            os.write(write, told.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        told = stream.read().decode()
    os.waitpid(child, 0)
    return [int(each) for each in told.split()] if not told or told.replace(" ", "").isdigit() else told


def draw(client, count):
    return [client.next() for _ in range(count)]


async def draw_async(client, count):
    return [await client.next() for _ in range(count)]


def draw_in_process(client, queue):
    try:
        queue.put(asyncio.run(draw_async(client, 100)))
    except snowfleet.SnowfleetError as error:
        queue.put(error.code)


class ByCode(unittest.TestCase):
    def test_of_c(self):
        for fork in C_FORKS:
            for options in (PREFETCH, {}):
                with self.subTest(fork=fork.__name__, options=options), Worker() as worker, snowfleet.Client(worker.address, **options) as client:
                    mine = draw(client, 5)
                    theirs = child_of(fork, lambda: draw(client, 200) + child_of(fork, lambda: draw(client, 100)) + draw(client, 100))
                    mine += draw(client, 200)
                    self.assertEqual((len(theirs), len(set(mine + theirs))), (400, 605))
                    self.assertEqual(client.stats()["disconnects"], 0)

    def test_threads_of_the_child_share_one_copy(self):
        def many():
            ids = []
            threads = [threading.Thread(target=lambda: ids.extend(draw(client, 50))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return ids
        with Worker() as worker, snowfleet.Client(worker.address, **PREFETCH) as client:
            mine = draw(client, 5)
            theirs = child_of(os.fork, many)
            self.assertEqual((len(theirs), len(set(mine + theirs + draw(client, 500)))), (400, 905))

    def test_hook_registered_before_the_library(self):
        script = ("import os, sys\n"
                  "early, got = [], []\n"
                  "os.register_at_fork(after_in_child=lambda: got.extend(each() for each in early))\n"
                  "import snowfleet\n"
                  "client = snowfleet.Client(sys.argv[1], prefetch=1000, prefetch_max_age_ms=60000)\n"
                  "client.next()\n"
                  "early.append(client.next)\n"
                  "child = os.fork()\n"
                  "print(*(got + [client.next() for _ in range(20)]), client.stats()['connects'], flush=True)\n"
                  "if child: os.waitpid(child, 0)\n")
        with Worker() as worker:
            told = subprocess.run([sys.executable, "-c", script, worker.address], env={**os.environ, "PYTHONPATH": str(SOURCE)}, timeout=60,
                                  capture_output=True, text=True, check=True).stdout
        lines = [[int(each) for each in line.split()] for line in told.splitlines()]
        ids = [each for line in lines for each in line[:-1]]
        self.assertEqual((len(ids), len(set(ids))), (41, 41))
        self.assertEqual([line[-1] for line in lines], [1, 1])

    def test_what_a_child_keeps(self):
        with Worker() as worker, snowfleet.Client(worker.address, **PREFETCH) as client:
            last = client.next()
            self.assertEqual(child_of(os.fork, lambda: [client.layout() == client.decode(last) or client.decode(last).sequence,
                                                        client.stats()["calls"]]), [client.decode(last).sequence, 0])
            client.close()
            self.assertEqual(child_of(os.fork, lambda: draw(client, 1)), "CANCELLED")

    def test_closed_in_the_child_only(self):
        with Worker() as worker, snowfleet.Client(worker.address) as client:
            client.next()
            self.assertEqual(child_of(os.fork, lambda: client.close() or draw(client, 1)), "CANCELLED")
            draw(client, 5)
            self.assertEqual(client.stats()["disconnects"], 0)

    def test_kernel_that_cannot_empty_pages(self):
        with mock.patch("snowfleet.fork.WIPEONFORK", 1 << 20):
            mine = snowfleet.fork.mark()
        self.assertIsInstance(mine, snowfleet.fork.Pid)
        self.assertTrue(mine[0])
        for fork in [os.fork, *C_FORKS]:
            self.assertEqual(child_of(fork, lambda: [mine[0]]), [0])


class Tasks(unittest.IsolatedAsyncioTestCase):
    async def test_prefetched_ids_stay_the_parents(self):
        for fork in [os.fork, *C_FORKS]:
            for options in (PREFETCH, {}):
                with self.subTest(fork=fork.__name__, options=options), Worker() as worker:
                    async with snowfleet.AsyncClient(worker.address, **options) as client:
                        mine = await draw_async(client, 5)

                        def theirs():
                            asyncio.events._set_running_loop(None)  # as Python's hook does
                            return asyncio.run(draw_async(client, 100))
                        self.assertEqual(child_of(fork, theirs), "CANCELLED")
                        mine += await draw_async(client, 100)
                        self.assertEqual(len(set(mine)), 105)
                        self.assertEqual(client.stats()["disconnects"], 0)

    async def test_multiprocessing(self):
        context = multiprocessing.get_context("fork")
        with Worker() as worker:
            async with snowfleet.AsyncClient(worker.address, **PREFETCH) as client:
                await client.next()
                queue = context.Queue()
                children = [context.Process(target=draw_in_process, args=(client, queue)) for _ in range(2)]
                for child in children:
                    child.start()
                told = [await asyncio.to_thread(queue.get, timeout=30) for _ in children]
                for child in children:
                    child.join(30)
                self.assertEqual(told, ["CANCELLED", "CANCELLED"])
                self.assertEqual(len(set(await draw_async(client, 100))), 100)

    async def test_closed_in_the_child_only(self):
        with Worker() as worker:
            async with snowfleet.AsyncClient(worker.address) as client:
                await client.next()

                async def close():
                    await client.close()
                    return []

                def theirs():
                    asyncio.events._set_running_loop(None)
                    return asyncio.run(close())
                self.assertEqual(child_of(os.fork, theirs), [])
                begin = time.monotonic()
                await draw_async(client, 20)
                self.assertEqual(client.stats()["silences"], 0)
                self.assertLess(time.monotonic() - begin, 10)

    async def test_fork_in_a_task_beside_others(self):
        """The child goes on in its copy of the loop: all calls end, none with an ID."""
        for fork in [os.fork, *C_FORKS]:
            with self.subTest(fork=fork.__name__), Worker() as worker:
                worker.slow_s = 0.002
                client = snowfleet.AsyncClient(worker.address)
                seen, read, write, child = [], *os.pipe(), []

                async def caller(forks):
                    for turn in range(40):
                        seen.append(await client.next())
                        if forks and turn == 20:
                            child.append(fork())
                            if child[0] == 0:
                                seen.clear()
                told = await asyncio.gather(*(caller(n == 3) for n in range(20)), return_exceptions=True)
                if child[0] == 0:
                    os.write(write, (" ".join([each.code if isinstance(each, snowfleet.SnowfleetError) else repr(each) for each in told]) +
                                     "|" + " ".join(map(str, seen))).encode())
                    os._exit(0)
                os.close(write)
                codes, _, ids = (await asyncio.to_thread(os.fdopen(read, "rb").read)).decode().partition("|")
                os.waitpid(child[0], 0)
                await client.close()
                self.assertEqual((codes.split(), ids.split()), (["CANCELLED"] * 20, []))
                self.assertEqual((len(seen), len(set(seen))), (800, 800))


class Handlers(unittest.TestCase):
    def interrupted(self, fork, call):
        """A signal handler forks in the midst of calls, 30 times one after the other; the interrupted call goes on in both."""
        read, write = os.pipe()
        ids, forks, told, here = [], 0, [], False

        def on_alarm(*_):  # the timer ticks once: a handler is never interrupted by the next
            nonlocal child
            child = fork()
        before = signal.signal(signal.SIGALRM, on_alarm)
        try:
            while forks < 30:
                child = None
                signal.setitimer(signal.ITIMER_REAL, 0.001 + forks * 0.0001)
                while child is None:
                    try:
                        got = call()
                    except snowfleet.SnowfleetError as error:
                        got = [error.code]
                    if child == 0:
                        here = True
                        os.write(write, (" ".join(map(str, got + call())) + "\n").encode())
                        os._exit(0)
                    ids += got
                forks += 1
                self.assertEqual(os.waitpid(child, 0)[1], 0)
        finally:
            if child == 0 or here:
                os._exit(1)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            os.close(write)
        with os.fdopen(read) as stream:
            told = stream.read().split()
        self.assertGreater(told.count("CANCELLED"), 0)
        ids += [int(each) for each in told if each != "CANCELLED"]
        self.assertEqual((len(ids), sum(each == "CANCELLED" for each in ids)), (len(set(ids)), 0))

    def test_client(self):
        for fork in [os.fork, *C_FORKS]:
            for options in ({}, {"prefetch": 20, "prefetch_max_age_ms": 60000}):
                with self.subTest(fork=fork.__name__, options=options), Worker() as worker, snowfleet.Client(worker.address, **options) as client:
                    client.next()
                    self.interrupted(fork, lambda: [client.next()])


if __name__ == "__main__":
    unittest.main()
