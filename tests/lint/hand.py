"""One hand: what every file does alike, as far as it can be read off the text. docs and CONTRIBUTING.md give the reasons."""
import re
import shutil
import subprocess
from pathlib import Path

from source import line_of

BANNED = {
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strcpy": "snprintf or memcpy", "strcat": "sf_strbuf",
    "strncpy": "snprintf or memcpy", "strncat": "sf_strbuf", "strtok": "strcspn", "gets": "fgets",
    "atoi": "sf_parse_i64", "atol": "sf_parse_i64", "atoll": "sf_parse_i64", "atof": "nothing: no floating input",
    "rand": "sf_prng", "srand": "sf_prng", "random": "sf_prng", "srandom": "sf_prng",
    "localtime": "sf_format_time_ms", "gmtime": "sf_format_time_ms", "ctime": "sf_format_time_ms",
    "asctime": "sf_format_time_ms", "system": "nothing: no shells", "popen": "nothing: no shells",
    "alloca": "malloc or a fixed array", "tmpnam": "mkstemp", "mktemp": "mkstemp", "setjmp": "nothing",
    "longjmp": "nothing",
    # With every signal blocked: they are for the threads of the program itself.
    "pthread_create": "sf_thread_start",
}
# Where a banned call is allowed: what is used instead is made of it.
HOME = {"pthread_create": "src/base/thread.c"}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(sorted(BANNED)) + r")\s*\(")
LONG_LONG = re.compile(r"\(\s*(?:unsigned )?long long(?: int)?\s*\)")
EXIT_CALL = re.compile(r"\b(?:_?[eE]xit|quick_exit)\s*\(\s*\d")
# The numbers of sysexits.h, in the rooms that decide how a program ends.
EXIT_ROOMS = ("src/cli/", "src/daemon/", "src/member/", "src/worker/")
EXIT_CODE = re.compile(r"(?:\breturn\b|code = |\b(?:rc|status) = )[^;]*(?<![\w.])(6[4-9]|7[0-8])(?![\w.])[^;]*;")
ERROR_BARE = re.compile(r"\bstruct sf_error \w+;")
RESULT = re.compile(r"^\s+(?:const )?int (r|ret|res|rv|err)(?: =|;)", re.M)
OPENING_MIN = 20
CMOCKA_HEADER = "tests/unit/cmocka_all.h"
# Headers are laid out by hand where a table or a comment reads better wide.
FORMATTED = (".c",)


def check_banned_calls(tree):
    for path in tree.files("src", "include"):
        code = tree.code(path)
        for match in BANNED_CALL.finditer(code):
            if tree.name(path) == HOME.get(match.group(1)):
                continue
            tree.complain(path, line_of(code, match.start()), f"{match.group(1)} is banned; use {BANNED[match.group(1)]}")


def check_openings(tree):
    """Every file begins with a comment that says what it is for."""
    for path in tree.files("src", "include", "tests"):
        match = re.match(r"/\*(.*?)\*/", tree.text(path), re.S)
        if match is None or len(match.group(1).strip()) < OPENING_MIN:
            tree.complain(path, 1, "no opening comment that says what the file is for")


def check_exit_codes(tree):
    """Exit codes have names."""
    for path in tree.files("src"):
        code = tree.code(path)
        for pattern in (EXIT_CALL, EXIT_CODE) if tree.name(path).startswith(EXIT_ROOMS) else (EXIT_CALL,):
            for match in pattern.finditer(code):
                tree.complain(path, line_of(code, match.start()), "a bare exit code: use its name")


def check_casts(tree):
    """64-bit numbers are printed with PRIu64 and PRId64."""
    for path in tree.files("src", "include", "tests"):
        code = tree.code(path)
        for match in LONG_LONG.finditer(code):
            tree.complain(path, line_of(code, match.start()), "a cast to long long: print with PRIu64 or PRId64")


def check_results(tree):
    """The sentence of an error begins empty; what a call returned is rc."""
    for path in tree.files("src", "tests", "examples"):
        code = tree.code(path)
        for match in ERROR_BARE.finditer(code) if path.suffix == ".c" else ():
            tree.complain(path, line_of(code, match.start()), "an error that is not empty: struct sf_error err = {0}")
        for match in RESULT.finditer(code):
            tree.complain(path, line_of(code, match.start(1)), f"a result called {match.group(1)}: rc is its name")


def check_cmocka(tree):
    """cmocka wants other headers before it, in their order: one header does that."""
    for path in tree.files("tests"):
        name = tree.name(path)
        text = tree.bare(path)
        match = re.search(r"^\s*#\s*include\s+<cmocka\.h>", text, re.M)
        if match and name != CMOCKA_HEADER:
            tree.complain(path, line_of(text, match.start()), f'cmocka is included by "{CMOCKA_HEADER[len("tests/"):]}" only')


def check_format(tree):
    program = shutil.which("clang-format")
    if not program:
        tree.skip("clang-format is not installed")
        return
    paths = [str(path) for path in tree.files("src", "include", "tests", suffixes=FORMATTED)]
    for begin in range(0, len(paths), 100):
        run = subprocess.run([program, "--dry-run", "-Werror", "--ferror-limit=1", *paths[begin:begin + 100]], check=False,
                             capture_output=True, text=True)
        for match in re.finditer(r"^(\S+?):(\d+):\d+: error: code should be clang-formatted", run.stderr, re.M):
            tree.complain(Path(match.group(1)), match.group(2), "not formatted: run clang-format -i")
        if run.returncode != 0 and "clang-formatted" not in run.stderr:
            tree.complain(Path("."), 0, f"clang-format failed: {run.stderr.strip()[:300]}")
