#!/usr/bin/env python3
"""The checks are checked: each rule must find a violation planted in a small tree, and be silent on a clean one."""
import json
import tempfile
import unittest
from pathlib import Path

import check_tree
import compiled
import documents
import hand
import rooms
import structure
from source import Tree

OPENING = "/* What this planted file is for. */\n"
TABLE = {
    "libraries": {"jansson": {"headers": "jansson.*"}, "curl": {"headers": "curl/.*"}, "zookeeper": {"headers": "zookeeper.*"}},
    "rooms": [
        {"room": "base", "uses": [], "libraries": [], "does": "small things"},
        {"room": "id", "uses": ["base"], "libraries": [], "does": "numbers"},
        {"room": "wire", "uses": ["base"], "libraries": [], "does": "frames"},
        {"room": "metrics", "uses": ["base"], "libraries": [], "does": "figures"},
        {"room": "config", "uses": ["base"], "libraries": [], "does": "options"},
        {"room": "clock", "uses": ["base"], "libraries": [], "does": "time"},
        {"room": "coord", "uses": ["base", "snowfleet/id.h"], "libraries": ["jansson"], "does": "the contract"},
        {"room": "coord/zookeeper", "uses": ["base", "coord"], "libraries": ["jansson", "zookeeper"], "does": "a backend"},
        {"room": "coord/etcd", "uses": ["base", "coord"], "libraries": ["jansson", "curl"], "does": "a backend"},
        {"room": "coord/open", "uses": ["base", "coord", "coord/zookeeper", "coord/etcd"], "libraries": [], "does": "chooses"},
        {"room": "worker", "uses": ["base", "id", "clock", "coord"], "libraries": [], "does": "slots"},
        {"room": "server", "uses": ["base", "id", "wire"], "libraries": [], "does": "serves"},
        {"room": "client", "uses": ["base", "wire", "snowfleet/id.h"], "libraries": [], "does": "asks"},
        {"room": "daemon", "uses": ["base", "worker", "server", "coord", "coord/open"], "libraries": [], "does": "all", "program": "d"},
    ],
}
CLEAN = {
    "cmake/rooms.json": json.dumps(TABLE),
    "include/snowfleet/id.h": OPENING + "#ifndef X_H\n#define X_H\n#include <stdint.h>\nextern int64_t x_value;\n#endif\n",
    "src/base/a.h": OPENING + "#ifndef A_H\n#define A_H\nint a(void);\n#endif\n",
    "src/base/a.c": OPENING + '#include "base/a.h"\n\nint a(void)\n{\n    return 1;\n}\n',
    "src/id/b.c": OPENING + '#include "base/a.h"\n\nstatic int b(void)\n{\n    return a();\n}\n',
    "src/config/table.h": OPENING + '#define SF_OPTIONS(X) \\\n    X(ADDRESS, listen, address, .help = "")\n',
    "src/config/options.c": OPENING + "const char *const options[] = {SF_OPTIONS(NAME)};\n",
    "docs/configuration.md": "| listen.address | yes |\n",
    "src/metrics/table.h": OPENING + '#define SF_METRICS(X) \\\n    X(IDS, "snowfleet_ids", COUNTER, "")\n',
    "src/metrics/table.c": OPENING + "const char *const table[] = {SF_METRICS(NAME)};\n",
    "docs/metrics.md": "`snowfleet_ids_total`\n",
    "src/wire/frame.h": OPENING + "#define SF_WIRE_REQUESTS(X) \\\n    X(NEXT, next, 0x01, 0)\n"
                                  "enum sf_wire_type {\n    SF_WIRE_RESPONSE = 0x80, /* set */\n    SF_WIRE_ERROR = 0xBF,\n    SF_WIRE_GOAWAY = 0xC0\n};\n",
    "src/wire/frame.c": OPENING + "const char *const rows[] = {SF_WIRE_REQUESTS(NAME)};\n",
    "docs/protocol.md": "| 0x01 | NEXT | none |\n| 0xBF | the answer to what was no request |\n| 0xC0 | GOAWAY | none |\n",
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nBreakBeforeBraces: Linux\nAllowShortFunctionsOnASingleLine: None\n",
}


