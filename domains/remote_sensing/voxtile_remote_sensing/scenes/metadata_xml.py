"""XML metadata from outside: no entities, no document types, no network, a size limit."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from voxtile_remote_sensing.scenes.protocol import SceneError

MAX_BYTES = 256 << 20  # annotation of a Sentinel-1 slice is about 2 MB; a hyperspectral one 30 MB


def parse_xml(path: Path, *, where: str) -> Element:
    """The root element of a file.

    Args:
        path: the file.
        where: its name for the message.

    Raises:
        SceneError: missing, too large, not well-formed, or with entity or document type declarations.
    """
    if not path.is_file():
        raise SceneError(f"{where}: the metadata file does not exist; copy the product again from its source")
    if path.stat().st_size > MAX_BYTES:
        raise SceneError(f"{where}: the metadata file is larger than {MAX_BYTES >> 20} MiB")
    try:
        root: Element = fromstring(path.read_bytes(), forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise SceneError(
            f"{where}: the XML declares entities, which genuine products do not; take the file from its publisher"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise SceneError(f"{where}: the XML is damaged ({error}); copy the product again from its source") from error
    return root


def text_of(root: Element, tag: str) -> str | None:
    """Text of the first element with a local name, whatever its namespace; None where absent or empty."""
    for element in root.iter():
        if local_name(element) == tag and element.text and element.text.strip():
            return element.text.strip()
    return None


def all_of(root: Element, tag: str) -> list[Element]:
    """All elements with a local name, in document order."""
    return [element for element in root.iter() if local_name(element) == tag]


def number_of(root: Element, tag: str, *, where: str) -> float | None:
    """Number in the first element with a local name.

    Raises:
        SceneError: the text is not a number.
    """
    text = text_of(root, tag)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise SceneError(
            f"{where}: <{tag}> holds '{text[:40]}', not a number; take the file from its source"
        ) from error


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]
