"""`voxtile draft`: reports of all images of a split, or answers to their questions, as a file that tasks evaluate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from voxtile.assist.assistant import LONGEST, Assistant, Style
from voxtile.assist.places import Places, joined_query
from voxtile.assist.region_inputs import stored_region
from voxtile.assist.speaking.replies import CANNOT_BE_TOLD, Claim
from voxtile.assist.speaking.talk import Talk
from voxtile.console import note
from voxtile.corpus.reader import Corpus
from voxtile.data.dialogues import image_names
from voxtile.data.images import CorpusImages
from voxtile.data.presets.roles import StudyReader
from voxtile.data.regions.runs import runs_of
from voxtile.errors import ConfigError, InputError
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.inputs.units import SPLITS, Units, limited, require_units, select_units
from voxtile.evaluation.tasks.task import Task
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.words.question_language import OtherLanguageError

_DIALOGUES = ["dialogue_id", "turn", "role", "text", "uids", "answer", "verdict", "region_ids"]


@dataclass(frozen=True)
class _Question:
    dialogue: str
    text: str
    marks: tuple[str, ...]
    uids: tuple[str, ...]


def draft(
    corpus: Path,
    model: str,
    *,
    out: Path,
    split: str = "test",
    scheme: str = "default",
    questions: bool = False,
    style: Style = "structured",
    shuffled: bool = False,
    blind: bool = False,
    places: bool = False,
    threshold: float = 0.5,
    presence: float = 0.5,
    limit: int | None = None,
    least: float = 0.0,
    longest: int = LONGEST,
    batch_size: int = 8,
    seed: int = 0,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Draft reports of all images of a split, or answer its questions, as a file for evaluation.

    The file has the columns `uid` and `text`, or `dialogue_id`, `text`, `confidence` and `withheld`, as tasks of the
    kinds report-factuality and question-answering take them; with places also `mask_runs`.

    Args:
        corpus: with the images, and, for questions, its table of dialogues (voxtile instruct).
        model: a checkpoint that was trained with the Answering objective.
        out: Parquet file to write.
        split: of the images: test, val or train.
        scheme: of the splits.
        questions: answer the questions with a short answer, in place of reports.
        style: of reports: structured (a sentence for each finding) or narrative.
        shuffled: show each question or report the image of another subject, as a control.
        blind: leave the image out, as a control; a model that was trained without images is a harder one.
        places: also write what each answer points at, as run lengths over the voxels of the stored image, the first of
            voxels that are off; of a model that points. It takes a run of its decoder over the image for each answer.
        threshold: of places: probability from which a voxel belongs to one.
        presence: of places: probability from which there is one at all.
        limit: so many images at most, drawn at random by the seed.
        least: an answer to a question is withheld where its confidence is below this, as by `voxtile ask`; leave it at
            0 where the confidence itself is evaluated, or a threshold chosen (`voxtile calibrate`).
        longest: tokens of a text at most.
        batch_size: images at a time.
        seed: of the choice and of the control.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, or an option does not fit.
        InputError: there is no question.
        EvaluationError: the split has no image, or one cannot be read.
    """
    if out.suffix != ".parquet":
        raise ConfigError(f"--out is '{out}'; give a name that ends in .parquet")
    if split not in SPLITS:
        raise ConfigError(f"--split must be one of {', '.join(SPLITS)}, not '{split}'")
    settings = Places(threshold, presence)
    store, assistant = Corpus(corpus), Assistant(model, trust_package, least=least)
    assistant.leave_images_out(blind)
    if places:
        _check_places(assistant, questions=questions, shuffled=shuffled)
    reads_studies = isinstance(assistant.preset, StudyReader)
    task = Task(name="draft", title="", kind="draft", unit="study" if reads_studies else "sample", scheme=scheme)
    found = select_units(store, task)
    require_units(found, split, task)
    units = found[split] if limit is None else limited(found[split], limit, seed)
    shown = _shown(store, assistant, units, batch_size, seed, shuffled=shuffled)
    if questions:
        wanted = _questions(store, units, marks=assistant.reads_marks)
        regions, several = _regions(store, assistant, wanted), _several(store, assistant, wanted)
        pointed = _PointedAt(store, assistant, settings) if places else None
        rows = list(_answers(assistant, shown, wanted, longest, regions, several, pointed))
    else:
        rows = [
            {"uid": uid, "text": reply.text}
            for uids, images in shown
            for uid, reply in zip(uids, assistant.reports(images, style, longest=longest), strict=True)
        ]
    out.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    if places and rows:  # a column of nulls alone has no type
        runs = pa.array([row["mask_runs"] for row in rows], pa.list_(pa.int64()))
        table = table.set_column(table.schema.get_field_index("mask_runs"), "mask_runs", runs)
    pq.write_table(table, out)
    note(f"{len(rows):,} {'answers' if questions else 'reports'} of {len(units):,} images were written to {out}")


