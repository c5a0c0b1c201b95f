"""The H&E phantom: files that other programs read, truth that fits the pixels, reports that fit the truth."""

import csv
import json

import numpy as np
import openslide
import pytest
from shapely.geometry import shape

from voxtile.errors import InputError
from voxtile_pathology.annotations.model import read_annotations
from voxtile_pathology.phantom.case import FINDINGS, draw_case
from voxtile_pathology.phantom.he import write_he_phantom
from voxtile_pathology.phantom.reports import write_report
from voxtile_pathology.phantom.tissues import PAINTERS

SEED, SLIDES = 11, 3


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("he") / "phantom"
    write_he_phantom(out, n=SLIDES, seed=SEED, workers=1)
    return out


@pytest.fixture(scope="module")
def truth(phantom):
    return json.loads((phantom / "truth.json").read_text())


def _rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_slides_are_what_openslide_calls_an_aperio_pyramid(phantom):
    paths = sorted((phantom / "slides").iterdir())
    assert len(paths) == SLIDES
    for path in paths:
        with openslide.OpenSlide(path) as slide:
            assert slide.properties["openslide.vendor"] == "aperio"
            assert float(slide.properties["openslide.mpp-x"]) == 0.5
            assert slide.properties["openslide.objective-power"] == "20"
            assert slide.level_count == 3
            assert {slide.properties[f"openslide.level[{n}].tile-width"] for n in range(3)} == {"256"}
            assert {"label", "macro", "thumbnail"} <= set(slide.associated_images)


def test_levels_show_the_same_picture(phantom):
    path = sorted((phantom / "slides").iterdir())[0]
    with openslide.OpenSlide(path) as slide:
        width, height = slide.level_dimensions[1]
        fine = slide.read_region((0, 0), 0, (4 * width, 4 * height)).convert("RGB").reduce(4)
        coarse = slide.read_region((0, 0), 1, (width, height)).convert("RGB")
    difference = np.abs(np.asarray(fine, float) - np.asarray(coarse, float))
    assert difference.mean() < 4
    assert np.corrcoef(np.asarray(fine).ravel(), np.asarray(coarse).ravel())[0, 1] > 0.98


def test_glass_is_bright_and_tissue_is_stained_where_the_truth_says(phantom, truth):
    for study in truth["studies"]:
        tissue = shape(study["tissue"])
        with openslide.OpenSlide(phantom / "slides" / f"{study['study']}.svs") as slide:
            corner = np.asarray(slide.read_region((0, 0), 0, (64, 64)).convert("RGB"))
            x, y = map(int, tissue.representative_point().coords[0])
            inside = np.asarray(slide.read_region((x - 128, y - 128), 0, (256, 256)).convert("RGB"))
        assert corner.min() > 200
        assert tissue.contains(shape({"type": "Point", "coordinates": (x, y)}))
        assert inside.std() > corner.std()


def test_regions_of_the_truth_are_the_annotations(phantom, truth):
    for study in truth["studies"]:
        drawn = read_annotations(phantom / "annotations" / f"{study['study']}.geojson")
        assert [a.label.replace(" ", "_") for a in drawn] == [r["tissue"] for r in study["regions"]]
        for annotation, region in zip(drawn, study["regions"], strict=True):
            assert annotation.polygon.symmetric_difference(shape(region["polygon"])).area < 1
        pieces = [a.polygon for a in drawn]
        assert sum(a.intersection(b).area for i, a in enumerate(pieces) for b in pieces[:i]) < 1
        assert all(shape(study["tissue"]).buffer(1).covers(piece) for piece in pieces)


def test_a_region_differs_from_its_surroundings_at_its_border(phantom, truth):
    """The pixels of fat begin where the polygon says: inside it is mostly clear, just outside it is stroma."""
    for study in truth["studies"]:
        for region in study["regions"]:
            if region["tissue"] != "adipose":
                continue
            polygon = shape(region["polygon"])
            with openslide.OpenSlide(phantom / "slides" / f"{study['study']}.svs") as slide:
                picture = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")).min(axis=2)
            near = {}
            for name, ring in (("in", polygon.buffer(-8)), ("out", polygon.buffer(6))):
                points = np.rint(
                    [ring.exterior.interpolate(t, normalized=True).coords[0] for t in np.linspace(0, 1, 300)]
                )
                columns, rows = points.astype(int).clip(0, np.array(picture.T.shape) - 1).T
                near[name] = np.median(picture[rows, columns])
            assert near["in"] > near["out"] + 15
            return
    pytest.fail("no slide of this phantom has fat")


def test_labels_and_regions_agree(phantom, truth):
    rows = {row["study"]: row for row in _rows(phantom / "labels.csv")}
    for study in truth["studies"]:
        tissues = {region["tissue"] for region in study["regions"]}
        for finding, tissue in FINDINGS.items():
            assert (tissue in tissues) == bool(int(rows[study["study"]][finding])) == study["findings"][finding]


def test_of_two_cases_one_has_each_finding():
    for pair in range(20):
        first, second = draw_case(3, 2 * pair).findings, draw_case(3, 2 * pair + 1).findings
        assert all(first[name] != second[name] for name in FINDINGS)


def test_every_tissue_occurs_and_there_are_at_least_seven():
    tissues = {region.tissue for number in range(12) for region in draw_case(SEED, number).regions}
    assert tissues == set(PAINTERS)
    assert len(tissues) >= 7


def test_artefacts_of_every_kind_occur():
    cases = [draw_case(SEED, number) for number in range(60)]
    assert {artefact.kind for case in cases for artefact in case.artefacts} == {"pen", "blur", "fold"}
    assert {a.colour for case in cases for a in case.artefacts if a.kind == "pen"} == {"blue", "green", "black", "red"}


def test_reports_vary_and_are_those_of_the_cases(phantom):
    rows = _rows(phantom / "reports.csv")
    assert [row["text"] for row in rows] == [write_report(SEED, draw_case(SEED, n)) for n in range(SLIDES)]
    assert len({write_report(SEED, draw_case(SEED, n)) for n in range(60)}) == 60


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(phantom, tmp_path):
    write_he_phantom(tmp_path / "again", n=1, seed=SEED, workers=2)
    write_he_phantom(tmp_path / "other", n=1, seed=SEED + 1, workers=1)
    first = sorted((phantom / "slides").iterdir())[0]
    again = tmp_path / "again" / "slides" / first.name
    assert again.read_bytes() == first.read_bytes()
    other = next((tmp_path / "other" / "slides").iterdir())
    assert other.read_bytes() != first.read_bytes()


def test_bad_arguments_are_refused(phantom, tmp_path):
    with pytest.raises(InputError, match="not an empty folder"):
        write_he_phantom(phantom, n=1)
    with pytest.raises(InputError, match="between 1 and 99999"):
        write_he_phantom(tmp_path / "none", n=0)
    with pytest.raises(InputError, match="negative"):
        write_he_phantom(tmp_path / "none", n=1, seed=-1)
