#!/usr/bin/env python3
"""The chart on a real Kubernetes control plane: accepted, installed, tested, updated, rolled back, evicted, scaled, removed, while clients draw IDs.

usage: test_cluster.py TOOLS_DIR [--only NAME]

Pods are containers of the image (nodes.py). Run by tests/cluster/run, which makes the tools. Prints what was measured.
"""
import http.server
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.path[1:1] = [str(pathlib.Path(__file__).resolve().parents[1] / "pods")]
import fleet  # noqa: E402
import pods  # noqa: E402
import yaml  # noqa: E402
from control_plane import ApiError, ControlPlane  # noqa: E402
from nodes import Nodes  # noqa: E402

CHART = pods.ROOT / "helm/snowfleet"
CASES = sorted((pods.ROOT / "tests/chart/values").glob("*.yaml"))
ZONES = {"node-a": "zone-a", "node-b": "zone-b", "node-c": "zone-c"}
NAMESPACE = "apps"
PATH = f"/api/v1/namespaces/{NAMESPACE}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/ids-snowfleet"
WORKERS = f"{PATH}/pods?labelSelector=app.kubernetes.io/instance=ids,app.kubernetes.io/component=worker"
REPOSITORY, TAG = pods.IMAGE.rsplit(":", 1)
VALUES = {
    "image": {"repository": REPOSITORY, "tag": TAG}, "coordinator": {"zookeeper": {"endpoints": ["zookeeper:2181"]}, "sessionTimeoutMs": 4000},
    "drain": {"delayMs": 1500, "timeoutMs": 5000}, "minReadySeconds": 1, "metrics": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
    "config": {"reservation": {"window_ms": 20000, "min_window_ms": 10000}, "listen": {"threads": 2}},
    "autoscaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 8, "periodSeconds": 15}]}}},
}
TOOLS = None


def ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def leaving(pod):
    return "deletionTimestamp" in pod["metadata"]


class Sampler(threading.Thread):
    """Looks at the workers all the time: the fewest that serve, the most that are there."""

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api, self.done = api, threading.Event()
        self.fewest, self.most, self.samples, self.problem = 10 ** 6, 0, 0, None

    def run(self):
        while not self.done.wait(0.05):
            try:
                workers = [pod for pod in self.api.items(WORKERS) if not leaving(pod)]
            except (OSError, ApiError) as error:
                self.problem = error
                return
            self.samples += 1
            self.fewest, self.most = min(self.fewest, sum(map(ready, workers))), max(self.most, len(workers))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.done.set()
        self.join()


class Metrics:
    """metrics.k8s.io: says that every worker uses `millicores` of CPU, which is what autoscaling goes by."""

    def __init__(self, cluster):
        self.millicores, self.api = 0, cluster.api
        metrics = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                body = json.dumps(metrics.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cluster.certificate, cluster.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        port = self.server.server_address[1]
        self.api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics"}, "spec": {"type": "ExternalName", "externalName": "localhost"}},
                        "kube-system")
        self.api.create({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": True, "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": "kube-system", "name": "metrics", "port": port}}})

    def answer(self, path):
        if "/pods" not in path:
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1", "resources": [
                {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}]}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": [
            {"metadata": {"name": pod["metadata"]["name"], "namespace": NAMESPACE, "labels": pod["metadata"]["labels"]}, "timestamp": stamp, "window": "10s",
             "containers": [{"name": "snowfleetd", "usage": {"cpu": f"{self.millicores}m", "memory": "32Mi"}}]}
            for pod in self.api.items(WORKERS) if ready(pod) and not leaving(pod)]}


