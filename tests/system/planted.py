"""A daemon with a planted defect, for tests of what must notice it: a copy of the sources, one exact replacement, a build of its own."""
import os
import pathlib
import shutil
import subprocess

SOURCE = pathlib.Path(os.environ.get("SF_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))

# Each process keeps its coordinator's files in a folder of its own, so all of them find the first slot free.
ONE_SLOT = ("src/coord/local/local.c", "    memcpy(root, url.path, sizeof url.path);\n",
            "    (void)snprintf(root, ROOT_MAX, \"%.200s-%d\", url.path, (int)getpid());\n")


def replace_once(folder, replacement):
    name, old, new = replacement
    path = folder / name
    text = path.read_text()
    if text.count(old) != 1:
        raise AssertionError(f"{name}: the text to replace is there {text.count(old)} times, not once:\n{old}")
    path.write_text(text.replace(old, new))


def build(directory, replacement):
    """Builds snowfleetd with the replacement below `directory`; returns the folder with the program."""
    copy = pathlib.Path(directory) / "planted"
    for name in ("src", "include", "cmake"):
        shutil.copytree(SOURCE / name, copy / name)
    shutil.copy(SOURCE / "CMakeLists.txt", copy)
    replace_once(copy, replacement)
    for command in (["cmake", "-G", "Ninja", "-S", copy, "-B", copy / "build", "-DCMAKE_BUILD_TYPE=Debug", "-DSNOWFLEET_TESTS=OFF",
                     "-DSNOWFLEET_ZOOKEEPER=OFF", "-DSNOWFLEET_ETCD=OFF"],
                    ["cmake", "--build", copy / "build", "-j2", "--target", "snowfleetd"]):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"the planted build failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return copy / "build" / "bin"
