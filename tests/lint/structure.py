"""What depends on what, by who calls what is defined where; sizes; and what nobody calls.

A node of the graph is a header and its source (coord/etcd/http.h and .c). An arrow goes from whoever names a function, a datum or a macro with
arguments to where it is defined. Types make no arrow: a struct that goes round makes no circle.
"""
import re
import statistics

from rooms import TABLE, Rooms, included
from source import WORD, line_of

FILE_LINES_MAX = 600
MEDIAN_LINES_MAX = 250
FUNCTION_LINES_MAX = 90
FOR_TESTS = re.compile(r"\bFor tests: \w")


def node_of(tree, path):
    return path.relative_to(tree.source / "src").with_suffix("").as_posix()


def definitions(tree):
    """{name: (path, line)} of everything that files of src/ define for others."""
    found = {}
    for path in tree.files("src"):
        for name, line in tree.exports(path).items():
            found.setdefault(name, (path, line))
    return found


def arrows(tree):
    """{node: {other node: (path, line, name)}}, with one place that makes each arrow."""
    defined, graph = definitions(tree), {}
    for path in tree.files("src"):
        node, code, own = node_of(tree, path), tree.live(path), tree.own(path)
        edges = graph.setdefault(node, {})
        for match in WORD.finditer(code):
            name = match.group(0)
            if name not in defined or name in own:
                continue
            other = node_of(tree, defined[name][0])
            if other != node:
                edges.setdefault(other, (path, line_of(code, match.start()), name))
    return graph


def circles(graph):
    """The sets of nodes that reach each other (Tarjan's strongly connected components, without recursion)."""
    number, low, stack, found = {}, {}, [], []
    for root in graph:
        if root in number:
            continue
        work = [(root, iter(graph[root]))]
        number[root] = low[root] = len(number)
        stack.append(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    work.append((other, iter(graph.get(other, ()))))
                    break
                if other in stack:
                    low[node] = min(low[node], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    circle = stack[stack.index(node):]
                    del stack[stack.index(node):]
                    if len(circle) > 1:
                        found.append(sorted(circle))
    return found


def shortest_round(graph, members):
    """[node, ..., node]: the shortest way from the first of a circle's members back to itself."""
    start = members[0]
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop(0)
        for other in sorted(set(graph[way[-1]]) & set(members)):
            if other == start:
                return way + [start]
            if other not in seen:
                seen.add(other)
                ways.append(way + [other])
    raise AssertionError("not a circle")


def check_circles(tree):
    """No files that call each other in a circle."""
    graph = arrows(tree)
    for members in circles(graph):
        way = shortest_round(graph, members)
        told = " -> ".join(f"{a} ({graph[a][b][2]})" for a, b in zip(way, way[1:])) + f" -> {way[0]}"
        path, line, _ = graph[way[0]][way[1]]
        tree.complain(path, line, f"a circle of {len(members)} files: {told}")


def check_calls(tree):
    """No call that the table of rooms does not allow, and nothing in the table that is neither included nor called."""
    rooms = Rooms(tree.source)
    used = included(tree, rooms)
    for node, edges in arrows(tree).items():
        room = rooms.room_of(node)
        for other, (path, line, name) in edges.items():
            its = rooms.room_of(other)
            if room is None or its is None:
                continue
            used[room] |= {its, f"snowfleet/{its}.h"}
            if not rooms.may_use(room, its):
                tree.complain(path, line, f"{name} is of {its}, and {room} must not depend on it")
    for room, names in used.items():
        for name in rooms.by_name[room]["uses"] + rooms.by_name[room]["libraries"]:
            if name not in names:
                tree.complain(tree.source / TABLE, 1, f"{room} may use {name}, and does not")


def check_sizes(tree):
    """Files and functions fit their bounds."""
    sizes = []
    for path in tree.files("src", "include", "tests"):
        lines = tree.text(path).splitlines()
        if not path.is_relative_to(tree.source / "tests"):
            sizes.append(len(lines))
        if len(lines) > FILE_LINES_MAX:
            tree.complain(path, len(lines), f"{len(lines)} lines, at most {FILE_LINES_MAX}: split by meaning")
        if not path.is_relative_to(tree.source / "tests"):
            check_functions(tree, path, lines)
    if sizes and statistics.median(sizes) >= MEDIAN_LINES_MAX:
        tree.complain(tree.source / "src", 0, f"half of the files have {statistics.median(sizes):.0f} lines or more, wanted: "
                                              f"under {MEDIAN_LINES_MAX}")


def check_functions(tree, path, lines):
    begin = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            if number - begin + 1 > FUNCTION_LINES_MAX:
                tree.complain(path, begin, f"a function of {number - begin + 1} lines, at most {FUNCTION_LINES_MAX}: it must fit on a screen")
            begin = None


def check_dead(tree):
    """What a header offers is used outside its own file, and by more than tests."""
    used, used_by_tests = {}, set()
    for path in tree.files("src"):
        for name in set(WORD.findall(tree.live(path))):
            used.setdefault(name, set()).add(path)
    for path in tree.files("tests"):
        used_by_tests.update(WORD.findall(tree.code(path)))
    installed = set()
    for path in tree.files("include"):
        installed.update(WORD.findall(tree.code(path)))
    offered = {}
    for path in tree.files("src", suffixes=(".h",)):
        code = tree.code(path)
        for match in WORD.finditer(code):
            offered.setdefault(match.group(0), (path, match.start()))
    for name, (defined, line) in sorted(definitions(tree).items()):
        if name not in offered or name in installed:
            continue
        header, position = offered[name]
        own_use = {defined}
        if used.get(name, set()) - own_use:
            continue
        if defined.suffix == ".h" and len(re.findall(rf"\b{name}\b", tree.code(defined))) > 1:
            continue  # a macro or inline function that others of its header are made of
        if name in used_by_tests:
            if not for_tests(tree.text(header), position):
                tree.complain(header, line_of(tree.text(header), position),
                              f"{name} is used by tests only: remove it, or say above it why (For tests: ...)")
        elif name in used and defined.suffix == ".c" and len(re.findall(rf"\b{name}\b", tree.code(defined))) > 1:
            tree.complain(defined, line, f"{name} is used in its own file only: make it static")
        else:
            tree.complain(defined, line, f"{name} is used by nobody")


def for_tests(text, position):
    """Whether the paragraph of a declaration (the lines around it without an empty one) gives a reason."""
    begin = text.rfind("\n\n", 0, position) + 1
    end = text.find("\n\n", position)
    return bool(FOR_TESTS.search(" ".join(text[begin:end if end >= 0 else None].split()).replace(" * ", " ")))
