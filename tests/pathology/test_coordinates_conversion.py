"""Coordinates in and out: the patches that CLAM or TRIDENT chose, and ours in their files."""

import numpy as np
import openslide
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile_pathology.coordinates.files import write_coordinates
from voxtile_pathology.coordinates.layout import clam_attributes, trident_attributes

NAME = "CMU-1-Small-Region"
CORNERS = np.array([[1000, 800], [0, 0], [512, 1024], [1000, 800], [2100, 2900]], np.int64)


@pytest.fixture
def slide(test_data):
    return test_data / f"pathology/svs_cmu1_small_region/{NAME}.svs"


def convert(slide, tmp_path, *options):
    corpus = tmp_path / "corpus"
    status = main(["convert", "wsi", str(slide), str(corpus), "--engine", "inline", "--codec", "png", *options])
    rows = Corpus(corpus).table("samples").to_pylist() if corpus.exists() else []
    return status, corpus, [row for row in rows if row["kind"] == "patch"]


def test_clams_patches_are_those_of_openslide(slide, tmp_path):
    attributes = clam_attributes(
        name=NAME, patch_px=200, level=0, downsample=(1.0, 1.0), level_size=(2220, 2967), size=(2220, 2967)
    )
    (tmp_path / "patches").mkdir()
    write_coordinates(tmp_path / f"patches/{NAME}.h5", CORNERS, attributes)
    status, corpus, rows = convert(slide, tmp_path, "--sampling", "coords", "--coords", str(tmp_path))
    assert status == 0
    assert sorted(tuple(row["level0_box"][:2]) for row in rows) == sorted({tuple(c) for c in CORNERS.tolist()})
    with openslide.OpenSlide(slide) as reader:
        for row in rows:
            x, y, _, _ = row["level0_box"]
            width, height = min(200, 2220 - x), min(200, 2967 - y)
            expected = np.asarray(reader.read_region((x, y), 0, (width, height)).convert("RGB"))
            pixels = decode_picture(Corpus(corpus).source(row).encoded())
            np.testing.assert_array_equal(pixels[:height, :width], expected)
            assert pixels.shape == (200, 200, 3)


@pytest.mark.parametrize("none", [np.empty((0, 2), np.int64), np.empty(0)], ids=["no rows", "no shape"])
def test_a_file_that_names_no_patch_gives_none(slide, tmp_path, none, capsys):
    write_coordinates(
        tmp_path / f"{NAME}.h5", none, trident_attributes(name=NAME, patch_px=128, level0_px=256, mpp=1.0)
    )
    _, corpus, rows = convert(slide, tmp_path, "--sampling", "coords", "--coords", str(tmp_path))
    assert rows == []
    assert [row["reason"] for row in Corpus(corpus).ledger().to_pylist()] == ["no-coordinates"]
    capsys.readouterr()


def test_tridents_patches_are_resampled_from_their_level_0_size(slide, tmp_path):
    attributes = trident_attributes(name=NAME, patch_px=128, level0_px=256, mpp=1.0)
    write_coordinates(tmp_path / f"{NAME}_patches.h5", CORNERS[:3], attributes)
    status, corpus, rows = convert(slide, tmp_path, "--sampling", "coords", "--coords", str(tmp_path))
    assert status == 0
    with openslide.OpenSlide(slide) as reader:
        for row in rows:
            x0, y0, x1, y1 = row["level0_box"]
            assert (x1 - x0, y1 - y0) == (256, 256)
            whole = np.asarray(reader.read_region((x0, y0), 0, (256, 256)).convert("RGB"), np.float64)
            expected = whole.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
            pixels = decode_picture(Corpus(corpus).source(row).encoded())
            assert np.abs(pixels - expected).max() <= 1


def test_coordinates_of_another_slide_and_missing_ones_are_refused(slide, tmp_path, capsys):
    attributes = trident_attributes(name=NAME, patch_px=128, level0_px=256, mpp=1.0)
    write_coordinates(tmp_path / f"{NAME}_patches.h5", np.array([[50_000, 10]]), attributes)
    status, corpus, _ = convert(slide, tmp_path, "--sampling", "coords", "--coords", str(tmp_path))
    assert status == 1
    assert {row["reason"] for row in Corpus(corpus).ledger().to_pylist()} == {"unreadable-coordinates"}
    assert convert(slide, tmp_path, "--sampling", "coords")[0] == 2
    (tmp_path / "empty").mkdir()
    assert convert(slide, tmp_path, "--sampling", "coords", "--coords", str(tmp_path / "empty"))[0] == 2
    assert "no coordinates file" in " ".join(capsys.readouterr().err.split())
