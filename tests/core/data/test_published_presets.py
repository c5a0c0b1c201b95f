"""The preprocessing of published models against numbers that their own code made (benchmarks/published_models.py)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.published_inputs import Scan, grey_scans, pictures, sample, scans

from voxtile.data import PublishedPicture, PublishedPreset, PublishedVolume, preset_from_config
from voxtile.data.presets.published.table import published_models
from voxtile.errors import ConfigError, PresetError

NUMBERS = json.loads(Path(__file__).with_name("published_numbers.json").read_text("utf-8"))
VOLUMES = ("ct-clip", "hlip-chest-ct", "merlin", "colipri", "m3d-clip")
CLOSE = 1e-4


def cases() -> Iterator[tuple[str, str]]:
    for model, found in NUMBERS.items():
        for name in found:
            if name != "vectors":
                yield model, name


def given_to(model: str, name: str) -> Any:
    if model in VOLUMES:
        return (grey_scans() if model == "m3d-clip" else scans())[name]
    return pictures()[name]


@pytest.mark.cases(15)
@pytest.mark.parametrize(("model", "name"), list(cases()))
def test_it_equals_the_models_own_code(model: str, name: str) -> None:
    expected = NUMBERS[model][name]
    made = PublishedPreset(model=model)(sample(given_to(model, name)), None)
    assert made.numel() == np.prod(expected["shape"])
    assert tuple(n for n in made.shape if n > 1) == tuple(n for n in expected["shape"] if n > 1)
    values = made.flatten()[expected["places"]].numpy()
    assert np.abs(values - expected["values"]).max() < CLOSE
    assert abs(made.mean().item() - expected["mean"]) < CLOSE


def test_every_model_of_the_issue_has_a_preset_that_a_checkpoint_could_store() -> None:
    assert len(published_models()) == 22
    for name in published_models():
        stored = PublishedPreset(model=name).to_config()
        assert stored["class_path"].split(".")[-1] != "PublishedPreset"
        again = preset_from_config(json.loads(json.dumps(stored)))
        assert again.to_config() == stored


def test_a_name_that_there_is_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no published model is called 'merlyn'; did you mean 'merlin'"):
        PublishedPreset(model="merlyn")


def test_changes_reach_the_preset_and_unknown_ones_are_refused() -> None:
    assert PublishedPreset(model="merlin", changes={"shape": [8, 8, 8]}).grid == (8, 8, 8)
    with pytest.raises(PresetError, match="cannot be built"):
        PublishedPreset(model="merlin", changes={"colour": 1})


def test_a_volume_without_an_affine_is_refused_since_its_sides_are_unknown() -> None:
    source = sample(scans()["thin"])
    source.meta["affine"] = None
    with pytest.raises(PresetError, match="without an affine that says where its axes grow to"):
        PublishedPreset(model="merlin")(source, None)


@pytest.mark.parametrize("model", VOLUMES)
def test_left_and_right_are_told_apart_whatever_the_order_in_the_file(model: str) -> None:
    """One scan stored in two orders gives one image; a scan mirrored gives another."""
    stored = np.zeros((20, 22, 24), np.int16)
    stored[2:9, 3:17, 4:20] = 400
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    turned = np.zeros((4, 4))
    turned[0, 2], turned[1, 0], turned[2, 1], turned[3, 3] = -2.0, 2.0, 3.0, 1.0
    turned[0, 3] = 2.0 * 19
    preset = PublishedPreset(model=model, changes={"units": None, "shape": (30, 40, 50)})
    first = preset(sample(Scan(stored, affine)), None)
    again = preset(sample(Scan(np.ascontiguousarray(stored.transpose(1, 2, 0)[:, :, ::-1]), turned)), None)
    mirrored = preset(sample(Scan(np.ascontiguousarray(stored[::-1]), affine)), None)
    assert torch.equal(first, again)
    if model != "m3d-clip":  # cut to its foreground, a box is its own mirror image
        assert not torch.equal(first, mirrored)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"axes": "RAR", "shape": (4, 4, 4), "spacing": (1, 1, 1)}, "axes: 'RAR'"),
        ({"axes": "RAS", "shape": (4, 4), "spacing": (1, 1, 1)}, "shape: "),
        ({"axes": "RAS", "shape": (4, 4, 4)}, "spacing: None"),
        ({"axes": "RAS", "shape": (4, 4, 4), "spacing": (1, 1, 1), "window": (5, 5)}, "window: "),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(PresetError, match=said):
        PublishedVolume(**settings)


def test_a_picture_that_is_fitted_keeps_its_whole() -> None:
    with pytest.raises(PresetError, match="within: 320 needs"):
        PublishedPicture(within=320)
