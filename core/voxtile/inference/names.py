"""What a model's name says by itself, before anything that loads models is imported."""

from __future__ import annotations

from pathlib import Path

from voxtile.errors import ConfigError
from voxtile.models.hub.names import SCHEMAS, refuse_unknown_open_clip

OPEN_CLIP, HUGGING_FACE, HUB, CUSTOM = "open_clip:", "hf:", "hub:", "class:"
STORED = "stored:"
"""Beginning of the name of vectors that the corpus has, `voxtile.inference.stored`."""
EIGHT_BITS = ":int8"
"""End of the name of an ONNX export's folder: its graphs with 8-bit matrices."""


def check_model_name(spec: str) -> None:
    """Refuse a name by which there can be no model.

    Args:
        spec: as `voxtile.inference.load.load_model` takes it.

    Raises:
        CheckpointError: it is a path, and nothing is there.
        ConfigError: it is neither a path nor a name of a known kind, or open_clip knows no such model.
    """
    if spec.startswith(OPEN_CLIP):
        name = spec.removeprefix(OPEN_CLIP)
        refuse_unknown_open_clip(name if name.startswith(SCHEMAS) else name.partition("/")[0])
    elif spec.startswith((HUGGING_FACE, HUB, CUSTOM, STORED)) or Path(spec.removesuffix(EIGHT_BITS)).is_dir():
        return
    elif not Path(spec).exists() and ":" in spec:
        raise ConfigError(
            f"'{spec}' is no model; give the path of a checkpoint or a folder, {OPEN_CLIP}NAME[/PRETRAINED], "
            f"{HUGGING_FACE}ID, {HUB}NAME[/FILE], {STORED}NAME of vectors of the corpus, or "
            f"{CUSTOM}package.module.Class[:ARGUMENT]"
        )
    else:
        from voxtile.training.named_inputs import require_checkpoint  # late: it reads corpora by name too

        require_checkpoint(Path(spec))
