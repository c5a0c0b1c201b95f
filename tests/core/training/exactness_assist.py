"""Answers of a language model that sees the image: each dialogue by itself and whole, by transformers alone."""

from dataclasses import replace
from types import SimpleNamespace

import torch
from exactness_generative import with_towers
from exactness_local import dense_masks
from exactness_model import Numbers
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from voxtile.assist.answering import Answering
from voxtile.assist.connector import Connector
from voxtile.assist.preference import Preference
from voxtile.assist.regions import GroundedAnswering
from voxtile.assist.scratch import ScratchLanguage
from voxtile.objectives.local.grounding import Grounding
from voxtile.types import Encoded, Regions, Shown, Turn


class InDoublePrecision(ScratchLanguage):
    """The model of transformers, whose norms compute in float32 whatever they are given, with torch's norms."""

    def make(self):
        language = super().make()
        for module in list(language.model.modules()):
            for name, part in list(module.named_children()):
                if isinstance(part, LlamaRMSNorm):
                    setattr(module, name, nn.RMSNorm(self.width, part.variance_epsilon))
        return language


def with_words(objective):
    """Its words are known before the first step, as a run takes them from the data."""
    setup_towers = objective.setup_towers

    def setup(image, text):
        setup_towers(image, text)
        texts = [f"t{n}" for n in range(30)]
        turns = [Turn("t1?", "t3 t4", images=(Shown("a", "t0"), Shown("b", "t1")))]
        data = SimpleNamespace(training_turns=lambda: turns, training_texts=lambda: texts)
        kind = Answering if isinstance(objective, Preference) else type(objective)  # which has its words from another
        objective.take_state(kind.state_from(objective, data))

    objective.setup_towers = setup
    return objective


def dense_answers(objective, f):
    """The mean over the tokens of all answers and their ends."""
    towers, batch = objective.towers, f.batch
    own, others = (towers[0](images, tokens=True) for images in (batch.images, batch.others.images))
    uids = (*batch.uids, *batch.others.uids)
    pooled = dict(zip(uids, (*own.pooled, *others.pooled), strict=True))
    local = dict(zip(uids, (*own.tokens, *others.tokens), strict=True))
    compared = [told_of_several(objective, turns, pooled, local) for drawn in batch.dialogues for turns in drawn]
    return -torch.stack([*answer_losses(objective, f), *(one for told in compared for one in told)]).mean()


def answer_losses(objective, f):
    """Of each token of the answers that captions are, and of their ends, log P."""
    language, words = objective.language, objective.words
    seen = objective.connector(objective.towers[0](f.batch.images, tokens=True))
    losses = []
    for text, kind, item in zip(f.batch.texts, f.batch.text_kinds, f.batch.text_item.tolist(), strict=True):
        asked = {"raw": "Write the report.", "rewrite": "Describe the image."}[kind]
        before = [words.start, *words.encode("Image: ")]
        after = words.encode("\n") + words.encode(f"Question: {asked}\nAnswer:")
        answer = [*words.encode(f" {text}"), words.end]
        rows = [language.embedded(torch.tensor(part)) for part in (before, after, answer)]
        whole = torch.cat([rows[0], seen[item], rows[1], rows[2]])[None]
        told = language.model(inputs_embeds=whole).logits[0, -len(answer) - 1 : -1].log_softmax(1)
        losses += [row[token] for row, token in zip(told, answer, strict=True)]
    return losses


class Pointing(GroundedAnswering):
    """Each region of the batch is marked in a question, and pointed at in its answer."""

    def dialogues(self, batch):
        names = batch.regions.phrases
        made = [
            tuple((Turn("t3?", "t5", shows=(names[r],), marks=(names[r],)),) for r in pointed(batch.regions, item))
            for item in range(len(batch))
        ]
        return super().dialogues(replace(batch, dialogues=made))


def pointed(regions, item):
    """The first region of each name that an item has and that is not empty."""
    found = {}
    for r, name in enumerate(regions.phrases):
        if regions.item[r] == item and regions.masks[r].any():
            found.setdefault(name, r)
    return found.values()


