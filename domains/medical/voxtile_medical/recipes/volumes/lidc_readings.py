"""The XML files of LIDC-IDRI: what each of up to four readers marked on one CT series.

Source: the XML schema of the Lung Image Database Consortium (namespace http://www.nih.gov); Armato et al., Medical
Physics 38(2), 2011.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
import numpy.typing as npt

from voxtile.errors import required
from voxtile_medical.verdicts import Verdict

MAX_BYTES = 64 << 20  # the largest has some 2 MB
_HEAD_BYTES = 1 << 16
_SERIES = re.compile(rb"<SeriesInstanceU[iI][dD]>\s*([0-9.]+)\s*<")
CHARACTERISTICS = (
    "subtlety", "internalStructure", "calcification", "sphericity", "margin", "lobulation", "spiculation", "texture",
    "malignancy",
)  # fmt: skip


@dataclass(frozen=True)
class Outline:
    """What a reader drew on one slice.

    Attributes:
        z: imageZposition, mm.
        is_hole: what it encloses does not belong to the nodule.
        points: [N, 2] columns and rows of the first pixels outside.
    """

    z: float
    is_hole: bool
    points: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Nodule:
    """A nodule as one reader marked it.

    Attributes:
        reader: number of the reading session, from 1.
        name: noduleID.
        characteristics: rated from 1; empty for nodules under 3 mm.
        outlines: by slice.
    """

    reader: int
    name: str
    characteristics: dict[str, int]
    outlines: tuple[Outline, ...]


def series_of(path: Path) -> str | None:
    """The CT series that a file is of; None where the file is no reading of a CT.

    Args:
        path: of the XML file, of which the beginning is read.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    found = _SERIES.search(head) if b"<LidcReadMessage" in head else None
    return found[1].decode() if found else None


def read_nodules(path: Path) -> tuple[int, list[Nodule]]:
    """Number of readers, and the nodules that they marked.

    Raises:
        Verdict: `too-large` or `unreadable-contours`.
        MissingExtraError: defusedxml is not installed.
    """
    if path.stat().st_size > MAX_BYTES:
        raise Verdict("too-large", f"the file is larger than {MAX_BYTES >> 20} MiB, which no reading is")
    root = _parsed(path.read_bytes())
    sessions = list(_children(root, "readingSession"))
    try:
        nodules = [
            _nodule(number, node)
            for number, session in enumerate(sessions, start=1)
            for node in _children(session, "unblindedReadNodule")
        ]
    except ValueError as error:
        raise Verdict("unreadable-contours", "a coordinate is no number; download the file again") from error
    return len(sessions), nodules


def _parsed(content: bytes) -> Element:
    with required("defusedxml", "medical"):
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    try:
        root: Element = fromstring(content)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise Verdict("unreadable-contours", "the file is no whole XML; download it again") from error
    return root


def _nodule(reader: int, node: Element) -> Nodule:
    rated = {
        name: int(text)
        for group in _children(node, "characteristics")
        for name in CHARACTERISTICS
        if (text := _text(group, name)).isdigit() and int(text)
    }
    return Nodule(reader, _text(node, "noduleID"), rated, tuple(_outline(roi) for roi in _children(node, "roi")))


def _outline(roi: Element) -> Outline:
    z = float(_text(roi, "imageZposition"))
    points = [[float(_text(edge, "xCoord")), float(_text(edge, "yCoord"))] for edge in _children(roi, "edgeMap")]
    array = np.array(points, dtype=np.float64).reshape(-1, 2)
    if not math.isfinite(z) or not np.isfinite(array).all():
        raise ValueError
    return Outline(z, _text(roi, "inclusion").upper() == "FALSE", array)


def _children(node: Element, name: str) -> Iterator[Element]:
    """Children by their local name, in whatever namespace."""
    return (child for child in node if str(child.tag).rpartition("}")[2] == name)


def _text(node: Element, name: str) -> str:
    found = next(_children(node, name), None)
    return (found.text or "").strip() if found is not None else ""
