"""Tuning by preferences is the equation of its paper, from an assistant that is kept; drafts are drawn right."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from voxtile.assist import Answering, Connector, Preference, ScratchLanguage
from voxtile.assist.drawing import draw
from voxtile.assist.writing import write
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models import TextBag
from voxtile.models.image.conv import ConvTower
from voxtile.types import Encoded, Features, Preferred, Turn

SMALL = {"vocabulary": 300, "width": 16, "depth": 2, "heads": 2, "context": 128}
PAIRS = [
    (Preferred("Report.", "A nodule on the left.", "A nodule on the right."),),
    (),
    (Preferred("Report.", "No nodule.", "A nodule."), Preferred("Where?", "Nowhere.", "On the left.")),
]
BETA, NLL = 0.3, 0.7
DATA = SimpleNamespace(training_texts=lambda: ["A nodule on the left.", "No nodule on the right."],
                       training_turns=lambda: [], has_preferences=True)  # fmt: skip


def settings():
    return {"scratch": ScratchLanguage(**SMALL), "connector": Connector(pooled=2, hidden=16)}


def tower():
    return ConvTower(dimensions=2, widths=(8,), blocks=(1,), width=8)


def assistant(seed=0):
    torch.manual_seed(seed)
    made = Answering(**settings())
    made.setup_towers(tower(), TextBag())
    made.take_state(made.state_from(DATA))
    return made.eval()


def checkpoint(made, name="answering"):
    weights = {f"{name}.{key}": value.detach().clone() for key, value in made.state_dict().items()}
    return {name: made.state()}, weights


def tuned(made, **more):
    objective = Preference(**settings(), **more)
    objective.setup_towers(tower(), TextBag())
    objective.take_state(objective.state_from(DATA))
    states, weights = checkpoint(made)
    objective.begin_with_states(states)
    objective.begin_with(weights)
    return objective.eval()


def images(count=3):
    generator = torch.Generator().manual_seed(1)
    draws = [torch.randn(*size, generator=generator) for size in ((count, 8), (count, 4, 8))]
    return Encoded(draws[0], draws[1], (2, 2))


def features(preferences=PAIRS, count=3):
    made = Features.of_pairs(
        torch.ones(count, 2), torch.ones(0, 2), image_encoded=images(count), text_item=torch.zeros(0).long(), texts=[]
    )
    return replace(made, batch=replace(made.batch, preferences=list(preferences)))


def log_p(made, item, question, answer):
    """Σ log P of one answer by itself and of its end, by transformers' own logits over the whole sequence."""
    words, language = made.words, made.language
    prompt = words.encode(f"Question: {question}\nAnswer:")
    said = [*words.encode(f" {answer}"), words.end]
    whole = torch.cat([made.image(images().at(torch.tensor([item]))),
                       language.embedded(torch.tensor([prompt + said]))], 1)  # fmt: skip
    told = language.model(inputs_embeds=whole).logits[0, -len(said) - 1 : -1].log_softmax(1)
    return torch.stack([row[token] for row, token in zip(told, said, strict=True)])


def test_the_loss_and_its_gradient_are_those_of_the_equation():
    start = assistant()
    objective = tuned(start, beta=BETA, nll=NLL)
    torch.manual_seed(5)
    with torch.no_grad():  # as after some steps, the connector too
        for part in objective.parameters():
            part.add_(0.05 * torch.randn_like(part))
    expected, rows = [], torch.zeros(3, 2)
    for item, pairs in enumerate(PAIRS):
        for pair in pairs:
            ours = [log_p(objective, item, pair.question, text) for text in (pair.chosen, pair.rejected)]
            with torch.no_grad():
                theirs = [log_p(start, item, pair.question, text) for text in (pair.chosen, pair.rejected)]
            # as trl's DPOTrainer has it: -logsigmoid(beta * ((pi_c - pi_r) - (ref_c - ref_r))), RPO's alpha * NLL
            logits = (ours[0].sum() - ours[1].sum()) - (theirs[0].sum() - theirs[1].sum())
            loss = math.log(1) - torch.log(torch.sigmoid(BETA * logits)) - NLL * ours[0].mean()
            expected.append(loss)
            rows[item] += torch.tensor([loss.item(), 1.0])
    given = features()
    made = objective.rows(given)
    torch.testing.assert_close(made.detach(), rows, rtol=1e-4, atol=1e-5)
    given.rows = {objective: made}
    loss = objective(given)
    torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)
    names = [name for name, _ in objective.named_parameters()]
    found = torch.autograd.grad(loss, list(objective.parameters()))
    wanted = torch.autograd.grad(torch.stack(expected).mean(), list(objective.parameters()))
    for name, one, other in zip(names, found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=name)


