"""The chart: renders, is valid for every Kubernetes version, says the truth about the program, refuses what cannot work.

Run by run.sh with the Python of build/tools/venv (PyYAML, kubernetes-validate). SF_BIN has the programs, SF_TOOLS the tools.
`--golden` writes the golden files anew.
"""
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import jsonschema
import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CHART = ROOT / "helm/snowfleet"
TOOLS = pathlib.Path(os.environ["SF_TOOLS"])
BIN = pathlib.Path(os.environ["SF_BIN"])
CASES = sorted((HERE / "values").glob("*.yaml"))
OLDEST = 28
NEWEST = max(int(path.name.split(".")[1]) for path in pathlib.Path(kubernetes_validate.__file__).parent.glob("kubernetes-json-schema/v1.*-strict"))
CUSTOM = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "Certificate", "TCPRoute", "ScaledObject"}
# kube-score's opinions that we do not share.
IGNORED_SCORE = {"container-image-pull-policy": "tags name versions and digests can be given; Always would stop pods while the registry is away"}
# kube-linter's, likewise.
IGNORED_LINT = {"latest-tag": "no tag of ours is latest"}


def helm(*arguments, check=True):
    result = subprocess.run([str(TOOLS / "bin/helm"), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120,
                            env={**os.environ, "HELM_CACHE_HOME": "/nonexistent", "HELM_DATA_HOME": "/nonexistent", "HELM_CONFIG_HOME": "/nonexistent"})
    if check and result.returncode != 0:
        raise AssertionError(f"helm {arguments}: {result.stderr}")
    return result


def render(case, minor=NEWEST, *more):
    return helm("template", "ids", CHART, "--namespace", "apps", "--kube-version", f"1.{minor}.0", "-f", case, *more).stdout


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def pods(document):
    """Pod specs in a document."""
    if document["kind"] == "Pod":
        yield document["spec"]
    elif document["kind"] in ("Deployment", "Job"):
        yield document["spec"]["template"]["spec"]


def find(all_documents, kind, name):
    found = [d for d in all_documents if d["kind"] == kind and d["metadata"]["name"] == name]
    assert len(found) == 1, (kind, name, [(d["kind"], d["metadata"]["name"]) for d in all_documents])
    return found[0]


def golden(case):
    """What is rendered, in an order of its own; without what is copied from dashboards/ and checked elsewhere."""
    everything = sorted(documents(render(case, 34)), key=lambda d: (d["kind"], d["metadata"]["name"]))
    return "".join(f"---\n{yaml.safe_dump(d, sort_keys=True, width=140)}" for d in everything
                   if not d["metadata"]["name"].endswith("-dashboards") and d["kind"] != "PrometheusRule")


class Renders(unittest.TestCase):
    def test_lint(self):
        for case in CASES:
            with self.subTest(case.name):
                helm("lint", "--strict", CHART, "-f", case)

    def test_every_version_is_valid(self):
        count = 0
        for minor in range(OLDEST, NEWEST + 1):
            for case in CASES:
                for document in documents(render(case, minor)):
                    if document["kind"] in CUSTOM:
                        continue
                    with self.subTest(case=case.name, minor=minor, kind=document["kind"], name=document["metadata"]["name"]):
                        kubernetes_validate.validate(document, f"1.{minor}", strict=True)
                        count += 1
        print(f"{count} manifests are valid, Kubernetes 1.{OLDEST} to 1.{NEWEST}")
        self.assertGreater(count, 300)

    def test_the_validation_can_fail(self):
        document = find(documents(render(CASES[0])), "Deployment", "ids-snowfleet")
        document["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(document, f"1.{NEWEST}", strict=True)

    def test_golden(self):
        for case in CASES:
            path = HERE / "golden" / case.name
            with self.subTest(case.name):
                text = golden(case)
                self.assertEqual(path.read_text(encoding="utf-8"), text, "write it anew with tests/chart/run.sh BIN TOOLS chart_test.py --golden if this is meant")

    def test_names_are_not_used_twice(self):
        for case in CASES:
            names = [(d["kind"], d["metadata"]["name"]) for d in documents(render(case))]
            self.assertEqual(len(names), len(set(names)), case.name)

    def test_readme_and_copies_are_up_to_date(self):
        subprocess.run([sys.executable, ROOT / "helm/readme", "--check"], check=True)

    def test_every_value_is_in_the_schema(self):
        def walk(values, schema, path):
            for key, value in values.items():
                self.assertIn(key, schema.get("properties", {}), path + key)
                inner = schema["properties"][key]
                if isinstance(value, dict) and "properties" in inner:
                    self.assertIs(inner.get("additionalProperties"), False, path + key)
                    walk(value, inner, f"{path}{key}.")
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        self.assertIs(schema["additionalProperties"], False)
        walk(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), schema, "")


def closed(schema):
    """A schema of a custom resource that knows no field but its own, as a server with strict validation."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if "properties" in made and isinstance(made["properties"], dict) and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def definitions():
    """{(apiVersion, kind): schema}, of what the operators serve."""
    found = {}
    for path in sorted((TOOLS / "crds").glob("*.yaml")):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        for version in spec["versions"]:
            if version["served"]:
                schema = version["schema"]["openAPIV3Schema"]
                schema["properties"]["metadata"] = {"type": "object"}
                found.setdefault((f'{spec["group"]}/{version["name"]}', spec["names"]["kind"]), closed(schema))
    return found


class Custom(unittest.TestCase):
    """Custom resources: as the operators' own definitions want them, and that their contents make sense."""

    def check(self, known, document):
        schema = known[document["apiVersion"], document["kind"]]
        errors = [f"{list(error.absolute_path)}: {error.message[:300]}" for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]
        self.assertEqual(errors, [], f'{document["kind"]} {document["metadata"]["name"]}')

    def test_as_defined(self):
        known, seen = definitions(), set()
        for case in CASES:
            for document in documents(render(case)):
                if document["kind"] in CUSTOM:
                    seen.add(document["kind"])
                    self.check(known, document)
                if document["kind"] == "Certificate":
                    self.assertEqual(document["spec"]["secretName"], "ids-snowfleet-tls")
                    self.assertLessEqual({"ids-snowfleet", "ids-snowfleet-headless.apps.svc", "ids.example.org"}, set(document["spec"]["dnsNames"]))
        self.assertEqual(seen, CUSTOM)

    def test_what_is_wrong_is_not_accepted(self):
        known = definitions()
        everything = documents(render(HERE / "values/reach.yaml"))
        for kind, spoil in (("ScaledObject", lambda spec: spec.update(maxReplicas=3)), ("ScaledObject", lambda spec: spec["triggers"][0].pop("type")),
                            ("TCPRoute", lambda spec: spec["rules"][0].update(matches=[])), ("Certificate", lambda spec: spec.pop("issuerRef")),
                            ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(interval="often"))):
            document = copy.deepcopy(find(everything, kind, "ids-snowfleet"))
            spoil(document["spec"])
            with self.assertRaises(AssertionError, msg=kind):
                self.check(known, document)

    def test_the_route_is_of_the_version_that_is_served(self):
        """v1 where the cluster says that it has it, or where the value does."""
        known = definitions()
        for more, version in (((), "v1alpha2"), (("--api-versions", "gateway.networking.k8s.io/v1/TCPRoute"), "v1"), (("--set", "gateway.apiVersion=v1"), "v1")):
            route = find(documents(render(HERE / "values/reach.yaml", NEWEST, *more)), "TCPRoute", "ids-snowfleet")
            self.assertEqual(route["apiVersion"], f"gateway.networking.k8s.io/{version}")
            self.check(known, route)

    def test_the_autoscaler_sees(self):
        """Saturation decides, with CPU as a floor beside it; by the HorizontalPodAutoscaler itself or by KEDA, never by both."""
        full, reach = documents(render(HERE / "values/full.yaml")), documents(render(HERE / "values/reach.yaml"))
        scaler = find(full, "HorizontalPodAutoscaler", "ids-snowfleet")["spec"]
        self.assertEqual(scaler["metrics"], [
            {"type": "Pods", "pods": {"metric": {"name": "snowfleet_saturation"}, "target": {"type": "AverageValue", "averageValue": "500m"}}},
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}])
        self.assertEqual([d for d in full if d["kind"] == "ScaledObject"] + [d for d in reach if d["kind"] == "HorizontalPodAutoscaler"], [])
        scaled = find(reach, "ScaledObject", "ids-snowfleet")["spec"]
        self.assertEqual(scaled["scaleTargetRef"]["name"], find(reach, "Deployment", "ids-snowfleet")["metadata"]["name"])
        self.assertEqual((scaled["minReplicaCount"], scaled["maxReplicaCount"]), (3, 12))
        self.assertEqual(scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"], scaler["behavior"])
        saturation, cpu = scaled["triggers"]
        self.assertEqual(saturation["metadata"], {"authModes": "bearer", "serverAddress": "http://prometheus.monitoring:9090", "threshold": "0.60",
                                                  "query": 'sum(snowfleet_saturation{namespace="apps",pod=~"ids-snowfleet-[a-z0-9]+-[a-z0-9]+"})'})
        self.assertEqual((saturation["metricType"], cpu["metricType"], cpu["metadata"]), ("AverageValue", "Utilization", {"value": "90"}))
        pods_of = re.compile(re.search(r'pod=~"(.*)"', saturation["metadata"]["query"]).group(1))
        self.assertTrue(pods_of.fullmatch("ids-snowfleet-6d5f9c7b8-x2v4q"))
        self.assertFalse(pods_of.fullmatch("ids-snowfleet-verify-6d5f9c7b8-x2v4q"), "the prober is no worker")

    def test_connections_move_after_a_scale_out(self):
        for case in CASES:
            config = json.loads(find(documents(render(case)), "ConfigMap", "ids-snowfleet")["data"]["snowfleetd.json"])
            self.assertEqual(config["listen"]["max_connection_age_ms"], 300000, case.name)

    def test_what_is_scraped_exists(self):
        everything = documents(render(HERE / "values/full.yaml"))
        services = [d for d in everything if d["kind"] == "Service"]
        monitor = find(everything, "ServiceMonitor", "ids-snowfleet")
        wanted = monitor["spec"]["selector"]["matchLabels"]
        matching = [s for s in services if wanted.items() <= s["metadata"]["labels"].items()]
        self.assertEqual([s["metadata"]["name"] for s in matching], ["ids-snowfleet-headless"], "every worker is scraped once")
        self.assertIn(monitor["spec"]["endpoints"][0]["port"], [p["name"] for p in matching[0]["spec"]["ports"]])
        # The alerts go by the job, which is what this label of the Service says.
        self.assertEqual(matching[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]], "snowfleet")
        prober = find(everything, "PodMonitor", "ids-snowfleet-verify")
        labels = find(everything, "Deployment", "ids-snowfleet-verify")["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(prober["spec"]["selector"]["matchLabels"].items(), labels.items())
        self.assertEqual(labels[prober["spec"]["jobLabel"]], "snowfleet-verify")

    def rules(self, *more):
        return find(documents(render(HERE / "values/full.yaml", NEWEST, *more)), "PrometheusRule", "ids-snowfleet")["spec"]["groups"]

    def test_rules_as_they_are_shipped(self):
        with open(ROOT / "dashboards/alerts.yaml", encoding="utf-8") as file:
            self.assertEqual(self.rules(), yaml.safe_load(file)["groups"])

    def test_every_threshold_is_a_setting(self):
        """What an alert compares with is 0, 1 for what is true or false, or a place that a value fills."""
        text = (CHART / "files/alerts.yaml").read_text(encoding="utf-8")
        for group in yaml.safe_load(text)["groups"]:
            for rule in group["rules"]:
                for number in re.findall(r"(?:[<>]=?|==) *([\d.]+)", rule["expr"]) if "alert" in rule else ():
                    self.assertIn(number, ("0", "1"), f'{rule["alert"]}: {rule["expr"]}')

    def test_rules_with_settings(self):
        where = "metrics.prometheusRule"
        groups = self.rules("--set", f"{where}.settings.minReady=5,{where}.settings.runbookUrl=https://wiki.example/ids,{where}.alertLabels.team=ids",
                            "--set", f"{where}.disabled={{SnowfleetBadFrames}},{where}.severity.SnowfleetFewReady=warning",
                            "--set", f"{where}.settings.remember=2h,{where}.settings.certificateDays=14,{where}.for.SnowfleetWorkerDown=5m")
        text = yaml.safe_dump(groups)
        self.assertNotRegex(text, r"@\w+@", "a place that nobody filled")
        rules = {r["alert"]: r for g in groups for r in g["rules"] if "alert" in r}
        self.assertNotIn("SnowfleetBadFrames", rules)
        self.assertIn("snowfleet:workers_ready:sum < 5", rules["SnowfleetFewReady"]["expr"])
        self.assertEqual(rules["SnowfleetFewReady"]["labels"], {"severity": "warning", "team": "ids"})
        self.assertEqual(rules["SnowfleetDuplicate"]["labels"], {"severity": "critical", "team": "ids"})
        self.assertIn("[2h]", rules["SnowfleetDatacenterGone"]["expr"])
        self.assertIn("< 14 * 86400", rules["SnowfleetCertificateExpires"]["expr"])
        self.assertEqual(rules["SnowfleetCertificateExpires"]["annotations"]["summary"], "A certificate ends within 14 days")
        self.assertEqual((rules["SnowfleetWorkerDown"]["for"], rules["SnowfleetFewReady"]["for"]), ("5m", "1m"))
        self.assertTrue(all(r["annotations"]["runbook_url"].startswith("https://wiki.example/ids#snowfleet") for r in rules.values()))
        for bad in ("disabled={SnowfleetNone}", "severity.SnowfleetNone=info", "for.SnowfleetNone=5m"):
            refused = helm("template", "ids", CHART, "--kube-version", f"1.{NEWEST}.0", "-f", HERE / "values/full.yaml", "--set", f"{where}.{bad}", check=False)
            self.assertIn('there is no alert "SnowfleetNone"', refused.stderr)

    def test_dashboards(self):
        data = find(documents(render(HERE / "values/full.yaml")), "ConfigMap", "ids-snowfleet-dashboards")
        self.assertEqual(data["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(set(data["data"]), {"snowfleet-fleet.json", "snowfleet-worker.json"})
        self.assertLess(sum(map(len, data["data"].values())), 1 << 20)
        for name, text in data["data"].items():
            self.assertEqual(json.loads(text), json.loads((ROOT / "dashboards" / name.removeprefix("snowfleet-")).read_text(encoding="utf-8")))


class Security(unittest.TestCase):
    def test_restricted_profile(self):
        """Pod Security Standard "restricted", rule by rule, for every pod of every case."""
        count = 0
        for case in CASES:
            for document in documents(render(case)):
                for spec in pods(document):
                    count += 1
                    with self.subTest(case=case.name, name=document["metadata"]["name"]):
                        for field in ("hostNetwork", "hostPID", "hostIPC"):
                            self.assertNotIn(field, spec)
                        self.assertIs(spec["automountServiceAccountToken"], False)
                        self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                        self.assertEqual(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
                        for volume in spec.get("volumes", []):
                            self.assertTrue({"configMap", "secret", "emptyDir"} & set(volume), volume)
                        for container in spec["containers"]:
                            context = container["securityContext"]
                            self.assertIs(context["allowPrivilegeEscalation"], False)
                            self.assertIs(context["readOnlyRootFilesystem"], True)
                            self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                            self.assertNotEqual(context.get("runAsUser"), 0)
                            for port in container.get("ports", []):
                                self.assertNotIn("hostPort", port)
                            self.assertTrue(container["resources"]["limits"]["memory"])
        self.assertGreater(count, 10)

    def test_openshift_gives_its_own_uids(self):
        text = render(CASES[0], NEWEST, "--set", "runAsUser=null")
        self.assertNotIn("runAsUser", text)
        self.assertNotIn("fsGroup", text)

    def test_network_policies_let_through_what_is_needed(self):
        everything = documents(render(HERE / "values/full.yaml"))
        policy = find(everything, "NetworkPolicy", "ids-snowfleet")["spec"]
        ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
        self.assertLessEqual({53, 123, 323, 2181, 2182}, ports)
        self.assertEqual({port["port"] for rule in policy["ingress"] for port in rule["ports"]}, {"snowfleet", "http", "admin"})
        self.assertIn({"port": "http", "protocol": "TCP"}, next(rule["ports"] for rule in policy["ingress"] if rule["ports"][0]["port"] == "snowfleet"),
                      "who may reach the data port may reach it over HTTP too")
        # `snowfleet status` in a worker's container asks the others.
        worker = {"podSelector": policy["podSelector"]}
        self.assertIn({"ports": [{"port": 7451, "protocol": "TCP"}], "to": [worker]}, policy["egress"])
        self.assertIn(worker, next(rule["from"] for rule in policy["ingress"] if rule["ports"][0]["port"] == "admin"))
        names = {port["name"] for port in find(everything, "Deployment", "ids-snowfleet")["spec"]["template"]["spec"]["containers"][0]["ports"]}
        self.assertEqual(names, {"snowfleet", "http", "admin"})

    def test_http_is_off_unless_asked_for(self):
        for more, port in (((), None), (("--set", "http.enabled=true"), 7452), (("--set", "http.enabled=true,http.port=80"), 80)):
            everything = documents(render(HERE / "values/default.yaml", NEWEST, *more))
            config = json.loads(find(everything, "ConfigMap", "ids-snowfleet")["data"]["snowfleetd.json"])
            self.assertEqual(config["listen"].get("http_address"), port and ":7452")
            for name, told in (("ids-snowfleet", port), ("ids-snowfleet-headless", port and 7452)):
                ports = {p["name"]: p["port"] for p in find(everything, "Service", name)["spec"]["ports"]}
                self.assertEqual(ports.get("http"), told)


class Linters(unittest.TestCase):
    def test_kube_score(self):
        tool = TOOLS / "bin/kube-score"
        if not tool.exists():
            self.skipTest("kube-score is not to be had here")
        for case in CASES:
            with self.subTest(case.name), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write("---\n".join(yaml.safe_dump(d) for d in documents(render(case, 34))
                                        if d["metadata"].get("labels", {}).get("app.kubernetes.io/component") != "dev-coordinator"))
                file.flush()
                # It knows no other autoscaler than Kubernetes' own.
                by_keda = {"deployment-replicas"} if "ScaledObject" in pathlib.Path(file.name).read_text(encoding="utf-8") else set()
                ignore = [word for name in IGNORED_SCORE.keys() | by_keda for word in ("--ignore-test", name)]
                result = subprocess.run([tool, "score", "--output-format", "ci", *ignore, file.name], capture_output=True, text=True, check=False)
                bad = [line for line in result.stdout.splitlines() if line.startswith(("[CRITICAL]", "[WARNING]"))]
                self.assertEqual(bad, [])

    def test_kube_linter(self):
        tool = TOOLS / "bin/kube-linter"
        if not tool.exists():
            self.skipTest("kube-linter is not to be had here")
        for case in CASES:
            with self.subTest(case.name), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(render(case, 34))
                file.flush()
                result = subprocess.run([tool, "lint", "--exclude", ",".join(IGNORED_LINT), file.name], capture_output=True, text=True, check=False)
                self.assertEqual(result.returncode, 0, result.stdout)


class Truth(unittest.TestCase):
    """Probes, ports, environment, flags and options in the manifests exist in the program."""

    def daemon(self, document, config):
        container = document["spec"]["template"]["spec"]["containers"][0]
        path = pathlib.Path(self.directory.name) / "snowfleetd.json"
        path.write_text(self.with_files(config["data"]["snowfleetd.json"]), encoding="utf-8")
        mount = next(m for m in container["volumeMounts"] if m["name"] == "config")["mountPath"]
        arguments = [word.replace(mount + "/snowfleetd.json", str(path)) for word in container["args"]]
        environment = {"PATH": os.environ["PATH"]}
        for variable in container["env"]:
            if "value" in variable:
                environment[variable["name"]] = variable["value"].replace("$(POD_IP)", "10.1.2.3")
            else:
                environment[variable["name"]] = {"status.podIP": "10.1.2.3", "metadata.name": "ids-abc"}[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        result = subprocess.run([BIN / "snowfleetd", "--check-config", *arguments], env=environment, capture_output=True, text=True, check=False)
        result.stdout = result.stdout.replace(self.directory.name, "")
        return result

    def with_files(self, text):
        """The configuration with what Secrets mount in a directory of this test: the program looks into the files that it is given."""
        for place in set(re.findall(r'"(/etc/snowfleet/[^"]+)"', text)):
            file = pathlib.Path(self.directory.name + place)
            file.parent.mkdir(parents=True, exist_ok=True)
            kind = "key" if file.suffix == ".key" else "pem" if file.suffix == ".crt" else "word"
            file.write_text(self.secrets[kind], encoding="utf-8")
            file.chmod(0o600)
            text = text.replace(f'"{place}"', f'"{file}"')
        return text

    @classmethod
    def setUpClass(cls):
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=ids",
                               "-keyout", "-", "-out", "-"], capture_output=True, text=True, check=True).stdout
        key, rest = made.split("-----BEGIN CERTIFICATE", 1)
        cls.secrets = {"key": key, "pem": "-----BEGIN CERTIFICATE" + rest, "word": "ids:0123456789abcdef0123456789abcdef\n"}

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def test_check_config_takes_what_is_rendered(self):
        for case in CASES:
            for minor in (28, 34):
                with self.subTest(case=case.name, minor=minor):
                    everything = documents(render(case, minor))
                    document, config = find(everything, "Deployment", "ids-snowfleet"), find(everything, "ConfigMap", "ids-snowfleet")
                    result = self.daemon(document, config)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    effective = json.loads(result.stdout)
                    self.assertEqual(effective["advertise"]["address"], "10.1.2.3:7450")
                    self.assertEqual(effective["advertise"]["admin"], "10.1.2.3:7451")
                    self.assertEqual(effective["fleet"]["node"], "ids-abc")
                    spec = document["spec"]["template"]["spec"]
                    container = spec["containers"][0]
                    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
                    self.assertEqual(effective["listen"]["address"], f":{ports['snowfleet']}")
                    self.assertEqual(effective["admin"]["address"], f":{ports['admin']}")
                    self.assertEqual(effective["listen"]["http_address"], f":{ports['http']}" if "http" in ports else None)
                    self.assertIn("ids-snowfleet.apps.svc", effective["admin"]["allowed_hosts"].split(","))
                    self.assertIn("ids-snowfleet-headless.apps", effective["admin"]["allowed_hosts"].split(","))
                    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
                    self.assertIn(effective["reservation"]["state_dir"], mounts)
                    for section in ("listen", "coordinator"):
                        for key, value in effective[section].items():
                            if isinstance(value, str) and value.startswith("/"):
                                self.assertTrue(any(value.startswith(mount + "/") for mount in mounts), (key, value))
                    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                    self.assertGreaterEqual(spec["terminationGracePeriodSeconds"] * 1000,
                                            sleep * 1000 + effective["drain"]["delay_ms"] + effective["drain"]["timeout_ms"] + 5000)

    def test_the_sleep_action_or_a_longer_delay(self):
        def of(minor):
            everything = documents(render(HERE / "values/full.yaml", minor))
            container = find(everything, "Deployment", "ids-snowfleet")["spec"]["template"]["spec"]["containers"][0]
            return "lifecycle" in container, json.loads(find(everything, "ConfigMap", "ids-snowfleet")["data"]["snowfleetd.json"])["drain"]["delay_ms"]
        self.assertEqual(of(29), (False, 7000))
        self.assertEqual(of(30), (True, 5000))

    def test_traffic_stays_in_the_zone_by_the_name_of_the_time(self):
        names = {minor: find(documents(render(HERE / "values/full.yaml", minor)), "Service", "ids-snowfleet")["spec"].get("trafficDistribution")
                 for minor in (29, 30, 33, 34)}
        self.assertEqual(names, {29: None, 30: "PreferClose", 33: "PreferClose", 34: "PreferSameZone"})

    def test_the_headless_name_goes_with_the_pods_own_port(self):
        """Nothing translates ports behind a headless Service."""
        for case in CASES:
            text = render(case, NEWEST, "--set", "service.port=8000")
            everything = documents(text)
            container = find(everything, "Deployment", "ids-snowfleet")["spec"]["template"]["spec"]["containers"][0]
            listens = {port["name"]: port["containerPort"] for port in container["ports"]}
            headless = find(everything, "Service", "ids-snowfleet-headless")["spec"]["ports"]
            self.assertEqual({port["name"]: port["port"] for port in headless}, listens)
            self.assertEqual(find(everything, "Service", "ids-snowfleet")["spec"]["ports"][0]["port"], 8000)
            self.assertEqual(set(re.findall(r"(?<!http://)ids-snowfleet-headless:(\d+)", text)), {str(listens["snowfleet"])})
            self.assertLessEqual(set(re.findall(r"http://ids-snowfleet-headless:(\d+)", text)), {str(listens["admin"])})

    def test_probes_are_routes_of_the_program(self):
        routes = (ROOT / "docs/http.md").read_text(encoding="utf-8")
        paths = set()
        for case in CASES:
            container = find(documents(render(case)), "Deployment", "ids-snowfleet")["spec"]["template"]["spec"]["containers"][0]
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                paths.add(container[kind]["httpGet"]["path"])
                self.assertEqual(container[kind]["httpGet"]["port"], "admin")
        self.assertEqual(paths, {"/startupz", "/livez", "/readyz"})
        for path in paths | {"/metrics"}:
            self.assertIn(f"`{path}`", routes)

    def test_flags_of_the_tool_exist(self):
        count = 0
        for case in CASES:
            for document in documents(render(case)):
                for spec in pods(document):
                    for container in spec["containers"]:
                        if container.get("command") != ["/usr/bin/snowfleet"]:
                            continue
                        command, *words = container["args"]
                        text = subprocess.run([BIN / "snowfleet", command, "--help"], capture_output=True, text=True, check=True).stdout
                        known = dict(re.findall(r"(?m)^ +(?:-\w, +)?--([a-z-]+)( [A-Z][A-Z0-9:,.]*)?", text.split("options:")[1]))
                        while words:
                            flag = words.pop(0)
                            self.assertRegex(flag, "^--")
                            self.assertIn(flag[2:], known, f"snowfleet {command}")
                            if known[flag[2:]]:
                                self.assertFalse(words.pop(0).startswith("--"))
                            count += 1
        self.assertGreater(count, 20)

    def test_every_option_of_the_program_can_be_set(self):
        """By values.config or by the chart; none that the schema allows is unknown to the program."""
        effective = json.loads(subprocess.run([BIN / "snowfleetd", "--check-config"], capture_output=True, text=True, check=True,
                                              env={"SNOWFLEET_FLEET_COORDINATOR": "zk://z:2181"}).stdout)
        options = {f"{section}.{key}" for section, keys in effective.items() for key in keys}
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["properties"]["config"]["properties"]
        free = {f"{section}.{key}" for section, inner in schema.items() for key in inner["properties"]}
        ours = {"fleet.name", "fleet.datacenter", "fleet.worker", "fleet.coordinator", "fleet.auto_init", "fleet.auto_init_first", "fleet.node", "fleet.slots_per_worker",
                "fleet.expect_id", "fleet.expect_epoch_ms", "fleet.expect_layout",
                "reservation.state_dir", "listen.address", "listen.tls_cert", "listen.tls_key", "listen.tls_client_ca", "listen.token_file",
                "admin.address", "advertise.address", "advertise.admin", "drain.delay_ms", "drain.timeout_ms"}
        ours |= {option for option in options if option.startswith("coordinator.")}
        ours |= {"listen.http_address"}  # the chart's http
        ours |= {option for option in options if option.startswith("listen.unix_")}  # not offered: no volume is there for it
        ours |= {"admin.tls_cert", "admin.tls_key"}  # not offered: probes and scrapes speak plain HTTP
        self.assertEqual(free | ours, options)
        self.assertEqual(free & ours, set())

    def test_exit_codes_that_end_the_job(self):
        job = find(documents(render(HERE / "values/full.yaml")), "Job", "ids-snowfleet-init")
        codes = job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
        table = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
        for code in codes:
            self.assertIn(f"| {code} |", table)
        self.assertNotIn(69, codes, "a coordinator that is not there yet is worth another try")

    def init(self, *settings):
        """The container of the Job, and the tool's words."""
        settings = [word for setting in settings for word in ("--set", setting)]
        spec = find(documents(render(HERE / "values/default.yaml", NEWEST, *settings)), "Job", "ids-snowfleet-init")["spec"]["template"]["spec"]
        return spec["containers"][0]["args"]

    def test_init_is_first_only_where_somebody_knows(self):
        """What only renders, as Argo CD does before it runs the hook at every sync, knows nothing of what lives in the cluster."""
        self.assertNotIn("--first", self.init())
        self.assertNotIn("--first", self.init("init.first=auto"))
        self.assertNotIn("--first", self.init("init.first=false"))
        self.assertIn("--first", self.init("init.first=true"))
        for settings in ((), ("init.first=true",)):
            self.assertIn("--if-missing", self.init(*settings))
            self.assertNotIn("--after-data-loss", self.init(*settings))

    def test_init_asks_the_workers(self):
        def asked(*settings):
            words = self.init(*settings)
            return words[words.index("--ask") + 1]
        self.assertEqual(asked(), "ids-snowfleet-headless:7450")
        tls = ("clients.tls.enabled=true", "clients.tls.existingSecret=s")
        self.assertEqual(asked(*tls), "http://ids-snowfleet-headless:7451")
        self.assertEqual(asked("clients.tokens.existingSecret=s"), "http://ids-snowfleet-headless:7451")
        job = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "snowfleet", "app.kubernetes.io/instance": "ids", "app.kubernetes.io/component": "init"}}}
        for more, port, name in (((), 7450, "snowfleet"), (tls, 7451, "admin")):
            settings = [word for setting in (*more, "networkPolicy.clients[0].podSelector.matchLabels.a=b", "networkPolicy.admin[0].podSelector.matchLabels.a=b")
                        for word in ("--set", setting)]
            everything = documents(render(HERE / "values/default.yaml", NEWEST, *settings))
            worker = find(everything, "NetworkPolicy", "ids-snowfleet")["spec"]
            self.assertIn(job, next(rule["from"] for rule in worker["ingress"] if rule["ports"][0]["port"] == name))
            out = find(everything, "NetworkPolicy", "ids-snowfleet-init")["spec"]["egress"]
            self.assertIn({"ports": [{"port": port, "protocol": "TCP"}], "to": [{"podSelector": worker["podSelector"]}]}, out)

    def test_init_asks_for_the_time(self):
        words = self.init("init.clockSources={ntp:a.example,chrony:b}")
        self.assertEqual([words[i + 1] for i, word in enumerate(words) if word == "--clock-source"], ["ntp:a.example", "chrony:b"])
        everything = documents(render(HERE / "values/default.yaml", NEWEST, "--set", "init.clockSources={ntp:a.example}"))
        out = find(everything, "NetworkPolicy", "ids-snowfleet-init")["spec"]["egress"]
        self.assertIn({"ports": [{"port": 123, "protocol": "UDP"}, {"port": 323, "protocol": "UDP"}]}, out)

    def test_init_allows_the_window_that_the_workers_have(self):
        self.assertNotIn("--max-window-ms", self.init("config.reservation.window_ms=600000"))
        words = self.init("config.reservation.window_ms=600001")
        self.assertEqual(words[words.index("--max-window-ms") + 1], "600001")

    def test_a_fleet_can_be_pinned(self):
        fleet_id = "01234567-89ab-4cde-8f01-23456789abcd"
        settings = ["--set-string", f"fleet.expectId={fleet_id},fleet.expectEpochMs=1704067200000", "--set-string", "fleet.expectLayout=41\\,5\\,5\\,12"]
        everything = documents(render(HERE / "values/default.yaml", NEWEST, *settings))
        document, config = find(everything, "Deployment", "ids-snowfleet"), find(everything, "ConfigMap", "ids-snowfleet")
        fleet = json.loads(config["data"]["snowfleetd.json"])["fleet"]
        self.assertEqual({k: v for k, v in fleet.items() if k.startswith("expect")},
                         {"expect_id": fleet_id, "expect_epoch_ms": "1704067200000", "expect_layout": "41,5,5,12"})
        self.assertEqual(self.daemon(document, config).returncode, 0)
        words = find(everything, "Job", "ids-snowfleet-init")["spec"]["template"]["spec"]["containers"][0]["args"]
        self.assertEqual(words[words.index("--fleet-id") + 1], fleet_id, "a fleet that is made has the id that is waited for")

    def test_init_runs_on_install_only(self):
        hooks = {d["metadata"]["name"]: d["metadata"].get("annotations", {}).get("helm.sh/hook") for d in documents(render(HERE / "values/full.yaml"))
                 if d["kind"] == "Job"}
        self.assertEqual(hooks, {"ids-snowfleet-init": "pre-install"})


