"""Links to folders are not followed by conversions, which end and name them."""

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


def test_it_goes_where_the_system_goes(pictures):
    import os

    assert list(walk(pictures)) == list(os.walk(pictures))
