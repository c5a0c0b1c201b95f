"""What may differ between the processes of a run, and what is said where something else does."""

import threading
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.plugins.environments import TorchElasticEnvironment

from voxtile.errors import CheckpointError, ConfigError
from voxtile.training.callbacks import same_run
from voxtile.training.callbacks.same_run import SameRun
from voxtile.training.checkpoint import AtomicCheckpointIO

CONFIG = {
    "seed_everything": 3,
    "name": "ct",
    "model": {"optimizer": {"lr": 3e-3}, "objectives": {"facts": {"class_path": "FactHead", "init_args": {}}}},
    "data": {"corpus": "/a", "num_workers": 4, "seed": 0, "mixture": {"sources": {"x": {"corpus": "/a", "share": 1}}}},
    "trainer": {"default_root_dir": "/a", "devices": 2, "logger": {"class_path": "X"}, "log_every_n_steps": 5},
}


def changed(name, value):
    found = {key: part.copy() if isinstance(part, dict) else part for key, part in CONFIG.items()}
    *path, last = name.split(".")
    part = found
    for word in path:
        part[word] = dict(part[word])
        part = part[word]
    part[last] = value
    return found


def seen(config, host="node1"):
    settings = SameRun(config)._settings()
    return {"host": host, "settings": settings, "checkpoint": same_run._checkpoint(config.get("ckpt_path"))}


@pytest.fixture
def rank_1(monkeypatch):
    monkeypatch.setattr(same_run, "place", lambda: (1, 2))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("model.optimizer.lr", 0.1, "has 0.1 for model.optimizer.lr where rank 0 (on node0) has 0.003"),
        ("data.seed", 1, "has 1 for data.seed where"),
        ("data.mixture.sources.x.share", 2, "has 2 for data.mixture.sources.x.share where"),
        ("seed_everything", 4, "has 4 for seed_everything where"),
        ("trainer.log_every_n_steps", 6, "has 6 for trainer.log_every_n_steps where"),
        ("model.objectives.koleo", {"class_path": "KoLeo"}, "has KoLeo for model.objectives.koleo.class_path where"),
    ],
)
def test_what_decides_the_result_is_the_same_in_all(rank_1, name, value, said):
    with pytest.raises(ConfigError, match="start all processes of a run with the same config") as error:
        same_run._check(seen(changed(name, value)), seen(CONFIG, "node0"))
    assert f"rank 1 (on node1) {said}" in str(error.value)


def test_where_things_lie_and_how_they_are_read_may_differ(rank_1):
    for name in ("name", "data.corpus", "data.num_workers", "data.mixture.sources.x.corpus", "trainer.default_root_dir",
                 "trainer.devices", "trainer.logger"):  # fmt: skip
        same_run._check(seen(changed(name, "other")), seen(CONFIG))


def test_another_version_is_refused(rank_1, monkeypatch):
    first = seen(CONFIG)
    monkeypatch.setattr(same_run, "__version__", "0.0.9")
    with pytest.raises(ConfigError, match=r"has 0\.0\.9 for the version of voxtile where rank 0"):
        same_run._check(seen(CONFIG), first)


def test_all_go_on_from_one_checkpoint_wherever_it_lies(rank_1, tmp_path):
    files = [tmp_path / name / "last.ckpt" for name in ("here", "there", "older")]
    for path, step in zip(files, (8, 8, 6), strict=True):
        AtomicCheckpointIO().save_checkpoint({"global_step": step, "weight": torch.zeros(2)}, path)
    here, there, older = (seen(changed("ckpt_path", str(path))) for path in files)
    same_run._check(here, there)
    with pytest.raises(CheckpointError, match=r"older/last\.ckpt' \(step 6\) where rank 0 .*/last\.ckpt' \(step 8\)"):
        same_run._check(older, there)
    with pytest.raises(CheckpointError, match="goes on from no checkpoint where rank 0"):
        same_run._check(seen(CONFIG), there)


def test_it_is_said_where_the_others_do_not_come(capsys, monkeypatch):
    monkeypatch.setattr(same_run, "_WAIT_S", 0.01)
    monkeypatch.setenv("MASTER_ADDR", "node0")
    monkeypatch.setenv("MASTER_PORT", "29500")
    strategy = SimpleNamespace(cluster_environment=TorchElasticEnvironment())
    trainer = SimpleNamespace(world_size=2, global_rank=1, strategy=strategy)
    waiting = SameRun()
    waiting.wait(trainer)
    waiting._waiting.join(60)
    said = capsys.readouterr().err
    assert said.startswith("note: rank 1 of 2 waits for the others at node0:29500 since ")
    monkeypatch.setattr(same_run, "_WAIT_S", 600)
    waiting.wait(trainer)
    waiting.setup(SimpleNamespace(world_size=1), None, "fit")  # they have come
    waiting._waiting.join(60)
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    assert capsys.readouterr().err == ""
