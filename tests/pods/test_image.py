#!/usr/bin/env python3
"""The image: builds, is small, is the same twice, says what is in it, runs without any right, gives IDs."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import unittest

import pods

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import etcd  # noqa: E402
from ports import free_ports  # noqa: E402
from terminal import Terminal  # noqa: E402

MEBIBYTE = 1 << 20


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.podman = pods.Podman()
        cls.addClassCleanup(cls.podman.__exit__, None, None, None)
        begun = time.monotonic()
        cls.digest = pods.make_image(cls.podman)
        print(f"image {cls.digest} built in {time.monotonic() - begun:.1f} s", flush=True)

    def files(self):
        """{path: bytes} of the image; links and folders left out."""
        name = self.podman.name("files")
        self.podman.containers.append(name)
        self.podman("create", "--name", name, pods.IMAGE)
        path = self.podman.directory / "files.tar"
        self.podman("export", "-o", path, name)
        with tarfile.open(path) as archive:
            return {"/" + member.name.lstrip("./"): archive.extractfile(member).read() for member in archive if member.isfile()}

    def test_1_says_what_it_is(self):
        about = self.podman.inspect(pods.IMAGE)
        config = about["Config"]
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"], ["/usr/bin/snowfleetd"])
        self.assertEqual(set(config["ExposedPorts"]), {"7450/tcp", "7451/tcp"})
        for label in ("title", "description", "version", "revision", "source", "licenses"):
            self.assertTrue(config["Labels"].get(f"org.opencontainers.image.{label}"), label)
        cmake = (pods.ROOT / "CMakeLists.txt").read_text()
        self.assertEqual(config["Labels"]["org.opencontainers.image.version"], re.search(r"snowfleet VERSION ([\d.]+)", cmake).group(1))
        print(f"size {about['Size'] / 1e6:.1f} MB")
        self.assertLess(about["Size"], 20e6)

    def test_2_holds_nothing_but_the_programs_and_what_they_load(self):
        files = self.files()
        programs = [path for path in files if "/bin/" in path]
        self.assertEqual(sorted(programs), ["/usr/bin/snowfleet", "/usr/bin/snowfleetd"])
        bill = json.loads(files["/usr/share/snowfleet/sbom.cdx.json"])
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        names = [component["name"] for component in bill["components"]]
        self.assertEqual(len(names), len(set(names)))
        references = [component["bom-ref"] for component in bill["components"]] + [bill["metadata"]["component"]["bom-ref"]]
        self.assertEqual(len(references), len(set(references)))
        for component in bill["components"]:
            self.assertEqual(component["type"], "library")
            self.assertRegex(component["version"], r"^[0-9][A-Za-z0-9.+:~-]*$")
            self.assertRegex(component["purl"], r"^pkg:deb/debian/[a-z0-9.+-]+@[A-Za-z0-9.%~-]+\?arch=[a-z0-9]+$")
        self.assertEqual([name for name in names if re.search("ldap|krb5|ssh|rtmp|nghttp2", name)], [], "docker/libcurl is there to leave these out")
        for package in ("curl", "libc6", "libssl3", "libmicrohttpd12", "libjansson4", "libncursesw6", "ncurses-base", "ca-certificates"):
            self.assertIn(package, names)
        libraries = [path for path in files if ".so" in path.rsplit("/", 1)[-1]]
        self.assertGreater(len(libraries), 10)
        self.assertGreaterEqual(len(libraries), len(names) - len(("ca-certificates", "curl", "ncurses-base")))
        for terminal in ("x/xterm", "x/xterm-256color", "l/linux", "s/screen", "t/tmux-256color", "v/vt100"):
            self.assertIn(f"/lib/terminfo/{terminal}", files)
        print(f"{len(libraries)} libraries of {len(names)} packages, {sum(map(len, files.values())) / MEBIBYTE:.1f} MiB")

    def test_3_gives_ids_without_any_right(self):
        name = self.podman.run("alone", *pods.RESTRICTED, "--tmpfs", "/run/snowfleet:rw,mode=1777,size=16m,notmpcopyup",
                               "--tmpfs", "/var/lib/snowfleet:rw,mode=1777,size=16m,notmpcopyup", "--memory", "128m",
                               "-e", "SNOWFLEET_FLEET_COORDINATOR=local:///var/lib/snowfleet", "-e", "SNOWFLEET_RESERVATION_STATE_DIR=/run/snowfleet",
                               pods.IMAGE)
        ids = []

        def ask():
            result = self.podman("exec", name, "snowfleet", "id", "-n", "1000", check=False)
            ids[:] = [int(line) for line in result.stdout.split()]
            return result.returncode == 0

        pods.wait_until(ask, lambda: self.podman.logs(name), 30)
        self.assertEqual(len(set(ids)), 1000)
        self.assertEqual(ids, sorted(ids))
        pid = self.podman.inspect(name)["State"]["Pid"]
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        self.assertEqual(status["Uid"].split(), ["65532"] * 4)
        self.assertEqual(status["CapEff"].strip(), "0" * 16)
        self.assertEqual(status["CapBnd"].strip(), "0" * 16)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        self.assertEqual(status["Seccomp"].strip(), "2")
        top = Terminal(["podman", "exec", "-it", name, "snowfleet", "top"], env=self.podman.environment)
        self.addCleanup(top.close)
        top.shows("ok: 1 of 1 expected ready")
        top.press("q")
        self.assertEqual(top.wait(), 0)
        self.podman("stop", "-t", "10", name)
        self.assertEqual(self.podman.inspect(name)["State"]["ExitCode"], 0, self.podman.logs(name))

    def test_4_talks_tls_to_etcd_and_on_its_admin_port(self):
        if not etcd.available():
            self.skipTest("etcd is not installed")
        listen, admin = free_ports(2)
        with etcd.Cluster(tls=True) as cluster:
            places = self.podman.directory / "tls"
            places.mkdir(mode=0o755)
            for name, source in (("ca", cluster.ca), ("cert", cluster.cert), ("key", cluster.key), ("server.cert", cluster.certificates.server[0]),
                                 ("server.key", cluster.certificates.server[1])):
                shutil.copyfile(source, places / name)
                os.chown(places / name, 65532, 65532)
                (places / name).chmod(0o400)
            self.podman.directory.chmod(0o755)
            common = (*pods.RESTRICTED, "--network", "host", "-v", f"{places}:/tls:ro")
            url = cluster.url()
            self.podman("run", "--rm", *common, "--entrypoint", "/usr/bin/snowfleet", pods.IMAGE, "init", "--first", "--coordinator", url,
                        "--coordinator-ca", "/tls/ca", "--coordinator-cert", "/tls/cert", "--coordinator-key", "/tls/key")
            name = self.podman.run("tls", *common, "-e", f"SNOWFLEET_FLEET_COORDINATOR={url}", "-e", f"SNOWFLEET_LISTEN_ADDRESS=127.0.0.1:{listen}",
                                   "-e", f"SNOWFLEET_ADMIN_ADDRESS=127.0.0.1:{admin}", "-e", "SNOWFLEET_COORDINATOR_TLS_CA=/tls/ca",
                                   "-e", "SNOWFLEET_COORDINATOR_TLS_CERT=/tls/cert", "-e", "SNOWFLEET_COORDINATOR_TLS_KEY=/tls/key",
                                   "-e", "SNOWFLEET_ADMIN_TLS_CERT=/tls/server.cert", "-e", "SNOWFLEET_ADMIN_TLS_KEY=/tls/server.key", pods.IMAGE)
            pods.wait_until(lambda: self.podman("exec", name, "snowfleet", "id", "--server", f"127.0.0.1:{listen}", check=False).returncode == 0,
                            lambda: self.podman.logs(name), 30)
            said = json.loads(self.podman("exec", name, "snowfleet", "status", "--json", "--admin", f"https://127.0.0.1:{admin}", "--admin-ca", "/tls/ca").stdout)
            self.assertEqual((said["state"], said["coordinator"]["backend"], said["coordinator"]["connected"]), ("ready", "etcd", True))
            self.podman("stop", "-t", "30", name)
            self.assertEqual(self.podman.inspect(name)["State"]["ExitCode"], 0, self.podman.logs(name))

    def test_5_is_the_same_twice(self):
        other = pods.IMAGE + "-again"
        self.addCleanup(self.podman, "rmi", "-f", other, check=False)
        # The packages are there already, so this is the compiling, the collecting and the labels once more, without a cache.
        again = pods.build(self.podman, other, "--no-cache", base=pods.TOOLS)
        self.assertEqual(again, self.digest)


if __name__ == "__main__":
    why = pods.missing()
    if why:
        print("skipped:", why)
        sys.exit(77)
    unittest.main(verbosity=2)
