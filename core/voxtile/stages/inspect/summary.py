"""What a corpus holds, as plain numbers: counts, splits, captions, facts, reasons, licences, sizes, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from voxtile.bounded_text import read_json
from voxtile.corpus.confidentiality import Confidentiality, shared_by, stated_in, told_codes
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.shards.memory_maps import shard_sizes
from voxtile.stages.inspect.repeated_series import ADVICE, repeated_series

SPLIT_ORDER = ("train", "val", "test")
TEXTS_KEEP = "identifiers are masked in texts by rules, which miss a few (docs/de-identification.md)"
_EXAMPLES = 8
_PARTS_OF_SIZE = ("shards", "tables", "views", "ledger", "manifests", "done")


@dataclass(frozen=True)
class SampleGroup:
    """Samples of one kind, modality, units and layout.

    Attributes:
        smallest, largest: shape along `axes`, of the sample with the fewest and the most values.
        nbytes: of the payloads, as stored.
    """

    kind: str
    modality: str | None
    units: str | None
    axes: str | None
    codec: str
    count: int
    subjects: int
    nbytes: int
    smallest: list[int]
    largest: list[int]


@dataclass(frozen=True)
class SplitCount:
    """One split of a scheme."""

    scheme: str
    split: str
    subjects: int
    samples: int


@dataclass(frozen=True)
class CaptionGroup:
    """Captions of one origin; lengths in characters."""

    kind: str
    provider: str | None
    model: str | None
    count: int
    samples: int
    different: int
    shortest: int
    median: int
    longest: int


@dataclass(frozen=True)
class Concept:
    """How many samples state a concept; `implied` are absent because a closed scope looked for it in vain."""

    name: str
    present: int
    absent: int
    uncertain: int
    implied: int

    @property
    def known(self) -> int:
        """Samples for which presence or absence is decided."""
        return self.present + self.absent + self.implied

    @property
    def is_stated(self) -> bool:
        """Something is known or doubted of it; else it is a word of an open vocabulary that was looked for in vain."""
        return bool(self.known or self.uncertain)

    @property
    def prevalence(self) -> float | None:
        """Share of the present among the known; None when nothing is known."""
        return self.present / self.known if self.known else None


@dataclass(frozen=True)
class Reason:
    """Inputs that gave nothing, and what was left out of inputs that were used, by reason.

    Attributes:
        count: number of inputs.
        parts: number of parts (tiles of a scene, patches of a slide, findings of a report) of used inputs.
        examples: names of some of them.
    """

    status: str
    reason: str
    count: int
    parts: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One manifest."""

    task: str
    version: str
    created: str
    counts: Mapping[str, int]
    licence: str | None
    confidentiality: Confidentiality


@dataclass(frozen=True)
class Check:
    """Something that would spoil training or evaluation; `sentence` says what and what to do."""

    ok: bool
    sentence: str


@dataclass(frozen=True)
class Example:
    """A text and where it came from."""

    uid: str
    kind: str
    text: str


@dataclass(frozen=True)
class CorpusSummary:
    """All of it."""

    root: Path
    samples: int
    subjects: int
    studies: int
    uncaptioned: int
    groups: Sequence[SampleGroup]
    splits: Sequence[SplitCount]
    captions: Sequence[CaptionGroup]
    concepts: Sequence[Concept]
    used: int
    reasons: Sequence[Reason]
    licences: Sequence[tuple[str | None, int]]
    runs: Sequence[Run]
    sizes: Mapping[str, int]
    checks: Sequence[Check]
    examples: Sequence[Example]

    @property
    def deidentification(self) -> str:
        """Policy of the runs that brought samples, or of all that have one where none did, in a word or sentence."""
        made = [run.confidentiality for run in self.runs if run.counts.get("samples")]
        made = made or [run.confidentiality for run in self.runs if run.confidentiality.removed is not None]
        policies = {run.removed for run in made}
        if policies == {True}:
            profile = told_codes(shared_by(made).codes)
            by = f"; options of DICOM PS3.15 annex E: {profile}" if profile else ""
            return f"on: sources, subjects and studies are keyed hashes; {TEXTS_KEEP}{by}"
        if True in policies:
            return f"mixed: some runs were de-identified and some were not; {TEXTS_KEEP}"
        return "off: sources, subjects and studies are as in the input"


