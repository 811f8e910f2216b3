"""Draws the tables of a run as one SVG: bars for the servers, lines for latency and growth."""
import html
import math

WIDTH, HEIGHT, MARGIN, COLUMNS = 420, 260, 62, 2
COLOURS = ("#2563a8", "#c2571a", "#2e7d4f", "#7b4ea3", "#8a6d00")


def escape(text):
    return html.escape(str(text))


def short(value):
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"


def words(x, y, text, size=11, anchor="middle", colour="#333"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def frame(title):
    return [f'<rect x="0" y="0" width="{WIDTH}" height="{HEIGHT}" fill="#fff" stroke="#ddd"/>', words(WIDTH / 2, 20, title, 12)]


def bars(title, unit, values):
    """values: [(name, number)]"""
    out, most = frame(title), max(value for _, value in values) or 1
    step = (HEIGHT - 60) / len(values)
    for i, (name, value) in enumerate(values):
        y, width = 40 + i * step, (WIDTH - 220) * value / most
        out.append(words(130, y + step / 2, name, 11, "end"))
        out.append(f'<rect x="138" y="{y + 4:.1f}" width="{width:.1f}" height="{step - 16:.1f}" fill="{COLOURS[i % len(COLOURS)]}"/>')
        out.append(words(144 + width, y + step / 2, f"{short(value)}{unit}", 11, "start"))
    return out


class Axis:
    """Maps values to a stretch of pixels; logarithmic when they span more than a factor of 20."""

    def __init__(self, values, start, end):
        self.low, self.high, self.start, self.end = min(values), max(values), start, end
        self.log = self.low > 0 and self.high / self.low > 20
        if not self.log:
            self.low = 0
        if self.high == self.low:
            self.high = self.low + 1

    def at(self, value):
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0 ** power for power in range(first, last + 1)] or [self.low, self.high]
        return [self.low + (self.high - self.low) * i / 4 for i in range(5)]


def lines(title, x_name, y_name, series):
    """series: {name: [(x, y)]}"""
    out = frame(title)
    points = [point for of in series.values() for point in of]
    x = Axis([point[0] for point in points], MARGIN, WIDTH - 20)
    y = Axis([max(point[1], 1e-3) for point in points], HEIGHT - 45, 50)
    for tick in y.ticks():
        out.append(f'<line x1="{MARGIN}" y1="{y.at(tick):.1f}" x2="{WIDTH - 20}" y2="{y.at(tick):.1f}" stroke="#eee"/>')
        out.append(words(MARGIN - 5, y.at(tick) + 4, short(tick), 10, "end"))
    for value in sorted({point[0] for point in points}):
        out.append(words(x.at(value), HEIGHT - 28, short(value), 9))
    out.append(words((MARGIN + WIDTH) / 2, HEIGHT - 10, x_name))
    out.append(words(8, 38, y_name, 10, "start", "#666"))
    for i, (name, of) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{x.at(a):.1f},{y.at(max(b, 1e-3)):.1f}" for a, b in of)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.extend(f'<circle cx="{x.at(a):.1f}" cy="{y.at(max(b, 1e-3)):.1f}" r="3" fill="{colour}"/>' for a, b in of)
        if len(series) > 1:
            out.append(words(MARGIN + 8, 62 + 14 * i, name, 10, "start", colour))
    return out


def panels_of(name, tables):
    if name == "compare":
        for table in tables:
            yield bars(table["title"] + ", requests/s", "", [(row[0], row[1]) for row in table["rows"]])
        yield bars("Server CPU time for an ID (8 x 64 deep)", " ns", [(row[0], row[7]) for row in tables[0]["rows"]])
    elif name == "latency":
        for title, column in (("median", 4), ("99th percentile", 7)):
            series = {}
            for row in tables[0]["rows"]:
                series.setdefault(row[0], []).append((row[1], row[column]))
            yield lines(f"Open loop, {title}", "% of the server's own peak", "us", series)
    elif name == "tls":
        yield bars("TLS, part of plain requests/s", "", [(row[0], row[3]) for row in tables[0]["rows"]])
    elif name == "nearer":
        for table in tables:
            yield bars(table["title"] + ", median round trip, part of TCP's", "", [(row[0], row[6]) for row in table["rows"]])
    else:
        for table in tables:
            column = table["head"].index("IDs/s")
            yield lines(table["title"], table["head"][0], "IDs/s", {"": [(float(row[0]), row[column]) for row in table["rows"]]})


def draw(result):
    panels = [panel for name, tables in result["tables"].items() for panel in panels_of(name, tables)]
    rows = (len(panels) + COLUMNS - 1) // COLUMNS
    c = result["conditions"]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * COLUMNS}" height="{HEIGHT * rows + 30}" font-family="sans-serif">',
           words(10, 20, f"Snowfleet, {c['date']}: {c['cpus']} x {c['cpu']}, load generator included; medians of {c['rounds']} rounds",
                 11, "start")]
    for i, panel in enumerate(panels):
        out.append(f'<g transform="translate({i % COLUMNS * WIDTH},{i // COLUMNS * HEIGHT + 30})">')
        out.extend(panel)
        out.append("</g>")
    out.append("</svg>\n")
    return "\n".join(out)
