"""A fleet of containers as the chart would run it: its image, arguments, environment and configuration, with podman in the kubelet's place."""
import concurrent.futures
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pods

sys.path.insert(0, str(pods.ROOT / "tests/lib"))
from ports import free_ports  # noqa: E402

CLASS_PATH = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
POOL = 64  # addresses for pods; each is used once
READY_S = 30


def rendered(tools, values):
    """The chart's manifests as objects."""
    (values / "values.json").write_text(json.dumps({
        "coordinator": {"zookeeper": {"endpoints": ["zookeeper:2181"]}, "sessionTimeoutMs": 4000},
        "drain": {"delayMs": 1500, "timeoutMs": 5000}, "autoscaling": {"enabled": True, "maxReplicas": 8},
        "config": {"reservation": {"window_ms": 20000, "min_window_ms": 10000}, "listen": {"threads": 2}}}))
    text = subprocess.run([tools / "bin/helm", "template", "ids", "--set", "init.first=true", pods.ROOT / "helm/snowfleet", "--kube-version", "1.30.0", "-f", values / "values.json"],
                          check=True, capture_output=True, text=True).stdout
    program = "import json, sys, yaml; print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d]))"
    return json.loads(subprocess.run([tools / "venv/bin/python", "-c", program], input=text, check=True, capture_output=True, text=True).stdout)


def find(documents, kind, name):
    return next(d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name)


def start_zookeeper(podman, network):
    """ZooKeeper in a container, as "zookeeper:2181", with the Java and the ZooKeeper of this machine, which is the same Debian."""
    home = podman.directory / "zookeeper"
    (home / "data").mkdir(parents=True)
    (home / "zoo.cfg").write_text("tickTime=1000\ndataDir=/zk/data\nclientPort=2181\nadmin.enableServer=false\nmaxClientCnxns=0\nminSessionTimeout=1000\n")
    name = podman.run("zookeeper", "--network", network, "--network-alias", "zookeeper", "-v", "/usr:/usr:ro", "-v", "/etc:/etc:ro",
                      "-v", f"{home}:/zk", pods.BASE, "/usr/bin/java", "-Xmx128m", "-XX:+UseSerialGC", "-cp", CLASS_PATH,
                      "org.apache.zookeeper.server.quorum.QuorumPeerMain", "/zk/zoo.cfg")
    address = next(iter(podman.inspect(name)["NetworkSettings"]["Networks"].values()))["IPAddress"]

    def up():
        try:
            socket.create_connection((address, 2181), 1).close()
            return True
        except OSError:
            return False

    pods.wait_until(up, lambda: podman.logs(name)[-3000:], 60)


def slots(podman, network):
    """What `snowfleet slots` says of datacenter 0."""
    return json.loads(podman("run", "--rm", *pods.RESTRICTED, "--network", network, "--entrypoint", "/usr/bin/snowfleet", pods.IMAGE, "slots",
                             "--coordinator", "zk://zookeeper:2181", "--datacenter", "0", "--json").stdout)


