#!/usr/bin/env python3
"""Plants one bug at a time in the product's code and lets the simulation look for it.

usage: mutants.py --build DIR [--seeds N] [--seconds T] [--only NAME] [--jobs N]

DIR is a configured and built build directory. A search text that is not found exactly once is an
error: the table follows the code. Exits 0 when every bug was found within N seeds.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TENURE = "src/worker/reservation_tenure.c"
DECIDE = "src/worker/reservation_decide.c"
EVENTS = "src/worker/reservation_events.c"
MACHINE = "src/worker/reservation.c"
STATE = "src/worker/statefile.c"
GEN = "src/id/generator.c"
GENH = "src/id/generator.h"

# name: (what it breaks, file, search text, replacement)
MUTANTS = {
    "trust-unacked": ("a write counts before it is acknowledged", TENURE,
                      "if (tenure->outstanding[i].reserved_until_ms < least)",
                      "if (tenure->outstanding[i].reserved_until_ms > least)"),
    "nonce-dropped": ("a write is adopted by the fence", TENURE,
                      "if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0)",
                      "if (slot->fence != s->res->claim.fence || i + 1 != tenure->outstanding_count)"),
    "any-record-is-ours": ("whatever was written is taken for ours", TENURE,
                           "if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0)",
                           "if (i + 1 != tenure->outstanding_count)"),
    "unknown-forgotten": ("a write of unknown outcome is taken for not done", TENURE,
                          "    case SF_COORD_UNKNOWN:\n        tenure->must_read = true;",
                          "    case SF_COORD_UNKNOWN:\n        tenure->outstanding_count--;\n"
                          "        tenure->must_read = true;"),
    "unknown-is-done": ("a write of unknown outcome is taken for done", TENURE,
                        "    case SF_COORD_UNKNOWN:\n        tenure->must_read = true;",
                        "    case SF_COORD_UNKNOWN:\n        if (s->res->claim_status == SF_CLAIM_HAVE) {\n"
                        "            acknowledge(s, tenure, last, tenure->version,\n"
                        "                        s->res->claim.name, s->res->claim.fence);\n"
                        "            return true;\n        }\n        tenure->must_read = true;"),
    "read-settles": ("a read settles that a write was not done", TENURE,
                     "        tenure->must_read = false;\n        tenure->regressions = 0;\n        return SF_VIEW_UNCHANGED;",
                     "        tenure->must_read = false;\n        tenure->outstanding_count = 0;\n"
                     "        tenure->regressions = 0;\n        return SF_VIEW_UNCHANGED;"),
    "foreign-ignored": ("somebody else's record is taken for ours unchanged", TENURE,
                        "    return SF_VIEW_FOREIGN;",
                        "    tenure->version = slot->version;\n    tenure->must_read = false;\n"
                        "    return SF_VIEW_UNCHANGED;"),
    "own-clock": ("a new owner starts at its own clock", EVENTS,
                  "    res->bid.floor_ms = slot->reserved_until_ms > res->config.floor_ms ? slot->reserved_until_ms\n"
                  "                                                                       : res->config.floor_ms;",
                  "    res->bid.floor_ms = 0;"),
    "release-below-floor": ("a release writes less than the owner started from", TENURE,
                            "    int64_t until = tenure->floor_ms;", "    int64_t until = res->config.epoch_ms;"),
    "release-at-last": ("a release gives the last millisecond back", TENURE,
                        "        until = sf_res_last_ms(res) + 1;", "        until = sf_res_last_ms(res);"),
    "opened-ignored": ("a release does not count what was minted", TENURE,
                       "if (tenure->opened && until < sf_res_last_ms(res) + 1)", "if (false)"),
    "release-open": ("suspension does not close before the release", MACHINE,
                     "        sf_res_close(s, \"the clock is not safe: %s\", s->now->clock_text ? s->now->clock_text : \"\");\n",
                     ""),
    "leave-open": ("leaving does not close before the release", MACHINE,
                   "        sf_res_close(&s, \"leaving the fleet\");\n", ""),
    "reopen-released": ("minting again after a release of unknown outcome", MACHINE,
                        "        release_sent |= res->hold.outstanding[i].release;",
                        "        release_sent |= false, res->hold.outstanding[i].reserved_until_ms = res->hold.acked_ms;"),
    "file-any-version": ("the state file takes over the version that it finds", TENURE,
                         "    if (slot->version.version < tenure->version.version)\n        return SF_VIEW_OLDER;",
                         "    if (tenure == &s->res->bid && s->res->bid_from_memory)\n"
                         "        return tenure->version = slot->version, tenure->must_read = false, SF_VIEW_UNCHANGED;\n"
                         "    if (slot->version.version < tenure->version.version)\n        return SF_VIEW_OLDER;"),
    "not-before": ("an old copy of the file starts where its word stands", DECIDE,
                   "    if (floor_ms < memory->not_before_ms)\n        floor_ms = memory->not_before_ms;\n", ""),
    "file-kept-by-stranger": ("a file that was not believed leaves its word", DECIDE,
                              "        atomic_store(res->word, SF_GENERATOR_CLOSED);\n        sf_res_log",
                              "        atomic_store(res->word, (uint64_t)1 << 62 | SF_GENERATOR_CLOSED);\n        sf_res_log"),
    "lower-word": ("a reservation shrinks and the word is not moved", GEN,
                   "    const uint64_t before = atomic_fetch_add(gen->word, 1) & ~SF_GENERATOR_CLOSED;",
                   "    const uint64_t before = atomic_load(gen->word) & ~SF_GENERATOR_CLOSED;"),
    "lower-never": ("the limit of a shrunk reservation stays", TENURE,
                    "            sf_generator_lower(res->gen, want);\n", "            (void)0;\n"),
    "limit-past": ("a batch runs past the reservation", GENH,
                   "const uint64_t room = (limit < horizon ? limit : horizon) - first;",
                   "const uint64_t room = horizon - first;"),
    "limit-plus-one": ("one millisecond more than was reserved", GEN,
                       "    return limit_ms << gen->layout.sequence_bits;",
                       "    return (limit_ms + 1) << gen->layout.sequence_bits;"),
    "sequence-wrap": ("a full millisecond starts over", GENH,
                      "uint64_t first = word + 1 > fresh ? word + 1 : fresh;",
                      "uint64_t first = word + 1 > fresh ? (word + 1 + ((word + 1) % 64 == 0 ? (uint64_t)-64 : 0)) : fresh;"),
    "clock-back": ("the clock decides, not the counter", GENH,
                   "uint64_t first = word + 1 > fresh ? word + 1 : fresh;", "uint64_t first = fresh;"),
    "closed-ignored": ("a closed generator mints", GENH,
                       "        if (word & SF_GENERATOR_CLOSED)\n            return SF_MINT_CLOSED;",
                       "        word &= ~SF_GENERATOR_CLOSED;\n        atomic_store(gen->word, word);"),
    "open-start": ("the owner's start is not looked at", GEN,
                   "word = word + 1 > last_word ? word + 1 : last_word;", "word = word + 1;"),
    "open-below-word": ("a new slot may start below the last ID", GEN,
                        "word = word + 1 > last_word ? word + 1 : last_word;", "word = last_word;"),
    "orphan-writes": ("an orphan goes on renewing with the version it finds", DECIDE,
                      "    res->orphan = true;\n", "    res->orphan = false;\n    res->hold.must_read = false;\n"
                      "    res->hold.version.version = res->hold.version.version + 1;\n"),
    "orphan-stops": ("an orphan stops looking for a slot", DECIDE,
                     "    if (res->hold.active && !res->orphan)\n        decide_hold(s);",
                     "    if (res->hold.active)\n        decide_hold(s);"),
    "window-mixed": ("the limit is the target of the next write", TENURE,
                     "    int64_t limit_ms = sf_tenure_granted_ms(&res->hold);",
                     "    int64_t limit_ms = sf_tenure_granted_ms(&res->hold) + 1;"),
    "clock-cap": ("a clock that is ahead reserves too far", TENURE,
                  "    if (s->now->trusted_ms >= 0 && target > s->now->trusted_ms + window_ms + SF_RES_MARGIN_MS)",
                  "    if (false)"),
    "claim-not-made-again": ("no new claim after a session was lost", MACHINE,
                             "        res->claim_status = SF_CLAIM_NONE;\n        res->claim_bound = false;\n        sf_res_log(s, SF_LOG_WARN, \"coordinator.session_lost\"",
                             "        sf_res_log(s, SF_LOG_WARN, \"coordinator.session_lost\""),
    "claim-gone-ignored": ("a claim that is gone is not made again", EVENTS,
                           "    case SF_COORD_CLAIM_GONE:\n        res->claim_status = SF_CLAIM_NONE;",
                           "    case SF_COORD_CLAIM_GONE:"),
    "config-change-ignored": ("a changed config is not read again", EVENTS,
                              "    case SF_COORD_CONFIG_CHANGED:\n        res->config_stale = true;",
                              "    case SF_COORD_CONFIG_CHANGED:"),
    "must-read-stuck": ("a read of our own write does not settle it", TENURE,
                        "        if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0)\n            continue;",
                        "        if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0 || i == 0)\n            continue;"),
    "ready-without-right": ("a worker calls itself ready while nothing may be minted", MACHINE,
                            "    const bool mints = sf_reservation_left_ms(res, s->now->mint_ms) > 0;",
                            "    const bool mints = res->hold.active;"),
    "suspension-ignored": ("a bad clock goes on minting", MACHINE,
                           "    if (!s->now->clock_ok && !res->suspended) {", "    if (false) {"),
    "not-resumed": ("minting is not resumed when the clock is right again", MACHINE,
                    "    res->suspended = false;\n    sf_res_log(s, SF_LOG_INFO, \"worker.resumed\"",
                    "    sf_res_log(s, SF_LOG_INFO, \"worker.resumed\""),
}

# Not found by the simulation; docs/proof.md says what stands against each. Run with --all.
UNSEEN = {"ready-without-right", "suspension-ignored", "claim-not-made-again", "claim-gone-ignored", "reopen-released", "not-before", "lower-word", "open-below-word", "orphan-stops"}


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


class Bench:
    """Unchanged objects are compiled once; a mutant compiles what it changes."""

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        self.sources = sorted(
            [f"src/worker/{n}" for n in os.listdir(os.path.join(ROOT, "src/worker")) if n.endswith(".c")]
            + [f"tests/sim/{n}" for n in os.listdir(os.path.join(ROOT, "tests/sim")) if n.endswith(".c")]
            + [GEN])
        self.libraries = [os.path.join(build, f"libsf_{n}.a") for n in ("coord", "clock", "id", "base")]
        os.makedirs(os.path.join(folder, "base"))
        self.objects = {}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for source, out in zip(self.sources, pool.map(lambda s: self.compile(s, "base", None), self.sources)):
                self.objects[source] = out

    def compile(self, source, name, overlay):
        out = os.path.join(self.folder, name, source.replace("/", "_") + ".o")
        first = ["-I", os.path.join(overlay, "src")] if overlay else []
        path = os.path.join(overlay or ROOT, source)
        if not os.path.exists(path):
            path = os.path.join(ROOT, source)
        done = run(["gcc", "-std=gnu17", "-O2", "-w", "-c", path, "-o", out, *first, "-I", os.path.join(ROOT, "src"),
                    "-I", os.path.join(ROOT, "include"), "-I", os.path.join(ROOT, "src/worker"),
                    "-I", os.path.join(ROOT, "tests/sim"), "-I", os.path.join(self.build, "generated"),
                    "-I", os.path.join(self.build, "include")])
        if done.returncode:
            sys.exit(f"{source}: {done.stderr}")
        return out

    def link(self, name, objects):
        program = os.path.join(self.folder, name, "sim")
        done = run(["gcc", "-o", program, *objects.values(), *self.libraries, "-ljansson", "-lm", "-lpthread"])
        if done.returncode:
            sys.exit(done.stderr)
        return program

    def mutate(self, name, file, search, replacement):
        with open(os.path.join(ROOT, file)) as text:
            whole = text.read()
        if whole.count(search) != 1:
            sys.exit(f"mutant {name}: its text stands {whole.count(search)} times in {file}, not once; "
                     "update the table")
        overlay = os.path.join(self.folder, name, "tree")
        target = os.path.join(overlay, file)
        os.makedirs(os.path.dirname(target))
        with open(target, "w") as out:
            out.write(whole.replace(search, replacement))
        objects = dict(self.objects)
        for source in self.sources if file.endswith(".h") else [file]:
            objects[source] = self.compile(source, name, overlay)
        return self.link(name, objects)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--only")
    parser.add_argument("--all", action="store_true", help="those too that are known not to be found")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="sim-mutants-")
    failed = []
    try:
        bench = Bench(os.path.abspath(args.build), folder)

        def look(item):
            name, (what, file, search, replacement) = item
            began = time.monotonic()
            program = bench.mutate(name, file, search, replacement)
            done = run([program, "--seed", "1", "--seeds", str(args.seeds), "--seconds", str(args.seconds)])
            took = time.monotonic() - began
            shutil.rmtree(os.path.join(folder, name))
            found = re.search(r"FAILED at [\d.]+ s of seed (\d+): (.*)", done.stdout)
            if found:
                return name, True, f"{name:22} seed {found.group(1):>4} {took:5.1f} s  {what}: {found.group(2)}"
            if done.returncode and "internal invariant" in done.stderr:
                return name, True, f"{name:22} asserted  {took:5.1f} s  {what}: {done.stderr.strip()[-160:]}"
            return name, False, f"{name:22} SURVIVES  {took:5.1f} s  {what} {done.stderr[-200:]}"

        work = [item for item in MUTANTS.items() if args.only == item[0] or (not args.only and (args.all or item[0] not in UNSEEN))]
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for name, found, row in pool.map(look, work):
                print(row, flush=True)
                if not found:
                    failed.append(name)
        print(f"{len(work) - len(failed)} of {len(work)} planted bugs found"
              + (f"; not found: {', '.join(failed)}" if failed else ""))
    finally:
        shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
