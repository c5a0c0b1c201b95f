"""Vectors of TRIDENT and CLAM for the patches of a corpus: each to its own patch, or refused in a sentence."""

import h5py
import numpy as np
import pytest
import torch

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.stages.verify.corpus import verify
from voxtile_pathology.convert.convert import convert_wsi

SIDE, WIDTH = 64, 3


@pytest.fixture
def corpus(slide_writer, slide_texture):
    """A corpus of two slides of 4 × 1 and 5 × 1 patches, its names replaced by hashes."""
    folder = slide_writer.folder = slide_writer.folder / "slides"
    folder.mkdir()
    for columns, name in ((4, "a.svs"), (5, "b.svs")):
        slide_writer.svs(name, slide_texture(SIDE * columns, SIDE)[:1], tile=SIDE, mpp=0.5, objective=20)
    options = {"mpp": "native", "patch_px": SIDE, "min_tissue": 0.0, "max_pen": 1.0, "engine": "inline"}
    convert_wsi(folder, folder.parent / "corpus", **options)
    return folder.parent / "corpus"


def corners(count):
    """From right to left, as no grid of ours goes."""
    return np.array([[SIDE * column, 0] for column in reversed(range(count))])


def write(folder, name, count, *, attributes=True, values=None, coords=True, side=SIDE):
    """Vectors of a slide as TRIDENT has them, or as CLAM, without attributes; each begins with its patch's x."""
    folder.mkdir(parents=True, exist_ok=True)
    places = corners(count)
    if values is None:
        values = np.concatenate([places[:, :1], np.full((count, WIDTH - 1), len(name))], axis=1).astype(np.float32)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file.create_dataset("features", data=values)
        if coords:
            stored = file.create_dataset("coords", data=places)
            if attributes:
                stored.attrs.update({"patch_size": side, "patch_size_level0": side, "name": name})
    return folder


def run(corpus, folder, *words):
    command = ["import", "features", str(folder), str(corpus), "--model", "uni", "--engine", "inline", *words]
    return main([str(word) for word in command])


def vectors(corpus):
    """(x of the patch, first number of its vector) of all vectors."""
    rows = {row["uid"]: row for row in Corpus(corpus).table("samples").to_pylist()}
    found = Corpus(corpus).table("embeddings").to_pylist()
    assert {row["model"] for row in found} <= {"uni"}
    return sorted((rows[row["uid"]]["level0_box"][0], row["vector"][0]) for row in found)


ALL = sorted((SIDE * x, SIDE * x) for count in (4, 5) for x in range(count))


def test_vectors_of_trident_go_to_the_patches_at_their_places(corpus, tmp_path, capsys):
    folder = write(tmp_path / "features_uni", "a", 4)
    write(folder, "b", 5)
    write(folder, "c", 5)
    assert run(corpus, folder) == 0
    assert vectors(corpus) == ALL
    assert "1 of 3 files are named as no slide" in capsys.readouterr().err
    assert not verify(corpus).problems
    assert run(corpus, folder) == 0
    assert vectors(corpus) == ALL


@pytest.mark.parametrize("kind", ["h5_files", "pt_files"])
def test_vectors_of_clam_need_the_folder_of_places(corpus, tmp_path, capsys, kind):
    places = write(write(tmp_path / "patches", "a", 4), "b", 5)
    folder = tmp_path / "clam"
    for name, count in (("a", 4), ("b", 5)):
        held = write(folder / "h5_files", name, count, attributes=False) / f"{name}.h5"
        if kind == "pt_files":
            with h5py.File(held) as file:
                tensor = torch.from_numpy(file["features"][:])
            (folder / kind).mkdir(exist_ok=True)
            torch.save(tensor[None] if name == "b" else tensor, folder / kind / f"{name}.pt")
            held.unlink()
    assert run(corpus, folder) == 1
    assert "--coords" in capsys.readouterr().out
    assert run(corpus, folder, "--coords", places, "--retry") == 0
    assert vectors(corpus) == ALL


def test_patches_that_the_corpus_lacks_are_counted(corpus, tmp_path):
    assert run(corpus, write(tmp_path / "f", "a", 6)) == 0
    assert vectors(corpus) == ALL[:1] + [(SIDE * x, SIDE * x) for x in range(1, 4)]
    (row,) = [row for row in Corpus(corpus).ledger().to_pylist() if row["reason"] == "no-patch"]
    assert row["source"].endswith("#2 of 6 patches")


def test_other_vectors_of_a_model_do_not_stand_beside_the_first(corpus, tmp_path, capsys):
    assert run(corpus, write(tmp_path / "f", "a", 4)) == 0
    changed = write(tmp_path / "f", "a", 4, values=np.ones((4, WIDTH), np.float32))
    assert run(corpus, changed) == 1
    assert "voxtile retract CORPUS --stage features" in capsys.readouterr().out
    assert main(["retract", str(corpus), "--stage", "features"]) == 0
    assert run(corpus, changed, "--retry") == 0
    assert {value for _, value in vectors(corpus)} == {1.0}
    wider = write(tmp_path / "f", "b", 5, values=np.ones((5, WIDTH + 1), np.float32))
    assert run(corpus, wider) == 1
    assert f"vectors have {WIDTH + 1} numbers, and others of the model {WIDTH}" in capsys.readouterr().out


class Harmful:
    def __reduce__(self):
        return print, ("ran",)


def _of_objects(folder):
    folder.mkdir()
    torch.save(Harmful(), folder / "a.pt")
    return folder


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda f: write(f, "a", 4, side=128),
            "are 128 × 128 pixels of level 0, and those of the corpus 64",
        ),
        (lambda f: write(f, "a", 4, values=np.ones((5, 3), np.float32)), "5 vectors and 4 places"),
        (lambda f: write(f, "a", 4, values=np.full((4, 3), np.nan, np.float32)), "not finite or too large"),
        (lambda f: write(f, "a", 4, values=np.full((4, 3), 1e5, np.float32)), "not finite or too large"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(corpus, tmp_path, capsys, make, sentence):
    assert run(corpus, make(tmp_path / "f")) == 1
    assert sentence in capsys.readouterr().out
    assert not vectors(corpus)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda f: write(f, "a", 4, values=np.ones(768, np.float32)), "vectors of whole slides"),
        (lambda f: write(f, "a", 4, values=np.ones((4, 3), np.int64)), "one vector a patch"),
        (lambda f: write(f, "z", 4), "none of the 1 files"),
        (lambda f: write(f / "20x" / "features_uni", "a", 4).parents[1], "one of its folders, such as features_uni"),
        (lambda f: f, "is no folder"),
        (_of_objects, "the file of vectors"),
    ],
)
def test_folders_of_no_vectors_are_refused(corpus, tmp_path, capsys, make, sentence):
    assert run(corpus, make(tmp_path / "f")) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert "ran" not in said.out.split()
