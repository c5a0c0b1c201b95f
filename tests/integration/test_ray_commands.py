"""Commands on a cluster that `ray start` has made, as a user calls them; and a cluster that goes away in mid-run.

All of this file is done on one cluster, in the order of the file: the last test takes it away.
"""

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from fault_task import FaultTask
from PIL import Image
from tests.core.evaluate.test_models_from_anywhere import TASK, _open_clip
from tests.core.evaluate.test_single_label import pictures  # noqa: F401 - a fixture
from tests.datasets.test_curation_command import write

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.engine.ray_cluster.connection import is_slow_start
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile.packaged_models import GEMMA
from voxtile_datasets.captions.providers.factory import open_provider
from voxtile_datasets.captions.providers.request import Request

# Ray gives its own processes 15 and 30 s to answer, which two processors that others use do not always keep: the
# suite has the tests of tests/core/engine, on a cluster in this process, and `make fuzz` these.
pytestmark = [pytest.mark.timeout(600), pytest.mark.sweep]
COMMAND = [sys.executable, "-P", "-m", "voxtile.cli.main"]
VARIABLE = {".lock", "manifests"}
TOO_BUSY = "Ray does not start within its own limits: the machine is too busy"
PRESET = '{"class_path": "voxtile.data.presets.image.ImagePreset", "init_args": {"size": [16, 16]}}'


def snapshot(root):
    """Hash of every file that must not depend on how a corpus was made: not the lock, not the manifests' time."""
    files = [path for path in root.rglob("*") if path.is_file() and not VARIABLE & {*path.relative_to(root).parts}]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def processes(folder):
    """Of a cluster, found by the folder that is its own."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def end(folder):
    for process in processes(folder):
        process.kill()


@pytest.fixture(scope="module")
def ray():
    """The package, which takes seconds to import: only where these tests run."""
    return pytest.importorskip("ray")


@pytest.fixture(scope="module")
def head(ray):
    """Address and folder of a cluster of two processors, by `ray start`; commands of this process find it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # a short path, for it holds sockets
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["start", "--head", "--port", str(port), "--num-cpus", "2", "--temp-dir", str(folder)]
    words += ["--include-dashboard", "false", "--include-log-monitor", "false", "--no-monitor"]
    for _ in range(4):  # Ray gives its processes 15 s to start, which a very busy machine may not keep
        started = subprocess.run(
            [sys.executable, "-P", "-m", "ray.scripts.scripts", *words],
            capture_output=True, text=True,
            env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"},  # read once, at import
        )  # fmt: skip
        if started.returncode == 0 or not is_slow_start(started.stderr):
            break
        end(folder)
    if started.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        if is_slow_start(started.stderr):
            pytest.skip(TOO_BUSY)
        pytest.fail(started.stderr)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        yield folder
    ray.shutdown()
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def connected(ray, head):
    """The cluster, to which this process stays connected: commands need not join it one by one."""
    ray.init(log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def converted(head, tmp_path_factory):
    """What the command makes of pictures on the cluster, and what it makes here."""
    folder = tmp_path_factory.mktemp("converted")
    (folder / "in").mkdir()
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"in/{number}.png")
    (folder / "in" / "7.png").write_bytes((folder / "in" / "7.png").read_bytes()[:60])
    words = ["convert", "image", "in", "ray", "--engine", "ray", "--workers", "2"]
    done = subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert main(["convert", "image", str(folder / "in"), str(folder / "local"), "--engine", "inline"]) == 1
    return folder


