"""Processes that cost no imports: forks of one that has imported what they need."""

import json
import os
import subprocess
import sys
from pathlib import Path

# Imports once and forks a child for every line of arguments, since importing costs more than the work. A child leads a
# session of its own, so that a signal to its group reaches its workers and nobody else.
NURSERY = """
import gc, json, os, sys, traceback
gc.disable()
{imports}

gc.collect()
gc.freeze()  # no child looks through what was imported, and so copies its pages
gc.enable()
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        sys.stdout.flush()
        os.setsid()
        request = json.loads(line)
        os.chdir(request["folder"])
        os.dup2(os.open(request["said"] or os.devnull, os.O_WRONLY | os.O_CREAT, 0o600), 1)
        if request["said"]:
            os.dup2(1, 2)
        argv = request["argv"]
        status = 1
        try:
            exec(request["code"])
            status = {call}
        except SystemExit as leaving:
            status = leaving.code or 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(json.dumps({{"pid": child}}), flush=True)
    _, status = os.waitpid(child, 0)
    print(json.dumps({{"status": os.waitstatus_to_exitcode(status)}}), flush=True)
"""


class Nursery:
    """Runs commands one after the other, each in a process of its own.

    Args:
        imports: Python lines that the children have in common.
        call: expression over `argv` whose value is the exit status.
        log: file for what they say.
        python: interpreter of the environment that they run in.
    """

    def __init__(self, imports, call, log, python=sys.executable):
        self._log = log
        self._process = subprocess.Popen(
            [str(python), "-P", "-c", NURSERY.format(imports=imports, call=call)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def start(self, folder, argv, code="", said=""):
        """Start a child, which runs `code` before the call; its process id. What it says goes to the file `said`."""
        request = {"folder": str(folder), "argv": list(map(str, argv)), "code": code, "said": str(said)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["pid"]

    def is_running(self, child):
        """Whether it has not ended by itself."""
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):  # it was collected, before or while its file was read
            return False

    def wait(self):
        """Exit status of the child."""
        return json.loads(self._process.stdout.readline())["status"]

    def said(self):
        """The end of what they said."""
        return self._log.read_text()[-2000:]

    def close(self):
        self._process.kill()  # it has nothing to put away
        self._process.communicate()
