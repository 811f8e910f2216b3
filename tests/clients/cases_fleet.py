"""A real fleet whose workers are killed, stopped, drained, cut off and replaced under load: no failed call, no ID twice across all languages."""
import array
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time

from driver import ROOT
from suite import scenario

os.environ.setdefault("SF_BIN", str(ROOT / "build/dev/bin"))
sys.path.insert(0, str(ROOT / "tests/lib"))
import snowfleet  # noqa: E402
from faultproxy import FaultProxy  # noqa: E402


def ids_of(path):
    ids = array.array("Q")
    with open(path, "rb") as file:
        ids.frombytes(file.read())
    ids.byteswap()
    return ids


class Load:
    """The load of one language, until the disturbances are over."""

    def __init__(self, factory, servers, seconds, directory, callers):
        self.language = factory.language
        self.path = os.path.join(directory, self.language)
        self.told = self.wrong = None
        self.thread = threading.Thread(target=self._run, args=(factory, servers, seconds, callers))
        self.thread.start()

    def _run(self, factory, servers, seconds, callers):
        try:
            with factory() as driver:
                driver.open(servers, timeout_ms=5000)
                self.told = driver.load(seconds, callers=callers, file=self.path)
                self.stats = driver.stats()
        except Exception as error:  # noqa: BLE001
            self.wrong = error


def disturb(fleet, proxy, seconds):
    """kill -9, a pause, a network that swallows everything, a drain and a rolling restart, over and over until the time is up."""
    end = time.monotonic() + seconds
    a, b, c = fleet.workers[:3]

    def kill():
        a.kill()
        a.start()

    def stop():
        b.pause()
        time.sleep(1.2)
        b.resume()

    def cut_off():
        proxy.mode = "hole"
        time.sleep(1)
        proxy.mode = "pass"

    def drain():
        b.term()
        b.start()

    def roll():
        for worker in (a, b, c):
            worker.term()
            worker.start()
            time.sleep(0.3)

    done = 0
    while True:
        for step in (kill, stop, cut_off, drain, roll):
            if time.monotonic() > end:
                return done
            step()
            done += 1
            time.sleep(0.4)


def storm(factories, seconds, callers):
    with snowfleet.Fleet() as fleet, contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="snowfleet-clients-load."))
        for _ in range(3):
            fleet.worker(options={"listen-threads": "1", "reservation-state-dir": str(fleet.directory / f"state{len(fleet.workers)}")}).start()
        # A worker's state directory is its own: they would wait for each other's otherwise.
        proxy = FaultProxy(fleet.workers[2].port)
        stack.callback(proxy.stop)
        servers = f"127.0.0.1:{fleet.workers[0].port},127.0.0.1:{fleet.workers[1].port},127.0.0.1:{proxy.port}"
        loads = [Load(factory, servers, seconds + 1, directory, callers) for factory in factories]
        time.sleep(0.7)
        steps = disturb(fleet, proxy, seconds)
        for load in loads:
            load.thread.join()
        wrong, seen, total = [], set(), 0
        for load in loads:
            if load.wrong is not None or load.told["failed"] or load.told["order_errors"] or load.told["longest_ms"] > 4000:
                wrong.append((load.language, load.wrong or load.told))
                continue
            ids = ids_of(load.path)
            assert len(ids) == load.told["ids"], (load.language, len(ids), load.told)
            total += len(ids)
            seen.update(ids)
            print(f"{load.language}: {load.told['calls']} calls, none failed, longest {load.told['longest_ms']:.0f} ms", flush=True)
        assert not wrong, wrong
        assert len(seen) == total, f"{total - len(seen)} IDs came twice"
        print(f"{steps} disturbances, {total} IDs, no duplicate", flush=True)


@scenario("a real fleet under kill -9, SIGSTOP, partition, drain, rolling restart", together=True)
def short_storm(factories):
    storm(factories, 10, 2)


@scenario("the same for five minutes", together=True, long=True)
def long_storm(factories):
    storm(factories, 300, 2)


@scenario("a real worker: parts of its IDs, tokens, quick return after all were down")
def real(new):
    with snowfleet.Fleet() as fleet, new() as driver:
        worker = fleet.worker(options={"fleet-worker": "7"}).start()
        driver.open(f"127.0.0.1:{worker.port}", timeout_ms=8000)
        before = time.time()
        mine = driver.one()
        got = driver.ask("decode", id=str(mine))
        assert got["worker"] == 7 and got["datacenter"] == 0 and abs(got["unix_ms"] / 1000 - before) < 5, got
        later = driver.next(2, after=str(mine))
        assert min(later) > mine
        many = driver.next(100000)
        assert len(set(many)) == 100000
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        timer = threading.Timer(0.3, worker.start, kwargs={"ready": False})
        timer.start()
        assert driver.one() > max(many)
        timer.join()
