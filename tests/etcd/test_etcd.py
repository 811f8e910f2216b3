#!/usr/bin/env python3
"""The etcd backend against real servers, and through a gateway that loses, delays and makes up answers.

  test_etcd.py PATH/etcd_driver [unittest options]        needs etcd-server and openssl; exits 77 without etcd
"""
import json
import os
import shutil
import socket
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import etcd  # noqa: E402
from driver import WAIT_S, Driver  # noqa: E402
from gateway import Gateway  # noqa: E402


class Case(unittest.TestCase):
    def driver(self, *args, **kwargs):
        driver = Driver(*args, **kwargs)
        self.addCleanup(driver.close)
        return driver

    def cluster(self, *args, **kwargs):
        cluster = etcd.Cluster(*args, **kwargs)
        self.addCleanup(cluster.close)
        return cluster


def is_write(body):
    return "request_put" in body or "request_delete_range" in body


def tree(cluster):
    """Where the making is that the config names."""
    config = json.loads(cluster.get_prefix("/snowfleet/f/config")["/snowfleet/f/config"][0])
    return f"/snowfleet/f/{config['token']}/"


def passing(path, body):
    return None


def header_edit(member, value):
    """Changes one member of the answer's header."""
    def edit(data):
        answer = json.loads(data.decode().split("\n")[0])
        answer.get("result", answer)["header"][member] = value
        return json.dumps(answer).encode()
    return ("edit", edit)


