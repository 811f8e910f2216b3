"""Containers for tests: podman with runc, a base image made by debootstrap, the image of docker/Dockerfile.

Nothing in /etc is used or changed: podman gets its own containers.conf. What a test starts has the run's name in it and is removed by name.
"""
import contextlib
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = "localhost/snowfleet-test/base:bookworm"
# Images are the machine's; each source tree has its own.
TREE = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
TOOLS = f"localhost/snowfleet-test/tools:{TREE}"
IMAGE = f"localhost/snowfleet-test/snowfleet:{TREE}"
NEEDED = ("podman", "runc", "debootstrap", "ip", "nsenter")
# No CAP_SYS_RESOURCE in some virtual machines, so podman must not ask for more than there is; crun refuses mixed cgroups, runc does not.
CONF = """[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
RESTRICTED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532:65532")


def missing():
    """Why containers cannot be had here, or None."""
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return "not installed: " + ", ".join(lacking)
    return None if os.geteuid() == 0 else "not root"


class PodError(Exception):
    pass


class Podman(contextlib.AbstractContextManager):
    """podman with our settings, and the containers and networks that this run made."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="snowfleet-pods-"))
        (self.directory / "containers.conf").write_text(CONF)
        self.environment = {**os.environ, "CONTAINERS_CONF": str(self.directory / "containers.conf")}
        self.run_name = "sf" + uuid.uuid4().hex[:8]
        self.containers, self.networks = [], []

    def __exit__(self, kind, value, trace):
        for name in self.containers:
            self("rm", "-f", "-t", "0", "-v", name, check=False)
        for name in self.networks:
            self("network", "rm", "-f", name, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __call__(self, *arguments, check=True, timeout=120, **more):
        result = subprocess.run(["podman", *map(str, arguments)], env=self.environment, cwd=self.directory, capture_output=True, text=True,
                                check=False, timeout=timeout, **more)
        if check and result.returncode != 0:
            raise PodError(f"podman {' '.join(map(str, arguments))}: exit {result.returncode}\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}")
        return result

    def name(self, short):
        return f"{self.run_name}-{short}"

    def network(self):
        name = self.name(f"net{len(self.networks)}")
        self.networks.append(name)
        self("network", "create", name)
        return name

    def run(self, short, *arguments):
        """podman run -d; returns the container's name."""
        name = self.name(short)
        if name not in self.containers:
            self.containers.append(name)
        self("run", "-d", "--name", name, "--log-driver", "k8s-file", *arguments)
        return name

    def inspect(self, name):
        return json.loads(self("inspect", name).stdout)[0]

    def logs(self, name):
        result = self("logs", name, check=False)
        return result.stdout + result.stderr

    def have(self, image):
        return self("image", "exists", image, check=False).returncode == 0


def mirror():
    """The package mirror of this machine, from its own apt sources."""
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")) + ["/etc/apt/sources.list"] + sorted(glob.glob("/etc/apt/sources.list.d/*.list")):
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
        except OSError:
            continue
        for line in text.splitlines():
            found = re.match(r"(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(\S+/debian/?)(\s|$)", line)
            if found:
                return found.group(1)
    raise PodError("no Debian mirror in the apt sources of this machine")


def make_base(podman):
    """A Debian 12 to build on, kept between runs."""
    if podman.have(BASE):
        return
    tree = podman.directory / "base"
    subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(tree), mirror()], check=True,
                   stdout=subprocess.DEVNULL, timeout=900)
    tar = subprocess.Popen(["tar", "--numeric-owner", "--sort=name", "--mtime=@0", "-C", str(tree), "--exclude=./var/cache/apt/archives/*.deb",
                            "--exclude=./var/lib/apt/lists/*_*", "--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*",
                            "--exclude=./usr/share/locale/*", "-c", "."], stdout=subprocess.PIPE)
    podman("import", "--change", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "-", BASE, stdin=tar.stdout,
           timeout=600)
    if tar.wait() != 0:
        raise PodError("tar of the base failed")
    shutil.rmtree(tree, ignore_errors=True)


def build(podman, tag, *arguments, base=BASE):
    """The digest of the image that docker/Dockerfile gives."""
    podman("build", "--timestamp", "0", "--format", "oci", "--build-arg", f"BASE={base}", "-f", ROOT / "docker/Dockerfile", "-t", tag,
           *arguments, ROOT, timeout=1800)
    return podman.inspect(tag)["Digest"]


def make_image(podman):
    make_base(podman)
    build(podman, TOOLS, "--target", "tools")
    return build(podman, IMAGE)


def wait_until(condition, what, seconds=60, step=0.05):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(step)
