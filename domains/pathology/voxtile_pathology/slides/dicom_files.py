"""Which DICOM files make one slide: the levels of a pyramid and its label are instances of one series.

Source: DICOM PS3.3 A.32.8, VL Whole Slide Microscopy Image IOD.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from voxtile.errors import required

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_MAGIC, _PREAMBLE = b"DICM", 128
_CLASS, _SERIES = 0x00080016, 0x0020000E  # SOPClassUID, SeriesInstanceUID
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # no slide is deflated, and such a file may unpack to anything
_HEAD_BYTES = 1 << 18  # a slide's series stands within a few kB
_PROPERTIES = (
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "AcquisitionDateTime",
    "ContainerIdentifier",
)


def is_dicom(head: bytes) -> bool:
    """Whether a file starts with the preamble of DICOM part 10."""
    return head[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC


def whole_slide_series(path: Path) -> str | None:
    """Series of a whole-slide instance; None for other files.

    The plan asks this of every file in its own process, so that no more than `_HEAD_BYTES` are read and parsed.

    Raises:
        MissingExtraError: pydicom is not installed.
    """
    with required("wsidicom", "pathology"):
        from pydicom.filereader import read_partial
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if not is_dicom(head) or _DEFLATED in head[:1024]:
            return None
        header = read_partial(BytesIO(head), _is_behind_series, specific_tags=[_CLASS, _SERIES])
        kind, series = header.get("SOPClassUID"), str(header.get("SeriesInstanceUID") or "")
    except MemoryError:
        raise
    except Exception:  # a parser on hostile bytes: anything can happen, and it is no slide
        return None
    return (series or None) if kind == WHOLE_SLIDE else None


def _is_behind_series(tag: int, vr: str | None, length: int) -> bool:
    return tag > _SERIES


def microscope(path: Path) -> tuple[dict[str, str], float | None]:
    """What a whole-slide instance says of its making, and the magnification of the objective.

    Args:
        path: of one instance.
    """
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_PROPERTIES, "OpticalPathSequence"])
    properties = {f"dicom.{name}": str(header.get(name)) for name in _PROPERTIES if header.get(name)}
    powers = [optical.get("ObjectiveLensPower") for optical in header.get("OpticalPathSequence") or ()]
    return properties, next((float(power) for power in powers if power), None)


def optical_profile(path: Path) -> bytes | None:
    """ICC profile of the first optical path of a whole-slide instance (PS3.3 C.8.12.5), if it has one.

    Args:
        path: of one instance.
    """
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["OpticalPathSequence"])
    profiles = (optical.get("ICCProfile") for optical in header.get("OpticalPathSequence") or ())
    return next((bytes(profile) for profile in profiles if profile), None)


def series_files(path: Path) -> list[Path]:
    """All files of the slide that a file belongs to: those of its folder with the same series, sorted."""
    series = whole_slide_series(path)
    beside = sorted(file for file in path.parent.iterdir() if file.is_file() and not file.name.startswith("."))
    return [file for file in beside if series is not None and whole_slide_series(file) == series]


def one_of_each_series(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths in order, each DICOM slide once.

    Left out are further files of a series that was named already in the same folder, and DICOM files of other kinds.
    """
    seen: set[tuple[Path, str]] = set()
    for path in paths:
        with path.open("rb") as file:
            dicom = is_dicom(file.read(_PREAMBLE + len(_MAGIC)))
        if not dicom:
            yield path
            continue
        series = whole_slide_series(path)
        if series is not None and (path.parent, series) not in seen:
            seen.add((path.parent, series))
            yield path
