"""What models answer, in the ways they wrap it: read where it is whole, named where it is not."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile_datasets.captions.strategies.reply_form import MalformedReplyError, form_fault
from voxtile_datasets.captions.strategies.structured import (
    LONGEST_REPLY,
    fields_form,
    list_form,
    pairs_form,
    words_form,
)

CAPTION = "A small nodule lies in the left lung."


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps({"caption": CAPTION}), f'```json\n{{"caption": "{CAPTION}"}}\n```',
        f'Sure! {{"caption": "{CAPTION}"}} :-)',
        f'{{"note": {{}}, "caption": "{CAPTION}"}}', CAPTION, f'"{CAPTION}"',
        f"Caption: {CAPTION}", f"**Caption:** {CAPTION}",
        f"Here is the caption:\n\n{CAPTION}\n\nLet me know if you want another one.", f"1. {CAPTION}",
        f"I weighed {{the facts}} first. {{\"caption\": \"{CAPTION}\"}}", "A small nodule lies\nin the left lung.",
    ],
)  # fmt: skip
def test_a_caption_is_found_however_it_is_wrapped(reply):
    (candidate,) = fields_form("caption").read(reply)
    assert candidate.text == CAPTION


@pytest.mark.parametrize(
    "reply",
    [
        f"# Caption\n\n{CAPTION}", f"### Caption:\n{CAPTION}", f"**Caption**\n{CAPTION}", f"__Caption:__ {CAPTION}",
        f"> {CAPTION}", f"*{CAPTION}*", f"_{CAPTION}_", f"# {CAPTION}", f"`{CAPTION}`", f"- {CAPTION}",
        "A small [nodule](https://example.org/a_b) lies in the **left** _lung_.",
        f"```markdown\n**Caption**\n{CAPTION}\n```", f"Sure, here is the caption: {CAPTION}", f"Certainly! {CAPTION}",
        f"Here's a caption for the picture: {CAPTION}", f"{CAPTION}\n\n---\n*Written from the facts.*",
        '{"caption": "## Caption\\n**A small nodule** lies in the *left* lung."}',
        f"<think>Is it {{left}}?\n\nYes.</think>\n{CAPTION}", f'<think>"No."</think>{{"caption": "{CAPTION}"}}',
    ],
)  # fmt: skip
def test_the_marks_of_markdown_are_taken_off(reply):
    assert fields_form("caption").read(reply)[0].text == CAPTION


def test_markdown_of_several_paragraphs_keeps_its_sentences():
    reply = (
        "## Description\n\n- A field of wheat.\n\n- A road, 2 * 3 m wide.\n\n***\n\n**It is green.** A_1 is its name."
    )
    wanted = "A field of wheat. A road, 2 * 3 m wide. It is green. A_1 is its name."
    assert words_form("text").read(reply)[0].text == wanted
    for first in ("# A field of wheat.", "**A field of wheat.**"):
        text = words_form("text").read(f"{first}\nA road crosses it.")[0].text
        assert text == "A field of wheat. A road crosses it.", "a sentence is no heading"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("- A small nodule\n- Left lung", "is a list"), ("**Findings**\n\n1. nodule, left\n\n2. effusion", "is a list"),
        ('{"caption": "- 8 mm nodule\\n- left effusion"}', "is a list"),
        ("| finding | side |\n|---|---|\n| nodule | left |", "is a table"), ("<think>I wonder whether", "empty"),
    ],
)  # fmt: skip
def test_lists_and_tables_are_no_caption(reply, said):
    for form in (fields_form("caption"), words_form("caption")):
        with pytest.raises(MalformedReplyError, match=said):
            form.read(reply)


@pytest.mark.parametrize(
    "text",
    [
        f'{CAPTION}"}}', f'{{"caption": "{CAPTION}"}}', f"<caption>{CAPTION}</caption>", f"| {CAPTION}",
        f'caption": "{CAPTION}', f"[nodule]( {CAPTION}",
    ],
)  # fmt: skip
def test_what_is_left_of_markup_is_named_to_the_model(text):
    assert "no part of a sentence" in form_fault(text)
    assert form_fault(CAPTION) is None


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("", "empty"), (" \n ", "empty"), ('{"caption": "A small nod', "breaks off"), ('{"captions": []', "breaks off"),
        ('```json\n{"caption": "A', "breaks off"), ('{"text": "A small nodule"}', "no text named 'caption'"),
        ('{"caption": ["a", "b"]}', "no text named 'caption'"), ('{"caption": null}', "no text named 'caption'"),
        ("x" * (LONGEST_REPLY + 1), "characters"), ("[" * 30_000, "breaks off"), ('{"a":' * 7_000, "breaks off"),
    ],
)  # fmt: skip
def test_a_reply_without_a_caption_is_named(reply, said):
    with pytest.raises(MalformedReplyError, match=said):
        fields_form("caption").read(reply)


def test_two_formats_are_read_from_json_and_from_labelled_words():
    form = fields_form("short", "dense")
    for reply in (
        '{"dense": "A round nodule of 8 mm.", "short": "Lung nodule"}',
        "**Short caption:** Lung nodule\n**Dense caption:** A round nodule of 8 mm.",
        "short: Lung nodule\n\ndense: A round nodule of 8 mm.",
    ):
        assert [(c.slot, c.text) for c in form.read(reply)] == [
            ("short", "Lung nodule"),
            ("dense", "A round nodule of 8 mm."),
        ]
    for reply in (
        "Short: Lung nodule",
        '{"short": "Lung nodule", "dense": "A round nod',
        '{"short": "Lung nodule", "den',
    ):
        assert [(c.slot, c.text) for c in form.read(reply)] == [("short", "Lung nodule")]
    with pytest.raises(MalformedReplyError, match="'short'"):
        form.read("A round nodule.")


def test_plain_words_keep_their_paragraphs_and_lose_what_announces_them():
    reply = "Here is the description:\n\n**Description:** A field.\nIt is green.\n\nA road crosses it."
    assert words_form("text").read(reply)[0].text == "A field. It is green. A road crosses it."
    assert words_form("text").read('{"text": "A field."}')[0].text == "A field."
    for broken in ('{"text": "A fie', '{"caption": "A field."}', ""):
        with pytest.raises(MalformedReplyError):
            words_form("text").read(broken)


def test_lists_lose_repeats_and_what_is_too_many():
    form = list_form("captions", 3)
    wanted = ["One field.", "Two roads.", "A lake."]
    for reply in (
        json.dumps({"captions": wanted}), json.dumps(wanted),
        json.dumps({"texts": [wanted[0], *wanted, "More of it."]}),
        json.dumps([{"caption": text} for text in wanted]), "Sure:\n1. One field.\n2) Two roads.\n- A lake.\n",
    ):  # fmt: skip
        assert [candidate.text for candidate in form.read(reply)] == wanted
    for reply in ('{"captions": ["One fie', "I will not.", '{"captions": "One field."}', "[]", "[1, 2]"):
        with pytest.raises(MalformedReplyError, match="no list"):
            form.read(reply)


def test_of_a_reply_that_breaks_off_what_is_whole_is_read():
    texts = list_form("captions", 3)
    for reply in (
        '{"captions": ["One field.", "Two', '```json\n{"captions": ["One field.",', '["One field.", "',
        '{"n": 2, "captions": ["One field."], "captio', '[{"caption": "One field."}, {"caption": "T',
    ):  # fmt: skip
        assert [candidate.text for candidate in texts.read(reply)] == ["One field."]
    whole = '{"question": "Is there a \\"lake\\"?", "answer": "No, there is no lake."}'
    for reply in (f'{{"pairs": [{whole}, {{"question": "Is', f'{{"pairs": [{whole}, {{"question": "Is?", "answer": "Y'):
        (pair,) = pairs_form("pairs", 3).read(reply)
        assert (pair.question, pair.text) == ('Is there a "lake"?', "No, there is no lake.")
    for reply in (
        '{"captions": ["One fie',
        '{"captions"',
        '{"a": {"b": {"c": {"d": {"e": "x',
    ):
        with pytest.raises(MalformedReplyError, match="no list"):
            texts.read(reply)


def test_pairs_are_read_from_json_and_from_spoken_lines():
    form = pairs_form("pairs", 2)
    pair = {"question": "Is there water?", "answer": "Yes, there is water."}
    for reply in (
        json.dumps({"pairs": [pair, pair]}), json.dumps([pair, {"question": "Where?"}]),
        "Q: Is there water?\nA: Yes, there is water.\n",
        "**Question 1:** Is there water?\n**Answer:** Yes, there is water.",
    ):  # fmt: skip
        (candidate,) = form.read(reply)
        assert (candidate.question, candidate.text) == (pair["question"], pair["answer"])
        assert candidate.whole == "Is there water? Yes, there is water."
    for reply in ("Q: Is there water?", '{"pairs": []}', '{"pairs": [{"question": 1, "answer": 2}]}', "Nothing."):
        with pytest.raises(MalformedReplyError, match="no pair"):
            form.read(reply)


@given(
    st.text(alphabet='{}[]":,\\QA: .ab1-\n', max_size=80),
    st.sampled_from([fields_form("caption"), list_form("captions", 3), pairs_form("pairs", 3)]),
)
@settings(max_examples=50)
def test_no_reply_is_read_as_more_than_lines_of_text(reply, form):
    candidates = ()
    with contextlib.suppress(MalformedReplyError):
        candidates = form.read(reply)
    assert all("\n" not in candidate.text for candidate in candidates)
    assert {candidate.slot for candidate in candidates} <= {"caption", "captions", "pairs"}


@given(st.permutations(["One field.", "Two roads", 'A "big" lake', "A {b} [c]", "Ü 3 mm"]))
@settings(max_examples=10)
def test_what_json_holds_comes_out_again(texts):
    reply = f"Well: {json.dumps({'captions': texts})} Done {{1}}."
    assert [candidate.text for candidate in list_form("captions", 6).read(reply)] == texts
