"""`lightning fit|validate|test|predict`: LightningCLI over our module and datamodule."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, Namespace, get_loader, set_loader
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only

from voxtile import __version__
from voxtile.cli.explain import explain, explain_not_made
from voxtile.cli.strategies import STRATEGIES, settle_strategy, told_of_processes
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.lost_worker import LostWorkerError, lost_worker
from voxtile.errors import ConfigError, InterruptedRunError, cause_of, own_cause
from voxtile.listed_classes import public_path, with_current_names
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.base import Objective
from voxtile.training.callbacks.checkpoints import RunCheckpoint
from voxtile.training.callbacks.guard import FiniteLoss
from voxtile.training.callbacks.lost_process import LostProcess
from voxtile.training.callbacks.preemption import Preemption
from voxtile.training.callbacks.progress import progress
from voxtile.training.callbacks.rank_watch import RankWatch
from voxtile.training.callbacks.same_run import SameRun
from voxtile.training.callbacks.telemetry import Telemetry
from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.config_bases import reading, with_bases
from voxtile.training.config_file import with_files
from voxtile.training.memory import keep_freed_memory
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import AdamW, Schedule
from voxtile.training.precision import device_of, settled_precision
from voxtile.training.predictions import Predictions
from voxtile.training.run_folder import RunLogger, checkpoint_to_load, runs_folder
from voxtile.training.short_names import short_names
from voxtile.trusted_packages import refuse_parts_of_python
from voxtile.written_by import KEY, refuse_newer

_LOAD_YAML = get_loader("yaml")
# Classes whose arguments a config sets, for hints about misspelt keys.
CONFIGURED = (ContrastiveModule, DualEncoder, ImageTower, TextTower, Objective, AdamW, Schedule)


# Configs limit what validates during training, to nothing; who asks for these by themselves wants all of them.
_LIMITS: Mapping[str, str] = {
    "validate": "limit_val_batches",
    "test": "limit_test_batches",
    "predict": "limit_predict_batches",
}


class Parser(LightningArgumentParser):
    """Raises ConfigError with the nearest valid key where the parser of Lightning prints and exits."""

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        """Turn a parse error into one sentence."""
        raise ConfigError(explain(message, _keys(self), CONFIGURED)) from ex

    def save(self, *args: object, skip_none: bool = True, **options: object) -> None:
        """Save what was found right as it was parsed: to see that once more takes a tenth of a short run's seconds."""
        super().save(*args, **options, skip_unset=skip_none, skip_validation=True)

    def parse_path(self, path: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - of jsonargparse
        """Parse a config with its bases."""
        file = Path(path)
        with reading(file.read_text("utf-8") if file.is_file() else "", file):
            return super().parse_path(path, *args, **options)


def _keys(parser: LightningArgumentParser) -> Iterator[str]:
    """All dotted keys of a parser and its subcommands."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                yield from _keys(subparser)
        yield str(action.dest)


class VoxtileCLI(LightningCLI):
    """Adds what every voxtile run has: safe atomic checkpoints, a run folder, evaluation after `test`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Checkpoint and evaluation settings."""
        parser.add_lightning_class_args(RunCheckpoint, "checkpoint")
        parser.add_lightning_class_args(Telemetry, "telemetry")
        parser.add_lightning_class_args(RankWatch, "ranks")
        parser.add_argument(
            "--evaluate.tasks", type=list[str], default=[], help="tasks that `test` runs, by name or file"
        )
        parser.add_argument(
            "--mixed_precision",
            type=bool,
            default=False,
            help="where trainer.precision is left open: bf16-mixed if the device computes in bfloat16",
        )
        parser.add_argument("--name", type=str, default="run", help="folder of the run under runs")
        parser.add_argument(
            f"--{KEY}", type=str | None, default=None, help="of voxtile that saved the config; a newer one's is refused"
        )

    def _parse_ckpt_path(self) -> None:
        """Resolve `last`; nothing of the checkpoint enters the config, since its classes are not the user's choice."""
        config = self.config[self.config.subcommand]
        run = runs_folder(config["trainer"]) / config["name"]
        config["ckpt_path"] = checkpoint_to_load(config.get("ckpt_path"), run, fit=self.config.subcommand == "fit")
        if "weights_only" in config:
            config["weights_only"] = True
        if "return_predictions" in config:  # they are written, and need not be kept
            config["return_predictions"] = False
        refuse_newer(config[KEY], "the config", ConfigError)
        config[KEY] = __version__
        _name_publicly(config)

    def instantiate_classes(self) -> None:
        """Keep the model's config for its checkpoints."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            if own_cause(error) is not None or (sentence := explain_not_made(str(error))) is None:
                raise
            raise ConfigError(sentence) from error
        self._dump_config()
        self.model.config = self.config_dump["model"]
        self._same_run.config = self.config_dump
        self._same_run.wait(self.trainer)

    def _dump_config(self) -> None:
        """Of Lightning, without parsing all of it again: it was found right as it was parsed."""
        if not hasattr(self, "config_dump"):
            said = self.parser.dump(
                self.config, skip_link_targets=False, skip_unset=False, skip_validation=True, format="yaml"
            )
            self.config_dump = yaml.safe_load(said)[self.config.subcommand]

    def instantiate_trainer(self, **kwargs: object) -> Trainer:
        """A trainer with our plugins, logger and callbacks, beside those of the config."""
        config = self._get(self.config_init, "trainer")
        kwargs["logger"] = self._loggers(config.get("logger"))
        if config.get("strategy") in STRATEGIES:
            kwargs["strategy"] = STRATEGIES[config["strategy"]](config)
        if (limit := _LIMITS.get(str(self.subcommand))) is not None and config.get(limit) == 0:
            kwargs[limit] = 1.0
        kwargs["precision"], note = settled_precision(
            config.get("precision"),
            device_of(config.get("accelerator")),
            mixed=self._get(self.config_init, "mixed_precision"),
        )
        if note:
            rank_zero_only(sys.stderr.write)(f"note: {note}\n")
        kwargs["plugins"] = [*(config.get("plugins") or []), AtomicCheckpointIO()]
        callbacks = [*(config.get("callbacks") or []), *self._callbacks()]
        wanted = config.get("enable_progress_bar") is not False
        if wanted and not any(isinstance(callback, AnyProgressBar) for callback in callbacks):
            kwargs["enable_progress_bar"] = live = sys.stdout.isatty()
            callbacks.append(progress(live=live))
        kwargs["callbacks"] = callbacks
        try:
            trainer: Trainer = super().instantiate_trainer(**kwargs)
        except (ImportError, ValueError) as error:  # packages of a precision, names of strategies
            raise _refused_by_trainer(error) from error
        if self.subcommand == "fit":
            settle_strategy(trainer)
        return trainer

    def _loggers(self, chosen: Logger | list[Logger] | bool | None) -> list[Logger] | bool:
        """CSV in the run's folder, where checkpoints and reports lie too, and the loggers of the config beside it."""
        if chosen is False:
            return False
        others = chosen if isinstance(chosen, list) else [chosen] if isinstance(chosen, Logger) else []
        if any(isinstance(other, CSVLogger) for other in others):
            return others
        folder = runs_folder(self._get(self.config_init, "trainer"))
        return [RunLogger(folder, name=self._get(self.config_init, "name")), *others]

    def _callbacks(self) -> Iterator[Callback]:
        self._same_run = SameRun()
        yield self._same_run
        if self.subcommand == "fit":
            yield FiniteLoss()
            yield Preemption()
            yield LostProcess()
        if self.subcommand == "predict" and not self._get(self.config_init, "trainer").get("fast_dev_run"):
            yield Predictions()
        tasks = self._get(self.config_init, "evaluate")["tasks"]
        if self.subcommand == "test" and tasks:
            from voxtile.evaluation.callback import EvaluateCallback

            yield EvaluateCallback(tasks=tasks)


def _name_publicly(part: Any) -> None:  # noqa: ANN401 - what a config holds
    """Name the classes of a parsed config by their public names, as checkpoints and saved configs have them."""
    values = vars(part) if isinstance(part, Namespace) else part
    for value in values.values() if isinstance(values, Mapping) else values if isinstance(values, list) else ():
        _name_publicly(value)
    if isinstance(values, dict) and isinstance(path := values.get("class_path"), str):
        values["class_path"] = public_path(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one subcommand.

    Args:
        argv: arguments after the program's name, e.g. `["fit", "-c", "medical/ct", "--data.corpus", "corpus"]`; configs
            may be files or names of a domain's configs.

    Raises:
        VoxtileError: anything that is the input's fault, in one sentence.
        InterruptedRunError: Ctrl-C.
    """
    _silence_advice()
    _read_old_names()
    keep_freed_memory()
    arguments = list(with_files(sys.argv[1:] if argv is None else argv))
    with short_names():
        _run(arguments)


def _run(arguments: list[str]) -> None:
    try:
        _cli_of(arguments)(
            ContrastiveModule,
            CorpusDataModule,
            args=arguments,
            seed_everything_default=0,
            # The evaluation in `test` fits a baseline, and tensors made in inference mode never take part in autograd.
            trainer_defaults={"inference_mode": False},
            auto_configure_optimizers=False,
            parser_class=Parser,
            parser_kwargs={
                "default_env": True,
                "env_prefix": "VOXTILE",
                "description": "Train and test image-text models",
            },
            save_config_kwargs={"overwrite": True},
        )
    except ArgumentError as error:
        raise ConfigError(explain(str(error), (), CONFIGURED)) from error
    except MisconfigurationException as error:
        raise _refused_by_trainer(error) from error
    except (RuntimeError, LostWorkerError) as error:
        lost = error if isinstance(error, LostWorkerError) else lost_worker(error)
        if lost is None:
            if (told := told_of_processes(error)) is not None:
                raise told from error
            raise
        then = "go on with --ckpt_path last" if arguments[0] == "fit" else "run the same command again"
        raise LostWorkerError(f"{lost}; {then}") from error
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, KeyboardInterrupt):
            raise
        if getattr(rank_zero_only, "rank", 0):  # its parent says it
            raise SystemExit(InterruptedRunError.exit_status) from leaving
        fit = arguments[0] == "fit"
        then = "go on from the last checkpoint with --ckpt_path last" if fit else "run the same command again"
        raise InterruptedRunError(f"interrupted; {then}") from leaving


def _read_old_names() -> None:
    """Let the parser read configs with bases, and YAML whose classes have other names today."""
    set_loader("yaml", with_bases(_load_with_current_names), (yaml.YAMLError,))


def _load_with_current_names(text: str) -> Any:  # noqa: ANN401 - what YAML holds
    if text.strip() == "None":
        return None  # what the parser writes of null before it reads an argument of a class again
    content = with_current_names(_LOAD_YAML(text))
    refuse_parts_of_python(content)
    return content


def _refused_by_trainer(error: Exception) -> ConfigError:
    """What Lightning says of settings of its trainer, in its words; the first of its sentences tells it."""
    said = re.split(r"[.!]\s+(?=[A-Z])", cause_of(error))[0].rstrip(".!")
    return ConfigError(f"trainer: {said[:200]}; change accelerator, devices, strategy, precision or what it names")


def _cli_of(arguments: Sequence[str]) -> type[VoxtileCLI]:
    """The command line with the parser of the subcommand that comes first alone: half of the time of parsing."""
    offered = VoxtileCLI.subcommands()
    first = arguments[0] if arguments else ""
    if first not in offered or "VOXTILE_CONFIG" in os.environ:  # a config for all may set options of the others too
        return VoxtileCLI

    class Chosen(VoxtileCLI):
        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {first: offered[first]}

    return Chosen


def _silence_advice() -> None:
    """Drop what a user of ours can do nothing about: Lightning's product tips and its use of deprecated calls.

    It also warns of arguments in `sys.argv` that are not those it is given; they are the ones from which it starts the
    other processes of a distributed run, in which names of configs are resolved again.
    """
    for message in (
        r".*LeafSpec.*",
        r".*model summary.*",
        r".*JsonargparseDeprecation.*",
        r".*deprecated in v4.*",
        r".*LightningCLI's args parameter.*",
        r".*module\(s\) in eval mode at the start of training.*",  # frozen towers, and slow copies of the model
        r".*sync_dist=True.*",  # what is logged of a validation batch is of all processes already
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_tip)


def _is_no_tip(record: logging.LogRecord) -> bool:
    return "Tip: " not in record.getMessage()
