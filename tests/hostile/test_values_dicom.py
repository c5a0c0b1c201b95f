"""Numbers in DICOM headers that cannot be: each costs its file one row by name, and the archive is converted."""

from __future__ import annotations

import json
import math
import re

import pytest

from voxtile_medical.plausible import check_position, check_scale, check_spacing
from voxtile_medical.verdicts import Verdict


@pytest.fixture(scope="module")
def archive(tmp_path_factory, dicom_files, command):
    """One conversion of all hostile headers, and what each row must say."""
    folder = tmp_path_factory.mktemp("values")
    source, corpus = folder / "dicom", folder / "corpus"
    expected = dicom_files.write_not_finite(source / "numbers")
    expected = {f"numbers/{name}": reason for name, reason in expected.items()}
    for name, write in {
        "impossible": dicom_files.write_impossible,
        "films": dicom_files.write_radiographs,
        "volume": dicom_files.write_volume_with_one_bad_slice,
    }.items():
        expected |= {f"{name}/{path}": reason for path, reason in write(source / name).items()}
    for number in range(3):
        dicom_files.write(source / "sound" / f"{number}.dcm", dicom_files.ct(10 + number))
        expected[f"sound/{number}.dcm"] = "used"
    run = command(corpus, "convert", "dicom", source, corpus, "--workers", "2", "--min-slices", "1")
    return run, expected


def test_every_bad_number_is_one_row_by_its_files_name(archive):
    run, expected = archive
    assert run.verdicts() == expected
    assert run.status == 1  # files failed, and the command says so
    failed = [row for row in run.rows() if row["status"] == "failed"]
    assert len(failed) == sum(
        reason.startswith(("unreadable", "implausible", "too-large")) for reason in expected.values()
    )


def test_names_are_hidden_in_the_ledger_and_the_map_has_them(archive):
    run, _ = archive
    assert all(row["source"] != row["path"] and len(row["source"]) == 32 for row in run.rows())
    assert "slope-abc" not in run.said


def test_each_sentence_names_an_element_and_no_file(archive):
    run, _ = archive
    said = [line for line in run.said.splitlines() if line.startswith("failed: ")]
    assert len(said) == 10  # the first ten are printed
    words = "Image(Position|Orientation)Patient|PixelSpacing|Rescale(Slope|Intercept)|NumberOfFrames|ImagerPixelSpacing"
    for line in said:
        assert re.search(rf"^failed: [0-9a-f]{{32}}: .*({words}|stored 0|from the origin|claims)", line), line


def test_no_number_of_the_corpus_is_made_up_or_not_finite(archive):
    run, expected = archive
    samples = run.samples()
    # A film of the series of which one is impossible is a sample of its own.
    assert len(samples) == sum(reason == "used" for reason in expected.values()) + 1
    for sample in samples:
        (channel,) = sample["channels"]
        assert (channel["scale"], channel["offset"]) == (1.0, -1024.0)
        attributes = json.loads(sample["attributes"], parse_constant=pytest.fail)
        assert "window" not in attributes
        assert all(math.isfinite(value) for value in (*sample["spacing"], *(sample["affine"] or ())))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2e5])
def test_what_is_no_place_and_no_distance_is_refused_by_whoever_asks(value):
    with pytest.raises(Verdict, match="from the origin"):
        check_position((0.0, value, 0.0))
    with pytest.raises(Verdict, match=r"PixelSpacing is .* mm, and MR has"):
        check_spacing((1.0, value), "MR")
    with pytest.raises(Verdict, match="RescaleSlope is "):
        check_scale(value * 1e9, 0.0, "CT")


def test_a_film_may_fall_and_a_slice_may_not():
    for modality in ("DX", "MG", "CR"):
        check_scale(-1.0, 4095.0, modality)
        with pytest.raises(Verdict, match=f"is 50 mm, and {modality} has 0.001 to 10 mm"):
            check_spacing((0.2, 50.0), modality)
    for modality in ("CT", "MR", "PT"):
        with pytest.raises(Verdict, match="RescaleSlope is -1"):
            check_scale(-1.0, 4095.0, modality)


def test_the_same_archive_gives_the_same_plan(archive, command):
    run, expected = archive
    source = run.corpus.with_name("dicom")
    again = command(run.corpus, "convert", "dicom", source, run.corpus, "--workers", "1", "--min-slices", "1")
    assert run.verdicts() == expected  # nothing was added: every item was known by its digest
    assert re.search(rf"from earlier runs\s*│\s*{len(expected)} ", again.said)
