"""What a model was trained on, from the datamodule through the checkpoint to a refusal."""

import json
import tracemalloc

import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.data.seen_samples import TrainingMarks, bytes_mark, uid_mark
from voxtile.errors import EvaluationError
from voxtile.evaluation.options import Options
from voxtile.evaluation.provenance import check_leakage
from voxtile.evaluation.run import evaluate_model
from voxtile.inference.load import from_module, load_model
from voxtile.training.checkpoint import AtomicCheckpointIO


def marks(uids, **limits):
    return TrainingMarks.of(np.array([uid_mark(uid) for uid in uids], np.int64), **limits)


def test_shared_samples_are_found_and_others_are_not():
    trained = marks(["0" * 31 + "1", "f" * 32])
    assert trained.shared(["f" * 32, "e" * 32]) == ["f" * 32]
    both = trained | marks(["e" * 32])
    assert both.shared(["f" * 32, "e" * 32, "d" * 32]) == ["f" * 32, "e" * 32]


def test_a_part_of_the_marks_finds_that_part_of_a_leak():
    rng = np.random.default_rng(0)
    uids = [rng.bytes(16).hex() for _ in range(3000)]
    some = marks(uids, most=300)
    assert some.share == pytest.approx(0.1)
    assert len(some.shared(uids)) == pytest.approx(300, abs=60)
    assert some.shared([rng.bytes(16).hex() for _ in range(3000)]) == []
    joined = some | marks(uids[:10])
    assert joined.share == some.share
    assert set(joined.samples) == set(some.samples)  # the ten are among those already


def test_marks_in_parts_are_those_of_all_and_what_comes_again_takes_no_memory():
    numbers = np.random.default_rng(0).integers(0, 2**63 - 1, 10_000)
    parts = [*np.split(numbers, 10), numbers[:500]]
    whole, in_parts = TrainingMarks.of(np.concatenate(parts)), TrainingMarks.of_parts(iter(parts), 10_500)
    assert in_parts.share == whole.share == 1
    assert np.array_equal(in_parts.samples, whole.samples)
    fewer = TrainingMarks.of_parts(iter(parts), 10_500, most=1_050)
    assert fewer.share == 0.1
    assert np.array_equal(fewer.samples, whole.samples[whole.samples < int(0.1 * 2**63)])
    tracemalloc.start()
    same = TrainingMarks.of_parts((np.zeros(100_000, np.int64) for _ in range(100)), 10_000_000)
    assert tracemalloc.get_traced_memory()[1] < 10e6  # not 80
    tracemalloc.stop()
    assert same.samples.tolist() == [0]


def test_a_model_that_was_trained_on_test_subjects_is_refused(make_corpus, make_model, task_path, tmp_path):
    """Two scans a subject, of which one was trained on."""
    corpus = make_corpus(tmp_path / "c", n=120, series=2, noise=20.0)
    model, options = make_model(), Options(replicates=100)
    model.training_marks = marks(["00030"])  # of p3, who is in the training split
    clean = evaluate_model(model, "m", corpus, [str(task_path)], options)
    assert clean.provenance["model"]["leakage"].startswith("none of 120 reported samples")
    model.training_marks = marks(["00000"])  # a scan of p0, who is in the test split
    with pytest.raises(EvaluationError) as error:
        check_leakage(model, corpus, clean.results, allowed=False)
    said = str(error.value)
    assert "1 of 120 samples and 1 subjects of the split 'test' were in the training data of 'blocks'" in said
    assert "(e.g. the subject p0)" in said
    assert "--allow-leakage" in said
    assert "\n" not in said
    assert check_leakage(model, corpus, clean.results, allowed=True).startswith("LEAK: ")


def test_a_sample_under_another_uid_is_known_by_its_bytes(make_corpus, make_model, task_path, tmp_path, monkeypatch):
    """As a scan that two de-identified corpora have, each under a uid of its own key."""
    monkeypatch.setattr("voxtile.evaluation.provenance._TELLING", 1)
    corpus, model = make_corpus(tmp_path / "c", n=120, noise=20.0), make_model()
    stored = corpus.row(corpus.table("samples", columns=["uid"])["uid"][0].as_py())["sha256"]
    model.training_marks = TrainingMarks.of(np.array([bytes_mark(stored)], np.int64))
    with pytest.raises(EvaluationError, match=r"1 of \d+ samples and 1 subjects of the split 'test'"):
        evaluate_model(model, "m", corpus, [str(task_path)], Options(replicates=100))
    monkeypatch.setattr("voxtile.evaluation.provenance._TELLING", 1 << 20)  # too few bytes tell nothing
    clean = evaluate_model(model, "m", corpus, [str(task_path)], Options(replicates=100))
    assert clean.provenance["model"]["leakage"].startswith("none of")


def test_the_training_split_may_be_asked_for_and_is_called_a_leak(make_corpus, make_model, task_path, tmp_path):
    corpus = make_corpus(tmp_path / "c", n=120, noise=20.0)
    model = make_model()
    model.training_marks = marks(corpus.table("samples", columns=["uid"])["uid"].to_pylist())
    evaluation = evaluate_model(model, "m", corpus, [str(task_path)], Options(replicates=100, split="train"))
    said = evaluation.provenance["model"]["leakage"]
    sizes = evaluation.results[0].units.uids
    assert said.startswith(f"LEAK: {len(sizes)} of {len(sizes)} samples")
    assert said.endswith("as was asked for")


def test_a_model_without_marks_is_reported_as_unknown(block_corpus, make_model, task_path, tmp_path, monkeypatch):
    monkeypatch.setattr("voxtile.inference.load.load_model", lambda spec, *_: make_model())
    monkeypatch.setattr("voxtile.evaluation.command.check_model_name", lambda spec: None)
    out = ["--corpus", str(block_corpus.roots[0]), "--out", str(tmp_path), "--bootstrap", "100"]
    assert main(["evaluate", "m.ckpt", str(task_path), *out]) == 0
    content = json.loads((tmp_path / "results.json").read_text())
    assert "not recorded" in content["provenance"]["model"]["leakage"]
    assert "a leak cannot be excluded" in (tmp_path / "index.html").read_text()


def test_a_checkpoint_keeps_the_marks_and_a_run_that_goes_on_adds_to_them(tmp_path):
    from tests.core.training.test_checkpoint import checkpoint, trained

    module = trained()
    module.training_marks = marks(["a" * 32])
    AtomicCheckpointIO().save_checkpoint(checkpoint(module), tmp_path / "a.ckpt")
    model = load_model(str(tmp_path / "a.ckpt"))
    assert model.training_marks.shared(["a" * 32, "b" * 32]) == ["a" * 32]
    other = trained()
    other.training_marks = marks(["b" * 32])
    other.on_load_checkpoint(checkpoint(module))
    assert from_module(other, "b").training_marks.shared(["a" * 32, "b" * 32]) == ["a" * 32, "b" * 32]
