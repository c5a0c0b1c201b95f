"""The configs of benchmarks/real_scenes on an invented BigEarthNet: labels, composed captions, training, a report."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from tests.benchmark_script import BENCHMARKS, benchmark_script

from voxtile.cli.main import main

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
SEEN = {"Pastures": (600, 900, 500), "Inland waters": (400, 300, 150)}  # reflectance · 10 000 in B02, B03, B04
SPLITS = ("train", "train", "test", "test", "validation")
TOWER = {"class_path": "voxtile.models.TimmTower", "init_args": {"name": "resnet10t", "pretrained": None}}


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Patches of two classes in the layout of version 2.0."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "cache"))
    rng, rows = np.random.default_rng(0), []
    for number in range(60):
        label, split = list(SEEN)[number % 2], SPLITS[number // 2 % 5]
        # Tiles far apart, so that no place is in two splits.
        tile = f"S2A_MSIL2A_20170613T101031_N9999_R022_T33UU{'PQR'[('train', 'test', 'validation').index(split)]}"
        patch = f"{tile}_{number:02d}_57"
        folder = Path("BigEarthNet-S2", tile, patch)
        folder.mkdir(parents=True)
        east = 100_000 * ("train", "test", "validation").index(split) + 2_000 * number
        transform = rasterio.transform.from_origin(200_000 + east, 5_000_000, 10, 10)
        for place, band in enumerate(BANDS):
            level = SEEN[label][place - 1] if 1 <= place <= 3 else 500
            about = {"width": 24, "height": 24, "count": 1, "dtype": "uint16", "crs": "EPSG:32633"}
            with rasterio.open(
                folder / f"{patch}_{band}.tif", "w", driver="GTiff", transform=transform, **about
            ) as out:
                out.write((level + rng.integers(0, 90, (1, 24, 24))).astype(np.uint16))
        rows.append(
            {"patch_id": patch, "s1_name": "S1A_not_there", "split": split, "labels": [label], "country": "Austria"}
        )
    pq.write_table(pa.Table.from_pylist(rows), "metadata.parquet")
    return tmp_path


@pytest.mark.sweep(ci=True)
def test_the_recipe_of_patches_goes_from_a_download_to_figures(download):
    run = ("--engine", "inline")
    assert main(["build", "bigearthnet", ".", "corpus", *run]) == 0
    assert main(["caption", "template", "corpus", "--bank", "remote_sensing", "--variants", "4", *run]) == 0
    config = BENCHMARKS / "real_scenes" / "patches-imagenet.yaml"
    quick = ("--trainer.max_epochs", "3", "--data.preset.init_args.size", "[24, 24]", "--model.encoder.image")
    assert main(["fit", "-c", str(config), "--data.corpus", "corpus", *quick, json.dumps(TOWER)]) == 0
    (checkpoint,) = Path("runs/patches-imagenet").rglob("last.ckpt")
    report = ("remote_sensing/bigearthnet", "--corpus", "corpus", "--out", "report")
    assert main(["evaluate", str(checkpoint), *report]) == 0
    rows = json.loads(Path("report/results.json").read_text())["rows"]
    found = {(row["kind"], row["class"]): row for row in rows if row["metric"] == "auroc"}
    assert {kind for kind, _ in found} == {"model", "trivial", "shuffled"}
    assert found["trivial", "pastures"]["value"] > 0.95, "the two are told apart by their mean colour"
    assert found["model", "pastures"]["positives"] == 12


def test_too_few_patches_to_report_on_are_said_to_give_no_figure(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    script = benchmark_script("real_scenes")

    def refused(folder, command, *argv):
        raise SystemExit(
            f"voxtile {command} failed:\nvoxtile: error: arable_land: refused, only 1 positive; a figure needs 10"
        )

    monkeypatch.setattr(script, "run", refused)
    (tmp_path / "patches-imagenet-0.ckpt").touch()
    (model,) = script.SETS["patches"].models
    assert script.figures(tmp_path, "remote_sensing/bigearthnet", model, 0, "test") == []
    assert "a figure needs 10" in capsys.readouterr().out
    assert script.said([script.value([], "auroc", "model")]) == "refused"
    monkeypatch.setattr(script, "run", lambda *_: (_ for _ in ()).throw(SystemExit("another fault")))
    with pytest.raises(SystemExit, match="another fault"):
        script.figures(tmp_path, "remote_sensing/bigearthnet", model, 0, "test")
