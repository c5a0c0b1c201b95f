"""Running a retrieval task: the model, a trivial baseline and the shuffled control in both directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import EXAMPLES, PERMUTATIONS, SimpleFeatures, permutations
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.inputs.encode import unit_embeddings
from voxtile.evaluation.inputs.split_roles import encode_roles, role_images, sizes, units_by_role
from voxtile.evaluation.inputs.texts import embed_texts
from voxtile.evaluation.inputs.units import Units, require_units, select_units
from voxtile.evaluation.kinds.retrieval.counting import Integers
from voxtile.evaluation.kinds.retrieval.examples import Example, pick_examples
from voxtile.evaluation.kinds.retrieval.figures import MEAN, Recalls, RecallTable
from voxtile.evaluation.kinds.retrieval.pairs import Pairs, read_pairs
from voxtile.evaluation.kinds.retrieval.questions import (
    DIRECTIONS,
    RULES,
    Asked,
    Direction,
    Rule,
    image_to_text,
    joined_questions,
    shown_others,
    text_to_image,
)
from voxtile.evaluation.kinds.retrieval.ranking import Places, Questions, find_both
from voxtile.evaluation.kinds.retrieval.reranking import Candidates, TokenPairs, first_pairs, reordered
from voxtile.evaluation.kinds.retrieval.task import RetrievalTask
from voxtile.evaluation.kinds.retrieval.words import NAME, WordScores, word_scores
from voxtile.evaluation.options import Options
from voxtile.evaluation.pair_scores import PairScores
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

_SHUFFLED = 40_000  # images that the shuffled control shows: of a large gallery one permutation says what chance is
Finding: TypeAlias = Callable[[Questions, Questions], tuple[Places, Places]]
"""From questions of texts and of images to where their first answers stand."""
_ASK = {"text-to-image": text_to_image, "image-to-text": image_to_text}


@dataclass(frozen=True, kw_only=True)
class RetrievalResult(Result):
    """Everything that is known after a retrieval task.

    Attributes:
        task: the task.
        captions: how many there are.
        texts: how many different ones.
        models: names in the rows: the model, and the trivial baseline where there is one.
        reranked: names in the rows: the model whose first candidates are ordered anew, by each scorer.
        examples: queries with what they find.
        show_texts: the examples hold the captions themselves.
        pairs: which caption belongs to which image.
        embedded: [N, D] of the images and [T, D] of the texts, normalised.
    """

    task: RetrievalTask
    captions: int
    texts: int
    models: tuple[str, ...]
    examples: tuple[Example, ...]
    show_texts: bool
    pairs: Pairs
    embedded: tuple[Floats, Floats]
    reranked: tuple[str, ...] = ()

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        return {"captions": self.captions, "different_captions": self.texts}

    def headlines(self, model: str) -> dict[str, Row]:
        """Mean of the strict recalls of the model, then each of them, for the logger."""
        own = [row for row in self.rows if row.model == model and row.kind == "model"]
        rows = sorted(own, key=lambda row: row.metric != MEAN)
        named = {row.metric if row.metric == MEAN else f"{row.class_name}/{row.metric}": row for row in rows
                 if (row.class_name or "").endswith("strict")}  # fmt: skip
        return {name.replace("/strict", ""): row for name, row in named.items()}


def run_retrieval(model: EvaluationModel, corpus: Corpus, task: RetrievalTask, options: Options) -> RetrievalResult:
    """Run one retrieval task.

    Raises:
        EvaluationError: no unit of the split has a caption, or an embedding is not finite.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    split = options.split or task.split
    splits = select_units(corpus, task)
    require_units(splits, split, task)
    units = units_by_role(splits, split, options.seed)
    scores = PairScores(model, (*task.scorers, *options.scorers))
    pairs = read_pairs(corpus, task, units["reported"])
    train = _train_pairs(corpus, task, units["train"])
    used = {"reported": pairs.units} | ({"train": train.units} if train else {})
    images = role_images(model.preset, corpus, task, used, options.batch_size)
    if isinstance(model.preset, StudyReader):
        used = {role: part.whole() for role, part in used.items()}
    first = used.get("train", used["reported"]).uids[:EXAMPLES]
    features = SimpleFeatures(torch.stack([images.image(uid) for uid in first]))
    encoded = encode_roles(model, task, used, images, features)
    assert encoded["reported"].embeddings is not None
    texts = embed_texts(model, pairs.texts)
    shown = unit_embeddings(encoded["reported"].embeddings, encoded["reported"].units)
    words = word_scores(train, encoded["train"].simple, encoded["reported"].simple, pairs.texts) if train else None
    search = _Search(pairs, task, options)
    rows, places = search.rows(model.name, shown, texts, words)
    if scores:
        tokens = TokenPairs(scores, encoded["reported"].units, images, pairs.texts)
        found = search.candidates(shown, texts, task.rerank or options.rerank)
        for number, scorer in enumerate(scores.scorers):
            rows += search.reranked(f"{model.name}+{scorer.name}", shown, texts, found.scored(tokens, number))
    return RetrievalResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=_notes(search, pairs, units, words is not None),
        units=used["reported"],
        sizes=sizes({**units, **used}, split),
        penalty=None if words is None else words.penalty,
        differences=tuple(d for d in [search.table.difference(model.name, NAME)] if d is not None),
        images=images,
        captions=len(pairs.text),
        texts=len(np.unique(pairs.group)),
        models=(model.name, NAME) if words else (model.name,),
        reranked=tuple(f"{model.name}+{scorer.name}" for scorer in scores.scorers),
        examples=pick_examples(pairs, shown, texts, places, show_texts=options.show_texts),
        show_texts=options.show_texts,
        pairs=pairs,
        embedded=(shown, texts),
    )


