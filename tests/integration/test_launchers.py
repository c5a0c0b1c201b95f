"""Runs that torchrun or Slurm start on two machines give what one machine with two processes gives, to the bit.

The machines are processes on the loopback address; Slurm is what it tells a task in its environment. One machine starts
its second process itself; a task of Slurm is a fork of a process that has imported everything.
"""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from voxtile.training.checkpoint import read_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]
CONFIG = Path(__file__).with_name("tiny.yaml")
STEPS = 13  # 160 pictures in batches of 12
LIGHTNING = [sys.executable, "-P", "-m", "voxtile.cli.main"]


def words(corpus, devices, nodes, *more):
    return [
        "fit", "-c", CONFIG, "--data.corpus", corpus, "--data.batch_size", 12, "--trainer.max_epochs", 1,
        "--trainer.limit_val_batches", 0, "--trainer.strategy", "ddp", "--trainer.devices", devices,
        "--trainer.num_nodes", nodes, "--checkpoint.every_n_train_steps", 2, *more,
    ]  # fmt: skip


def start(command, folder, number, **environment):
    folder.mkdir(exist_ok=True)
    log = (folder / f"log-{number}").open("w")
    whole = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(list(map(str, command)), cwd=folder, env=whole, stdout=log, stderr=subprocess.STDOUT)


def ended(processes, folder):
    statuses = [process.wait(timeout=900) for process in processes]
    return statuses, "\n".join(path.read_text()[-1500:] for path in sorted(folder.glob("log-*")))


def last(folder):
    (path,) = folder.glob("runs/tiny/version_0/checkpoints/last.ckpt")
    return read_checkpoint(path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def slurm(rank, port):
    """What `srun` tells the task of one of two nodes."""
    return {
        "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "ct", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2", "SLURM_NODELIST": "127.0.0.1", "SLURM_NODEID": str(rank), "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


TASKS = """
import signal
import voxtile.cli.main
torch.set_num_threads(1)

def run(argv):
    children = []
    for surroundings in json.loads(argv[0]):
        child = os.fork()
        if not child:
            os.environ |= surroundings
            status = 1
            try:
                status = voxtile.cli.main.main(argv[1:])
            except SystemExit as leaving:
                status = leaving.code
            except BaseException:
                traceback.print_exc()
            os._exit(status)
        children.append(child)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which is for the tasks
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    with open("statuses", "w") as file:
        json.dump(statuses, file)
    return 0
"""


def start_slurm(nursery, corpus, folder, *more):
    folder.mkdir(exist_ok=True)
    port = free_port()
    surroundings = json.dumps([slurm(rank, port) for rank in (0, 1)])
    return nursery.start(folder, [surroundings, *words(corpus, 1, 2, *more)], TASKS)


def ended_slurm(nursery, folder):
    assert nursery.wait() == 0, nursery.said()
    return json.loads((folder / "statuses").read_text())


@pytest.fixture(scope="module")
def one_machine(xray_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    statuses, said = ended([start([*LIGHTNING, *words(xray_corpus, 2, 1)], folder, 0)], folder)
    assert statuses == [0], said
    return last(folder)


def assert_same(found, expected):
    assert found["global_step"] == expected["global_step"] == STEPS
    for name, value in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value), name


@pytest.mark.sweep  # its processes are those of Slurm's test, told the same in other words
def test_torchrun_on_two_machines(xray_corpus, tmp_path, one_machine):
    folder, where = tmp_path / "run", f"127.0.0.1:{free_port()}"
    torchrun = [sys.executable, "-P", "-m", "torch.distributed.run", "--nnodes", 2, "--nproc-per-node", 1]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", where, "-m", "voxtile.cli.main"]
    machines = [start([*torchrun, *words(xray_corpus, 1, 2)], folder, number) for number in (0, 1)]
    statuses, said = ended(machines, folder)
    assert statuses == [0, 0], said
    assert_same(last(folder), one_machine)


@pytest.mark.sweep(ci=True)
def test_slurm_on_two_machines_stopped_by_its_time_limit_and_queued_again(
    training_nursery, xray_corpus, tmp_path, one_machine
):
    nursery, folder = training_nursery, tmp_path / "run"
    job = start_slurm(nursery, xray_corpus, folder, "--ckpt_path", "last")
    saved = folder / "runs/tiny/version_0/checkpoints/last.ckpt"
    while not saved.exists() and nursery.is_running(job):
        time.sleep(0.02)
    os.killpg(job, signal.SIGTERM)
    assert ended_slurm(nursery, folder) == [128 + signal.SIGTERM] * 2, nursery.said()
    assert 0 < read_checkpoint(saved)["global_step"] < STEPS
    start_slurm(nursery, xray_corpus, folder, "--ckpt_path", "last")
    assert ended_slurm(nursery, folder) == [0, 0], nursery.said()
    newest = max(folder.glob("runs/tiny/version_*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    assert_same(read_checkpoint(newest), one_machine)


def test_the_page_starts_what_was_tried():
    """Every line that starts a training on the page has the options with which it is tested."""
    page = (Path(__file__).parents[2] / "docs/clusters.md").read_text("utf-8")
    (job,) = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    lines = [line.split() for line in page.splitlines() if line.startswith(("torchrun ", "srun "))]
    for line in [*lines, container["command"]]:
        options = dict(itertools.pairwise(line))
        assert options["--trainer.num_nodes"] == "2"
        assert options["--trainer.strategy"] == "ddp"
        assert options["--trainer.devices"] == options.get("--nproc-per-node", "8")
        if line[0] == "torchrun":
            assert (options["--rdzv-backend"], options["-m"]) == ("c10d", "voxtile.cli.main")
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    assert f"{job['metadata']['name']}-0.{job['spec']['template']['spec']['subdomain']}:29500" in container["command"]
