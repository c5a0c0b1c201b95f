"""`lightning fit|validate|test|predict` from the outside: files, resuming, and one sentence for every mistake."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml

from voxtile.cli.lightning import Parser
from voxtile.cli.main import lightning_main, main
from voxtile.inference.load import load_model
from voxtile.training.checkpoint import read_checkpoint

CONFIG = Path(__file__).with_name("tiny.yaml")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, xray_corpus):
    """A finished fit of the tiny config."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert lightning_main(["fit", "-c", str(CONFIG), "--data.corpus", str(xray_corpus)]) == 0
    return folder


@pytest.fixture
def arguments(run_folder, xray_corpus, monkeypatch):
    monkeypatch.chdir(run_folder)
    return ["-c", str(CONFIG), "--data.corpus", str(xray_corpus)]


def test_fit_leaves_config_metrics_and_a_usable_checkpoint(run_folder):
    run = run_folder / "runs" / "tiny" / "version_0"
    assert sorted(p.name for p in run.iterdir()) == ["checkpoints", "config.yaml", "metrics.csv"]
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    logged = {
        "loss",
        "train/contrastive",
        "train/facts",
        "train/scale",
        "train/lr",
        "images_per_second",
        "data_wait",
        "grad_norm",
        "memory_gb",
        "train/cut_texts",
    }
    logged |= {"val/loss", "val/image_to_text_recall@1", "val/text_to_image_recall@1"}
    assert logged <= set(header), logged - set(header)
    checkpoint = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert checkpoint["voxtile_preset"]["class_path"].endswith("ImagePreset")
    assert checkpoint["voxtile_facts"] == ["normal", "pneumonia"]
    assert checkpoint["CorpusDataModule"]["epoch"] == 12
    model = load_model(str(run / "checkpoints" / "last.ckpt"))
    assert model.encode_texts(["pneumonia", "normal chest"]).shape == (2, 16)
    assert torch.isfinite(model.encode_images(torch.zeros(1, 1, 28, 28))).all()


def test_other_loggers_stand_beside_the_csv_and_the_bar_can_be_turned_off(arguments, tmp_path, capfd):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": {"save_dir": str(tmp_path)}}
    extra = ["--name", "boards", "--trainer.logger", json.dumps(board), "--trainer.enable_progress_bar", "false"]
    assert lightning_main(["fit", *arguments, *extra, "--trainer.max_steps", "5"]) == 0
    assert "step 5 of" not in capfd.readouterr().err
    (table,) = Path("runs/boards").rglob("metrics.csv")
    row = next(csv.DictReader(table.open()))
    events = EventAccumulator(str(next(tmp_path.rglob("events.out*")).parent)).Reload()
    for name in ("loss", "grad_norm", "images_per_second"):
        (event,) = events.Scalars(name)
        assert event.value == pytest.approx(float(row[name]), rel=1e-5)
    assert (table.parent / "checkpoints" / "last.ckpt").is_file(), "the run's folder is still the one of the CSV"


def test_test_writes_the_report_into_the_log_folder(run_folder, arguments, capsys):
    before = set(run_folder.rglob("results.json"))
    tasks = ["--evaluate.tasks", '["medical/pneumoniamnist"]']
    assert main(["test", *arguments, "--ckpt_path", "last", *tasks]) == 0
    (results,) = set(run_folder.rglob("results.json")) - before
    rows = json.loads(results.read_text())["rows"]
    auroc = {row["kind"]: row["value"] for row in rows if row["metric"] == "auroc" and row["class"] is None}
    assert auroc["model"] > 0.9, "the blob is easy to see"
    assert results.parent.parent.parent == run_folder / "runs" / "tiny"
    assert results.with_name("index.html").is_file()