def test_a_cluster_that_a_command_starts_is_reached_from_this_machine_alone(ray, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(60):
        Image.fromarray(np.full((24, 24), number, np.uint8)).save(tmp_path / f"in/{number}.png")
    words, alone = ["convert", "image", "in", "out", "--engine", "ray", "--workers", "1"], os.environ.copy()
    alone.pop("RAY_ADDRESS", None)
    command = subprocess.Popen(
        [*COMMAND, *words], cwd=tmp_path, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    listeners, parent = {}, psutil.Process(command.pid)
    while command.poll() is None:
        try:
            for one in (parent, *parent.children(recursive=True)):
                listens = [each for each in one.net_connections() if each.status == psutil.CONN_LISTEN]
                listeners |= {each.laddr.ip: one.name() for each in listens}
        except psutil.Error:
            continue
        time.sleep(0.1)
    said = command.stderr.read().decode()
    # Also of a Ray that came too late: what it had opened until then is no less open.
    assert all(ip.removeprefix("::ffff:").startswith("127.") for ip in listeners), listeners
    if command.returncode and is_slow_start(said):
        pytest.skip(TOO_BUSY)
    assert command.returncode == 0, said
    assert listeners


def test_a_conversion_is_the_same_bytes_as_here(converted):
    assert snapshot(converted / "ray") == snapshot(converted / "local")
    assert len(Corpus(converted / "ray").table("samples")) == 19


def test_a_corpus_at_a_presets_resolution_is_the_same_bytes_as_here(connected, converted):
    words = ["materialize", str(converted / "local")]
    assert main([*words, str(converted / "small"), "--preset", PRESET, "--engine", "inline"]) == 0
    assert main([*words, str(converted / "there"), "--preset", PRESET, "--engine", "ray", "--workers", "2"]) == 0
    assert snapshot(converted / "there") == snapshot(converted / "small")


def test_a_view_is_the_same_as_here(connected, tmp_path, capsys):
    corpus = write(tmp_path / "corpus", range(60), twins={21: 20, 26: 23, 31: 29, 34: 33})
    words = ["curate", str(corpus), "--dedup", "text,minhash:0.5"]
    assert main([*words, "--view", "here"]) == 0
    assert main([*words, "--view", "there", "--engine", "ray", "--workers", "2"]) == 0
    here, there = ({p.name: p for p in (corpus / "views").glob(f"{name}*/*")} for name in ("here", "there"))
    assert here.keys() == there.keys()
    tables = [name for name in here if name.endswith((".parquet", ".arrow"))]
    assert tables
    assert all(here[name].read_bytes() == there[name].read_bytes() for name in tables)
    assert main(["curate", str(corpus), "--view", "x", "--where", "sharp > 3", "--engine", "ray"]) == 2
    assert "neither is asked for; leave it out" in capsys.readouterr().err


def test_an_evaluation_has_the_figures_of_here(connected, pictures, tmp_path):  # noqa: F811
    """Images are read and encoded on the cluster; with another number of threads the last bits may differ."""
    _open_clip(tmp_path / "model")
    (tmp_path / "task.yaml").write_text(TASK)
    words = ["evaluate", str(tmp_path / "model"), str(tmp_path / "task.yaml"), "--corpus", str(pictures.roots[0])]
    words += ["--bootstrap", "100", "--batch-size", "8", "--out"]
    assert main([*words, str(tmp_path / "here")]) == 0
    assert main([*words, str(tmp_path / "there"), "--engine", "ray", "--workers", "1"]) == 0
    here, there = (json.loads((tmp_path / name / "results.json").read_text())["rows"] for name in ("here", "there"))
    assert len(here) == len(there) > 4
    for one, other in zip(here, there, strict=True):
        assert {k: v for k, v in one.items() if not isinstance(v, float)} == {
            k: v for k, v in other.items() if not isinstance(v, float)
        }
        assert {k: v for k, v in one.items() if isinstance(v, float)} == pytest.approx(
            {k: v for k, v in other.items() if isinstance(v, float)}, abs=1e-6
        )


def test_vectors_are_those_of_here(connected, pictures, tmp_path):  # noqa: F811
    _open_clip(tmp_path / "model")
    words = ["embed", str(pictures.roots[0]), str(tmp_path / "model"), "--chunk", "16"]
    assert main([*words, "--out", str(tmp_path / "here")]) == 0
    assert main([*words, "--out", str(tmp_path / "there"), "--engine", "ray", "--workers", "1"]) == 0
    here, there = (Corpus(tmp_path / name).table("embeddings").sort_by("uid") for name in ("here", "there"))
    assert here.column("uid").equals(there.column("uid"))
    one, other = (np.stack(table["vector"].to_pylist()).astype(np.float32) for table in (here, there))
    assert len(one) > 4
    assert np.abs(one - other).max() <= 2e-3 * np.abs(one).max()


def test_a_language_model_answers_from_the_nodes(connected, tmp_path):
    """What it says is kept here: a second run asks nobody."""
    if not GEMMA.is_installed or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip(f"{GEMMA.title} or what runs it is not installed")
    days = Request("Monday, Tuesday, Wednesday, Thursday,", max_tokens=3, temperature=0)
    requests = [days, replace(days, attempt=1)]

    async def replies(provider):
        try:
            return await asyncio.gather(*map(provider.ask, requests))
        finally:
            await provider.close()

    provider = open_provider("local", model=GEMMA.name, cache=tmp_path / "there", engine="ray", concurrency=2)
    assert (provider.concurrency, provider.chat) == (4, False)
    there = asyncio.run(replies(provider))
    assert all(reply.text.startswith("Friday") for reply in there)
    again = asyncio.run(replies(open_provider("replay", cache=tmp_path / "there")))
    assert [(reply.text, reply.cached) for reply in again] == [(reply.text, True) for reply in there]
    with pytest.raises(ConfigError, match="the endpoint does the work; leave --engine ray out"):
        open_provider("openai", model="m", base_url="http://127.0.0.1:1/v1", cache=tmp_path / "c", engine="ray")
    assert not (tmp_path / "c").exists()


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fault_task import FaultTask
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import VoxtileError
try:
    task = FaultTask(("ok-1", "ok-2", "wait-1", "ok-3"), scratch=sys.argv[2])
    run_task(task, Path(sys.argv[2], "corpus"), RunOptions(engine="ray", workers=1, job_items=1))
except VoxtileError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_a_cluster_that_goes_away_is_said_and_a_rerun_goes_on(ray, head, tmp_path, monkeypatch):
    """The rerun has a Ray of its own, as without RAY_ADDRESS."""
    support = str(Path(__file__).parents[1] / "support")
    words = [sys.executable, "-P", "-c", RUN, support, str(tmp_path)]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    done = tmp_path / "corpus" / "done"
    ray.shutdown()  # Ray ends a process a minute after the cluster that it is connected to
    while len(list(done.glob("*.json"))) < 2:
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.05)
    end(head)
    said = running.communicate()[1].strip().splitlines()
    assert running.returncode == 1
    address = os.environ["RAY_ADDRESS"].rpartition(":")[2]
    assert said[-1].startswith("CorpusError: the Ray cluster at ")
    assert f":{address} went away; what is committed stays: start the cluster, then run the same" in said[-1]
    assert not [line for line in said if "Traceback" in line]
    before = {path.name: path.stat().st_mtime_ns for path in done.glob("*.json")}
    assert len(before) == 2
    (tmp_path / "wait-1").touch()
    monkeypatch.delenv("RAY_ADDRESS")
    for _ in range(3):
        rerun = subprocess.run(words, capture_output=True, text=True)
        if "no Ray cluster answers (on this machine)" not in rerun.stderr:
            break
    else:
        pytest.skip(TOO_BUSY)
    assert rerun.returncode == 0, rerun.stderr
    after = {path.name: path.stat().st_mtime_ns for path in done.glob("*.json")}
    assert len(after) == 4
    assert before.items() <= after.items(), "committed jobs are not done again"
    (tmp_path / "local").mkdir()
    (tmp_path / "local/wait-1").touch()
    task = FaultTask(("ok-1", "ok-2", "wait-1", "ok-3"), scratch=str(tmp_path / "local"))
    run_task(task, tmp_path / "local/corpus", RunOptions(engine="inline", job_items=1))
    assert snapshot(tmp_path / "corpus") == snapshot(tmp_path / "local/corpus")


def test_an_address_that_is_none_is_said_before_anything_is_made(tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "in/0.png")
    words = ["convert", "image", str(tmp_path / "in"), str(tmp_path / "corpus"), "--engine", "ray", "--workers", "1"]
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert main(words) == 2
    assert "no Ray cluster answers (127.0.0.1:1)" in capsys.readouterr().err
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:1")
    assert main(words) == 2
    assert "Ray Client sends no streams" in capsys.readouterr().err
    assert not (tmp_path / "corpus").exists()
