"""A captioner learns what to say of which image, and says so; what it lacks is refused by name."""

from types import SimpleNamespace

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.models.conv import ConvTower
from voxtile.models.openclip import OpenClipTokenizer
from voxtile.models.text import TextTransformer
from voxtile.models.tokenizer import SubwordTokenizer
from voxtile.objectives.captioning import Captioning
from voxtile.types import Batch, Encoded, Features

TEXTS = ["a nodule on the left", "no nodule", "a fracture", "an effusion on the right side", "a nodule"]
OWNERS = [0, 1, 2, 3, 2]


def features(image, tokens, owners=OWNERS):
    items = len(image.pooled)
    batch = Batch(
        images=torch.zeros(items, 1, 1, 1),
        image_item=torch.arange(items),
        texts=TEXTS[: len(owners)],
        text_item=torch.tensor(owners),
        study=torch.arange(items),
        subject=torch.arange(items),
        text_hash=torch.arange(len(owners)),
        facts=torch.zeros(items, 0, dtype=torch.int8),
        fact_names=(),
        uids=list(map(str, range(items))),
        draws=torch.arange(items),
        tokens=tokens,
    )
    unit = torch.ones(items, 2)
    return Features(unit, unit, torch.tensor(1.0), None, image, Encoded(unit), batch)


def made(**sizes):
    torch.manual_seed(0)
    image = ConvTower(dimensions=2, widths=(8,), blocks=(1,), width=8)
    text = TextTransformer(vocabulary=300, context=32, width=8, depth=1)
    text.tokenizer.train(TEXTS)
    objective = Captioning(**({"width": 32, "heads": 2, "depth": 1, "queries": 4} | sizes))
    objective.setup_towers(image, text)
    return image, text.tokenizer, objective


def test_it_learns_to_say_the_caption_of_each_image():
    _, tokenizer, objective = made()
    image = Encoded(torch.zeros(4, 8), torch.randn(4, 5, 8))
    tokens, _ = tokenizer.encode(TEXTS[:4])
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        given = features(image, tokens, OWNERS[:4])
        given.rows = {objective: objective.rows(given)}
        objective(given).backward()
        optimizer.step()
    objective.eval()
    shown = torch.tensor([2, 0, 3, 1])
    assert objective.generate(image.at(shown)) == [TEXTS[i] for i in shown]
    assert objective.generate(image, longest=3) == [tokenizer.decode(row) for row in tokens[:, 1:3].tolist()]


def test_an_item_counts_all_its_texts_and_only_words():
    tower, tokenizer, objective = made()
    tokens, _ = tokenizer.encode(TEXTS)
    given = features(tower(torch.randn(4, 1, 8, 8), tokens=True), tokens)
    rows = objective.rows(given)
    lengths = (tokens != 0).sum(1) - 1  # all but the start are told
    assert rows[:, 1].tolist() == [lengths[0], lengths[1], lengths[2] + lengths[4], lengths[3]]
    padded = features(given.image_encoded, torch.nn.functional.pad(tokens, (0, 3)))
    torch.testing.assert_close(objective.rows(padded), rows)
    assert objective.rows(features(given.image_encoded, tokens[:0], [])).tolist() == [[0, 0]] * 4


def test_padding_of_an_image_is_not_looked_at():
    tower, tokenizer, objective = made()
    tokens, _ = tokenizer.encode(TEXTS)
    image = tower(torch.randn(4, 1, 8, 8), tokens=True)
    longer = Encoded(
        image.pooled,
        torch.cat([image.tokens, torch.randn(4, 2, 8)], 1),
        mask=torch.arange(image.tokens.shape[1] + 2).expand(4, -1) < image.tokens.shape[1],
    )
    torch.testing.assert_close(objective.rows(features(longer, tokens)), objective.rows(features(image, tokens)))


@pytest.mark.parametrize("tokenizer", [SubwordTokenizer(vocabulary=300, context=32), OpenClipTokenizer("ViT-B-32")])
def test_tokens_become_text_again(tokenizer):
    tokenizer.train(TEXTS)
    for text in TEXTS:
        (tokens,) = tokenizer.encode([text])[0].tolist()
        inner = [token for token in tokens if token][1:-1]
        assert max(tokens) < tokenizer.size
        assert tokenizer.decode(inner) == text


def test_what_it_lacks_is_refused_by_name():
    tower, tokenizer, objective = made()
    tokens, _ = tokenizer.encode(TEXTS)
    with pytest.raises(ConfigError, match="needs tokens, which the image tower does not give"):
        objective.rows(features(Encoded(torch.zeros(4, 8)), tokens))
    with pytest.raises(ConfigError, match="not set up"):
        Captioning().rows(features(tower(torch.zeros(4, 1, 8, 8), tokens=True), tokens))
    reads_only = SimpleNamespace(tokenizer=SimpleNamespace(ready=True), width=8)
    with pytest.raises(ConfigError, match="SimpleNamespace does not"):
        Captioning().setup_towers(tower, reads_only)
    without_marks = SimpleNamespace(tokenizer=SubwordTokenizer(vocabulary=300, context=8), width=8)
    without_marks.tokenizer.train(TEXTS)
    without_marks.tokenizer.encode = lambda texts: (torch.tensor([[5, 0]]), 0)
    with pytest.raises(ConfigError, match="has 1 tokens here, not 2"):
        Captioning().setup_towers(tower, without_marks)
    with pytest.raises(ConfigError, match="width 10, heads 4"):
        Captioning(width=10, heads=4)
    with pytest.raises(ConfigError, match="at least 1 query, not 0"):
        Captioning(queries=0)
