"""Starts real etcd clusters for tests: one member or three, plain, with TLS, with users. Python standard library only.

    import etcd
    if not etcd.available(): skip                     # Debian: etcd-server (and openssl for TLS)
    with etcd.Cluster(members=3) as cluster:          # ready when it returns; ended and deleted at the end, whatever happens
        url = cluster.url()                           # "etcd://127.0.0.1:a,127.0.0.1:b,127.0.0.1:c"
        leader = cluster.leader()                     # index of the member that leads
        cluster.kill(leader); cluster.restart(leader) # SIGKILL; start again on the same data, waits until it serves
        cluster.pause(0); cluster.resume(0)           # SIGSTOP, SIGCONT
        cluster.stop(0)                               # SIGTERM: hands leadership over
        cluster.wipe(0)                               # with the member down: deletes its data
        cluster.wipe_all()                            # a coordinator that forgot: all killed, no data, started
        cluster.save(path); cluster.restore(path)     # a copy of every member's data, also of a running one; put back and started
    Cluster(tls=True)                                 # etcds://, client certificates asked for; paths in cluster.ca, .cert, .key
    Cluster(users={"worker": "secret"})               # users on; cluster.password_file("worker") gives a file for snowfleetd.
                                                      # user root has the password "root-secret"; others may read and write /snowfleet/

Ports are free ones of 127.0.0.1, chosen anew for every cluster. Processes are ended by their pids. Data lies in a temporary directory
(TMPDIR), deleted at the end unless keep=True or SNOWFLEET_TEST_KEEP is set. The servers' logs: cluster.log(i).
"""
import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import processes
from ports import free_ports

READY_S = 60


def available():
    return shutil.which("etcd") is not None


def b64(text):
    return base64.b64encode(text.encode()).decode()


def post(port, path, body, timeout_s=10):
    """One request to a member of a plain cluster that somebody else started."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=timeout_s) as answer:
        return json.load(answer)


class Certificates:
    """A CA, a server certificate for 127.0.0.1 and localhost, a client certificate without a common name (etcd's gateway refuses one
    with it as soon as users are on), and a second CA that signed nothing here."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = self._authority("ca")
        self.other_ca = self._authority("other")
        self.server = self.leaf("server", "/CN=etcd", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self.client = self.leaf("client", "/O=workers", "extendedKeyUsage=clientAuth")

    def _path(self, name):
        return os.path.join(self.directory, name)

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                      "-subj", f"/CN=test {name}", "-keyout", self._path(name + ".key"), "-out", self._path(name + ".pem"))
        return self._path(name + ".pem")

    def leaf(self, name, subject, extension):
        key, request, cert, ext = (self._path(name + end) for end in (".key", ".csr", ".pem", ".ext"))
        with open(ext, "w", encoding="ascii") as f:
            f.write(extension + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
                      "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._path("ca.key"), "-CAcreateserial",
                      "-days", "2", "-extfile", ext, "-out", cert)
        os.chmod(key, 0o600)
        return cert, key


