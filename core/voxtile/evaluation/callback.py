"""The callback of `lightning test`: the same evaluation and report as `voxtile evaluate`, in the run's log folder."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import lightning.pytorch as pl

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.results import Evaluation, prepare_folder
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_tasks
from voxtile.inference.load import from_module
from voxtile.training.module import ContrastiveModule


class EvaluateCallback(pl.Callback):
    """Writes `results.json` and `index.html` when `lightning test` ends.

    In `fast_dev_run` it only checks that the tasks can be read.

    Args:
        tasks: names such as `medical/ct-findings`, or paths of task files.
        corpus: folder of the corpus; the datamodule's own when left out.
        out: folder of the report; `evaluate` under the run's log folder when left out.
        split: the split to report; each task's own when left out.
        batch_size: images a batch.
        bootstrap: replicates of the bootstrap over subjects.
        seed: of the bootstrap and of the shuffled control.
    """

    def __init__(
        self,
        tasks: list[str],
        *,
        corpus: str | None = None,
        out: str | None = None,
        split: str | None = None,
        batch_size: int = 32,
        bootstrap: int = 1000,
        seed: int = 0,
    ) -> None:
        self.tasks, self.corpus, self.out = tasks, corpus, out
        self.options = checked_options(split, batch_size, bootstrap, seed)
        self.evaluation: Evaluation | None = None

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate on the first process; the others wait."""
        if trainer.is_global_zero:
            self._evaluate(trainer, pl_module)
        trainer.strategy.barrier("voxtile-evaluate")

    def _evaluate(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if getattr(trainer, "fast_dev_run", False):
            load_tasks(self.tasks)
            return
        out = Path(self.out) if self.out else Path(trainer.log_dir or trainer.default_root_dir) / "evaluate"
        prepare_folder(out)
        preset = getattr(getattr(trainer, "datamodule", None), "preset", None)  # of the user's own config
        model = from_module(cast(ContrastiveModule, pl_module), Path(trainer.ckpt_path or "model").name, preset)
        spec = str(trainer.ckpt_path or "")
        self.evaluation = evaluate_model(model, spec, self._corpus(trainer), self.tasks, self.options)
        report(self.evaluation, out, output())
        for logger in trainer.loggers:
            logger.log_metrics(self._headlines(self.evaluation), step=trainer.global_step)

    def _corpus(self, trainer: pl.Trainer) -> Corpus:
        if self.corpus is not None:
            return Corpus(Path(self.corpus))
        corpus = getattr(getattr(trainer, "datamodule", None), "corpus", None)
        if not isinstance(corpus, Corpus):
            raise ConfigError("the evaluation has no corpus; set data.corpus, or the corpus of EvaluateCallback")
        return corpus

    @staticmethod
    def _headlines(evaluation: Evaluation) -> dict[str, float]:
        return {
            f"{result.task.name}/{name}": row.value
            for result in evaluation.results
            for name, row in result.headlines(evaluation.model).items()
            if row.value is not None
        }
