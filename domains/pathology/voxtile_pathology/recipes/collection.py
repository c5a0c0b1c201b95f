"""What a recipe says of a data set and of each of its pictures."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from voxtile.errors import InputError

_NAMED = 5  # of many names, in a sentence
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})


@dataclass(frozen=True)
class Collection:
    """A data set.

    Attributes:
        name: of the recipe.
        title: as its authors call it, with the publication.
        licence: as stated at its source.
        home: where it is downloaded.
        classes: vocabulary → label in the files → class, as a noun that stands in a sentence.
        mpp: micrometres a pixel, where it is the same for all pictures.
        body_part: what is shown, for captions; None where it varies.
        is_exclusive: exactly one class of each vocabulary holds.
        mask_classes: index in its label masks → class; other indices are background.
        mask_threshold: grey value from which on a pixel of its masks has the index 1; None where masks hold indices.
    """

    name: str
    title: str
    licence: str
    home: str
    classes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mpp: float | None = None
    body_part: str | None = None
    is_exclusive: bool = True
    mask_classes: Mapping[int, str] = field(default_factory=dict)
    mask_threshold: int | None = None

    def vocabulary(self, name: str) -> list[str]:
        """All classes of a vocabulary."""
        return list(dict.fromkeys(self.classes[name].values()))


@dataclass(frozen=True)
class Entry:
    """A picture, before it is opened.

    Attributes:
        path: relative to the data set's folder, with forward slashes.
        labels: vocabulary → classes that hold; a vocabulary that was not looked at is absent.
        texts: captions.
        subject: patient, slide or group of near-duplicates; the picture itself where none is known.
        study: examination, figure or video.
        split: official split.
        mpp: micrometres a pixel, where it differs between pictures.
        attributes: JSON-able facts of the acquisition.
        mask: path of its label mask, relative to the data set's folder.
        is_missing: a table names it but the folder does not hold it.
    """

    path: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    subject: str | None = None
    study: str | None = None
    split: str | None = None
    mpp: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    mask: str | None = None
    is_missing: bool = False


def pictures_below(root: Path) -> Iterator[Path]:
    """Relative paths of the pictures in a folder and its folders, sorted, but hidden ones and those of `__MACOSX`."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES:
                yield Path(folder, name).relative_to(root)


def tell(sentence: str) -> None:
    """Say what a download lacks, on standard error."""
    Console(stderr=True).print(sentence, highlight=False, markup=False, soft_wrap=True)


def some_of(names: Sequence[str]) -> str:
    """The first few of some names."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


def tell_missing(root: Path, names: Sequence[str], collection: Collection) -> None:
    """Say which files or folders of a data set are not in its folder."""
    missing = [name for name in names if not (root / name).exists()]
    if missing:
        tell(f"{collection.title}: '{root}' has no {some_of(missing)}; download the rest if it is to be there")


def class_of(collection: Collection, vocabulary: str, label: str, where: str) -> str:
    """Class of a label as the files have it; case, spaces, `_` and `-` do not matter.

    Raises:
        InputError: the data set has no such label.
    """
    classes = collection.classes[vocabulary]
    known = {_spelling_key(official): official for official in classes}
    official = known.get(_spelling_key(label))
    if official is None:
        close = difflib.get_close_matches(_spelling_key(label), list(known), n=1, cutoff=0.5)
        hint = f"; did you mean '{known[close[0]]}'?" if close else ""
        raise InputError(f"{where} has the label '{label}'; {collection.title} has: {', '.join(classes)}{hint}")
    return classes[official]


def _spelling_key(label: str) -> str:
    return "".join(c for c in label.casefold() if c not in " _-")


def need(root: Path, path: str, collection: Collection) -> Path:
    """A file or folder that the data set must have.

    Raises:
        InputError: it is not there.
    """
    found = root / path
    if not found.exists():
        raise InputError(
            f"'{root}' has no '{path}'; give the folder of {collection.title}, as downloaded from {collection.home}"
        )
    return found
