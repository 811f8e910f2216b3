"""docker/compose: what it says of the programs, ports and files is true, and what it hands to HAProxy and Prometheus they take.

Run by run.sh. The images of others are not pulled; nothing is started.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

HERE = pathlib.Path(__file__).resolve().parents[2] / "docker/compose"
BIN = pathlib.Path(os.environ["SF_BIN"])


def read(name):
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = read("compose.yaml")["services"]
        self.workers = {name: one for name, one in self.services.items() if name.startswith("worker-")}

    def test_three_workers_whose_options_exist(self):
        self.assertEqual(len(self.workers), 3)
        for name, worker in self.workers.items():
            self.assertEqual(worker["hostname"], name)
            result = subprocess.run([BIN / "snowfleetd", "--check-config"], env=worker["environment"], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertTrue(any(line.startswith(worker["environment"]["SNOWFLEET_RESERVATION_STATE_DIR"] + ":") for line in worker["tmpfs"]))

    def test_workers_have_no_rights(self):
        for worker in self.workers.values():
            self.assertTrue(worker["read_only"])
            self.assertEqual((worker["user"], worker["cap_drop"], worker["security_opt"]), ("65532:65532", ["ALL"], ["no-new-privileges:true"]))

    def test_there_is_time_to_drain(self):
        for worker in self.workers.values():
            seconds = int(worker["stop_grace_period"].removesuffix("s"))
            self.assertGreaterEqual(seconds * 1000, int(worker["environment"]["SNOWFLEET_DRAIN_DELAY_MS"]) + 15000 + 5000)

    def test_init_is_a_command_with_these_options(self):
        command, *words = self.services["init"]["command"]
        text = subprocess.run([BIN / "snowfleet", command, "--help"], capture_output=True, text=True, check=True).stdout
        for word in words:
            if word.startswith("--"):
                self.assertIn(word, text)
        self.assertEqual(self.workers["worker-0"]["environment"]["SNOWFLEET_FLEET_COORDINATOR"], words[words.index("--coordinator") + 1])
        self.assertIn("--if-missing", words, "it runs at every start")
        self.assertEqual([words[i + 1] for i, word in enumerate(words) if word == "--ask"], sorted(self.workers), "so --first alone would not be safe")
        for worker in self.workers.values():
            self.assertEqual(worker["depends_on"], {"init": {"condition": "service_completed_successfully"}})

    def test_only_loopback_ports_are_published(self):
        for name, service in self.services.items():
            for port in service.get("ports", []):
                self.assertRegex(port, r"^127\.0\.0\.1:", name)

    def test_every_file_that_is_mounted_exists(self):
        names = set()
        for service in self.services.values():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((HERE / source).exists(), volume)
                    names.add(pathlib.Path(source).name)
        self.assertEqual(names, {path.name for path in HERE.iterdir()} - {"compose.yaml"} | {"alerts.yaml", "dashboards"})

    def test_haproxy_takes_its_file_and_asks_the_workers(self):
        path = HERE / "haproxy.cfg"
        result = subprocess.run(["haproxy", "-c", "-f", path], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
        text = path.read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^  server \S+ (\S+):7450$", text, re.M)), set(self.workers))
        self.assertIn("GET /readyz", text)

    def test_prometheus_takes_its_file_and_asks_the_workers(self):
        if shutil.which("promtool") is None:
            self.skipTest("promtool is not installed")
        with tempfile.TemporaryDirectory() as directory:
            config = read("prometheus.yaml")
            self.assertEqual(config["rule_files"], ["/etc/prometheus/alerts.yaml"])
            self.assertIn("../../dashboards/alerts.yaml:/etc/prometheus/alerts.yaml:ro", self.services["prometheus"]["volumes"])
            config["rule_files"] = [str(HERE.parents[1] / "dashboards/alerts.yaml")]
            path = pathlib.Path(directory) / "prometheus.yaml"
            path.write_text(yaml.safe_dump(config), encoding="utf-8")
            result = subprocess.run(["promtool", "check", "config", path], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        ((scrape,),) = [config["scrape_configs"]]
        self.assertEqual(scrape["job_name"], "snowfleet", "the alerts go by it")
        self.assertEqual(set(scrape["static_configs"][0]["targets"]), {name + ":7451" for name in self.workers})

    def test_grafana_finds_its_data_and_dashboards(self):
        source = read("grafana-datasource.yaml")["datasources"][0]
        self.assertEqual(source["url"], "http://prometheus:9090")
        place = read("grafana-dashboards.yaml")["providers"][0]["options"]["path"]
        self.assertIn(f"../../dashboards:{place}:ro", self.services["grafana"]["volumes"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
