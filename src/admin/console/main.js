// --- the page as a whole ---
let shown_route = null;

function banner(all) {
  const p = problems(all), stale = failures > 0, node = $("banner");
  let { kind, text, list } = p, age = "";
  if (denied) {
    kind = "warn"; list = [];
    text = token ? "This token is not known to the worker." : "This worker wants a token.";
  } else if (stale) {
    kind = "bad"; list = [];
    text = "Connection lost: the worker that serves this page does not answer (" + last_error + ").";
    age = self_ok_ms ? " What you see is " + span(performance.now() - self_ok_ms) + " old." : " Nothing was read yet.";
  } else if (list.length) text += " " + list[0].text;
  if (!stale && !denied && list.length) age = list[0].more;
  set(node, "class", kind);
  put($("banner-text"), text);
  put($("banner-age"), age);
  draw_problems(list.slice(1));
  document.title = (kind === "good" ? "" : "⚠ ") + "Snowfleet" + (fleet && fleet.fleet ? " " + fleet.fleet : "") + (shown_route ? " " + shown_route : "");
}

function draw_problems(list) {
  const root = $("banner-more"), some = list.slice(0, 6);
  while (root.children.length > some.length + (list.length > some.length ? 1 : 0)) root.lastElementChild.remove();
  some.forEach((p, i) => {
    let li = root.children[i];
    if (!li || !li.firstElementChild || li.firstElementChild.tagName !== (p.worker ? "A" : "SPAN")) {
      const fresh = make("li", {}, make(p.worker ? "a" : "span"), make("span"));
      if (li) li.replaceWith(fresh); else root.append(fresh);
      li = fresh;
    }
    if (p.worker) set(li.firstElementChild, "href", link_of(p.worker));
    put(li.firstElementChild, p.text);
    put(li.lastElementChild, p.more);
  });
  if (list.length > some.length) {
    if (!root.children[some.length]) root.append(make("li"));
    put(root.children[some.length], "and " + (list.length - some.length) + " more: see the table, sorted by state");
  }
}

function draw_route(w) {
  const name = route();
  for (const id of ["worker-head", "of-worker"]) $(id).hidden = name === null;
  $("of-fleet").hidden = name !== null;
  put($("h-charts"), name === null ? "The fleet over time" : "This worker over time");
  if (name !== null) draw_worker(name, w);
  if (name !== shown_route) {
    const back = shown_route;
    shown_route = name;
    scrollTo(0, 0);
    if (name !== null) $("h-worker").focus({ preventScroll: true }); else if (back !== null) $("h-workers").focus();
  }
}

function draw() {
  reached = places = null;
  const all = [...workers.values()], self = workers.get("self") || {}, name = route(), one = name === null ? null : find_worker(name), some = name === null ? all : one ? [one] : [];
  document.body.classList.toggle("stale", failures > 0);
  if ($("login").hidden === denied) { $("login").hidden = !denied; if (denied) $("token").focus(); }
  put($("fleet"), fleet && fleet.fleet ? fleet.fleet : self.status && self.status.fleet || "");
  put($("served"), self.status ? "served by " + node_of(self) + " " + slot_name(self.status) + ", version " + (self.status.version || "?") : "");
  banner(all);
  draw_route(one);
  draw_tiles(some, name === null);
  draw_charts(some);
  if (name === null) { draw_slots(); draw_workers(all); }
  draw_events(one);
}

$("login").addEventListener("submit", event => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
});
$("skip").addEventListener("click", event => { event.preventDefault(); $(route() === null ? "h-workers" : "h-worker").focus(); });
$("slots").addEventListener("keydown", walk_slots);
$("ranges").addEventListener("change", () => { range_chosen = true; });
for (const id of ["modes", "ranges", "grave", "numbers"]) $(id).addEventListener(id === "numbers" ? "toggle" : "change", () => draw());
addEventListener("hashchange", () => draw());
start_charts();
start_workers();

(async function loop() {
  const start = performance.now();
  try { await turn(); draw(); } catch (error) { failures++; last_error = "page: " + error.message; console.error(error); }
  setTimeout(loop, Math.max(100, POLL_MS - (performance.now() - start)));
})();
