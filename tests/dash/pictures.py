#!/usr/bin/env python3
"""Draws both dashboards as they stand on a live Prometheus, for who wants to look at them where there is no Grafana: a page for each, and with
Chromium a picture of it. usage: pictures.py URL DIR [MINUTES]"""
import datetime
import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import load

COLUMN, ROW, STEPS = 58, 34, 240
COLOURS = ("#2563a8", "#c2571a", "#2e7d4f", "#7b4ea3", "#8a6d00", "#b02a5b", "#3b8ea5", "#6b6b6b", "#a33", "#595")
NAMED = {"green": "#2e7d4f", "red": "#c62828", "orange": "#e08a00", "yellow": "#d4b106", "blue": "#2563a8", "light-blue": "#6aa7dd", "purple": "#7b4ea3",
         "dark-red": "#7f1d1d", "dark-gray": "#444", "gray": "#aaa"}


def ask(url, expr, end, seconds):
    body = urllib.parse.urlencode({"query": expr, "start": end - seconds, "end": end, "step": max(1, seconds / STEPS)}).encode()
    with urllib.request.urlopen(url.rstrip("/") + "/api/v1/query_range", body, timeout=60) as answer:
        return json.load(answer)["data"]["result"]


def number(value, unit):
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{1000 * value:.3g} ms" if abs(value) >= 1e-3 else f"{1e6 * value:.3g} us"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {letter}"
    return f"{value:.3g}"


def words(x, y, text, size=11, anchor="start", colour="#333", weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">{html.escape(str(text))}</text>'


def legend(text, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m.group(1), ""), text).strip() or json.dumps(labels)


def level(panel, value):
    colour = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return NAMED.get(colour, "#333")


def last(series):
    return next((float(v) for _, v in reversed(series["values"]) if v != "NaN"), None)


def stat(panel, series, width, height, _span):
    unit, out = panel["fieldConfig"]["defaults"]["unit"], []
    each = (height - 28) / max(1, len(series))
    for i, (name, one) in enumerate(series[:8]):
        value, y = last(one), 28 + i * each + each / 2
        if value is not None:
            out.append(words(10, y + 6, number(value, unit), min(24, each * 0.6), colour=level(panel, value), weight="bold"))
            out.append(words(width - 10, y + 6, name, 11, "end"))
    return out


def bars(panel, series, width, height, _span):
    out, most = [], max([last(one) or 0 for _, one in series] + [1e-9])
    each = (height - 30) / max(1, len(series))
    for i, (name, one) in enumerate(series):
        value, y = last(one) or 0, 28 + i * each
        out.append(f'<rect x="110" y="{y:.1f}" width="{(width - 190) * value / most:.1f}" height="{max(2, each - 4):.1f}" fill="{level(panel, value)}"/>')
        out.append(words(104, y + each / 2 + 3, name, 10, "end") + words(width - 8, y + each / 2 + 3, number(value, panel["fieldConfig"]["defaults"]["unit"]), 10, "end"))
    return out


def timeline(panel, series, width, height, span):
    mapping = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    out, each, begin, seconds = [], (height - 44) / max(1, len(series)), span[0] - span[1], span[1]
    step = (width - 150) * max(1, seconds / STEPS) / seconds
    for i, (name, one) in enumerate(series):
        y = 26 + i * each
        out.append(words(136, y + each / 2 + 4, name, 9, "end"))
        out += [f'<rect x="{140 + (at - begin) / seconds * (width - 150):.1f}" y="{y:.1f}" width="{step + 0.6:.2f}" height="{max(1, each - 2):.1f}" '
                f'fill="{NAMED.get(mapping.get(str(int(float(v))), {}).get("color"), "#ddd")}"/>' for at, v in one["values"] if v != "NaN"]
    at = 10
    for one in mapping.values():
        out.append(f'<rect x="{at}" y="{height - 14}" width="9" height="9" fill="{NAMED.get(one["color"], "#ddd")}"/>' + words(at + 12, height - 6, one["text"], 9))
        at += 22 + 6 * len(one["text"])
    return out


