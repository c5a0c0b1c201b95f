"""Running a task of referring expressions: the model, a control that hears no phrase, one that hears another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.inputs.split_roles import role_images, sizes, units_by_role
from voxtile.evaluation.inputs.units import Units, chosen, limited, select_units
from voxtile.evaluation.kinds.grounding.run import BLIND
from voxtile.evaluation.kinds.referring.figures import ShareTable, map_scores
from voxtile.evaluation.kinds.referring.localization import localization_scores
from voxtile.evaluation.kinds.referring.questions import Question, Questions, picture_shapes, stored_outlines
from voxtile.evaluation.kinds.referring.task import ReferringTask
from voxtile.evaluation.kinds.referring.window_maps import window_maps
from voxtile.evaluation.kinds.retrieval.examples import length_of
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.grounding.boxes import Box, best_part, overlap, rotated_box, upright_box
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.models.protocol import EvaluationModel, GroundingModel

Map = npt.NDArray[np.float32]

_CUTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_VALIDATION_UNITS = 200  # enough for a threshold
_SHOWN = 8  # pictures


@dataclass(frozen=True)
class ShownBox:
    """One answer for the page: its picture, the phrase, both boxes and their overlap."""

    uid: str
    phrase: str
    predicted: Box | None
    target: Box
    overlap: float


@dataclass(frozen=True, kw_only=True)
class ReferringResult(Result):
    """Everything that is known after a task of referring expressions.

    Attributes:
        task: the task.
        cut: probability from which a pixel belongs to the answer.
        expressions: how many were asked.
        models: names in the rows.
        shown: a few answers for pictures.
    """

    task: ReferringTask
    cut: float
    expressions: int
    models: tuple[str, ...]
    shown: tuple[ShownBox, ...] = field(default=(), repr=False)

    @property
    def headline_metric(self) -> str:
        """`pr@0.5`, or of the task's overlap; `map_iou` where phrases may have several boxes, `rmi` of windows."""
        return _headline(self.task)

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        if self.task.windows is not None:
            return {**asdict(self.task.windows), "expressions": self.expressions}
        return {"mask_threshold": self.cut, "overlap": self.task.overlap, "expressions": self.expressions}

    def headlines(self, model: str) -> dict[str, Row]:
        """The share of all expressions that are answered rightly, for the logger."""
        rows = [r for r in self.rows if (r.model, r.kind, r.class_name) == (model, "model", None)]
        return {row.metric: row for row in rows}


@dataclass(frozen=True)
class _Heard:
    """What one picture's questions are answered with: maps [Y, X] of each, of none, and of another phrase."""

    uid: str
    questions: Sequence[Question]
    own: Sequence[Map]
    blind: Map
    other: Sequence[Map]


def run_referring(model: EvaluationModel, corpus: Corpus, task: ReferringTask, options: Options) -> ReferringResult:
    """Run one task of referring expressions.

    Raises:
        EvaluationError: the model does not ground and the task has no windows, or nothing is to be evaluated.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    if task.windows is None and not (isinstance(model, GroundingModel) and model.grounds):
        raise EvaluationError(
            f"model '{model.name}' cannot show what phrases mean; train it with the Grounding objective, e.g. with "
            "lightning fit -c remote_sensing/aerial-grounding"
        )
    split = options.split or task.split
    units = units_by_role(select_units(corpus, task), split, options.seed)
    units["val"] = limited(units["val"], _VALIDATION_UNITS, options.seed)
    used = {role: units[role] for role in ("reported", "val")}
    if not len(used["reported"]):
        raise EvaluationError(f"task '{task.name}': no {task.unit} of the corpus is in the split '{split}'")
    images = role_images(model.preset, corpus, task, used, options.batch_size)
    questions = Questions(corpus, task, picture_shapes(images.rows), stored_outlines(images.rows))
    used = {role: chosen(part, questions.kept(part)) for role, part in used.items()}
    asker = _Asker(model, task, images, questions, options.batch_size)
    cut, notes = (0.5, ()) if task.windows else _cut(asker, task, used["val"])
    if questions.ambiguous:
        notes += (f"{questions.ambiguous} phrases that several objects of a picture bear are left out",)
    return _reported(model, task, asker, used, cut, notes, options)


class _Asker:
    """Asks a model about pictures."""

    def __init__(
        self,
        model: EvaluationModel,
        task: ReferringTask,
        images: CorpusImages,
        questions: Questions,
        batch_size: int,
    ) -> None:
        self.model, self._task, self.images, self.questions = model, task, images, questions
        self._batch_size = batch_size

    def heard(self, units: Units) -> Iterator[_Heard]:
        """Answers about each picture on its own grid, the mean over the task's templates."""
        for uid in units.names:
            asked = self.questions.of(uid)
            others = [self.questions.other(uid, number) for number in range(len(asked))]
            names = list(dict.fromkeys([*(q.phrase for q in asked), *others]))
            maps = self._maps(uid, names)
            own = [maps[question.phrase] for question in asked]
            blind: Map = np.add.reduce(own) / np.float32(len(own))
            yield _Heard(uid, asked, own, blind, [maps[name] for name in others])

    def _maps(self, uid: str, phrases: Sequence[str]) -> Mapping[str, Map]:
        source = self.images.source(uid)
        if self._task.windows is not None:
            wordings = [[template.format(phrase) for template in self._task.templates] for phrase in phrases]
            similar = window_maps(self.model, source, wordings, self._task.windows, self._batch_size)
            return dict(zip(phrases, similar, strict=True))
        assert isinstance(self.model, GroundingModel)
        texts = [template.format(phrase) for phrase in phrases for template in self._task.templates]
        ground = self.model.ground
        maps, _ = ground_sample(lambda image: ground(image, texts), self.model.preset, source)
        mean = maps.numpy().reshape(len(phrases), len(self._task.templates), *maps.shape[1:]).mean(1)
        return dict(zip(phrases, mean, strict=True))


