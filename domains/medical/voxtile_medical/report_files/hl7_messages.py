"""Reports in HL7 version 2: observation results (ORU), one message or many in a file."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

import hl7

from voxtile_datasets.plain_text import RTF, plain_text
from voxtile_medical.report_files.document import Document, NotReadError, Status, digits, said
from voxtile_medical.report_files.pdf import text_of_pdf

# Table 0211 → Python's names.
_CHARSETS = {
    "ASCII": "ascii",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc-kr",
    "BIG-5": "big5",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
# Table 0123, result status.
_STATUS: dict[str, Status] = {
    **dict.fromkeys("FC", "final"),
    **dict.fromkeys("OISAPR", "preliminary"),
    "X": "void",
}
_VOID_OBSERVATIONS = frozenset("DW")  # table 0085: deleted, and posted as wrong
_SECTIONS = {"IMP": "Impression", "ADT": "Addendum", "REC": "Recommendation", "GDT": "Findings"}  # suffixes of OBX-3
_TITLES = re.compile(
    r"(?:indication|clinical|history|technique|comparison|procedure|findings?|impression|conclusion|addendum)\b", re.I
)
_STUDY_UID = frozenset({"113014", "110180"})  # DCM: Study, Study Instance UID
_SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{2}(?:\||$)")
_MESSAGE = re.compile(rb"(?m)^[\x0b]?(?=MSH[^\w\s])")
_TEXTS = frozenset({"TX", "FT", "ST", "NM", "CE", "CWE"})


def hl7_reports(content: bytes) -> Iterator[Document | NotReadError]:
    """The reports of all messages of a file, in their order."""
    starts = [match.end() for match in _MESSAGE.finditer(content.replace(b"\r\n", b"\r").replace(b"\r", b"\n"))]
    content = content.replace(b"\r\n", b"\r").replace(b"\r", b"\n")
    if not starts:
        yield NotReadError("unreadable-report", "no line of the file begins an HL7 message (MSH); export it again")
    for start, end in zip(starts, [*starts[1:], len(content)][: len(starts)], strict=True):
        try:
            yield from _reports(content[start:end])
        except NotReadError as error:
            yield error
        except Exception as error:  # a parser on hostile bytes; what it says may quote the report
            yield NotReadError(
                "unreadable-report", f"the HL7 message cannot be parsed ({type(error).__name__}); export it again"
            )


def _reports(raw: bytes) -> Iterator[Document | NotReadError]:
    if raw.lstrip(b"\x0b")[3:8] != b"|^~\\&":
        raise NotReadError("unsupported-form", "the HL7 message has other separators than |^~\\&; export it with those")
    message = hl7.parse(_decoded(b"\r".join(_segments(raw))))
    if not _field(message[0], 9).upper().startswith("ORU"):
        raise NotReadError("not-a-report", "an HL7 message of another kind than ORU")
    header: list[Any] = []
    groups: list[list[Any]] = []
    for segment in message:
        name = str(segment[0])
        if name == "OBR":
            groups.append([segment])
        elif groups:
            groups[-1].append(segment)
        else:
            header.append(segment)
    if not groups:
        raise NotReadError("no-text", "the HL7 message holds no observation")
    for group in groups:
        try:
            yield from _of_group(message, header, group)
        except NotReadError as error:
            yield error


def _segments(raw: bytes) -> list[bytes]:
    """Segments of a message; a line that begins none goes on the text before it, as a repetition does."""
    found: list[bytes] = []
    for line in raw.strip(b"\x0b\x1c\n ").split(b"\n"):
        if _SEGMENT.match(line):
            found.append(line)
        elif found:
            found[-1] = _continued(found[-1], line)
    return [segment for segment in found if segment[:3] not in (b"BTS", b"FTS")]


def _continued(segment: bytes, line: bytes) -> bytes:
    """An observation whose value goes on in a line of its own; what stands behind the value is none of it."""
    fields, (more, *rest) = segment.split(b"|"), line.split(b"|")
    return b"|".join([*fields[:5], fields[5] + b"~" + more, *fields[6:], *rest]) if len(fields) > 5 else segment


def _of_group(message: Any, header: list[Any], group: list[Any]) -> Iterator[Document]:  # noqa: ANN401
    request, observations = group[0], [segment for segment in group if str(segment[0]) == "OBX"]
    patient = next((segment for segment in header if str(segment[0]) == "PID"), None)
    orders = [segment for segment in header if str(segment[0]) == "ORC"]
    about = [segment for segment in (*header, *group) if str(segment[0]) in ("ZDS", "IPC")]
    known = [o for o in observations if _component(o, 3, 0) in _STUDY_UID]
    studies = said(
        *(_component(segment, 1 if str(segment[0]) == "ZDS" else 3, 0) for segment in about),
        *(_field(o, 5).partition("^")[0] for o in known),
        *(_component(request, number, 0) for number in (18, 19, 20, 3, 2)),
        *(_component(segment, 1, 0) for segment in about if str(segment[0]) == "IPC"),
        *(_component(segment, number, 0) for segment in orders for number in (3, 2)),
    )
    body, addenda = _texts(message, [o for o in observations if o not in known])
    if not body and not addenda:
        raise NotReadError("no-text", "the HL7 message holds no text")
    status = _STATUS.get(_field(request, 25).upper(), "final")
    moments = (_field(request, 22), _field(message[0], 7))
    shared: dict[str, Any] = {
        "studies": studies,
        "patients": said(*(part.split("^")[0] for part in _field(patient, 3).split("~"))) if patient else (),
        "when": digits(next(filter(None, moments), "")),
        "identity": " ".join(said(_component(request, 3, 0) or _component(request, 18, 0), _component(request, 4, 0))),
        "people": said(
            *(name for n in (5, 6, 9) for name in _field(patient, n).split("~") if patient),
            *(_person(request, number) for number in (10, 16, 28, 32, 33, 34, 35)),
        ),
        "numbers": said(*studies, *(_component(patient, n, 0) for n in (2, 3, 4, 7, 13, 14, 18, 19) if patient)),
        "places": said(
            *(_component(patient, n, k) for n, k in ((11, 0), (11, 2)) if patient), _component(message[0], 4, 0)
        ),
    }
    if body:
        yield Document(text=body, status=status, **shared)
    if addenda:
        yield Document(text=addenda, status="addendum" if status == "final" else status, **shared)


def _texts(message: Any, observations: list[Any]) -> tuple[str, str]:  # noqa: ANN401
    """The report's text and that of its addenda: lines of observations under the headings that their codes name."""
    sections: list[tuple[str, list[str]]] = []
    written = [o for o in observations if _field(o, 2).upper() != "ED"]
    # A document in a message repeats its text; only where there is no text it stands for it.
    for observation in written if any(_value(message, o) for o in written) else observations:
        if _field(observation, 11).upper() in _VOID_OBSERVATIONS:
            continue
        heading = _heading(observation)
        line = _value(message, observation)
        if not line:
            continue
        if not sections or sections[-1][0] != heading:
            sections.append((heading, []))
        sections[-1][1].append(line)
    parts = [(heading, plain_text("\n".join(lines))) for heading, lines in sections]
    body = "\n\n".join(f"{heading}:\n{text}" if heading else text for heading, text in parts if heading != "Addendum")
    return body, "\n".join(text for heading, text in parts if heading == "Addendum")


