"""Which file of a package is a figure's picture, and how it is stored."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from PIL import Image

from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS
from voxtile.stages.ingest.picture import Picture, PictureError, read_header, read_picture

# The first that is there is taken: what is read without loss of time or pixels before what is printed from or shown
# small. PubMed Central names print files (.tif) in the document and packs a .jpg, and a small .gif, in their place.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_FORMATS = ("TIFF", "GIF", "BMP")
_MAGIC = (b"II*\0", b"MM\0*", b"GIF8", b"BM")


@dataclass
class FileNames:
    """The pictures of one article by what a document may call them.

    Args:
        names: of files, as the package has them.
    """

    names: Iterable[str]
    _exact: dict[str, str] = field(init=False, default_factory=dict)
    _stems: dict[str, dict[str, str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in sorted(self.names):
            file = PurePosixPath(name).name.lower()
            suffix = PurePosixPath(file).suffix
            if suffix in SUFFIXES:
                self._exact.setdefault(file, name)
                self._stems.setdefault(file[: -len(suffix)], {}).setdefault(suffix, name)

    def find(self, called: Sequence[str]) -> str | None:
        """The file of a picture.

        Args:
            called: its names in the document, with or without a suffix, or with another one.
        """
        for name in called:
            file = PurePosixPath(name.replace("\\", "/")).name.lower()
            suffix = PurePosixPath(file).suffix
            stem = file[: -len(suffix)] if suffix in SUFFIXES or suffix in (".eps", ".pdf", ".svg", ".ai") else file
            found = self._stems.get(stem)
            if found is None:
                continue
            if file in self._exact and suffix in SUFFIXES[:4]:
                return self._exact[file]
            return next(found[known] for known in SUFFIXES if known in found)
        return None


def read_figure(data: bytes, smallest: int) -> Picture:
    """A picture as it is stored: JPEG and PNG as they are, TIFF, GIF and BMP as a PNG of their first page.

    Args:
        data: the file, whatever its name says.
        smallest: pixels of the shorter side.

    Raises:
        PictureError: reasons of `read_picture`, and `too-small`.
    """
    if data.startswith(_MAGIC):
        return _repacked(data, smallest)
    header = read_header(data)
    _check_side(header.width, header.height, smallest)
    return read_picture(data)


def _repacked(data: bytes, smallest: int) -> Picture:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PICTURE_PIXELS:
                raise PictureError(
                    "too-large",
                    f"the picture has {width} × {height} pixels, more than the {MAX_PICTURE_PIXELS:,} allowed",
                )
            _check_side(width, height, smallest)
            if image.mode.startswith(("I", "F")):
                raise PictureError("bit-depth", f"a TIFF of the mode {image.mode} is no printed picture; convert it")
            out = io.BytesIO()
            image.convert("L" if image.mode in ("1", "L") else "RGB").save(out, "PNG", compress_level=1)
    except Image.DecompressionBombError as error:
        raise PictureError("too-large", "the picture has more pixels than are decoded; tile it first") from error
    except (OSError, ValueError, SyntaxError) as error:
        detail = " ".join(str(error).split())[:200]
        raise PictureError("decode-error", f"the picture does not decode ({detail}); replace the file") from error
    return read_picture(out.getvalue())


def _check_side(width: int, height: int, smallest: int) -> None:
    if min(width, height) < smallest:
        raise PictureError("too-small", f"the picture has {width} × {height} pixels; --smallest says {smallest}")


def panel_letters(names: Mapping[int, str], letters: Sequence[str]) -> dict[int, str]:
    """Letters by which the names of several files of one figure end, if they are just those of its panels.

    Args:
        names: number of a picture → name of its file.
        letters: of the panels that the caption names.

    Returns:
        Number → letter; empty where the names do not say.
    """
    stems = {number: PurePosixPath(name).stem for number, name in names.items()}
    bases = {stem[:-1].rstrip("_-.").lower() for stem in stems.values()}
    found = {number: stem[-1:].upper() for number, stem in stems.items()}
    distinct = set(found.values())
    return found if len(bases) == 1 and len(distinct) == len(names) and distinct == set(letters) else {}
