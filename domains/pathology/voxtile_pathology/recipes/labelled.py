"""Data sets with a table of labels: MHIST, SICAPv2, SkinCancer and Osteosarcoma."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile.errors import InputError, required
from voxtile.stages.ingest.table import as_text, read_table
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.entries import Entry
from voxtile_pathology.recipes.collection import Collection, class_of, need, picture, pictures_below
from voxtile_pathology.recipes.picture_files import PictureFiles

_HERE = "voxtile_pathology.recipes.labelled"

MHIST = Collection(
    name="mhist",
    title="MHIST (Wei et al., AIME 2021)",
    licence="MHIST Dataset Research Use Agreement",
    source="https://bmirds.github.io/MHIST/",
    classes={"mhist": {"HP": "hyperplastic polyp", "SSA": "sessile serrated adenoma"}},
    body_part="colon",
)

SICAP = Collection(
    name="sicap",
    title="SICAPv2 (Silva-Rodríguez et al., CMPB 2020)",
    licence="CC BY 4.0",
    source="https://data.mendeley.com/datasets/9xxm58dvs3/2",
    classes={
        "sicap": {
            "NC": "benign prostate tissue", "G3": "Gleason grade 3 prostate cancer",
            "G4": "Gleason grade 4 prostate cancer", "G5": "Gleason grade 5 prostate cancer",
        },
    },
    body_part="prostate",
)  # fmt: skip
_SICAP_TABLES = {
    "train": "partition/Validation/Val1/Train.xlsx", "val": "partition/Validation/Val1/Test.xlsx",
    "test": "partition/Test/Test.xlsx",
}  # fmt: skip
_MAX_WORKBOOK = 64 << 20  # bytes unpacked; the largest table has 20,000 rows

SKIN_CANCER = Collection(
    name="skin-cancer",
    title="skin tissues and tumours (Kriegsmann et al., Frontiers in Oncology 2022)",
    licence="CC BY, as its users state; see doi:10.11588/data/7QCR8S",
    source="https://doi.org/10.11588/data/7QCR8S",
    classes={
        "skin-cancer": {
            "nontumor_skin_chondraltissue_chondraltissue": "cartilage",
            "nontumor_skin_dermis_dermis": "dermis",
            "nontumor_skin_elastosis_elastosis": "elastosis",
            "nontumor_skin_epidermis_epidermis": "epidermis",
            "nontumor_skin_hairfollicle_hairfollicle": "hair follicle",
            "nontumor_skin_muscle_skeletal": "skeletal muscle",
            "nontumor_skin_necrosis_necrosis": "necrosis",
            "nontumor_skin_nerves_nerves": "nerve",
            "nontumor_skin_sebaceousglands_sebaceousglands": "sebaceous gland",
            "nontumor_skin_subcutis_subcutis": "subcutaneous fat",
            "nontumor_skin_sweatglands_sweatglands": "sweat gland",
            "nontumor_skin_vessel_vessel": "blood vessel",
            "tumor_skin_epithelial_bcc": "basal cell carcinoma",
            "tumor_skin_epithelial_sqcc": "squamous cell carcinoma",
            "tumor_skin_melanoma_melanoma": "melanoma",
            "tumor_skin_naevus_naevus": "melanocytic naevus",
        },
    },
    mpp=100 / 395,  # 100 × 100 µm in about 395 × 395 pixels
    body_part="skin",
)
# Columns, labels and how names differ from those of the files: loaders of the set in public repositories.
OSTEOSARCOMA = Collection(
    name="osteosarcoma",
    title="osteosarcoma tiles (Arunachalam et al., PLOS ONE 2019)",
    licence="CC BY 3.0",
    source="https://doi.org/10.7937/tcia.2019.bvhjhdas",
    classes={
        "osteosarcoma": {
            "Non-Tumor": "non-tumour tissue", "Viable": "viable osteosarcoma",
            "Non-Viable-Tumor": "necrotic osteosarcoma", "viable: non-viable": "viable and necrotic osteosarcoma",
        },
    },
    body_part="bone",
)  # fmt: skip
_OSTEO_CASE = re.compile(r"(case-\w+?)-")
_SKIN_SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}
_SKIN_SLIDE = re.compile(r"_(ws_\d+)_\d+$")


def list_mhist(root: Path) -> Iterator[Entry]:
    """Rows of `annotations.csv`, pictures in `images/`; the votes of seven pathologists are kept."""
    table = read_table(need(root, "annotations.csv", MHIST))
    names = table.column(table.need(("Image Name",), "picture"))
    labels = table.column(table.need(("Majority Vote Label",), "label"))
    votes = table.column(table.need(("Number of Annotators who Selected SSA (Out of 7)",), "votes"))
    parts = table.column(table.need(("Partition",), "split"))
    for name, label, vote, part in zip(names, labels, votes, parts, strict=True):
        path = f"images/{name}"
        where = f"'{name}' in '{table.path}'"
        if part not in ("train", "test"):
            raise InputError(f"{where} has the partition '{part}'; MHIST has train and test")
        yield picture(
            path,
            {"mhist": (class_of(MHIST, "mhist", label or "", where),)},
            split=part,
            attributes={"votes_for_ssa": int(vote or 0)},
            is_missing=not (root / path).is_file(),
        )


def list_sicap(root: Path) -> Iterator[Entry]:
    """Rows of the official partitions (fold 1 for validation), pictures in `images/`, patients of `wsi_labels.xlsx`."""
    need(root, "images", SICAP)
    patients = {
        str(row["slide_id"]): str(row["patient_id"])
        for row in workbook_rows(need(root, "wsi_labels.xlsx", SICAP), ("slide_id", "patient_id"))
    }
    known = SICAP.classes["sicap"]
    for split, table in _SICAP_TABLES.items():
        for row in workbook_rows(need(root, table, SICAP), ("image_name", *known)):
            name = str(row["image_name"])
            slide = name.partition("_Block_")[0]
            held = tuple(title for label, title in known.items() if as_text(row[label]) == "1")
            if len(held) != 1:
                raise InputError(f"'{name}' in '{root / table}' has {len(held)} classes; SICAPv2 gives one")
            path = f"images/{name}"
            yield picture(
                path, {"sicap": held}, subject=patients.get(slide, slide), study=slide, split=split,
                attributes={"magnification": 10}, is_missing=not (root / path).is_file(),
            )  # fmt: skip


def list_skin_cancer(root: Path) -> Iterator[Entry]:
    """Rows of `tiles-v2.csv`, in the folder or its `data`; the slide is part of a picture's name."""
    base = root if (root / "tiles-v2.csv").is_file() else root / "data"
    table = read_table(need(base, "tiles-v2.csv", SKIN_CANCER))
    files = table.column(table.need(("file",), "picture"))
    labels = table.column(table.need(("class",), "label"))
    sets = table.column(table.need(("set",), "split"))
    for file, label, name in zip(files, labels, sets, strict=True):
        inner = (file or "").removeprefix("./").removeprefix("data/")
        split = _SKIN_SPLITS.get((name or "").lower())
        where = f"'{file}' in '{table.path}'"
        if split is None:
            raise InputError(f"{where} is in the set '{name}'; the sets are Train, Validation and Test")
        match = _SKIN_SLIDE.search(Path(inner).stem)
        slide = match.group(1) if match else None
        path = (base / inner).relative_to(root).as_posix()
        yield picture(
            path,
            {"skin-cancer": (class_of(SKIN_CANCER, "skin-cancer", label or "", where),)},
            subject=slide, study=slide, split=split, is_missing=not (base / inner).is_file(),
        )  # fmt: skip