class Pod:
    """One container; `state` stands for the memory emptyDir, which outlives the container and not the pod."""

    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.ip = f"{cluster.prefix}.{10 + number}"
        self.state = pathlib.Path("/dev/shm") / cluster.podman.name(f"state{number}")
        self.state.mkdir(mode=0o700)
        os.chown(self.state, 65532, 65532)
        container = cluster.container
        environment = []
        for variable in container["env"]:
            value = variable.get("value", "").replace("$(POD_IP)", self.ip)
            if "valueFrom" in variable:
                value = {"status.podIP": self.ip, "metadata.name": f"ids-{number}"}[variable["valueFrom"]["fieldRef"]["fieldPath"]]
            environment += ["-e", f"{variable['name']}={value}"]
        self.name = cluster.podman.run(f"pod{number}", *pods.RESTRICTED, "--network", cluster.network, "--ip", self.ip, "--hostname", f"ids-{number}",
                                       "--network-alias", "ids-snowfleet-headless", "--memory", "256m",
                                       "-v", f"{cluster.config}:/etc/snowfleet/config:ro", "-v", f"{self.state}:/run/snowfleet:rw", *environment,
                                       pods.IMAGE, *container["args"])
        self.watch()

    def watch(self):
        """The container has just been started: looks from now on when it is ready."""
        state = self.cluster.podman.inspect(self.name)["State"]
        self.pid = state["Pid"]
        self.started = datetime.datetime.fromisoformat(state["StartedAt"]).timestamp()
        self.ready = concurrent.futures.Future()
        threading.Thread(target=self.wait_until_ready, args=(self.ready,), daemon=True).start()

    def wait_until_ready(self, ready):
        end = time.monotonic() + READY_S
        while self.probe() != 200:
            if time.monotonic() > end:
                ready.set_exception(AssertionError(f"{self.name} is not ready after {READY_S} s\n{self.cluster.podman.logs(self.name)[-3000:]}"))
                return
            time.sleep(0.02)
        ready.set_result(time.time() - self.started)

    def probe(self, path="/readyz"):
        """The status code, as the kubelet would see it."""
        try:
            with socket.create_connection((self.ip, 7451), 1) as s:
                s.settimeout(1)
                s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                return int(s.recv(64).split()[1])
        except (OSError, IndexError, ValueError):
            return 0

    def wait_ready(self):
        """The seconds from the container's start until it was ready."""
        return self.ready.result()

    def kill(self):
        """kill -9 of the program; then the container is started again in the same pod."""
        os.kill(self.pid, signal.SIGKILL)
        pods.wait_until(lambda: not self.cluster.podman.inspect(self.name)["State"]["Running"], "killed", 20)
        self.cluster.podman("start", self.name)
        self.watch()

    def pause(self, seconds):
        self.cluster.podman("pause", self.name)
        time.sleep(seconds)
        self.cluster.podman("unpause", self.name)

    def cut(self, seconds):
        """No packet in or out; addresses and sockets stay."""
        enter = ["nsenter", "-t", str(self.pid), "-n", "nft"]
        rules = "table inet cut { chain i { type filter hook input priority 0; drop; }; chain o { type filter hook output priority 0; drop; }; }"
        subprocess.run([*enter, "-f", "-"], input=rules, text=True, check=True)
        time.sleep(seconds)
        subprocess.run([*enter, "delete", "table", "inet", "cut"], check=True)

    def remove(self):
        """The node died: no signal, and nothing is left."""
        self.cluster.podman("rm", "-f", "-t", "0", self.name)
        shutil.rmtree(self.state, ignore_errors=True)

    def terminate(self):
        """SIGTERM and the grace period; the exit code."""
        self.cluster.podman("stop", "-t", str(self.cluster.grace), self.name)
        code = self.cluster.podman.inspect(self.name)["State"]["ExitCode"]
        log = self.cluster.podman.logs(self.name)
        self.remove()
        assert code == 0, f"{self.name}: exit {code}\n{log[-3000:]}"


class Cluster:
    def __init__(self, podman, tools):
        self.podman = podman
        documents = rendered(tools, podman.directory)
        spec = find(documents, "Deployment", "ids-snowfleet")["spec"]["template"]["spec"]
        self.container, self.grace = spec["containers"][0], spec["terminationGracePeriodSeconds"]
        self.config = podman.directory / "config"
        self.config.mkdir()
        for name, text in find(documents, "ConfigMap", "ids-snowfleet")["data"].items():
            (self.config / name).write_text(text)
        podman.directory.chmod(0o755)
        self.network = podman.network()
        subnet = json.loads(podman("network", "inspect", self.network).stdout)[0]["subnets"][0]["subnet"]
        self.prefix = subnet.rsplit(".", 1)[0]
        self.pods, self.made = [], 0
        start_zookeeper(podman, self.network)
        job = find(documents, "Job", "ids-snowfleet-init")["spec"]["template"]["spec"]["containers"][0]
        podman("run", "--rm", *pods.RESTRICTED, "--network", self.network, "--entrypoint", job["command"][0], pods.IMAGE, *job["args"])
        podman("run", "--rm", *pods.RESTRICTED, "--network", self.network, "--entrypoint", job["command"][0], pods.IMAGE, *job["args"])

    def add(self):
        assert self.made < POOL, "no address left"
        pod = Pod(self, self.made)
        self.made += 1
        self.pods.append(pod)
        return pod

    def slots(self):
        return slots(self.podman, self.network)

    def close(self):
        for pod in self.pods:
            shutil.rmtree(pod.state, ignore_errors=True)


class Balancer:
    """HAProxy in front of every address that a pod may get, by /readyz."""

    def __init__(self, cluster):
        self.port, = free_ports(1)
        servers = "".join(f"  server p{n} {cluster.prefix}.{10 + n}:7450 check port 7451\n" for n in range(POOL))
        path = cluster.podman.directory / "haproxy.cfg"
        path.write_text("global\n  maxconn 1000\ndefaults\n  mode tcp\n  timeout connect 300ms\n  timeout client 1m\n  timeout server 1m\n  timeout check 500ms\n"
                        "  option redispatch 1\n  retries 2\n"
                        f"listen ids\n  bind 127.0.0.1:{self.port}\n  balance roundrobin\n  option httpchk GET /readyz\n"
                        "  default-server inter 200ms downinter 300ms fall 1 rise 1 observe layer4 error-limit 1 on-error mark-down on-marked-down shutdown-sessions\n" + servers)
        self.process = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.kill()
        self.process.wait()