class LostAnswers(Case):
    def setUp(self):
        self.etcd = self.cluster()
        self.gateway = Gateway(self.etcd.ports[0])
        self.addCleanup(self.gateway.close)
        self.worker = self.driver(self.gateway.url)
        self.worker.prepare()

    def nonce(self):
        key = tree(self.etcd) + "dc/0/slots/0"
        return json.loads(self.etcd.get_prefix(key)[key][0])["nonce"]

    def rule_writes(self, action):
        self.gateway.requests.clear()
        self.gateway.rule = lambda path, body: action if path == "/v3/kv/txn" and is_write(body) else None

    def test_dropped_answer_is_unknown_and_sent_once(self):
        before = self.nonce()
        self.rule_writes("drop")
        self.worker.call("renew", "unknown", "unreachable")
        self.gateway.rule = passing
        self.assertNotEqual(self.nonce(), before)  # it had been applied
        self.assertEqual(self.gateway.count("request_put"), 1)
        self.worker.until("slot 0")
        self.worker.until("renew")

    def test_libcurl_does_not_send_a_write_again(self):
        """libcurl repeats a request by itself when a kept connection ends without one byte of answer: not a write."""
        for _ in range(3):
            self.worker.until("list")
            self.worker.until("slot 0")  # the connection is a kept one
            self.rule_writes("refuse")
            self.worker.call("renew", "unknown", "unreachable")
            time.sleep(0.2)
            self.assertEqual(self.gateway.count("request_put"), 1)
            self.gateway.rule = passing

    def test_an_answer_to_another_request_is_no_acknowledgement(self):
        """A hop that delivers a request twice may hand the second answer on as that of the next one on the connection, whose own is lost."""
        answers = []

        def keep(data):
            answers.append(data.decode())
            return data
        self.gateway.rule = lambda path, body: ("edit", keep) if path == "/v3/kv/txn" else None
        for command in ("list", "slot 0", "config", "renew", "slot 0"):
            self.worker.until(command)
        other = self.driver(self.etcd.url())  # somebody else writes: what is read now is of a later revision than the slot
        other.prepare_in("config", "claim")
        for command in ("list", "slot 0", "config"):
            self.worker.until(command)
        self.gateway.rule = passing
        self.assertGreaterEqual(len(answers), 8)
        before = self.nonce()
        for command in ("renew", "release", "claim", "halt"):
            for answer in answers:
                self.rule_writes((200, answer))
                self.worker.until("slot 0")
                self.worker.send(command)
                outcome = self.worker.expect(r"^done ").split()[3]
                self.assertGreaterEqual(self.gateway.count("request_put"), 1, "the write was sent")
                self.assertEqual(outcome, "unknown", f"{command} is answered with {answer}")
        self.gateway.rule = passing
        self.assertEqual(self.nonce(), before)
        self.worker.until("slot 0")
        self.worker.until("renew")

    def test_an_answer_to_another_request_tells_nothing(self):
        """Neither what was read before, nor what somebody else asked for: it is asked again."""
        answers = []

        def keep(data):
            answers.append(data.decode())
            return data
        self.gateway.rule = lambda path, body: ("edit", keep) if path == "/v3/kv/txn" else None
        for command in ("slot 0", "slot 1", "config", "unclaim", "slot 0"):  # of a slot, of what is not there
            self.worker.until(command)
        self.gateway.rule = passing
        self.worker.until("claim")
        self.worker.until("bind 0")
        config, now = self.worker.until("config"), self.nonce()
        self.assertGreaterEqual(len(answers), 6)
        for answer in answers:
            for command in ("slot 0", "config"):
                left = [answer]
                self.gateway.rule = lambda path, body, left=left: (200, left.pop()) if path == "/v3/kv/txn" and left else None
                line = self.worker.until(command)
                self.assertEqual(left, [])
                if command == "config":
                    self.assertEqual(line.split()[6:], config.split()[6:], f"answered with {answer}")
                else:
                    self.assertIn(now, line, f"answered with {answer}")
        self.gateway.rule = passing
        self.worker.until("slot 0")
        self.worker.until("renew")

    def test_a_connection_with_an_answer_too_many_is_given_up(self):
        """Every answer on it is that of the request before."""
        before, fallen = {}, set()

        def rule(path, body):
            connection = threading.get_ident()
            if not fallen:
                fallen.add(connection)

            def edit(data):
                if connection not in fallen:
                    return data
                data, before[connection] = before.get(connection, b"{}"), data
                return data
            return ("edit", edit)
        for command in ("slot 0", "config", "list", "renew"):
            fallen.clear()
            before.clear()
            self.gateway.rule = rule
            self.worker.send(command)
            outcome = self.worker.expect(r"^done ").split()[3]
            # Lost: where the lease's own answer was the first that did not fit.
            self.assertIn(outcome, ("unknown", "lost") if command == "renew" else ("done", "lost"), command)
            self.worker.until("slot 0")  # over another one by now
            self.worker.until("renew")

    def test_records_are_made_once(self):
        """A hop may deliver what makes a fleet's records a second time, when workers have long reserved in them."""
        made = [(path, body) for path, body in self.gateway.requests if body.count("request_put") > 8]
        self.assertGreaterEqual(len(made), 1)
        before = self.nonce()
        for path, body in made:
            etcd.post(self.etcd.ports[0], path, json.loads(body))
        self.assertEqual(self.nonce(), before)
        self.worker.until("renew")

    def test_an_answer_to_another_request_makes_no_records(self):
        answers = []

        def keep(data):
            answers.append(data.decode())
            return data
        self.gateway.rule = lambda path, body: ("edit", keep) if path == "/v3/kv/txn" else None
        for command in ("list", "renew", "slot 0"):
            self.worker.until(command)
        for answer in answers:
            self.worker.until("survey")
            self.gateway.rule = lambda path, body, answer=answer: (200, answer) if body.count("request_put") > 8 else None
            self.worker.call("loss", "unknown", "unreachable")
            self.gateway.rule = passing
            self.assertEqual(self.etcd.get_prefix("/snowfleet/f/current-"), {}, "it was named without its records")
        self.worker.until("survey")
        self.worker.call("loss")

    def test_late_answer_is_unknown_within_the_deadline(self):
        self.rule_writes(("late", 1.5))
        line = self.worker.call("renew 0 400", "unknown", "unreachable")
        self.assertLess(int(line.split()[5]), 900)
        self.worker.until("slot 0")
        line = self.worker.call("renew 0 5000")  # one endpoint: no other to turn to, so the answer is waited for
        self.assertGreater(int(line.split()[5]), 1400)
        second = self.driver(f"{self.gateway.url},127.0.0.1:{etcd.free_ports(1)[0]}")
        second.expect("^event connected")
        second.call("claim", "unknown", "unreachable")
        self.assertLess(int(second.seen[-1].split()[5]), 1400)

    def test_error_answers(self):
        for status, body, outcome, reason in (
                (503, '{"error":"etcdserver: no leader","message":"etcdserver: no leader","code":14}', "unknown", "unreachable"),
                (500, '{"code":2, "message":"context deadline exceeded"}', "unknown", "unreachable"),
                (504, '{"code":4, "message":"context deadline exceeded"}', "unknown", "unreachable"),
                (502, "<html>", "unknown", "unreachable"),
                (200, "{}", "unknown", "unreachable"),
                (200, '{"succeeded":true}', "unknown", "unreachable"),
                (200, "not json", "unknown", "unreachable"),
                (403, '{"code":7, "message":"etcdserver: permission denied"}', "unknown", "auth"),
                (429, '{"code":8, "message":"etcdserver: mvcc: database space exceeded"}', "unknown", "storage"),
                (429, '{"code":8, "message":"etcdserver: too many requests"}', "unknown", "unreachable"),
                (404, '{"code":5, "message":"etcdserver: requested lease not found"}', "refused", "claim_gone"),
                (404, "404 page not found", "unknown", "invalid")):
            with self.subTest(status=status, body=body):
                self.rule_writes((status, body))
                self.worker.call("renew", outcome, reason)
                self.assertEqual(self.gateway.count("request_put"), 1)
                self.gateway.rule = passing
                self.worker.until("slot 0")
        self.worker.until("renew")
        # A second delivery may come when the lease has ended: the first may have made the claim.
        self.rule_writes((404, '{"code":5, "message":"etcdserver: requested lease not found"}'))
        self.worker.call("claim", "unknown", "session")

    def test_reads_are_tried_again(self):
        left = [2]

        def rule(path, body):
            if path == "/v3/kv/txn" and left[0] > 0:
                left[0] -= 1
                return (503, '{"code":14, "message":"etcdserver: leader changed"}')
            return None
        self.gateway.rule = rule
        self.worker.call("list")
        self.assertEqual(left[0], 0)

    def test_keepalive_without_ttl_is_a_lost_session(self):
        def edit(data):
            answer = json.loads(data.decode().split("\n")[0])
            answer["result"].pop("TTL", None)
            return json.dumps(answer).encode()
        self.gateway.rule = lambda path, body: ("edit", edit) if path == "/v3/lease/keepalive" else None
        self.worker.expect("^event session_lost")
        self.worker.expect("^event connected")

    def test_lower_term_is_refused(self):
        self.rule_writes(header_edit("raft_term", "1"))
        self.assertIn("lags behind", self.worker.call("renew", "unknown", "unreachable"))

    def test_cluster_that_went_back_is_believed_in_the_end(self):
        self.gateway.rule = lambda path, body: header_edit("raft_term", "1")
        self.assertIn("lags behind", self.worker.expect("^event disconnected"))
        self.worker.expect("^event connected")
        self.assertIn("coordinator.went_back", self.worker.stderr())

    def test_other_cluster_for_a_moment_is_refused(self):
        self.gateway.rule = lambda path, body: header_edit("cluster_id", "7")
        self.assertIn("another cluster", self.worker.expect("^event disconnected"))
        self.worker.call("list", "lost", "unreachable")
        self.gateway.rule = passing
        self.worker.expect("^event connected")
        self.worker.until("slot 0")
        self.worker.until("renew")

    def test_stalled_watch_is_noticed(self):
        self.gateway.stall = True
        self.worker.call("watch 0 5000")
        other = self.driver(self.etcd.url())
        other.expect("^event connected")
        other.call("config")
        other.call("claim")
        self.worker.expect("^event changed", 15)


