#!/usr/bin/env python3
"""The example files of packaging/: each is accepted by the program that reads it, and they agree with each other and with the worker."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

ROOT = pathlib.Path(os.environ.get("SF_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
PACKAGING = ROOT / "packaging"


def run(*command):
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def effective(path):
    done = run(sf.BIN / "snowfleetd", "--check-config", "--config", path)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class Packaging(unittest.TestCase):
    def unit(self):
        return re.findall(r"^(\w+)=(.*)$", (PACKAGING / "snowfleetd.service").read_text(), re.M)

    def test_configuration(self):
        options = effective(PACKAGING / "snowfleetd.json")
        self.assertEqual(options["reservation"]["state_dir"], "/run/" + dict(self.unit())["RuntimeDirectory"])

    def test_unit(self):
        unit, options = dict(self.unit()), effective(PACKAGING / "snowfleetd.json")
        self.assertIn("--config /etc/snowfleet/snowfleetd.json", unit["ExecStart"])
        self.assertGreater(int(unit["TimeoutStopSec"]) * 1000, options["drain"]["delay_ms"] + options["drain"]["timeout_ms"])
        self.assertGreater(int(unit["LimitNOFILE"]), options["listen"]["max_connections"] + 64)
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        fleet = sf.Fleet()
        with fleet:
            copy = fleet.directory / "snowfleetd.service"
            copy.write_text((PACKAGING / "snowfleetd.service").read_text().replace("/usr/local/bin/snowfleetd", str(sf.BIN / "snowfleetd")))
            done = run("systemd-analyze", "verify", "--man=no", copy)
            said = [line for line in done.stderr.splitlines() if "snowfleetd.service" in line]
            self.assertEqual(said, [], done.stderr)

    @unittest.skipUnless(shutil.which("haproxy"), "no haproxy")
    def test_haproxy(self):
        """On a real fleet: IDs come through, and a worker that stops takes no connection down with an answer missing."""
        fleet = sf.Fleet()
        with fleet:
            workers = [fleet.worker(options={"drain-delay-ms": 2000}).start() for _ in range(3)]
            port, = sf.free_ports(1)
            text = (PACKAGING / "haproxy.cfg").read_text().replace("bind :7450", f"bind 127.0.0.1:{port}")
            for worker, host in zip(workers, ("10.0.0.7", "10.0.0.8", "10.0.0.9")):
                line = f"{host}:7450 check port 7451"
                self.assertIn(line, text)
                text = text.replace(line, f"127.0.0.1:{worker.port} check port {worker.admin}")
            path = fleet.directory / "haproxy.cfg"
            path.write_text(text)
            self.assertEqual(run("haproxy", "-c", "-q", "-f", path).returncode, 0)
            proxy = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(path)], stdin=subprocess.DEVNULL)
            try:
                sf.wait_until(lambda: fleet.tool("id", "--server", f"127.0.0.1:{port}", check=False).returncode == 0, "IDs through HAProxy")
                workers[0].process.terminate()
                for _ in range(50):
                    fleet.tool("id", "-n", 3, "--server", f"127.0.0.1:{port}")
                self.assertEqual(workers[0].process.wait(sf.DEADLINE_S), 0)
                got = json.loads(fleet.tool("verify", "--server", f"127.0.0.1:{port}", "-t", 1, "--json").stdout)
                self.assertEqual((got["duplicates"], got["servers"][0]["order_errors"]), (0, 0))
            finally:
                proxy.kill()
                proxy.wait()

    @unittest.skipUnless(shutil.which("promtool"), "no promtool")
    def test_prometheus(self):
        fleet = sf.Fleet()
        with fleet:
            path = fleet.directory / "prometheus.yml"
            path.write_text((PACKAGING / "prometheus.yml").read_text().replace("/etc/prometheus/snowfleet", str(ROOT / "dashboards")))
            done = run("promtool", "check", "config", path)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("rules found", done.stdout)

    def test_links(self):
        """Every file that the operator's pages point to is there."""
        for page in (ROOT / "docs/operations.md", ROOT / "RUNBOOK.md", ROOT / "docs/logs.md", ROOT / "docs/metrics.md"):
            for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