class Naive(threading.Thread):
    """A client without the library: a few connections through HAProxy, one retry, nothing else."""
    TIMEOUT_S = 1.0

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stop = port, threading.Event()
        self.asked = self.failed = self.retried = 0
        self.ids, self.twice, self.first_failure = set(), [], None
        self.socket = None

    def ask(self):
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), self.TIMEOUT_S)
            self.socket.settimeout(self.TIMEOUT_S)
        self.socket.sendall(struct.pack(">IBBHII", 12, 1, 1, 0, 1, 5))
        data, size = b"", 4
        while len(data) < size:
            chunk = self.socket.recv(4096)
            if not chunk:
                raise ConnectionError("closed")
            data += chunk
            if size == 4 and len(data) >= 4:
                size = 4 + struct.unpack_from(">I", data)[0]
        if data[5] != 0x81 or data[6:8] != b"\0\0":
            raise ConnectionError(f"answer {data[4:8].hex()}")
        return [first + k for first, count in struct.iter_unpack(">QI", data[12:size]) for k in range(count)]

    def run(self):
        while not self.stop.is_set():
            self.asked += 1
            for attempt in (1, 2):
                try:
                    for identifier in self.ask():
                        if identifier in self.ids:
                            self.twice.append(identifier)
                        self.ids.add(identifier)
                    break
                except OSError as error:
                    if self.socket is not None:
                        self.socket.close()
                    self.socket = None
                    self.retried += attempt == 1
                    if attempt == 2:
                        self.failed += 1
                        self.first_failure = self.first_failure or repr(error)
            self.stop.wait(0.001)


class Checker:
    """The library's side: `snowfleet verify` in a container, four clients of the headless name, until end()."""

    def __init__(self, podman, network, server="ids-snowfleet-headless:7450"):
        self.podman = podman
        self.name = podman.run("verify", *pods.RESTRICTED, "--network", network, "--entrypoint", "/usr/bin/snowfleet", pods.IMAGE, "verify", "--json",
                               *["--server", server] * 4, "--interval-ms", "2", "--batch", "20", "--window", "16000000", "--seconds", "86000")

    def end(self):
        self.podman("kill", "-s", "INT", self.name)
        pods.wait_until(lambda: not self.podman.inspect(self.name)["State"]["Running"], "the end of verify", 30)
        output = self.podman("logs", self.name).stdout
        return Checked(json.loads(output[output.index("{"):]), self.podman.inspect(self.name)["State"]["ExitCode"], self.podman.logs(self.name))


class Checked:
    """What a Checker saw."""

    def __init__(self, result, exit_code, log):
        servers = result["servers"]
        self.ids, self.calls, self.failures, self.disorder = (sum(one[key] for one in servers) for key in ("ids", "requests", "failures", "order_errors"))
        self.duplicates, self.first_finding = result["duplicates"], result["first_finding"]
        self.slowest_ms = max(one["latency_us"]["max"] for one in servers) / 1000
        self.exit_code, self.log = exit_code, log

    def __str__(self):
        return (f"{self.ids} IDs, {self.calls} calls, {self.failures} failed, {self.duplicates} duplicates, {self.disorder} out of order, "
                f"slowest {self.slowest_ms:.0f} ms")

    def findings(self):
        wrong = []
        if self.exit_code != 0 or self.duplicates or self.disorder:
            wrong.append(f"verify: exit {self.exit_code}, {self.first_finding}")
        if self.failures:
            wrong.append(f"{self.failures} calls of the library failed\n{self.log[-2000:]}")
        return wrong


def break_something(cluster, source, tally):
    """One fault, as they come; the Deployment keeps its replicas. (what, seconds until the container that was started for it was ready, or None)"""
    pod = source.choice(cluster.pods)
    what = source.choice(("kill", "kill", "remove", "pause", "cut", "terminate"))
    tally[what] = tally.get(what, 0) + 1
    if what == "kill":
        pod.kill()
        return what, pod.wait_ready()
    if what in ("pause", "cut"):
        getattr(pod, what)(source.choice((1, 3)))
        return what, None
    cluster.pods.remove(pod)
    if what == "remove":
        pod.remove()
        return what, cluster.add().wait_ready()
    new = cluster.add()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ended = pool.submit(pod.terminate)  # takes as long as the drain; the new one does not wait for it
        seconds = new.wait_ready()
        ended.result()
    return what, seconds


def randomness(seed):
    return random.Random(seed)
