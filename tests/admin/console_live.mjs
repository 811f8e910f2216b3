// One look at a real fleet: console_live.mjs URL PID NODE_MODULES SCREENSHOT_DIR. PID is the worker of slot 0/2: it is killed and has to be red
// within 3 s. Driven by console_live.py.
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [url, pid, node_modules, shots] = process.argv.slice(2);
const chromium_path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!chromium_path || !existsSync(join(node_modules, "playwright-core"))) {
  console.log("skipped: needs chromium and npm's playwright-core in " + node_modules);
  process.exit(77);
}
const { chromium } = createRequire(resolve(node_modules, "x.js"))("playwright-core");
mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: chromium_path, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const errors = [];
  page.on("pageerror", error => errors.push(error.message));
  const looks = () => page.$$eval("#slots button", list => list.map(b => b.dataset.look + ":" + b.children[1].textContent));
  const until = async (what, check, limit_ms) => {
    for (const start = Date.now(); ; await new Promise(done => setTimeout(done, 50))) {
      if (await check()) return Date.now() - start;
      assert.ok(Date.now() - start < limit_ms, `${what}: not within ${limit_ms} ms: ${await looks()}`);
    }
  };
  const alive = look => /^(good|warn):/.test(look);
  await page.goto(url);
  await until("three live workers", async () => { const all = await looks(); return all.length === 32 && all.slice(0, 3).every(alive) && all.slice(3).every(x => x === "idle:free"); }, 20000);
  await until("their rate", async () => !/^(0|–)/.test(await page.locator("#tiles > div", { has: page.locator("dt", { hasText: "IDs per second" }) }).locator("dd").textContent()), 20000);
  assert.equal(await page.$$eval("#workers tr", rows => rows.length), 3);
  await page.screenshot({ path: join(shots, "console-fleet.png"), fullPage: true });
  process.kill(Number(pid), "SIGKILL");
  console.log("red after " + await until("red", async () => (await looks())[2].startsWith("bad:lost"), 3000) + " ms");
  await page.screenshot({ path: join(shots, "console-fleet-killed.png"), fullPage: true });
  assert.deepEqual(errors, []);
} finally { await browser.close(); }
