#!/usr/bin/env python3
"""IDs over HTTP against nginx that answers a constant of the same size, driven by wrk in the same run. What is promised: 30 % of it.

usage: http_nginx.py [--build build/release] [--rounds 5] [--seconds 2] [--connections 64]     (needs nginx and wrk; leaves with 77 without them)
"""
import argparse
import http.client
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import benchlib  # noqa: E402

SHARE = 0.30
PATH = os.environ.get("PATH", "") + ":/usr/sbin"
CONF = """daemon off; master_process on; worker_processes {workers}; pid {dir}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; server_tokens off;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{body}'; }} }} }}
"""


def ask(port):
    """(bytes of the body, bytes of the head) of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/v1/ids")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, answer.status
    return body, sum(len(name) + len(value) + 4 for name, value in answer.getheaders())


def drive(wrk, port, options):
    text = subprocess.run([wrk, "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency", f"http://127.0.0.1:{port}/v1/ids"],
                          capture_output=True, text=True, check=True, timeout=60 + options.seconds).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), re.search(r"99%\s+(\S+)", text)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=benchlib.ROOT / "build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    nginx, wrk = (shutil.which(name, path=PATH) for name in ("nginx", "wrk"))
    if not nginx or not wrk:
        print("skipped: needs nginx and wrk")
        return 77
    rates = {"snowfleet": [], "nginx": []}
    tails = {"snowfleet": [], "nginx": []}
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as name:
        os.chmod(name, 0o755)  # nginx's workers are nobody's
        directory = pathlib.Path(name)
        ports = dict(zip(rates, benchlib.free_ports(2)))
        bench = argparse.Namespace(bin=options.build / "bin")
        worker = benchlib.Worker(bench, directory, ["--listen-http-address", f"127.0.0.1:{ports['snowfleet']}", "--listen-threads", "2"])
        server = None
        try:
            body, head = ask(ports["snowfleet"])
            (directory / "nginx.conf").write_text(CONF.format(dir=directory, port=ports["nginx"], body="x" * len(body), workers=2))
            server = benchlib.Process([nginx, "-p", directory, "-c", directory / "nginx.conf"])
            benchlib.wait_until(lambda: benchlib.http(ports["nginx"], "/")[0] == 200, "nginx answers")
            body_n, head_n = ask(ports["nginx"])
            assert len(body_n) == len(body)
            for _ in range(options.rounds):
                for one, port in ports.items():
                    rate, tail = drive(wrk, port, options)
                    rates[one].append(rate)
                    tails[one].append(tail)
        finally:
            if server is not None:
                server.end()
            worker.end()
    share = statistics.median(a / b for a, b in zip(rates["snowfleet"], rates["nginx"]))
    print(f"{options.connections} connections, {options.rounds} rounds of {options.seconds} s, bodies of {len(body)} bytes, fields of {head} and {head_n} bytes, "
          f"load average {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")
    for one in rates:
        print(f"  {one:9}  {statistics.median(rates[one]):>9,.0f} requests/s  (each round {', '.join(f'{rate:,.0f}' for rate in rates[one])}; p99 {', '.join(tails[one])})")
    print(f"{'PASS' if share >= SHARE else 'FAIL'}: {share:.2f} of nginx's rate (at least {SHARE:.2f})")
    return 0 if share >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
