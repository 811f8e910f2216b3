"""Nodes for a control plane without a kubelet: their pods are podman containers, probed, restarted, stopped and reported as the kubelet would.

What the pods of the chart need is there: env with $(POD_IP) and field references, ConfigMaps, memory volumes that outlive a container, the
security context, the memory limit, the three HTTP probes, preStop sleep, the grace period, restart policies, names of Services. What is not there:
network policies, Services' own addresses (their names resolve to the pods), volumes of other kinds, several containers in a pod.
"""
import datetime
import json
import pathlib
import shutil
import socket
import threading
import time

import pods
from control_plane import ApiError

STEP_S = 0.1
# As the kubelet: at once after the first end, then ever more slowly.
BACKOFF_S = (0, 10, 20, 40, 80, 160, 300)


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Probe:
    """An HTTP probe with the kubelet's counting."""

    def __init__(self, spec, ports, ip):
        action = spec["httpGet"]
        self.address, self.path = (ip, ports.get(action["port"], action["port"])), action["path"]
        self.period, self.timeout = spec.get("periodSeconds", 10), spec.get("timeoutSeconds", 1)
        self.needed = {True: spec.get("successThreshold", 1), False: spec.get("failureThreshold", 3)}
        self.due, self.row, self.last = 0, 0, None

    def verdict(self):
        """True or False when that many answers in a row said so; None: nothing new."""
        if time.monotonic() < self.due:
            return None
        self.due = time.monotonic() + self.period
        answer = self.ask()
        self.row = self.row + 1 if answer == self.last else 1
        self.last = answer
        return answer if self.row >= self.needed[answer] else None

    def ask(self):
        try:
            with socket.create_connection(self.address, self.timeout) as s:
                s.settimeout(self.timeout)
                s.sendall(f"GET {self.path} HTTP/1.0\r\n\r\n".encode())
                return 200 <= int(s.recv(64).split()[1]) < 400
        except (OSError, IndexError, ValueError):
            return False


