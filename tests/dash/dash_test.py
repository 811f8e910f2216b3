#!/usr/bin/env python3
"""Dashboards, alerts and RUNBOOK.md fit together, and fit the metrics that the worker has."""
import json
import os
import re
import subprocess
import tempfile
import unittest

import load

JOB = 'job="snowfleet"'


def info(n, fleet="f", dc="0", worker=None):
    slot = n if worker is None else worker
    return (f'snowfleet_worker_info{{{JOB},instance="w{n}",fleet="{fleet}",fleet_id="id-{fleet}",datacenter="{dc}",worker="{slot}",node="n{n}"}}',
            "1x400")


def one(metric, values, n=0, labels=""):
    return f'{metric}{{{JOB},instance="w{n}"{"," + labels if labels else ""}}}', values


def pair(metric, first, second, labels=""):
    return [info(0), info(1), one(metric, first, 0, labels), one(metric, second, 1, labels)]


# alert: (minute, series that make it fire, how many fire, series that must not). One sample a minute.
CASES = {
    "Duplicate": (5, [('snowfleet_verify_duplicates_total{job="v",instance="p",worker="0/1"}', "0 0 1x20")], 1,
                  [('snowfleet_verify_duplicates_total{job="v",instance="p",worker="0/1"}', "0x20")]),
    "OrderViolation": (5, [('snowfleet_verify_order_errors_total{job="v",instance="p",worker="0/1"}', "2x20")], 1,
                       [('snowfleet_verify_order_errors_total{job="v",instance="p",worker="0/1"}', "0x20")]),
    "LayoutSkew": (5, pair("snowfleet_timestamp_bits_exhausted_seconds", "4000000000x20", "4100000000x20"), 1,
                   pair("snowfleet_timestamp_bits_exhausted_seconds", "4000000000x20", "4000000000x20")),
    "SlotHeldTwice": (5, [info(0), info(1, worker=0), one("process_start_time_seconds", "100x20"), one("process_start_time_seconds", "200x20", 1),
                          one("snowfleet_state", "1x20", 0, 'state="ready"'), one("snowfleet_state", "1x20", 1, 'state="ready"')], 1,
                      # One process that is scraped twice, and one that only waits.
                      [info(0), info(1, worker=0), info(2, worker=0), one("process_start_time_seconds", "100x20"),
                       one("process_start_time_seconds", "100x20", 1), one("process_start_time_seconds", "300x20", 2),
                       one("snowfleet_state", "1x20", 0, 'state="ready"'), one("snowfleet_state", "1x20", 1, 'state="ready"'),
                       one("snowfleet_state", "0x20", 2, 'state="ready"')]),
    "FleetHalted": (5, pair("snowfleet_fleet_halted", "0 0 1x20", "0x20"), 1, pair("snowfleet_fleet_halted", "0x20", "0x20")),
    "DatacenterGone": (15, [info(0), (info(1, dc="1")[0], "1x5 stale"), one("snowfleet_state", "1x20", 0, 'state="ready"'),
                            one("snowfleet_state", "1x5 stale", 1, 'state="ready"')], 1,
                       [info(0), info(1, dc="1"), one("snowfleet_state", "1x20", 0, 'state="ready"'), one("snowfleet_state", "1x20", 1, 'state="ready"')]),
    "ClaimsLeaked": (40, [info(0), info(1), one("snowfleet_slots", "3x50", 0, 'state="held"'), one("snowfleet_worker_slots", "1x50"),
                          one("snowfleet_worker_slots", "1x50", 1)], 1,
                     [info(0), info(1), one("snowfleet_slots", "3x50", 0, 'state="held"'), one("snowfleet_worker_slots", "1x50"),
                      one("snowfleet_worker_slots", "2x50", 1)]),
    "WorkerDown": (5, [one("up", "1 0x20"), one("up", "1x20", 1)], 1, [one("up", "1x20"), ('up{job="snowfleet-verify",instance="p"}', "0x20")]),
    "TargetMissing": (10, [('up{job="node"}', "1x20")], 1, [one("up", "0x20")]),
    "FewReady": (5, pair("snowfleet_state", "1x20", "0x20", 'state="ready"'), 1, pair("snowfleet_state", "1x20", "1x20", 'state="ready"')),
    # The second of three was lost; one who came in its place ends it, whatever the coordinator remembers.
    "MembersLost": (20, [info(0), (info(1)[0], "1x5 stale"), one("snowfleet_state", "1x30", 0, 'state="ready"'), one("snowfleet_state", "1x5 stale", 1, 'state="ready"'),
                         one("snowfleet_members", "0x5 1x30", 0, 'datacenter="0",state="lost"')], 1,
                    [info(0), (info(1)[0], "1x5 stale"), (info(2)[0], "_x6 1x30"), one("snowfleet_state", "1x30", 0, 'state="ready"'),
                     one("snowfleet_state", "1x5 stale", 1, 'state="ready"'), one("snowfleet_state", "_x6 1x30", 2, 'state="ready"'),
                     one("snowfleet_members", "0x5 1x30", 0, 'datacenter="0",state="lost"')]),
    # Who waits has no datacenter of its own, and two say the same of it.
    "WorkersWaiting": (25, [info(0), (info(1)[0].replace('datacenter="0",worker="1"', 'datacenter="",worker=""'), "1x400"),
                            *(one("snowfleet_members", "1x40", n, 'datacenter="0",state="claiming"') for n in (0, 1)),
                            one("snowfleet_members", "0x40", 0, 'datacenter="0",state="quarantined"')], 1,
                       [info(0), one("snowfleet_members", "1x10 0x30", 0, 'datacenter="0",state="claiming"'),
                        one("snowfleet_members", "0x10 1x3 0x30", 0, 'datacenter="0",state="quarantined"')]),
    "WorkerSuspended": (6, pair("snowfleet_state", "1x20", "0x20", 'state="resyncing"'), 1, pair("snowfleet_state", "0x20", "0x20", 'state="suspended"')),
    "Restarts": (15, [one("process_start_time_seconds", "1 2 3 4x20")], 1, [one("process_start_time_seconds", "1 2x20")]),
    "ErrorsFastBurn": (70, [info(0), one("snowfleet_requests_total", "0+1000x80", 0, 'type="next",status="ok"'),
                            one("snowfleet_requests_total", "0+50x80", 0, 'type="next",status="not_ready"')], 1,
                       [info(0), one("snowfleet_requests_total", "0+1000x80", 0, 'type="next",status="ok"'),
                        one("snowfleet_requests_total", "0+5x80", 0, 'type="next",status="not_ready"'),
                        one("snowfleet_requests_total", "0+900x80", 0, 'type="next",status="too_large"')]),
    "ErrorsSlowBurn": (380, [info(0), one("snowfleet_requests_total", "0+1000x390", 0, 'type="next",status="ok"'),
                             one("snowfleet_requests_total", "0+2x390", 0, 'type="next",status="overloaded"')], 1,
                       [info(0), one("snowfleet_requests_total", "0+10000x390", 0, 'type="next",status="ok"'),
                        one("snowfleet_requests_total", "0+2x390", 0, 'type="next",status="overloaded"')]),
    "LatencyHigh": (15, [info(0)] + [one("snowfleet_request_duration_seconds_bucket", v, 0, f'type="next",le="{le}"') for le, v in
                                     (("0.01", "0+90x20"), ("0.1", "0+100x20"), ("+Inf", "0+100x20"))], 1,
                    [info(0)] + [one("snowfleet_request_duration_seconds_bucket", v, 0, f'type="next",le="{le}"') for le, v in
                                 (("0.005", "0+100x20"), ("0.1", "0+100x20"), ("+Inf", "0+100x20"))]),
    "ClockOffset": (5, [info(0), one("snowfleet_clock_offset_seconds", "-0.08x20", 0, 'source="kernel"'),
                        one("snowfleet_clock_error_bound_seconds", "0.03x20", 0, 'source="kernel"'), one("snowfleet_clock_source_up", "1x20", 0, 'source="kernel"')], 1,
                    [info(0), one("snowfleet_clock_offset_seconds", "-0.08x20 ", 0, 'source="kernel"'),
                     one("snowfleet_clock_error_bound_seconds", "0.01x20", 0, 'source="kernel"'), one("snowfleet_clock_source_up", "1x20", 0, 'source="kernel"'),
                     one("snowfleet_clock_offset_seconds", "9x20", 0, 'source="dead"'),
                     one("snowfleet_clock_error_bound_seconds", "9x20", 0, 'source="dead"'), one("snowfleet_clock_source_up", "0x20", 0, 'source="dead"')]),
    "ClockUnsynchronised": (10, [info(0), one("snowfleet_clock_synchronized", "0x20", 0, 'source="a"'), one("snowfleet_clock_synchronized", "0x20", 0, 'source="b"')], 1,
                            [info(0), one("snowfleet_clock_synchronized", "0x20", 0, 'source="a"'), one("snowfleet_clock_synchronized", "1x20", 0, 'source="b"')]),
    "ClockStep": (6, [one("snowfleet_clock_steps_total", "0 0 0 1x20", 0, 'direction="backward"')], 1,
                  [one("snowfleet_clock_steps_total", "4x20", 0, 'direction="backward"')]),
    "CoordinatorUnreachable": (5, pair("snowfleet_coordinator_connected", "0x20", "1x20"), 1, pair("snowfleet_coordinator_connected", "1x20", "1x20")),
    "ReservationLow": (5, [info(0), one("snowfleet_reservation_remaining_seconds", "100x20"), one("snowfleet_coordinator_connected", "0x20")], 1,
                       [info(0), info(1), one("snowfleet_reservation_remaining_seconds", "30x20"), one("snowfleet_coordinator_connected", "1x20"),
                        one("snowfleet_reservation_remaining_seconds", "500x20", 1), one("snowfleet_coordinator_connected", "0x20", 1)]),
    "Fenced": (5, [one("snowfleet_reservation_renewals_total", "0 0 1x20", 0, 'result="lost"')], 1,
               [one("snowfleet_reservation_renewals_total", "0+1x20", 0, 'result="ok"'), one("snowfleet_reservation_renewals_total", "3x20", 0, 'result="lost"')]),
    "SlotsNearlyExhausted": (15, [info(0), one("snowfleet_slots", "1x20", 0, 'state="free"'), one("snowfleet_slots", "30x20", 0, 'state="held"'),
                                  one("snowfleet_slots", "1x20", 0, 'state="quarantined"')], 1,
                             [info(0), one("snowfleet_slots", "16x20", 0, 'state="free"'), one("snowfleet_slots", "16x20", 0, 'state="held"')]),
    "TimestampBitsEnding": (70, pair("snowfleet_timestamp_bits_exhausted_seconds", "157000000x80", "157000000x80"), 1,
                            pair("snowfleet_timestamp_bits_exhausted_seconds", "158000000x80", "158000000x80")),
    "CertificateExpires": (70, [info(0), one("snowfleet_certificate_expiry_seconds", "600000x80", 0, 'use="listen.tls_cert",file="/tls/worker.pem"')], 1,
                           [info(0), one("snowfleet_certificate_expiry_seconds", "700000x80", 0, 'use="listen.tls_cert",file="/tls/worker.pem"')]),
    "ReloadRefused": (12, [info(0), one("snowfleet_reloads_total", "0x5 1x20", 0, 'result="refused"')], 1,
                      [info(0), one("snowfleet_reloads_total", "1x20", 0, 'result="refused"'), one("snowfleet_reloads_total", "0+1x20", 0, 'result="ok"')]),
    "SequenceExhaustion": (12, pair("snowfleet_sequence_exhausted_total", "0+120x20", "0x20"), 1, pair("snowfleet_sequence_exhausted_total", "0+30x20", "5x20")),
    "LoadImbalance": (20, [info(2), one("snowfleet_ids_minted_total", "0+60000x30", 2), one("snowfleet_state", "1x30", 2, 'state="ready"'),
                           one("snowfleet_state", "1x30", 0, 'state="ready"')] + pair("snowfleet_ids_minted_total", "0+600000x30", "0+60000x30"), 1,
                      [one("snowfleet_state", "1x30", 0, 'state="ready"'), one("snowfleet_state", "1x30", 1, 'state="ready"')]
                      + pair("snowfleet_ids_minted_total", "0+600000x30", "0+400000x30")),
    "Overloaded": (12, pair("snowfleet_overloaded_total", "0+120x20", "0x20", 'scope="queue"'), 1, pair("snowfleet_overloaded_total", "0+20x20", "0x20", 'scope="queue"')),
    "ConnectionsRefused": (12, pair("snowfleet_connection_refused_total", "0+12x20", "0x20", 'reason="limit"'), 1,
                           pair("snowfleet_connection_refused_total", "0+12x20", "0x20", 'reason="draining"')),
    "BadFrames": (12, pair("snowfleet_bad_frames_total", "0+120x20", "0x20", 'scope="length"'), 1, pair("snowfleet_bad_frames_total", "0+6x20", "0x20", 'scope="length"')),
    "VersionSkew": (70, [info(0), info(1), one("snowfleet_build_info", "1x80", 0, 'version="1",commit="a"'), one("snowfleet_build_info", "1x80", 1, 'version="2",commit="b"')], 1,
                    pair("snowfleet_build_info", "1x80", "1x80", 'version="1",commit="a"')),
    "VerifyFailing": (12, [('snowfleet_verify_failures_total{job="v",instance="p",worker="0/1"}', "0+3x20")], 1,
                      [('snowfleet_verify_failures_total{job="v",instance="p",worker="0/1"}', "3x20")]),
}


