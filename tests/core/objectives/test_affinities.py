"""Distillation, kept zero-shot similarities and old indices, against their equations pair by pair."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import voxtile.inference.load
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextTransformer
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.teachers import affinity
from voxtile.objectives.teachers.backward_compatible import BackwardCompatible
from voxtile.objectives.teachers.distillation import Distillation
from voxtile.objectives.teachers.preserve_zero_shot import PreserveZeroShot
from voxtile.training.module import ContrastiveModule
from voxtile.types import Encoded, Features

ITEMS = 9
OWNER = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 3])
NAMES = ("loss", "image", "text", "scale")


def divergence(teacher, student, skip_own=False):
    """Mean over rows of Σ p̄ log(p̄ / p), a pair at a time; both are matrices of logits."""
    rows = []
    for i in range(len(student)):
        others = [j for j in range(student.shape[1]) if not (skip_own and j == i)]
        p, q = (torch.stack([z[i, j].exp() for j in others]) for z in (teacher, student))
        p, q = p / p.sum(), q / q.sum()
        rows.append(sum(a * (a / b).log() for a, b in zip(p, q, strict=True)))
    return torch.stack(rows).mean()


def mutual(teacher, student):
    return 0.5 * (divergence(teacher, student) + divergence(teacher.T, student.T))


def softmax_loss(z, owner):
    """Both directions, each text owned by one item."""
    rows = [
        z[i].logsumexp(0) - torch.stack([z[i, j] for j in range(len(owner)) if owner[j] == i]).mean()
        for i in range(len(z))
    ]
    columns = [z[:, j].logsumexp(0) - z[owner[j], j] for j in range(len(owner))]
    return 0.5 * (torch.stack(rows).mean() + torch.stack(columns).mean())


def student(width=6, aligned_to=None):
    """Normalised embeddings and the scale, as leaves."""
    g = torch.Generator().manual_seed(5)
    image = torch.randn(ITEMS, width, generator=g).double()
    text = torch.randn(len(OWNER), width, generator=g).double()
    if aligned_to is not None:
        image, text = aligned_to + 0.1 * image, aligned_to[OWNER] + 0.1 * text
    leaves = [F.normalize(image, dim=1), F.normalize(text, dim=1), torch.tensor(8.0).double()]
    return [leaf.requires_grad_() for leaf in leaves]


def gradients(loss, leaves):
    found = torch.autograd.grad(1.7 * loss, leaves, allow_unused=True)
    return [loss.detach(), *(torch.zeros(()) if g is None else g for g in found)]


def given(batch, image, text, scale):
    return Features(image, text, scale, None, Encoded(image), Encoded(text), batch)


def assert_equal(ours, truth):
    for name, a, b in zip(NAMES, ours, truth, strict=True):
        assert (a - b).abs().max() <= 1e-10, name
    assert truth[1].abs().max() > 1e-6, "the case would pass with zero gradients"


class Teacher:
    """Encodes a text to a vector that its words seed; counts what it is asked."""

    logit_scale = 12.0

    def __init__(self, width=6):
        self.width, self.asked = width, []

    def encode_texts(self, texts):
        self.asked += texts
        rows = [np.random.default_rng(sum(text.encode())).normal(size=self.width) for text in texts]
        return F.normalize(torch.tensor(np.array(rows)), dim=1)


@pytest.fixture
def teacher(monkeypatch):
    made = Teacher()
    monkeypatch.setattr(voxtile.inference.load, "load_model", lambda spec, *_: made)
    return made


@pytest.mark.parametrize("slab", [4, 256])
@pytest.mark.parametrize("aligned", [False, True])
def test_distillation_mimics_images_and_texts(made_batch, embedded, teacher, monkeypatch, aligned, slab):
    monkeypatch.setattr(affinity, "SLAB", slab)
    root, vectors = embedded()
    batch = made_batch(ITEMS, OWNER)
    batch.texts[10] = batch.texts[2]
    old = F.normalize(torch.tensor(vectors["teacher"][:ITEMS]).double(), dim=1)
    image, text, scale = leaves = student(aligned_to=old if aligned else None)
    ours = gradients(Distillation(corpus=root, teacher="any")(given(batch, *leaves)), leaves)
    asked = len(teacher.asked)
    logits = 12.0 * old @ teacher.encode_texts(batch.texts).T
    assert_equal(ours, gradients(mutual(logits, scale * image @ text.T), leaves))
    assert ours[3].abs() > 1e-6
    assert asked == len(set(batch.texts)), "a text that stands twice is encoded once"


@pytest.mark.parametrize(("given_scale", "scale_of_teacher"), [(5.0, 5.0), (None, 1 / 0.07)])
@pytest.mark.parametrize("slab", [4, 256])
def test_distillation_mimics_images_alone(made_batch, embedded, monkeypatch, slab, given_scale, scale_of_teacher):
    monkeypatch.setattr(affinity, "SLAB", slab)
    root, vectors = embedded(width=11)
    image, text, scale = leaves = student()
    old = F.normalize(torch.tensor(vectors["teacher"][:ITEMS]).double(), dim=1)
    made = Distillation(corpus=root, scale=given_scale)
    truth = divergence(scale_of_teacher * old @ old.T, scale_of_teacher * image @ image.T, skip_own=True)
    assert_equal(gradients(made(given(made_batch(ITEMS, OWNER), *leaves)), leaves), gradients(truth, leaves))
    same = made(given(made_batch(ITEMS, OWNER), old, text, scale))
    assert same.item() == pytest.approx(0, abs=1e-12)


def test_a_lone_item_has_nothing_to_mimic(made_batch, embedded):
    root, _ = embedded()
    image, text, scale = (leaf.detach() for leaf in student())
    image = image[:1].requires_grad_()
    loss = Distillation(corpus=root)(given(made_batch(1), image, text[:1], scale))
    loss.backward()
    assert loss.item() == 0
    assert image.grad.abs().sum() == 0


def test_an_old_index_is_the_classifier_of_the_new_model(made_batch, embedded):
    root, vectors = embedded(models=("new", "old"))
    batch = made_batch(ITEMS, OWNER)
    image, text, scale = leaves = student()
    old = F.normalize(torch.tensor(vectors["old"][:ITEMS]).double(), dim=1)
    made = BackwardCompatible(corpus=root, model="old", tile=(4, 5))
    fixed = scale.detach()
    truth = softmax_loss(fixed * old @ text.T, OWNER.tolist()) + softmax_loss(fixed * image @ old.T, list(range(ITEMS)))
    assert_equal(gradients(made(given(batch, *leaves)), leaves), gradients(0.5 * truth, leaves))


def test_an_old_vector_counts_as_a_text_of_its_item(made_batch, embedded):
    """With `ignore: [subject]` the vectors of a subject's other items are left out."""
    root, vectors = embedded()
    batch = made_batch(ITEMS, subjects=3)
    image, text, scale = student()
    old = F.normalize(torch.tensor(vectors["teacher"][:ITEMS]).double(), dim=1)
    apart = (batch.subject[:, None] != batch.subject) | torch.eye(ITEMS, dtype=torch.bool)
    assert not apart.all()
    losses = [
        softmax_loss((scale * z).masked_fill(~apart, -torch.inf), list(range(ITEMS)))
        for z in (old @ text[:ITEMS].T, image @ old.T)
    ]
    ours = BackwardCompatible(corpus=root, ignore=["subject"])(given(batch, image, text[:ITEMS], scale))
    assert ours.item() == pytest.approx(0.5 * sum(losses).item(), abs=1e-10)


