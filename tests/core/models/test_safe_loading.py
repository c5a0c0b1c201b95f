"""Files of weights that hold code, are damaged or of another kind: one sentence each, and nothing of them is run."""

import pickle

import pytest
import safetensors.torch
import torch
from harm import Harm
from torch import nn

from voxtile.errors import CheckpointError
from voxtile.models.hub.safe_loading import load_failure, load_tensors
from voxtile.models.hub.weights import read_weights


def said(path):
    with pytest.raises(CheckpointError) as error:
        read_weights(path)
    return str(error.value)


@pytest.mark.parametrize("name", ["w.pt", "w.bin", "w.pth", "w.ckpt"])
@pytest.mark.parametrize("raw", [False, True], ids=["torch.save", "pickle"])
def test_code_in_weights_is_named_and_not_run(tmp_path, name, raw):
    content, path = {"state_dict": {"a": torch.zeros(2)}, "x": Harm(tmp_path / "harm")}, tmp_path / name
    if raw:
        path.write_bytes(pickle.dumps(content, protocol=4))
    else:
        torch.save(content, path)
    message = said(path)
    assert not (tmp_path / "harm").exists()
    assert "could run code" in message
    assert "give a file of weights alone" in message
    assert raw or "io.open" in message  # the object is named
    assert "weights_only" not in message  # torch advises to load it all the same
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("w.pt", b"", "(empty)"),
        ("w.pt", b"hello", "of another kind"),
        ("w.safetensors", b"<html>not found</html>", "of another kind"),
        ("w.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        ("w.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    ],
)
def test_what_holds_no_weights_is_refused_in_a_line(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    message = said(tmp_path / name)
    assert reason in message
    assert "\n" not in message


def test_every_cut_of_a_file_is_refused(tmp_path):
    whole = tmp_path / "whole.pt"
    torch.save({"a": torch.arange(2000.0)}, whole)
    content = whole.read_bytes()
    for length in range(1, len(content), 501):
        (tmp_path / "cut.pt").write_bytes(content[:length])
        assert "give a file of weights alone" in said(tmp_path / "cut.pt")


def test_what_is_whole_is_read(tmp_path):
    weights = {"a": torch.arange(6.0).view(2, 3)}
    torch.save(weights, tmp_path / "w.pt")
    safetensors.torch.save_file(weights, tmp_path / "w.safetensors")
    for path in tmp_path.iterdir():
        assert torch.equal(load_tensors(path, "checkpoint", "")["a"], weights["a"])


def test_the_first_key_that_does_not_fit_is_named():
    with pytest.raises(RuntimeError) as error:
        nn.Linear(2, 3).load_state_dict({"weight": torch.zeros(3, 5), "bias": torch.zeros(3)})
    assert load_failure(error.value) == "weight is [3, 5] and not [3, 2]"
    with pytest.raises(RuntimeError) as error:
        nn.Linear(2, 3).load_state_dict({"weight": torch.zeros(3, 2)})
    assert load_failure(error.value) == "bias is missing"
