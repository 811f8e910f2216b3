#!/usr/bin/env python3
"""Every alert, in the failure that it is for, on a real Prometheus that holds three releases whose fleets are all called `default` and whose
workers have the same addresses: two namespaces of one cluster, and another cluster. In each stage the alerts that are wanted fire, for the
releases that are hit and for no other; every panel's query has data meanwhile; and when it is over, all of them clear.
usage: staged_test.py [--pictures DIR] [STAGE...] (draws both dashboards after each stage; only these stages, by the names of their functions). Leaves with 77 where a program is missing. Needs SF_BIN."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import live
import load
import queries
from live import WAIT_S

sys.path.insert(0, os.path.join(load.ROOT, "tests/lib"))
sys.path.insert(0, os.path.join(load.ROOT, "tests/system"))
import certificates  # noqa: E402
import coordinators  # noqa: E402
import snowfleet as sf  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402
from faultproxy import FaultProxy  # noqa: E402

# They say that the promise is broken: whoever is not staged for one must never see one.
UNIQUENESS = {"Duplicate", "OrderViolation", "LayoutSkew", "SlotHeldTwice"}


class Release:
    """A fleet `default` with two workers in datacenter 0 and one in 1, asked by a prober, all of them with some load."""

    def __init__(self, stage, name, cluster, namespace, url, init=(), options=None):
        self.stage, self.name, self.url = stage, name, url
        self.place = {"cluster": cluster, "namespace": namespace}
        self.root = stage.root / name
        self.root.mkdir()
        self.ntp = FakeNtp()
        stage.ends.callback(self.ntp.close)
        self.tool("init", "--first", "--coordinator", url, *init)
        self.options = {"clock-sources": self.ntp.source, "clock-poll-ms": 500, "coordinator-session-timeout-ms": 5000, **(options or {})}
        self.workers, self.more, self.loads = [], [], []

    def start(self):
        for n in range(3):
            worker = self.worker(f"{self.name}{n}", options={"fleet-datacenter": n // 2})
            self.workers.append(worker.start())
            self.loads.append(live.Load(worker))
            self.loads[-1].start()
            self.stage.ends.callback(self.loads[-1].stop.set)
        self.id = self.workers[0].status()["fleet_id"]
        self.prober_port = self.verify("--coordinator", self.url, "--interval-ms", "50")
        return self

    def worker(self, name, options=None, env=None, kind=sf.Worker, url=None):
        directory = self.root / name
        directory.mkdir()
        worker = kind(directory, name, url or self.url, env=env, options={**self.options, **(options or {})})
        self.stage.ends.callback(worker.end)
        return worker

    def verify(self, *arguments):
        """A prober; the port that it is scraped at."""
        port = sf.free_ports(1)[0]
        with open(self.root / f"verify.{port}.log", "wb") as log:
            process = subprocess.Popen([str(sf.BIN / "snowfleet"), "verify", "--metrics", f"127.0.0.1:{port}", *map(str, arguments)], stdout=log, stderr=log)
        self.stage.ends.callback(live.end, process)
        self.stage.probers[port] = process
        return port

    def tool(self, *arguments):
        done = subprocess.run([str(sf.BIN / "snowfleet"), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"snowfleet {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"

    def targets(self):
        """The n-th worker of each release has the same address as the others' n-th: pods of three networks."""
        return [live.targets(f"127.0.0.1:{worker.admin}", instance=f"10.0.0.{n + 1}:7451", **self.place)
                for n, worker in enumerate(self.workers + self.more)]


