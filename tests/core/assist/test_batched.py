"""Answers that are written together are those that are written alone, whenever they begin, in any company."""

import pytest
import torch
from tests.core.assist.test_answering import data, images, ready
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from voxtile.assist.answering import Answering
from voxtile.assist.batching.batch import Batch, Prompt
from voxtile.assist.scratch import ScratchLanguage
from voxtile.assist.sequences import has_letters
from voxtile.assist.writing import write

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
MODELS = {  # rotary places, a window of 8 tokens in one layer, and places that are learned
    "llama": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=300, max_position_embeddings=128, **SIZES)),
    "gemma": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=300, max_position_embeddings=128, num_key_value_heads=1, head_dim=8, sliding_window=8,
            layer_types=["sliding_attention", "full_attention"], **SIZES,
        )
    ),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=300, n_positions=128, n_embd=16, n_layer=2, n_head=2)),
}  # fmt: skip


def writes(kind):
    """An objective whose language model is of a kind, with random weights large enough that words differ."""
    small = {"vocabulary": 300, "width": 16, "depth": 1, "heads": 2, "context": 128}
    objective = Answering(scratch=ScratchLanguage(**small))
    objective = ready(objective, data())
    torch.manual_seed(1)
    model = MODELS[kind]().eval()
    for part in model.parameters():
        if part.ndim > 1:
            torch.nn.init.normal_(part, std=0.4)
    objective.language.model = model
    return objective.eval()


def asked(objective, count=3):
    with torch.no_grad():
        seen = objective.image(images(count))
    questions = ["Where is it?", "Is there a nodule? How large is the nodule on the left?", "No?"]
    return [(seen[n], tuple(objective.question_tokens(questions[n % 3]))) for n in range(count)]


@pytest.mark.parametrize("kind", list(MODELS))
def test_answers_in_company_are_those_alone(kind):
    objective = writes(kind)
    given = [
        (*one, longest) for one, longest in zip(asked(objective, 9), [5, 30, 12, 1, 25, 9, 40, 3, 17], strict=True)
    ]
    alone = [write(objective, image[None], tokens, longest=longest)[0] for image, tokens, longest in given]
    prompts = [Prompt(image=image, tokens=tokens, longest=longest) for image, tokens, longest in given]
    batch, rows, most = Batch(objective, 4), [], 0
    while prompts or batch.rows:  # some begin while others are half written, and leave before them
        new, prompts = prompts[: min(2, batch.room)], prompts[min(2, batch.room) :]
        if new:
            rows += batch.begin(new)
        most = max(most, len(batch.rows))
        batch.step()
    assert most == 4
    assert [row.tokens[: row.prompt.longest] for row in rows] == [
        [*one.written, objective.words.end] if one.ended else list(one.written) for one in alone
    ]
    assert [row.text for row in rows] == [one.text for one in alone]
    assert [row.confidence for row in rows] == pytest.approx([one.confidence for one in alone], rel=1e-4)
    assert len({row.text for row in rows}) > 4, "answers that are all alike would show nothing"


def test_what_is_drawn_depends_on_the_seed_and_on_no_company():
    objective = writes("llama")
    (image, tokens), *_ = asked(objective)

    def drawn(seed, company=0, **settings):
        batch = Batch(objective)
        prompt = Prompt(image=image, tokens=tokens, longest=20, **({"temperature": 1.0} | settings), seed=seed)
        others = [Prompt(image=image, tokens=tokens, longest=7, temperature=1.5, seed=n) for n in range(company)]
        row = batch.begin([*others, prompt])[-1]
        while batch.rows:
            batch.step()
        return row.text

    assert drawn(3) == drawn(3, company=5)
    assert len({drawn(seed) for seed in range(5)}) > 1
    likeliest = write(objective, image[None], tokens, longest=20)[0].text
    assert drawn(4, temperature=0.0) == drawn(5, top_p=1e-6) == likeliest


def test_a_text_that_stops_is_left_out_and_never_shown_in_part():
    objective = writes("llama")
    (image, tokens), *_ = asked(objective)
    whole = write(objective, image[None], tokens, longest=30)[0].text
    stop = whole[10:14]
    batch = Batch(objective)
    (row,) = batch.begin([Prompt(image=image, tokens=tokens, longest=30, stop=("never", stop))])
    shown = [row.certain]
    while batch.rows:
        batch.step()
        shown.append(row.certain)
    assert row.finished == "stop"
    assert row.text == whole[: whole.index(stop)].rstrip()
    assert shown == sorted(shown)
    assert shown[-1] == len(row.text)


def test_a_question_of_another_alphabet_is_none():
    objective = writes("llama")
    assert all(has_letters(objective.words, text) for text in ("Where is it?", "8 mm?", "", "Is the α angle wide?"))
    assert not any(has_letters(objective.words, text) for text in ("肺结节在哪里", "Где узел?", "أين العقدة"))
