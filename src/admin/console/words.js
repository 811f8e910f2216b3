// --- elements, numbers and times as words ---
const $ = id => document.getElementById(id);
function put(node, text) { if (node.textContent !== text) node.textContent = text; }
function set(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
function fill(node, attributes, children) {
  for (const [k, v] of Object.entries(attributes || {})) if (v !== null && v !== undefined) node.setAttribute(k, v);
  node.append(...children.filter(c => c !== null && c !== undefined).map(c => c instanceof Node ? c : String(c)));
  return node;
}
const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw_svg = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const known = x => typeof x === "number" && Number.isFinite(x);
const formats = new Map(); // to make one costs more than to draw a row
function number(x, digits = 0) {
  if (!known(x)) return "–";
  if (!formats.has(digits)) formats.set(digits, new Intl.NumberFormat("en", { maximumFractionDigits: digits }));
  return formats.get(digits).format(x);
}
const NB = "\u00a0"; // a number and its unit stay on one line
const percent = x => known(x) ? number(100 * x, x < .01 ? 2 : x < .1 ? 1 : 0) + NB + "%" : "–";
function rate(x) { return !known(x) ? "–" : x >= 1e6 ? number(x / 1e6, 2) + NB + "M" : x >= 1e4 ? number(x / 1e3, 1) + NB + "k" : number(x, x < 10 ? 1 : 0); }
function micros(x) { return !known(x) ? "–" : x >= 1e6 ? number(x / 1e6, 2) + NB + "s" : x >= 1000 ? number(x / 1000, 1) + NB + "ms" : number(x) + NB + "µs"; }
const nanos = x => known(x) ? (Math.abs(x) >= 1e9 ? number(x / 1e9, 3) + NB + "s" : number(x / 1e6, 2) + NB + "ms") : "–";
function span(ms) {
  if (!known(ms)) return "–";
  const s = Math.floor(Math.max(0, ms) / 1000), two = x => String(x).padStart(2, "0");
  if (s >= 172800) return Math.floor(s / 86400) + "d" + two(Math.floor(s / 3600) % 24) + "h";
  return s >= 3600 ? Math.floor(s / 3600) + "h" + two(Math.floor(s / 60) % 60) + "m" : s >= 60 ? Math.floor(s / 60) + "m" + two(s % 60) + "s" : s + "s";
}
const clock_text = (ms, seconds) => new Date(ms).toLocaleTimeString("en-GB", seconds ? {} : { hour: "2-digit", minute: "2-digit" });
function moment(ms) {
  if (!known(ms)) return "?";
  return new Date(ms).toDateString() === new Date().toDateString() ? clock_text(ms, true) : new Date(ms).toLocaleString("sv-SE"); // 2026-11-20 12:00:00
}
function count(n, one, many) { return n + " " + (n === 1 ? one : many); }
function slot_name(w) { return w && w.worker !== null && w.worker !== undefined ? w.datacenter + "/" + w.worker : "no slot"; }
