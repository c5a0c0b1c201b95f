"""Reads an annotation file and parses it without trusting it: bounded size, no entities, no deep nesting."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from voxtile.bounded_text import BoundsError, load_json
from voxtile.errors import required
from voxtile_pathology.annotations.annotation import AnnotationError

MAX_BYTES = 1 << 30  # a million vertices take about 40 MB
_MOST_PACKED = 100  # times that gzip makes annotations smaller; coordinates of honest ones give 3 to 30
_NEVER_A_BOMB = 1 << 26  # bytes


def read_source(path: Path) -> bytes:
    """Content of a file, gzip undone.

    Raises:
        AnnotationError: it is missing, empty, damaged or too large.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            most = min(MAX_BYTES, max(_NEVER_A_BOMB, path.stat().st_size * _MOST_PACKED)) if packed else MAX_BYTES
            data = file.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise AnnotationError(f"'{path}' is a damaged gzip file; export the annotations again") from None
    except OSError as error:
        raise AnnotationError(f"annotations '{path}' cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise AnnotationError(
            f"'{path}' has more than {MAX_BYTES >> 20} MiB of annotations; split it into several files"
        )
    if len(data) > most:
        raise AnnotationError(
            f"'{path}' unpacks to more than {_MOST_PACKED} times its size, as no annotations do; check where it is from"
        )
    if not data.strip():
        raise AnnotationError(f"annotations '{path}' are empty; export them again")
    return data.removeprefix(b"\xef\xbb\xbf")


def parse_json(data: bytes, path: Path) -> Any:  # noqa: ANN401
    """Parsed JSON.

    Raises:
        AnnotationError: it is not JSON, or nested so deeply that it cannot be annotations.
    """
    try:
        return load_json(data)
    except BoundsError:
        raise AnnotationError(f"'{path}' is nested too deeply to be annotations; export them again") from None
    except ValueError as error:
        raise AnnotationError(f"'{path}' is not valid JSON ({error}); export the annotations again") from None


def parse_xml(data: bytes, path: Path) -> Element:
    """Root of an XML document that declares no entities.

    Raises:
        AnnotationError: it is not well-formed, or has a document type, which annotations have no need of.
        MissingExtraError: defusedxml is not installed.
    """
    with required("defusedxml", "pathology"):
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise AnnotationError(
            f"'{path}' declares a document type or entities, which annotations have no need of; export them again"
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise AnnotationError(f"'{path}' is not valid XML ({error}); export the annotations again") from None
    return root
