"""The trained tokenizer: any text, the same vocabulary every time, cut at the context and counted."""

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.tokenizer import SubwordTokenizer

SIDES, FINDINGS = ("left", "right"), ("pleural effusion", "nodule", "consolidation", "pneumothorax")
CORPUS = [f"There is {a} {s} {f} of {n} mm." for s in SIDES for f in FINDINGS for n in range(9) for a in ("a", "no")]


@pytest.fixture(scope="module")
def trained():
    tokenizer = SubwordTokenizer(vocabulary=400, context=24)
    tokenizer.train(CORPUS)
    return tokenizer


def test_same_texts_in_any_order_and_process_give_the_same_vocabulary(trained):
    shuffled = random.Random(1).sample(CORPUS, len(CORPUS))
    code = (
        "import sys, json; from voxtile.models.tokenizer import SubwordTokenizer as T; "
        "t = T(vocabulary=400, context=24); t.train(json.load(sys.stdin)); print(t.to_json())"
    )
    import json

    other = subprocess.run([sys.executable, "-c", code], input=json.dumps(shuffled), capture_output=True, text=True)
    assert other.stdout.strip() == trained.to_json()


def test_frequent_words_are_one_token(trained):
    tokens, cut = trained.encode(["effusion", "xqzvw"])
    assert cut == 0
    assert (tokens[0] != 0).sum() == 3  # start, the word, end
    assert (tokens[1] != 0).sum() > 5  # byte by byte


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_every_text_can_be_encoded_within_the_table(trained, text):
    tokens, _ = trained.encode([text])
    assert tokens.shape[0] == 1
    assert tokens.shape[1] <= 24
    assert int(tokens.max()) < 400
    assert int(tokens.min()) >= 0


def test_long_texts_are_cut_and_counted(trained):
    texts = ["effusion", "effusion " * 200, "x" * 1_000_000, "nul\0byte"]
    tokens, cut = trained.encode(texts)
    assert cut == 2
    assert tokens.shape == (4, 24)
    ends = tokens[0][tokens[0] != 0][-1]
    assert tokens[1, -1] == ends, "a cut text still ends with the end token"


def test_long_texts_are_refused_where_the_policy_says_so(trained):
    strict = SubwordTokenizer(vocabulary=400, context=24, beyond="refuse")
    strict.from_json(trained.to_json())
    assert strict.encode(["effusion"])[1] == 0
    with pytest.raises(
        ConfigError, match=r"'effusion effusion .*…' of 1800 characters is longer than the context of 24"
    ):
        strict.encode(["effusion", "effusion " * 200])


def test_texts_of_open_clip_are_counted_only_beyond_the_context():
    from voxtile.models.hub.openclip import OpenClipTokenizer

    tokenizer = OpenClipTokenizer("ViT-B-32")
    words = ["a " * 74, "a " * 75, "a " * 76]  # 75 words, a start and an end fill the context of 77
    assert [tokenizer.encode([text])[1] for text in words] == [0, 0, 1]
    with pytest.raises(ConfigError, match="context of 77 tokens"):
        OpenClipTokenizer("ViT-B-32", "refuse").encode(words)


@pytest.mark.parametrize("text", ["gr\udcf6sse", "half \ud83d"], ids=["another encoding", "half of a character"])
def test_what_is_no_text_is_refused_by_a_sentence(trained, text):
    from voxtile.assist.scratch import TrainedWords
    from voxtile.models.hub.openclip import OpenClipTokenizer

    for encode in (trained.encode, OpenClipTokenizer("ViT-B-32").encode):
        with pytest.raises(ConfigError, match=r"'(gr.udcf6sse|half .ud83d)' holds what is no character .* in UTF-8"):
            encode(["nodule", text])
    with pytest.raises(ConfigError, match="holds what is no character"):
        TrainedWords(trained._tokenizer).encode(text)


def test_case_is_folded(trained):
    a, b = trained.encode(["Pleural Effusion", "pleural effusion"])[0]
    assert a.equal(b)


def test_json_brings_it_back(trained):
    again = SubwordTokenizer(vocabulary=400, context=24)
    assert not again.ready
    again.from_json(trained.to_json())
    assert again.encode(CORPUS[:5])[0].equal(trained.encode(CORPUS[:5])[0])


def test_what_is_no_tokenizer_is_refused(trained):
    for state in (None, "", "{}", '{"model": 3}'):
        with pytest.raises(CheckpointError):
            SubwordTokenizer().from_json(state)
    with pytest.raises(CheckpointError, match="tokens"):
        SubwordTokenizer(vocabulary=300).from_json(trained.to_json())


def test_untrained_or_too_small_is_refused():
    with pytest.raises(ConfigError, match="no vocabulary"):
        SubwordTokenizer().encode(["a"])
    for arguments in ({"vocabulary": 100}, {"context": 2}):
        with pytest.raises(ConfigError):
            SubwordTokenizer(**arguments)