class Sessions(Case):
    def test_speed_and_end(self):
        cluster = self.cluster()
        first = self.driver(cluster.url())
        first.prepare()
        worker = self.driver(cluster.url())
        connected = int(worker.expect("^event connected").split()[2])
        took = connected + sum(int(worker.call(c).split()[5]) for c in ("config", "claim", "slot 1", "bind 1"))
        print(f"connected after {connected} ms, bound after {took} ms", file=sys.stderr)
        self.assertLess(took, 500)
        self.assertEqual(len(cluster.get_prefix(tree(cluster) + "dc/0/claims/")), 2)
        worker.call("release")
        self.assertEqual(len(cluster.get_prefix(tree(cluster) + "dc/0/claims/")), 1)
        worker.call("release", "refused", "claim_gone")
        self.assertEqual(len(cluster.leases()), 2)
        worker.close()
        first.close()
        self.assertEqual(cluster.leases(), [])
        self.assertEqual(cluster.get_prefix(tree(cluster) + "dc/0/claims/"), {})
        slots = cluster.get_prefix(tree(cluster) + "dc/0/slots/")
        self.assertEqual(len(slots), 32)
        self.assertTrue(all(lease == 0 for _, _, _, lease in slots.values()))

    def test_revoked_lease(self):
        cluster = self.cluster()
        worker = self.driver(cluster.url(), session_ms=6000)
        worker.prepare()
        cluster.revoke(cluster.leases()[0])
        worker.call("renew", "refused", "claim_gone")
        worker.expect("^event session_lost")
        worker.expect("^event connected")
        for command in ("claim", "slot 0", "bind 0", "renew"):
            worker.call(command)

    def test_paused_past_its_lease(self):
        cluster = self.cluster()
        worker = self.driver(cluster.url(), session_ms=2000)
        worker.prepare()
        worker.process.send_signal(19)
        try:
            end = time.monotonic() + WAIT_S
            while cluster.leases() and time.monotonic() < end:
                time.sleep(0.1)
            self.assertEqual(cluster.leases(), [])
        finally:
            worker.process.send_signal(18)
        worker.expect("^event session_lost")
        worker.expect("^event connected")

    def test_server_goes_and_comes_back(self):
        cluster = self.cluster()
        worker = self.driver(cluster.url(), session_ms=10000)
        worker.prepare()
        worker.call("watch")
        cluster.kill(0)
        worker.expect("^event disconnected")
        worker.call("renew", "lost", "unreachable")
        worker.call("list", "lost", "unreachable")
        cluster.start(0)
        worker.expect("^event connected")
        worker.expect("^event changed")
        worker.call("renew")  # the lease outlived it
        self.assertFalse(any("session_lost" in line for line in worker.seen))
        cluster.pause(0)
        worker.call("renew 0 500", "unknown", "unreachable")
        worker.expect("^event disconnected")
        cluster.resume(0)
        worker.expect("^event connected")
        worker.until("slot 0")
        worker.until("renew")

    def test_nothing_there(self):
        port = etcd.free_ports(1)[0]
        worker = self.driver(f"etcd://127.0.0.1:{port}")
        self.assertIn("127.0.0.1", worker.expect("^event disconnected"))
        worker.call("claim", "lost", "unreachable")
        time.sleep(3)
        self.assertLessEqual(len(worker.stderr().splitlines()), 2)  # bounded
        name = self.driver("etcd://no-such-host.invalid:2379")
        self.assertIn("no-such-host.invalid", name.expect("^event disconnected"))

    def test_bad_options(self):
        directory = self.cluster().directory
        secret = os.path.join(directory, "open")
        with open(secret, "w", encoding="ascii") as f:
            f.write("secret\n")
        os.chmod(secret, 0o644)
        many = "etcd://" + ",".join(f"h{i}" for i in range(33))
        for url, options, part in (
                ("etcd://a", ("u",), "password_file"),
                ("etcd://a", ("u", secret), "-13 .*chmod 600"),
                ("etcd://a", ("u", "/nonexistent"), "-2 .*/nonexistent"),
                ("etcd://a", ("-", "-", "/nonexistent"), "etcds://"),
                ("etcds://a", ("-", "-", "/nonexistent"), "-2 .*/nonexistent"),
                ("etcds://a", ("-", "-", "-", secret), "tls_key"),
                ("etcds://a", ("-", "-", "-", secret, secret), "-13 .*chmod 600"),
                ("etcd://a,a", (), "twice"), ("etcd://a@b", (), "no user and no password"), ("etcd://a:0", (), "host:port"),
                ("etcd://a/x?y", (), "the path behind the hosts"), (many, (), "more than 32 hosts")):
            with self.subTest(url=url, options=options):
                worker = self.driver(url, options=options)
                self.assertRegex(worker.expect("^error -"), part)


