#!/usr/bin/env python3
"""Check that the rooms of the house are entered only from above (STYLE.md section 1).

  tools/check_layers.py [--root DIR]      exit 1 and one `file:line: sentence` per offence, exit 0 otherwise
  tools/check_layers.py --self-test       compare every tree of testdata/check_layers/ with its expected.txt

What is checked, in sources and headers of the rooms, of include/ and of tests/:
  direction   a room includes and links only the rooms listed for it in ROOMS
  facade      the public facade is included by cli, by itself, by builder/client and by the source that implements it
  vocabulary  headers of include/imgbuild are listed here as vocabulary or as facade, and include no room
  heavy       no header of a room includes a library's own header (HEAVY), except the wrapper of that library
  spelling    includes are spelled from the root: "layers/entry.hpp", <imgbuild/digest.hpp>
  listing     every source lies in exactly one CMakeLists.txt of its own room, and every listed source exists
"""
import argparse
import os
import pathlib
import re
import sys

# room -> the rooms below it that it may know. parser, layers and registry are siblings.
ROOMS = {
    "util": set(),
    "oci": {"util"},
    "parser": {"util"},
    "layers": {"oci", "util"},
    "registry": {"oci", "util"},
    "builder": {"parser", "layers", "registry", "oci", "util"},
    "cli": {"builder", "parser", "layers", "registry", "oci", "util"},
}
VOCABULARY = {"error.hpp", "digest.hpp", "platform.hpp", "reference.hpp", "progress.hpp", "worker.hpp"}
FACADE = {"build.hpp", "image_store.hpp", "imgbuild.hpp"}
HEAVY = {
    "nlohmann/json.hpp": "nlohmann/json_fwd.hpp",
    "CLI/CLI.hpp": "a forward declaration",
    "archive.h": "a forward declaration",
    "archive_entry.h": "a forward declaration",
    "sqlite3.h": "a forward declaration",
    "curl/curl.h": "a forward declaration",
}
# libcurl is loaded at run time, and the table of its functions needs their types.
HEAVY_HOMES = {"curl/curl.h": re.compile(r"registry/curl_[a-z_]+\.hpp")}
# Catch2 comes in through one header, which is precompiled.
CATCH = re.compile(r"catch2/")
CATCH_HOME = "tests/support/catch.hpp"

