"""examples/embed, built as an outside project against an install tree, as its users do."""
import os
import pathlib
import subprocess

import workspace
from expect import Failure, indent


def build_tree():
    """The CMake build directory that the binary under test comes from."""
    place = pathlib.Path(os.environ.get("IMGBUILD_BUILD_DIR", pathlib.Path(workspace.binary()).parents[1]))
    if not (place / "CMakeCache.txt").is_file():
        raise Failure(f"{place} is no build directory: set IMGBUILD_BUILD_DIR")
    return place


def run(*argv, **options):
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode != 0:
        raise Failure(f"$ {' '.join(argv)}\nexit {done.returncode}\n{indent(done.stdout.decode(errors='replace'))}")
    return done.stdout.decode().strip()


def install(tree, prefix):
    """The program, the library and its headers."""
    run("cmake", "--install", tree, "--prefix", prefix)
    return prefix


def build(prefix, place, *flags):
    """Builds the example by CMake's find_package; returns the program."""
    run("cmake", "-S", workspace.TOP / "examples" / "embed", "-B", place, f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_BUILD_TYPE=Debug", *flags)
    run("cmake", "--build", place)
    return place / "embed"


def build_by_pkg_config(prefix, place):
    """Builds the example by pkg-config alone; returns the program."""
    found = list(prefix.rglob("imgbuild.pc"))
    if len(found) != 1:
        raise Failure(f"the install tree has these imgbuild.pc: {found}")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(found[0].parent)}
    flags = run("pkg-config", "--cflags", "--libs", "imgbuild", env=environment).split()
    run("c++", "-std=c++20", workspace.TOP / "examples" / "embed" / "main.cpp", "-o", place, *flags)
    return place