def _heading(observation: Any) -> str:  # noqa: ANN401
    code, _, rest = _field(observation, 3).partition("^")
    suffix = code.rpartition("&")[2].upper()
    if suffix in _SECTIONS:
        return _SECTIONS[suffix]
    name = rest.partition("^")[0].strip().rstrip(":")
    return name.capitalize() if _TITLES.match(name) and len(name) < 40 else ""


def _value(message: Any, observation: Any) -> str:  # noqa: ANN401
    kind, value = _field(observation, 2).upper(), _field(observation, 5)
    if kind == "ED":
        return _encapsulated(value)
    if kind == "RP":
        raise NotReadError("unsupported-form", "the HL7 message points to the report elsewhere; give the report itself")
    if kind not in _TEXTS:
        return ""
    if kind in ("CE", "CWE"):
        value = value.split("^")[1] if value.count("^") else value
    lines = re.sub(r"\\\.(?:br|sp\d*)\\", "\n", value).replace("~", "\n")
    lines = re.sub(r"\\(?:H|N|\.[a-z]{2}[+-]?\d*)\\", "", lines)
    return "\n".join(str(message.unescape(line)).rstrip() for line in lines.split("\n")).strip()


def _encapsulated(value: str) -> str:
    """Text of an encapsulated document (data type ED): base64 of a PDF, of RTF or of plain text."""
    parts = (value.split("^") + [""] * 5)[:5]
    what = f"{parts[1]} {parts[2]}".casefold()
    if parts[3].casefold() != "base64":
        raise NotReadError("unsupported-form", "a document in an HL7 message that is not in base64")
    try:
        content = base64.b64decode(parts[4], validate=False)
    except (binascii.Error, ValueError) as error:
        raise NotReadError("unreadable-report", "the base64 of the HL7 message is damaged; export it again") from error
    if content.startswith(b"%PDF"):
        return text_of_pdf(content)
    if content.startswith(RTF) or "plain" in what or "text" in what:
        return content.decode("utf-8", "replace").strip()
    raise NotReadError("unsupported-form", "a document in an HL7 message that is neither PDF, RTF nor plain text")


def _decoded(raw: bytes) -> str:
    """The message in its character set (MSH-18); where it names none, UTF-8 or else Windows' western one."""
    fields = raw.partition(b"\r")[0].split(raw[3:4])
    stated = fields[17].split(b"~")[0].decode("latin-1").strip().upper() if len(fields) > 17 else ""
    if stated and stated not in _CHARSETS:
        raise NotReadError("unsupported-charset", "the HL7 message is in a character set that is not read")
    try:
        return raw.decode(_CHARSETS.get(stated, "utf-8"))
    except UnicodeDecodeError as error:
        if stated:
            raise NotReadError(
                "unreadable-report", "the HL7 message is not in the character set that it names"
            ) from error
        return raw.decode("cp1252", "replace")


def _field(segment: Any, number: int) -> str:  # noqa: ANN401 - a segment of hl7, or None
    return str(segment[number]).strip() if segment is not None and len(segment) > number else ""


def _component(segment: Any, number: int, place: int) -> str:  # noqa: ANN401
    parts = _field(segment, number).split("~")[0].split("^")
    return parts[place].split("&")[0].strip() if len(parts) > place else ""


def _person(request: Any, number: int) -> str:  # noqa: ANN401
    """A name of the types XCN (number, family, given) and NDL (the same within its first component)."""
    first = _field(request, number).split("~")[0]
    parts = first.partition("^")[0].split("&") if "&" in first.partition("^")[0] else first.split("^")
    return "^".join(parts[1:4]).strip("^")
