"""Real ZooKeeper ensembles for tests: one or three servers on free ports of 127.0.0.1 in a temporary directory.

    with zk.Ensemble(members=3) as ensemble:      # ready to serve when it returns
        ensemble.url("/chroot")                   # "zk://127.0.0.1:P1,127.0.0.1:P2,.../chroot"
        leader = ensemble.leader()                # a Server, or None while there is no quorum
        leader.pause(); leader.go_on()            # SIGSTOP, SIGCONT
        leader.kill(); leader.start()             # SIGKILL; again with the same data, ports and id
        ensemble.wait_ready()                     # all members serve
        ensemble.wipe()                           # kills all, deletes the data, starts anew: a coordinator that forgot
    ensemble.save(path); ensemble.restore(path)  # a copy of every member's data, also of a running one; put back and started
    Ensemble(secured=certificates)            # TLS too (secured_url()), for clients with a certificate of certificates.ca; see etcd.Certificates
    Ensemble(members=3, lagging=True)         # the last member hears the others through ensemble.quorum_proxies, which can delay

Every server is ended by its own process object when the block ends, whatever happened in it. `available()` says whether the Debian
packages (zookeeper, a Java runtime) are there. `Client` speaks enough of the wire protocol to look at, change and delete nodes and to
close somebody's session from outside (which expires it at once).
"""
import base64
import glob
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import faultproxy
import processes
from ports import free_ports

CLASS_PATH = ("/etc/zookeeper/conf:/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
              ":/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar")  # the Debian package forgets these two


def available():
    return shutil.which("java") is not None and bool(glob.glob("/usr/share/java/zookeeper.jar"))


