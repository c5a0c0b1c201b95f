"""Which directories of a TIFF are the slide's levels, which are associated images, and what its tags say.

Sources: Aperio/Leica "Digital Slides and Third-Party Data Interchange"; OME-TIFF specification (sub-directories as
levels); PerkinElmer/Akoya "QPTIFF image file format"; TIFF 6.0 (NewSubfileType, resolution tags).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from voxtile_pathology.slides.protocol import SlideError, UnsupportedSlideError

Pages = list[tifffile.TiffPage]

MAX_DIRECTORIES = 4096  # a slide has ten levels and a few pictures; OME files of one plane a directory some hundred
_REDUCED = 1
_ICC_PROFILE = 34675  # TIFF/EP and ICC.1 annex B.4
_MICROMETRES = {2: 25_400.0, 3: 10_000.0}  # of TIFF's resolution units: inch and centimetre
_LENGTHS = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
_COLOURS = ("red", "green", "blue")
_NUMBERED = r"(?i:(c|ch|channel)?[ :_-]*[0-9](:[0-9])?)"  # a name that a program gave
_FLUORESCENCE = {"Fluor", "EmissionWavelength", "ExcitationWavelength"}  # of OME's Channel
_MAX_DESCRIPTION = 64 << 20


@dataclass(frozen=True)
class TiffLayout:
    """What a TIFF holds.

    Attributes:
        vendor: `aperio`, `ome`, `qptiff` or `generic`.
        levels: directories of each level, the largest first; several where colours are stored apart.
        associated: directories of associated images by name.
        mpp: micrometres a pixel of level 0 (x, y) as stated; None where the tags are silent.
        objective: magnification, or None.
        properties: the vendor's tags as text.
    """

    vendor: str
    levels: list[Pages]
    associated: Mapping[str, Pages] = field(default_factory=dict)
    mpp: tuple[float | None, float | None] = (None, None)
    objective: float | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def icc_profile(self) -> bytes | None:
        """The profile of level 0, if there is one."""
        tag = self.levels[0][0].tags.get(_ICC_PROFILE)
        return bytes(tag.value) if tag is not None and isinstance(tag.value, bytes) else None


def tiff_vendor(file: tifffile.TiffFile) -> str | None:
    """Who wrote the file: `aperio`, `ome`, `qptiff`, `generic`, or None for formats that OpenSlide knows better."""
    if file.is_svs:
        return "aperio"
    if (
        file.is_ndpi
        or file.is_philips
        or file.is_bif
        or file.is_scn
        or _first_tag(file, "Software").startswith("Philips")
    ):
        return None
    if file.is_ome:
        return "ome"
    if file.is_qpi:
        return "qptiff"
    return "generic"


def tiff_layout(path: Path, file: tifffile.TiffFile) -> TiffLayout:
    """Sort a file's directories.

    Raises:
        UnsupportedSlideError: the directories make no pyramid of one picture.
    """
    vendor = tiff_vendor(file)
    if vendor is None:
        raise UnsupportedSlideError(f"{path.name} is written by a scanner that is read through OpenSlide")
    layout = {"aperio": _aperio, "ome": _ome, "qptiff": _qptiff, "generic": _generic}[vendor](path, file)
    layout.levels.sort(key=lambda pages: -pages[0].imagewidth)
    return layout


def _aperio(path: Path, file: tifffile.TiffFile) -> TiffLayout:
    pages = _pages(path, file)
    description = pages[0].description
    fields = {
        key.strip(): value.strip()
        for key, separator, value in (part.partition("=") for part in description.split("|")[1:])
        if separator
    }
    associated: dict[str, Pages] = {}
    for index, page in enumerate(pages):
        if not page.is_tiled:
            second_line = (page.description.splitlines() or [""])[1:2]
            word = (second_line[0].split() or [""])[0] if second_line else ""
            associated.setdefault("thumbnail" if index == 1 else word.lower() or f"image-{index}", [page])
    mpp = _number(fields.get("MPP"))
    properties = {f"aperio.{key}": value for key, value in fields.items()} | _tag_properties(pages[0])
    levels = [[page] for page in pages if page.is_tiled]
    return TiffLayout("aperio", levels, associated, (mpp, mpp), _number(fields.get("AppMag")), properties)


def _qptiff(path: Path, file: tifffile.TiffFile) -> TiffLayout:
    pages = _pages(path, file)
    levels: list[Pages] = []
    associated: dict[str, Pages] = {}
    names = {"Thumbnail": "thumbnail", "Overview": "macro", "Label": "label"}
    for page in pages:
        kind = _between(page.description, "ImageType")
        if kind in names:
            associated.setdefault(names[kind], [page])
        elif page.is_tiled or kind in {"FullResolution", "ReducedResolution"}:
            levels.append([page])
    if len({pages[0].imagewidth for pages in levels}) < len(levels):
        raise SlideError(f"{path.name} holds fluorescence channels; only RGB slides are read")
    x, y = _resolution(pages[0])
    stated = _number(_between(pages[0].description, "PixelSizeMicrometers"))
    objective = _number(re.sub(r"[xX]$", "", _between(pages[0].description, "Objective")))
    return TiffLayout("qptiff", levels, associated, (x or stated, y or stated), objective, _tag_properties(pages[0]))


def _generic(path: Path, file: tifffile.TiffFile) -> TiffLayout:
    pages = _pages(path, file)
    first = pages[0]
    size = (first.imagewidth, first.imagelength)
    planes = [page for page in pages if (page.imagewidth, page.imagelength) == size]
    if len(planes) > 1:
        raise SlideError(
            f"{path.name} holds {len(planes)} planes of {size[0]} x {size[1]} pixels (channels, focal planes) "
            "and does not say which is the slide; write the one to read as a file of its own"
        )
    reduced = [*pages[1:], *(_sub_pages(first))]
    shape = first.imagewidth / first.imagelength
    levels = [[first]] + [
        [page]
        for page in reduced
        if page.subfiletype & _REDUCED
        and page.imagewidth < first.imagewidth
        # a reduced picture of something else (label, macro) has another shape; rounding counts in small levels
        and abs(page.imagewidth / shape - page.imagelength) <= 1 + 0.02 * page.imagelength
    ]
    return TiffLayout("generic", levels, {}, _resolution(first), None, _tag_properties(first))


def _ome(path: Path, file: tifffile.TiffFile) -> TiffLayout:
    text = file.pages.first.description
    if len(text) > _MAX_DESCRIPTION or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SlideError(f"{path.name}: its OME-XML holds definitions that no microscope writes")
    try:
        root = ElementTree.fromstring(text)
        series = file.series
    except (ElementTree.ParseError, ValueError, IndexError, KeyError, tifffile.TiffFileError) as error:
        raise UnsupportedSlideError(f"{path.name}: its OME-XML cannot be read ({error})") from error
    own, name = root.get("UUID"), path.name.lower()
    files = [element for element in root.iter() if element.tag.rpartition("}")[2] == "UUID"]
    if any(one.text != own if own else one.get("FileName", name).lower() != name for one in files):
        raise SlideError(f"{path.name}: its OME-XML takes pixels from other files; write it as one OME-TIFF")
    largest = max(range(len(series)), key=lambda index: series[index].keyframe.imagewidth)
    main = series[largest]
    # Without the namespace, whose year changes.
    images = [element for element in root.iter() if element.tag.rpartition("}")[2] == "Image"]
    described = images[largest] if largest < len(images) else root
    pixels = next((element for element in described if element.tag.endswith("}Pixels")), None)
    if len(main.pages) > 1:
        _check_colours(path, main, [element for element in pixels or () if element.tag.endswith("}Channel")])
    levels = [_ome_pages(path, level) for level in main.levels]
    associated: dict[str, Pages] = {}
    for index, one in enumerate(series):
        if index != largest:
            words = re.findall(r"label|macro|thumbnail|overview", one.name.lower())
            associated.setdefault(words[0] if words else one.name or f"image-{index}", _ome_pages(path, one))
    attributes = pixels.attrib if pixels is not None else {}
    objectives = [element.attrib for element in root.iter() if element.tag.endswith("}Objective")]
    objective = next((_number(o.get("NominalMagnification")) for o in objectives), None)
    mpp = (_ome_length(attributes, "X"), _ome_length(attributes, "Y"))
    return TiffLayout("ome", levels, associated, mpp, objective, _tag_properties(file.pages.first))


def _check_colours(path: Path, series: tifffile.TiffPageSeries, channels: Sequence[ElementTree.Element]) -> None:
    """Refuse three planes that are no red, green and blue: focal planes, times, fluorescence.

    Raises:
        SlideError: the axes or the channels' own words say so.
    """
    if not {"C", "S"} & set(series.axes):
        raise SlideError(
            f"{path.name} holds axes {series.axes} of {series.shape}; only single-plane grey and RGB slides are read"
        )
    names = [channel.get("Name", "").strip() for channel in channels]
    are_colours = all(name.lower() in ("", colour, colour[0]) for name, colour in zip(names, _COLOURS, strict=False))
    if any(_FLUORESCENCE & channel.attrib.keys() for channel in channels) or not (
        are_colours or all(re.fullmatch(_NUMBERED, name) for name in names)
    ):
        said = ", ".join(filter(None, names)) or "fluorescence"
        raise SlideError(f"{path.name} holds the channels {said}; only RGB slides are read")


def _ome_pages(path: Path, series: tifffile.TiffPageSeries) -> Pages:
    pages = [page.aspage() for page in series.pages if page is not None]
    if not pages or len(pages) not in (1, 3) or len(pages) * pages[0].samplesperpixel > 4:
        raise SlideError(
            f"{path.name} holds axes {series.axes} of {series.shape}; only single-plane grey and RGB slides are read"
        )
    return pages


def _ome_length(attributes: Mapping[str, str], axis: str) -> float | None:
    value, unit = _number(attributes.get(f"PhysicalSize{axis}")), attributes.get(f"PhysicalSize{axis}Unit", "µm")
    return None if value is None or unit not in _LENGTHS else value * _LENGTHS[unit]


def _pages(path: Path, file: tifffile.TiffFile) -> Pages:
    file.pages.useframes = False
    _check_chain(path, file)
    pages = [page.aspage() for page in file.pages]
    if _next_directory(file, pages[-1].offset) != 0:  # tifffile leaves out what it cannot reach
        raise SlideError(
            f"{path.name} is cut short: only {len(pages)} of its directories are there; copy it again from its source"
        )
    return pages


def _check_chain(path: Path, file: tifffile.TiffFile) -> None:
    """Follow the directories by their offsets alone: a chain that comes back to itself would be read without end."""
    seen: set[int] = set()
    offset = file.pages.first.offset
    while offset:
        if offset in seen or len(seen) > MAX_DIRECTORIES:
            what = "point back to themselves" if offset in seen else f"are more than {MAX_DIRECTORIES}"
            raise SlideError(f"{path.name}: its TIFF directories {what}; copy it again from its source")
        seen.add(offset)
        try:
            offset = _next_directory(file, offset)
        except struct.error:  # behind the end of the file, which is said elsewhere
            return


def _next_directory(file: tifffile.TiffFile, offset: int) -> int:
    """Offset of the directory that follows the one at an offset; 0 after the last."""
    layout, handle = file.tiff, file.filehandle
    handle.seek(offset)
    (entries,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(offset + layout.tagnosize + entries * layout.tagsize)
    (following,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
    return int(following)


def _sub_pages(page: tifffile.TiffPage) -> Pages:
    return [sub.aspage() for sub in page.pages] if page.pages else []


def _resolution(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    unit = page.tags.get("ResolutionUnit")
    micrometres = _MICROMETRES.get(int(unit.value) if unit else 2)
    tags = [tag for name in ("XResolution", "YResolution") if (tag := page.tags.get(name)) is not None]
    if micrometres is None or len(tags) < 2:
        return None, None
    x, y = (tag.value[0] / tag.value[1] if tag.value[1] else 0.0 for tag in tags)
    # A resolution of one or less is what writers put who have none.
    return (micrometres / x if x > 1 else None), (micrometres / y if y > 1 else None)


def _tag_properties(page: tifffile.TiffPage) -> dict[str, str]:
    names = ("ImageDescription", "Make", "Model", "Software", "DateTime", "XResolution", "YResolution")
    return {f"tiff.{name}": str(page.tags[name].value) for name in names if name in page.tags}


def _first_tag(file: tifffile.TiffFile, name: str) -> str:
    tag = file.pages.first.tags.get(name)
    return str(tag.value) if tag else ""


def _between(text: str, element: str) -> str:
    found = re.search(rf"<{element}>([^<]*)</{element}>", text)
    return found.group(1).strip() if found else ""


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
