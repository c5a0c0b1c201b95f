"""What a caption from outside must satisfy before it enters the captions table."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxtile.corpus import schema
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row
from voxtile.engine.task import Part
from voxtile.stages.ingest.table import is_missing

# The longest radiology and pathology reports have about 20,000 characters; more is a wrong column or a dumped file.
MAX_CHARACTERS = 100_000
_EMPTY = "caption-empty"
_KEPT_CONTROLS = frozenset("\t\n\r")


@dataclass(frozen=True)
class Texts:
    """The texts of one image after checking.

    Attributes:
        accepted: texts to store, in their order.
        refused: one `(reason, sentence)` for each text that was refused; reasons are `caption-too-long`,
            `caption-not-utf8` and `caption-empty`.
    """

    accepted: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]

    def left_out(self, uid: str) -> tuple[Part, ...]:
        """The refused texts as parts of an input of which the rest is stored; an empty one loses nothing, and is none.

        Args:
            uid: of the sample that they would have been texts of.
        """
        return tuple(
            Part(sample_uid(uid, f"text {number}"), "dropped", reason, sentence)
            for number, (reason, sentence) in enumerate(self.refused)
            if reason != _EMPTY
        )


def check_texts(texts: Iterable[str | bytes | None]) -> Texts:
    """Clean and check texts: NUL and other control characters are removed, what cannot be a caption is refused by name.

    Args:
        texts: as read; bytes must be UTF-8, and None stands for what could not be read.
    """
    accepted: list[str] = []
    refused: list[tuple[str, str]] = []
    for raw in texts:
        if raw is None:
            refused.append(("caption-unreadable", "the JSON of a caption is damaged or not UTF-8; write it again"))
            continue
        try:
            text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
        except UnicodeDecodeError as error:
            refused.append(("caption-not-utf8", f"a caption is not UTF-8 (byte {error.start}); convert it to UTF-8"))
            continue
        if len(text) > MAX_CHARACTERS:
            refused.append(
                (
                    "caption-too-long",
                    f"a caption has {len(text):,} characters, more than the {MAX_CHARACTERS:,} allowed; shorten it",
                )
            )
            continue
        clean = _without_controls(text).strip()
        if is_missing(clean):
            told = f"a caption is '{clean}', which says that there is none" if clean else "a caption is empty"
            refused.append((_EMPTY, told))
        else:
            accepted.append(clean)
    return Texts(tuple(accepted), tuple(refused))


def caption_rows(
    uid: str, texts: Sequence[str], *, source: str, kind: str = "raw", provider: str = "import"
) -> list[Row]:
    """Rows of `schema.CAPTIONS` for the texts of one sample.

    Args:
        uid: the sample.
        texts: accepted texts.
        source: where they came from; with the position it makes the caption's id.
        kind: `raw` for texts that people wrote.
        provider: which stage brought them.
    """
    rows: list[Row] = []
    for position, text in enumerate(texts):
        identity = "\0".join((uid, kind, source, str(position), text))
        caption_id = hashlib.sha256(identity.encode()).hexdigest()[:32]
        rows.append({"caption_id": caption_id, "uid": uid, "text": text, "kind": kind, "provider": provider})
    return rows


def question_rows(
    uid: str, questions: Sequence[tuple[str, str]], *, source: str, provider: str
) -> dict[str, list[Row]]:
    """Rows of `captions` and `instructions` for questions about a sample and their answers.

    The captions are of the kind `qa`, which training draws only where its policy names it.

    Args:
        uid: the sample.
        questions: question and answer of each; one without either is left out.
        source: where they came from; with the position it makes the caption's id.
        provider: which stage brought them.
    """
    read = [(check_texts([question]).accepted, check_texts([answer]).accepted) for question, answer in questions]
    asked = [(question[0], answer[0]) for question, answer in read if question and answer]
    texts = [f"{question} {answer}" for question, answer in asked]
    captions = caption_rows(uid, texts, source=source, kind=schema.QUESTIONS, provider=provider)
    return {
        "captions": captions,
        "instructions": [
            {"caption_id": row["caption_id"], "uid": uid, "region_id": None, "question": question, "answer": answer}
            for row, (question, answer) in zip(captions, asked, strict=True)
        ],
    }


def _without_controls(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c for c in text if c in _KEPT_CONTROLS or not _is_unwanted(c))


def _is_unwanted(character: str) -> bool:
    # Cc: control characters, NUL among them; Cs: lone surrogates, which cannot be written as UTF-8.
    return unicodedata.category(character) in {"Cc", "Cs"}
