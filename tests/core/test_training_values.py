"""What is refused before anything is imported is what the parser refuses too, and no config that ships."""

import importlib
import inspect

import pytest
from jsonargparse import ArgumentParser

from voxtile.cli.source.classes import constructor_of
from voxtile.cli.source.names import UnreadableError
from voxtile.cli.training_help import SECTIONS
from voxtile.cli.training_values import check_values
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.short_class_names import offered
from voxtile.training.config_bases import read_config
from voxtile.training.named_inputs import given_settings

CLASSES = {section: target for section, (target, _) in SECTIONS.items()}
TYPES = {"data.batch_size": int, "ranks.end_after": float, "trainer.benchmark": bool | None}
VALUES = [
    *("1", "-1", "1.5", "1e3", "3e-4", "1_000", "0x10", "0o7", "inf", ".inf", "nan", ".nan", "null", "", "  7 "),
    *("true", "True", "false", "yes", "no", "on", "off", "y", "many", "[1,2]", "{a: 1}", "a b", "1,5", "twelve"),
]


@pytest.mark.parametrize("name", TYPES)
def test_nothing_is_refused_that_the_parser_takes(name):
    section, _, last = name.partition(".")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{last}", type=TYPES[name])
    refused = []
    for value in VALUES:
        try:
            check_values({section: {last: value}}, CLASSES)
        except ConfigError:
            refused.append(value)
            with pytest.raises(Exception, match=last):
                parser.parse_args([f"--{last}={value}"])
    assert {"many", "[1,2]", "{a: 1}", "a b"} <= set(refused)


def test_configs_that_ship_pass():
    for domain in discover()[0].values():
        for path in (*domain.configs().values(), *domain.production_configs().values()):
            check_values(read_config(path), CLASSES)


@pytest.mark.parametrize("value", [["many"], {"many": 1}, "many"])
def test_values_of_a_file_are_refused_by_their_whole_name(value):
    with pytest.raises(ConfigError, match=r"^'trainer\.max_epochs' cannot be .*; it must be int$"):
        check_values({"trainer": {"max_epochs": value}}, CLASSES)


def test_what_classes_take_is_what_python_finds_in_them():
    """Also what a library or plugin offers; only protocols, bases and what takes any keyword cannot be read."""
    paths = [path for paths in offered().values() for path in paths]
    paths += ["lightning.pytorch.callbacks.EarlyStopping", "lightning.pytorch.loggers.CSVLogger"]
    read = 0
    for path in paths:
        module, _, name = path.rpartition(".")
        try:
            taken = [argument.name for argument in constructor_of(f"{module}:{name}")]
        except UnreadableError:
            continue
        read += 1
        assert taken == list(inspect.signature(getattr(importlib.import_module(module), name)).parameters), path
    assert read >= len(paths) - 25


