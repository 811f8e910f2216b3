"""The driver of the common suite (docs/clients.md): one JSON object a line on stdin, one a line on stdout. `driver` starts it."""
from __future__ import annotations

import json
import math
import sys
import threading
import time
from typing import Any, BinaryIO

import snowfleet
from snowfleet.options import COUNT_MAX

Answer = dict[str, Any]


class Wrong(snowfleet.InvalidError):
    """The request itself is not allowed."""


def open_client(request: Answer) -> snowfleet.Client:
    options = {key: value for key, value in request.items() if key not in ("n", "op")}
    if "deadline_ms" in options:
        options["timeout_ms"] = options.pop("deadline_ms")
    if type(options.pop("pool", 0)) is not int:  # of the C library alone: here callers share connections
        raise Wrong("pool: a number is wanted")
    servers = options.pop("servers", "127.0.0.1:7450")
    for key, value in options.items():
        if type(value) is int and value < 0:
            raise Wrong(f"{key}: {value} is out of range")
    return snowfleet.Client(servers, **options)


def read_count(request: Answer) -> int:
    count = request.get("count", 1)
    if type(count) is not int or not 1 <= count <= COUNT_MAX:
        raise Wrong(f"count: 1 to {COUNT_MAX} are allowed")
    return count


def read_id(text: object, what: str) -> int:
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or int(text) > snowfleet.MAX_ID:
        raise Wrong(f"{what}: an ID as a decimal string is wanted")
    return int(text)


def call(client: snowfleet.Client, count: int, after: int | None = None) -> list[int]:
    """As a program would: the short form where nothing but one ID is asked for, so that prefetch is used."""
    return [client.next()] if count == 1 and after is None else client.next_many(count, after=after)


class Load:
    def __init__(self, client: snowfleet.Client, request: Answer):
        self.client, self.count = client, read_count(request)
        callers, seconds, calls = request.get("callers", 1), request.get("seconds"), request.get("calls")
        if type(callers) is not int or not 1 <= callers <= 1024:
            raise Wrong("callers: 1 to 1024 are allowed")
        if not isinstance(seconds, (int, float)) and not isinstance(calls, int):
            raise Wrong("seconds or calls is wanted")
        self.callers = callers
        self.left: float = calls if isinstance(calls, int) else math.inf
        self.end = time.monotonic() + seconds if isinstance(seconds, (int, float)) else math.inf
        self.lock = threading.Lock()
        self.calls = self.ids = self.failed = 0
        self.longest, self.detail = 0.0, ""
        self.file: BinaryIO | None = open(request["file"], "wb") if request.get("file") else None

    def caller(self) -> None:
        while True:
            with self.lock:
                if self.left <= 0 or time.monotonic() >= self.end:
                    return
                self.left -= 1
            begin = time.monotonic()
            ids: list[int] = []
            failure = ""
            try:
                ids = call(self.client, self.count)
            except snowfleet.SnowfleetError as error:
                failure = str(error)
            took = time.monotonic() - begin
            with self.lock:
                self.calls += 1
                self.ids += len(ids)
                self.failed += bool(failure)
                self.detail = self.detail or failure
                self.longest = max(self.longest, took)
                if self.file is not None:
                    self.file.write(b"".join(each.to_bytes(8, "big") for each in ids))

    def run(self) -> Answer:
        before = self.client.stats()["order_errors"]
        threads = [threading.Thread(target=self.caller) for _ in range(self.callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.file is not None:
            self.file.close()
        return {"calls": self.calls, "ids": self.ids, "failed": self.failed, "longest_ms": self.longest * 1e3,
                "order_errors": self.client.stats()["order_errors"] - before, "detail": self.detail}


class Driver:
    def __init__(self) -> None:
        self.client: snowfleet.Client | None = None

    def perform(self, request: object) -> Answer:
        if not isinstance(request, dict) or not isinstance(request.get("op"), str):
            raise Wrong("no JSON object with an op")
        op = request["op"]
        if op == "open":
            if self.client is not None:
                raise Wrong("a client is open already")
            self.client = open_client(request)
            return {}
        if self.client is None:
            raise Wrong("no client is open")
        if op == "next":
            count = read_count(request)
            after = None if request.get("after") is None else read_id(request["after"], "after")
            return {"ids": [str(each) for each in call(self.client, count, after)]}
        if op == "load":
            return Load(self.client, request).run()
        if op == "decode":
            identifier = read_id(request.get("id"), "id")
            parts = self.client.decode(identifier)
            return {"unix_ms": parts.unix_ms, "datacenter": parts.datacenter, "worker": parts.worker, "sequence": parts.sequence,
                    "base32": snowfleet.to_base32(identifier)}
        if op == "stats":
            return self.client.stats()
        if op == "close":
            self.client.close()
            self.client = None
            return {}
        raise Wrong("op: open, next, load, decode, stats and close are known")


def main() -> None:
    driver = Driver()
    for line in sys.stdin:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        try:
            answer = {"ok": True, **driver.perform(request)}
        except snowfleet.SnowfleetError as error:
            answer = {"ok": False, "error": error.code, "detail": error.detail}
        if isinstance(request, dict) and "n" in request:
            answer["n"] = request["n"]
        print(json.dumps(answer), flush=True)
    if driver.client is not None:
        driver.client.close()


if __name__ == "__main__":
    main()
