"""What `voxtile forget` writes again gets a new hash: a damaged file is refused, or its damage would be the truth."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.errors import CorpusError
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.curation.command import curate_corpus
from voxtile_datasets.forgetting.command import forget_subject


@pytest.fixture
def corpus(tmp_path):
    """Of two pictures of two subjects, with a curated selection."""
    for number, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)
        (tmp_path / "raw").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "raw" / name)
    root = tmp_path / "corpus"
    assert main(["convert", "image", str(tmp_path / "raw"), str(root), "--engine", "inline"]) == 0
    curate_corpus(root, view="good", where="true")
    return root


def state(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("pattern", ["tables/samples/*.parquet", "views/good.selection/selection.parquet"])
def test_a_damaged_table_or_selection_is_refused_and_nothing_changes(corpus, pattern):
    [path] = corpus.glob(pattern)
    sound = path.read_bytes()
    pq.write_table(pq.read_table(path), path, compression="gzip")  # readable, and other bytes than were written
    before, subject = state(corpus), Corpus(corpus).table("samples")["subject"][0].as_py()
    with pytest.raises(CorpusError, match="differs from what was written"):
        forget_subject(corpus, subject=(subject,))
    assert state(corpus) == before
    path.write_bytes(sound)
    forget_subject(corpus, subject=(subject,))
    assert verify(corpus).problems == []
    assert Corpus(corpus).table("samples").num_rows == 1
