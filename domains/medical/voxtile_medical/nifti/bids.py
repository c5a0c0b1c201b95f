"""What the sidecars of NIfTI files say (BIDS 1.10, and dcm2niix beside any file): acquisition, sex and age.

A sidecar holds what a header holds, and people write more into it. Each value takes the way of its DICOM element: a
number within its limits or a word of a closed list, and all else is left out (`dicom_header/attributes.py`).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from voxtile.bounded_text import load_json
from voxtile_medical.archives.stored import open_stored
from voxtile_medical.dicom_header.attributes import attributes_of
from voxtile_medical.dicom_header.element_values import Values
from voxtile_medical.nifti.files import stem_of
from voxtile_medical.series_roles.words import description_words
from voxtile_medical.verdicts import Verdict

_HIGHEST = 1e9  # of a number; an integer of JSON may be too large for a float
_LARGEST = 4 << 20  # bytes; those of dcm2niix have 2 kB, those with slice timings of long series 1 MB
# Field of BIDS → (element of DICOM, factor to the element's unit): BIDS has seconds, DICOM milliseconds.
_NUMBERS: Mapping[str, tuple[str, float]] = {
    "EchoTime": ("EchoTime", 1000),
    "RepetitionTime": ("RepetitionTime", 1000),
    "InversionTime": ("InversionTime", 1000),
    "FlipAngle": ("FlipAngle", 1),
    "EchoTrainLength": ("EchoTrainLength", 1),
    "MagneticFieldStrength": ("MagneticFieldStrength", 1),
    "SliceThickness": ("SliceThickness", 1),
    "KVP": ("KVP", 1),
}
_WORDS: Mapping[str, str] = {
    "Manufacturer": "Manufacturer",
    "MRAcquisitionType": "MRAcquisitionType",
    "PatientPosition": "PatientPosition",
    "BodyPart": "BodyPartExamined",
    "BodyPartExamined": "BodyPartExamined",
    "ConvolutionKernel": "ConvolutionKernel",
    "ReconFilterType": "ConvolutionKernel",
}
_LISTS = ("ImageType", "ScanningSequence", "SequenceVariant")
_SEPARATORS = re.compile(r"[\\_/,\s]+")
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName")
_COUNTED = ("run", "echo", "flip", "inv", "split")
_ENTITY_WORDS: Mapping[str, frozenset[str]] = {
    "part": frozenset({"mag", "phase", "real", "imag"}),
    "dir": frozenset({"AP", "PA", "LR", "RL", "IS", "SI"}),
    "mt": frozenset({"on", "off"}),
}
_MODALITIES = frozenset({"CT", "MR", "PT"})
_UNITS = {"bq/ml": "BQML"}
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
_ENTITY = re.compile(r"([a-zA-Z]+)-([a-zA-Z0-9+]+)")


@dataclass(frozen=True)
class BidsName:
    """Entities and suffix of a file name: `sub-01_acq-a_T1w` is ({sub: 01, acq: a}, T1w)."""

    entities: Mapping[str, str]
    suffix: str

    @classmethod
    def of(cls, stem: str) -> BidsName:
        """Take a stem apart; one that is none of BIDS is its own suffix."""
        *parts, suffix = stem.split("_")
        found = [_ENTITY.fullmatch(part) for part in parts]
        if not all(found):
            return cls({}, stem)
        return cls({match[1]: match[2] for match in found if match}, suffix)

    def inherits(self, other: BidsName) -> bool:
        """A file of that name says something of this one (BIDS, inheritance principle)."""
        return self.suffix == other.suffix and other.entities.items() <= self.entities.items()


@dataclass
class Sidecars:
    """The sidecars of a tree.

    Attributes:
        root: the tree's folder.
        faults: sidecars that cannot be read, by path, with the reason as a sentence.
    """

    root: Path
    faults: dict[str, str] = field(default_factory=dict)
    _by_folder: dict[tuple[str, str], list[tuple[BidsName, str]]] = field(default_factory=lambda: defaultdict(list))
    _read: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _participants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of_tree(cls, root: Path, paths: Iterable[str]) -> Sidecars:
        """Find the sidecars among the files of a tree.

        Args:
            root: the tree's folder.
            paths: of all its files, relative to it.
        """
        found = cls(root)
        for path in paths:
            name = PurePosixPath(path)
            if name.suffix in (".json", ".bval") and not name.name.startswith("."):
                found._by_folder[str(name.parent), name.suffix].append((BidsName.of(name.stem), path))
            if path == "participants.tsv":
                found._participants = found._table(path)
        return found

    def facts_of(self, path: str) -> dict[str, Any]:
        """What the sidecars say of an image: `attributes`, and `modality`, `units` and `b_values` where they say so.

        Args:
            path: of the image, relative to the root.
        """
        told: dict[str, Any] = {}
        for sidecar in self._applicable(path, ".json"):
            told |= self._json(sidecar)
        name = BidsName.of(stem_of(path))
        attributes = attributes_of(self._values(told, name))
        entities: dict[str, Any] = {key: int(v) for key in _COUNTED if (v := name.entities.get(key, "")).isdigit()}
        entities |= {
            key: name.entities[key] for key, words in _ENTITY_WORDS.items() if name.entities.get(key, "") in words
        }
        facts: dict[str, Any] = {"attributes": attributes | ({"bids": entities} if entities else {})}
        if told.get("Modality") in _MODALITIES:
            facts["modality"] = told["Modality"]
        if isinstance(unit := told.get("Units"), str) and unit.lower() in _UNITS:
            facts["units"] = _UNITS[unit.lower()]
        for sidecar in self._applicable(path, ".bval"):
            facts["b_values"] = self._numbers(sidecar)
        return {key: value for key, value in facts.items() if value}

    def _applicable(self, path: str, suffix: str) -> list[str]:
        """Sidecars of an image, the nearest and most special last, so that they go before the others."""
        name, folder = BidsName.of(stem_of(path)), PurePosixPath(path).parent
        if "sub" not in name.entities:  # beside the image alone, as dcm2niix writes them
            return [p for other, p in self._by_folder.get((str(folder), suffix), ()) if other == name]
        found = []
        for above in (*reversed(folder.parents), folder):
            here = [(len(o.entities), p) for o, p in self._by_folder.get((str(above), suffix), ()) if name.inherits(o)]
            found += [p for _, p in sorted(here)]
        return found

    def _values(self, told: Mapping[str, Any], name: BidsName) -> Values:
        values: Values = {}
        for key, (keyword, factor) in _NUMBERS.items():
            number = told.get(key)
            if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < _HIGHEST:
                values[keyword] = (float(number) * factor,)
        for key, keyword in _WORDS.items():
            if isinstance(word := told.get(key), str) and keyword not in values:
                values[keyword] = (word.strip(),)
        for key in _LISTS:
            listed = told.get(key)
            words = listed if isinstance(listed, list) else _SEPARATORS.split(listed) if isinstance(listed, str) else []
            if words := [str(word).strip() for word in words]:
                values[key] = tuple(words)
        agent = told.get("ContrastBolusIngredient")
        if "ce" in name.entities or (isinstance(agent, str) and agent.strip().lower() not in ("", "none", "n/a")):
            values["ContrastBolusAgent"] = ("given",)
        described = [told[key] for key in _DESCRIPTIONS if isinstance(told.get(key), str)]
        if "sub" in name.entities:
            described += [name.entities.get("acq", ""), name.suffix]
        values["SeriesDescription"] = description_words(" ".join(described))
        return values | self._person(name)

    def _person(self, name: BidsName) -> Values:
        row = self._participants.get(f"sub-{name.entities['sub']}", {}) if "sub" in name.entities else {}
        values: Values = {}
        if sex := _SEX.get((row.get("sex") or row.get("gender") or "").strip().lower()):
            values["PatientSex"] = (sex,)
        age = re.fullmatch(r"(\d{1,3})(?:\.\d+)?", (row.get("age") or "").strip())
        if age and self._age_in_years():
            values["PatientAge"] = (f"{int(age[1]):03d}Y",)
        return values

    def _age_in_years(self) -> bool:
        """Ages are in years unless the table's own sidecar has another unit."""
        if not (self.root / "participants.json").is_file():
            return True
        age = self._json("participants.json").get("age")
        unit = age.get("Units") if isinstance(age, Mapping) else None
        return not unit or str(unit).lower().startswith("year")

    def _json(self, path: str) -> Mapping[str, Any]:
        if path not in self._read:
            self._read[path] = {}
            try:
                value = load_json(self._bytes(path).decode("utf-8-sig"))
                if not isinstance(value, Mapping):
                    raise ValueError
                self._read[path] = value
            except (OSError, ValueError, RecursionError, Verdict):  # what a parser says may quote the file
                self.faults[path] = "the sidecar is no JSON object, or too large; the image is used without it"
        return self._read[path]

    def _table(self, path: str) -> dict[str, dict[str, str]]:
        try:
            text = self._bytes(path).decode("utf-8-sig").replace("\0", "")
            rows = list(_rows(text))
        except (OSError, ValueError, csv.Error, Verdict):
            self.faults[path] = "the table is no text in UTF-8, or too large; images are used without it"
            return {}
        return {row["participant_id"].strip(): row for row in rows if row.get("participant_id")}

    def _numbers(self, path: str) -> list[float]:
        try:
            found = [float(word) for word in self._bytes(path).decode("ascii").split()]
            if not all(map(math.isfinite, found)):
                raise ValueError
            return found
        except (OSError, ValueError, Verdict):
            self.faults[path] = "the b-values are no numbers, or too many; the image is used without them"
            return []

    def _bytes(self, path: str) -> bytes:
        with open_stored(self.root / path) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError
        return content


def _rows(text: str) -> Iterator[dict[str, str]]:
    for row in csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE):
        yield {str(key).strip().lower(): value for key, value in row.items() if isinstance(value, str)}
