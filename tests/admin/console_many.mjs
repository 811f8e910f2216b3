// The console with a thousand workers, which are put into the page as if it had asked them: what drawing costs grows with them and no faster.
// console_many.mjs FAKE_ADMIN NODE_MODULES SCREENSHOT_DIR
import assert from "node:assert/strict";

import { Fleet, Worker, browser_of, folder, until } from "./fake_fleet.mjs";

const [program, node_modules, shots] = process.argv.slice(2);
Worker.program = program;
const browser = await browser_of(node_modules), shot = folder(shots), fleet = new Fleet(1);
try {
  await fleet.start();
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } }), errors = [];
  page.on("pageerror", error => errors.push(error.message));
  await page.goto("http://" + fleet.workers[0].admin + "/");
  await until("an hour", () => page.evaluate(() => workers.get("self").hour.points.length === 360));

  // Median of some drawings, with layout: each after every worker's figures have changed. A new column of the charts is drawn too.
  const cost = size => page.evaluate(size => {
    turn = async () => {};
    const self = workers.get("self"), entry = { ...self.entry, self: false };
    for (const key of [...workers.keys()]) if (key !== "self") workers.delete(key);
    const slots = [{ ...fleet.slots[0] }];
    for (let i = 1; i < size; i++) {
      const mine = { worker: i, node: "host-" + i, admin: "10.0." + (i >> 8) + "." + (i & 255) + ":7451", fence: 10 + i };
      workers.set(mine.admin, { key: mine.admin, address: mine.admin, born_ms: 0, entry: { ...entry, ...mine }, answered_ms: performance.now(), ids_per_s: i, lost: false,
        status: { ...structuredClone(self.status), ...mine }, hour: { points: self.hour.points.map(p => ({ ...p })), last: 360, started_ms: 1, due_ms: Infinity } });
      slots.push({ ...slots[0], ...mine });
    }
    fleet = { ...fleet, slots };
    draw();
    const times = [];
    for (let round = 0; round < 9; round++) {
      for (const w of workers.values()) w.ids_per_s += 1000;
      if (round % 3 === 0) past.key = "";
      const start = performance.now();
      draw();
      document.body.getBoundingClientRect();
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[4];
  }, size);

  await cost(50); // the first drawing of all makes more than it draws
  const few = await cost(100), many = await cost(1000);
  console.log("drawn in " + few.toFixed(0) + " ms with 100 workers, " + many.toFixed(0) + " ms with 1000");
  assert.ok(many < 20 * few + 50, "ten times the workers cost " + (many / few).toFixed(1) + " times as much");
  const text = id => page.textContent("#" + id);
  assert.match(await text("banner-text"), /^1000 of 1000 expected workers are ready/);
  assert.equal((await page.$$("#slots button")).length, 1000);
  assert.equal((await page.$$("#workers tr")).length, 250);
  assert.equal(await text("filtered"), "250 of 1000 shown");
  await page.screenshot({ path: shot("console-many") });

  // Somebody in trouble is found in any of the ways, whatever is drawn.
  await page.evaluate(() => { const w = workers.get("10.0.3.100:7451"); w.lost = true; draw(); });
  assert.match(await text("banner"), /999 of 1000 expected workers are ready, 1 is missing/);
  assert.match(await text("banner"), /host-868: lost/);
  await page.check("#trouble");
  assert.deepEqual(await page.$$eval("#workers tr", rows => rows.map(row => row.children[1].textContent)), ["host-868"]);
  assert.equal(await page.getAttribute("#slots button[data-key='0/868']", "data-look"), "bad");
  await page.uncheck("#trouble");
  await page.fill("#filter", "host-99");
  assert.deepEqual(await page.$$eval("#workers tr", rows => rows.length), 11); // 99, and 990 to 999
  await page.fill("#filter", "");
  await page.click("#every-row");
  assert.equal((await page.$$("#workers tr")).length, 1000);
  assert.ok(await page.isHidden("#every-row"));
  assert.deepEqual(errors, []);
} finally { await browser.close(); fleet.end(); }
