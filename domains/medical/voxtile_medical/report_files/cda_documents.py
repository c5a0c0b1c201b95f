"""Reports as HL7 CDA R2 documents: imaging reports as PS3.20 has them, and others that name their study.

What a document is signed by decides whether it is final: one without a legal authenticator has not been authenticated
(CDA R2, 4.2.2.8), and counts as preliminary.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from voxtile_datasets.plain_text import RTF, plain_text
from voxtile_medical.report_files.document import Document, NotReadError, Status, digits, said
from voxtile_medical.report_files.pdf import text_of_pdf

_V3 = "{urn:hl7-org:v3}"
_ACCESSION = "{urn:dicom-org:ps3-20}accessionNumber"
_STUDY = "113014"  # DCM: Study; its act's id is the StudyInstanceUID
_CATALOG = "121181"  # DCM: the list of images, which is no text
_BLOCKS = frozenset({"br", "paragraph", "item", "list", "tr", "table", "caption"})
# LOINC codes of sections without a title (PS3.20, 7.2 and annex A).
_TITLES = {
    "18785-6": "Indication",
    "55115-0": "Indication",
    "11329-0": "History",
    "55111-9": "Technique",
    "18834-2": "Comparison",
    "18782-3": "Findings",
    "59776-5": "Findings",
    "19005-8": "Impression",
    "55107-7": "Addendum",
}


def is_cda(head: bytes) -> bool:
    """The first bytes of a file are those of a clinical document."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and re.search(rb"<(?:\w+:)?ClinicalDocument[\s>]", head) is not None


def cda_report(content: bytes) -> Document:
    """The report that a document holds.

    Raises:
        NotReadError: it holds none, or cannot be read.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        detail = f"the clinical document is no sound XML ({type(error).__name__}); export it again"
        raise NotReadError("unreadable-report", detail) from error
    if root.tag != f"{_V3}ClinicalDocument":
        raise NotReadError("not-a-report", "XML of another kind than an HL7 CDA document")
    text = _body(root)
    if not text:
        raise NotReadError("no-text", "the clinical document holds no text")
    header = [part for part in root if part.tag != f"{_V3}component"]
    patients = said(*(_extension(one) for one in root.iterfind(f"{_V3}recordTarget/{_V3}patientRole/{_V3}id")))
    orders = root.findall(f"{_V3}inFulfillmentOf/{_V3}order")
    acts = [act for act in root.iter(f"{_V3}act") if _code(act) == _STUDY]
    events = [event for event in root.iterfind(f"{_V3}documentationOf/{_V3}serviceEvent")]
    studies = said(
        *(one.get("root") for act in (*acts, *events) for one in act.findall(f"{_V3}id") if not one.get("extension")),
        *(_extension(one) for order in orders for name in (_ACCESSION, f"{_V3}id") for one in order.findall(name)),
    )
    related = {str(one.get("typeCode")): _identity(one.find(f"{_V3}parentDocument")) for one in _related(root)}
    identity = _identity(root)
    when = root.find(f"{_V3}effectiveTime")
    return Document(
        text=text,
        studies=studies,
        patients=patients,
        status=_status(root, related),
        when=digits(when.get("value") if when is not None else ""),
        identity=identity,
        replaces=said(*(one for kind, one in related.items() if kind == "RPLC" and one != identity)),
        amends=said(*(one for kind, one in related.items() if kind == "APND")),
        people=said(*(_person(name) for part in header for name in part.iter(f"{_V3}name"))),
        numbers=said(
            *studies,
            *(_extension(one) for part in header for one in part.iter(f"{_V3}id")),
            *(str(one.get("value", "")).partition(":")[2] for part in header for one in part.iter(f"{_V3}telecom")),
            *(digits(one.get("value"))[:8] for part in header for one in part.iter(f"{_V3}birthTime")),
        ),
        places=said(*(_words(line) for part in header for address in part.iter(f"{_V3}addr") for line in address)),
    )


def _status(root: Element, related: dict[str, str]) -> Status:
    if root.find(f"{_V3}legalAuthenticator") is None:
        return "preliminary"
    return "addendum" if "APND" in related else "final"


def _related(root: Element) -> Iterator[Element]:
    yield from root.iterfind(f"{_V3}relatedDocument")


def _identity(document: Element | None) -> str:
    """What versions have in common: the set's id, or else the document's own."""
    for name in ("setId", "id"):
        found = document.find(f"{_V3}{name}") if document is not None else None
        if found is not None:
            return " ".join(said(found.get("root"), found.get("extension")))
    return ""


def _body(root: Element) -> str:
    plain = root.find(f"{_V3}component/{_V3}nonXMLBody/{_V3}text")
    if plain is not None:
        return _other(plain)
    sections = root.iterfind(f"{_V3}component/{_V3}structuredBody/{_V3}component/{_V3}section")
    return "\n\n".join(text for section in sections for text in _sections(section))


def _sections(section: Element) -> Iterator[str]:
    """A section under its title, and those within it."""
    if _code(section) == _CATALOG:
        return
    title = section.find(f"{_V3}title")
    heading = _words(title) if title is not None else _TITLES.get(_code(section), "")
    text = section.find(f"{_V3}text")
    said_here = _lines(text) if text is not None else ""
    if said_here:
        yield f"{heading.rstrip(':')}:\n{said_here}" if heading else said_here
    for inner in section.iterfind(f"{_V3}component/{_V3}section"):
        yield from _sections(inner)


def _lines(text: Element) -> str:
    """Narrative as lines: blocks begin a new one, what was deleted by a revision is not there."""
    parts: list[str] = []

    def walk(element: Element) -> None:
        name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
        if name == "content" and element.get("revised") == "delete":
            parts.append(element.tail or "")
            return
        parts.append("\n" if name in _BLOCKS else "")
        parts.append(re.sub(r"\s+", " ", element.text or ""))
        for child in element:
            walk(child)
        parts.append("\n" if name in _BLOCKS else " " if name in ("td", "th") else "")
        parts.append(re.sub(r"\s+", " ", element.tail or "") if element is not text else "")

    walk(text)
    lines = (re.sub(r" {2,}", " ", line).strip() for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _other(text: Element) -> str:
    """A body that is no XML: plain text, or base64 of a PDF, of RTF or of text."""
    kind, content = str(text.get("mediaType") or "text/plain").casefold(), "".join(text.itertext())
    if text.get("representation") != "B64":
        if kind != "text/plain":
            raise NotReadError(
                "unsupported-form", "the body of the clinical document is neither plain text, RTF nor PDF"
            )
        return content.strip()
    try:
        raw = base64.b64decode(content, validate=False)
    except (binascii.Error, ValueError) as error:
        raise NotReadError("unreadable-report", "the base64 of the document is damaged; export it again") from error
    if raw.startswith(b"%PDF"):
        return text_of_pdf(raw)
    if raw.startswith(RTF) or kind == "text/plain":
        return plain_text(raw.decode("utf-8", "replace")).strip()
    raise NotReadError("unsupported-form", "the body of the clinical document is neither plain text, RTF nor PDF")


def _code(element: Element) -> str:
    found = element.find(f"{_V3}code")
    return str(found.get("code") or "") if found is not None else ""


def _extension(element: Element) -> str:
    return str(element.get("extension") or "")


def _person(name: Element) -> str:
    """Family and given names as DICOM parts them; an organisation's as it is."""
    parts = [" ".join(_words(one) for one in name.iterfind(f"{_V3}{part}")) for part in ("family", "given")]
    return "^".join(parts) if any(parts) else _words(name)


def _words(element: Element) -> str:
    return " ".join(" ".join(element.itertext()).split())
