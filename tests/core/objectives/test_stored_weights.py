"""Weights from a corpus's scores and curated views, and the loss that they scale."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F

from voxtile.corpus.view.selection import write_selection
from voxtile.corpus.view.text import text_hash
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.contrastive.weighted import WeightedContrastive
from voxtile.types import Encoded, Features

B = 6


@pytest.fixture
def corpus(tmp_path):
    """Samples 0 to 5 have the quality n / 2, their captions the match 5 − n; a view takes some of them."""
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "a")
    uids = [f"{n:032x}" for n in range(B)]
    writer.add_rows(
        "captions",
        [{"caption_id": f"c{n}", "uid": uid, "text": f"text {n}", "kind": "raw"} for n, uid in enumerate(uids)],
    )
    # The same sentence stands with another sample, too, and got another score there: its weight is the mean.
    writer.add_rows("captions", [{"caption_id": "again", "uid": uids[1], "text": "text 0", "kind": "raw"}])
    rows = [{"uid": uid, "name": "quality", "value": n / 2} for n, uid in enumerate(uids)]
    rows += [{"uid": f"c{n}", "name": "match", "value": 5.0 - n} for n in range(B)]
    rows += [{"uid": f"c{n}", "name": "twice", "value": max(1.0, n)} for n in range(B)]
    rows += [{"uid": "again", "name": "twice", "value": 6.0}]
    rows += [{"uid": uids[0], "name": "drift", "value": -1.0}]
    writer.add_rows("scores", rows)
    writer.publish()
    picked = tmp_path / "selection.parquet"
    pq.write_table(pa.table({"uid": uids[1:4], "weight": [3.0, 1.0, 2.0]}), picked)
    write_selection(root / "views" / "good.selection", [picked], {"scheme": "default", "weighted": True})
    return str(root)


@pytest.fixture
def given(made_batch):
    batch = made_batch(B)
    batch.text_hash = torch.tensor([text_hash(text) for text in batch.texts])
    g = torch.Generator().manual_seed(0)
    image, text = (F.normalize(torch.randn(B, 8, generator=g), dim=1) for _ in range(2))
    return Features(image, text, torch.tensor(10.0), None, Encoded(image), Encoded(text), batch)


@pytest.mark.parametrize(
    ("arguments", "weights"),
    [
        ({"score": "quality"}, [0, 0.5, 1, 1.5, 2, 2.5]),
        ({"score": "match", "of": "captions"}, [5, 4, 3, 2, 1, 0]),
        ({"view": "good", "missing": 0.0}, [0, 3, 1, 2, 0, 0]),
        ({"score": "twice", "of": "captions"}, [3.5, 1, 2, 3, 4, 5]),
    ],
)
def test_the_loss_is_the_weighted_mean(corpus, given, arguments, weights):
    z = given.logit_scale * given.image @ given.text.T
    own = torch.arange(B)
    losses = F.cross_entropy(z, own, reduction="none") + F.cross_entropy(z.T, own, reduction="none")
    share = torch.tensor(weights) / sum(weights)
    found = WeightedContrastive(corpus=corpus, **arguments)(given)
    assert float(found) == pytest.approx(float((share * losses).sum() / 2), rel=1e-5)
    assert float(found) != pytest.approx(float(Contrastive()(given)), rel=1e-3)


def test_bad_input_is_named(corpus, given):
    for arguments, message in (
        ({}, "exactly one of score and view"),
        ({"score": "quality", "view": "good"}, "exactly one of score and view"),
        ({"view": "good", "of": "captions"}, "weighs samples"),
    ):
        with pytest.raises(ConfigError, match=message):
            WeightedContrastive(corpus=corpus, **arguments)
    for arguments, message in (
        ({"score": "nothing"}, "no score 'nothing'"),
        ({"score": "drift", "missing": 1.0}, "below 0"),
        ({"view": "bad"}, "no curated view 'bad'; there are: good"),
        ({"view": "good"}, "no weight by the view 'good' of the sample '0000"),
    ):
        with pytest.raises(ConfigError, match=message):
            WeightedContrastive(corpus=corpus, **arguments)(given)
    given.batch.text_hash[2] = 7
    with pytest.raises(ConfigError, match="no score 'match' of the text 'text 2'"):
        WeightedContrastive(corpus=corpus, score="match", of="captions")(given)
    given.batch.image_item = torch.arange(2 * B) // 2
    with pytest.raises(ConfigError, match="but items have several"):
        WeightedContrastive(corpus=corpus, score="quality")(given)
