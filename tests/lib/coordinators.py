"""The real coordinators behind one face, for tests that run the same story on each of them.

    with coordinators.start("zookeeper", members=3) as c:
        c.url(); c.kill_leader(); c.stop_all(); c.start_all(); c.expire_all()
"""
import contextlib
import re

import etcd
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


class ZooKeeper(contextlib.AbstractContextManager):
    name = "zookeeper"

    def __init__(self, members):
        self.ensemble = zk.Ensemble(members=members)

    def __enter__(self):
        self.ensemble.__enter__()
        return self

    def __exit__(self, *error):
        return self.ensemble.__exit__(*error)

    def url(self):
        return self.ensemble.url()

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

    def expire_all(self):
        """Ends every session that has an ephemeral node, from outside. Returns how many."""
        server = next(s for s in self.ensemble.servers if s.alive())
        sessions = re.findall(r"^0x([0-9a-f]+):", server.four_letters("dump"), re.MULTILINE)
        for session in set(sessions):
            number = int(session, 16)
            signed = number - (1 << 64) if number >> 63 else number
            zk.Client(server.port, signed, session_password(signed)).close()
        return len(set(sessions))


class Etcd(contextlib.AbstractContextManager):
    name = "etcd"

    def __init__(self, members):
        self.members = members
        self.cluster = etcd.Cluster(members=members)

    def __enter__(self):
        self.cluster.__enter__()
        return self

    def __exit__(self, *error):
        return self.cluster.__exit__(*error)

    def url(self):
        return self.cluster.url()

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

    def expire_all(self):
        leases = self.cluster.leases()
        for lease in leases:
            self.cluster.revoke(lease)
        return len(leases)


KINDS = {"zookeeper": ZooKeeper, "etcd": Etcd}


def available(name):
    return {"zookeeper": zk.available, "etcd": etcd.available}[name]()


def start(name, members=1):
    return KINDS[name](members)