class Pod(threading.Thread):
    """One pod on a node, from its binding to its end."""

    def __init__(self, nodes, pod):
        super().__init__(daemon=True, name=pod["metadata"]["name"])
        self.nodes, self.pod = nodes, pod
        self.api, self.podman = nodes.api, nodes.podman
        self.namespace, self.uid = pod["metadata"]["namespace"], pod["metadata"]["uid"]
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.spec, self.container = pod["spec"], pod["spec"]["containers"][0]
        self.ip = nodes.address()
        self.state = {"waiting": {"reason": "ContainerCreating"}}
        self.phase, self.ready, self.started, self.restarts, self.since = "Pending", False, False, 0, now()
        self.volumes = nodes.podman.directory / self.uid
        self.container_name = self.reported = self.exit_code = None
        self.gone = threading.Event()  # deleted by force: no longer in the API

    # The container.

    def environment(self):
        fields = {"status.podIP": self.ip, "metadata.name": self.name, "metadata.namespace": self.namespace}
        found, words = {}, []
        for variable in self.container.get("env", []):
            value = variable.get("value", "")
            if "valueFrom" in variable:
                value = fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
            for name, earlier in found.items():
                value = value.replace(f"$({name})", earlier)
            found[variable["name"]] = value
            words += ["-e", f"{variable['name']}={value}"]
        return words

    def mounts(self):
        places, words = {}, []
        for volume in self.spec.get("volumes", []):
            place = self.volumes / volume["name"]
            if "emptyDir" in volume:
                place = pathlib.Path("/dev/shm") / f"{self.podman.run_name}-{self.uid}-{volume['name']}"
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o777)
            if "configMap" in volume:
                data = self.api.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{volume['configMap']['name']}")["data"]
                for name, text in data.items():
                    (place / name).write_text(text, encoding="utf-8")
            elif "emptyDir" not in volume:
                raise NotImplementedError(f"volume {volume}")
            places[volume["name"]] = place
        for mount in self.container.get("volumeMounts", []):
            words += ["-v", f"{places[mount['name']]}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}"]
        return words

    def security(self):
        context, words = self.container["securityContext"], []
        if context.get("readOnlyRootFilesystem"):
            words += ["--read-only", "--read-only-tmpfs=false"]
        for capability in context.get("capabilities", {}).get("drop", []):
            words += ["--cap-drop", capability]
        if context.get("allowPrivilegeEscalation") is False:
            words += ["--security-opt", "no-new-privileges"]
        return [*words, "--user", f"{context['runAsUser']}:{context['runAsGroup']}"]

    def create(self):
        labels = self.pod["metadata"].get("labels", {})
        services = self.api.items(f"/api/v1/namespaces/{self.namespace}/services")
        names = [one["metadata"]["name"] for one in services if one["spec"].get("selector") and one["spec"]["selector"].items() <= labels.items()]
        command = self.container.get("command", [])
        memory = self.container["resources"]["limits"]["memory"].replace("Mi", "m")
        self.container_name = self.podman.run(
            f"pod-{self.uid}", "--network", self.nodes.network, "--ip", self.ip, "--hostname", self.name, "--memory", memory,
            *[word for name in names for word in ("--network-alias", name)], *self.security(), *self.environment(), *self.mounts(),
            *(["--entrypoint", json.dumps(command)] if command else []), self.container["image"], *self.container.get("args", []))

    def begin(self):
        """The container runs; probes begin anew."""
        self.process = self.podman.inspect(self.container_name)["State"]["Pid"]
        ports = {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}
        self.probes = {kind: Probe(self.container[kind], ports, self.ip) for kind in ("startupProbe", "readinessProbe", "livenessProbe")
                       if kind in self.container}
        self.started = "startupProbe" not in self.probes
        self.ready = self.started and "readinessProbe" not in self.probes
        self.phase, self.state = "Running", {"running": {"startedAt": now()}}

    def running(self):
        return self.process != 0 and pathlib.Path(f"/proc/{self.process}").exists()

    def probe(self):
        """False: the container is to be restarted."""
        if not self.started:
            verdict = self.probes["startupProbe"].verdict()
            self.started = verdict is True
            return verdict is not False
        if "readinessProbe" in self.probes:
            verdict = self.probes["readinessProbe"].verdict()
            self.ready = self.ready if verdict is None else verdict
        return "livenessProbe" not in self.probes or self.probes["livenessProbe"].verdict() is not False

    # Its life.

    def run(self):
        try:
            self.live()
        except Exception as error:
            self.nodes.problems.append(f"{self.name}: {type(error).__name__} {error}")
        finally:
            if self.container_name:
                self.podman("rm", "-f", "-t", "0", self.container_name, check=False)
            for place in pathlib.Path("/dev/shm").glob(f"{self.podman.run_name}-{self.uid}-*"):
                shutil.rmtree(place, ignore_errors=True)

    def live(self):
        while not self.podman.have(self.container["image"]):
            self.state = {"waiting": {"reason": "ErrImagePull", "message": "no such image here"}}
            if self.leave(0.5):
                return
        self.create()
        self.begin()
        while True:
            while self.running():
                if not self.probe():
                    self.podman("stop", "-t", str(self.spec["terminationGracePeriodSeconds"]), self.container_name)
                if self.leave(STEP_S):
                    return
            self.end_of_container()
            policy = self.spec["restartPolicy"]
            if policy == "Never" or (policy == "OnFailure" and self.exit_code == 0):
                self.phase = "Failed" if self.exit_code else "Succeeded"
                while not self.leave(STEP_S):
                    pass
                return
            self.state = {"waiting": {"reason": "CrashLoopBackOff"}}
            if self.leave(BACKOFF_S[min(self.restarts, len(BACKOFF_S) - 1)]):
                return
            self.restarts += 1
            self.podman("start", self.container_name)
            self.begin()

    def end_of_container(self):
        pods.wait_until(lambda: not self.podman.inspect(self.container_name)["State"]["Running"], "the container's end", 30)
        self.exit_code = self.podman.inspect(self.container_name)["State"]["ExitCode"]
        self.ready = self.started = False
        self.state = {"terminated": {"exitCode": self.exit_code, "reason": "Error" if self.exit_code else "Completed", "finishedAt": now()}}
        self.nodes.ended.append((self.name, self.pod["metadata"].get("labels", {}), self.exit_code, self.podman.logs(self.container_name)))

    def leave(self, seconds):
        """Reports, waits, and ends the pod if it is to be deleted; True: it is gone."""
        self.report()
        if self.gone.wait(seconds):
            return True
        if "deletionTimestamp" not in self.pod["metadata"]:
            return False
        if self.container_name and self.running():
            hook = self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            time.sleep(hook.get("seconds", 0))
            self.podman("stop", "-t", str(self.pod["metadata"].get("deletionGracePeriodSeconds", 30)), self.container_name)
            self.end_of_container()
            self.report()
        try:
            self.api.call("DELETE", self.path, {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}})
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        return True

    def report(self):
        """The status, when it is another."""
        container = {"name": self.container["name"], "image": self.container["image"], "imageID": self.container["image"], "ready": self.ready,
                     "started": self.started, "restartCount": self.restarts, "state": self.state}
        if self.reported == (self.phase, container):
            return
        if self.reported is None or self.reported[1]["ready"] != self.ready:
            self.since = now()
        conditions = [one for one in self.pod["status"].get("conditions", []) if one["type"] in ("PodScheduled", "DisruptionTarget")]
        for kind in ("Initialized", "ContainersReady", "Ready"):
            value = "True" if self.ready or kind == "Initialized" else "False"
            conditions.append({"type": kind, "status": value, "lastTransitionTime": self.since})
        try:
            self.api.patch(self.path + "/status", {"metadata": {"uid": self.uid}, "status": {
                "phase": self.phase, "podIP": self.ip, "podIPs": [{"ip": self.ip}], "hostIP": "127.0.0.1", "startTime": self.pod["metadata"]["creationTimestamp"],
                "conditions": conditions, "containerStatuses": [container]}})
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        self.reported = (self.phase, container)


