#!/usr/bin/env python3
"""docs/openapi.json before schemathesis (`pip install schemathesis`), which draws requests from it and judges the answers. 77: it is not installed."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import snowfleet as sf  # noqa: E402

ROOT = pathlib.Path(os.environ["SF_SOURCE_DIR"])
# 413 and 414 refuse too.
CONFIG = """[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413, 414, 431]
"""


def main():
    program = shutil.which("schemathesis")
    if program is None:
        print("skipped: schemathesis is not installed")
        return 77
    spec = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
    failed = False
    with sf.Fleet() as fleet:
        port = sf.free_ports(1)[0]
        worker = fleet.worker(options={"listen-http-address": f"127.0.0.1:{port}"}).start()
        (fleet.directory / "schemathesis.toml").write_text(CONFIG)
        for name, at, paths in (("data", port, ["/v1/ids", "/v1/decode/{id}"]),
                                ("admin", worker.admin, [path for path in spec["paths"] if path not in ("/v1/decode/{id}", "/drain")])):
            told = {path: {method: value for method, value in spec["paths"][path].items() if method != "servers"} for path in paths}
            (fleet.directory / f"{name}.json").write_text(json.dumps({**spec, "paths": told}))
            done = subprocess.run([program, "run", f"{name}.json", "--url", f"http://127.0.0.1:{at}", "--checks", "all", "--max-examples", "60", "--no-color"],
                                  cwd=fleet.directory, check=False, timeout=300)
            failed = failed or done.returncode != 0
        failed = failed or worker.term() != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