def list_osteosarcoma(root: Path) -> Iterator[Entry]:
    """Rows of `ML_Features_1144.csv`, pictures in whatever folder; the case is the beginning of a name.

    The table's names have spaces where those of the files have none or hyphens.

    Raises:
        InputError: a name that begins with no case.
    """
    table = read_table(need(root, "ML_Features_1144.csv", OSTEOSARCOMA))
    names = table.column(table.need(("image.name",), "picture"))
    labels = table.column(table.need(("classification",), "label"))
    found = {_osteo_name(path.stem): path.as_posix() for path in pictures_below(root)}
    for name, label in zip(names, labels, strict=True):
        where = f"'{name}' in '{table.path}'"
        key = _osteo_name(name or "")
        case = _OSTEO_CASE.match(key)
        if case is None:
            raise InputError(f"{where} begins with no case, as names of this set do; download the table again")
        path, subject = found.get(key), case.group(1)
        yield picture(
            path or str(name),
            {"osteosarcoma": (class_of(OSTEOSARCOMA, "osteosarcoma", label or "", where),)},
            subject=subject, study=subject, is_missing=path is None,
        )  # fmt: skip


def _osteo_name(name: str) -> str:
    return re.sub(r"[\s-]+", "-", name.strip()).lower()


def workbook_rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows of the first sheet of an Excel file, by column name.

    Args:
        path: the `.xlsx`.
        columns: those that it must have.

    Raises:
        InputError: the file is damaged, too large, or lacks a column.
        MissingExtraError: openpyxl is not installed.
    """
    with required("openpyxl", "pathology"):
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_WORKBOOK:
                raise InputError(f"'{path}' unpacks to more than {_MAX_WORKBOOK >> 20} MiB; download it again")
        workbook = load_workbook(path, read_only=True, data_only=True)
        rows = list(workbook.worksheets[0].iter_rows(values_only=True))
        workbook.close()
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, IndexError) as error:
        raise InputError(f"'{path}' is not a readable Excel file ({error}); download it again") from error
    header = [str(cell).strip() if cell is not None else "" for cell in rows[0]] if rows else []
    lacking = [name for name in columns if name not in header]
    if lacking:
        raise InputError(f"'{path}' has no column '{lacking[0]}'; its columns are: {', '.join(header) or 'none'}")
    for row in rows[1:]:
        if any(cell is not None for cell in row):
            yield dict(zip(header, row, strict=False))


def build_mhist(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from MHIST: hyperplastic polyps and sessile serrated adenomas, with the official partition.

    Patients are not given, so every picture is its own subject.

    Args:
        source: the folder with `annotations.csv` and `images`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(PictureFiles(MHIST, f"{_HERE}:list_mhist"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_sicap(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from SICAPv2: Gleason grades of prostate patches, with the official partitions and patients.

    The first official fold is the validation split.

    Args:
        source: the folder `SICAPv2` as it is unpacked.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(PictureFiles(SICAP, f"{_HERE}:list_sicap"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_skin_cancer(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from Kriegsmann's skin tiles: 16 tissues and tumours, with the official sets and slides.

    Licence: CC BY, as those who took it from heiDATA state; the deposit says it (https://doi.org/10.11588/data/7QCR8S).

    Args:
        source: the folder `data` as it is unpacked, or the folder that holds it.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(PictureFiles(SKIN_CANCER, f"{_HERE}:list_skin_cancer"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_osteosarcoma(source: Path, corpus: Path, *, split_fractions: str = "0.7,0.1,0.2", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from TCIA's tiles of osteosarcoma: no tumour, viable, necrotic, or both; by case.

    There is no official split, and there are four cases, so that few splits hold all classes.

    Args:
        source: the folder with `ML_Features_1144.csv` and the folders of pictures.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test.
        run: options of the run.
    """
    build(PictureFiles(OSTEOSARCOMA, f"{_HERE}:list_osteosarcoma"), source, corpus, split_fractions, RunOptions(**run))
