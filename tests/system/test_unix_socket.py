#!/usr/bin/env python3
"""The data port as a UNIX socket, on real workers: who may connect, what becomes of the file, and that the tool and the library reach it."""
import errno
import json
import os
import pathlib
import socket
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import certificates  # noqa: E402
import snowfleet as sf  # noqa: E402

TEMPORARY = 75
TOKEN = "0123456789abcdef"


class UnixSocket(unittest.TestCase):
    def setUp(self):
        self.fleet = sf.Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        (self.fleet.directory / "run").mkdir()
        self.path = str(self.fleet.directory / "run" / "data.sock")

    def worker(self, **options):
        options = {"listen-unix-path": self.path, **{name.replace("_", "-"): value for name, value in options.items()}}
        return self.fleet.worker(options=options)

    def connect(self, path=None):
        connection = sf.Connection(path=path or self.path)
        self.addCleanup(connection.close)
        return connection

    def tool_ids(self, *more):
        return [int(word) for word in self.fleet.tool("id", *more).stdout.split()]

    def test_both_doors_give_of_one_worker(self):
        worker = self.worker().start()
        with worker.connect() as other:
            ids = self.connect().ids(1000) + other.ids(1000)
        self.assertEqual(len(set(ids)), 2000)
        self.assertEqual(stat.S_IMODE(os.lstat(self.path).st_mode), 0o660)
        self.assertIn(f"and unix:{self.path}", worker.log())
        self.assertEqual(worker.term(), 0)
        self.assertFalse(os.path.lexists(self.path))
        self.assertEqual(os.listdir(os.path.dirname(self.path)), [])

    def test_killed_and_started_again(self):
        worker = self.worker().start()
        before = self.connect().ids(10)
        worker.kill()
        self.assertTrue(os.path.lexists(self.path))
        worker.start()
        self.assertGreater(self.connect().ids(1)[0], before[-1])

    def test_a_living_workers_socket_is_not_taken(self):
        first = self.worker().start()
        second = self.worker().start(ready=False)
        self.assertEqual(second.process.wait(sf.DEADLINE_S), TEMPORARY)
        self.assertIn(f"a process listens on {self.path} already", second.log())
        self.assertEqual(len(self.connect().ids(5)), 5)
        self.assertEqual(first.term(), 0)

    def test_the_next_one_waits_for_its_place(self):
        first = self.worker().start()
        second = self.worker().start(ready=False)
        sf.wait_until(lambda: "worker.port" in second.log(), second.log)
        self.assertEqual(first.term(), 0)
        second.wait_ready()
        self.assertEqual(len(self.connect().ids(5)), 5)
        self.assertEqual(second.term(), 0)
        self.assertFalse(os.path.lexists(self.path))

    def test_many_at_once_and_one_has_it(self):
        workers = [self.worker().start(ready=False) for _ in range(4)]
        codes = []
        sf.wait_until(lambda: sum(w.process.poll() is not None for w in workers) == 3, lambda: [w.process.poll() for w in workers])
        for worker in workers:
            if worker.process.poll() is not None:
                codes.append(worker.process.returncode)
        self.assertEqual(codes, [TEMPORARY] * 3)
        self.assertEqual(len(self.connect().ids(5)), 5)

    def test_abstract_name(self):
        name = f"@snowfleet-test-{os.getpid()}"
        worker = self.worker(listen_unix_path=name).start()
        self.assertEqual(len(self.connect(name).ids(5)), 5)
        self.assertEqual(len(self.tool_ids("-n", "3", "--server", f"unix:{name}")), 3)
        second = self.worker(listen_unix_path=name).start(ready=False)
        self.assertEqual(second.process.wait(sf.DEADLINE_S), TEMPORARY)
        self.assertEqual(worker.term(), 0)

    @unittest.skipIf(os.geteuid() != 0, "only root can be somebody else")
    def test_the_mode_says_who_may(self):
        os.chmod(self.fleet.directory, 0o711)
        worker = self.worker(listen_unix_mode="0660", listen_unix_group="54321").start()

        def try_as(user, group):
            """0, or the errno."""
            child = os.fork()
            if child == 0:
                os.setgroups([])
                os.setgid(group)
                os.setuid(user)
                os._exit(socket.socket(socket.AF_UNIX).connect_ex(self.path))
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.assertEqual(try_as(12345, 54321), 0)
        self.assertEqual(try_as(12345, 12345), errno.EACCES)
        self.assertEqual(worker.term(), 0)

    def test_who_it_was_is_logged_and_counted_apart(self):
        tokens = self.fleet.directory / "tokens"
        tokens.write_text(f"team:{TOKEN}\n")
        tokens.chmod(0o600)
        worker = self.worker(log_level="debug", listen_token_file=tokens).start()
        connection = self.connect()
        self.assertEqual(connection.ask(sf.NEXT, 0, b"\0\0\0\1").code, sf.DENIED)
        self.assertEqual(connection.ask(sf.AUTH, 0, b"wrong").code, sf.DENIED)
        self.assertIn(f"process {os.getpid()} of user {os.getuid()} and group {os.getgid()} connected", worker.log())
        sf.wait_until(lambda: "server.auth_failed" in worker.log(), worker.log)
        self.assertIn(f"user {os.getuid()}", worker.log().split("server.auth_failed")[1].splitlines()[0])

    def test_without_tls_where_tcp_has_it(self):
        at = self.fleet.directory
        certificates.make_certificates(at)
        self.worker(listen_tls_cert=at / "server.pem", listen_tls_key=at / "server.key", listen_tls_client_ca=at / "ca.pem").start()
        self.assertEqual(len(self.connect().ids(5)), 5)
        self.assertEqual(len(self.tool_ids("-n", "2", "--server", f"unix:{self.path}", "--tls-ca", at / "ca.pem")), 2)

    def test_the_tool_and_the_library(self):
        worker = self.worker().start()
        server = f"unix:{self.path}"
        self.assertEqual(len(self.tool_ids("-n", "1000", "--server", server)), 1000)
        for more in ((), ("--library",)):
            result = json.loads(self.fleet.tool("bench", "--server", server, "-c", "2", "-d", "8", "-n", "20000", "--json", *more).stdout)
            self.assertEqual(result["errors"], 0, result)
        checked = self.fleet.tool("verify", "--server", server, "--server", f"127.0.0.1:{worker.port}", "--each-address", "-t", "1")
        self.assertIn(server, checked.stdout + checked.stderr)
        wrong = self.fleet.tool("id", "--server", "unix:relative", check=False)
        self.assertEqual(wrong.returncode, 64)
        self.assertIn("unix:/PATH", wrong.stderr)
        gone = self.fleet.tool("id", "--server", f"unix:{self.path}x", "--timeout-ms", "300", check=False)
        self.assertNotEqual(gone.returncode, 0)
        self.assertIn("No such file", gone.stderr)

    def test_a_client_goes_elsewhere_when_it_drains(self):
        near = self.worker().start()
        far = self.fleet.worker().start()
        both = f"unix:{self.path},127.0.0.1:{far.port}"
        self.assertEqual(len(self.tool_ids("-n", "10", "--server", f"unix:{self.path}", "--server", f"127.0.0.1:{far.port}")), 10)
        load = subprocess.Popen([str(sf.BIN / "snowfleet"), "bench", "--library", "--server", f"unix:{self.path}", "--server",
                                 f"127.0.0.1:{far.port}", "-c", "4", "-t", "3", "--json"], stdout=subprocess.PIPE, text=True)
        sf.wait_until(lambda: (near.metric('snowfleet_requests_total{type="next",status="ok"}') or 0) > 100, lambda: near.log() + both)
        self.assertEqual(near.term(), 0)
        result = json.loads(load.communicate(timeout=sf.DEADLINE_S)[0])
        self.assertEqual(result["errors"], 0, result)

    def test_what_is_there_and_no_socket_stays(self):
        pathlib.Path(self.path).write_text("mine")
        worker = self.worker().start(ready=False)
        self.assertEqual(worker.process.wait(sf.DEADLINE_S), 78)
        self.assertEqual(pathlib.Path(self.path).read_text(), "mine")

    def test_another_programs_living_socket_stays(self):
        other = socket.socket(socket.AF_UNIX)
        self.addCleanup(other.close)
        other.bind(self.path)
        other.listen(1)
        worker = self.worker().start(ready=False)
        self.assertEqual(worker.process.wait(sf.DEADLINE_S), TEMPORARY)
        self.assertTrue(os.path.lexists(self.path))


if __name__ == "__main__":
    unittest.main()
