"""Speed of the Python client against one worker, in turns with a bare socket loop; one JSON object. tests/bench/clients.py starts it.

usage: bench.py HOST:PORT
"""
import asyncio
import json
import socket
import statistics
import sys
import threading
import time

from snowfleet import AsyncClient, Client

ADDRESS = sys.argv[1]
ONE = bytes.fromhex("0000000c010100000000000100000001")
SECONDS = 1.0


def timed(what, n):
    took = []
    for _ in range(n):
        begin = time.perf_counter()
        what()
        took.append(time.perf_counter() - begin)
    return took


def one_caller(client):
    host, port = ADDRESS.rsplit(":", 1)
    bare, own = [], []
    with socket.create_connection((host, int(port))) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask():
            stream.sendall(ONE)
            stream.recv(24)
        for _ in range(20):
            bare += timed(ask, 200)
            own += timed(client.next, 200)
    return statistics.median(bare) * 1e6, statistics.median(own) * 1e6


def threads(client, count):
    end, done = time.perf_counter() + SECONDS, []

    def caller():
        n = 0
        while time.perf_counter() < end:
            client.next()
            n += 1
        done.append(n)
    all_ = [threading.Thread(target=caller) for _ in range(count)]
    for each in all_:
        each.start()
    for each in all_:
        each.join()
    return sum(done) / SECONDS


async def tasks(count):
    async with AsyncClient(ADDRESS) as client:
        end, done = time.perf_counter() + SECONDS, 0

        async def caller():
            nonlocal done
            while time.perf_counter() < end:
                await client.next()
                done += 1
        await asyncio.gather(*(caller() for _ in range(count)))
        return done / SECONDS


with Client(ADDRESS) as plain, Client(ADDRESS, prefetch=1000) as ahead:
    plain.next()
    bare_us, client_us = one_caller(plain)
    print(json.dumps({"bare_us": bare_us, "client_us": client_us, "one_per_s": threads(plain, 1), "many_per_s": threads(plain, 64),
                      "tasks_one_per_s": asyncio.run(tasks(1)), "tasks_many_per_s": asyncio.run(tasks(64)),
                      "prefetch_per_s": threads(ahead, 1)}))
