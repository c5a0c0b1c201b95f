"""A process of a run under torchrun that dies, stands still, fails or is slow: the others say which, and go on anew.

Each rank is a fork of a process that has imported everything, in the surroundings that torchrun gives; it does to
itself, at a step that it is told, what is to be noticed.
"""

import csv
import platform
import signal
from pathlib import Path

import pytest
import torch

from voxtile.training.checkpoint import read_checkpoint

CONFIG = Path(__file__).parents[1] / "tiny.yaml"
STEPS = 13  # 160 pictures in batches of 12

RANKS = """
import signal, socket, time
import duckdb
import voxtile.cli.main
torch.set_num_threads(1)
from voxtile.corpus.view import view as views
from voxtile.data import draws
from voxtile.training import module

def surroundings(rank, port):
    return {
        "TORCHELASTIC_RUN_ID": "1", "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }

def disturbed(rank, victim, step, what):
    started, load = module.ContrastiveModule.on_train_batch_start, draws.DrawDataset.load

    def begun(self, batch, batch_idx):
        if rank == victim and self.global_step == step:
            open("disturbed", "w").write(f"{os.getpid()}")
            if what == "fail":
                raise ZeroDivisionError("of its own")
            if what.startswith("SIG"):
                os.kill(os.getpid(), getattr(signal, what))
        started(self, batch, batch_idx)

    def slow(self, asked):
        time.sleep(0.2)
        return load(self, asked)

    module.ContrastiveModule.on_train_batch_start = begun
    if what == "slow" and rank == 1:
        draws.DrawDataset.load = slow
        # Tables are for rank 0 alone to read.
        def refuse(*args, **options):
            raise AssertionError("a table was read")
        duckdb.connect = views.compile_view = views.view_stamp = refuse
        from voxtile.data import source
        source.compile_view = refuse

def run(words):
    victim, step, what, argv = int(words[0]), int(words[1]), words[2], words[3:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = {}
    for rank in range(2):
        child = os.fork()
        if not child:
            os.environ |= surroundings(rank, port)
            status = 1
            try:
                disturbed(rank, victim, step, what)
                if what == "config" and rank == victim:
                    argv += ["--model.optimizer.lr", "0.5"]
                status = voxtile.cli.main.lightning_main(argv)
            except SystemExit as error:
                status = error.code
            except BaseException as error:
                print(rank, type(error).__name__, str(error)[-600:], file=sys.stderr, flush=True)
            os._exit(status)
        children[child] = rank
    statuses = {}
    while children:
        child, status = os.wait()
        statuses[children.pop(child)] = os.waitstatus_to_exitcode(status)
        if what == "SIGSTOP":  # who stands still is ended by the launcher, once the others have left
            [os.kill(pid, signal.SIGKILL) for pid, rank in children.items() if rank == victim]
    open("statuses", "w").write(f"{statuses[0]} {statuses[1]}")
    return 0
"""


@pytest.fixture
def nursery(training_nursery):
    return training_nursery


def fit(nursery, corpus, folder, *extra, victim=1, step=-1, what="nothing"):
    """Exit status of each rank, and what the run said."""
    argv = [victim, step, what, "fit", "-c", CONFIG, "--data.corpus", corpus, "--data.batch_size", 12]
    argv += ["--trainer.devices", 2, "--trainer.strategy", "ddp", "--trainer.max_epochs", 1, *extra]
    argv += ["--trainer.limit_val_batches", 0, "--checkpoint.every_n_train_steps", 2]
    folder.mkdir(exist_ok=True)
    before = len(nursery._log.read_text())
    nursery.start(folder, argv, RANKS)
    nursery.wait()
    return tuple(map(int, (folder / "statuses").read_text().split())), nursery._log.read_text()[before:]


