"""The precision of a training whose config leaves it open: bfloat16 where the device computes in it, else float32."""

from __future__ import annotations

import torch

from voxtile.errors import ConfigError

HALF, FULL = "bf16-mixed", "32-true"
_BFLOAT16 = frozenset({"bf16", "bf16-mixed"})


def device_of(accelerator: object) -> str:
    """The kind of device that Lightning takes for the name of an accelerator: `cuda`, `mps`, `cpu` or another's name.

    Args:
        accelerator: `trainer.accelerator`; `auto` and `gpu` mean what is there.
    """
    name = accelerator if isinstance(accelerator, str) else "other"
    if name not in ("auto", "gpu"):
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def computes_in_bfloat16(device: str) -> bool:
    """Whether a kind of device has arithmetic of bfloat16.

    oneDNN, whose kernels torch uses on a processor, has it from AVX-512 on; on others torch emulates it: one step of
    the 3D tower of `medical/ct` takes twenty times as long as in float32 there. NVIDIA's GPUs have it from Ampere on.
    """
    if device == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device != "mps"


def refuse_half_weights(wanted: object) -> None:
    """Refuse a precision that keeps the weights themselves in 16 bits.

    An update of less than a 512th (bfloat16) or a 4,096th (float16) of a weight rounds to nothing there, and most of
    AdamW's are smaller.

    Args:
        wanted: `trainer.precision`.

    Raises:
        ConfigError: `bf16-true` or `16-true`.
    """
    if str(wanted) in ("bf16-true", "16-true"):
        raise ConfigError(
            f"trainer.precision {wanted} keeps the weights in 16 bits, where small updates are rounded away; set it to "
            f"{str(wanted).replace('true', 'mixed')}, which computes in 16 bits and keeps them in 32"
        )


def settled_precision(wanted: object, device: str, *, mixed: bool) -> tuple[object, str]:
    """The precision to train in, and a note for whoever may wonder; no note where nothing is unusual.

    Args:
        wanted: `trainer.precision`; None leaves it open.
        device: its kind, as `device_of` names it.
        mixed: whether to take bfloat16 where the precision is left open and the device has it.

    Raises:
        ConfigError: as `refuse_half_weights`.
    """
    refuse_half_weights(wanted)
    has_it = computes_in_bfloat16(device)
    what = {"cpu": "this processor", "cuda": "this GPU"}.get(device, f"this device ({device})")
    if wanted is None and not mixed:
        return FULL, ""
    if wanted is None:
        decide = "set trainer.precision yourself to decide otherwise"
        note = f"{what} has no bfloat16 arithmetic, so it computes in float32 (trainer.precision {FULL}); {decide}"
        return (HALF, "") if has_it else (FULL, note)
    if str(wanted) in _BFLOAT16 and not has_it:
        return wanted, (
            f"{what} only emulates bfloat16, which takes many times as long as float32; "
            "leave trainer.precision out, or set it to 32-true"
        )
    return wanted, ""