def _reported(
    model: EvaluationModel,
    task: ReferringTask,
    asker: _Asker,
    units: Mapping[str, Units],
    cut: float,
    notes: tuple[str, ...],
    options: Options,
) -> ReferringResult:
    """Figures of the model and of both controls."""
    roles = ("model", "blind", "other")
    scores: dict[str, list[dict[str, float]]] = {role: [] for role in roles}
    subjects: list[str] = []
    groups: list[str | None] = []
    shown: list[ShownBox] = []
    for subject, heard in zip(units["reported"].subjects, asker.heard(units["reported"]), strict=True):
        for number, question in enumerate(heard.questions):
            maps = heard.own[number], heard.blind, heard.other[number]
            for role, found in zip(roles, maps, strict=True):
                scores[role].append(_scored(found, question, cut, task))
            subjects.append(str(subject))
            groups.append(task.group_of(question.phrase))
        if task.windows is None and len(shown) < _SHOWN and any(not question.several for question in heard.questions):
            shown.append(_shown(heard, cut, len(shown), show_texts=options.show_texts))
    table = ShareTable(
        task.name, np.array(subjects), groups, list(task.groups), replicates=options.replicates, seed=options.seed
    )
    columns = {role: _columns(values) for role, values in scores.items()}
    rows = table.rows(model.name, "model", columns["model"]) + table.rows(BLIND, "trivial", columns["blind"])
    rows += table.rows(model.name, "shuffled", columns["other"])
    split = options.split or task.split
    difference = table.difference(model.name, BLIND, _headline(task))
    return ReferringResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=notes,
        units=units["reported"],
        sizes=sizes(dict(units), split),
        differences=() if difference is None else (difference,),
        images=asker.images,
        cut=cut,
        expressions=len(subjects),
        models=(model.name, BLIND),
        shown=tuple(shown),
    )


def _scored(found: Map, question: Question, cut: float, task: ReferringTask) -> dict[str, float]:
    """Every metric of one answer; NaN where it does not count."""
    if task.windows is not None:
        return localization_scores(found, question.outlines)
    part = best_part(found, cut)
    upright, right = float("nan"), float("nan")
    if not question.several:  # one box cannot answer two
        upright = 0.0 if part is None else overlap(upright_box(part), question.upright)
        right = float(upright >= task.overlap)
    turned = float("nan")
    if question.rotated is not None:
        turned = 0.0 if part is None else float(overlap(rotated_box(part), question.rotated) >= task.overlap)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    target = question.mask((found.shape[0], found.shape[1]))
    precision = _precision(task)
    scores = {
        precision: right,
        f"rotated_{precision}": turned,
        "box_iou": upright,
        "pointing": float(target[row, column]),
    }
    return {**scores, **map_scores(found, target)} if task.union else scores


def _precision(task: ReferringTask) -> str:
    return f"pr@{task.overlap:g}"


def _headline(task: ReferringTask) -> str:
    if task.windows is not None:
        return "rmi"
    return "map_iou" if task.union else _precision(task)


def _columns(values: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    return {metric: np.array([row[metric] for row in values]) for metric in values[0]} if values else {}


def _cut(asker: _Asker, task: ReferringTask, units: Units) -> tuple[float, tuple[str, ...]]:
    """The threshold that answers most expressions of the validation split rightly."""
    if not len(units):
        return 0.5, ("the threshold is 0.5: no validation split to choose it on has an expression",)
    right = np.zeros(len(_CUTS))
    for heard in asker.heard(units):
        for number, question in enumerate(heard.questions):
            if question.several:
                continue
            parts = (best_part(heard.own[number], cut) for cut in _CUTS)
            found = [0.0 if p is None else overlap(upright_box(p), question.upright) for p in parts]
            right += np.array(found) >= task.overlap
    return _CUTS[int(right.argmax())], ()


def _shown(heard: _Heard, cut: float, number: int, *, show_texts: bool) -> ShownBox:
    """One question of a picture, another each time."""
    single = [place for place, question in enumerate(heard.questions) if not question.several]
    place = single[number % len(single)]
    question, part = heard.questions[place], best_part(heard.own[place], cut)
    box = None if part is None else upright_box(part)
    phrase = question.phrase if show_texts else length_of(question.phrase)
    return ShownBox(heard.uid, phrase, box, question.upright, 0.0 if box is None else overlap(box, question.upright))
