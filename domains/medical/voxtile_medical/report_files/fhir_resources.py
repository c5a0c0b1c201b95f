"""Reports in FHIR: DiagnosticReport as JSON, alone, in a Bundle, or one resource a line (NDJSON)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from voxtile.bounded_text import load_json
from voxtile_datasets.plain_text import RTF, plain_text, without_html
from voxtile_medical.report_files.document import Document, NotReadError, Status, digits, said
from voxtile_medical.report_files.pdf import text_of_pdf

Resource: TypeAlias = Mapping[str, Any]
# http://hl7.org/fhir/diagnostic-report-status; what is not here is not final.
_STATUS: dict[str, Status] = {
    "final": "final",
    "amended": "final",
    "corrected": "final",
    "appended": "final",
    "modified": "preliminary",
    "cancelled": "void",
    "entered-in-error": "void",
}


def fhir_reports(content: bytes) -> Iterator[Document | NotReadError]:
    """The reports of a JSON or NDJSON file, in their order; other resources say whose and of which study they are."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        yield NotReadError("unreadable-report", "the JSON is not UTF-8; export it again")
        return
    resources, damaged = _resources(text)
    index = _index(resources)
    reports = [resource for resource in resources if resource.get("resourceType") == "DiagnosticReport"]
    for report in reports:
        try:
            yield _document(report, index)
        except NotReadError as error:
            yield error
        except (TypeError, AttributeError, ValueError, KeyError, RecursionError) as error:
            detail = f"the resource is not as FHIR has it ({type(error).__name__}); export it again"
            yield NotReadError("unreadable-report", detail)
    for _ in range(damaged):
        yield NotReadError("unreadable-report", "a part of the file that is no JSON; export it again")
    if not reports and not damaged:
        yield NotReadError("not-a-report", "JSON without a FHIR DiagnosticReport")


def _resources(text: str) -> tuple[list[Resource], int]:
    """All resources, those of bundles and those contained in others too; and how many parts are damaged."""
    values, damaged = [], 0
    try:
        values = [load_json(text)]
    except (json.JSONDecodeError, ValueError):
        for line in filter(str.strip, text.split("\n")):
            try:
                values.append(load_json(line))
            except ValueError:
                damaged += 1
        if not values:
            damaged = 1
    found: list[Resource] = []
    left = [item for value in reversed(values) for item in (reversed(value) if isinstance(value, list) else [value])]
    while left:
        resource = left.pop()
        if not isinstance(resource, Mapping):
            continue
        found.append(resource)
        entries = [entry.get("resource") for entry in _items(resource, "entry") if isinstance(entry, Mapping)]
        left += [*reversed(entries), *reversed(_items(resource, "contained"))]
    return found, damaged


def _items(resource: Resource, key: str) -> list[Any]:
    value = resource.get(key)
    return value if isinstance(value, list) else [] if value is None else [value]


def _index(resources: Iterable[Resource]) -> dict[str, Resource]:
    """Resources by what a reference to them says."""
    found: dict[str, Resource] = {}
    for resource in resources:
        kind, identity = resource.get("resourceType"), resource.get("id")
        if isinstance(kind, str) and isinstance(identity, str):
            found[f"{kind}/{identity}"] = found[f"#{identity}"] = resource
        for entry in _items(resource, "entry"):
            url, inner = (entry.get("fullUrl"), entry.get("resource")) if isinstance(entry, Mapping) else (None, None)
            if isinstance(url, str) and isinstance(inner, Mapping):
                found[url] = inner
    return found


