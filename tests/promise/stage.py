"""One coordinator, a fleet on it, and workers that can be cut off from it, each by itself; every ID is collected and compared."""
import contextlib
import datetime
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "system")]
import collector as collecting  # noqa: E402
import coordinators  # noqa: E402
import faultproxy  # noqa: E402
import repeats  # noqa: E402
import snowfleet as sf  # noqa: E402
import words  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

TOOLS = pathlib.Path(os.environ.get("SF_TOOLS", os.environ.get("SF_BIN", HERE.parents[1] / "build/dev/bin")))
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
ROOT = "/snowfleet/default"
EPOCH_MS = collecting.DEFAULT_EPOCH_MS
LAYOUT, TWO_SLOTS = "41,5,5,12", "41,5,1,16"
SERVERS = (("zookeeper", 1), ("zookeeper", 3), ("etcd", 1))
ALL = SERVERS + (("local", 0),)


def now_ms():
    return time.time_ns() / 1e6


@functools.cache
def tool_knows(option, command="init"):
    """Whether the tool that is tested has an option: these tests also run on older ones, and must fail there for their own reason."""
    text = subprocess.run([str(sf.BIN / "snowfleet"), command, "--help"], capture_output=True, text=True, check=False).stdout
    return f"{option} " in text


def fake_time(offset):
    """The environment of a process whose wall clock is this far off; offset: seconds, or the path of a file that has them."""
    where = {"FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1"} if isinstance(offset, pathlib.Path) else {
        "FAKETIME": f"{offset:+d}s"}
    return {"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0", **where}


class Actor:
    """A worker of the stage. Its coordinator is reached through proxies of its own, one for each member."""

    def __init__(self, stage, name, proxy, options, clock, env, members):
        self.stage, self.name = stage, name
        ports = stage.coordinator.ports()
        self.proxies = [proxy(port) for port in (ports if members is None else [ports[i] for i in members])]
        env = dict(env or {})
        self.offset = None
        if clock:
            self.offset = stage.fleet.directory / f"{name}.clock"
            self.clock(0)
            env.update(fake_time(self.offset))
        self.process = stage.fleet.worker(name, coordinator=stage.coordinator.url([p.port for p in self.proxies]),
                                          options={**stage.options, **(options or {})}, env=env)

    def __getattr__(self, name):
        return getattr(self.process, name)

    def start(self, ready=True):
        self.process.start(ready)
        return self

    def mode(self, mode):
        for proxy in self.proxies:
            proxy.mode = mode

    def cut(self):
        """Cuts it off from the coordinator, and waits until it has noticed."""
        self.mode("refuse")
        sf.wait_until(lambda: not self.connected(), lambda: f"{self.name} has lost the coordinator:\n{self.log()}")

    def mend(self):
        self.mode("pass")

    def connected(self):
        return self.status()["coordinator"]["connected"]

    def clock(self, offset_s):
        temporary = self.offset.with_suffix(".new")
        temporary.write_text(f"{offset_s:+.3f}")
        os.rename(temporary, self.offset)

    def when(self, pattern, after_ms=0):
        """When (Unix ms) it first logged a line like this; None: it did not."""
        for line in self.log().splitlines():
            stamp, _, rest = line.partition(" ")
            if not re.search(pattern, rest):
                continue
            at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() * 1000
            if at >= after_ms:
                return at
        return None

    def wait_says(self, pattern, after_ms=0, deadline_s=sf.DEADLINE_S):
        return sf.wait_until(lambda: self.when(pattern, after_ms), lambda: f"{self.name} says {pattern}; {self.readyz()}\n{self.log()}", deadline_s)

    def ended(self):
        return self.process.process.poll()

    def wait_ended(self, deadline_s=sf.DEADLINE_S):
        return sf.wait_until(lambda: self.ended() is not None and (self.ended(),), lambda: f"{self.name} ends:\n{self.log()}", deadline_s)[0]

    def is_ready(self):
        return self.ended() is None and self.readyz()[0] == 200

    def slot(self):
        return self.status()["worker"]

    def mints(self):
        """Whether it gives an ID when asked now, and the collector, where there is one, has had some. That ID counts as little as one
        that a client dropped."""
        try:
            with sf.Connection(self.port, timeout=5) as connection:
                connection.ids(1)
        except (OSError, sf.Refused):
            return False
        if self.stage.collector is not None:
            number = self.stage.actors.index(self)
            sf.wait_until(lambda: self.stage.collector.has_drawn(number), lambda: f"{self.name} gives the collector an ID:\n{self.log()}")
        return True


