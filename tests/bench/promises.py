"""Measures what Snowfleet promises about speed, memory and overload, and says PASS or FAIL for each."""
import json
import signal
import socket
import statistics
import subprocess
import threading
import time

from benchlib import Worker, ask, http, median, median_ratio

MIB = 1 << 20


class Report:
    def __init__(self):
        self.lines = []

    def check(self, name, passed, figures, needs):
        self.lines.append({"promise": name, "needs": needs, "measured": figures, "passed": bool(passed)})
        print(f"{'PASS' if passed else 'FAIL'}  {name}: {figures} (needs {needs})", flush=True)


def mint(bench, report, _):
    rows = []
    for _ in range(2 * bench.rounds + 1):
        run = subprocess.run([bench.tools / "bench_generator", "--ids", "20000000", "--json"], stdout=subprocess.PIPE, check=True)
        rows.append(json.loads(run.stdout))
    one, four = median(rows, "one_thread_ns"), median(rows, "four_threads_ns")
    report.check("one mint call on one thread, clock read included", one <= 40, f"{one:.1f} ns", "at most 40 ns")
    ratio = statistics.median(row["four_threads_ns"] / row["one_thread_ns"] for row in rows)
    report.check("four threads on one slot, time a mint against one thread", ratio <= 1.1, f"{four:.1f} ns, {ratio:.2f} times",
                 "at most 1.0 times, and 10 % for noise")


def throughput(bench, report, _):
    one, several, echo, redis = bench.worker(), bench.worker("--fleet-slots-per-worker", "3"), bench.echo(2), bench.redis()
    kept = {fsync: bench.redis(fsync) for fsync in ("everysec", "always")}
    rows = {name: [] for name in ("one", "several", "echo", "redis", "redis driven alike", *kept)}
    for _ in range(bench.rounds):
        rows["one"].append(bench.load(one, 8, 64, threads=2))
        rows["redis"].append(bench.incr(redis, 8, 64))
        for fsync, server in kept.items():
            rows[fsync].append(bench.incr(server, 8, 64))
        rows["redis driven alike"].append(bench.load(redis, 8, 64, threads=2, redis=True))
        rows["several"].append(bench.load(several, 8, 64, threads=2))
        rows["echo"].append(bench.load(echo, 8, 64, threads=2))
    bench.end(one, several, echo, redis, *kept.values())
    rate = {name: median(of, "requests_per_s") / 1e6 for name, of in rows.items()}
    report.check("one-ID requests, 8 connections x 64 deep, one slot", rate["one"] >= 4.0, f"{rate['one']:.2f} M/s", "at least 4.0 M/s")
    # A counter in memory begins anew with every restart, and gives every ID twice.
    for fsync, text in (("everysec", "which repeats a second's IDs when its machine crashes"), ("always", "which repeats none")):
        ratio = median_ratio(rows["one"], rows[fsync], "requests_per_s")
        report.check(f"the same against Redis INCR with appendfsync {fsync}, {text} (redis-benchmark, 8 x 64)", ratio >= 2.5,
                     f"{ratio:.2f} times ({rate[fsync]:.2f} M/s)", "at least 2.5 times")
    ratio = median_ratio(rows["one"], rows["redis"], "requests_per_s")
    alike = median_ratio(rows["one"], rows["redis driven alike"], "requests_per_s")
    # redis-benchmark is the yardstick; the other figure says how much of the ratio is the load program's.
    report.check("the same against Redis INCR in memory only, which repeats all of them after a restart (redis-benchmark, 8 x 64)", ratio >= 2.5,
                 f"{ratio:.2f} times ({rate['redis']:.2f} M/s; one slot holds 4.096 M/s); {alike:.2f} times Redis driven by bench_load "
                 f"({rate['redis driven alike']:.2f} M/s)", "at least 2.5 times")
    ratio = median_ratio(rows["several"], rows["redis"], "requests_per_s")
    alike = median_ratio(rows["several"], rows["redis driven alike"], "requests_per_s")
    report.check("three slots against Redis INCR in memory only", ratio >= 2.5, f"{ratio:.2f} times; {alike:.2f} times Redis driven by bench_load",
                 "at least 2.5 times")
    ratio = median_ratio(rows["several"], rows["echo"], "requests_per_s")
    report.check("three slots against the echo server", ratio >= 0.85, f"{ratio:.2f} ({rate['several']:.2f} of {rate['echo']:.2f} M/s)",
                 "at least 0.85")


def one_at_a_time(bench, report, _):
    worker, echo = bench.worker(), bench.echo(2)
    rows, echoes = [], []
    for _ in range(2 * bench.rounds + 1):
        echoes.append(bench.load(echo, 1, 1))
        rows.append(bench.load(worker, 1, 1))
    bench.end(worker, echo)
    for name, most in (("p50", 1.10), ("p99", 1.25)):
        ratio = median_ratio(rows, echoes, "latency_us", name)
        report.check(f"one request at a time, {name} against the echo server", ratio <= most,
                     f"{ratio:.3f} ({median(rows, 'latency_us', name):.1f} and {median(echoes, 'latency_us', name):.1f} us)",
                     f"at most {most:.2f}")


def batches(bench, report, _):
    worker = bench.worker()
    # Warm: what may run ahead is used up, so that no round begins with more than a second's worth.
    rows = [bench.load(worker, 4, 4, batch=4096, warmup=1) for _ in range(bench.rounds)]
    bench.end(worker)
    rate, share = median(rows, "ids_per_s") / 1e6, median(rows, "core_percent")
    report.check("batches of 4,096", rate >= 4.09 and share <= 3, f"{rate:.3f} M IDs/s at {share:.1f} % of a core",
                 "4.09 M IDs/s at no more than 3 % of a core")


