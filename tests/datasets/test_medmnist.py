"""`build medmnist`: official files, 2D and 3D, read exactly; hostile ones refused before memory is taken."""

import zipfile

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.recipes.medmnist import build_medmnist
from voxtile_datasets.recipes.medmnist_sets import SETS
from voxtile_datasets.recipes.npz import RowReader, read_headers


def write_npz(path, shape, classes, *, counts=(7, 3, 4), columns=1, seed=0, **replaced):
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        top = 2 if columns > 1 else classes
        arrays[f"{split}_labels"] = rng.integers(0, top, (count, columns)).astype(np.uint8)
    arrays |= replaced
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
    return arrays


def samples(root):
    corpus = Corpus(root)
    return corpus, {row["source"].split("/")[1]: row for row in corpus.table("samples").to_pylist()}


@pytest.mark.sweep(ci=True)
def test_official_pneumoniamnist_pixel_for_pixel(test_data, tmp_path):
    path = test_data / "medical/medmnist2d_pneumonia/pneumoniamnist.npz"
    build_medmnist(path, tmp_path / "corpus", engine="inline")
    corpus, stored = samples(tmp_path / "corpus")
    splits = corpus.splits()
    concepts = {row["uid"]: row["concept"] for row in corpus.table("facts").to_pylist()}
    with np.load(path) as arrays:
        assert len(stored) == sum(len(arrays[f"{s}_images"]) for s in ("train", "val", "test"))
        for split in ("train", "val", "test"):
            for index, (image, label) in enumerate(
                zip(arrays[f"{split}_images"], arrays[f"{split}_labels"], strict=True)
            ):
                row = stored[f"{split}-{index:06d}"]
                np.testing.assert_array_equal(decode_picture(corpus.source(row).encoded()), image)
                assert splits[row["subject"]] == split
                assert concepts[row["uid"]] == ["normal", "pneumonia"][label[0]]
    assert {row["licence"] for row in stored.values()} == {"CC BY 4.0"}
    scopes = corpus.table("scopes").to_pylist()
    assert {(s["closed"], tuple(s["concepts"])) for s in scopes} == {(True, ("normal", "pneumonia"))}


def test_colour_volume_and_multi_label_sets(tmp_path):
    path = tmp_path / "pathmnist_64.npz"
    arrays = write_npz(path, (10, 12, 3), 9)
    build_medmnist(path, tmp_path / "path", engine="inline")
    corpus, stored = samples(tmp_path / "path")
    np.testing.assert_array_equal(
        decode_picture(corpus.source(stored["val-000002"]).encoded()), arrays["val_images"][2]
    )

    path = tmp_path / "vesselmnist3d.npz"
    arrays = write_npz(path, (6, 7, 8), 2)
    build_medmnist(path, tmp_path / "vessel", engine="inline")
    corpus, stored = samples(tmp_path / "vessel")
    row = stored["test-000001"]
    assert (row["kind"], row["axes"], row["modality"], row["codec"]) == ("volume", "ZYX", "MR", "b2nd")
    np.testing.assert_array_equal(corpus.source(row).array(), arrays["test_images"][1])
    assert corpus.source(row).preview() is not None

    path = tmp_path / "chestmnist.npz"
    arrays = write_npz(path, (9, 9), 0, columns=14)
    build_medmnist(path, tmp_path / "chest", engine="inline")
    corpus, stored = samples(tmp_path / "chest")
    present = {(row["uid"], row["concept"]) for row in corpus.table("facts").to_pylist()}
    expected = {
        (stored[f"train-{i:06d}"]["uid"], SETS["chestmnist"].classes[j]) for i, j in np.argwhere(arrays["train_labels"])
    }
    assert {pair for pair in present if pair[0] in {stored[f"train-{i:06d}"]["uid"] for i in range(7)}} == expected


def test_the_same_pictures_twice_are_two_samples(tmp_path):
    path = tmp_path / "pneumoniamnist.npz"
    write_npz(path, (5, 5), 2, train_images=np.zeros((7, 5, 5), np.uint8))
    build_medmnist(path, tmp_path / "corpus", engine="inline")
    assert len(samples(tmp_path / "corpus")[1]) == 14


def test_rows_are_read_in_pieces_forwards_and_backwards(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**31, (1000, 3, 5))
    np.savez_compressed(tmp_path / "a.npz", x=values)
    reader = RowReader(tmp_path / "a.npz", read_headers(tmp_path / "a.npz")["x"])
    for start, stop in [(0, 10), (10, 300), (990, 1000), (5, 6), (5, 6), (400, 401)]:
        np.testing.assert_array_equal(reader.rows(start, stop), values[start:stop])


def test_every_data_set_is_consistent():
    assert len(SETS) == 18
    for name, entry in SETS.items():
        assert len(set(entry.classes)) == len(entry.classes) > 1, name
        assert entry.dimensions == (3 if name.endswith("3d") else 2)
        assert entry.licence.startswith("CC BY")
    assert SETS["dermamnist"].licence == "CC BY-NC 4.0"


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        ("pneumoniamnist.npz", {"val_labels": None}, InputError, "no array 'val_labels'"),
        ("pneumoniamnist.npz", {"val_images": np.zeros((3, 5, 5), np.float32)}, InputError, "is float32"),
        ("pneumoniamnist.npz", {"val_images": np.zeros((3, 5, 5, 4), np.uint8)}, InputError, "uint8 of N × Y × X"),
        ("pneumoniamnist.npz", {"val_labels": np.zeros((9, 1), np.uint8)}, InputError, "3 × 1 integers"),
        ("pneumoniamnist.npz", {"val_labels": np.array([[None]] * 3)}, InputError, "Python objects"),
        ("organmnist3d.npz", {}, InputError, "N × Z × Y × X"),
        ("cats.npz", {}, ConfigError, "no MedMNIST data set 'cats'"),
    ],
)
def test_wrong_files_are_refused_and_make_nothing(tmp_path, name, change, error, message):
    write_npz(tmp_path / name, (5, 5), 2, **change)
    with pytest.raises(error, match=message):
        build_medmnist(tmp_path / name, tmp_path / "corpus", engine="inline")
    assert not (tmp_path / "corpus").exists()


def test_headers_that_claim_terabytes_and_broken_zips_are_refused(tmp_path):
    path = tmp_path / "pneumoniamnist.npz"
    header = (
        b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 28, 28), }"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", header.ljust(128, b" ") + bytes(100))
    with pytest.raises(InputError, match="claims shape"):
        build_medmnist(path, tmp_path / "corpus", engine="inline")
    for content in (b"", b"not a zip", b"PK\x03\x04 cut"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not a readable \.npz"):
            build_medmnist(path, tmp_path / "corpus", engine="inline")
    with pytest.raises(InputError, match="does not exist"):
        build_medmnist(tmp_path / "none.npz", tmp_path / "corpus", engine="inline")
    with pytest.raises(InputError, match=r"is a folder; give the \.npz file in it"):
        build_medmnist(tmp_path, tmp_path / "corpus", engine="inline")
    assert not (tmp_path / "corpus").exists()


def test_a_label_outside_the_classes_fails_by_name(tmp_path):
    path = tmp_path / "pneumoniamnist.npz"
    write_npz(path, (5, 5), 2, val_labels=np.array([[0], [1], [5]], np.uint8))
    with pytest.raises(Exception, match="failed") as caught:
        build_medmnist(path, tmp_path / "corpus", engine="inline")
    assert caught.value.exit_status == 1
    assert len(samples(tmp_path / "corpus")[1]) == 11
