"""Running a grounding task: the model, a control that does not hear the phrase and one that hears another phrase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader
from voxtile.data.regions.masks import mask_metas, masking, placed_mask, soft
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.regions.regions import RegionTable
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, find_row
from voxtile.evaluation.inputs.labels import LabelSource
from voxtile.evaluation.inputs.split_roles import require_training, role_images, sizes, units_by_role
from voxtile.evaluation.inputs.units import Units, limited, select_units
from voxtile.evaluation.kinds.grounding.figures import METRICS, Ratios, RatioTable
from voxtile.evaluation.kinds.grounding.overlap import Mask, answer, extent
from voxtile.evaluation.kinds.grounding.probe import (
    VALUES,
    Example,
    Local,
    fit_token_probe,
    model_features,
    patch_values,
)
from voxtile.evaluation.kinds.grounding.similarity import answers_of, shown_by_similarity
from voxtile.evaluation.kinds.grounding.task import GroundingTask
from voxtile.evaluation.kinds.grounding.thresholds import Judged, Thresholds, choose_cuts, choose_parts
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.evaluation.tasks.task import TaskClass
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.models.protocol import EvaluationModel, GroundingModel
from voxtile.words.names import name_key

BLIND = "text-blind"
"""Name of the control whose answer is the mean over all phrases: the best that it can do without hearing one."""

POINTS = ("centre point", "random point")
"""Names of the controls of the pointing game."""
ORACLE = (
    "proposals are an oracle's: the model chooses among the annotated regions themselves, the right answer is one of "
    "them, and its extent is not the model's work"
)
_VALIDATION_UNITS = 200  # enough for the thresholds
_TRAINING_UNITS = 1_000  # of a probe


@dataclass(frozen=True)
class Shown:
    """One answer for the page: the image's uid, the phrase, and masks."""

    uid: str
    phrase: str
    predicted: Mask
    target: Mask
    dice: float


@dataclass(frozen=True, kw_only=True)
class GroundingResult(Result):
    """Everything that is known after a grounding task.

    Attributes:
        task: the task.
        thresholds: from which on something is shown.
        models: names in the rows.
        method: how similarity showed the phrases; None where a decoder did.
        shown: a few answers for pictures.
    """

    task: GroundingTask
    thresholds: Thresholds
    models: tuple[str, ...]
    method: str | None = None
    shown: tuple[Shown, ...] = field(default=(), repr=False)

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        said = {
            "mask_threshold": self.thresholds.mask,
            "presence_threshold": {
                item.name: cut for item, cut in zip(self.task.classes, self.thresholds.presence, strict=True)
            },
            "least_part": self.thresholds.least_part,
            "least_peak": self.thresholds.least_peak,
            "overlap": self.task.overlap,
        }
        return said | ({"method": self.method} if self.method else {})

    def headlines(self, model: str) -> dict[str, Row]:
        """The mean of each metric, for the logger."""
        found = {m: find_row(self.rows, model=model, kind="model", metric=m, class_name=None) for m in METRICS}
        return {name: row for name, row in found.items() if row is not None}


@dataclass
class _Sums:
    """Above and below of every ratio, [N, K] each."""

    above: dict[str, Floats]
    below: dict[str, Floats]

    @classmethod
    def zero(cls, units: int, classes: int) -> _Sums:
        made = [{metric: np.zeros((units, classes)) for metric in METRICS} for _ in range(2)]
        return cls(*made)

    def ratios(self) -> Ratios:
        return {metric: (self.above[metric], self.below[metric]) for metric in METRICS}

    def add(self, at: tuple[int, int], task: GroundingTask, predicted: Mask, target: Mask, peak: int) -> float:
        """Count one answer, whose map has its peak at this place (-1: nowhere), and return its Dice."""
        found = answer(predicted, target, overlap=task.overlap, least_extent=task.least_extent)
        iou = found.both / found.either if found.either else 1.0
        dice = 2 * found.both / found.sum if found.sum else 1.0
        there = bool(target.any())
        if there and extent(target) < task.least_extent:
            return dice
        counts = {
            "giou": (iou if there else float(found.empty), 1.0),
            "ciou": (found.both, found.either),
            "lesion_f1": (2 * found.found, 2 * found.found + found.missed + found.false),
        }
        if there:
            silent = peak < 0 or (found.empty and task.method is None)  # a similarity says where, not whether
            pointed = 0.0 if silent else float(target.ravel()[peak])
            counts |= {"dice": (dice, 1.0), "iou": (iou, 1.0), "pointing": (pointed, 1.0)}
        else:
            counts["n_acc"] = (float(found.empty), 1.0)
        for metric, (above, below) in counts.items():
            self.above[metric][at] += above
            self.below[metric][at] += below
        return dice


