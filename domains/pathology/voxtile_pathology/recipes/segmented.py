"""Data sets with label masks beside their pictures: WSSS4LUAD and DigestPath."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from voxtile.engine.run import RunOptions
from voxtile.errors import InputError
from voxtile_pathology.recipes.collection import Collection, Entry, pictures_below
from voxtile_pathology.recipes.task import build

_HERE = "voxtile_pathology.recipes.segmented"

WSSS4LUAD = Collection(
    name="wsss4luad",
    title="WSSS4LUAD (Han et al., arXiv:2204.06455)",
    licence="terms at https://wsss4luad.grand-challenge.org (registration)",
    home="https://wsss4luad.grand-challenge.org",
    classes={
        "wsss4luad": {
            "tumor": "lung adenocarcinoma epithelium", "stroma": "tumour-associated stroma",
            "normal": "normal lung tissue",
        },
    },
    body_part="lung",
    is_exclusive=False,
)  # fmt: skip
_WSSS_LABELS = re.compile(r"\[\s*([01])\D+([01])\D+([01])\s*\]$")
_WSSS_SPLITS = {"2.validation": "val", "3.testing": "test"}

DIGEST_PATH = Collection(
    name="digestpath",
    title="DigestPath 2019, colonoscopy tissue (Da et al., Medical Image Analysis 2022)",
    licence="terms at https://digestpath2019.grand-challenge.org (registration)",
    home="https://digestpath2019.grand-challenge.org",
    classes={"digestpath": {"neg": "benign colonic mucosa", "pos": "malignant colonic lesion"}},
    body_part="colon",
)
_DIGEST_FOLDER = re.compile(r"tissue-train-(neg|pos)")
_DIGEST_CASE = re.compile(r"^(.+?)_\d{4}-\d{2}-\d{2}")


def list_wsss4luad(root: Path) -> Iterator[Entry]:
    """Training pictures carry [tumour, stroma, normal] in their names; of the others the masks say it."""
    for path in pictures_below(root):
        split = next((s for folder, s in _WSSS_SPLITS.items() if folder in path.parts), None)
        if split is None and (match := _WSSS_LABELS.search(path.stem)):
            present = [flag == "1" for flag in match.groups()]
            patient = re.split(r"[-_]", path.stem, maxsplit=1)[0]
            yield Entry(path.as_posix(), _held(present), subject=patient, study=patient, split="train")
        elif split is not None and path.parent.name == "img":
            mask = root / path.parent.parent / "mask" / path.with_suffix(".png").name
            labels = _held(_classes_in(mask)) if mask.is_file() else {}
            yield Entry(path.as_posix(), labels, split=split)


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
        yield Entry(path.as_posix(), {"digestpath": (label,)}, subject=case, study=case)


def _held(present: list[bool]) -> dict[str, tuple[str, ...]]:
    names = WSSS4LUAD.vocabulary("wsss4luad")
    return {"wsss4luad": tuple(name for name, is_held in zip(names, present, strict=True) if is_held)}


def _classes_in(mask: Path) -> list[bool]:
    """Which of tumour (0), stroma (1) and normal (2) a palette mask holds; 3 is background."""
    try:
        with Image.open(mask) as image:
            if image.mode not in ("P", "L"):
                raise InputError(f"'{mask}' has the mode {image.mode}; masks of WSSS4LUAD have class indices")
            values = np.unique(np.asarray(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"'{mask}' is not a readable mask ({error}); replace the file") from error
    return [bool(np.isin(index, values)) for index in range(3)]


def build_wsss4luad(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from WSSS4LUAD: tumour, stroma and normal tissue of the lung, several at once, official splits.

    Labels of validation and test are the classes that their masks hold.

    Args:
        source: the folder with `1.training`, `2.validation` and `3.testing`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(WSSS4LUAD, f"{_HERE}:list_wsss4luad", source, corpus, run=RunOptions(**run))


def build_digestpath(source: Path, corpus: Path, *, split_fractions: str = "0.7,0.1,0.2", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from the tissue task of DigestPath 2019: benign and malignant colonoscopy tissue, split by case.

    The challenge's own test is not public.

    Args:
        source: the folder with `tissue-train-neg` and `tissue-train-pos-v1`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by case.
        run: options of the run.
    """
    build(
        DIGEST_PATH, f"{_HERE}:list_digestpath", source, corpus, split_fractions=split_fractions, run=RunOptions(**run)
    )
