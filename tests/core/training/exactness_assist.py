"""Answers of a language model that sees the image: each dialogue by itself and whole, by transformers alone."""

from types import SimpleNamespace

import torch
from exactness_generative import with_towers
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from voxtile.assist.answering import Answering
from voxtile.assist.connector import Connector
from voxtile.assist.scratch import ScratchLanguage


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
        data = SimpleNamespace(training_turns=lambda: [], training_texts=lambda: texts)
        objective.take_state(objective.state_from(data))

    objective.setup_towers = setup
    return objective


def dense_answers(objective, f):
    """The mean over the tokens of all answers and their ends."""
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
        losses += [-row[token] for row, token in zip(told, answer, strict=True)]
    return torch.stack(losses).mean()


CASES = {
    "Answering": (
        lambda: with_words(
            with_towers(
                Answering(
                    scratch=InDoublePrecision(vocabulary=280, width=8, depth=2, heads=2, context=64),
                    connector=Connector(kind="resampler", queries=2, pooled=1, heads=2, hidden=8),
                )
            )
        ),
        dense_answers,
        {},
    ),
}
