"""The first program of each README runs as it stands; only the address of the worker is put in."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from driver import ROOT
from hostile import Server
from suite import scenario


def c_tour(directory, code):
    (directory / "tour.c").write_text(code)
    build = ROOT / "build/clients/c"
    subprocess.run(["cc", "tour.c", f"-I{ROOT}/include", str(build / "libsnowfleet.a"), "-lssl", "-lcrypto", "-lpthread", "-o", "tour"],
                   cwd=directory, check=True)
    return ["./tour", "127.0.0.1:7450"]


def go_tour(directory, code):
    (directory / "main.go").write_text(code)
    (directory / "go.mod").write_text("module tour\n\ngo 1.19\n\nrequire github.com/snowfleet/snowfleet/clients/go v0.0.0\n\n"
                                      f"replace github.com/snowfleet/snowfleet/clients/go => {ROOT}/clients/go\n")
    return ["go", "run", "-buildvcs=false", "-mod=mod", "."]


def python_tour(directory, code):
    (directory / "tour.py").write_text(code)
    return [sys.executable, "tour.py"]


def typescript_tour(directory, code):
    (directory / "tour.mjs").write_text(code)
    (directory / "node_modules").mkdir()
    (directory / "node_modules/snowfleet").symlink_to(ROOT / "clients/typescript")
    return ["node", "tour.mjs"]


def rust_tour(directory, code):
    (directory / "src").mkdir()
    (directory / "src/main.rs").write_text(code)
    tasks = "AsyncClient" in code
    features = '["tokio"]' if tasks else "[]"
    (directory / "Cargo.toml").write_text('[package]\nname = "tour"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
                                          f'snowfleet = {{ path = "{ROOT}/clients/rust", features = {features} }}\n' +
                                          'tokio = { version = "1", features = ["macros", "rt-multi-thread"] }\n' * tasks)
    shutil.copy(ROOT / "clients/rust/Cargo.lock", directory)  # the versions that are here
    return ["cargo", "run", "--quiet", "--offline"]


def java_tour(directory, code):
    (directory / "Tour.java").write_text(code)
    return ["java", "-cp", str(ROOT / "build/clients/java/classes"), "Tour.java"]


TOURS = {"c": (c_tour, "README.md", "c"), "go": (go_tour, "clients/go/README.md", "go"), "python": (python_tour, "clients/python/README.md", "python"),
         "typescript": (typescript_tour, "clients/typescript/README.md", "js"), "rust": (rust_tour, "clients/rust/README.md", "rust"),
         "java": (java_tour, "clients/java/README.md", "java"), "tokio": (rust_tour, "clients/rust/README.md", "rust")}
PROGRAMS = {"tokio": 1}  # which of the page's programs; elsewhere the first one


@scenario("README: the first program runs as it stands")
def tour(new):
    prepare, page, fence = TOURS[new.language]
    code = re.findall(rf"```{fence}\n(.*?)```", (ROOT / page).read_text(), re.S)[PROGRAMS.get(new.language, 0)]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="snowfleet-tour."))
    try:
        with Server() as server:
            command = [each.replace("127.0.0.1:7450", server.address) for each in prepare(directory, code.replace("127.0.0.1:7450", server.address))]
            env = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "build/clients/rust-tour"), "PYTHONPATH": str(ROOT / "clients/python/src")}
            done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False, env=env)
            assert done.returncode == 0, done.stderr[-3000:]
            assert re.search(r"\b\d{18,19}\b", done.stdout), done.stdout
            assert server.asked()
    finally:
        shutil.rmtree(directory)
