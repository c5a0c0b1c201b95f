"""Momentum copies against a loop over their definition, and terms that compare with them against closed forms."""

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.text import TextBag
from voxtile.objectives.contrastive.tiled import softmax_loss
from voxtile.objectives.pairs import Pairs
from voxtile.objectives.teachers.deep_boosting import DeepBoosting
from voxtile.objectives.teachers.momentum import MomentumCopy, drawn_texts
from voxtile.objectives.teachers.momentum_distillation import MomentumDistillation
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch


def networks():
    torch.manual_seed(0)
    image = WaveletTower(dimensions=2, widths=(4,), blocks=(1,), width=8)  # with BatchNorm
    return {"image": image, "text": TextBag(vocabulary=300, context=8, width=8), "map": torch.nn.Linear(8, 4)}


def test_weights_are_averaged_and_statistics_taken_over():
    followed = networks()
    kept = MomentumCopy(followed)
    weights = {name: value.clone() for name, value in kept.state_dict().items()}
    assert {name.split(".")[1] for name in weights} == {"image", "text", "map"}
    for step in range(3):
        followed["image"](torch.randn(4, 1, 8, 8))  # moves BatchNorm's statistics
        for part in followed.values():
            for parameter in part.parameters():
                parameter.data += torch.randn_like(parameter)
        kept.follow(followed, 0.9)
        for name, value in kept.state_dict().items():
            _, part, rest = name.split(".", 2)
            new = followed[part].state_dict()[rest]
            learned = rest in dict(followed[part].named_parameters())
            weights[name] = 0.9 * weights[name] + 0.1 * new if learned else new.clone()
            torch.testing.assert_close(value, weights[name], msg=f"{name} at step {step}")
    assert any("running_mean" in name for name in weights)


def test_copies_are_apart_frozen_and_never_in_training_mode():
    followed = networks()
    kept = MomentumCopy(followed).train()
    before = kept["map"].weight.clone()
    followed["map"].weight.data += 1
    assert torch.equal(kept["map"].weight, before)
    assert not any(parameter.requires_grad for parameter in kept.parameters())
    assert not kept["image"].training
    assert all(parameter.requires_grad for part in ("text", "map") for parameter in followed[part].parameters())
    followed["text"].tokenizer.train(["a nodule"])  # made at the start of a run, after the copies
    assert kept["text"].tokenizer.ready


def step(objective, items=3, texts_each=1, micro=None):
    """The module around an objective, and the features of a batch."""
    torch.manual_seed(0)
    parts = networks()
    encoder = DualEncoder(image=parts["image"], text=parts["text"], embed_dim=4)
    encoder.text.tokenizer.train(["a nodule", "no nodule"])
    module = ContrastiveModule(encoder=encoder, objectives={"it": objective}, batch=micro)
    module.setup_objectives(())
    module.eval()  # so that BatchNorm does the same in the model and in its copy
    owner = torch.arange(items).repeat_interleave(texts_each)
    batch = Batch(
        images=torch.randn(items, 1, 8, 8),
        image_item=torch.arange(items),
        texts=[f"a nodule of {n} mm" for n in range(len(owner))],
        text_item=owner,
        study=torch.arange(items),
        subject=torch.arange(items),
        text_hash=torch.arange(len(owner)),
        facts=torch.zeros(items, 0, dtype=torch.int8),
        fact_names=(),
        uids=["u"] * items,
        draws=torch.arange(items),
    )
    return module, module.features(batch)


def test_an_untouched_copy_gives_the_contrastive_loss_and_no_divergence():
    for alpha, ramp, share in ((0.0, 0, 1.0), (0.4, 0, 0.6), (1.0, 0, 0.0), (1.0, 4, 0.5)):
        _, features = step(MomentumDistillation(alpha=alpha, ramp=ramp, queue=7))
        features.step = 2
        objective = next(iter(features.rows))
        plain = softmax_loss(
            features.image, features.text, features.logit_scale, Pairs(features.batch.text_item, len(features.image))
        )
        torch.testing.assert_close(objective(features), share * plain)


