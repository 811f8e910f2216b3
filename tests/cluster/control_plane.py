"""A Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes on 127.0.0.1, and its API.

    with ControlPlane(tools) as cluster:
        cluster.api.get("/api/v1/nodes")
        cluster.kubeconfig                       # for helm and kubectl

It has no kubelet: tests/cluster/nodes.py takes its place. Ports are free ones, files lie in a temporary directory; both are gone at the end.
"""
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import etcd  # noqa: E402
from ports import free_ports  # noqa: E402

READY_S = 120
MERGE = "application/merge-patch+json"


class ApiError(Exception):
    def __init__(self, method, path, status, message):
        super().__init__(f"{method} {path}: {status} {message}")
        self.status, self.message = status, message


class Api:
    """Requests to the API server as a member of system:masters. `warnings` of the last answer are what kubectl would print."""

    def __init__(self, url, token, ca):
        self.url, self.token = url, token
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
        self.kinds = {}

    def call(self, method, path, body=None, content="application/json"):
        """(answer, warnings)"""
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(),
                                         {"Authorization": "Bearer " + self.token, "Content-Type": content, "Accept": "application/json"}, method=method)
        try:
            with self.opener.open(request, timeout=30) as answer:
                text = answer.read()
                return json.loads(text) if text.startswith(b"{") else text.decode(), answer.headers.get_all("Warning") or []
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            with contextlib.suppress(ValueError):
                text = json.loads(text).get("message", text)
            raise ApiError(method, path, error.code, text) from None

    def get(self, path):
        return self.call("GET", path)[0]

    def items(self, path):
        return self.get(path)["items"]

    def patch(self, path, body):
        return self.call("PATCH", path, body, MERGE)[0]

    def create(self, document, namespace=None, query=""):
        """POST of any object; (answer, warnings)."""
        return self.call("POST", self.collection(document["apiVersion"], document["kind"], namespace) + query, document)

    def collection(self, version, kind, namespace):
        """The path of a kind's collection, from discovery."""
        if version not in self.kinds:
            base = ("/apis/" if "/" in version else "/api/") + version
            self.kinds[version] = {one["kind"]: (base, one["name"], one["namespaced"]) for one in self.get(base)["resources"] if "/" not in one["name"]}
        base, name, namespaced = self.kinds[version][kind]
        return f"{base}/namespaces/{namespace}/{name}" if namespaced else f"{base}/{name}"


class ControlPlane(contextlib.AbstractContextManager):
    def __init__(self, tools):
        self.tools, self.processes = tools, {}
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="snowfleet-cluster-"))
        self.etcd = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, value, trace):
        self.close()

    def close(self):
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait()
        if self.etcd:
            self.etcd.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self, name):
        return (self.directory / (name + ".log")).read_text(encoding="utf-8", errors="replace")

    def _run(self, name, *options):
        with open(self.directory / (name + ".log"), "wb") as log:
            self.processes[name] = subprocess.Popen([self.tools / "bin" / name, *map(str, options)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                    cwd=self.directory)

    def _start(self):
        self.etcd = etcd.Cluster()
        self.certificates = etcd.Certificates(str(self.directory))
        self.certificate, self.key = self.certificates.server
        subprocess.run(["openssl", "genrsa", "-out", self.directory / "accounts.key", "2048"], check=True, stderr=subprocess.DEVNULL)
        token = secrets.token_hex(16)
        tokens = self.directory / "tokens.csv"
        tokens.touch(0o600)
        tokens.write_text(f'{token},admin,admin,"system:masters"\n', encoding="ascii")
        port, managers, scheduler = free_ports(3)
        url = f"https://127.0.0.1:{port}"
        self.api = Api(url, token, self.certificates.ca)
        self.kubeconfig = self.directory / "kubeconfig"
        self.kubeconfig.touch(0o600)
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test", "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": self.certificates.ca}}],
            "users": [{"name": "admin", "user": {"token": token}}]}), encoding="ascii")

        self._run("kube-apiserver", "--etcd-servers", "http://" + self.etcd.address(0), "--bind-address=127.0.0.1", "--secure-port", port,
                  "--tls-cert-file", self.certificate, "--tls-private-key-file", self.key, "--cert-dir", self.directory / "certificates",
                  "--token-auth-file", tokens, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
                  "--advertise-address=127.0.0.1",
                  "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file", self.directory / "accounts.key",
                  "--service-account-signing-key-file", self.directory / "accounts.key")
        self.wait("kube-apiserver", lambda: self.api.get("/readyz") == "ok")
        # No kubelet sends heartbeats, and the autoscaler need not be patient here.
        self._run("kube-controller-manager", "--kubeconfig", self.kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port", managers,
                  "--cert-dir", self.directory / "certificates", "--service-account-private-key-file", self.directory / "accounts.key",
                  "--root-ca-file", self.certificates.ca, "--node-monitor-grace-period=24h", "--horizontal-pod-autoscaler-sync-period=2s",
                  "--horizontal-pod-autoscaler-initial-readiness-delay=1s", "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
                  "--kube-api-qps=200", "--kube-api-burst=400")
        self._run("kube-scheduler", "--kubeconfig", self.kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port", scheduler,
                  "--cert-dir", self.directory / "certificates")
        self.wait("kube-controller-manager", lambda: self.api.get("/api/v1/namespaces/default/serviceaccounts/default"))

    def wait(self, name, condition, seconds=READY_S):
        """Until condition() is true; an answer that the API refuses, or no answer, means not yet."""
        end, last = time.monotonic() + seconds, None
        while True:
            with contextlib.suppress(OSError):
                try:
                    if condition():
                        return
                except ApiError as error:
                    last = error
            if self.processes[name].poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} does not serve ({last}):\n{self.log(name)[-3000:]}")
            time.sleep(0.1)
