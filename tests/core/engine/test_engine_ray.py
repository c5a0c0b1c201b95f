"""The Ray engine writes what the local one writes, on one node or several, and loses nothing with a node."""

import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from fault_task import FaultTask, SourcedTask
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.engine import ray_cluster
from voxtile.engine.options import in_this_process
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, CorpusError, RunFailedError

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = pytest.mark.timeout(180)
OPTIONS = RunOptions(job_items=2, time_limit_s=3.0, memory_limit_gb=0.5)
NAMES = ("ok-1", "bad-1", "drop-1", "same-1", "ok-2", "segfault-1", "same-2", "ok-3", "ok-4", "once-1", "ok-5", "ok-6")


@pytest.fixture(scope="module")
def cluster():
    """A head without processors and two nodes of one each, to which this process is connected."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1), made.add_node(num_cpus=1)]
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def convert(folder, engine, names=NAMES, **settings):
    (folder / "scratch").mkdir(parents=True)
    task = FaultTask(names, scratch=str(folder / "scratch"), **settings)
    run_task(task, folder / "corpus", replace(OPTIONS, engine=engine, workers=2))
    return folder / "corpus"


def test_two_nodes_write_what_two_local_processes_write(cluster, tmp_path, snapshot):
    made, _ = cluster
    expected = convert(tmp_path / "local", "local")
    assert snapshot(convert(tmp_path / "ray", "ray")) == snapshot(expected)
    rows = Corpus(tmp_path / "ray" / "corpus").ledger().to_pylist()
    assert {row["source"]: row["error_class"] for row in rows}["segfault-1"] == "SIGSEGV"
    assert [row["reason"] for row in rows if row["source"].startswith("same")].count("duplicate") == 1
    assert ray.is_initialized(), "a connection that others have made stays"
    assert made.list_all_nodes()


def test_a_job_that_takes_its_slots_down_ends_the_run(cluster, tmp_path):
    with pytest.raises(CorpusError, match="lost with its node 3 times"):
        convert(tmp_path, "ray", ("ok-1", "ok-2", "parent-1"))
    done = Corpus(tmp_path / "corpus").ledger().to_pylist()
    assert {row["source"] for row in done} <= {"ok-1", "ok-2"}


def test_the_first_failure_ends_a_run_that_is_to_stop(cluster, tmp_path):
    task = FaultTask(("ok-1", "bad-1", "ok-2"))
    with pytest.raises(RunFailedError, match="bad-1"):
        run_task(task, tmp_path / "corpus", replace(OPTIONS, engine="ray", on_error="stop"))


def test_a_node_of_another_version_and_one_that_sees_nothing_are_refused(cluster, tmp_path, monkeypatch):
    real = ray_cluster._versions()
    monkeypatch.setattr(ray_cluster, "_versions", lambda: {**real, "blosc2": "1.2.3"})
    with pytest.raises(ConfigError, match=r"has blosc2 .*and the plan was made with 1\.2\.3; install the same"):
        convert(tmp_path / "one", "ray")
    monkeypatch.undo()
    task = SourcedTask(("ok-1",), source=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="does not see the corpus or its inputs"):
        run_task(task, tmp_path / "two", replace(OPTIONS, engine="ray"))


def test_a_node_that_is_lost_costs_only_its_jobs(cluster, tmp_path, snapshot, monkeypatch):
    """The cluster has one node less from here on."""
    made, nodes = cluster
    names = tuple(f"ok-{number}" for number in range(16))
    expected = convert(tmp_path / "local", "local", names)
    started = []
    lost = ray_cluster._RaySession._lost
    monkeypatch.setattr(
        ray_cluster._RaySession, "_lost", lambda *args: (started.append(args[0]._busy[args[1]][1].job), lost(*args))
    )

    def lose_one():
        while len(list((tmp_path / "ray" / "corpus" / "done").glob("*.json"))) < 2:
            time.sleep(0.05)
        made.remove_node(nodes[1], allow_graceful=False)

    killer = threading.Thread(target=lose_one)
    killer.start()
    found = convert(tmp_path / "ray", "ray", names, seconds=0.4)
    killer.join()
    assert len(started) == 1, "one slot was lost, with one job"
    assert snapshot(found) == snapshot(expected)
    assert not list((found / "done").glob("*.pending"))


def test_a_cluster_without_room_is_said(cluster, tmp_path, monkeypatch):
    made, nodes = cluster
    made.remove_node(nodes[0])  # the other was lost in the test before
    monkeypatch.setattr(ray_cluster, "PATIENCE_S", 1.0)
    with pytest.raises(ConfigError, match="no node of the Ray cluster has had a free processor for 1 s"):
        convert(tmp_path, "ray")


def test_what_one_process_does_is_not_sent_to_a_cluster():
    assert in_this_process({"engine": "local", "retry": True}, "captions") == {"engine": "inline", "retry": True}
    with pytest.raises(ConfigError, match="captions come from one process, not from a cluster; leave --engine ray"):
        in_this_process({"engine": "ray"}, "captions")


def test_the_command_makes_a_ray_of_its_own_and_names_an_address_that_is_none(tmp_path):
    """As a user calls it, without a cluster and with one that is not there."""
    command = [sys.executable, "-P", "-m", "voxtile.cli.main"]
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / f"pictures/{number}.png")
    images = ["convert", "image", "pictures", "corpus", "--engine", "ray", "--workers", "1"]
    refused = subprocess.run(
        [*command, *images], cwd=tmp_path, capture_output=True, text=True, env={"RAY_ADDRESS": "127.0.0.1:1"}
    )
    assert refused.returncode == 2
    assert "no Ray cluster answers (127.0.0.1:1)" in refused.stderr
    assert not (tmp_path / "corpus/done").exists() or not any((tmp_path / "corpus/done").iterdir())
    client = subprocess.run(
        [*command, *images], cwd=tmp_path, capture_output=True, text=True, env={"RAY_ADDRESS": "ray://127.0.0.1:1"}
    )
    assert (client.returncode, "Ray Client sends no streams" in client.stderr) == (2, True)
    subprocess.run([*command, *images], cwd=tmp_path, check=True)
    assert len(Corpus(tmp_path / "corpus").table("samples")) == 6