class WentBack(Case):
    """A cluster that lost data proves nothing by its numbers: it is told, believed soon, and its content decides."""

    def gone_and_back(self, worker):
        """DISCONNECTED, then CONNECTED, within seconds; returns how the first is put."""
        start = time.monotonic()
        line = worker.expect("^event disconnected")
        worker.expect("^event connected")
        took = time.monotonic() - start
        print(f"told and believed after {took:.1f} s", file=sys.stderr)
        self.assertLess(took, 15)
        return line

    def replaced(self, prepare_second):
        first, second = self.cluster(), self.cluster()
        if prepare_second:
            other = self.driver(second.url())
            other.prepare()
        gateway = Gateway(first.ports[0])
        self.addCleanup(gateway.close)
        worker = self.driver(gateway.url)
        worker.prepare()
        worker.call("watch")
        gateway.port = second.ports[0]
        self.assertIn("another cluster", self.gone_and_back(worker))
        self.assertIn("coordinator.went_back", worker.stderr())
        self.assertTrue(any("session_lost" in line for line in worker.seen))
        return worker, second

    def test_replaced_by_nothing(self):
        worker, _ = self.replaced(False)
        self.assertEqual(worker.until("renew", "refused").split()[4], "missing")
        worker.call("claim", "refused", "missing")
        worker.call("config", "refused", "missing")
        self.assertEqual(worker.call("slot 0").split()[6], "1")  # confirmed: there is no such record

    def test_replaced_by_another_fleet(self):
        worker, second = self.replaced(True)
        config = json.loads(second.get_prefix("/snowfleet/f/config")["/snowfleet/f/config"][0])
        before = second.get_prefix("/snowfleet/")
        # Its config may well be at the very revision that was read of the other's: then the token tells them apart.
        self.assertEqual(worker.until("renew", "refused").split()[4], "current_gone")
        worker.call("claim", "refused", "current_gone")
        worker.call("halt", "refused", "state_changed")
        self.assertEqual(second.get_prefix("/snowfleet/"), before)
        self.assertEqual(worker.call("config").split()[7], config["token"])

    def restored(self, stopped):
        """A copy from before the last renewals, then somebody else's writes: every number is what it was, and the content is not."""
        cluster = self.cluster()
        worker = self.driver(cluster.url(), session_ms=30000)
        worker.prepare()
        worker.call("watch")
        key = tree(cluster) + "dc/0/slots/0"
        copy = os.path.join(cluster.directory, "copy")
        cluster.save(copy)
        worker.call("renew")
        worker.call("renew")
        record, *numbers = cluster.get_prefix(key)[key]
        if stopped:
            worker.process.send_signal(19)
        try:
            cluster.restore(copy)
            other = self.driver(cluster.url(), session_ms=30000)
            other.prepare_in("config", "claim", "slot 0", "bind 0")
        finally:
            worker.process.send_signal(18)
        theirs, *same_numbers = cluster.get_prefix(key)[key]
        self.assertEqual(same_numbers, numbers)
        self.assertNotEqual(theirs, record)
        if stopped:  # it was away too shortly to miss an answer, and long enough to miss a change
            worker.expect("^event fleet_changed")
        else:
            self.gone_and_back(worker)
        self.assertEqual(worker.until("renew", "refused").split()[4], "version")
        self.assertEqual(cluster.get_prefix(key)[key][0], theirs)

    def test_restored(self):
        self.restored(False)

    def test_restored_while_the_worker_stood_still(self):
        self.restored(True)

    def test_wiped(self):
        cluster = self.cluster()
        worker = self.driver(cluster.url())
        worker.prepare()
        worker.call("watch")
        cluster.kill(0)
        cluster.wipe(0)
        cluster.start(0)
        self.gone_and_back(worker)
        self.assertEqual(worker.until("renew", "refused").split()[4], "missing")
        worker.call("config", "refused", "missing")
        worker.call("survey")
        worker.call("init")
        worker.call("renew", "refused", "current_gone")
        for command in ("config", "claim", "slot 0", "bind 0", "renew"):
            worker.call(command)


