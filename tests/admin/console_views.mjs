// The console in trouble, in real Chromium: overload, a clock that is off, a lost worker, one that was lost before the page was opened. Charts and their
// crosshair, the map's modes, the page of one worker, filter and sort, the order of events, a phone.
// usage: console_views.mjs FAKE_ADMIN NODE_MODULES SCREENSHOT_DIR. Leaves with 77 where no Chromium is installed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Fleet, Worker, browser_of, folder, until } from "./fake_fleet.mjs";

const [fake_admin, node_modules, shots] = process.argv.slice(2);
const browser = await browser_of(node_modules), shot = folder(shots);
const axe = readFileSync(join(node_modules, "axe-core/axe.min.js"), "utf8");
Worker.program = fake_admin;
const fleet = new Fleet(5), [calm, loud, off, vague, dead] = fleet.workers;
fleet.slots = 32;
loud.events = [
  { at_ms: Date.now() - 71000, level: "info", event: "worker.started", text: "version 0.1.0" },
  { at_ms: Date.now() - 60000, level: "warn", event: "coordinator.disconnected", text: "no answer for 5 s" },
  { at_ms: Date.now() - 59000, level: "error", event: "worker.suspended", text: "offset 45 s" },
  { at_ms: Date.now() - 58500, level: "info", event: "slot.released", text: "slot 0/1 given back" },
];

for (const w of [calm, vague]) w.events = [{ at_ms: Date.now() - 30000 + w.number, level: "warn", event: "clock.state", text: "warn: the source is gone" }, { at_ms: Date.now() - 29000, level: "info", event: "clock.state", text: "ok again" }];

const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const errors = [];
page.on("pageerror", error => errors.push(error.message));
const text = id => page.textContent("#" + id);
const look = n => page.$eval(`#slots li:nth-child(${n + 1}) button`, b => b.dataset.look + ":" + b.children[1].textContent);
const rows = () => page.$$eval("#workers tr", list => list.map(r => r.children[1].textContent));
const reading = id => page.$$eval(`#chart-${id} figcaption i`, list => list.map(i => i.textContent.replaceAll("\u00a0", " ")));
const accessible = async where => {
  await page.evaluate(axe);
  assert.deepEqual(await page.evaluate(async () => (await window.axe.run()).violations.map(v => v.id + ": " + v.nodes.map(n => n.html).join(" | "))), [], where);
};

async function charts() {
  await until("an hour of all", async () => (await page.$eval("#chart-ids > svg path.s1", p => p.getAttribute("d").split("L").length)) > 300);
  assert.equal(await page.$$eval("#charts figure", list => list.length), 9);
  const axes = await page.$$eval("#charts figure > svg", list => list.map(svg => [...svg.querySelectorAll("text")].map(t => t.textContent.replaceAll("\u00a0", " "))));
  for (const labels of axes) {
    assert.ok(labels.filter(t => /^\d\d:\d\d$/.test(t)).length >= 3, "a time axis: " + labels);
    assert.ok(labels.filter(t => !/^\d\d:\d\d$/.test(t)).length >= 2, "a value axis: " + labels);
  }
  assert.match(await page.getAttribute("#chart-ids > svg", "aria-label"), /^IDs per second against the ceiling: now given 1\.\d+\sM, ceiling 20\.48\sM; least .*, most /);
  // The pointer reads every chart at one time; its going reads now again.
  const now = await reading("ids");
  await page.hover("#chart-refused > svg", { position: { x: 200, y: 60 } });
  assert.match(await text("time-text"), /^\d\d:\d\d:\d\d$/);
  assert.notDeepEqual(await reading("ids"), now);
  assert.match(await page.$eval("#chart-left .cross", n => n.getAttribute("d")), /^M/, "all charts show where it stands");
  await page.hover("h1");
  await until("now", async () => await text("time-text") === "now");
  // The same by keys, with words for who does not see it.
  await page.focus("#time");
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowLeft");
  assert.match(await page.getAttribute("#time", "aria-valuetext"), /^\d\d:\d\d:\d\d: given .*, ceiling .*, p99 served .*, offset .*/);
  const back = (Date.now() % 86400000) / 1000, [h, m, s] = (await page.evaluate(() => new Date(shown.t[reading()]).toISOString())).slice(11, 19).split(":").map(Number);
  assert.ok((back - (h * 3600 + m * 60 + s) + 86400) % 86400 < 60, "three points back are less than a minute");
  await page.keyboard.press("Escape");
  assert.equal(await text("time-text"), "now");
  // What stands in the lists is what is drawn: errors came up once, 12 a second of each of five, for so long that one column has them all.
  await page.click("#numbers summary");
  await until("a table", async () => (await page.$$eval("#numbers-body tr", list => list.length)) >= 60);
  await until("all five", async () => await page.evaluate(() => Math.max(...shown.errors.filter(Number.isFinite))) === 60);
  await page.click("#numbers summary");
  await page.check("[name=range][value='300000']");
  await until("five minutes", async () => await page.evaluate(() => shown.t.length) === 31);
  await page.check("[name=range][value='3600000']");
}

