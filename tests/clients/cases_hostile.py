"""Servers that are slow, silent, wrong or bad: what a call costs then, and what is never handed on."""
import threading
import time

import hostile
from driver import Failed
from hostile import INFO, NEXT, Server
from suite import SLACK_S, scenario, within


def only_next(function):
    """A script for NEXT; everything else is answered as ever."""
    return lambda request: function(request) if request.kind == NEXT else None


def pair(new, script, calls=8, **options):
    """One bad worker beside a good one: every call is served by the good one. Returns what the calls took at most."""
    with Server(worker=1) as bad, Server(worker=2) as good, new() as driver:
        bad.script = only_next(script)
        driver.open(f"{bad.address},{good.address}", **{"timeout_ms": 5000, **options})
        longest, ids = 0, []
        for _ in range(calls):
            begin = time.monotonic()
            ids.append(driver.one())
            longest = max(longest, time.monotonic() - begin)
        assert {good.worker_of(each) for each in ids} == {2} and len(set(ids)) == calls, ids
        return longest, bad, good, driver.stats()


# --- order ---

def order(new, script, calls_before=0, count=1, **options):
    """The next call must fail with ORDER, and say so in the statistics."""
    with Server() as server, new() as driver:
        server.script = only_next(script)
        driver.open(server.address, timeout_ms=1000, **options)
        for _ in range(calls_before):
            driver.next()
        begin = time.monotonic()
        driver.fails("ORDER", count=count)
        within(begin, 0.2, "ORDER")
        stats = driver.stats()
        assert stats["order_errors"] >= 1, stats


@scenario("order: an ID twice on a connection")
def repeated(new):
    order(new, lambda request: request.ids((5 << 22 | 1 << 12, 1)), calls_before=1)


@scenario("order: an ID that goes back on a connection")
def back(new):
    order(new, lambda request: request.ids(((100 - request.number) << 22 | 1 << 12, 1)), calls_before=1)


@scenario("order: an answer that begins inside the one before")
def overlap(new):
    with Server() as server, new() as driver:
        server.script = only_next(lambda request: request.ids(((5 << 22) + len(server.asked()), 10)))
        driver.open(server.address, timeout_ms=1000)
        driver.next(10)
        driver.fails("ORDER", count=10)


@scenario("order: an ID again on a new connection")
def again_later(new):
    with Server() as server, new() as driver:
        driver.open(server.address, timeout_ms=1000)
        first = driver.one()
        server.script = only_next(lambda request: request.ids((first, 1)))
        server.hang_up()
        time.sleep(0.1)
        driver.fails("ORDER")
        assert driver.stats()["order_errors"] >= 1


@scenario("order: with prefetch, nothing of a bad answer is handed out")
def prefetched(new):
    with Server() as server, new() as driver:
        server.script = only_next(lambda request: request.ids((5 << 22 | 1 << 12, request.count)))
        driver.open(server.address, timeout_ms=1000, prefetch=10, prefetch_max_age_ms=60000)
        assert driver.next(1) == [5 << 22 | 1 << 12]
        rest = [driver.one() for _ in range(9)]
        assert rest == [(5 << 22 | 1 << 12) + k for k in range(1, 10)], rest
        driver.fails("ORDER")


@scenario("answers in the wrong order")
def wrong_order(new):
    def swapped(request):
        return hostile.frame(0x81, 0, (request.id + 1) & 0xFFFFFFFF, hostile.runs((7, 1)))
    pair(new, swapped)
    with Server() as server, new() as driver:
        server.script = only_next(swapped)
        driver.open(server.address, timeout_ms=new.ms(1000))
        driver.fails("PROTOCOL")


@scenario("an answer of another type, version, or that nobody asked for")
def other_answers(new):
    for answer in (lambda r: hostile.frame(0x82, 0, r.id, hostile.runs((7, 1))), lambda r: hostile.frame(0x81, 0, r.id, hostile.runs((7, 1)), version=2),
                   lambda r: hostile.frame(0x01, 0, r.id, hostile.runs((7, 1))), lambda r: hostile.frame(0x81, 0, 0, hostile.runs((7, 1))),
                   lambda r: hostile.frame(0xBF, 1, 0, b"\0\0\0\0"), lambda r: hostile.frame(0xBF, 6, 0, b"\0\0\0\0full")):
        pair(new, answer, calls=4)
    with Server() as server, new() as driver:  # twice the same answer: the second one answers nothing
        server.script = only_next(lambda request: [request.answer(server.mint(1))] * 2)
        driver.open(server.address, timeout_ms=1000)
        ids = []
        for _ in range(5):
            try:
                ids.append(driver.one())
            except Failed as failure:
                assert failure.name in ("ORDER", "PROTOCOL", "UNREACHABLE"), failure
        assert len(set(ids)) == len(ids)


