"""Other numbers for the tokens of a file of `tokenizers`: a graph reads 0 as padding, whatever a library pads with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNUSED = "\x00unused {}"  # a piece that stands in no text


def renumbered(state: Mapping[str, Any], numbers: Mapping[int, int], marks: Mapping[int, int]) -> dict[str, Any]:
    """The JSON of a tokenizer whose tokens have other numbers.

    Args:
        state: of a `tokenizers.Tokenizer`.
        numbers: the new number of each token that gets one, no two the same; others keep theirs.
        marks: the same for what is put round a text, such as its end.

    Returns:
        A changed copy; what is not changed is shared.
    """
    if not numbers and not marks:
        return dict(state)
    added = [{**token, "id": numbers.get(token["id"], token["id"])} for token in state["added_tokens"]]
    named = {token["id"]: token["content"] for token in added}
    return {
        **state,
        "added_tokens": sorted(added, key=lambda token: int(token["id"])),
        "model": _model(state["model"], numbers, named),
        "post_processor": _processor(state["post_processor"], {**numbers, **marks}),
    }


def _model(model: Mapping[str, Any], numbers: Mapping[int, int], named: Mapping[int, str]) -> dict[str, Any]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, Mapping):
        return {**model, "vocab": {token: numbers.get(number, number) for token, number in vocabulary.items()}}
    # Of a unigram model the number is the place. A score of 0 leaves that of unknown tokens as it is, below the lowest.
    size = max(len(vocabulary), *(number + 1 for number in numbers.values()), 0)
    placed: list[Any] = [*vocabulary, *([named.get(n, _UNUSED.format(n)), 0.0] for n in range(len(vocabulary), size))]
    for old in numbers:
        placed[old] = [_UNUSED.format(old), 0.0]
    for old, new in numbers.items():
        placed[new] = vocabulary[old]
    unknown = model.get("unk_id")
    return {**model, "vocab": placed, "unk_id": None if unknown is None else numbers.get(unknown, unknown)}


def _processor(processor: Any, numbers: Mapping[int, int]) -> Any:  # noqa: ANN401 - JSON
    """Of templates, of BERT's and RoBERTa's marks, and of sequences of such."""
    if not isinstance(processor, Mapping):
        return processor
    found = dict(processor)
    for part in ("sep", "cls"):
        if part in found:
            token, number = found[part]
            found[part] = [token, numbers.get(number, number)]
    if "special_tokens" in found:
        found["special_tokens"] = {
            token: {**about, "ids": [numbers.get(number, number) for number in about["ids"]]}
            for token, about in found["special_tokens"].items()
        }
    if "processors" in found:
        found["processors"] = [_processor(one, numbers) for one in found["processors"]]
    return found
