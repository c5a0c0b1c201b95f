"""What a text speaks of is read in the image, alike whether the text is learned, written, drawn or asked in company."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.assist.test_answering import data, images, ready

from voxtile.assist.answering import Answering
from voxtile.assist.batching.batch import Batch, Prompt
from voxtile.assist.connector import Connector, ImageTokens
from voxtile.assist.drawing import draw
from voxtile.assist.item_tokens.found_regions import FoundRegions
from voxtile.assist.item_tokens.named_readings import NamedReadings
from voxtile.assist.item_tokens.naming import Names
from voxtile.assist.scratch import ScratchLanguage
from voxtile.assist.writing import write
from voxtile.errors import ConfigError
from voxtile.types import Encoded, Features, Shown, Turn

NAMES = {"nodule": None, "renal": None, "renal cyst": None}
TEXTS = ["Renal cysts on the left.", "A nodule, and renal stones.", "Nodules."]


def answering(*, names=NAMES, loud=True, turns=(), **named):
    made = Answering(
        scratch=ScratchLanguage(vocabulary=300, width=16, depth=2, heads=2, context=200),
        connector=Connector(grid=[2, 2], hidden=16, named=NamedReadings(names=names, rank=2, **named)),
    )
    made = ready(made, data([*turns, *(Turn("Where is the nodule?", text) for text in TEXTS)])).eval()
    if loud:  # readings and words large enough to change what is written
        torch.manual_seed(2)
        for part in made.language.model.parameters():
            if part.ndim > 1:
                torch.nn.init.normal_(part, std=0.5)
    return made


def by_definition(words, names, tokens):
    """The name that the text up to a token had last, found letter by letter."""
    found = []
    for place in range(len(tokens)):
        text = words.decode(list(tokens[: place + 1])).casefold()
        held = [
            (at + len(name), len(name), number)
            for number, name in enumerate(names)
            for at in range(len(text))
            if text.startswith(name, at) and (at == 0 or not (text[at - 1].isalnum() or text[at - 1] == "_"))
        ]
        found.append(max(held)[2] if held else -1)
    return found


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from(["renal", "Renal", " cyst", "cysts", " ", "nodules", "a", "granodule", ".", ", ", "\u00e9"]),
        max_size=9,
    )
)
def test_a_text_speaks_of_the_name_that_it_had_last_whatever_follows(parts):
    made = answering(loud=False)
    tokens = tuple(made.words.encode("".join(parts)))
    names = Names(made.words, NamedReadings(names=NAMES).texts)
    assert list(names.of_tokens(tokens)) == by_definition(made.words, NAMES, tokens)
    assert [names.last(tokens[: count + 1]) for count in range(len(tokens))] == list(names.of_tokens(tokens))


def told(objective, shown, turns):
    """Σ log P of the answers of a dialogue about each image, as training has it."""
    features = Features.of_pairs(
        torch.ones(len(shown.pooled), 2), torch.ones(0, 2), image_encoded=shown, text_item=torch.zeros(0).long(),
        texts=[], dialogues=[(turns,)] * len(shown.pooled),
    )  # fmt: skip
    return -objective.told(features).losses[:, 0]


@pytest.mark.parametrize("text", TEXTS)
@torch.no_grad()
def test_what_is_learned_token_by_token_is_what_is_learned_at_once(text):
    objective, shown = answering(), images(2)
    prompt = objective.question_tokens("Where is the nodule?")
    written = [*objective.words.encode(f" {text}"), objective.words.end]
    image = objective.image(shown)
    sight, language, past = objective.sight(image), objective.language, objective.begun(image)
    read = sight.added(language.embedded(torch.tensor([prompt] * 2)), [prompt] * 2)
    total = torch.zeros(2)
    for place, token in enumerate(written):
        total += objective.logits(language.states(read, past)[:, -1]).log_softmax(1)[:, token]
        so_far = [*prompt, *written[: place + 1]]
        read = sight.added_to_last(language.embedded(torch.tensor([[token]] * 2)), [so_far] * 2)
    at_once = told(objective, shown, (Turn("Where is the nodule?", text),))
    assert torch.allclose(total, at_once, atol=1e-3)
    objective.connector.named.linear.normal_()  # what is read there matters
    assert not torch.allclose(told(objective, shown, (Turn("Where is the nodule?", text),)), at_once, atol=1e-2)


@torch.no_grad()
def test_answers_alone_in_company_and_drawn_see_the_same():
    objective, shown = answering(), images(6)
    image, prompt = objective.image(shown), tuple(objective.question_tokens("Where is the nodule, or renal cyst?"))
    alone = write(objective, image, prompt, longest=30)
    batch = Batch(objective, 8)
    rows = batch.begin([Prompt(image=one, tokens=prompt, longest=30) for one in image])
    while batch.rows:
        batch.step()
    assert [row.text for row in rows] == [one.text for one in alone]
    drawn = draw(objective, image, prompt, torch.full((6, 1, 30), 0.5, dtype=torch.float64), temperature=1e-4)
    assert [one[0] for one in drawn] == [one.text for one in alone]
    texts = {one.text for one in alone}
    objective.connector.named.linear.mul_(-3.0)
    assert {one.text for one in write(objective, objective.image(shown), prompt, longest=30)} != texts


@torch.no_grad()
def test_of_several_images_the_last_is_read_in_training_as_in_writing():
    images_shown = tuple(Shown(uid, name) for uid, name in (("a", "Image 1, prior"), ("b", "Image 2")))
    turn = Turn("Where is the nodule?", TEXTS[0], images=images_shown)
    objective = answering(turns=[turn])
    shown = images(2)
    image = objective.images(shown, [one.name for one in images_shown])
    of_last = objective.sight(objective.image(shown)).readings[1]
    assert torch.allclose(objective.sight(image).readings[0], of_last, atol=1e-5)


def test_an_answer_is_read_again_as_it_was_written():
    objective = answering()
    image = torch.randn(1, 20, 16)
    prompt = objective.question_tokens("Where is the nodule?")
    answer = objective.words.encode(" A nodule.")
    embedded = objective.language.embedded(torch.tensor([[*prompt, *answer]]))
    sight = objective.sight(image)
    whole = sight.added(embedded, [[*prompt, *answer]])[:, len(prompt) :]
    assert torch.equal(sight.added_after(embedded[:, len(prompt) :], prompt, answer), whole)
    assert not torch.equal(whole, embedded[:, len(prompt) :])


def test_it_learns_to_say_the_side_that_one_of_many_readings_shows():
    """The side of each of two findings lies in other tokens."""
    torch.manual_seed(0)
    turns = [
        Turn("Which?", f"Cyst on the {one}. Stone on the {other}.")
        for one in ("left", "right")
        for other in ("left", "right")
    ]
    made = Answering(
        scratch=ScratchLanguage(vocabulary=300, width=16, depth=2, heads=2, context=128),
        connector=Connector(
            grid=[2, 2], hidden=16, named=NamedReadings(names={"cyst": None, "stone": None}, dropout=0.0)
        ),
    )
    made = ready(made, data(turns))
    tokens = torch.zeros(4, 4, 8)
    tokens[:2, 0, 3], tokens[2:, 0, 3], tokens[::2, 2, 5], tokens[1::2, 2, 5] = 3.0, -3.0, 3.0, -3.0
    shown = Encoded(torch.zeros(4, 8), tokens, (2, 2))
    features = Features.of_pairs(
        torch.ones(4, 2), torch.ones(0, 2), image_encoded=shown, text_item=torch.zeros(0).long(), texts=[],
        dialogues=[((turn,),) for turn in turns],
    )  # fmt: skip
    learned = {id(p): p for p in [*made.parameters(), *made.language.model.parameters()] if p.requires_grad}
    optimizer = torch.optim.Adam(learned.values(), lr=0.01)
    for _ in range(160):
        optimizer.zero_grad()
        made.rows(features)[:, 0].sum().backward()
        optimizer.step()
    written = write(made.eval(), made.image(shown), made.question_tokens("Which?"), longest=20)
    assert [answer.text for answer in written] == [turn.answer for turn in turns]


def test_a_phrase_is_read_by_its_maps_too():
    how = Connector(
        grid=[2, 2],
        hidden=16,
        regions=FoundRegions(phrases=2, levels=[0]),
        named=NamedReadings(names={"a": 1, "b": None}),
    )
    made = ImageTokens(how, 8, 16, 1.0, levels=(8,), dimensions=2).eval()
    profiles = torch.randn(1, 2, made.found.numbers)
    tokens = torch.randn(1, 4, 8)
    first, changed, other = (
        made(Encoded(torch.zeros(1, 8), tokens, (2, 2), profiles=part))[0, -2:]
        for part in (
            profiles,
            profiles + torch.tensor([0.0, 5.0])[:, None],
            profiles + torch.tensor([5.0, 0.0])[:, None],
        )
    )
    assert torch.equal(first, other)  # the phrase of number 0 has no name
    assert not torch.allclose(first[0], changed[0])
    assert torch.equal(first[1], changed[1])


def test_what_has_become_of_a_phrase_is_read_under_its_name():
    regions = FoundRegions(phrases=2, levels=[0], changes=True)
    how = Connector(kind="none", pooled=1, hidden=16, regions=regions, named=NamedReadings(names={"a": 1, "b": 0}))
    made = ImageTokens(how, 8, 16, 1.0, levels=(8,), dimensions=2).eval()
    same = torch.randn(1, 2, made.found.numbers)
    pair = lambda other: Encoded(torch.zeros(2, 8), profiles=torch.cat([other, same]))  # noqa: E731
    grown, alike = (made.compared(made(encoded), encoded) for encoded in (pair(same - 1.0), pair(same)))
    assert grown.shape[1] == 1 + 2 + 2 + 2  # pooled, phrases, their changes, names
    assert torch.equal(grown[1, :3], alike[1, :3])
    added = [shown[1, -2:] - made(pair(same))[1, -2:] for shown in (grown, alike)]
    for found, shown in zip(added, (grown, alike), strict=True):
        assert torch.allclose(found, shown[1, 3:5].flip(0), atol=1e-5)  # of the phrases in the order of names
    assert not torch.allclose(added[0], added[1])


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"named": NamedReadings(names={"a": 0})}, "beyond the 0 of connector.regions"),
        ({"named": NamedReadings(names={"a": 2}), "regions": FoundRegions(phrases=2)}, "beyond the 2"),
        ({"named": NamedReadings(names={"a": None}), "grid": []}, "of a grid that is averaged to, or of a phrase"),
    ],
)
def test_readings_that_the_connector_cannot_make_are_refused(more, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Connector(**{"grid": [2, 2], **more})


@pytest.mark.parametrize(
    "given",
    [
        {"names": {}},
        {"names": {" ": None}},
        {"names": {"a": -1}},
        {"names": {"a": None}, "rank": 0},
        {"names": {"a": None}, "also": {"b": ["c"]}},
        {"names": {"a": None}, "also": {"a": [" "]}},
        {"names": {"a": None, "b": None}, "also": {"a": ["B"]}},
    ],
)
def test_readings_without_sense_are_refused(given):
    with pytest.raises(ConfigError, match=r"connector\.named"):
        NamedReadings(**given)


def test_names_are_read_without_regard_to_case():
    assert list(NamedReadings(names={" Renal Cyst ": None}).names) == ["renal cyst"]


def test_other_words_for_a_name_have_its_reading():
    made = answering(loud=False)
    names = NamedReadings(
        names={"nodule": None, "renal stone": None}, also={"Renal stone": [" kidney stone", "calculus"]}
    )
    read = Names(made.words, names.texts)
    for text, number in (("A Kidney stones", 1), ("a renal calculus", 1), ("stone", -1), ("renal stone, nodule", 0)):
        assert read.last(made.words.encode(text)) == number
    how = Connector(grid=[2, 2], hidden=16, named=names)
    assert ImageTokens(how, 8, 16, 1.0).readings == 2


def test_names_that_the_training_does_not_use_are_said(capsys):
    turns = [Turn("Is there a kidney stone?", "Yes."), Turn("Is there a nodule?", "No."), Turn("Why?", "A Nodule.")]
    answering(turns=turns, loud=False)
    assert capsys.readouterr().err == ""  # one of six
    untold = Turn("What is the name?", "No image tells that.", "unanswerable")
    answering(turns=[*turns, *[untold] * 9], loud=False)
    assert capsys.readouterr().err == ""  # what no image tells is asked in no name's words
    answering(names={"cyst": None}, turns=turns * 3, loud=False)
    said = capsys.readouterr().err
    assert said.startswith("note: 11 of the 12 questions of the training split")
    assert "as 'Is there a kidney stone?'" in said
    assert "connector.named.also" in said
    answering(names={"cyst": None}, also={"cyst": ["kidney stone", "nodule"]}, turns=turns * 3, loud=False)
    assert capsys.readouterr().err == ""
