"""`Batch.select` and what is built on it, against loops that look up what belongs to each item by itself."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.data.mixture.draws import merged
from voxtile.objectives import Contrastive, functional
from voxtile.training.step.large_batch import split_items
from voxtile.types import Batch, Encoded, Features, OtherImages, Preferred, Regions, Turn

FACTS = 2


def numbers(*shape):
    """Different numbers, so that no row can stand for another."""
    return torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float32).view(*shape) + 1000 * len(shape)


def owners(each):
    return torch.arange(len(each)).repeat_interleave(torch.tensor(each, dtype=torch.int64))


def encoded(count):
    return Encoded(numbers(count, 3), numbers(count, 2, 3), (2,), numbers(count, 2) > 0, (numbers(count, 1, 2),))


def make_regions(each):
    item = owners(each)
    count = len(item)
    return Regions(
        [f"phrase {place}" for place in range(count)], item, numbers(count, 2, 2), torch.arange(count) % 2 == 0,
        numbers(count), encoded(count), numbers(count, 4), [f"name {place}" for place in range(count)],
    )  # fmt: skip


def make_others(each):
    item = owners(each)
    return OtherImages(numbers(len(item), 1, 2, 2), item, [f"other {place}" for place in range(len(item))])


def make(images, texts, regions=None, samples=None, optional=True, name="item"):
    """A batch of items with so many images, texts and regions each, and all that a batch may have."""
    items, image_item, text_item = len(images), owners(images), owners(texts)
    count = len(text_item)
    return Batch(
        images=torch.empty(0) if name == "sample" else numbers(len(image_item), 1, 2, 2),
        image_item=image_item,
        texts=[f"text {place} of {name}" for place in range(count)],
        text_item=text_item,
        study=torch.arange(items) + 100,
        subject=torch.arange(items) + 200,
        text_hash=torch.arange(count) + 300,
        facts=(numbers(items, FACTS) % 3 - 1).to(torch.int8),
        fact_names=("round", "square"),
        uids=[f"{name} {place}" for place in range(items)],
        draws=torch.arange(items) + 400,
        text_facts=(numbers(count, FACTS) % 3 - 1).to(torch.int8) if optional else None,
        text_kinds=[f"kind {place}" for place in range(count)] if optional else None,
        tokens=torch.arange(3 * count).view(count, 3) if optional else None,
        samples=None if samples is None else make([1] * len(image_item), samples, optional=optional, name="sample"),
        regions=None if regions is None else make_regions(regions),
        image_days=-numbers(len(image_item)) if optional else None,
        source=torch.arange(items) % 2 if optional else None,
        source_names=("one", "two") if optional else (),
        dialogues=[(turns_of(place),) * (place % 3) for place in range(items)] if optional else None,
        preferences=[(Preferred("?", f"{place}", "-"),) * (place % 2) for place in range(items)] if optional else None,
        others=make_others([place % 3 for place in range(items)]) if optional else None,
    )


def turns_of(place):
    return (Turn(f"question {place}", f"answer {place}"),)


@st.composite
def batches(draw):
    few = st.integers(0, 3)
    items = draw(st.integers(1, 5))
    images = draw(st.lists(st.integers(1, 3), min_size=items, max_size=items))
    texts, regions = (draw(st.lists(few, min_size=items, max_size=items)) for _ in range(2))
    samples = draw(st.lists(few, min_size=sum(images), max_size=sum(images)))
    return make(
        images,
        texts,
        draw(st.sampled_from([None, regions])),
        draw(st.sampled_from([None, samples])),
        draw(st.booleans()),
    )


def value(rows, place):
    if rows is None or isinstance(rows, list):
        return None if rows is None else rows[place]
    return rows[place].tolist()


def regions_of(regions, item):
    if regions is None:
        return None
    own = [place for place, owner in enumerate(regions.item.tolist()) if owner == item]
    columns = [regions.phrases, regions.names, regions.masks, regions.boxed, regions.weight, regions.embedded]
    if regions.encoded is not None:
        columns += [regions.encoded.pooled, regions.encoded.tokens, regions.encoded.mask, *regions.encoded.levels]
    return [[value(column, place) for column in columns] for place in own]


def others_of(others, item):
    owner = [] if others is None else others.item.tolist()
    return [(others.uids[place], value(others.images, place)) for place, one in enumerate(owner) if one == item]


def described(batch, item):
    """All that is an item's own, field by field, by a loop over owners."""
    images = [place for place, owner in enumerate(batch.image_item.tolist()) if owner == item]
    texts = [place for place, owner in enumerate(batch.text_item.tolist()) if owner == item]
    of_item = ("study", "subject", "facts", "uids", "draws", "source", "dialogues", "preferences")
    of_texts = ("texts", "text_hash", "text_facts", "text_kinds", "tokens")
    return {
        "item": [value(getattr(batch, name), item) for name in of_item],
        "texts": [[value(getattr(batch, name), place) for name in of_texts] for place in texts],
        "images": [value(batch.images, place) if len(batch.images) else None for place in images],
        "days": [value(batch.image_days, place) for place in images],
        "regions": regions_of(batch.regions, item),
        "samples": None if batch.samples is None else [described(batch.samples, place) for place in images],
        "dialogues": value(batch.dialogues, item),
        "others": others_of(batch.others, item),
        "names": (batch.fact_names, batch.source_names),
    }


