"""What a recipe says of a data set and of each of its pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.errors import InputError
from voxtile_datasets.intake.walk import walk
from voxtile_datasets.recipes.download import nearest_name, official_name
from voxtile_datasets.recipes.entries import Entry
from voxtile_datasets.recipes.recipe import DataSet

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})


@dataclass(frozen=True, kw_only=True)
class Collection(DataSet):
    """A data set of slides or their patches.

    Attributes:
        classes: vocabulary → label in the files → class, as a noun that stands in a sentence.
        mpp: micrometres a pixel, where it is the same for all pictures.
        body_part: what is shown, for captions; None where it varies.
        mask_classes: index in its label masks → class; other indices are background.
        mask_threshold: grey value from which on a pixel of its masks has the index 1; None where masks hold indices.
    """

    classes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mpp: float | None = None
    body_part: str | None = None
    mask_classes: Mapping[int, str] = field(default_factory=dict)
    mask_threshold: int | None = None

    @property
    def vocabularies(self) -> dict[str, list[str]]:
        """Vocabulary → all its classes."""
        return {name: list(dict.fromkeys(known.values())) for name, known in self.classes.items()}

    @property
    def place(self) -> dict[str, str]:
        """What is shown, as attributes of a sample."""
        return {"body_part": self.body_part} if self.body_part else {}


def picture(
    path: str,
    labels: Mapping[str, tuple[str, ...]] | None = None,
    *,
    mpp: float | None = None,
    mask: str | None = None,
    **known: Any,  # noqa: ANN401
) -> Entry:
    """An entry of one picture.

    Args:
        path: relative to the data set's folder, with forward slashes.
        labels: vocabulary → classes that hold; a vocabulary that was not looked at is absent.
        mpp: micrometres a pixel, where it differs between pictures.
        mask: path of its label mask, relative to the data set's folder.
        known: further attributes of the `Entry`.
    """
    files = (path, mask) if mask else (path,)
    return Entry(path, files, labels=labels or {}, row={"mpp": [mpp, mpp]} if mpp else {}, **known)


def pictures_below(root: Path) -> Iterator[Path]:
    """Relative paths of the pictures in a folder and its folders, sorted, but hidden ones and those of `__MACOSX`."""
    for folder, names, files in walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES:
                yield Path(folder, name).relative_to(root)


def class_of(collection: Collection, vocabulary: str, label: str, where: str) -> str:
    """Class of a label as the files have it; case, spaces, `_` and `-` do not matter.

    Raises:
        InputError: the data set has no such label.
    """
    classes = collection.classes[vocabulary]
    official = official_name(label, classes)
    if official is None:
        nearest = nearest_name(label, classes)
        hint = f"; did you mean '{nearest}'?" if nearest else ""
        raise InputError(f"{where} has the label '{label}'; {collection.title} has: {', '.join(classes)}{hint}")
    return classes[official]


def need(root: Path, path: str, collection: Collection) -> Path:
    """A file or folder that the data set must have.

    Raises:
        InputError: it is not there.
    """
    found = root / path
    if not found.exists():
        raise InputError(
            f"'{root}' has no '{path}'; give the folder of {collection.title}, as downloaded from {collection.source}"
        )
    return found
