"""Data sets with label masks beside their pictures: WSSS4LUAD and DigestPath."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.download import tell_missing
from voxtile_datasets.recipes.entries import Entry
from voxtile_pathology.recipes.collection import Collection, picture, pictures_below
from voxtile_pathology.recipes.masks import read_indices
from voxtile_pathology.recipes.picture_files import PictureFiles

_HERE = "voxtile_pathology.recipes.segmented"

WSSS4LUAD = Collection(
    name="wsss4luad",
    title="WSSS4LUAD (Han et al., arXiv:2204.06455)",
    licence="none found; terms at https://wsss4luad.grand-challenge.org (registration)",
    source="https://wsss4luad.grand-challenge.org",
    classes={
        "wsss4luad": {
            "tumor": "lung adenocarcinoma epithelium", "stroma": "tumour-associated stroma",
            "normal": "normal lung tissue",
        },
    },
    body_part="lung",
    mask_classes={
        0: "lung adenocarcinoma epithelium", 1: "tumour-associated stroma", 2: "normal lung tissue",
    },  # 3 is background
)  # fmt: skip
_WSSS_LABELS = re.compile(r"\[\s*([01])\D+([01])\D+([01])\s*\]$")
_WSSS_SPLITS = {"2.validation": "val", "3.testing": "test"}

DIGEST_PATH = Collection(
    name="digestpath",
    title="DigestPath 2019, colonoscopy tissue (Da et al., Medical Image Analysis 2022)",
    licence="none found; terms at https://digestpath2019.grand-challenge.org (registration)",
    source="https://digestpath2019.grand-challenge.org",
    classes={"digestpath": {"neg": "benign colonic mucosa", "pos": "malignant colonic lesion"}},
    body_part="colon",
    mask_classes={1: "malignant colonic lesion"},
    mask_threshold=128,  # 255 is the lesion; the files are JPEG, so that edges are blurred
)
_DIGEST_FOLDER = re.compile(r"tissue-train-(neg|pos)")
_DIGEST_CASE = re.compile(r"^(.+?)_\d{4}-\d{2}-\d{2}")


def list_wsss4luad(root: Path) -> Iterator[Entry]:
    """Training pictures carry [tumour, stroma, normal] in their names; of the others the masks say it."""
    tell_missing(root, ("1.training", *_WSSS_SPLITS), WSSS4LUAD.title)
    for path in pictures_below(root):
        split = next((s for folder, s in _WSSS_SPLITS.items() if folder in path.parts), None)
        if split is None and (match := _WSSS_LABELS.search(path.stem)):
            present = [flag == "1" for flag in match.groups()]
            patient = re.split(r"[-_]", path.stem, maxsplit=1)[0]
            yield picture(path.as_posix(), _held(present), subject=patient, study=patient, split="train")
        elif split is not None and path.parent.name == "img":
            mask = path.parent.parent / "mask" / path.with_suffix(".png").name
            if not (root / mask).is_file():
                yield picture(path.as_posix(), split=split)
                continue
            indices = read_indices(root / mask, WSSS4LUAD)
            yield picture(path.as_posix(), _held(_classes_in(indices)), split=split, mask=mask.as_posix())


def list_digestpath(root: Path) -> Iterator[Entry]:
    """Pictures of `tissue-train-neg` and `tissue-train-pos-v1`; the case is what stands before the date in a name."""
    for path in pictures_below(root):
        folder = next((m for part in reversed(path.parts[:-1]) if (m := _DIGEST_FOLDER.search(part))), None)
        folder = folder or _DIGEST_FOLDER.search(root.name)
        if folder is None or path.stem.endswith("_mask"):
            continue
        match = _DIGEST_CASE.match(path.stem)
        case = match.group(1) if match else None
        label = DIGEST_PATH.classes["digestpath"][folder.group(1)]
        mask = path.with_name(f"{path.stem}_mask{path.suffix}")
        held = mask.as_posix() if (root / mask).is_file() else None
        yield picture(path.as_posix(), {"digestpath": (label,)}, subject=case, study=case, mask=held)


def _held(present: list[bool]) -> dict[str, tuple[str, ...]]:
    names = WSSS4LUAD.vocabularies["wsss4luad"]
    return {"wsss4luad": tuple(name for name, is_held in zip(names, present, strict=True) if is_held)}


def _classes_in(indices: npt.NDArray[np.uint8]) -> list[bool]:
    """Which of the classes a mask holds."""
    values = np.unique(indices)
    return [bool(np.isin(index, values)) for index in WSSS4LUAD.mask_classes]


def build_wsss4luad(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from WSSS4LUAD: tumour, stroma and normal tissue of the lung, several at once, official splits.

    Labels of validation and test are the classes that their masks hold; the masks become regions.

    Licence: none was found in public; the terms of the challenge hold (https://wsss4luad.grand-challenge.org, with
    registration).

    Args:
        source: the folder with `1.training`, `2.validation` and `3.testing`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(PictureFiles(WSSS4LUAD, f"{_HERE}:list_wsss4luad"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_digestpath(source: Path, corpus: Path, *, split_fractions: str = "0.7,0.1,0.2", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from the tissue task of DigestPath 2019: benign and malignant colonoscopy tissue, split by case.

    Masks of malignant lesions become regions. The challenge's own test is not public.

    Licence: none was found in public; the terms of the challenge hold (https://digestpath2019.grand-challenge.org, with
    registration).

    Args:
        source: the folder with `tissue-train-neg` and `tissue-train-pos-v1`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by case.
        run: options of the run.
    """
    build(PictureFiles(DIGEST_PATH, f"{_HERE}:list_digestpath"), source, corpus, split_fractions, RunOptions(**run))
