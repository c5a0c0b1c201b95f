"""The labels in which facts are written: all concepts of the lexicon, or those of a vocabulary file.

A label of a file says which concepts it `is` (affirmed and denied by them), and which are `also` kinds of it: these
affirm it, but denying one of them leaves the label open. What is a kind of an affirmed concept by the lexicon affirms
it as well.
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
from voxtile_pathology.reports.fact import FIRMEST_FIRST, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon


@dataclass(frozen=True)
class Labels:
    """Labels by name.

    Attributes:
        name: of the scope that is written.
        labels: label → (concepts that it is, concepts that are kinds of it); None where the labels are the concepts.
        sha256: of the file's bytes, so that a changed file is another run.
    """

    name: str
    labels: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] | None = None
    sha256: str | None = None

    def names(self, lexicon: Lexicon) -> list[str]:
        """All labels."""
        return list(lexicon.concepts if self.labels is None else self.labels)

    def facts(self, facts: Sequence[SlideFact]) -> list[SlideFact]:
        """The facts of a report by these labels."""
        if self.labels is None:
            return list(facts)
        return [fact for label, (own, kinds) in self.labels.items() for fact in _of_label(label, own, kinds, facts)]


@cache
def load_labels(name: str, lexicon: Lexicon) -> Labels:
    """Labels by the name of a file; any other name stands for all concepts of the lexicon.

    Raises:
        InputError: the file is missing or malformed, or names a concept that the lexicon does not have.
    """
    if not name.endswith((".yaml", ".yml")):
        return Labels(name)
    path = Path(name)
    try:
        content = path.read_bytes()
        data = load_yaml(content)
        labels = {
            label: (tuple(entry.get("is", ())), tuple(entry.get("also", ()))) for label, entry in data["labels"].items()
        }
        found = Labels(str(data["vocabulary"]), labels, hashlib.sha256(content).hexdigest())
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"vocabulary '{path}' cannot be read ({reason}); it needs vocabulary, version and labels with is or also"
        ) from error
    for label, (own, kinds) in labels.items():
        unknown = [concept for concept in (*own, *kinds) if concept not in lexicon.concepts]
        if unknown or not own + kinds:
            named = f"names '{unknown[0]}', which the lexicon does not have" if unknown else "has neither is nor also"
            raise InputError(
                f"vocabulary '{path}': label '{label}' {named}; correct it, or give the lexicon with --lexicon FILE"
            )
    return found


def _of_label(label: str, own: Sequence[str], kinds: Sequence[str], facts: Sequence[SlideFact]) -> Iterator[SlideFact]:
    matching = [fact for fact in facts if fact.concept in own or (fact.concept in kinds and fact.polarity != "absent")]
    firmest = next(
        (polarity for polarity in FIRMEST_FIRST if any(fact.polarity == polarity for fact in matching)), None
    )
    yield from (replace(fact, concept=label) for fact in matching if fact.polarity == firmest)
