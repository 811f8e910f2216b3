"""What takes a compiler to see: whether a header compiles alone, and what one hand does alike in expressions and declarations."""
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


QUERY = Path(__file__).with_name("hand.query")
WRONG = {"pointer": "a pointer as a condition: compare it with NULL", "local": "a local that does not change: const"}
FOUND = re.compile(r'^(\S+?):(\d+):(\d+): note: "(\w+)" binds here', re.M)


def flags(tree):
    includes = ["-I", str(tree.source / "include"), "-I", str(tree.source / "src")]
    return includes + (["-I", tree.generated] if tree.generated else [])


def check_headers(tree):
    """Every header compiles alone; the installed ones also as strict C11 and as C++."""
    for path in tree.files("include", "src", suffixes=(".h",)):
        public = path.is_relative_to(tree.source / "include")
        name = path.relative_to(tree.source / ("include" if public else "src"))
        modes = [["-x", "c", "-std=gnu17", "-D_GNU_SOURCE"]]
        if public:
            modes.append(["-x", "c", "-std=c11", "-pedantic-errors"])
            if shutil.which("c++"):
                modes.append(["-x", "c++", "-std=c++17", "-pedantic-errors"])
        for mode in modes:
            compiler = "c++" if "c++" in mode else tree.compiler
            run = subprocess.run([compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *mode, *flags(tree), "-"], check=False,
                                 input=f"#include <{name}>\n#include <{name}>\nextern int sf_unit;\n", capture_output=True, text=True)
            if run.returncode != 0:
                first = next((line for line in run.stderr.splitlines() if "error" in line), run.stderr.strip())
                tree.complain(path, 1, f"does not compile alone ({' '.join(mode)}): {first}")


def clang_query():
    """Debian installs it with clang-tidy, under the name of its version alone."""
    for name in ["clang-query", *(f"clang-query-{version}" for version in range(30, 13, -1)), "/usr/lib/llvm-14/bin/clang-query"]:
        if shutil.which(name):
            return name
    return None


def matches(output, source):
    """{(file, line, what)} out of what clang-query printed; what a macro of somebody else made is not ours."""
    found = set()
    for block in re.split(r"^Match #\d+:$", output, flags=re.M):
        match = FOUND.search(block)
        outside = [path for path in re.findall(r"^(\S+?):\d+:\d+: note: expanded from macro '(?!bool')", block, re.M) if not Path(path).is_relative_to(source)]
        if match and not outside and Path(match.group(1)).is_relative_to(source):
            found.add((match.group(1), int(match.group(2)), match.group(4)))
    return found


def check_expressions(tree):
    """Pointers are compared, locals that do not change are const."""
    program = clang_query()
    if program is None:
        tree.skip("clang-query is not installed")
        return
    source = tree.source.resolve()

    def ask(path):
        command = [program, "-f", str(QUERY), str(path.resolve()), "--", "-std=gnu17", "-D_GNU_SOURCE", "-Wno-everything", *flags(tree)]
        return path, subprocess.run(command, check=False, capture_output=True, text=True)

    found = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, run in pool.map(ask, tree.files("src", suffixes=(".c",))):
            if run.returncode != 0 or "error:" in run.stderr + run.stdout:
                tree.complain(path, 1, f"clang-query failed: {(run.stderr + run.stdout).strip()[:300]}")
            found |= matches(run.stdout, source)
    for name, line, what in sorted(found):
        tree.complain(tree.source / Path(name).relative_to(source), line, WRONG[what])
