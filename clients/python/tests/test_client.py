"""Threads, tasks, forks and cancellation. `python -m unittest discover -s tests -t .` with src in PYTHONPATH."""
import asyncio
import importlib.util
import logging
import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
import unittest

import snowfleet

from .worker import Worker

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


class Sockets(unittest.TestCase):
    def test_a_unix_socket_is_a_server(self):
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/data.sock"
            with Worker(path) as worker:
                for options in ({}, {"tls": True}):  # never inside TLS
                    with snowfleet.Client(worker.address, **options) as client:
                        self.assertEqual(len(set(client.next_many(100))), 100)
            with snowfleet.Client(f"unix:{path}", timeout_ms=200) as client, self.assertRaises(snowfleet.UnreachableError) as caught:
                client.next()
            self.assertIn(f"unix:{path}", str(caught.exception))

    def test_abstract_names_and_others_beside_them(self):
        name = f"snowfleet-test-{os.getpid()}"
        with Worker(f"\0{name}"), Worker() as other, snowfleet.Client(f"unix:@{name},{other.address}") as client:
            other.last = 7 << 40
            self.assertEqual(len({client.next() for _ in range(100)}), 100)
            self.assertGreater(other.asked, 0)

    def test_what_is_none(self):
        for text in ("unix:", "unix:relative", "unix:/data", "unix:/run/", "unix:@", "unix:/run/" + "x" * 103):
            with self.subTest(text), self.assertRaisesRegex(snowfleet.InvalidError, "unix:/PATH"):
                snowfleet.Client(text)


