"""The checker as strategies see it: bound to what is known of one sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from voxtile.domain import discover
from voxtile.engine.task import Row as TableRow
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known, Verdict, check
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies
from voxtile_datasets.captions.strategies import contexts
from voxtile_datasets.captions.strategies.strategy import Check, Row
from voxtile_datasets.captions.wordings import load_bank

_BLANK: dict[str, Any] = {"value": None, "unit": None, "attributes": None, "region_id": None, "code": None}


class Judging:
    """Makes the check of each sample with the vocabularies of the installed domains."""

    def __init__(self) -> None:
        self._vocabularies = installed_vocabularies()

    @property
    def version(self) -> str:
        """Of the checker."""
        return f"{NAME}@{VERSION}"

    def of(self, known: contexts.Known) -> Check:
        """The check of one sample."""
        return _Bound(known, self._vocabularies[_domain_of(known.context.modality, tuple(self._vocabularies))])

    def row(self, caption_id: str, verdict: Verdict) -> TableRow:
        """A row of the verdicts table."""
        detail = json.dumps([asdict(fault) for fault in verdict.faults], ensure_ascii=False) if verdict.faults else None
        said = {"verdict": verdict.verdict, "detail": detail, "checker": NAME, "checker_version": VERSION}
        return {"caption_id": caption_id, **said}


class _Bound:
    """See `Check`."""

    def __init__(self, known: contexts.Known, vocabulary: Vocabulary) -> None:
        self._known, self._vocabulary = known, vocabulary
        self._identifiers = tuple(sorted(known.identifiers.whole | known.identifiers.pieces))
        self._all: Known | None = None

    def __call__(self, text: str, facts: Sequence[Row] | None = None) -> Verdict:
        """See `Check.__call__`."""
        if facts is None:
            if self._all is None:
                self._all = Known(self._known.facts, self._known.context.scopes, self._identifiers)
            return check(text, self._all, self._vocabulary)
        rows = tuple({**_BLANK, **fact} for fact in facts)
        return check(text, Known(rows, (), self._identifiers), self._vocabulary)


@cache
def _domain_of(modality: str | None, domains: tuple[str, ...]) -> str:
    """The domain whose wording bank names a modality; `general`, or the first, where none does."""
    installed: Mapping[str, Any] = discover()[0]
    for name in domains:
        if any(modality in load_bank(path).modalities for path in installed[name].wordings):
            return name
    return "general" if "general" in domains else domains[0]