class Stage:
    def __init__(self, root, ends, pictures):
        self.root, self.ends, self.pictures, self.probers = root, ends, pictures, {}
        self.releases, self.extra_probers = [], []
        self.fired = set()
        self.prometheus = live.Prometheus(root)
        ends.callback(self.prometheus.end)

    def aim(self, workers=True):
        self.prometheus.aim([one for release in self.releases for one in release.targets()] if workers else [],
                            [live.targets(f"127.0.0.1:{release.prober_port}", instance="10.0.0.9:9100", **release.place)
                             for release in self.releases if release.prober_port]
                            + [live.targets(f"127.0.0.1:{port}", instance=f"10.0.0.{10 + n}:9100", **release.place)
                               for n, (release, port) in enumerate(self.extra_probers)])

    def firing(self):
        """{(alert, name of the release)}; of an alert that no release is named in, "all"."""
        ids = {release.id: release.name for release in self.releases}
        places = {tuple(release.place.values()): release.name for release in self.releases}
        found = set()
        for one in self.prometheus.firing():
            where = places.get((one.get("cluster"), one.get("namespace"))) or ids.get(one.get("fleet_id"))
            assert where or one["alertname"] == "TargetMissing", f"nobody knows where: {one}"
            found.add((one["alertname"], where or "all"))
        return found

    def query_all(self, what):
        said = []
        total, bad = queries.run(self.prometheus.url, ["certificate_expiry"], said.append)
        assert total > 130 and bad == 0, f"{what}: {bad} of {total} queries\n" + "\n".join(said)

    def until(self, what, *wanted, also=(), deadline_s=WAIT_S, queried=True):
        """Until each of these, "Alert release", has fired. Of the other releases none may; what else follows in the same one is its own affair."""
        wanted = {tuple(one.split()) for one in wanted}
        hit = {where for _, where in wanted} | set(also)
        seen, begun = set(), time.monotonic()
        while not wanted <= seen:
            now = self.firing()
            mixed = {(alert, where) for alert, where in now if where not in hit or alert in UNIQUENESS and (alert, where) not in wanted}
            assert not mixed, f"{what}: {mixed} should not fire"
            seen |= now
            assert time.monotonic() < begun + deadline_s, f"{what}: {wanted - seen} did not fire; fired: {seen}"
            time.sleep(0.5)
        print(f"{what}: {', '.join(sorted(' '.join(one) for one in wanted))} after {time.monotonic() - begun:.0f} s", flush=True)
        self.fired |= {alert for alert, _ in wanted}
        if queried:
            self.query_all(what)

    def clear(self, what):
        begun = time.monotonic()
        sf.wait_until(lambda: not self.firing(), lambda: f"{what} is over, and yet: {self.prometheus.firing()}", WAIT_S, 0.5)
        print(f"{what}: clear after {time.monotonic() - begun:.0f} s", flush=True)
        if self.pictures:
            name = what.replace(" ", "-").replace(",", "")
            subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "pictures.py"), self.prometheus.url, self.pictures / name], check=True)


# --- the stages ---

SHORT = {"reservation-window-ms": 10000, "reservation-min-window-ms": 5000}


def killed(stage, a, b, c):
    """One of a datacenter; and a whole datacenter, which is two of the three that its release has."""
    for worker in (a.workers[1], c.workers[0], c.workers[1]):
        worker.kill()
    stage.until("workers are killed", "WorkerDown a", "MembersLost a", "WorkerDown c", "FewReady c", "DatacenterGone c", "VerifyFailing c")
    for worker in (a.workers[1], c.workers[0], c.workers[1]):
        worker.start()
    stage.clear("workers are killed")


def restarted(worker, options=(), env=()):
    """In order, so that nobody misses it, with other options and environment than before."""
    assert worker.term() == 0, worker.log()
    worker.options, worker.env = dict(options), dict(env)
    worker.start()


def cut_off(stage, a, b, c, proxy):
    """One of them has little left to spend. Only now: a machine that is busy loses sight of a coordinator for a moment, too."""
    short = b.workers[0]
    options = short.options
    restarted(short, {**options, **SHORT})
    stage.clear("a reservation is short")
    proxy.mode = "reset"
    stage.until("a coordinator is out of reach", "CoordinatorUnreachable b", "ReservationLow b")
    proxy.mode = "pass"
    short.wait_ready(60)
    restarted(short, options)
    stage.clear("a coordinator is out of reach")


def clocks(stage, a, b, c, clock):
    """The clock of one is faked: only now, for on a busy machine it steps by itself."""
    faked = a.workers[1]
    restarted(faked, faked.options, live.fake_clock(clock))
    stage.clear("a clock can be set wrong")
    live.skew(clock, "+0.3")
    b.ntp.faults["offset"] = 5.0
    c.ntp.faults["li"] = 3
    stage.until("clocks are wrong", "ClockOffset a", "ClockStep a", "WorkerSuspended b", "FewReady b", "ClockUnsynchronised c")
    live.skew(clock, "+0")
    b.ntp.faults["offset"] = 0.0
    c.ntp.faults["li"] = 0
    restarted(faked, faked.options)
    stage.clear("clocks are wrong")


