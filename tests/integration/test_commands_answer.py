"""`lightning validate|test|predict` and resuming: each says what it did, where it is, and what would be wrong."""

import json
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from voxtile import domain
from voxtile.cli.main import lightning_main, main
from voxtile.cli.table import COMMANDS
from voxtile.corpus.reader import Corpus
from voxtile.data.presets.load import preset_from_config
from voxtile.inference.load import load_model
from voxtile.training.checkpoint import read_checkpoint

CONFIG = Path(__file__).with_name("tiny.yaml")
STEPS = 10  # of an epoch


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, xray_corpus):
    """A finished fit of one epoch, by a config that validates nothing, as ours do."""
    folder = tmp_path_factory.mktemp("answers")
    config = yaml.safe_load(CONFIG.read_text())
    config["trainer"] |= {"limit_val_batches": 0, "max_epochs": 1}
    config["evaluate"] = {"tasks": ["medical/pneumoniamnist"]}
    (folder / "quiet.yaml").write_text(yaml.safe_dump(config))
    (folder / "corpus").symlink_to(xray_corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert lightning_main(["fit", "-c", "quiet.yaml", "--data.corpus", "corpus"]) == 0
    return folder


@pytest.fixture
def here(run_folder, monkeypatch):
    monkeypatch.chdir(run_folder)
    return ["-c", "quiet.yaml", "--data.corpus", "corpus"]


def refused(capsys, *argv):
    assert lightning_main(list(map(str, argv))) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("voxtile: error: ")]
    return said.removeprefix("voxtile: error: ")


def test_predict_writes_the_embeddings_that_the_checkpoint_gives_and_says_where(here, capsys):
    assert lightning_main(["predict", *here, "--ckpt_path", "last"]) == 0
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrote ")]
    path = Path(said.removeprefix("wrote ").partition(":")[0])
    rows = pq.read_table(path).to_pylist()
    corpus = Corpus(Path("corpus"))
    samples = {row["uid"]: row for row in corpus.table("samples", with_root=True).to_pylist()}
    splits = {row["subject"]: row["split"] for row in corpus.table("splits").to_pylist()}
    test = {uid for uid, row in samples.items() if splits[row["subject"]] == "test"}
    assert {row["uid"] for row in rows} == test
    assert said.endswith(f": embeddings of {len(test)} items")
    assert len(rows) == len(test)
    checkpoint = next(Path("runs/tiny").rglob("last.ckpt"))
    model, preset = load_model(str(checkpoint)), preset_from_config(read_checkpoint(checkpoint)["voxtile_preset"])
    for row in rows[:3]:
        image = preset(corpus.source(samples[row["uid"]]), None)
        torch.testing.assert_close(model.encode_images(image[None])[0], torch.tensor(row["image"]), atol=1e-5, rtol=0)
        expected = model.encode_texts(row["texts"])
        torch.testing.assert_close(expected, torch.tensor(row["text"]), atol=1e-5, rtol=0)
    assert not list(path.parent.glob(".*.tmp"))


def test_predict_that_fails_leaves_no_table(here, capsys, monkeypatch):
    monkeypatch.setattr("voxtile.training.module.ContrastiveModule.predict_step", lambda *_: 1 / 0)
    assert lightning_main(["predict", *here, "--ckpt_path", "last", "--name", "tiny"]) == 1
    newest = max(Path("runs/tiny").iterdir(), key=lambda path: int(path.name.partition("_")[2]))
    assert [path.name for path in newest.iterdir()] == ["config.yaml"]


def test_validate_prints_figures_although_the_config_validates_nothing_in_training(here, capsys):
    assert lightning_main(["validate", *here, "--ckpt_path", "last"]) == 0
    said = capsys.readouterr().out
    figures = {
        words[0]: float(words[1]) for line in said.splitlines() if len(words := line.replace("│", " ").split()) == 2
        and words[0].startswith("val/")
    }  # fmt: skip
    assert {"val/loss", "val/contrastive", "val/facts", "val/image_to_text_recall@1"} <= set(figures)
    assert figures["val/loss"] == pytest.approx(figures["val/contrastive"] + 0.5 * figures["val/facts"], rel=1e-4)


def test_validate_without_a_validation_split_is_refused(here, capsys):
    said = refused(capsys, "validate", *here, "--ckpt_path", "last", "--data.val_split", "nobody")
    assert "nobody" in said


@pytest.mark.parametrize("word", ["validate", "test", "predict"])
def test_examples_of_the_help_work_as_printed(here, capsys, monkeypatch, word):
    example = COMMANDS[word].command.example
    assert main(["--help"]) == 0
    assert f"      {example}\n" in capsys.readouterr().out
    program, *argv = shlex.split(example)
    assert program == "voxtile"
    assert domain.resolve(argv[argv.index("-c") + 1], kind="config").is_file(), "also where there is no checkout"
    # Its config, quick to train; what else is printed stays.
    monkeypatch.setattr("voxtile.training.config_file.resolve", lambda name, kind: Path("quiet.yaml"))
    assert main(argv) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert {"validate": "val/loss", "test": "AUROC", "predict": "embeddings.parquet"}[word] in said


