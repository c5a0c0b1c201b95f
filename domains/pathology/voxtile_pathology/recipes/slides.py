"""Data sets of whole slides: Camelyon16, and TCGA with its reports. The conversion is that of `voxtile convert wsi`."""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from voxtile.corpus.splits import split_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import InputError
from voxtile.stages.ingest.table import read_table
from voxtile_datasets.recipes.download import some_of, tell
from voxtile_pathology.convert.convert import convert_wsi
from voxtile_pathology.recipes.collection import Collection
from voxtile_pathology.recipes.lesions import LesionFactTask, write_lesions
from voxtile_pathology.slides.open import find_slides

CAMELYON16 = Collection(
    name="camelyon16",
    title="Camelyon16 (Ehteshami Bejnordi et al., JAMA 2017)",
    licence="CC0 1.0",
    source="https://camelyon17.grand-challenge.org/Data",
    classes={"camelyon16": {"normal": "normal lymph node tissue", "tumor": "lymph node metastasis"}},
    body_part="lymph node",
)
TCGA = Collection(
    name="tcga",
    title="TCGA slides (NCI Genomic Data Commons) with reports (Kefeli and Tatonetti, Patterns 2024)",
    licence="NIH GDC open access; reports CC BY 4.0",
    source="https://portal.gdc.cancer.gov",
)
_SLIDE = re.compile(r"^(normal|tumor|test)_\d+$", re.IGNORECASE)
_VALIDATION = 0.1
_TCGA_CASE = re.compile(r"^TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}", re.IGNORECASE)
_REPORTS = "TCGA_Reports.csv"


