"""Checks, fixes, outlines and targets: what they print, how they end, and that a build obeys them."""
import json
import subprocess

import workspace
from expect import contains, equal, expect, lacks

SLOPPY = """\
from busybox as Base
RUN true
WORKDIR app
FROM Base
ENV greeting hello world
CMD echo hello
"""


def rules(report):
    return [(warning["rule"], warning["line"]) for warning in report["warnings"]]


def test_text(ws):
    """Each finding has its place, its rule, the line with carets, and a hint; the exit code is that of checks."""
    context = ws.context({"Buildfile": SLOPPY})
    done = ws.imgbuild("lint", context, code=3)
    contains(done.out, "Buildfile:1:1: warning: Command 'from' should match the case of the command majority (uppercase) "
             "[ConsistentInstructionCasing]", "     1 | from busybox as Base\n       | ^^^^\n", "hint: write FROM",
             "[StageNameCasing]", "[JSONArgsRecommended]", "6 warnings; imgbuild lint --fix mends 5")
    # What the base may set is not known here, and that is said.
    contains(done.err, "the base image 'busybox' is not known here")


def test_clean_and_wrong_files(ws):
    """A clean file is silent and ends with 0; a file with errors tells all of them and ends with 2."""
    clean = ws.context({"Buildfile": "FROM scratch\nCOPY a /a\n"}, name="clean")
    equal(ws.imgbuild("lint", clean).out, "", "a clean file")
    wrong = ws.context({"Buildfile": "FROM scratch as a\nCOPPY a b\nRUN --network=no x\n"}, name="wrong")
    done = ws.imgbuild("lint", wrong, code=2)
    contains(done.out, "Buildfile:2:1: error: unknown instruction: COPPY [parse.unknown-instruction]", "did you mean COPY?",
             "Buildfile:3:5: error:", "[FromAsCasing]", "2 errors, 1 warning")


def test_json_and_sarif(ws):
    """Programs get the same findings as JSON and as SARIF, with places and fixes."""
    context = ws.context({"Buildfile": SLOPPY})
    report = ws.imgbuild("lint", "--format", "json", context, code=3).json()
    equal(rules(report), [("ConsistentInstructionCasing", 1), ("StageNameCasing", 1), ("WorkdirRelativePath", 3),
                          ("InvalidDefaultArgInFrom", 4), ("LegacyKeyValueFormat", 5), ("JSONArgsRecommended", 6)],
          "rules and lines")
    first = report["warnings"][0]
    equal(first["span"], {"line": 1, "column": 1, "end_line": 1, "end_column": 5}, "span")
    equal(first["fix"], [{"span": first["span"], "text": "FROM"}], "fix")
    expect((workspace.TOP / first["page"]).is_file(), f"there is no {first['page']}")
    equal(report["errors"], [], "errors")
    sarif = ws.imgbuild("lint", "--format=sarif", context, code=3).json()
    equal(sarif["version"], "2.1.0", "version of SARIF")
    run = sarif["runs"][0]
    names = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result, warning in zip(run["results"], report["warnings"], strict=True):
        equal(result["ruleId"], warning["rule"], "ruleId")
        equal(names[result["ruleIndex"]], warning["rule"], "ruleIndex")
        region = result["locations"][0]["physicalLocation"]["region"]
        equal(region["startLine"], warning["span"]["line"], "startLine")
    equal(run["results"][0]["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"], "FROM", "fix")


def test_fix(ws):
    """--fix writes the file anew, keeps its mode, and leaves only what people must decide."""
    context = ws.context({"Buildfile": (SLOPPY, 0o640)})
    done = ws.imgbuild("lint", "--fix", context, code=3)
    file = context / "Buildfile"
    equal(file.read_text(), """\
FROM busybox AS base
RUN true
WORKDIR app
FROM base
ENV greeting="hello world"
CMD ["echo", "hello"]
""", "the mended file")
    equal(file.stat().st_mode & 0o777, 0o640, "its mode")
    contains(done.out, "[WorkdirRelativePath]", "1 warning")
    image = ws.build_image(context)
    equal(image.settings["WorkingDir"], "/app", "WorkingDir")
    # With the base known, where the directory lies is known as well.
    ws.imgbuild("lint", "--fix", "--build-context", f"busybox={ws.busybox()}", context)
    contains(file.read_text(), "WORKDIR /app\n")


def test_fix_of_standard_input(ws):
    """With -f - the mended text goes to stdout and the findings to stderr."""
    done = subprocess.run([workspace.binary(), "lint", "--fix", "-f", "-", str(ws.path)], input=b"FROM scratch as a\nLABEL a b\n",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ws.environment(), check=False)
    equal((done.returncode, done.stdout.decode(), done.stderr.decode()), (0, "FROM scratch AS a\nLABEL a=b\n", ""), "all of it")


