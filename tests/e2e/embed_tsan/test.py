"""examples/embed and the library under the thread sanitizer; the worker that they start is the ordinary one."""
import embed
import machine
import registry
import workspace
from expect import equal, lacks

FLAG = "-DCMAKE_CXX_FLAGS=-fsanitize=thread -g"


def test_four_builds(ws):
    """Four builds at once, a cancelled and a failing one: the sanitizer has nothing to say."""
    machine.need_root()
    tree = workspace.CACHE / "embed-tsan"
    embed.run("cmake", "-S", workspace.TOP, "-B", tree, "-G", "Ninja", "-DIMGBUILD_SANITIZE=thread",
              "-DIMGBUILD_BUILD_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug")
    embed.run("cmake", "--build", tree, "--target", "imgbuild_embed")
    prefix = ws.path / "prefix"
    embed.run("cmake", "--install", tree, "--prefix", prefix, "--component", "Development")
    program = embed.build(prefix, ws.path / "build", FLAG)
    server = registry.Registry(ws)
    environment = {"BASE": ws.busybox(), "IMGBUILD_WORKER": workspace.binary(), "TSAN_OPTIONS": "exitcode=66"}
    place = ws.context({"Buildfile": "FROM base\nARG NUMBER\nRUN seq 1 2000; echo $NUMBER > /number\n"}, "many")
    result = ws.run(program, "many", place, f"{server.host}/app:n", "4", env=environment)
    equal(result.out, "4 of 4 built\n", "the builds")
    lacks(result.err, "ThreadSanitizer")
    place = ws.context({"Buildfile": "FROM base\nRUN echo begun && sleep 98781\n"}, "cancel")
    lacks(ws.run(program, "cancel", place, env=environment, code=3).err, "ThreadSanitizer")
    place = ws.context({"Buildfile": "FROM base\nRUN exit 7\n"}, "fail")
    lacks(ws.run(program, "push", place, f"{server.host}/x:1", env=environment, code=1).err, "ThreadSanitizer")
