// --- what happened, in order: what followed within seconds on one worker stands below what began it ---
const EVENTS = 60, CHAIN_MS = 5000, GRAVE = ["warn", "error"];

function all_events(only) {
  const list = seen_events.filter(e => !only || e.key === only.key).map(e => ({ ...e, seen: true }));
  for (const w of only ? [only] : workers.values())
    for (const e of (w.status && w.status.events) || []) list.push({ at_ms: e.at_ms, level: e.level, event: e.event, text: e.text || "", who: slot_name(w.status) + " " + node_of(w), key: w.key });
  return list;
}

// Oldest first within a chain; the chains latest first. Of what this page saw itself only what the worker could not tell.
function chains_of(list) {
  const chains = [], open = new Map();
  list.map((e, i) => [e, i]).sort((a, b) => a[0].at_ms - b[0].at_ms || a[1] - b[1]).forEach(([e]) => {
    let chain = open.get(e.key);
    if (!chain || e.at_ms - chain.last_ms > CHAIN_MS) { chain = { key: e.key, who: e.who, events: [] }; open.set(e.key, chain); chains.push(chain); }
    chain.events.push(e);
    chain.last_ms = e.at_ms;
  });
  for (const chain of chains) chain.level = ["error", "warn"].find(l => chain.events.some(e => e.level === l)) || "info";
  return chains.reverse();
}

function line(e, who) {
  const at = make("time", { class: "soft", datetime: known(e.at_ms) ? new Date(e.at_ms).toISOString() : null }, moment(e.at_ms));
  return [at, " ", GRAVE.includes(e.level) ? make("span", { class: "tag " + (e.level === "error" ? "bad" : "warn") }, e.level) : null, GRAVE.includes(e.level) ? " " : null, who ? make("b", {}, who + ": ") : null, e.text || e.event, " ", make("code", {}, e.event)];
}

function draw_chain(chain) {
  // What began it is the first grave one, or else the first.
  const first = chain.events.find(e => GRAVE.includes(e.level)) || chain.events[0], after = chain.events.slice(chain.events.indexOf(first) + 1), before = chain.events.slice(0, chain.events.indexOf(first));
  const w = workers.get(chain.key), who = w ? make("a", { href: link_of(w) }, chain.who) : chain.who, node = make("li", {}, ...line(first, null));
  node.insertBefore(make("b", {}, who, ": "), node.childNodes[GRAVE.includes(first.level) ? 4 : 2]);
  if (before.length) node.append(make("ol", { "aria-label": "Before that" }, ...before.map(e => make("li", {}, ...line(e, null)))));
  if (after.length) node.append(make("ol", { "aria-label": "What followed" }, ...after.map(e => make("li", {}, "→ ", ...line(e, null)))));
  return node;
}

function draw_events(only) {
  const grave = $("grave").checked, chains = chains_of(all_events(only)).filter(c => !grave || c.level !== "info").slice(0, EVENTS);
  const key = JSON.stringify([chains, new Date().toDateString()]);
  if ($("events").dataset.key === key) return;
  $("events").dataset.key = key;
  $("events").replaceChildren(...(chains.length ? chains.map(draw_chain) : [make("li", { class: "soft" }, grave ? "no warnings or errors" : "none yet")]));
}
