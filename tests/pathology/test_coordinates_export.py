"""A corpus of slides in the files of TRIDENT and CLAM, and back into a corpus with the same patches."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_pathology.coordinates.export import grid_overlap
from voxtile_pathology.coordinates.files import read_coordinates

NAME = "CMU-1-Small-Region"


@pytest.fixture(scope="module")
def slide(test_data):
    return test_data / f"pathology/svs_cmu1_small_region/{NAME}.svs"


@pytest.fixture(scope="module")
def corpus(slide, tmp_path_factory):
    root = tmp_path_factory.mktemp("export") / "corpus"
    words = ["convert", "wsi", str(slide), str(root), "--engine", "inline", "--mpp", "1", "--patch-px", "128"]
    assert main([*words, "--overlap", "32"]) == 0
    return root


def patches(root):
    rows = Corpus(root).table("samples").to_pylist()
    return sorted(tuple(row["level0_box"]) for row in rows if row["kind"] == "patch")


def test_trident_and_back_gives_the_same_patches(corpus, slide, tmp_path):
    assert main(["export", str(corpus), str(tmp_path / "out"), "--to", "trident"]) == 0
    path = tmp_path / f"out/10x_128px_32px_overlap/patches/{NAME}_patches.h5"
    found = read_coordinates(path)
    assert (found.layout, found.name, found.patch_px) == ("trident", NAME, 128)
    assert found.attributes["overlap"] == 32
    assert (found.attributes["level0_width"], found.attributes["level0_height"]) == (2220, 2967)
    assert (found.attributes["level0_magnification"], found.attributes["target_magnification"]) == (20, 10)
    boxes = patches(corpus)
    # TRIDENT has whole level-0 pixels a patch, and this slide has 0.499 µm a pixel: 128 px at 1 µm are 256.5.
    assert [tuple(box[:2]) for box in sorted(found.boxes.tolist())] == [box[:2] for box in boxes]
    assert abs(found.level0_px[0] - 256.5) <= 1

    again = tmp_path / "again"
    words = ["convert", "wsi", str(slide), str(again), "--engine", "inline", "--sampling", "coords", "--coords"]
    assert main([*words, str(path.parent)]) == 0
    assert [box[:2] for box in patches(again)] == [box[:2] for box in boxes]
    assert main(["export", str(again), str(tmp_path / "out2"), "--to", "trident"]) == 0
    (second,) = (tmp_path / "out2").rglob("*.h5")
    assert read_coordinates(second).boxes.tolist() == found.boxes.tolist()


def test_clam_has_level_0_patches(corpus, tmp_path):
    assert main(["export", str(corpus), str(tmp_path), "--to", "clam"]) == 0
    found = read_coordinates(tmp_path / f"patches/{NAME}.h5")
    assert found.layout == "clam"
    assert found.attributes["patch_level"] == 0
    assert found.attributes["level_dim"].tolist() == [2220, 2967]
    assert [tuple(box[:2]) for box in sorted(found.boxes.tolist())] == [box[:2] for box in patches(corpus)]
    with h5py.File(tmp_path / f"patches/{NAME}.h5") as file:
        assert file["coords"].maxshape == (None, 2)


def test_features_lie_beside_the_coordinates_in_their_order(corpus, tmp_path):
    rows = [row for row in Corpus(corpus).table("samples").to_pylist() if row["kind"] == "patch"]
    vectors = {row["uid"]: np.array([row["level0_box"][0], row["level0_box"][1], 7], np.float16) for row in rows}
    content = [{"uid": uid, "model": "timm:x/y", "vector": vector} for uid, vector in vectors.items()]
    schema = pa.schema([("uid", pa.string()), ("model", pa.string()), ("vector", pa.list_(pa.float16()))])
    (corpus / "tables/embeddings").mkdir()
    pq.write_table(pa.Table.from_pylist(content, schema=schema), corpus / "tables/embeddings/by-hand.parquet")
    words = ["export", str(corpus), str(tmp_path), "--features", "timm:x/y", "--to"]
    assert main([*words, "trident"]) == 0
    assert main([*words, "clam"]) == 0
    folder = tmp_path / "10x_128px_32px_overlap"
    for path in (folder / f"features_timm_x_y/{NAME}.h5", tmp_path / f"h5_files/{NAME}.h5"):
        with h5py.File(path) as file:
            assert file["features"].dtype == np.float32  # what layers of CLAM take
            np.testing.assert_array_equal(file["features"][:, :2], file["coords"][:].astype(np.float16))
            assert len(file["features"]) == len(rows)
            assert file["coords"].attrs["name"] == NAME
            stored = file["features"][:]
    np.testing.assert_array_equal(torch.load(tmp_path / f"pt_files/{NAME}.pt").numpy(), stored)


def test_names_need_the_key_map(corpus, tmp_path):
    key = corpus.with_name("corpus.sources.parquet")
    moved = key.rename(tmp_path / "key.parquet")
    try:
        assert main(["export", str(corpus), str(tmp_path / "hashed"), "--to", "clam"]) == 0
        (hashed,) = (tmp_path / "hashed/patches").iterdir()
        assert NAME not in hashed.name
        words = ["export", str(corpus), str(tmp_path / "named"), "--to", "clam", "--key-file"]
        assert main([*words, str(moved)]) == 0
        assert (tmp_path / f"named/patches/{NAME}.h5").is_file()
        assert main([*words, str(tmp_path / "none.parquet")]) == 2
    finally:
        moved.rename(key)


def test_what_cannot_be_exported_is_named(corpus, tmp_path, capsys):
    assert main(["export", str(corpus), str(tmp_path), "--to", "trident", "--mpp", "0.25"]) == 2
    assert "has no patches of slides at 0.25" in capsys.readouterr().err
    assert main(["export", str(corpus), str(tmp_path), "--to", "trident", "--features", "conch"]) == 2
    assert "no embeddings by 'conch'" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.h5"))


def test_the_overlap_of_a_grid_is_seen_and_random_places_have_none():
    x, y = np.meshgrid(np.arange(6) * 192, np.arange(5) * 192)
    grid = np.stack([x.ravel(), y.ravel()], axis=1)
    assert grid_overlap(grid, 256, 128) == 32
    assert grid_overlap(np.random.default_rng(0).integers(0, 9999, (50, 2)), 256, 128) == 0
    assert grid_overlap(grid // 192 * 256, 256, 128) == 0
    assert grid_overlap(grid[:1], 256, 128) == 0