def wait_until(check, what, seconds=60):
    """Polls until check() gives something true and returns that; connection errors count as "not yet"."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = check()
            if value:
                return value
        except OSError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.03)


def four_letters_at(port, word, timeout=2):
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        s.settimeout(timeout)
        s.sendall(word.encode())
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")


def mode_at(port, timeout=2):
    """What the member behind that port says it is; None: it does not serve."""
    try:
        for line in four_letters_at(port, "srvr", timeout).splitlines():
            if line.startswith("Mode: "):
                return line[6:].strip()
    except OSError:
        pass
    return None


class Server:
    """One member. home holds zoo.cfg, data and server.log."""

    def __init__(self, home, port, options=(), java_options=()):
        self.home, self.port, self.java_options = home, port, list(java_options)
        self.options = list(options)
        self.process = None
        self.paused = False
        self.myid = None
        self.secured = None  # its port for TLS

    def start(self):
        data = os.path.join(self.home, "data")
        os.makedirs(data, exist_ok=True)
        with open(os.path.join(self.home, "zoo.cfg"), "w") as f:
            f.write("\n".join(self.options + [f"dataDir={data}", f"clientPort={self.port}"]) + "\n")
        if self.myid is not None:
            with open(os.path.join(data, "myid"), "w") as f:
                f.write(str(self.myid))
        with open(os.path.join(self.home, "server.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xms16m", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                 "-Dzookeeper.preAllocSize=1024"] + self.java_options +
                ["-cp", CLASS_PATH, "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                 os.path.join(self.home, "zoo.cfg")], stdout=log, stderr=log, cwd=self.home)
        self.paused = False

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pause(self):
        processes.pause(self.pid)
        self.paused = True

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)
        self.paused = False

    def kill(self):
        """SIGKILL; a paused server dies too. Idempotent."""
        if self.alive():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def four_letters(self, word, timeout=2):
        """The answer to srvr, mntr, dump, ...; raises OSError where there is none."""
        return four_letters_at(self.port, word, timeout)

    def mode(self):
        """"leader", "follower", "standalone", or None: not serving."""
        return mode_at(self.port) if self.alive() and not self.paused else None


class Ensemble:
    def __init__(self, members=1, tick_ms=500, options=(), java_options=(), lagging=False, secured=None):
        self.quorum_proxies = []
        self.directory = tempfile.mkdtemp(prefix="snowfleet-zk-")
        ports = free_ports(members)
        peers = [free_ports(2) for _ in range(members)]
        base = [f"tickTime={tick_ms}", "initLimit=20", "syncLimit=4", "clientPortAddress=127.0.0.1",
                "admin.enableServer=false", "4lw.commands.whitelist=*", "maxClientCnxns=0",
                "minSessionTimeout=1000", "maxSessionTimeout=60000"] + list(options)
        if members > 1:
            base += [f"server.{i + 1}=127.0.0.1:{a}:{b}" for i, (a, b) in enumerate(peers)]
        self.servers = [Server(os.path.join(self.directory, f"zk{i + 1}"), port, base, java_options)
                        for i, port in enumerate(ports)]
        if members > 1:
            for i, server in enumerate(self.servers):
                server.myid = i + 1
        if secured is not None:
            self._secure(secured)
        if lagging:
            self._make_laggard(members - 1, peers)

    def _secure(self, certificates):
        for server, port in zip(self.servers, free_ports(len(self.servers))):
            os.makedirs(server.home, exist_ok=True)
            keys = os.path.join(server.home, "server.pem")
            with open(keys, "w") as f:
                for path in reversed(certificates.server):  # key, then certificate
                    with open(path) as part:
                        f.write(part.read())
            server.secured = port
            server.options = server.options + [f"secureClientPort={port}", "secureClientPortAddress=127.0.0.1", f"ssl.keyStore.location={keys}", "ssl.keyStore.type=PEM",
                                               f"ssl.trustStore.location={certificates.ca}", "ssl.trustStore.type=PEM", "ssl.clientAuth=need"]
            server.java_options = server.java_options + ["-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory"]

    def secured_url(self, chroot="", host="localhost"):
        return "zks://" + ",".join(f"{host}:{s.secured}" for s in self.servers) + chroot

    def _make_laggard(self, index, peers):
        """A follower takes what the leader has written from the leader's quorum port, for which this one is told a proxy's."""
        self.quorum_proxies = [faultproxy.FaultProxy(a) for a, _ in peers[:index]]
        ports = {i + 1: proxy.port for i, proxy in enumerate(self.quorum_proxies)}
        options = [line for line in self.servers[index].options if not line.startswith("server.")]
        options += [f"server.{i + 1}=127.0.0.1:{ports.get(i + 1, a)}:{b}" for i, (a, b) in enumerate(peers)]
        self.servers[index].options = options

    def __enter__(self):
        try:
            for server in self.servers:
                server.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for server in self.servers:
            server.kill()
        for proxy in self.quorum_proxies:
            proxy.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def wait_ready(self, seconds=60):
        wait_until(lambda: all(s.mode() for s in self.servers), "ZooKeeper", seconds)

    def leader(self):
        """Its Server; a standalone server is its own leader."""
        for server in self.servers:
            if server.mode() in ("leader", "standalone"):
                return server
        return None

    def wait_leader(self, seconds=60):
        return wait_until(self.leader, "a ZooKeeper leader", seconds)

    def followers(self):
        return [s for s in self.servers if s.mode() == "follower"]

    def addresses(self):
        return [f"127.0.0.1:{s.port}" for s in self.servers]

    def url(self, chroot=""):
        return "zk://" + ",".join(self.addresses()) + chroot

    def _start_all(self):
        for server in self.servers:
            server.start()
        self.wait_ready()

    def wipe(self):
        for server in self.servers:
            server.kill()
            shutil.rmtree(os.path.join(server.home, "data"), ignore_errors=True)
        self._start_all()

    def save(self, path):
        """Copies every member's data below path, as it is on the disks at one moment."""
        with processes.paused([server.pid for server in self.servers if server.alive()]):
            for i, server in enumerate(self.servers):
                shutil.copytree(os.path.join(server.home, "data"), os.path.join(path, str(i)))

    def restore(self, path):
        """Every member is killed and started again on the copy."""
        for i, server in enumerate(self.servers):
            server.kill()
            shutil.rmtree(os.path.join(server.home, "data"), ignore_errors=True)
            shutil.copytree(os.path.join(path, str(i)), os.path.join(server.home, "data"))
        self._start_all()


