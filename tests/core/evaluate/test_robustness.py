"""Changed images: what each change does to a tensor, and what a run says of them."""

import json

import pytest
import torch

from voxtile.data.presets.tile import TilePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError
from voxtile.evaluation.inputs.robustness import changed_images, changes
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model
from voxtile.evaluation.tasks.file import parse_task

PLAIN = VolumePreset(shape=(8, 8, 8))


def changed(name, images, preset=PLAIN, uids=None):
    uids = uids or [str(number) for number in range(len(images))]
    load = changed_images(lambda asked: [(asked, images)], changes([name], preset)[name], preset)
    return next(iter(load(uids)))[1]


@pytest.mark.parametrize("shape", [(2, 1, 8, 8, 8), (2, 3, 12, 12)])
def test_each_change_keeps_the_shape_and_is_fixed_by_the_uid(shape):
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for name in ("flip", "orientation", "resampling", "noise", "scanner"):
        once, again = changed(name, images), changed(name, images)
        assert once.shape == images.shape
        torch.testing.assert_close(once, again, rtol=0, atol=0)
        assert not torch.equal(once, images)
    other = changed("noise", images, uids=["a", "b"])
    assert not torch.equal(other, changed("noise", images))


def test_what_the_changes_are():
    image = torch.arange(64.0).view(1, 1, 8, 8)
    torch.testing.assert_close(changed("flip", image), image.flip(-1))
    torch.testing.assert_close(changed("orientation", changed("orientation", image)), image.flip(-1, -2))
    flat = torch.full((1, 1, 8, 8, 8), 3.0)
    for name in ("resampling", "noise", "scanner"):
        torch.testing.assert_close(changed(name, flat), flat)  # nothing to lose, and noise goes by the picture's spread
    noisy = changed("noise", torch.randn(1, 1, 40, 40)) - changed("noise", torch.zeros(1, 1, 40, 40))
    assert noisy.std() == pytest.approx((1 + 0.25**2) ** 0.5, rel=0.1)


def test_coordinates_are_no_picture():
    preset = VolumePreset(shape=(8, 8, 8), coordinates=True)
    images = torch.randn(1, 4, 8, 8, 8)
    found = changed("flip", images, preset)
    torch.testing.assert_close(found[:, 1:], images[:, 1:])
    torch.testing.assert_close(found[:, :1], images[:, :1].flip(-1))


def test_bands_go_missing_by_name():
    preset = TilePreset(bands=("B04|red", "B08", "B11"), size=(4, 4))
    images = torch.ones(1, 3, 4, 4)
    assert changed("missing=B11+red", images, preset)[0, :, 0, 0].tolist() == [0, 1, 0]
    with pytest.raises(ConfigError, match="reads no band 'B12'; did you mean 'B11'"):
        changes(["missing=B12"], preset)
    with pytest.raises(ConfigError, match="names no bands"):
        changes(["missing=B11"], PLAIN)
    with pytest.raises(ConfigError, match="did you mean 'noise'"):
        changes(["nois"], PLAIN)


def test_a_task_names_its_changes_and_a_wrong_one_is_told_with_its_place(task_path):
    import yaml

    content = yaml.safe_load(task_path.read_text())
    assert parse_task({**content, "robustness": ["flip"]}, where="t", name="t").robustness == ("flip",)
    with pytest.raises(ConfigError, match=r"task file 't', at robustness: there is no robustness check 'flipp'"):
        parse_task({**content, "robustness": ["flipp"]}, where="t", name="t")


def test_rows_under_changes_stand_beside_the_clean_ones_with_a_paired_difference(block_corpus, make_model, task_path):
    """The model looks at corner blocks: a flip takes them from its sight, noise of a quarter does not."""
    options = Options(replicates=100, batch_size=32, robustness=("flip", "noise"), subgroups=("modality",))
    evaluation = evaluate_model(make_model(), "m", block_corpus, [str(task_path)], options)
    content = json.loads(json.dumps(evaluation.to_json()))
    value = {(r["model"], r["kind"]): r["value"] for r in content["rows"]
             if (r["metric"], r["average"]) == ("auroc", "macro")}  # fmt: skip
    assert value["blocks", "model"] > 0.9
    assert value["blocks@flip", "model"] == pytest.approx(0.5, abs=0.2)
    differences = {d["model"]: d for d in content["differences"] if d["baseline"] == "blocks"}
    assert set(differences) == {"blocks@flip", "blocks@noise"}
    for name, part in differences.items():
        assert part["value"] == pytest.approx(value[name, "model"] - value["blocks", "model"], abs=1e-12)
    assert differences["blocks@flip"]["high"] < -0.1
    assert abs(differences["blocks@noise"]["value"]) < 0.05
    groups = {(g["group"], g["class"]): g for g in content["subgroups"]}
    assert set(groups) == {("CT", name) for name in (None, "nodule", "effusion", "fracture")}
    assert groups["CT", None]["value"] == pytest.approx(value["blocks", "model"], abs=1e-12)
    assert {c["temperature"] is None for c in content["calibration"]} == {True, False}
