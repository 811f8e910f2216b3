"""Many calls and many lost connections: memory, threads and descriptors stay as they were."""
import os
import sys
import time

from driver import ROOT
from suite import scenario

os.environ.setdefault("SF_BIN", str(ROOT / "build/dev/bin"))
sys.path.insert(0, str(ROOT / "tests/lib"))
import snowfleet  # noqa: E402
from faultproxy import FaultProxy  # noqa: E402


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        below = [int(each) for each in file.read().split()]
    return [pid] + [each for child in below for each in children(child)]


def figures(driver):
    """(KiB resident, threads, descriptors) of the driver and what it started."""
    kib = threads = descriptors = 0
    for pid in children(driver.process.pid):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        kib += int(fields["VmRSS"].split()[0])
        threads += int(fields["Threads"])
        descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    return kib, threads, descriptors


# What a runtime may take meanwhile for itself: its heap grows until it sees reason to clean up.
HEAP_KIB = {"java": 120000, "go": 24000, "typescript": 60000}
THREADS = {"java": 12, "go": 8, "typescript": 4}


def growth(new, calls, losses):
    with snowfleet.Fleet() as fleet, new() as driver:
        worker = fleet.worker().start()
        proxy = FaultProxy(worker.port)
        try:
            driver.open(f"127.0.0.1:{worker.port},127.0.0.1:{proxy.port}", timeout_ms=5000)

            def work(n):
                assert driver.load(calls=n, callers=8)["failed"] == 0
                for _ in range(losses // 5):
                    proxy.mode = "reset"
                    driver.load(calls=20, callers=4)
                    proxy.mode = "pass"
                    driver.load(calls=20, callers=4)

            work(calls // 5)
            time.sleep(0.3)
            kib, threads, descriptors = figures(driver)
            for _ in range(4):
                work(calls // 5)
            end = time.monotonic() + 10
            while True:  # connections that were given up may still wait to be closed
                now = figures(driver)
                grown = (now[0] - kib, now[1] - threads, now[2] - descriptors)
                fine = (grown[0] <= 8000 + HEAP_KIB.get(new.language, 0), grown[1] <= THREADS.get(new.language, 1), grown[2] <= 6)
                if all(fine):
                    break
                assert time.monotonic() < end, f"grown by {grown} (KiB, threads, descriptors) over {calls} calls, from {(kib, threads, descriptors)}"
                time.sleep(0.5)
        finally:
            proxy.stop()


@scenario("ten thousand calls and twenty lost connections: nothing grows")
def short_growth(new):
    growth(new, 10000, 20)


@scenario("a million calls and a thousand lost connections: nothing grows", long=True)
def long_growth(new):
    growth(new, 1000000, 1000)