def idle_connections(bench, report, quick):
    count = 1000 if quick else 8000
    worker, before, during, each = bench.worker(), [], [], 0
    for _ in range(bench.rounds):
        before.append(bench.load(worker, 8, 1))
        rss = worker.rss()
        idle = [socket.create_connection(("127.0.0.1", worker.port)) for _ in range(count)]
        time.sleep(0.5)
        each = max(each, (worker.rss() - rss) / count)  # the first round's: later ones find the memory there
        during.append(bench.load(worker, 8, 1))
        for s in idle:
            s.close()
        time.sleep(0.5)
    bench.end(worker)
    report.check(f"{count} idle connections, memory each", each < 4096, f"{each:.0f} bytes", "under 4,096 bytes")
    alone, beside = median(before, "latency_us", "p99"), median(during, "latency_us", "p99")
    report.check("p99 of active connections beside them", beside <= 2 * alone, f"{beside:.1f} us, alone {alone:.1f} us", "at most twice")


class Watch(threading.Thread):
    """Looks at a worker five times a second: /livez and memory."""

    def __init__(self, worker):
        super().__init__(daemon=True)
        self.worker, self.memory, self.lives, self.over = worker, [], [], threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            self.lives.append(http(self.worker.admin, "/livez")[0])
            self.memory.append(self.worker.rss())


def overload(bench, report, quick):
    batch, seconds, worker = 100, 4 if quick else 10, bench.worker()
    peak = median([bench.load(worker, 64, 16, batch=batch) for _ in range(bench.rounds)], "ids_per_s")
    watch = Watch(worker)
    watch.start()
    run = bench.load(worker, 64, 65536, batch=batch, rate=int(10 * 4096000 / batch), seconds=seconds, warmup=2)
    ended = time.monotonic()
    watch.over.set()
    while True:
        began = time.monotonic()
        status, _ = ask(worker.port)
        if status == 0 and time.monotonic() - began < 0.02:
            break
        if time.monotonic() - ended > 30:
            break
    recovery = time.monotonic() - ended
    watch.join()
    bench.end(worker)
    refused = run["errors"] / seconds * batch / 1e6
    ratio = run["ids_per_s"] / peak
    report.check("ten times the demand: served rate against the peak", ratio >= 0.95,
                 f"{ratio:.3f} ({run['ids_per_s'] / 1e6:.2f} of {peak / 1e6:.2f} M IDs/s; {refused:.0f} M IDs/s refused)", "at least 0.95")
    p99, worst = run["latency_us"]["p99"] / 1000, run["latency_us"]["max"] / 1000
    report.check("... latency of what was accepted", worst <= 2000, f"p99 {p99:.0f} ms, most {worst:.0f} ms, from when it was due",
                 "mint.max_wait_ms is 1,000; at most twice that")
    half = len(watch.memory) // 2
    early, late = max(watch.memory[:half]) / MIB, max(watch.memory[half:]) / MIB
    report.check("... memory flat", late <= early * 1.05, f"{early:.1f} MiB at most in the first half, {late:.1f} in the second",
                 "no more than 5 % growth")
    report.check("... /livez", set(watch.lives) == {200}, f"{len(watch.lives)} times asked, {watch.lives.count(200)} times 200", "200 always")
    report.check("... recovery", recovery <= 1, f"{recovery * 1000:.0f} ms", "within 1 s of the load's end")


def restart(bench, report, _):
    fleet, times, last = bench.fleet(), [], 0
    rounds, above = 3 * bench.rounds, True
    for _ in range(rounds):
        worker = bench.worker("--fleet-node", "restarted", fleet=fleet)
        last = ask(worker.port, 1000)[1] + 999
        worker.child.send_signal(signal.SIGKILL)
        began = time.monotonic()
        worker.child.wait()
        bench.processes.remove(worker)
        worker.log.close()
        again = bench.started(Worker(bench, fleet, ("--fleet-node", "restarted"), wait=False, ports=(worker.port, worker.admin)))
        while True:
            try:
                status, first = ask(again.port)
                if status == 0:
                    break
            except OSError:
                pass
            if time.monotonic() - began > 30:
                raise SystemExit("bench: the worker did not come back")
            time.sleep(0.001)
        times.append((time.monotonic() - began) * 1000)
        above = above and first > last
        bench.end(again)
    middle, worst = statistics.median(times), max(times)
    report.check("kill -9 to the first ID of the next process", worst < 200 and above,
                 f"median {middle:.0f} ms, most {worst:.0f} ms of {rounds}; first ID {'above' if above else 'NOT ABOVE'} the last",
                 "under 200 ms, above the last ID")


def idle_memory(bench, report, _):
    sizes = []
    for _ in range(max(3, bench.rounds)):
        worker = bench.worker()
        time.sleep(1)
        sizes.append(worker.rss() / MIB)
        bench.end(worker)
    report.check("resident memory of an idle worker", max(sizes) < 12, f"{max(sizes):.1f} MiB at most of {len(sizes)}", "under 12 MiB")


ALL = (mint, throughput, one_at_a_time, batches, idle_connections, overload, restart, idle_memory)


def run(bench, quick, only=()):
    report = Report()
    for promise in ALL:
        if not only or promise.__name__ in only:
            promise(bench, report, quick)
    return report.lines
