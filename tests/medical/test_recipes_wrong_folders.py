"""What `voxtile build` says of a folder that is not the one it asks for, and of parts that are not there."""

import shutil

import pytest
from tests.support.picture_sets import busi, mimic_cxr_jpg, nih_cxr14
from tests.support.volume_sets import msd, totalsegmentator

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus

INLINE = ("--engine", "inline")


def build(name, root, corpus):
    return main(["build", name, str(root), str(corpus), *INLINE])


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


def rows(corpus):
    kept = ("subject", "modality", "shape", "sha256")
    return sorted(str([row[name] for name in kept]) for row in Corpus(corpus).table("samples").to_pylist())


def test_one_task_of_the_decathlon_is_read_by_itself(tmp_path):
    msd(tmp_path / "all")
    task = next(path for path in sorted((tmp_path / "all").iterdir()) if list(path.glob("labelsTr/*.nii.gz")))
    shutil.copytree(task, tmp_path / "one" / task.name)
    build("msd", tmp_path / "one", tmp_path / "by-parent")
    build("msd", tmp_path / "one" / task.name, tmp_path / "by-itself")
    assert rows(tmp_path / "by-itself") == rows(tmp_path / "by-parent") != []
    regions = [Corpus(tmp_path / name).table("regions")["phrase"].to_pylist() for name in ("by-itself", "by-parent")]
    assert sorted(regions[0]) == sorted(regions[1]) != []


LAYOUTS = {"nih-cxr14": nih_cxr14, "busi": busi, "totalsegmentator": totalsegmentator}


@pytest.mark.parametrize(("name", "make"), LAYOUTS.items())
def test_a_download_that_is_still_packed_is_named(tmp_path, capsys, name, make):
    make(tmp_path / "in")
    archive = shutil.make_archive(str(tmp_path / "download" / "part one"), "zip", tmp_path / "in")
    assert build(name, archive, tmp_path / "corpus") == 2
    assert "part one.zip' is packed; unpack it, and give the folder" in said(capsys)
    assert build(name, tmp_path / "download", tmp_path / "corpus") == 2
    assert "but 'part one.zip', still packed: unpack them first" in said(capsys)


def test_reports_and_tables_that_are_not_there_are_said(tmp_path, capsys):
    mimic_cxr_jpg(tmp_path / "in")
    build("mimic-cxr-jpg", tmp_path / "in", tmp_path / "whole")
    whole = said(capsys)
    assert "pictures have no report" not in whole
    assert "has no table of CheXpert labels" not in whole
    for path in [*tmp_path.rglob("in/**/*.txt"), *tmp_path.rglob("in/*chexpert*")]:
        path.unlink()
    build("mimic-cxr-jpg", tmp_path / "in", tmp_path / "bare")
    bare = said(capsys)
    number = len(Corpus(tmp_path / "bare").table("samples"))
    assert f"{number} of {number} pictures have no report in" in bare
    assert "'files/p1" in bare
    assert "has no table of CheXpert labels (of MIMIC-CXR-JPG)" in bare