def _train_pairs(corpus: Corpus, task: RetrievalTask, units: Units) -> Pairs | None:
    """Captions of the training units; None where there are none to fit the baseline on."""
    try:
        return read_pairs(corpus, task, units) if len(units) else None
    except EvaluationError:
        return None


def _notes(search: _Search, pairs: Pairs, units: dict[str, Units], fitted: bool) -> tuple[str, ...]:
    notes = [search.table.refused] if search.table.refused else []
    left_out = len(units["reported"]) - len(pairs.units)
    if left_out:
        notes.append(f"{left_out} of {len(units['reported'])} images have no caption of this kind and are left out")
    if not fitted:
        notes.append("no trivial baseline: there is no training split with captions to fit it on")
    return tuple(notes)


@dataclass(frozen=True)
class FirstPairs:
    """Pairs that are ordered anew: (query, item) of texts that look for images, and of images that look for texts."""

    of_texts: tuple[Integers, Integers]
    of_images: tuple[Integers, Integers]
    images: int
    texts: int

    def scored(self, tokens: TokenPairs, number: int) -> tuple[Candidates, Candidates]:
        """Candidates of texts and of images with the scores of a scorer."""
        text, unit = self.of_texts
        of_texts = Candidates(text, unit, tokens.by_unit(number, unit, text)[1], self.images)
        unit, text = self.of_images
        return of_texts, Candidates(unit, text, tokens.by_unit(number, unit, text)[0], self.texts)


def _by_cosine(images: Floats, texts: Floats, pairs: Pairs) -> Finding:
    return lambda of_texts, of_images: find_both(texts, images, pairs.copies, of_texts, of_images)