class Nodes(threading.Thread):
    """Nodes by name, each with a zone; `ended` has (pod, labels, exit code, log) of every container that ended, `problems` what must not be."""

    def __init__(self, api, podman, zones):
        super().__init__(daemon=True)
        self.api, self.podman, self.zones = api, podman, zones
        self.network = podman.network()
        subnet = json.loads(podman("network", "inspect", self.network).stdout)[0]["subnets"][0]["subnet"]
        self.prefix, self.last = subnet.rsplit(".", 1)[0], 19
        self.pods, self.ended, self.problems = {}, [], []
        self.stop = threading.Event()
        for name, zone in zones.items():
            api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone}}})
            room = {"cpu": "64", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
            api.patch(f"/api/v1/nodes/{name}/status", {"status": {"capacity": room, "allocatable": room, "conditions": [
                {"type": "Ready", "status": "True", "reason": "Test", "lastHeartbeatTime": now(), "lastTransitionTime": now()}]}})
        self.start()

    def address(self):
        self.last += 1
        assert self.last < 255, "no address left"
        return f"{self.prefix}.{self.last}"

    def run(self):
        while not self.stop.wait(STEP_S):
            try:
                found = {one["metadata"]["uid"]: one for one in self.api.items("/api/v1/pods") if one["spec"].get("nodeName") in self.zones}
            except (OSError, ApiError) as error:
                if not self.stop.is_set():
                    self.problems.append(f"list of pods: {error}")
                continue
            for uid, pod in found.items():
                if uid in self.pods:
                    self.pods[uid].pod = pod
                else:
                    self.pods[uid] = Pod(self, pod)
                    self.pods[uid].start()
            for uid in self.pods.keys() - found.keys():
                self.pods[uid].gone.set()

    def close(self):
        self.stop.set()
        self.join(30)
        for pod in self.pods.values():
            pod.gone.set()
        for pod in self.pods.values():
            pod.join(30)
