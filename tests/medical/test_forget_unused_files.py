"""`voxtile forget` where all patients lie in one folder: unused files are named after patients, too."""

import shutil

import pydicom
import pytest

from voxtile.cli.main import main
from voxtile.corpus.identity import KeyMap

INLINE = ("--engine", "inline")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Two patients in one folder: a series each, two planes that are too few, a damaged file, a text."""
    folder = tmp_path_factory.mktemp("export")
    assert main(["phantom", "ct", str(folder / "raw"), "--n", "2", "--workers", "1", "--seed", "3"]) == 0
    flat, patients = folder / "flat", {}
    flat.mkdir()
    for path in sorted((folder / "raw" / "dicom").rglob("*.dcm")):
        header = pydicom.dcmread(path)
        if header.Modality == "CT":
            patients.setdefault(header.PatientID, []).append(path)
    names = dict(zip(sorted(patients), ("schmidt-ursula", "novak-jan"), strict=False))
    for number, name in names.items():
        paths = patients[number]
        for index, path in enumerate(paths):
            shutil.copy(path, flat / f"{name}_{index}.dcm")
        for index, path in enumerate(paths[:2]):
            short = pydicom.dcmread(path)
            short.SeriesInstanceUID = f"{short.SeriesInstanceUID[:50]}.77"
            short.SOPInstanceUID = f"{short.SOPInstanceUID[:50]}.77.{index}"
            short.save_as(flat / f"{name}_short_{index}.dcm")
        (flat / f"{name}_damaged.dcm").write_bytes(paths[0].read_bytes()[:300])
        (flat / f"{name}_letter.txt").write_text("Dear colleague,")
    return flat, names


def convert(flat, corpus, *more):
    main(["convert", "dicom", str(flat), str(corpus), *INLINE, *more])  # damaged files: exit status 1


def paths_of(corpus):
    return sorted(KeyMap.for_corpus(corpus).paths().values())


def test_no_path_that_names_the_patient_is_left_nor_written_again(export, tmp_path):
    flat, names = export
    corpus = tmp_path / "corpus"
    convert(flat, corpus)
    before = paths_of(corpus)
    number = next(number for number, name in names.items() if name == "schmidt-ursula")
    assert {path.split("_")[1] for path in before if path.startswith("schmidt")} >= {
        "short",
        "damaged.dcm",
        "letter.txt",
    }

    assert main(["forget", str(corpus), "--subject", number]) == 0
    left = paths_of(corpus)
    assert not [path for path in left if path.startswith("schmidt")]
    known = [path for path in before if path.startswith("novak") and "damaged" not in path and "letter" not in path]
    assert left == known  # the other patient's dropped series is looked up as before

    convert(flat, corpus)
    convert(flat, corpus, "--licence", "CC0-1.0")
    assert paths_of(corpus) == known


def test_a_patient_of_whom_nothing_was_used_is_forgotten(export, tmp_path):
    flat, names = export
    folder, corpus = tmp_path / "two", tmp_path / "corpus"
    folder.mkdir()
    for path in flat.iterdir():
        if path.name.startswith("novak") or "_short_" in path.name:
            shutil.copy(path, folder / path.name)
    convert(folder, corpus)
    assert [path for path in paths_of(corpus) if path.startswith("schmidt")]
    number = next(number for number, name in names.items() if name == "schmidt-ursula")
    assert main(["forget", str(corpus), "--subject", number]) == 0
    convert(folder, corpus)
    assert not [path for path in paths_of(corpus) if path.startswith("schmidt")]
    assert [path for path in paths_of(corpus) if path.startswith("novak")]
