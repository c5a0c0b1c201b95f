"""Tokenizers as one file of `tokenizers`, so that an ONNX graph of texts needs neither voxtile nor their library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.processors import TemplateProcessing

from voxtile.export.token_cleaning import cleaning
from voxtile.export.token_numbers import renumbered
from voxtile.models.hub.openclip import Cleaning, OpenClipTokenizer
from voxtile.models.hub.transformers import HuggingFaceTokenizer
from voxtile.models.tokenizer import CHARACTERS_A_TOKEN, SubwordTokenizer

# As open_clip's SimpleTokenizer splits, which is Radford et al.'s CLIP.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
# What a file is tried on beside real texts: marks, other scripts, spaces, and more than any context.
_TRIED = (
    "", "a", "A 12 mm nodule; no effusion (left), 3.5 × 2.1 cm!", "It's the patient's LEFT lung - don't", "#@%&*_~^",
    "“Größe” ≈ 5 µm, naïve, œdème, ﬁn", "胸部CT，無異常。", "Опухоль справа; Σίσυφος", "  two\t\tspaces\nand lines  ",
    " ".join(["word, and more: of the"] * 300),
)  # fmt: skip


@dataclass(frozen=True)
class Standalone:
    """A tokenizer as a file, or why there is none.

    Attributes:
        state: JSON of `tokenizers`, which cuts and pads as the graph reads it; None where there is none.
        about: what a reader must know of it, for the settings.
        why: a sentence on why there is no file; None where there is one.
    """

    state: str | None
    about: dict[str, Any]
    why: str | None = None


@dataclass(frozen=True)
class _Made:
    """A tokenizer of `tokenizers` with what it leaves out."""

    tokenizer: Tokenizer
    cleaning: str | None = None
    longest: int | None = None  # characters of a text that are read


class _NoFileError(Exception):
    """There is no such file; the message says why."""


def standalone(tokenizer: Any, texts: Sequence[str]) -> Standalone:  # noqa: ANN401 - of a text tower
    """A tokenizer as a file that gives the very numbers that the graph of its text tower takes.

    Args:
        tokenizer: of a text tower.
        texts: real ones, on which both must give the same numbers, as on some that are tried always.
    """
    context = getattr(tokenizer, "context", None)
    try:
        made = _made(tokenizer)
        _compare(made, tokenizer, texts)
    except _NoFileError as error:
        return Standalone(None, {"kind": _kind(tokenizer), "context": context, "why": str(error)}, str(error))
    return Standalone(made.tokenizer.to_str(pretty=True), _about(made, tokenizer.context))


def _made(tokenizer: Any) -> _Made:  # noqa: ANN401
    if isinstance(tokenizer, SubwordTokenizer):
        return _own(tokenizer)
    if isinstance(tokenizer, HuggingFaceTokenizer):
        made = _of_transformers(tokenizer.library, tokenizer.numbers, {})
        return _Made(_padded(made, tokenizer.library, tokenizer.context, full=tokenizer.padded))
    if isinstance(tokenizer, OpenClipTokenizer):
        return _of_open_clip(tokenizer)
    raise _NoFileError(f"{type(tokenizer).__name__} is a class that has no form in the library tokenizers")


def _own(tokenizer: SubwordTokenizer) -> _Made:
    state = tokenizer.to_json()
    if state is None:
        raise _NoFileError("the tokenizer has no vocabulary yet")
    made = Tokenizer.from_str(state)
    made.enable_padding(pad_id=0, pad_token="<pad>")
    return _Made(made, longest=tokenizer.context * CHARACTERS_A_TOKEN)


def _of_open_clip(tokenizer: OpenClipTokenizer) -> _Made:
    kind = _cleaning_of(tokenizer)
    if tokenizer.is_clip:
        return _Made(_clip(tokenizer, kind), kind)
    library, marks = tokenizer.library, {}
    if tokenizer.drops_ends:  # open_clip writes 0 over them, which is then what padding was
        marks[int(library.sep_token_id)] = tokenizer.padding
    made = _of_transformers(library, tokenizer.numbers, marks)
    made.normalizer = Normalizers([cleaning(kind), *([made.normalizer] if made.normalizer is not None else [])])
    return _Made(_padded(made, library, tokenizer.context, full=True), kind)


def _cleaning_of(tokenizer: OpenClipTokenizer) -> Cleaning:
    if (found := tokenizer.cleaning) is None:
        raise _NoFileError("open_clip's tokenizer of this model chooses or places tokens by code of its own")
    return found


def _of_transformers(library: Any, numbers: dict[int, int], marks: dict[int, int]) -> Tokenizer:  # noqa: ANN401
    if not getattr(library, "is_fast", False):
        raise _NoFileError(
            f"{type(library).__name__} of transformers runs in Python or sentencepiece and has no tokenizer.json"
        )
    state = json.loads(library.backend_tokenizer.to_str())
    return Tokenizer.from_str(json.dumps(renumbered(state, numbers, marks)))


def _padded(made: Tokenizer, library: Any, context: int, *, full: bool) -> Tokenizer:  # noqa: ANN401
    made.enable_truncation(context, direction=library.truncation_side)
    made.enable_padding(
        pad_id=0, pad_token=str(library.pad_token), direction=library.padding_side, length=context if full else None
    )
    return made


def _clip(tokenizer: OpenClipTokenizer, kind: Cleaning) -> Tokenizer:
    vocabulary, merges = tokenizer.vocabulary()
    start, end = sorted(vocabulary, key=lambda name: vocabulary[name])[-2:]
    made = Tokenizer(
        BPE(vocab=vocabulary, merges=merges, unk_token=end, end_of_word_suffix="</w>", continuing_subword_prefix="")
    )
    made.normalizer = cleaning(kind)
    made.pre_tokenizer = PreTokenizers(
        [Split(Regex(_WORDS), "removed", invert=True), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.post_processor = TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, vocabulary[start]), (end, vocabulary[end])]
    )
    made.enable_truncation(tokenizer.context)
    made.enable_padding(length=tokenizer.context, pad_id=0, pad_token="!")  # 0 is padding to the graph
    return made


def _compare(made: _Made, tokenizer: Any, texts: Sequence[str]) -> None:  # noqa: ANN401
    """Raise where the file gives other numbers, for all texts at once as for each alone."""
    own = made.tokenizer
    for group, name in ((texts, "the corpus's texts"), (_TRIED, "the texts that are tried always")):
        differ = [text for text in group if not _same(own, made.longest, tokenizer, [text])]
        if differ or not _same(own, made.longest, tokenizer, group):
            mended = "; HTML entities and wrongly decoded characters are mended by ftfy, outside of the file"
            raise _NoFileError(
                f"the library tokenizers would read {len(differ) or len(group)} of {len(group)} of {name} otherwise"
                f"{mended if made.cleaning else ''}"
            )


def _same(own: Tokenizer, longest: int | None, tokenizer: Any, texts: Sequence[str]) -> bool:  # noqa: ANN401
    refuses, tokenizer.beyond = tokenizer.beyond, "cut"
    try:
        expected, _ = tokenizer.encode(texts)
    finally:
        tokenizer.beyond = refuses
    return bool([encoding.ids for encoding in own.encode_batch([t[:longest] for t in texts])] == expected.tolist())


def _about(made: _Made, context: int) -> dict[str, Any]:
    own = made.tokenizer
    padding: dict[str, Any] = own.padding or {}
    upper, lower = (
        encoding.ids for encoding in own.encode_batch(["NODULE of the Left LUNG", "nodule of the left lung"])
    )
    return {
        "kind": "tokenizers",
        "padding": 0,
        "context": context,
        "padded_to": padding["length"] or "longest",
        "padding_side": padding["direction"],
        "lowercase": upper == lower,
        "cleaning": made.cleaning,
        "longest_text": made.longest,
    }


def _kind(tokenizer: Any) -> str:  # noqa: ANN401
    return "clip" if isinstance(tokenizer, OpenClipTokenizer) and tokenizer.is_clip else type(tokenizer).__name__
