"""Coordinates of CLAM and TRIDENT: files as the tools write them, read and written back without a change."""

import h5py
import numpy as np
import pytest

from voxtile.errors import InputError
from voxtile_pathology.coordinates.files import find_coordinates, read_coordinates, write_coordinates
from voxtile_pathology.coordinates.layout import clam_attributes, trident_attributes

CORNERS = np.array([[0, 0], [1024, 0], [1024, 2048], [99_328, 70_001]], np.int64)


def tool_file(path, corners, attributes, **other):
    """A file in the way of both tools' own writers: chunks of a row, growable, attributes on the dataset."""
    with h5py.File(path, "w") as file:
        for name, array in {"coords": corners, **other}.items():
            chunks = (1, *array.shape[1:])
            stored = file.create_dataset(name, shape=array.shape, maxshape=(None, *array.shape[1:]), chunks=chunks,
                                         dtype=array.dtype)  # fmt: skip
            stored[:] = array
        for key, value in attributes.items():
            file["coords"].attrs[key] = value
    return path


CLAM = {
    "patch_size": 256, "patch_level": 1, "downsample": (4.000078, 4.000127),
    "downsampled_level_dim": (25_000, 20_000), "level_dim": (25_000, 20_000), "name": "TCGA-A1", "save_path": "out",
}  # fmt: skip
TRIDENT = {
    "patch_size": 512, "patch_size_level0": 1024, "level0_magnification": 40, "target_magnification": 20,
    "overlap": 0, "name": "TCGA-A1", "savetodir": "out", "level0_width": 100_000, "level0_height": 80_000,
}  # fmt: skip


def content(path):
    with h5py.File(path) as file:
        arrays = {name: (data.dtype, data.maxshape, data[:].tobytes()) for name, data in file.items()}
        attributes = {k: (np.asarray(v).dtype, np.asarray(v).tolist()) for k, v in file["coords"].attrs.items()}
    return arrays, attributes


@pytest.mark.parametrize(("attributes", "layout"), [(CLAM, "clam"), (TRIDENT, "trident")])
@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_round_trip_keeps_values_types_and_attributes(tmp_path, attributes, layout, dtype):
    path = tool_file(tmp_path / "a.h5", CORNERS.astype(dtype), attributes)
    coordinates = read_coordinates(path)
    assert (coordinates.layout, coordinates.name, len(coordinates)) == (layout, "TCGA-A1", 4)
    write_coordinates(tmp_path / "b.h5", coordinates.corners, coordinates.attributes)
    assert content(tmp_path / "b.h5") == content(path)


def test_boxes_follow_the_levels_true_downsample(tmp_path):
    clam = read_coordinates(tool_file(tmp_path / "c.h5", CORNERS, CLAM))
    assert clam.level0_px == (1024, 1024)  # int(256 · 4.000078), as CLAM itself cuts it
    assert clam.boxes[3].tolist() == [99_328, 70_001, 100_352, 71_025]
    scalar = read_coordinates(tool_file(tmp_path / "d.h5", CORNERS, {"patch_size": 256, "patch_level": 0}))
    assert scalar.boxes[1].tolist() == [1024, 0, 1280, 256]
    trident = read_coordinates(tool_file(tmp_path / "t.h5", CORNERS, TRIDENT))
    assert (trident.patch_px, trident.level0_px) == (512, (1024, 1024))
    assert trident.boxes.dtype == np.int64


def test_our_attributes_are_the_tools_own():
    ours = clam_attributes(name="s", patch_px=256, level=1, downsample=(4.0, 4.0), level_size=(10, 20), size=(40, 80))
    assert set(ours) == set(CLAM)
    ours = trident_attributes(name="TCGA-A1", patch_px=512, level0_px=1024, mpp=0.5, size=(100_000, 80_000))
    assert ours | {"savetodir": "out"} == TRIDENT


def test_features_lie_beside_coordinates(tmp_path):
    features = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float16)
    write_coordinates(tmp_path / "f.h5", CORNERS, TRIDENT, features=features)
    with h5py.File(tmp_path / "f.h5") as file:
        np.testing.assert_array_equal(file["features"][:], features)
        assert file["features"].dtype == np.float16
    assert len(read_coordinates(tmp_path / "f.h5")) == 4


def test_files_are_found_by_the_slides_name(tmp_path):
    (tmp_path / "patches").mkdir()
    for name in ("a.h5", "patches/b_patches.h5", "c.h5"):
        tool_file(tmp_path / name, CORNERS, CLAM)
    slides = {n: find_coordinates(tmp_path, tmp_path / n) for n in ("a.svs", "b.svs", "c.ome.tiff", "d.svs")}
    assert [p and p.name for p in slides.values()] == ["a.h5", "b_patches.h5", "c.h5", None]
    single = tmp_path / "patches/b_patches.h5"
    assert find_coordinates(single, tmp_path / "b.svs") == single
    assert find_coordinates(single, tmp_path / "a.svs") is None


@pytest.mark.parametrize(
    ("corners", "attributes", "message"),
    [
        (CORNERS, {}, "no attribute 'patch_size'"),
        (CORNERS, CLAM | {"patch_size": 0}, "patch_size"),
        (CORNERS, CLAM | {"downsample": (0.0, 1.0)}, "which no level has"),
        (CORNERS, CLAM | {"downsample": (1.0, 2.0, 3.0)}, "one number or two"),
        (CORNERS, {"patch_size": 256, "patch_level": 2}, "no attribute 'downsample'"),
        (CORNERS, CLAM | {"custom_downsample": 2}, "readers disagree"),
        (CORNERS, TRIDENT | {"patch_size_level0": -4}, "patch_size_level0"),
        (CORNERS.astype(float), CLAM, "needs N × 2 integers"),
        (CORNERS[:, :1], CLAM, "needs N × 2 integers"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, corners, attributes, message):
    with pytest.raises(InputError, match=message) as caught:
        read_coordinates(tool_file(tmp_path / "a.h5", corners, attributes))
    assert str(tmp_path / "a.h5") in str(caught.value)


def test_links_bombs_and_damaged_files_are_refused(tmp_path):
    tool_file(tmp_path / "real.h5", CORNERS, CLAM)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["coords"] = h5py.ExternalLink(str(tmp_path / "real.h5"), "coords")
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("coords", shape=(10**12, 2), chunks=(1024, 2), dtype="i8")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "real.h5").read_bytes()[:900])
    h5py.File(tmp_path / "empty.h5", "w").close()
    for name, message in {
        "link.h5": "in another file", "bomb.h5": "claims 1000000000000 patches", "cut.h5": "not a readable HDF5",
        "empty.h5": "no dataset 'coords'", "none.h5": "does not exist",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=message):
            read_coordinates(tmp_path / name)
