// --- charts: axes, units, and one time at which all are read ---
const CHARTS = [
  { id: "ids", title: "IDs per second against the ceiling", unit: "IDs/s", format: rate, series: [["ids", "given"], ["ceiling", "ceiling"]] },
  { id: "load", title: "Load: asked for, of what can be given", unit: "share", format: percent, series: [["load", "load"]], least: .1 },
  { id: "latency", title: "Latency of requests", unit: "logarithmic", format: micros, log: true, series: [["p50", "p50 served"], ["p99", "p99 served"], ["refused_p99", "p99 refused"]] },
  { id: "refused", title: "Requests without IDs", unit: "requests/s", format: rate, series: [["refused", "refused"], ["errors", "of them errors"]] },
  { id: "exhausted", title: "Sequence exhausted", unit: "times/s", format: rate, series: [["exhausted", "had to wait for the next millisecond"]] },
  { id: "waiting", title: "Waiting for a millisecond", unit: "requests, most seen", format: x => number(x), whole: true, series: [["waiting", "waiting"]] },
  { id: "clock", title: "Clock offset, and how exactly it is known", unit: "largest", format: nanos, signed: true, band: ["low", "high", "bound"], series: [["offset", "offset"]] },
  { id: "ready", title: "Workers ready", unit: "workers", format: x => number(x), whole: true, series: [["ready", "ready"], ["heard", "heard of"]], least: 1 },
  { id: "left", title: "Reservation left", unit: "least", format: span, series: [["left", "can mint without the coordinator for"]] },
];
const WIDTH = 400, HEIGHT = 130, LEFT = 54, RIGHT = 6, TOP = 8, BOTTOM = 18;
const charts = [];
let shown = null, read_at = null; // figures; the time at which they are read, null: now

function steps(low, high, n) { // round numbers between the two
  const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(x => x * power).find(x => x >= raw);
  const list = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) list.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return list;
}

function scale_of(spec, data) {
  const names = spec.series.map(s => s[0]).concat(spec.band ? spec.band.slice(0, 2) : []);
  const most = name => data[name].reduce((a, v) => known(v) && v > a ? v : a, -Infinity), least = name => data[name].reduce((a, v) => known(v) && v < a ? v : a, Infinity);
  if (spec.log) {
    const high = Math.max(...names.map(most)), low = Math.min(...names.map(least));
    const to = known(high) && high > 0 ? Math.ceil(Math.log10(high) + .05) : 3, from = Math.min(known(low) && low > 0 ? Math.floor(Math.log10(low)) : 1, to - 1);
    const ticks = Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
    return { y: v => (Math.log10(Math.max(v, 10 ** from)) - from) / (to - from), ticks: ticks.length > 5 ? ticks.filter((_, i) => (ticks.length - 1 - i) % 2 === 0) : ticks };
  }
  const given = spec.id === "ids" ? most("ids") : -Infinity;
  let high = Math.max(...names.map(most)), low = spec.signed ? Math.min(0, ...names.map(least)) : 0;
  // A ceiling far above is told in words: the line below it would lie on the floor.
  if (spec.id === "ids" && given > 0 && high > 5 * given) high = given;
  if (!known(high) || high <= low) high = low + (spec.id === "clock" ? 1e6 : spec.id === "left" ? 60000 : spec.least || 1);
  const room = (high - low) * .05;
  high += room;
  if (low < 0) low -= room;
  const unit = spec.id === "left" ? high > 7200000 ? 3600000 : high > 120000 ? 60000 : 1000 : 1;
  return { y: v => (v - low) / (high - low), ticks: steps(low / unit, high / unit, 4).filter(v => !spec.whole || Number.isInteger(v)).map(v => v * unit), high };
}

