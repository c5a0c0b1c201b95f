"""Tasks that cannot be answered: one sentence each that says what is wrong, where, and what to do next."""

import re

import pytest
import torch
import yaml

from voxtile.errors import EvaluationError, VoxtileError
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model
from voxtile.evaluation.tasks.file import load_task

QUICK = Options(batch_size=16, replicates=100)
KINDS = {
    "zero-shot-multilabel": {},
    "linear-probe": {"shares": [100]},
    "few-shot": {"shots": [1]},
    "image-retrieval": {"cutoffs": [3]},
}


def refused(corpus, model, folder, base, options=QUICK, **task):
    path = folder / "t.yaml"
    path.write_text(yaml.safe_dump({"of": str(base)} | task))
    with pytest.raises(VoxtileError) as caught:
        evaluate_model(model, "m", corpus, [str(path)], options)
    said = str(caught.value)
    assert "\n" not in said
    assert caught.value.exit_status == 2
    return said


@pytest.fixture(scope="module")
def no_validation(tmp_path_factory, make_corpus):
    """Of 40 studies, 20 test and 20 train."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from voxtile.corpus.reader import Corpus

    root = tmp_path_factory.mktemp("bad") / "c"
    make_corpus(
        root, n=40, polarity=lambda n, finding, truth: "present" if finding == "effusion" or truth else "absent"
    )
    path = next((root / "tables" / "splits").glob("*.parquet"))
    table = pq.read_table(path)
    splits = ["train" if name == "val" else name for name in table["split"].to_pylist()]
    changed = table.set_column(2, table.schema.field("split"), pa.array(splits, pa.string()))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    return Corpus(root)


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_that_has_nothing(kind, no_validation, make_model, task_path, tmp_path):
    said = refused(no_validation, make_model(), tmp_path, task_path, kind=kind, split="val", **KINDS[kind])
    assert "no study of the corpus is in the split 'val', only in 'train', 'test'" in said
    assert "--split" in said


def test_a_split_that_does_not_exist(tmp_path, task_path):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({"kind": "linear-probe", "of": str(task_path), "split": "tset"}))
    with pytest.raises(VoxtileError, match=r"at split: 'tset' is not a choice; did you mean 'test'\?"):
        load_task(str(tmp_path / "t.yaml"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_none_of_whose_classes_the_corpus_knows(kind, block_corpus, make_model, task_path, tmp_path):
    base = tmp_path / "base.yaml"
    only = yaml.safe_load(task_path.read_text())
    only["classes"] = {"effusion": only["classes"]["effusion"] | {"concept": "efusion"}}
    base.write_text(yaml.safe_dump(only))
    said = refused(block_corpus, make_model(), tmp_path, base, kind=kind, **KINDS[kind])
    assert "class 'effusion' has no labels" in said
    assert "did you mean 'effusion'?" in said


@pytest.mark.parametrize("kind", ["zero-shot-multilabel", "linear-probe", "few-shot"])
def test_a_test_set_of_one_class(kind, no_validation, make_model, tmp_path, task_path):
    base = tmp_path / "base.yaml"
    only = yaml.safe_load(task_path.read_text())
    only["classes"] = {"effusion": only["classes"]["effusion"]}
    base.write_text(yaml.safe_dump(only))
    said = refused(no_validation, make_model(), tmp_path, base, kind=kind, **KINDS[kind])
    assert "effusion: refused, no negative among 20 labelled studies of 'test'" in said
    assert "report a larger split with --split, or a corpus that has both positives and negatives" in said


@pytest.mark.parametrize("kind", KINDS)
def test_an_embedding_that_is_not_finite(kind, block_corpus, make_model, task_path, tmp_path):
    model = make_model()
    encode = model.encode_images

    def broken(images):
        embeddings = encode(images)
        embeddings[1, 0] = float("inf")
        return embeddings

    model.encode_images = broken
    said = refused(block_corpus, model, tmp_path, task_path, kind=kind, **KINDS[kind])
    assert re.search(r"gives an embedding that is not finite for sample \d{5}; look at it with: voxtile extract", said)


def test_a_score_of_the_fact_head_that_is_not_finite_names_the_sample(block_corpus, make_model, task_path):
    """It would rank last and count as a score."""
    model = make_model(("nodule", "effusion", "fracture"))
    known = model.fact_logits
    model.fact_logits = lambda images: known(images).index_fill(0, torch.tensor([1]), float("nan"))
    with pytest.raises(EvaluationError, match=r"gives a score that is not finite for sample \d{5};"):
        evaluate_model(model, "m", block_corpus, [str(task_path)], Options(replicates=100))


def test_a_probe_whose_corpus_has_no_training_split(no_validation, make_model, task_path, tmp_path):
    said = refused(
        no_validation, make_model(), tmp_path, task_path, kind="linear-probe", where="subject IN ('p0', 'p2', 'p4')"
    )
    assert "needs labels to fit on, but the corpus has no split 'train'" in said


def test_images_of_which_no_two_show_the_same(block_corpus, make_model, task_path, tmp_path):
    said = refused(block_corpus, make_model(), tmp_path, task_path, kind="image-retrieval", where="subject IN ('p0')")
    assert "shares a positive class with one of another subject" in said


def test_a_preset_that_the_corpus_cannot_satisfy(tmp_path, make_corpus, make_model, task_path):
    corpus = make_corpus(tmp_path / "c", n=40, units="a.u.")
    assert "needs units HU" in refused(corpus, make_model(), tmp_path, task_path, kind="image-retrieval")