function trouble() {
  for (const w of [loud, calm]) { w.load = 3.2; w.refused = 30000; w.flood = 18; w.put("history.json", w.history()); }
  off.changes = { state: "suspended", ready: false, worker: null, why: "offset -45 s, over clock.max_offset_ms 1000",
    clock: { verdict: "bad", text: "offset -45 s", offset_ns: -45e9, error_ns: 27e6, synchronized: true, warn_offset_ms: 100, max_offset_ms: 1000 } };
  fleet.unbound.add(off);
  vague.changes = { clock: { verdict: "ok", text: "by the coordinator", offset_ns: 12e6, error_ns: 490e6, synchronized: false, warn_offset_ms: 100, max_offset_ms: 1000 } };
  dead.end();
  const gone = { datacenter: 0, address: null, admin: null, fence: 3, version: "", self: false };
  fleet.more = [{ ...gone, worker: 9, node: "host-9", since_ms: Date.now() - 754000, state: "lost", reason: "its claim is gone, its slot was not given back" },
    { ...gone, worker: 10, node: "host-10", since_ms: Date.now() - 1754000, state: "left", reason: "" }];
}

async function overload() {
  await until("refusing", async () => /^bad:refusing/.test(await look(1)), 5000);
  await until("what is the matter", async () => await text("banner-text") === "3 of 6 expected workers are ready, 3 are missing. Some requests are refused.", 5000);
  assert.equal(await page.getAttribute("#banner", "class"), "bad", "ready and refusing is not green");
  for (const words of [/host-2: suspended: offset -45 s/, /host-4: (lost|no answer)/, /0\/9 host-9: lost: its claim is gone, its slot was not given back \(12m/, /at their ceiling/])
    await until("a line for each: " + words, async () => words.test(await text("banner-more")));
  const tile = name => page.locator("#tiles > div", { has: page.locator("dt", { hasText: name }) });
  for (const [name, kind, words] of [["Refused per second", "bad", /60\skrefusing4\d\s% of requests/], ["Load", "warn", /216\s%over the ceiling/], ["Largest clock offset", "bad", /-45\ss ± 27\smsnot safe/],
    ["Workers ready", "bad", /3 of 63 not/], ["Errors per second", "good", /^Errors per second0/]]) {
    assert.match(await tile(name).textContent(), words);
    assert.match(await tile(name).getAttribute("class"), new RegExp("is-" + kind), name);
  }
  assert.equal(await look(9), "bad:lost, free");
  assert.equal(await look(10), "idle:free", "who left in good order is not missed");
  assert.match(await look(4), /^bad:(lost|no answer)$/);
}

async function table() {
  const order = await rows();
  assert.deepEqual(order, ["host-0", "host-1", "host-3", "host-4", "host-9", "host-10", "host-2"], "by slot, without a slot last");
  const head = name => page.locator("#workers-head th", { hasText: name });
  await head("Refused/s").locator("button").click();
  assert.equal(await head("Refused/s").getAttribute("aria-sort"), "descending");
  assert.deepEqual((await rows()).slice(0, 2).sort(), ["host-0", "host-1"]);
  assert.deepEqual((await rows()).slice(4), ["host-4", "host-9", "host-10"], "who has no figure comes last");
  await head("State").locator("button").focus();
  await page.keyboard.press("Enter");
  assert.equal(await head("State").getAttribute("aria-sort"), "ascending");
  assert.equal((await rows()).at(-1), "host-10", "the worst first");
  await page.fill("#filter", "host-9 lost");
  assert.deepEqual(await rows(), ["host-9"]);
  assert.equal(await text("filtered"), "1 of 7 shown");
  await page.fill("#filter", "");
  await page.check("#trouble");
  assert.deepEqual((await rows()).sort(), ["host-0", "host-1", "host-2", "host-4", "host-9"]);
  await page.uncheck("#trouble");
  await head("Slot").locator("button").click();
}

async function map() {
  const modes = { load: [/^h4:320\s%$/, /^h0:8\s%$/], drift: [/^h0:0\.2\sms ± 0\.9\sms$/, /^h3:12\sms ± 490\sms$/], exhausted: [/^h4:900\/s$/, /^h0:0\/s$/], up: [/^good:up 3h0/, /^good:up 3h0/] };
  for (const [mode, [of_loud, of_vague]] of Object.entries(modes)) {
    await page.check(`[name=mode][value=${mode}]`);
    assert.match(await look(1), of_loud);
    assert.match(await look(3), of_vague);
    assert.match(await look(9), mode === "up" ? /^bad:down 12m/ : /^bad:lost/);
    assert.ok(await page.$$eval("#legend li", list => list.length) >= 4);
    await page.locator("section", { has: page.locator("#slots") }).screenshot({ path: shot("console-map-" + mode) });
  }
  assert.match(await page.getAttribute("#slots li:nth-child(2) button", "aria-label"), /^slot 0\/1, refusing 42\s%, up up 3h/);
  await page.check("[name=mode][value=state]");
}

async function events() {
  const chain = await page.locator("#events > li", { hasText: "no answer for 5 s" });
  assert.match(await chain.textContent(), /warn 0\/1 host-1: no answer for 5 s coordinator\.disconnected.*→ .*error offset 45 s worker\.suspended.*→ .*slot 0\/1 given back/s, "what followed stands below what began it");
  const both = page.locator("#events > li", { hasText: "the source is gone" });
  assert.match(await both.first().textContent(), /warn 2 workers, one of them: warn: the source is gone clock\.state/, "what befell two at once is told once");
  await both.locator("summary").first().click();
  assert.match(await both.first().textContent(), /0\/0 host-0.*ok again.*0\/3 host-3.*ok again|0\/3 host-3.*ok again.*0\/0 host-0.*ok again/s);
  await until("it stays open", async () => await both.locator("details").first().getAttribute("open") !== null);
  await page.check("#grave");
  assert.ok(!/version 0\.1\.0/.test(await text("events")));
  await page.uncheck("#grave");
  assert.match(await text("events"), /version 0\.1\.0/);
}

async function one_worker() {
  await page.click("#workers a:text-is('host-1')");
  await until("its page", async () => await text("h-worker") === "Worker 0/1 on host-1");
  assert.equal(await page.evaluate(() => location.hash), "#worker/" + encodeURIComponent(loud.admin));
  assert.equal(await page.evaluate(() => document.activeElement.id), "h-worker", "a reader of screens is taken there");
  assert.match(await text("worker-text"), /^refusing 42\s% overloaded 30\sk\/s/);
  assert.ok(!await page.isVisible("#slots") && !await page.isVisible("#workers"));
  assert.match(await text("of-worker"), /Traffic.*overloaded 30\sk\/s.*latency served p50 \/ p95 \/ p99 \/ p99\.9.*210\sms/s);
  assert.match(await page.getAttribute("#chart-ids > svg", "aria-label"), /ceiling 4\.1\sM/);
  assert.ok(!/host-0|source is gone/.test(await text("events")), "its own events alone");
  await page.screenshot({ path: shot("console-worker"), fullPage: true });
  await accessible("a worker's page");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: shot("console-worker-dark"), fullPage: true });
  await page.goBack();
  await until("back", async () => await page.isVisible("#slots"));
  // By a link that somebody was sent: by slot, by node, of one that is lost, of one that nobody knows.
  for (const [link, words] of [["0/3", "Worker 0/3 on host-3"], ["host-9", "Worker 0/9 on host-9"], ["nobody", "No worker nobody is known here"]]) {
    await page.goto(`http://${calm.admin}/#worker/${encodeURIComponent(link)}`);
    await until(words, async () => await text("h-worker") === words);
  }
  await page.goto(`http://${calm.admin}/#`);
}

