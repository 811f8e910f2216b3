#!/usr/bin/env python3
"""Runs Snowfleet on this machine for ./quickstart: coordinator, workers, HAProxy, Prometheus, all on loopback, ended together."""
import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))
from ports import free_ports  # noqa: E402

START_DEADLINE_S = 60


class Stack:
    """Processes started together and ended together, newest first."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = []

    def start(self, name, command, **more):
        log = open(self.directory / f"{name}.log", "wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True, **more)
        self.processes.append((name, process))
        return process

    def log_of(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def wait(self, name, what, ready):
        """Polls `ready` until it is true; stops with the log when the process died or the deadline passed."""
        process = dict(self.processes)[name]
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                sys.exit(f"quickstart: {name} ended (exit {process.returncode}) before {what}:\n{self.log_of(name)}")
            if ready():
                return
            time.sleep(0.05)
        sys.exit(f"quickstart: {name}: no {what} within {START_DEADLINE_S} s:\n{self.log_of(name)}")

    def stop(self):
        for name, process in reversed(self.processes):
            if process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                print(f"quickstart: {name} did not end within 20 s and was killed", file=sys.stderr)
                process.kill()
                process.wait()


def http(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def zookeeper_ready(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.sendall(b"srvr")
            return b"Mode:" in s.makefile("rb").read()
    except OSError:
        return False


def start_zookeeper(stack):
    port, = free_ports(1)
    data = stack.directory / "zookeeper"
    data.mkdir()
    (data / "zoo.cfg").write_text(
        f"tickTime=500\ndataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
        "4lw.commands.whitelist=srvr\nmaxClientCnxns=0\nminSessionTimeout=1000\nmaxSessionTimeout=60000\n")
    stack.start("zookeeper", ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                              "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar",
                              "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(data / "zoo.cfg")])
    stack.wait("zookeeper", "service", lambda: zookeeper_ready(port))
    return f"zk://127.0.0.1:{port}"


def start_etcd(stack):
    client, peer = free_ports(2)
    peers = f"http://127.0.0.1:{peer}"
    clients = f"http://127.0.0.1:{client}"
    stack.start("etcd", ["etcd", "--name", "e1", "--data-dir", str(stack.directory / "etcd"), "--listen-client-urls", clients,
                         "--advertise-client-urls", clients, "--listen-peer-urls", peers,
                         "--initial-advertise-peer-urls", peers, "--initial-cluster", f"e1={peers}", "--logger", "zap",
                         "--log-level", "warn"])
    stack.wait("etcd", "service", lambda: '"true"' in http(f"{clients}/health")[1])
    return f"etcd://127.0.0.1:{client}"


def start_coordinator(stack, which):
    if which == "zookeeper":
        return start_zookeeper(stack)
    if which == "etcd":
        return start_etcd(stack)
    return f"local://{stack.directory / 'coordinator'}"


class Worker:
    def __init__(self, stack, options, index, url):
        self.name = f"worker-{index}"
        self.data, self.admin = free_ports(2)
        stack.start(self.name, [f"{options.bin}/snowfleetd", "--fleet-coordinator", url, "--fleet-node", self.name,
                                "--listen-address", f"127.0.0.1:{self.data}", "--admin-address", f"127.0.0.1:{self.admin}",
                                "--reservation-state-dir", str(stack.directory / "state")])

    def is_ready(self):
        return http(f"http://127.0.0.1:{self.admin}/readyz")[0] == 200


def start_haproxy(stack, workers):
    front, = free_ports(1)
    servers = "".join(f"  server {w.name} 127.0.0.1:{w.data} check port {w.admin}\n" for w in workers)
    config = stack.directory / "haproxy.cfg"
    config.write_text(
        "global\n  maxconn 4096\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client 5m\n  timeout server 5m\n  timeout check 2s\n"
        "  option redispatch 1\n  retries 2\n"
        f"listen snowfleet\n  bind 127.0.0.1:{front}\n  balance roundrobin\n  option httpchk GET /readyz\n"
        "  default-server inter 500ms fall 1 rise 1 on-marked-down shutdown-sessions\n" + servers)
    stack.start("haproxy", ["haproxy", "-db", "-f", str(config)])

    def answers():
        try:
            socket.create_connection(("127.0.0.1", front), 1).close()
            return True
        except OSError:
            return False

    stack.wait("haproxy", "listening", answers)
    return front


def start_prober(stack, options, url):
    """A client of every worker, which looks for duplicates; it also keeps the graphs from being empty."""
    port, = free_ports(1)
    stack.start("prober", [f"{options.bin}/snowfleet", "verify", "--coordinator", url, "--interval-ms", "100",
                           "--metrics", f"127.0.0.1:{port}"])
    stack.wait("prober", "metrics", lambda: http(f"http://127.0.0.1:{port}/metrics")[0] == 200)
    return port


def start_prometheus(stack, workers, prober):
    port, = free_ports(1)
    config = stack.directory / "prometheus.json"
    rules = sorted(str(path) for path in (ROOT / "dashboards").glob("*rules*.yaml")) + \
        sorted(str(path) for path in (ROOT / "dashboards").glob("*alerts*.yaml"))
    config.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": rules,
        "scrape_configs": [{"job_name": "snowfleet",
                            "static_configs": [{"targets": [f"127.0.0.1:{w.admin}" for w in workers]}]},
                           {"job_name": "snowfleet-verify",
                            "static_configs": [{"targets": [f"127.0.0.1:{prober}"]}]}]}))
    stack.start("prometheus", ["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                               f"--storage.tsdb.path={stack.directory / 'prometheus'}", "--log.level=warn"])
    stack.wait("prometheus", "service", lambda: http(f"http://127.0.0.1:{port}/-/ready")[0] == 200)
    return port


def run_tool(options, *arguments):
    result = subprocess.run([f"{options.bin}/snowfleet", *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"quickstart: snowfleet {' '.join(arguments)}: exit {result.returncode}\n{result.stderr}")
    return result.stdout


def show_ids(options, servers, count, connections):
    """Draws IDs, one connection after another, and prints each with its parts."""
    ids = []
    for i in range(connections):
        share = count // connections + (1 if i < count % connections else 0)
        if share:
            ids += run_tool(options, "id", "-n", str(share), "--server", servers).split()
    if len(set(ids)) != count:
        sys.exit(f"quickstart: {count} IDs were asked for and {len(set(ids))} different ones came")
    parts = json.loads("[" + ",".join(run_tool(options, "decode", "--json", "--server", servers.split(",")[0], *ids).strip().splitlines()) + "]")
    print(f"\n{'ID':>20}  {'time':<24} {'datacenter':>10} {'worker':>6} {'sequence':>8}")
    for id_text, part in zip(ids, parts):
        print(f"{id_text:>20}  {part['time']:<24} {part['datacenter']:>10} {part['worker']:>6} {part['sequence']:>8}")
    return parts


def run(options, stack):
    url = start_coordinator(stack, options.coordinator)
    if options.coordinator != "local":
        run_tool(options, "init", "--coordinator", url, "--first")
    workers = [Worker(stack, options, i, url) for i in range(max(1, options.fleet))]
    for worker in workers:
        stack.wait(worker.name, "readiness", worker.is_ready)
    front = start_haproxy(stack, workers) if options.fleet else workers[0].data
    prometheus = start_prometheus(stack, workers, start_prober(stack, options, url)) if options.observe else None
    parts = show_ids(options, f"127.0.0.1:{front}", 10, len(workers))
    if options.fleet:
        print("\nWho minted what:")
        slots = {json.loads(http(f"http://127.0.0.1:{w.admin}/status")[1])["worker"]: w for w in workers}
        for slot, worker in sorted(slots.items()):
            minted = sum(1 for part in parts if part["worker"] == slot)
            print(f"  {worker.name}: slot 0/{slot}, {minted} of the IDs above")
    print(f"\nData port     127.0.0.1:{front}" + (" (HAProxy)" if options.fleet else ""))
    print(f"Coordinator   {url}")
    for worker in workers:
        print(f"{worker.name:<13} data 127.0.0.1:{worker.data}, console http://127.0.0.1:{worker.admin}/")
    if prometheus:
        print(f"Prometheus    http://127.0.0.1:{prometheus}/")
    if options.once:
        return
    tool = os.path.relpath(f"{options.bin}/snowfleet")
    print(f"\nTry:  {tool} id -n 5 --server 127.0.0.1:{front}\n      {tool} status --admin http://127.0.0.1:{workers[0].admin}"
          f"\n      {tool} slots --coordinator {url}\nCtrl-C ends everything.", flush=True)
    while all(process.poll() is None for _, process in stack.processes):
        time.sleep(0.5)
    for name, process in stack.processes:
        if process.poll() is not None:
            print(f"quickstart: {name} has ended (exit {process.returncode}); see {stack.directory / (name + '.log')}",
                  file=sys.stderr)
    # Somebody may be killing workers on purpose: go on with the others until Ctrl-C.
    while True:
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--fleet", type=int, default=0)
    parser.add_argument("--coordinator", default="local")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--observe", action="store_true")
    options = parser.parse_args()
    options.bin = os.path.abspath(options.bin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="quickstart-", dir=ROOT / "build"))
    stack = Stack(directory)
    try:
        run(options, stack)
    except KeyboardInterrupt:
        print("\nEnding.")
    finally:
        stack.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