def build_camelyon16(
    source: Path,
    corpus: Path,
    *,
    mpp: float = 0.5,
    patch_px: int = 256,
    overlap: int = 0,
    min_tissue: float = 0.5,
    sampling: Literal["grid", "random", "annotations"] = "grid",
    patches_per_slide: int = 256,
    coords_only: bool = False,
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from Camelyon16: slides of lymph nodes, with and without metastasis, lesions as regions.

    The official test stays the test; a tenth of the training slides becomes the validation split. Slides of the test
    are labelled where `reference.csv` is in the folder. A slide's label is a fact of its overview; a patch has a
    metastasis where the drawn lesions cover half of it, is normal where they leave it free and the slide was drawn
    completely, and of other patches nothing is said. The groups of the lesions are those of the data set's README: `_0`
    and `_1` are tumour, and `_2` is cut out of it.

    Args:
        source: the folder with the slides (`normal_*.tif`, `tumor_*.tif`, `test_*.tif`) and the unpacked
            `lesion_annotations`, in whatever folders.
        corpus: the corpus to add to; made if it does not exist.
        mpp: micrometres a pixel of a patch.
        patch_px: width and height of a patch in pixels.
        overlap: pixels that neighbouring patches share.
        min_tissue: share of tissue that a patch needs.
        sampling: grid, random places in the tissue, or where lesions are.
        patches_per_slide: number of random patches a slide.
        coords_only: store no pixels; training reads them from the slides.
        run: options of the run.

    Raises:
        InputError: the folder holds no slide of Camelyon16, or a table cannot be used.
        RunFailedError: some slides could not be read; the rest is converted.
    """
    options = RunOptions(**run)
    _say(CAMELYON16)
    names = [path.stem for path in find_slides(source)]
    if not any(_SLIDE.match(name) for name in names):
        raise InputError(f"'{source}' holds no slide of {CAMELYON16.title}, such as normal_001.tif")
    labels = _camelyon_labels(source, names)
    unlabelled = sorted(name for name in names if _SLIDE.match(name) and name not in labels)
    if unlabelled:
        tell(f"{CAMELYON16.title}: '{source}' has no reference.csv that labels {some_of(unlabelled)}")
    with tempfile.TemporaryDirectory(prefix="voxtile-") as folder:
        tables = Path(folder)
        (tables / "lesions").mkdir()
        known = CAMELYON16.classes["camelyon16"]
        write_lesions(source, tables / "lesions", names, known["tumor"])
        drawn = {path.stem for path in (tables / "lesions").iterdir()}
        bare = sorted(name for name, label in labels.items() if label == known["tumor"] and name not in drawn)
        if bare:
            tell(f"{CAMELYON16.title}: '{source}' has no lesion annotations (XML) of {some_of(bare)}")
        _table(tables / "splits.csv", ("subject", "split"), [(name, _camelyon_split(name)) for name in names])
        convert_wsi(
            source, corpus, mpp=mpp, patch_px=patch_px, overlap=overlap, min_tissue=min_tissue, sampling=sampling,
            patches_per_slide=patches_per_slide, coords_only=coords_only, annotations=tables / "lesions",
            splits=tables / "splits.csv", deidentify=False, licence=CAMELYON16.licence, **asdict(options),
        )  # fmt: skip
        if not options.dry_run:
            task = LesionFactTask(str(corpus), str(tables / "lesions"), labels, known["tumor"], known["normal"])
            run_task(task, corpus, options).raise_if_failed()


def build_tcga(
    source: Path,
    corpus: Path,
    *,
    reports: Path | None = None,
    mpp: float = 0.5,
    patch_px: int = 256,
    overlap: int = 0,
    min_tissue: float = 0.5,
    sampling: Literal["grid", "random"] = "grid",
    patches_per_slide: int = 256,
    coords_only: bool = False,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from TCGA slides and the published reports of their cases; a study is a case.

    Licence: of the slides, open access of the NCI's GDC (https://gdc.cancer.gov/access-data/data-access-policies); of
    the reports, CC BY 4.0 (https://doi.org/10.17632/hyg5xkznpx.1).

    Args:
        source: the folder that gdc-client wrote to (a folder a file), or any folder of TCGA slides.
        corpus: the corpus to add to; made if it does not exist.
        reports: TCGA_Reports.csv (columns `patient_filename` and `text`); found in the source folder if not given.
        mpp: micrometres a pixel of a patch.
        patch_px: width and height of a patch in pixels.
        overlap: pixels that neighbouring patches share.
        min_tissue: share of tissue that a patch needs.
        sampling: grid, or random places in the tissue.
        patches_per_slide: number of random patches a slide.
        coords_only: store no pixels; training reads them from the slides.
        split_fractions: shares of train, val and test, by case.
        run: options of the run.

    Raises:
        InputError: the folder holds no TCGA slide, or the reports cannot be used.
        RunFailedError: some slides could not be read; the rest is converted.
    """
    options = RunOptions(**run)
    _say(TCGA)
    cases = {match.group(0).upper() for path in find_slides(source) if (match := _TCGA_CASE.match(path.name))}
    if not cases:
        raise InputError(f"'{source}' holds no slide with a TCGA barcode, such as TCGA-AA-3844-01Z-00-DX1.svs")
    found = reports or next(iter(sorted(source.rglob(_REPORTS))), None)
    if found is None:
        tell(f"{TCGA.title}: '{source}' has no {_REPORTS}; slides are converted without reports")
    with tempfile.TemporaryDirectory(prefix="voxtile-") as folder:
        texts = None
        if found is not None:
            texts = Path(folder) / "reports.csv"
            _table(texts, ("subject", "text"), _reports(found, cases))
        convert_wsi(
            source, corpus, mpp=mpp, patch_px=patch_px, overlap=overlap, min_tissue=min_tissue, sampling=sampling,
            patches_per_slide=patches_per_slide, coords_only=coords_only, reports=texts, study="case",
            deidentify=False, split_fractions=split_fractions, licence=TCGA.licence, **asdict(options),
        )  # fmt: skip


def _reports(path: Path, cases: set[str]) -> list[tuple[str, str]]:
    """(case, text) of the cases that have slides; `patient_filename` is the barcode, a dot and the report's id."""
    table = read_table(path)
    names = table.column(table.need(("patient_filename", "patient_barcode"), "patient"))
    texts = table.column(table.need(("text", "report_text"), "report"))
    rows = [((name or "")[:12].upper(), text) for name, text in zip(names, texts, strict=True)]
    matched = [(case, text) for case, text in rows if case in cases and text]
    if not matched:
        raise InputError(f"no report of '{path}' belongs to one of the {len(cases)} cases; is it {_REPORTS}?")
    Console(stderr=True).print(f"{len(matched)} reports for {len(cases)} cases", highlight=False)
    return matched


def _camelyon_split(name: str) -> str:
    if name.lower().startswith("test"):
        return "test"
    return split_of(name, {"train": 1 - _VALIDATION, "val": _VALIDATION}, salt=CAMELYON16.name)


def _camelyon_labels(source: Path, names: Sequence[str]) -> dict[str, str]:
    """Slide → class: of training slides by their names, of test slides by `reference.csv` (name, class, …)."""
    known = CAMELYON16.classes["camelyon16"]
    labels = {name: known[kind] for name in names if (kind := name.lower().partition("_")[0]) in known}
    for path in sorted(source.rglob("reference.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file):
                name = row[0].strip().removesuffix(".tif") if row else ""
                if name in names and len(row) > 1:
                    kind = row[1].strip().lower()
                    if kind not in known:
                        raise InputError(
                            f"'{path}' gives '{name}' the class '{row[1]}'; the classes are Normal and Tumor"
                        )
                    labels[name] = known[kind]
    return labels


def _table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _say(collection: Collection) -> None:
    Console(stderr=True).print(f"{collection.title}: {collection.licence}", highlight=False, markup=False)
