#!/usr/bin/env python3
"""Coordinators whose answers are garbage: a handle survives each kind, and works again once answers are good.

  garbage_answers.py zookeeper|etcd DRIVER [unittest options]          exits 77 where the coordinator is not installed
"""
import concurrent.futures
import os
import sys
import time
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")]
import etcd                            # noqa: E402
import zk                              # noqa: E402
import zookeeper_traps                 # noqa: E402
from garbage import HttpGarbage, ZooKeeperGarbage  # noqa: E402

ABREAST = 8
PATIENCE = 40


def bound(url, fleet):
    driver = zookeeper_traps.Driver(url, fleet, timeout_ms=4000)
    driver.expect("connected")
    for command in ("survey", "init", "config", "claim", "slot 0", "bind 0", "watch"):
        outcome, reason, _, text = driver.call(command)
        if outcome != "done":
            raise AssertionError(f"{command}: {reason} {text}")
    return driver


def recovers(driver):
    """Seconds until everything that was read before can be read again."""
    begin = time.monotonic()
    while time.monotonic() < begin + PATIENCE:
        got = [driver.call(command)[0] for command in ("config 1000", "slot 0 1000", "list 1000")]
        if got == ["done"] * 3:
            return time.monotonic() - begin
        time.sleep(0.05)
    raise AssertionError(f"no recovery: {got} {driver.events[-8:]}")


def survive(make_proxy, scheme, kind):
    """None, or how the handle failed."""
    proxy, driver = make_proxy(), None
    try:
        driver = bound(f"{scheme}://127.0.0.1:{proxy.port}", "g-" + "".join(c if c.isalnum() else "-" for c in kind))
        proxy.kind = kind
        for turn in range(5):
            if turn % 2 == 0 and ("greeting" in kind or turn == 4):
                proxy.mode = "reset"
                proxy.mode = "pass"
            for command in ("config 400", "slot 0 400", "list 400", "renew 0 400", "watch 400"):
                driver.send(command)
            time.sleep(0.15)
            driver.drain()
        proxy.kind = None
        took_s = recovers(driver)
        driver.quit()
        return None if took_s < 15 else f"{kind}: good answers were believed after {took_s:.1f} s only"
    except Exception as error:
        return f"{kind}: {error!r:.700}"
    finally:
        if driver is not None:
            driver.end()
        proxy.stop()


class Garbage(unittest.TestCase):
    def all_survived(self, make_proxy, scheme, kinds):
        kinds = [kind for kind in kinds if os.environ.get("GARBAGE", kind) == kind]
        with concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
            failures = [f for f in pool.map(lambda kind: survive(make_proxy, scheme, kind), kinds) if f is not None]
        self.assertEqual(failures, [], f"{len(failures)} of {len(kinds)} kinds:\n" + "\n".join(failures))

    def test_garbage(self):
        if BACKEND == "zookeeper":
            with zk.Ensemble() as ensemble:
                self.all_survived(lambda: ZooKeeperGarbage(ensemble.servers[0].port), "zk", ZooKeeperGarbage.KINDS)
        else:
            with etcd.Cluster() as cluster:
                port = int(cluster.address(0).rsplit(":", 1)[1])
                self.all_survived(lambda: HttpGarbage(port), "etcd", HttpGarbage.KINDS)


if __name__ == "__main__":
    BACKEND = sys.argv[1]
    if not (zk if BACKEND == "zookeeper" else etcd).available():
        print(f"{BACKEND} is not installed here", file=sys.stderr)
        sys.exit(77)
    zookeeper_traps.DRIVER = os.path.abspath(sys.argv[2])
    unittest.main(argv=[sys.argv[0]] + sys.argv[3:])
