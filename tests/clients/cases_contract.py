"""What goes over the wire, what the drivers answer, and the vectors that all languages share."""
import json
import os
import sys
import time

import hostile
from hostile import INFO, NEXT, Server
from driver import ROOT
from suite import scenario, within

sys.path.insert(0, str(ROOT / "tests/vectors"))
from frames import read_vectors  # noqa: E402


@scenario("driver: contract")
def contract(new):
    with Server() as server, new() as driver:
        driver.fails("INVALID", "next")  # nothing is open
        driver.fails("INVALID", "open", servers=server.address, colour="red")
        driver.fails("INVALID", "open", servers=server.address, prefetch="many")
        driver.fails("INVALID", "open", servers=server.address, causal=1)
        assert driver.line("no JSON")["error"] == "INVALID"
        assert driver.line("[1]")["error"] == "INVALID"
        driver.fails("INVALID", "fly")
        driver.open(server.address)
        driver.fails("INVALID", "open", servers=server.address)
        assert len({*driver.next(), *driver.next(5)}) == 6
        for count in (0, -1, 1048577, "3", 1.5):
            driver.fails("INVALID", count=count)
        for after in ("x", 5, "-1", "", "18446744073709551616", "9223372036854775808"):
            driver.fails("INVALID", after=after)
        driver.fails("INVALID", "decode", id="9223372036854775808")
        driver.fails("INVALID", "load", callers=2)
        stats = driver.stats()
        assert stats["ids"] == 6 and stats["calls_by_error"]["OK"] == 2, stats
        driver.close()
        driver.fails("INVALID", "stats")
        driver.open(server.address)
        driver.next()


@scenario("driver: options")
def options(new):
    with Server() as server, new() as driver:
        good = {"deadline_ms": 1000, "attempt_timeout_ms": 50, "connect_timeout_ms": 500, "hedge_ms": 20, "hedge_percentile": 95, "pool": 4,
                "resolve_ms": 1000, "discover": False, "discover_ms": 1000, "retry_budget_percent": 10, "retry_budget_max": 10,
                "backoff_min_ms": 1, "backoff_max_ms": 10, "breaker_failures": 2, "breaker_open_min_ms": 10, "breaker_open_max_ms": 100,
                "breaker_idle_ms": 20, "prefetch": 0, "prefetch_max_age_ms": 10, "causal": False, "tls": False}
        driver.open(server.address, **good)
        driver.next(3)
        driver.close()
        driver.open(server.address, timeout_ms=0, prefetch=0, hedge_ms=0)  # 0: the default
        driver.next()
        driver.close()
        for bad in ({"timeout_ms": 3600001}, {"hedge_percentile": 49}, {"hedge_percentile": 100}, {"resolve_ms": 999}, {"prefetch": 65537},
                    {"retry_budget_percent": 1001}, {"backoff_min_ms": 20, "backoff_max_ms": 10}, {"causal": True, "prefetch": 10},
                    {"breaker_open_min_ms": 200, "breaker_open_max_ms": 100}, {"tls_ca": "x.pem"}, {"tls_server_name": "x"}, {"token": ""},
                    {"token": "x" * 257}, {"tls": True, "tls_cert": "x.pem"}, {"deadline_ms": -1}):
            detail = driver.fails("INVALID", "open", servers=server.address, **bad)
            assert any(name.split("_")[0] in detail or name == "deadline_ms" for name in bad), (bad, detail)
        for servers in ("", "127.0.0.1:99999", "127.0.0.1:x", ","):
            driver.fails("INVALID", "open", servers=servers)


@scenario("frames: requests are the vectors'")
def requests(new):
    vectors = read_vectors()
    with Server() as server, new() as driver:
        driver.open(server.address, token="s3cret")
        driver.next(10, after="1541815603606036480")
        driver.next(65536)
        driver.next()
        seen = {each.raw[4:8] + each.body for each in server.requests}  # without length and request_id, which is the client's choice
        lengths = all(len(each.body) + 8 == int.from_bytes(each.raw[:4], "big") for each in server.requests)
        assert lengths
        for name in ("next-one", "next-most", "next-after", "info", "auth"):
            raw = vectors[name].bytes
            assert raw[4:8] + raw[12:] in seen, (name, [each.raw.hex() for each in server.requests])
        kinds = [each.kind for each in server.requests if each.connection.number == 0]
        assert kinds[:2] == [hostile.AUTH, INFO] and NEXT in kinds, kinds


