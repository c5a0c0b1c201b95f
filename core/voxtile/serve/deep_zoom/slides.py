"""Slides of patches: the file where it is still there and may be shown, else what the corpus holds of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from PIL import Image

from voxtile.corpus.reader import ROOT_COLUMN, Corpus
from voxtile.corpus.reference_roots import OutsideCorpusError, named_roots, only_references_in
from voxtile.corpus.references import SOURCE_SCHEME, check_unchanged, parse_reference, reference_path
from voxtile.domain import discover
from voxtile.errors import ConfigError, CorpusError, VoxtileError
from voxtile.formats.pictures.picture import MOST_PX, rgb_of
from voxtile.formats.pictures.planes import is_volume
from voxtile.formats.whole_slides import WholeSlide
from voxtile.serve.deep_zoom.laid_patches import LaidPatches
from voxtile.serve.deep_zoom.pixels import ArrayPixels, DecodedPixels, SlidePixels
from voxtile.serve.deep_zoom.pyramid import Pyramid, PyramidClosedError
from voxtile.serve.sample_index import SampleIndex
from voxtile.serve.tables import Tables

_KEPT = 4  # pictures that are held open
_COLUMNS = (
    "uid",
    "source",
    "level0_box",
    "shape",
    "axes",
    "dtype",
    "codec",
    "shard",
    "offset",
    "nbytes",
    "sha256",
    "ref",
)
_MOVED = "The slide's file is not where it was; the patches of the corpus are shown in their places."
_OUTSIDE = (
    "The slide's file lies outside the corpus; name its folder with --references to see it. The patches are shown."
)
_UNREAD = "The slide's file cannot be read; the patches of the corpus are shown in their places."

What: TypeAlias = Literal["slide", "picture"]
_Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class ZoomedPicture:
    """A large picture, ready for tiles.

    Attributes:
        pyramid: its tiles.
        origin: whether it is a slide's file, its patches, or a sample by itself.
        scale: level-0 pixels of the slide a pixel of the picture.
        note: for people, where it is not what one would expect; else empty.
        patches: rows of the slide's patches.
    """

    pyramid: Pyramid
    origin: str
    scale: float
    note: str
    patches: tuple[Mapping[str, Any], ...] = ()


class ZoomedPictures:
    """Pictures of a corpus by the sample that they are asked for, the last ones held open.

    Args:
        corpus: where samples are.
        index: its samples.
        tables: its tables.
        references: folder outside the corpus from which pixels may be shown.
    """

    def __init__(self, corpus: Corpus, index: SampleIndex, tables: Tables, references: Path | None) -> None:
        self._corpus, self._index, self._tables, self._references = corpus, index, tables, references
        self._open: OrderedDict[_Key, ZoomedPicture] = OrderedDict()
        self._keys: dict[tuple[What, str], _Key] = {}
        self._lock = threading.Lock()

    def of(self, what: What, uid: str, row: Callable[[], Mapping[str, Any]]) -> ZoomedPicture:
        """The slide of a patch, or a flat sample by itself.

        Args:
            what: which of the two.
            uid: of the sample.
            row: gives its row, which is read where the picture is not held open.

        Raises:
            ConfigError: the sample is no patch of a slide, or has no tiles.
            CorpusError: it, or the slide's patches, cannot be read.
        """
        with self._lock:
            key = self._keys.get((what, uid))
            if key is None or key not in self._open:
                key = self._keys[what, uid] = self._opened(what, row())
            self._open.move_to_end(key)
            return self._open[key]

    def _opened(self, what: What, row: Mapping[str, Any]) -> _Key:
        """Key of the picture of a row, which is open afterwards."""
        key: _Key = ("picture", str(row["uid"]))
        if what == "slide":
            if not row.get("level0_box"):
                raise ConfigError("this sample is no patch of a slide")
            key = ("slide", str(row[ROOT_COLUMN]), str(row["source"]))
        if key not in self._open:
            self._open[key] = self._slide(row) if what == "slide" else self._picture(row)
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)[1].pyramid.close()
            self._keys = {asked: known for asked, known in self._keys.items() if known in self._open}
        return key

    def tile(
        self, what: What, uid: str, row: Callable[[], Mapping[str, Any]], level: int, column: int, line: int
    ) -> Image.Image:
        """One tile of a picture, which is opened again where it was closed meanwhile for others.

        Raises:
            ConfigError: there is no such tile.
            VoxtileError: the pixels cannot be read.
        """
        while True:
            with suppress(PyramidClosedError), only_references_in(named_roots(self._references)):
                return self.of(what, uid, row).pyramid.tile(level, column, line)

    def _picture(self, row: Mapping[str, Any]) -> ZoomedPicture:
        with only_references_in(named_roots(self._references)):
            source = self._corpus.source(row)
            if is_volume(row):
                raise ConfigError("this sample is a volume; it has planes and no tiles")
            if row["codec"] in ("jpg", "png"):
                shape = row.get("shape") or (0, 0)
                if shape[0] * shape[1] > MOST_PX:
                    raise ConfigError(f"this picture is stored in one piece of more than {MOST_PX:,} pixels")
                return ZoomedPicture(Pyramid(DecodedPixels(rgb_of(source))), "sample", 1.0, "")
            return ZoomedPicture(Pyramid(ArrayPixels(source)), "sample", 1.0, "")

    def _slide(self, row: Mapping[str, Any]) -> ZoomedPicture:
        patches = tuple(self._patches(row))
        far = [max(patch["level0_box"][axis] for patch in patches) for axis in (2, 3)]
        with only_references_in(named_roots(self._references)):
            opened, note = self._file(row)
            if opened is not None:
                width, height = opened.levels[0].size
                if far[0] <= width * 1.01 + 4096 and far[1] <= height * 1.01 + 4096:  # patches may reach over the edge
                    return ZoomedPicture(Pyramid(SlidePixels(opened)), "file", 1.0, "", patches)
                opened.close()
                note = _MOVED  # another file of this name
            laid = LaidPatches(patches, self._corpus.source, self._thumbnail(row))
        return ZoomedPicture(Pyramid(laid), "patches", laid.scale, note, patches)

    def _patches(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of all patches of the slide."""
        found = self._tables.column(
            "SELECT uid FROM samples WHERE subject = ? AND study IS NOT DISTINCT FROM ? AND level0_box IS NOT NULL "
            "AND kind <> 'overview' ORDER BY uid",
            row["subject"], row["study"],
        )  # fmt: skip
        rows = self._tables.samples(self._index.numbers(found).tolist(), _COLUMNS)
        return [one for one in rows if one["source"] == row["source"] and one[ROOT_COLUMN] == row[ROOT_COLUMN]]

    def _thumbnail(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        found = self._tables.rows(
            "SELECT uid FROM samples WHERE subject = ? AND kind = 'overview' AND level0_box IS NOT NULL ORDER BY uid "
            "LIMIT 100",
            row["subject"],
        )  # fmt: skip
        for one in found:
            other = self._corpus.row(one["uid"])
            if other["source"] == row["source"] and other[ROOT_COLUMN] == row[ROOT_COLUMN]:
                return other
        return None

    def _file(self, row: Mapping[str, Any]) -> tuple[WholeSlide | None, str]:
        """The open slide, or why it is not shown."""
        note = _MOVED
        for path in self._places(row):
            try:
                found = path()
                if found is None or not found.exists():
                    continue
                return _opened(found), ""
            except OutsideCorpusError:
                note = _OUTSIDE
            except CorpusError:
                continue  # the key map does not know it, or it has changed
            except (VoxtileError, OSError):
                note = _UNREAD
        return None, note

    def _places(self, row: Mapping[str, Any]) -> list[Callable[[], Path | None]]:
        """Where the slide may be: where a reference or the key map says, and in the folders that the user named."""
        root, uid = self._corpus.roots[row[ROOT_COLUMN]], str(row["uid"])
        name = str(row["source"]).partition("#")[0]
        places: list[Callable[[], Path | None]] = []
        if row["codec"] == "ref":

            def referred() -> Path:
                reference = parse_reference(row)
                path = reference_path(root, uid, reference)
                check_unchanged(path, reference)
                return path

            places.append(referred)
        places.append(lambda: reference_path(root, uid, {"uri": f"{SOURCE_SCHEME}:{name}"}))
        places += [partial(_inside, folder, name) for folder in named_roots(self._references)]
        return places


def _inside(folder: Path, name: str) -> Path | None:
    """A file of a folder by the name that a corpus gives, which may lead nowhere else."""
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder) else None


def _opened(path: Path) -> WholeSlide:
    for domain in discover()[0].values():
        if domain.slides is not None:
            slide: WholeSlide = domain.slides.load()(path)
            return slide
    raise ConfigError("no installed domain opens whole slides; install the extra pathology")