function new_chart(spec) {
  const legend = spec.series.map(([, words], i) => make("span", {}, draw_svg("svg", { "aria-hidden": "true" }, draw_svg("path", { class: "s" + (i + 1), d: "M0 4H26" })), " ", words, " ", make("i")));
  if (spec.band) legend.push(make("span", {}, draw_svg("svg", { "aria-hidden": "true" }, draw_svg("path", { class: "band", d: "M0 0H26V8H0Z" })), " ", spec.band[2], " ", make("i")));
  const svg = draw_svg("svg", { role: "img", "aria-label": spec.title + ": no figures yet" });
  const parts = { axes: draw_svg("g"), band: draw_svg("path", { class: "band" }), lines: spec.series.map((_, i) => draw_svg("path", { class: "s" + (i + 1) })),
    dots: spec.series.map((_, i) => draw_svg("circle", { r: 3.5, class: "s" + (i + 1) })), cross: draw_svg("path", { class: "cross" }) };
  svg.append(parts.axes, parts.band, ...parts.lines.slice().reverse(), parts.cross, ...parts.dots);
  const root = make("figure", { id: "chart-" + spec.id }, make("figcaption", {}, make("b", {}, spec.title + " ", make("span", { class: "soft" }, "(" + spec.unit + ")")), ...legend), svg);
  const chart = { spec, svg, root, parts, values: legend.map(x => x.lastElementChild) };
  const point = event => {
    const box = svg.getBoundingClientRect(), part = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    if (shown) read(Math.round(Math.max(0, Math.min(1, part)) * (shown.t.length - 1)));
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") read(null); });
  charts.push(chart);
  return root;
}

// Where a line is broken nobody told anything.
function path_of(xs, values, y) {
  let d = "", pen = false, run = 0;
  values.forEach((v, i) => {
    if (!known(v)) { if (pen && run === 1) d += "h1"; pen = false; run = 0; return; }
    d += (pen ? "L" : "M") + xs(i).toFixed(1) + " " + y(v).toFixed(1);
    pen = true;
    run++;
  });
  return d + (pen && run === 1 ? "h1" : "");
}
function band_of(xs, low, high, y) {
  let d = "", from = -1;
  for (let i = 0; i <= low.length; i++) {
    const there = i < low.length && known(low[i]);
    if (there && from < 0) from = i;
    if (there || from < 0) continue;
    const up = [], down = [];
    for (let k = from; k < i; k++) { up.push(xs(k).toFixed(1) + " " + y(high[k]).toFixed(1)); down.unshift(xs(k).toFixed(1) + " " + y(low[k]).toFixed(1)); }
    d += "M" + up.concat(down).join("L") + "Z";
    from = -1;
  }
  return d;
}

function draw_axes(chart, width, scale, y, t) {
  const { axes } = chart.parts, from = t[0], to = t[t.length - 1], minutes = (to - from) / 60000;
  const step = [1, 2, 5, 10, 15, 20, 30].find(x => minutes / x <= (width > 330 ? 6 : 4)) * 60000, zone = new Date(from).getTimezoneOffset() * 60000;
  const nodes = scale.ticks.flatMap(v => [draw_svg("path", { class: "grid", d: "M" + LEFT + " " + y(v).toFixed(1) + "H" + (width - RIGHT) }),
    draw_svg("text", { x: LEFT - 5, y: (y(v) + 3.5).toFixed(1), "text-anchor": "end" }, chart.spec.format(v))]);
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) {
    const x = LEFT + (at - from) / (to - from) * (width - LEFT - RIGHT);
    nodes.push(draw_svg("path", { class: "grid", d: "M" + x.toFixed(1) + " " + (HEIGHT - BOTTOM) + "v4" }));
    if (x > LEFT + 12 && x < width - 16) nodes.push(draw_svg("text", { x: x.toFixed(1), y: HEIGHT - 3, "text-anchor": "middle" }, clock_text(at)));
  }
  axes.replaceChildren(...nodes);
}

const reading = () => read_at === null ? shown.t.length - 1 : Math.max(0, shown.t.reduce((best, t, i) => Math.abs(t - read_at) < Math.abs(shown.t[best] - read_at) ? i : best, 0));

