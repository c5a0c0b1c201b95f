"""Opening a slide with the reader that suits its content, and finding the slides of a folder.

A reader is added by naming one class: ours in `SLIDE_READERS`, a third party's as an entry point of its distribution in
the group `voxtile.slide_readers`. See `protocol.SlideReader` for what the class must offer.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from voxtile.errors import InputError, MissingExtraError
from voxtile_datasets.intake.walk import walk
from voxtile_datasets.recipes.download import packed_among
from voxtile_pathology.slides.dicom_files import is_dicom, one_of_each_series
from voxtile_pathology.slides.protocol import Slide, SlideError, SlideReader, UnsupportedSlideError

ENTRY_POINT_GROUP = "voxtile.slide_readers"
SLIDE_READERS = (
    "voxtile_pathology.slides.dicom_reader:DicomReader",
    "voxtile_pathology.slides.aperio_jpeg2000:AperioJpeg2000Reader",
    "voxtile_pathology.slides.tiff_reader:TiffReader",
    "voxtile_pathology.slides.openslide_reader:OpenSlideReader",
)

_HEAD_BYTES = 4096
_TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# Formats of vendors that neither OpenSlide nor we read.
_NOT_READ = {".isyntax": "Philips iSyntax", ".vsi": "Olympus VSI", ".kfb": "KFBio KFB", ".sdpc": "Sqray SDPC"}
# Files that call themselves slides are listed even when they are damaged, so that a run names them.
_SLIDE_SUFFIXES = frozenset(
    (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu", ".czi", ".qptiff", ".tif", ".tiff", ".btf")
) | frozenset(_NOT_READ)


def open_slide(path: Path) -> Slide:
    """Open a slide.

    Args:
        path: its main file; a DICOM slide is any of its files, or the folder that holds nothing else.

    Raises:
        SlideError: there is no such file, no reader knows it, or it is damaged.
    """
    if path.is_dir():
        return open_slide(_only_slide(path))
    head = _head(path)
    missing: list[MissingExtraError] = []
    suitable: list[tuple[int, SlideReader]] = []
    for target in (*SLIDE_READERS, *_third_party_readers()):
        try:
            reader = _loaded(target)
        except MissingExtraError as error:
            missing.append(error)
            continue
        priority = reader.recognises(path, head)
        if priority > 0:
            suitable.append((priority, reader))
    refusal: UnsupportedSlideError | None = None
    for _, reader in sorted(suitable, key=lambda entry: -entry[0]):
        try:
            return reader(path)
        except UnsupportedSlideError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    raise SlideError(_unknown(path, head, missing))


def find_slides(folder: Path, others: list[str] | None = None) -> list[Path]:
    """Slides under a folder, sorted; a DICOM slide of several files is listed once, by its first file.

    Files count by content; those named like a slide (`.svs`, `.mrxs`, …) count also when they are damaged.

    Args:
        folder: where they lie, or one slide.
        others: where the paths of files that are no slides are added, relative to the folder.

    Raises:
        InputError: there is no such folder, or no slide in it.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError(f"the folder '{folder}' does not exist")
    lost: list[str] = []
    found: list[Path] = []
    passed: list[str] = [] if others is None else others
    for path in _files(folder, lost):
        if _is_candidate(path):
            found.append(path)
        else:
            passed.append(path.relative_to(folder).as_posix())
    links = [path for path in map(folder.joinpath, lost) if path.suffix.lower() in _SLIDE_SUFFIXES]  # to nothing
    slides = sorted([*one_of_each_series(found), *links])
    if not slides:
        raise InputError(
            f"no whole-slide image under '{folder}'{packed_among(passed)}; supported are SVS, NDPI, MIRAX, SCN, BIF, "
            "TIFF, DICOM"
        )
    return slides


@cache
def _loaded(target: str) -> SlideReader:
    module, _, name = target.partition(":")
    try:
        reader: SlideReader = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise MissingExtraError(error.name or module, "pathology") from error
    return reader


@cache
def _third_party_readers() -> tuple[str, ...]:
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return tuple(entry.value for entry in sorted(entries, key=lambda entry: entry.name))


def _only_slide(folder: Path) -> Path:
    slides = find_slides(folder)
    if len(slides) > 1:
        raise SlideError(f"the folder '{folder.name}' holds {len(slides)} slides, not one; name one of their files")
    return slides[0]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise SlideError(f"the slide '{path.name}' is not there any more; was it moved or removed?") from error
    except OSError as error:
        raise SlideError(f"{path.name} cannot be read: {error.strerror}") from error


def _unknown(path: Path, head: bytes, missing: list[MissingExtraError]) -> str:
    if missing:
        return f"{path.name} is not a slide that the installed readers know; {missing[0]}"
    if not head:
        return f"{path.name} is empty; copy it again from its source"
    if path.suffix.lower() in _NOT_READ:
        return f"{path.name} is a {_NOT_READ[path.suffix.lower()]} file, which is not read; export it as TIFF or DICOM"
    if path.suffix.lower() == ".mrxs":
        parts = path.with_suffix("")
        what = "has no usable Slidedat.ini" if parts.is_dir() else "is missing"
        return f"{path.name}: the folder '{parts.name}' with its parts {what}; copy the whole MIRAX slide"
    return f"{path.name} is not a whole-slide image that any reader knows, or it is cut short; copy it again"


def _files(folder: Path, lost: list[str]) -> Iterator[Path]:
    for parent, folders, names in walk(folder, lost=lost):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(names) if not name.startswith("."))


def _is_candidate(path: Path) -> bool:
    if path.suffix.lower() in _SLIDE_SUFFIXES:
        return True
    try:
        head = _head(path)
    except SlideError:
        return False
    if head[:4] in _TIFF_MAGIC or is_dicom(head):
        return True
    return any(_loaded(target).recognises(path, head) > 0 for target in _third_party_readers())
