// --- the hours of some workers as one: a list for each figure, one value for each ten seconds, the last one for now ---
const COLUMNS = ["ids", "ceiling", "p50", "p99", "refused_p99", "refused", "errors", "exhausted", "waiting", "wanted", "load", "ready", "heard", "offset", "low", "high", "left"];

// What a worker says just now, as a point of its hour.
function point_now(w, now) {
  const s = w.status, r = recent(s), c = s.clock || {}, refused = ((s.latency_us || {})["10s"] || {}).refused || {};
  return { t: now, span_ms: STEP_MS, ids_per_s: w.ids_per_s, ceiling_per_s: ceiling_of(s), refused_per_s: r.refused, errors_per_s: errors_per_s(s), exhausted_per_s: r.exhausted,
    saturation: s.saturation, state: s.ready ? "ready" : s.state, waiting_most: Math.max(s.waiting || 0, r.waiting_most || 0), p50_us: recent_us(s, "p50"), p99_us: recent_us(s, "p99"), refused_p99_us: refused.p99, offset_ns: c.offset_ns, error_ns: c.error_ns,
    left_ms: s.worker === null || s.worker === undefined ? null : (s.reservation || {}).left_ms };
}

const ADDED = { ids: "ids_per_s", ceiling: "ceiling_per_s", refused: "refused_per_s", errors: "errors_per_s", exhausted: "exhausted_per_s", waiting: "waiting_most" };
const WORST = { p50: "p50_us", p99: "p99_us", refused_p99: "refused_p99_us" };
function add_point(to, i, p) {
  to.ready[i] = (to.ready[i] || 0) + (p.state === "ready");
  to.heard[i] = (to.heard[i] || 0) + 1;
  if (known(p.saturation) && p.ceiling_per_s > 0) to.wanted[i] = (to.wanted[i] || 0) + p.saturation * p.ceiling_per_s;
  for (const [name, of] of Object.entries(ADDED)) if (known(p[of])) to[name][i] = (known(to[name][i]) ? to[name][i] : 0) + p[of];
  for (const [name, of] of Object.entries(WORST)) if (known(p[of])) to[name][i] = Math.max(known(to[name][i]) ? to[name][i] : 0, p[of]);
  if (known(p.left_ms)) to.left[i] = Math.min(known(to.left[i]) ? to.left[i] : Infinity, p.left_ms);
  const off = p.offset_ns, error = p.error_ns || 0;
  if (known(off) && !(Math.max(Math.abs(to.low[i]), Math.abs(to.high[i])) >= Math.abs(off) + error)) { to.offset[i] = off; to.low[i] = off - error; to.high[i] = off + error; }
}

// {t: [...], ids: [...], ...}: sums of rates, the slowest latency, the clock that may be furthest off, the least that is left. NaN: nobody told.
function figures_of(some, range_ms) {
  const now = Date.now(), size = Math.round(range_ms / STEP_MS), first = Math.floor(now / STEP_MS) * STEP_MS - (size - 1) * STEP_MS;
  const to = { t: Array.from({ length: size }, (_, i) => first + i * STEP_MS).concat(now) };
  for (const name of COLUMNS) to[name] = new Array(size + 1).fill(NaN);
  for (const w of some) {
    const points = (w.hour || { points: [] }).points.concat(answers(w) ? point_now(w, now) : []);
    let j = 0;
    to.t.forEach((t, i) => {
      while (j < points.length && points[j].t < t) j++;
      if (j < points.length && points[j].t - (points[j].span_ms || STEP_MS) - STEP_MS / 2 <= t) add_point(to, i, points[j]);
    });
  }
  to.load = to.wanted.map((wanted, i) => wanted / to.ceiling[i]);
  return to;
}