class Stage(contextlib.ExitStack):
    def __init__(self, test, kind, members, window_ms=20000, layout=LAYOUT, epoch_ms=EPOCH_MS, **more):
        super().__init__()
        self.test, self.kind, self.window_ms, self.layout, self.epoch_ms = test, kind, window_ms, layout, epoch_ms
        if not coordinators.available(kind):
            test.fail(f"{kind} is not installed; ./check installs it")
        self.coordinator = self.enter_context(coordinators.start(kind, members, **more))
        self.fleet = self.enter_context(sf.Fleet(self.coordinator.url()))
        self.options = {"reservation-window-ms": window_ms, "reservation-min-window-ms": window_ms, "coordinator-session-timeout-ms": 2000,
                        "drain-timeout-ms": 2000, "listen-threads": 1, "fleet-auto-init": "false"}
        self.actors, self.collector = [], None
        self.clock_words = self.clock()
        self.callback(self.end_collector)
        self.callback(self.stop_proxies)

    def __exit__(self, *error):
        if error[0] is not None:  # the fleet tells what its workers said when it ends with an error
            print(f"--- {self.kind}", file=sys.stderr)
        return super().__exit__(*error)

    def clock(self):
        """What tells `init` the time: a server does; a directory has no clock, and nobody may keep this machine's."""
        if self.kind != "local" or not tool_knows(words.CLOCK_SOURCE):
            return []
        ntp = FakeNtp()
        self.callback(ntp.close)
        return [words.CLOCK_SOURCE, ntp.source]

    def end_collector(self):
        if self.collector is not None:
            self.collector.end()

    def stop_proxies(self):
        for actor in self.actors:
            for proxy in actor.proxies:
                proxy.stop()

    # The tool.

    def init_words(self, *more, first=False, layout=None, epoch_ms=None):
        window = words.MAX_WINDOW if tool_knows(words.MAX_WINDOW) else "--window-ms"
        said = ["init", "--coordinator", self.coordinator.url(), "--yes", "--datacenters", "0", "--layout", layout or self.layout,
                "--epoch-ms", self.epoch_ms if epoch_ms is None else epoch_ms, window, self.window_ms, *self.clock_words, *more]
        return said + ([words.FIRST] if first and tool_knows(words.FIRST) else [])

    def init(self, *more, check=True, env=None, **said):
        result = self.fleet.tool(*self.init_words(*more, **said), check=check, env={**os.environ, **(env or {})})
        return result

    def first_init(self):
        self.init(first=True)
        self.fleet_id = self.config()["fleet_id"]

    def after_data_loss(self, *more, check=True, env=None):
        """As an operator does it who has no config any more, but knows what it said."""
        known = [words.FLEET_ID, self.fleet_id] if tool_knows(words.FLEET_ID) else []
        return self.init("--after-data-loss", *known, *more, check=check, env=env)

    def config(self):
        text = self.coordinator.get(f"{ROOT}/config")
        return None if text is None else json.loads(text)

    def records(self):
        """Where slot records lie now."""
        config = self.config() or {}
        return f"{ROOT}/{config['token']}" if "token" in config else ROOT

    def record_path(self, slot):
        return f"{self.records()}/dc/0/slots/{slot}"

    def record(self, slot):
        return json.loads(self.coordinator.get(self.record_path(slot)))

    def claims(self):
        """{path: content} of every claim of datacenter 0."""
        return {path: json.loads(self.coordinator.get(path) or "null") for path in self.coordinator.paths(f"{self.records()}/dc/0/claims")}

    def slots(self):
        text = self.fleet.tool("slots", "--coordinator", self.coordinator.url(), "--json", "--all").stdout
        return {slot["worker"]: slot for slot in json.loads(text)["slots"] if slot["datacenter"] == 0}

    # Workers.

    def worker(self, name, proxy=faultproxy.FaultProxy, options=None, clock=False, env=None, members=None):
        """To be called before collect(). members: the only ones that it knows, by index."""
        actor = Actor(self, name, proxy, options, clock, env, members)
        self.actors.append(actor)
        return actor

    def repeater(self, port):
        return repeats.proxy(self.kind, port)

    def collect(self, **more):
        self.collector = collecting.Collector(TOOLS, [f"127.0.0.1:{a.port}" for a in self.actors], self.fleet.directory / "ids", **more)

    def finish(self):
        """Compares everything that was handed out, and says how many IDs came twice."""
        time.sleep(2)  # the collector, which waits after a refusal, draws again from whoever mints by now
        verdict = self.collector.finish(self.layout, self.epoch_ms)
        text = ", ".join(f"{self.actors[a].name}/{self.actors[b].name} {n:,}" for (a, b), n in sorted(verdict.pairs.items()))
        self.statuses = self.collector.load["raw_statuses"]
        self.test.assertGreater(verdict.ids, 0, "nothing was handed out")
        span = verdict.span_ms()
        more = f" ({text}) within {(span[1] - span[0]) / 1000:.1f} s" if span else ""
        print(f"{self.test.id().split('.')[-1]}: {verdict.ids:,} IDs, {verdict.duplicates:,} duplicates{more}, "
              f"{sum(verdict.shared_ms.values())} milliseconds of a slot in two workers", file=sys.stderr)
        return verdict

    def last_ms(self, verdict, actor, before_ms=None):
        return verdict.last_ms(self.actors.index(actor), before_ms)

    def count(self, verdict, actor, from_ms=0):
        return verdict.count(self.actors.index(actor), from_ms)

    def assert_unique(self, verdict):
        self.test.assertEqual((verdict.duplicates, dict(verdict.shared_ms)), (0, {}), "IDs came twice")

    @contextlib.contextmanager
    def directory(self):
        path = tempfile.mkdtemp(prefix="snowfleet-copy-")
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def on(*places):
    """Makes one test of a method for each of these coordinators: it is called with an entered Stage's arguments."""
    def mark(function):
        function.places = places
        return function
    return mark


def spread(case):
    """Class decorator: every method that was marked by on() becomes test_<name>_on_<coordinator>."""
    for name, function in list(vars(case).items()):
        for kind, members in getattr(function, "places", ()):
            def test(self, function=function, kind=kind, members=members):
                function(self, kind, members)
            setattr(case, f"test_{name}_on_{kind}{members if members > 1 else ''}", test)
    return case


def main():
    """--place NAME: only the tests of that coordinator; 77 where there is none."""
    words_ = sys.argv[1:]
    if "--place" in words_:
        at = words_.index("--place")
        pattern = f"*_on_{words_[at + 1]}"
        del words_[at:at + 2]
        loader = unittest.TestLoader()
        loader.testNamePatterns = [pattern]
        if loader.loadTestsFromModule(sys.modules["__main__"]).countTestCases() == 0:
            sys.exit(77)
        words_ += ["-k", pattern]
    unittest.main(argv=[sys.argv[0], *words_], verbosity=2)
