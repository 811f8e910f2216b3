#!/usr/bin/env python3
"""Peers that send garbage, or are too many: what it costs a whole worker, and that nobody else notices."""
import os
import pathlib
import random
import resource
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

SECONDS = float(os.environ.get("SF_SECONDS", "6"))  # of garbage
CONNECTIONS = 10000                                 # the default limit
MIB = 1 << 20


class Bystander(threading.Thread):
    """Asks for one ID after another; every answer must come, above the one before."""

    def __init__(self, worker):
        super().__init__(daemon=True)
        self.connection = worker.connect()
        self.stopping = threading.Event()
        self.answers, self.error, self.last = 0, None, 0

    def run(self):
        try:
            while not self.stopping.is_set():
                got = self.connection.ids(1)[0]
                assert got > self.last
                self.last = got
                self.answers += 1
                time.sleep(0.001)
        except (OSError, AssertionError, sf.Refused) as error:
            self.error = error

    def finish(self):
        self.stopping.set()
        self.join(sf.DEADLINE_S)
        self.connection.close()
        return self.error


def resident(worker):
    with open(f"/proc/{worker.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


class BadPeers(unittest.TestCase):
    def test_garbage(self):
        seed = int(os.environ.get("SF_SEED", time.time_ns() % 10**9))
        print("seed", seed)
        with sf.Fleet() as fleet:
            worker = fleet.worker().start()
            bystander = Bystander(worker)
            bystander.start()
            before, sent, connections = resident(worker), [0], [0]

            def spew(rng):
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    try:
                        with socket.create_connection(("127.0.0.1", worker.port), 20) as s:
                            connections[0] += 1
                            s.settimeout(1)
                            if rng.random() < 0.5:  # a good beginning, so that what follows is looked at
                                s.sendall(sf.frame(rng.randrange(256), rng.randrange(256), 1, rng.randbytes(rng.randrange(300))))
                            for _ in range(20):
                                s.sendall(rng.randbytes(rng.randrange(1, 20000)))
                                sent[0] += 1
                    except OSError:
                        pass  # closed by the worker, as it should be
            peers = [threading.Thread(target=spew, args=(random.Random(seed + i),)) for i in range(8)]
            for peer in peers:
                peer.start()
            for peer in peers:
                peer.join()
            self.assertIsNone(bystander.finish())
            print(f"{connections[0]} connections, {sent[0]} pieces; the bystander got {bystander.answers} answers; "
                  f"{(resident(worker) - before) / MIB:.1f} MiB more")
            self.assertGreater(connections[0], 100)
            self.assertGreater(bystander.answers, 10)
            bad = sum(worker.metric(f'snowfleet_bad_frames_total{{scope="{scope}"}}') for scope in ("length", "version", "type", "flags", "body"))
            self.assertGreater(bad, 100)
            self.assertLess(resident(worker) - before, 24 * MIB)
            self.assertLess(len(worker.log().splitlines()), 30 + 5 * SECONDS)
            sf.wait_until(lambda: worker.status()["connections"] == 0, "all gone")
            self.assertEqual(worker.term(), 0)

    def test_ten_thousand_and_one_connections(self):
        needed = CONNECTIONS + 600
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < needed:
            self.skipTest(f"at most {hard} descriptors here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        held = []
        try:
            with sf.Fleet() as fleet:
                worker = fleet.worker().start()
                bystander = Bystander(worker)
                bystander.start()
                before = resident(worker)
                begun = time.monotonic()
                for _ in range(CONNECTIONS):  # with the bystander's that is one too many
                    held.append(socket.create_connection(("127.0.0.1", worker.port), 20))
                    held[-1].sendall(sf.next_frame(1))
                    kind, code = self.answer(held[-1])
                    if len(held) < CONNECTIONS:
                        self.assertEqual((kind, code), (0x80 | sf.NEXT, sf.OK))
                print(f"10,001 connections in {time.monotonic() - begun:.1f} s, {(resident(worker) - before) / MIB:.1f} MiB more; "
                      f"the last one was answered {kind:#x} {code}")
                self.assertLess(resident(worker) - before, CONNECTIONS * 4096)
                self.assertEqual(worker.status()["connections"], CONNECTIONS)
                self.assertIsNone(bystander.finish())
                # Where one has been idle for a while it gives way, else the one too many is told to go.
                gave_way = worker.metric('snowfleet_connection_closed_total{reason="evicted"}')
                refused = worker.metric('snowfleet_connection_refused_total{reason="limit"}')
                self.assertEqual((gave_way, refused), (1, 0) if code == sf.OK else (0, 1))
                if code != sf.OK:
                    self.assertEqual((kind, code), (sf.ERROR, sf.OVERLOADED))
                self.assertEqual(worker.term(60), 0)
        finally:
            for s in held:
                s.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    @staticmethod
    def answer(s):
        """(type, status) of the next frame."""
        head = b""
        while len(head) < 8:
            part = s.recv(8 - len(head))
            if not part:
                raise ConnectionResetError("closed by the worker")
            head += part
        return head[5], int.from_bytes(head[6:8], "big")


if __name__ == "__main__":
    unittest.main(verbosity=2)