class Chaos(unittest.TestCase):
    """The experiments of helm/chaos: fields that Chaos Mesh has, labels that the chart gives, alerts that exist."""
    SELECTION = {"mode", "value", "selector", "duration", "containerNames"}
    FIELDS = {
        "PodChaos": SELECTION | {"action", "gracePeriod"},
        "NetworkChaos": SELECTION | {"action", "direction", "externalTargets", "delay"},
        "TimeChaos": SELECTION | {"timeOffset", "clockIds"},
        "StressChaos": SELECTION | {"stressors"},
    }
    ACTIONS = {"PodChaos": {"pod-kill", "pod-failure"}, "NetworkChaos": {"partition", "delay"}}

    def specs(self):
        """(file, kind, spec) of every single experiment, those in a Schedule or Workflow too."""
        for path in sorted((ROOT / "helm/chaos").glob("*.yaml")):
            for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                self.assertEqual(document["apiVersion"], "chaos-mesh.org/v1alpha1")
                self.assertLessEqual(len(document["metadata"]["name"]), 57)
                spec = document["spec"]
                if document["kind"] == "Schedule":
                    kind = spec["type"]
                    self.assertLessEqual(set(spec), {"schedule", "concurrencyPolicy", "historyLimit", "startingDeadlineSeconds", "type", kind[0].lower() + kind[1:]})
                    yield path, kind, spec[kind[0].lower() + kind[1:]]
                elif document["kind"] == "Workflow":
                    templates = {template["name"]: template for template in spec["templates"]}
                    self.assertEqual(set(templates[spec["entry"]]["children"]), set(templates) - {spec["entry"]})
                    for template in templates.values():
                        kind = template["templateType"]
                        if kind.endswith("Chaos"):
                            yield path, kind, template[kind[0].lower() + kind[1:]]
                else:
                    yield path, document["kind"], spec

    def test_fields_and_labels(self):
        labels = find(documents(render(HERE / "values/default.yaml")), "Deployment", "ids-snowfleet")["spec"]["template"]["metadata"]["labels"]
        seen = set()
        for path, kind, spec in self.specs():
            with self.subTest(path=path.name, kind=kind):
                seen.add(kind)
                self.assertLessEqual(set(spec), self.FIELDS[kind])
                self.assertIn(spec.get("action"), self.ACTIONS.get(kind, {None}))
                self.assertIn(spec["mode"], {"one", "all", "fixed-percent"})
                self.assertEqual("value" in spec, spec["mode"] == "fixed-percent")
                self.assertEqual(spec["selector"]["namespaces"], ["apps"])
                self.assertLessEqual(spec["selector"]["labelSelectors"].items(), labels.items())
                self.assertLessEqual(set(spec.get("containerNames", [])), {"snowfleetd"})
        self.assertEqual(seen, set(self.FIELDS))

    def test_what_injects_says_what_it_needs(self):
        """TimeChaos puts code into a worker, which refuses that unless its values say otherwise."""
        files = {path for path, kind, _ in self.specs() if kind == "TimeChaos"}
        self.assertGreaterEqual(len(files), 2)
        for path in files:
            self.assertRegex(path.read_text(encoding="utf-8"), r"# Needs: +security\.allow_injection .*helm/chaos-values\.yaml", path.name)

        def config(*more):
            data = find(documents(render(HERE / "values/default.yaml", NEWEST, *more)), "ConfigMap", "ids-snowfleet")["data"]
            return json.loads(next(iter(data.values())))
        self.assertNotIn("security", config())
        self.assertTrue(config("-f", str(ROOT / "helm/chaos-values.yaml"))["security"]["allow_injection"])

    def test_hypothesis_abort_rule_and_alerts(self):
        alerts = set(re.findall(r'alert: "?(\w+)', (ROOT / "dashboards/alerts.yaml").read_text(encoding="utf-8")))
        for path in sorted((ROOT / "helm/chaos").iterdir()):
            text = path.read_text(encoding="utf-8")
            self.assertLessEqual(set(re.findall(r"\bSnowfleet[A-Z]\w+", text)), alerts, path.name)
            if path.suffix == ".yaml":
                for head in ("# Hypothesis: ", "# Abort when: ", "# Alerts: "):
                    self.assertIn(head, text, path.name)


