// The console in real Chromium, on three fake workers over real sockets: what is rendered, a killed worker, a lost connection, phone,
// dark mode, keyboard. usage: console_test.mjs FAKE_ADMIN NODE_MODULES SCREENSHOT_DIR. Leaves with 77 where no Chromium is installed.
import assert from "node:assert/strict";
import { join } from "node:path";

import { Fleet, Worker, browser_of, folder, until } from "./fake_fleet.mjs";

const [fake_admin, node_modules, shots] = process.argv.slice(2);
const browser = await browser_of(node_modules), shot = folder(shots);
const axe_path = join(node_modules, "axe-core/axe.min.js");
Worker.program = fake_admin;
const fleet = new Fleet(3), workers = fleet.workers;
workers.forEach(w => { w.load = .001; w.events = [{ at_ms: 1795132800000, level: "info", event: "worker.ready", text: "got <b>slot</b> " + w.number }]; });

try {
  await fleet.start();
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const errors = [], outside = [];
  page.on("pageerror", error => errors.push(error.message));
  page.on("request", request => { if (!/^(http:\/\/(127\.0\.0\.1|localhost):\d+\/|data:)/.test(request.url())) outside.push(request.url()); });
  const looks = () => page.$$eval("#slots button", list => list.map(b => b.dataset.look + ":" + b.children[1].textContent));
  const text = id => page.textContent("#" + id);
  const tile = name => page.locator("#tiles > div", { has: page.locator("dt", { hasText: name }) });

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
  await until("the fleet's rate", async () => /^1[123](\.\d)?\sk/.test(await tile("IDs per second").locator("dd").textContent()) && await page.$$eval("#workers tr", r => r.length) === 3);
  assert.equal(await text("banner-text"), "3 of 3 expected workers are ready.");
  assert.equal(await page.getAttribute("#banner", "class"), "good");
  for (const [name, shown] of [["Workers ready", /3 of 3expected$/], ["Latency served", /20\sµs \/ 40\sµs \/ 95\sµs/], ["Slots free", /5of 8, 0 quarantined$/], ["Load", /0\.1\s%asked for/],
    ["IDs per second", /of 12\.29\sM that can be given$/], ["Largest clock offset", /0\.2\sms ± 0\.9\sms/], ["Least reservation", /9m50s/]])
    assert.match(await tile(name).textContent(), shown);
  assert.match(await text("events"), /got <b>slot<\/b> 2/, "text from a worker is text, not markup");
  assert.equal(await page.$$eval("#events b", list => list.filter(b => b.textContent === "slot").length), 0);
  assert.match(await text("events"), /2026.*slot/, "an event of another day has its date");
  await page.screenshot({ path: shot("console-ready"), fullPage: true });

  // Keyboard: to the first slot, along, choose it.
  await page.focus("#filter");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.key), "0/0", "Tab reaches one slot");
  for (const [key, at] of [["End", "0/7"], ["Home", "0/0"], ["ArrowRight", "0/1"]]) {
    await page.keyboard.press(key);
    assert.equal(await page.evaluate(() => document.activeElement.dataset.key), at, key);
  }
  await page.keyboard.press("Enter");
  await until("details of slot 0/1", async () => /^Slot 0\/1: ready; node host-1, fence 11/.test(await text("detail")));
  assert.equal(await page.getAttribute("#slots li:nth-child(2) button", "aria-pressed"), "true");
  assert.equal(await page.getAttribute("#slots li:nth-child(2) button", "aria-label"), "slot 0/1, ready, host-1");
  assert.equal(await page.getAttribute("#workers tr:nth-child(2)", "aria-current"), "true");
  await silent("a chosen slot");
  await accessible("desktop, light");

  // A bad clock, and a worker that leaves in good order.
  workers[1].changes = { worker: null, clock: { verdict: "bad", text: "offset 1.2s", offset_ns: -1234560000, error_ns: 27680000, synchronized: false, max_offset_ms: 1000 }, ready: false, state: "suspended", why: "clock" };
  fleet.unbound.add(workers[1]);
  await until("suspended", async () => /no slot\s*host-1\s*suspended\s*clock/.test(await text("workers")));
  assert.match(await text("workers"), /-1.235\ss ± 27.68\sms, not synchronised/);
  assert.ok(await page.$eval("#workers", n => n.closest(".scroll").scrollWidth <= n.closest(".scroll").clientWidth), "the table fits a desktop");
  await until("its event", async () => /host-1: ready → suspended: clock/.test(await text("events")));
  assert.equal(await text("banner-text"), "2 of 3 expected workers are ready, 1 is missing. no slot host-1: suspended");
  assert.match(await text("banner-age"), /^: clock/);
  assert.equal(await page.getAttribute("#banner", "class"), "warn", "the others can give what is asked for");
  workers[1].changes = {};
  fleet.unbound.clear();
  await until("ready again", async () => (await looks())[1] === "good:ready");

  // Killed: red within 3 s, though its claim still stands; said in words; then quarantined.
  workers[2].end();
  const red_ms = await until("red", async () => (await looks())[2] === "bad:lost", 3000);
  console.log("a killed worker was red after " + red_ms + " ms");
  assert.equal(await text("banner-text"), "2 of 3 expected workers are ready, 1 is missing. 0/2 host-2: lost");
  await page.screenshot({ path: shot("console-killed"), fullPage: true });
  fleet.live = workers.slice(0, 2);
  await until("lost and quarantined", async () => (await looks())[2] === "bad:lost, quarantined");
  assert.match(await text("workers"), /host-2\s*lost/, "it stays in the table");

  // It comes back at another address: it is there once, and well.
  const back = workers[2] = new Worker(2);
  back.load = .001;
  await back.start();
  back.put("history.json", back.history());
  fleet.live = workers.slice();
  await until("back", async () => await text("banner-text") === "3 of 3 expected workers are ready.");
  assert.equal(await page.$$eval("#workers tr", list => list.length), 3);
  back.end();
  fleet.live = workers.slice(0, 2);
  await until("gone again", async () => (await looks())[2] === "bad:lost, quarantined");

  // The coordinator away.
  fleet.changes = { stale: true, text: "connection refused" };
  await until("stale fleet", async () => /coordinator cannot be reached \(connection refused\)\. Slots are as read 48s ago/.test(await text("banner")));
  fleet.changes = {};

  // Phone and dark.
  await page.setViewportSize({ width: 375, height: 740 });
  await page.emulateMedia({ colorScheme: "dark" });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 375), "nothing runs off a phone's side");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(16, 21, 28)");
  await page.screenshot({ path: shot("console-phone-dark"), fullPage: true });
  await accessible("phone, dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.screenshot({ path: shot("console-phone"), fullPage: true });
  await page.setViewportSize({ width: 1200, height: 900 });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: shot("console-dark"), fullPage: true });
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
  await until("lost connection", async () => /^\s*Connection lost: .* What you see is \d+s old/.test(await text("banner")));
  assert.equal(await page.getAttribute("#banner", "class"), "bad");
  await silent("a lost connection");
  await accessible("connection lost");
  await page.screenshot({ path: shot("console-connection-lost"), fullPage: true });
  assert.deepEqual(errors, []);
  assert.deepEqual(outside, []);
  console.log("ok");
} finally {
  await browser.close();
  fleet.end();
}
