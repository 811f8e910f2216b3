// The console where workers want TLS and a token, in real Chromium: it asks for the token, shows the fleet over https, keeps the token in memory only.
// usage: console_tokens.mjs FAKE_ADMIN NODE_MODULES. Leaves with 77 where no Chromium is installed.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const [fake_admin, node_modules] = process.argv.slice(2);
const chromium_path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!chromium_path || !existsSync(join(node_modules, "playwright-core"))) {
  console.log("skipped: needs chromium and npm's playwright-core in " + node_modules);
  process.exit(77);
}
const { chromium } = createRequire(resolve(node_modules, "x.js"))("playwright-core");

class Worker {
  constructor(number) {
    this.number = number;
    this.dir = mkdtempSync(join(tmpdir(), "sf-console-"));
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
      "subjectAltName=IP:127.0.0.1", "-keyout", join(this.dir, "key.pem"), "-out", join(this.dir, "cert.pem")], { stdio: "ignore" });
    writeFileSync(join(this.dir, "tokens"), "ops:swordfish\n");
    for (const name of ["key.pem", "tokens"]) chmodSync(join(this.dir, name), 0o600);
  }
  start() {
    this.process = spawn(fake_admin, [this.dir], { stdio: ["pipe", "pipe", "inherit"] });
    return new Promise((done, fail) => {
      this.process.stdout.once("data", data => { this.admin = "127.0.0.1:" + Number(data); done(); });
      this.process.once("exit", code => fail(new Error("fake_admin ended: " + code)));
    });
  }
  put(name, object) {
    writeFileSync(join(this.dir, name + ".new"), JSON.stringify(object));
    renameSync(join(this.dir, name + ".new"), join(this.dir, name));
  }
  tell(all) {
    this.put("status.json", { version: "0.1.0", fleet: "alpha", fleet_id: "f", datacenter: 0, worker: this.number, state: "ready", ready: true, node: "host-" + this.number, pid: 1,
      uptime_ms: 1, layout: { sequence: 12 }, admin: this.admin, clock: { verdict: "ok" }, reservation: {}, coordinator: { connected: true }, errors: {}, ids_minted: 1, events: [] });
    this.put("fleet.json", { fleet: "alpha", fleet_id: "f", slots: all.map(w => ({ datacenter: 0, worker: w.number, state: "held", node: "host-" + w.number, admin: w.admin, fence: 1 })),
      workers: all.map(w => ({ datacenter: 0, worker: w.number, node: "host-" + w.number, admin: w.admin, fence: 1, self: w === this })) });
  }
  end() { this.process.removeAllListeners("exit"); this.process.kill("SIGKILL"); }
}

async function until(what, check, limit_ms = 20000) {
  const start = Date.now();
  while (!await check()) {
    assert.ok(Date.now() - start < limit_ms, what + ": not within " + limit_ms + " ms");
    await new Promise(done => setTimeout(done, 50));
  }
}

const workers = [0, 1].map(n => new Worker(n));
let browser;
try {
  await Promise.all(workers.map(w => w.start()));
  for (const w of workers) w.tell(workers);
  browser = await chromium.launch({ executablePath: chromium_path, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  const errors = [], plain = [];
  page.on("pageerror", error => errors.push(error.message));
  page.on("request", request => { if (!/^(https|data):/.test(request.url())) plain.push(request.url()); });
  const hours = new Set(); // of whom it was let read the hour
  page.on("response", answer => { if (answer.request().method() === "GET" && /\/history\?/.test(answer.url()) && answer.status() === 200) hours.add(new URL(answer.url()).host); });
  const banner = () => page.textContent("#banner-text");
  await page.goto(`https://${workers[0].admin}/`);
  await until("asked for a token", async () => await banner() === "This worker wants a token." && await page.isVisible("#login"));
  await page.fill("#token", "wrong");
  await page.keyboard.press("Enter");
  await until("a wrong one", async () => await banner() === "This token is not known to the worker.");
  await page.fill("#token", "swordfish");
  await page.keyboard.press("Enter");
  await until("both workers", async () => await banner() === "2 of 2 expected workers are ready.");
  assert.ok(!await page.isVisible("#login"));
  await until("both hours", async () => workers.every(w => hours.has(w.admin)));
  const kept = await page.evaluate(() => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), location.href, document.documentElement.outerHTML].join(" "));
  assert.ok(!kept.includes("swordfish"), "nowhere but in memory");
  await page.reload();
  await until("gone with the page", async () => await banner() === "This worker wants a token.");
  assert.deepEqual(errors, []);
  assert.deepEqual(plain, []);
  console.log("ok");
} finally {
  if (browser) await browser.close();
  for (const w of workers) { if (w.process) w.end(); rmSync(w.dir, { recursive: true, force: true }); }
}