def check_same(found, whole, items):
    assert len(found) == len(items)
    assert [described(found, place) for place in range(len(items))] == [described(whole, item) for item in items]
    for name in ("image_item", "text_item"):
        owner = getattr(found, name)
        assert owner.dtype == torch.int64
        assert owner.tolist() == sorted(owner.tolist())
        assert not len(owner) or 0 <= int(owner[0]) <= int(owner[-1]) < len(items)
    if found.samples is not None:
        assert len(found.samples) == len(found.image_item) == len(found.images)


@settings(max_examples=80, deadline=None)
@given(batches(), st.data())
def test_every_item_keeps_what_is_its_own_and_nothing_else(batch, data):
    count = len(batch)
    items = data.draw(st.lists(st.integers(0, count - 1), max_size=7))  # in any order, also twice
    check_same(batch.select(torch.tensor(items, dtype=torch.int64)), batch, items)
    mask = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    check_same(batch.select(torch.tensor(mask)), batch, [item for item, kept in enumerate(mask) if kept])
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, count)] * 2)))
    check_same(batch.select(slice(start, stop)), batch, list(range(start, stop)))


@settings(max_examples=40, deadline=None)
@given(batches(), st.data())
def test_batches_that_are_cut_go_together_again(batch, data):
    """What a mixture does: parts of any items come back at the places where these belong."""
    if batch.regions is not None:
        batch.regions.encoded = batch.regions.embedded = None  # they are the module's, later
    part = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(batch), max_size=len(batch))))
    places = [torch.nonzero(part == one).squeeze(1) for one in part.unique()]
    check_same(merged([batch.select(place) for place in places], places), batch, list(range(len(batch))))


def test_a_part_of_a_mixture_may_know_less():
    one, other = make([1, 2], [1, 1], optional=True), make([1, 1], [2, 0], optional=False)
    both = merged([one, other], [torch.tensor([0, 2]), torch.tensor([1, 3])])
    assert both.text_facts is both.text_kinds is both.source is None
    assert both.image_days.isnan().tolist() == [False, True, False, False, True]
    assert both.uids == ["item 0", "item 0", "item 1", "item 1"]
    assert both.text_hash.tolist() == [300, 300, 301, 301]


def test_texts_are_cut_with_all_that_is_said_of_them():
    batch = make([1, 1, 1], [2, 1, 2])
    keep = torch.tensor([True, False, False, True, True])
    cut, kept = batch.with_texts(keep), [0, 3, 4]
    assert cut.text_item.tolist() == [0, 2, 2]
    for name, rows in batch.rows_of("texts").items():
        assert [value(getattr(cut, name), place) for place in range(3)] == [value(rows, place) for place in kept]
    assert cut.uids == batch.uids


def test_a_micro_batch_is_a_view_of_the_whole():
    batch = make([1, 2, 1, 1], [1, 2, 1, 0], regions=[1, 0, 2, 1])
    parts = list(split_items(batch, 3))
    assert [len(part) for part in parts] == [3, 1]
    for rows, whole in ((parts[1].images, batch.images), (parts[1].regions.masks, batch.regions.masks)):
        assert rows.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()


def test_a_mask_of_another_batch_is_refused():
    with pytest.raises(ValueError, match="a mask of 3 items cannot choose among 2"):
        make([1, 1], [1, 1]).select(torch.tensor([True, False, True]))


def test_every_field_says_what_its_rows_are_of():
    """A field that is added without a rule would stay whole in a part of the batch."""
    rules = {f.name: f.metadata.get("rows") for f in dataclasses.fields(Batch)}
    assert set(rules.values()) == {"items", "images", "texts", "names", "samples", "regions", "others"}
    batch = make([2, 1], [1, 2], regions=[1, 1], samples=[1, 1, 1])
    lengths = {"items": 2, "images": 3, "texts": 3}
    for what, length in lengths.items():
        assert {len(rows) for rows in batch.rows_of(what).values()} == {length}


def test_every_field_of_regions_is_carried():
    regions = make_regions([2, 1])
    some = regions.of_items(slice(1, 2), 2)
    for f in dataclasses.fields(Regions):
        assert getattr(some, f.name) is not None, f.name
        if isinstance(getattr(some, f.name), torch.Tensor | list):
            assert len(getattr(some, f.name)) == 1, f.name


def test_features_of_embeddings_give_an_objective_what_the_plain_loss_takes():
    generator = torch.Generator().manual_seed(0)
    image, text = torch.randn(3, 4, generator=generator), torch.randn(5, 4, generator=generator)
    owner, subject = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([7, 8, 7])
    features = Features.of_pairs(image, text, scale=3.0, text_item=owner, subject=subject)
    unit = torch.nn.functional.normalize
    plain = functional.contrastive(unit(image, dim=1), unit(text, dim=1), 3.0, owner=owner, groups=subject)
    torch.testing.assert_close(Contrastive(positives=["subject"])(features), plain)
    sigmoid = Features.of_pairs(image, text[:3], scale=3.0, bias=-2.0)
    plain = functional.contrastive(unit(image, dim=1), unit(text[:3], dim=1), 3.0, -2.0)
    torch.testing.assert_close(Contrastive(kind="sigmoid")(sigmoid), plain)
    assert not (features.batch.study[:, None] == features.batch.study).triu(1).any()


def test_texts_that_are_nobodys_are_refused():
    with pytest.raises(ValueError, match="3 items and 5 texts do not pair off; give text_item"):
        Features.of_pairs(torch.ones(3, 4), torch.ones(5, 4))