@scenario("frames: answers are read as the vectors say")
def answers(new):
    vectors = read_vectors()
    with Server() as server, new() as driver:
        for vector in vectors.values():
            raw = vector.bytes
            if vector.kind not in ("ids", "broken") or raw[5] != 0x81:
                continue
            pairs = [tuple(map(int, run.split("+"))) for run in vector.keys["runs"].split(",")] if vector.kind == "ids" else None
            body = raw[12:]
            count = sum(int.from_bytes(body[i + 8:i + 12], "big") for i in range(0, len(body), 12))
            count = count if 1 <= count <= 65536 else 1  # what is wrong is to be all that is wrong
            server.script = lambda request, raw=raw: raw[:8] + request.id.to_bytes(4, "big") + raw[12:] if request.kind == NEXT else None
            driver.open(server.address, timeout_ms=new.ms(1000) if pairs else 200)
            if pairs:
                ids = driver.next(count)
                assert ids == [first + k for first, n in pairs for k in range(n)], vector.name
            else:
                driver.fails(("PROTOCOL", "ORDER", "UNREACHABLE"), count=count)
            driver.close()


@scenario("frames: other frames that must not be believed")
def unbelievable(new):
    vectors = read_vectors()
    broken = [vector for vector in vectors.values() if vector.kind == "broken" and vector.bytes[5] != 0x81]
    assert broken
    with Server(worker=1) as bad, Server(worker=2) as good, new() as driver:
        for vector in broken:
            raw = vector.bytes
            if raw[5] >= 0xC0:
                bad.script = lambda request, raw=raw: raw if request.kind == NEXT else None
            elif 0x80 < raw[5] < 0xBF:
                bad.script = lambda request, raw=raw: raw[:5] + b"\x81" + raw[6:8] + request.id.to_bytes(4, "big") + raw[12:] if request.kind == NEXT else None
            else:
                continue
            driver.open(f"{bad.address},{good.address}", timeout_ms=1500)
            for _ in range(6):
                assert good.worker_of(driver.one()) == 2, vector.name
            driver.close()


@scenario("ids: parts and base 32 are the vectors'")
def parts(new):
    with open(os.path.join(ROOT, "tests/vectors/ids.json"), encoding="utf-8") as file:
        rows = json.load(file)["ids"]
    by_fleet = {}
    for row in rows:
        by_fleet.setdefault((json.dumps(row["layout"]), row["epoch_ms"]), []).append(row)
    with new() as driver:
        for (layout, epoch_ms), group in by_fleet.items():
            with Server(layout=json.loads(layout), epoch_ms=epoch_ms) as server:
                server.script = lambda request: request.ids((1, request.count)) if request.kind == NEXT else None
                driver.open(server.address)
                for row in group:
                    got = driver.ask("decode", id=row["id"])
                    assert all(got[key] == row[key] for key in ("unix_ms", "datacenter", "worker", "sequence", "base32")), (got, row)
                driver.close()


@scenario("many IDs: answers of many runs, in parts of max_batch")
def many(new):
    with Server(max_batch=100) as server, new() as driver:
        driver.open(server.address)
        ids = driver.next(1050)
        assert len(set(ids)) == 1050 and ids == sorted(ids)
        sizes = [each.count for each in server.asked()]
        assert max(size for size, each in zip(sizes, server.asked()) if each.number > 1) <= 100, sizes
        driver.close()
        # The largest frame that there is: 5,460 runs.
        server.max_batch = 65536
        server.script = lambda request: request.ids(*((n << 22, 1) for n in range(1, request.count + 1))) if request.kind == NEXT else None
        driver.open(server.address)
        ids = driver.next(5460)
        assert ids == [n << 22 for n in range(1, 5461)]


@scenario("load: every ID is in the file, in each caller's order")
def load(new, tmp="/tmp"):
    with Server() as server, new() as driver:
        path = os.path.join(tmp, f"snowfleet-clients-{os.getpid()}-{new.language}.ids")
        try:
            driver.open(server.address)
            told = driver.load(calls=500, callers=8, count=3, file=path)
            assert (told["calls"], told["ids"], told["failed"], told["order_errors"]) == (500, 1500, 0, 0), told
            assert 0 < told["longest_ms"] < 60000
            with open(path, "rb") as file:
                data = file.read()
            ids = [int.from_bytes(data[i:i + 8], "big") for i in range(0, len(data), 8)]
            assert len(ids) == 1500 and len(set(ids)) == 1500
            begin = time.monotonic()
            told = driver.load(0.3, callers=2, file=path)
            within(begin, 0.4, "a load of 0.3 s")
            assert time.monotonic() - begin >= 0.25 and told["calls"] > 0 and os.path.getsize(path) == 8 * told["ids"]
            one = driver.load(calls=200, callers=1, file=path)
            with open(path, "rb") as file:
                data = file.read()
            ids = [int.from_bytes(data[i:i + 8], "big") for i in range(0, len(data), 8)]
            assert one["ids"] == 200 and ids == sorted(ids), "one caller's IDs stand in its order"
        finally:
            if os.path.exists(path):
                os.unlink(path)
