"""A versioned lexicon of findings: what each is called, and what statement of normality denies it.

A lexicon file has a `version` and `concepts`. A concept has `terms` (phrases that name it), `pairs` ([organ, quality]:
both in one clause), `borderline` (pairs that leave it open), `unless` (phrases beside it that make it something else),
`denies` (concepts that its denial denies too), `elsewhere` (phrases that name another concept in another region, or,
as `borne`, where the sentence names what has it), `compared` (the concept whose change a phrase tells of where
examinations are compared), and which attributes it can have. `anatomy`, `normal` and `qualities` are what the pairs are
made of; `complete` is said of the whole examination; `include` names further files beside it.
`wordings` lists further phrases by concept: what else the field, letters to patients and learners of English call it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.errors import InputError
from voxtile.processors import nothing_collected
from voxtile.words.phrases import Phrases
from voxtile_medical.reports.quantities.levels import DISCS, RIBS, VERTEBRAE
from voxtile_medical.reports.quantities.measures import Measure

LEXICON = Path(__file__).parent / "lexicon" / "radiology.yaml"
# What kind of place a concept can have; `places` of english.yaml lists them.
PLACES: Mapping[str, frozenset[str]] = {
    "lung": frozenset(
        ["upper lobe", "middle lobe", "lower lobe", "lingula", "apex", "base", "upper lung", "mid lung", "lower lung"]
    )
    | {"perihilar", "retrocardiac", "lung periphery"},
    "apex": frozenset(["apex", "base"]),
    "none": frozenset(),
    "kidney": frozenset(["upper pole", "lower pole", "interpolar region"]),
    "pancreas": frozenset(["pancreatic head", "pancreatic body", "pancreatic tail"]),
    "liver": frozenset(
        ["left hepatic lobe", "right hepatic lobe", "caudate lobe", *(f"liver segment {i}" for i in range(1, 9))]
    ),
    "bowel": frozenset(
        ["small bowel", "colon", "cecum", "ascending colon", "transverse colon", "descending colon", "sigmoid colon"]
    ),
    "brain": frozenset(f"{lobe} lobe" for lobe in ("frontal", "parietal", "temporal", "occipital"))
    | {"cerebellum", "brainstem", "basal ganglia", "thalamus", "corpus callosum", "insula", "periventricular"},
    "breast": frozenset(f"{height} {half} quadrant" for height in ("upper", "lower") for half in ("inner", "outer"))
    | {"retroareolar", "axillary tail"},
    "meniscus": frozenset(["medial meniscus", "lateral meniscus"]),
    "ligament": frozenset(["anterior cruciate ligament", "posterior cruciate ligament", "medial collateral ligament"])
    | {"lateral collateral ligament", "anterior talofibular ligament", "triangular fibrocartilage complex"},
    "tendon": frozenset(
        f"{name} tendon"
        for name in ("supraspinatus", "infraspinatus", "subscapularis", "biceps", "Achilles", "patellar", "quadriceps")
    ),
    "bone": frozenset(["humerus", "radius", "ulna", "scaphoid", "metacarpal", "phalanx", "scapula", "pelvis", "sacrum"])
    | {"pubic ramus", "acetabulum", "femoral neck", "femoral head", "femur", "patella", "tibia", "fibula", "malleolus"}
    | {"talus", "calcaneus", "metatarsal", "sternum", "femoral condyle", "tibial plateau"},
    "vertebra": frozenset(VERTEBRAE),
    "rib": frozenset(RIBS),
}
# The kinds of places that concepts of a region can have beside their own; of the bones' only those that say none.
_PLACES_OF_REGION: Mapping[str, tuple[str, ...]] = {
    "lungs": ("lung",),
    "pleura": ("lung",),
    "liver": ("liver",),
    "kidneys": ("kidney",),
    "pancreas": ("pancreas",),
    "bowel": ("bowel",),
    "brain": ("brain",),
    "breast": ("breast",),
    "spine": ("vertebra",),
    "bones": ("bone", "vertebra", "rib"),
    "joints": ("bone",),
    "devices": ("vertebra",),
}
_KEYS = frozenset(
    ["region", "code", "side", "size", "places", "lasting", "terms", "pairs", "borderline", "unless", "denies"]
) | {"elsewhere", "compared"}
Pair: TypeAlias = tuple[str, str]  # organ, quality
Reading: TypeAlias = tuple[tuple[str, str | None], ...]  # (region or "other", concept; None for no finding), …


@dataclass(frozen=True)
class Concept:
    """A finding.

    Attributes:
        name: as facts call it.
        region: heading under which structured reports say it.
        code: in an ontology (`SCT:…` SNOMED CT, `RADLEX:…`), where known for sure.
        has_side, has_size: which attributes it can have.
        places: the places that it can have.
        is_lasting: "status post" and "history of" affirm it.
        denies: concepts that its denial denies too.
    """

    name: str
    region: str = "general"
    code: str | None = None
    has_side: bool = False
    has_size: bool = False
    places: frozenset[str] = frozenset()
    is_lasting: bool = False
    denies: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All concepts, compiled.

    Attributes:
        version: that facts record.
        concepts: by name.
        terms: phrase → concept.
        organs: phrase → organ.
        qualities: phrase → quality that is a finding of some organ.
        normal: phrase → kind of normality.
        pairs: (organ, quality) → concepts.
        borderline: those of them that leave the concept open.
        closes: organ → kind of normality → concepts that it denies.
        unless: concept → phrases.
        compared: concept → what its phrases with a word of change name where the sentence compares examinations.
        affirmed, denied: phrases that close the whole vocabulary, when affirmed or denied.
        measures: phrase → measurement of an organ.
        body_parts: word for a part of the body → regions of the concepts that such a phrase is then about.
        elsewhere: concept → phrase of it → what that names in other regions.
        organ_regions: organ → region.
        together: regions that one examination shows.
    """

    version: str
    concepts: Mapping[str, Concept]
    terms: Phrases[str]
    organs: Phrases[str]
    qualities: Phrases[str]
    normal: Phrases[str]
    pairs: Mapping[Pair, tuple[str, ...]]
    borderline: Mapping[Pair, tuple[str, ...]]
    closes: Mapping[str, Mapping[str, tuple[str, ...]]]
    unless: Mapping[str, Phrases[bool]]
    compared: Mapping[str, str]
    affirmed: Phrases[bool]
    denied: Phrases[bool]
    body_parts: Mapping[str, tuple[str, ...]]
    measures: Phrases[Measure]
    elsewhere: Mapping[str, Phrases[Reading]]
    organ_regions: Mapping[str, str]
    together: tuple[frozenset[str], ...]

    def imaged_with(self, region: str) -> frozenset[str]:
        """The region and those that examinations of it show, too."""
        return frozenset([region]).union(*(regions for regions in self.together if region in regions))

    def words(self) -> frozenset[str]:
        """Words with which its phrases begin: evidence that a text is of the lexicon's language."""
        return frozenset().union(*(p.first_words() for p in (self.terms, self.organs, self.qualities, self.normal)))