def test_a_model_that_was_not_trained_says_what_to_name(here, capsys):
    assert "--ckpt_path last" in refused(capsys, "validate", *here)


def test_default_root_dir_is_where_runs_and_their_checkpoints_are(here, capsys, tmp_path):
    elsewhere = ["--trainer.default_root_dir", str(tmp_path), "--name", "there"]
    assert lightning_main(["fit", *here, *elsewhere, "--trainer.max_steps", "2"]) == 0
    assert (tmp_path / "runs/there/version_0/checkpoints/last.ckpt").is_file()
    assert not Path("runs/there").exists()
    assert lightning_main(["predict", *here, *elsewhere, "--ckpt_path", "last"]) == 0
    assert f"wrote {tmp_path / 'runs/there/version_1/embeddings.parquet'}" in capsys.readouterr().out


def test_a_batch_size_that_moves_the_schedule_is_refused(here, capsys):
    half = ["fit", *here, "--ckpt_path", "last", "--data.batch_size", "8"]
    said = refused(capsys, *half, "--trainer.max_epochs", "2", "--name", "tiny")
    assert f"takes 16 items a step and {STEPS} steps" in said
    assert "would take 8 and 40" in said
    assert "--data.batch_size 16" in said


def test_time_that_earlier_starts_have_used_up_is_said(here, capsys, monkeypatch):
    timed = ["fit", *here, "--name", "timed", "--trainer.max_time", "00:00:10:00"]
    assert lightning_main([*timed, "--trainer.max_steps", "2"]) == 0
    assert "max_time" not in capsys.readouterr().err
    monkeypatch.setattr("lightning.pytorch.callbacks.Timer.time_elapsed", lambda *_: 601.0)
    assert lightning_main([*timed, "--ckpt_path", "last", "--trainer.max_steps", "4"]) == 0
    assert "trainer.max_time counts all starts of a run together" in capsys.readouterr().err


def test_another_length_of_the_run_is_said_and_goes_on(here, capsys):
    short = ["fit", *here, "--name", "short"]
    assert lightning_main([*short, "--trainer.max_steps", "4"]) == 0
    assert lightning_main([*short, "--ckpt_path", "last", "--trainer.max_steps", "6"]) == 0
    assert "note: the run is of 6 steps now, not of 4" in capsys.readouterr().err
    assert lightning_main([*short, "--ckpt_path", "last", "--trainer.max_steps", "6", "--data.batch_size", "8"]) == 0
    assert "note: the run is of" not in capsys.readouterr().err, "as many steps as before"


LOGGER = (
    "from lightning.pytorch.loggers import CSVLogger\n"
    "class Board(CSVLogger):\n"
    "    def __init__(self, folder: str = 'runs'):\n"
    "        raise ValueError('no project is given\\nand more')\n"
)


def test_a_logger_that_cannot_be_made_costs_one_short_sentence(here, capsys, tmp_path, monkeypatch):
    (tmp_path / "refusing_board.py").write_text(LOGGER)
    monkeypatch.syspath_prepend(tmp_path)
    board = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": {"save_dir": str(tmp_path)}}
    for loggers in ("refusing_board.Board", json.dumps([board, {"class_path": "refusing_board.Board"}])):
        said = refused(capsys, "fit", *here, "--trainer.logger", loggers)
        assert said == (
            "class_path 'refusing_board.Board' cannot be made (no project is given and more); install what it needs, "
            "or change its init_args"
        )
    for value in ("CSVLogger", '[{"class_path": "lightning.pytorch.loggers.CSVLogger"}]'):
        said = refused(capsys, "fit", *here, "--trainer.logger", value)
        assert said == (
            "trainer.logger: class_path 'lightning.pytorch.loggers.CSVLogger' needs save_dir; add it under init_args"
        )


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"name: x\ndata: [a, b\nfoo: : bar\n", "at line 3, column 4"),
        (b"name: x\n\tdata: 1\n", "at line 2, column 1"),
        (b"name: \xff\xfe\n", "cannot be read"),
        (b"name: \x00\n", "cannot be read"),
    ],
)
def test_yaml_that_is_none_is_named(here, capsys, tmp_path, content, where):
    (tmp_path / "broken.yaml").write_bytes(content)
    said = refused(capsys, "fit", *here, "-c", tmp_path / "broken.yaml")
    assert f"config '{tmp_path / 'broken.yaml'}'" in said
    assert where in said
    assert main(["plan", str(tmp_path / "broken.yaml")]) == 2
    assert f"config '{tmp_path / 'broken.yaml'}'" in capsys.readouterr().err
