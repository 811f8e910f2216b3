// --- the page of one worker: #worker/ADDRESS, also #worker/SLOT and #worker/NODE ---
function route() {
  const part = location.hash.match(/^#worker\/(.+)$/);
  try { return part ? decodeURIComponent(part[1]) : null; } catch { return null; }
}

function find_worker(name) {
  const all = [...workers.values()];
  return all.find(w => w.key === name) || all.find(w => w.address === name && !old(w)) || all.find(w => w.address === name) ||
    all.find(w => slot_name(w.status || w.entry) === name && !old(w)) || all.find(w => node_of(w) === name && !old(w)) || all.find(w => slot_name(w.status || w.entry) === name || node_of(w) === name) || null;
}

const facts = (title, list) => make("section", { class: "card" }, make("h2", {}, title), make("table", {}, make("tbody", {}, ...list.map(([name, value, kind]) =>
  make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "wide" }, kind ? make("span", { class: "tag " + kind[0] }, kind[1]) : null, kind ? " " : null, value))))));
function table(title, heads, list, full) {
  return make("section", { class: "card" + (full ? " full" : "") }, make("h2", {}, title), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, make("table", {}, make("thead", {}, make("tr", {}, ...heads.map(h => make("th", { scope: "col" }, h)))),
    make("tbody", {}, ...list.map(cells => make("tr", {}, ...cells.map((c, i) => i === 0 ? make("th", { scope: "row" }, c) : make("td", { class: full || i === cells.length - 1 ? "wide" : null }, c))))))));
}
const tag = (kind, word) => make("span", { class: "tag " + kind }, word);

function traffic(s) {
  const spans = Object.keys(s.rates || {}), lines = [["IDs/s", r => rate(r.ids)], ["served/s", r => rate(r.served)], ["refused/s", r => rate(r.refused) + (refused_by(r) ? " (" + refused_by(r) + ")" : "")], ["exhausted/s", r => rate(r.exhausted)], ["waiting, most", r => number(r.waiting_most)]];
  const quantiles = of => ["p50", "p95", "p99", "p999"].map(q => micros((of || {})[q])).join(" / ");
  const list = lines.map(([name, of]) => [name, ...spans.map(x => of(s.rates[x]))]);
  for (const kind of ["served", "refused"]) list.push(["latency " + kind + " p50 / p95 / p99 / p99.9", ...spans.map(x => quantiles(((s.latency_us || {})[x] || {})[kind]))]);
  return table("Traffic", ["Last"].concat(spans), list, true);
}

function clock_parts(c) {
  const at = x => nanos(x.offset_ns) + " ± " + nanos(x.error_ns) + (known(x.age_ms) ? ", " + span(x.age_ms) + " ago" : "");
  const state = x => x.up === undefined ? x.state : x.up ? (x.synchronized ? "synchronised" : "up") : "down";
  const list = (c.sources || []).map(x => [x.name, tag(x.up ? x.synchronized ? "good" : "warn" : "bad", state(x)), at(x), x.text]).concat((c.servers || []).map(x => [x.name + (x.address ? " " + x.address : ""), x.state, at(x),
    number(x.answers) + " of " + number(x.polls) + " answered" + (x.refused ? ", " + x.refused + " refused: " + x.last_refusal : "")]));
  return table("Clock sources and servers", ["Name", "State", "Offset ± bound", "What it says"], list, true);
}

function parts_of(w) {
  const s = w.status, e = w.entry || {}, r = s.reservation || {}, c = s.clock || {}, co = s.coordinator || {}, renewals = r.renewals || {};
  const errors = Object.entries(s.errors || {}).filter(([, n]) => n > 0).map(([name, n]) => name.replaceAll("_", " ") + " " + number(n)).join(", ");
  return [
    table("Is it ready?", ["Check", "Passed", "Why"], (s.checks || []).map(x => [x.name, tag(x.ok ? "good" : "bad", x.ok ? "ok" : "failed"), x.text])),
    table("Slots", ["Slot", "State", "Left", "Why"], (s.slots || []).map(x => [x.worker === null ? "wanted" : x.datacenter + "/" + x.worker + ", fence " + x.fence, tag(x.state === "ready" ? "good" : TROUBLE.includes(x.state) ? "bad" : "wait", x.state), span(x.left_ms), x.why])),
    traffic(s),
    facts("Reservation and coordinator", [["left", span(r.left_ms) + " of " + span(r.window_ms)], ["reserved until", known(r.reserved_until_ms) && r.reserved_until_ms ? new Date(r.reserved_until_ms).toISOString() : "–"],
      ["renewals", number(renewals.ok) + " ok, " + number(renewals.uncertain) + " uncertain, " + number(renewals.lost) + " lost"],
      ["coordinator", (co.backend || "?") + ", heard " + span(co.silent_ms) + " ago", co.connected ? ["good", "connected"] : ["bad", "not connected"]], ["fleet", (s.fleet || "?") + " " + (s.fleet_id || ""), s.halted ? ["bad", "halted"] : null]]),
    facts("Clock", [["verdict", c.text || "–", [clock_kind(c), c.verdict || "?"]], ["offset ± bound", nanos(c.offset_ns) + " ± " + nanos(c.error_ns)], ["limits", "warns at " + number(c.warn_offset_ms) + " ms, suspends at " + number(c.max_offset_ms) + " ms"], ["steps seen", number(c.steps)]]),
    clock_parts(c),
    facts("Process", [["node", s.node || e.node || "?"], ["address", s.address || "–"], ["admin", s.admin || "–"], ["version", s.version + " (" + ((s.build || {}).commit || "?") + ")"], ["up", span(s.uptime_ms) + ", pid " + s.pid], ["connections", number(s.connections)],
      ["since start", number(s.ids_minted) + " IDs, " + number(s.requests) + " requests" + (errors ? "; refused: " + errors : "") + "; rate limited " + number(s.rate_limited) + ", bad frames " + number(s.bad_frames)]]),
  ];
}

function draw_worker(name, w) {
  const j = w ? judge(w) : null;
  put($("h-worker"), w ? "Worker " + slot_name(w.status || w.entry) + " on " + node_of(w) : "No worker " + name + " is known here");
  const text = !w ? "It may have gone more than an hour ago, or this page has not heard of it yet." : (j.why ? j.why : j.kind === "good" ? "Nothing is the matter." : "") + (j.since_ms ? " Since " + span(Date.now() - j.since_ms) + "." : "") + (!answers(w) && w.status ? " Its figures below are the last that this page has." : "");
  if ($("worker-text").dataset.text !== (j ? j.kind + j.word : "") + text) {
    $("worker-text").dataset.text = (j ? j.kind + j.word : "") + text;
    $("worker-text").replaceChildren(...(j ? [tag(j.kind, j.word), " "] : []), text);
  }
  if (!w || !w.status) { $("of-worker").replaceChildren(); return; }
  // The tables hold nothing to click; where somebody scrolls or selects in them they are left alone for a moment.
  const root = $("of-worker"), busy = root.contains(document.activeElement) || !getSelection().isCollapsed && root.contains(getSelection().anchorNode);
  if (!busy || root.dataset.of !== w.key) root.replaceChildren(make("div", { class: "parts" }, ...parts_of(w)));
  root.dataset.of = w.key;
}