def releases():
    """Three releases, each with a fleet named `f` and workers of the same addresses: two namespaces of one cluster, and another cluster. What is
    wrong with one of them is said of that one, and of no other."""
    places = {"a": ("east", "a"), "b": ("east", "b"), "c": ("west", "a")}

    def series(name, where, n, values, labels=""):
        cluster, namespace = places[where]
        return {"series": f'{name}{{cluster="{cluster}",namespace="{namespace}",{JOB},instance="w{n}"{"," + labels if labels else ""}}}', "values": values}

    def release(where, ready="1x60", **other):
        rows = {"snowfleet_timestamp_bits_exhausted_seconds": "4000000000x60", "snowfleet_fleet_halted": "0x60", "up": "1x60", **other}
        return [one_of for n in (0, 1, 2) for one_of in [
            series("snowfleet_worker_info", where, n, "1x60", f'fleet="f",fleet_id="id-{where}",datacenter="{n // 2}",worker="{n}",node="n{n}"'),
            series("process_start_time_seconds", where, n, f"{ord(where) * 10 + n}x60"),
            series("snowfleet_state", where, n, ready if isinstance(ready, str) else ready[n], 'state="ready"'),
            series("snowfleet_slots", where, n, other.get("free", "20x60"), 'state="free"'),
            series("snowfleet_members", where, n, other.get("lost", "0x60"), f'datacenter="{n // 2}",state="lost"'),
            series("snowfleet_members", where, n, other.get("waiting", "0x60"), f'datacenter="{n // 2}",state="claiming"'),
            series("snowfleet_slots", where, n, "2x60", 'state="held"')] + [series(name, where, n, values) for name, values in rows.items() if name not in ("free", "lost", "waiting")]]

    def firing(where, *names):
        cluster, namespace = places[where]
        return [(name, f'cluster="{cluster}",namespace="{namespace}"') for name in names]

    stages = [
        ("all are well", release("a") + release("b") + release("c"), []),
        ("b has no ready worker", release("a") + release("b", "0x60") + release("c"), firing("b", "FewReady")),
        ("another epoch in another release", release("a") + release("b", snowfleet_timestamp_bits_exhausted_seconds="4100000000x60") + release("c"), []),
        ("c has hardly any free slots", release("a") + release("b") + release("c", free="0x60"), firing("c", "SlotsNearlyExhausted")),
        ("a datacenter of c is gone", release("a") + release("b") + release("c", ["1x60", "1x60", "1x5 0x60"]), firing("c", "DatacenterGone")),
        ("of c a worker is lost", release("a", lost="1x60") + release("b") + release("c", ["1x5 0x60", "1x60", "1x60"], lost="1x60"), firing("c", "MembersLost")),
        ("somebody waits in b", release("a") + release("b", waiting="1x60") + release("c"), firing("b", "WorkersWaiting")),
        ("a is halted", release("a", snowfleet_fleet_halted="1x60") + release("b") + release("c"), firing("a", "FleetHalted")),
    ]
    tests = []
    for name, rows, wanted in stages:
        checks = [{"expr": 'count(count by (alertname, cluster, namespace) (ALERTS{alertstate="firing"}))', "eval_time": "40m", "exp_samples": [{"labels": "{}", "value": 1}] if wanted else []}]
        checks += [{"expr": f'count(count by (cluster) (ALERTS{{alertname="Snowfleet{alert}",alertstate="firing",{place}}}))', "eval_time": "40m",
                    "exp_samples": [{"labels": "{}", "value": 1}]} for alert, place in wanted]
        tests.append({"name": f"three releases: {name}", "interval": "1m", "input_series": rows, "promql_expr_test": checks})
    return tests


