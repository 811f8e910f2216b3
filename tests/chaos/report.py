"""What a run found: the verdict, report.json and report.html (one file, no script, the plot is inline SVG)."""
import bisect
import collections
import html
import json

GAP_MS = 100
COLOURS = {"workers": "#c0392b", "coordinator": "#8e44ad", "edge": "#d68910"}


def ready_at(log, begin, end):
    """Was it seen ready at `begin` and all the way to `end`?"""
    at = bisect.bisect_right([t for t, _ in log], begin) - 1
    return at >= 0 and log[at][1] and all(ready for t, ready in log[at + 1:] if t <= end)


def healthy(field, faults, begin, end):
    """How many workers were ready from half a second before to half a second after, and touched by no fault."""
    touched = {n for f in faults if f["from"] - 0.5 < end and f.get("to", end) + 0.5 > begin for n in f["nodes"]}
    return sum(node.index not in touched and ready_at(node.ready_log, begin - 0.5, end + 0.5) for node in field.nodes)


def read_events(path):
    seconds, outages = [], []
    for line in path.read_text().splitlines():
        event = json.loads(line)
        (outages if "client" in event else seconds).append(event)
    return seconds, outages


def summarise(field, lanes, load, checked, seconds, outages, run):
    faults = sorted((r for lane in lanes for r in lane.records), key=lambda r: r["from"])
    kinds = collections.Counter(r["kind"] for r in faults)
    for outage in outages:
        begin = outage["t"] - outage["after_ms"] / 1000
        outage["healthy"] = healthy(field, faults, begin, outage["t"])
    covered = [o for o in outages if o["healthy"] >= 2]
    longest = [0.0] * len(load["clients"])
    for outage in covered:
        longest[outage["client"]] = max(longest[outage["client"]], outage["after_ms"])
    exits = [{"worker": n.name, "code": code, "t": t} for n in field.nodes for t, code, expected in n.exits if not expected]
    result = {
        **run, "faults": len(faults), "kinds": len(kinds), "faults_by_kind": dict(sorted(kinds.items())),
        "ids": checked["ids"], "ids_received": load["ids"], "duplicates": checked["duplicates"],
        "order_errors": checked["order_errors"] + load["order_errors"], "checker": checked,
        "protocol_errors": load["protocol_errors"], "broken_answers": load["broken_answers"], "client_errors": load["client_errors"], "raw_statuses": load["raw_statuses"],
        "raw_connects": load["raw_connects"], "raw_lost": load["raw_lost"], "raw_silent": load["raw_silent"],
        "clients": [{**c, "longest_after_ms_with_two_healthy": round(longest[i], 1)} for i, c in enumerate(load["clients"])],
        "outages": len(outages), "outages_with_two_healthy": len(covered),
        "gaps_over_limit_with_two_healthy": sorted((o for o in covered if o["after_ms"] > GAP_MS), key=lambda o: -o["after_ms"])[:50],
        "longest_gap_ms_with_two_healthy": max(longest, default=0), "unexpected_exits": exits,
        "problems": [p for lane in lanes for p in lane.problems],
    }
    result["failures"] = verdict(result, run["expected_ready"])
    result["ok"] = not result["failures"]
    result["fault_list"] = faults
    return result, seconds, outages


def verdict(r, workers):
    """Reasons why the run failed. Gaps are reported, and judged by whoever knows how busy the machine was."""
    reasons = [f"{name}: {r['checker'][name]}" for name in ("duplicates", "sign_errors", "slot_errors", "time_errors", "shape_errors")
               if r["checker"][name]]
    if r["order_errors"]:
        reasons.append(f"order errors: {r['order_errors']}")
    if r["ids"] != r["ids_received"] or not r["ids"]:
        reasons.append(f"{r['ids_received']} IDs received, {r['ids']} checked")
    if r["protocol_errors"]:
        reasons.append(f"answers that break the protocol: {r['protocol_errors']}; the first: " + "; ".join(r["broken_answers"][:3]))
    reasons += [f"{e['worker']} ended by itself with {e['code']}" for e in r["unexpected_exits"]]
    reasons += r["problems"]
    if len(r["ready_at_end"]) < workers:
        reasons.append(f"only {', '.join(r['ready_at_end']) or 'none'} ready after all faults were healed")
    return reasons


