"""The checker as strategies see it: bound to what is known of one sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxtile.corpus.records import Row as TableRow
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known, Verdict, check
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.rows import verdict_row
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies
from voxtile_datasets.captions.context import contexts
from voxtile_datasets.captions.context.sample import Row
from voxtile_datasets.captions.strategies.strategy import Check

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
        looked_for = [name for scope in known.context.scopes for name in scope["concepts"] or ()]
        concepts = [*(fact["concept"] for fact in known.facts), *looked_for]
        return _Bound(known, self._vocabularies[choose(self._vocabularies, known.context.modality, concepts)])

    def row(self, caption_id: str, verdict: Verdict) -> TableRow:
        """A row of the verdicts table."""
        return verdict_row(caption_id, verdict)


class _Bound:
    """See `Check`."""

    def __init__(self, known: contexts.Known, vocabulary: Vocabulary) -> None:
        self._known, self._vocabulary = known, vocabulary
        self._identifiers = tuple(sorted(known.identifiers.whole | known.identifiers.pieces))
        context = known.context
        said = {"modality": context.modality, "body_part": context.body, "gsd_m": context.gsd_m, "mpp": context.mpp}
        self._metadata = {name: value for name, value in said.items() if value is not None}
        self._all: Known | None = None

    def __call__(self, text: str, facts: Sequence[Row] | None = None) -> Verdict:
        """See `Check.__call__`."""
        if facts is None:
            if self._all is None:
                scopes = self._known.context.scopes
                self._all = Known(self._known.facts, scopes, self._identifiers, metadata=self._metadata)
            return check(text, self._all, self._vocabulary)
        rows = tuple({**_BLANK, **fact} for fact in facts)
        return check(text, Known(rows, (), self._identifiers, metadata=self._metadata), self._vocabulary)