def test_silence(ws):
    """check= lines keep checks silent; names of checks that are not there are found."""
    context = ws.context({"Buildfile": "# check=skip=FromAsCasing\nFROM scratch as a\n# check=skip=LegacyKeyValueFormat\n"
                                       "LABEL a b\n# check=skip=LegacyKeyValue\nLABEL c d\n"})
    report = ws.imgbuild("lint", "--format=json", context, code=3).json()
    equal(sorted(rules(report)), [("LegacyKeyValueFormat", 6), ("UnknownCheck", 6)], "what is left")


def test_list_rules(ws):
    """--list-rules names every check that has a page."""
    names = [line.split()[0] for line in ws.imgbuild("lint", "--list-rules").out.splitlines()]
    pages = {path.stem for path in (workspace.TOP / "docs" / "lint").glob("*.md")} - {"README"}
    equal(set(names), pages, "checks and pages")


def test_build_warns(ws):
    """A build tells what checks find as warnings, once each, and is not stopped by them."""
    context = ws.context({"Buildfile": "FROM busybox as a\nRUN true \\\n\n  && true\nCOPY a.log /\n", "a.log": "",
                          ".dockerignore": "b.log\n"})
    done = ws.build(context)
    contains(done.err, "FromAsCasing: 'as' and 'FROM' keywords' casing do not match", "NoEmptyContinuation")
    equal(done.err.count("mpty continuation"), 1, "times that the empty line is told")


def test_error_true(ws):
    """With # check=error=true a finding fails the build before anything runs; exit 3, no image."""
    context = ws.context({"Buildfile": "# check=error=true\nFROM busybox\nRUN echo it-$((1+1))-ran\nCMD echo\n"})
    done = ws.build(context, code=3)
    contains(done.err, "lint violation found for rules: JSONArgsRecommended", "Buildfile:4")
    lacks(done.err, "it-2-ran")
    ws.build(context, "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=JSONArgsRecommended;error=true")


def test_syntax(ws):
    """docker/dockerfile:1 is our own front end; another one is refused by name and line."""
    context = ws.context({"Buildfile": "# syntax=docker/dockerfile:1.4\nFROM busybox\n"})
    ws.build(context)
    context = ws.context({"Buildfile": "# syntax=example.com/other:1\nFROM busybox\n"})
    done = ws.build(context, code=2)
    contains(done.err, "the front end 'example.com/other:1' is not supported", "Buildfile:1", "hint:")
    contains(ws.imgbuild("lint", context, code=2).out, "[parse.unsupported-syntax]")
    ws.build(context, "--build-arg", "BUILDKIT_SYNTAX=docker/dockerfile:1")


DESCRIBED = """\
# VERSION the release to pack
ARG VERSION=1.2
# app the image that runs
FROM busybox:$VERSION AS app
ARG DEBUG
RUN --mount=type=secret,id=token,required --mount=type=ssh true
"""


def test_outline(ws):
    """outline shows arguments, secrets and agents; build --call=outline is the same."""
    context = ws.context({"Buildfile": DESCRIBED})
    text = ws.imgbuild("outline", context).out
    equal(text, """\
TARGET: app
DESCRIPTION: the image that runs

BUILD ARG  VALUE  LINE  DESCRIPTION
VERSION    1.2    2     the release to pack
DEBUG             5

SECRET  REQUIRED  LINE
token   yes       6

SSH      REQUIRED  LINE
default  no        6
""", "outline")
    equal(ws.imgbuild("build", "--call=outline", "--build-context", f"busybox={ws.busybox()}", context).out, text, "--call")
    outline = ws.imgbuild("outline", "--format=json", "--build-arg", "VERSION=3", context).json()["outline"]
    equal(outline["args"], [{"name": "VERSION", "value": "3", "line": 2, "description": "the release to pack"},
                            {"name": "DEBUG", "line": 5}], "args")


def test_targets(ws):
    """targets lists the stages; build --call=targets and --list-targets are the same."""
    context = ws.context({"Buildfile": DESCRIBED + "FROM scratch\n"})
    text = ws.imgbuild("targets", context).out
    equal(text, """\
TARGET       BASE              LINE  DESCRIPTION
app          busybox:$VERSION  4     the image that runs
1 (default)  scratch           7
""", "targets")
    for option in ("--call=targets", "--list-targets"):
        equal(ws.imgbuild("build", option, context).out, text, option)
    targets = ws.imgbuild("build", "--call=targets,format=json", context).json()["targets"]
    equal([target["default"] for target in targets], [False, True], "default")


def test_check_call(ws):
    """build --check is build --call=check: it builds nothing and knows the base images."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo it ran\nCOPY $MISSING /\n"})
    for option in ("--check", "--call=check"):
        done = ws.imgbuild("build", option, "--build-context", f"busybox={ws.busybox()}", context, code=3)
        contains(done.out, "Usage of undefined variable '$MISSING' [UndefinedVar]")
        lacks(done.out + done.err, "it ran")
    contains(ws.imgbuild("build", "--call=nonsense", context, code=2).err, "--call 'nonsense' is not known")
