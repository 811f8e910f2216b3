// --- how well a worker, a slot, the fleet does: a colour and a word, by what was asked of it and what it can give ---
const REFUSING = .01, SATURATION = .9, ROOM = .7; // as `snowfleet top` judges
const TROUBLE = ["suspended", "resyncing", "halted", "exhausted", "lost"];

// Of requests that got IDs in the last ten seconds; of a worker that does not tell that, since its start.
function recent_us(s, q) { return s.latency_us ? ((s.latency_us["10s"] || {}).served || {})[q] : (s.latency || {})[q + "_us"]; }
const recent = s => (s && s.rates || {})["10s"] || {};
function refused_part(r) { return r.refused > 0 ? r.refused / ((r.served || 0) + r.refused) : 0; }
function refused_by(r) {
  return Object.entries(r.refused_by || {}).sort((a, b) => b[1] - a[1]).map(([name, n]) => name.replaceAll("_", " ") + " " + rate(n) + "/s").join(", ");
}
function errors_per_s(s) { // of what was refused, what was neither too much nor over a limit
  const by = recent(s).refused_by || {};
  return Object.entries(by).reduce((sum, [name, n]) => sum + (["overloaded", "rate_limited"].includes(name) ? 0 : n), 0);
}
function ceiling_of(s) {
  if (!s || !s.layout || !known(s.layout.sequence)) return NaN;
  const held = s.slots ? s.slots.filter(x => x.worker !== null).length : s.worker !== null && s.worker !== undefined ? 1 : 0;
  return held * 1000 * 2 ** s.layout.sequence;
}
// How far from true time it may be: what was measured, and how exactly.
const clock_bound_ns = c => c && known(c.offset_ns) ? Math.abs(c.offset_ns) + (c.error_ns || 0) : NaN;
function clock_kind(c) {
  if (!c || !c.verdict) return "idle";
  if (c.verdict === "bad") return "bad";
  return c.verdict === "warn" || c.synchronized === false || clock_bound_ns(c) > (c.warn_offset_ms || Infinity) * 1e6 ? "warn" : "good";
}

const answers = w => Boolean(w.status) && !w.lost;
const is_gone = e => Boolean(e) && (e.state === "lost" || e.state === "left");

function judge_answer(s) {
  if (s.state === "draining" || s.state === "stopped") return ["warn", s.state, s.why || "it was told to leave"];
  if (s.state !== "ready") return [TROUBLE.includes(s.state) ? "bad" : "wait", s.state, s.why];
  if (!s.ready) return ["bad", "not ready", (s.checks || []).filter(c => !c.ok).map(c => c.name + ": " + c.text).join("; ")];
  const c = s.clock || {}, part = refused_part(recent(s));
  if (c.verdict === "bad") return ["bad", "clock bad", c.text];
  if (part > REFUSING) return ["bad", "refusing " + Math.round(100 * part) + NB + "%", refused_by(recent(s))];
  if (s.saturation >= SATURATION) return ["warn", "saturated", "asked for " + percent(s.saturation) + " of what its slots can give"];
  if (c.verdict === "warn") return ["warn", "clock warning", c.text];
  if (s.coordinator && s.coordinator.connected === false) return ["warn", "no coordinator", "spends its reservation: " + span((s.reservation || {}).left_ms) + " left"];
  return ["good", "ready", ""];
}

// Behind a port forward a browser reaches one worker alone; where it reaches several, silence says something.
let reached = null; // as of this drawing
function reaches_others() {
  if (reached === null) reached = [...workers.values()].some(w => w.key !== "self" && w.status);
  return reached;
}

// {kind, word, why, since_ms}: since_ms only where something is the matter.
function judge(w) {
  const e = w.entry || {};
  if (answers(w)) {
    const [kind, word, why] = judge_answer(w.status);
    return { kind, word, why: why || "", since_ms: null };
  }
  if (e.state === "left") return { kind: "idle", word: "left", why: e.reason || "", since_ms: e.since_ms };
  if (e.state === "lost") return { kind: "bad", word: "lost", why: e.reason || "its claim is gone", since_ms: e.since_ms };
  if (w.lost) return { kind: "bad", word: "lost", why: "does not answer", since_ms: Date.now() - (performance.now() - w.answered_ms) };
  if (w.misses > 1 && e.admin && reaches_others()) return { kind: "bad", word: "no answer", why: "does not answer at " + e.admin, since_ms: null };
  if (e.state && e.state !== "ready") return { kind: TROUBLE.includes(e.state) ? "bad" : "wait", word: e.state, why: e.reason || "", since_ms: e.since_ms };
  return { kind: "idle", word: "no figures", why: e.admin ? "this page does not reach " + e.admin : "", since_ms: null };
}