class Rules(unittest.TestCase):
    def violations(self, changes, *rules):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**CLEAN, **changes}.items():
                if text is not None:
                    path = Path(folder, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
            tree = Tree(folder)
            for rule in rules:
                rule(tree)
            return tree.violations

    def finds(self, changes, text, *rules):
        found = self.violations(changes, *rules)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])


class Walls(Rules):
    def test_includes(self):
        for path, include, text in (
                ("src/base/b.c", '"wire/frame.h"', "base must not depend on wire"),
                ("src/clock/b.c", '"wire/frame.h"', "clock must not depend on wire"),
                ("src/server/b.c", '"worker/permit.h"', "server must not depend on worker"),
                ("src/server/b.c", '"coord/coord.h"', "server must not depend on coord"),
                ("src/server/b.c", '"clock/clock.h"', "server must not depend on clock"),
                ("src/worker/b.c", '"coord/etcd/etcd.h"', "worker must not depend on coord/etcd"),
                ("src/worker/b.c", '"server/server.h"', "worker must not depend on server"),
                ("src/coord/b.c", '"coord/etcd/etcd.h"', "coord must not depend on coord/etcd"),
                ("src/coord/etcd/etcd.c", '"coord/zookeeper/link.h"', "coord/etcd must not depend on coord/zookeeper"),
                ("src/coord/etcd/http.c", "<zookeeper/zookeeper.h>", "must not use zookeeper"),
                ("src/client/b.c", '"id/generator.h"', "client must not depend on id"),
                ("src/clock/b.c", "<snowfleet/id.h>", "clock must not depend on id (<snowfleet/id.h>)"),
                ("src/server/b.c", "<snowfleet/client.h>", "server must not depend on client"),
                ("src/wire/b.c", "<jansson.h>", "must not use jansson"),
                ("src/base/b.c", "<assert.h>", "base/assert.h"),
                ("src/base/b.c", '"a.h"', "with its room"),
                ("src/base/b.c", '"nowhere/a.h"', "in no room"),
                ("src/newroom/b.c", "<stdint.h>", "src/newroom is no room"),
                ("src/base/folder/b.c", "<stdint.h>", "src/base/folder is no room")):
            with self.subTest(path=path, include=include):
                self.finds({path: f"#include {include}\n"}, text, rooms.check_includes)

    def test_allowed_includes(self):
        self.assertEqual(self.violations({
            "src/coord/etcd/http.c": '#include <curl/curl.h>\n#include "coord/etcd/etcd.h"\n#include "coord/coord.h"\n',
            "src/coord/coord.c": "#include <snowfleet/id.h>\n#include <jansson.h>\n",
            "src/coord/open.c": '#include "coord/etcd/etcd.h"\n#include "coord/zookeeper/link.h"\n',
            "src/worker/b.c": '#include "coord/coord.h"\n#include "clock/clock.h"\n',
            "src/client/b.c": "#include <snowfleet/client.h>\n#include <snowfleet/id.h>\n",
            "src/daemon/b.c": '#include "server/server.h"\n#include "build_info.h"\n',
            "src/base/c.c": '/* #include "wire/frame.h" */\n// #include "wire/frame.h"\n',
        }, rooms.check_includes), [])

    def test_rights_that_nobody_uses(self):
        base = {"room": "base", "uses": [], "libraries": [], "does": "small things"}
        coord = {"room": "coord", "uses": ["base"], "libraries": ["jansson"], "does": "the contract"}
        tree = {name: None for name in CLEAN if name.startswith("src/") and "/base/" not in name}
        tree["cmake/rooms.json"] = json.dumps({"libraries": TABLE["libraries"], "rooms": [base, coord]})
        both = '#include "base/a.h"\n#include <jansson.h>\n'
        call = "int d(void)\n{\n    return a();\n}\n"
        for text in (both, "#include <jansson.h>\n" + call):
            self.assertEqual(self.violations({**tree, "src/coord/c.c": text}, structure.check_calls), [])
        self.finds({**tree, "src/coord/c.c": '#include "base/a.h"\n'}, "coord may use jansson, and does not", structure.check_calls)
        self.finds({**tree, "src/coord/c.c": "#include <jansson.h>\n"}, "coord may use base, and does not", structure.check_calls)

    def test_the_table(self):
        page = {"docs/architecture.md": "before\n" + rooms.BEGIN + "| room | what it is for | may use | libraries |\n| --- | --- | --- | --- |\n"
                                        "| `src/base` | small things |  | jansson |\n"
                                        "| `src/d` (`dd`) | numbers | base, `<snowfleet/base.h>` |  |\n" + rooms.END}

        def table(*rows):
            return {"cmake/rooms.json": json.dumps({"libraries": TABLE["libraries"], "rooms": list(rows)}), **page}
        base = {"room": "base", "uses": [], "libraries": ["jansson"], "does": "small things"}
        program = {"room": "d", "uses": ["base", "snowfleet/base.h"], "libraries": [], "does": "numbers", "program": "dd"}
        self.assertEqual(self.violations(table(base, program), rooms.check_table), [])
        self.finds(table({**base, "does": "other"}, program), "run tests/lint/rooms.py --write", rooms.check_table)
        for rows, text in (((program, base), "d uses base, which does not stand above it"),
                           (({**base, "libraries": ["nothing"]}, program), "no library of the table"),
                           (({**base, "use": []}, program), "unknown member use")):
            with self.subTest(text=text):
                self.assertIn(text, "\n".join(self.violations(table(*rows), rooms.check_table)))

    def test_the_page_is_written(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "cmake").mkdir()
            Path(folder, "docs").mkdir()
            Path(folder, "cmake/rooms.json").write_text(CLEAN["cmake/rooms.json"])
            page = Path(folder, "docs/architecture.md")
            page.write_text("before\n" + rooms.BEGIN + "old\n" + rooms.END + "after\n")
            rooms.write(folder)
            tree = Tree(folder)
            rooms.check_table(tree)
            self.assertEqual(tree.violations, [])
            self.assertTrue(page.read_text().startswith("before\n") and page.read_text().endswith("after\n"))

    def calls(self, changes):
        """Of a table that allows more than the small tree uses."""
        return [text for text in self.violations(changes, structure.check_calls) if not text.endswith(", and does not")]

    def test_calls_across_walls(self):
        # By a declaration of its own, without any include.
        found = self.calls({"src/wire/b.c": "int c(void)\n{\n    return 2;\n}\n",
                            "src/clock/b.c": "int c(void);\nint d(void)\n{\n    return c();\n}\n"})
        self.assertEqual(found, ["src/clock/b.c:1: c is of wire, and clock must not depend on it"])
        found = self.calls({"src/coord/etcd/b.c": "int c(void)\n{\n    return 2;\n}\n",
                            "src/coord/b.c": "static int d(void)\n{\n    return c();\n}\n"})
        self.assertEqual(found, ["src/coord/b.c:3: c is of coord/etcd, and coord must not depend on it"])


