"""The place where chaos happens: a private network, process and mount namespace with a bridge, one namespace per worker, a real
coordinator on the hub, and nothing that outlives the runner: when it ends, however it ends, the kernel ends everything in it.

    hub 10.77.0.1 (coordinator behind a fault proxy per member; collectors) --- bridge --- w0 10.77.0.10, w1 10.77.0.11, ...
"""
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import coordinators  # noqa: E402
import repeats  # noqa: E402

BIN = pathlib.Path(os.environ.get("SF_BIN", pathlib.Path(__file__).resolve().parents[2] / "build/dev/bin"))
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
HUB = "10.77.0.1"
EPOCH_MS = 1704067200000  # the default one
NAMESPACE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]


def call(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def make_hub():
    """Inside the namespaces of NAMESPACE: own names for namespaces, own shared memory (libfaketime names it by pid), the bridge."""
    os.makedirs("/run/netns", exist_ok=True)
    call("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    call("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", "br0", "type", "bridge")
    call("ip", "address", "add", f"{HUB}/24", "dev", "br0")
    call("ip", "link", "set", "br0", "up")


def hub_proxy(kind, behind):
    """Listens on the bridge, speaks to a member on the hub's loopback."""
    return repeats.proxy(kind, behind, host=HUB, behind_host="127.0.0.1")


class Local:
    """A directory; nothing of it can fail separately."""
    name = "local"
    members = 0
    proxies = ()

    def __init__(self, directory):
        self.directory = directory / "coordinator"

    def url(self):
        return f"local://{self.directory}"

    hub_url = url

    def close(self):
        pass


class Remote:
    """ZooKeeper or etcd with three members, each reached through a proxy of its own."""
    members = 3

    def __init__(self, name):
        self.name = name
        self.real = coordinators.start(name, members=3)
        self.real.__enter__()
        self.is_zk = name == "zookeeper"
        self.proxies = [hub_proxy(name, port) for port in self.real.ports()]

    def url(self):
        return ("zk://" if self.is_zk else "etcd://") + ",".join(f"{HUB}:{p.port}" for p in self.proxies)

    def ports(self):
        """Of the proxies, as nft wants them."""
        return ", ".join(str(p.port) for p in self.proxies)

    def wipe(self):
        self.real.wipe()

    def hub_url(self):
        return self.real.url()

    def leader(self):
        if not self.is_zk:
            return self.real.cluster.leader(20)
        leader = self.real.ensemble.wait_leader(20)
        return self.real.ensemble.servers.index(leader)

    def _pid(self, member):
        return self.real.ensemble.servers[member].pid if self.is_zk else self.real.cluster.pid(member)

    def kill(self, member):
        (self.real.ensemble.servers[member] if self.is_zk else _Member(self.real.cluster, member)).kill()

    def start(self, member):
        if self.is_zk:
            self.real.ensemble.servers[member].start()
        else:
            self.real.cluster.start(member, wait=False)

    def pause(self, member):
        os.kill(self._pid(member), signal.SIGSTOP)

    def go_on(self, member):
        os.kill(self._pid(member), signal.SIGCONT)

    def wait_ready(self):
        (self.real.ensemble if self.is_zk else self.real.cluster).wait_ready()

    def expire_all(self):
        return self.real.expire_all()

    def close(self):
        for proxy in self.proxies:
            proxy.stop()
        self.real.__exit__(None, None, None)


class _Member:
    def __init__(self, cluster, index):
        self.cluster, self.index = cluster, index

    def kill(self):
        self.cluster.kill(self.index)


class Node:
    """One worker and its namespace. `wanted` says whether it should run: if it ends by itself meanwhile, it is started again."""

    def __init__(self, field, index):
        self.field, self.index = field, index
        self.name = f"w{index}"
        self.ip = f"10.77.0.{10 + index}"
        self.datacenter = index % 2 if field.datacenters == 2 else 0
        self.directory = field.directory / self.name
        self.state = self.directory / "state"
        self.faketime = self.directory / "faketime"
        self.fake_clock = index % 3 == 0 and field.clock_faults
        self.binary = field.binary
        self.process, self.wanted, self.starts, self.held = None, False, 0, False
        self.lock = threading.RLock()
        self.ready_log = []   # (time, ready), on change
        self.exits = []       # (time, code, expected)
        self._make()
        threading.Thread(target=self._watch, daemon=True).start()

    def _make(self):
        self.state.mkdir(parents=True)
        call("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", self.state)
        self.faketime.write_text("+0")
        call("ip", "netns", "add", self.name)
        call("ip", "link", "add", f"v{self.index}", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        call("ip", "link", "set", f"v{self.index}", "master", "br0", "up")
        for words in (("link", "set", "lo", "up"), ("address", "add", f"{self.ip}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            call("ip", "-n", self.name, *words)

    def command(self):
        options = {"fleet-coordinator": self.field.coordinator.url(), "fleet-node": self.name, "fleet-datacenter": self.datacenter,
                   "listen-address": f"{self.ip}:7450", "admin-address": f"{self.ip}:7451", "reservation-state-dir": self.state,
                   **self.field.options}
        words = ["ip", "netns", "exec", self.name]
        if self.fake_clock:
            words += ["env", f"LD_PRELOAD={FAKETIME}", "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_FORCE_MONOTONIC_FIX=0",
                      "FAKETIME_NO_CACHE=1", f"FAKETIME_TIMESTAMP_FILE={self.faketime}"]
        return words + [str(self.binary)] + [str(w) for k, v in options.items() for w in (f"--{k}", v)]

    def start(self):
        with self.lock:
            if self.process is not None and self.process.poll() is None:
                return
            self.starts += 1
            self.wanted = True
            with open(self.directory / "log", "ab") as log:
                log.write(f"=== start {self.starts} at {time.time():.3f}\n".encode())
                log.flush()
                self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, number):
        with self.lock:
            if self.process is not None and self.process.poll() is None:
                self.process.send_signal(number)

    def kill(self):
        with self.lock:
            self.wanted = False
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.exits.append((time.time(), self.process.wait(), True))

    def term(self, timeout_s=25):
        """SIGTERM; returns the exit code (None: it had to be killed)."""
        with self.lock:
            self.wanted = False
            process = self.process
        if process is None or process.poll() is not None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self.exits.append((time.time(), code, code in (0, 75)))
        return code

    def clock(self, offset_s):
        """Steps the wall clock that this worker sees."""
        temporary = self.faketime.with_suffix(".new")
        temporary.write_text(f"{offset_s:+.6f}")
        os.rename(temporary, self.faketime)

    def cut_off_from_coordinator(self):
        ports = self.field.coordinator.ports()
        self.nft([("input", f"tcp sport {{ {ports} }} drop"), ("output", f"tcp dport {{ {ports} }} drop")])

    def nft(self, rules):
        """rules: lines of (chain, rule), chain input or output of the worker's namespace. Replaces all earlier ones."""
        text = "table inet chaos {\n"
        for chain in ("input", "output"):
            text += f" chain {chain} {{\n  type filter hook {chain} priority 0; policy accept;\n"
            text += "".join(f"  {rule}\n" for where, rule in rules if where == chain) + " }\n"
        call("ip", "netns", "exec", self.name, "nft", "-f", "-", input=text + "}\n")

    def heal(self):
        subprocess.run(["ip", "netns", "exec", self.name, "nft", "delete", "table", "inet", "chaos"], capture_output=True, check=False)

    def http(self, path="/readyz", timeout=0.5):
        connection = http.client.HTTPConnection(self.ip, 7451, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def ready(self):
        return self.process is not None and self.process.poll() is None and self.http()[0] == 200

    def is_ready(self):
        """As last seen."""
        return bool(self.ready_log) and self.ready_log[-1][1]

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while not self.ready() and time.monotonic() < end and not self.field.ending.is_set():
            time.sleep(0.05)
        return self.ready()

    def _watch(self):
        """Notes when it becomes ready and stops being so; starts it again when it ended by itself."""
        while not self.field.closing.is_set():
            ready = self.ready()
            if not self.ready_log or self.ready_log[-1][1] != ready:
                self.ready_log.append((time.time(), ready))
            with self.lock:
                ended = self.wanted and self.process is not None and self.process.poll() is not None
                if ended:
                    self.exits.append((time.time(), self.process.returncode, False))
            if ended:
                time.sleep(0.5)
                if self.wanted:
                    self.start()
            time.sleep(0.25)

    def halted_since(self, begun_s):
        """Whether it has logged since then (Unix s) that the fleet is halted."""
        stamps = re.findall(r"(?m)^(\S+) \S+ +fleet\.halted ", self.log())
        return any(datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() >= begun_s for stamp in stamps)

    def log(self):
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""


class Field(contextlib.AbstractContextManager):
    def __init__(self, directory, coordinator, workers=6, spare=0, layout=None, datacenters=2, options=None, binary=None,
                 clock_faults=True):
        self.directory = pathlib.Path(directory)
        self.ending, self.closing = threading.Event(), threading.Event()
        self.no_other_fault_of_workers = threading.Lock()
        self.datacenters, self.layout = datacenters, layout
        self.options = {"coordinator-session-timeout-ms": 3000, "reservation-window-ms": 20000, "reservation-min-window-ms": 4000,
                        "drain-timeout-ms": 5000, "clock-poll-ms": 1000, "listen-threads": 1, **(options or {})}
        self.binary = binary or BIN / "snowfleetd"
        self.clock_faults = clock_faults and os.path.exists(FAKETIME)
        make_hub()
        self.coordinator = Local(self.directory) if coordinator == "local" else Remote(coordinator)
        self.nodes = []
        try:
            if coordinator == "local":
                self.coordinator.directory.mkdir()
            call(*self.init_words(["--first"], ["--yes"]))
            self.fleet_id = self.config()["fleet_id"]
            self.nodes = [Node(self, i) for i in range(workers + spare)]
        except BaseException:
            self.__exit__()
            raise
        self.base, self.spare = self.nodes[:workers], self.nodes[workers:]

    def init_words(self, *optional):
        """optional: words that are left out where the tool that is tested, which may be an older one, does not know the first of them."""
        text = call(BIN / "snowfleet", "init", "--help")
        window = "--max-window-ms" if "--max-window-ms " in text else "--window-ms"
        words = [BIN / "snowfleet", "init", "--coordinator", self.coordinator.hub_url(), window, self.options["reservation-window-ms"],
                 "--datacenters", ",".join(map(str, range(self.datacenters))), "--layout", self.layout or "41,5,5,12", "--epoch-ms", EPOCH_MS]
        return [str(w) for w in words + [w for one in optional if f"{one[0]} " in text for w in one]]

    def after_data_loss(self, clock_s=0):
        """As somebody does it who knows what the fleet was. Returns the exit code; on a good clock it must be 0."""
        words = self.init_words(["--after-data-loss"], ["--yes"], ["--fleet-id", self.fleet_id])
        if clock_s == 0:
            call(*words, timeout=60)
            return 0
        env = {"LD_PRELOAD": FAKETIME, "FAKETIME": f"{clock_s:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return subprocess.run(words, capture_output=True, check=False, timeout=60, env={**os.environ, **env}).returncode

    def config(self):
        """The fleet's config as `init` shows it."""
        return json.loads(call(*self.init_words(["--if-missing"], ["--json"])))

    @contextlib.contextmanager
    def copy_of_the_coordinator(self):
        """Taken while it runs; what is given puts it back."""
        with tempfile.TemporaryDirectory(dir=self.directory) as path:
            self.coordinator.real.save(path)
            yield lambda: self.coordinator.real.restore(path)

    def records(self):
        """What the coordinator keeps of each slot of the present making."""
        real = self.coordinator.real
        return {path: real.get(path) for path in real.paths(f"/snowfleet/default/{real.token()}/dc")}

    def window_s(self):
        return self.options["reservation-window-ms"] / 1000

    def servers(self):
        return ",".join(f"{n.ip}:7450" for n in self.nodes)

    def sleep(self, seconds):
        """False when the run is over."""
        return not self.ending.wait(seconds)

    def slots(self):
        bits = [int(b) for b in (self.layout or "41,5,5,12").split(",")]
        return [f"{d}:{w}" for d in range(self.datacenters) for w in range(1 << bits[2])]

    def __exit__(self, *_):
        self.ending.set()
        self.closing.set()
        for node in self.nodes:
            node.kill()
        self.coordinator.close()


class Collector:
    """chaos_load against the whole fleet."""

    def __init__(self, field, directory, seed, clients=8, raw=1, rate=1e6, batch=4096):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [str(BIN / "chaos_load"), "--servers", field.servers(), "--out", str(self.directory), "--clients", str(clients), "--raw",
             str(raw), "--rate", str(rate), "--batch", str(batch), "--seed", str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish(self):
        """Stops it; its figures."""
        text, _ = self.process.communicate("", timeout=60)
        if self.process.returncode != 0:
            raise RuntimeError(f"chaos_load: exit {self.process.returncode}")
        return json.loads(text)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def check_ids(field, directory, from_ms, to_ms):
    """The exact checker over everything received."""
    words = [str(BIN / "chaos_checker"), "--from-ms", str(int(from_ms)), "--to-ms", str(int(to_ms))]
    if field.layout:
        words += ["--layout", field.layout]
    for slot in field.slots():
        words += ["--slot", slot]
    done = subprocess.run(words + sorted(map(str, pathlib.Path(directory).glob("*.runs"))), capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"chaos_checker: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)
