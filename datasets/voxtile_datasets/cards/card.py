"""What a card says, as plain values, before it becomes a page, Markdown or Croissant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import DESCRIPTIVE
from voxtile.corpus.synthetic import is_phantom
from voxtile.stages.inspect.summary import Concept, CorpusSummary, summarise
from voxtile_datasets.cards.captions import VERDICTS, CaptionOrigin, caption_origins, languages
from voxtile_datasets.cards.gaps import find_gaps
from voxtile_datasets.cards.provenance import Run, deidentification, read_runs
from voxtile_datasets.licences.combine import CombinedLicence, combine_licences
from voxtile_datasets.licences.licence import CREDENTIALED, NO_REDISTRIBUTION

if TYPE_CHECKING:
    from voxtile.serve.reviews.figures import Figures


@dataclass(frozen=True, kw_only=True)
class About:
    """What only people know of a data set.

    Attributes:
        name: short name; letters, digits, spaces, `-`, `_` and `.`.
        description: what it is for; None takes a sentence made of the counts.
        creators: names of people or groups.
        url: its page.
        cite: a citation, best in BibTeX.
        published: ISO date; None takes the day of the last run.
        data_version: MAJOR.MINOR.PATCH.
    """

    name: str
    description: str | None = None
    creators: tuple[str, ...] = ()
    url: str | None = None
    cite: str | None = None
    published: str | None = None
    data_version: str = "1.0.0"


@dataclass(frozen=True)
class Example:
    """A caption as an example of its origin."""

    label: str
    uid: str
    text: str
    verdict: str | None


@dataclass(frozen=True)
class Card:
    """All of it.

    Attributes:
        summary: counts of the corpus.
        captions: by origin.
        languages: (tag, captions).
        licence: of all samples together.
        deidentification: what was done about identities.
        runs: history.
        gaps: what is missing.
        examples: some captions.
        keeps_texts: the licence keeps captions from being shown.
        regions: how many, how many of them have a box, and how many a mask.
        scores: (name, producer, samples) of stored scores.
        synthetic: some samples are a phantom.
        modalities: (modality, samples).
        reviews: what people said of captions, facts and regions; None where nobody did.
    """

    about: About
    summary: CorpusSummary
    captions: Sequence[CaptionOrigin]
    languages: Sequence[tuple[str | None, int]]
    licence: CombinedLicence
    deidentification: str
    runs: Sequence[Run]
    gaps: Sequence[str]
    examples: Sequence[Example]
    keeps_texts: bool
    regions: tuple[int, int, int]
    scores: Sequence[tuple[str, str | None, int]]
    synthetic: bool
    modalities: Sequence[tuple[str, int]]
    reviews: Figures | None = None

    @property
    def description(self) -> str:
        """In the maker's words, or made of the counts."""
        return self.about.description or _described(self)

    @property
    def published(self) -> str:
        """ISO date."""
        return self.about.published or (self.runs[-1].created[:10] if self.runs else "1970-01-01")

    @property
    def concepts(self) -> list[Concept]:
        """Concepts that state a finding and of which something is known."""
        return [concept for concept in self._stated() if concept.known or concept.uncertain]

    @property
    def silent(self) -> list[str]:
        """Concepts that were looked for and of which nothing is known in any sample."""
        return [concept.name for concept in self._stated() if not (concept.known or concept.uncertain)]

    def _stated(self) -> list[Concept]:
        return [concept for concept in self.summary.concepts if concept.name not in DESCRIPTIVE]

    @property
    def caption_total(self) -> int:
        """Number of captions."""
        return sum(origin.captions for origin in self.captions)

    @property
    def cost_usd(self) -> float:
        """Paid for captions."""
        return sum(origin.cost_usd for origin in self.captions)

    @property
    def verdicts(self) -> Mapping[str, int]:
        """Verdict → captions, over all origins; in the order in which pages show them."""
        names = (*VERDICTS, "unchecked")
        return {name: sum(origin.verdicts.get(name, 0) for origin in self.captions) for name in names}