class Cluster:
    def __init__(self, members=1, tls=False, users=None, keep=False, options=()):
        self.members = members
        self.tls = tls
        self.users = dict(users or {})
        self.options = list(options)
        self.keep = keep or bool(os.environ.get("SNOWFLEET_TEST_KEEP"))
        self.directory = tempfile.mkdtemp(prefix="snowfleet-etcd-")
        self.processes = [None] * members
        self._token = None
        self._started_once = [False] * members
        ports = free_ports(2 * members)
        self.ports, self.peer_ports = ports[:members], ports[members:]
        try:
            self.certificates = Certificates(self.directory) if tls else None
            if tls:
                self.ca = self.certificates.ca
                self.cert, self.key = self.certificates.client
            for i in range(members):
                self._start(i)
            self.wait_ready()
            if self.users:
                self._enable_users()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    # Addresses.

    def address(self, index):
        return f"127.0.0.1:{self.ports[index]}"

    def url(self, indexes=None):
        """The URL for fleet.coordinator, with all members or those given, in this order."""
        chosen = range(self.members) if indexes is None else indexes
        return ("etcds://" if self.tls else "etcd://") + ",".join(self.address(i) for i in chosen)

    def log(self, index):
        with open(os.path.join(self.directory, f"e{index}.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def password_file(self, user, password=None):
        """A file that only we can read, with this user's password (or another one)."""
        path = os.path.join(self.directory, f"password-{user}")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            f.write((password if password is not None else self.users[user]) + "\n")
        return path

    # Processes.

    def _start(self, index):
        scheme = "https" if self.tls else "http"
        client = f"{scheme}://{self.address(index)}"
        peer = f"http://127.0.0.1:{self.peer_ports[index]}"
        cluster = ",".join(f"e{i}=http://127.0.0.1:{self.peer_ports[i]}" for i in range(self.members))
        args = ["etcd", "--name", f"e{index}", "--data-dir", self._data(index),
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
                "--initial-cluster-state", "existing" if self._started_once[index] and self.members > 1 else "new",
                "--logger", "zap", "--log-level", "warn", *self.options]
        if self.tls:
            cert, key = self.certificates.server
            args += ["--cert-file", cert, "--key-file", key, "--trusted-ca-file", self.ca, "--client-cert-auth"]
        with open(os.path.join(self.directory, f"e{index}.log"), "ab") as log:
            self.processes[index] = subprocess.Popen(
                args, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, ETCD_UNSUPPORTED_ARCH=os.uname().machine))
        self._started_once[index] = True

    def pid(self, index):
        return self.processes[index].pid

    def running(self, index):
        return self.processes[index] is not None and self.processes[index].poll() is None

    def kill(self, index):
        """SIGKILL, also of a paused member; returns when it is gone."""
        if self.running(index):
            self.processes[index].kill()
        if self.processes[index] is not None:
            self.processes[index].wait()

    def stop(self, index, timeout_s=15):
        """SIGTERM: a leader hands over first."""
        if self.running(index):
            self.processes[index].terminate()
            try:
                self.processes[index].wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill(index)

    def start(self, index, wait=True):
        """A member that is down, on the data it has."""
        assert not self.running(index)
        self._start(index)
        if wait:
            self.wait_ready([index])

    def restart(self, index, wait=True):
        self.kill(index)
        self.start(index, wait)

    def pause(self, index):
        processes.pause(self.processes[index].pid)

    def resume(self, index):
        self.processes[index].send_signal(signal.SIGCONT)

    def _data(self, index):
        return os.path.join(self.directory, f"e{index}")

    def wipe(self, index):
        assert not self.running(index)
        shutil.rmtree(self._data(index), ignore_errors=True)
        if self.members == 1:
            self._started_once[index] = False

    def _start_all(self):
        self._token = None
        for i in range(self.members):
            self._start(i)
        self.wait_ready()

    def wipe_all(self):
        for i in range(self.members):
            self.kill(i)
        for i in range(self.members):
            self.wipe(i)
            self._started_once[i] = False
        self._start_all()

    def save(self, path):
        """Copies every member's data below path, as it is on the disks at one moment: members of different ages would not fit together."""
        with processes.paused([self.pid(i) for i in range(self.members) if self.running(i)]):
            for i in range(self.members):
                shutil.copytree(self._data(i), os.path.join(path, str(i)))

    def restore(self, path):
        """Every member is killed and started again on the copy."""
        for i in range(self.members):
            self.kill(i)
        for i in range(self.members):
            shutil.rmtree(self._data(i), ignore_errors=True)
            shutil.copytree(os.path.join(path, str(i)), self._data(i))
        self._start_all()

    def close(self):
        for i in range(self.members):
            self.kill(i)
        if self.keep:
            print(f"kept: {self.directory}", flush=True)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Requests.

    def post(self, index, path, body, timeout_s=5):
        """One request to the member's JSON gateway; raises OSError (urllib.error.HTTPError for an error answer)."""
        context = None
        if self.tls:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.cert, self.key)
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = self._token
        request = urllib.request.Request(f"{'https' if self.tls else 'http'}://{self.address(index)}{path}",
                                         json.dumps(body).encode(), headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
                                             if context else urllib.request.HTTPHandler())
        with opener.open(request, timeout=timeout_s) as answer:
            return json.loads(answer.read().decode().split("\n")[0])

    def any_post(self, path, body):
        """The same, to the first member that answers; logs in again when the token is too old."""
        problem = None
        for i in range(self.members):
            if not self.running(i):
                continue
            try:
                return self.post(i, path, body)
            except urllib.error.HTTPError as error:
                problem = error
                if self.users and error.code in (400, 401):
                    self._login(i)
                    return self.post(i, path, body)
            except OSError as error:
                problem = error
        raise problem or OSError("no member runs")

    def wait_ready(self, indexes=None, timeout_s=READY_S):
        """Until each of these members serves a linearizable read, so that there is a leader and a quorum."""
        end = time.monotonic() + timeout_s
        for i in range(self.members) if indexes is None else indexes:
            while True:
                if self.processes[i].poll() is not None:
                    raise RuntimeError(f"etcd member {i} ended with {self.processes[i].returncode}:\n{self.log(i)[-2000:]}")
                try:
                    if self._token or not self.users:
                        self.post(i, "/v3/kv/range", {"key": b64("ready")}, 2)
                    else:
                        self.post(i, "/v3/maintenance/status", {}, 2)
                    break
                except urllib.error.HTTPError as error:
                    if error.code in (400, 401, 403):  # it is there, and asks who we are
                        break
                except OSError:
                    pass
                if time.monotonic() > end:
                    raise TimeoutError(f"etcd member {i} does not serve after {timeout_s} s:\n{self.log(i)[-2000:]}")
                time.sleep(0.05)

    def leader(self, timeout_s=READY_S):
        """The index of the leader; waits until the members that answer agree on one that runs."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            ids, leaders = {}, set()
            for i in range(self.members):
                try:
                    if self.running(i):
                        status = self.post(i, "/v3/maintenance/status", {}, 1)
                        ids[status["header"]["member_id"]] = i
                        leaders.add(status.get("leader", "0"))
                except OSError:
                    pass
            if len(leaders) == 1 and next(iter(leaders)) in ids and len(ids) > self.members // 2:
                return ids[next(iter(leaders))]
            time.sleep(0.05)
        raise TimeoutError("no leader")

    def get_prefix(self, prefix):
        """{key: (value, create_revision, mod_revision, lease)} of every key that starts with prefix."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        answer = self.any_post("/v3/kv/range", {"key": b64(prefix), "range_end": b64(end)})
        found = {}
        for kv in answer.get("kvs", []):
            found[base64.b64decode(kv["key"]).decode()] = (
                base64.b64decode(kv.get("value", "")).decode(), int(kv["create_revision"]), int(kv["mod_revision"]),
                int(kv.get("lease", 0)))
        return found

    def leases(self):
        return [int(one["ID"]) for one in self.any_post("/v3/lease/leases", {}).get("leases", [])]

    def revoke(self, lease):
        """Ends a lease from outside: its session expires. One that has ended by itself meanwhile is none any more."""
        try:
            self.any_post("/v3/lease/revoke", {"ID": str(lease)})
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    # Users.

    def _login(self, index):
        self._token = None
        self._token = self.post(index, "/v3/auth/authenticate", {"name": "root", "password": "root-secret"})["token"]

    def _enable_users(self):
        self.any_post("/v3/auth/user/add", {"name": "root", "password": "root-secret"})
        self.any_post("/v3/auth/role/add", {"name": "root"})
        self.any_post("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self.any_post("/v3/auth/role/add", {"name": "snowfleet"})
        self.any_post("/v3/auth/role/grant", {"name": "snowfleet", "perm": {
            "permType": "READWRITE", "key": b64("/snowfleet/"), "range_end": b64("/snowfleet0")}})
        for name, password in self.users.items():
            self.add_user(name, password)
        self.any_post("/v3/auth/enable", {})
        self._login(0)

    def add_user(self, name, password, role="snowfleet"):
        self.any_post("/v3/auth/user/add", {"name": name, "password": password})
        if role:
            self.any_post("/v3/auth/user/grant", {"user": name, "role": role})

    def change_password(self, name, password):
        self.any_post("/v3/auth/user/changepw", {"name": name, "password": password})
