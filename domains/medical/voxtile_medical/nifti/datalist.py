"""Data lists in JSON, as MONAI and the Medical Segmentation Decathlon have them: images, label maps and splits.

`{"training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz", "fold": 0}], "validation": […],
"test": ["imagesTs/b.nii.gz"], "modality": {"0": "CT"}, "labels": {"1": "spleen"}}` (monai.data.decathlon_datalist).
Several images of an entry are the channels of one examination.
"""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.corpus.splits import SPLIT_NAMES
from voxtile.errors import InputError
from voxtile.file_edges import open_ordinary
from voxtile_medical.nifti.files import is_nifti_name
from voxtile_medical.nifti.layouts import Layout, channels_of, modality_of_channel, read_layout

_LARGEST = 256 << 20  # bytes; a list of a million images
ABSENT = "the data list names it, and no file of it is there"
_READ = {"image", "label", "fold"}


@dataclass
class Datalist:
    """What a data list says, by paths relative to the folder of the files.

    Attributes:
        path: of the list.
        splits: image → splits that it may be in.
        cases: image of several of one entry → the first of them.
        channels: image → its number among those of its entry; None where it is alone.
        labels: label map → the images that it is of.
        modalities: number of a channel → its name.
        names_labels: the list names the values of label maps.
        more: what else entries hold → how many do.
        numbers: entries whose label is no file.
        folds: that entries are of, where none is the validation.
    """

    path: Path
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cases: dict[str, str] = field(default_factory=dict)
    channels: dict[str, int | None] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    modalities: Mapping[str, Any] = field(default_factory=dict)
    names_labels: bool = False
    more: Counter[str] = field(default_factory=Counter)
    numbers: int = 0
    folds: set[int] = field(default_factory=set)

    @property
    def named(self) -> set[str]:
        """All files of the list."""
        return self.splits.keys() | self.labels.keys()

    def layout(self, layout: Layout) -> Layout:
        """What the folders say, with what the list says in place of it."""
        several = {path: (layout.subject_of(first), self.channels[path]) for path, first in self.cases.items()}
        cases = {**layout.cases, **{path: case for path, case in several.items() if path not in layout.cases}}
        told = {path: modality_of_channel(self.modalities, number) for path, number in self.channels.items()}
        modalities = {**layout.modalities, **{path: name for path, name in told.items() if name}}
        labels = frozenset(self.labels)
        return replace(layout, labels=labels, cases=cases, modalities=modalities, splits=self.splits)

    def sentences(self) -> Iterator[str]:
        """What of the list is not read, for the user."""
        if self.folds:
            yield f"'{self.path}' has {_listed(self.folds)}, which are left aside: --fold N makes one the validation"
        if self.numbers:
            yield (
                f"'{self.path}': labels of {self.numbers} entries are no files and are not read; give classes as a "
                "table to voxtile facts --from labels"
            )
        if self.more:
            names = ", ".join(f"{name} ({count})" for name, count in sorted(self.more.items()))
            yield f"'{self.path}': entries hold more than image and label, which is not read: {names}"


def read_datalist(path: Path, root: Path, fold: int | None = None) -> Datalist:
    """Read a data list.

    Args:
        path: of the JSON file.
        root: the folder that its paths are relative to.
        fold: the fold that is the validation; None leaves folds aside.

    Raises:
        InputError: it cannot be read, names no image or a file that is no NIfTI, has no such fold, or puts an image
            into two splits.
    """
    content = _content(path)
    sections = {name: _entries(content[name], name, path) for name in content if name.lower() in SPLIT_NAMES}
    if not any(sections.values()):
        raise InputError(
            f"'{path}' lists no image under training, validation or test; give a JSON data list as MONAI has it "
            '({"training": [{"image": …, "label": …}]})'
        )
    names_labels = isinstance(content.get("labels"), dict)
    found = Datalist(path, modalities=channels_of(content), names_labels=names_labels)
    everything = [entry for entries in sections.values() for entry in entries]
    found.folds = {number for entry in everything if (number := _fold(entry)) is not None}
    if fold is not None and fold not in found.folds:
        raise InputError(f"'{path}' has no entry of fold {fold}; it has {_listed(found.folds)}")
    has_validation = fold is not None or any(SPLIT_NAMES[name.lower()] == "val" for name in sections if sections[name])
    training = ("train",) if has_validation else ("train", "val")
    for name, entries in sections.items():
        split = SPLIT_NAMES[name.lower()]
        for entry in entries:
            of_fold = split == "train" and fold is not None and _fold(entry) == fold
            _add(found, entry, ("val",) if of_fold else training if split == "train" else (split,), root)
    found.folds = found.folds if fold is None else set()
    return found


