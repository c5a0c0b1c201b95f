"""Reports of Open-i as XML: a row for each picture that one names."""

from __future__ import annotations

from pathlib import Path

from voxtile.errors import InputError, required

HEADER = ("uid", "image", "mesh", "comparison", "indication", "findings", "impression")
"""Columns of the rows; `mesh` holds headings without their qualifiers, between semicolons."""

_LARGEST = 4 << 20  # bytes; the reports have some 5 kB


def openi_rows(path: Path, place: str) -> list[tuple[str | None, ...]]:
    """The rows of a file, one without a picture where it names none.

    Args:
        path: of the file.
        place: of the file, for people.

    Raises:
        InputError: it is no report of Open-i.
        MissingExtraError: defusedxml is not installed.
    """
    with required("defusedxml", "medical"):
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    if path.stat().st_size > _LARGEST:
        raise InputError(f"'{place}' has more than 4 MiB, which no report of Open-i has; download it again")
    try:
        root = fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InputError(f"'{place}' is no XML of a report ({type(error).__name__}); download it again") from error
    number = root.find("uId")
    if number is None:
        raise InputError(f"'{place}' is no report of Open-i: it has no uId; remove it from the folder")
    sections = {
        str(node.get("Label")).casefold(): " ".join((node.text or "").split()) or None
        for node in root.iter("AbstractText")
    }
    headings = [(node.text or "").split("/")[0].strip() for node in root.findall(".//MeSH/major")]
    about = (";".join(dict.fromkeys(name for name in headings if name)) or None, *(sections.get(n) for n in HEADER[3:]))
    images = [node.get("id") for node in root.iter("parentImage")] or [None]
    return [(number.get("id"), image, *about) for image in images]
