"""Checkpoints of tiny towers with random weights, which read pictures or volumes, and words."""

from pathlib import Path

import torch

from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.module import ContrastiveModule


def write_checkpoint(path: Path, preset: dict, *, dimensions: int, channels: int, texts: list[str]) -> Path:
    """Write one.

    Args:
        path: of the file.
        preset: `class_path` and `init_args`.
        dimensions: of its images, 2 or 3.
        channels: of its images.
        texts: that its tokenizer is trained on.
    """
    torch.manual_seed(0)
    tower = {"dimensions": dimensions, "channels": channels, "widths": [8], "blocks": [1], "width": 8}
    image = {"class_path": "voxtile.models.ConvTower", "init_args": tower}
    text = {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}}
    objectives = {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}}
    encoder = {"image": image, "text": text, "embed_dim": 8}
    module = ContrastiveModule.from_config({"encoder": encoder, "objectives": objectives})
    module.encoder.text.tokenizer.train(texts)
    module.setup_objectives(())
    module.preset_config = preset
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    AtomicCheckpointIO().save_checkpoint(content, path)
    return path
