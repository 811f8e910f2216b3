// --- asking: every second /fleet and /status of this worker, /status of every other live one (of more than a hundred, of a hundred in turn); what is new of their hours each ten seconds ---
const POLL_MS = 1000, ASK_MS = 2500, LOST_MS = 500, REMEMBER_MS = 3600000, STEP_MS = 10000, HISTORIES_AT_ONCE = 4, ASKS_A_SECOND = 100;
const workers = new Map();   // "self", or an admin address, or where somebody was -> {key, address, entry, status, answered_ms, lost, hour}
const seen_events = [];
let token = "", denied = false; // shown to every worker; nowhere but here
let fleet = null, self_ok_ms = 0, failures = 0, last_error = "", histories = 0;

async function ask(url) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), ASK_MS);
  try {
    const answer = await fetch(url, { signal: stop.signal, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", headers: token ? { Authorization: "Bearer " + token } : {} });
    if (answer.status === 401) throw Object.assign(new Error("a token is needed"), { denied: true });
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    return await answer.json();
  } finally { clearTimeout(timer); }
}

const node_of = w => w.status && w.status.node || w.entry && w.entry.node || "?";
function say(w, level, event, text) {
  seen_events.unshift({ at_ms: Date.now(), level, event, text, who: slot_name(w.status || w.entry) + " " + node_of(w), key: w.key });
  seen_events.length = Math.min(seen_events.length, 100);
}

function take(w, status) {
  const now = performance.now(), before = w.status;
  if (before && w.lost) say(w, "info", "seen by this page", "answers again");
  if (before && before.fleet_id === status.fleet_id && now > w.answered_ms && before.pid === status.pid) {
    w.ids_per_s = Math.max(0, (status.ids_minted - before.ids_minted) * 1000 / (now - w.answered_ms));
  } else w.ids_per_s = status.ids_per_s;
  const from = before && before.state, to = status.state;
  w.status = status; w.answered_ms = now; w.lost = false; w.misses = 0;
  if (from && from !== to) say(w, to === "ready" ? "info" : "warn", "seen by this page", from + " → " + to + (status.why ? ": " + status.why : ""));
}

function miss(w) {
  w.misses = (w.misses || 0) + 1;
  if (!w.status || w.lost || performance.now() - w.answered_ms < LOST_MS) return;
  w.lost = true;
  say(w, "error", "seen by this page", "does not answer");
}

// Who is in the fleet's list without an address to ask: the one that was last seen there, or a place of its own.
function key_of(entry) {
  if (entry.admin) return entry.admin;
  for (const w of workers.values()) {
    const at = w.status || w.entry || {};
    if (w.key !== "self" && node_of(w) === entry.node && at.datacenter === entry.datacenter && at.worker === entry.worker) return w.key;
  }
  return entry.node + " at " + slot_name(entry);
}

// Who came back under its name at another address: came after the other was last heard, since several may share a name.
function heir_of(w, live) {
  const heir = [...workers.values()].find(o => o !== w && live.has(o.key) && !is_gone(o.entry) && node_of(o) === node_of(w) && o.born_ms > w.answered_ms);
  if (heir && w.hour && !(heir.hour && heir.hour.points.length)) heir.hour = { ...w.hour, last: 0, started_ms: 0, due_ms: 0, asking: false }, hours_taken++;
  return heir;
}

function take_fleet(self, asks) {
  const live = new Set(["self"]), every_ms = POLL_MS * Math.ceil(workers.size / ASKS_A_SECOND);
  for (const entry of (fleet && (fleet.members || fleet.workers)) || []) {
    if (entry.self || (entry.admin && self.status && entry.admin === self.status.admin)) { self.entry = entry; continue; }
    const key = key_of(entry), w = workers.get(key) || { key, address: entry.admin, born_ms: performance.now() };
    workers.set(key, w);
    live.add(key);
    w.entry = entry;
    if (is_gone(entry)) { if (w.status) w.lost = true; continue; }
    if (!entry.admin || w.asking || performance.now() < w.due_ms) continue;
    w.asking = true;
    w.due_ms = performance.now() + every_ms - POLL_MS / 2;
    asks.push(ask(location.protocol + "//" + entry.admin + "/status").then(x => take(w, x), () => miss(w)).finally(() => { w.asking = false; }));
  }
  // Those whose claim has gone are asked no more: lost if they answered before, unless they said that they were leaving.
  for (const [key, w] of workers) {
    if (live.has(key)) continue;
    if (!w.status || w.status.state === "draining" || w.status.state === "stopped" || heir_of(w, live)) workers.delete(key);
    else miss(w);
    if (w.lost && performance.now() - w.answered_ms > REMEMBER_MS) workers.delete(key);
  }
}

async function turn() {
  const self = workers.get("self") || { key: "self", address: location.host };
  workers.set("self", self);
  const [f, s] = await Promise.allSettled([ask("/fleet"), ask("/status")]);
  denied = [f, s].some(x => x.status === "rejected" && x.reason && x.reason.denied);
  if (f.status === "fulfilled") fleet = f.value;
  if (s.status === "fulfilled") {
    take(self, s.value);
    self.address = s.value.admin || self.address;
    self_ok_ms = performance.now();
    failures = 0;
  } else { failures++; last_error = s.reason && s.reason.name === "AbortError" ? "no answer in time" : String(s.reason && s.reason.message || s.reason); miss(self); }
  const asks = [];
  take_fleet(self, asks);
  await Promise.race([Promise.allSettled(asks), new Promise(done => setTimeout(done, 700))]);
  for (const w of workers.values()) take_hour(w);
}

// A worker's hour lives in its memory: what this page has of it stays when the worker goes.
async function take_hour(w) {
  const hour = w.hour || (w.hour = { points: [], last: 0, started_ms: 0, due_ms: 0 });
  if (!answers(w) || hour.asking || performance.now() < hour.due_ms || histories >= HISTORIES_AT_ONCE) return;
  hour.asking = true;
  histories++;
  hour.due_ms = performance.now() + STEP_MS;
  try {
    const told = await ask((w.key === "self" ? "" : location.protocol + "//" + w.address) + "/history?after=" + hour.last);
    if (hour.last && told.started_ms !== hour.started_ms) { hour.last = 0; hour.due_ms = 0; } // another process: from its beginning
    else { add_points(hour, told); hour.last = told.last || 0; }
    hour.started_ms = told.started_ms;
  } catch { /* again when it is due */ } finally { hour.asking = false; histories--; }
}

function add_points(hour, told) {
  const now = Date.now(), names = Object.keys(told).filter(name => Array.isArray(told[name]));
  for (let i = 0; i < (told.age_ms || []).length; i++) {
    const point = { t: now - told.age_ms[i] };
    for (const name of names) point[name] = told[name][i];
    hour.points.push(point);
  }
  hours_taken++;
  hour.points.sort((a, b) => a.t - b.t);
  while (hour.points.length && hour.points[0].t < now - REMEMBER_MS - STEP_MS) hour.points.shift();
}
