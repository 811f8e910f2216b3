// Fake workers for the tests of the console: each a fake_admin over real sockets, whose pages say what a test wants of them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const CEILING = 4096000, STEP_MS = 10000;

// Leaves with 77 where no Chromium is installed.
export async function browser_of(node_modules) {
  const path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
  if (!path || !existsSync(join(node_modules, "playwright-core"))) {
    console.log("skipped: needs chromium and npm's playwright-core in " + node_modules);
    process.exit(77);
  }
  const { chromium } = createRequire(resolve(node_modules, "x.js"))("playwright-core");
  return chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
}

export async function until(what, check, limit_ms = 15000) {
  const start = Date.now();
  for (let last = "";;) {
    try { if (await check()) return Date.now() - start; } catch (error) { last = error.message; }
    assert.ok(Date.now() - start < limit_ms, what + ": not within " + limit_ms + " ms " + last);
    await new Promise(done => setTimeout(done, 50));
  }
}

const started_ms = Date.now() - 3 * 3600000;
const wave = (i, number, size) => size * (1 + .3 * Math.sin(i / 23 + number) + .1 * Math.sin(i / 3 + 2 * number));

export class Worker {
  static all = []; // also those that others took the place of
  constructor(number) {
    Worker.all.push(this);
    this.number = number;
    this.dir = mkdtempSync(join(tmpdir(), "sf-console-"));
    this.ids = 0;
    this.changes = {};  // of /status
    this.load = .08;    // share of the ceiling
    this.refused = 0;   // of the last ten seconds, a second
    this.flood = 0;     // how many of the last points of the hour were a flood
    this.events = [];
  }
  start() {
    this.process = spawn(Worker.program, [this.dir], { stdio: ["pipe", "pipe", "inherit"] });
    return new Promise((done, fail) => {
      this.process.stdout.once("data", data => { this.port = Number(data); this.admin = "127.0.0.1:" + this.port; done(); });
      this.process.once("exit", code => fail(new Error("fake_admin ended: " + code)));
    });
  }
  put(name, object) { // whole or not at all: the worker may be reading
    writeFileSync(join(this.dir, name + ".new"), JSON.stringify(object));
    renameSync(join(this.dir, name + ".new"), join(this.dir, name));
  }
  status() {
    const ids = CEILING * Math.min(1, this.load), p99 = this.refused ? 210000 : 95, rates = { ids, served: ids / 100, refused: this.refused, ids_refused: 0, exhausted: this.refused ? 900 : 0,
      refused_by: this.refused ? { overloaded: this.refused } : {}, waiting_most: this.refused ? 640 : 0, seconds: 10 };
    const latency = { served: { p50: 20, p95: 40, p99, p999: 2 * p99 }, refused: { p50: null, p95: null, p99: this.refused ? 18 : null, p999: null } };
    return {
      protocol: 1, version: "0.1.0", build: { version: "0.1.0", commit: "abc" }, fleet: "alpha", fleet_id: "f", datacenter: 0, worker: this.number,
      fence: 10 + this.number, state: "ready", why: "", ready: true, node: "host-" + this.number, pid: 100 + this.number, now_ms: Date.now(),
      uptime_ms: Date.now() - started_ms, epoch_ms: 0, layout: { timestamp: 41, datacenter: 5, worker: 5, sequence: 12 }, max_batch: 65536, address: "127.0.0.1:1",
      admin: this.admin, checks: [{ name: "slot", ok: true, text: "datacenter 0 worker " + this.number }, { name: "clock", ok: true, text: "offset 0.2ms" }],
      clock: { verdict: "ok", text: "offset 0.2ms, error 0.9ms", offset_ns: 200000, error_ns: 900000, synchronized: true, warn_offset_ms: 100, max_offset_ms: 1000, steps: 0, slewing: false,
        sources: [{ name: "ntp", up: true, synchronized: true, offset_ns: 200000, error_ns: 900000, age_ms: 812, status: "synced", text: "1 of 1 servers agree" }],
        servers: [{ kind: "ntp", name: "ntp:10.0.0.4", address: "10.0.0.4:123", state: "selected", stratum: 2, offset_ns: 200000, error_ns: 900000, age_ms: 812, polls: 120, answers: 119, refused: 0, last_refusal: "" }] },
      slots: [{ state: "ready", why: "", datacenter: 0, worker: this.number, fence: 10 + this.number, left_ms: 590000 }],
      reservation: { reserved_until_ms: Date.now() + 590000, left_ms: 590000, window_ms: 600000, renewals: { ok: 1, uncertain: 0, lost: 0 } },
      coordinator: { backend: "local", connected: true, silent_ms: 5 }, connections: 2, waiting: this.refused ? 512 : 0, ids_minted: Math.round(this.ids += ids / 4), ids_per_s: ids,
      latency: { p50_us: 20, p95_us: 40, p99_us: 95 }, latency_us: { "10s": latency, "1m": latency, "5m": latency }, rates: { "10s": rates, "1m": rates, "5m": rates }, saturation: this.load,
      requests: 10, errors: { not_ready: 0, overloaded: this.refused }, sequence_exhausted: 70, rate_limited: 0, bad_frames: 0, events: this.events, ...this.changes };
  }
  // The hour before now; in its last `flood` points more was asked for than can be given.
  history() {
    const size = 360, to = { now_ms: Date.now(), started_ms, step_ms: STEP_MS, points_max: size, first: 1, last: size };
    const flood = i => i >= size - this.flood, list = of => Array.from({ length: size }, (_, i) => of(i));
    return { ...to, at_ms: list(i => Date.now() - (size - 1 - i) * STEP_MS), age_ms: list(i => (size - 1 - i) * STEP_MS), span_ms: list(() => STEP_MS),
      ids_per_s: list(i => flood(i) ? CEILING * .98 : wave(i, this.number, CEILING * .08)), ceiling_per_s: list(() => CEILING), saturation: list(i => flood(i) ? 3 : .1), served_per_s: list(() => 4000),
      refused_per_s: list(i => flood(i) ? wave(i, 0, 30000) : 0), errors_per_s: list(i => i >= 199 && i <= 201 ? 12 : 0), exhausted_per_s: list(i => flood(i) ? 900 : i % 50 === 7 ? 3 : 0),
      waiting_most: list(i => flood(i) ? 640 : i % 50 === 7 ? 2 : 0), p50_us: list(i => flood(i) ? 900 : wave(i, 1, 20)), p99_us: list(i => flood(i) ? wave(i, 0, 210000) : wave(i, 2, 95)),
      refused_p99_us: list(i => flood(i) ? 18 : null), offset_ns: list(i => 200000 * Math.sin(i / 30 + this.number)), error_ns: list(i => 900000 + 5000 * (i % 40)),
      left_ms: list(i => 600000 - 60000 * (i * STEP_MS % 60000) / 60000), state: list(() => "ready") };
  }
  end() { this.process.removeAllListeners("exit"); this.process.kill("SIGKILL"); }
}