function draw_chart(chart) {
  const { spec, parts, svg } = chart, width = Math.max(200, Math.round(svg.clientWidth || WIDTH)), t = shown.t;
  const scale = scale_of(spec, shown), y = v => TOP + (1 - scale.y(v)) * (HEIGHT - TOP - BOTTOM);
  const xs = i => LEFT + (t[i] - t[0]) / (t[t.length - 1] - t[0]) * (width - LEFT - RIGHT);
  set(svg, "viewBox", "0 0 " + width + " " + HEIGHT);
  draw_axes(chart, width, scale, y, t);
  const inside = values => scale.high === undefined ? values : values.map(v => v > scale.high ? NaN : v);
  spec.series.forEach(([name], i) => set(parts.lines[i], "d", path_of(xs, inside(shown[name]), y)));
  if (spec.band) set(parts.band, "d", band_of(xs, shown[spec.band[0]], shown[spec.band[1]], y));
  const at = reading(), x = xs(at).toFixed(1);
  set(parts.cross, "d", read_at === null ? "" : "M" + x + " " + TOP + "V" + (HEIGHT - BOTTOM));
  spec.series.forEach(([name], i) => {
    const v = shown[name][at], seen = known(v) && !(scale.high < v);
    set(parts.dots[i], "visibility", seen ? "visible" : "hidden");
    if (seen) { set(parts.dots[i], "cx", x); set(parts.dots[i], "cy", y(v).toFixed(1)); }
    put(chart.values[i], spec.format(v) + (known(v) && scale.high < v ? " (above)" : ""));
  });
  if (spec.band) put(chart.values[spec.series.length], "± " + spec.format((shown[spec.band[1]][at] - shown[spec.band[0]][at]) / 2));
  const seen = shown[spec.series[spec.id === "latency" ? 1 : 0][0]].filter(known);
  set(svg, "aria-label", spec.title + ": " + (seen.length ? "now " + words_at(spec, t.length - 1) + "; least " + spec.format(Math.min(...seen)) + ", most " + spec.format(Math.max(...seen)) : "no figures yet"));
}

const words_at = (spec, i) => spec.series.map(([name, words]) => words + " " + spec.format(shown[name][i])).join(", ");

// Until somebody chooses: no longer than there is anything to see.
let range_chosen = false;
function range_of(some) {
  const inputs = [...document.querySelectorAll("[name=range]")];
  if (!range_chosen) {
    const oldest = Math.max(0, ...some.map(w => Math.max(w.hour && w.hour.points.length ? Date.now() - w.hour.points[0].t : 0, answers(w) ? w.status.uptime_ms || 0 : 0)));
    (inputs.find(input => Number(input.value) >= oldest) || inputs[inputs.length - 1]).checked = true;
  }
  return Number(inputs.find(input => input.checked).value);
}

function draw_charts(some) {
  shown = figures_of(some, range_of(some));
  if (read_at !== null && read_at < shown.t[0]) read_at = shown.t[0];
  show_reading();
  charts.forEach(draw_chart);
  if ($("numbers").open) draw_numbers();
}

function show_reading() {
  const slider = $("time"), last = shown.t.length - 1, at = reading();
  set(slider, "max", last);
  if (slider.value !== String(at)) slider.value = at;
  put($("time-text"), read_at === null ? "now" : clock_text(shown.t[at], true));
  $("time-now").disabled = read_at === null;
  set(slider, "aria-valuetext", read_at === null ? "now" : clock_text(shown.t[at], true) + ": " + CHARTS.map(spec => words_at(spec, at)).join(", "));
}

function read(i) {
  read_at = i === null || i >= shown.t.length - 1 ? null : shown.t[i];
  show_reading();
  charts.forEach(draw_chart);
}

// Once a minute is enough for a table.
function draw_numbers() {
  const columns = CHARTS.flatMap(spec => spec.series.map(([name, words]) => ({ name, words, spec })));
  if (!$("numbers-head").firstChild) $("numbers-head").append(make("tr", {}, make("th", { scope: "col" }, "Time"), ...columns.map(c => make("th", { scope: "col", class: "n" }, c.words))));
  const rows = shown.t.map((_, i) => i).filter(i => (shown.t.length - 1 - i) % (shown.t.length > 100 ? 6 : 1) === 0).reverse();
  $("numbers-body").replaceChildren(...rows.map(i => make("tr", {}, make("th", { scope: "row" }, clock_text(shown.t[i], true)), ...columns.map(c => make("td", { class: "n" }, c.spec.format(shown[c.name][i]))))));
}

function start_charts() {
  $("charts").append(...CHARTS.map(new_chart));
  $("time").addEventListener("input", () => { if (shown) read(Number($("time").value)); });
  $("time-now").addEventListener("click", () => { if (shown) { read(null); $("time").focus(); } });
  document.addEventListener("keydown", event => { if (event.key === "Escape" && shown) read(null); });
  new ResizeObserver(() => { if (shown) charts.forEach(draw_chart); }).observe($("charts"));
}