SOURCE_SUFFIXES = {".cpp", ".c", ".S"}
HEADER_SUFFIXES = {".hpp", ".h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CMAKE_SOURCE = re.compile(r'[^\s()"]+\.(?:cpp|c|S)(?=[\s()"]|$)')
# Calls that name sources without compiling them.
CMAKE_REMARK = re.compile(r"\b(?:set_source_files_properties|set_property|get_source_file_property)\([^)]*\)")
CMAKE_ROOM = re.compile(r"\bimgbuild(?:::|_)([a-z]+)\b")
CMAKE_OWN_ROOM = re.compile(r"\bimgbuild_library\(\s*([a-z]+)\b")


class Checker:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.offences = []

    def offend(self, path, line, sentence):
        self.offences.append((path.relative_to(self.root).as_posix(), line, sentence))

    def run(self):
        """All offences, sorted by place."""
        for room in [*ROOMS, "include", "tests"]:
            for path in files_below(self.root / room):
                if path.suffix in SOURCE_SUFFIXES | HEADER_SUFFIXES:
                    self.check_includes(room, path)
        for room in [*ROOMS, "tests"]:
            self.check_listing(room)
        for room in ROOMS:
            self.check_links(room)
        return sorted(self.offences)

    # ------------------------------------------------------------ includes

    def check_includes(self, room, path):
        relative = path.relative_to(self.root)
        is_public = room == "include"
        if is_public and relative.parts[1:2] == ("imgbuild",) and not self.is_classified(path):
            self.offend(path, 1, f"'{path.name}' is neither vocabulary nor facade: list it in tools/check_layers.py")
        for number, quoted, angled in includes_of(path):
            name = quoted or angled
            self.check_heavy(room, path, number, name)
            if not self.check_spelling(path, number, quoted, angled):
                continue
            if name.startswith("imgbuild/"):
                self.check_public(room, path, number, name)
            elif name.split("/")[0] in ROOMS:
                self.check_room(room, path, number, name)

    def check_heavy(self, room, path, number, name):
        place = path.relative_to(self.root).as_posix()
        is_home = name in HEAVY_HOMES and HEAVY_HOMES[name].fullmatch(place)
        if room != "tests" and path.suffix in HEADER_SUFFIXES and name in HEAVY and not is_home:
            self.offend(path, number, f"a header includes '{name}': use {HEAVY[name]}")
        if CATCH.match(name) and place != CATCH_HOME:
            self.offend(path, number, f"includes '{name}': write \"{CATCH_HOME}\"")

    def is_classified(self, path):
        return path.suffix in HEADER_SUFFIXES and path.name in VOCABULARY | FACADE

    def check_spelling(self, path, number, quoted, angled):
        """Offends and returns False for an include that is not spelled as ours are."""
        if angled is not None:
            if angled.startswith("imgbuild/"):
                if not (self.root / "include" / angled).is_file():
                    self.offend(path, number, f"there is no public header <{angled}>")
                    return False
            elif (self.root / angled).is_file() and angled.split("/")[0] in [*ROOMS, "tests"]:
                self.offend(path, number, f'<{angled}> is ours: write "{angled}"')
                return False
            return True
        if quoted.startswith("imgbuild/"):
            self.offend(path, number, f'"{quoted}" is a public header: write <{quoted}>')
            return False
        if not (self.root / quoted).is_file() or quoted.split("/")[0] not in [*ROOMS, "tests"]:
            self.offend(path, number, f'"{quoted}" is not spelled from the root, or does not exist')
            return False
        return True

    def check_room(self, room, path, number, name):
        target = name.split("/")[0]
        if room == "include":
            self.offend(path, number, f"a public header includes '{name}': only include/imgbuild is installed")
        elif room in ROOMS and target != room and target not in ROOMS[room]:
            self.offend(path, number, f"{room} must not know {target} ('{name}')")

    def check_public(self, room, path, number, name):
        header = name.split("/", 1)[1]
        if header not in FACADE or room in ("cli", "tests"):
            return
        is_facade_header = room == "include" and path.name in FACADE
        implements_it = path.suffix in SOURCE_SUFFIXES and path.stem == pathlib.PurePath(header).stem
        is_client = path.relative_to(self.root).parts[:2] == ("builder", "client")
        if not is_facade_header and not is_client and not (room == "builder" and implements_it):
            self.offend(path, number, f"<{name}> is the facade: only cli and the facade itself include it")

    # ------------------------------------------------------------ CMake

    def cmake_lines(self, room):
        """(path, line number, text without comments and remarks) of every CMakeLists.txt of a room."""
        for path in files_below(self.root / room):
            if path.name == "CMakeLists.txt":
                text = "\n".join(line.split("#", 1)[0] for line in path.read_text().splitlines())
                text = CMAKE_REMARK.sub(lambda call: "\n" * call.group().count("\n"), text)
                for number, line in enumerate(text.splitlines(), 1):
                    yield path, number, line

    def check_listing(self, room):
        """Each source of a room is listed once in it. tests/ may list a source again (a second executable)."""
        places = {}
        for path, number, text in self.cmake_lines(room):
            for word in CMAKE_SOURCE.findall(text):
                source = self.listed_source(path, word)
                if source is None:
                    continue
                if not source.is_file():
                    self.offend(path, number, f"lists '{word}', which does not exist")
                elif room in ROOMS and source.relative_to(self.root).parts[0] != room:
                    self.offend(path, number, f"{room} compiles '{word}' of another room: link that room")
                elif source in places and room in ROOMS:
                    first = places[source]
                    self.offend(path, number, f"lists '{word}' again, after {first}")
                places.setdefault(source, f"{path.relative_to(self.root).as_posix()}:{number}")
        for path in files_below(self.root / room):
            if path.suffix in SOURCE_SUFFIXES and path not in places:
                self.offend(path, 1, f"lies in no CMakeLists.txt of {room}")

    def listed_source(self, cmake_file, word):
        """The file that a word of a CMakeLists.txt means; None for a generated file or a pattern."""
        for variable, value in (("${CMAKE_CURRENT_SOURCE_DIR}", str(cmake_file.parent)),
                                ("${PROJECT_SOURCE_DIR}", str(self.root)), ("${CMAKE_SOURCE_DIR}", str(self.root))):
            word = word.replace(variable, value)
        if "$" in word or "*" in word:
            return None
        return pathlib.Path(os.path.normpath(cmake_file.parent / word))

    def check_links(self, room):
        for path, number, text in self.cmake_lines(room):
            own = {m for m in CMAKE_OWN_ROOM.findall(text)}
            for target in CMAKE_ROOM.findall(text):
                if target in ROOMS and target != room and target not in ROOMS[room] and target not in own:
                    self.offend(path, number, f"{room} must not link {target}")


def files_below(folder):
    """Every file below a folder in a fixed order; nothing if there is no such folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def includes_of(path):
    """(line number, quoted name or None, angled name or None); comments are not read, lines keep their numbers."""
    text = path.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment.group().count("\n"), text, flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1), found.group(2)


def report(root):
    return [f"{path}:{line}: {sentence}" for path, line, sentence in Checker(root).run()]


def self_test(trees):
    """Every tree's report against its expected.txt; IMGBUILD_ACCEPT=1 rewrites it and still fails."""
    failed = 0
    cases = sorted(path for path in trees.iterdir() if path.is_dir())
    for case in cases:
        got = "".join(line + "\n" for line in report(case / "tree"))
        expected = case / "expected.txt"
        want = expected.read_text() if expected.exists() else None
        if got == want:
            print(f"ok      {case.name}")
            continue
        failed += 1
        if os.environ.get("IMGBUILD_ACCEPT") == "1":
            expected.write_text(got)
            print(f"FAILED  {case.name}: golden rewritten")
        else:
            print(f"FAILED  {case.name}\n--- expected\n{want}--- got\n{got}", end="")
    if not cases:
        print(f"FAILED  no case below {trees}")
    return 1 if failed or not cases else 0


def main():
    top = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=top, help="the tree to check (default: this one)")
    parser.add_argument("--self-test", action="store_true", help="check the checker")
    args = parser.parse_args()
    if args.self_test:
        return self_test(top / "testdata" / "check_layers")
    offences = report(args.root.resolve())
    for line in offences:
        print(line)
    if offences:
        print(f"{len(offences)} offence(s) against the direction of the rooms (STYLE.md, section 1)", file=sys.stderr)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
