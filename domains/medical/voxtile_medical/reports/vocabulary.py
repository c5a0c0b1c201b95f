"""Named sets of labels that facts are written in: CheXpert's 14, CT-RATE's 18, findings on CT, or all concepts.

A label of a vocabulary file says which concepts of the lexicon it `is` (affirmed and denied by them), and which are
`also` kinds of it: these affirm it, but denying one of them leaves the label open. A label with `none_of` is affirmed
where the report closes the vocabulary and affirms none of those labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.errors import InputError
from voxtile_medical.reports.extract import Reading, ReportFact, firmest
from voxtile_medical.reports.lexicon import Lexicon

GENERAL = "general"  # all concepts of the lexicon by their own names, and measurements
FOLDER = Path(__file__).parent / "vocabularies"


@dataclass(frozen=True)
class Label:
    """What makes a label; see the module.

    Attributes:
        own, kinds: concepts of the lexicon.
        none_of: labels.
    """

    own: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vocabulary:
    """Labels by name.

    Attributes:
        name: of the scope that is written.
        version: of the file; None where the labels are the lexicon's concepts.
        labels: by name.
        sha256: of the file's bytes, so that a changed file is another run.
    """

    name: str
    version: str | None
    labels: Mapping[str, Label]
    sha256: str | None = None

    def facts(self, reading: Reading) -> list[ReportFact]:
        """The facts of a report in the names of the vocabulary."""
        found = [fact for name, label in self.labels.items() for fact in _of_label(name, label, reading.facts)]
        facts = list(firmest(found))
        present = {fact.concept for fact in facts if fact.polarity != "absent"}
        closed = set(self.closed(reading))
        for name, label in self.labels.items():
            if label.none_of and present & set(label.none_of):
                facts.append(ReportFact(name, "absent"))
            elif label.none_of and closed.issuperset(label.none_of):
                facts.append(ReportFact(name, "present"))
        return facts

    def elsewhere(self, reading: Reading) -> dict[str, list[ReportFact]]:
        """By label, what the report denies or doubts of it at another side or place than that of its fact."""
        found = {
            name: [fact for fact in reading.elsewhere if fact.concept in label.own]
            for name, label in self.labels.items()
        }
        return {name: facts for name, facts in found.items() if facts}

    def closed(self, reading: Reading) -> list[str]:
        """Labels of which the report says that what it does not mention is absent."""
        closed = set(reading.closed)
        return [name for name, label in self.labels.items() if label.own and closed.issuperset(label.own)]


def vocabulary_names() -> list[str]:
    """The vocabularies that come with voxtile, without `general`, which is all concepts of the lexicon."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def load_vocabulary(name: str, lexicon: Lexicon | None = None) -> Vocabulary:
    """A vocabulary by name or file; any other name stands for all concepts of the lexicon.

    Raises:
        InputError: a file is missing or malformed, or names a concept that the lexicon does not have.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file() and not name.endswith((".yaml", ".yml")):
        concepts = lexicon.concepts if lexicon else {}
        return Vocabulary(name, None, {concept: Label((concept,)) for concept in concepts})
    try:
        content = path.read_bytes()
        data = load_yaml(content)
        labels = {label: _label(label, entry) for label, entry in data["labels"].items()}
        vocabulary = Vocabulary(data["vocabulary"], str(data["version"]), labels, hashlib.sha256(content).hexdigest())
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"vocabulary '{path}' cannot be read ({' '.join(str(error).split())}); "
            "it needs vocabulary, version and labels with is, also or none_of; "
            f"there are: {', '.join(vocabulary_names())}"
        ) from error
    _check(vocabulary, path, lexicon)
    return vocabulary


def _label(name: str, entry: Mapping[str, Sequence[str]]) -> Label:
    if not entry or not entry.keys() <= {"is", "also", "none_of"}:
        raise ValueError(f"label '{name}' must have is, also or none_of")
    return Label(*(tuple(entry.get(key, ())) for key in ("is", "also", "none_of")))


def _check(vocabulary: Vocabulary, path: Path, lexicon: Lexicon | None) -> None:
    for name, label in vocabulary.labels.items():
        known = lexicon.concepts.keys() if lexicon else set()
        unknown = [concept for concept in (*label.own, *label.kinds) if lexicon and concept not in known]
        unknown += [other for other in label.none_of if other not in vocabulary.labels]
        if unknown:
            raise InputError(
                f"vocabulary '{path}': label '{name}' names '{unknown[0]}', which the lexicon does not have; "
                "correct it, or give the lexicon with --lexicon FILE"
            )


def _of_label(name: str, label: Label, facts: Sequence[ReportFact]) -> Iterator[ReportFact]:
    for fact in facts:
        if fact.concept in label.own or (fact.concept in label.kinds and fact.polarity != "absent"):
            yield replace(fact, concept=name)