def make_card(store: Corpus, about: About, *, examples: int = 2) -> Card:
    """Read a corpus for its card.

    Args:
        store: one corpus.
        about: what its tables cannot know.
        examples: captions of each origin to show. None are where the licence asks for credentials or forbids copies.

    Raises:
        CorpusError: a table or manifest is damaged.
    """
    summary = summarise(store)
    runs = read_runs(store.roots[0])
    licence = combine_licences(_licence_counts(summary, runs))
    synthetic = is_phantom(store)
    hidden = bool(licence.terms & {CREDENTIALED, NO_REDISTRIBUTION})
    connection = store.connection()
    try:
        captions = caption_origins(connection)
        return Card(
            about=about,
            summary=summary,
            captions=captions,
            languages=languages(connection),
            licence=licence,
            deidentification=deidentification(runs),
            runs=runs,
            gaps=find_gaps(connection, summary, captions, licence, synthetic=synthetic),
            examples=[] if hidden else _examples(connection, captions, examples),
            keeps_texts=hidden,
            regions=_regions(connection),
            scores=connection.execute(
                "SELECT name, producer, count(DISTINCT uid) FROM scores GROUP BY 1, 2 ORDER BY 1, 2"
            ).fetchall(),
            synthetic=synthetic,
            modalities=connection.execute(
                "SELECT coalesce(modality, kind), count(*) FROM samples GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall(),
            reviews=_reviews(store, connection),
        )
    finally:
        connection.close()


def _licence_counts(summary: CorpusSummary, runs: Sequence[Run]) -> dict[str | None, int]:
    """Licences of samples, and those that only a run states (of texts, say)."""
    counts: dict[str | None, int] = dict(summary.licences)
    stated = {part.strip() for text in counts if text for part in text.split(";")}
    for run in runs:
        if run.licence and run.licence not in counts and run.licence not in stated:
            counts[run.licence] = 0
    return counts


def _examples(connection: duckdb.DuckDBPyConnection, captions: Sequence[CaptionOrigin], count: int) -> list[Example]:
    rows = connection.execute(
        """WITH different AS (
            SELECT DISTINCT ON (kind, provider, model, text) *
            FROM (SELECT * FROM captions LEFT JOIN judged USING (caption_id) ORDER BY md5(caption_id))
        )
        SELECT kind, provider, model, uid, text, verdict FROM different
        QUALIFY row_number() OVER (PARTITION BY kind, provider, model ORDER BY md5(caption_id)) <= ?
        ORDER BY md5(caption_id)""",
        [count],
    ).fetchall()
    labels = {(origin.kind, origin.provider, origin.model): origin.label for origin in captions}
    ranks = {label: rank for rank, label in enumerate(labels.values())}
    found = [Example(labels[row[:3]], row[3], row[4], row[5]) for row in rows]
    return sorted(found, key=lambda example: ranks[example.label])


def _reviews(store: Corpus, connection: duckdb.DuckDBPyConnection) -> Figures | None:
    rows = store.table("reviews").to_pylist()
    if not rows:
        return None
    from voxtile.serve.reviews.figures import figures  # late: with it comes scikit-learn

    return figures(connection, rows)


def _regions(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    row = connection.execute("SELECT count(*), count(box), count(mask_shard) FROM regions").fetchone() or (0, 0, 0)
    return int(row[0]), int(row[1]), int(row[2])


def _described(card: Card) -> str:
    summary = card.summary
    kinds = ", ".join(f"{count:,} {name}" for name, count in card.modalities[:4])
    texts = f" with {card.caption_total:,} captions" if card.caption_total else ""
    facts = f" and facts about {len(card.concepts):,} concepts" if card.concepts else ""
    return (
        f"{summary.samples:,} samples ({kinds}) of {summary.subjects:,} subjects{texts}{facts}, "
        "in the voxtile corpus format: WebDataset shards and Parquet tables."
    )