class Structure(Rules):
    CIRCLE = {
        "src/%s/one.h": "int one(void);\n#define TWICE(x) (two(x) + two(x))\n",
        "src/%s/one.c": "int one(void)\n{\n    return three();\n}\n",
        "src/%s/two.c": "int two(int x)\n{\n    return x;\n}\nconst int two_value[] = {1};\n",
        "src/%s/three.c": "int three(void)\n{\n    return %s;\n}\n",
    }

    def circle(self, room, back):
        return {name % room: text % back if "%s" in text else text for name, text in self.CIRCLE.items()}

    def test_circles(self):
        for back in ("one()", "TWICE(1)", "(int)(intptr_t)&one"):
            with self.subTest(back=back):
                self.finds(self.circle("base", back), "a circle of 2 files: base/one (three) -> base/three (", structure.check_circles)

    def test_no_circles(self):
        for back in ("two(1)", "two_value[0]", "1; /* one() */", 'strlen("one()")', "one_more()", "p->one_at", "sizeof(struct one)"):
            with self.subTest(back=back):
                self.assertEqual(self.violations(self.circle("base", back), structure.check_circles), [])
        # A function of the same name that a file keeps to itself is not the other's.
        self.assertEqual(self.violations({**self.circle("base", "one()"), "src/base/three.c":
                                          "static int one(void)\n{\n    return 1;\n}\nint three(void)\n{\n    return one();\n}\n"},
                                         structure.check_circles), [])

    def test_circles_across_rooms(self):
        across = {"src/server/one.c": "int one(void)\n{\n    return three();\n}\n", "src/base/three.c": "int three(void)\n{\n    return one();\n}\n"}
        self.finds(across, "a circle of 2 files: base/three (one) -> server/one (three) -> base/three", structure.check_circles)

    def test_dead_functions(self):
        header, source = "src/base/c.h", "src/base/c.c"
        defined = "int c(void)\n{\n    return 1;\n}\n"
        dead = {header: "int c(void);\n", source: defined}
        self.finds(dead, "c is used by nobody", structure.check_dead)
        self.finds({**dead, source: defined + "int e(void)\n{\n    return c();\n}\n"}, "used in its own file only", structure.check_dead)
        self.finds({**dead, "tests/unit/test_c.c": "x = c();\n"}, "used by tests only", structure.check_dead)
        self.finds({header: "extern const int c[];\n", source: "const int c[] = {1};\n"}, "c is used by nobody", structure.check_dead)
        self.finds({header: "static inline int c(void)\n{\n    return 1;\n}\n"}, "c is used by nobody", structure.check_dead)
        self.finds({header: "#define C(x) (x)\n"}, "C is used by nobody", structure.check_dead)
        # A comment, a string, another declaration are no use.
        self.finds({**dead, "src/id/c.c": '/* c() */\nconst char *text = "c()";\n', "src/id/c.h": "int c(void);\n"}, "c is used by nobody",
                   structure.check_dead)

    def test_what_is_not_dead(self):
        header, source = "src/base/c.h", "src/base/c.c"
        dead = {header: "int c(void);\n", source: "int c(void)\n{\n    return 1;\n}\n"}
        reason = "/* One.\n *\n * For tests:\n * nothing else can see it. */\nint b(int);\nint c(void);\n"
        for changes in ({"src/id/c.c": "int x = c();\n"}, {"src/id/c.h": "#define D c()\n"},
                        {"src/id/c.h": "static inline int d(void)\n{\n    return c();\n}\n", "src/id/d.c": "int x = d();\n"},
                        {"include/snowfleet/c.h": "int c(void);\n"},
                        {header: reason, "tests/unit/test_c.c": "x = c();\n"},
                        {header: "#define C(x) (x)\n#define D() C(1)\n", source: "", "src/id/c.c": "x = D();\n"}):
            with self.subTest(changes=changes):
                self.assertEqual(self.violations({**dead, **changes}, structure.check_dead), [])
        # The reason belongs to its own paragraph.
        self.finds({**dead, header: "/* For tests: x. */\nint b(int);\n\nint c(void);\n", "tests/unit/test_c.c": "x = c();\n"}, "used by tests only",
                   structure.check_dead)

    def test_sizes(self):
        def lines(count):
            return "int x;\n" * count
        self.assertEqual(self.violations({"src/base/b.c": lines(600)}, structure.check_sizes), [])
        self.finds({"src/base/b.c": lines(601)}, "601 lines, at most 600", structure.check_sizes)
        self.finds({"tests/unit/b.c": lines(601)}, "601 lines, at most 600", structure.check_sizes)
        self.assertEqual(self.violations({"src/base/b.c": "void f(void)\n{\n" + ";\n" * 88 + "}\n"}, structure.check_sizes), [])
        self.finds({"src/base/b.c": "void f(void)\n{\n" + ";\n" * 89 + "}\n"}, "a function of 91 lines", structure.check_sizes)
        self.assertEqual(self.violations({f"src/base/b{i}.c": lines(249) for i in range(20)}, structure.check_sizes), [])
        self.finds({f"src/base/b{i}.c": lines(250) for i in range(20)}, "250 lines or more", structure.check_sizes)


