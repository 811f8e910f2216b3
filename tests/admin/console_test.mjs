// The console in real Chromium, on three fake workers over real sockets: what is rendered, a killed worker, a lost connection, phone,
// dark mode, keyboard. usage: console_test.mjs FAKE_ADMIN NODE_MODULES SCREENSHOT_DIR. Leaves with 77 where no Chromium is installed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const [fake_admin, node_modules, shots] = process.argv.slice(2);
const chromium_path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!chromium_path || !existsSync(join(node_modules, "playwright-core"))) {
  console.log("skipped: needs chromium and npm's playwright-core in " + node_modules);
  process.exit(77);
}
const { chromium } = createRequire(resolve(node_modules, "x.js"))("playwright-core");
mkdirSync(shots, { recursive: true });
const axe_path = join(node_modules, "axe-core/axe.min.js");
const started_ms = Date.now();

class Worker {
  constructor(number) {
    this.number = number;
    this.dir = mkdtempSync(join(tmpdir(), "sf-console-"));
    this.ids = 0;
    this.changes = {};
  }
  start() {
    this.process = spawn(fake_admin, [this.dir], { stdio: ["pipe", "pipe", "inherit"] });
    return new Promise((done, fail) => {
      this.process.stdout.once("data", data => { this.port = Number(data); this.admin = "127.0.0.1:" + this.port; done(); });
      this.process.once("exit", code => fail(new Error("fake_admin ended: " + code)));
    });
  }
  put(name, object) { // whole or not at all: the worker may be reading
    writeFileSync(join(this.dir, name + ".new"), JSON.stringify(object));
    renameSync(join(this.dir, name + ".new"), join(this.dir, name));
  }
  tell() {
    this.ids += 1000;
    this.put("status.json", {
      protocol: 1, version: "0.1.0", build: { version: "0.1.0", commit: "abc" }, fleet: "alpha", fleet_id: "f", datacenter: 0, worker: this.number,
      fence: 10 + this.number, state: "ready", why: "", ready: true, node: "host-" + this.number, pid: 100 + this.number, now_ms: Date.now(),
      uptime_ms: Date.now() - started_ms, epoch_ms: 0, layout: { timestamp: 41, datacenter: 5, worker: 5, sequence: 12 }, max_batch: 65536, address: "127.0.0.1:1",
      admin: this.admin, checks: [],
      clock: { verdict: "ok", text: "offset 0." + this.ids + "ms", offset_ns: 200000, error_ns: 900000, synchronized: true, warn_offset_ms: 100, max_offset_ms: 1000, steps: 0, slewing: false, sources: [] },
      reservation: { reserved_until_ms: Date.now() + 590000, left_ms: 590000, window_ms: 600000, renewals: { ok: 1, uncertain: 0, lost: 0 } },
      coordinator: { backend: "local", connected: true, silent_ms: 5 }, connections: 2, waiting: 0, ids_minted: this.ids, ids_per_s: 4000,
      latency: { p50_us: 20, p95_us: 40, p99_us: 95 }, requests: 10, errors: { not_ready: 0 }, sequence_exhausted: 0, rate_limited: 0, bad_frames: 0,
      events: [{ at_ms: 1795132800000, level: "info", event: "worker.ready", text: "got <b>slot</b> " + this.number }], ...this.changes });
  }
  end() { this.process.removeAllListeners("exit"); this.process.kill("SIGKILL"); }
}