@contextlib.contextmanager
def busy(action):
    """Does it all the time, in a thread."""
    over = threading.Event()

    def run():
        while not over.is_set():
            try:
                action()
            except OSError:
                pass
            over.wait(0.02)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def overload(stage, a, b, c):
    a.loads[0].count, a.loads[0].pause = 65536, 0  # more than a burst may borrow: each waits

    def bench():
        subprocess.run([str(sf.BIN / "snowfleet"), "bench", "--server", f"127.0.0.1:{b.workers[0].port}", "-c", "8", "-d", "16", "-b", "20000", "-t", "3"],
                       check=False, capture_output=True)

    with busy(bench):
        stage.until("more is asked for than there is", "SequenceExhaustion a", "LoadImbalance a", "Overloaded b", "LatencyHigh b", "ErrorsFastBurn b", "ErrorsSlowBurn b")
    a.loads[0].count, a.loads[0].pause = 1, 0.02
    stage.clear("more is asked for than there is")


def at_the_door(stage, a, b, c):
    """Too many connections at one worker, and what is not the protocol at another."""
    def crowd():
        with contextlib.ExitStack() as held:
            for _ in range(60):
                held.enter_context(socket.create_connection(("127.0.0.1", c.workers[0].port), 5))
            time.sleep(0.2)

    def garbage():
        with socket.create_connection(("127.0.0.1", b.workers[0].port), 5) as one:
            one.sendall(b"GET / HTTP/1.1\r\n\r\n")
            one.recv(100)

    with busy(crowd), busy(garbage):
        stage.until("the door is crowded", "ConnectionsRefused c", "BadFrames b")
    stage.clear("the door is crowded")


def full(stage, a, b, c):
    """Two workers that nobody scrapes take the last slots, another one finds none."""
    unseen = [c.worker(f"c-unseen{n}").start() for n in range(2)]
    waiting = c.worker("c-waiting").start(ready=False)
    stage.until("a datacenter is full", "SlotsNearlyExhausted c", "ClaimsLeaked c", "WorkersWaiting c")
    for worker in (waiting, *unseen):
        assert worker.term() == 0, worker.log()
    stage.clear("a datacenter is full")


def certificate_of(directory, days):
    for name in ("key", "pem"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(directory / f"own.{name}")
    certificates.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key", "-out", "own.pem",
                         "-days", str(days), "-subj", "/CN=127.0.0.1", cwd=directory)


def doors(stage, a, b, c):
    """A certificate of three days; then one that cannot be read."""
    certificate_of(a.root, 3)
    worker = a.worker("a-tls", options={"listen-tls-cert": a.root / "own.pem", "listen-tls-key": a.root / "own.key"}).start()
    a.more.append(worker)
    stage.aim()
    stage.until("a certificate ends soon", "CertificateExpires a")
    certificate_of(a.root, 30)
    worker.process.send_signal(signal.SIGHUP)
    sf.wait_until(lambda: ("CertificateExpires", "a") not in stage.firing(), "the renewed one is seen", WAIT_S, 0.5)
    (a.root / "own.pem").write_text("nothing of the kind\n")
    worker.process.send_signal(signal.SIGHUP)
    stage.until("a certificate cannot be used", "ReloadRefused a")
    assert worker.term() == 0
    a.more.clear()
    stage.aim()
    stage.clear("certificates")


class Splice:
    """A balancer that knows nothing of sequences: the requests of one connection go to two workers in turn."""

    def __init__(self, ports):
        self.ports = ports
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def take(one):
        head = one.recv(4, socket.MSG_WAITALL)
        rest = one.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL) if len(head) == 4 else b""
        if not rest:
            raise ConnectionResetError
        return head + rest

    def serve(self, client):
        with contextlib.ExitStack() as held:
            held.enter_context(client)
            ends = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for port in self.ports]
            with contextlib.suppress(OSError):
                while True:
                    for end in ends:
                        end.sendall(self.take(client))
                        client.sendall(self.take(end))


