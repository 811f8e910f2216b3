// --- the table of workers: sorted, filtered, the dead stay in it ---
const RANK = { bad: 0, warn: 1, wait: 2, good: 3, idle: 4 };
const place = w => { const s = w.status && w.status.worker !== null && w.status.worker !== undefined ? w.status : w.entry || w.status || {}; return (s.datacenter ?? 1e6) * 1e6 + (s.worker ?? 1e5); };
const live = (w, of) => answers(w) ? of(w.status) : NaN;
// name, words of the head, what is sorted by, what is shown; n: a number, the largest first
const TABLE = [
  { name: "slot", words: "Slot", of: place, text: w => slot_name(w.status && w.status.worker !== null ? w.status : w.entry || w.status) },
  { name: "node", words: "Node", of: w => node_of(w), text: w => node_of(w), link: true },
  { name: "state", words: "State", of: w => RANK[judge(w).kind] + judge(w).word },
  { name: "load", words: "Load", n: true, of: w => live(w, s => s.saturation), text: w => percent(live(w, s => s.saturation)) },
  { name: "ids", words: "IDs/s", n: true, of: w => live(w, () => w.ids_per_s), text: w => rate(live(w, () => w.ids_per_s)) },
  { name: "p99", words: "p99 served", n: true, of: w => live(w, s => recent_us(s, "p99")), text: w => micros(live(w, s => recent_us(s, "p99"))) },
  { name: "refused", words: "Refused/s", n: true, of: w => live(w, s => recent(s).refused), text: w => rate(live(w, s => recent(s).refused)) },
  { name: "errors", words: "Errors/s", n: true, of: w => live(w, errors_per_s), text: w => rate(live(w, errors_per_s)) },
  { name: "exhausted", words: "Exhausted/s", n: true, of: w => live(w, s => recent(s).exhausted), text: w => rate(live(w, s => recent(s).exhausted)) },
  { name: "waiting", words: "Waiting", n: true, of: w => live(w, s => s.waiting), text: w => number(live(w, s => s.waiting)) },
  { name: "clock", words: "Clock offset ± bound", n: true, of: w => live(w, s => clock_bound_ns(s.clock)), text: w => answers(w) && known((w.status.clock || {}).offset_ns) ? nanos(w.status.clock.offset_ns) + " ± " + nanos(w.status.clock.error_ns) + (w.status.clock.synchronized === false ? ", not synchronised" : "") : "–" },
  { name: "left", words: "Reserved", n: true, of: w => live(w, s => (s.reservation || {}).left_ms), text: w => span(live(w, s => s.worker === null ? NaN : (s.reservation || {}).left_ms)) },
  { name: "connections", words: "Connections", n: true, of: w => live(w, s => s.connections), text: w => number(live(w, s => s.connections)) },
];
let sorted = { name: "slot", up: true };
const rows = new Map(); // key -> row

const link_of = w => "#worker/" + encodeURIComponent(w.address || w.key);

// Rows that are drawn without being asked for: the browser lays all of them out each second.
const ROWS = 250;
let every_row = false;

function compare(a, b) {
  const x = a.value, y = b.value, none = v => typeof v === "number" && !Number.isFinite(v);
  if (none(x) || none(y)) return none(x) - none(y) || a.place - b.place; // who has no figure comes last, either way
  const order = typeof x === "string" ? x.localeCompare(y) : x - y;
  return (sorted.up ? order : -order) || a.place - b.place;
}

function matches(w, words) {
  const j = judge(w), e = w.entry || {}, s = w.status || {};
  const text = [slot_name(s), slot_name(e), node_of(w), j.word, j.why, s.address, s.admin, e.address, e.admin].join(" ").toLowerCase();
  return words.every(word => text.includes(word));
}

function new_row(w) {
  const cells = TABLE.map(c => c.name === "slot" ? make("th", { scope: "row" }) : make("td", { class: c.name === "clock" ? "n clock" : c.n ? "n" : c.name === "state" ? "wide" : null }));
  cells[1].append(make("a", { href: link_of(w) }));
  cells[2].append(make("span", { class: "tag" }), make("span", { class: "reason" }));
  return make("tr", {}, ...cells);
}

function draw_row(row, w) {
  const j = judge(w), cells = row.children;
  set(row, "aria-current", chosen !== null && chosen === slot_name(w.status || w.entry) ? "true" : null);
  row.dataset.look = j.kind;
  TABLE.forEach((c, i) => { if (c.name !== "state") put(c.link ? cells[i].firstElementChild : cells[i], c.text(w)); });
  set(cells[1].firstElementChild, "href", link_of(w));
  set(cells[2].firstElementChild, "class", "tag " + j.kind);
  put(cells[2].firstElementChild, j.word);
  put(cells[2].lastElementChild, j.why + (j.since_ms ? (j.why ? ", " : "") + span(Date.now() - j.since_ms) + " ago" : ""));
}

function draw_workers(all) {
  const there = all.filter(w => w.status || w.entry), words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = there.filter(w => matches(w, words) && (!$("trouble").checked || !["good", "idle"].includes(judge(w).kind)));
  const of = TABLE.find(c => c.name === sorted.name).of, ordered = wanted.map(w => ({ w, value: of(w), place: place(w) })).sort(compare).map(x => x.w);
  const drawn = every_row ? ordered : ordered.slice(0, ROWS), keys = new Set(drawn.map(w => w.key));
  put($("filtered"), drawn.length === there.length ? "" : drawn.length + " of " + there.length + " shown");
  $("every-row").hidden = drawn.length === ordered.length;
  for (const [key, row] of rows) if (!keys.has(key)) { row.remove(); rows.delete(key); }
  drawn.forEach((w, i) => {
    let row = rows.get(w.key);
    if (!row) rows.set(w.key, row = new_row(w));
    draw_row(row, w);
    if ($("workers").children[i] !== row) $("workers").insertBefore(row, $("workers").children[i] || null);
  });
}

function start_workers() {
  $("workers-head").append(make("tr", {}, ...TABLE.map(c => {
    const button = make("button", { type: "button" }, c.words), th = make("th", { scope: "col", class: c.n ? "n" : null, "aria-sort": sorted.name === c.name ? "ascending" : null }, button);
    button.addEventListener("click", () => {
      sorted = { name: c.name, up: sorted.name === c.name ? !sorted.up : !c.n };
      for (const other of $("workers-head").querySelectorAll("th")) set(other, "aria-sort", other === th ? (sorted.up ? "ascending" : "descending") : null);
      draw();
    });
    return th;
  })));
  $("every-row").addEventListener("click", () => { every_row = true; draw(); $("h-workers").focus(); });
  for (const id of ["filter", "trouble"]) $(id).addEventListener("input", () => draw());
}