const workers = [0, 1, 2].map(n => new Worker(n));
let live = workers.slice(), stale = false;
function tell() {
  for (const w of workers) w.tell();
  const slots = [];
  for (let n = 0; n < 8; n++) {
    const w = workers[n], held = w && live.includes(w);
    slots.push({ datacenter: 0, worker: n, state: held ? "held" : w ? "quarantined" : "free", node: w ? "host-" + n : "", address: held ? "127.0.0.1:1" : null,
      admin: held ? w.admin : null, fence: w ? 10 + n : 0, reserved_until_ms: w ? Date.now() + 590000 : 0 });
  }
  for (const me of workers)
    me.put("fleet.json", { fleet: "alpha", fleet_id: "f", datacenter: 0, read_at_ms: Date.now(), read_age_ms: 48000, stale, text: stale ? "connection refused" : "", waiting: 0, slots,
      workers: live.map(w => ({ datacenter: 0, worker: w.number, node: "host-" + w.number, address: "127.0.0.1:1", admin: w.admin, fence: 10 + w.number, since_ms: 0, version: "0.1.0", self: w === me })) });
}

async function until(what, check, limit_ms = 10000) {
  const start = Date.now();
  for (let last = "";;) {
    try { if (await check()) return Date.now() - start; } catch (error) { last = error.message; }
    assert.ok(Date.now() - start < limit_ms, what + ": not within " + limit_ms + " ms " + last);
    await new Promise(done => setTimeout(done, 50));
  }
}