@scenario("a count that is not what was asked for")
def other_count(new):
    for script in (lambda r: r.ids((5 << 22, r.count + 1)), lambda r: r.ids((5 << 22, 1), (6 << 22, 1)), lambda r: r.answer()):
        pair(new, script, calls=4)


@scenario("lengths that cannot be")
def lengths(new):
    for length in (0, 7, 65537, 0x7FFFFFFF, 0xFFFFFFFF):
        pair(new, lambda request, length=length: length.to_bytes(4, "big") + b"\1\x81\0\0" + b"x" * 100, calls=4)
    with Server() as server, new() as driver:
        server.script = only_next(lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n")
        driver.open(server.address, timeout_ms=new.ms(1000))
        driver.fails("PROTOCOL")


@scenario("half a frame, then nothing")
def half(new):
    longest, *_ = pair(new, lambda request: request.answer(b"\0" * 12)[:17], attempt_timeout_ms=100)
    assert longest < 0.2 + SLACK_S, longest
    with Server() as server, new() as driver:
        server.script = only_next(lambda request: request.answer(b"\0" * 12)[:17] if len(server.asked()) == 1 else b"")
        driver.open(server.address, timeout_ms=400)
        begin = time.monotonic()
        driver.fails("TIMEOUT")
        assert 0.39 <= within(begin, 0.4, "a deadline of 0.4 s")


@scenario("half a frame, then the end")
def cut(new):
    def half_and_close(request):
        request.connection.send(request.answer(b"\0" * 12)[:20])
        request.connection.close()
        return b""
    longest, *_ = pair(new, half_and_close)
    assert longest < 0.2 + SLACK_S, longest


@scenario("silence")
def silence(new):
    longest, bad, good, stats = pair(new, lambda request: b"", calls=30, attempt_timeout_ms=100)
    assert longest < 0.2 + SLACK_S, longest
    assert len(good.asked()) >= 30 and len(bad.asked()) <= 15, (len(bad.asked()), "the silent one is left alone")
    assert stats["silences"] + stats["hedges"] >= 1, stats
    with Server() as server, new() as driver:
        server.script = lambda request: b""
        for deadline_ms in (new.ms(150), new.ms(700)):
            driver.open(server.address, deadline_ms=deadline_ms, attempt_timeout_ms=50)
            begin = time.monotonic()
            driver.fails("TIMEOUT")
            assert within(begin, deadline_ms / 1e3, f"a deadline of {deadline_ms} ms") >= deadline_ms / 1e3 - 0.01
            driver.close()


@scenario("late answers: once, in place, and not to those that gave up")
def late(new):
    slow = {"s": 0.25}
    with Server(worker=1) as server, new() as driver:  # nobody else: the answer counts when it comes
        server.script = only_next(lambda request: [slow["s"], request.answer(server.mint(request.count))])
        driver.open(server.address, timeout_ms=3000, attempt_timeout_ms=50)
        begin = time.monotonic()
        ids = [driver.one()]
        within(begin, 0.3, "an answer after 0.25 s")
        slow["s"] = 0
        ids += [driver.one() for _ in range(5)]
        assert len(set(ids)) == 6 and ids == sorted(ids)
    with Server(worker=1) as slow_one, Server(worker=2) as good, new() as driver:
        handed = []
        slow_one.script = only_next(lambda request: [0.3, request.answer(slow_one.mint(request.count))])
        driver.open(f"{slow_one.address},{good.address}", timeout_ms=3000, attempt_timeout_ms=50)
        begin = time.monotonic()
        while time.monotonic() < begin + 1.2:
            each = time.monotonic()
            handed.append(driver.one())
            within(each, 0.25, "a call beside a slow worker")
            time.sleep(0.01)
        assert len(set(handed)) == len(handed)
        for each in (1, 2):
            own = [identifier for identifier in handed if good.worker_of(identifier) == each]
            assert own == sorted(own)
    with Server() as server, new() as driver:  # an answer that comes when the call has ended
        server.script = only_next(lambda request: [0.3, request.answer(server.mint(request.count))] if request.number < 2 else None)
        driver.open(server.address, timeout_ms=150, attempt_timeout_ms=50)
        driver.fails("TIMEOUT")
        time.sleep(0.4)
        ids = [driver.one() for _ in range(3)]
        assert len(set(ids)) == 3 and driver.stats()["order_errors"] == 0


@scenario("slow drip")
def drip(new):
    def slowly(request):
        data = server.ordinary(request)
        return [piece for byte in data for piece in (bytes([byte]), 0.001)]
    with Server() as server, new() as driver:
        server.script = slowly
        driver.open(server.address, timeout_ms=5000, attempt_timeout_ms=2000)
        ids = [driver.one() for _ in range(3)]
        assert len(set(ids)) == 3 and driver.stats()["protocol_errors"] == 0
    with Server(worker=1) as dripping, Server(worker=2) as good, new() as driver:
        dripping.script = only_next(lambda request: [piece for byte in request.answer(hostile.runs((1, 1))) for piece in (bytes([byte]), 0.2)])
        driver.open(f"{dripping.address},{good.address}", timeout_ms=3000, attempt_timeout_ms=100)
        for _ in range(10):
            begin = time.monotonic()
            assert good.worker_of(driver.one()) == 2
            within(begin, 0.3, "a call beside a worker that drips")


# --- GOAWAY ---

@scenario("GOAWAY: nothing new on that connection, and no failed call")
def leave(new):
    with Server() as server, new() as driver:
        def script(request):
            data = [request.answer(server.mint(request.count))]
            if request.number == 4:
                request.connection.left = len(request.connection.requests)
                data = [hostile.goaway()] + data  # the answer still comes, and counts
            return data
        server.script = only_next(script)
        driver.open(server.address, timeout_ms=2000, attempt_timeout_ms=1000)
        ids = [driver.one() for _ in range(12)]
        assert ids == sorted(set(ids)), ids
        left = [each for each in server.connections if each.left is not None]
        assert left, "no connection was told to leave"
        for connection in left:
            late_ones = [each for each in connection.requests[connection.left:] if each.kind == NEXT]
            assert not late_ones, f"{len(late_ones)} requests after GOAWAY"
        assert len(server.connections) >= 2 and driver.stats()["goaways"] >= 1


@scenario("GOAWAY while nothing is asked")
def leave_idle(new):
    with Server() as server, new() as driver:
        driver.open(server.address, timeout_ms=2000, attempt_timeout_ms=1000)
        ids = [driver.one()]
        server.connections[0].say_goaway()
        time.sleep(0.7)  # the C library looks at connections that were left alone for half a second
        ids += [driver.one() for _ in range(3)]
        assert not [each for each in server.connections[0].requests[server.connections[0].left:] if each.kind == NEXT]
        server.connections[0].close()
        ids += [driver.one() for _ in range(3)]
        assert ids == sorted(set(ids))


@scenario("pushes of later versions")
def pushes(new):
    with Server() as server, new() as driver:
        server.script = only_next(lambda request: hostile.frame(0xC7, 3, 0, b"later") + request.answer(server.mint(request.count)) + hostile.frame(0xFF, 0, 9))
        driver.open(server.address)
        assert len({driver.one() for _ in range(5)}) == 5 and len(server.connections) <= 2


# --- statuses ---

ALONE = {hostile.BAD_REQUEST: "REFUSED", hostile.UNSUPPORTED: "REFUSED", hostile.TOO_LARGE: "REFUSED", hostile.NOT_READY: "NOT_READY",
         hostile.CLOCK: "CLOCK", hostile.OVERLOADED: "OVERLOADED", hostile.RATE_LIMITED: "RATE_LIMITED", hostile.DRAINING: "DRAINING",
         hostile.DENIED: "DENIED", hostile.CAUSALITY: "CAUSALITY", hostile.INTERNAL: "INTERNAL", hostile.NOT_FOUND: "INTERNAL",
         hostile.EXHAUSTED: "INTERNAL", 999: "INTERNAL", 65535: "INTERNAL"}
AT_ONCE = {hostile.BAD_REQUEST, hostile.UNSUPPORTED, hostile.TOO_LARGE, hostile.DENIED}
WAITS = {hostile.RATE_LIMITED, hostile.CAUSALITY}


@scenario("every status, from the only worker")
def statuses(new):
    with Server() as server, new() as driver:
        for status, name in ALONE.items():
            for retry_after_ms in (0, 50, 0xFFFFFFFF) if status <= hostile.INTERNAL else (50,):
                server.script = only_next(lambda request, s=status, r=retry_after_ms: request.error(s, r, "grün".encode()))
                limit_ms = new.ms(300)
                driver.open(server.address, timeout_ms=limit_ms, attempt_timeout_ms=2000)  # lateness is not what is looked at
                before = len(server.asked())
                begin = time.monotonic()
                detail = driver.fails(name)
                took = within(begin, limit_ms / 1e3, f"status {status}")
                if status in AT_ONCE or (status in WAITS and retry_after_ms > limit_ms):
                    assert took < 0.15 + SLACK_S and len(server.asked()) - before == 1, (status, took)
                else:
                    assert took >= limit_ms / 1e3 - 0.01 or status in WAITS, (status, took)
                assert len(server.asked()) - before <= limit_ms, (status, len(server.asked()) - before, "asked over and over")
                assert "grün" in detail or new.language == "c", detail
                driver.close()


@scenario("a status that has another worker asked")
def other_worker(new):
    for status in (hostile.NOT_READY, hostile.CLOCK, hostile.OVERLOADED, hostile.DRAINING, hostile.INTERNAL, 999):
        longest, bad, _, _ = pair(new, lambda request, s=status: request.error(s, 200), calls=12)
        assert longest < 0.3 + SLACK_S, (status, longest)
        assert len(bad.asked()) <= 8, (status, len(bad.asked()), "it is left alone")


@scenario("a quota's wait is kept, at the same worker or another")
def quota(new):
    for status in WAITS:
        with Server() as server, new() as driver:
            server.script = only_next(lambda request, s=status: request.error(s, 300) if len(server.asked()) == 1 else None)
            driver.open(server.address, timeout_ms=5000, attempt_timeout_ms=3000)
            begin = time.monotonic()
            driver.one()
            assert 0.29 <= within(begin, 0.35, "a wait of 0.3 s")
            assert len(server.asked()) == 2


@scenario("a malformed error")
def bad_error(new):
    pair(new, lambda request: request.answer(b"\0\0", hostile.NOT_READY), calls=4)


@scenario("the count is too large, and INFO comes later")
def too_large(new):
    with Server(max_batch=10) as server, new() as driver:
        server.script = lambda request: [0.1, request.answer(server.info())] if request.kind == INFO else None
        driver.open(server.address, timeout_ms=3000)
        ids = driver.next(35)
        assert len(set(ids)) == 35 and len(driver.next(200)) == 200


# --- who it is ---

@scenario("another fleet is never used")
def other_fleet(new):
    with Server(worker=1) as ours, Server(worker=2, fleet_id="11111111-0000-4000-8000-000000000000") as theirs, new() as driver:
        driver.open(f"{ours.address}", timeout_ms=new.ms(2000))
        driver.next()
        driver.close()
        driver.open(f"{ours.address},{theirs.address}", timeout_ms=new.ms(2000))
        workers = {ours.worker_of(driver.one()) for _ in range(40)}
        assert len(workers) == 1, "IDs of two fleets were handed out"
        driver.close()
    with Server() as server, new() as driver:  # the same address becomes another fleet's
        driver.open(server.address, timeout_ms=300)
        driver.next()
        server.fleet_id = "22222222-0000-4000-8000-000000000000"
        server.hang_up()
        time.sleep(0.05)
        driver.fails(("WRONG_FLEET", "PROTOCOL", "UNREACHABLE"))
        assert driver.stats()["wrong_fleet"] >= 1


@scenario("a worker that does not know its fleet yet")
def nameless(new):
    with Server() as server, new() as driver:
        server.fleet_id = None
        driver.open(server.address, timeout_ms=1500)
        threading.Timer(0.4, lambda: setattr(server, "fleet_id", hostile.FLEET)).start()
        begin = time.monotonic()
        driver.one()
        assert time.monotonic() - begin >= 0.35, "an ID of an unknown fleet was handed out"


@scenario("an INFO that is none")
def bad_info(new):
    for text in (b"", b"[]", b"{\"fleet_id\":\"x\"}", b"\xff\xfe", b"{\"fleet_id\":\"6f3f7a1e-0000-4000-8000-000000000000\",\"layout\":{\"timestamp\":64},\"epoch_ms\":0}"):
        with Server(worker=1) as bad, Server(worker=2) as good, new() as driver:
            bad.script = lambda request, text=text: request.answer(text) if request.kind == INFO else None
            driver.open(f"{bad.address},{good.address}", timeout_ms=new.ms(2000))
            assert {good.worker_of(driver.one()) for _ in range(6)} == {2}


@scenario("tokens")
def tokens(new):
    with Server(token=b"s3cret") as server, new() as driver:
        driver.open(server.address, token="s3cret")
        driver.next(3)
        driver.close()
        for options in ({}, {"token": "guessed"}):
            driver.open(server.address, timeout_ms=500, **options)
            driver.fails("DENIED")
            driver.close()


# --- deadlines, breakers, budgets ---

@scenario("nobody there: UNREACHABLE at the deadline, and served once somebody is")
def nobody(new):
    with Server() as server, new() as driver:
        server.close()
        driver.open(server.address, deadline_ms=400)
        begin = time.monotonic()
        driver.fails("UNREACHABLE")
        assert 0.39 <= within(begin, 0.4, "a deadline of 0.4 s")
        driver.close()
        driver.open(server.address, deadline_ms=5000)
        threading.Timer(0.5, server.listen).start()
        begin = time.monotonic()
        driver.one()
        within(begin, 0.8, "the first ID after the worker was back at 0.5 s")


@scenario("a worker that is not ready is asked now and then, and found when it is")
def not_ready(new):
    with Server() as server, new() as driver:
        server.script = only_next(lambda request: request.error(hostile.NOT_READY))
        driver.open(server.address, timeout_ms=1000)
        driver.fails("NOT_READY")
        assert len(server.asked()) <= 80, len(server.asked())
        server.script = lambda request: None
        begin = time.monotonic()
        driver.one()
        within(begin, 0.3, "an ID once the worker is ready")
    with Server(worker=1) as one, Server(worker=2) as other, new() as driver:  # a probe beside the calls
        one.script = only_next(lambda request: request.error(hostile.NOT_READY))
        driver.open(f"{one.address},{other.address}", timeout_ms=1000)
        for _ in range(20):
            driver.one()
        one.script = lambda request: None
        end = time.monotonic() + 5 + SLACK_S
        while other.worker_of(driver.one()) != 1:
            assert time.monotonic() < end, "the worker that is back is not used"
            time.sleep(0.01)


@scenario("idle connections that the server closed cost no call")
def idle(new):
    with Server() as server, new() as driver:
        driver.open(server.address, timeout_ms=2000)
        ids = []
        for _ in range(5):
            ids.append(driver.one())
            server.hang_up()
            time.sleep(0.03)
        assert len(set(ids)) == 5 and driver.stats()["calls_by_error"].get("OK") == 5


@scenario("connections lost under load")
def lost(new):
    with Server(worker=1) as one, Server(worker=2) as two, new() as driver:
        stop = threading.Event()

        def cut_now_and_then():
            while not stop.wait(0.1):
                one.hang_up()
        thread = threading.Thread(target=cut_now_and_then)
        driver.open(f"{one.address},{two.address}", timeout_ms=5000)
        thread.start()
        try:
            told = driver.load(1.5, callers=4)
        finally:
            stop.set()
            thread.join()
        assert told["failed"] == 0 and told["order_errors"] == 0 and told["calls"] > 100, told


@scenario("retries are few when a fleet is in trouble")
def budget(new):
    servers = [Server(worker=n) for n in (1, 2, 3)]
    try:
        for server in servers:
            server.script = only_next(lambda request: request.error(hostile.OVERLOADED, 20))
        with new() as driver:
            driver.open(",".join(each.address for each in servers), timeout_ms=400, retry_budget_max=10)
            told = driver.load(2, callers=8)
            assert told["failed"] == told["calls"] > 0
            sent = sum(len(each.asked()) for each in servers)
            assert sent <= 8 * 2 * 1000 / 20 * 3, (sent, told)
    finally:
        for server in servers:
            server.close()


# --- order on purpose, prefetch, discovery, coalescing ---

@scenario("after, and causal")
def after(new):
    with Server(worker=9) as server, Server(worker=1) as other, new() as driver:
        driver.open(server.address)
        mark = driver.one() + (5000 << 22)
        ids = driver.next(3, after=str(mark))
        assert min(ids) > mark and server.asked()[-1].after == mark
        assert driver.next(after="0")[0] > 0 and server.asked()[-1].after == 0
        driver.close()
        driver.open(f"{server.address},{other.address}", causal=True)
        seen = 0
        for _ in range(20):
            each = driver.next(2)
            assert min(each) > seen, "an ID before one that was handed out"
            seen = max(each)
        asked = [each.after for each in server.asked() + other.asked() if each.after is not None]
        assert len(asked) >= 15
        told = driver.load(calls=200, callers=4)
        assert told["failed"] == 0 and told["order_errors"] == 0


@scenario("after: an answer that is not greater as a number is refused, and said")
def after_as_a_number(new):
    """The next sequence of the same millisecond, of a slot with a lower number: later, but smaller."""
    with Server(worker=1) as server, new() as driver:
        driver.open(server.address)
        mark = driver.one() + (7 << 22) | 9 << 12
        for low in (mark & ~0x3FF000, mark):
            server.script = only_next(lambda request, low=low: request.ids((low, request.count)))
            asked = len(server.asked())
            detail = driver.fails("ORDER", after=str(mark))
            assert str(low) in detail and f"not above ID {mark}" in detail, detail
            assert len(server.asked()) == asked + 1, "it was asked again"
        server.script = only_next(lambda request: None)
        assert driver.one(after=str(mark)) > mark
        assert driver.stats()["order_errors"] == 2


@scenario("prefetch: few requests, and nothing older than allowed")
def prefetch(new):
    with Server() as server, new() as driver:
        driver.open(server.address, prefetch=100, prefetch_max_age_ms=60000)
        ids = [driver.one() for _ in range(250)]
        assert ids == sorted(set(ids)) and [each.count for each in server.asked()] == [100] * 3, [each.count for each in server.asked()]
        stats = driver.stats()
        assert stats["prefetch_hits"] == 247 and stats["prefetch_fills"] == 3, stats
        driver.close()
        driver.open(server.address, prefetch=100, prefetch_max_age_ms=100)
        driver.one()
        old = server.word
        time.sleep(0.25)
        fresh = driver.one()
        assert (fresh >> 22 << 12 | fresh & 4095) >= old and driver.stats()["prefetch_expired"] == 99
        told = driver.load(calls=2000, callers=4)
        assert told["failed"] == 0 and told["ids"] == 2000


@scenario("discovery")
def discover(new):
    with Server(worker=1) as one, Server(worker=2) as two, Server(worker=3, fleet_id="33333333-0000-4000-8000-000000000000") as other, \
            new() as driver:
        one.workers = [one.address, two.address, other.address, "127.0.0.1:1"]
        two.workers = one.workers
        driver.open(one.address)
        assert {one.worker_of(driver.one()) for _ in range(20)} == {1} and not two.requests
        driver.close()
        driver.open(one.address, discover=True, timeout_ms=3000)
        end = time.monotonic() + 10
        seen = set()
        while seen != {1, 2}:
            seen.add(one.worker_of(driver.one()))
            assert 3 not in seen and time.monotonic() < end, seen
            time.sleep(0.01)
        stats = driver.stats()
        assert stats["servers_discovered"] >= 1 and stats["discoveries"] >= 1, stats
        one.close()  # the one that `servers` names: the other goes on
        for _ in range(20):
            assert one.worker_of(driver.one()) == 2


@scenario("coalescing: callers that wait together share a request",
          lacking={"c": "each blocking call has a connection of its own, and pipelining serves event loops"})
def coalesce(new):
    with Server() as server, new() as driver:
        server.script = only_next(lambda request: [0.005, request.answer(server.mint(request.count))])
        driver.open(server.address, timeout_ms=10000, attempt_timeout_ms=2000)
        told = driver.load(calls=2000, callers=64)
        assert told["failed"] == 0 and told["ids"] == 2000
        frames = len(server.asked())
        assert frames <= 1000, f"{frames} requests for 2000 calls of 64 callers"
        assert len(server.connections) <= 3, len(server.connections)
