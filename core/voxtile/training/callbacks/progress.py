"""How a run goes, in the terminal: a live bar where there is one, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from torch import Tensor

from voxtile.types import Batch

_LINE_SECONDS = 30.0  # at least, between two lines

# Logged name, as it is shown, format.
_FIGURES = (
    ("loss", "loss", "{:.4g}"),
    ("train/scale", "scale", "{:.3g}"),
    ("grad_norm", "gradient", "{:.3g}"),
    ("data_wait", "wait", "{:.0%}"),
    ("images_per_second", "images/s", "{:.3g}"),
    ("memory_gb", "memory", "{:.1f} GB"),
    ("mfu", "MFU", "{:.0%}"),
)


def figures(logged: Mapping[str, Tensor | float]) -> dict[str, str]:
    """What is shown of what was logged: name to text, in a fixed order, without what is missing.

    Args:
        logged: by the names of the log.
    """
    return {title: form.format(float(logged[name])) for name, title, form in _FIGURES if name in logged}


class ProgressBar(RichProgressBar):
    """A live bar with loss, logit scale, gradient norm, wait for data, images a second, memory and MFU."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, int | str | float]:  # type: ignore[override]
        """The figures, and in validation and test what these log for the bar."""
        metrics = dict(trainer.progress_bar_metrics)
        own = {name for name, _, _ in _FIGURES}
        others = {name: f"{value:.4g}" for name, value in metrics.items() if name not in own and name != "v_num"}
        return {**figures(trainer.callback_metrics), **others}


class ProgressLines(pl.Callback):
    """The same as a line now and then, with the time that is left, for logs of a batch system.

    Args:
        seconds: time that passes at least between two lines.
    """

    def __init__(self, *, seconds: float = _LINE_SECONDS) -> None:
        self.seconds = seconds
        self._last = float("-inf")
        self._start: tuple[float, int] | None = None  # when the first step ended, whose set-up says nothing of the rest

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock anew."""
        self._start = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Write one when it is time."""
        now, step, total = time.monotonic(), trainer.global_step, int(trainer.estimated_stepping_batches)
        since, first = self._start = self._start or (now, step)
        if not trainer.is_global_zero or (now - self._last < self.seconds and step < total):
            return
        self._last = now
        shown = ", ".join(f"{name} {text}" for name, text in figures(trainer.callback_metrics).items())
        left = f", {duration((now - since) / (step - first) * (total - step))} left" if first < step < total else ""
        sys.stderr.write(f"step {step} of {total}: {shown}{left}\n")


def duration(seconds: float) -> str:
    """A time that is left, as one reads it: 40 s, 12 min, 5 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60:,} h {minutes % 60:02d} min"


def progress(*, live: bool) -> pl.Callback:
    """The view that fits: live in a terminal, lines elsewhere."""
    return ProgressBar() if live else ProgressLines()