class Users(Case):
    def test_users(self):
        cluster = self.cluster(users={"worker": "secret"}, options=("--auth-token-ttl", "2"))
        worker = self.driver(cluster.url(), options=("worker", cluster.password_file("worker")), session_ms=12000)
        worker.prepare()
        time.sleep(3.3)  # the token has ended by now
        worker.until("renew")
        cluster.add_user("other", "x", role=None)  # the auth store has another revision now
        worker.until("slot 0")
        worker.until("renew")
        denied = self.driver(cluster.url(), options=("other", cluster.password_file("other", "x")))
        denied.expect("^event connected")
        self.assertIn("permission denied", denied.call("config", "refused", "auth"))
        nobody = self.driver(cluster.url())
        nobody.expect("^event connected")  # 3.4 gives a lease to nobody
        self.assertIn("user name is empty", nobody.call("config", "refused", "auth"))

    def test_wrong_password_recovers(self):
        cluster = self.cluster(users={"worker": "secret"})
        path = cluster.password_file("worker", "wrong")
        worker = self.driver(cluster.url(), options=("worker", path))
        self.assertIn("authentication failed", worker.expect("^event disconnected"))
        cluster.password_file("worker")
        worker.expect("^event connected")
        worker.call("init")

    def test_password_without_users(self):
        cluster = self.cluster()
        path = cluster.password_file("worker", "secret")
        worker = self.driver(cluster.url(), options=("worker", path))
        worker.prepare()
        self.assertIn("authentication is not enabled", worker.stderr())