class _Answers(NamedTuple):
    """Unit, [K, *G] how much each voxel belongs to each phrase, [K] presence, and [*G] what is said to any phrase."""

    unit: int
    masks: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    blind: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Part:
    """Units of one role with the truth about them: labels [N, K], 1 target, 0 none, -1 unknown."""

    units: Units
    labels: npt.NDArray[np.int8]


class _Grounder:
    """Reads images, truth and answers of a task."""

    def __init__(
        self,
        model: GroundingModel | None,
        preset: Preset,
        corpus: Corpus,
        task: GroundingTask,
        images: CorpusImages,
        table: RegionTable,
    ) -> None:
        self._model, self._preset, self._corpus, self._task, self._images = model, preset, corpus, task, images
        self._masks = masking(self._preset)
        self._table = table
        self._phrases = [_borne(table, item) for item in task.classes]
        self._asked = [[template.format(w.present) for template in task.templates for w in item.wordings]
                       for item in task.classes]  # fmt: skip

    def answers(self, units: Units) -> Iterator[_Answers]:
        """What is answered in each image, phrase by phrase the mean over wordings."""
        assert self._model is not None, "a probe is fitted first"
        flat = [text for texts in self._asked for text in texts]
        counts, members = [len(texts) for texts in self._asked], units.members()
        number = 0
        for names, batch in self._images(units.names):
            for name, image in zip(names, batch, strict=True):
                found = (torch.split(part[0], counts) for part in self._model.ground(image[None], flat))
                masks, presence = (torch.stack([part.mean(0) for part in parts]) for parts in found)
                proposed = partial(self._proposals, members[name])
                heard, blind = answers_of(self._model, self._task, masks, proposed)
                yield _Answers(number, heard, presence.numpy(), blind)
                number += 1

    def target(self, uids: Sequence[str], k: int) -> Mask:
        """The truth about a phrase in the image of some samples, on the model's grid."""
        found = self._table.of(uids)
        rows = [row for phrase in self._phrases[k] for row in found.get(phrase, ())]
        return self._placed(uids, rows)

    def truths(self, uids: Sequence[str], labels: npt.NDArray[np.int8]) -> Iterator[tuple[int, Mask]]:
        """Each phrase of which the truth is known, with it; not those whose target is nowhere on the model's grid.

        What lies beside the grid, or is smaller than half a voxel, is there all the same: silence about it is not
        right.
        """
        for k in np.flatnonzero(labels >= 0).tolist():
            target = self.target(uids, k)
            if labels[k] == 0 or target.any():
                yield k, target

    def _proposals(self, uids: Sequence[str]) -> list[Mask]:
        """Every region by itself, whatever it is called; those that vanish on the model's grid are left out."""
        masks = [self._placed(uids, [row]) for rows in self._table.of(uids).values() for row in rows]
        return [mask for mask in masks if mask.any()]

    def _placed(self, uids: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Mask:
        if not rows:
            return np.zeros(self._masks.grid, np.bool_)
        metas = mask_metas(self._preset, {uid: self._images.source(uid).meta for uid in uids})
        return soft(placed_mask(self._corpus, rows, metas, lambda mask: self._masks(mask, None))).numpy() >= 128

    def examples(self, part: _Part) -> Iterator[Example]:
        """Images with the truth of each phrase that is known of them."""
        members, number = list(part.units.members().values()), 0
        for _, batch in self._images(part.units.names):
            for image in batch:
                known = np.flatnonzero(part.labels[number] >= 0).tolist()
                yield Example(image, {k: self.target(members[number], k) for k in known})
                number += 1

    def probe(self, local: Local, parts: Mapping[str, _Part], seed: int) -> tuple[str, ...]:
        """Answer from now on by a classifier of each phrase on the features of patches; a note about those without."""
        asked = {text: k for k, texts in enumerate(self._asked) for text in texts}
        names = [item.name for item in self._task.classes]
        train, val = (partial(self.examples, parts[role]) for role in ("train", "val"))
        self._model = probe = fit_token_probe(local, asked, train, val, names, seed)
        missing = ", ".join(probe.unfitted)
        return (f"never shown, since no patch of the training images is half of it: {missing}",) if missing else ()

    def labels(self, source: LabelSource, units: Units) -> npt.NDArray[np.int8]:
        """[N, K]: 1 where a region shows the phrase, else 0 where the facts deny it, else -1."""
        labels = source.labels(units) if len(units) else np.zeros((0, len(self._phrases)), np.int8)
        for n, uids in enumerate(units.members().values()):
            found = self._table.of(uids)
            for k, names in enumerate(self._phrases):
                shown = any(phrase in found for phrase in names)
                labels[n, k] = 1 if shown else (0 if labels[n, k] == 0 else -1)
        return labels


def _borne(table: RegionTable, item: TaskClass) -> list[str]:
    """The phrases of a class's regions, as the table has them."""
    return [phrase for phrase in table.phrases if name_key(phrase) == name_key(item.concept)]


def _with_regions(task: GroundingTask, table: RegionTable) -> tuple[GroundingTask, tuple[str, ...]]:
    """The task without the classes that no region shows, and a sentence that lists these.

    Raises:
        EvaluationError: fewer than two are left: the answer to another phrase is the control.
    """
    missing = [item for item in task.classes if not _borne(table, item)]
    kept = tuple(item for item in task.classes if item not in missing)
    if not missing:
        return task, ()
    if len(kept) < 2:
        raise EvaluationError(
            f"task '{task.name}': no region of the corpus bears the phrase of class '{missing[0].name}'; there are "
            f"{', '.join(table.phrases)}, and a task needs two classes that regions show"
        )
    names = ", ".join(item.name for item in missing)
    return replace(task, classes=kept), (f"skipped, since no region of the corpus shows them: {names}",)


def run_grounding(model: EvaluationModel, corpus: Corpus, task: GroundingTask, options: Options) -> GroundingResult:
    """Run one grounding task.

    Raises:
        EvaluationError: the model does not ground, nothing is to be evaluated, or a phrase has no region.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    shows = shown_by_similarity(model, task) or model
    _refuse_unfit(shows, model, task)
    split = options.split or task.split
    units = units_by_role(select_units(corpus, task), split, options.seed)
    units["val"] = limited(units["val"], _VALIDATION_UNITS, options.seed)
    if not len(units["reported"]):
        raise EvaluationError(f"task '{task.name}': no {task.unit} of the corpus is in the split '{split}'")
    used = {role: units[role] for role in ("reported", "val")}
    if task.probes:
        used["train"] = limited(units["train"], _TRAINING_UNITS, options.seed)
    regions = RegionTable(corpus, RegionPolicy(sources=task.regions_source))
    task, skipped = _with_regions(task, regions)
    images = role_images(model.preset, corpus, task, used, options.batch_size)
    asks = shows if isinstance(shows, GroundingModel) else None
    grounder = _Grounder(asks, model.preset, corpus, task, images, regions)
    source = LabelSource(corpus, task)
    parts = {role: _Part(part, grounder.labels(source, part)) for role, part in used.items()}
    local = model_features(model) if task.probes else None
    if local is not None:
        require_training(task, parts["train"].units, split)
        skipped = (*skipped, *grounder.probe(local, parts, options.seed))
    cuts, notes = choose_cuts(_judged(grounder, parts["val"]), task)
    notes = (*notes, *([ORACLE] if task.proposals else []))
    thresholds = choose_parts(_judged(grounder, parts["val"]), task, cuts)
    table = RatioTable(
        task.name, [c.name for c in task.classes], units["reported"].subjects,
        replicates=options.replicates, seed=options.seed,
    )  # fmt: skip
    sums, shown = _counted(grounder, task, parts["reported"], thresholds)
    rows = table.rows(model.name, "model", sums["model"].ratios())
    rows += table.rows(BLIND, "trivial", sums["blind"].ratios())
    rows += table.rows(model.name, "shuffled", sums["swapped"].ratios())
    for name in POINTS:
        rows += table.rows(name, "trivial", {"pointing": sums[name].ratios()["pointing"]})
    baseline = BLIND
    if local is not None:
        baseline, grid = VALUES, local(images.image(units["reported"].names[0])[None])[1]
        grounder.probe(patch_values(grid), parts, options.seed)
        cuts, _ = choose_cuts(_judged(grounder, parts["val"]), task)
        plain = choose_parts(_judged(grounder, parts["val"]), task, cuts)
        rows += table.rows(VALUES, "trivial", _counted(grounder, task, parts["reported"], plain)[0]["model"].ratios())
    return GroundingResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=(*skipped, *source.source_notes, *notes),
        units=units["reported"],
        sizes=sizes(used, split),
        differences=tuple(d for d in [table.difference(model.name, baseline)] if d is not None),
        images=images,
        thresholds=thresholds,
        method=shows.method if isinstance(shows, SimilarityModel) else None,
        models=(model.name, baseline),
        shown=tuple(shown),
    )


def _refuse_unfit(shows: object, model: EvaluationModel, task: GroundingTask) -> None:
    if not task.probes and not (isinstance(shows, GroundingModel) and shows.grounds):
        raise EvaluationError(
            f"model '{model.name}' cannot show phrases in images; train it with the Grounding objective, e.g. with "
            "lightning fit -c medical/ct-grounding, or set 'method' in the task to show them by similarity"
        )
    if task.unit == "study" and not isinstance(model.preset, StudyReader):
        raise EvaluationError(
            f"task '{task.name}' asks about whole studies, but the model reads single samples; set 'unit: sample'"
        )


def _counted(
    grounder: _Grounder, task: GroundingTask, part: _Part, thresholds: Thresholds
) -> tuple[Mapping[str, _Sums], list[Shown]]:
    """Counts of the model and of both controls, and a few answers."""
    classes, members = len(task.classes), list(part.units.members().values())
    sums = {name: _Sums.zero(len(part.units), classes) for name in ("model", "blind", "swapped", *POINTS)}
    shown: dict[int, list[Shown]] = {k: [] for k in range(classes)}
    for n, masks, presence, unheard in grounder.answers(part.units):
        blind = unheard, presence.mean()
        for k, target in grounder.truths(members[n], part.labels[n]):
            other = (k + 1 + n % (classes - 1)) % classes
            _add_points(sums, (n, k), target, task)
            heard = {"model": (k, masks[k], presence[k]), "blind": (k, *blind)}
            heard["swapped"] = (other, masks[other], presence[other])
            for name, (asked, mask, there) in heard.items():
                predicted = thresholds.shown(asked, mask, there)
                dice = sums[name].add((n, k), task, predicted, target, int(mask.argmax()) if mask.any() else -1)
                if name == "model" and target.any() and len(shown[k]) < 2:
                    shown[k].append(Shown(part.units.names[n], task.classes[k].title, predicted, target, dice))
    return sums, [item for items in shown.values() for item in items]


def _judged(grounder: _Grounder, part: _Part) -> Iterator[Judged]:
    """Every answer of which the truth is known."""
    members = list(part.units.members().values())
    for n, masks, presence, _ in grounder.answers(part.units):
        for k, target in grounder.truths(members[n], part.labels[n]):
            yield Judged(k, masks[k], float(presence[k]), target)


def _add_points(sums: Mapping[str, _Sums], at: tuple[int, int], target: Mask, task: GroundingTask) -> None:
    """What pointing blindly hits: the centre of the image, and on average a place anywhere in it."""
    if target.any() and extent(target) >= task.least_extent:
        centre = target[tuple(n // 2 for n in target.shape)]
        for name, hit in zip(POINTS, (float(centre), float(target.mean())), strict=True):
            sums[name].above["pointing"][at] += hit
            sums[name].below["pointing"][at] += 1.0