class Hand(Rules):
    def test_banned_calls(self):
        for call in ("sprintf(b, 1)", "strcpy(a, b)", "strcat (a, b)", "strtok(a, b)", "atoi(a)", "rand()",
                     "localtime(&t)", "gmtime(&t)", "system(a)", "popen(a, b)", "alloca(3)", "gets(a)", "atol(a)",
                     "pthread_create(&t, NULL, f, p)"):
            with self.subTest(call=call):
                self.finds({"src/base/b.c": f"int x = {call};\n"}, "is banned", hand.check_banned_calls)
        self.assertEqual(self.violations({
            "src/base/thread.c": "int x = pthread_create(&t, NULL, f, p);\n",
            "src/base/b.c": '/* strcpy(a) */ int x = snprintf(a, "sprintf(x)"); // rand()\n'
                            'int y = my_rand(); int z = gmtime_r(a, b), w = p->system(1);\n'}, hand.check_banned_calls), [])

    def test_openings(self):
        for text in ("int x;\n", "/* too short */\nint x;\n", "\n" + OPENING, "// What this file is for, at length.\n"):
            with self.subTest(text=text):
                self.finds({"src/base/b.c": text}, "no opening comment", hand.check_openings)
        self.finds({"tests/unit/b.c": "int x;\n"}, "no opening comment", hand.check_openings)
        self.assertEqual(self.violations({}, hand.check_openings), [])

    def test_exit_codes(self):
        for statement in ("exit(78);", "exit(0);", "_exit(1);", "return 75;", "return ready ? 0 : 69;", "d->exit_code = 70;", "rc = 64;"):
            with self.subTest(statement=statement):
                self.finds({"src/daemon/b.c": f"    {statement}\n"}, "a bare exit code", hand.check_exit_codes)
        self.assertEqual(self.violations({"src/daemon/b.c": "exit(SF_EXIT_CONFIG); return 0; return 750; x = 75; /* exit(78) */\n",
                                          "src/base/b.c": "return 64;\n"}, hand.check_exit_codes), [])

    def test_casts(self):
        for cast in ("(long long)x", "(unsigned long long)x", "( long long int )x"):
            with self.subTest(cast=cast):
                self.finds({"src/base/b.c": f"f({cast});\n"}, "PRIu64", hand.check_casts)
        self.assertEqual(self.violations({"src/base/b.c": "long long x; f((long)y, sizeof(z)); // (long long)x\n"}, hand.check_casts), [])

    def test_results(self):
        for text, wrong in (("    struct sf_error err;\n", "struct sf_error err = {0}"), ("    int r = f();\n", "a result called r: rc"),
                            ("    const int ret = f();\n", "a result called ret: rc"), ("    int err;\n", "a result called err: rc")):
            with self.subTest(text=text):
                self.finds({"src/base/b.c": text}, wrong, hand.check_results)
        self.assertEqual(self.violations({"src/base/b.c": "    struct sf_error err = {0};\n    const int rc = f();\n    int error = errno;\n",
                                          "src/base/b.h": "struct x {\n    struct sf_error err;\n};\n"}, hand.check_results), [])

    def test_cmocka(self):
        self.finds({"tests/unit/b.c": "#include <cmocka.h>\n"}, "cmocka is included by", hand.check_cmocka)
        self.assertEqual(self.violations({hand.CMOCKA_HEADER: "#include <cmocka.h>\n"}, hand.check_cmocka), [])

    def test_headers(self):
        alone = {"src/wire/frame.h": None}  # it has no guard
        self.assertEqual(self.violations(alone, compiled.check_headers), [])
        self.finds({**alone, "src/base/b.h": "uint32_t x(void);\n"}, "does not compile alone", compiled.check_headers)
        self.finds({**alone, "src/base/b.h": "struct twice {\n    int a;\n};\n"}, "does not compile alone", compiled.check_headers)
        self.finds({**alone, "include/snowfleet/y.h": "#ifndef Y\n#define Y\nextern int class;\n#endif\n"}, "c++", compiled.check_headers)

    def test_pointers(self):
        text = "int f(const char *p, int *q, int n);\nint f(const char *p, int *q, int n)\n{\n    %s\n    return n;\n}\n"
        clean = {name: None for name in CLEAN if name.endswith(".c")}
        for statement in ("if (p)", "if (!p)", "if ((q))", "while (q)", "if (n > 0 && p)", "if (p || n)", "n = p ? 1 : 0;", "for (; q;)",
                          "do n++; while (p);", "const _Bool b = p; if (b)", "if (MACRO(p))"):
            with self.subTest(statement=statement):
                source = "#define MACRO(x) ((x) ? 1 : 0)\n" + text % (statement + ("" if statement.endswith(";") else " n++;"))
                self.finds({**clean, "src/base/b.c": source}, "src/base/b.c:5: a pointer as a condition", compiled.check_expressions)
        for statement in ("if (p != 0)", "if (!n)", "if (*p)", "if (p == 0 && q != 0)", "n = *q ? 1 : 0;", "for (;;)", "if (p && n) /* */"):
            with self.subTest(statement=statement):
                found = self.violations({**clean, "src/base/b.c": text % (statement + " n++;")}, compiled.check_expressions)
                self.assertEqual(len(found), int("p &&" in statement), found)

    def test_locals(self):
        text = "#include <stdbool.h>\nenum e { A }; int f(int n);\nint f(int n)\n{\n    %s\n    return n;\n}\n"
        clean = {name: None for name in CLEAN if name.endswith(".c")}
        for statement in ("int m = n; n = m;", "unsigned long m = 3; n += (int)m;", "bool m = n > 0; n = m;", "double m = n; n = (int)m;",
                          "enum e m = A; n = (int)m;", "for (int i = n; i < n;) n--;"):
            with self.subTest(statement=statement):
                self.finds({**clean, "src/base/b.c": text % statement}, "src/base/b.c:5: a local that does not change", compiled.check_expressions)
        for statement in ("const int m = n; n = m;", "int m = n; m++; n = m;", "int m = 0; m = n;", "int m = 0; m += n;", "int m = 0; int *p = &m; n = *p;",
                          "int m; m = n;", "static int m = 1; n = m;", "int a = 1, b = 2; b = a; n = b;", "volatile int m = 1; n = m;",
                          "char m[2] = {1}; n = m[0];"):
            with self.subTest(statement=statement):
                self.assertEqual(self.violations({**clean, "src/base/b.c": text % statement}, compiled.check_expressions), [])

    def test_macros_of_others(self):
        output = ('Match #1:\n\n/t/src/a.c:3:9: note: "pointer" binds here\n    if (p)\n\nMatch #2:\n\n/t/src/a.c:4:5: note: "pointer" binds here\n'
                  "    EACH(x)\n    ^\n/usr/include/x.h:9:1: note: expanded from macro 'EACH'\n\nMatch #3:\n\n"
                  '/usr/include/x.h:7:9: note: "local" binds here\n')
        self.assertEqual(compiled.matches(output, Path("/t")), {("/t/src/a.c", 3, "pointer")})

    def test_format(self):
        self.finds({"src/base/b.c": "int   x;\n"}, "not formatted", hand.check_format)
        self.assertEqual(self.violations({"src/base/b.c": "int x;\n"}, hand.check_format), [])


