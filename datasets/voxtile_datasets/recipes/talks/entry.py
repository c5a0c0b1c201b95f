"""Pictures that a set talks about, and what is asked and answered about each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from voxtile.corpus.records import Row
from voxtile.stages.ingest.text import check_texts

YES_OR_NO = ("yes", "no")
_IMAGE = re.compile(r"\s*<image>\s*")
# A box of GeoChat: left, top, right, bottom in hundredths of the picture's width and height, and degrees (Kuckreja et
# al., CVPR 2024, section 3).
_BOX = re.compile(r"\{<(\d+)><(\d+)><(\d+)><(\d+)>\|<(-?\d+)>\}")
_PHRASE = re.compile(r"</?p>")
_TASK = re.compile(r"^\s*\[(grounding|identify|refer|vqa)\]\s*", re.I)


@dataclass(frozen=True)
class Talk:
    """One dialogue about a picture.

    Attributes:
        turns: question and answer, one pair after the other.
        kind: of the dialogue; None takes presence for yes and no, count for a number, conversation for several pairs,
            and question for the rest.
        part: of the set that its owners put it into: train, val or test.
    """

    turns: tuple[tuple[str, str], ...]
    kind: str | None = None
    part: str = "train"


@dataclass(frozen=True)
class TalkEntry:
    """A picture with its talks; all values are JSON-able.

    Attributes:
        key: unique in the set.
        file: relative to the set's folder.
        talks: about it.
        split: of the picture: that of its talks, the test part before the validation part before the training part, so
            that no picture is trained on that any question of the test part is about.
        modality: of the picture, where the set says it.
        boxes: phrase and box (left, top, width, height in pixels) of things in it.
    """

    key: str
    file: str
    talks: tuple[Talk, ...]
    modality: str | None = None
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...] = field(default=())

    @property
    def split(self) -> str:
        """See the class."""
        parts = {talk.part for talk in self.talks}
        return next((part for part in ("test", "val") if part in parts), "train")

    def to_inputs(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @classmethod
    def from_inputs(cls, values: Mapping[str, Any]) -> TalkEntry:
        """Back from `to_inputs`, also after a trip through JSON."""
        talks = tuple(
            Talk(tuple((question, answer) for question, answer in talk["turns"]), talk["kind"], talk["part"])
            for talk in values["talks"]
        )
        boxes = tuple((phrase, tuple(box)) for phrase, box in values["boxes"])
        return cls(values["key"], values["file"], talks, values["modality"], boxes)


def dialogue_rows(
    uid: str, entry: TalkEntry, provider: str, shape: Sequence[int]
) -> Iterator[tuple[list[Row], list[Row]]]:
    """Rows of `dialogues` and of `regions` for each talk of a picture; none of one without a question or an answer.

    Args:
        uid: of the picture.
        entry: the picture and its talks.
        provider: the set's name; the part follows it, as in `vqa-rad/test`.
        shape: height and width of the picture in pixels.
    """
    for number, talk in enumerate(entry.talks):
        turns: list[Row] = []
        regions: list[Row] = []
        identity = hashlib.sha256(f"{provider}\0{entry.key}\0{number}\0{talk.turns}".encode()).hexdigest()[:32]
        for text, role in ((text, role) for pair in talk.turns for text, role in zip(pair, _ROLES, strict=True)):
            own = [
                _region(uid, f"{identity}-{len(regions) + place}", phrase, box, shape, provider)
                for place, (phrase, box) in enumerate(_boxes(text))
            ]
            regions += own
            said = check_texts([_plain(text)]).accepted
            if not said:
                break
            turns.append({"role": role, "text": said[0], "region_ids": [row["region_id"] for row in own] or None})
        if len(turns) < 2 or len(turns) % 2:
            turns = turns[: len(turns) // 2 * 2]
        if turns:
            yield _rows(uid, identity, talk, turns, f"{provider}/{talk.part}"), regions


_ROLES = ("user", "assistant")


def _rows(uid: str, identity: str, talk: Talk, turns: Sequence[Row], provider: str) -> list[Row]:
    answer = turns[-1]["text"] if len(turns) == 2 else None
    kind = talk.kind or _kind(answer)
    short = None if answer is None else answer.casefold().strip(" .") if kind != "report" else None
    return [
        {"dialogue_id": identity, "turn": number, "uids": [uid], "kind": kind, "provider": provider, "parents": [],
         "answer": short if turn["role"] == "assistant" else None, **turn}
        for number, turn in enumerate(turns)
    ]  # fmt: skip


def _kind(answer: str | None) -> str:
    if answer is None:
        return "conversation"
    low = answer.casefold().strip(" .")
    return "presence" if low in YES_OR_NO else "count" if low.isdecimal() else "question"


def _plain(text: str) -> str:
    """Without marks of the picture, of the task and of boxes."""
    bare = _PHRASE.sub("", _BOX.sub("", _TASK.sub("", _IMAGE.sub(" ", text))))
    return re.sub(r"[ \t]+", " ", bare).strip()


def _boxes(text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each box of a text with the phrase in `<p>` before it."""
    for match in _BOX.finditer(text):
        before = text[: match.start()].rpartition("<p>")[2]
        phrase = before.partition("</p>")[0] if "<p>" in text[: match.start()] else ""
        yield " ".join(phrase.split()), tuple(map(int, match.groups()))


def _region(uid: str, name: str, phrase: str, box: Sequence[int], shape: Sequence[int], provider: str) -> Row:
    left, top, right, bottom, angle = box
    height, width = shape[:2]
    corners = [top * height / 100, left * width / 100, bottom * height / 100, right * width / 100]
    return {
        "region_id": name, "uid": uid, "phrase": phrase or None, "box": corners, "angle": float(-angle) or None,
        "source": f"{provider}@1",
    }  # fmt: skip
