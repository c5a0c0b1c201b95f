"""Names of the values of a label map: header extension, JSON, TSV, and 3D Slicer's colour table.

Sources: the NIfTI-1 extension codes (AFNI and Caret/Connectome Workbench write XML label tables); BIDS derivatives,
"Discrete segmentations" (TSV with index and name); the `labels` of a dataset.json (Medical Segmentation Decathlon,
nnU-Net, where a name may stand for several values); dcmqi's segmentation JSON, which carries codes; 3D Slicer's colour
table files, which FreeSurfer's look-up tables share (value, name, R, G, B, A).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from voxtile.bounded_text import load_json
from voxtile.errors import InputError, required
from voxtile_medical.archives.stored import open_stored
from voxtile_medical.segmentations.names import Code

MAX_BYTES = 4 << 20  # a table of names is some kB
_BACKGROUND = frozenset({"background", "unknown", "clear label", "unlabeled", "unlabelled"})
_INDEX_COLUMNS = ("index", "label", "value", "labelvalue", "id", "key", "intensity")
_NAME_COLUMNS = ("name", "labelname", "structure", "region", "roi")
_NESTED_KEYS = ("labels", "label_map", "LabelMap", "label_names")


@dataclass(frozen=True)
class LabelName:
    """A name and the values that it stands for.

    Attributes:
        values: one value, or several of which the structure is the union.
        name: as written.
        code: where the table says what the structure is.
        category: the code's category, in dcmqi's JSON.
    """

    values: tuple[int, ...]
    name: str
    code: Code | None = None
    category: Code | None = None


Names = tuple[LabelName, ...]


def read_names(path: Path) -> Names:
    """Names from a file, by its suffix: .json, .tsv, .csv, .xml, else a colour table (.ctbl, .txt, .lut).

    Raises:
        InputError: the file cannot be read or holds no name.
    """
    names = find_names(path)
    if not names:
        raise InputError(
            f'\'{path}\' names no label; give JSON ({{"1": "liver"}}), a TSV with the columns index and name, '
            "or a 3D Slicer colour table"
        )
    return names


def find_names(path: Path) -> Names:
    """Names from a file, or none where it is about something else.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with open_stored(path) as file:
            if file.size > MAX_BYTES:
                return ()
            return parse_names(file.read(MAX_BYTES).decode("utf-8-sig"), path.suffix.lower())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the label names '{path.name}' cannot be read ({error}); give a text file") from error


def parse_names(text: str, suffix: str) -> Names:
    """Names from a text; empty where it holds none. The background is left out."""
    if suffix == ".json":
        try:
            found: Iterable[LabelName] = _of_json(load_json(text))
        except ValueError:
            found = ()
    elif suffix in (".tsv", ".csv"):
        found = _of_table(text, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".xml":
        found = _of_xml(text)
    else:
        found = _of_colours(text)
    return _checked(found)


def names_of_extensions(contents: Iterable[bytes]) -> Names:
    """Names from the header extensions of a NIfTI file: XML label tables, or JSON."""
    for content in contents:
        text = content.decode("utf-8", "replace").strip("\0 \r\n\t")
        names = parse_names(text, ".json" if text.startswith("{") else ".xml") if text[:1] in ("{", "<") else ()
        if names:
            return names
    return ()


def _checked(found: Iterable[LabelName]) -> Names:
    """The first name of each value set; without the background."""
    kept: dict[tuple[int, ...], LabelName] = {}
    for name in found:
        if name.name.strip() and 0 not in name.values and name.name.strip().lower() not in _BACKGROUND:
            kept.setdefault(name.values, name)
    return tuple(kept.values())


def _of_xml(text: str) -> Iterator[LabelName]:
    """Caret's LabelTable: `<Label Key="5">liver</Label>`."""
    for element in _elements(text, "Label"):
        value = _integer(element.get("Key", element.get("key", "")))
        if value is not None:
            yield LabelName((value,), "".join(element.itertext()).strip())


def _elements(text: str, tag: str) -> list[Element]:
    with required("defusedxml", "medical"):
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    try:
        return list(fromstring(text, forbid_dtd=True).iter(tag))
    except (ParseError, DefusedXmlException, ValueError):
        return []


def _of_json(value: Any) -> Iterator[LabelName]:  # noqa: ANN401 - whatever a JSON file holds
    if not isinstance(value, Mapping):
        return
    if isinstance(value.get("segmentAttributes"), Sequence):
        yield from _of_dcmqi(value["segmentAttributes"])
        return
    nested = next((value[key] for key in _NESTED_KEYS if isinstance(value.get(key), Mapping)), value)
    for key, item in nested.items():
        number = _integer(key)
        if number is not None and isinstance(item, str):
            yield LabelName((number,), item)
        elif number is not None and isinstance(item, Mapping) and isinstance(item.get("name"), str):
            yield LabelName((number,), item["name"])
        elif number is None:
            values = tuple(_integer(v) for v in (item if isinstance(item, list) else [item]))
            if values and None not in values:
                yield LabelName(tuple(sorted(v for v in values if v is not None)), key)


def _of_dcmqi(groups: Sequence[Any]) -> Iterator[LabelName]:
    for item in (item for group in groups for item in (group if isinstance(group, list) else [group])):
        if not isinstance(item, Mapping) or (value := _integer(item.get("labelID"))) is None:
            continue
        code = _code(item.get("SegmentedPropertyTypeCodeSequence"))
        name = item.get("SegmentLabel") or item.get("SegmentDescription") or (code.meaning if code else "")
        if isinstance(name, str):
            yield LabelName((value,), name, code, _code(item.get("SegmentedPropertyCategoryCodeSequence")))


def _code(item: Any) -> Code | None:  # noqa: ANN401 - whatever a JSON file holds
    item = item[0] if isinstance(item, list) and item else item
    if not isinstance(item, Mapping) or not item.get("CodeValue") or not item.get("CodingSchemeDesignator"):
        return None
    return Code(str(item["CodingSchemeDesignator"]), str(item["CodeValue"]), str(item.get("CodeMeaning", "")))


def _of_table(text: str, delimiter: str) -> Iterator[LabelName]:
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        header = rows.fieldnames or ()
    except csv.Error:
        return
    columns = {(name or "").strip().lower().replace("_", ""): name for name in header}
    index = next((columns[name] for name in _INDEX_COLUMNS if name in columns), None)
    label = next((columns[name] for name in _NAME_COLUMNS if name in columns), None)
    if index is None or label is None:
        return
    try:
        for row in rows:
            value = _integer(row.get(index))
            if value is not None and row.get(label):
                yield LabelName((value,), str(row[label]))
    except csv.Error:
        return


def _of_colours(text: str) -> Iterator[LabelName]:
    """Lines of 3D Slicer and ITK-SNAP: a value, a name, red, green, blue and most often alpha."""
    for line in text.splitlines():
        number, *words = line.split() or [""]
        colours = 4 if len(words) > 4 and words[-4].isdecimal() else 3
        if number.isdecimal() and len(words) > colours and all(map(str.isdecimal, words[-colours:])):
            value = _integer(number)
            if value is not None:
                yield LabelName((value,), " ".join(words[:-colours]))


def _integer(value: Any) -> int | None:  # noqa: ANN401 - whatever a table holds
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None
