"""Questions of a corpus with a short answer, and what an assistant answers to each by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from voxtile.assist.assistant import Assistant
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
from voxtile.errors import InputError
from voxtile.evaluation.inputs.units import Units
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.words.question_language import OtherLanguageError

_DIALOGUES = ["dialogue_id", "turn", "role", "text", "uids", "answer", "verdict", "region_ids"]


@dataclass(frozen=True)
class Question:
    """A question with a short answer.

    Attributes:
        dialogue: its id.
        text: what is asked.
        marks: ids of regions that it marks.
        uids: of the images that it is about, the newest last.
    """

    dialogue: str
    text: str
    marks: tuple[str, ...]
    uids: tuple[str, ...]


def questions_of(store: Corpus, units: Units, *, marks: bool) -> dict[str, list[Question]]:
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
    found: dict[str, list[Question]] = defaultdict(list)
    left_out = 0
    for name, rows in sorted(turns.items()):
        by_role = {str(row["role"]): row for row in rows}
        told, uids = by_role.get("assistant", {}), rows[0]["uids"]
        if len(rows) == 2 and told.get("answer") and told["verdict"] != "contradicted" and isinstance(uids, list):
            asked = by_role["user"]
            question = Question(name, str(asked["text"]), tuple(asked["region_ids"] or ()), tuple(uids))
            if marks or not question.marks:
                found[owner[uids[-1]]].append(question)
            else:
                left_out += 1
    if left_out:
        note(f"{left_out:,} questions mark a region, which this model was not taught to read: they are not asked")
    if not found:
        raise InputError("no image of the split has a question with a short answer; make some: voxtile instruct CORPUS")
    return found


def answers_to(
    questions: Mapping[str, Sequence[Question]],
    assistant: Assistant,
    shown: Iterator[tuple[list[str], list[Tensor]]],
    longest: int,
    regions: Mapping[str, Tensor],
    several: CorpusImages | None,
    pointed: PointedAt | None,
) -> Iterator[dict[str, object]]:
    """A row for each question: what was answered, how sure, whether it is withheld, and what it points at.

    Args:
        questions: by the name of the unit.
        assistant: that answers.
        shown: names of units, and what is shown for each.
        longest: tokens of an answer at most.
        regions: that questions mark, by id.
        several: images before the newest, of a model that is shown several.
        pointed: what finds the voxels that an answer points at, where that is wanted.
    """
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


class PointedAt:
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


def _begun(assistant: Assistant, image: Tensor, question: Question, several: CorpusImages) -> Talk:
    """A talk about an image and those before it that a question shows."""
    images = torch.stack([*(several.image(uid) for uid in question.uids[:-1]), image])
    return assistant.talk(images, names=image_names([several.dates[uid] for uid in question.uids]))


def earlier_images(
    store: Corpus, assistant: Assistant, questions: Mapping[str, Sequence[Question]]
) -> CorpusImages | None:
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


def marked_regions(store: Corpus, assistant: Assistant, questions: dict[str, list[Question]]) -> dict[str, Tensor]:
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
