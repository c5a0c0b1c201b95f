"""`voxtile phantom he`: a set of synthetic H&E slides with annotations, reports, labels and known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from shapely.geometry import mapping

from voxtile.phantom.truth import KnownCase
from voxtile.phantom.writing import Phantom
from voxtile_pathology.phantom.case import FINDINGS, MPP, Artefact, Case, Region, draw_case
from voxtile_pathology.phantom.render import render
from voxtile_pathology.phantom.reports import write_report
from voxtile_pathology.phantom.slide_file import write_annotations, write_slide

_BYTES = 2_500_000  # a slide with its annotations, at most about

_README = """H&E phantom, seed {seed}, {n} slides

Everything here is synthetic; names and numbers are invented.

slides/NAME.svs             tiled pyramidal TIFF, JPEG tiles, three levels, 0.5 micrometres a pixel
annotations/NAME.geojson    regions of eight tissues, in level-0 pixels, as QuPath exports them
reports.csv                 study, subject, text
labels.csv                  study, subject, and a column of 0 and 1 for each finding
truth.json                  outline of the tissue, regions, pen marks, blurred spots and folds; no converter reads it

Another seed gives entirely different slides; the same seed gives the same bytes.
"""
PHANTOM = Phantom("he", "slides", _BYTES, _README, chunk=4)


def write_he_phantom(out: Path, *, n: int = 140, seed: int = 0, workers: int = 0) -> None:
    """Write synthetic H&E slides with annotations, reports, labels and known truth.

    Each slide is one case of one patient. Of every two neighbouring slides one has a carcinoma, and so for the other
    findings, independently.

    Args:
        out: new or empty folder.
        n: number of slides.
        seed: another seed gives other slides; the same seed gives the same bytes, whatever the number of workers.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, or n or seed is out of range.
    """
    PHANTOM.write_cases(
        out, partial(write_case, out, seed), tuple(FINDINGS), n=n, seed=seed, workers=workers,
        folders=("slides", "annotations"), about={"mpp": MPP},
    )  # fmt: skip


def write_case(out: Path, seed: int, number: int) -> KnownCase:
    """Render one slide and write its files."""
    case = draw_case(seed, number)
    write_slide(out / "slides" / f"{case.name}.svs", render(seed, case), case)
    write_annotations(out / "annotations" / f"{case.name}.geojson", case)
    labels = tuple(int(case.findings[name]) for name in FINDINGS)
    return KnownCase(case.name, case.name, write_report(seed, case), labels, _truth(case))


def _truth(case: Case) -> dict[str, Any]:
    return {
        "number": case.number,
        "study": case.name,
        "size": list(case.size),
        "findings": {name: bool(present) for name, present in case.findings.items()},
        "tissue": mapping(case.tissue),
        "regions": [_shape(region) for region in case.regions],
        "artefacts": [_shape(artefact) for artefact in case.artefacts],
    }


def _shape(item: Region | Artefact) -> dict[str, Any]:
    shape = {"polygon": mapping(item.polygon)}
    if isinstance(item, Region):
        return {"tissue": item.tissue, **shape}
    return {"kind": item.kind, "colour": item.colour, **shape}