@pytest.mark.parametrize(
    ("arguments", "models", "items", "words"),
    [
        ({}, ("a", "b"), 40, "several models.*a, b"),
        ({"model": "c"}, ("a", "b"), 40, "no 'c'"),
        ({}, (), 40, "voxtile embed"),
        ({}, ("a",), ITEMS - 2, f"sample {ITEMS - 2:032x}"),
    ],
)
def test_embeddings_that_are_not_there_are_named(made_batch, embedded, arguments, models, items, words):
    root, _ = embedded(items=items, models=models)
    for kind in (Distillation, BackwardCompatible):
        with pytest.raises(ConfigError, match=words):
            kind(corpus=root, **arguments)(given(made_batch(ITEMS, OWNER), *student()))


def test_what_does_not_fit_is_refused(made_batch, embedded, teacher):
    root, _ = embedded(width=7)
    batch = made_batch(ITEMS, OWNER)
    with pytest.raises(ConfigError, match="embed_dim to 7"):
        BackwardCompatible(corpus=root)(given(batch, *student()))
    with pytest.raises(ConfigError, match="7 wide"):
        Distillation(corpus=root, teacher="any")(given(batch, *student()))
    batch.image_item = torch.arange(2 * ITEMS) // 2
    with pytest.raises(ConfigError, match="unit: sample"):
        Distillation(corpus=root)(given(batch, *student()))
    with pytest.raises(ConfigError, match="scale"):
        Distillation(corpus=root, scale=0)
    with pytest.raises(ConfigError, match="tile"):
        BackwardCompatible(corpus=root, tile=(0, 1))


REFERENCES = ["a cat", "a dog", "text 3", "two cats", "nothing"]


