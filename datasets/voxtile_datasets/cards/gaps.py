"""Known gaps: what a corpus lacks, found in its own tables, so that no card is silent about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from voxtile.corpus.schema import DESCRIPTIVE, MEASURED
from voxtile.stages.inspect.formatting import share_text
from voxtile.stages.inspect.summary import CorpusSummary
from voxtile_datasets.cards.captions import CaptionOrigin
from voxtile_datasets.licences.combine import CombinedLicence

_FEWEST_POSITIVES = 10  # fewer give no figure: voxtile evaluate refuses them
_NAMED = 6
_ATTRIBUTES = {"sex": "sex", "age_band": "age"}
_PATIENTS = {"CT", "MR", "PT", "CR", "DX", "MG", "US", "XA", "NM", "OP", "XC", "SM"}


def find_gaps(
    connection: duckdb.DuckDBPyConnection,
    summary: CorpusSummary,
    captions: Sequence[CaptionOrigin],
    licence: CombinedLicence,
    *,
    synthetic: bool,
) -> list[str]:
    """Sentences about what is missing, one a gap.

    Args:
        connection: of `Corpus.connection`.
        summary: the counts of the corpus.
        captions: of the same corpus.
        licence: of the same corpus.
        synthetic: it is a phantom.
    """
    return [
        *_about_content(connection, summary, synthetic=synthetic),
        *_about_texts(connection, summary, captions),
        *_about_facts(connection, summary),
        *_about_people(connection),
        *(check.sentence[0].upper() + check.sentence[1:] + "." for check in summary.checks if not check.ok),
        *(["The licence of some samples is not stated or not known."] if not licence.is_known else []),
    ]


def _about_content(connection: duckdb.DuckDBPyConnection, summary: CorpusSummary, *, synthetic: bool) -> Iterator[str]:
    if synthetic:
        yield "Some or all samples are a synthetic phantom: figures on it prove wiring, never quality."
    if not summary.splits:
        yield "No split is stored, so nothing says which subjects are for training and which for testing."
    for status, verb in (("failed", "failed to convert"), ("dropped", "left out")):
        reasons = [reason for reason in summary.reasons if reason.status == status and reason.count]
        if reasons:
            total = sum(reason.count for reason in reasons)
            named = ", ".join(f"{reason.reason} {reason.count:,}" for reason in reasons[:_NAMED])
            yield f"Inputs {verb}: {total:,} ({named})."
    referenced = _number(connection, "SELECT count(*) FROM samples WHERE codec = 'ref'")
    if referenced:
        yield f"References, whose pixels lie outside the corpus and do not travel with it: {referenced:,} samples."


def _about_texts(
    connection: duckdb.DuckDBPyConnection, summary: CorpusSummary, captions: Sequence[CaptionOrigin]
) -> Iterator[str]:
    if not captions:
        yield "There are no captions."
        return
    if summary.uncaptioned:
        missing = f"{summary.uncaptioned:,} of {summary.samples:,} samples"
        yield f"Without a caption, of their own or of their study: {missing}."
    generated = [origin for origin in captions if origin.is_generated]
    unchecked = sum(origin.unchecked for origin in generated)
    if unchecked:
        total = sum(origin.captions for origin in generated)
        yield f"Never checked against facts: {unchecked:,} of {total:,} model-written captions."
    for verdict, sentence in (
        ("contradicted", "Contradicted by the facts, and left out of training and exports unless told otherwise"),
        ("unsupported", "Saying something that the facts do not support"),
    ):
        count = sum(origin.verdicts.get(verdict, 0) for origin in captions)
        if count:
            total = sum(origin.captions for origin in captions)
            yield f"{sentence}: {count:,} of {total:,} captions ({share_text(count / total)})."
    spoken = [row[0] for row in connection.execute("SELECT DISTINCT lang FROM captions").fetchall()]
    if spoken == [None]:
        yield "The language of the captions is not recorded."
    elif len(spoken) == 1:
        yield f"All captions are in one language ({spoken[0]})."
    writers = sorted({origin.model or str(origin.provider) for origin in generated})
    if writers:
        yield f"Captions by {', '.join(writers)} are also subject to the terms of these models."


def _about_facts(connection: duckdb.DuckDBPyConnection, summary: CorpusSummary) -> Iterator[str]:
    if not summary.concepts:
        yield "There are no facts, so captions cannot be checked and no zero-shot task has labels."
        return
    silent = [c.name for c in summary.concepts if not (c.known or c.uncertain)]
    if silent:
        yield f"Concepts that were looked for and of which nothing is known in any sample: {_list(silent)}."
    one_sided = [
        c.name for c in summary.concepts if c.present and not (c.absent or c.implied) and c.name not in DESCRIPTIVE
    ]
    if one_sided:
        yield (
            f"For {_list(one_sided)} only presence is known: a sample without the fact may have it all the same, "
            "so that these give no negatives."
        )
    if any(split.split == "test" and split.samples for split in summary.splits):
        rare = [
            row[0]
            for row in connection.execute(
                f"""SELECT concept FROM facts JOIN samples USING (uid)
            JOIN (SELECT subject FROM splits WHERE scheme = 'default' AND split = 'test') USING (subject)
            WHERE polarity = 'present' AND concept NOT IN {DESCRIPTIVE}
                AND NOT starts_with(coalesce(facts.source, ''), '{MEASURED}')
            GROUP BY 1 HAVING count(DISTINCT uid) < {_FEWEST_POSITIVES} ORDER BY count(DISTINCT uid), 1"""
            ).fetchall()
        ]
        if rare:
            yield f"Fewer than {_FEWEST_POSITIVES} test samples show {_list(rare)}: too few for a figure."


def _about_people(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    modalities = {row[0] for row in connection.execute("SELECT DISTINCT modality FROM samples").fetchall()}
    if not modalities & _PATIENTS:
        return
    total = _number(connection, "SELECT count(*) FROM samples")
    for name, word in _ATTRIBUTES.items():
        known = _number(
            connection,
            f"SELECT count(*) FROM samples WHERE json_valid(attributes) AND attributes ->> '$.{name}' IS NOT NULL",
        )
        if known < total:
            yield (
                f"The patient's {word} is known for {known:,} of {total:,} samples"
                + ("." if known else ", so that fairness over it cannot be examined.")
            )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int((connection.execute(query).fetchone() or (0,))[0])
