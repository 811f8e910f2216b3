// --- the map of slots: by state, load, drift, exhaustion, or who is up ---
let chosen = null;
const level = (x, edges) => "h" + edges.filter(edge => x >= edge).length;
const old = w => w && (w.lost || is_gone(w.entry));

// Each mode gives the colour, and a line of text that says the same.
const MODES = {
  state: { look: j => [j.kind, j.word], legend: [["good", "ready"], ["warn", "warning, saturated, draining"], ["bad", "lost, refusing, suspended, halted, exhausted, clock bad"], ["wait", "waiting, quarantined"], ["idle", "free, left, no figures"]] },
  load: { of: s => s.saturation, edges: [.1, .5, .7, .9], text: percent, legend: ["under 10 %", "10 to 50 %", "50 to 70 %", "70 to 90 %: requests begin to wait", "90 % and more: saturated"] },
  drift: { of: s => clock_bound_ns(s.clock) / ((s.clock || {}).max_offset_ms * 1e6), edges: [.01, .1, .5, 1], text: (x, s) => nanos(s.clock.offset_ns) + " ± " + nanos(s.clock.error_ns),
    legend: ["offset and bound under 1 % of clock.max_offset_ms", "1 to 10 %", "10 to 50 %", "50 to 100 %", "may be over it"] },
  exhausted: { of: s => recent(s).exhausted, edges: [.1, 10, 100, 500], text: x => rate(x) + "/s", legend: ["not exhausted", "under 10 a second", "10 to 100", "100 to 500", "500 and more"] },
  up: { look: (j, w) => w && answers(w) ? ["good", "up " + span(w.status.uptime_ms)] : j.kind === "bad" ? ["bad", "down" + (j.since_ms ? " " + span(Date.now() - j.since_ms) : "")] : [j.kind === "idle" ? "idle" : "wait", j.word],
    legend: [["good", "up, and for how long"], ["bad", "down: lost or broken"], ["wait", "quarantined, not asked"], ["idle", "nobody expected"]] },
};
const mode_of = () => document.querySelector("[name=mode]:checked").value;

function look_of(mode, slot, w) {
  const m = MODES[mode], j = judge_slot(slot, w);
  if (m.look) return m.look(j, w);
  if (!w || !answers(w)) return [j.kind === "bad" ? "bad" : "idle", j.word];
  const x = m.of(w.status);
  return known(x) ? [level(x, m.edges), m.text(x, w.status)] : ["idle", "not known"];
}

// Who is where, by slot and by admin address, as of this drawing: a map of a thousand slots is drawn each second.
let places = null;
function places_of() {
  if (places) return places;
  places = new Map();
  const add = (name, w) => { if (places.has(name)) places.get(name).push(w); else places.set(name, [w]); };
  for (const w of workers.values()) {
    const at = w.status || w.entry || {};
    add(at.datacenter + "/" + at.worker, w);
    if (w.status && w.status.admin) add(w.status.admin, w);
  }
  return places;
}

function worker_of(slot) {
  let lost = null;
  const at = places_of(), there = (at.get(slot.datacenter + "/" + slot.worker) || []).concat(slot.state === "held" && slot.admin && at.get(slot.admin) || []);
  for (const w of there) {
    if (!old(w)) return w;
    lost = w;
  }
  // A lost worker is shown where it was until somebody else holds the slot.
  if (lost && slot.state === "held" && slot.admin && slot.admin !== lost.address) return null;
  return lost && judge(lost).word === "left" ? null : lost;
}

function new_slot() {
  const button = make("button", { type: "button", class: "slot", tabindex: -1 }, make("b"), make("span"), make("br"), make("span"));
  button.addEventListener("click", () => { chosen = button.dataset.key; draw(); $("detail-box").scrollIntoView({ block: "nearest" }); });
  return make("li", {}, button);
}

