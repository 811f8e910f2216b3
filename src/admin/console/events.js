// --- what happened, the latest first: what followed within seconds on one worker stands below what began it, what befell several at once is told once ---
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

function line(e, who, several) {
  const at = make("time", { class: "soft", datetime: known(e.at_ms) ? new Date(e.at_ms).toISOString() : null }, moment(e.at_ms));
  return [at, " ", GRAVE.includes(e.level) ? make("span", { class: "tag " + (e.level === "error" ? "bad" : "warn") }, e.level) : null, GRAVE.includes(e.level) ? " " : null, who, who ? (several ? ", one of them: " : ": ") : null, e.text || e.event, " ", make("code", {}, e.event)];
}

// What began at the same time in the same way on several workers is told once.
function groups_of(chains) {
  const groups = [];
  for (const chain of chains) {
    // What began it is the first grave one, or else the first.
    const first = chain.events.find(e => GRAVE.includes(e.level)) || chain.events[0];
    const group = groups.find(g => g.first.event === first.event && g.level === chain.level && Math.abs(g.first.at_ms - first.at_ms) <= CHAIN_MS && !g.chains.some(c => c.key === chain.key));
    if (group) group.chains.push(chain); else groups.push({ first, level: chain.level, chains: [chain] });
  }
  return groups;
}

const who_of = chain => workers.has(chain.key) ? make("a", { href: link_of(workers.get(chain.key)) }, chain.who) : make("b", {}, chain.who);
const folds = new Map(); // groups that somebody opened or closed: how they are

function draw_group(group) {
  const { first, chains } = group, rest = chains.length === 1 ? chains[0].events.filter(e => e !== first) : [];
  const node = make("li", {}, ...line(first, chains.length === 1 ? who_of(chains[0]) : make("b", {}, count(chains.length, "worker", "workers")), chains.length > 1));
  if (chains.length === 1 && rest.length === 0) return node;
  const name = first.event + first.at_ms + chains.map(c => c.key), grave = GRAVE.includes(group.level), what = chains.length > 1 ? "each of them" : grave ? "before and after" : count(rest.length, "more", "more");
  const list = chains.length > 1 ? chains.map(c => make("li", {}, who_of(c), make("ol", {}, ...c.events.map(e => make("li", {}, ...line(e, null)))))) :
    chains[0].events.filter(e => e !== first).map(e => make("li", {}, chains[0].events.indexOf(e) > chains[0].events.indexOf(first) ? "→ " : "↑ before: ", ...line(e, null)));
  const fold = make("details", { open: (folds.has(name) ? folds.get(name) : chains.length === 1 && grave) ? "" : null }, make("summary", {}, what), make("ol", {}, ...list));
  fold.addEventListener("toggle", () => { folds.set(name, fold.open); });
  node.append(fold);
  return node;
}

function draw_events(only) {
  const grave = $("grave").checked, groups = groups_of(chains_of(all_events(only)).filter(c => !grave || c.level !== "info")).slice(0, EVENTS);
  const key = JSON.stringify([groups, new Date().toDateString()]);
  if ($("events").dataset.key === key) return;
  $("events").dataset.key = key;
  $("events").replaceChildren(...(groups.length ? groups.map(draw_group) : [make("li", { class: "soft" }, grave ? "no warnings or errors" : "none yet")]));
}
