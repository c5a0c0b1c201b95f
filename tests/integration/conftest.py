"""What several integration tests share: a corpus to train on, and processes that cost no imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from voxtile.phantom.xrays import write_xrays


@pytest.fixture(scope="session")
def xray_corpus(tmp_path_factory) -> Path:
    """A captioned corpus of tiny synthetic X-rays with labels as facts."""
    from voxtile_datasets.captions.command import caption_corpus
    from voxtile_datasets.recipes.medmnist import build_medmnist

    folder = tmp_path_factory.mktemp("xrays")
    corpus = folder / "corpus"
    build_medmnist(write_xrays(folder), corpus, engine="inline")
    caption_corpus(corpus, provider="template", engine="inline")
    return corpus


# Imports once and forks a child for every line of arguments, since importing costs more than the work. A child leads a
# session of its own, so that a signal to its group reaches its workers and nobody else.
NURSERY = """
import json, os, sys
{imports}

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        sys.stdout.flush()
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        request = json.loads(line)
        os.chdir(request["folder"])
        argv = request["argv"]
        exec(request["code"])
        os._exit({call})
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
    """

    def __init__(self, imports, call, log):
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY.format(imports=imports, call=call)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def start(self, folder, argv, code=""):
        """Start a child, which runs `code` before the call; its process id."""
        request = {"folder": str(folder), "argv": list(map(str, argv)), "code": code}
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


@pytest.fixture(scope="session")
def make_nursery(tmp_path_factory):
    made = []

    def make(imports, call):
        made.append(Nursery(imports, call, tmp_path_factory.mktemp("nursery") / "log"))
        return made[-1]

    yield make
    for nursery in made:
        nursery.close()


@pytest.fixture(scope="session")
def training_nursery(make_nursery):
    """Children that have imported the command line of trainings; their code defines `run(argv)`."""
    return make_nursery("import torch\nimport voxtile.cli.lightning", "run(argv)")
