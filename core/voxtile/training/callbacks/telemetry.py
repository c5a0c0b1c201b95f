"""What a step costs and how it goes: samples a second, wait for data, gradient norm, memory, share of the peak."""

from __future__ import annotations

import time
from contextlib import ExitStack

import lightning.pytorch as pl
import psutil
import torch
from lightning.fabric.utilities.throughput import get_available_flops
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from voxtile.errors import ConfigError
from voxtile.training.step.distributed import gradient_norm
from voxtile.training.step.logged_steps import is_logged, log_figures
from voxtile.types import Batch

_GB = 1e9
_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Telemetry(pl.Callback):
    """Logs figures of the last steps at Lightning's logging interval.

    `images_per_second`; `data_wait`, the share of the time in which the step waited for its batch; `grad_norm`, the
    Euclidean norm of all gradients before clipping; `memory_gb`, the most that the GPU held since the last time, or
    what the process holds where there is none; and where the peak of the device is known `mfu`, floating-point
    operations a second over that peak (model FLOPs utilisation, Chowdhery et al. 2022, PaLM, appendix B; operations are
    counted in one step, recomputation among them).

    Args:
        peak_tflops: what the device can do at most in the run's precision, 10¹² operations a second; null looks a GPU
            up, and leaves `mfu` out where it is not known.

    Raises:
        ConfigError: `peak_tflops` is not above 0.
    """

    def __init__(self, *, peak_tflops: float | None = None) -> None:
        if peak_tflops is not None and not peak_tflops > 0:
            raise ConfigError(f"telemetry.peak_tflops must be above 0, not {peak_tflops}")
        self._given = None if peak_tflops is None else peak_tflops * 1e12
        self._peak: float | None = None
        self._operations: int | None = None  # of a step
        self._counting = ExitStack()
        self._counter: FlopCounterMode | None = None
        self._clear()

    def _clear(self) -> None:
        self._since = self._ready = time.perf_counter()
        self._images = self._steps = 0
        self._waited = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the peak of the device."""
        known = None if pl_module.device.type != "cuda" else get_available_flops(pl_module.device, _type(trainer))
        self._peak = self._given or known

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the last step of a run that is shorter than the interval, which would leave no table."""
        steps = max(1, trainer.estimated_stepping_batches)
        trainer.log_every_n_steps = int(min(trainer.log_every_n_steps, steps))  # type: ignore[attr-defined]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._clear()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Note how long the batch was waited for, and count the operations of the first step."""
        self._waited += time.perf_counter() - self._ready
        if self._peak and self._operations is None:
            self._counter = self._counting.enter_context(operation_counter())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Log the gradient norm."""
        if is_logged(trainer):
            log_figures(pl_module, {"grad_norm": gradient_norm(pl_module.parameters())}, 1, prog_bar=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Log the rest."""
        if self._counter is not None:
            self._counting.close()
            self._operations, self._counter = self._counter.get_total_flops(), None
        self._images += len(batch.images) * trainer.world_size
        self._steps += 1
        self._ready = time.perf_counter()
        if not is_logged(trainer):
            return
        seconds = self._ready - self._since
        figures = {
            "images_per_second": self._images / seconds,
            "data_wait": self._waited / seconds,
            "memory_gb": _memory(pl_module.device) / _GB,
        }
        if self._peak and self._operations:
            figures["mfu"] = self._operations * self._steps / seconds / self._peak
        log_figures(pl_module, figures, 1, prog_bar=True)
        self._clear()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave no counter behind."""
        self._counting.close()
        self._counter = None


def _memory(device: torch.device) -> float:
    if device.type != "cuda":
        return float(psutil.Process().memory_info().rss)
    most = float(torch.cuda.max_memory_allocated(device))
    torch.cuda.reset_peak_memory_stats(device)
    return most


def _type(trainer: pl.Trainer) -> torch.dtype:
    return _AUTOCAST.get(str(trainer.precision), torch.float32)


_Shape = torch.Size


def operation_counter() -> FlopCounterMode:
    """PyTorch's counter of the whole, which knows fused attention on GPUs alone, with its formulas for that on CPUs.

    It also counts the one operation that a layer of `nn.TransformerEncoder` is where no gradient is asked for.
    """
    aten = torch.ops.aten
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
            aten._transformer_encoder_layer_fwd: _encoder_layer,
        },
    )
    counter.mod_tracker = _Whole()  # type: ignore[assignment]
    return counter


class _Whole:
    """In place of the count by modules, whose hooks would hold all that a block computes again in the backward pass."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        """Watch no module."""

    def __exit__(self, *args: object) -> None:
        """Nothing was watched."""


def _attention(query: _Shape, key: _Shape, value: _Shape, *args: object, **kwargs: object) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(
    grad: _Shape, query: _Shape, key: _Shape, value: _Shape, *args: object, **kwargs: object
) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]


def _encoder_layer(source: _Shape, width: int, heads: int, *args: object, **kwargs: object) -> int:
    """Four projections of attention, two products of tokens by tokens, and a perceptron; [B, L, W] come in."""
    batch, length, _ = source
    hidden = args[11][0]  # type: ignore[index] # of the perceptron's first weights, [H, W]
    return int(2 * batch * length * (4 * width**2 + 2 * width * hidden) + 4 * batch * length**2 * width)