def test_sentences_that_both_answers_have_count_less_and_what_follows_a_difference_as_it_does():
    pair = Preferred("Report.", "A nodule. No nodule on the left. A nodule on the right. The right.",
                     "A nodule. A nodule on the left. A nodule on the right. The right.")  # fmt: skip
    start = assistant()
    torch.manual_seed(5)
    found = []
    for shared in (1.0, 0.25):
        objective = tuned(start, beta=BETA, nll=NLL, shared=shared)
        with torch.no_grad():
            for part in objective.parameters():
                part.add_(0.05 * torch.randn(part.shape, generator=torch.Generator().manual_seed(3)))
        gained, likely, words = [], [], objective.words
        for text in (pair.chosen, pair.rejected):
            sentences = [f"{one}." for one in text.removesuffix(".").split(". ")]
            weights = [w for one, w in zip(sentences, (shared, 1, 1, shared), strict=True)
                       for _ in words.encode(f" {one}")]  # fmt: skip
            with torch.no_grad():
                ours, theirs = (log_p(made, 0, pair.question, text) for made in (objective, start))
            gained.append(((ours - theirs) * torch.tensor([*weights, 1.0])).sum())
            likely.append(ours.mean())
        expected = -torch.log(torch.sigmoid(BETA * (gained[0] - gained[1]))) - NLL * likely[0]
        found.append(objective.rows(features([(pair,), (), ()]))[0, 0].item())
        assert found[-1] == pytest.approx(expected.item(), rel=1e-4)
    assert abs(found[0] - found[1]) > 1e-3
    with pytest.raises(ConfigError, match="shared must be from 0 to 1"):
        Preference(**settings(), shared=1.5)


def test_it_begins_where_the_assistant_was_and_keeps_that_while_it_learns():
    start = assistant()
    objective = tuned(start)
    given = features()
    first = objective.rows(given)
    torch.testing.assert_close(first[:, 0], first[:, 1] * math.log(2))  # nothing is gained yet
    objective.connector.dropout.p = 0.5
    assert torch.equal(objective.train().rows(given), first)  # and nothing is left out at random
    before = objective.losses_before(given, [(0, (Turn("Report.", "No nodule."),))])
    prompt = objective.question_tokens("Report.")
    said = write(start, start.image(images()), prompt, longest=9)
    assert write(objective, objective.image(images()), prompt, longest=9) == said
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    for _ in range(15):
        optimizer.zero_grad()
        given.rows = {objective: objective.rows(given)}
        objective(given).backward()
        optimizer.step()
    after = objective.rows(given)[:, 0].sum()
    assert after < 0.7 * first[:, 0].sum()
    again = objective.losses_before(given, [(0, (Turn("Report.", "No nodule."),))])
    assert torch.equal(again, before)
    # The checkpoint has the reference, so that a run that resumes compares with the same.
    other = Preference(**settings())
    other.setup_towers(tower(), TextBag())
    other.take_state(objective.state())
    other.load_state_dict(objective.state_dict())
    torch.testing.assert_close(other.eval().rows(given), objective.rows(given), rtol=0, atol=0)