class Threads(unittest.TestCase):
    def test_many_callers_share_requests(self):
        with Worker() as worker, snowfleet.Client(worker.address) as client:
            worker.slow_s = 0.002
            seen, lock = [], threading.Lock()

            def caller(count):
                for _ in range(40):
                    ids = client.next_many(count)
                    self.assertEqual(ids, sorted(ids))
                    with lock:
                        seen.extend(ids)
            threads = [threading.Thread(target=caller, args=(1 + n % 3,)) for n in range(24)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(seen), len(set(seen)))
            self.assertLess(worker.asked * 2, 24 * 40)
            stats = client.stats()
            self.assertEqual((stats["calls"], stats["ids"]), (24 * 40, len(seen)))

    def test_close_ends_calls(self):
        with Worker() as worker:
            worker.silent = True
            client = snowfleet.Client(worker.address, timeout_ms=20000)
            threading.Timer(0.2, client.close).start()
            begin = time.monotonic()
            with self.assertRaises(snowfleet.CancelledError):
                client.next()
            self.assertLess(time.monotonic() - begin, 10)
            with self.assertRaises(snowfleet.CancelledError):
                client.next()

    def test_prefetched_once(self):
        with Worker() as worker, snowfleet.Client(worker.address, prefetch=100, prefetch_max_age_ms=60000) as client:
            seen, lock = [], threading.Lock()

            def caller():
                for _ in range(300):
                    each = client.next()
                    with lock:
                        seen.append(each)
            threads = [threading.Thread(target=caller) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual((len(seen), len(set(seen)), worker.asked), (1500, 1500, 15))

    def test_errors_tell(self):
        with self.assertLogs("snowfleet", logging.WARNING), snowfleet.Client("127.0.0.1:1", timeout_ms=100) as client:
            with self.assertRaises(snowfleet.UnreachableError) as caught:
                client.next()
        self.assertIn("127.0.0.1:1", caught.exception.server + caught.exception.detail)
        with self.assertRaises(snowfleet.InvalidError):
            snowfleet.Client("127.0.0.1:1", colour="red")
        with self.assertRaises(ValueError):
            snowfleet.Client("127.0.0.1:1", prefetch=-1)
        self.assertTrue(issubclass(snowfleet.DeadlineError, TimeoutError))


def draw(client, count, queue):
    queue.put([client.next() for _ in range(count)])


class Forks(unittest.TestCase):
    def test_prefetched_ids_stay_the_parents(self):
        with Worker() as worker, snowfleet.Client(worker.address, prefetch=100, prefetch_max_age_ms=60000) as client:
            first = [client.next() for _ in range(10)]
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            children = [context.Process(target=draw, args=(client, 150, queue)) for _ in range(3)]
            for child in children:
                child.start()
            theirs = [each for _ in children for each in queue.get(timeout=30)]
            for child in children:
                child.join(30)
                self.assertEqual(child.exitcode, 0)
            mine = first + [client.next() for _ in range(150)]
            everything = mine + theirs
            self.assertEqual((len(everything), len(set(everything))), (610, 610))
            self.assertEqual(client.stats()["order_errors"], 0)

    def test_beside_threads_in_calls(self):
        with Worker() as worker, snowfleet.Client(worker.address) as client:
            stop, seen = threading.Event(), []

            def caller():
                while not stop.is_set():
                    seen.append(client.next())
            threads = [threading.Thread(target=caller) for _ in range(4)]
            for thread in threads:
                thread.start()
            theirs = []
            for _ in range(10):
                read, write = os.pipe()
                child = os.fork()
                if child == 0:
                    try:
                        os.write(write, b"".join(client.next().to_bytes(8, "big") for _ in range(5)))
                    finally:
                        os._exit(0)
                os.close(write)
                with os.fdopen(read, "rb") as stream:
                    data = stream.read()
                os.waitpid(child, 0)
                theirs += [int.from_bytes(data[i:i + 8], "big") for i in range(0, len(data), 8)]
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(len(theirs), 50)
            self.assertEqual(len(set(seen + theirs)), len(seen) + 50)


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_many_tasks_share_requests(self):
        with Worker() as worker:
            async with snowfleet.AsyncClient(worker.address) as client:
                worker.slow_s = 0.002
                parts = await asyncio.gather(*(client.next_many(1 + n % 3) for n in range(500)))
                ids = [each for part in parts for each in part]
                self.assertEqual(len(ids), len(set(ids)))
                self.assertLess(worker.asked, 100)
                self.assertEqual((await client.decode(ids[0])).worker, snowfleet.Layout().decode(ids[0]).worker)

    async def test_cancellation_and_deadline(self):
        with Worker() as worker:
            worker.silent = True
            async with snowfleet.AsyncClient(worker.address, timeout_ms=20000) as client:
                task = asyncio.create_task(client.next())
                await asyncio.sleep(0.1)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                self.assertEqual(client.stats()["calls_by_error"], {"CANCELLED": 1})
                begin = time.monotonic()
                with self.assertRaises(snowfleet.DeadlineError):
                    await client.next_many(1, timeout_ms=200)
                self.assertLess(time.monotonic() - begin, 5)
                with self.assertRaises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await client.next()
                worker.silent = False
                self.assertGreater(await client.next(), 0)

    async def test_prefetch(self):
        with Worker() as worker:
            async with snowfleet.AsyncClient(worker.address, prefetch=100, prefetch_max_age_ms=60000) as client:
                ids = await asyncio.gather(*(client.next() for _ in range(450)))
                self.assertEqual((len(set(ids)), worker.asked), (450, 5))
                stats = client.stats()
                self.assertEqual((stats["prefetch_hits"], stats["prefetch_fills"]), (445, 5))

    async def test_prefetch_goes_on_without_who_began_to_fetch(self):
        """A task that began to fetch for all is cancelled. What comes, or fails to come, is nobody's end."""
        def too_long(*_):
            self.fail("no task has had its turn again")
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(20)
        self.addCleanup(signal.alarm, 0)
        with Worker() as worker:
            async with snowfleet.AsyncClient(worker.address, prefetch=10, prefetch_max_age_ms=60000, timeout_ms=1000) as client:
                for slow_s, silent in ((0.3, False), (0.0, True)):
                    worker.slow_s, worker.silent = slow_s, silent
                    with self.assertRaises(TimeoutError):
                        await asyncio.wait_for(client.next(), 0.1)
                    await asyncio.sleep(1.2)  # what it asked for has come, or its time is over
                    worker.slow_s, worker.silent = 0.0, False

                    async def many():
                        return [await client.next() for _ in range(40)]  # all that is kept
                    ids = await asyncio.wait_for(many(), 20)
                    self.assertEqual(len(set(ids)), 40)

    async def test_nobody_there(self):
        async with snowfleet.AsyncClient("127.0.0.1:1", timeout_ms=150) as client:
            with self.assertRaises(snowfleet.UnreachableError):
                await client.next()

    async def test_names(self):
        with Worker() as worker:
            async with snowfleet.AsyncClient(worker.address.replace("127.0.0.1", "localhost"), timeout_ms=5000) as client:
                self.assertGreater(await client.next(), 0)


class Examples(unittest.TestCase):
    def run_example(self, name, needs):
        if importlib.util.find_spec(needs) is None:
            self.skipTest(f"{needs} is not installed")
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        with Worker() as worker:
            ids = module.main(worker.address)
        self.assertEqual((len(set(ids)), ids), (2, sorted(ids)))

    def test_sqlalchemy(self):
        self.run_example("with_sqlalchemy", "sqlalchemy")

    def test_django(self):
        self.run_example("with_django", "django")


if __name__ == "__main__":
    unittest.main()
