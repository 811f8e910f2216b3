"""The pages list what the sources have (options, metrics, frames, log events), and hang together."""
import re

from source import line_of

LOG_CALL = re.compile(r"\b(?:sf_log_write|sf_log_limited|write_line|sf_res_log|sf_shared_event|sf_member_tell)\s*\(")


def arguments_at(text, begin):
    """What stands between the parenthesis that was opened before `begin` and the one that closes it."""
    depth = 0
    for match in re.compile(r'"(?:\\.|[^"\\\n])*"|[()]').finditer(text, begin):
        depth += {"(": 1, ")": -1}.get(match.group(0), 0)
        if depth < 0:
            return text[begin:match.start()]
    return text[begin:]


def both(tree, table, page):
    """Paths of a table in the sources and the page that documents it, or None where one is not in the tree."""
    table, page = tree.source / table, tree.source / page
    for path in (table, page):
        if not path.exists():
            tree.skip(f"{tree.name(path)} is not in the tree")
            return None
    return table, page


def check_listed(tree, table, pattern, page, what, spelt):
    paths = both(tree, table, page)
    if paths is None:
        return
    found = re.findall(pattern, tree.text(paths[0]), re.M)
    if not found:
        tree.complain(paths[0], 1, f"no {what} found: this check reads the table wrongly")
    text = paths[1].read_text()
    for name in found:
        name = spelt(*name)
        if not re.search(r"(?<![\w.])" + re.escape(name) + r"(?!\w)", text):
            tree.complain(paths[1], 1, f"{what} {name} is not documented")


def check_options(tree):
    check_listed(tree, "src/config/table.h", r'^\s*X\([A-Z0-9]+, ([a-z_]+), ([a-z_]+),', "docs/configuration.md", "option",
                 lambda group, key: f"{group}.{key}")


def check_metrics(tree):
    check_listed(tree, "src/metrics/table.h", r'^\s*X\([A-Z_0-9]+, "([a-z_0-9]+)", ([A-Z]+)', "docs/metrics.md", "metric",
                 lambda name, kind: name + ("_total" if kind == "COUNTER" else ""))  # as a counter's series is exposed


def check_frames(tree):
    """Every type of frame has a row in docs/protocol.md with its number and name, and no other type has."""
    paths = both(tree, "src/wire/frame.h", "docs/protocol.md")
    if paths is None:
        return
    pattern = r"^\s*(?:X\(([A-Z]+), [a-z]+, (0x[0-9A-F]{2}),|SF_WIRE_([A-Z]+) = (0x[0-9A-F]{2}))"  # a row of SF_WIRE_REQUESTS, or of the enum
    found = [(a or c, b or d) for a, b, c, d in re.findall(pattern, tree.bare(paths[0]), re.M)]
    frames = {number: name for name, number in found if name != "RESPONSE"}
    if not frames:
        tree.complain(paths[0], 1, "no frame found: this check reads the table wrongly")
    page = paths[1].read_text()
    rows = {match.group(1): (match.group(2), line_of(page, match.start()))
            for match in re.finditer(r"^\| (0x[0-9A-F]{2}) \| ([^|]+) \|", page, re.M)}
    for number, name in frames.items():
        told, line = rows.get(number, (None, 1))
        if told is None:
            tree.complain(paths[1], 1, f"frame {name} ({number}) is not documented")
        elif told.isupper() and told != name:
            tree.complain(paths[1], line, f"frame {number} is {name}, not {told}")
    for number, (told, line) in rows.items():
        if number not in frames:
            tree.complain(paths[1], line, f"frame {told} ({number}) is not in the sources")


def log_events(tree):
    """{event: (levels, path, line)} of every call that writes a log line or tells an event."""
    found = {}
    for path in tree.files("src", suffixes=(".c",)):
        text = tree.bare(path)
        for match in LOG_CALL.finditer(text):
            arguments = arguments_at(text, match.end())
            line = line_of(text, match.start())
            levels = {level.lower() for level in re.findall(r"\bSF_LOG_(DEBUG|INFO|WARN|ERROR)\b", arguments)}
            names = re.findall(r'"([a-z]+\.[a-z_-]+)"', arguments)
            if not names and not re.search(r"\bevent\b", arguments):
                tree.complain(path, line, "a log line without a literal event name")
            for name in names:
                if not re.fullmatch(r"[a-z]+\.[a-z_]+", name):
                    tree.complain(path, line, f"log event {name}: names are made of a-z and _")
                found.setdefault(name, (set(), path, line))[0].update(levels)
    return found


def check_log_events(tree):
    """docs/logs.md lists every log event with its levels, and no other."""
    page = tree.source / "docs/logs.md"
    if not page.exists():
        tree.skip("docs/logs.md is not in the tree")
        return
    found, documented = log_events(tree), {}
    for number, text in enumerate(page.read_text().splitlines(), 1):
        match = re.match(r"\| (`[^|]*`) \| ([a-z, ]+) \| \S", text)
        for name in re.findall(r"`([^`]+)`", match.group(1)) if match else ():
            if name in documented:
                tree.complain(page, number, f"log event {name} is listed twice")
            documented[name] = set(match.group(2).split(", ")), number
    for name, (levels, path, line) in sorted(found.items()):
        if name not in documented:
            tree.complain(path, line, f"log event {name} is not in docs/logs.md")
        elif levels != documented[name][0]:
            tree.complain(page, documented[name][1], f"log event {name} is written at level {', '.join(sorted(levels))}")
    for name in sorted(documented.keys() - found.keys()):
        tree.complain(page, documented[name][1], f"log event {name} is not in src")


LINK = re.compile(r"\]\(([^)\s]+)\)")
# A file or folder of the tree, written in a page as `path` or `path argument`.
PATH = re.compile(r"`((?:src|include|tests|docs|cmake|scripts|helm|dashboards|docker|packaging|examples)/[\w./-]*\w)(?![\w./-]*[*<{])")


def pages(tree):
    return [path for path in sorted(tree.source.rglob("*.md")) if not {"build", "node_modules"} & set(path.relative_to(tree.source).parts)]


def check_links(tree):
    """Links between pages lead somewhere, so do the paths that they name, and every page of docs is linked."""
    linked = set()
    rooms = "|".join(sorted(path.name for path in (tree.source / "src").iterdir() if path.is_dir()))
    in_room = re.compile(rf"`((?:{rooms})/[\w./-]*\w)(?![\w./-]*[*<{{])")  # `worker/readiness.h`, `id/generator`
    for path in pages(tree):
        text = path.read_text()
        for match in PATH.finditer(text):
            if not (tree.source / match.group(1)).exists():
                tree.complain(path, line_of(text, match.start()), f"{match.group(1)} is not in the tree")
        for match in in_room.finditer(text):
            if not any((tree.source / "src" / (match.group(1) + suffix)).exists() for suffix in ("", ".c")):
                tree.complain(path, line_of(text, match.start()), f"src/{match.group(1)} is not in the tree")
        text = re.sub(r"`[^`\n]*`", "", path.read_text())
        for match in LINK.finditer(text):
            to = match.group(1).split("#")[0]
            if not to or ":" in to or to.startswith("/"):
                continue
            target = (path.parent / to).resolve()
            linked.add(target)
            if not target.exists():
                tree.complain(path, line_of(text, match.start()), f"the link to {to} leads nowhere")
    for path in pages(tree):
        if path.is_relative_to(tree.source / "docs") and path.resolve() not in linked:
            tree.complain(path, 1, "no page links to this one")
