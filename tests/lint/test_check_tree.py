#!/usr/bin/env python3
"""The checks are checked: each rule must find a violation planted in a small tree, and be silent on a clean one."""
import tempfile
import unittest
from pathlib import Path

from check_tree import Checker

CLEAN = {
    "include/snowfleet/x.h": "#ifndef X_H\n#define X_H\n#include <stdint.h>\nextern int64_t x_value;\n#endif\n",
    "src/base/a.h": "#ifndef A_H\n#define A_H\nint a(void);\n#endif\n",
    "src/base/a.c": '#include "base/a.h"\n\nint a(void)\n{\n    return 1;\n}\n',
    "src/config/options.c": 'x\n    {"listen.address", NULL},\n',
    "docs/configuration.md": "| listen.address | yes |\n",
    "src/metrics/table.h": '#define SF_METRICS(X) \\\n    X(IDS, "snowfleet_ids", COUNTER, "")\n',
    "docs/metrics.md": "`snowfleet_ids_total`\n",
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nBreakBeforeBraces: Linux\n",
}


class Rules(unittest.TestCase):
    def violations(self, changes, rules=None):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**CLEAN, **changes}.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            checker = Checker(folder, None, "cc")
            rules = rules or ["check_includes", "check_banned_calls", "check_sizes", "check_headers",
                              "check_documents"]
            for rule in rules:
                getattr(checker, rule)()
            return checker.violations

    def finds(self, changes, text, rules=None):
        found = self.violations(changes, rules)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_a_clean_tree(self):
        self.assertEqual(self.violations({}), [])

    def test_dependencies(self):
        for path, include, text in (
                ("src/base/b.c", '"wire/frame.h"', "base must not depend on wire"),
                ("src/server/b.c", '"worker/permit.h"', "server must not depend on worker"),
                ("src/server/b.c", '"coord/coord.h"', "server must not depend on coord"),
                ("src/server/b.c", '"clock/clock.h"', "server must not depend on clock"),
                ("src/worker/b.c", '"coord/local.h"', "only the files of the local backend"),
                ("src/worker/b.c", '"server/server.h"', "worker must not depend on server"),
                ("src/coord/etcd.c", '"coord/zookeeper.h"', "only the files of the zookeeper backend"),
                ("src/coord/etcd_http.c", "<zookeeper/zookeeper.h>", "must not use zookeeper"),
                ("src/client/b.c", '"id/generator.h"', "client must not depend on id"),
                ("src/cli/b.c", '"server/server.h"', "cli must not depend on server"),
                ("src/wire/b.c", "<jansson.h>", "must not use jansson"),
                ("src/base/b.c", "<assert.h>", "base/assert.h"),
                ("src/base/b.c", '"a.h"', "with its room"),
                ("src/newroom/b.c", "<stdint.h>", "no room of the architecture"),
                ("src/server/b.c", "<snowfleet/client.h>", "client library")):
            with self.subTest(path=path, include=include):
                self.finds({path: f"#include {include}\n"}, text, ["check_includes"])

    def test_allowed_dependencies(self):
        self.assertEqual(self.violations({
            "src/coord/etcd_http.c": '#include <curl/curl.h>\n#include "coord/etcd.h"\n#include "id/x.h"\n',
            "src/worker/b.c": '#include "coord/coord.h"\n#include "clock/clock.h"\n',
            "src/daemon/b.c": '#include "server/server.h"\n#include "build_info.h"\n',
            "src/base/c.c": '/* #include "wire/frame.h" */\n// #include "wire/frame.h"\n',
        }, ["check_includes"]), [])

    def test_banned_calls(self):
        for call in ("sprintf(b, 1)", "strcpy(a, b)", "strcat (a, b)", "strtok(a, b)", "atoi(a)", "rand()",
                     "localtime(&t)", "gmtime(&t)", "system(a)", "popen(a, b)", "alloca(3)", "gets(a)", "atol(a)",
                     "zoo_set(h, p, d, 1, 0)", "zoo_multi(h, 2, o, r)"):
            with self.subTest(call=call):
                self.finds({"src/base/b.c": f"int x = {call};\n"}, "is banned")
        self.assertEqual(self.violations({
            "src/base/b.c": '/* strcpy(a) */ int x = snprintf(a, "sprintf(x)"); // rand()\n'
                            'int y = my_rand(); int z = gmtime_r(a, b), w = p->system(1);\n'}), [])

    def test_sizes(self):
        self.assertEqual(self.violations({"src/base/b.c": "int x;\n" * 600}), [])
        self.finds({"src/base/b.c": "int x;\n" * 601}, "601 lines, at most 600")
        self.assertEqual(self.violations({"src/base/b.c": "void f(void)\n{\n" + ";\n" * 88 + "}\n"}), [])
        self.finds({"src/base/b.c": "void f(void)\n{\n" + ";\n" * 89 + "}\n"}, "a function of 91 lines")

    def test_headers(self):
        self.finds({"src/base/b.h": "uint32_t x(void);\n"}, "does not compile alone")
        self.finds({"src/base/b.h": "struct twice {\n    int a;\n};\n"}, "does not compile alone")
        found = self.violations({"include/snowfleet/y.h": "#ifndef Y\n#define Y\nextern int class;\n#endif\n"})
        self.assertEqual(len(found), 1, found)
        self.assertIn("c++", found[0])

    def test_documents(self):
        self.finds({"docs/configuration.md": "listen.addresses\n"}, "option listen.address is not documented")
        self.finds({"docs/metrics.md": "snowfleet_ids\n"}, "metric snowfleet_ids_total is not documented")
        self.finds({"src/config/options.c": "nothing\n"}, "reads the table wrongly")

    def test_log_events(self):
        call = 'int a(void)\n{\n    sf_log_write(log, SF_LOG_%s, "%s",\n                 "it (\\"x\\") is %%d.", f(1));\n}\n'
        page = "| event | level | meaning |\n| --- | --- | --- |\n| `a.b` | warn | it |\n"
        clean = {"src/base/b.c": call % ("WARN", "a.b"), "docs/logs.md": page,
                 "src/base/c.c": "void sf_log_write(int log, const char *event);\n"}
        rules = ["check_log_events"]
        self.assertEqual(self.violations(clean, rules), [])
        for changes, text in (({"src/base/b.c": call % ("ERROR", "a.b")}, "a.b is written at level error"),
                              ({"docs/logs.md": page + "| `a.c` | warn | it |\n"}, "a.c is not in src"),
                              ({"docs/logs.md": page + "| `a.b` | warn | it |\n"}, "listed twice"),
                              ({"src/base/d.c": call % ("WARN", "a.d")}, "a.d is not in docs"),
                              ({"src/base/d.c": "int x = sf_log_limited(log, name);\n"}, "without a literal event name")):
            with self.subTest(text=text):
                self.finds({**clean, **changes}, text, rules)

    def test_format(self):
        clean = {"src/config/options.c": "int y;\n", ".clang-format": "BasedOnStyle: LLVM\nBreakBeforeBraces: Linux\n"
                 "IndentWidth: 4\nAllowShortFunctionsOnASingleLine: None\n"}
        self.finds({**clean, "src/base/b.c": "int   x;\n"}, "not formatted", ["check_format"])
        self.assertEqual(self.violations({**clean, "src/base/b.c": "int x;\n"}, ["check_format"]), [])


if __name__ == "__main__":
    unittest.main()
