"""Every kind of fault of the random mix. A kind is a generator: it draws what it needs from `rng` first, injects, yields how long to
leave the fault in place (it may yield several times), and heals. What it does is told through `say(text, nodes)`; nodes are the
workers that cannot be expected to serve meanwhile.

LANES: kinds of one lane never overlap, kinds of different lanes do.
REMAKES: kinds that take the coordinator's own data, or the fleet made there, away from under it. Only with --remake, or by name.
"""
import contextlib
import os
import random
import signal
import socket
import threading
import time

WORKERS, COORDINATOR, EDGE = {}, {}, {}
LANES = {"workers": WORKERS, "coordinator": COORDINATOR, "edge": EDGE}
REMAKES = set()


def kind(lane, remakes=False):
    def add(function):
        lane[function.__name__] = function
        if remakes:
            REMAKES.add(function.__name__)
        return function
    return add


# --- workers ---

@kind(WORKERS)
def kill(field, rng, say):
    node, pause = rng.choice(field.base), rng.choice([0, 0.2, 2])
    say(f"{node.name} SIGKILL, restart after {pause} s", [node])
    node.kill()
    yield pause
    node.start()
    node.wait_ready(field.window_s() + 20)


@kind(WORKERS)
def kill_all_of_one_kind(field, rng, say):
    nodes = rng.sample(field.base, max(1, len(field.base) // 2))
    say(f"{', '.join(n.name for n in nodes)} SIGKILL at once", nodes)
    for node in nodes:
        node.kill()
    yield 0.5
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready(field.window_s() + 20)


@kind(WORKERS)
def pause_short(field, rng, say):
    node, pause = rng.choice(field.base), rng.uniform(0.05, 2)
    say(f"{node.name} SIGSTOP {pause:.2f} s", [node])
    node.signal(signal.SIGSTOP)
    yield pause
    node.signal(signal.SIGCONT)


@kind(WORKERS)
def pause_past_expiry(field, rng, say):
    node, pause = rng.choice(field.base), rng.uniform(4, 8)
    say(f"{node.name} SIGSTOP {pause:.1f} s, past its session", [node])
    node.signal(signal.SIGSTOP)
    yield pause
    node.signal(signal.SIGCONT)


@kind(WORKERS)
def pause_past_window(field, rng, say):
    node, pause = rng.choice(field.base), field.window_s() + rng.uniform(1, 4)
    say(f"{node.name} SIGSTOP {pause:.1f} s, past its window", [node])
    node.signal(signal.SIGSTOP)
    yield pause
    node.signal(signal.SIGCONT)
    node.wait_ready(field.window_s() + 10)


@kind(WORKERS)
def term(field, rng, say):
    node, pause = rng.choice(field.base), rng.choice([0, 1, 3])
    say(f"{node.name} SIGTERM, restart after {pause} s", [node])
    code = node.term()
    say(f"exit {code}")
    yield pause
    node.start()
    node.wait_ready(field.window_s() + 20)


@kind(WORKERS)
def rolling_restart(field, rng, say):
    say("every worker SIGTERM and restart in turn", [])
    nodes = list(field.base)
    rng.shuffle(nodes)
    for node in nodes:
        code = node.term()
        say(f"{node.name} exit {code}")
        node.start()
        node.wait_ready(field.window_s() + 20)
        yield 0.2


def _term_all(nodes):
    threads = [threading.Thread(target=node.term) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@kind(WORKERS)
def scale(field, rng, say):
    some = field.base[3:] + field.spare
    say(f"3 workers, then {3 + len(some)}, then 3", some)
    _term_all(field.base[3:])
    yield rng.uniform(1, 3)
    for node in some:
        node.start()
    yield rng.uniform(4, 8)
    _term_all(some)
    yield rng.uniform(1, 3)
    for node in field.base[3:]:
        node.start()
    for node in field.base[3:]:
        node.wait_ready(field.window_s() + 20)


@kind(WORKERS)
def partition_from_coordinator(field, rng, say):
    node, pause = rng.choice(field.base), rng.choice([1, 5, field.window_s() + 3])
    say(f"{node.name} cut off from the coordinator for {pause} s", [node] if pause > field.window_s() - 8 else [])
    node.cut_off_from_coordinator()
    yield pause
    node.heal()
    node.wait_ready(field.window_s() + 10)


@kind(WORKERS)
def partition_answers_lost(field, rng, say):
    node, pause = rng.choice(field.base), rng.choice([2, 6, field.window_s() + 3])
    say(f"{node.name}: the coordinator's answers are lost for {pause} s", [node] if pause > field.window_s() - 8 else [])
    node.nft([("input", f"tcp sport {{ {field.coordinator.ports()} }} drop")])
    yield pause
    node.heal()
    node.wait_ready(field.window_s() + 10)


@kind(WORKERS)
def partition_from_all(field, rng, say):
    node, pause = rng.choice(field.base), rng.uniform(1, 8)
    say(f"{node.name} cut off from everybody for {pause:.1f} s", [node])
    node.nft([("input", "iif eth0 drop"), ("output", "oif eth0 drop")])
    yield pause
    node.heal()
    node.wait_ready(field.window_s() + 10)


@kind(WORKERS)
def partition_answers_to_clients_lost(field, rng, say):
    node, pause = rng.choice(field.base), rng.uniform(1, 5)
    say(f"{node.name}: its answers to clients are lost for {pause:.1f} s", [node])
    node.nft([("output", "tcp sport 7450 drop")])
    yield pause
    node.heal()


@kind(WORKERS)
def packet_loss(field, rng, say):
    node, percent, pause = rng.choice(field.base), rng.choice([2, 10, 30]), rng.uniform(2, 6)
    say(f"{node.name} loses {percent} % of packets for {pause:.1f} s", [node])
    rule = f"numgen random mod 100 < {percent} drop"
    node.nft([("input", rule), ("output", rule)])
    yield pause
    node.heal()


@kind(WORKERS)
def lose_datacenter(field, rng, say):
    if field.datacenters < 2:
        return
    datacenter, pause = rng.randrange(2), rng.uniform(3, 8)
    nodes = [n for n in field.base if n.datacenter == datacenter]
    say(f"datacenter {datacenter} is gone for {pause:.1f} s", nodes)
    for node in nodes:
        node.nft([("input", "iif eth0 drop"), ("output", "oif eth0 drop")])
    yield pause
    for node in nodes:
        node.heal()
    for node in nodes:
        node.wait_ready(field.window_s() + 10)


def _fake(field, rng):
    return rng.choice([n for n in field.base if n.fake_clock])


@kind(WORKERS)
def clock_forward(field, rng, say):
    node, step, pause = _fake(field, rng), rng.choice([0.05, 0.3, 0.9, 5, 3600]), rng.uniform(2, 6)
    say(f"{node.name} clock +{step} s for {pause:.1f} s", [node])
    node.clock(step)
    yield pause
    node.clock(0)
    node.wait_ready(30)


@kind(WORKERS)
def clock_backward(field, rng, say):
    node, step, pause = _fake(field, rng), rng.choice([0.05, 0.3, 0.9, 5, 3600]), rng.uniform(2, 6)
    say(f"{node.name} clock -{step} s for {pause:.1f} s", [node])
    node.clock(-step)
    yield pause
    node.clock(0)
    node.wait_ready(30)


@kind(WORKERS)
def clock_drift(field, rng, say):
    node, rate, steps = _fake(field, rng), rng.choice([-0.05, -0.01, 0.01, 0.05]), rng.randrange(20, 60)
    say(f"{node.name} clock drifts {rate * 100:+.0f} % for {steps / 10} s", [node])
    for i in range(steps):
        node.clock(rate * i / 10)
        yield 0.1
    node.clock(0)
    node.wait_ready(30)


@kind(WORKERS)
def clock_wrong_at_restart(field, rng, say):
    node, step = _fake(field, rng), rng.choice([-3600, -5, -0.5, 0.5, 5])
    say(f"{node.name} SIGKILL, restart with its clock {step:+} s", [node])
    node.kill()
    node.clock(step)
    yield 0.2
    node.start()
    yield 4
    node.clock(0)
    node.wait_ready(field.window_s() + 20)


@kind(WORKERS)
def late_clock_takes_over(field, rng, say):
    """A worker whose clock is behind waits, or claims, while another gives its slot back: it must begin above the other's last ID."""
    late, behind = _fake(field, rng), rng.uniform(0.5, 0.9)
    other = rng.choice([n for n in field.base if n is not late])
    say(f"{late.name} restarts with its clock -{behind:.2f} s, then {other.name} gives its slot back", [late, other])
    late.kill()
    late.clock(-behind)
    other.wait_ready(field.window_s() + 20)
    late.start()
    yield 2
    code = other.term()
    say(f"exit {code}")
    late.wait_ready(field.window_s() + 20)
    yield 1
    late.clock(0)
    other.start()
    if len(field.base) > 2:
        other.wait_ready(field.window_s() + 20)


@kind(WORKERS)
def state_disk_full(field, rng, say):
    node = rng.choice(field.base)
    say(f"{node.name}: state directory full, SIGKILL, restart", [node])
    node.kill()
    if rng.random() < 0.5:
        for path in node.state.iterdir():
            path.unlink()
    try:
        with open(node.state / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
    except OSError:
        pass
    node.start()
    node.wait_ready(field.window_s() + 20)
    yield 1
    (node.state / "filler").unlink()


@kind(WORKERS)
def state_file_stale(field, rng, say):
    node, pause = rng.choice(field.base), rng.uniform(0.5, 6)
    say(f"{node.name}: an old copy of its state file put back over the same file", [node])
    saved = {path: path.read_bytes() for path in node.state.iterdir() if path.is_file()}
    yield pause
    node.kill()
    for path, content in saved.items():
        with open(path, "r+b" if path.exists() else "wb") as file:
            file.write(content)
    node.start()
    node.wait_ready(field.window_s() + 20)


@kind(WORKERS, remakes=True)
def state_file_overwritten(field, rng, say):
    """Again and again, with what was there a moment before, while its worker mints."""
    node, times, pause = rng.choice(field.base), rng.randrange(50, 400), rng.choice([0, 0.001, 0.02])
    say(f"{node.name}: its state file overwritten {times} times with what it was {pause} s before", [])
    for _ in range(times):
        for path in node.state.iterdir():
            content = path.read_bytes()
            time.sleep(pause)
            with open(path, "r+b") as file:
                file.write(content)
        time.sleep(0.005)
    yield 0.5
    if rng.random() < 0.5:
        say("SIGKILL, restart", [node])
        node.kill()
        node.start()
        node.wait_ready(field.window_s() + 20)


# --- coordinator ---

def _heal_member(field, member):
    field.coordinator.start(member)
    field.coordinator.wait_ready()


@kind(COORDINATOR)
def coordinator_kill(field, rng, say):
    member, pause = rng.randrange(3), rng.uniform(0.5, 5)
    say(f"member {member} SIGKILL for {pause:.1f} s")
    field.coordinator.kill(member)
    yield pause
    _heal_member(field, member)


@kind(COORDINATOR)
def coordinator_pause(field, rng, say):
    member, pause = rng.randrange(3), rng.uniform(0.5, 6)
    say(f"member {member} SIGSTOP for {pause:.1f} s")
    field.coordinator.pause(member)
    yield pause
    field.coordinator.go_on(member)
    field.coordinator.wait_ready()


@kind(COORDINATOR)
def leader_kill(field, rng, say):
    pause = rng.uniform(0.5, 4)
    member = field.coordinator.leader()
    say(f"leader (member {member}) SIGKILL for {pause:.1f} s")
    field.coordinator.kill(member)
    yield pause
    _heal_member(field, member)


@kind(COORDINATOR)
def leader_pause(field, rng, say):
    pause = rng.uniform(1, 8)
    member = field.coordinator.leader()
    say(f"leader (member {member}) SIGSTOP for {pause:.1f} s")
    field.coordinator.pause(member)
    yield pause
    field.coordinator.go_on(member)
    field.coordinator.wait_ready()


def _down(field, pause, say):
    long = pause > field.window_s() - 8
    say(f"every member SIGKILL for {pause:.1f} s", field.nodes if long else [])
    for member in range(3):
        field.coordinator.kill(member)
    yield pause
    for member in range(3):
        field.coordinator.start(member)
    field.coordinator.wait_ready()
    if long:
        for node in field.base:
            if node.wanted:
                node.wait_ready(20)


@kind(COORDINATOR)
def coordinator_down(field, rng, say):
    yield from _down(field, rng.uniform(1, 8), say)


@kind(COORDINATOR)
def coordinator_down_past_window(field, rng, say):
    yield from _down(field, field.window_s() + rng.uniform(1, 5), say)


@kind(COORDINATOR)
def sessions_expire(field, rng, say):
    say("every session or lease ended from outside")
    say(f"{field.coordinator.expire_all()} ended")
    yield 1


def _proxied(mode, field, rng, pause, say, what):
    proxies = list(field.coordinator.proxies) if rng.random() < 0.5 else rng.sample(list(field.coordinator.proxies), 1)
    delay = rng.choice([0.02, 0.2, 1.0])
    say(f"{what.format(delay=delay)} ({len(proxies)} of 3 members) for {pause:.1f} s")
    for proxy in proxies:
        proxy.delay_s = delay
        proxy.mode = mode
    yield pause
    for proxy in proxies:
        proxy.mode = "pass"


@kind(COORDINATOR)
def coordinator_slow(field, rng, say):
    yield from _proxied("delay", field, rng, rng.uniform(2, 8), say, "each message {delay} s late")


@kind(COORDINATOR)
def coordinator_answers_held(field, rng, say):
    yield from _proxied("noreply", field, rng, rng.uniform(1, 7), say, "answers held back")


@kind(COORDINATOR)
def coordinator_silent(field, rng, say):
    yield from _proxied("hole", field, rng, rng.uniform(1, 7), say, "nothing goes either way, then all of it at once")


@kind(COORDINATOR)
def coordinator_resets(field, rng, say):
    yield from _proxied("reset", field, rng, rng.uniform(0.2, 3), say, "connections reset")


@kind(COORDINATOR, remakes=True)
def writes_delivered_twice(field, rng, say):
    proxies = list(field.coordinator.proxies) if rng.random() < 0.5 else rng.sample(list(field.coordinator.proxies), 1)
    pause = rng.uniform(2, 8)
    say(f"every write delivered twice, the second answer handed on ({len(proxies)} of 3 members) for {pause:.1f} s")
    before = sum(proxy.count for proxy in proxies)
    for proxy in proxies:
        proxy.twice = True
    yield pause
    for proxy in proxies:
        proxy.twice = False
    say(f"{sum(proxy.count for proxy in proxies) - before} of them")


def _made_again(field, say):
    """Everybody mints again, above the new floor."""
    for node in field.base:
        if node.wanted:
            node.wait_ready(field.window_s() + 30)
    say(f"floor {field.config()['floor_ms']}")


@kind(COORDINATOR, remakes=True)
def coordinator_wiped_and_made_anew(field, rng, say):
    node, pause = rng.choice(field.base), rng.choice([0, 3, field.window_s() / 2])
    with field.no_other_fault_of_workers:
        say(f"all data wiped while {node.name} is cut off; made anew as after a loss of data, {node.name} hears of it {pause} s later", field.nodes)
        node.cut_off_from_coordinator()
        field.coordinator.wipe()
        field.after_data_loss()
        yield pause
        node.heal()
        _made_again(field, say)


@kind(COORDINATOR, remakes=True)
def coordinator_put_back(field, rng, say):
    """Nobody claims in between, because nobody is without a slot: so whoever notices reads before anything is granted twice."""
    age = rng.uniform(1, 8)
    with field.no_other_fault_of_workers, field.copy_of_the_coordinator() as restore:
        copied = field.records()
        yield age
        lost = field.records() != copied
        say(f"all members put back from a copy that is {age:.1f} s old", field.nodes)
        begun = time.time()
        restore()
        end = time.monotonic() + 20
        while time.monotonic() < end and not any(node.halted_since(begun) for node in field.base):
            yield 0.1
        noticed = [node.name for node in field.base if node.halted_since(begun)]
        say(f"{', '.join(noticed) or 'nobody'} noticed")
        if not noticed and not lost:
            say("nothing was written in between")
            return
        field.after_data_loss()
        _made_again(field, say)


@kind(COORDINATOR, remakes=True)
def init_on_a_host_with_a_wrong_clock(field, rng, say):
    node, offset = rng.choice(field.base), rng.choice([-1200, -20, 20, 1200])
    with field.no_other_fault_of_workers:
        say(f"all data wiped while {node.name} is cut off; made anew on a host whose clock is {offset:+} s off", field.nodes)
        node.cut_off_from_coordinator()
        field.coordinator.wipe()
        code = field.after_data_loss(clock_s=offset)
        say(f"exit {code}")
        if code != 0:
            field.after_data_loss()
        yield field.window_s() / 2
        node.heal()
        _made_again(field, say)


# --- edge: what clients do ---

def _dial(node):
    s = socket.socket()
    s.settimeout(0.3)
    s.connect((node.ip, 7450))
    return s


def _dial_many(node, count, first=b""):
    sockets = []
    for _ in range(count):
        try:
            s = _dial(node)
            sockets.append(s)
            s.sendall(first)
        except OSError:
            pass
    return sockets


def _close(sockets):
    for s in sockets:
        s.close()


@kind(EDGE)
def connection_flood(field, rng, say):
    node, count = rng.choice(field.base), rng.choice([200, 600])
    say(f"{node.name}: {count} connections at once")
    sockets = _dial_many(node, count)
    say(f"{len(sockets)} made")
    yield rng.uniform(0.5, 3)
    _close(sockets)


@kind(EDGE)
def garbage_clients(field, rng, say):
    node, seed = rng.choice(field.base), rng.randrange(1 << 30)
    noise = random.Random(seed)
    say(f"{node.name}: 40 clients that talk garbage")
    heads = [b"", b"\0\0\0\x0c\x01\x01", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x07", b"\0\0\xff\xff\x01\x01\0\0"]
    for _ in range(40):
        _close(_dial_many(node, 1, noise.choice(heads) + noise.randbytes(noise.randrange(1, 4000))))
    yield 0.5


@kind(EDGE)
def half_frames(field, rng, say):
    node, size, pause = rng.choice(field.base), rng.randrange(1, 16), rng.uniform(1, 5)
    say(f"{node.name}: 50 clients send {size} bytes of a frame and wait")
    sockets = _dial_many(node, 50, b"\0\0\0\x0c\x01\x01\0\0\0\0\0\x01\0\0\0\x01"[:size])
    yield pause
    _close(sockets)


@kind(EDGE)
def slow_readers(field, rng, say):
    node, pause = rng.choice(field.base), rng.uniform(2, 5)
    request = b"".join(b"\0\0\0\x0c\x01\x01\0\0" + i.to_bytes(4, "big") + (1000).to_bytes(4, "big") for i in range(500))
    say(f"{node.name}: 10 clients ask 500 times and never read")
    sockets = _dial_many(node, 10, request)
    yield pause
    _close(sockets)


@kind(EDGE)
def half_open_peers(field, rng, say):
    """The peer goes away without a word: an address that exists for a moment only."""
    node, address = rng.choice(field.base), "10.77.0.250"
    say(f"{node.name}: 30 peers that vanish without closing")
    os.system(f"ip address add {address}/24 dev br0")
    sockets = []
    for _ in range(30):
        s = socket.socket()
        s.settimeout(0.3)
        try:
            s.bind((address, 0))
            s.connect((node.ip, 7450))
            sockets.append(s)
        except OSError:
            s.close()
    os.system(f"ip address del {address}/24 dev br0")
    yield rng.uniform(1, 4)
    _close(sockets)


class Lane(threading.Thread):
    """Injects the kinds of one lane one after another until the run ends: each once in a random order, then anew."""

    def __init__(self, field, name, seed, quiet_s, only=None, remake=False):
        super().__init__(daemon=True)
        self.field, self.name_, self.seed, self.quiet_s = field, name, seed, quiet_s
        self.kinds = [k for k in LANES[name] if (k in only if only is not None else remake or k not in REMAKES)]
        self.records = []
        self.problems = []

    def possible(self, kind_):
        field = self.field
        if kind_.startswith(("clock_", "late_clock")):
            return any(n.fake_clock for n in field.base)
        if kind_.startswith("partition_from_coordinator") or kind_ == "partition_answers_lost" or self.name_ == "coordinator":
            return field.coordinator.members > 0
        if kind_ == "scale":
            return bool(field.spare)
        return kind_ != "lose_datacenter" or field.datacenters > 1

    def run(self):
        order, number, deck = random.Random(f"{self.seed} {self.name_}"), 0, []
        kinds = [k for k in self.kinds if self.possible(k)]
        while kinds and self.field.sleep(order.uniform(0.5, 1.5) * self.quiet_s):
            if not deck:
                deck = list(kinds)
                order.shuffle(deck)
            self.inject(deck.pop(), random.Random(f"{self.seed} {self.name_} {number}"))
            number += 1

    def inject(self, kind_, rng):
        record = {"lane": self.name_, "kind": kind_, "from": time.time(), "what": [], "nodes": []}
        self.records.append(record)

        def say(text, nodes=()):
            record["what"].append(text)
            record["nodes"] += [n.index for n in nodes]
        try:
            with self.field.no_other_fault_of_workers if self.name_ == "workers" else contextlib.nullcontext():
                for seconds in LANES[self.name_][kind_](self.field, rng, say):
                    self.field.sleep(seconds)
        except Exception as error:  # the run goes on, and fails at its end
            self.problems.append(f"{kind_}: {error!r}")
        record["to"] = time.time()
        print(f"  {record['lane']:<12}{kind_:<34}{record['to'] - record['from']:6.1f} s  {'; '.join(record['what'])}", flush=True)