@cache
def load_lexicon(path: Path = LEXICON) -> Lexicon:
    """Read and compile a lexicon file.

    Raises:
        InputError: it is missing, or not a lexicon.
    """
    try:
        data = _read(path)
        for name, entry in data["concepts"].items():
            if not isinstance(entry, dict) or not {"terms"} <= entry.keys() <= _KEYS:
                raise ValueError(f"concept '{name}' must have terms, and keys among {', '.join(sorted(_KEYS))}")
        for name, phrases in data.get("wordings", {}).items():
            data["concepts"][name] = {**data["concepts"][name], "terms": [*data["concepts"][name]["terms"], *phrases]}
        with nothing_collected():
            return _compile(data)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"lexicon '{path}' cannot be read ({' '.join(str(error).split())}); "
            f"it needs a version and concepts with terms, as {LEXICON.parent.name}/{LEXICON.name} has them"
        ) from error


def lexicon_path(name: Path | str) -> Path:
    """A lexicon's file: a path as it is, or the file of one that comes with voxtile (`petct`).

    Raises:
        InputError: there is no such lexicon.
    """
    path = Path(name)
    if path.suffix or path.is_file():
        return path
    shipped = LEXICON.parent / f"{name}.yaml"
    if not shipped.is_file():
        raise InputError(f"there is no lexicon '{name}'; give {', '.join(lexicon_names())}, or a YAML file")
    return shipped


def lexicon_names() -> list[str]:
    """The lexicons that come with voxtile; files without a version are parts of one."""
    files = sorted(LEXICON.parent.glob("*.yaml"))
    return [file.stem for file in files if re.search(r"^version:", file.read_text(encoding="utf-8"), re.MULTILINE)]


def lexicon_files(path: Path) -> list[Path]:
    """The file and those that it includes."""
    data = load_yaml(path.read_text(encoding="utf-8"))
    return [path, *(path.parent / name for name in data.get("include", ()))]


