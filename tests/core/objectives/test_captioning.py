"""A captioner learns what to say of which image, and says so; what it lacks is refused by name."""

from types import SimpleNamespace

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.models.hub.openclip import OpenClipTokenizer
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextTransformer
from voxtile.models.tokenizer import SubwordTokenizer
from voxtile.objectives.generative.captioning import Captioning
from voxtile.objectives.generative.decoding import Decoding
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
    assert objective.generate(image, Decoding("beam", beams=3)) == TEXTS[:4]
    assert objective.generate(image.at(shown)) == [TEXTS[i] for i in shown]
    assert objective.generate(image, longest=3) == [tokenizer.decode(row) for row in tokens[:, 1:3].tolist()]


def forward_log_p(objective, pooled, words):
    """[V] of the next word, by the decoder's whole forward pass over the words so far."""
    log_p = objective.decoder.logits(objective.decoder(torch.tensor([words]), pooled)[:, -1])[0].log_softmax(0)
    return log_p.masked_fill(
        torch.arange(len(log_p)).unsqueeze(0).eq(torch.tensor([[0], [words[0]]])).any(0), -torch.inf
    )


def of_spread_words():
    """A captioner whose words are neither certain nor all alike."""
    _, tokenizer, objective = made(depth=2)
    torch.nn.init.normal_(objective.decoder.words.weight, std=0.4)
    return tokenizer, objective.eval(), Encoded(torch.zeros(3, 8), torch.randn(3, 5, 8))


def test_greedy_words_are_those_of_the_whole_forward_pass():
    tokenizer, objective, image = of_spread_words()
    start, end = tokenizer.encode([""])[0][0].tolist()
    pooled = objective.pool(image.tokens, None)
    for place, text in enumerate(objective.write(image, Decoding(longest=12))):
        words, total = [start], 0.0
        while len(words) < 12 and words[-1] != end:
            log_p = forward_log_p(objective, pooled[place : place + 1], words)
            total += log_p.max().item()
            words.append(int(log_p.argmax()))
        assert [*text.tokens, *([end] if text.ended else [])] == words[1:]
        assert text.log_likelihood == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_a_beam_is_never_less_likely_than_greedy_and_says_how_likely_it_is(beams):
    tokenizer, objective, image = of_spread_words()
    start, end = tokenizer.encode([""])[0][0].tolist()
    pooled = objective.pool(image.tokens, None)
    greedy = objective.write(image, Decoding(longest=8))
    found = objective.write(image, Decoding("beam", beams=beams, longest=8))
    for place, (text, least) in enumerate(zip(found, greedy, strict=True)):
        assert text.log_likelihood >= least.log_likelihood
        told = [*text.tokens, *([end] if text.ended else [])]
        each = [
            forward_log_p(objective, pooled[place : place + 1], [start, *told[:n]])[word] for n, word in enumerate(told)
        ]
        assert text.log_likelihood == pytest.approx(sum(each).item(), abs=1e-4)
    if beams == 1:
        assert found == greedy


def test_a_beam_of_all_words_finds_the_likeliest_text():
    tokenizer, objective, image = of_spread_words()
    start, end = tokenizer.encode([""])[0][0].tolist()
    pooled = objective.pool(image.tokens, None)[:1]
    first = forward_log_p(objective, pooled, [start])
    pairs = [first[word] + forward_log_p(objective, pooled, [start, word]).max() for word in range(300) if word != end]
    (best,) = objective.write(image.at(torch.tensor([0])), Decoding("beam", beams=300, longest=3))
    usable = [pair.item() for pair in pairs if pair.isfinite()]
    assert best.log_likelihood == pytest.approx(max([*usable, first[end].item()]), abs=1e-4)


def test_draws_are_those_of_the_seed_and_the_key_and_stay_in_the_nucleus():
    _, objective, image = of_spread_words()
    keys = torch.tensor([7, 8, 9])
    how = Decoding("sample", top_p=0.8, seed=3, longest=10)
    drawn = objective.write(image, how, keys=keys)
    turned = torch.tensor([2, 0])
    again = objective.write(image.at(turned), how, keys=keys[turned])
    assert [text.tokens for text in again] == [drawn[2].tokens, drawn[0].tokens]
    assert objective.write(image, Decoding("sample", seed=4, longest=10), keys=keys) != drawn
    narrow = objective.write(image, Decoding("sample", top_p=1e-9, longest=10), keys=keys)
    assert [text.tokens for text in narrow] == [text.tokens for text in objective.write(image, Decoding(longest=10))]


def test_draws_follow_the_probabilities():
    tokenizer, objective, image = of_spread_words()
    start, end = tokenizer.encode([""])[0][0].tolist()
    truth = forward_log_p(objective, objective.pool(image.tokens, None)[:1], [start]).exp()
    truth = truth / truth.sum()
    many = image.at(torch.zeros(4000, dtype=torch.int64))
    said = objective.write(many, Decoding("sample", top_p=1.0, longest=2), keys=torch.arange(4000))
    counts = torch.bincount(torch.tensor([text.tokens[0] if text.tokens else end for text in said]), minlength=300)
    expected = 4000 * truth
    usual = expected > 5
    chi = ((counts - expected)[usual] ** 2 / expected[usual]).sum().item()
    assert chi < usual.sum() + 5 * (2 * usual.sum()) ** 0.5


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_no_text_is_longer_than_the_context(method):
    _, objective, image = of_spread_words()
    with torch.no_grad():
        objective.decoder.words.weight[2] = (
            -objective.decoder.words.weight[2].abs() * 50
        )  # the end is hardly ever likely
    for longest in (None, 1000):
        assert all(
            len(text.tokens) + 1 + text.ended <= 32
            for text in objective.write(image, Decoding(method, beams=2, longest=longest))
        )
    assert objective.write(image.at(torch.empty(0, dtype=torch.int64)), Decoding(method)) == []


def test_ways_of_writing_that_are_none_are_refused():
    for wrong, said in (
        ({"method": "magic"}, "not 'magic'"),
        ({"beams": 0}, "not 0 and None"),
        ({"longest": 1}, "not 4 and 1"),
        ({"top_p": 0.0}, "not 0 and 1"),
        ({"temperature": 0.0}, "not 0.9 and 0"),
    ):
        with pytest.raises(ConfigError, match=said):
            Decoding(**wrong)


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
