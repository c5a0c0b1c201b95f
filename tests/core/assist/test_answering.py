"""What is learned is the language model's own likelihood, what was learned is said, and lies are refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from voxtile.assist.answering import Answering
from voxtile.assist.connector import Connector
from voxtile.assist.scratch import ScratchLanguage
from voxtile.assist.sequences import AFTER_IMAGE, BEFORE_IMAGE
from voxtile.assist.writing import write
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models import TextBag
from voxtile.models.image.conv import ConvTower
from voxtile.models.tuning import Tuning
from voxtile.types import Encoded, Features, Turn

TURNS = [
    (Turn("Where is it?", "On the left."), Turn("How large?", "8 mm.")),
    (Turn("Is there a nodule?", "No."),),
    (Turn("Is there a nodule?", "Yes, a nodule of 8 mm on the left."),),
]
ITEMS = [0, 0, 2]  # the second item has none
SMALL = {"vocabulary": 300, "width": 16, "depth": 2, "heads": 2, "context": 128}


def data(turns=()):
    given = [turn for dialogue in TURNS for turn in dialogue] if turns == () else list(turns)
    return SimpleNamespace(training_turns=lambda: given, training_texts=lambda: [])


def ready(objective, source=None):
    torch.manual_seed(0)
    objective.setup_towers(ConvTower(dimensions=2, widths=(8,), blocks=(1,), width=8), TextBag())
    objective.take_state(objective.state_from(source or data()))
    return objective


def images(count=3):
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return Encoded(draw(count, 8), draw(count, 4, 8), (2, 2))


def features(dialogues=TURNS, items=ITEMS, count=3, **batch):
    own = [tuple(d for d, i in zip(dialogues, items, strict=True) if i == item) for item in range(count)]
    return Features.of_pairs(
        torch.ones(count, 2), torch.ones(0, 2), image_encoded=images(count), text_item=torch.zeros(0).long(),
        texts=[], dialogues=own, **batch,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A language model as transformers saves it: random weights, and words of a few sentences."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["a nodule on the left", "Question: Answer: Yes, No."], trainer)
    path = tmp_path_factory.mktemp("language")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(path)
    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(fast), max_position_embeddings=128, bos_token_id=1, eos_token_id=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def whole_sequences(objective, encoded):
    """Of each dialogue by itself, without anything shared: embeddings [1, L, W], tokens, and where answers begin."""
    words, language = objective.words, objective.language
    for item, turns in zip(ITEMS, TURNS, strict=True):
        ids, told = [], []
        for number, turn in enumerate(turns):
            ids += words.encode(("\n" if number else "") + f"Question: {turn.question}\nAnswer:")
            told += [False] * (len(ids) - len(told))
            ids += [*words.encode(f" {turn.answer}"), words.end]
            told += [True] * (len(ids) - len(told))
        start = [] if words.start is None else [words.start]
        image = objective.connector(encoded.at(torch.tensor([item])))
        before, after = (language.embedded(torch.tensor([part])) for part in
                         (start + words.encode(BEFORE_IMAGE), words.encode(AFTER_IMAGE)))  # fmt: skip
        rows = torch.cat([before, image, after, language.embedded(torch.tensor([ids]))], 1)
        yield item, rows, torch.tensor(ids), torch.tensor(told)


@pytest.mark.parametrize("vocabulary", ["full", "texts"])
def test_the_loss_is_the_likelihood_of_the_answers_alone(folder, vocabulary):
    objective = ready(Answering(language=str(folder), vocabulary=vocabulary)).double()
    given = replace(
        features(), image_encoded=Encoded(*(part.double() for part in (images().pooled, images().tokens)), (2, 2))
    )
    rows = objective.rows(given)
    expected = torch.zeros(3, 2, dtype=torch.float64)
    for item, embeddings, ids, told in whole_sequences(objective, given.image_encoded):
        logits = objective.language.model(inputs_embeds=embeddings).logits[0, -len(ids) - 1 : -1]
        if vocabulary == "texts":  # probabilities over the words of the answers alone
            answers = {objective.words.end}.union(*(objective.words.encode(f" {t.answer}") for d in TURNS for t in d))
            keep = torch.zeros(logits.shape[1], dtype=torch.bool)
            keep[sorted(answers)] = True
            logits = logits.masked_fill(~keep, -torch.inf)
        losses = F.cross_entropy(logits, ids, reduction="none")[told]
        expected[item] += torch.tensor([losses.sum().item(), told.sum().item()])
    torch.testing.assert_close(rows.detach(), expected, rtol=1e-5, atol=1e-5)
    assert rows[1].tolist() == [0, 0]


def test_gradients_reach_the_connector_through_what_dialogues_share(folder):
    objective = ready(Answering(language=str(folder))).double()
    for part in objective.tuned.parameters():
        torch.nn.init.normal_(part, std=0.1)  # additions begin at nought
    given = replace(
        features(), image_encoded=Encoded(*(part.double() for part in (images().pooled, images().tokens)), (2, 2))
    )
    objective.rows(given)[:, 0].sum().backward()
    shared = {name: part.grad.clone() for name, part in objective.named_parameters()}
    objective.zero_grad()
    for _, embeddings, ids, told in whole_sequences(objective, given.image_encoded):
        hidden = objective.language.model.model(inputs_embeds=embeddings).last_hidden_state[0, -len(ids) - 1 : -1]
        places = torch.searchsorted(objective._allowed, ids[told])
        F.cross_entropy(objective.logits(hidden[told]), places, reduction="sum").backward()
    for name, part in objective.named_parameters():
        torch.testing.assert_close(shared[name], part.grad, rtol=1e-4, atol=1e-6)


def test_a_checkpoint_holds_the_additions_and_the_connector_but_not_the_language_model(folder):
    objective = ready(Answering(language=str(folder)))
    names = set(objective.state_dict())
    assert all(name.startswith(("connector.", "tuned.")) for name in names)
    assert any("lora_A" in name for name in names)
    assert not any("embed_tokens" in name for name in names)
    frozen = [part for name, part in objective.language.model.named_parameters() if "lora_" not in name]
    assert frozen
    assert not any(part.requires_grad for part in frozen)
    ids = {id(part) for part in objective.language.model.parameters()}
    assert all(id(part) in ids for part in objective.tuned.parameters())  # what is learned is what is used


def test_it_writes_what_transformers_itself_would_generate(folder):
    objective = ready(Answering(language=str(folder), vocabulary="full")).eval()
    image = objective.image(images())
    prompt = objective.question_tokens("Where is it?")
    answers = write(objective, image, prompt, longest=12)
    embeddings = torch.cat([image, objective.language.embedded(torch.tensor([prompt] * 3))], 1)
    made = objective.language.model.generate(
        inputs_embeds=embeddings, attention_mask=torch.ones(embeddings.shape[:2]).long(), do_sample=False,
        max_new_tokens=12, pad_token_id=0,
    )  # fmt: skip
    for answer, row in zip(answers, made.tolist(), strict=True):
        said = row[: row.index(2)] if 2 in row else row
        assert answer.text == objective.words.decode(said).strip()
        assert answer.ended == (2 in row)


def test_it_learns_to_say_what_each_image_shows_and_blind_it_cannot():
    said = ["A nodule on the left.", "No nodule.", "An effusion on the right side."]
    turns = [(Turn("Report.", text, "report"),) for text in said]
    right = {}
    for blind in (False, True):
        objective = Answering(scratch=ScratchLanguage(**SMALL), connector=Connector(hidden=32, pooled=2), blind=blind)
        ready(objective, data([turn for (turn,) in turns]))
        optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-2)
        given = features(turns, [0, 1, 2])
        for _ in range(60):
            optimizer.zero_grad()
            given.rows = {objective: objective.rows(given)}
            objective(given).backward()
            optimizer.step()
        image = objective.eval().image(images())
        answers = write(objective, image, objective.question_tokens("Report."), longest=40)
        right[blind] = sum(answer.text == text for answer, text in zip(answers, said, strict=True))
        assert all(answer.ended and 0 < answer.confidence <= 1 for answer in answers)
    assert right == {False: 3, True: 1}


def test_an_answer_that_never_ends_is_cut_and_a_prompt_beyond_the_context_refused():
    objective = ready(Answering(scratch=ScratchLanguage(**SMALL))).eval()
    objective._allowed = torch.arange(3, 300)  # it never ends
    image = objective.image(images(1))
    prompt = objective.question_tokens("Where is it?")
    (answer,) = write(objective, image, prompt, longest=9)
    assert (answer.tokens, answer.ended) == (9, False)
    with pytest.raises(ConfigError, match=r"the prompt and its answer have \d+ tokens, .* reads 128; ask in fewer"):
        write(objective, image, objective.question_tokens("is it so? " * 100), longest=9)
    with pytest.raises(ConfigError, match="needs a question and at least 1 token"):
        write(objective, image, [], longest=9)
    long = (Turn("Is it?", "it is so " * 200),)
    with pytest.raises(ConfigError, match=r"reads 128; ask in fewer words"):
        objective.rows(features([long], [0]))


def test_captions_are_answers_by_their_kind_and_those_of_single_facts_one_report():
    objective = Answering(scratch=ScratchLanguage(**SMALL), questions={"raw": "Dictate.", "vlm": "Look."})
    batch = Features.of_pairs(
        torch.ones(2, 2), torch.ones(5, 2), text_item=torch.tensor([0, 0, 0, 1, 1]),
        texts=["A nodule.", "The whole report.", "No effusion.", "A look.", "A rewrite."],
        text_kinds=["template", "raw", "template", "vlm", "rewrite"],
    ).batch  # fmt: skip
    found = [(item, turn.question, turn.answer) for item, (turn,) in objective.dialogues(batch)]
    assert found == [
        (0, "Dictate.", "The whole report."),
        (0, "List the findings.", "A nodule. No effusion."),
        (1, "Look.", "A look."),
        (1, "Describe the image.", "A rewrite."),
    ]
    facts = torch.tensor([[0, -1, -1], [-1, -1, -1], [-1, -1, 1], [-1, 1, -1], [-1, 0, -1]], dtype=torch.int8)
    batch = replace(batch, text_kinds=["template"] * 5, text_item=torch.zeros(5).long(), text_facts=facts)
    ((_, (turn,)),) = objective.dialogues(batch)  # findings first, then denials, each by concept, then the rest
    assert turn.answer == "A look. No effusion. A nodule. A rewrite. The whole report."
    by_concept = Answering(scratch=ScratchLanguage(**SMALL), order="concepts")
    ((_, (turn,)),) = by_concept.dialogues(batch)  # a concept after the other, whether there or denied
    assert turn.answer == "A nodule. A look. A rewrite. No effusion. The whole report."


def test_what_states_a_finding_counts_as_much_as_it_is_told_to():
    objective = ready(Answering(scratch=ScratchLanguage(**SMALL), findings=3.0, order="concepts")).double()
    encoded = Encoded(*(part.double() for part in (images().pooled, images().tokens)), (2, 2))
    given = Features.of_pairs(
        torch.ones(3, 2), torch.ones(2, 2), image_encoded=encoded, text_item=torch.zeros(2).long(),
        texts=["No nodule.", "Effusion."], text_kinds=["template"] * 2,
        text_facts=torch.tensor([[0, -1], [-1, 1]], dtype=torch.int8),
    )  # fmt: skip
    words, language = objective.words, objective.language
    parts = [words.encode("Question: List the findings.\nAnswer:"), words.encode(" No nodule."),
             words.encode(" Effusion."), [words.end]]  # fmt: skip
    tokens = torch.tensor([[token for part in parts for token in part]])
    read = torch.cat([objective.image(encoded.at(slice(0, 1))), language.embedded(tokens)], 1)
    losses = F.cross_entropy(language.model(inputs_embeds=read).logits[0, -tokens.shape[1] - 1 : -1], tokens[0],
                             reduction="none")  # fmt: skip
    weights = torch.tensor([w for part, w in zip(parts, (0, 1, 3, 1), strict=True) for _ in part])
    torch.testing.assert_close(objective.rows(given)[0], torch.stack([(losses * weights).sum(), weights.sum()]),
                               rtol=1e-5, atol=1e-5)  # fmt: skip
    with pytest.raises(ConfigError, match="findings 0 does not exist"):
        Answering(scratch=ScratchLanguage(**SMALL), findings=0)


def test_an_emphasised_word_counts_as_often_as_it_is_told_to_wherever_it_stands_in_an_answer():
    emphasis = {"left": 3.0, "8 mm": 0.5}
    plain, heavy = (ready(Answering(scratch=ScratchLanguage(**SMALL), emphasis=e)) for e in (None, emphasis))
    counted = heavy.rows(features())[:, 1] - plain.rows(features())[:, 1]
    tokens = {word: len(plain.words.encode(f" {word}")) for word in emphasis}
    # Of the first item " left" is told once and "8 mm." begins an answer; of the third both stand in one sentence.
    each = 2 * tokens["left"] - 0.5 * tokens["8 mm"]
    assert counted.tolist() == pytest.approx([each, 0, each])
    with pytest.raises(ConfigError, match="needs words with weights above 0"):
        Answering(scratch=ScratchLanguage(**SMALL), emphasis={"left": 0})


def test_a_batch_without_any_answer_gives_a_loss_of_nought_and_gradients_all_the_same():
    objective = ready(Answering(scratch=ScratchLanguage(**SMALL)))
    given = features([], [])
    given.rows = {objective: objective.rows(given)}
    loss = objective(given)
    loss.backward()
    assert loss.item() == 0
    assert all(part.grad is not None and not part.grad.any() for part in objective.parameters())


def test_another_language_model_or_one_without_its_tokenizer_is_refused_in_a_sentence(folder, tmp_path):
    state = ready(Answering(language=str(folder))).state()
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    torch.manual_seed(4)
    LlamaForCausalLM(LlamaForCausalLM.from_pretrained(folder).config).save_pretrained(other)
    changed = Answering(language=str(other))
    changed.setup_towers(ConvTower(dimensions=2, widths=(8,), blocks=(1,), width=8), TextBag())
    with pytest.raises(CheckpointError, match="trained on another language model than"):
        changed.take_state(state)
    with pytest.raises(CheckpointError, match="with the words of None"):
        changed.take_state({})
    for file in other.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ConfigError, match="has no tokenizer that can be read"):
        changed.setup_towers(ConvTower(dimensions=2, widths=(8,), blocks=(1,), width=8), TextBag())
    with pytest.raises(ConfigError, match="there is no language model 'nowhere'; give gemma-270m"):
        ready(Answering(language="nowhere"))
    (other / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"no tokenizer|cannot be loaded"):
        ready(Answering(language=str(other)))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "needs a language model"),
        ({"language": "a", "scratch": ScratchLanguage()}, "needs a language model"),
        ({"language": "a", "dtype": "int4"}, "does not exist"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Answering(**given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": "none", "pooled": 0}, "shows the language model nothing"),
        ({"kind": "glue"}, "there is no connector 'glue'"),
        ({"hidden": 6, "heads": 4}, "no multiple"),
        ({"queries": 0}, "below 1"),
        ({"places": True}, "those of a grid"),
    ],
)
def test_connectors_that_cannot_be_are_refused(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Connector(**given)


@pytest.mark.parametrize(
    ("connector", "tokens"),
    [
        (Connector(pooled=2), 2 + 4),
        (Connector(pooled=0, grid=(1, 2)), 2),
        (Connector(pooled=1, kind="none"), 1),
        (Connector(pooled=0, kind="resampler", queries=3), 3),
    ],
)
def test_each_connector_gives_as_many_tokens_as_it_says_of_the_size_of_words(connector, tokens):
    objective = ready(Answering(scratch=ScratchLanguage(**SMALL), connector=connector))
    made = objective.connector(images())
    words = objective.language.embedded(torch.arange(300))
    assert made.shape == (3, tokens, 16)
    torch.testing.assert_close(made.square().mean().sqrt(), words.square().mean().sqrt(), rtol=0.05, atol=0)


def test_a_grid_is_averaged_as_it_lies_in_the_image():
    tokens = torch.arange(8.0).view(1, 8, 1)
    objective = ready(Answering(scratch=ScratchLanguage(**SMALL), connector=Connector(pooled=0, grid=(1, 1))))
    from voxtile.assist.connector import averaged

    assert averaged(tokens, (2, 4), (1, 2)).flatten().tolist() == [2.5, 4.5]  # rows of 4: {0,1,4,5} and {2,3,6,7}
    with pytest.raises(ConfigError, match="cannot be averaged"):
        averaged(tokens, (2, 4), (4, 4))
    with pytest.raises(ConfigError, match="cannot be averaged"):
        objective.connector(Encoded(torch.ones(1, 8), torch.ones(1, 3, 8)))


@pytest.mark.parametrize("places", [False, True])
def test_cells_that_look_alike_differ_by_their_places_alone_where_that_is_asked(places):
    connector = Connector(pooled=0, grid=(2, 2), places=places)
    objective = ready(Answering(scratch=ScratchLanguage(**SMALL), connector=connector))
    made = objective.connector(Encoded(torch.ones(1, 8), torch.ones(1, 4, 8), (2, 2)))[0]
    assert (torch.cdist(made, made)[~torch.eye(4, dtype=torch.bool)] > 1e-3).all() == places
    assert torch.allclose(made, made[:1]) != places


def test_tuning_says_what_of_a_named_model_is_trained(folder):
    frozen = ready(Answering(language=str(folder), tuning=Tuning(mode="frozen")))
    assert not list(frozen.tuned.parameters())
    last = ready(Answering(language=str(folder), tuning=Tuning(mode="last_n", blocks=1)))
    names = set(last.tuned)
    assert any("layers/1/" in name for name in names)
    assert not any("layers/0/" in name for name in names)


def test_a_question_that_was_asked_once_does_not_leave_with_a_checkpoint():
    turns = [Turn("Is there a stone?", "Yes.", "presence")] * 3 + [
        Turn("What ails Mrs. Alder?", "A stone.", "presence")
    ]
    objective = ready(Answering(scratch=ScratchLanguage(**SMALL)), data(turns))
    assert objective.state()["asked"] == ["Is there a stone?"]