async function phone() {
  await page.setViewportSize({ width: 375, height: 740 });
  for (const scheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: shot("console-trouble-phone-" + scheme), fullPage: true });
    await accessible("phone in trouble, " + scheme);
  }
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 375), "nothing runs off a phone's side");
  for (const n of [0, 31]) {
    await page.locator("#slots button").nth(n).click();
    await until("its detail", async () => new RegExp("^Slot 0/" + n + ":").test(await text("detail")));
    const box = await page.locator("#detail").boundingBox();
    assert.ok(box.y >= 0 && box.y + box.height <= 740, "a tapped slot's detail is in view: " + JSON.stringify(box));
  }
  await page.screenshot({ path: shot("console-phone-slot") });
  await page.setViewportSize({ width: 1280, height: 900 });
}

try {
  await fleet.start();
  await page.goto(`http://${calm.admin}/`);
  await until("five ready workers", async () => await text("banner-text") === "5 of 5 expected workers are ready.");
  await charts();
  await page.screenshot({ path: shot("console-health"), fullPage: true });
  await page.evaluate(() => { for (const w of workers.values()) if (w.hour) Object.assign(w.hour, { points: [], last: 0, due_ms: 0 }); }); // the flood stands in an hour that it has read
  trouble();
  await overload();
  await until("the flood in the charts", async () => await page.evaluate(() => shown.refused.filter(x => x > 30000).length) > 15);
  await page.screenshot({ path: shot("console-trouble"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: shot("console-trouble-dark"), fullPage: true });
  await page.emulateMedia({ colorScheme: "light" });
  await accessible("in trouble");
  // A page that is opened now knows the same.
  await page.reload();
  await overload();
  await table();
  await map();
  await events();
  await one_worker();
  await phone();
  assert.deepEqual(errors, []);
  console.log("ok");
} finally {
  await browser.close();
  fleet.end();
}