def dense_pointing(objective, f):
    """Each dialogue by itself; masks of what the states ask, whole; phrases as the text tower gives them."""
    language, words, regions = objective.language, objective.words, f.batch.regions
    image, text = objective.towers
    encoded = image(f.batch.images, tokens=True)
    seen, losses, states, wanted = objective.connector(encoded), [], [], []
    row = lambda ids: language.embedded(torch.tensor(ids))  # noqa: E731
    (point,) = words.encode("<seg>")
    for item in range(len(f.batch)):
        start = [row([words.start, *words.encode("Image: ")]), seen[item], row(words.encode("\n"))]
        for r in pointed(regions, item):
            cells = regions.masks[r].view(2, 2, 2, 2).mean((1, 3)).flatten()
            mean = (cells[:, None] * encoded.tokens[item]).sum(0) / cells.sum()
            vector = language_vector(objective.regions, mean, regions.masks[r])
            question = [row(words.encode("Region: ")), vector[None], row(words.encode("\nQuestion: t3?\nAnswer:"))]
            answer = [*words.encode(" t5"), point, words.end]
            made = language.model(
                inputs_embeds=torch.cat([*start, *question, row(answer)])[None], output_hidden_states=True
            )
            told = made.logits[0, -len(answer) - 1 : -1].log_softmax(1)
            losses += [-one[token] for one, token in zip(told, answer, strict=True)]
            states.append(made.hidden_states[-1][0, -2])
            wanted.append(r)
    losses += [-one for one in (answer_losses(objective, f))]
    vectors, there = objective.ask(torch.stack(states))
    own = Regions(
        [], regions.item[wanted], regions.masks[wanted], regions.boxed[wanted], regions.weight[wanted]
    )  # fmt: skip
    asked = Encoded(vectors[:, 0], vectors[:, 1:], None, there > 0)
    found = objective.grounding.decoder(encoded.levels, asked, own.item, (4, 4))
    phrases = text(Numbers().encode([regions.phrases[r] for r in wanted])[0])
    apart = torch.stack([unlike(*one, phrases, r) for r, one in enumerate(zip(vectors, there, strict=True))])
    masks = dense_masks(objective.grounding, f, own, found)
    pointing = (0.5 * masks + 2.0 * (own.weight * apart).sum()) / own.weight.sum()
    return torch.stack(losses).mean() + pointing


def unlike(vectors, there, phrases, r):
    """Squared distances from the whole and from its words, as shares of their lengths, and which words there are."""
    words = [] if phrases.tokens is None else phrases.tokens[r].detach()[: len(there)]
    real = [True] * len(words) if phrases.mask is None else phrases.mask[r].tolist()
    held = [(made, word) for made, word, is_one in zip(vectors[1:], words, real, strict=False) if is_one]
    loss = 0
    for pairs in ([(vectors[0], phrases.pooled[r].detach())], held):
        if pairs:
            loss += sum((made - word).pow(2).sum() for made, word in pairs) / sum(w.pow(2).sum() for _, w in pairs)
    signs = [1 if n < len(words) and real[n] else -1 for n in range(len(there))]
    return loss + sum((1 + (-sign * z).exp()).log() for sign, z in zip(signs, there, strict=True)) / len(there)


def language_vector(part, mean, mask):
    """The token of a region: what is there, its centre, spread and size."""
    centres, spreads = [], []
    at = torch.tensor([-0.75, -0.25, 0.25, 0.75], dtype=mask.dtype)
    for axis in (0, 1):
        share = mask.sum(1 - axis) / mask.sum()
        centres.append((share * at).sum())
        spreads.append(((share * (at - centres[-1]) ** 2).sum() + 1 / 48).sqrt())
    place = torch.stack([*centres, *spreads, mask.mean().log() / 10])
    made = part.made(part.seen(mean) + part.where(place))
    return part.log_size.exp() * (made - made.mean()) / (made.var(correction=0) + 1e-5).sqrt()


def told_of_several(objective, turns, pooled, local):
    """The answers of one dialogue, each image and its difference from the one before it after its name."""
    language, words, connector = objective.language, objective.words, objective.connector
    rows, told, before = [language.embedded(torch.tensor([words.start]))], [-1], None
    for image in turns[0].images:
        name, after = words.encode(f"{image.name}: "), words.encode("\n")
        vector = pooled[image.uid]
        alike = (vector - vector.mean()) / (vector.var(correction=0) + 1e-5).sqrt()
        step = connector.changed(alike - (alike if before is None else before)).view(-1, language.width)
        step = (step - step.mean(1, keepdim=True)) / (step.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        seen = connector(Encoded(vector[None], local[image.uid][None], (2, 2)))[0]
        rows += [language.embedded(torch.tensor(name)), seen, step * connector.log_size.exp()]
        rows += [language.embedded(torch.tensor(after))]
        told += [-1] * (len(name) + len(seen) + len(step) + len(after))
        before = alike
    for number, turn in enumerate(turns):
        asked = words.encode(("\n" if number else "") + f"Question: {turn.question}\nAnswer:")
        answer = [*words.encode(f" {turn.answer}"), words.end]
        rows += [language.embedded(torch.tensor(asked)), language.embedded(torch.tensor(answer))]
        told += [*[-1] * len(asked), *answer]
    logits = language.model(inputs_embeds=torch.cat(rows)[None]).logits[0, :-1].log_softmax(1)
    return [row[token] for row, token in zip(logits, told[1:], strict=True) if token >= 0]


CASES = {
    "GroundedAnswering": (
        lambda: with_words(
            with_towers(
                Pointing(
                    scratch=InDoublePrecision(vocabulary=280, width=8, depth=2, heads=2, context=64),
                    connector=Connector(kind="resampler", queries=2, pooled=1, heads=2, hidden=8),
                    grounding=Grounding(width=8, fine_width=16, product=4, heads=2, points=8),
                    place=0.5,
                    phrase=2.0,
                    queries=1,
                    asking=8,
                )
            )
        ),
        dense_pointing,
        {},
    ),
    "Answering": (
        lambda: with_words(
            with_towers(
                Answering(
                    scratch=InDoublePrecision(vocabulary=280, width=8, depth=2, heads=2, context=128),
                    connector=Connector(kind="resampler", queries=2, pooled=1, heads=2, hidden=8, difference=2),
                )
            )
        ),
        dense_answers,
        {},
    ),
}
