"""Several images in a prompt: read in training as they are when asked, and from vectors that are kept."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from voxtile.assist.answering import Answering
from voxtile.assist.connector import Connector
from voxtile.assist.scratch import ScratchLanguage
from voxtile.models import DualEncoder, TextBag
from voxtile.models.image.conv import ConvTower
from voxtile.training.step.encoding import OnePass
from voxtile.types import Batch, Encoded, OtherImages, Shown, Turn

NAMES = ("Image 1, 12 March 2024, prior", "Image 2, 3 May 2024")
TOLD = Turn("What has changed?", "It is new.", images=(Shown("before", NAMES[0]), Shown("b", NAMES[1])))


def made(kind="none"):
    torch.manual_seed(0)
    tower = ConvTower(dimensions=2, widths=(8,), blocks=(1,), width=8)
    encoder = DualEncoder(image=tower, text=TextBag(), embed_dim=4).eval()
    connector = Connector(kind=kind, pooled=2, difference=3, hidden=16)
    objective = Answering(scratch=ScratchLanguage(vocabulary=300, width=16, depth=2, heads=2), connector=connector)
    objective.setup_towers(encoder.image, encoder.text)
    data = SimpleNamespace(training_turns=lambda: [TOLD], training_texts=lambda: [])
    objective.take_state(objective.state_from(data))
    return encoder, objective.eval()


def batch():
    """Two items, of which the second is compared with an earlier image."""
    images = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    own = torch.arange(2)
    return Batch(
        images=images[:2], image_item=own, texts=[], text_item=own[:0], study=own, subject=own, text_hash=own[:0],
        facts=torch.empty(2, 0, dtype=torch.int8), fact_names=(), uids=["a", "b"], draws=own,
        tokens=torch.zeros(0, 1, dtype=torch.int64), dialogues=[(), ((TOLD,),)],
        others=OtherImages(images[2:], torch.tensor([1]), ["before"]),
    )  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("kind", ["none", "mlp"])
def test_what_is_learned_of_two_images_is_what_is_read_of_them_when_asked(kind):
    encoder, objective = made(kind)
    given = batch()
    rows = OnePass(encoder, {"it": objective}, SimpleNamespace()).features(given, 0, None).rows[objective]
    shown = encoder.image(torch.stack([given.others.images[0], given.images[1]]), tokens=True)
    prompt = objective.question_tokens("What has changed?")
    answer = [*objective.words.encode(" It is new."), objective.words.end]
    read = objective.language.embedded(torch.tensor([[*prompt, *answer]]))
    states = objective.language.states(torch.cat([objective.images(shown, NAMES), read], 1))
    losses = F.cross_entropy(objective.logits(states[0, -len(answer) - 1 : -1]), torch.tensor(answer), reduction="none")
    torch.testing.assert_close(rows, torch.tensor([[0.0, 0.0], [losses.sum().item(), len(answer)]]))
    turned = objective.images(Encoded(shown.pooled.flip(0), shown.tokens.flip(0), shown.grid), NAMES)
    assert not torch.allclose(turned, objective.images(shown, NAMES))


@torch.no_grad()
def test_vectors_that_are_kept_give_what_the_images_do():
    encoder, objective = made()
    given, step = batch(), OnePass(encoder, {"it": objective}, SimpleNamespace())
    known = Encoded(encoder.image(torch.cat([given.images, given.others.images])).pooled)
    kept, seen = step.features(given, 0, known), step.features(given, 0, None)
    torch.testing.assert_close(kept.rows[objective], seen.rows[objective])
    torch.testing.assert_close(kept.image, seen.image)