def pretrained(made_batch, *, dropout=0.0, embed_dim=8, micro=None, objective=None, ready=True):
    """A module whose towers share a space, with the objective set up, and a batch."""
    torch.manual_seed(1)
    encoder = DualEncoder(
        image=ConvTower(dimensions=2, widths=[4, 8], blocks=[1, 1], width=8, dropout=dropout),
        text=TextTransformer(vocabulary=300, context=32, width=8, depth=1, heads=2, dropout=dropout),
        embed_dim=embed_dim,
        project=embed_dim != 8,
    )
    batch = made_batch(ITEMS, OWNER.sort().values)
    if ready:
        encoder.text.tokenizer.train([*REFERENCES, *batch.texts])
    parts = {"contrastive": Contrastive(), "kept": objective or PreserveZeroShot(texts=REFERENCES, sample=3)}
    sizes = None if micro is None else {"global": ITEMS, "micro": micro}
    made = ContrastiveModule(encoder=encoder, objectives=parts, batch=sizes, weights={"kept": 3.0})
    made.setup_objectives(())
    made.preset_config = {}
    batch.images = batch.images.double()
    return made.double(), batch


def shaken(made):
    """The same module after its towers have learned something else."""
    g = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in made.encoder.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
    return made


def test_zero_shot_is_kept_by_its_equation(made_batch):
    made, batch = pretrained(made_batch)
    made.eval()
    first = made.features(batch).image.detach()
    tokens, _ = made.encoder.text.tokenizer.encode(REFERENCES)
    first_text = made.encoder.encode_texts(tokens)[0].detach()[:3]
    assert made.losses(made.features(batch))["kept"].item() == pytest.approx(0, abs=1e-12)
    shaken(made)
    features = made.features(batch)
    text = made.encoder.encode_texts(tokens)[0][:3]
    truth = mutual(50.0 * first @ first_text.T, 50.0 * features.image @ text.T)
    towers = list(made.encoder.parameters())
    ours = torch.autograd.grad(made.losses(features)["kept"], towers, allow_unused=True, retain_graph=True)
    for a, b in zip(ours, torch.autograd.grad(truth, towers, allow_unused=True), strict=True):
        assert (a is None) == (b is None)
        assert a is None or (a - b).abs().max() <= 1e-9
    assert truth > 0.01


def test_the_copy_stays_as_it_is_and_is_in_the_checkpoint(made_batch):
    made, batch = pretrained(made_batch, dropout=0.5)
    made.train()
    kept = made.objectives["kept"]
    assert not any(module.training for module in kept.frozen.modules())
    assert not any(p.requires_grad for p in kept.parameters())
    before = {name: value.clone() for name, value in kept.state_dict().items()}
    assert len(before) > 4
    shaken(made)
    made.total(made.losses(made.features(batch))).backward()
    assert all(torch.equal(before[name], value) for name, value in kept.state_dict().items())
    again, _ = pretrained(made_batch)
    again.load_state_dict(made.state_dict())
    losses = [m.eval().losses(m.features(batch))["kept"].item() for m in (made, again)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    assert math.isfinite(losses[0])
    assert losses[0] > 0.01


def test_zero_shot_is_kept_in_a_large_batch(made_batch):
    found = []
    for micro in (None, 3):
        made, batch = pretrained(made_batch, micro=micro)
        shaken(made).eval()
        made.total(made.losses(made.features(batch))).backward()
        found.append({name: p.grad for name, p in made.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all((found[0][name] - found[1][name]).abs().max() <= 1e-10 for name in found[0])


def test_reference_texts_come_from_a_file_too(made_batch, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("two cats\n\nnothing \n")
    objective = PreserveZeroShot(texts=["a cat"], texts_file=str(path))
    made, batch = pretrained(made_batch, objective=objective)
    assert shaken(made).losses(made.features(batch))["kept"] > 0
    assert len(objective._reference[0]) == 3


def test_what_has_no_zero_shot_to_keep_is_refused(made_batch, tmp_path):
    with pytest.raises(ConfigError, match="project: false"):
        pretrained(made_batch, embed_dim=4)
    with pytest.raises(ConfigError, match="from scratch"):
        pretrained(made_batch, ready=False)
    with pytest.raises(ConfigError, match="no reference texts"):
        PreserveZeroShot()
    with pytest.raises(ConfigError, match="sample"):
        PreserveZeroShot(texts=REFERENCES, sample=1)
    for bad, words in (
        ({"texts": ["one"]}, "at least 2"),
        ({"texts_file": str(tmp_path / "none")}, "cannot be read"),
        ({"texts": [" ".join(map(str, range(99))), "b"]}, "longer"),
    ):
        made, batch = pretrained(made_batch, objective=PreserveZeroShot(**bad))
        with pytest.raises(ConfigError, match=words):
            made.losses(made.features(batch))
    made, batch = pretrained(made_batch)
    features = made.features(batch)
    features.text = features.text.flip(1)
    with pytest.raises(ConfigError, match="project: false"):
        made.losses(features)