class ZooKeeperError(Exception):
    def __init__(self, code, what):
        super().__init__(f"{what}: {code}")
        self.code = code


NO_NODE, NO_AUTH, NODE_EXISTS = -101, -102, -110


def _text(value):
    return struct.pack(">i", len(value)) + value


class Client:
    """Wire protocol (jute), one request at a time. session/password: take over an existing session instead of making one."""

    def __init__(self, port, session=0, password=b"\0" * 16, auth=None):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        answer = self._exchange(struct.pack(">iqiqi16s", 0, 0, 10000, session, 16, password))
        _, self.timeout, self.session, _, self.password = struct.unpack(">iiqi16s", answer[:36])
        if auth is not None:
            body = struct.pack(">i", 0) + _text(b"digest") + _text(auth.encode())
            self._call(100, body, "auth", xid=-4)

    def _take(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("ZooKeeper closed the connection")
            data += chunk
        return data

    def _exchange(self, frame):
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        return self._take(struct.unpack(">i", self._take(4))[0])

    def _call(self, op, body, what, xid=1):
        answer = self._exchange(struct.pack(">ii", xid, op) + body)
        error = struct.unpack(">iqi", answer[:16])[2]
        if error != 0:
            raise ZooKeeperError(error, what)
        return answer[16:]

    def children(self, path):
        answer = self._call(8, _text(path.encode()) + b"\0", f"children of {path}")
        count, at, names = struct.unpack(">i", answer[:4])[0], 4, []
        for _ in range(count):
            size = struct.unpack(">i", answer[at:at + 4])[0]
            names.append(answer[at + 4:at + 4 + size].decode())
            at += 4 + size
        return names

    def _read(self, path):
        """(content, stat); the members of stat are in the order of the protocol, czxid first."""
        answer = self._call(4, _text(path.encode()) + b"\0", f"get {path}")
        size = max(0, struct.unpack(">i", answer[:4])[0])
        return answer[4:4 + size], struct.unpack(">qqqqiiiqiiq", answer[4 + size:4 + size + 68])

    def get(self, path):
        """(content, version, session that owns it or 0)"""
        content, stat = self._read(path)
        return content, stat[4], stat[7]

    def counters(self, path):
        """(czxid, version): what a coordinator that was made anew counts from the start again."""
        stat = self._read(path)[1]
        return stat[0], stat[4]

    def create(self, path, value=b"", perms=31, scheme="world", who="anyone", flags=0):
        """flags: 1 ephemeral, 2 sequential. Returns the path, with the sequence if there is one."""
        acl = struct.pack(">ii", 1, perms) + _text(scheme.encode()) + _text(who.encode())
        answer = self._call(1, _text(path.encode()) + _text(value) + acl + struct.pack(">i", flags), f"create {path}")
        return answer[4:4 + struct.unpack(">i", answer[:4])[0]].decode()

    def ping(self):
        """Keeps the session alive."""
        self._call(11, b"", "ping", xid=-2)

    def set(self, path, value):
        self._call(5, _text(path.encode()) + _text(value) + struct.pack(">i", -1), f"set {path}")

    def set_acl(self, path, perms, scheme="world", who="anyone"):
        acl = struct.pack(">ii", 1, perms) + _text(scheme.encode()) + _text(who.encode())
        self._call(7, _text(path.encode()) + acl + struct.pack(">i", -1), f"ACL of {path}")

    def give(self, path, user, password):
        """Path and all below it to this user alone, as an administrator does who changes a password."""
        who = f"{user}:" + base64.b64encode(hashlib.sha1(f"{user}:{password}".encode()).digest()).decode()
        for name in self.children(path):
            self.give(f"{path}/{name}", user, password)
        self.set_acl(path, 31, "digest", who)

    def delete(self, path):
        self._call(2, _text(path.encode()) + struct.pack(">i", -1), f"delete {path}")

    def close(self):
        """Ends the session: its ephemeral nodes go at once."""
        try:
            self._exchange(struct.pack(">ii", 1, -11))
        except OSError:
            pass
        self.socket.close()