def test_fields_that_cannot_be_given_are_none_of_a_dataclass(tmp_path, monkeypatch):
    (tmp_path / "kept_fields.py").write_text(
        "from dataclasses import dataclass, field\nfrom typing import ClassVar\n\n@dataclass\nclass One:\n"
        "    a: int\n    b: ClassVar[int] = 1\n    c: int = field(default=0, init=False)\n    d: int = 0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [argument.name for argument in constructor_of("kept_fields:One")] == ["a", "d"]


VIT = "voxtile.models.ViTTower"
IMAGE = "model.encoder.image"
CONFIG = """
model:
  encoder:
    image: {class_path: voxtile.models.ConvTower, init_args: {widths: [4, 8]}}
    text: {class_path: TextBag, init_args: {width: 8}}
  objectives:
    contrastive: {class_path: voxtile.objectives.Contrastive}
    heads: {class_path: mine.Heads, init_args: {anything: 1}}
  optimizer: {lr: 0.1}
trainer:
  callbacks:
    - {class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: loss}}
"""


def check(tmp_path, words):
    (tmp_path / "config.yaml").write_text(CONFIG)
    check_values(given_settings(["-c", str(tmp_path / "config.yaml"), *words]), CLASSES)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            (f"--{IMAGE}.widhts=3",),
            rf"there is no option '{IMAGE}\.widhts'; did you mean '{IMAGE}\.widths'\?; --help lists all",
        ),
        ((f"--{IMAGE}.init_args.depth", "3"), rf"'{IMAGE}\.init_args\.depth'"),
        ((f"--{IMAGE}", VIT, f"--{IMAGE}.widths", "[1]"), rf"'{IMAGE}\.widths'"),
        ((f"--{IMAGE}.class_path", VIT, f"--{IMAGE}.init_args.dept", "3"), f"did you mean '{IMAGE}.init_args.depth'"),
        (("--model.encoder.text.init_args.widths", "3"), "did you mean 'model.encoder.text.init_args.width'"),
        (("--model.encoder.text.width", "wide"), "'model.encoder.text.width' cannot be wide; it must be int"),
        (("--model.encoder.imag.x", "3"), "'model.encoder.imag'; did you mean 'model.encoder.image'"),
        (
            ("--model.objectives.contrastiv.init_args.kind", "x"),
            "'model.objectives.contrastiv' names no class; did you mean 'model.objectives.contrastive'",
        ),
        (("--model.objectives.contrastive.kid", "x"), "did you mean 'model.objectives.contrastive.kind'"),
        (("--model.optimizer.lrr", "1"), "'model.optimizer.lrr'; did you mean 'model.optimizer.lr'"),
        (("--model.optimizer.lr", "no"), "'model.optimizer.lr' cannot be no; it must be float"),
        (("--data.captions.per_itm", "1"), "did you mean 'data.captions.per_item'"),
        (("--model.checkpointing", "true"), "'model.checkpointing' any more; take model.recompute: true"),
        (("--trainer.max_epoch", "1"), "did you mean 'trainer.max_epochs'"),
        (("--data.unit", "17"), r"'data\.unit' cannot be 17; it must be one of sample, study$"),
        (
            ("--trainer.precision", "17"),
            r"'trainer\.precision' cannot be 17; it must be one of 64, 32, 16, .*, bf16-mixed",
        ),
        (
            (f"--{IMAGE}.class_path", "voxtile.models.hub.clip.NoTower"),
            "there is no class 'voxtile.models.hub.clip.NoTower'",
        ),
    ],
)
def test_what_a_class_does_not_take_is_refused_before_it_is_imported(tmp_path, words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check(tmp_path, words)


@pytest.mark.parametrize(
    "words",
    [
        (),
        (f"--{IMAGE}", VIT),
        (f"--{IMAGE}", VIT, f"--{IMAGE}.depth", "3"),
        (f"--{IMAGE}.class_path", VIT, f"--{IMAGE}.init_args.depth", "3"),
        (f"--{IMAGE}", "mine.Tower", f"--{IMAGE}.anything", "3"),
        (f"--{IMAGE}", "{class_path: mine.Tower}", f"--{IMAGE}.anything", "3"),
        (f"--{IMAGE}.dict_kwargs.anything", "3"),
        (f"--{IMAGE}.class_path", "..Tower"),
        ("--model.optimizer", "mine.Lion", "--model.optimizer.beta", "3"),
        ("--model.schedule", "{class_path: voxtile.training.Constant}"),
        ("--model.encoder.init_args.embed_dim", "8"),
        ("--model.objectives.mine.class_path", "voxtile.objectives.FactHead"),
        ("--model.weights.contrastive", "2"),
        ("--model.objectives.heads", "null"),
        ("--model.objectives.mine", "FactHead"),
        ("--data.captions.kinds.raw", "2"),
        ("--data.unit", "'study'"),
        ("--trainer.precision", "016"),
        ("--trainer.precision", "16-mixed"),
        ("--trainer.inference_mode", "false"),
        ("--trainer.strategy", "mine"),
        (f"--{IMAGE}", "voxtile.data.presets.StudyMasks"),
    ],
)
def test_what_only_the_parser_knows_is_left_to_it(tmp_path, words):
    check(tmp_path, words)


def test_an_argument_of_a_callback_in_a_list_is_refused_by_its_place(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG.replace("monitor: loss", "monitr: loss"))
    with pytest.raises(
        ConfigError,
        match=r"'trainer\.callbacks\.init_args\.monitr'; did you mean '[\w.]+\.monitor'",
    ):
        check_values(read_config(tmp_path / "config.yaml"), CLASSES)