def layout_of(root: Path, paths: list[str], datalist: Datalist | None) -> tuple[Layout, list[str], list[str]]:
    """What is said of the NIfTI files of a folder.

    Args:
        root: the folder.
        paths: its NIfTI files, relative.
        datalist: the files to take, and what they are; None for all, by their folders.

    Returns:
        What is said, the paths to take, and those of the list that are not there.

    Raises:
        InputError: no file of the list is there.
    """
    if datalist is None:
        return read_layout(root, paths), paths, []
    taken = [path for path in paths if path in datalist.named]
    if not taken:
        raise InputError(
            f"none of the {len(datalist.named)} files that '{datalist.path}' names is in the folder, such as "
            f"'{min(datalist.named)}'; give as SOURCE the folder that its paths are relative to"
        )
    return datalist.layout(read_layout(root, taken)), taken, sorted(datalist.named.difference(taken))


def _content(path: Path) -> Mapping[str, Any]:
    try:
        with open_ordinary(path) as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MB")
        content = load_json(text.decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the data list '{path}' cannot be read ({error}); give a JSON file as MONAI has it"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"the data list '{path}' holds no object with training, validation or test; give one as MONAI has it"
        )
    return content


def _entries(section: Any, name: str, path: Path) -> list[Mapping[str, Any]]:  # noqa: ANN401 - whatever it holds
    """Entries of a section; one that is only a path, as in the tests of the Decathlon, is an image."""
    if not isinstance(section, list):
        return []
    entries = [{"image": entry} if isinstance(entry, str) else entry for entry in section]
    for number, entry in enumerate(entries, start=1):
        images = entry.get("image") if isinstance(entry, dict) else None
        if not _paths(images):
            raise InputError(
                f"'{path}': entry {number} of {name} names no image; each has a path, or several, under image"
            )
    return entries


def _add(found: Datalist, entry: Mapping[str, Any], splits: tuple[str, ...], root: Path) -> None:
    images = [_relative(path, root, found.path) for path in _paths(entry["image"])]
    for number, image in enumerate(images):
        if found.splits.setdefault(image, splits) != splits:
            raise InputError(f"'{found.path}' puts '{image}' into two splits; name each image in one of them")
        found.channels[image] = number if len(images) > 1 else None
        if len(images) > 1:
            found.cases[image] = images[0]
    labels = _paths(entry.get("label"))
    for label in labels:
        found.labels[_relative(label, root, found.path)] += images
    found.numbers += not labels and entry.get("label") not in (None, "", [])
    found.more.update(key for key in entry if key not in _READ)


def _listed(folds: set[int]) -> str:
    return f"the folds {', '.join(map(str, sorted(folds)))}" if folds else "no folds"


def _fold(entry: Mapping[str, Any]) -> int | None:
    return entry["fold"] if isinstance(entry.get("fold"), int) else None


def _paths(value: Any) -> list[str]:  # noqa: ANN401 - whatever it holds
    """Paths of an entry: one or several; none where it holds something else."""
    values = value if isinstance(value, list) else [value]
    return list(values) if values and all(isinstance(one, str) and one for one in values) else []


def _relative(name: str, root: Path, source: Path) -> str:
    if not is_nifti_name(name):
        raise InputError(
            f"'{source}' names '{name}', which is no NIfTI (.nii, .nii.gz); convert its files to NIfTI, or pictures "
            "with voxtile convert image"
        )
    path = Path(name)
    for base in (root, root.resolve()):
        if path.is_absolute() and path.is_relative_to(base):
            path = path.relative_to(base)
    return posixpath.normpath(path.as_posix())