class _Search:
    """Asks every question of a task of one model after the other, on the same draws of subjects."""

    def __init__(self, pairs: Pairs, task: RetrievalTask, options: Options) -> None:
        self._pairs, self._cutoffs = pairs, task.recall
        self._asked: dict[tuple[Direction, Rule], Asked] = {
            (direction, rule): _ASK[direction](pairs, rule) for direction in DIRECTIONS for rule in RULES
        }
        subjects = pairs.units.subjects
        count = int(np.clip(np.ceil(_SHUFFLED / len(subjects)), 1, PERMUTATIONS))
        self._orders = permutations(subjects, seed=options.seed, count=count)
        self.table = RecallTable(
            task.name,
            task.recall,
            {direction: subjects[self._asked[direction, "strict"].unit] for direction in DIRECTIONS},
            replicates=options.replicates,
            seed=options.seed,
        )

    def rows(
        self, model: str, images: Floats, texts: Floats, words: WordScores | None
    ) -> tuple[list[Row], dict[Direction, Places]]:
        """Rows of the model, the baseline and the control; and where the model's strict answers stand."""
        own: dict[tuple[Direction, Rule], Floats] = {}
        mixed: dict[tuple[Direction, Rule], Floats] = {}
        places: dict[Direction, Places] = {}
        for direction, found in self._find(_by_cosine(images, texts, self._pairs), self._orders).items():
            places[direction] = found["strict"][0]
            self._recalls(direction, found, own, mixed)
        rows = self.table.rows(Recalls(model, "model", own))
        if words is not None:
            simple: dict[tuple[Direction, Rule], Floats] = {}
            for direction, found in self._find(_by_cosine(words.images, words.texts, self._pairs), []).items():
                simple |= {(direction, rule): self._recall(direction, rule, found[rule][0]) for rule in RULES}
            rows += self.table.rows(Recalls(NAME, "trivial", simple))
        return rows + self.table.rows(Recalls(model, "shuffled", mixed)), places

    def candidates(self, images: Floats, texts: Floats, count: int) -> FirstPairs:
        """The first pairs of both directions."""
        return FirstPairs(first_pairs(texts, images, count), first_pairs(images, texts, count), len(images), len(texts))

    def reranked(self, model: str, images: Floats, texts: Floats, found: tuple[Candidates, Candidates]) -> list[Row]:
        """Rows of the model whose first candidates (of texts, and of images) are ordered anew, and its control."""
        own: dict[tuple[Direction, Rule], Floats] = {}
        mixed: dict[tuple[Direction, Rule], Floats] = {}
        cosine, shown = _by_cosine(images, texts, self._pairs), np.ones(len(images), np.int64)

        def find(of_texts: Questions, of_images: Questions) -> tuple[Places, Places]:
            by_text, by_image = cosine(of_texts, of_images)
            return (
                reordered(by_text, of_texts, found[0], shown),
                reordered(by_image, of_images, found[1], self._pairs.copies),
            )

        for direction, places in self._find(find, self._orders).items():
            self._recalls(direction, places, own, mixed)
        return [*self.table.rows(Recalls(model, "model", own)), *self.table.rows(Recalls(model, "shuffled", mixed))]

    def _recalls(
        self,
        direction: Direction,
        found: dict[Rule, list[Places]],
        own: dict[tuple[Direction, Rule], Floats],
        mixed: dict[tuple[Direction, Rule], Floats],
    ) -> None:
        """Add the recalls of a direction, as asked and with the images of others."""
        for rule in RULES:
            own[direction, rule] = self._recall(direction, rule, found[rule][0])
            shuffled = [self._recall(direction, rule, part) for part in found[rule][1:]]
            mixed[direction, rule] = np.mean(shuffled, axis=0)

    def _find(self, find: Finding, orders: list[Integers]) -> dict[Direction, dict[Rule, list[Places]]]:
        """Places under each rule, as asked and with the images of each order, from one pass over similarities."""
        asked = {
            direction: [
                part.questions
                for rule in RULES
                for part in (
                    self._asked[direction, rule],
                    *(shown_others(self._asked[direction, rule], direction, order) for order in orders),
                )
            ]
            for direction in DIRECTIONS
        }
        joined = [joined_questions(asked[direction]) for direction in ("text-to-image", "image-to-text")]
        both = find(*joined)
        each = 1 + len(orders)
        found: dict[Direction, dict[Rule, list[Places]]] = {}
        for direction, places in zip(DIRECTIONS, both, strict=True):
            parts = places.split([len(part) for part in asked[direction]])
            found[direction] = {rule: parts[number * each : (number + 1) * each] for number, rule in enumerate(RULES)}
        return found

    def _recall(self, direction: Direction, rule: Rule, places: Places) -> Floats:
        """[Z, K] of the queries that count."""
        return places.recall(self._cutoffs)[self._asked[direction, rule].of]
