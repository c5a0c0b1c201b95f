"""Judging over HTTP while the server dies or the disk is full: what was acknowledged is in the table, once."""

import errno
import http.client
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlencode

import pytest
from judging import add_captions, stored
from serve_corpus import write_served_corpus

from voxtile.stages.verify.corpus import verify

pytest.importorskip("fastapi", reason="the extra serve is not installed")
CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos"
# The pages themselves are not asked for here, and a machine without npm has none.
WITHOUT_PAGES = "import pathlib, voxtile.serve.command as c; c.front_end = lambda: pathlib.Path({folder!r})\n"


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    write_served_corpus(root)
    return root


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """Asks a server that may be gone.

    Args:
        port: of the server.
    """

    def __init__(self, port):
        self.port, self.problems = port, []

    def ask(self, path, body=None):
        """Status and answer; None where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def until_answered(self, path, body=None):
        """The first answer, however often the server dies."""
        while (answer := self.ask(path, body)) is None:
            time.sleep(0.002)
        if answer[0] != 200:
            self.problems.append(answer)
        return answer[1]


class Reader(Client):
    """Sends a verdict until it is acknowledged, as the page does, and remembers which were.

    Args:
        port: of the server.
        name: of the reader.
        rng: chooses verdicts.
        other: port of a second server on the same corpus, which is sent each verdict, too, and asked in turn.
    """

    def __init__(self, port, name, rng, other=None):
        super().__init__(port)
        self.name, self.rng, self.acknowledged, self.is_over, self.other = name, rng, [], False, other
        self._thread = threading.Thread(target=self._sit)
        self._thread.start()

    def leave(self):
        """Give no further verdict; the last one is sent until it is acknowledged."""
        self.is_over = True
        self._thread.join()

    def _sit(self):
        while not self.is_over and not self.problems:
            item = self.until_answered(f"/api/judge/next?{urlencode({'reader': self.name})}")["item"]
            if item is None:
                self.problems.append("nothing left to judge")
                return
            verdict = self.rng.choice(["right", "wrong", "cannot tell"])
            given = {"review_id": uuid.uuid4().hex, "uid": item["uid"], "target": item["target"], "verdict": verdict}
            body = {**given, "reader": self.name, "drawn": "random"}
            self.until_answered("/api/judge/verdicts", body)
            if self.other is not None:
                self.port, self.other = self.other, self.port
                self.until_answered("/api/judge/verdicts", body)
            self.acknowledged.append((given["review_id"], self.name, item["target"], verdict))


@pytest.mark.sweep(ci=True)
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.sweep)])
def test_every_acknowledged_verdict_is_in_the_table_once(make_nursery, corpus, kills):
    add_captions(corpus, 40 * kills)
    imports = "import uvicorn, voxtile.serve.application, voxtile.serve.command\nfrom voxtile.cli.main import main"
    nursery = make_nursery(imports, "main(argv)")
    rng, port = random.Random(kills), free_port()
    code = WITHOUT_PAGES.format(folder=str(corpus))

    def start():
        return nursery.start(corpus.parent, ["serve", corpus, "--port", port], code)

    server = start()
    readers = [Reader(port, name, random.Random(name)) for name in ("ann", "bob")]
    try:
        for _ in range(kills):
            wanted = sum(len(reader.acknowledged) for reader in readers) + rng.randint(1, 12)
            while sum(len(reader.acknowledged) for reader in readers) < wanted:
                assert nursery.is_running(server), nursery.said()
                assert not any(reader.problems for reader in readers), [reader.problems for reader in readers]
                time.sleep(0.0005)
            time.sleep(rng.uniform(0.0, 0.02))
            os.kill(server, signal.SIGKILL)
            nursery.wait()
            server = start()
    finally:
        for reader in readers:
            reader.leave()
        os.kill(server, signal.SIGTERM)
        nursery.wait()
    rows = [(row["review_id"], row["reader"], row["target"], row["verdict"]) for row in stored(corpus)]
    assert sorted(rows) == sorted(one for reader in readers for one in reader.acknowledged)
    assert len({(reader, target) for _, reader, target, _ in rows}) == len(rows), "no caption came to a reader twice"
    assert verify(corpus).problems == []


def test_two_servers_take_verdicts_at_once_and_each_is_in_the_table_once(make_nursery, corpus):
    add_captions(corpus, 120)
    imports = "import uvicorn, voxtile.serve.application, voxtile.serve.command\nfrom voxtile.cli.main import main"
    nursery, ports = make_nursery(imports, "main(argv)"), (free_port(), free_port())
    other = f"if not os.fork(): argv[-1] = '{ports[1]}'\n"  # a second process, of the same session
    code = WITHOUT_PAGES.format(folder=str(corpus)) + other
    servers = nursery.start(corpus.parent, ["serve", corpus, "--port", ports[0]], code)
    readers = [
        Reader(ports[0], "ann", random.Random(0)),
        Reader(ports[1], "bob", random.Random(1)),
        Reader(ports[0], "eve", random.Random(2), other=ports[1]),
    ]
    try:
        while min(len(reader.acknowledged) for reader in readers) < 12:
            assert nursery.is_running(servers), nursery.said()
            assert not any(reader.problems for reader in readers), [reader.problems for reader in readers]
            time.sleep(0.005)
    finally:
        for reader in readers:
            reader.leave()
        os.killpg(servers, signal.SIGTERM)
        nursery.wait()
    rows = [(row["review_id"], row["reader"], row["target"], row["verdict"]) for row in stored(corpus)]
    assert sorted(rows) == sorted(one for reader in readers for one in reader.acknowledged)
    assert len({(reader, target) for _, reader, target, _ in rows}) == len(rows), "no caption came to a reader twice"
    assert len(list((corpus / "tables" / "reviews").glob("*.parquet"))) == 2, "each wrote a part of its own"
    assert verify(corpus).problems == []


def chaos():
    """`benchmarks/chaos/injection.py`."""
    spec = importlib.util.spec_from_file_location("injection", CHAOS / "injection.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.sweep(ci=True)
@pytest.mark.skipif(shutil.which("cc") is None, reason="faults.c needs a C compiler")
def test_a_full_disk_is_said_and_judging_goes_on_when_there_is_room(corpus, tmp_path):
    injection = chaos()
    library, plan_file, port = injection.build_library(tmp_path), tmp_path / "plan", free_port()
    add_captions(corpus)
    plan = injection.write_plan(plan_file, [corpus.resolve()])
    command = WITHOUT_PAGES.format(folder=str(corpus)) + (
        f"from voxtile.cli.main import main; main(['serve', {str(corpus)!r}, '--port', '{port}'])"
    )
    environment = os.environ | {"LD_PRELOAD": str(library), injection.VARIABLE: str(plan_file)}
    with subprocess.Popen([sys.executable, "-P", "-c", command], env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            _fill_the_disk_while_two_judge(Client(port), injection, plan, corpus)
        finally:
            server.terminate()
    assert verify(corpus).problems == []


def _fill_the_disk_while_two_judge(client, injection, plan, corpus):
    def verdict(reader, name):
        item = client.until_answered(f"/api/judge/next?{urlencode({'reader': reader})}")["item"]
        given = {"review_id": name, "uid": item["uid"], "target": item["target"], "verdict": "right"}
        return client.ask("/api/judge/verdicts", {**given, "reader": reader, "drawn": "random"})

    names = [uuid.uuid4().hex for _ in range(4)]
    assert verdict("ann", names[0])[0] == 200
    plan.at, plan.error, plan.kinds = plan.bytes + 10, errno.ENOSPC, int(injection.Kind.WRITE)
    plan.fault = int(injection.Fault.FULL)
    for reader, name in (("ann", names[1]), ("bob", names[2])):
        status, said = verdict(reader, name)
        assert status == 422
        assert "make room on the disk" in said["error"]
        assert str(corpus) not in json.dumps(said)
    assert plan.fired > 0
    assert [row["review_id"] for row in stored(corpus)] == names[:1], "what was there is there, and nothing else"
    assert [path.suffix for path in (corpus / "tables" / "reviews").iterdir()] == [".parquet"], "nothing half written"
    plan.fault = int(injection.Fault.NOTHING)
    assert verdict("ann", names[1])[0] == 200, "sent again, when there is room"
    assert verdict("bob", names[3])[0] == 200
    assert [row["review_id"] for row in stored(corpus)] == [names[0], names[1], names[3]]