def lines(panel, series, width, height, span):
    defaults, out = panel["fieldConfig"]["defaults"], []
    unit, stacked = defaults["unit"], defaults["custom"].get("stacking", {}).get("mode") == "normal"
    drawn, total = [], {}
    for name, one in series:
        points = [(at, float(v)) for at, v in one["values"] if v not in ("NaN", "+Inf", "-Inf")]
        if stacked:
            points = [(at, total.setdefault(at, 0.0) + v) for at, v in points]
            total.update(points)
        drawn.append((name, points, last(one)))
    values = [v for _, points, _ in drawn for _, v in points]
    high, low = max(values + [0.0]), min(values + [0.0])
    high = high if high > low else low + 1
    foot = height - 20 - 12 * min(4, (len(drawn) + 2) // 3)

    def place(at, value):
        return 52 + (at - span[0] + span[1]) / span[1] * (width - 62), foot - (value - low) / (high - low) * (foot - 30)
    for k in range(4):
        value = low + (high - low) * k / 3
        y = place(span[0], value)[1]
        out.append(f'<line x1="52" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e5e5"/>' + words(48, y + 3, number(value, unit), 9, "end", "#777"))
    if defaults["custom"].get("thresholdsStyle"):
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is not None and low <= step["value"] <= high:
                y = place(span[0], step["value"])[1]
                out.append(f'<line x1="52" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="{NAMED.get(step["color"], "#333")}" stroke-dasharray="4 3"/>')
    for i, (name, points, now) in enumerate(drawn):
        colour, path, before = COLOURS[i % len(COLOURS)], [], None
        for at, value in points:
            x, y = place(at, value)
            path.append(f"{'M' if before is None or at - before > 3 * max(1, span[1] / STEPS) else 'L'}{x:.1f},{y:.1f}")
            before = at
        out.append(f'<path d="{" ".join(path)}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
        if i < 12:
            x, y = 52 + (i % 3) * (width - 60) / 3, foot + 16 + 12 * (i // 3)
            out.append(f'<rect x="{x:.0f}" y="{y - 7:.0f}" width="8" height="8" fill="{colour}"/>'
                       + words(x + 11, y, f"{name[:26]} {number(now, unit) if now is not None else ''}", 9))
    return out


KINDS = {"stat": stat, "bargauge": bars, "state-timeline": timeline, "timeseries": lines}


def page(url, board, end, seconds):
    out, bottom = [], 0
    for panel in board["panels"]:
        at = panel["gridPos"]
        x, y, width, height = at["x"] * COLUMN, at["y"] * ROW, at["w"] * COLUMN - 6, at["h"] * ROW - 6
        bottom = max(bottom, y + height)
        if panel["type"] == "row":
            out.append(words(x + 4, y + 20, panel["title"], 14, weight="bold"))
            continue
        series = [(legend(target["legendFormat"], one["metric"]), one) for target in panel["targets"]
                  for one in ask(url, load.filled(target["expr"]), end, seconds)]
        body = KINDS[panel["type"]](panel, series, width, height, (end, seconds)) if series else [words(width / 2, height / 2, "no data", 14, "middle", "#999")]
        out.append(f'<g transform="translate({x},{y})"><rect width="{width}" height="{height}" fill="#fff" stroke="#ddd"/>'
                   + words(8, 17, panel["title"], 12, weight="bold") + "".join(body) + "</g>")
    when = datetime.datetime.fromtimestamp(end, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (f'<!doctype html><meta charset="utf-8"><title>{html.escape(board["title"])}</title><body style="margin:8px;background:#f4f4f4;font-family:sans-serif">'
            f'<h3 style="margin:4px">{html.escape(board["title"])}: {seconds // 60} minutes to {when}</h3>'
            f'<svg width="{24 * COLUMN}" height="{bottom + 10}" font-family="sans-serif">{"".join(out)}</svg>'), 24 * COLUMN + 20, bottom + 70


def main(url, folder, minutes="5"):
    os.makedirs(folder, exist_ok=True)
    browser = shutil.which("chromium")
    for name, board in load.dashboards():
        text, width, height = page(url, board, time.time(), int(60 * float(minutes)))
        path = os.path.abspath(os.path.join(folder, name))
        with open(path + ".html", "w", encoding="utf-8") as f:
            f.write(text)
        if browser:
            subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}",
                            f"--screenshot={path}.png", f"file://{path}.html"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
