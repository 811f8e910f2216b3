#!/usr/bin/env python3
"""What the library is made of: its symbols, how it is linked, the examples, and that it stands beside libsnowfleet."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

LIBRARY = pathlib.Path(os.environ["SF_LIBRARY"])
SOURCE = pathlib.Path(os.environ["SF_SOURCE_DIR"])
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


class Library(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="snowfleet-minter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.url = f"local://{self.directory}/fleet"

    def declared(self):
        header = (SOURCE / "include/snowfleet/minter.h").read_text(encoding="utf-8")
        return set(re.findall(r"SF_API[^;(]*?\b(sf_minter_\w+)\(", header))

    def defined(self, *flags):
        lines = run("nm", *flags).splitlines()
        return {line.split()[-1].split("@")[0] for line in lines if re.search(r" [TDBRVWi] ", line)}

    def test_what_is_seen_from_outside(self):
        self.assertGreater(len(self.declared()), 8)
        self.assertEqual(self.defined("-D", "--defined-only", LIBRARY) - {"SNOWFLEET_MINTER_0"}, self.declared())
        archive = LIBRARY.resolve().parent / "libsnowfleet-minter.a"
        self.assertEqual(self.defined("--defined-only", "--extern-only", archive), self.declared())

    def test_it_cannot_be_unloaded(self):
        self.assertIn("NODELETE", run("readelf", "-d", LIBRARY))

    def test_no_library_of_a_server_is_dragged_along(self):
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", LIBRARY))
        self.assertTrue({name.split(".")[0] for name in needed} <= {"libjansson", "libcurl", "libssl", "libcrypto", "libm", "libc", "libpthread", "ld-linux-x86-64",
                                                                   "libasan", "libubsan", "libtsan", "libgcov"}, needed)

    def test_beside_the_client_library(self):
        for program in (os.environ["SF_BESIDE"], os.environ["SF_BESIDE_SHARED"]):
            minted, told = run(program, self.url).split()
            self.assertEqual(minted, told)

    def check_ids(self, text):
        ids = [int(line) for line in text.split()]
        self.assertEqual((len(ids), len(set(ids))), (10, 10))
        return ids

    def test_the_example_in_c(self):
        ids = self.check_ids(run(os.environ["SF_EXAMPLE"], self.url))
        self.assertEqual(ids, sorted(ids))
        page = (SOURCE / "docs/minter.md").read_text(encoding="utf-8")
        self.assertIn((SOURCE / "examples/mint_ids.c").read_text(encoding="utf-8").split("*/\n", 1)[1], page)

    @unittest.skipIf(shutil.which("c++") is None, "no C++ compiler here")
    def test_the_example_in_cpp(self):
        program = self.directory / "mint_ids"
        run("c++", "-std=c++17", *STRICT, "-I", SOURCE / "include", SOURCE / "examples/mint_ids.cpp", "-o", program, LIBRARY,
            f"-Wl,-rpath,{LIBRARY.resolve().parent}", "-pthread")
        self.check_ids(run(program, self.url))


if __name__ == "__main__":
    unittest.main()
