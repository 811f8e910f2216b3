#!/usr/bin/env python3
"""A real fleet of three on a real etcd, under a real Prometheus with the rules (every `for` a second, every range 15 s): every query of
every panel and rule has data; then a worker is killed, the coordinator stopped, a clock set wrong, a sequence exhausted, and each time
the alert for it fires and clears afterwards. Leaves with 77 where a program is missing. Needs SF_BIN."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import live
import load
import queries
from live import WAIT_S

sys.path.insert(0, os.path.join(load.ROOT, "tests/lib"))
sys.path.insert(0, os.path.join(load.ROOT, "tests/system"))
import coordinators  # noqa: E402
import snowfleet  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

NO_CERTIFICATES = ["certificate_expiry"]


class Watched(live.Prometheus):
    def wait_firing(self, alert, instances):
        """Until the alert fires for exactly these ([]: for none)."""
        def found():
            return sorted(one.get("instance", "") for one in self.firing() if one["alertname"] == alert)
        snowfleet.wait_until(lambda: found() == sorted(instances), lambda: f"{alert} for {instances}; firing: {self.firing()}", WAIT_S, 0.5)
        print(f"{alert}: " + (f"fires for {len(instances)}" if instances else "clears"), flush=True)


def wait_for_data(prometheus):
    said = []

    def all_answered():
        said.clear()
        total, bad = queries.run(prometheus.url, NO_CERTIFICATES, said.append)
        assert total > 130, total
        return bad == 0

    snowfleet.wait_until(all_answered, lambda: "data for every query:\n" + "\n".join(said), WAIT_S, 2)
    print("every query has data", flush=True)


def names(prometheus):
    return {one["alertname"] for one in prometheus.firing()}


def check(root, url, coordinator, ntp, ends):
    clock = root / "clock"
    faked = live.fake_clock(clock)
    workers = []
    for name, env in (("a", {}), ("b", faked), ("c", {})):
        (root / name).mkdir()
        workers.append(snowfleet.Worker(root / name, name, url, env=env, options={"clock-sources": ntp.source, "clock-poll-ms": "500"}))
        ends.append(workers[-1].end)
        workers[-1].start()
    loads = [live.Load(w) for w in workers]
    for one in loads:
        one.start()
        ends.append(one.stop.set)
    prober = f"127.0.0.1:{snowfleet.free_ports(1)[0]}"
    verify = subprocess.Popen([str(snowfleet.BIN / "snowfleet"), "verify", "--coordinator", url, "--metrics", prober, "--interval-ms", "50"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ends.append(lambda: live.end(verify))
    targets = [f"127.0.0.1:{w.admin}" for w in workers]
    prometheus = Watched(root)
    ends.append(prometheus.end)
    prometheus.aim([live.targets(*targets)], [live.targets(prober)])
    wait_for_data(prometheus)
    snowfleet.wait_until(lambda: prometheus.firing() == [], lambda: f"a healthy fleet: {prometheus.firing()}", WAIT_S, 1)

    workers[2].kill()
    prometheus.wait_firing("WorkerDown", targets[2:])
    workers[2].start()
    prometheus.wait_firing("WorkerDown", [])

    coordinator.stop_all()
    prometheus.wait_firing("CoordinatorUnreachable", targets)
    assert "FewReady" not in names(prometheus), "they mint on from their reservations"
    coordinator.start_all()
    prometheus.wait_firing("CoordinatorUnreachable", [])

    live.skew(clock, "+0.3")
    prometheus.wait_firing("ClockOffset", targets[1:2])
    prometheus.wait_firing("ClockStep", targets[1:2])
    live.skew(clock, "+0")
    prometheus.wait_firing("ClockOffset", [])
    prometheus.wait_firing("ClockStep", [])

    loads[0].count, loads[0].pause = 65536, 0  # more than a burst may borrow: each waits
    prometheus.wait_firing("SequenceExhaustion", targets[:1])
    loads[0].count, loads[0].pause = 1, 0.02
    prometheus.wait_firing("SequenceExhaustion", [])

    assert not {"Duplicate", "OrderViolation"} & names(prometheus)
    verify.terminate()
    _, said = verify.communicate(timeout=30)
    assert verify.returncode == 0, f"the prober ended with {verify.returncode}: {said}"


def main():
    missing = live.missing("etcd")
    if missing:
        print(f"skipped: needs {', '.join(missing)}")
        return 77
    root, ends = pathlib.Path(tempfile.mkdtemp(prefix="sf-live-")), []
    ntp = FakeNtp()
    try:
        with coordinators.start("etcd") as coordinator:
            try:
                subprocess.run([str(snowfleet.BIN / "snowfleet"), "init", "--coordinator", coordinator.url(), "--first"], check=True)
                check(root, coordinator.url(), coordinator, ntp, ends)
            finally:
                for one in reversed(ends):
                    one()
        return 0
    finally:
        ntp.close()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