def test_ignored_columns_are_neither_right_nor_wrong():
    _, features = step(MomentumDistillation(ignore=["subject"]))
    features.batch.subject = torch.zeros(3, dtype=torch.int64)
    objective = next(iter(features.rows))
    assert objective(features).item() == 0  # all that is left of a row is its own pair


def test_the_queue_keeps_the_newest_pairs():
    objective = MomentumDistillation(queue=5, momentum=0.5)
    module, features = step(objective)
    kept = []
    for number in range(3):
        features.batch.text_hash = torch.arange(3) + 10 * number
        objective.train()
        objective(features)
        objective.eval()
        objective(features)  # validation leaves no trace
        kept += zip(features.batch.text_hash.tolist(), features.rows[objective], strict=True)
        objective.after_step(module.encoder, number + 1, 3)
        assert objective.oldest == 3 * (number + 1) % 5
        held = dict(zip(objective.queue_keys[:, 0].tolist(), objective.queue, strict=True))
        held.pop(-1, None)  # not filled yet
        assert set(held) == {hash_ for hash_, _ in kept[-5:]}
        for hash_, pair in kept[-5:]:
            torch.testing.assert_close(held[hash_], pair)


def test_each_text_of_an_item_has_its_turn():
    _, features = step(DeepBoosting(), items=200, texts_each=3)
    drawn = drawn_texts(features.batch)
    assert torch.equal(features.batch.text_item[drawn], torch.arange(200))
    assert torch.bincount(drawn % 3).tolist() == pytest.approx([200 / 3] * 3, abs=20)


def test_a_large_batch_runs_the_copy_once():
    objective = MomentumDistillation()
    module, features = step(objective, items=4, micro={"global": 4, "micro": 2})
    sizes = {"model": [], "copy": []}
    for tower, seen in ((module.encoder.image, sizes["model"]), (objective.kept["encoder"].image, sizes["copy"])):
        tower.register_forward_hook(lambda _, inputs, made, seen=seen: seen.append(len(inputs[0])))
    module.total(module.losses(module.features(features.batch))).backward()
    assert sizes == {"model": [2, 2, 2, 2], "copy": [2, 2]}
    assert module.encoder.image_projection.weight.grad.abs().sum() > 0


def test_boosting_asks_for_a_margin_over_the_copy():
    for kind in ("relative", "absolute"):
        module, features = step(DeepBoosting(kind=kind, margin=0.3))
        objective = module.objectives["it"]
        assert objective(features).item() == pytest.approx(0.6)  # what is equal to its copy lacks m in both directions
        features.batch.text_hash = torch.zeros(3, dtype=torch.int64)  # no wrong pairs
        assert objective(features).item() == pytest.approx(0.0 if kind == "relative" else 0.3)


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(ConfigError, match="momentum of MomentumDistillation must be"):
        MomentumDistillation(momentum=1.0)
    with pytest.raises(ConfigError, match=r"alpha from 0 to 1, and no negative ramp or queue, not 1\.5, 0 and 0"):
        MomentumDistillation(alpha=1.5)
    with pytest.raises(ConfigError, match="knows no relation 'facts'; there are: text, study, subject"):
        DeepBoosting(ignore=["facts"])
    with pytest.raises(ConfigError, match="has no kind 'both'"):
        DeepBoosting(kind="both")
    with pytest.raises(ConfigError, match="margin of DeepBoosting is a difference of cosines"):
        DeepBoosting(margin=3)
    _, features = step(MomentumDistillation())
    with pytest.raises(ConfigError, match="not set up"):
        MomentumDistillation().rows(features)
    features.batch.text_item = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ConfigError, match="needs a text of each item"):
        drawn_texts(features.batch)
