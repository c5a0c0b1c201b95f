"""CLIP's tokenizer as a file: the tokens of open_clip, token for token, without open_clip."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from voxtile.export.tokenizer import standalone
from voxtile.models.openclip import OpenClipTokenizer

TEXTS = ("a CT of the chest", "No pleural effusion; 12 mm nodule.", "it's  the\tpatient's LEFT lung")


@pytest.fixture(scope="module")
def clip():
    return OpenClipTokenizer("ViT-B-32")


@pytest.fixture(scope="module")
def made(clip):
    return Tokenizer.from_str(standalone(clip, TEXTS))


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="&<>\x7f"), max_size=80))
@example(text="word " * 200)
@example(text="")
@example(text="Größe 3.5×2.1 cm (±0.2), SUVmax 7,4 – naïve")
def test_it_gives_open_clips_tokens(clip, made, text):
    import ftfy

    text = ftfy.fix_text(text)
    tokens, _ = clip.encode([text])
    assert made.encode(text).ids == tokens[0].tolist()


def test_texts_that_it_would_read_otherwise_leave_it_out(clip):
    assert standalone(clip, [*TEXTS, "5 &lt; 7"]) is None
    assert standalone(object(), TEXTS) is None