def alerts():
    return {r["alert"]: r for g in load.rules() for r in g["rules"] if "alert" in r}


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class Dash(unittest.TestCase):
    def promtool(self, command, text, suffix=".json"):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x" + suffix)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            got = subprocess.run(["promtool", *command, path], capture_output=True, text=True, check=False)
        self.assertEqual(got.returncode, 0, got.stdout[-6000:] + got.stderr[-6000:])

    def test_generated_files_are_current(self):
        got = subprocess.run([os.path.join(load.DASHBOARDS, "generate"), "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(got.returncode, 0, got.stderr)

    def test_every_query_parses(self):
        rules = [{"record": "q:x", "expr": expr, "labels": {"n": str(i)}} for i, (_, expr) in enumerate(load.queries())]
        self.assertGreater(len(rules), 90)
        self.promtool(["check", "rules"], json.dumps({"groups": [{"name": "q", "rules": rules}]}))

    def test_rules_file(self):
        got = subprocess.run(["promtool", "check", "rules", os.path.join(load.DASHBOARDS, "alerts.yaml")], capture_output=True, text=True, check=False)
        self.assertEqual(got.returncode, 0, got.stderr)

    def test_every_metric_exists(self):
        known = load.metric_names()
        recorded = {r["record"] for g in load.rules() for r in g["rules"] if "record" in r}
        for where, expr in load.queries():
            bare = re.sub(r'"[^"]*"', '""', expr)
            used = set(re.findall(r"\b(?:snowfleet|process)_\w+", bare)) | set(re.findall(r"snowfleet:[\w:]+", bare))
            self.assertTrue(used or "up{" in bare or "ALERTS" in bare, where)
            for name in used:
                self.assertIn(name, known.keys() | recorded, where)
            for metric, selector in re.findall(r"\b((?:snowfleet|process)_\w+)\{([^}]*)\}", bare):
                for label in re.findall(r"(\w+)(?:=|!)", selector):
                    self.assertIn(label, known[metric] | {"cluster", "namespace", "job", "instance", "le"}, where)

    def test_every_panel_is_explained(self):
        for name, board in load.dashboards():
            ids, taken = set(), set()
            for panel in board["panels"]:
                self.assertNotIn(panel["id"], ids)
                ids.add(panel["id"])
                at = panel["gridPos"]
                self.assertLessEqual(at["x"] + at["w"], 24)
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(cells & taken, f"{name}: {panel['title']} covers another")
                taken |= cells
                if panel["type"] == "row":
                    continue
                where = f"{name}: {panel['title']}"
                self.assertGreater(len(panel["description"]), 10, where)
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], where)
                self.assertEqual(len({t["refId"] for t in panel["targets"]}), len(panel["targets"]), where)
            self.assertEqual([v["name"] for v in board["templating"]["list"]][:6],
                             ["datasource", "cluster", "namespace", "fleet", "datacenter", "worker"])
            self.assertEqual({a["name"] for a in board["annotations"]["list"]}, {"Restart", "Drain", "Clock step", "Alert"})

    def test_counters_are_shown_as_rates(self):
        for name, board in load.dashboards():
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    counters = re.findall(r"\b\w+_total\b|\b\w+_bucket\b", target["expr"])
                    rates = re.findall(r"\brate\((\w+)(?:\{[^}]*\})?\[\$__rate_interval\]\)", target["expr"])
                    self.assertEqual(counters, rates, f"{name}: {panel['title']}")

    def test_the_first_row_answers_the_first_question(self):
        board = dict(load.dashboards())["fleet"]
        rows = [i for i, p in enumerate(board["panels"]) if p["type"] == "row"]
        first = board["panels"][rows[0] + 1:rows[1]]
        self.assertEqual([(p["type"], p["title"], p["gridPos"]["y"]) for p in first],
                         [("stat", t, 1) for t in ("IDs per second", "Error ratio", "Latency of NEXT", "Live workers", "Slots free")])
        said = {p["title"]: " ".join(t["expr"] for t in p["targets"]) for p in first}
        self.assertIn("snowfleet_capacity_ids_per_second", said["IDs per second"])
        for quantile in ("0.5,", "0.95,", "0.99,"):
            self.assertIn("histogram_quantile(" + quantile, said["Latency of NEXT"])
        for title in ("Live workers", "Slots free"):
            self.assertIn("by (datacenter)", said[title])
        # What all workers of a datacenter say alike is taken once for each fleet, and added up over them.
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if "snowfleet_slots" in target["expr"] or "snowfleet_members" in target["expr"]:
                    self.assertIn("max by (cluster, namespace, fleet, fleet_id, datacenter", target["expr"], panel["title"])
        below = {p["title"]: p for p in board["panels"][rows[1]:]}
        self.assertEqual(below["State of each worker"]["type"], "state-timeline")
        for title in ("Clock offset", "Clock error bound", "Reservation left"):
            steps = below[title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
            self.assertGreater(len(steps), 1, title)
        for title in ("Sequence exhaustion", "Share of each worker", "Slots by state", "Coordinator connected", "CPU", "Memory"):
            self.assertIn(title, below)

    def test_every_alert_says_what_to_do(self):
        for name, rule in alerts().items():
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"), name)
            notes = rule["annotations"]
            self.assertEqual(set(notes), {"summary", "description", "runbook_url"}, name)
            self.assertIn("$value", notes["description"], name)

    def test_runbook_has_every_alert_and_no_other(self):
        with open(os.path.join(load.ROOT, "RUNBOOK.md"), encoding="utf-8") as f:
            text = f.read()
        entries = re.findall(r"^### (Snowfleet\w+)$", text, re.M)
        self.assertEqual(sorted(entries), sorted(alerts()))
        anchors = [anchor(h) for h in re.findall(r"^#+ (.*)$", text, re.M)]
        self.assertEqual(len(anchors), len(set(anchors)), "two headings with one anchor")
        for name, rule in alerts().items():
            url, _, wanted = rule["annotations"]["runbook_url"].partition("#")
            self.assertTrue(url.endswith("/RUNBOOK.md"), name)
            self.assertIn(wanted, anchors, name)
        for name in entries:
            part = re.search(rf"^### {name}$(.*?)(?=^##)", text + "\n## end", re.M | re.S).group(1)
            for word in ("Meaning:", "Impact:", "First look:", "Likely causes", "- Hosts:", "- Kubernetes:", "Undo:", "Over when:"):
                self.assertIn(word, part, name)
            self.assertGreaterEqual(len(re.findall(r"^    ", part, re.M)), 3, name + ": three commands")
        for target in re.findall(r"\]\(#([\w-]+)\)", text):
            self.assertIn(target, anchors, "a link that leads nowhere")

    def test_runbook_commands_exist(self):
        """Paths are ones that the admin port has; with the tool at hand (SNOWFLEET_BIN), commands and options are ones that it has."""
        with open(os.path.join(load.ROOT, "RUNBOOK.md"), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(load.ROOT, "docs/http.md"), encoding="utf-8") as f:
            paths = set(re.findall(r"`(/[\w/]*)", f.read()))
        used = set(re.findall(r"curl -s \$ADMIN(/[\w/]*)", text))
        self.assertTrue(used and used <= paths, used - paths)
        with open(os.path.join(load.ROOT, "docs/configuration.md"), encoding="utf-8") as f:
            options = set(re.findall(r"^\| ([a-z_]+\.[a-z_0-9]+) \|", f.read(), re.M))
        self.assertGreater(len(options), 40)
        with open(os.path.join(load.ROOT, "docs/logs.md"), encoding="utf-8") as f:
            events = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", f.read(), re.M))
        self.assertGreater(len(events), 40)
        with open(os.path.join(load.ROOT, "src/cli/diagnosis.c"), encoding="utf-8") as f:
            rules = set(re.findall(r'^    \{"([a-z]+\.[a-z_]+)", SF_', f.read(), re.M))
        self.assertGreater(len(rules), 40)
        for option in set(re.findall(r"\b((?:clock|reservation|mint|listen|limit|drain|fleet)\.[a-z_]+)", text)) - {"fleet.json"}:
            self.assertIn(option, options | events | rules)
        commands = re.findall(r"(?:^    \$ |`)snowfleet ([a-z]+)([^`\n]*)", text, re.M)
        self.assertGreater(len(commands), 60)
        folder = os.environ.get("SNOWFLEET_BIN")
        if not folder or not os.path.exists(os.path.join(folder, "snowfleet")):
            self.skipTest("no snowfleet in SNOWFLEET_BIN: commands not compared")
        help_of = {}
        for command, rest in commands:
            if command not in help_of:
                got = subprocess.run([os.path.join(folder, "snowfleet"), command, "--help"], capture_output=True, text=True, check=False)
                self.assertEqual(got.returncode, 0, command)
                help_of[command] = got.stdout
            for option in re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", rest):
                self.assertRegex(help_of[command], rf"(?<![\w-]){option}(?![\w-])", f"snowfleet {command}{rest}")

    def test_alerts_fire_and_stay_quiet(self):
        self.assertEqual({"Snowfleet" + name for name in CASES}, set(alerts()), "every alert has a case")
        tests = []
        for name, (minute, firing, count, quiet) in CASES.items():
            for series, samples in ((firing, [{"labels": "{}", "value": count}]), (quiet, [])):
                tests.append({
                    "name": f"{name} {'fires' if samples else 'is quiet'}", "interval": "1m",
                    "input_series": [{"series": s, "values": v.strip()} for s, v in series],
                    "promql_expr_test": [{"expr": f'count(ALERTS{{alertname="Snowfleet{name}",alertstate="firing"}})', "eval_time": f"{minute}m", "exp_samples": samples}],
                })
        tests.append({  # one alert in full, with its texts
            "name": "texts", "interval": "1m", "input_series": [{"series": s, "values": v} for s, v in CASES["CoordinatorUnreachable"][1]],
            "alert_rule_test": [{"eval_time": "5m", "alertname": "SnowfleetCoordinatorUnreachable", "exp_alerts": [{
                "exp_labels": {"severity": "warning", "job": "snowfleet", "instance": "w0", "fleet": "f", "fleet_id": "id-f", "datacenter": "0", "worker": "0",
                               "node": "n0"},
                "exp_annotations": {
                    "summary": "A worker cannot reach its coordinator",
                    "description": "Worker 0/0 (w0) has lost its coordinator (connected = 0); it lives on its reservation.",
                    "runbook_url": alerts()["SnowfleetCoordinatorUnreachable"]["annotations"]["runbook_url"]}}]}],
        })
        # Nobody answers a scrape: then nobody says that none is ready.
        tests.append({
            "name": "an outage of all", "interval": "1m", "input_series": [{"series": s, "values": v} for s, v in (
                one("up", "1 1 0x20"), one("up", "1 1 0x20", 1), (info(0)[0], "1 1 stale"), (info(1)[0], "1 1 stale"),
                one("snowfleet_state", "1 1 stale", 0, 'state="ready"'), one("snowfleet_state", "1 1 stale", 1, 'state="ready"'))],
            "alert_rule_test": [{"eval_time": "1m", "alertname": "SnowfleetFewReady", "exp_alerts": []}, {
                "eval_time": "5m", "alertname": "SnowfleetFewReady", "exp_alerts": [{
                    "exp_labels": {"severity": "critical", "job": "snowfleet"},
                    "exp_annotations": {
                        "summary": "Too few workers are ready", "description": "Job snowfleet has 0 ready workers; at least 2 are wanted.",
                        "runbook_url": alerts()["SnowfleetFewReady"]["annotations"]["runbook_url"]}}]}],
        })
        tests += releases()
        self.promtool(["test", "rules"], json.dumps({"rule_files": [os.path.abspath(os.path.join(load.DASHBOARDS, "alerts.yaml"))],
                                                     "evaluation_interval": "15s", "tests": tests}))


if __name__ == "__main__":
    unittest.main()