def promise_broken(stage, a, b, c):
    """A second coordinator for the same fleet, with a worker in a slot that is held already: what the documents forbid. Then another epoch there; and
    a balancer that deals one connection's requests out to several workers."""
    slot = a.workers[0].status()["worker"]

    def twin(prefix, *init):
        url = f"{stage.etcd_url}/{prefix}"
        a.tool("init", "--first", "--coordinator", url, "--fleet-id", a.id, *init)
        worker = a.worker(prefix, url=url, options={"fleet-worker": slot, "fleet-datacenter": 0}).start()
        a.more.append(worker)
        return worker

    def over(what, *workers):
        for worker in workers:
            worker.end()
        for _, port in stage.extra_probers:
            live.end(stage.probers[port])
        a.more.clear()
        stage.extra_probers.clear()
        stage.aim()
        stage.clear(what)

    worker = twin("twin")
    stage.extra_probers.append((a, a.verify("-s", f"127.0.0.1:{a.workers[0].port}", "-s", f"127.0.0.1:{worker.port}", "-i", 0, "-b", 100)))
    stage.aim()
    stage.until("one number on two coordinators", "SlotHeldTwice a", "Duplicate a")
    over("one number on two coordinators", worker)

    worker = twin("other-epoch", "--epoch-ms", 1600000000000)
    stage.aim()
    stage.until("another epoch", "LayoutSkew a", "SlotHeldTwice a")
    over("another epoch", worker)

    splice = Splice([a.workers[0].port, a.workers[1].port])
    stage.extra_probers.append((a, a.verify("-s", f"127.0.0.1:{splice.port}", "-i", 0)))
    stage.aim()
    stage.until("one connection to two workers", "OrderViolation a")
    splice.listener.close()
    over("one connection to two workers")


class OtherBuild(sf.Worker):
    """The program, but for the commit that it names."""

    def command(self):
        program = self.directory / "snowfleetd"
        if not program.exists():
            said = subprocess.run([str(sf.BIN / "snowfleetd"), "--version"], check=True, capture_output=True, text=True).stdout
            commit = said.split("(")[1].split(")")[0].encode()
            program.write_bytes((sf.BIN / "snowfleetd").read_bytes().replace(commit, b"0" * len(commit)))
            program.chmod(0o755)
        command = super().command()
        command[0] = str(program)
        return command


def upgrades(stage, a, b, c):
    """One runs another build, and one starts again and again."""
    ours = b.workers[1]
    assert ours.term() == 0
    b.workers[1] = b.worker("b-other", kind=OtherBuild, options={"fleet-datacenter": 0}).start()
    stage.aim()

    def again():
        a.workers[2].kill()
        a.workers[2].start()
        time.sleep(1.5)
    with busy(again):
        stage.until("another build, and restarts", "VersionSkew b", "Restarts a")
    assert b.workers[1].term() == 0
    b.workers[1] = ours.start()
    stage.aim()
    stage.clear("another build, and restarts")


def short_lived(stage, own, copy):
    """A release with short reservations, on a coordinator of its own of which a copy is kept."""
    e = Release(stage, "e", "west", "e", own.url(), ("--layout", "41,8,2,12", "--max-window-ms", SHORT["reservation-window-ms"]), SHORT)
    e.start()
    own.save(copy)
    stage.releases.append(e)
    stage.aim()
    stage.clear("another release")
    return e


def over(stage, release):
    """It goes. As long as it is remembered it is missed, and this is no place to wait for four minutes."""
    for one in release.loads:
        one.stop.set()
    if release.prober_port:
        live.end(stage.probers[release.prober_port])
        release.prober_port = None
    for worker in release.workers:
        assert worker.term() == 0, worker.log()
    release.workers.clear()
    stage.aim()
    sf.wait_until(lambda: {name for name, _ in stage.firing()} <= {"DatacenterGone"}, lambda: stage.firing(), WAIT_S, 0.5)


