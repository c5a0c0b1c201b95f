"""The HTML page of one sample with its study: one file with everything in it, without scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import voxtile
from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.schema import ROLE
from voxtile.corpus.storage import storage_errors, write_atomically
from voxtile.errors import StopRunError, VoxtileError
from voxtile.pages import page_environment
from voxtile.stages.inspect.planes import PlaneRow, picture_rows, volume_rows
from voxtile.stages.inspect.previews import Preview, make_previews, picture_problem
from voxtile.stages.inspect.regions import ShownRegion, shown_regions
from voxtile.stages.inspect.texts import PLACES, ShownText, shown_text

_TEMPLATE = "sample.html.j2"
_MOST_OTHERS = 24


@dataclass(frozen=True)
class SamplePage:
    """Everything on the page.

    Attributes:
        row: of the table `samples`.
        split: of its subject in the default scheme, or None.
        roles: what it is in its study: (role, polarity, evidence).
        rows: pictures; empty where they cannot be made.
        problem: why there is no picture.
        regions: drawn and listed.
        facts: rows of the table, roles left out, with `attributes` as words and the phrase of the region; those of
            the whole sample first.
        texts: captions of the sample, and of its study where the sample has none.
        scopes: which vocabularies were looked for.
        ledger: rows of its source.
        study: other samples of the study.
        subject: samples of other studies of the subject.
    """

    row: Mapping[str, Any]
    split: str | None
    roles: Sequence[tuple[str, str, str]]
    rows: Sequence[PlaneRow]
    problem: str | None
    regions: Sequence[ShownRegion]
    facts: Sequence[Mapping[str, Any]]
    texts: Sequence[ShownText]
    scopes: Sequence[Mapping[str, Any]]
    ledger: Sequence[Mapping[str, Any]]
    study: Sequence[Preview]
    subject: Sequence[Preview]


def write_sample_page(path: Path, corpus: Corpus, uid: str, *, references: Path | None = None) -> None:
    """Write the page of a sample.

    Args:
        path: file to write; its folder is made.
        corpus: that has the sample.
        uid: of the sample.
        references: folder outside the corpus from which pictures may be copied into the page.

    Raises:
        CorpusError: no such sample.
        StorageError: the file cannot be written.
    """
    environment = page_environment("voxtile.stages.inspect")
    with only_references_in(named_roots(references)):
        shown = sample_page(corpus, uid)
    page = environment.get_template(_TEMPLATE).render(p=shown, version=voxtile.__version__)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())


def sample_page(corpus: Corpus, uid: str) -> SamplePage:
    """Gather what the page shows.

    Raises:
        CorpusError: no such sample.
    """
    row = corpus.row(uid)
    tables = _Tables(corpus, row)
    facts = tables.of("facts", uid)
    axes = str(row["axes"] or "")
    grid = [n for name, n in zip(axes, row["shape"] or (), strict=False) if name in "ZYX"]
    regions = shown_regions(corpus, tables.of("regions", uid), facts, grid)
    phrases = {region.region_id: region.phrase for region in regions}
    pictures, problem = _pictures(corpus, row, regions)
    told = tables.of("captions", uid) or [c for other in tables.study for c in tables.of("captions", other)]
    # What the facts of a study say of its report is known wherever the report stands.
    evidence = facts + [fact for other in tables.study for fact in tables.of("facts", other)]
    return SamplePage(
        row=row,
        split=tables.split(),
        roles=[_role(fact) for fact in facts if fact["concept"] == ROLE],
        rows=pictures,
        problem=problem,
        regions=regions,
        facts=[
            {**fact, "words": _words(fact["attributes"]), "region": phrases.get(fact["region_id"], "")}
            for fact in sorted(facts, key=lambda f: (f["region_id"] is not None, f["source"] or "", f["concept"]))
            if fact["concept"] != ROLE
        ],
        texts=[
            shown_text(c, tables.verdicts(c["caption_id"]), evidence)
            for c in sorted(told, key=lambda c: (c["kind"] != "raw", c["kind"]))
        ],
        scopes=tables.of("scopes", uid),
        ledger=tables.ledger(),
        study=make_previews(corpus, tables.study[:_MOST_OTHERS]),
        subject=make_previews(corpus, tables.subject[:_MOST_OTHERS]),
    )


class _Tables:
    """Rows about one sample and the samples beside it."""

    def __init__(self, corpus: Corpus, row: Mapping[str, Any]) -> None:
        self._corpus, self._row = corpus, row
        others = self._query(
            "SELECT uid, study, datetime FROM samples WHERE subject = ? AND uid <> ? AND kind <> 'overview' "
            "ORDER BY datetime, uid",
            row["subject"],
            row["uid"],
        )
        same = [other for other in others if row["study"] is not None and other["study"] == row["study"]]
        self.study = [other["uid"] for other in same]
        self.subject = [other["uid"] for other in others if other not in same]

    def of(self, table: str, uid: str) -> list[dict[str, Any]]:
        """Rows of a table about a sample, each once."""
        return self._query(f"SELECT DISTINCT * FROM {table} WHERE uid = ? ORDER BY ALL", uid)

    def verdicts(self, caption: str) -> list[dict[str, Any]]:
        """What checkers said of a caption."""
        return self._query("SELECT * FROM verdicts WHERE caption_id = ? ORDER BY checker, checker_version", caption)

    def split(self) -> str | None:
        """Split of the subject."""
        found = self._query(
            "SELECT split FROM splits WHERE scheme = 'default' AND subject = ? LIMIT 1", self._row["subject"]
        )
        return str(found[0]["split"]) if found else None

    def ledger(self) -> list[dict[str, Any]]:
        """What became of the sample's source."""
        return self._query("SELECT * FROM ledger WHERE source = ? ORDER BY attempt, uid LIMIT 20", self._row["source"])

    def _query(self, query: str, *values: object) -> list[dict[str, Any]]:
        connection = self._corpus.connection()
        try:
            result = connection.execute(query, list(values))
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        finally:
            connection.close()


def _pictures(
    corpus: Corpus, row: Mapping[str, Any], regions: Sequence[ShownRegion]
) -> tuple[list[PlaneRow], str | None]:
    try:
        source = corpus.source(row)
        if row["axes"] == "ZYX" and len(row["shape"] or ()) == 3:
            return volume_rows(source, regions), None
        return picture_rows(source, regions), None
    except StopRunError:
        raise
    except (VoxtileError, OSError, ValueError) as error:
        return [], picture_problem(row, error)


def _role(fact: Mapping[str, Any]) -> tuple[str, str, str]:
    attributes = json.loads(fact["attributes"] or "{}")
    return str(attributes.get("role", "")), str(fact["polarity"]), _pairs(attributes.get("evidence") or {})


def _words(attributes: str | None) -> str:
    """Attributes of a fact for people; evidence is in the text."""
    try:
        known = json.loads(attributes or "{}")
    except ValueError:
        return str(attributes)
    return _pairs({name: value for name, value in known.items() if name not in PLACES})


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value}"
        for name, value in values.items()
    )