function draw_slot(button, s) {
  const mode = mode_of(), w = worker_of(s), j = judge_slot(s, w), [kind, word] = look_of(mode, s, w), key = s.datacenter + "/" + s.worker;
  const small = mode !== "state" ? (word === j.word ? "" : j.word) : w && answers(w) && s.state === "held" ? rate(w.ids_per_s) + "/s" : s.state === "quarantined" ? span(s.reserved_until_ms - Date.now()) : j.since_ms ? span(Date.now() - j.since_ms) : "";
  button.dataset.key = key; button.dataset.look = kind;
  set(button, "class", "slot " + kind);
  set(button, "aria-pressed", chosen === key);
  put(button.children[0], String(s.worker)); put(button.children[1], word); put(button.children[3], small);
  set(button, "aria-label", "slot " + key + ", " + (mode === "state" ? word : j.word + ", " + mode + " " + word) + (s.node ? ", " + s.node : ""));
}

function draw_slots() {
  const by = new Map(), root = $("slots");
  for (const s of (fleet && fleet.slots) || []) { if (!by.has(s.datacenter)) by.set(s.datacenter, []); by.get(s.datacenter).push(s); }
  for (const [dc, list] of by) {
    let grid = root.querySelector(`ul[data-dc="${Number(dc)}"]`);
    if (!grid) {
      grid = make("ul", { class: "grid-slots", "data-dc": Number(dc) });
      root.append(make("h3", { class: "soft" }, "Datacenter " + dc), grid);
    }
    // Past this many, free slots are only counted: a phone has to draw them.
    const drawn = list.length > 128 ? list.filter(s => s.state !== "free") : list;
    while (grid.children.length > drawn.length) grid.lastElementChild.remove();
    while (grid.children.length < drawn.length) grid.append(new_slot());
    drawn.forEach((s, i) => draw_slot(grid.children[i].firstElementChild, s));
    set(grid, "aria-label", "Slots of datacenter " + dc + (drawn.length !== list.length ? "; " + (list.length - drawn.length) + " free ones are not drawn" : ""));
  }
  // One of them is reached by Tab; arrow keys lead to the others.
  const buttons = [...root.querySelectorAll("button")];
  if (buttons.length && !buttons.some(b => b.tabIndex === 0)) buttons[0].tabIndex = 0;
  draw_legend();
  draw_detail();
}

function draw_legend() {
  const mode = mode_of();
  if ($("legend").dataset.mode === mode) return;
  $("legend").dataset.mode = mode;
  const m = MODES[mode], items = m.look ? m.legend : m.legend.map((words, i) => ["h" + i, words]).concat([["bad", "down"], ["idle", "free, not known"]]);
  $("legend").replaceChildren(...items.map(([kind, words]) => make("li", { class: kind }, words)));
}

function draw_detail() {
  const slot = ((fleet && fleet.slots) || []).find(s => s.datacenter + "/" + s.worker === chosen);
  if (!slot) return;
  const w = worker_of(slot), s = w && w.status, j = judge_slot(slot, w);
  put($("detail"), "Slot " + chosen + ": " + (/^refusing/.test(j.word) ? "refusing" : j.word) + "; node " + (slot.node || "none") + ", fence " + slot.fence + ", address " + (slot.address || "none") + ", admin " + (slot.admin || "none"));
  put($("detail-more"), (j.why ? j.why + "; " : "") + (slot.reserved_until_ms ? "reserved until " + new Date(slot.reserved_until_ms).toISOString() : "never reserved") +
    (s && answers(w) ? "; clock " + ((s.clock || {}).text || "?") + "; up " + span(s.uptime_ms) + ", version " + s.version : "") + (j.since_ms ? "; since " + span(Date.now() - j.since_ms) : ""));
  $("detail-box").classList.add("chosen");
  $("detail-link").hidden = !w;
  if (w) set($("detail-link"), "href", link_of(w));
}

// Left and right to the neighbour, up and down a row, Home and End; Tab leaves them.
function walk_slots(event) {
  const buttons = [...$("slots").querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
  if (at < 0) return;
  const row = at + [...buttons.slice(at)].findIndex((b, i) => i > 0 && b.getBoundingClientRect().left === buttons[at].getBoundingClientRect().left), wide = row > at ? row - at : 1;
  const to = { ArrowRight: at + 1, ArrowDown: at + wide, ArrowLeft: at - 1, ArrowUp: at - wide, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  buttons[at].tabIndex = -1;
  const next = buttons[Math.max(0, Math.min(buttons.length - 1, to))];
  next.tabIndex = 0;
  next.focus();
}
