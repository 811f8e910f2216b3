// --- the hours of some workers as one: a list for each figure, one value for each ten seconds, the last one for now ---
const COLUMNS = ["ids", "ceiling", "p50", "p99", "refused_p99", "refused", "errors", "exhausted", "waiting", "wanted", "load", "ready", "heard", "offset", "low", "high", "left"];

// What a worker says just now, as a point of its hour.
function point_now(w, now) {
  const s = w.status, r = recent(s), c = s.clock || {}, refused = ((s.latency_us || {})["10s"] || {}).refused || {};
  return { t: now, span_ms: STEP_MS, ids_per_s: w.ids_per_s, ceiling_per_s: ceiling_of(s), refused_per_s: r.refused, errors_per_s: errors_per_s(s), exhausted_per_s: r.exhausted,
    saturation: s.saturation, state: s.ready ? "ready" : s.state, waiting_most: Math.max(s.waiting || 0, r.waiting_most || 0), p50_us: recent_us(s, "p50"), p99_us: recent_us(s, "p99"), refused_p99_us: refused.p99, offset_ns: c.offset_ns, error_ns: c.error_ns,
    left_ms: s.worker === null || s.worker === undefined ? null : (s.reservation || {}).left_ms };
}

const ADDED = Object.entries({ ids: "ids_per_s", ceiling: "ceiling_per_s", refused: "refused_per_s", errors: "errors_per_s", exhausted: "exhausted_per_s", waiting: "waiting_most" });
const WORST = Object.entries({ p50: "p50_us", p99: "p99_us", refused_p99: "refused_p99_us" });
function add_point(to, i, p) {
  to.ready[i] = (to.ready[i] || 0) + (p.state === "ready");
  to.heard[i] = (to.heard[i] || 0) + 1;
  if (known(p.saturation) && p.ceiling_per_s > 0) to.wanted[i] = (to.wanted[i] || 0) + p.saturation * p.ceiling_per_s;
  for (const [name, of] of ADDED) if (known(p[of])) to[name][i] = (known(to[name][i]) ? to[name][i] : 0) + p[of];
  for (const [name, of] of WORST) if (known(p[of])) to[name][i] = Math.max(known(to[name][i]) ? to[name][i] : 0, p[of]);
  if (known(p.left_ms)) to.left[i] = Math.min(known(to.left[i]) ? to.left[i] : Infinity, p.left_ms);
  const off = p.offset_ns, error = p.error_ns || 0;
  if (known(off) && !(Math.max(Math.abs(to.low[i]), Math.abs(to.high[i])) >= Math.abs(off) + error)) { to.offset[i] = off; to.low[i] = off - error; to.high[i] = off + error; }
}

// The points of one worker into columns from, from + 1, ... up to before `end`. Each column takes the first point that is not before it.
function add_points_of(to, points, from, end) {
  let j = points.length;
  while (j > 0 && points[j - 1].t >= to.t[from]) j--;
  for (let i = from; i < end; i++) {
    while (j < points.length && points[j].t < to.t[i]) j++;
    if (j < points.length && points[j].t - (points[j].span_ms || STEP_MS) - STEP_MS / 2 <= to.t[i]) add_point(to, i, points[j]);
  }
}

// What lies further back than FRESH columns changes when an hour does, and with every new column. It may be the sum of a thousand hours: where hours come in, no more than
// a part of the time goes into it.
const FRESH = 3, CHEAP_MS = 20, PAUSES = 50;
let past = { key: "", to: null, hours: -1, cost_ms: 0, at_ms: 0 }, hours_taken = 0;

function past_of(some, t, key) {
  const start = performance.now(), to = { t };
  if (past.key === key && (past.hours === hours_taken || past.cost_ms > CHEAP_MS && start - past.at_ms < PAUSES * past.cost_ms)) return past.to;
  for (const name of COLUMNS) to[name] = new Array(t.length).fill(NaN);
  for (const w of some) if (w.hour) add_points_of(to, w.hour.points, 0, t.length - FRESH);
  past = { key, to, hours: hours_taken, cost_ms: performance.now() - start, at_ms: start };
  return to;
}

// {t: [...], ids: [...], ...}: sums of rates, the slowest latency, the clock that may be furthest off, the least that is left. NaN: nobody told.
function figures_of(some, range_ms) {
  const now = Date.now(), size = Math.round(range_ms / STEP_MS), first = Math.floor(now / STEP_MS) * STEP_MS - (size - 1) * STEP_MS;
  const t = Array.from({ length: size }, (_, i) => first + i * STEP_MS).concat(now), before = past_of(some, t, [size, first, ...some.map(w => w.key)].join(" "));
  const to = { t };
  for (const name of COLUMNS) to[name] = before[name].slice();
  for (const w of some) {
    const points = w.hour ? w.hour.points.slice(-2 * FRESH) : [];
    if (answers(w)) points.push(point_now(w, now));
    add_points_of(to, points, t.length - FRESH, t.length);
  }
  to.load = to.wanted.map((wanted, i) => wanted / to.ceiling[i]);
  return to;
}