def test_items_without_a_pair_weigh_nothing_and_reach_every_gradient():
    objective = tuned(assistant())
    given = features([(), (), ()])
    given.rows = {objective: objective.rows(given)}
    loss = objective(given)
    loss.backward()
    assert loss.item() == 0
    assert all(part.grad is not None and not part.grad.any() for part in objective.parameters())


def test_pairs_with_a_token_that_cannot_be_written_are_left_out():
    objective = tuned(assistant())
    objective._allowed = torch.tensor(sorted({objective.words.end, *objective.words.encode(" No nodule."),
                                              *objective.words.encode(" A nodule.")}))  # fmt: skip
    assert objective.rows(features())[:, 1].tolist() == [0, 0, 1]


def test_what_cannot_be_tuned_is_refused_in_a_sentence():
    start = assistant()
    states, weights = checkpoint(start)
    objective = Preference(**settings())
    objective.setup_towers(tower(), TextBag())
    with pytest.raises(ConfigError, match=r"name its checkpoint in model.pretrained"):
        objective.rows(features())
    with pytest.raises(ConfigError, match=r"no item of the training split has a pair .*voxtile prefer"):
        objective.state_from(SimpleNamespace(has_preferences=False))
    encoder = SimpleNamespace(image=nn.Linear(2, 2))
    objective._watched = [encoder]
    with pytest.raises(ConfigError, match=r"set model.freeze_encoder to true"):
        objective.state_from(DATA)
    encoder.image.requires_grad_(False)
    assert objective.state_from(DATA) == {}
    for found, said in (({}, "no objective that answers"), ({**states, "b": states["answering"]}, "answering, b that")):
        with pytest.raises(CheckpointError, match=said):
            objective.begin_with_states(found)
    wide = Preference(scratch=ScratchLanguage(**{**SMALL, "width": 32}), connector=Connector(pooled=2, hidden=16))
    wide.setup_towers(tower(), TextBag())
    wide.begin_with_states(states)
    with pytest.raises(CheckpointError, match="is not the one that the objective describes"):
        wide.begin_with(weights)
    for wrong in ({"beta": 0.0}, {"nll": -1.0}):
        with pytest.raises(ConfigError, match="beta must be above 0 and nll at least 0"):
            Preference(**settings(), **wrong)


def test_drafts_are_drawn_by_the_probabilities_and_the_same_numbers_give_the_same_drafts():
    made = assistant()
    prompt = made.question_tokens("Report.")
    image = made.image(images(2))
    generator = torch.Generator().manual_seed(2)
    uniform = torch.rand(2, 3, 6, generator=generator, dtype=torch.float64)
    drafts = draw(made, image, prompt, uniform, temperature=0.8)
    for item in range(2):
        assert draw(made, image[item : item + 1], prompt, uniform[item : item + 1], temperature=0.8) == [drafts[item]]
        for number in range(3):  # token by token, each from the whole sequence before it
            said = []
            for place in range(6):
                tokens = torch.tensor([[*prompt, *said]])
                whole = torch.cat([image[item : item + 1], made.language.embedded(tokens)], 1)
                logits = made.language.model(inputs_embeds=whole).logits[0, -1].double() / 0.8
                reached = list(itertools.accumulate(logits.softmax(0).tolist()))
                token = next(n for n, p in enumerate(reached) if p > uniform[item, number, place])
                if token == made.words.end:
                    break
                said.append(token)
            assert drafts[item][number] == made.words.decode(said).strip()
    cold = draw(made, image, prompt, uniform, temperature=1e-4)
    likeliest = [answer.text for answer in write(made, image, prompt, longest=6)]
    assert cold == [[text] * 3 for text in likeliest]
    with pytest.raises(ConfigError, match="a temperature above 0, not 0"):
        draw(made, image, prompt, uniform, temperature=0)
    with pytest.raises(ConfigError, match="reads 128; ask in fewer"):
        draw(made, image, prompt, torch.zeros(2, 1, 200, dtype=torch.float64))