def _shown(
    store: Corpus, assistant: Assistant, units: Units, batch_size: int, seed: int, *, shuffled: bool
) -> Iterator[tuple[list[str], Tensor]]:
    """Names of units, and the images that stand for them: their own, or those of other subjects."""
    studies = units.members() if isinstance(assistant.preset, StudyReader) else None
    images = CorpusImages(store, assistant.preset, list(units.uids), batch_size, studies)
    order = np.arange(len(units))
    if shuffled:
        (order,) = permutations(units.subjects, seed=seed, count=1)
    start = 0
    for _, batch in images([units.names[place] for place in order]):
        yield list(units.names[start : start + len(batch)]), batch
        start += len(batch)


def _questions(store: Corpus, units: Units, *, marks: bool) -> dict[str, list[_Question]]:
    """Questions with a short answer, by the unit of the newest image; none that facts contradict.

    Args:
        store: the corpus.
        units: of the split.
        marks: whether those that mark a region are asked; without it nobody would know which is meant.

    Raises:
        InputError: there is none.
    """
    names = [units.names[place] for place in units.owner]
    owner = dict(zip(units.uids, names, strict=True))
    turns: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in store.table("dialogues", columns=_DIALOGUES).to_pylist():
        if row["uids"] and row["uids"][-1] in owner:
            turns[row["dialogue_id"]].append(row)
    found: dict[str, list[_Question]] = defaultdict(list)
    left_out = 0
    for name, rows in sorted(turns.items()):
        by_role = {str(row["role"]): row for row in rows}
        told, uids = by_role.get("assistant", {}), rows[0]["uids"]
        if len(rows) == 2 and told.get("answer") and told["verdict"] != "contradicted" and isinstance(uids, list):
            asked = by_role["user"]
            question = _Question(name, str(asked["text"]), tuple(asked["region_ids"] or ()), tuple(uids))
            if marks or not question.marks:
                found[owner[uids[-1]]].append(question)
            else:
                left_out += 1
    if left_out:
        note(f"{left_out:,} questions mark a region, which this model was not taught to read: they are not asked")
    if not found:
        raise InputError("no image of the split has a question with a short answer; make some: voxtile instruct CORPUS")
    return found


def _answers(
    assistant: Assistant,
    shown: Iterator[tuple[list[str], Tensor]],
    questions: dict[str, list[_Question]],
    longest: int,
    regions: Mapping[str, Tensor],
    several: CorpusImages | None,
    pointed: _PointedAt | None,
) -> Iterator[dict[str, object]]:
    for uids, images in shown:
        for uid, image in zip(uids, images, strict=True):
            if asked := questions.get(uid):
                talk = assistant.talk(image, longest=longest)
                for one in asked:  # each by itself, not in the light of the one before
                    begun = talk if several is None or len(one.uids) < 2 else _begun(assistant, image, one, several)
                    alone = replace(begun, longest=longest, _said=[], _marked={})
                    text, confidence, withheld = CANNOT_BE_TOLD, 0.0, True
                    claims: tuple[Claim, ...] = ()
                    with suppress(OtherLanguageError):  # it is refused, and the others are answered
                        reply = alone.ask(one.text, [regions[mark] for mark in one.marks])
                        text, confidence, withheld = reply.text, reply.confidence, reply.withheld
                        claims = () if withheld else reply.claims
                    named: dict[str, object] = {"dialogue_id": one.dialogue, "text": text}
                    named |= {"confidence": confidence, "withheld": withheld}
                    yield named if pointed is None else named | {"mask_runs": pointed(one.uids[-1], claims)}