def last(folder):
    found = sorted(folder.glob("runs/tiny/version_*/checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime_ns)
    return read_checkpoint(found[-1])


def errors(said):
    return [line for line in said.splitlines() if line.startswith("voxtile: error: ")]


SILENT = "voxtile: error: the process of rank {} (process id {} on HOST) has given no sign of life for "
GONE = "voxtile: error: the process of rank {} (process id {} on HOST) is gone, so that all others were stopped; "
FAILED = "voxtile: error: the process of rank {} (process id {} on HOST) ended with: ZeroDivisionError: of its own; "
STOP, KILL, FAIL = ("SIGSTOP", SILENT), ("SIGKILL", GONE), ("fail", FAILED)


@pytest.mark.slow
@pytest.mark.parametrize(
    "happens",
    [
        pytest.param([(3, 1, STOP), (7, 0, KILL)], marks=pytest.mark.sweep(ci=True)),
        pytest.param([(3, 1, KILL), (5, 1, FAIL), (7, 0, STOP), (9, 0, KILL)], marks=pytest.mark.sweep),
    ],
)
def test_who_is_lost_is_named_and_the_run_goes_on_to_the_same_weights(nursery, xray_corpus, tmp_path, happens):
    """The undisturbed run has a rank that is slow, in whose times both show; it may not read a table."""
    logged = ["--trainer.log_every_n_steps", 6]
    statuses, said = fit(nursery, xray_corpus, tmp_path / "whole", *logged, what="slow")
    assert statuses == (0, 0), said
    assert_times(*(tmp_path / "whole").glob("runs/tiny/version_*"))
    run, on = tmp_path / "run", ["--ckpt_path", "last"]
    for step, victim, (what, expected) in happens:
        # Longer than a busy machine makes a process wait.
        times = ["--ranks.note_after", 4, "--ranks.end_after", 10] if what == "SIGSTOP" else []
        statuses, said = fit(nursery, xray_corpus, run, *on, *times, victim=victim, step=step, what=what)
        assert statuses[victim] == (-signal.SIGKILL if what != "fail" else 1), said
        assert statuses[1 - victim] == 2, said
        line = errors(said)[-1]
        named = expected.format(victim, (run / "disturbed").read_text()).replace("HOST", platform.node())
        assert line.startswith(named), line
        assert "go on with --ckpt_path last" in line
        assert len(errors(said)) == (2 if what == "fail" else 1)  # who fails tells its own machine itself
        assert last(run)["global_step"] == step - step % 2
    statuses, said = fit(nursery, xray_corpus, run, *on)
    assert statuses == (0, 0), said
    whole, found = last(tmp_path / "whole"), last(run)
    assert found["global_step"] == whole["global_step"] == STEPS
    for name, value in whole["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value), name


def assert_times(folder):
    """What does not depend on how busy the machine is: a rank that sleeps is slow, and the other waits for it."""
    table = list(csv.DictReader((folder / "stragglers.csv").open()))
    assert [(row["step"], row["ranks"]) for row in table] == [("6", "2"), ("12", "2")]
    first, slow = csv.DictReader((folder / "ranks.csv").open())
    assert (first["rank"], slow["rank"], slow["step"]) == ("0", "1", "12")
    assert 0.2 <= float(slow["data_s"]) <= float(slow["own_s"]) <= float(slow["step_s"])
    assert float(first["step_s"]) >= 0.2


@pytest.mark.slow
def test_a_rank_with_another_config_does_not_train_along(nursery, xray_corpus, tmp_path):
    statuses, said = fit(nursery, xray_corpus, tmp_path, what="config")
    assert statuses == (2, 2), said
    (line,) = errors(said)  # of all processes on the machine
    host = platform.node()
    assert f"rank 1 (on {host}) has 0.5 for model.optimizer.lr where rank 0 (on {host}) has 0.003; start all" in line


@pytest.mark.slow
@pytest.mark.sweep(ci=True)
def test_what_all_ranks_refuse_is_said_once(nursery, xray_corpus, tmp_path):
    statuses, said = fit(nursery, xray_corpus, tmp_path, "--trainer.accumulate_grad_batches", 2)
    assert statuses == (2, 2), said
    (line,) = errors(said)
    assert "trainer.accumulate_grad_batches 2 does not give the loss of" in line
