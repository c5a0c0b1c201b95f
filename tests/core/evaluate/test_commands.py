"""`voxtile evaluate` and the callback of `lightning test`: the same figures, and errors in one sentence."""

import json
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.callback import EvaluateCallback
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.results import prepare_folder, write_text


@pytest.fixture
def offered(monkeypatch, make_model):
    """`load_model` gives the block model."""
    models = []

    def load(spec, *_):
        models.append(make_model())
        return models[-1]

    monkeypatch.setattr("voxtile.inference.load.load_model", load)
    monkeypatch.setattr("voxtile.evaluation.command.check_model_name", lambda spec: None)
    return models


def arguments(corpus: Corpus, task: Path, out: Path, *more: str) -> list[str]:
    return ["evaluate", "m.ckpt", str(task), "--corpus", str(corpus.roots[0]), "--out", str(out), *more]


def test_two_tasks_of_one_name_are_refused_before_a_model_is_loaded(offered, block_corpus, task_path, tmp_path, capsys):
    """Their figures would stand under one name, and `voxtile compare` would take them for one."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / task_path.name
    other.write_text("title: Others\n" + task_path.read_text())
    for second in (task_path, other):
        assert main(arguments(block_corpus, task_path, tmp_path / "out", str(second))) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "two tasks of one report are called 'blocks'; name each task once, and give files of one name" in said
    assert not offered
    other.write_text("name: others\n" + task_path.read_text())
    assert main(arguments(block_corpus, task_path, tmp_path / "out", str(other), "--bootstrap", "100")) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert {row["task"] for row in rows} == {"blocks", "others"}


def test_the_command_writes_the_report(offered, block_corpus, task_path, tmp_path, capsys):
    options = ("--bootstrap", "100", "--batch-size", "16", "--seed", "3")
    assert main(arguments(block_corpus, task_path, tmp_path / "new" / "report", *options)) == 0
    results = json.loads((tmp_path / "new" / "report" / "results.json").read_text())
    assert results["provenance"]["bootstrap"] == 100
    assert results["provenance"]["seed"] == 3
    assert (tmp_path / "new" / "report" / "index.html").is_file()
    names = sorted(path.name for path in (tmp_path / "new" / "report").iterdir())
    assert names == ["index.html", "results.csv", "results.json", "results.tex", "scores.parquet"]
    assert "results.json" in capsys.readouterr().out


def test_a_report_without_a_folder_is_a_new_one_here(offered, block_corpus, task_path, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report").mkdir()
    given = arguments(block_corpus, task_path, tmp_path, "--bootstrap", "100", "--json")
    del given[given.index("--out") : given.index("--out") + 2]
    assert main(given) == 0
    assert json.loads(capsys.readouterr().out)["out"] == "report-2"
    assert (tmp_path / "report-2" / "results.json").is_file()
    assert not list((tmp_path / "report").iterdir())


def test_the_answer_is_what_the_report_holds_where_json_is_asked_for(
    offered, block_corpus, task_path, tmp_path, capsys
):
    assert main(arguments(block_corpus, task_path, tmp_path / "out", "--bootstrap", "100", "--json")) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    answer = json.loads(said)
    assert answer.pop("out") == str(tmp_path / "out")
    assert answer == json.loads((tmp_path / "out" / "results.json").read_text())


def test_a_finding_without_positives_is_listed_and_the_others_are_reported(
    offered, make_corpus, task_path, tmp_path, capsys
):
    corpus = make_corpus(tmp_path / "c", n=120, prevalence=(0.4, 0.0, 0.4))
    assert main(arguments(corpus, task_path, tmp_path / "out", "--bootstrap", "100")) == 0
    assert "effusion: refused, no positive among 60" in " ".join(capsys.readouterr().out.split())
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert any(note["text"].startswith("effusion: refused") for note in results["notes"])
    assert any(row["class"] == "nodule" and row["value"] is not None for row in results["rows"])
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--bootstrap", "5"], "--bootstrap must be at least 100"),
        (["--split", "tests"], "--split must be one of test, val, train, not 'tests'"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--seed", "-1"], "--seed must not be negative"),
    ],
)
def test_options_out_of_range(offered, block_corpus, task_path, tmp_path, capsys, change, said):
    assert main(arguments(block_corpus, task_path, tmp_path / "out", *change)) == 2
    assert said in capsys.readouterr().err
    assert not offered
    assert not (tmp_path / "out").exists()


def test_no_task_and_an_unknown_task_are_refused_before_the_model_is_loaded(offered, block_corpus, tmp_path, capsys):
    out = ["--corpus", str(block_corpus.roots[0]), "--out", str(tmp_path / "out")]
    assert main(["evaluate", "m.ckpt", *out]) == 2
    assert "no task was named" in capsys.readouterr().err
    assert main(["evaluate", "m.ckpt", "medical/ct-finding", *out]) == 2
    assert "no task named 'medical/ct-finding'" in capsys.readouterr().err
    assert not offered


def test_a_report_folder_that_is_a_file_is_refused_before_the_model_is_loaded(
    offered, block_corpus, task_path, tmp_path, capsys
):
    (tmp_path / "out").write_text("")
    assert main(arguments(block_corpus, task_path, tmp_path / "out")) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "cannot be written" in lines[0]
    assert not offered


def test_a_failed_write_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(EvaluationError, match="No space left on device"):
        write_text(tmp_path / "results.json", "{}")
    assert not list(tmp_path.iterdir())


def test_preparing_a_folder_leaves_it_empty(tmp_path):
    prepare_folder(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())


def test_an_evaluation_that_is_refused_leaves_no_folder_and_keeps_one_that_was_there(
    offered, tmp_path, block_corpus, task_path, monkeypatch
):
    def refuse(*_):
        raise EvaluationError("nothing can be evaluated; name another task")

    monkeypatch.setattr("voxtile.evaluation.run.evaluate_model", refuse)
    there = tmp_path / "there"
    there.mkdir()
    for out in (tmp_path / "a" / "b", there):
        assert main(arguments(block_corpus, task_path, out)) == 2
    assert offered, "refused after a model was loaded"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.fixture(autouse=True)
def _models_as_they_are(monkeypatch):
    monkeypatch.setattr("voxtile.evaluation.callback.from_module", lambda module, name, *_: module.model)


class Module(pl.LightningModule):
    """Nothing to test but the callback."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def test_step(self, batch, batch_idx):
        return None


