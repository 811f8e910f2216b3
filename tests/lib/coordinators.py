"""The real coordinators behind one face, for tests that run the same story on each of them.

    with coordinators.start("zookeeper", members=3) as c:
        c.url(); c.kill_leader(); c.stop_all(); c.start_all(); c.expire_all()
        c.wipe()                                    # all data gone, started again
        c.save(path); c.restore(path)               # a copy of the data, taken while it runs; put back
        proxies = [faultproxy.FaultProxy(p) for p in c.ports()]
        c.url([p.port for p in proxies])            # the members as somebody behind those proxies names them
        c.get("/snowfleet/default/config")          # past the product: also set, delete, paths, counters
        c.slot_path("default", 0, 3)                 # where a record is now: below the token that the config names

"local" is a directory: it has no ports, members, sessions or leader.
"""
import base64
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import tempfile
import time

import etcd
import processes
import zk


def session_password(session):
    """The password that a ZooKeeper server gives to a session: 16 bytes of java.util.Random, seeded with the session's id and a
    constant (SessionTrackerImpl, ZooKeeper 3.8). Whoever has it can end the session, which is how a test expires it at once."""
    state = ((session ^ 0xB3415C00) ^ 0x5DEECE66D) & ((1 << 48) - 1)
    password = b""
    while len(password) < 16:
        state = (state * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        password += (state >> 16 & 0xFFFFFFFF).to_bytes(4, "little")
    return password


def stop_the_leader(leader_of, ports, pids, seconds=60):
    """Stops the leader until another member leads, and lets it go on: then nobody of them has ended. leader_of(ports) gives the
    leader's index in ports, or None."""
    def wait(others):
        end = time.monotonic() + seconds
        while (found := leader_of(others)) is None:
            if time.monotonic() > end:
                raise TimeoutError("no leader")
            time.sleep(0.05)
        return found

    leader = wait(ports)
    processes.pause(pids[leader])
    try:
        wait([port for port in ports if port != ports[leader]])
    finally:
        os.kill(pids[leader], signal.SIGCONT)


def crc64(data):
    """CRC-64/XZ, as the local backend seals its files with."""
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return crc ^ ((1 << 64) - 1)


# <fcntl.h> of Linux on 64 bits; Python has a name for neither.
F_OFD_GETLK = 36
WHOLE_FILE = struct.Struct("hhqqi4x")


class Kept:
    """What every coordinator keeps of a fleet."""

    def token(self, fleet="default"):
        return json.loads(self.get(f"/snowfleet/{fleet}/config"))["token"]

    def slot_path(self, fleet, datacenter, worker):
        return f"/snowfleet/{fleet}/{self.token(fleet)}/dc/{datacenter}/slots/{worker}"

    def locked(self):
        """The locks that somebody holds at this moment."""
        return []

    def stop_outside_locks(self, worker):
        """Stops it (SIGSTOP) where it holds no lock: otherwise all others wait for it, which is another story."""
        worker.pause()
        while self.locked():
            worker.resume()
            time.sleep(0.05)
            worker.pause()


class ZooKeeper(Kept, contextlib.AbstractContextManager):
    name = "zookeeper"

    def __init__(self, members, **more):
        self.members = members
        self.ensemble = zk.Ensemble(members=members, **more)

    def __enter__(self):
        self.ensemble.__enter__()
        return self

    def __exit__(self, *error):
        return self.ensemble.__exit__(*error)

    def ports(self):
        return [server.port for server in self.ensemble.servers]

    def pids(self):
        return [server.pid for server in self.ensemble.servers]

    def url(self, ports=None):
        return "zk://" + ",".join(f"127.0.0.1:{port}" for port in ports or self.ports())

    def kill_leader(self):
        leader = self.ensemble.wait_leader()
        leader.kill()
        return leader.start

    def stop_all(self):
        for server in self.ensemble.servers:
            server.kill()

    def start_all(self):
        for server in self.ensemble.servers:
            server.start()
        self.ensemble.wait_ready()

    def wipe(self):
        self.ensemble.wipe()

    def save(self, path):
        self.ensemble.save(path)

    def restore(self, path):
        self.ensemble.restore(path)

    def expire_all(self):
        """Ends every session that has an ephemeral node, from outside. Returns how many."""
        server = next(s for s in self.ensemble.servers if s.alive())
        sessions = self._owners(server)
        for session in sessions:
            self._expire(server, session)
        return len(sessions)

    @staticmethod
    def _owners(server):
        return set(re.findall(r"^0x([0-9a-f]+):", server.four_letters("dump"), re.MULTILINE))

    def _expire(self, server, session):
        """Whoever has the session may take it back at the same moment, and then ours is the connection that is closed."""
        number = int(session, 16)
        signed = number - (1 << 64) if number >> 63 else number
        end = time.monotonic() + 10
        while session in self._owners(server):
            if time.monotonic() > end:
                raise TimeoutError(f"session 0x{session} does not end")
            with contextlib.suppress(OSError):
                zk.Client(server.port, signed, session_password(signed)).close()

    @contextlib.contextmanager
    def client(self):
        client = zk.Client(next(s for s in self.ensemble.servers if s.alive()).port)
        try:
            yield client
        finally:
            client.close()

    def get(self, path):
        """The content as text, None when there is nothing."""
        with self.client() as client:
            try:
                return client.get(path)[0].decode()
            except zk.ZooKeeperError as error:
                if error.code != zk.NO_NODE:
                    raise
                return None

    def set(self, path, text):
        with self.client() as client:
            client.set(path, text.encode())

    def delete(self, path):
        with self.client() as client:
            client.delete(path)

    @staticmethod
    def change_at(port, path, content):
        """Of a server that somebody else started: makes or sets a node; None deletes it."""
        client = zk.Client(port)
        try:
            if content is None:
                client.delete(path)
                return
            try:
                client.set(path, content)
            except zk.ZooKeeperError as error:
                if error.code != zk.NO_NODE:
                    raise
                client.create(path, content)
        finally:
            client.close()

    @staticmethod
    def leader_at(ports):
        """Of members that somebody else started: the leader's index, None while there is none."""
        return next((i for i, port in enumerate(ports) if zk.mode_at(port, 0.5) == "leader"), None)

    def counters(self, path):
        with self.client() as client:
            return client.counters(path)

    def paths(self, below):
        """Everything below a path, in order."""
        def walk(client, path):
            for name in client.children(path):
                yield f"{path}/{name}"
                yield from walk(client, f"{path}/{name}")
        with self.client() as client:
            try:
                return sorted(walk(client, below))
            except zk.ZooKeeperError as error:
                if error.code != zk.NO_NODE:
                    raise
                return []


class Etcd(Kept, contextlib.AbstractContextManager):
    name = "etcd"

    def __init__(self, members):
        self.members = members
        self.cluster = etcd.Cluster(members=members)

    def __enter__(self):
        self.cluster.__enter__()
        return self

    def __exit__(self, *error):
        return self.cluster.__exit__(*error)

    def ports(self):
        return list(self.cluster.ports)

    def pids(self):
        return [self.cluster.pid(i) for i in range(self.members)]

    def url(self, ports=None):
        return "etcd://" + ",".join(f"127.0.0.1:{port}" for port in ports or self.ports())

    def kill_leader(self):
        leader = self.cluster.leader()
        self.cluster.kill(leader)
        return lambda: self.cluster.restart(leader)

    def stop_all(self):
        for i in range(self.members):
            self.cluster.kill(i)

    def start_all(self):
        for i in range(self.members):
            self.cluster.start(i, wait=False)
        self.cluster.wait_ready()

    def wipe(self):
        self.cluster.wipe_all()

    def save(self, path):
        self.cluster.save(path)

    def restore(self, path):
        self.cluster.restore(path)

    def expire_all(self):
        leases = self.cluster.leases()
        for lease in leases:
            self.cluster.revoke(lease)
        return len(leases)

    def _read(self, path):
        answer = self.cluster.any_post("/v3/kv/range", {"key": etcd.b64(path)})
        return next(iter(answer.get("kvs", [])), None)

    def get(self, path):
        found = self._read(path)
        return None if found is None else base64.b64decode(found.get("value", "")).decode()

    def set(self, path, text):
        self.cluster.any_post("/v3/kv/put", {"key": etcd.b64(path), "value": etcd.b64(text)})

    def delete(self, path):
        self.cluster.any_post("/v3/kv/deleterange", {"key": etcd.b64(path)})

    @staticmethod
    def change_at(port, path, content):
        """Of a member that somebody else started: sets a key; None deletes it."""
        if content is not None:
            etcd.post(port, "/v3/kv/put", {"key": etcd.b64(path), "value": base64.b64encode(content).decode()})
        elif int(etcd.post(port, "/v3/kv/deleterange", {"key": etcd.b64(path)}).get("deleted", 0)) != 1:
            raise OSError(f"{path} is not there")

    @staticmethod
    def leader_at(ports):
        """Of members that somebody else started: the leader's index, None while there is none that these know."""
        ids, leaders = {}, set()
        for i, port in enumerate(ports):
            try:
                status = etcd.post(port, "/v3/maintenance/status", {}, 1)
            except OSError:
                continue
            ids[status["header"]["member_id"]] = i
            leaders.add(status.get("leader", "0"))
        leader = next(iter(leaders)) if len(leaders) == 1 else None
        return ids.get(leader)

    def counters(self, path):
        found = self._read(path)
        return int(found["create_revision"]), int(found["mod_revision"])

    def paths(self, below):
        return sorted(self.cluster.get_prefix(below + "/"))


class Local(Kept, contextlib.AbstractContextManager):
    """A directory. Paths are those of the coordinators with a server; content is what stands behind a file's seal."""
    name = "local"
    members = 0

    def __init__(self, members=0):
        assert members == 0
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="snowfleet-local-"))
        self.directory = self.place / "coordinator"

    def __exit__(self, *error):
        shutil.rmtree(self.place, ignore_errors=True)

    def ports(self):
        return []

    def url(self, ports=None):
        assert not ports
        return f"local://{self.directory}"

    def _file(self, path):
        assert path.startswith("/snowfleet/")
        return self.directory / path[len("/snowfleet/"):]

    @staticmethod
    def _remove(tree):
        """Workers may write into it meanwhile."""
        while tree.exists():
            shutil.rmtree(tree, ignore_errors=True)

    def wipe(self):
        self._remove(self.directory)

    def save(self, path):
        shutil.copytree(self.directory, os.path.join(path, "0"))

    def restore(self, path):
        """The directory stays the same one, so whoever has it open sees the older files."""
        for old in self.directory.iterdir():
            self._remove(old)
        shutil.copytree(os.path.join(path, "0"), self.directory, dirs_exist_ok=True)

    def get(self, path):
        file = self._file(path)
        if not file.is_file():
            return None
        lines = file.read_text().split("\n")
        return lines[1] if lines[0].startswith('{"incarnation":') else lines[0]  # claims have no seal

    def set(self, path, text):
        """With a seal that is right: what stands in the file is as it would be on a server."""
        file, content = self._file(path), text.encode()
        try:
            _, version = self.counters(path)
        except (OSError, ValueError):
            version = 0
        # Names are sealed by their path below the fleet's directory.
        name = "/".join(path.split("/")[2:])
        seal = crc64(f"{name}\n7 {version + 1}\n".encode() + content)
        file.write_bytes(b'{"incarnation":7,"version":%d,"checksum":"%016x"}\n%s\n' % (version + 1, seal, content))

    def delete(self, path):
        self._file(path).unlink()

    def counters(self, path):
        seal = self._file(path).read_text().split("\n")[0]
        return tuple(int(n) for n in re.findall(r'"(?:incarnation|version)":(\d+)', seal))

    def paths(self, below):
        root = self._file(below)
        return sorted(f"{below}/{path.relative_to(root)}" for path in root.rglob("*"))

    def locked(self):
        def held(file):
            with file.open("rb") as lock:
                asked = fcntl.fcntl(lock, F_OFD_GETLK, WHOLE_FILE.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            return WHOLE_FILE.unpack(asked)[0] != fcntl.F_UNLCK

        return [file for file in self.directory.rglob("lock") if held(file)]


KINDS = {"zookeeper": ZooKeeper, "etcd": Etcd, "local": Local}


def available(name):
    return {"zookeeper": zk.available, "etcd": etcd.available, "local": lambda: True}[name]()


def start(name, members=1, **more):
    return Local() if name == "local" else KINDS[name](members, **more)