function judge_slot(slot, w) {
  if (slot.state === "held") return w ? judge(w) : { kind: "idle", word: "no figures", why: "", since_ms: null };
  const lost = w && judge(w).word === "lost";
  if (slot.state === "free" || slot.state === "quarantined") {
    return { kind: lost ? "bad" : slot.state === "free" ? "idle" : "wait", word: (lost ? "lost, " : "") + slot.state, why: lost ? judge(w).why : "", since_ms: lost ? judge(w).since_ms : null };
  }
  return { kind: "bad", word: slot.state, why: "", since_ms: null };
}

// What the fleet can give and what is asked of it.
function demand_of(all) {
  const ready = all.filter(w => answers(w) && w.status.ready);
  const sum = pick => ready.reduce((a, w) => a + (Number(pick(w.status)) || 0), 0);
  const ceiling = sum(ceiling_of), wanted = sum(s => (s.saturation || 0) * ceiling_of(s));
  const served = all.filter(answers).reduce((a, w) => a + (recent(w.status).served || 0), 0), refused = all.filter(answers).reduce((a, w) => a + (recent(w.status).refused || 0), 0);
  return { ready: ready.length, ceiling, load: ceiling > 0 ? wanted / ceiling : NaN, part: refused_part({ served, refused }) };
}

// The worst first: {kind, text, more, worker}. `more` may change every second, `text` may not.
function problems(all) {
  const d = demand_of(all), expected = all.filter(w => !["left", "draining", "stopped"].includes(judge(w).word)), list = [];
  const missing = expected.filter(w => !["good", "warn", "idle"].includes(judge(w).kind) && !/^refusing|^clock bad/.test(judge(w).word));
  const tight = !(d.load < ROOM) || d.part > REFUSING;
  if (d.part > REFUSING) list.push({ kind: "bad", text: (d.part > .5 ? "Most" : "Some") + " requests are refused.", more: " " + percent(d.part) + " of those of the last 10 s." });
  if (d.ready > 0 && d.load >= SATURATION) list.push({ kind: "warn", text: "The workers that are ready are at their ceiling: add workers, or slots.", more: " Asked for is " + percent(d.load) + "." });
  for (const w of expected) {
    const j = judge(w);
    if (["good", "idle"].includes(j.kind) || j.word === "saturated") continue;
    // Who is not there matters as far as the others cannot do without.
    const spared = missing.includes(w) && j.word !== "halted" && !tight && d.ready > 0, kind = j.kind === "bad" && !spared ? "bad" : "warn", fleeting = /^refusing/.test(j.word);
    list.push({ kind, worker: w, text: slot_name(w.status || w.entry) + " " + node_of(w) + ": " + (fleeting ? "refusing" : j.word), more: (j.why ? ": " + j.why : "") + (j.since_ms ? " (" + span(Date.now() - j.since_ms) + ")" : "") });
  }
  if (fleet && fleet.stale) list.push({ kind: "warn", text: "The coordinator cannot be reached" + (fleet.text ? " (" + fleet.text + ")" : "") + ".", more: " Slots are as read " + span(fleet.read_age_ms) + " ago." });
  if (all.some(w => answers(w) && w.status.halted)) list.push({ kind: "bad", text: "The fleet is halted: the coordinator lost data, and no slot is granted until snowfleet init --after-data-loss.", more: "" });
  list.sort((a, b) => (a.kind === "bad" ? 0 : 1) - (b.kind === "bad" ? 0 : 1));
  const kind = d.ready === 0 || list.some(p => p.kind === "bad") ? "bad" : list.length ? "warn" : "good";
  const silent = all.filter(w => !answers(w) && judge(w).word === "no figures").length;
  const text = d.ready + " of " + expected.length + " expected workers " + (expected.length === 1 ? "is" : "are") + " ready" +
    (missing.length ? ", " + missing.length + (missing.length === 1 ? " is" : " are") + " missing" : "") + (silent ? "; " + count(silent, "is", "are") + " not reached by this page" : "") + ".";
  return { kind, text, list, expected: expected.length, ...d };
}
