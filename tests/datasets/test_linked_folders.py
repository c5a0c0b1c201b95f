"""Links to folders and links that lead nowhere are not followed by conversions, which end and name them."""

import shutil

import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_datasets.intake.walk import walk


@pytest.fixture
def pictures(tmp_path):
    """Two pictures; beside them a link to another folder, one that leads back, and one to a single picture."""
    for place, shade in (("own/a", 10), ("own/b", 90), ("elsewhere/c", 170)):
        path = tmp_path / f"{place}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(path)
    (tmp_path / "own" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "own" / "back").symlink_to(tmp_path / "own")
    (tmp_path / "own" / "single.png").symlink_to(tmp_path / "elsewhere" / "c.png")
    return tmp_path / "own"


def test_pictures_behind_a_link_are_left_out_and_the_link_is_named(pictures, tmp_path, capsys):
    assert main(["convert", "image", str(pictures), str(tmp_path / "corpus"), "--engine", "inline"]) == 0
    assert Corpus(tmp_path / "corpus").table("samples").num_rows == 3, "a file may be a link"
    said = capsys.readouterr().err
    assert said.count("are not followed ('back' and 1 more)") == 1
    shutil.rmtree(pictures / "own", ignore_errors=True)
    (pictures / "back").unlink()
    (pictures / "link").unlink()
    assert main(["convert", "image", str(pictures), str(tmp_path / "again"), "--engine", "inline"]) == 0
    assert "followed" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["dicom", "geotiff", "wsi"])
def test_other_converters_name_it_as_well(kind, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "readme.txt").write_text("nothing")
    (tmp_path / "source" / "link").symlink_to(tmp_path / "elsewhere")
    main(["convert", kind, str(tmp_path / "source"), str(tmp_path / "corpus"), "--engine", "inline"])
    assert "are not followed ('link')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "name"),
    [("image", "a.png"), ("dicom", "a.dcm"), ("nifti", "a.nii.gz"), ("geotiff", "a.tif"), ("wsi", "a.svs")],
)
def test_a_file_that_was_not_fetched_is_named(kind, name, tmp_path, capsys):
    """git-annex and DataLad leave a link to nothing in its place."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "readme.txt").write_text("nothing")
    (tmp_path / "source" / name).symlink_to(tmp_path / "annex" / "objects" / "x")
    main(["convert", kind, str(tmp_path / "source"), str(tmp_path / "corpus"), "--engine", "inline"])
    assert f"lead to files that are not there ('{name}')" in capsys.readouterr().err


def test_rasters_in_other_formats_are_named_unless_a_reader_takes_them(tmp_path, capsys, test_data):
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(test_data / "remote_sensing/s2_l2a_scl_barbellino/S2A2A_20170703_022_Barbellino_BOA_10.tif", source)
    (source / "erdas.img").write_bytes(b"EHFA_HEADER_TAG")
    assert main(["convert", "geotiff", str(source), str(tmp_path / "corpus"), "--engine", "inline", "--dry-run"]) == 0
    assert f"1 file in '{source}' is of a format that is not read ('erdas.img')" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["image", "wsi", "geotiff"])
def test_archives_that_are_not_read_are_named(kind, tmp_path, capsys, test_data):
    source = tmp_path / "source"
    source.mkdir()
    (source / "old.zip").write_bytes(b"PK")
    assert main(["convert", kind, str(source), str(tmp_path / "corpus"), "--engine", "inline"]) == 2
    said = capsys.readouterr().err
    assert "'old.zip', still packed" in said or "it holds 1 archives" in said
    place = {
        "image": "medical/nih_cxr14_samples/00000003_000.png",
        "wsi": "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs",
        "geotiff": "remote_sensing/s2_l2a_scl_barbellino/S2A2A_20170703_022_Barbellino_BOA_10.tif",
    }
    shutil.copy(test_data / place[kind], source)
    assert main(["convert", kind, str(source), str(tmp_path / "corpus"), "--engine", "inline", "--dry-run"]) == 0
    assert f"1 archives in '{source}' are not read ('old.zip'); unpack them first" in capsys.readouterr().err


def test_it_goes_where_the_system_goes(pictures):
    import os

    assert list(walk(pictures)) == list(os.walk(pictures))