class Tls(Case):
    def test_tls(self):
        cluster = self.cluster(tls=True, users={"worker": "secret"})
        password = cluster.password_file("worker")
        worker = self.driver(cluster.url(), options=("worker", password, cluster.ca, cluster.cert, cluster.key))
        worker.prepare()
        worker.call("watch")
        without = self.driver(cluster.url(), options=("worker", password, cluster.ca))
        self.assertIn("certificate", without.expect("^event disconnected"))
        other_ca = cluster.certificates.other_ca
        foreign = self.driver(cluster.url(), options=("worker", password, other_ca, cluster.cert, cluster.key))
        self.assertIn("certificate", foreign.expect("^event disconnected"))
        foreign.call("claim", "lost", "unreachable")
        server_cert, server_key = cluster.certificates.server
        named = self.driver(cluster.url(), options=("worker", password, cluster.ca, server_cert, server_key))
        self.assertRegex(named.expect("^event disconnected"), "without a CN|certificate")
        plain = self.driver(cluster.url().replace("etcds", "etcd"))
        plain.expect("^event disconnected")

    def test_authorities_change(self):
        """What the CA's file says counts for each new connection, without a restart."""
        cluster = self.cluster(tls=True)
        ca = os.path.join(cluster.directory, "believed.pem")
        shutil.copy(cluster.ca, ca)
        worker = self.driver(cluster.url(), options=("-", "-", ca, cluster.cert, cluster.key))
        worker.prepare()
        shutil.copy(cluster.certificates.other_ca, ca)
        cluster.restart(0)
        self.assertIn("certificate", worker.expect("^event disconnected.*certificate"))
        shutil.copy(cluster.ca, ca)
        worker.expect("^event connected")
        worker.until("slot 0")


class Members(Case):
    def write_again(self, worker, what):
        start = time.monotonic()
        worker.until("slot 0")
        worker.until("renew")
        print(f"{what}: writing again after {time.monotonic() - start:.2f} s", file=sys.stderr)

    def test_reads_do_not_lag(self):
        """A member that hears nothing of the others answers nothing by itself: it would show what was so when it heard of them last."""
        cluster = self.cluster(members=3)
        worker = self.driver(cluster.url([0]), session_ms=20000)
        worker.prepare()
        for other in (1, 2):
            cluster.pause(other)
        for command in ("slot 0 1000", "config 1000"):
            worker.call(command, "lost", "unreachable")
        for other in (1, 2):
            cluster.resume(other)
        worker.until("slot 0")

    def test_three_members(self):
        cluster = self.cluster(members=3)
        worker = self.driver(cluster.url(), session_ms=10000)
        worker.prepare()
        worker.call("watch")
        for _ in range(2):
            leader = cluster.leader()
            cluster.kill(leader)
            self.write_again(worker, "leader killed")
            cluster.start(leader)
        leader = cluster.leader()
        cluster.pause(leader)
        self.write_again(worker, "leader stopped")
        cluster.resume(leader)
        self.assertFalse(any("session_lost" in line for line in worker.seen))
        # Two down: no quorum. What was sent then is unknown or lost, and everything goes on afterwards.
        cluster.kill(0)
        cluster.kill(1)
        worker.send("renew")
        self.assertIn(worker.expect("^done ").split()[3], ("unknown", "lost"))
        cluster.start(0, wait=False)
        cluster.start(1, wait=False)
        cluster.wait_ready()
        self.write_again(worker, "quorum back")

    def test_one_alive_of_several(self):
        cluster = self.cluster()
        dead = etcd.free_ports(2)
        hole = socket.socket()  # takes connections and never answers
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        self.addCleanup(hole.close)
        url = f"etcd://127.0.0.1:{dead[0]},{cluster.address(0)},127.0.0.1:{hole.getsockname()[1]},127.0.0.1:{dead[1]}"
        for attempt in range(4):  # the first endpoint is chosen at random
            worker = self.driver(url)
            self.assertLess(int(worker.expect("^event connected").split()[2]), 2500)
            worker.until("init", "refused" if attempt else "done")
            worker.call("config")
            worker.call("claim")
            worker.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(64)
    Driver.program = os.path.abspath(sys.argv.pop(1))
    if not etcd.available():
        print("etcd is not installed here", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)