REFUSED = [
    ("no coordinator", [], "no coordinator: set coordinator.zookeeper.endpoints"),
    ("both", ["coordinator.zookeeper.endpoints={a:2181}", "coordinator.etcd.endpoints={b:2379}"], "more than one coordinator"),
    ("dev and zookeeper", ["coordinator.zookeeper.endpoints={a:2181}", "devCoordinator.enabled=true"], "more than one coordinator"),
    ("negative", ["@", "replicaCount=-1"], "replicaCount"),
    ("fraction", ["@", "replicaCount=1.5"], "replicaCount"),
    ("unknown", ["@", "replicas=3"], "replicas"),
    ("unknown inside", ["@", "image.name=x"], "name"),
    ("option of the chart", ["@", "config.listen.address=:1"], "address"),
    ("option that is none", ["@", "config.mint.speed=1"], "speed"),
    ("option out of range", ["@", "config.mint.max_ahead_ms=-1"], "max_ahead_ms"),
    ("endpoint without port", ["coordinator.zookeeper.endpoints={a}"], "endpoints"),
    ("digest", ["@", "image.digest=latest"], "digest"),
    ("first of neither", ["@", "init.first=maybe"], "first"),
    ("no clock", ["@", "init.clockSources={NTP}"], "clockSources"),
    ("no fleet id", ["@", "fleet.expectId=x"], "expectId"),
    ("no layout", ["@", "fleet.expectLayout=x"], "expectLayout"),
    ("too many replicas", ["@", "replicaCount=24"], "the layout is too small: 24 workers + 6 of updateStrategy.maxSurge + 0 fleet.otherReplicas, with 1 slots each, + 4 fleet.spareSlots need 34 slots, and fleet.layout 41,5,5,12 has 32"),
    ("slots of other releases", ["@", "replicaCount=5", "fleet.otherReplicas=4", "fleet.slotsPerWorker=3"], "+ 4 fleet.otherReplicas, with 3 slots each, + 4 fleet.spareSlots need 37 slots"),
    ("layout of 62 bits", ["@", "fleet.layout=40\\,5\\,5\\,12"], "fleet.layout 40,5,5,12 has 62 bits; timestamp, datacenter, worker and sequence must add up to 63"),
    ("layout without time", ["@", "fleet.layout=0\\,20\\,5\\,38"], "fleet.layout 0,20,5,38 has no timestamp"),
    ("certificate without TLS", ["@", "clients.tls.certificate.create=true"], "set clients.tls.enabled"),
    ("certificate of nobody", ["@", "clients.tls.certificate.create=true", "clients.tls.enabled=true"], "needs clients.tls.certificate.issuerRef.name"),
    ("route to nowhere", ["@", "gateway.enabled=true"], "gateway.enabled needs gateway.parentRefs"),
    ("port of no node", ["@", "service.nodePort=31745"], "service.nodePort needs service.type NodePort or LoadBalancer"),
    ("ranges of no balancer", ["@", "service.loadBalancerSourceRanges={10.0.0.0/8}"], "need service.type LoadBalancer"),
    ("too many for autoscaling", ["@", "autoscaling.enabled=true", "autoscaling.maxReplicas=23"], "the layout is too small: 23 workers + 6"),
    ("other release", ["@", "replicaCount=10", "fleet.otherReplicas=20"], "the layout is too small"),
    ("slots of each", ["@", "replicaCount=10", "fleet.slotsPerWorker=3"], "the layout is too small"),
    ("small layout", ["@", "fleet.layout=41\\,9\\,1\\,12"], "has 2 in a datacenter"),
    ("layout too big", ["@", "fleet.layout=50\\,5\\,5\\,12"], "has 72 bits"),
    ("datacenter", ["@", "fleet.datacenter=32"], "datacenters 0 to 31"),
    ("datacenter not listed", ["@", "fleet.datacenter=2", "fleet.datacenters={0,1}"], "not one of fleet.datacenters"),
    ("min over max", ["@", "autoscaling.enabled=true", "autoscaling.minReplicas=13"], "minReplicas 13 is over"),
    ("no target", ["@", "autoscaling.enabled=true", "autoscaling.metric=cpu", "autoscaling.targetCPU=0"], "nothing to go by"),
    ("no saturation", ["@", "autoscaling.enabled=true", "autoscaling.targetSaturation=0"], "targetSaturation"),
    ("another metric", ["@", "autoscaling.enabled=true", "autoscaling.metric=ids"], "metric"),
    ("KEDA alone", ["@", "autoscaling.keda.enabled=true"], "autoscaling.enabled whether: set both"),
    ("KEDA without Prometheus", ["@", "autoscaling.enabled=true", "autoscaling.keda.enabled=true"], "needs autoscaling.keda.serverAddress"),
    ("grace", ["@", "terminationGracePeriodSeconds=24"], "terminationGracePeriodSeconds 24 is too short"),
    ("grace with sleep", ["@", "drain.preStopSleepSeconds=6"], "is too short"),
    ("stuck update", ["@", "updateStrategy.maxSurge=0"], "both 0"),
    ("user without password", ["@", "coordinator.auth.username=u"], "existingSecret"),
    ("TLS without certificate", ["@", "clients.tls.enabled=true"], "clients.tls.existingSecret"),
    ("certificate without key", ["@", "coordinator.tls.certKey=tls.crt"], "belong together"),
    ("scraped twice", ["@", "metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"], "twice"),
    ("old Kubernetes", ["@", "--kube-version", "1.27.9"], "kubeVersion"),
]
ALLOWED = [
    ("as many as fit", ["@", "replicaCount=22"]),
    ("as many as fit, autoscaled", ["@", "autoscaling.enabled=true", "autoscaling.maxReplicas=22"]),
    ("autoscaled by CPU alone", ["@", "autoscaling.enabled=true", "autoscaling.metric=cpu"]),
    ("autoscaled by saturation alone", ["@", "autoscaling.enabled=true", "autoscaling.targetCPU=0"]),
    ("KEDA by CPU", ["@", "autoscaling.enabled=true", "autoscaling.keda.enabled=true", "autoscaling.metric=cpu"]),
    ("exact grace", ["@", "terminationGracePeriodSeconds=25"]),
    ("surge as a number", ["@", "replicaCount=27", "updateStrategy.maxSurge=1"]),
    ("none at all", ["@", "replicaCount=0"]),
    ("one datacenter of a list", ["@", "fleet.datacenter=1", "fleet.datacenters={0,1}"]),
]


class Values(unittest.TestCase):
    def template(self, settings):
        arguments, version = [], ["--kube-version", "1.34.0"]
        for setting in settings:
            if setting == "@":
                arguments += ["--set", "coordinator.zookeeper.endpoints={a:2181}"]
            elif setting == "--kube-version":
                version = settings[-2:]
                break
            else:
                arguments += ["--set", setting]
        return helm("template", "ids", CHART, *version, *arguments, check=False)

    def test_refused(self):
        for name, settings, message in REFUSED:
            with self.subTest(name):
                result = self.template(settings)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(message, result.stderr)

    def test_allowed(self):
        for name, settings in ALLOWED:
            with self.subTest(name):
                result = self.template(settings)
                self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    if "--golden" in sys.argv:
        (HERE / "golden").mkdir(exist_ok=True)
        for one in CASES:
            (HERE / "golden" / one.name).write_text(golden(one), encoding="utf-8")
    else:
        unittest.main(verbosity=2)