def summarise(corpus: Corpus) -> CorpusSummary:
    """Count everything in a corpus.

    Args:
        corpus: one corpus; of a union the first root.
    """
    root = corpus.roots[0]
    connection = corpus.connection()
    try:
        totals = _one(connection, "SELECT count(*), count(DISTINCT subject), count(DISTINCT study) FROM samples")
        uncaptioned = _one(
            connection,
            f"""WITH units AS (
                SELECT uid, subject, coalesce(study, uid) AS study FROM samples WHERE kind <> '{OVERVIEW}'
            )
            SELECT count(*) FROM units ANTI JOIN (SELECT subject, study FROM units SEMI JOIN captions USING (uid))
            USING (subject, study)""",
        )
        return CorpusSummary(
            root=root,
            samples=totals[0],
            subjects=totals[1],
            studies=totals[2],
            uncaptioned=uncaptioned[0],
            groups=_groups(connection),
            splits=_splits(connection),
            captions=_captions(connection),
            concepts=_concepts(connection),
            used=_one(connection, "SELECT count(*) FROM ledger WHERE status = 'used'")[0],
            reasons=_reasons(connection),
            licences=connection.execute(
                "SELECT licence, count(*) FROM samples GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall(),
            runs=_runs(root),
            sizes={name: _folder_size(root / name) for name in _PARTS_OF_SIZE}
            | {"shards": sum(shard_sizes(root).values())},
            checks=_checks(connection),
            examples=_examples(connection),
        )
    finally:
        connection.close()


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()


def _groups(connection: duckdb.DuckDBPyConnection) -> list[SampleGroup]:
    rows = connection.execute("""
        WITH sized AS (SELECT *, list_product(shape) AS n FROM samples)
        SELECT kind, modality, units, axes, codec, count(*), count(DISTINCT subject),
            coalesce(sum(nbytes), 0)::BIGINT, coalesce(arg_min(shape, n), []), coalesce(arg_max(shape, n), [])
        FROM sized GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 1, 2, 3, 4, 5""").fetchall()
    return [SampleGroup(*row) for row in rows]


def _splits(connection: duckdb.DuckDBPyConnection) -> list[SplitCount]:
    rows = connection.execute("""
        SELECT scheme, split, count(DISTINCT p.subject), count(DISTINCT uid)
        FROM (SELECT DISTINCT scheme, subject, split FROM splits) p LEFT JOIN samples USING (subject)
        GROUP BY 1, 2""").fetchall()
    order = {name: i for i, name in enumerate(SPLIT_ORDER)}
    return [SplitCount(*row) for row in sorted(rows, key=lambda r: (r[0], order.get(r[1], len(order)), r[1]))]


def _captions(connection: duckdb.DuckDBPyConnection) -> list[CaptionGroup]:
    rows = connection.execute("""
        SELECT kind, provider, model, count(*), count(DISTINCT uid), count(DISTINCT text),
            min(length(text)), median(length(text))::BIGINT, max(length(text))
        FROM captions GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3""").fetchall()
    return [CaptionGroup(*row) for row in rows]


def _concepts(connection: duckdb.DuckDBPyConnection) -> list[Concept]:
    rows = connection.execute("""
        WITH stated AS (
            SELECT concept, uid, max(CASE polarity WHEN 'present' THEN 2 WHEN 'uncertain' THEN 1 ELSE 0 END) AS strength
            FROM facts SEMI JOIN samples USING (uid) GROUP BY 1, 2
        ),
        looked AS (
            SELECT DISTINCT uid, unnest(concepts) AS concept FROM scopes SEMI JOIN samples USING (uid) WHERE closed
        ),
        named AS (SELECT DISTINCT unnest(concepts) AS concept FROM scopes),
        counted AS (
            SELECT concept, count(*) FILTER (strength = 2) AS present, count(*) FILTER (strength = 0) AS absent,
                count(*) FILTER (strength = 1) AS uncertain, count(*) FILTER (strength IS NULL) AS implied
            FROM stated FULL JOIN looked USING (uid, concept) GROUP BY 1
        )
        SELECT concept, coalesce(present, 0), coalesce(absent, 0), coalesce(uncertain, 0), coalesce(implied, 0)
        FROM counted FULL JOIN named USING (concept) WHERE concept IS NOT NULL
        ORDER BY 2 DESC, 1""").fetchall()
    return [Concept(*row) for row in rows]


def _reasons(connection: duckdb.DuckDBPyConnection) -> list[Reason]:
    rows = connection.execute("""
        WITH used AS (SELECT DISTINCT source FROM ledger WHERE status = 'used'),
        told AS (
            SELECT status, coalesce(reason, status) AS reason, source, split_part(source, '#', 1) AS whole FROM ledger
            WHERE status <> 'used'
        ),
        named AS (
            SELECT status, reason, source, whole, count(*) AS n,
                source IN (FROM used) OR whole IN (FROM used) AS in_part
            FROM told GROUP BY ALL
        )
        SELECT status, reason, count(DISTINCT whole) FILTER (NOT in_part),
            coalesce(sum(n) FILTER (in_part), 0)::BIGINT, min(source, 3)
        FROM named GROUP BY 1, 2 ORDER BY 1 DESC, 3 DESC, 4 DESC, 2
        """).fetchall()
    return [Reason(status, reason, count, parts, tuple(names)) for status, reason, count, parts, names in rows]


def _runs(root: Path) -> list[Run]:
    runs = []
    for path in sorted((root / "manifests").glob("*.json")):
        content = read_json(path)
        runs.append(
            Run(
                task=str(content.get("task", "?")),
                version=str(content.get("version", "?")),
                created=str(content.get("created", "")),
                counts=content.get("counts") or {},
                licence=content.get("licence"),
                confidentiality=stated_in(content),
            )
        )
    return runs


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _checks(connection: duckdb.DuckDBPyConnection) -> list[Check]:
    two_splits = _one(
        connection,
        "SELECT count(*) FROM (SELECT 1 FROM splits GROUP BY scheme, subject HAVING count(DISTINCT split) > 1)",
    )[0]
    leaked = _one(
        connection,
        """SELECT count(*) FROM (SELECT 1 FROM samples JOIN (SELECT DISTINCT subject, split FROM splits
        WHERE scheme = 'default') USING (subject) GROUP BY sha256 HAVING count(DISTINCT split) > 1)""",
    )[0]
    # A UID or a keyed hash is one study, whoever it is said to be of; "baseline" is one of each subject.
    torn = _one(
        connection,
        """SELECT count(*) FROM (SELECT 1 FROM samples JOIN (SELECT DISTINCT subject, split FROM splits
        WHERE scheme = 'default') USING (subject) WHERE length(study) >= 16 GROUP BY study
        HAVING count(DISTINCT subject) > 1 AND count(DISTINCT split) > 1)""",
    )[0]
    repeated = _one(connection, "SELECT count(*) FROM (SELECT 1 FROM samples GROUP BY uid HAVING count(*) > 1)")[0]
    unsplit = _one(
        connection,
        "SELECT count(DISTINCT subject) FROM samples "
        "ANTI JOIN (SELECT subject FROM splits WHERE scheme = 'default') USING (subject)",
    )[0]
    found = [
        (two_splits, "subjects are in two splits", "give each one split", "no subject is in two splits"),
        (
            leaked,
            "pictures occur byte for byte in two splits",
            "give their subjects one split, or leave the copies out of a view",
            "no picture occurs in two splits",
        ),
        (
            torn,
            "studies are in two splits, since their samples name several subjects",
            "were patients merged or renamed? give these subjects one split (--splits) in a new corpus",
            "no study is in two splits",
        ),
        (repeated, "uids occur twice", "run voxtile verify", "every uid occurs once"),
        (unsplit, "subjects are in no split", "convert with --split-fractions", "every subject has a split"),
    ]
    checks = [
        Check(not count, f"{count:,} {problem}; {advice}" if count else fine) for count, problem, advice, fine in found
    ]
    checks = [*checks, *_of_several_people(connection)]
    checks += _written_twice(connection)
    again = repeated_series(connection)
    return [*checks, Check(False, f"{again:,} series are there more than once: {ADVICE}")] if again else checks


def _of_several_people(connection: duckdb.DuckDBPyConnection) -> list[Check]:
    """A check of subjects that no one person can be; none of corpora that do not say of what sex and age people are."""
    count = _one(
        connection,
        """SELECT count(*) FROM (SELECT subject FROM (SELECT subject, about ->> '$.sex' AS sex,
            regexp_extract(about ->> '$.age_band', '^(\\d+)-(\\d+)$', ['low', 'high']) AS band,
            TRY_CAST(datetime[:4] AS INTEGER) AS year FROM (SELECT subject, datetime,
                CASE WHEN json_valid(attributes) THEN attributes END AS about FROM samples
                WHERE contains(attributes, '"sex"') OR contains(attributes, '"age_band"')))
        GROUP BY subject HAVING count(DISTINCT sex) FILTER (sex IN ('F', 'M')) > 1
            OR max(year - TRY_CAST(band.high AS INTEGER) - 1) > min(year - TRY_CAST(band.low AS INTEGER)))""",
    )[0]
    told = f"{count:,} subjects have two sexes, or ages that no one has at their dates; do two people share an ID?"
    advice = "give each their own in the files, and convert them into a new corpus"
    return [Check(False, f"{told} {advice}")] if count else []


def _written_twice(connection: duckdb.DuckDBPyConnection) -> list[Check]:
    """A check of subjects in two splits that only letter case, zeros before a number or accents tell apart."""
    count, first = _one(
        connection,
        """SELECT count(*), min(names) FROM (
        SELECT array_to_string(list_sort(list(DISTINCT subject))[:2], ' and ') AS names
        FROM splits WHERE scheme = 'default' GROUP BY regexp_replace(lower(nfc_normalize(subject)), '^0+', '')
        HAVING count(DISTINCT subject) > 1 AND count(DISTINCT split) > 1)""",
    )
    told = f"{count:,} subjects are in two splits under names that are all but the same ({first}); if each is one,"
    return [Check(False, f"{told} name them alike and convert into a new corpus")] if count else []


def _examples(connection: duckdb.DuckDBPyConnection) -> list[Example]:
    rows = connection.execute(
        f"""SELECT uid, kind, text FROM (
            SELECT *, row_number() OVER (PARTITION BY kind ORDER BY md5(caption_id)) AS place FROM captions
        ) ORDER BY place, kind LIMIT {_EXAMPLES}"""
    ).fetchall()
    return [Example(*row) for row in rows]