class Data(pl.LightningDataModule):
    def __init__(self, corpus):
        super().__init__()
        self.corpus = corpus

    def test_dataloader(self):
        return torch.utils.data.DataLoader(torch.zeros(2, 1), num_workers=0)


def test(callback, model, corpus, folder, **trainer):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    logger = pl.loggers.CSVLogger(folder)
    pl.Trainer(callbacks=[callback], logger=logger, **quiet, **trainer).test(
        Module(model), datamodule=Data(corpus), verbose=False
    )
    return logger


test.__test__ = False


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_the_callback_writes_what_the_command_writes(offered, block_corpus, make_model, task_path, tmp_path):
    callback = EvaluateCallback([str(task_path)], batch_size=16, bootstrap=100)
    logger = test(callback, make_model(), block_corpus, tmp_path)
    folder = Path(logger.log_dir) / "evaluate"
    assert main(arguments(block_corpus, task_path, tmp_path / "out", "--bootstrap", "100")) == 0
    rows = [json.loads((part / "results.json").read_text())["rows"] for part in (folder, tmp_path / "out")]
    assert rows[0] == rows[1]
    assert (folder / "index.html").is_file()
    assert "blocks/auroc" in (Path(logger.log_dir) / "metrics.csv").read_text()


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_fast_dev_run_only_reads_the_tasks(block_corpus, make_model, task_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test(EvaluateCallback([str(task_path)]), make_model(), block_corpus, tmp_path, fast_dev_run=True)
    assert not list(tmp_path.rglob("results.json"))
    with pytest.raises(ConfigError, match="no task named"):
        test(EvaluateCallback(["medical/none"]), make_model(), block_corpus, tmp_path, fast_dev_run=True)


def test_options_of_the_callback_are_checked_when_it_is_made():
    with pytest.raises(ConfigError, match="--split must be one of"):
        EvaluateCallback(["medical/ct-findings"], split="all")
    assert checked_options(None, 1, 100, 0).replicates == 100
