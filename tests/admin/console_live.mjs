// One look at a real fleet: console_live.mjs URL PID NODE_MODULES SCREENSHOT_DIR BENCH... BENCH floods the worker of slot 0/1, which has to be seen to refuse,
// however ready it is. PID is the worker of slot 0/2: it is killed and has to be red within 3 s, also on a page that is opened after that. Driven by console_live.py.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";

import { browser_of, folder } from "./fake_fleet.mjs";

const [url, pid, node_modules, shots, ...bench] = process.argv.slice(2);
const browser = await browser_of(node_modules), shot = folder(shots);
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const errors = [];
  page.on("pageerror", error => errors.push(error.message));
  const looks = (on = page) => on.$$eval("#slots button", list => list.map(b => b.dataset.look + ":" + b.children[1].textContent));
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
  await page.screenshot({ path: shot("console-fleet"), fullPage: true });
  assert.equal(await page.textContent("#banner-text"), "3 of 3 expected workers are ready.");

  const flood = spawn(bench[0], bench.slice(1), { stdio: "ignore" }), flooded = new Promise(done => flood.once("exit", done));
  console.log("seen to refuse after " + await until("refusing", async () => /^bad:refusing/.test((await looks())[1]), 20000) + " ms");
  await until("the head", async () => /Most requests are refused/.test(await page.textContent("#banner-text")), 20000);
  assert.equal(await page.getAttribute("#banner", "class"), "bad");
  await until("what it is near", async () => /^bad:refusing/.test((await looks())[1]) && (await page.$$eval("#workers tr:nth-child(2) td", cells => cells[2].textContent)).match(/^(\d{3}|\d{1,3}(,\d{3})+)\D*%/), 20000);
  await page.screenshot({ path: shot("console-fleet-flooded"), fullPage: true });
  await flooded;
  await until("well again", async () => await page.getAttribute("#banner", "class") !== "bad", 30000);
  const points = await (await fetch(url + "history")).json();
  assert.ok(points.last >= 1 && points.ids_per_s.some(x => x > 0), "an hour has begun");

  process.kill(Number(pid), "SIGKILL");
  console.log("red after " + await until("red", async () => (await looks())[2].startsWith("bad:lost"), 3000) + " ms");
  await page.screenshot({ path: shot("console-fleet-killed"), fullPage: true });
  const late = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  late.on("pageerror", error => errors.push(error.message));
  await late.goto(url);
  console.log("red on a page that was opened later after " + await until("red there", async () => /^bad:lost/.test((await looks(late))[2] || ""), 20000) + " ms");
  await until("listed", async () => /host-2\s*lost/.test(await late.textContent("#workers")), 20000);
  assert.match(await late.textContent("#banner"), /2 of 3 expected workers are ready, 1 is missing/);
  await late.screenshot({ path: shot("console-fleet-later"), fullPage: true });
  assert.deepEqual(errors, []);
} finally { await browser.close(); }