def test_a_printed_config_is_a_config(arguments, capsys, tmp_path, monkeypatch):
    with pytest.raises(SystemExit) as done:
        lightning_main(["fit", *arguments, "--print_config"])
    assert done.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["encoder"]["init_args"]["embed_dim"] == 16
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(printed))
    again = ["--name", "again", "--trainer.max_steps", "1", "--trainer.limit_val_batches", "0"]
    checked, validate = [], Parser.validate

    def counted(parser, config, *args, **options):
        checked.extend([parser.prog] if "fit" in config or "trainer" in config else [])
        return validate(parser, config, *args, **options)

    monkeypatch.setattr(Parser, "validate", counted)
    assert lightning_main(["fit", "-c", str(tmp_path / "again.yaml"), *again]) == 0
    assert sorted(checked) == sorted({*checked}), "each check of the whole takes a tenth of a short run's seconds"
    assert checked
    first, same = (
        yaml.safe_load(Path("runs", name, "version_0/config.yaml").read_text()) for name in ("tiny", "again")
    )
    assert first["model"] == same["model"]
    assert first["data"] == same["data"]


def refused(capsys, *argv):
    """Exit status 2 and one sentence, with neither a traceback nor a second line."""
    assert lightning_main(list(argv)) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("voxtile: error: ")
    assert "Traceback" not in message
    return message.removeprefix("voxtile: error: ")


@pytest.mark.cases(6)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.corpsu", "x"], "did you mean 'data.corpus'"),
        (["--model.optimizer.lrr", "1"], "did you mean 'model.optimizer.lr'"),
        (["--trainer.max_epochs", "many"], "'trainer.max_epochs' cannot be many; it must be int"),
        (["--model.batch", '{"global": 8192, "micro": 64}'], "set both to the same number"),
        (["--model.batch", '{"global": 100, "micro": 64}'], "not a multiple of micro 64"),
        (["--trainer.accumulate_grad_batches", "2"], "accumulate_grad_batches 2"),
        (["--model.weights", '{"fact": 1.0}'], "names no objective: fact"),
        (["--checkpoint.every_n_train_steps", "0"], "at least 1"),
        (["--data.corpus", "nowhere"], "nowhere"),
        (["--trainer.strategy", "ddpp"], "trainer: You selected an invalid strategy name: `strategy='ddpp'`; change"),
        (["--trainer.devices", "0"], "value is not a valid input using cpu accelerator; change accelerator, devices"),
        (["--data.preset.init_args.channels", "3", "--data.preset.init_args.mean", "[0.5, 0.5, 0.5]",
          "--data.preset.init_args.std", "[0.3, 0.3, 0.3]"], "takes 1 channels in 2D"),
        (["-c", "medical/ctt"], "medical/ct"),
    ],
)  # fmt: skip
def test_mistakes_cost_one_sentence(arguments, capsys, options, message):
    assert message in refused(capsys, "fit", *arguments, *options)


def test_a_logger_whose_package_is_not_installed_costs_one_sentence(arguments, capsys, tmp_path, monkeypatch):
    (tmp_path / "some_board.py").write_text(
        "from lightning.pytorch.loggers import CSVLogger\n"
        "class Board(CSVLogger):\n"
        "    def __init__(self, folder: str = 'runs'):\n"
        "        raise ModuleNotFoundError(\"Requirement 'board>=1' not met. HINT: pip install\")\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tensorboard = {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": str(tmp_path)},
    }
    for loggers in ("some_board.Board", json.dumps([tensorboard, {"class_path": "some_board.Board"}])):
        said = refused(capsys, "fit", *arguments, "--trainer.logger", loggers)
        assert said == "class_path 'some_board.Board' needs another package; install it with: pip install 'board>=1'"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("embed_dim:", "embed_dimm:"), "did you mean 'model.encoder.embed_dim'"),
        (("widths:", "wdths:"), "did you mean 'model.encoder.image.init_args.widths'"),
        (("widths:", "checkpointing:"), "image.init_args.checkpointing' any more; take model.recompute: true"),
        (("models.ConvTower", "models.ConvTwoer"), "did you mean 'voxtile.models.ConvTower'"),
        (("max_epochs:", "max_epoks:"), "did you mean 'trainer.max_epochs'"),
        (("embed_dim: 16", "embed_dim: wide"), "'model.encoder.embed_dim' cannot be wide; it must be int"),
        (("model:", "model: ["), "bad.yaml' is no YAML at line 18, column 10: while parsing a flow sequence"),
    ],
)
def test_mistakes_in_a_file_cost_one_sentence(arguments, capsys, tmp_path, change, message):
    (tmp_path / "bad.yaml").write_text(CONFIG.read_text().replace(*change))
    assert message in refused(capsys, "fit", "-c", str(tmp_path / "bad.yaml"), *arguments[2:])


