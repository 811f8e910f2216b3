"""Every ID that a set of workers hands out at full rate, and an exact comparison of all of them.

    collector = Collector(tools, ["127.0.0.1:7450", ...], directory)   # workers that are not there yet, or go and come back, are fine
    ...
    verdict = collector.finish()        # verdict.duplicates, .between(from_ms, to_ms), .pairs, .shared_ms, .last_ms(worker)

The IDs are drawn and kept by chaos_load and compared twice: by chaos_checker, and here, where the workers are known that gave them.
The two counts must agree. Python standard library only.
"""
import array
import collections
import json
import pathlib
import subprocess

DEFAULT_EPOCH_MS = 1704067200000
RECORD = 16  # tests/chaos/record.h: u64 first, u32 count, u32 connection


def read_runs(path):
    """[(first, count)] of a .runs file, in the order received."""
    data = pathlib.Path(path).read_bytes()
    assert len(data) % RECORD == 0, path
    firsts, counts = array.array("Q", data), array.array("I", data)
    return list(zip(firsts[::2], counts[2::4]))


class Verdict:
    """runs: for each worker what it gave. layout and epoch are for times and slots only; equality needs neither."""

    def __init__(self, runs, layout="41,5,5,12", epoch_ms=DEFAULT_EPOCH_MS):
        bits = [int(b) for b in layout.split(",")]
        self.runs, self.epoch_ms = runs, epoch_ms
        self.time_shift, self.slot_shift = sum(bits[1:]), bits[3]
        self.ids = sum(count for given in runs for _, count in given)
        self.overlaps = []  # (first ID, how many, worker, worker)
        self._sweep()
        self._share()

    def time_ms(self, identifier):
        return (identifier >> self.time_shift) + self.epoch_ms

    def _sweep(self):
        covered, owner = 0, None  # every ID below covered was seen, the last one from owner
        for first, count, worker in sorted((f, c, w) for w, given in enumerate(self.runs) for f, c in given):
            if first < covered:
                self.overlaps.append((first, min(covered, first + count) - first, owner, worker))
            if first + count > covered:
                covered, owner = first + count, worker

    def _share(self):
        """Milliseconds of a slot in which two workers minted: by the rule there is none, whatever the sequences were."""
        owners, self.shared_ms = {}, collections.Counter()
        for worker, given in enumerate(self.runs):
            for key in {first >> self.slot_shift for first, _ in given}:
                if owners.setdefault(key, worker) != worker:
                    self.shared_ms[owners[key], worker] += 1

    @property
    def duplicates(self):
        return sum(count for _, count, _, _ in self.overlaps)

    @property
    def pairs(self):
        """{(worker, worker): how many IDs both gave}; the same worker twice: it gave them twice itself."""
        found = collections.Counter()
        for _, count, one, other in self.overlaps:
            found[min(one, other), max(one, other)] += count
        return dict(found)

    def between(self, from_ms, to_ms=None):
        """Duplicates with a timestamp from here to there (Unix ms)."""
        return sum(count for first, count, _, _ in self.overlaps
                   if self.time_ms(first) >= from_ms and (to_ms is None or self.time_ms(first) < to_ms))

    def span_ms(self):
        """First and last timestamp of a duplicate, or None."""
        times = [self.time_ms(first) for first, _, _, _ in self.overlaps]
        return (min(times), max(times)) if times else None

    def count(self, worker, from_ms=0):
        return sum(count for first, count in self.runs[worker] if self.time_ms(first) >= from_ms)

    def last_ms(self, worker, before_ms=None):
        times = [self.time_ms(first + count - 1) for first, count in self.runs[worker]]
        return max((t for t in times if before_ms is None or t < before_ms), default=None)

    def first_ms(self, worker, from_ms=0):
        return min((t for t in (self.time_ms(first) for first, _ in self.runs[worker]) if t >= from_ms), default=None)

    def slots(self, worker, from_ms=0):
        """Slot numbers (datacenter and worker together) of its IDs."""
        mask = (1 << (self.time_shift - self.slot_shift)) - 1
        return {first >> self.slot_shift & mask for first, _ in self.runs[worker] if self.time_ms(first) >= from_ms}


class Collector:
    """One raw connection to each address, pipelined, together rate IDs/s for each address, in requests of 1 to batch."""

    def __init__(self, tools, addresses, directory, rate=1e6, batch=4096, seed=1):
        self.tools, self.count = pathlib.Path(tools), len(addresses)
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.process = subprocess.Popen(
            [str(self.tools / "chaos_load"), "--servers", ",".join(addresses), "--out", str(self.directory), "--clients", "0", "--raw", "1",
             "--rate", str(rate * len(addresses)), "--batch", str(batch), "--seed", str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load = None

    def has_drawn(self, worker):
        """Whether it has an ID of this worker yet."""
        file = self.directory / f"raw-{worker}.runs"
        return file.exists() and file.stat().st_size > 0

    def finish(self, layout="41,5,5,12", epoch_ms=DEFAULT_EPOCH_MS):
        """Stops drawing and compares."""
        text, _ = self.process.communicate("", timeout=60)
        if self.process.returncode != 0:
            raise RuntimeError(f"chaos_load: exit {self.process.returncode}")
        self.load = json.loads(text)
        files = [self.directory / f"raw-{i}.runs" for i in range(self.count)]
        verdict = Verdict([read_runs(file) for file in files], layout, epoch_ms)
        if verdict.ids > 0:
            checked = subprocess.run([str(self.tools / "chaos_checker"), "--layout", layout, "--epoch-ms", str(epoch_ms), *map(str, files)],
                                     capture_output=True, text=True, check=False)
            assert checked.stdout, checked.stderr
            exact = json.loads(checked.stdout)
            assert (exact["ids"], exact["duplicates"]) == (verdict.ids, verdict.duplicates), (exact, verdict.ids, verdict.duplicates)
        return verdict

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