class Documents(Rules):
    def test_options_and_metrics(self):
        self.assertEqual(self.violations({}, documents.check_options, documents.check_metrics), [])
        self.finds({"docs/configuration.md": "listen.addresses\n"}, "option listen.address is not documented", documents.check_options)
        self.finds({"docs/metrics.md": "snowfleet_ids\n"}, "metric snowfleet_ids_total is not documented", documents.check_metrics)
        self.finds({"src/config/table.h": "nothing\n"}, "reads the table wrongly", documents.check_options)

    def test_frames(self):
        page = CLEAN["docs/protocol.md"]
        self.assertEqual(self.violations({}, documents.check_frames), [])
        self.finds({"docs/protocol.md": page.replace("| 0x01", "| 0x1")}, "frame NEXT (0x01) is not documented", documents.check_frames)
        self.finds({"docs/protocol.md": page.replace("GOAWAY", "STOP")}, "frame 0xC0 is GOAWAY, not STOP", documents.check_frames)
        self.finds({"docs/protocol.md": page + "| 0x06 | QUOTA | none |\n"}, "frame QUOTA (0x06) is not in the sources", documents.check_frames)
        self.finds({"src/wire/frame.h": "nothing\n", "docs/protocol.md": ""}, "reads the table wrongly", documents.check_frames)

    def test_log_events(self):
        call = 'int a(void)\n{\n    sf_log_write(log, SF_LOG_%s, "%s",\n                 "it (\\"x\\") is %%d.", f(1));\n}\n'
        page = "| event | level | meaning |\n| --- | --- | --- |\n| `a.b` | warn | it |\n"
        clean = {"src/base/b.c": call % ("WARN", "a.b"), "docs/logs.md": page,
                 "src/base/c.c": "void sf_log_write(int log, const char *event);\n"}
        self.assertEqual(self.violations(clean, documents.check_log_events), [])
        for changes, text in (({"src/base/b.c": call % ("ERROR", "a.b")}, "a.b is written at level error"),
                              ({"docs/logs.md": page + "| `a.c` | warn | it |\n"}, "a.c is not in src"),
                              ({"docs/logs.md": page + "| `a.b` | warn | it |\n"}, "listed twice"),
                              ({"src/base/d.c": call % ("WARN", "a.d")}, "a.d is not in docs"),
                              ({"src/base/d.c": "int x = sf_log_limited(log, name);\n"}, "without a literal event name")):
            with self.subTest(text=text):
                self.finds({**clean, **changes}, text, documents.check_log_events)


    def test_links(self):
        clean = {"README.md": "[a](docs/a.md#part) [b](https://b.example/c) `[c](d)` [e](docs)\n", "docs/a.md": "[back](../README.md)\n",
                 "docs/metrics.md": "", "docs/protocol.md": "", "docs/configuration.md": ""}
        index = {"docs/a.md": "[m](metrics.md) [p](protocol.md) [c](configuration.md)\n"}
        self.assertEqual(self.violations({**clean, **index}, documents.check_links), [])
        self.finds({**clean, **index, "CONTRIBUTING.md": "x\n[b](docs/b.md)\n"}, "CONTRIBUTING.md:2: the link to docs/b.md leads nowhere",
                   documents.check_links)
        self.finds({**clean, **index, "CONTRIBUTING.md": "`src/base/a.c` `src/base` `src/base/*.c` `src/NAME/x`\n"},
                   "src/NAME/x is not in the tree", documents.check_links)
        self.finds({**clean, **index, "CONTRIBUTING.md": "`base/a` `base/a.c` `base/gone.h` `bases/x`\n"},
                   "src/base/gone.h is not in the tree", documents.check_links)
        self.finds({**clean, **index, "docs/b.md": "\n"}, "docs/b.md:1: no page links to this one", documents.check_links)


class Whole(unittest.TestCase):
    def test_every_rule_is_run(self):
        rules = {getattr(module, name) for module in (rooms, structure, hand, compiled, documents) for name in dir(module) if name.startswith("check_")}
        helpers = {structure.check_functions, documents.check_listed}
        self.assertEqual(rules - helpers, set(check_tree.RULES + check_tree.SLOW_RULES))


if __name__ == "__main__":
    unittest.main()
