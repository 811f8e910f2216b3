#!/usr/bin/env python3
"""`snowfleet top` on a terminal: what it shows of a fleet in health and in trouble, its keys, and what a resize does. Usage: test_top.py SNOWFLEET"""
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_ports  # noqa: E402
from terminal import Terminal  # noqa: E402

SNOWFLEET = sys.argv.pop(1)
HEAD, FIRST = 4, 5  # the row of the columns' heads, and the first below it


class Admin:
    """A worker's admin port: /status, and the fleet's list."""

    def __init__(self, fleet, number):
        self.fleet, self.number, self.changes, self.rates = fleet, number, {}, {}
        admin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if not admin.fleet.answering and self.path == "/fleet":
                    body = b"busy \x1b[2J\xc2\x9b31mfor now\n"
                    self.send_response(503)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                body = json.dumps(admin.fleet.told() if self.path == "/fleet" else admin.status()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def status(self):
        rates = {"ids": 41000, "served": 410, "refused": 0, "exhausted": 0, "refused_by": {}, **self.rates}
        return {"state": "ready", "why": "", "ready": True, "datacenter": 0, "worker": self.number, "node": f"host-{self.number}", "ids_per_s": 41000 + self.number,
                "saturation": 0.01, "connections": 2, "waiting": 0, "layout": {"timestamp": 41, "datacenter": 5, "worker": 5, "sequence": 12},
                "slots": [{"worker": self.number}], "latency_us": {"10s": {"served": {"p50": 21, "p99": 95}}}, "rates": {"10s": rates},
                "clock": {"verdict": "ok", "text": "", "offset_ns": 200000, "error_ns": 1100000}, "reservation": {"left_ms": 590000}, **self.changes}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Fleet:
    def __init__(self, size):
        self.answering, self.gone = True, []  # answering: /fleet; of the statuses a look that has begun still gets all
        self.workers = [Admin(self, number) for number in range(size)]

    def told(self):
        members = []
        for w in self.workers:
            status = w.status()
            members.append({"datacenter": 0, "worker": status["worker"], "node": status["node"], "admin": w.address, "state": status["state"], "reason": status["why"],
                            "since_ms": int(time.time() * 1000) - 40000})
        return {"datacenter": 0, "slots": [{"state": "held"} for _ in self.workers] + [{"state": "free"}], "waiting": 0, "members": members + self.gone}

    def trouble(self):
        """One that refuses, one whose clock is off, one that was lost, one that left."""
        self.workers[1].changes, self.workers[1].rates = {"saturation": 3.2, "waiting": 512}, {"refused": 30000, "exhausted": 900, "refused_by": {"overloaded": 29990, "internal": 10}}
        self.workers[2].changes = {"state": "suspended", "why": "offset -45.0s, over clock.max_offset_ms 1000", "ready": False, "worker": None, "slots": [],
                                   "clock": {"verdict": "bad", "offset_ns": -45e9, "error_ns": 27e6}}
        gone = {"datacenter": 0, "admin": None, "since_ms": int(time.time() * 1000) - 754000}
        self.gone = [{**gone, "worker": 8, "node": "host-8", "state": "lost", "reason": "its slot was not given back"},
                     {**gone, "worker": 9, "node": "host-9", "state": "left", "reason": ""}]

    def close(self):
        for w in self.workers:
            w.close()


class Top(unittest.TestCase):
    def start(self, size=3, rows=24, columns=160, trouble=False, **more):
        self.fleet = Fleet(size)
        self.addCleanup(self.fleet.close)
        if trouble:
            self.fleet.trouble()
        self.command = [SNOWFLEET, "top", "-i", "100", "--admin", self.fleet.workers[0].address]
        self.top = Terminal(self.command, rows, columns, **more)
        self.addCleanup(self.top.close)
        self.screen = self.top.screen
        return self.top

    def row(self, node):
        return next((line for line in self.screen.lines()[FIRST:-2] if f" {node} " in line + " "), "")

    def sees_row(self, node, pattern):
        self.top.until(lambda _: re.search(pattern, self.row(node)), f"{node} as {pattern}")

    def sees_line(self, number, pattern):
        self.top.until(lambda screen: re.search(pattern, screen.line(number)), f"line {number} as {pattern}")

    def order(self):
        return [word for line in self.screen.lines()[FIRST:-2] for word in line.split() if word.startswith("host-")]

    def quit(self):
        self.top.press("q")
        self.assertEqual(self.top.wait(), 0)
        self.assertTrue(self.top.is_restored(), "the terminal is as it was")

    def test_health(self):
        self.start().shows("host-2")
        self.sees_line(0, r"^snowfleet top  127\.0\.0\.1:\d+  20\d\d-")
        self.sees_line(1, r"^ok: 3 of 3 expected ready; 123\.0k of 12\.3M IDs/s, load 1%; refused 0/s \(0%\)$")
        self.sees_line(2, "^slots of datacenter 0: 3 held, 1 free, 0 quarantined, 0 broken; 0 wait$")
        self.sees_line(HEAD, r"^vSLOT   STATE +NODE +IDS/S +LOAD +P50 +P99 REFUSED +ERRORS EXHAUST WAITING +OFFSET +\+-BOUND RESERVED +CONNS ADMIN$")
        self.sees_row("host-1", r"^0/1 +ready +host-1 +41\.0k +1% +21us +95us +0 +0 +0 +0 +0\.2ms +1\.1ms +9m50s +2 127\.0\.0\.1:\d+$")
        self.assertEqual(self.screen.look("ok:")[0], "green")
        self.assertEqual(self.screen.look("ready", FIRST + 1)[0], "green")
        self.assertTrue(self.screen.look("STATE")[2], "the heads stand out")
        self.quit()

    def test_trouble(self):
        """Ready is not green where nearly everything is refused; who is lost stays; each says why."""
        self.start(trouble=True).shows("host-9")
        self.sees_line(1, r"^TROUBLE: 2 of 4 expected ready; .* load 160%; refused 30\.0k/s \(96%\)$")
        self.assertEqual(self.screen.look("TROUBLE")[:2], ("red", True))
        self.sees_row("host-1", r"^0/1 +refusing 99% +host-1 .* 320% .* 30\.0k +10 +900 +512 ")
        self.sees_row("host-2", r"^- +suspended +host-2 .* -45\.00s +27\.0ms +- ")
        self.sees_row("host-8", r"^0/8 +lost +host-8 ")
        self.sees_row("host-9", r"^0/9 +left +host-9 ")
        for word in ("refusing", "suspended", "lost"):
            self.assertEqual(self.screen.look(word, next(i for i, line in enumerate(self.screen.lines()) if i >= FIRST and word in line))[0], "red", word)
        self.top.press("jj")  # down twice: below, why it is so
        self.top.until(lambda s: "0/8 host-8: lost for 12m3" in s.line(-2 + s.rows), "the chosen one's reason")
        self.sees_line(self.screen.rows - 2, ": its slot was not given back$")
        self.quit()

    def test_keys(self):
        self.start(size=5, trouble=True).shows("host-9")
        self.top.until(lambda s: self.order() == ["host-0", "host-1", "host-3", "host-4", "host-8", "host-9", "host-2"], "by slot")
        self.top.press("r")
        self.top.until(lambda s: self.order()[0] == "host-2", "the other way round")
        self.top.press("r>")  # by state: the worst first
        self.top.until(lambda s: "vSTATE" in s.line(HEAD) and set(self.order()[:3]) == {"host-1", "host-2", "host-8"} and self.order()[-1] == "host-9", "by state")
        self.top.press("ss")  # by IDs a second, who has no figure last
        self.top.until(lambda s: "vIDS/S" in s.line(HEAD) and self.order()[0] == "host-4" and set(self.order()[-2:]) == {"host-8", "host-9"}, "by rate")
        self.top.press("<")
        self.top.until(lambda s: "vNODE" in s.line(HEAD), "back to the left")
        self.top.press("/LOST")
        self.top.until(lambda s: s.line(s.rows - 1).startswith("filter: LOST_") and self.order() == ["host-8"], "a filter, in any case, while it is typed")
        self.top.press("\x7f\x7f\x7f\x7fhost-1\r")
        self.top.until(lambda s: self.order() == ["host-1"] and "/ filter: host-1" in s.line(s.rows - 1), "kept")
        self.top.press("/x\x1b")
        self.top.until(lambda s: "/ filter: host-1 " in s.line(s.rows - 1), "given up")
        self.top.press("\x1b")
        self.top.until(lambda s: len(self.order()) == 7, "no filter")
        self.top.press("t")
        self.top.until(lambda s: self.order() == ["host-1", "host-2", "host-8"], "only who is not well")
        self.top.press("t")
        self.top.press("h")
        self.top.shows("keys and columns")
        self.top.shows("any key goes back")
        self.top.press("x")
        self.top.until(lambda s: len(self.order()) == 7, "back")
        self.top.press("\x1bOB")  # arrow down
        self.top.until(lambda s: s.line(s.rows - 2).startswith("0/1 host-1: refusing"), "the next one")
        self.quit()

    def test_resizes(self):
        self.start(size=12, rows=24, columns=80).shows("host-11")
        self.sees_line(HEAD, "REFUSED.*OFFSET")
        self.assertNotIn("ADMIN", self.screen.line(HEAD), "what is least wanted goes where the window is narrow")
        self.top.resize(40, 180)
        self.top.until(lambda s: s.line(HEAD).endswith("ADMIN") and s.line(39).startswith("q quit"), "wider")
        self.top.resize(12, 40)
        self.top.until(lambda s: "host-4" in s.text() and "host-5" not in s.text() and s.line(11).startswith("q quit") and "REFUSED" not in s.line(HEAD), "five rows")
        self.top.press("\x1bOF")  # End: scrolls
        self.top.until(lambda s: self.order()[-1:] == ["host-11"] and s.line(10).startswith("0/11 host-11"), "the last one")
        for rows, columns in ((3, 10), (1, 1), (24, 100)):
            self.top.resize(rows, columns)
            time.sleep(0.3)
        self.top.until(lambda s: self.order() == [f"host-{i}" for i in range(12)] and s.line(23).startswith("q quit"), "as before")
        self.quit()

    def test_goes_on_through_an_outage(self):
        self.start().shows("host-2")
        self.fleet.answering = False
        self.top.shows("/fleet: HTTP 503: busy ?[2J??31mfor now; is snowfleetd running there?")
        self.sees_row("host-2", "^0/2 +ready ")  # what was seen stays
        self.assertEqual(self.screen.look("snowfleet:", 3)[0], "red")
        self.fleet.answering = True
        self.top.until(lambda s: s.line(3) == "", "the error goes")
        self.top.process.send_signal(signal.SIGINT)
        self.assertEqual(self.top.wait(), 0)
        self.assertTrue(self.top.is_restored())

    def test_what_never_answered_is_an_error(self):
        top = Terminal([SNOWFLEET, "top", "--admin", f"127.0.0.1:{free_ports(1)[0]}"])
        self.addCleanup(top.close)
        self.assertEqual(top.wait(), 69)
        self.assertTrue(top.is_restored())
        self.assertIn("is snowfleetd running there?", top.raw[top.raw.rindex("\x1b"):])

    def test_a_name_is_a_name(self):
        """What a worker says of itself moves no cursor and sets no colour."""
        self.start()
        self.fleet.workers[1].changes = {"node": "\x1b[2J\x1b[31mevil\r\n", "why": "\x1b]0;title\x07"}
        self.top.shows("evil")
        self.assertNotIn("\x1b[2J\x1b[31mevil", self.top.raw)
        self.sees_row("host-2", "^0/2 +ready ")
        self.quit()
        for command in (self.command + ["--once"], [SNOWFLEET, "status", "--admin", self.fleet.workers[1].address]):
            said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
            self.assertIn("?[2J?[31mevil??", said)
            self.assertNotIn("\x1b", said)
        self.fleet.answering = False
        said = subprocess.run(self.command + ["--once"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual((said.returncode, said.stderr.count("\n")), (69, 1))
        self.assertNotIn("\x1b", said.stderr)

    def test_without_colour(self):
        self.start(term="vt100", trouble=True).shows("host-9")
        self.assertEqual(self.screen.look("TROUBLE"), (None, True, False))
        self.sees_row("host-1", "refusing 99%")
        self.quit()

    def test_plain(self):
        """No terminal, a half one, or one that is not known: plain lines."""
        self.start(trouble=True).shows("host-9")
        self.quit()
        done = subprocess.run(self.command + ["--once"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        self.assertRegex(done.stdout, r"(?m)^0/1 +refusing 99% +host-1 +41001 +320% .*\n-  +suspended +host-2 ")
        self.assertRegex(done.stdout, r"(?m)^0/8 +lost +host-8 +its slot was not given back$")
        self.assertNotIn("\x1b", done.stdout)
        unknown = Terminal(self.command, term="no-such-terminal", rows=50, columns=160)
        self.addCleanup(unknown.close)
        unknown.shows("the type of this terminal is not known here (TERM)")
        unknown.shows("host-9")
        unknown.process.send_signal(signal.SIGTERM)
        self.assertEqual(unknown.wait(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