class OnACluster(unittest.TestCase):
    """One story; each test goes on from the one before."""

    @classmethod
    def setUpClass(cls):
        cls.podman = pods.Podman()
        cls.addClassCleanup(cls.podman.__exit__, None, None, None)
        pods.make_image(cls.podman)
        begun = time.monotonic()
        cls.cluster = ControlPlane(TOOLS)
        cls.addClassCleanup(cls.cluster.close)
        cls.api = cls.cluster.api
        print(f"Kubernetes {cls.api.get('/version')['gitVersion']} serves after {time.monotonic() - begun:.1f} s", flush=True)
        cls.nodes = Nodes(cls.api, cls.podman, ZONES)
        cls.addClassCleanup(cls.nodes.close)
        enforced = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
        cls.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": enforced}})
        cls.until(lambda: cls.api.get(PATH + "/serviceaccounts/default"), "pods may be made")
        for path in sorted((TOOLS / "crds").glob("*.yaml")):
            if path.name == "tcproutes_v1.yaml":  # a later version of the same definition, which does not serve what the chart makes unasked
                continue
            definition = yaml.safe_load(path.read_text(encoding="utf-8"))
            cls.api.create(definition)
            spec = definition["spec"]
            version = next(one["name"] for one in spec["versions"] if one["served"])
            served = f'/apis/{spec["group"]}/{version}/namespaces/{NAMESPACE}/{spec["names"]["plural"]}'
            cls.until(lambda where=served: cls.api.items(where) == [], f"{path.name} is served")
        fleet.start_zookeeper(cls.podman, cls.nodes.network)
        (cls.podman.directory / "values.json").write_text(json.dumps(VALUES), encoding="utf-8")
        cls.checker = None

    @classmethod
    def until(cls, condition, what, seconds=60):
        def holds():
            try:
                return condition()
            except ApiError:
                return False
        pods.wait_until(holds, what, seconds, 0.1)

    def tearDown(self):
        self.assertEqual(self.nodes.problems, [])

    def helm(self, *arguments, check=True):
        home = str(self.cluster.directory / "helm")
        result = subprocess.run([TOOLS / "bin/helm", "--kubeconfig", self.cluster.kubeconfig, "--namespace", NAMESPACE, *map(str, arguments)],
                                capture_output=True, text=True, check=False, timeout=300,
                                env={"PATH": os.environ["PATH"], **dict.fromkeys(("HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME", "HELM_CONFIG_HOME"), home)})
        if check and result.returncode != 0:
            where = [(pod["metadata"]["name"], pod["status"].get("phase"), pod["status"].get("containerStatuses")) for pod in self.api.items(PATH + "/pods")]
            self.fail(f"helm {arguments}: {result.stderr}\n{where}\n{self.nodes.problems}\n" + "".join(one[3][-2000:] for one in self.nodes.ended[-2:]))
        return result

    def upgrade(self, *settings, check=True, timeout="120s"):
        values = self.podman.directory / "values.json"
        return self.helm("upgrade", "ids", CHART, "-f", values, "--wait", "--timeout", timeout, *[word for one in settings for word in ("--set", one)], check=check)

    def workers(self):
        return [pod for pod in self.api.items(WORKERS) if not leaving(pod)]

    def ended(self, component):
        return [one for one in self.nodes.ended if one[1].get("app.kubernetes.io/component") == component]

    def serving(self, count, seconds=60):
        self.until(lambda: sum(map(ready, self.workers())) == len(self.workers()) == count, f"{count} workers serve, no more and no less", seconds)

    def condition(self, path, kind):
        return next((one for one in self.api.get(path)["status"].get("conditions", []) if one["type"] == kind), {})

    # What the API server takes.

    def rendered(self, case):
        text = self.helm("template", "ids", CHART, "-f", case, "--kube-version", self.api.get("/version")["gitVersion"]).stdout
        return [document for document in yaml.safe_load_all(text) if document]

    def submit(self, document):
        """For trial only; the warnings."""
        account = document["spec"].get("serviceAccountName") if document["kind"] == "Pod" else None
        if account:  # a pod is only taken with its account there
            self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}, NAMESPACE)
        try:
            return self.api.create(document, NAMESPACE, "?dryRun=All&fieldValidation=Strict")[1]
        finally:
            if account:
                self.api.call("DELETE", f"{PATH}/serviceaccounts/{account}")

    def test_01_every_manifest_is_accepted_strictly(self):
        count = 0
        for case in CASES:
            for document in self.rendered(case):
                with self.subTest(case=case.name, kind=document["kind"], name=document["metadata"]["name"]):
                    self.assertEqual(self.submit(document), [])
                    count += 1
        print(f"{count} manifests are accepted without a warning", flush=True)
        self.assertGreater(count, 40)

    def test_02_what_is_wrong_is_not_accepted(self):
        everything = {(one["kind"], one["metadata"]["name"]): one for one in self.rendered(CASES[0].with_name("full.yaml"))}
        wrong = everything["Deployment", "ids-snowfleet"]
        wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
        monitor = everything["ServiceMonitor", "ids-snowfleet"]
        monitor["spec"]["endpoints"][0]["interval"] = "often"
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "free"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        for document, message in ((wrong, "livenesProbe"), (monitor, "interval"), (pod, 'violates PodSecurity "restricted:latest"')):
            with self.assertRaises(ApiError) as caught:
                self.submit(document)
            self.assertIn(message, caught.exception.message)

    # The release's life.

    def test_03_install(self):
        begun = time.monotonic()
        self.helm("install", "ids", CHART, "-f", self.podman.directory / "values.json", "--wait", "--timeout", "120s")
        print(f"installed, every worker ready: {time.monotonic() - begun:.1f} s", flush=True)
        self.assertEqual([code for _, _, code, _ in self.ended("init")], [0], "the Job made the fleet, at the first try")
        self.assertEqual(self.api.items(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"), [], "and is gone")
        self.assertEqual({ZONES[pod["spec"]["nodeName"]] for pod in self.workers()}, set(ZONES.values()), "one worker in each zone")
        self.assertEqual([pod["status"]["containerStatuses"][0]["restartCount"] for pod in self.workers()], [0, 0, 0])
        budget = self.api.get(f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/ids-snowfleet")["status"]
        self.assertEqual((budget["expectedPods"], budget["currentHealthy"], budget["disruptionsAllowed"]), (3, 3, 1))
        addresses = self.endpoints("ids-snowfleet-headless")
        self.assertEqual(addresses, {pod["status"]["podIP"] for pod in self.workers()})
        self.assertEqual(self.endpoints("ids-snowfleet"), addresses)
        type(self).checker = fleet.Checker(self.podman, self.nodes.network)

    def endpoints(self, service):
        slices = self.api.items(f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?labelSelector=kubernetes.io/service-name={service}")
        return {address for one in slices for end in one["endpoints"] or [] if end["conditions"]["ready"] for address in end["addresses"]}

    def test_04_the_release_tests_itself(self):
        self.helm("test", "ids", "--timeout", "60s")
        ((_, _, code, log),) = self.ended("test")
        self.assertEqual(code, 0, log)
        given = {address: int(ids) for address, ids in re.findall(r"^(\S+):7450 +(\d+) ", log, re.M)}
        print(f"helm test: {given}", flush=True)
        self.assertEqual(given.keys(), self.endpoints("ids-snowfleet-headless"), "every worker was asked")
        self.assertGreater(min(given.values()), 0)

    def test_05_another_layout_for_the_same_fleet_fails_the_install_at_once(self):
        begun = time.monotonic()
        result = self.helm("install", "other", CHART, "-f", self.podman.directory / "values.json", "--set", "fleet.layout=41\\,4\\,6\\,12", "--timeout", "120s",
                           check=False)
        self.assertNotEqual(result.returncode, 0)
        codes = [code for name, _, code, _ in self.ended("init") if name.startswith("other-")]
        self.assertEqual(codes, [1], "podFailurePolicy: no second try")
        self.assertLess(time.monotonic() - begun, 100)
        # The Job that failed is left, to be looked at.
        self.api.call("DELETE", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/other-snowfleet-init?propagationPolicy=Background")
        self.helm("uninstall", "other")
        self.serving(3)

    def test_06_an_update_never_takes_capacity(self):
        before = {pod["metadata"]["uid"] for pod in self.workers()}
        with Sampler(self.api) as sampler:
            self.upgrade("config.mint.sequence_jitter=8")
        self.assertIsNone(sampler.problem)
        print(f"update: {sampler.fewest} to {sampler.most} workers in {sampler.samples} looks", flush=True)
        self.assertEqual((sampler.fewest, sampler.most), (3, 4), "maxUnavailable 0, maxSurge 25 %")
        self.assertGreater(sampler.samples, 50)
        self.assertFalse(before & {pod["metadata"]["uid"] for pod in self.workers()}, "another configuration, other pods")
        self.assertEqual(len(self.ended("init")), 2, "no Job on upgrade")

    def test_07_a_broken_update_stops_and_is_rolled_back(self):
        with Sampler(self.api) as sampler:
            self.assertNotEqual(self.upgrade("image.tag=none", check=False, timeout="8s").returncode, 0)
            self.helm("rollback", "ids", "--wait", "--timeout", "120s")
            self.serving(3)
        self.assertIsNone(sampler.problem)
        self.assertEqual((sampler.fewest, sampler.most), (3, 4))
        config = json.loads(self.api.get(f"{PATH}/configmaps/ids-snowfleet")["data"]["snowfleetd.json"])
        self.assertEqual(config["mint"]["sequence_jitter"], 8, "the release before")
        self.assertEqual([one["status"] for one in json.loads(self.helm("history", "ids", "-o", "json").stdout)][-1], "deployed")

    def evict(self, pod):
        name = pod["metadata"]["name"]
        self.api.call("POST", f"{PATH}/pods/{name}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})

    def test_08_evictions_wait_for_each_other(self):
        first, second, third = self.workers()
        self.evict(first)
        for other in (second, third):
            with self.assertRaises(ApiError) as caught:
                self.evict(other)
            self.assertEqual(caught.exception.status, 429)
        self.serving(3)
        self.until(lambda: self.evict(second) is None, "the next eviction is allowed once the replacement serves", 30)
        self.serving(3)

    def test_09_pods_die(self):
        # By force, as from a node that is gone: a new pod. Then the program alone: the same pod again.
        victim = self.workers()[0]
        self.api.call("DELETE", f"{PATH}/pods/{victim['metadata']['name']}?gracePeriodSeconds=0")
        self.serving(3)
        self.assertNotIn(victim["metadata"]["uid"], [pod["metadata"]["uid"] for pod in self.workers()])
        victim = self.workers()[0]
        os.kill(self.nodes.pods[victim["metadata"]["uid"]].process, signal.SIGKILL)

        def again():
            pod = self.api.get(f"{PATH}/pods/{victim['metadata']['name']}")
            return ready(pod) and pod["status"]["containerStatuses"][0]["restartCount"] == 1
        self.until(again, "the same pod serves again")

    def test_10_autoscaling(self):
        metrics = Metrics(self.cluster)
        self.addCleanup(metrics.server.server_close)
        self.addCleanup(metrics.server.shutdown)
        scaler = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers/ids-snowfleet"
        metrics.millicores = 150  # of 250 asked for: 60 %
        with Sampler(self.api) as sampler:
            self.upgrade("autoscaling.enabled=true", "autoscaling.metric=cpu", "autoscaling.targetCPU=60", "autoscaling.maxReplicas=8")
        self.assertIsNone(sampler.problem)
        self.assertEqual(sampler.fewest, 3, "switching it on takes nothing away")
        self.until(lambda: self.condition(scaler, "ScalingActive").get("status") == "True", lambda: self.api.get(scaler)["status"])
        self.assertEqual(self.api.get(DEPLOYMENT)["spec"]["replicas"], 3, "what the target is needs no other number")
        metrics.millicores = 600
        self.serving(8, 150)  # 4 more in the first minute, then the last
        self.assertIn(self.condition(scaler, "ScalingLimited").get("reason"), ("TooManyReplicas", "ScaleUpLimit"))
        metrics.millicores = 5
        self.serving(3, 120)
        self.upgrade("autoscaling.enabled=true", "autoscaling.metric=cpu", "autoscaling.targetCPU=60", "autoscaling.maxReplicas=8", "config.mint.sequence_jitter=4")
        self.assertEqual(self.api.get(DEPLOYMENT)["spec"]["replicas"], 3, "an upgrade leaves the number to the autoscaler")

    def test_11_nothing_was_noticed_and_nothing_is_left(self):
        result = self.checker.end()
        print(f"library, all the while: {result}", flush=True)
        self.assertEqual(result.findings(), [])
        self.assertGreater(result.ids, 100000)
        self.helm("uninstall", "ids", "--wait", "--timeout", "120s")
        self.until(lambda: self.api.items(WORKERS) == [], "no pod is left")
        for version, kind in (("apps/v1", "Deployment"), ("v1", "Service"), ("policy/v1", "PodDisruptionBudget"), ("autoscaling/v2", "HorizontalPodAutoscaler"),
                              ("networking.k8s.io/v1", "NetworkPolicy"), ("batch/v1", "Job"), ("monitoring.coreos.com/v1", "ServiceMonitor")):
            self.assertEqual([one["metadata"]["name"] for one in self.api.items(self.api.collection(version, kind, NAMESPACE))], [], kind)
        killed = [one for one in self.ended("worker") if one[2] != 0]
        self.assertEqual([code for _, _, code, _ in killed], [137], "every worker but the killed one ended by itself, with 0")
        self.until(lambda: fleet.slots(self.podman, self.nodes.network)["free"] == 32, "every slot is free again", 60)


if __name__ == "__main__":
    TOOLS = pathlib.Path(sys.argv.pop(1)).resolve()
    why = pods.missing()
    if why:
        print("skipped:", why)
        sys.exit(77)
    unittest.main(verbosity=2, failfast=True)
