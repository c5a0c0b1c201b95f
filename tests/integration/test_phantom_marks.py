"""A converted phantom is known by its files' own marks, whatever licence is given; real files have none."""

import shutil
from pathlib import Path

import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.synthetic import is_phantom

REAL = ["--licence", "CC-BY-4.0"]
PHANTOMS = {
    "ct": ("dicom", "dicom", 1),
    "mr": ("dicom", "dicom", 1),
    "petct": ("dicom", "dicom", 1),
    "articles": ("packages", "figures", 1),
    "he": ("slides", "wsi", 4),
    "sentinel2": ("scenes", "geotiff", 1),
    "aerial": ("scenes", "geotiff", 1),
    "sar": ("scenes", "geotiff", 1),
}


@pytest.mark.cases(3)
@pytest.mark.parametrize("phantom", PHANTOMS)
def test_a_converted_phantom_is_called_one(phantom, tmp_path):
    folder, converter, count = PHANTOMS[phantom]
    assert main(["phantom", phantom, str(tmp_path / "files"), "--n", str(count), "--workers", "1"]) == 0
    source = tmp_path / "files" / folder
    if phantom == "he":  # one slide with tissue will do
        kept = max(source.iterdir(), key=lambda path: path.stat().st_size)
        source = tmp_path / "one"
        source.mkdir()
        shutil.copy(kept, source)
    assert main(["convert", converter, str(source), str(tmp_path / "corpus"), *REAL, "--engine", "inline"]) == 0
    corpus = Corpus(tmp_path / "corpus")
    attributes = corpus.table("samples")["attributes"].to_pylist()
    assert attributes
    assert all('"synthetic":"voxtile phantom"' in text.replace(": ", ":") for text in attributes)
    assert is_phantom(corpus)


def test_real_files_are_real_whatever_else_their_headers_say(test_data, tmp_path):
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    scan = dcmread(get_testdata_file("CT_small.dcm"))
    scan.SeriesDescription = "SYNTHETIC MR, no PHANTOM"
    (tmp_path / "scans").mkdir()
    for number in range(12):
        scan.SOPInstanceUID = scan.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        scan.InstanceNumber, scan.ImagePositionPatient = number + 1, [-158.1, -179.0, 5.0 * number]
        scan.save_as(tmp_path / "scans" / f"{number}.dcm")
    argv = ["convert", "dicom", str(tmp_path / "scans"), str(tmp_path / "ct"), *REAL, "--engine", "inline"]
    assert main(argv) == 0
    slide = next(Path(test_data, "pathology", "svs_cmu1_small_region").glob("*.svs"))
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "a.svs").symlink_to(slide)
    argv = ["convert", "wsi", str(tmp_path / "slides"), str(tmp_path / "wsi"), *REAL, "--coords-only", "true"]
    assert main([*argv, "--engine", "inline"]) == 0
    for name in ("ct", "wsi"):
        assert Corpus(tmp_path / name).table("samples").num_rows
        assert not is_phantom(Corpus(tmp_path / name))