def _read(path: Path) -> dict[str, Any]:
    merged: dict[str, Any] = {"version": None}
    for file in lexicon_files(path):
        data = load_yaml(file.read_text(encoding="utf-8"))
        for key, value in data.items():
            if isinstance(value, dict):
                repeated = merged.get(key, {}).keys() & value.keys()
                if repeated:
                    raise ValueError(f"'{sorted(repeated)[0]}' is twice under {key}")
                merged[key] = merged.get(key, {}) | value
            elif key == "version" and file == path:
                merged[key] = str(value)
    if merged["version"] is None:
        raise KeyError("version")
    return merged


def _compile(data: dict[str, Any]) -> Lexicon:
    entries = data["concepts"]
    anatomy, complete = data.get("anatomy", {}), data.get("complete", {})
    return Lexicon(
        version=data["version"],
        concepts={name: _concept(name, entry) for name, entry in entries.items()},
        terms=Phrases((phrase, name) for name, entry in entries.items() for phrase in entry["terms"]),
        organs=Phrases((phrase, name) for name, entry in anatomy.items() for phrase in entry["terms"]),
        qualities=_flat(data.get("qualities", {})),
        normal=_flat(data.get("normal", {})),
        pairs=_pairs(entries, "pairs"),
        borderline=_pairs(entries, "borderline"),
        closes={name: _closes(entry["closes"]) for name, entry in anatomy.items() if "closes" in entry},
        unless={
            name: Phrases((phrase, True) for phrase in entry["unless"])
            for name, entry in entries.items()
            if "unless" in entry
        },
        compared={name: entry["compared"] for name, entry in entries.items() if "compared" in entry},
        affirmed=Phrases((phrase, True) for phrase in complete.get("affirmed", ())),
        denied=Phrases((phrase, True) for phrase in complete.get("denied", ())),
        measures=_measures(data.get("measures", {})),
        body_parts={word: tuple(regions) for word, regions in complete.get("body_parts", {}).items()},
        elsewhere={name: _elsewhere(entry["elsewhere"]) for name, entry in entries.items() if "elsewhere" in entry},
        organ_regions={name: entry["region"] for name, entry in anatomy.items() if "region" in entry},
        together=tuple(frozenset(regions) for regions in complete.get("together", {}).values()),
    )


def _places(entry: Mapping[str, Any]) -> frozenset[str]:
    """The places of a concept and of its region; of the spine's also from one vertebra to the next."""
    own, region = entry.get("places"), entry.get("region", "")
    kinds = {own} if own == "none" or (region == "bones" and own) else {own, *_PLACES_OF_REGION.get(region, ())}
    places = frozenset().union(*(PLACES[kind] for kind in kinds if kind))
    return places | frozenset(DISCS) if entry.get("region") == "spine" else places


def _concept(name: str, entry: Mapping[str, Any]) -> Concept:
    return Concept(
        name,
        region=entry.get("region", "general"),
        code=entry.get("code"),
        has_side=bool(entry.get("side")),
        has_size=bool(entry.get("size")),
        places=_places(entry),
        is_lasting=bool(entry.get("lasting")),
        denies=tuple(entry.get("denies", ())),
    )


def _closes(entry: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """What each kind of normality denies; sizes and no dilatation are kinds of it unless the organ says otherwise."""
    closes = {kind: tuple(concepts) for kind, concepts in entry.items()}
    for kind, general in (("normal_size", "normal"), ("undilated", "normal_size"), ("unenlarged", "normal_size")):
        if general in closes:
            closes.setdefault(kind, closes[general])
    return closes


def _measures(table: Mapping[str, Mapping[str, Any]]) -> Phrases[Measure]:
    made = [
        (Measure(name, {written.lower(): unit for unit, forms in entry["units"].items() for written in forms}), entry)
        for name, entry in table.items()
    ]
    return Phrases((phrase, measure) for measure, entry in made for phrase in entry["terms"])


def _elsewhere(readings: list[dict[str, Any]]) -> Phrases[Reading]:
    return Phrases(
        (phrase, tuple((region, concept) for region, concept in reading.items() if region != "terms"))
        for reading in readings
        for phrase in reading["terms"]
    )


def _flat(table: Mapping[str, list[str]]) -> Phrases[str]:
    return Phrases((phrase, name) for name, phrases in table.items() for phrase in phrases)


def _pairs(entries: Mapping[str, Mapping[str, Any]], key: str) -> dict[Pair, tuple[str, ...]]:
    found: dict[Pair, tuple[str, ...]] = {}
    for name, entry in entries.items():
        for organ, quality in entry.get(key, ()):
            found[organ, quality] = (*found.get((organ, quality), ()), name)
    return found
