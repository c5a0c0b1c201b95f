"""Two processes train to the same weights, and average them to the same, as one: whatever is trained, and how."""

import json
import shutil
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from forked_script import run_script
from lightning.pytorch.plugins import MixedPrecision
from timm.layers import BatchNormAct2d

from voxtile.errors import ConfigError
from voxtile.models.image.wavelet import WaveletTower
from voxtile.training.sharded import ShardedTowers
from voxtile.training.step.distributed import check_statistics

SCRIPT = Path(__file__).with_name("many_ranks.py")
BOUND = 1e-10  # DESIGN, section 5


def trained(nursery, folder, *arguments):
    """What each process found, by training and strategy."""
    run_script(nursery, folder, SCRIPT, folder, *arguments)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def check(tables, trainings):
    for table in tables:
        assert len(table) == trainings
        for name, errors in table.items():
            assert errors.pop("moved") > 1e-3, name
            assert len(errors) >= 3
            assert {what: error for what, error in errors.items() if not error <= BOUND} == {}, name


@pytest.mark.parametrize(
    ("which", "trainings"), [("few", 2 + 2), pytest.param("some", 11 + 6, marks=pytest.mark.sweep(ci=True))]
)
def test_weights_and_their_average_are_those_of_one_process(training_nursery, tmp_path, which, trainings):
    check(trained(training_nursery, tmp_path, which), trainings)
    for rank in range(2):
        said = json.loads((tmp_path / f"refused {rank}.json").read_text())
        assert "learned other weights, or in other groups" in said.pop("alone last_n, layer_decay, recompute")
        if which == "some":
            assert "is of another model than the config describes" in said.pop("ddp frozen, last_n")
        assert set(said) == {"ddp", "fsdp2"}
        for sentence in said.values():
            assert "'encoder.image.stages.0.0.norm' normalises by the statistics of each process's own" in sentence
            assert "set trainer.sync_batchnorm to true" in sentence


def test_statistics_that_are_fixed_or_of_all_processes_are_accepted():
    live = WaveletTower(dimensions=2, widths=(4,), blocks=(1,), width=8)
    check_statistics(live, converted=False)  # as Lightning may still convert it
    with pytest.raises(ConfigError, match=r"^BatchNorm2d 'stages\.0\.0\.norm' normalises"):
        check_statistics(live, converted=True)
    check_statistics(live.eval(), converted=True)
    live.pooled_norm.running_mean = live.pooled_norm.running_var = None
    with pytest.raises(ConfigError, match=r"^BatchNorm1d 'pooled_norm' normalises"):
        check_statistics(live, converted=True)
    check_statistics(torch.nn.SyncBatchNorm.convert_sync_batchnorm(live.train()), converted=True)


def test_normalisation_that_torch_would_convert_to_another_function_is_refused_before():
    layer = torch.nn.Sequential(BatchNormAct2d(3))
    converted = torch.nn.SyncBatchNorm.convert_sync_batchnorm(layer).eval()
    images = torch.randn(2, 3, 4, 4)
    assert (converted(images) < 0).any()  # the activation is gone
    with pytest.raises(ConfigError, match=r"^BatchNormAct2d '0' normalises .* whole batch; freeze the tower"):
        check_statistics(torch.nn.Sequential(BatchNormAct2d(3)), converted=False)


def test_scaled_gradients_are_refused_where_weights_are_sharded():
    half = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    trainer = pl.Trainer(accelerator="cpu", devices=1, logger=False, strategy=ShardedTowers(1), plugins=[half])
    with pytest.raises(
        ConfigError, match=r"cannot scale the gradients of trainer\.precision 16-mixed; take bf16-mixed"
    ):
        trainer.strategy.setup_environment()


@pytest.mark.sweep
def test_a_run_goes_on_with_any_strategy_and_number_of_processes(training_nursery, tmp_path):
    check(trained(training_nursery, tmp_path, "resumed"), 8 * 2 + 5 * 9 - 1)


@pytest.mark.sweep
@pytest.mark.timeout(1600)
def test_compiled_too(training_nursery, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("torch.compile makes code by a C++ compiler, and there is none")
    check(trained(training_nursery, tmp_path, "sweep"), 6)