export class Fleet {
  constructor(size) {
    this.workers = Array.from({ length: size }, (_, n) => new Worker(n));
    this.live = this.workers.slice(); // who has a claim
    this.unbound = new Set();         // of these: who has no slot
    this.more = [];                   // further entries of "workers"
    this.changes = {};                // of /fleet
    this.slots = 8;
  }
  async start() {
    await Promise.all(this.workers.map(w => w.start()));
    for (const w of this.workers) w.put("history.json", w.history());
    this.tell();
    this.timer = setInterval(() => this.tell(), 250);
  }
  tell() {
    for (const w of this.workers) w.put("status.json", w.status());
    const slots = [];
    for (let n = 0; n < this.slots; n++) {
      const w = this.workers[n], held = w && this.live.includes(w) && !this.unbound.has(w);
      slots.push({ datacenter: 0, worker: n, state: held ? "held" : w && !this.unbound.has(w) ? "quarantined" : "free", node: w ? "host-" + n : "", address: held ? "127.0.0.1:1" : null,
        admin: held ? w.admin : null, fence: w ? 10 + n : 0, reserved_until_ms: w ? Date.now() + 590000 : 0 });
    }
    const entries = this.live.map(w => ({ datacenter: 0, worker: this.unbound.has(w) ? null : w.number, node: "host-" + w.number, address: "127.0.0.1:1", admin: w.admin, fence: 10 + w.number, since_ms: 0,
      version: "0.1.0", state: w.changes.state || "ready", reason: w.changes.why || "" }));
    for (const me of this.workers)
      me.put("fleet.json", { fleet: "alpha", fleet_id: "f", datacenter: 0, read_at_ms: Date.now(), read_age_ms: 48000, stale: false, text: "", waiting: this.unbound.size, slots,
        workers: entries.map((e, i) => ({ ...e, self: this.live[i] === me })).concat(this.more), ...this.changes });
  }
  end() {
    clearInterval(this.timer);
    for (const w of Worker.all) { if (w.process) w.end(); rmSync(w.dir, { recursive: true, force: true }); }
  }
}

export const folder = shots => { mkdirSync(shots, { recursive: true }); return name => join(shots, name + ".png"); };
