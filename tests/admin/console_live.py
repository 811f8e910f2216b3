#!/usr/bin/env python3
"""The console on a real fleet of three. usage: console_live.py NODE NODE_MODULES SCREENSHOT_DIR; SF_BIN names the programs' folder."""
import os
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import snowfleet  # noqa: E402


def ask(worker, stop):
    try:
        with snowfleet.Connection(worker.port) as c:
            while not stop.wait(0.02):
                c.ids(100)
    except (OSError, snowfleet.Refused):
        pass  # the one that is killed


def main():
    node, modules, shots = sys.argv[1:]
    stop = threading.Event()
    workers = []
    with tempfile.TemporaryDirectory(prefix="sf-console-") as root:
        try:
            os.makedirs(f"{root}/fleet")
            for n in range(3):
                os.makedirs(f"{root}/{n}")
                workers.append(snowfleet.Worker(f"{root}/{n}", f"host-{n}", f"local://{root}/fleet", {"fleet-worker": str(n)}))
                workers[-1].start()
            for w in workers:
                threading.Thread(target=ask, args=(w, stop), daemon=True).start()
            here = os.path.dirname(os.path.abspath(__file__))
            bench = [str(snowfleet.BIN / "snowfleet"), "bench", "--server", f"127.0.0.1:{workers[1].port}", "-c", "16", "-d", "16", "-b", "20000", "-t", "5"]
            return subprocess.run([node, f"{here}/console_live.mjs", f"http://127.0.0.1:{workers[0].admin}/", str(workers[2].process.pid), modules, shots, *bench],
                                  timeout=150, check=False).returncode
        finally:
            stop.set()
            for w in workers:
                if w.process and w.process.poll() is None:
                    w.process.terminate()
            for w in workers:
                if w.process:
                    w.process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
