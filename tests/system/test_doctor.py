#!/usr/bin/env python3
"""`snowfleet doctor` names what was planted: real workers on a real etcd, brought into trouble one after the other. Before and after each
story the fleet is healthy. Rules that cannot be staged here are in tests/unit/test_cli_diagnosis.c."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest
import urllib.error

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import coordinators  # noqa: E402
import etcd  # noqa: E402
import snowfleet as sf  # noqa: E402
from certificates import make_certificates  # noqa: E402
from fake_ntp import FakeNtp  # noqa: E402

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
TOKEN = "0123456789abcdef0123456789abcdef"
LEAST = 25
named = set()


class Staged(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.ntp = FakeNtp()
        self.stack.callback(self.ntp.close)
        self.fleet = self.stack.enter_context(sf.Fleet())
        self.coordinator = None

    def on_etcd(self, layout="41,8,2,12"):
        if not coordinators.available("etcd"):
            raise AssertionError("etcd is not installed; ./check installs it")
        self.coordinator = self.stack.enter_context(coordinators.start("etcd"))
        self.fleet.coordinator = self.coordinator.url()
        self.init("--layout", layout, "--datacenters", "0")
        self.asked = ["--coordinator", self.fleet.coordinator]

    def init(self, *more):
        self.fleet.tool("init", "--coordinator", self.fleet.coordinator, "--first", *more)

    def worker(self, **options):
        """One whose clock somebody vouches for, on every machine."""
        named_so = {key.replace("_", "-"): value for key, value in options.items()}
        return self.fleet.worker(options={"clock-sources": self.ntp.source, "clock-poll-ms": 300, "coordinator-session-timeout-ms": 3000, **named_so})

    def admin(self, worker, scheme="http"):
        return ["--admin", f"{scheme}://127.0.0.1:{worker.admin}"]

    def doctor(self, *asked, env=None):
        """Exit code, and the findings by rule."""
        done = self.fleet.tool("doctor", "--json", "--timeout-ms", 3000, *(asked or self.asked), check=False, env=env)
        self.assertIn(done.returncode, (0, 1, 69), done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["healthy"], done.returncode == 0)
        self.assertEqual(report["looked"], done.returncode != 69)
        return done.returncode, {finding["rule"]: finding for finding in report["findings"]}

    def names(self, rule, *asked, code=1, words="", env=None):
        """It comes to say this, in the end."""
        found = {}

        def said():
            nonlocal found
            got, found = self.doctor(*asked, env=env)
            return got == code and rule in found and words in found[rule]["text"]
        sf.wait_until(said, lambda: f"{rule}: {json.dumps(found, indent=1)}", step_s=0.2)
        named.add(rule)
        return found

    def healthy(self, *asked):
        found = {}

        def well():
            nonlocal found
            code, found = self.doctor(*asked)
            return code == 0
        sf.wait_until(well, lambda: f"healthy: {json.dumps(found, indent=1)}", step_s=0.2)

    def secret(self, name, text):
        path = self.fleet.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def test_processes(self):
        """Stopped, killed, gone, drained, one left, none."""
        self.on_etcd()
        first, second = self.worker().start(), self.worker(drain_delay_ms=4000).start()
        self.healthy()
        second.pause()
        found = self.names("worker.silent")
        self.assertEqual(found["worker.silent"]["severity"], "warning")
        self.names("fleet.few_ready", words="one is ready")
        second.resume()
        self.healthy()
        second.kill()
        self.names("worker.gone")
        found = self.names("worker.lost", words=second.name)
        self.assertIn("snowfleetworkerdown", found["worker.lost"]["runbook"])
        self.names("worker.lost", *self.admin(first), words=second.name)  # by what another worker knows
        second.start()
        self.names("worker.restarted", code=0)
        self.healthy()
        self.fleet.tool("drain", *self.admin(second))
        self.names("worker.draining")
        second.process.wait(sf.DEADLINE_S)
        self.healthy()
        first.kill()
        found = self.names("fleet.none_ready")
        self.assertEqual(next(iter(found)), "fleet.none_ready")  # the most severe comes first
        text = self.fleet.tool("doctor", *self.asked, check=False).stdout
        self.assertRegex(text, r"(?m)^CRITICAL  fleet.none_ready \(certain\)$")
        self.assertIn("runbook RUNBOOK.md#snowfleetfewready", text)

    def test_clocks(self):
        self.on_etcd()
        other = FakeNtp()
        self.stack.callback(other.close)
        self.worker().start()
        second = self.worker(clock_sources=other.source).start()
        self.healthy()
        other.faults["offset"] = 0.4
        self.names("worker.clock_warn", words="+4")
        other.faults["offset"] = 5
        found = self.names("worker.clock_bad")
        self.assertIn(second.name, found["worker.clock_bad"]["who"])
        other.faults.update(offset=0, li=3)
        self.names("worker.source_down")
        self.names("worker.unsynchronised")
        other.faults["li"] = 0
        second.wait_ready()
        self.healthy()
        if os.path.exists(FAKETIME):
            env = {**os.environ, "LD_PRELOAD": FAKETIME, "FAKETIME": "-45s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            self.names("worker.clock_apart", env=env)
            self.names("clock.here", env=env)

    def test_demand(self):
        """More than can be served; a limit; no slot left; a slot that somebody else has."""
        self.on_etcd()
        first = self.worker().start()
        second = self.worker(limit_worker_ids_per_s=1000, limit_worker_burst=1000).start()
        self.healthy()
        for worker, rules in ((second, ("worker.rate_limited",)), (first, ("worker.overloaded", "worker.saturated", "worker.sequence_exhausted"))):
            load = subprocess.Popen([sf.BIN / "snowfleet", "bench", "--server", f"127.0.0.1:{worker.port}", "-c", "16", "-d", "16", "--batch",
                                     "20000" if worker is first else "100", "-t", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                for rule in rules:
                    self.names(rule, code=1 if worker is first else 0)
            finally:
                load.kill()
                load.wait()
        third, fourth = self.worker().start(), self.worker().start()
        self.names("fleet.nearly_full")
        waiting = self.worker().start(ready=False)
        self.names("fleet.full")
        self.names("worker.waiting", *self.admin(waiting))
        waiting.end()
        pinned = self.worker(fleet_worker=first.status()["worker"]).start(ready=False)
        self.names("worker.pinned", *self.admin(pinned))
        pinned.end()
        for worker in (third, fourth):
            self.assertEqual(worker.term(), 0)
        self.healthy()

    def test_records(self):
        """What stands in the coordinator: garbage, too far ahead, halted, half made, gone."""
        self.on_etcd()
        worker = self.worker().start()
        self.healthy()
        place, config, token = self.coordinator, self.coordinator.get("/snowfleet/default/config"), self.coordinator.token()
        slot = next(number for number in range(4) if number != worker.status()["worker"])
        path = place.slot_path("default", 0, slot)
        before = place.get(path)
        place.set(path, "garbage")
        self.names("slot.broken", words=f"0/{slot}")
        far = json.loads(before)
        far.update(fence=1, node="host-a", reserved_until_ms=int(time.time() * 1000) + 90000000, claim="claim-" + "0" * 32 + "-0000000001")
        place.set(path, json.dumps(far))
        self.names("slot.distant", words="host-a")
        place.set(path, before)
        self.healthy()
        self.names("fleet.missing", *self.asked, "--fleet", "misspelt")
        current = f"/snowfleet/default/current-{token}"
        place.delete(current)
        self.names("fleet.unnamed")
        place.set(current, "")
        self.healthy()
        state = place.get(f"/snowfleet/default/{token}/state")
        place.delete(f"/snowfleet/default/{token}/state")
        self.names("fleet.stateless")
        place.set(f"/snowfleet/default/{token}/state", state.replace("false", "true"))
        self.names("fleet.halted")
        worker.end()
        place.set("/snowfleet/default/config", "garbage")
        self.names("fleet.garbage")
        place.set("/snowfleet/default/config", config)

    def test_a_wiped_coordinator(self):
        self.on_etcd()
        worker = self.worker().start()
        self.healthy()
        self.coordinator.wipe()
        for asked in (self.asked + self.admin(worker), self.admin(worker)):
            found = self.names("fleet.wiped", *asked)
            self.assertIn("--after-data-loss", found["fleet.wiped"]["next"])
            self.assertNotIn("fleet.missing", found)

    def test_the_coordinator(self):
        """Down, not to be reached from here, without a gateway, refusing us."""
        self.on_etcd()
        worker = self.worker().start()
        low = self.worker(reservation_window_ms=100000).start()
        self.healthy()
        nobody = f"etcd://127.0.0.1:{sf.free_ports(1)[0]}"
        self.names("coordinator.unreachable_here", "--coordinator", nobody, *self.admin(worker))
        self.coordinator.stop_all()
        self.names("coordinator.unreachable", code=69)
        self.names("coordinator.unreachable", *self.asked, *self.admin(worker))
        self.names("worker.disconnected", *self.admin(worker))
        self.names("worker.reservation_low", *self.admin(low))
        with etcd.Cluster(users={"fleet": "word"}) as refusing:
            self.names("coordinator.auth", "--coordinator", refusing.url(), code=69)
        ports = sf.free_ports(2)
        client, peer = (f"http://127.0.0.1:{port}" for port in ports)
        bare = subprocess.Popen(["etcd", "--data-dir", self.fleet.directory / "bare", "--enable-grpc-gateway=false", "--listen-client-urls", client,
                                 "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                                 "--initial-cluster", f"default={peer}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.names("coordinator.gateway", "--coordinator", f"etcd://127.0.0.1:{ports[0]}", code=69)
        finally:
            bare.kill()
            bare.wait()

    def test_a_full_coordinator(self):
        """Its quota is used up: it reads, and takes no writes."""
        with etcd.Cluster(options=["--quota-backend-bytes=2000000"]) as full:
            self.fleet.coordinator = full.url()
            self.init("--datacenters", "0")
            worker = self.worker(reservation_window_ms=4000, reservation_min_window_ms=4000).start()
            self.healthy(*self.admin(worker))
            with self.assertRaises(urllib.error.HTTPError):
                for i in range(100):
                    full.any_post("/v3/kv/put", {"key": etcd.b64(f"/fill{i}"), "value": etcd.b64("x" * 100000)})
            self.names("coordinator.quota", *self.admin(worker))
            self.names("coordinator.quota", "--coordinator", full.url(), code=69)
            found = self.names("worker.suspended", *self.admin(worker))
            self.assertNotIn("worker.clock_bad", found)

    def test_one_worker_by_two_names(self):
        self.init("--datacenters", "0")
        worker = self.worker().start()
        code, found = self.doctor(*self.admin(worker), "--admin", f"localhost:{worker.admin}", "--coordinator", self.fleet.coordinator)
        self.assertEqual((code, set(found)), (0, {"worker.restarted"}), found)

    def test_files(self):
        """Certificates that end, tokens that are refused, a reload that is refused; ports that are mixed up."""
        self.init()
        make_certificates(self.fleet.directory)
        for name in ("server", "expired"):
            (self.fleet.directory / f"{name}.key").chmod(0o600)
        files = {name: self.fleet.directory / name for name in ("server.pem", "server.key", "expired.pem", "expired.key", "ca.pem", "other.pem")}
        tokens = self.secret("tokens", f"team:{TOKEN}\n")
        ends = self.worker(listen_tls_cert=files["server.pem"], listen_tls_key=files["server.key"], listen_token_file=tokens).start()
        self.names("worker.certificate_expiring", *self.admin(ends), words="listen.tls_cert")
        tokens.write_text("not a token\n")
        self.names("worker.reload_refused", *self.admin(ends), words="listen.token_file")
        tokens.write_text(f"team:{TOKEN}\n")
        sf.wait_until(lambda: "worker.reload_refused" not in self.doctor(*self.admin(ends))[1], "the reload is taken", step_s=0.2)
        ended = self.worker(listen_tls_cert=files["expired.pem"], listen_tls_key=files["expired.key"]).start(ready=False)
        self.names("worker.certificate_expired", *self.admin(ended))
        self.assertEqual(ended.term(), 0)
        self.assertEqual(ends.term(), 0)
        locked = self.worker(admin_token_file=self.secret("admins", f"ops:{TOKEN}\n")).start()
        self.names("worker.token", *self.admin(locked), code=69)
        self.assertEqual(self.doctor(*self.admin(locked), "--token-file", self.secret("ours", TOKEN + "\n"))[0], 0)
        self.names("worker.other_port", "--admin", f"127.0.0.1:{locked.port}", code=69)
        locked.end()
        tls = self.worker(admin_tls_cert=files["server.pem"], admin_tls_key=files["server.key"]).start(ready=False)
        self.names("worker.tls", *self.admin(tls, "https"), "--admin-ca", files["other.pem"], code=69)
        self.names("worker.certificate_expiring", *self.admin(tls, "https"), "--admin-ca", files["ca.pem"])
        self.names("worker.name", "--admin", "no-such-host.invalid:7451", code=69)

    def test_two_fleets(self):
        """A coordinator that was copied: one slot twice. Another fleet beside it. A layout that ends soon."""
        epoch_ms = int(time.time() * 1000) - 1000
        self.init("--layout", "37,9,5,12", "--epoch-ms", epoch_ms, "--datacenters", "0")
        copy = self.fleet.directory / "copy"
        shutil.copytree(self.fleet.directory / "coordinator", copy)
        first = self.worker(fleet_worker=3).start()
        second = self.fleet.worker(coordinator=f"local://{copy}", options={"clock-sources": self.ntp.source, "fleet-worker": 3}).start()
        found = self.names("slot.held_twice", *self.admin(first), *self.admin(second), words="slot 0/3")
        self.assertIn("worker.timestamps_ending", found)
        named.add("worker.timestamps_ending")
        self.assertEqual(next(iter(found)), "slot.held_twice")
        other = f"local://{self.fleet.directory / 'other'}"
        self.fleet.tool("init", "--coordinator", other, "--first", "--datacenters", "0")
        third = self.fleet.worker(coordinator=other, options={"clock-sources": self.ntp.source}).start()
        found = self.names("fleet.two_ids", *self.admin(first), *self.admin(third))
        self.assertIn("fleet.layout_skew", found)
        named.add("fleet.layout_skew")

    @unittest.skipUnless(os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0,
                         "needs root and mount namespaces")
    def test_a_full_disk(self):
        directory = self.fleet.directory / "coordinator"
        directory.mkdir()
        worker = self.worker(reservation_window_ms=4000, reservation_min_window_ms=4000)
        worker.wrap = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                       'd=$1; shift; mount -t tmpfs -o size=16m tmpfs "$d" && exec "$@"', "sh", str(directory)]
        worker.start()
        self.healthy(*self.admin(worker))
        subprocess.run(["nsenter", "--target", str(worker.process.pid), "--mount", "sh", "-c",
                        'dd if=/dev/zero of="$1/fill" bs=64k 2>/dev/null; true', "sh", str(directory)], check=True)
        self.names("worker.local_disk", *self.admin(worker))


if __name__ == "__main__":
    program = unittest.main(verbosity=2, exit=False)
    if not program.result.wasSuccessful():
        sys.exit(1)
    print(f"{len(named)} different causes named: {' '.join(sorted(named))}")
    if len(sys.argv) == 1 and len(named) < LEAST:
        sys.exit(f"at least {LEAST} are to be named")