def plot(field, r, seconds, outages, begin, end):
    width, top, lane_height = 1160, 220, 16
    faults = r["fault_list"]
    names = sorted({f["kind"] for f in faults}, key=lambda k: (next(f["lane"] for f in faults if f["kind"] == k), k))
    height = top + 40 + lane_height * (len(names) + len(field.nodes)) + 30
    left = 210

    def x(t):
        return left + (t - begin) / max(1, end - begin) * (width - left - 10)
    most = max((s["ids"] for s in seconds), default=1) or 1
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">']
    for share in (0, 0.5, 1):
        y = top - share * (top - 20)
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y}" y2="{y}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{most * share:,.0f} IDs/s</text>')
    points = " ".join(f"{x(s['t']):.1f},{top - s['ids'] / most * (top - 20):.1f}" for s in seconds)
    out.append(f'<polyline points="{points}" fill="none" stroke="#2471a3" stroke-width="1.5"/>')
    for o in outages:
        y = top - min(1, o["after_ms"] / 1000) * (top - 20)
        colour = "#c0392b" if o["healthy"] >= 2 and o["after_ms"] > GAP_MS else "#999"
        out.append(f'<circle cx="{x(o["t"]):.1f}" cy="{y:.1f}" r="2" fill="{colour}"><title>client {o["client"]}: {o["after_ms"]} ms'
                   f' after notice, {o["healthy"]} healthy workers</title></circle>')
    y = top + 30
    for name in names:
        out.append(f'<text x="{left - 6}" y="{y + 11}" text-anchor="end">{name}</text>')
        for f in faults:
            if f["kind"] == name:
                w = max(2, x(f.get("to", end)) - x(f["from"]))
                out.append(f'<rect x="{x(f["from"]):.1f}" y="{y + 2}" width="{w:.1f}" height="{lane_height - 4}" fill="{COLOURS[f["lane"]]}">'
                           f'<title>{html.escape("; ".join(f["what"]))}</title></rect>')
        y += lane_height
    for node in field.nodes:
        out.append(f'<text x="{left - 6}" y="{y + 11}" text-anchor="end">{node.name} ready</text>')
        for i, (t, ready) in enumerate(node.ready_log):
            until = node.ready_log[i + 1][0] if i + 1 < len(node.ready_log) else end
            if ready and until > begin:
                a = x(max(t, begin))
                out.append(f'<rect x="{a:.1f}" y="{y + 4}" width="{max(0, x(min(until, end)) - a):.1f}" height="{lane_height - 8}" fill="#27ae60"/>')
        y += lane_height
    for i in range(0, 11):
        t = begin + (end - begin) * i / 10
        out.append(f'<text x="{x(t):.1f}" y="{y + 16}" text-anchor="middle">{t - begin:.0f} s</text>')
    return "\n".join(out) + "</svg>"


def table(rows, head):
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + f"</tr>{body}</table>"


def page(field, r, seconds, outages, begin, end):
    facts = [("verdict", "ok" if r["ok"] else "FAILED: " + "; ".join(r["failures"])), ("replay", r["replay"]),
             ("faults", f"{r['faults']} of {r['kinds']} kinds"), ("IDs checked", f"{r['ids']:,}"), ("duplicates", r["duplicates"]),
             ("order errors", r["order_errors"]), ("client outages", f"{r['outages']}, with two healthy workers {r['outages_with_two_healthy']}"),
             ("longest gap after notice, two healthy workers", f"{r['longest_gap_ms_with_two_healthy']:.1f} ms"),
             ("checker", f"{r['checker']['seconds']} s, {r['checker']['ids_per_s']:,.0f} IDs/s")]
    clients = [(i, f"{c['ids']:,}", c["outages"], c["longest_after_ms_with_two_healthy"], c["longest_after_ms"], c["longest_total_ms"])
               for i, c in enumerate(r["clients"])]
    faults = [(f"{f['from'] - begin:.1f}", f"{f.get('to', end) - f['from']:.1f}", f["lane"], f["kind"], "; ".join(f["what"]))
              for f in r["fault_list"]]
    return ("<!doctype html><html lang=en><meta charset=utf-8><title>Chaos</title><style>body{font-family:sans-serif;max-width:1200px;"
            "margin:2em auto;color:#222}table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:3px 8px;"
            "text-align:left;font-size:13px}svg{width:100%}</style>"
            f"<h1>Chaos: {html.escape(r['coordinator'])}, {r['seconds']} s, seed {r['seed']}</h1>" + table(facts, ("what", "value")) +
            "<h2>Over time</h2><p>Blue: IDs received each second. Dots: a client's time without service after it noticed a fault (full height: "
            "1 s); red where two healthy workers were there and it took over 100 ms. Bars: faults. Green: ready.</p>" +
            plot(field, r, seconds, outages, begin, end) +
            "<h2>Clients</h2>" + table(clients, ("client", "IDs", "outages", "longest gap after notice, two healthy (ms)",
                                                 "longest after notice (ms)", "longest in all (ms)")) +
            "<h2>Errors by kind</h2>" + table([("client library", k, v) for k, v in r["client_errors"].items()] +
                                             [("raw connections", k, v) for k, v in r["raw_statuses"].items()] +
                                             [("raw connections", "lost", r["raw_lost"]), ("raw connections", "silent", r["raw_silent"])],
                                             ("from", "kind", "count")) +
            "<h2>Faults</h2>" + table(faults, ("at (s)", "for (s)", "lane", "kind", "what")) + "</html>\n")