def _document(report: Resource, index: Mapping[str, Resource]) -> Document:
    patients = list(_referred(report, "subject", index))
    studies = [r for key in ("imagingStudy", "study") for r in _referred(report, key, index)]
    orders = list(_referred(report, "basedOn", index))
    authors = [r for key in ("performer", "resultsInterpreter") for r in _referred(report, key, index)]
    numbers = said(
        *(number for resource in studies for number in _identifiers(resource)),
        *(number for resource in (report, *orders) for number in _identifiers(resource)),
    )
    own = said(*(number for resource in patients for number in _identifiers(resource)))
    status = _STATUS.get(str(report.get("status")), "preliminary")
    meta = report.get("meta")
    updated = meta.get("lastUpdated") if isinstance(meta, Mapping) else None
    moments = (report.get("issued"), updated, report.get("effectiveDateTime"))
    return Document(
        text=_text(report),
        studies=numbers,
        patients=own,
        status=status,
        when=digits(next(filter(None, moments), ""))[:14],
        identity=" ".join(said(report.get("id"))),
        people=said(*(name for resource in (*patients, *authors) for name in _names(resource))),
        numbers=said(*numbers, *own, *(_dated(resource) for resource in patients)),
        places=said(*(place for resource in (*patients, *authors) for place in _places(resource))),
    )


def _referred(resource: Resource, key: str, index: Mapping[str, Resource]) -> Iterator[Resource]:
    """What a field refers to: a resource of the file, and what the reference itself says of it."""
    for reference in _items(resource, key):
        if not isinstance(reference, Mapping):
            continue
        target = reference.get("reference")
        if isinstance(target, str):
            found = index.get(target) or index.get("/".join(target.split("/")[-2:]))
            if found is not None:
                yield found
        yield {"identifier": reference.get("identifier"), "name": reference.get("display")}


def _identifiers(resource: Resource) -> Iterator[str]:
    """Numbers of a resource; UIDs of DICOM without their prefix."""
    for identifier in _items(resource, "identifier"):
        if isinstance(identifier, Mapping) and isinstance(identifier.get("value"), str):
            yield identifier["value"].removeprefix("urn:oid:")
    if isinstance(resource.get("uid"), str):  # DSTU2
        yield resource["uid"].removeprefix("urn:oid:")


def _names(resource: Resource) -> Iterator[str]:
    for name in _items(resource, "name"):
        if isinstance(name, str):
            yield name
        elif isinstance(name, Mapping):
            yield "^".join([str(name.get("family") or ""), *map(str, _items(name, "given"))])
            yield str(name.get("text") or "")


def _dated(resource: Resource) -> str:
    return str(resource.get("birthDate") or "").replace("-", "")


def _places(resource: Resource) -> Iterator[str]:
    for address in _items(resource, "address"):
        if isinstance(address, Mapping):
            yield from (str(part) for part in (*_items(address, "line"), address.get("city")) if part)


def _text(report: Resource) -> str:
    """The first presented form that can be read, and the conclusion where the form does not hold it.

    Raises:
        NotReadError: there is no text; what is said is why the last form was not read.
    """
    refusal = NotReadError("no-text", "the DiagnosticReport has neither a presented form nor a conclusion")
    form = ""
    for attachment in _items(report, "presentedForm"):
        try:
            form = _attached(attachment)
            break
        except NotReadError as error:
            refusal = error
    conclusion = str(report.get("conclusion") or "").strip()
    if not form and _items(report, "presentedForm"):
        raise refusal  # the conclusion alone would pass for the report
    if conclusion and " ".join(conclusion.split()) not in " ".join(form.split()):
        form = f"{form}\n\nImpression:\n{conclusion}".strip()
    if not form:
        raise refusal
    return form


def _attached(attachment: Resource) -> str:
    kind = str(attachment.get("contentType") or "").partition(";")[0].strip().casefold()
    data = attachment.get("data")
    if not isinstance(data, str) or not data:
        raise NotReadError("unsupported-form", "the report is at an address elsewhere; give the report itself")
    try:
        content = base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError) as error:
        raise NotReadError(
            "unreadable-report", "the base64 of the presented form is damaged; export it again"
        ) from error
    if content.startswith(b"%PDF"):
        text = text_of_pdf(content)
    elif content.startswith(RTF):
        text = plain_text(_decoded(content))
    elif kind in ("text/html", "application/xhtml+xml"):
        text = without_html(_decoded(content))
    elif kind.startswith("text/") and kind != "text/rtf":
        text = _decoded(content)
    else:
        raise NotReadError("unsupported-form", "the presented form is neither plain text, HTML, RTF nor PDF")
    if not text.strip():
        raise NotReadError("no-text", "the presented form holds no text")
    return text.strip()


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
