"""Runs one command and writes what it took: launch.py RESULT COMMAND…

A program of its own, and as small as Python can be: the kernel counts the memory of whoever forks as the child's, so
the suite itself, which has held the data of a workload, cannot ask. Below the few megabytes of this one it sees nothing.
"""
import os
import sys
import time

started = time.monotonic()
child = os.fork()
if child == 0:
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"{sys.argv[2]}: {error.strerror}", file=sys.stderr)
    os._exit(127)
_, status, usage = os.wait4(child, 0)
seconds = time.monotonic() - started
with open(sys.argv[1], "w") as result:
    print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, file=result)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