def fenced(stage, a, b, c, own, copy):
    """One is paused for longer than its reservation, and somebody else takes its slot. Then the coordinator is put back."""
    e = short_lived(stage, own, copy)
    paused = e.workers[1]
    slot = paused.status()["worker"]
    paused.pause()
    heir = e.worker("e-heir", options={"fleet-worker": slot}).start(ready=False)
    heir.wait_ready(60)
    paused.resume()
    stage.until("a worker was paused", "Fenced e")
    assert heir.term() == 0
    paused.wait_ready(60)
    stage.clear("a worker was paused")
    put_back(stage, e, own, copy)


def put_back(stage, e, own, copy):
    own.restore(copy)
    stage.until("a coordinator was put back", "FleetHalted e")
    e.tool("init", "--coordinator", e.url, "--after-data-loss", "--yes", "--max-window-ms", e.options["reservation-window-ms"])
    # They may be ready with the rest of the making before, and wait for the new one's floor when that is spent.
    time.sleep(e.options["reservation-window-ms"] / 1000 + 2)
    for worker in e.workers:
        worker.wait_ready(60)
    stage.clear("a coordinator was put back")
    over(stage, e)


def ending(stage, a, b, c):
    """A fleet whose timestamps end in three years: it comes, and goes again."""
    since_ms = int((time.time() - 5.7 * 365.25 * 86400) * 1000)
    d = Release(stage, "d", "west", "d", f"{stage.etcd_url}/d", ("--layout", "38,8,5,12", "--epoch-ms", since_ms))
    d.workers.append(d.worker("d0").start())
    d.id, d.prober_port = d.workers[0].status()["fleet_id"], None
    stage.releases.append(d)
    stage.aim()
    stage.until("timestamps end", "TimestampBitsEnding d", "FewReady d", also="e")
    over(stage, d)


def blind(stage, a, b, c):
    stage.aim(workers=False)
    stage.until("Prometheus knows nobody", "TargetMissing all", also="abc", queried=False)
    stage.aim()
    stage.clear("Prometheus knows nobody")


STAGES = (killed, cut_off, clocks, overload, at_the_door, full, doors, promise_broken, upgrades, blind, fenced, ending)


def story(root, ends, shared, own, pictures, only):
    stage = Stage(root, ends, pictures)
    proxy = FaultProxy(shared.ports()[0])
    ends.callback(proxy.stop)
    clock, stage.etcd_url = root / "clock", shared.url()
    a = Release(stage, "a", "east", "a", f"{shared.url()}/a")
    b = Release(stage, "b", "east", "b", f"{shared.url([proxy.port])}/b")
    c = Release(stage, "c", "west", "a", f"{shared.url()}/c", ("--layout", "41,8,2,12"), {"listen-max-connections": 24})
    stage.releases = [a, b, c]
    for release in stage.releases:
        release.start()
    copy = root / "copy"
    copy.mkdir()
    stage.aim()
    sf.wait_until(lambda: queries.run(stage.prometheus.url, ["certificate_expiry"], lambda _: None)[1] == 0, "every query has data", WAIT_S, 2)
    stage.clear("health")
    more = {cut_off: [proxy], clocks: [clock], fenced: [own, copy]}
    for one in STAGES:
        if not only or one.__name__ in only:
            one(stage, a, b, c, *more.get(one, []))
    known = {rule["alert"].removeprefix("Snowfleet") for group in load.rules() for rule in group["rules"] if "alert" in rule}
    assert only or stage.fired == known, f"not staged: {known - stage.fired}"
    print(f"{len(stage.fired)} of {len(known)} alerts fired and cleared", flush=True)


def main(arguments):
    missing = live.missing("etcd", "openssl")
    if missing:
        print(f"skipped: needs {', '.join(missing)}")
        return 77
    pictures = pathlib.Path(arguments[1]) if arguments[:1] == ["--pictures"] else None
    only = arguments[2:] if pictures else arguments
    assert set(only) <= {one.__name__ for one in STAGES}, only
    root = pathlib.Path(tempfile.mkdtemp(prefix="sf-staged-"))
    try:
        with coordinators.start("etcd") as shared, coordinators.start("etcd") as own, contextlib.ExitStack() as ends:
            story(root, ends, shared, own, pictures, only)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
