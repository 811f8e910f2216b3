#!/usr/bin/env python3
"""Starts a real coordinator on a free port in a temporary directory, runs the contract suite against it, ends it.

  run.py zookeeper|etcd SUITE [--members N] [--keep] [suite options, e.g. --case race]
  run.py raw zk|etcd HOST:PORT put|delete PATH      what SF_CONTRACT_RAW points at (put: bytes on standard input)

Needs the Debian packages zookeeper (with a Java runtime) or etcd-server. Exits 77 when they are not there.
"""
import base64
import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_ports  # noqa: E402

SKIPPED = 77


class Server:
    """A process that is ended by its pid, whatever happens."""

    def __init__(self, args, directory, env=None):
        self.log = open(os.path.join(directory, "server.log"), "ab")
        self.process = subprocess.Popen(args, stdout=self.log, stderr=self.log, env=env, cwd=directory)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.log.close()


def wait_until(check, what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{what} did not come up within {seconds} s")


def start_zookeeper(directory, members):
    jars = glob.glob("/usr/share/java/zookeeper.jar")
    if shutil.which("java") is None or not jars:
        return None
    clients = free_ports(members)
    peers = [free_ports(2) for _ in range(members)]
    servers = []
    for i in range(members):
        home = os.path.join(directory, f"zk{i + 1}")
        os.makedirs(os.path.join(home, "data"))
        lines = ["tickTime=500", "initLimit=20", "syncLimit=8", f"dataDir={home}/data", f"clientPort={clients[i]}",
                 "clientPortAddress=127.0.0.1", "admin.enableServer=false", "4lw.commands.whitelist=*",
                 "maxClientCnxns=0", "minSessionTimeout=1000", "maxSessionTimeout=60000"]
        if members > 1:
            lines += [f"server.{k + 1}=127.0.0.1:{a}:{b}" for k, (a, b) in enumerate(peers)]
            with open(os.path.join(home, "data", "myid"), "w") as f:
                f.write(str(i + 1))
        with open(os.path.join(home, "zoo.cfg"), "w") as f:
            f.write("\n".join(lines) + "\n")
        servers.append(Server(
            ["java", "-Xms16m", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             "-Dzookeeper.preAllocSize=1024", "-cp",
             "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar",
             "org.apache.zookeeper.server.quorum.QuorumPeerMain", os.path.join(home, "zoo.cfg")], home))

    def ready(port):
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.settimeout(2)
            s.sendall(b"srvr")
            answer = b""
            while chunk := s.recv(4096):
                answer += chunk
        return b"Mode:" in answer

    return servers, clients, "zk", lambda: all(ready(p) for p in clients)


def start_etcd(directory, members):
    if shutil.which("etcd") is None:
        return None
    clients, peers = free_ports(members), free_ports(members)
    cluster = ",".join(f"e{i + 1}=http://127.0.0.1:{peers[i]}" for i in range(members))
    servers = []
    for i in range(members):
        home = os.path.join(directory, f"etcd{i + 1}")
        os.makedirs(home, mode=0o700)
        servers.append(Server(
            ["etcd", "--name", f"e{i + 1}", "--data-dir", os.path.join(home, "data"),
             "--listen-client-urls", f"http://127.0.0.1:{clients[i]}",
             "--advertise-client-urls", f"http://127.0.0.1:{clients[i]}",
             "--listen-peer-urls", f"http://127.0.0.1:{peers[i]}",
             "--initial-advertise-peer-urls", f"http://127.0.0.1:{peers[i]}",
             "--initial-cluster", cluster, "--logger", "zap", "--log-level", "warn"], home,
            dict(os.environ, ETCD_UNSUPPORTED_ARCH=os.uname().machine)))

    def ready(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return json.load(answer).get("health") == "true"

    return servers, clients, "etcd", lambda: all(ready(p) for p in clients)


def run(kind, suite, options):
    members = 1
    keep = "--keep" in options
    options = [o for o in options if o != "--keep"]
    if "--members" in options:
        at = options.index("--members")
        members = int(options[at + 1])
        del options[at:at + 2]
    directory = tempfile.mkdtemp(prefix="snowfleet-contract-")
    started = (start_zookeeper if kind == "zookeeper" else start_etcd)(directory, members)
    if started is None:
        os.rmdir(directory)
        print(f"{kind} is not installed here", file=sys.stderr)
        return SKIPPED
    servers, ports, scheme, ready = started
    try:
        wait_until(ready, kind)
        addresses = ",".join(f"127.0.0.1:{p}" for p in ports)
        env = dict(os.environ,
                   SF_CONTRACT_RAW=f"{sys.executable} {os.path.abspath(__file__)} raw {scheme} 127.0.0.1:{ports[0]}",
                   SF_CONTRACT_PIDS=",".join(str(s.process.pid) for s in servers))
        result = subprocess.run([suite, "--url", f"{scheme}://{addresses}"] + options, env=env).returncode
        for server in servers:
            if server.process.poll() is not None:
                print(f"a server died with {server.process.returncode}", file=sys.stderr)
                result = result or 1
        return result
    finally:
        for server in servers:
            server.stop()
        if keep:
            print(f"kept: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


class ZooKeeper:
    """As much of ZooKeeper's wire protocol (jute) as setData, create and delete need."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10)
        self.exchange(struct.pack(">iqiqi16s", 0, 0, 10000, 0, 16, b"\0" * 16))

    def exchange(self, frame):
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        size = struct.unpack(">i", self.take(4))[0]
        return self.take(size)

    def take(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise SystemExit("ZooKeeper closed the connection")
            data += chunk
        return data

    def request(self, op, body):
        _xid, _zxid, error = struct.unpack(">iqi", self.exchange(struct.pack(">ii", 1, op) + body)[:16])
        return error

    @staticmethod
    def text(value):
        return struct.pack(">i", len(value)) + value

    def put(self, path, value):
        path = path.encode()
        error = self.request(5, self.text(path) + self.text(value) + struct.pack(">i", -1))  # setData, any version
        if error == -101:  # no node: create, open to the world
            acl = struct.pack(">ii", 1, 31) + self.text(b"world") + self.text(b"anyone")
            error = self.request(1, self.text(path) + self.text(value) + acl + struct.pack(">i", 0))
        return error

    def delete(self, path):
        return self.request(2, self.text(path.encode()) + struct.pack(">i", -1))

    def close(self):
        self.exchange(struct.pack(">ii", 1, -11))
        self.socket.close()


def etcd_post(address, path, body):
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def raw(scheme, address, verb, path):
    value = sys.stdin.buffer.read() if verb == "put" else b""
    if scheme == "etcd":
        key = base64.b64encode(path.encode()).decode()
        if verb == "put":
            etcd_post(address, "/v3/kv/put", {"key": key, "value": base64.b64encode(value).decode()})
            return 0
        return 0 if int(etcd_post(address, "/v3/kv/deleterange", {"key": key}).get("deleted", 0)) == 1 else 1
    client = ZooKeeper(address)
    error = client.put(path, value) if verb == "put" else client.delete(path)
    client.close()
    if error != 0:
        print(f"ZooKeeper: {verb} {path}: {error}", file=sys.stderr)
    return 0 if error == 0 else 1


def main(argv):
    if len(argv) == 6 and argv[1] == "raw" and argv[2] in ("zk", "etcd") and argv[4] in ("put", "delete"):
        return raw(argv[2], argv[3], argv[4], argv[5])
    if len(argv) >= 3 and argv[1] in ("zookeeper", "etcd"):
        return run(argv[1], os.path.abspath(argv[2]), argv[3:])
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv))