let browser, timer;
try {
  await Promise.all(workers.map(w => w.start()));
  tell();
  timer = setInterval(tell, 250);
  browser = await chromium.launch({ executablePath: chromium_path, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const errors = [], outside = [];
  page.on("pageerror", error => errors.push(error.message));
  page.on("request", request => { if (!/^(http:\/\/(127\.0\.0\.1|localhost):\d+\/|data:)/.test(request.url())) outside.push(request.url()); });
  const looks = () => page.$$eval("#slots button", list => list.map(b => b.dataset.look + ":" + b.children[1].textContent));
  const text = id => page.textContent("#" + id);

  // What axe finds against WCAG 2.2 AA and its own best practices.
  const accessible = async where => {
    if (!await page.evaluate(() => "axe" in window)) await page.addScriptTag({ path: axe_path });
    const { found, passed } = await page.evaluate(async () => {
      const { violations, passes } = await axe.run();
      return { found: violations.map(v => v.id + ": " + v.nodes.map(n => n.html).join(" | ")), passed: passes.map(p => p.id) };
    });
    assert.deepEqual(found, [], where);
    assert.ok(passed.includes("color-contrast") && passed.includes("button-name") && passed.length > 20, `${where}: ${passed}`);
  };
  // What a screen reader reads out by itself while nothing happens: nothing, though ages and rates go on.
  const silent = async where => {
    const said = await page.evaluate(ms => new Promise(done => {
      const heard = [], watch = new MutationObserver(list => heard.push(...list.map(m => m.target.textContent)));
      for (const node of document.querySelectorAll("[aria-live], [role=status], [role=alert]")) watch.observe(node, { subtree: true, childList: true, characterData: true });
      setTimeout(() => { watch.disconnect(); done(heard); }, ms);
    }), 3500);
    assert.deepEqual(said, [], where);
  };

  await page.goto(`http://${workers[0].admin}/`);
  await until("three ready workers", async () => { const all = await looks(); return all.length === 8 && all.slice(0, 3).every(x => x === "good:ready"); });
  assert.deepEqual((await looks()).slice(3), Array(5).fill("idle:free"));
  await until("the fleet's rate", async () => /^(8|9|1[0-9])(\.\d)? ?k?|^[6-9],|^1\d/.test(await text("t-rate")) && await page.$$eval("#workers tr", r => r.length) === 3);
  assert.match(await text("t-ready"), /^3of 3$/);
  assert.match(await text("t-latency"), /20 µs \/ 40 µs \/ 95 µs/);
  assert.match(await text("t-free"), /^5of 8, 0 quarantined$/);
  assert.match(await text("events"), /got <b>slot<\/b> 2/, "text from a worker is text, not markup");
  assert.equal(await page.$$eval("#events b", list => list.length), 0);
  assert.match(await text("events"), /2026.*slot/, "an event of another day has its date");
  await page.screenshot({ path: join(shots, "console-ready.png"), fullPage: true });

  // Keyboard: to the first slot, along, choose it.
  await page.focus("#slots button");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await until("details of slot 0/1", async () => /^Slot 0\/1: ready; node host-1, fence 11/.test(await text("detail")));
  assert.equal(await page.getAttribute("#slots li:nth-child(2) button", "aria-pressed"), "true");
  assert.equal(await page.getAttribute("#slots li:nth-child(2) button", "aria-label"), "slot 0/1, ready, host-1");
  assert.equal(await page.getAttribute("#workers tr:nth-child(2)", "aria-current"), "true");
  await silent("a chosen slot");
  await accessible("desktop, light");

  // A bad clock, and a worker that leaves in good order.
  workers[1].changes = { clock: { verdict: "bad", text: "offset 1.2s", offset_ns: -1234560000, error_ns: 27680000, synchronized: false, max_offset_ms: 1000 }, ready: false, state: "suspended", why: "clock" };
  await until("suspended", async () => (await looks())[1] === "bad:suspended");
  assert.match(await text("workers"), /-1.235 s ± 27.68 ms, not synchronised/);
  assert.ok(await page.$eval(".scroll", n => n.scrollWidth <= n.clientWidth), "the table fits a desktop");
  await until("its event", async () => /0\/1 host-1: ready → suspended: clock/.test(await text("events")));
  workers[1].changes = {};
  await until("ready again", async () => (await looks())[1] === "good:ready");

  // Killed: red within 3 s, though its claim still stands; said in words; then quarantined.
  workers[2].end();
  const red_ms = await until("red", async () => (await looks())[2] === "bad:lost", 3000);
  console.log("a killed worker was red after " + red_ms + " ms");
  assert.match(await text("banner"), /^1 worker does not answer/);
  await page.screenshot({ path: join(shots, "console-killed.png"), fullPage: true });
  live = workers.slice(0, 2);
  await until("lost and quarantined", async () => (await looks())[2] === "bad:lost, quarantined");

  // The coordinator away.
  stale = true;
  await until("stale fleet", async () => /coordinator cannot be reached \(connection refused\): slots are as read 48s ago/.test(await text("banner")));
  stale = false;

  // Phone and dark.
  await page.setViewportSize({ width: 375, height: 740 });
  await page.emulateMedia({ colorScheme: "dark" });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 375), "nothing runs off a phone's side");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(16, 21, 28)");
  await page.screenshot({ path: join(shots, "console-phone-dark.png"), fullPage: true });
  await accessible("phone, dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.screenshot({ path: join(shots, "console-phone.png"), fullPage: true });
  await page.setViewportSize({ width: 1200, height: 900 });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(shots, "console-dark.png"), fullPage: true });
  await accessible("desktop, dark");

  // Contrast of every state in both schemes, as WCAG counts it.
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    const worst = await page.evaluate(() => {
      const lum = c => c.match(/\d+/g).slice(0, 3).map(x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4).reduce((a, x, i) => a + x * [0.2126, 0.7152, 0.0722][i], 0);
      return Math.min(...[...document.querySelectorAll(".legend li")].map(n => { const s = getComputedStyle(n), a = lum(s.color), b = lum(s.backgroundColor); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
    });
    assert.ok(worst >= 4.5, `contrast in ${scheme}: ${worst.toFixed(2)}`);
  }

  // The serving worker gone: the page says so and keeps what it knew.
  workers[0].end();
  await until("lost connection", async () => /^Connection lost: .* What you see is \d+s old/.test(await text("banner")));
  assert.equal(await page.getAttribute("#banner", "class"), "bad");
  await silent("a lost connection");
  await accessible("connection lost");
  await page.screenshot({ path: join(shots, "console-connection-lost.png"), fullPage: true });
  assert.deepEqual(errors, []);
  assert.deepEqual(outside, []);
  console.log("ok");
} finally {
  clearInterval(timer);
  if (browser) await browser.close();
  for (const w of workers) { if (w.process) w.end(); rmSync(w.dir, { recursive: true, force: true }); }
}
