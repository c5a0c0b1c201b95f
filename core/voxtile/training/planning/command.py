"""`voxtile plan CONFIG`: what a config needs of a GPU, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from rich.box import SIMPLE_HEAD
from rich.table import Table

from voxtile.console import output
from voxtile.data.presets.base import Preset
from voxtile.data.presets.load import preset_from_config
from voxtile.data.regions.policy import RegionPolicy
from voxtile.domain import resolve
from voxtile.errors import ConfigError, VoxtileError
from voxtile.training.config_bases import read_config
from voxtile.training.planning.estimate import Memory, find_gpu, largest, memory, seconds
from voxtile.training.planning.measure import Step, measure
from voxtile.training.precision import FULL, HALF, refuse_half_weights

_HALF = ("bf16-mixed", "16-mixed")
_WITHOUT_BFLOAT16 = ("t4", "v100")  # they have float16, which `mixed_precision` does not take by itself
_GB = 2**30


def plan(
    name: str, *, gpu: str = "a100-80gb", micro: int | None = None, mfu: float = 0.3, items: int | None = None
) -> None:
    """Estimate memory and time of training a config on a GPU, and find the largest micro-batch that fits.

    Nothing is computed and no data is read: the step is gone through with shapes alone, every text being as long as
    the text tower reads. Counted are weights, gradients and two moments of AdamW, those of fusion layers, decoders
    and teachers among them; a language model that is told to answer by its sizes (what stands still in the numbers
    that it is kept in, low-rank additions with their moments, keys and values of images, logits); activations,
    which are the most that the forward and backward pass of towers and objectives hold at once; two batches of
    images; and CUDA itself. A teacher adds its forward pass and no gradient. Not counted are the loss of a large
    batch (`model.batch`) beyond a micro-batch, a few MB for a thousand items, and what several GPUs exchange;
    attention is counted as a CPU does it, which takes no less. Time is the operations of a step over what the card
    reaches, which is an assumption (--mfu); the logs of a run tell the true share. If it does not fit, take a
    smaller --micro (`model.batch`), `model.recompute: true`, a smaller input, or `trainer.precision: bf16-mixed`.

    Args:
        name: of a config, such as medical/ct, or its file.
        gpu: a card, e.g. h100, l4, rtx4090, or `here` for the one in this machine.
        micro: items that are encoded at a time; where left out `model.batch.micro` of the config, else its batch_size.
        mfu: share of the card's peak rate that is reached.
        items: items of an epoch, for its time.

    Raises:
        ConfigError: it names no model or preset, or the card is not known.
    """
    if not 0 < mfu <= 1:
        raise ConfigError(f"--mfu must be a share above 0 and at most 1, not {mfu}")
    card = find_gpu(gpu)
    planned = Plan(name, card.name)
    total, own = planned.sizes()
    chosen = own if micro is None else micro
    if chosen < 1:
        raise ConfigError(f"--micro must be at least 1, not {chosen}")
    step = planned.step(chosen)
    need = planned.memory(chosen)
    fits = largest(lambda count: planned.memory(count).total, card)
    duration = seconds(step, card, half=planned.half, utilisation=mfu)
    console = output()
    console.print(f"{card.name}, {card.memory / _GB:.0f} GiB; micro-batch {chosen}", highlight=False)
    console.print(_memory_table(need))
    console.print(_summary(step, duration, chosen, total, fits, mfu, items))
    counted = [name for name in planned.objectives if name not in step.left_out]
    console.print(
        f"Counted: towers and objectives ({', '.join(counted) or 'none'}), forward and backward, at the longest texts.",
        highlight=False,
    )
    for sentence in step.assumed:
        console.print(f"note: {sentence}", style="yellow", highlight=False)
    if step.left_out:
        console.print(
            f"note: of {', '.join(step.left_out)} only weights are counted; the work depends on what pictures show",
            style="yellow", highlight=False,
        )  # fmt: skip


class Each(TypedDict):
    """Of an item: texts, images, phrases with masks, whether its images have texts of their own, and dialogues."""

    texts: int
    images: int
    regions: int
    samples: bool
    dialogues: int


class Plan:
    """A config and what was measured of it.

    Args:
        name: of a config, or its file.
        card: for which it is made.

    Attributes:
        model: the `model` part of the config.
        preset: of its images.
        objectives: names of its terms.
        half: whether it trains in mixed precision of 16 bits.

    Raises:
        ConfigError: the file is no training config, or keeps weights in 16 bits.
    """

    def __init__(self, name: str, card: str) -> None:
        path = resolve(name, kind="config")
        config = read_config(path)
        try:
            self.model: Mapping[str, Any] = config["model"]
            data: Mapping[str, Any] = config["data"]
            self.preset: Preset = preset_from_config(data["preset"], own=True)
        except (KeyError, TypeError) as error:
            raise ConfigError(f"'{path}' is no training config: it lacks model, data or data.preset") from error
        self._data = data
        self.objectives = tuple(self.model.get("objectives") or ())
        trainer = config.get("trainer") or {}
        refuse_half_weights(trainer.get("precision"))
        open_to_half = config.get("mixed_precision") and not card.startswith(_WITHOUT_BFLOAT16)
        self.half = str(trainer.get("precision") or (HALF if open_to_half else FULL)) in _HALF
        self._averaged = any("WeightAverage" in str(c.get("class_path")) for c in trainer.get("callbacks") or [])
        self._measured: dict[int, Step] = {}

    def sizes(self) -> tuple[int, int]:
        """Items of a whole batch and of a micro-batch."""
        total = int(self._data.get("batch_size", 64))
        return total, int((self.model.get("batch") or {}).get("micro", total))

    def step(self, count: int) -> Step:
        """A step on so many items.

        Raises:
            ConfigError: the model cannot be gone through with shapes alone.
        """
        if count not in self._measured:
            try:
                self._measured[count] = measure(self.model, self.preset, items=count, half=self.half, **self.each())
            except VoxtileError:
                raise
            except Exception as error:
                reason = " ".join(str(error).split())[:200]
                raise ConfigError(f"the model cannot be gone through with shapes alone: {reason}") from error
        return self._measured[count]

    def each(self) -> Each:
        """What an item has."""
        captions, regions = self._data.get("captions") or {}, self._data.get("regions")
        talks = self._data.get("dialogues")
        policy = RegionPolicy(**regions) if regions else None
        return {
            "texts": int(captions.get("per_item", 1)) or 1,
            "images": self._images(),
            "regions": policy.present + policy.absent if policy else 0,
            "samples": bool(self._data.get("sample_captions")),
            "dialogues": int(talks.get("per_item", 4)) or 4 if talks is not None else 0,
        }

    def _images(self) -> int:
        """Of an item."""
        if self._data.get("unit") != "study":
            return 1
        most, batch = int(self._data.get("max_images_per_item") or 0), int(self._data.get("max_images_per_batch") or 0)
        return max(1, most or batch // self.sizes()[0])

    def memory(self, count: int) -> Memory:
        """What it takes."""
        return memory(self.step(count), averaged=self._averaged)


def _memory_table(need: Memory) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("memory of")
    table.add_column("GiB", justify="right")
    parts = {
        "weights": need.weights, "gradients": need.gradients, "optimiser": need.optimiser, "average": need.average,
        "activations": need.activations, "inputs": need.inputs, "CUDA": need.context, "all": need.total,
    }  # fmt: skip
    for name, value in parts.items():
        if value:
            table.add_row(name, f"{value / _GB:.2f}")
    return table


def _summary(step: Step, duration: float, micro: int, total: int, fits: int, mfu: float, items: int | None) -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=False)
    steps = -(-total // micro)
    table.add_row("parameters", f"{step.parameters / 1e6:.2f} M, of which {step.trained / 1e6:.2f} M learn")
    table.add_row("operations an item", f"{step.operations / micro / 1e9:.3g} GFLOP, forward and backward")
    table.add_row("largest micro-batch", str(fits) if fits else "none: not even two items fit")
    table.add_row(f"step of {total} items", f"{duration * steps:.3g} s at {mfu:.0%} of the peak, if data keeps up")
    table.add_row("items a second", f"{micro / duration:.4g}")
    if items is not None:
        table.add_row(f"epoch of {items} items", f"{items / micro * duration / 3600:.3g} h")
    return table
