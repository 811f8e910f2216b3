// --- the figures of this moment: of the fleet, or of one worker. What is judged says so in a word; the colour repeats it ---
const tiles = new Map(); // name -> {root, dd}

function tile(name, big, small, kind, word) {
  let t = tiles.get(name);
  if (!t) {
    t = { dd: make("dd") };
    t.root = make("div", { class: "card" }, make("dt", {}, name), t.dd);
    tiles.set(name, t);
  }
  const text = [big, small, kind, word].join("|");
  if (t.dd.dataset.text === text) return t.root;
  t.dd.dataset.text = text;
  t.root.className = "card" + (kind ? " is-" + kind : "");
  t.dd.replaceChildren(...[big, word ? make("em", { class: kind }, word) : null, small ? make("small", {}, small) : null].filter(Boolean));
  return t.root;
}

// The slowest, the least, the worst of some.
function pick(some, of, better) {
  let best = NaN, who = null;
  for (const w of some) { const v = of(w.status); if (known(v) && (who === null || better(v, best))) { best = v; who = w; } }
  return { best, who };
}
const greater = (a, b) => a > b, less = (a, b) => a < b;

function draw_tiles(all, whole) {
  const some = all.filter(answers), d = demand_of(all), several = some.length > 1;
  const sum = of => some.reduce((a, w) => a + (Number(of(w.status)) || 0), 0);
  const by = x => several && x.who ? slot_name(x.who.status) + " " + node_of(x.who) : "";
  const used = [];
  const add = (...args) => used.push(tile(...args));
  if (whole) ready_tile(all, d, add);
  add("IDs per second", rate(some.reduce((a, w) => a + (w.ids_per_s || 0), 0)), d.ceiling > 0 ? "of " + rate(d.ceiling) + " that can be given" : "");
  add("Load", percent(d.load), "asked for, of what can be given", d.load >= SATURATION ? "warn" : known(d.load) ? "good" : null, d.load >= 1 ? "over the ceiling" : d.load >= SATURATION ? "saturated" : "");
  const q = name => pick(some, s => recent_us(s, name), greater), p99 = q("p99");
  add("Latency served p50 / p95 / p99, 10 s", [q("p50"), q("p95"), p99].map(x => micros(x.best)).join(" / "), several ? "slowest worker: " + (by(p99) || "–") : "");
  const refused = sum(s => recent(s).refused);
  add("Refused per second", rate(refused), d.part > 0 ? percent(d.part) + " of requests" : "10 s", d.part > REFUSING ? "bad" : some.length ? "good" : null, d.part > REFUSING ? "refusing" : "");
  const errors = sum(errors_per_s);
  add("Errors per second", rate(errors), "refused, not for want of IDs or by a limit", errors > 0 ? "warn" : some.length ? "good" : null, errors > 0 ? "errors" : "");
  add("Sequence exhausted per second", rate(sum(s => recent(s).exhausted)), number(sum(s => s.sequence_exhausted)) + " since start");
  add("Waiting requests", number(sum(s => s.waiting)), "most in 10 s: " + number(sum(s => recent(s).waiting_most)));
  const left = pick(some, s => s.worker === null || s.worker === undefined ? NaN : (s.reservation || {}).left_ms, less), part = left.who ? left.best / (left.who.status.reservation.window_ms || left.best || 1) : NaN;
  add(several ? "Least reservation left" : "Reservation left", left.who ? span(left.best) : "–", left.who ? "without the coordinator" + (several ? ", " + by(left) : "") : "no slot is held",
    part < .2 ? "bad" : part < .5 ? "warn" : known(part) ? "good" : null, part < .2 ? "nearly used up" : part < .5 ? "not renewed" : "");
  const off = pick(some, s => clock_bound_ns(s.clock), greater), c = off.who ? off.who.status.clock : {}, worst = some.map(w => clock_kind(w.status.clock)).sort((a, b) => "bad warn good idle".indexOf(a) - "bad warn good idle".indexOf(b))[0];
  add(several ? "Largest clock offset" : "Clock offset", off.who ? nanos(c.offset_ns) + " ± " + nanos(c.error_ns) : "–", by(off) || c.text || "", worst === "idle" ? null : worst,
    worst === "bad" ? "not safe" : worst !== "warn" ? "" : c.synchronized === false ? "not synchronised" : clock_bound_ns(c) > Math.abs(c.offset_ns) * 2 ? "known badly" : "warning");
  add("Connections", number(sum(s => s.connections)), several || !some[0] ? "of clients" : "up " + span(some[0].status.uptime_ms));
  if (whole) slots_tile(add);
  for (const root of [...$("tiles").children]) if (!used.includes(root)) root.remove();
  used.forEach((root, i) => { if ($("tiles").children[i] !== root) $("tiles").insertBefore(root, $("tiles").children[i] || null); });
}

function ready_tile(all, d, add) {
  const p = problems(all), waiting = (fleet && fleet.waiting) || 0, fewer = p.expected - d.ready;
  add("Workers ready", d.ready + " of " + p.expected, "expected" + (waiting ? "; " + count(waiting, "waits", "wait") + " for a slot" : ""), fewer > 0 ? (d.ready === 0 || p.kind === "bad" ? "bad" : "warn") : p.expected ? "good" : null, fewer > 0 ? fewer + " not" : "");
}

function slots_tile(add) {
  const slots = (fleet && fleet.slots) || [], free = slots.filter(s => s.state === "free").length, full = slots.length > 0 && free === 0;
  add("Slots free", slots.length ? String(free) : "–", slots.length ? "of " + slots.length + ", " + slots.filter(s => s.state === "quarantined").length + " quarantined" : "not read yet", full ? "warn" : slots.length ? "good" : null, full ? "full" : "");
}