def test_checkpoints_that_cannot_be_used_are_refused(arguments, capsys, tmp_path, monkeypatch):
    checkpoint = str(next(Path.cwd().rglob("last.ckpt")))
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    assert "text.ckpt" in refused(capsys, "test", *arguments, "--ckpt_path", str(tmp_path / "text.ckpt"))
    other = ["--data.preset.init_args.std", "[0.3]"]
    assert "preset" in refused(capsys, "test", *arguments, *other, "--ckpt_path", checkpoint)
    assert "data seed" in refused(capsys, "fit", *arguments, "--data.seed", "9", "--ckpt_path", checkpoint)
    for options, said in (
        (["--model.encoder.embed_dim", "8"], "'encoder.image_projection.weight' is (16, 32) there and (8, 32) here"),
        (["--model.encoder.image_tuning", '{"mode": "frozen"}'], "optimizer learned other weights"),
        (["--model.optimizer.layer_decay", "0.5"], "in other groups"),
        (["--model.optimizer.lr", "0.5"], "where model.optimizer asks for 0.5 now"),
    ):
        assert said in refused(capsys, "fit", *arguments, *options, "--ckpt_path", checkpoint)
    monkeypatch.chdir(tmp_path)
    assert "run fit first" in refused(capsys, "test", *arguments, "--ckpt_path", "last")


def test_ctrl_c_ends_with_what_to_do_next(arguments, capsys, tmp_path, monkeypatch):
    (tmp_path / "some_hand.py").write_text(
        "from lightning.pytorch import Callback\n"
        "class Hand(Callback):\n"
        "    def on_train_batch_end(self, trainer, *_):\n"
        "        if trainer.global_step == 6:\n"
        "            raise KeyboardInterrupt\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--name", "stopped", "--trainer.callbacks", '[{"class_path": "some_hand.Hand"}]']
    assert lightning_main(["fit", *arguments, *options]) == 130
    said = capsys.readouterr().err
    assert said.endswith("voxtile: error: interrupted; go on from the last checkpoint with --ckpt_path last\n")
    assert "Traceback" not in said
    (checkpoint,) = Path("runs/stopped").rglob("last.ckpt")
    assert read_checkpoint(checkpoint)["global_step"] == 4


def test_untrained_models_are_not_tested(arguments, capsys):
    assert "train the model or load a checkpoint" in refused(capsys, "test", *arguments)


def test_options_can_come_from_the_environment(arguments, capsys, monkeypatch):
    monkeypatch.setenv("VOXTILE_FIT__DATA__BATCH_SIZE", "9")
    monkeypatch.setenv("VOXTILE_FIT__DATA__VAL_SPLIT", "dev")
    tower = ["--model.encoder.image", "TimmTower", "--model.encoder.image.name", "resnet18"]
    with pytest.raises(SystemExit):
        lightning_main(["fit", *arguments, *tower, "--model.encoder.image.pretrained", "null", "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    data = printed["data"]
    assert (data["val_split"], data["batch_size"]) == ("dev", 16), "a file comes before the environment"
    assert printed["model"]["encoder"]["init_args"]["image"]["init_args"]["pretrained"] is None


def test_a_run_that_max_steps_stopped_within_an_epoch_goes_on_with_the_rest_of_it(arguments, capsys):
    short = ["fit", *arguments, "--name", "short", "--trainer.max_epochs", "2"]
    assert lightning_main([*short, "--trainer.max_steps", "7", "--ckpt_path", "last"]) == 0
    assert "no checkpoint under 'runs/short'; a new run begins" in capsys.readouterr().err
    assert lightning_main([*short, "--ckpt_path", "last"]) == 0
    checkpoint = read_checkpoint(max(Path("runs/short").rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns))
    assert checkpoint["global_step"] == 2 * (160 // 16)
    assert checkpoint["CorpusDataModule"]["epoch"] == 2
