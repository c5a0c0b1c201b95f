"""What the page shows of a retrieval task, as plain values for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.kinds.retrieval.examples import Example
from voxtile.evaluation.kinds.retrieval.figures import MEAN
from voxtile.evaluation.kinds.retrieval.questions import DIRECTIONS, RULES, Direction
from voxtile.evaluation.kinds.retrieval.run import RetrievalResult
from voxtile.evaluation.report.pictures import copied, picture
from voxtile.evaluation.report.section import Section, Source
from voxtile.evaluation.tasks.choices import LATE_INTERACTION, MATCHING

_TITLES = {"text-to-image": "Which image does the caption describe?", "image-to-text": "Which caption fits the image?"}
_LABELS = {
    "model": ("The model", "cosine similarity of image and text"),
    LATE_INTERACTION: ("Late interaction", "the first candidates by their tokens: each with its best (TokenWise)"),
    MATCHING: ("Matching", "the first candidates by the head that reads image and text (ImageTextMatching)"),
    "trivial": ("Trivial baseline", "words that go with a thumbnail, by ridge regression on the training split"),
    "shuffled": ("Shuffled images", "every image stands for one of another subject; this is chance"),
}
_LIMIT = (
    "Not search in the world.",
    "Recall depends on how many images and captions there are to choose from: twice as many make the same model look "
    "worse. The bootstrap draws queries and leaves the gallery as it is.",
)


@dataclass(frozen=True)
class RecallLine:
    """One direction and k: rows by role, strict and tolerant."""

    title: str
    strict: dict[str, Row | None]
    tolerant: dict[str, Row | None]


@dataclass(frozen=True)
class Shot:
    """A query with its pictures as data URIs."""

    example: Example
    own: str
    found: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RetrievalSection(Section):
    """Everything that the template needs of one retrieval task."""

    result: RetrievalResult
    mean: dict[str, dict[str, Row | None]]
    directions: list[tuple[str, list[RecallLine]]]
    shots: list[tuple[str, list[Shot]]]
    template: str = "retrieval.html.j2"

    @property
    def headline(self) -> Row | None:
        """Mean recall of the model where only the own pair counts."""
        return self.mean["strict"]["model"]

    @property
    def limits(self) -> Sequence[tuple[str, str]]:
        """What recall among those that were there does not prove."""
        return [_LIMIT]


def retrieval_section(result: RetrievalResult) -> RetrievalSection:
    """Gather what the page shows of a retrieval task."""
    sources = [_source("model", result.models[0])]
    for name in result.reranked:
        scorer = name.removeprefix(f"{result.models[0]}+")
        sources.append(Source(scorer, name, "model", *_LABELS[scorer]))
    sources += [_source("trivial", name) for name in result.models[1:]]
    sources.append(_source("shuffled", result.models[0]))
    return RetrievalSection(
        result=result,
        sources=sources,
        mean={rule: _rows(result, sources, MEAN, rule) for rule in RULES},
        directions=[(_TITLES[direction], _lines(result, sources, direction)) for direction in DIRECTIONS],
        difference=next(iter(result.differences), None),
        shots=[
            (_TITLES[direction], [_shot(result, e) for e in result.examples if e.direction == direction])
            for direction in DIRECTIONS
        ],
    )


def _source(kind: ScoreKind, model: str) -> Source:
    return Source(kind, model, kind, *_LABELS[kind])


def _lines(result: RetrievalResult, sources: list[Source], direction: Direction) -> list[RecallLine]:
    return [
        RecallLine(
            title=f"among the first {k}" if k > 1 else "the first one",
            strict=_rows(result, sources, f"recall@{k}", f"{direction}/strict"),
            tolerant=_rows(result, sources, f"recall@{k}", f"{direction}/tolerant"),
        )
        for k in result.task.recall
    ]


def _rows(result: RetrievalResult, sources: list[Source], metric: str, name: str) -> dict[str, Row | None]:
    found = {(r.model, r.kind): r for r in result.rows if r.metric == metric and r.class_name == name}
    return {source.role: found.get((source.model, source.kind)) for source in sources}


def _shot(result: RetrievalResult, example: Example) -> Shot:
    pictures = example.found if example.direction == "text-to-image" else ()
    return Shot(
        example,
        copied(partial(picture, result.images, example.uid)),
        tuple(copied(partial(picture, result.images, uid)) for uid in pictures),
    )
