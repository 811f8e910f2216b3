#!/usr/bin/env python3
"""docs/openapi.json tells the truth: real answers of a real worker have a status that is told there, its fields, its type, and a body of that form."""
import http.client
import json
import os
import pathlib
import random
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

ROOT = pathlib.Path(os.environ["SF_SOURCE_DIR"])
SPEC = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
KNOWN = {"type", "required", "properties", "additionalProperties", "items", "minItems", "enum", "pattern", "minimum", "maximum", "default", "description", "$ref"}


def resolve(node):
    while "$ref" in node:
        target = SPEC
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def check(value, schema, where="$"):
    """The part of JSON Schema that the file uses; a keyword that is not judged here is an error."""
    schema = resolve(schema)
    unknown = set(schema) - KNOWN
    assert not unknown, f"{where}: this test does not judge {unknown}"
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    fits = any(isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool)) for name in names)
    assert fits or not names, f"{where}: {value!r} is no {names}"
    assert value in schema.get("enum", [value]), f"{where}: {value!r}"
    if isinstance(value, str) and "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{where}: {value!r}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value), f"{where}: {value!r}"
    if isinstance(value, list):
        assert len(value) >= schema.get("minItems", 0), where
        for i, item in enumerate(value):
            check(item, schema.get("items", {}), f"{where}[{i}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name in schema.get("required", []):
            assert name in value, f"{where}: {name} is missing"
        for name, item in value.items():
            assert name in properties or schema.get("additionalProperties", True), f"{where}: {name} is not told of"
            check(item, properties.get(name, {}), f"{where}.{name}")


DRAWN = 400
# For each parameter: values that the file allows, and others.
VALUES = {
    "count": (["1", "2", "999", "1000"], ["0", "-1", "+1", "1001", "65537", "4294967297", "99999999999999999999", "1e3", "0x10", "", "%31", "1%00", "a"]),
    "id": (["1", "0", "382138005323788288", "9223372036854775807"], ["x", "-1", "0x1", "9223372036854775808", "1.0", "%31", "1,2", "01x"]),
    "after": (["0", "7", "4294967296"], ["x", "-1", "", "99999999999999999999", "1.5"]),
    "verbose": (["", "1", "true", "0.5", None], []),
}
FIELDS = [("Host", "evil.example"), ("Host", "127.0.0.1"), ("Origin", "http://evil.example"), ("Origin", "null"), ("Authorization", "Bearer wrong"),
          ("Authorization", "Basic eDp5"), ("Authorization", "secret"), ("Accept", "application/openmetrics-text"), ("Accept", "text/html;q=0.1"),
          ("Sec-Purpose", "prefetch"), ("Sec-Fetch-Site", "cross-site"), ("Accept-Encoding", "gzip, br"), ("X-Forwarded-For", "10.0.0.1")]


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = sf.Fleet()
        cls.addClassCleanup(cls.fleet.__exit__, None, None, None)

    def worker(self, **options):
        self.http = sf.free_ports(1)[0]
        worker = self.fleet.worker(options={"listen-http-address": f"127.0.0.1:{self.http}", **{k.replace("_", "-"): v for k, v in options.items()}})
        self.addCleanup(worker.kill)
        return worker

    def secret(self, name, text):
        path = self.fleet.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def ask(self, port, template, want, target=None, method="GET", told_as=None, **fields):
        """One request, judged by what the file tells of `template`."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=sf.DEADLINE_S)
        self.addCleanup(connection.close)
        connection.request(method, target or template, headers={name.replace("_", "-"): value for name, value in fields.items()})
        answer = connection.getresponse()
        body = answer.read().decode()
        if want is not None:
            self.assertEqual(answer.status, want, body)
        operation = SPEC["paths"][template][(told_as or method).lower()]
        self.assertIn(str(answer.status), operation["responses"], f"{method} {template}")
        told = resolve(operation["responses"][str(answer.status)])
        for name, header in told.get("headers", {}).items():
            self.assertIn(name.lower(), [key.lower() for key, _ in answer.getheaders()])
            value = answer.getheader(name)
            check(int(value) if header["schema"]["type"] == "integer" else value, header["schema"], name)
        kind = answer.getheader("content-type").split(";")[0]
        self.assertIn(kind, told["content"])
        if method != "HEAD":
            check(json.loads(body) if kind == "application/json" else body, told["content"][kind]["schema"])
        self.status = answer.status
        return body

    def test_answers(self):
        worker = self.worker(listen_max_batch=1000).start()
        for port in (self.http, worker.admin):
            self.ask(port, "/v1/ids", 200)
            self.ask(port, "/v1/ids", 200, "/v1/ids?count=1000")
            self.ask(port, "/v1/ids", 400, "/v1/ids?count=0")
            self.ask(port, "/v1/ids", 400, "/v1/ids?many=1")
            self.ask(port, "/v1/ids", 403, Origin="http://evil.example")
            self.ask(port, "/v1/ids", 403, Sec_Purpose="prefetch")
            self.ask(port, "/v1/ids", 405, method="PUT", told_as="get")
            self.ask(port, "/v1/ids", 413, "/v1/ids?count=1001")
        one = json.loads(self.ask(self.http, "/v1/ids", 200))["ids"][0]
        self.ask(self.http, "/v1/decode/{id}", 200, f"/v1/decode/{one}")
        self.ask(self.http, "/v1/decode/{id}", 400, "/v1/decode/x")
        self.ask(self.http, "/v1/decode/{id}", 405, "/v1/decode/1", method="POST", told_as="get")
        for path in ("/livez", "/readyz", "/healthz", "/startupz", "/metrics", "/status", "/fleet", "/history", "/"):
            self.ask(worker.admin, path, 200)
            self.ask(worker.admin, path, 405, method="DELETE", told_as="get")
        self.ask(worker.admin, "/readyz", 200, "/readyz?verbose")
        self.ask(worker.admin, "/readyz", 400, "/readyz?wordy")
        self.ask(worker.admin, "/history", 200, "/history?after=7")
        self.ask(worker.admin, "/history", 400, "/history?after=x")
        self.ask(worker.admin, "/metrics", 200, Accept="application/openmetrics-text")
        for path in ("/metrics", "/status", "/fleet", "/history", "/"):
            self.ask(worker.admin, path, 403, Host="evil.example")
        self.ask(worker.admin, "/reload", 200, method="POST")
        self.ask(worker.admin, "/reload", 405, told_as="post")
        self.ask(worker.admin, "/reload", 403, method="POST", Origin="null")
        self.ask(worker.admin, "/drain", 405, told_as="post")
        self.ask(worker.admin, "/drain", 403, method="POST", Origin="null")
        self.ask(worker.admin, "/drain", 413, method="POST", Content_Length="5000")
        self.ask(worker.admin, "/drain", 202, method="POST")

    def test_drawn_requests(self):
        """Requests by chance, from what the file tells of and from what it does not: each is answered as it tells, and what it allows is done."""
        tokens = {"listen_token_file": self.secret("data", "team:secret\n"), "admin_token_file": self.secret("ops", "ops:secret\n")}
        seed = int(os.environ.get("SF_SEED", time.time_ns() & 0xFFFFFFFF))
        print(f"SF_SEED={seed}")
        chance = random.Random(seed)
        for options in ({}, tokens):
            worker = self.worker(listen_max_batch=1000, **options).start()
            ports = {"/v1/ids": (self.http, worker.admin), "/v1/decode/{id}": (self.http,)}
            seen = set()
            for _ in range(DRAWN):
                template = chance.choice(sorted(set(SPEC["paths"]) - {"/drain"}))
                operation = SPEC["paths"][template]
                told_as = "post" if "post" in operation else "get"
                port = chance.choice(ports.get(template, (worker.admin,)))
                target, fits = self.drawn_target(chance, template, operation[told_as])
                method = chance.choice([told_as.upper()] * 5 + ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"])
                fields = dict(chance.choice(FIELDS) for _ in range(chance.choice((0, 0, 0, 1, 2))))
                if options and chance.random() < 0.8:
                    fields["Authorization"] = "Bearer secret"
                with self.subTest(seed=seed, method=method, port=port, target=target, fields=fields):
                    self.ask(port, template, None, target, method, told_as, **fields)
                    seen.add((template, self.status))
                    if method.lower() == told_as and fits and not set(fields) - {"Authorization"} and (not options or fields.get("Authorization") == "Bearer secret"):
                        self.assertEqual(self.status, 200)
                    if method.lower() == told_as and not fits and operation[told_as].get("parameters") and not fields and not options:
                        self.assertIn(self.status, (400, 413, 414))
            self.assertGreater(len(seen), 25, seen)
            worker.kill()

    @staticmethod
    def drawn_target(chance, template, operation):
        """A path and query; whether the file allows it."""
        fits, query, target = True, [], template
        for parameter in operation.get("parameters", []):
            good, bad = VALUES[parameter["name"]]
            is_good = not bad or chance.random() < 0.6
            value = chance.choice(good if is_good else bad)
            if parameter["in"] == "path":
                fits, target = fits and is_good, target.replace("{%s}" % parameter["name"], value)
            elif chance.random() < 0.7:
                fits = fits and is_good
                query.append(parameter["name"] + ("=" + value if value is not None else ""))
        if chance.random() < 0.15:
            fits = False
            query.append(chance.choice(("many=1", "x" * 1100, "x", "count=1&count=2", "%41=1")))
        return target + ("?" + "&".join(query) if query else ""), fits

    def test_tokens_and_limits(self):
        worker = self.worker(listen_token_file=self.secret("data", "team:secret:10:10\n"), admin_token_file=self.secret("ops", "ops:swordfish\n")).start()
        self.ask(self.http, "/v1/ids", 401)
        self.ask(self.http, "/v1/ids", 200, "/v1/ids?count=10", Authorization="Bearer secret")
        self.ask(self.http, "/v1/ids", 429, "/v1/ids?count=10", Authorization="Bearer secret")
        self.ask(self.http, "/v1/decode/{id}", 401, "/v1/decode/1")
        self.ask(worker.admin, "/v1/ids", 401)
        for path in ("/status", "/fleet", "/history"):
            self.ask(worker.admin, path, 401)
            self.ask(worker.admin, path, 200, Authorization="Bearer swordfish")
        self.ask(worker.admin, "/drain", 401, method="POST")

    def test_not_ready(self):
        worker = self.worker(fleet_coordinator="zk://127.0.0.1:9", fleet_worker=3).start(ready=False)
        sf.wait_until(lambda: sf.http(f"http://127.0.0.1:{worker.admin}/livez")[0] == 200, worker.log)
        for path in ("/readyz", "/healthz", "/startupz"):
            self.ask(worker.admin, path, 503)
        for path in ("/status", "/fleet", "/history"):
            self.ask(worker.admin, path, 200)
        for port in (self.http, worker.admin):
            self.ask(port, "/v1/ids", 503)
        self.ask(self.http, "/v1/decode/{id}", 503, "/v1/decode/1")

    def test_every_page_is_told_of(self):
        routes = set(re.findall(r'^    \{"(/[^"]*)", "', (ROOT / "src/admin/answer.c").read_text(encoding="utf-8"), re.M))
        self.assertGreater(len(routes), 8)
        self.assertEqual(routes | {"/v1/ids", "/v1/decode/{id}"}, set(SPEC["paths"]))

    def test_the_judge_can_say_no(self):
        for value, name in (({"ids": []}, "Ids"), ({"ids": [1]}, "Ids"), ({"ids": ["01"]}, "Ids"), ({"ids": ["1"], "more": 1}, "Ids"), ({}, "Fleet"),
                            ({"state": "asleep"}, "Status")):
            with self.assertRaises(AssertionError):
                check(value, {"$ref": f"#/components/schemas/{name}"})


if __name__ == "__main__":
    unittest.main()
