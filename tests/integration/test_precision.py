"""The precision of a training: what its config says, or else what the device computes in."""

from pathlib import Path

import pytest
import torch

from voxtile.cli.main import lightning_main
from voxtile.errors import ConfigError
from voxtile.training import precision
from voxtile.training.config_bases import read_config
from voxtile.training.precision import device_of, settled_precision

TINY = Path(__file__).with_name("tiny.yaml")


@pytest.fixture
def has_bfloat16(monkeypatch):
    def say(answer: bool) -> None:
        monkeypatch.setattr(precision, "computes_in_bfloat16", lambda device: answer)

    return say


@pytest.mark.parametrize(
    ("wanted", "mixed", "has_it", "taken", "noted"),
    [
        (None, True, True, "bf16-mixed", ""),
        (None, True, False, "32-true", "has no bfloat16 arithmetic"),
        (None, False, True, "32-true", ""),  # a config of one's own that says nothing is Lightning's
        (None, False, False, "32-true", ""),
        ("bf16-mixed", True, True, "bf16-mixed", ""),
        ("bf16-mixed", False, False, "bf16-mixed", "only emulates bfloat16"),
        ("32-true", True, True, "32-true", ""),
        ("16-mixed", True, False, "16-mixed", ""),
        (64, True, False, 64, ""),
    ],
)
def test_the_config_decides_and_else_the_device(has_bfloat16, wanted, mixed, has_it, taken, noted):
    has_bfloat16(has_it)
    found, note = settled_precision(wanted, "cpu", mixed=mixed)
    assert found == taken
    assert noted in note
    assert bool(note) == bool(noted)


@pytest.mark.parametrize("wanted", ["bf16-true", "16-true"])
def test_weights_in_16_bits_are_refused(wanted):
    with pytest.raises(ConfigError, match=f"{wanted} keeps the weights in 16 bits.* set it to {wanted[:-4]}mixed"):
        settled_precision(wanted, "cuda", mixed=True)


def test_a_name_of_an_accelerator_is_the_device_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_of("auto"), device_of("gpu"), device_of("cpu")) == ("cuda", "cuda", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert (device_of("auto"), device_of("tpu"), device_of(object())) == ("cpu", "tpu", "other")


def test_a_processor_has_bfloat16_where_its_kernels_take_it():
    """The processor's own flags, as Linux lists them, beside what is asked of oneDNN."""
    listed = Path("/proc/cpuinfo")
    if not listed.is_file():
        pytest.skip("the flags of the processor are not listed here")
    flags = set(listed.read_text().split())
    if {"avx512bw", "avx512vl", "avx512dq"} <= flags:
        assert precision.computes_in_bfloat16("cpu")
    elif "avx512f" not in flags and "avx_ne_convert" not in flags and "sve" not in flags and "bf16" not in flags:
        assert not precision.computes_in_bfloat16("cpu")


@pytest.mark.parametrize(("has_it", "taken"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_run_trains_in_it_and_says_so(has_bfloat16, has_it, taken, xray_corpus, tmp_path, monkeypatch, capfd):
    has_bfloat16(has_it)
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(
        "voxtile.training.module.ContrastiveModule.on_fit_start", lambda self: seen.append(self.trainer.precision)
    )
    argv = ["fit", "-c", str(TINY), "--data.corpus", str(xray_corpus), "--trainer.fast_dev_run", "1"]
    assert lightning_main([*argv, "--mixed_precision", "true", "--trainer.accelerator", "cpu"]) == 0
    assert seen == [taken]
    assert ("note: this processor has no bfloat16" in capfd.readouterr().err) is not has_it


def test_shipped_configs_leave_it_open():
    shipped = read_config(Path(precision.__file__).parent / "bases" / "base.yaml")
    assert shipped["mixed_precision"] is True
    assert "precision" not in shipped["trainer"]