def _check_places(assistant: Assistant, *, questions: bool, shuffled: bool) -> None:
    """Refuse what nothing could be pointed at for."""
    assistant.require_pointing()
    if not questions or shuffled:
        raise ConfigError(
            "--places goes with --questions true and without --shuffled; places of other subjects' images are what "
            "the task compares with by itself"
        )
    if isinstance(assistant.preset, StudyReader):
        raise ConfigError("--places goes with models of single images, and this one reads whole studies")


class _PointedAt:
    """What answers point at in images of a corpus."""

    def __init__(self, store: Corpus, assistant: Assistant, settings: Places) -> None:
        self._store, self._assistant, self._settings = store, assistant, settings
        self._rows = {row["uid"]: row for row in store.table("samples", with_root=True).to_pylist()}

    def __call__(self, uid: str, claims: Sequence[Claim]) -> list[int] | None:
        """Run lengths of the mask, see `voxtile.data.regions.runs`; None where nothing is shown."""
        asked = joined_query(claims)
        if asked is None:
            return None
        masks, presence = ground_sample(
            lambda images: self._assistant.ground(images, asked), self._assistant.preset,
            self._store.source(self._rows[uid]), overlap=self._settings.overlap,
        )  # fmt: skip
        sure = (presence >= self._settings.presence).view(-1, *[1] * (masks.ndim - 1))
        mask = ((masks >= self._settings.threshold) & sure).any(0).numpy()
        return runs_of(mask) if mask.any() else None


def _begun(assistant: Assistant, image: Tensor, question: _Question, several: CorpusImages) -> Talk:
    """A talk about an image and those before it that a question shows."""
    images = torch.stack([*(several.image(uid) for uid in question.uids[:-1]), image])
    return assistant.talk(images, names=image_names([several.dates[uid] for uid in question.uids]))


def _several(store: Corpus, assistant: Assistant, questions: dict[str, list[_Question]]) -> CorpusImages | None:
    """The images of questions about several; None where there is none, or the model reads one image at a time."""
    asked = [one for own in questions.values() for one in own if len(one.uids) > 1]
    if not asked or isinstance(assistant.preset, StudyReader):
        return None
    if not assistant.shows_several:
        note(
            f"{len(asked):,} questions are about several images, of which this model reads one at a time: they are "
            "asked of the newest"
        )
        return None
    return CorpusImages(store, assistant.preset, sorted({uid for one in asked for uid in one.uids}), 1)


def _regions(store: Corpus, assistant: Assistant, questions: dict[str, list[_Question]]) -> dict[str, Tensor]:
    """Regions that questions mark, by id; a question whose region the model does not see is taken out."""
    wanted = {mark for asked in questions.values() for one in asked for mark in one.marks}
    if not wanted:
        return {}
    metas = {row["uid"]: row for row in store.table("samples", with_root=True).to_pylist()}
    found: dict[str, Tensor] = {}
    for row in store.table("regions", with_root=True).to_pylist():
        if row["region_id"] in wanted:
            with suppress(InputError):
                found[row["region_id"]] = stored_region(store, row, metas[row["uid"]], assistant.preset)
    for name, asked in questions.items():
        questions[name] = [one for one in asked if all(mark in found for mark in one.marks)]
    return found
