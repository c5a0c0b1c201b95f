"""Tokenizers of other libraries as one file of `tokenizers`, so that an ONNX graph of texts needs none of them."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace, Strip
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.processors import TemplateProcessing

from voxtile.models.openclip import OpenClipTokenizer

# As open_clip's SimpleTokenizer splits, which is Radford et al.'s CLIP.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def standalone(tokenizer: object, texts: Sequence[str]) -> str | None:
    """A tokenizer as JSON of `tokenizers`, padded with 0 to the context as the graph reads it.

    Args:
        tokenizer: of a text tower.
        texts: real ones, on which both must give the same tokens.

    Returns:
        None where it has no such form, or reads one of the texts otherwise (CLIP also mends broken encodings).
    """
    if not isinstance(tokenizer, OpenClipTokenizer) or not tokenizer.is_clip:
        return None
    made = _clip(tokenizer)
    expected, _ = tokenizer.encode(texts)
    same = [encoding.ids for encoding in made.encode_batch(list(texts))] == expected.tolist()
    return made.to_str(pretty=True) if same else None


def _clip(tokenizer: OpenClipTokenizer) -> Tokenizer:
    vocabulary, merges = tokenizer.vocabulary()
    start, end = sorted(vocabulary, key=lambda name: vocabulary[name])[-2:]
    made = Tokenizer(
        BPE(vocab=vocabulary, merges=merges, unk_token=end, end_of_word_suffix="</w>", continuing_subword_prefix="")
    )
    made.normalizer = Normalizers([NFC(), Replace(Regex(r"\s+"), " "), Strip(), Lowercase()])
    made.pre_tokenizer = PreTokenizers(
        [Split(Regex(_WORDS), "removed", invert=True), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.post_processor = TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, vocabulary[start]), (end, vocabulary[end])]
    )
    made.enable_truncation(tokenizer.context)
    made.enable_padding(length=tokenizer.context, pad_id=0, pad_token="!")  # 0 is padding to the graph
    return made
