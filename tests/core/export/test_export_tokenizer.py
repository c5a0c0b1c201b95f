"""Tokenizers as a file: the numbers of open_clip and transformers, with the library tokenizers alone."""

import json

import open_clip
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.core.export import text_folders
from tokenizers import Tokenizer

from voxtile.export.tokenizer import standalone
from voxtile.models.hub.openclip import OpenClipTokenizer
from voxtile.models.hub.transformers import HuggingFaceTokenizer

TEXTS = ("a CT of the chest", "No pleural effusion; 12 mm nodule.", "it's  the\tpatient's LEFT lung")
HARD = [
    *TEXTS, "", "x", "Größe 3.5×2.1 cm (±0.2), SUVmax 7,4 – naïve", "“curly” ‘quotes’ and ﬁne ligatures",
    "胸部CT，無異常。", "Опухоль справа; ΟΔΥΣΣΕΥΣ", "snake_case #hash @at 100% [x] {y} ~", "nodule " * 200,
    "  many   spaces\n\nand lines\r\n",
    "no " * 37, "emoji 🫁 and ﹏ marks", "İstanbul ŉ K", "!", "! !! a!b",
]  # fmt: skip
LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="&<>\x7f"), max_size=80)


def numbers(made, texts=HARD):
    """Rows of numbers, as somebody without voxtile gets them."""
    own = Tokenizer.from_str(made.state)
    assert made.why is None
    return [encoding.ids for encoding in own.encode_batch(list(texts))]


@pytest.fixture(scope="module")
def clip():
    return OpenClipTokenizer("ViT-B-32")


@pytest.fixture(scope="module")
def made(clip):
    return Tokenizer.from_str(standalone(clip, TEXTS).state)


@given(text=LATIN)
@example(text="word " * 200)
@example(text="")
def test_it_gives_open_clips_tokens(clip, made, text):
    import ftfy

    text = ftfy.fix_text(text)
    tokens, _ = clip.encode([text])
    assert made.encode(text).ids == tokens[0].tolist()


def test_clips_file_takes_hard_texts_as_they_are(clip):
    found = standalone(clip, TEXTS)
    assert numbers(found) == clip.encode(HARD)[0].tolist()
    assert found.about == {
        "kind": "tokenizers", "padding": 0, "context": 77, "padded_to": 77, "padding_side": "right", "lowercase": True,
        "cleaning": "lower", "longest_text": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options", "lowercase"),
    [
        ("bert", {}, True), ("bert", {"padding": 2}, True), ("roberta", {}, False), ("siglip", {}, False),
        ("openai", {}, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("padded", [False, True])
def test_hugging_face_tokenizers(tmp_path, kind, options, lowercase, padded):
    folder = getattr(text_folders, kind)(tmp_path, **options)
    own = HuggingFaceTokenizer(str(folder), 24, "refuse", padded=padded)
    found = standalone(own, TEXTS)
    assert own.beyond == "refuse"
    own.beyond = "cut"
    expected, cut = own.encode(HARD)
    assert cut > 0
    assert numbers(found) == expected.tolist()
    assert numbers(found, ["a nodule"]) == own.encode(["a nodule"])[0].tolist()
    assert (found.about["context"], found.about["padded_to"]) == (24, 24 if padded else "longest")
    assert (found.about["lowercase"], found.about["cleaning"]) == (lowercase, None)


@given(text=LATIN)
@example(text="! ? .")
def test_any_latin_text_of_a_siglip_in_open_clip(siglip_in_open_clip, text):
    import ftfy

    own, made = siglip_in_open_clip
    text = ftfy.fix_text(text)
    assert made.encode(text).ids == own.encode([text])[0][0].tolist()


@pytest.fixture(scope="module")
def siglip_in_open_clip(tmp_path_factory):
    own = in_open_clip(text_folders.siglip(tmp_path_factory.mktemp("siglip")), clean="canonicalize")
    return own, Tokenizer.from_str(standalone(own, TEXTS).state)


def in_open_clip(folder, **options):
    """open_clip's tokenizer of a model whose texts are of Hugging Face."""
    name = f"voxtile-export-{folder.name}"
    text = {"hf_tokenizer_name": str(folder), "context_length": 12, "tokenizer_kwargs": options}
    text |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
    vision = {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    return OpenClipTokenizer(name)


@pytest.mark.parametrize(
    ("kind", "options", "cleaning"),
    [
        ("bert", {}, "whitespace"), ("roberta", {"strip_sep_token": True}, "whitespace"),
        ("siglip", {"clean": "canonicalize"}, "canonicalize"), ("roberta", {"clean": "lower"}, "lower"),
    ],
)  # fmt: skip
def test_hugging_face_tokenizers_inside_open_clip(tmp_path, kind, options, cleaning):
    own = in_open_clip(getattr(text_folders, kind)(tmp_path), **options)
    found = standalone(own, TEXTS)
    assert numbers(found) == own.encode(HARD)[0].tolist()
    assert (found.about["cleaning"], found.about["padded_to"]) == (cleaning, 12)


def test_what_has_no_file_says_why_in_a_sentence(clip, tmp_path):
    mended = standalone(clip, [*TEXTS, "5 &lt; 7"])
    assert mended.state is None
    assert "would read 1 of 4 of the corpus's texts otherwise; HTML entities" in mended.why
    python = standalone(HuggingFaceTokenizer(str(text_folders.in_python(tmp_path)), 24), TEXTS)
    assert python.state is None
    assert python.why == "ByT5Tokenizer of transformers runs in Python or sentencepiece and has no tokenizer.json"
    assert python.about == {"kind": "HuggingFaceTokenizer", "context": 24, "why": python.why}
    assert "object is a class" in standalone(object(), TEXTS).why
